"""`expand[]`: ids replaced by their objects, to a depth of four. https://docs.stripe.com/api/expanding_objects"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stripe_simulator.errors import unvalidated
from stripe_simulator.params import ANSWERS, EXPANDABLE
from stripe_simulator.store import Object, clone

DEPTH = 4
Lookup = Callable[[str], Object | None]
Include = Callable[[Object, str], Callable[[], Object | None] | None]


def check(operation: str, paths: list[str]) -> None:
    """StripeError for a path that leads to nothing that `expand` could name, before anything is done."""
    answered = ANSWERS.get(operation, "")
    kind = answered.removeprefix("data.")
    for path in paths:
        steps = path.split(".")
        if len(steps) > DEPTH:
            raise unvalidated(
                f"You cannot expand more than {DEPTH} levels of a property. Property: {path}", param="expand"
            )
        misses_data = answered != kind and (steps.pop(0) != "data" or not steps)
        if misses_data or not _is_known(kind, steps):
            raise unvalidated(f"This property cannot be expanded ({path}).", param="expand")


def _is_known(kind: str, steps: list[str]) -> bool:
    """Whether the steps lead through what an object of the kind may hold; a kind not simulated may hold anything."""
    fields = EXPANDABLE.get(kind)
    if fields is None:
        return True
    parts = ((".".join(steps[:n]), steps[n:]) for n in range(1, len(steps) + 1))
    return any(
        path in fields and (not rest or any(_is_known(one, rest) for one in fields[path])) for path, rest in parts
    )


def expand(answer: Object, paths: list[str], lookup: Lookup, include: Include) -> None:
    """Expands the paths, which were checked, in the answer, which is changed.

    `lookup` gives the object of an id; `include` gives the maker of what an object leaves out unless asked (a
    charge's refunds, a session's line items), by the object and the path from it.
    """
    for path in paths:
        _Path(lookup, include).step(answer, path.split("."), answer, "")


@dataclass(frozen=True)
class _Path:
    lookup: Lookup
    include: Include

    def step(self, target: Any, steps: list[str], owner: Object, within: str) -> None:
        """`owner` is the object that the target is, or is a part of: `within` it, as a path with a dot at its end."""
        name, rest = steps[0], steps[1:]
        if not isinstance(target, dict):
            return
        if "object" in target:
            owner, within = target, ""
        make = self.include(owner, within + name) if target.get(name) is None else None
        if make is not None:
            target[name] = make()
        value = target.get(name)
        if isinstance(value, str):
            found = self.lookup(value)
            value = target[name] = value if found is None else clone(found)
        if rest:
            for each in value if isinstance(value, list) else [value]:
                self.step(each, rest, owner, f"{within}{name}.")
