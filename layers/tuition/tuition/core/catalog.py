"""What is sold: the tracks, their prices and their projects. Read once from `catalog.toml` beside this file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from tuition.core.errors import UnknownTrack
from tuition.core.money import Money


@dataclass(frozen=True)
class Step:
    """A step of a project; `step` is its code within the project."""

    step: str
    title: str


@dataclass(frozen=True)
class Project:
    """A project of a track with its steps in order; `project` is its code within the track."""

    project: str
    title: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Track:
    """A track as it is sold today. What a student was asked to pay is on their payment, not here."""

    track: str
    title: str
    price: Money
    projects: tuple[Project, ...]


RETIRED: tuple[str, ...] = ()
"""The codes of tracks that were sold once and are no more in the file: staff still find their payments."""


@cache
def tracks() -> Mapping[str, Track]:
    """Every track by its code (`DP`, `FSD`), in the order of the file."""
    return MappingProxyType(parse((Path(__file__).parent / "catalog.toml").read_text(encoding="utf-8")))


def ever_sold() -> list[str]:
    """The codes that a payment may have."""
    return [*tracks(), *RETIRED]


def find(code: object) -> Track:
    """The track with this code. Raises `UnknownTrack` for anything else, of whatever type."""
    if isinstance(code, str) and code in tracks():
        return tracks()[code]
    raise UnknownTrack(code, tuple(tracks()))


def parse(toml: str) -> dict[str, Track]:
    """The tracks of a catalog written as TOML. Raises `KeyError` or `TypeError` where it is not one."""
    return {
        code: Track(
            track=code,
            title=entry["title"],
            price=Money(entry["amount"], entry["currency"]),
            projects=tuple(
                Project(project["project"], project["title"], tuple(Step(**step) for step in project["steps"]))
                for project in entry["projects"]
            ),
        )
        for code, entry in tomllib.loads(toml).items()
    }
