"""Join values that two sets of facts may have. Facts of payments and of plans are merged with it."""

from collections.abc import Callable, Mapping
from typing import cast


def either[T](a: T | None, b: T | None, join: Callable[[T, T], T]) -> T | None:
    """Return the value of both, of the one that has it, or None."""
    if a is None or b is None:
        return b if a is None else a
    return join(a, b)


def each[T](a: Mapping[str, T], b: Mapping[str, T], join: Callable[[T, T], T]) -> dict[str, T]:
    """Return the entries of both by their key, in the order of the keys."""
    if not (a or b):
        return {}
    return {key: cast(T, either(a.get(key), b.get(key), join)) for key in sorted({*a, *b})}
