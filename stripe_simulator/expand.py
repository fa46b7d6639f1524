"""`expand[]`: ids replaced by their objects, to a depth of four. https://docs.stripe.com/api/expanding_objects"""

from collections.abc import Callable
from typing import Any

from stripe_simulator.errors import unvalidated
from stripe_simulator.store import Object, clone

DEPTH = 4
Lookup = Callable[[str], Object | None]
Include = Callable[[Object, str], Object | None]


def expand(answer: Object, paths: list[str], lookup: Lookup, include: Include) -> None:
    """Expands the paths in the answer, which is changed.

    `lookup` gives the object of an id; `include` gives a list that an object leaves out unless asked
    (a charge's refunds, a session's line items).
    """
    for path in paths:
        steps = path.split(".")
        if len(steps) > DEPTH:
            raise unvalidated(
                f"You cannot expand more than {DEPTH} levels of a property. Property: {path}", param="expand"
            )
        _step(answer, steps, path, lookup, include)


def _step(target: Any, steps: list[str], path: str, lookup: Lookup, include: Include) -> None:
    name, rest = steps[0], steps[1:]
    if not isinstance(target, dict):
        return
    if name == "data" and isinstance(target.get("data"), list):
        if not rest:
            raise _refused(path)
        for each in target["data"]:
            _step(each, rest, path, lookup, include)
        return
    extra = include(target, name) if target.get(name) is None else None
    if extra is not None:
        target[name] = extra
    if name not in target:
        raise _refused(path)
    value = target[name]
    if isinstance(value, str):
        found = lookup(value)
        if found is None:
            raise _refused(path)
        value = target[name] = clone(found)
    if rest:
        for each in value if isinstance(value, list) else [value]:
            _step(each, rest, path, lookup, include)
    elif value is not None and not isinstance(value, dict | list):
        raise _refused(path)


def _refused(path: str) -> Exception:
    return unvalidated(f"This property cannot be expanded ({path}).", param="expand")
