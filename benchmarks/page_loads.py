"""How fast the pages load over a slow connection, before and after a change.

It starts the local stack of this folder and that of an earlier checkout, and loads each view of both in turn, with an
empty cache and then with what the browser has kept: before, after, after, before, … The connection has 150 ms and
1.6 Mbit/s. "Usable" is the time from the navigation until the view shows what one came for and its buttons act: the
price and the link of a track, the fields of a form, the rows of a list. INP is the longest interaction of one click.
CLS is the sum of all shifts, which is at least the metric of that name.
Sources: https://web.dev/articles/vitals,
https://developer.chrome.com/docs/devtools/network/reference#throttling

    git worktree add ../before 1347275; make -C ../before venv build
    make bench BENCH=page_loads ARGS="--before ../before --rounds 9"

The exit code is 1 if a view of this folder exceeds its limit in `VIEWS` or `MAX_CLS`.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

from local import chromium

ROOT = Path(__file__).resolve().parent.parent
LATENCY_MS = 150
BITS_PER_SECOND = 1_600_000
MAX_CLS = 0.1
SETTLE_MS = 1_500
"""How long to wait after a view is usable: late shifts and requests count too."""
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1440, "height": 900}

OBSERVE = """(selector) => {
    const figures = { usable: null, lcp: 0, cls: 0, inp: 0 };
    window.figures = figures;
    const observe = (type, add, options) =>
        new PerformanceObserver((list) => list.getEntries().forEach(add)).observe({ type, buffered: true, ...options });
    observe('largest-contentful-paint', (entry) => { figures.lcp = entry.startTime; });
    observe('layout-shift', (entry) => { if (!entry.hadRecentInput) figures.cls += entry.value; });
    observe('event', (entry) => { figures.inp = Math.max(figures.inp, entry.duration); }, { durationThreshold: 16 });
    const look = () => {
        const element = document.querySelector(selector);
        if (element && element.getClientRects().length) figures.usable = performance.now();
        else requestAnimationFrame(look);
    };
    look();
}"""


@dataclass(frozen=True)
class View:
    """A view, who opens it, what makes it usable, what is clicked, and its limits in ms: the median and the longest."""

    name: str
    address: str
    who: str
    usable: str
    click: str
    median_ms: float = float("inf")
    longest_ms: float = float("inf")
    size: dict[str, int] | None = None


VIEWS = (
    View("tracks, phone", "/", "", ".track a.button[href]", ".track a.button", 1_200, 1_600),
    View("buy, phone", "/#/buy/DP", "new", ".stripe-fields iframe", "input[type=radio] >> nth=1"),
    View("payments, phone", "/#/payments", "paid", ".rows li", ".rows button, .rows a"),
    View("learning, phone", "/#/learning", "paid", ".work .steps li", "details.why summary"),
    View("console, sign-in", "/console/", "", "main form button", "main form input", 1_600, 1_600),
    View("console, overview", "/console/#/overview", "admin", ".tiles dd", ".tabs a"),
    View("console, payments", "/console/#/payments", "admin", "table.rows tbody tr", "table.rows a.open"),
    View("console, attention", "/console/#/attention", "admin", "main .answer", "header .menu button"),
    View("console, disputes", "/console/#/disputes", "admin", "main .answer", "header .menu button"),
)


class Load(NamedTuple):
    """The figures of one load: times in ms, the sum of shifts, the bytes and the number of responses.

    `again` is the time until the view is usable when it is opened a second time, with what the browser has kept.
    """

    usable: float
    again: float
    lcp: float
    cls: float
    inp: float
    bytes: int
    requests: int


@dataclass(frozen=True)
class Site:
    """A running stack of a checkout, and the tokens of the people who open its pages."""

    name: str
    url: str
    tokens: dict[str, str]


@contextlib.contextmanager
def running(name: str, folder: Path) -> Iterator[Site]:
    """Start the stack of a checkout on free ports, let a student pay, and yield it."""
    command = [sys.executable, "-m", "local", "--api-port", "0", "--stripe-port", "0", "--aws-port", "0"]
    process = subprocess.Popen(command, cwd=folder, env=_environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = next(json.loads(line[6:]) for line in process.stdout if line.startswith("ready "))
        yield Site(name, ready["api"], _people(ready))
    finally:
        process.terminate()
        process.wait(timeout=60)


def _environment() -> dict[str, str]:
    """Return our environment without the path of our own modules."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def _people(ready: dict[str, Any]) -> dict[str, str]:
    tokens = {"admin": ready["admin_token"]}
    for sub in ("new", "paid"):
        body = {"sub": sub, "email": f"{sub}@example.org", "email_verified": True}
        tokens[sub] = _post(f"{ready['api']}/_local/token", body)["token"]
    created = _post(f"{ready['api']}/api/payments/create-payment", {"track": "DP"}, tokens["paid"])
    address = f"{ready['stripe']}/v1/payment_intents/{created['payment_intent_id']}/confirm"
    _post(address, "payment_method=pm_card_visa&return_url=http://127.0.0.1/", ready["stripe_secret_key"])
    return tokens


