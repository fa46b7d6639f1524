"""A fast path around pynamodb's models: the same attributes and raw items, without a descriptor call per access.

`test_fast_paths.py` compares it with pynamodb for every table.
"""

import functools
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from pynamodb.attributes import Attribute, JSONAttribute
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


class _Field(NamedTuple):
    """An attribute of a model, with what pynamodb computes at each access."""

    name: str
    stored: str
    type: str
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]
    is_required: bool


@functools.cache
def _fields(cls: type[Model]) -> tuple[_Field, ...]:
    return tuple(
        _Field(name, one.attr_name, one.attr_type, _reader(one), one.serialize, not one.null)
        for name, one in cls._attributes.items()
    )


def _reader(attribute: Attribute[Any]) -> Callable[[Any], Any]:
    """Return how an attribute reads a value. pynamodb makes a JSON decoder for each value."""
    is_json = type(attribute).deserialize is JSONAttribute.deserialize
    return _DECODER.decode if is_json else attribute.deserialize


_DECODER = json.JSONDecoder(strict=False)


def _from_raw_data(cls: type[Model], data: Item) -> Model:
    item = cls.__new__(cls)
    item.attribute_values = {
        one.name: one.read(data[one.stored][one.type]) for one in _fields(cls) if one.stored in data
    }
    return item


def _get(self: Attribute[Any], item: Model | None, cls: type[Model]) -> Any:
    """Return the value of an attribute, or the attribute itself if a class is asked for it."""
    if item is None:
        return self
    try:
        name = self.__dict__["_fast_name"]
    except KeyError:
        name = self.__dict__["_fast_name"] = next(name for name, one in cls._attributes.items() if one is self)
    return item.attribute_values.get(name)


def raw(item: Model) -> Item:
    """Return the item as `tables.raw` writes it."""
    values = item.attribute_values
    attributes = {}
    for name, stored, type_, _, write, is_required in _fields(type(item)):
        value = values.get(name)
        if value is not None:
            attributes[stored] = {type_: write(value)}
        elif is_required:
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
    caches: list[ItemCache[Any]] = []
    for name in ("payment", "enrollment", "plan"):
        cache = ItemCache[Any](getattr(mapping, f"{name}_from_raw"))
        caches.append(cache)
        patch.setattr(mapping, f"{name}_from_raw", cache.read)
        patch.setattr(mapping, f"{name}_to_item", _adding(cache, getattr(mapping, f"{name}_to_item")))

    def write(model: Model) -> Item:
        stored = raw(model)
        for cache in caches:
            cache.write(model, stored)
        return stored

    patch.setattr(Model, "__init__", _init)
    patch.setattr(Model, "from_raw_data", classmethod(_from_raw_data))
    patch.setattr(Attribute, "__get__", _get)
    patch.setattr(dynamodb, "to_raw", write)


def _adding(cache: ItemCache[Any], to_item: Callable[..., Model]) -> Callable[..., Model]:
    """Return a function that makes the item of a value, and remembers the value."""
    return lambda value, *args, **options: cache.add(to_item(value, *args, **options), value)
