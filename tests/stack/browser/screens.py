"""The screens on which every page must fit, and what must hold on each: axe, no sideways scrolling, no shift.

`make test` takes one screen for each view and each state of a flow, another one with each `TUITION_SEED` and for each
page; `make soak` takes all for the views.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import axe_playwright_python
from playwright.sync_api import Frame, Page

from tests.seeds import first_seed

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
WCAG = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
VIOLATIONS_ONLY = {"resultTypes": ["violations"], "selectors": False}
"""Options of axe. Without them it also describes each node that passes, which takes a quarter of its time."""
MAX_CLS = 0.1
OBSERVE_SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
    for (const { value, hadRecentInput, sources } of list.getEntries())
        if (!hadRecentInput)
            shifts.push({ value, nodes: sources.map(({ node }) => node?.outerHTML?.slice(0, 120) ?? node?.nodeName) });
}).observe({ type: "layout-shift", buffered: true });
"""
"""A script that records the shifts of a page from its start. https://web.dev/articles/cls"""


class Screen(NamedTuple):
    """The size of a window, and a color scheme."""

    name: str
    width: int
    height: int
    scheme: Literal["dark", "light"]


THIRDS = (
    (Screen("phone", 390, 844, "dark"), Screen("desktop", 1440, 900, "light")),
    (Screen("phone", 390, 844, "light"), Screen("tablet", 1024, 768, "dark")),
    (Screen("tablet", 1024, 768, "light"), Screen("desktop", 1440, 900, "dark")),
)
ALL = tuple(screen for third in THIRDS for screen in third)


def third_of(name: str) -> Sequence[Screen]:
    """Return two screens for a page: two sizes, and both color schemes."""
    return THIRDS[_number(name) % len(THIRDS)]


def one_for(name: str) -> Screen:
    """Return the screen on which a run shows a page."""
    third = third_of(name)
    return third[_number(name) // len(THIRDS) % len(third)]


def _number(name: str) -> int:
    return first_seed() + zlib.crc32(name.encode())


def axe_violations(frame: Frame, only: dict[str, Any] = WCAG, rules: dict[str, Any] | None = None) -> list[str]:
    """The violations that axe-core finds in a frame, by the rules of WCAG 2.2 A and AA unless others are given.

    `rules` switches single rules off.
    """
    if not frame.evaluate("'axe' in window"):  # half a megabyte: inject it once per page
        frame.evaluate(f"(() => {{ {AXE} }})()")
    options = {**VIOLATIONS_ONLY, "iframes": False, "runOnly": only, "rules": rules or {}}
    result = frame.evaluate("options => axe.run(document, options)", options)
    return [
        f"{rule['id']}: {rule['help']}: {node['html'][:200]}" for rule in result["violations"] for node in rule["nodes"]
    ]


def problems(page: Page) -> list[str]:
    """Return what is wrong with a page as it is shown now: in the page, and by axe also in its frames.

    At the top of the page, because axe takes a control that is scrolled behind the sticky header for a small one.
    """
    page.evaluate("scrollTo(0, 0)")
    violations = [
        f"{frame.url}: {violation}"
        for frame in page.frames
        if frame.url.startswith("http")
        for violation in axe_violations(frame)
    ]
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return violations + ([f"it scrolls sideways by {overflow} px"] if overflow else [])


def shifts(page: Page) -> list[str]:
    """Return the shifts of a page since its start, if they exceed `MAX_CLS` together."""
    entries = page.evaluate("window.shifts")
    total = sum(entry["value"] for entry in entries)
    return [f"it shifts by {total:.3f}: {json.dumps(entries, indent=1)}"] if total >= MAX_CLS else []
