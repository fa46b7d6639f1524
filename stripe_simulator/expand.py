"""`expand[]`: ids replaced by their objects, to a depth of four. https://docs.stripe.com/api/expanding_objects"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stripe_simulator.errors import unvalidated
from stripe_simulator.store import Object, clone

DEPTH = 4
Lookup = Callable[[str], Object | None]
Include = Callable[[Object, str], Callable[[], Object | None] | None]


def expand(answer: Object, paths: list[str], lookup: Lookup, include: Include) -> None:
    """Expands the paths in the answer, which is changed.

    `lookup` gives the object of an id; `include` gives the maker of what an object leaves out unless asked (a
    charge's refunds, a session's line items), by the object and the path from it.
    """
    for path in paths:
        steps = path.split(".")
        if len(steps) > DEPTH:
            raise unvalidated(
                f"You cannot expand more than {DEPTH} levels of a property. Property: {path}", param="expand"
            )
        _Path(path, lookup, include).step(answer, steps, answer, "")


@dataclass(frozen=True)
class _Path:
    path: str
    lookup: Lookup
    include: Include

    def step(self, target: Any, steps: list[str], owner: Object, within: str) -> None:
        """`owner` is the object that the target is, or is a part of: `within` it, as a path with a dot at its end."""
        name, rest = steps[0], steps[1:]
        if not isinstance(target, dict):
            return
        if "object" in target:
            owner, within = target, ""
        if name == "data" and isinstance(target.get("data"), list):
            if not rest:
                raise _refused(self.path)
            for each in target["data"]:
                self.step(each, rest, owner, within)
            return
        make = self.include(owner, within + name) if target.get(name) is None else None
        if make is not None:
            target[name] = make()
        if name not in target:
            raise _refused(self.path)
        value = target[name]
        if isinstance(value, str):
            found = self.lookup(value)
            if found is None:
                raise _refused(self.path)
            value = target[name] = clone(found)
        if rest:
            for each in value if isinstance(value, list) else [value]:
                self.step(each, rest, owner, f"{within}{name}.")
        elif value is not None and not isinstance(value, dict | list):
            raise _refused(self.path)


def _refused(path: str) -> Exception:
    return unvalidated(f"This property cannot be expanded ({path}).", param="expand")
