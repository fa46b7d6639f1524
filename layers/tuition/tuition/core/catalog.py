"""The catalog: the tracks for sale, their prices and projects. Read once from `catalog.toml` next to this file."""

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
    """A step of a project. `step` is its code within the project."""

    step: str
    title: str


@dataclass(frozen=True)
class Project:
    """A project of a track, with its steps in order. `project` is its code within the track."""

    project: str
    title: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Track:
    """A track as it is sold today. The price of an earlier purchase is on its payment, not here."""

    track: str
    title: str
    price: Money
    projects: tuple[Project, ...]


RETIRED: tuple[str, ...] = ()
"""The codes of tracks that are no longer in the file. Staff can still filter payments by them."""


@cache
def tracks() -> Mapping[str, Track]:
    """Return every track by its code (`DP`, `FSD`), in the order of the file."""
    return MappingProxyType(parse((Path(__file__).parent / "catalog.toml").read_text(encoding="utf-8")))


def ever_sold() -> list[str]:
    """Return the code of every track that a payment may be for."""
    return [*tracks(), *RETIRED]


def find(code: object) -> Track:
    """Return the track with this code. Raises `UnknownTrack` for any other value of any type."""
    if isinstance(code, str) and code in tracks():
        return tracks()[code]
    raise UnknownTrack(code, tuple(tracks()))


def parse(toml: str) -> dict[str, Track]:
    """Return the tracks of a catalog in TOML. Raises `KeyError` or `TypeError` if its structure is wrong."""
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
