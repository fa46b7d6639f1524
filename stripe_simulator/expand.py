"""`expand[]`: ids replaced by their objects, up to four levels.

https://docs.stripe.com/api/expanding_objects
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stripe_simulator.errors import validation_error
from stripe_simulator.params import ANSWERS, EXPANDABLE
from stripe_simulator.store import Object, clone

MAX_DEPTH = 4
NOT_SIMULATED = {
    "balance": ("instant_available.net_available",),
    "customer": ("cash_balance", "tax"),
    "invoice": ("confirmation_secret", "payments"),
    "price": ("currency_options", "tiers"),
}
"""Fields that Stripe includes only if expanded, and the simulator does not have."""
Lookup = Callable[[str], Object | None]
Loader = Callable[[Object, str], Callable[[], Object | list[Object] | None] | None]


def check_paths(operation: str, paths: list[str]) -> None:
    """Raise StripeError, before the request executes, for a path that the response cannot expand."""
    answer = ANSWERS.get(operation, "")
    kind = answer.removeprefix("data.")
    for path in paths:
        if path == "total_count" and operation.endswith("/search"):
            continue
        steps = path.split(".")
        if len(steps) > MAX_DEPTH:
            raise validation_error(
                f"You cannot expand more than {MAX_DEPTH} levels of a property. Property: {path}", param="expand"
            )
        lacks_data = answer != kind and (steps.pop(0) != "data" or not steps)
        if lacks_data or not _is_expandable(kind, steps):
            raise validation_error(f"This property cannot be expanded ({path}).", param="expand")
        if _is_not_simulated(kind, steps):
            message = f"The simulator does not support expanding `{path}`, although Stripe does."
            raise validation_error(message, param="expand")


def _is_not_simulated(kind: str, steps: list[str]) -> bool:
    """Return whether the steps lead through a field that the simulator does not have, or end at one."""
    paths = [(".".join(steps[:n]), steps[n:]) for n in range(1, len(steps) + 1)]
    if any(path in NOT_SIMULATED.get(kind, ()) for path, _ in paths):
        return True
    fields = EXPANDABLE.get(kind, {})
    return any(_is_not_simulated(one, rest) for path, rest in paths if rest for one in fields.get(path, []))


def _is_expandable(kind: str, steps: list[str]) -> bool:
    """Return whether an object of the kind can expand the steps. Kinds that are not simulated can expand anything."""
    fields = EXPANDABLE.get(kind)
    if fields is None:
        return True
    parts = ((".".join(steps[:n]), steps[n:]) for n in range(1, len(steps) + 1))
    return any(
        path in fields and (not rest or any(_is_expandable(one, rest) for one in fields[path])) for path, rest in parts
    )


def expand(content: Object, paths: list[str], lookup: Lookup, loader: Loader) -> None:
    """Expand the paths, which are already checked, in place.

    `lookup` returns the object with an id. `loader` returns a function that loads a field which objects include only
    on request (a charge's refunds, a session's line items), by the object and the path of the field in it.
    """
    for path in paths:
        _Expander(lookup, loader).expand(content, path.split("."), content, "")


@dataclass(frozen=True)
class _Expander:
    lookup: Lookup
    loader: Loader

    def expand(self, target: Any, steps: list[str], owner: Object, prefix: str) -> None:
        """Expand one path. `target` is the object `owner` or its part at the path `prefix`, which ends with a dot."""
        name, rest = steps[0], steps[1:]
        if not isinstance(target, dict):
            return
        if "object" in target:
            owner, prefix = target, ""
        load = self.loader(owner, prefix + name) if target.get(name) is None else None
        content = None if load is None else load()
        if content is not None:  # otherwise the field stays absent
            target[name] = content
        value = target.get(name)
        if isinstance(value, str):
            stored = self.lookup(value)
            value = target[name] = value if stored is None else clone(stored)
        if rest:
            for item in value if isinstance(value, list) else [value]:
                self.expand(item, rest, owner, f"{prefix}{name}.")
