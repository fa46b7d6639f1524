"""What exists is documented, and what is documented exists."""

import json
import re
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from local import demo
from tests.unit.test_errors import family
from tuition.api import PROBLEM_TYPES
from tuition.core.errors import TuitionError
from tuition.core.payment import STATUSES
from tuition.settings import Settings

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
SETUP = (ROOT / "docs" / "setup.md").read_text(encoding="utf-8")


class _Template(yaml.SafeLoader):
    """CloudFormation's YAML, its functions read as plain values."""


_Template.add_multi_constructor("!", lambda loader, suffix, node: suffix)


def routes() -> set[str]:
    """`GET /api/…/`, each once."""
    template: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(encoding="utf-8"), _Template)  # noqa: S506
    found = set()
    for resource in template["Resources"].values():
        for event in (resource.get("Properties") or {}).get("Events", {}).values():
            if event["Type"] == "HttpApi":
                found.add(f"{event['Properties']['Method'].upper()} {event['Properties']['Path'].rstrip('/')}/")
    return found


def types() -> dict[str, type[TuitionError]]:
    everything: list[type[TuitionError]] = [TuitionError, *family()]
    return {error.type: error for error in everything}


def table() -> dict[str, set[int]]:
    """The problem types that docs/api.md lists, with their statuses."""
    rows = re.findall(r"^\| `([a-z-]+)` \| ([\d, ]+) \|", API, re.MULTILINE)
    return {name: {int(status) for status in statuses.split(",")} for name, statuses in rows}


def test_every_route_is_documented_and_every_documented_route_is_there() -> None:
    assert set(re.findall(r"^### ((?:GET|POST|DELETE|PUT|PATCH) \S+)$", API, re.MULTILINE)) == routes()
    assert len(routes()) > 10


@pytest.mark.parametrize("route", sorted(routes()))
def test_every_route_has_a_call_to_copy(route: str) -> None:
    section = API.split(f"### {route}\n")[1].split("\n## ")[0].split("\n### ")[0]
    path = re.sub(r"\\\{\w+\\\}", r"[\\w]+", re.escape(route.partition(" ")[2]))
    call = re.search(rf"curl -s .*\$API{path}", section)
    assert call, "no curl line"
    posts = " -d " in section or "-X POST" in section
    assert posts == route.startswith("POST")


def test_every_error_type_is_documented_and_none_is_invented() -> None:
    assert set(table()) == set(types())


@pytest.mark.parametrize("name", sorted(types()))
def test_the_status_of_every_error_type_is_as_documented(name: str) -> None:
    assert types()[name].status in table()[name]


def test_every_error_that_a_route_names_exists() -> None:
    for line in re.findall(r"Errors: (.*)", API):
        named = {name for name in re.findall(r"`([a-z-]+)`", line) if "-" in name or name in types()}
        assert named and named <= set(types()), line


def test_the_example_of_a_problem_is_one() -> None:
    example = json.loads(re.search(r'^\{"type".*$', API, re.MULTILINE).group())  # type: ignore[union-attr]
    assert example["type"].removeprefix(PROBLEM_TYPES) in types()


def test_every_status_of_a_payment_is_explained() -> None:
    assert {name for name in STATUSES if f"| `{name}` |" in API} == set(STATUSES)


def test_make_bench_runs_every_measurement_and_one_alone() -> None:
    def run(*arguments: str) -> list[str]:
        made = subprocess.run(["make", "-n", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
        return re.findall(r"-m benchmarks\.(\w+)", made.stdout)

    assert run() == sorted(file.stem for file in (ROOT / "benchmarks").glob("[!_]*.py"))
    assert run("BENCH=cold_start") == ["cold_start"]


def test_the_demo_says_what_it_does_when_asked_and_plays_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        demo.main(["--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: make demo")


def test_every_decision_is_in_the_list_by_its_title() -> None:
    folder = ROOT / "docs" / "decisions"
    files = sorted(folder.glob("[0-9]*.md"))
    titles = [file.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ").split(". ", 1) for file in files]
    listed = re.findall(r"^(\d+)\. \[(.+)\]\((.+)\)$", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == [(number, title, file.name) for (number, title), file in zip(titles, files, strict=True)]


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_every_setting_is_documented(name: str) -> None:
    assert f"`{name.upper()}`" in SETUP
