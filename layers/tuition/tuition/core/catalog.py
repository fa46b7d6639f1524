"""The catalog: the tracks, their prices and projects, whether they are sold, and the memberships.

It is read once from `catalog.toml`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from tuition.core import offers
from tuition.core.errors import UnknownTrack
from tuition.core.money import Money, charge_problem
from tuition.core.offers import PlanOffer
from tuition.core.plan_rules import PlanRules, RuleProblem


class Step(NamedTuple):
    """A step of a project. `step` is its code within the project."""

    step: str
    title: str


class Project(NamedTuple):
    """A project of a track, with its steps in order. `project` is its code within the track."""

    project: str
    title: str
    steps: tuple[Step, ...]


class Question(NamedTuple):
    """A question that students ask before they buy a track, with its answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class Track:
    """A track as it is today. The price of an earlier purchase is on its payment, not here.

    The page of a track shows the fields from `summary` to `questions` as they are written: plain text. `outcomes` are
    what a student learns, `prerequisites` what they must know before.

    A track that is no longer sold (`sold` false) is not offered. Its students keep their enrollment and progress.

    `course_url` is where its students learn, empty if the pages do not know it. `{project}` and `{step}` in it stand
    for the codes of a step.

    `offers` are the ways to pay the price in installments.
    """

    track: str
    title: str
    price: Money
    summary: str
    level: str
    duration: str
    outcomes: tuple[str, ...]
    prerequisites: tuple[str, ...]
    questions: tuple[Question, ...]
    projects: tuple[Project, ...]
    sold: bool = True
    course_url: str = ""
    offers: tuple[PlanOffer, ...] = ()

    def step_url(self, project: str, step: str) -> str | None:
        """Return the address of a step in the course; None if the catalog has none."""
        return self.course_url.replace("{project}", project).replace("{step}", step) or None


@dataclass(frozen=True)
class Membership:
    """A membership: the right to begin any track, as long as it is paid. `membership` is its code.

    One that is no longer sold is not offered. Its members keep it.
    """

    membership: str
    title: str
    summary: str
    offers: tuple[PlanOffer, ...]
    sold: bool = True


class Catalog(NamedTuple):
    """The tracks and memberships by their code, in the order of the file."""

    tracks: Mapping[str, Track]
    memberships: Mapping[str, Membership]


@cache
def _catalog() -> Catalog:
    return parse((Path(__file__).parent / "catalog.toml").read_text(encoding="utf-8"))


def tracks() -> Mapping[str, Track]:
    """Return every track by its code (`DP`, `FSD`), in the order of the file, also those that are no longer sold."""
    return _catalog().tracks


def memberships() -> Mapping[str, Membership]:
    """Return every membership by its code, in the order of the file, also those that are no longer sold."""
    return _catalog().memberships


def problem_with(rules: PlanRules) -> RuleProblem | None:
    """Return why no plan can begin with these rules, or why a plan of an offer that is for sale cannot."""
    products: list[Track | Membership] = [*tracks().values(), *memberships().values()]
    offered = [offer for product in products if product.sold for offer in product.offers]
    return rules.problem() or next(filter(None, (offer.problem_with(rules) for offer in offered)), None)


def codes() -> tuple[str, ...]:
    """Return the codes of all tracks, then of all memberships."""
    return (*tracks(), *memberships())


def title(code: str) -> str:
    """Return the title of a track or membership, also of one that is no longer sold; its code if there is none."""
    product = tracks().get(code) or memberships().get(code)
    return product.title if product else code


def for_sale() -> list[Track]:
    """Return the tracks that are sold today."""
    return [track for track in tracks().values() if track.sold]


def find(code: object) -> Track:
    """Return the track for sale with this code. Raises `UnknownTrack` for any other value of any type."""
    if isinstance(code, str) and code in tracks() and tracks()[code].sold:
        return tracks()[code]
    raise UnknownTrack(code, tuple(track.track for track in for_sale()))


def parse(toml: str) -> Catalog:
    """Return the catalog in TOML. Raises `KeyError` or `TypeError` if its structure is wrong.

    `prerequisites`, `questions`, `course_url`, `offers` and `memberships` may be left out. A text that is empty is a
    `TypeError` too. A price or an installment that Stripe cannot charge is a `ValueError`, and so is a second currency:
    students and staff see sums of several tracks.
    """
    entries = tomllib.loads(toml)
    members = {code: _membership(code, entry) for code, entry in entries.pop("memberships", {}).items()}
    tracks = {code: _track(code, entry) for code, entry in entries.items()}
    if both := sorted(members.keys() & tracks.keys()):
        raise ValueError(f"a track and a membership have the code {both[0]}")
    prices = [track.price for track in tracks.values()]
    prices += [offer.total for membership in members.values() for offer in membership.offers]
    currencies = sorted({price.currency for price in prices})
    if len(currencies) > 1:
        raise ValueError(f"the catalog has prices in {' and '.join(currencies)}, and it must have one currency")
    return Catalog(MappingProxyType(tracks), MappingProxyType(members))


def _membership(code: str, entry: Mapping[str, Any]) -> Membership:
    return Membership(
        membership=code,
        title=_text(entry["title"]),
        summary=_text(entry["summary"]),
        offers=offers.memberships(entry["offers"], code, entry["currency"]),
        sold=_flag(entry, "sold"),
    )


def _track(code: str, entry: Mapping[str, Any]) -> Track:
    price = _chargeable(Money(entry["amount"], entry["currency"]), f"the price of {code}")
    return Track(
        track=code,
        title=entry["title"],
        price=price,
        summary=_text(entry["summary"]),
        level=_text(entry["level"]),
        duration=_text(entry["duration"]),
        outcomes=_texts(entry["outcomes"]),
        prerequisites=_texts(entry.get("prerequisites", [])),
        questions=tuple(
            Question(_text(each["question"]), _text(each["answer"])) for each in entry.get("questions", [])
        ),
        projects=tuple(
            Project(project["project"], project["title"], tuple(Step(**step) for step in project["steps"]))
            for project in entry["projects"]
        ),
        sold=_flag(entry, "sold"),
        course_url=_course_url(entry.get("course_url", "")),
        offers=offers.installments(entry.get("offers", []), code, price),
    )


def _chargeable(amount: Money, name: str) -> Money:
    """Return an amount that Stripe can charge. Raises `ValueError` for any other."""
    problem = charge_problem(amount)
    if problem:
        raise ValueError(f"{name}, {amount}, {problem}")
    return amount


def _texts(values: object) -> tuple[str, ...]:
    """Return a list of texts. Raises `TypeError` for anything else: a single text would become its letters."""
    if not isinstance(values, list):
        raise TypeError(f"{values!r} must be a list of texts")
    return tuple(_text(value) for value in values)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"{value!r} must be a text and not empty")
    return value


def _course_url(value: object) -> str:
    """Return the optional address of a course. It is a link on the page, so it begins with https://."""
    if value == "":
        return ""
    text = _text(value)
    fixed = text.replace("{project}", "").replace("{step}", "")
    if not fixed.startswith("https://") or any(character in "{}" or character.isspace() for character in fixed):
        raise TypeError(f"course_url must begin with https:// and may contain {{project}} and {{step}}, not {text!r}")
    return text


def _flag(entry: Mapping[str, object], name: str) -> bool:
    """Return an optional flag, true if it is left out."""
    value = entry.get(name, True)
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false, not {value!r}")
    return value
