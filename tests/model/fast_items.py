"""A fast path around pynamodb's models: the same attributes and raw items, without a descriptor call per access.

`test_fast_paths.py` compares it with pynamodb for every table.
"""

from collections.abc import Callable
from typing import Any

import pytest
from pynamodb.models import Model

from tests.in_memory_dynamodb.tables import Item
from tuition.storage import dynamodb, mapping


def _init(self: Model, hash_key: Any = None, range_key: Any = None, **values: Any) -> None:
    attributes = type(self)._attributes
    if unknown := values.keys() - attributes.keys():
        raise ValueError(f"{type(self).__name__} has no {unknown}")
    for key, name in ((hash_key, self._hash_keyname), (range_key, self._range_keyname)):
        if key is not None:
            values[name] = key
    self.attribute_values = values


def _from_raw_data(cls: type[Model], data: Item) -> Model:
    item = cls.__new__(cls)
    item.attribute_values = {
        name: attribute.deserialize(data[attribute.attr_name][attribute.attr_type])
        for name, attribute in cls._attributes.items()
        if attribute.attr_name in data
    }
    return item


def raw(item: Model) -> Item:
    """Return the item as `tables.raw` writes it."""
    values = item.attribute_values
    attributes = {}
    for name, attribute in item._attributes.items():
        value = values.get(name)
        if value is not None:
            attributes[attribute.attr_name] = {attribute.attr_type: attribute.serialize(value)}
        elif not attribute.null:
            raise ValueError(f"{type(item).__name__}.{name} must not be None")
    return attributes


class ItemCache[T]:
    """The values of stored items. Each item is parsed once, or never if the code has just written it from its value.

    A stored item is the same object until it is written again, and is never changed in place. One written item in
    every `CHECK_INTERVAL` is parsed nevertheless, and must equal the value.
    """

    CHECK_INTERVAL = 25

    def __init__(self, parse: Callable[[Item], T]) -> None:
        self._parse = parse
        self._by_item: dict[int, tuple[Item, T]] = {}
        self._by_model: dict[int, tuple[Model, T]] = {}
        self._written = 0

    def read(self, item: Item) -> T:
        """Return the value of a stored item."""
        cached = self._by_item.get(id(item))
        if cached is None:
            cached = self._by_item[id(item)] = item, self._parse(item)
        return cached[1]

    def add(self, model: Model, value: T) -> Model:
        """Remember the value that the model was built from."""
        self._by_model[id(model)] = model, value
        return model

    def write(self, model: Model, stored: Item) -> None:
        """Remember the value of a model that has become a stored item."""
        if id(model) in self._by_model:
            value = self._by_model[id(model)][1]
            self._by_item[id(stored)] = stored, value
            self._written += 1
            if self._written % self.CHECK_INTERVAL == 0:
                assert self._parse(stored) == value, (stored, value)


def install(patch: pytest.MonkeyPatch) -> None:
    """Let the code use the fast path until the patch is undone."""
    payments, enrollments = ItemCache(mapping.payment_from_raw), ItemCache(mapping.enrollment_from_raw)
    payment_to_item, enrollment_to_item = mapping.payment_to_item, mapping.enrollment_to_item

    def write(model: Model) -> Item:
        stored = raw(model)
        payments.write(model, stored)
        enrollments.write(model, stored)
        return stored

    patch.setattr(Model, "__init__", _init)
    patch.setattr(Model, "from_raw_data", classmethod(_from_raw_data))
    patch.setattr(dynamodb, "to_raw", write)
    patch.setattr(mapping, "payment_from_raw", payments.read)
    patch.setattr(mapping, "enrollment_from_raw", enrollments.read)
    patch.setattr(mapping, "payment_to_item", lambda p, *a, **m: payments.add(payment_to_item(p, *a, **m), p))
    patch.setattr(mapping, "enrollment_to_item", lambda e: enrollments.add(enrollment_to_item(e), e))
