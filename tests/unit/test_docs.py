"""The documentation lists every route, error, setting and decision, and nothing else."""

import json
import re
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from local import demo
from tests.permissions import STRIPE_PERMISSIONS
from tests.unit.test_errors import error_classes
from tuition.api import PROBLEM_TYPES
from tuition.core.errors import TuitionError
from tuition.core.payment import STATUSES
from tuition.intake import stripe_events
from tuition.settings import Settings

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
SETUP = (ROOT / "docs" / "setup.md").read_text(encoding="utf-8")


class _Template(yaml.CSafeLoader):
    """Load CloudFormation's YAML and read its functions as plain values."""


_Template.add_multi_constructor("!", lambda loader, suffix, node: suffix)


def routes() -> set[str]:
    """Return every route of the template, as `GET /api/…`."""
    template: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(encoding="utf-8"), _Template)  # noqa: S506
    paths = template["Resources"]["HttpApi"]["Properties"]["DefinitionBody"]["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def types() -> dict[str, type[TuitionError]]:
    errors: list[type[TuitionError]] = [TuitionError, *error_classes()]
    return {error.type: error for error in errors}


def table() -> dict[str, set[int]]:
    """Return the problem types in docs/api.md with their statuses."""
    rows = re.findall(r"^\| `([a-z-]+)` \| ([\d, ]+) \|", API, re.MULTILINE)
    return {name: {int(status) for status in statuses.split(",")} for name, statuses in rows}


def test_the_documented_routes_are_the_routes_of_the_template() -> None:
    assert set(re.findall(r"^### ((?:GET|POST|DELETE|PUT|PATCH) \S+)$", API, re.MULTILINE)) == routes()
    assert len(routes()) > 10


@pytest.mark.parametrize("route", sorted(routes()))
def test_every_route_has_a_curl_example(route: str) -> None:
    section = API.split(f"### {route}\n")[1].split("\n## ")[0].split("\n### ")[0]
    path = re.sub(r"\\\{\w+\\\}", r"[\\w]+", re.escape(route.partition(" ")[2]))
    call = re.search(rf"curl -s .*\$API{path}", section)
    assert call, "the section has no curl example"
    posts = " -d " in section or "-X POST" in section
    assert posts == route.startswith("POST")


def test_the_documented_error_types_are_the_error_types_of_the_code() -> None:
    assert set(table()) == set(types())


@pytest.mark.parametrize("name", sorted(types()))
def test_every_error_type_has_its_documented_status(name: str) -> None:
    assert types()[name].status in table()[name]


def test_every_error_documented_for_a_route_exists() -> None:
    for line in re.findall(r"Errors: (.*)", API):
        named = {name for name in re.findall(r"`([a-z-]+)`", line) if "-" in name or name in types()}
        assert named and named <= set(types()), line


def test_the_example_problem_has_an_existing_type() -> None:
    example = json.loads(re.search(r'^\{"type": "https.*?\}$', API, re.MULTILINE | re.DOTALL).group())  # type: ignore[union-attr]
    assert example["type"].removeprefix(PROBLEM_TYPES) in types()


def test_every_payment_status_is_explained() -> None:
    assert {name for name in STATUSES if f"| `{name}` |" in API} == set(STATUSES)


def test_make_bench_runs_every_benchmark_or_only_the_named_one() -> None:
    def run(*arguments: str) -> list[str]:
        command = ["make", "-n", "bench", *arguments]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return re.findall(r"-m benchmarks\.(\w+)", result.stdout)

    assert run() == sorted(file.stem for file in (ROOT / "benchmarks").glob("[!_]*.py"))
    assert run("BENCH=cold_start") == ["cold_start"]


def test_the_help_option_of_the_demo_prints_its_usage_and_exits(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        demo.main(["--help"])
    assert exit_info.value.code == 0
    assert capsys.readouterr().out.startswith("usage: make demo")


def test_the_list_of_decisions_has_every_title_and_file() -> None:
    folder = ROOT / "docs" / "decisions"
    files = sorted(folder.glob("[0-9]*.md"))
    titles = [file.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ").split(". ", 1) for file in files]
    listed = re.findall(r"^(\d+)\. \[(.+)\]\((.+)\)$", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == [(number, title, file.name) for (number, title), file in zip(titles, files, strict=True)]


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_every_setting_is_documented(name: str) -> None:
    assert f"`{name.upper()}`" in SETUP


def test_set_up_lists_the_permissions_of_each_restricted_key() -> None:
    listed = {
        group: {resource: access for access, names in cells for resource in re.findall(r"`([\w/]+)`", names)}
        for group, *cells in (
            (group, ("write", write), ("read", read))
            for group, write, read in re.findall(
                r"^ *\| `(default|refunds|webhook|reconcile)` \| [^|]* \| ([^|]*) \| ([^|]*) \|$", SETUP, re.MULTILINE
            )
        )
    }
    assert listed == STRIPE_PERMISSIONS


# --- citations and examples ---

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES += [
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "stripe_simulator" / "README.md",
    ROOT / "stripe_simulator" / "COVERAGE.md",
    ROOT / "events" / "README.md",
]
LAYER = ROOT / "layers" / "tuition" / "tuition"
PLACES = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name not in (".cache", ".aws-sam")} | {
    path.name for path in LAYER.iterdir() if path.is_dir()
}
NOT_BUILT = {"outbox/emails", "payments/plans"}
"""Places that the documents name for later work."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_cited_path_and_link_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for cited in set(re.findall(r"`((?:[\w.-]+/)+[\w.-]*\w)`", text)) - NOT_BUILT:
        if cited.split("/")[0] in PLACES:
            candidates = [base / f"{cited}{suffix}" for base in (ROOT, LAYER) for suffix in ("", ".py")]
            assert any(candidate.exists() for candidate in candidates), cited
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", text):
        target = page.parent / link if link else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{link}#{anchor}"


def test_the_examples_of_how_to_add_something_change_lines_that_exist() -> None:
    blocks = re.findall(
        r"```diff\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert len(blocks) == 3
    for block in blocks:
        source = ""
        for line in block.splitlines():
            if line.startswith(" # "):
                name = re.match(r" # ([\w./]+)", line)
                assert name, line
                source = next(path for path in (ROOT / name[1], LAYER / name[1]) if path.exists()).read_text("utf-8")
            elif line.startswith((" ", "-")):
                assert line[1:] in source, line


def test_set_up_lists_the_event_types_that_are_applied() -> None:
    text = (ROOT / "docs" / "setup.md").read_text(encoding="utf-8")
    block = re.search(r"```text\n(\s+payment_intent\.created .*?)```", text, re.DOTALL)
    assert block
    assert set(block[1].split()) == stripe_events.SUBSCRIBED
