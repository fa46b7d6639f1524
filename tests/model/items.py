"""pynamodb's models by a shorter way: the same attributes and the same raw items, without a descriptor an access.

`test_wire.py` holds them against pynamodb's own for every table.
"""

from collections.abc import Callable
from typing import Any

import pytest
from pynamodb.models import Model

from tests.model.dynamodb import Item
from tuition import tables


def _make(self: Model, hash_key: Any = None, range_key: Any = None, **given: Any) -> None:
    known = type(self)._attributes
    if unknown := given.keys() - known.keys():
        raise ValueError(f"{type(self).__name__} has no {unknown}")
    for key, name in ((hash_key, self._hash_keyname), (range_key, self._range_keyname)):
        if key is not None:
            given[name] = key
    self.attribute_values = given


def _from_raw_data(cls: type[Model], data: Item) -> Model:
    item = cls.__new__(cls)
    item.attribute_values = {
        name: attribute.deserialize(data[attribute.attr_name][attribute.attr_type])
        for name, attribute in cls._attributes.items()
        if attribute.attr_name in data
    }
    return item


def raw(item: Model) -> Item:
    """The item as `tables.raw` writes it."""
    values = item.attribute_values
    found = {}
    for name, attribute in item._attributes.items():
        value = values.get(name)
        if value is not None:
            found[attribute.attr_name] = {attribute.attr_type: attribute.serialize(value)}
        elif not attribute.null:
            raise ValueError(f"{type(item).__name__}.{name} must not be None")
    return found


def once[T](read: Callable[[Item], T]) -> Callable[[Item], T]:
    """Each item in memory is read once: it is the same object until it is written again, and never changed."""
    known: dict[int, tuple[Item, T]] = {}

    def reading(item: Item) -> T:
        kept = known.get(id(item))
        if kept is None:
            kept = known[id(item)] = item, read(item)
        return kept[1]

    return reading


def install(patch: pytest.MonkeyPatch) -> None:
    """Let the code use the short way for the while."""
    patch.setattr(Model, "__init__", _make)
    patch.setattr(Model, "from_raw_data", classmethod(_from_raw_data))
    patch.setattr(tables, "raw", raw)
    for name in ("payment_from_raw", "enrollment_from_raw"):
        patch.setattr(tables, name, once(getattr(tables, name)))
