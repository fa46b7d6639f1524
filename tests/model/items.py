"""pynamodb's models by a shorter way: the same attributes and the same raw items, without a descriptor an access.

`test_wire.py` holds them against pynamodb's own for every table.
"""

from collections.abc import Callable
from typing import Any

import pytest
from pynamodb.models import Model

from tests.model.dynamodb import Item
from tuition.storage import dynamodb, mapping


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


class Known[T]:
    """What stored items mean: each is read once, or not at all where the code has just written it from its value.

    An item in memory is the same object until it is written again, and never changed. Every `CHECKED`th value that was
    written is read all the same, and must be what it was.
    """

    CHECKED = 25

    def __init__(self, read: Callable[[Item], T]) -> None:
        self._read = read
        self._known: dict[int, tuple[Item, T]] = {}
        self._made: dict[int, tuple[Model, T]] = {}
        self._written = 0

    def read(self, item: Item) -> T:
        kept = self._known.get(id(item))
        if kept is None:
            kept = self._known[id(item)] = item, self._read(item)
        return kept[1]

    def made(self, item: Model, value: T) -> Model:
        """The item was made of this value."""
        self._made[id(item)] = item, value
        return item

    def wrote(self, item: Model, stored: Item) -> None:
        """The item has become what is stored."""
        if id(item) in self._made:
            value = self._made[id(item)][1]
            self._known[id(stored)] = stored, value
            self._written += 1
            if self._written % self.CHECKED == 0:
                assert self._read(stored) == value, (stored, value)


def install(patch: pytest.MonkeyPatch) -> None:
    """Let the code use the short way for the while."""
    payments, enrollments = Known(mapping.payment_from_raw), Known(mapping.enrollment_from_raw)
    payment_to_item, enrollment_to_item = mapping.payment_to_item, mapping.enrollment_to_item

    def writing(item: Model) -> Item:
        stored = raw(item)
        payments.wrote(item, stored)
        enrollments.wrote(item, stored)
        return stored

    patch.setattr(Model, "__init__", _make)
    patch.setattr(Model, "from_raw_data", classmethod(_from_raw_data))
    patch.setattr(dynamodb, "to_raw", writing)
    patch.setattr(mapping, "payment_from_raw", payments.read)
    patch.setattr(mapping, "enrollment_from_raw", enrollments.read)
    patch.setattr(mapping, "payment_to_item", lambda p, *a, **m: payments.made(payment_to_item(p, *a, **m), p))
    patch.setattr(mapping, "enrollment_to_item", lambda e: enrollments.made(enrollment_to_item(e), e))
