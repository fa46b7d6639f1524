"""Read a stored value. Two versions run during a release, so it may have fields that only the later one knows."""

import functools
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast


def read[T](kind: type[T], stored: Mapping[str, Any]) -> T:
    """Return the value of a dataclass whose fields were stored by name. A field that this version lacks is ignored."""
    names = _names(cast(Any, kind))
    return kind(**{name: value for name, value in stored.items() if name in names})


@functools.cache
def _names(kind: Any) -> frozenset[str]:
    return frozenset(field.name for field in fields(kind))