def _post(url: str, body: Any, token: str = "") -> Any:
    data = body if isinstance(body, str) else json.dumps(body)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(url, data.encode(), headers)) as response:
        return json.loads(response.read())


def load(browser: Browser, site: Site, view: View) -> Load:
    """Load a view once with an empty cache, and click in it."""
    size = view.size or (DESKTOP if view.name.startswith("console") else PHONE)
    context = browser.new_context(viewport=size, base_url=site.url)
    page = context.new_page()
    if view.who:
        context.add_init_script(f"sessionStorage.setItem('tuition.token', {json.dumps(site.tokens[view.who])})")
    page.add_init_script(f"({OBSERVE})({json.dumps(view.usable)})")
    network = context.new_cdp_session(page)
    sizes: list[int] = []
    network.on("Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"])))
    network.send("Network.enable")
    network.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": LATENCY_MS,
            "downloadThroughput": BITS_PER_SECOND / 8,
            "uploadThroughput": BITS_PER_SECOND / 8,
        },
    )
    try:
        _open(page, view)
        page.wait_for_timeout(SETTLE_MS)
        loaded = len(sizes), sum(sizes)
        page.locator(view.click).first.click()
        page.wait_for_timeout(SETTLE_MS / 3)
        figures = page.evaluate("window.figures")
        page.goto("about:blank")
        _open(page, view)
        again = page.evaluate("window.figures.usable")
    finally:
        context.close()
    return Load(figures["usable"], again, figures["lcp"], figures["cls"], figures["inp"], loaded[1], loaded[0])


def _open(page: Page, view: View) -> None:
    page.goto(view.address, wait_until="commit")
    page.wait_for_function("() => window.figures.usable")


def measure(sites: Sequence[Site], views: Sequence[View], rounds: int) -> dict[tuple[str, str], list[Load]]:
    """Return the loads by view and site. Each round turns the order of the sites around."""
    loads: dict[tuple[str, str], list[Load]] = defaultdict(list)
    path = chromium.find()
    if path is None:
        raise SystemExit(chromium.HOW)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=chromium.OPTIONS)
        for view in views:
            for site in sites:
                load(browser, site, view)  # starts the functions
            for number in range(rounds):
                for site in sites if number % 2 else sites[::-1]:
                    loads[view.name, site.name].append(load(browser, site, view))
        browser.close()
    return loads


def report(loads: dict[tuple[str, str], list[Load]], views: Sequence[View]) -> tuple[str, list[str]]:
    """Return the table of the medians, and a sentence for each limit that is exceeded."""
    columns = f"{'usable ms':>18} {'again ms':>9} {'LCP ms':>7} {'CLS':>6} {'INP ms':>7} {'KiB':>6} {'requests':>9}"
    lines, problems = [f"{'view':20} {'':7} {columns}"], []
    limits = {view.name: view for view in views}
    for (view, site), measured in loads.items():
        usable = [one.usable for one in measured]
        middle = Load(*(statistics.median(values) for values in zip(*measured, strict=True)))
        worst = max(one.cls for one in measured)
        span = f"{middle.usable:.0f} ({min(usable):.0f}-{max(usable):.0f})"
        lines.append(
            f"{view:20} {site:7} {span:>18} {middle.again:9.0f} {middle.lcp:7.0f} {worst:6.3f} {middle.inp:7.0f} "
            f"{middle.bytes / 1024:6.0f} {middle.requests:9.0f}"
        )
        if site != "after":
            continue
        if middle.usable > limits[view].median_ms or max(usable) > limits[view].longest_ms:
            problems.append(f"{view} is usable after {span} ms")
        if worst >= MAX_CLS:
            problems.append(f"{view} shifts by {worst:.3f}")
    return "\n".join(lines) + "\n", problems


def main() -> int:
    """Measure, print the report, and write it to a file. Return 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(prog="benchmarks.page_loads", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--before", type=Path, help="an earlier checkout, such as a git worktree")
    parser.add_argument("--views", default="", help="only the views whose names contain this")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".txt"), help="the file of the figures")
    options = parser.parse_args()
    views = [view for view in VIEWS if options.views in view.name]
    with contextlib.ExitStack() as stack:
        sites = [stack.enter_context(running("after", ROOT))]
        if options.before:
            sites.append(stack.enter_context(running("before", options.before.resolve())))
        table, problems = report(measure(sites, views, options.rounds), views)
    machine = f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the end"
    head = [
        __doc__.split("\n")[0],
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {machine}",
        f"{LATENCY_MS} ms, {BITS_PER_SECOND / 1e6} Mbit/s, {options.rounds} rounds: medians; the worst CLS",
    ]
    text = "\n".join([*head, "", table]) + "".join(f"EXCEEDED: {problem}\n" for problem in problems)
    options.out.write_text(text, encoding="utf-8")
    print(text)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
