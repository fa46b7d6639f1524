"""All objects of the simulated account.

Objects are plain dicts in the shape of Stripe's API, with references as ids. Names that begin with `_` are the
simulator's own fields; no response includes them.
"""

import random
import string
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from stripe_simulator.errors import StripeError, resource_missing

Object = dict[str, Any]
python_id = id  # the name `id` is Stripe's here
ALPHABET = string.ascii_letters + string.digits


def clone(value: Any) -> Any:
    """Return a deep copy of a JSON value."""
    if isinstance(value, dict):
        return {key: clone(item) if isinstance(item, (dict, list)) else item for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) if isinstance(item, (dict, list)) else item for item in value]
    return value


def public_fields(stored: Object) -> Object:
    """Return a copy of an object without the simulator's own fields."""
    return {
        key: clone(value) if isinstance(value, (dict, list)) else value
        for key, value in stored.items()
        if not key.startswith("_")
    }


@dataclass
class Journal:
    """The objects that one request has created, and a copy of each object that it has read and may have changed."""

    created: list[Object] = field(default_factory=list)
    before: dict[int, tuple[Object, Object]] = field(default_factory=dict)


@dataclass
class Watch:
    """The objects that were added, and a copy of each that was read, since `Store.watch`: it may have changed."""

    added: list[Object] = field(default_factory=list)
    before: dict[int, tuple[Object, Object]] = field(default_factory=dict)


def previous_values(before: Object, after: Object) -> Object:
    """Return the `previous_attributes` of an event: the old values of what changed, null for what is new.

    Of a hash only the changed keys. https://docs.stripe.com/api/events/object
    """
    previous: Object = {}
    for name in [*before, *(name for name in after if name not in before)]:
        old, new = before.get(name), after.get(name)
        if old != new:
            is_hash = isinstance(old, dict) and isinstance(new, dict)
            previous[name] = previous_values(old, new) if is_hash else clone(old)  # type: ignore[arg-type]
    return previous


class Store:
    """Objects by kind and id, in the order of their creation, and the random source of their ids."""

    def __init__(self, seed: int | str | None = None) -> None:
        self._seed = seed
        self.reset_random()
        self.objects: dict[str, dict[str, Object]] = {}
        self._journal: Journal | None = None
        self._watch: Watch | None = None

    def reset_random(self) -> None:
        """Restart the random sequence of the seed."""
        self.random = random.Random(self._seed)
        self._streams: dict[str, random.Random] = {}

    def start_run(self, run: int) -> None:
        """Give each run with the same file and seed its own ids."""
        self._seed = None if self._seed is None else f"{self._seed} run {run}"
        self.reset_random()

    @contextmanager
    def random_stream(self, name: str) -> Iterator[None]:
        """Draw from a separate random stream.

        Ids of API objects then do not depend on the number or timing of other draws, such as request ids.
        """
        if name not in self._streams:
            self._streams[name] = random.Random(None if self._seed is None else f"{self._seed} {name}")
        previous, self.random = self.random, self._streams[name]
        try:
            yield
        finally:
            self.random = previous

    def new_id(self, prefix: str, length: int = 24) -> str:
        """Return a new id, deterministic under a seed."""
        return f"{prefix}_{self.token(length)}"

    def token(self, length: int) -> str:
        """Return random letters and digits."""
        return "".join(self.random.choices(ALPHABET, k=length))

    def add(self, stored: Object) -> Object:
        """Store a new object."""
        self.objects.setdefault(stored["object"], {})[stored["id"]] = stored
        if self._journal is not None:
            self._journal.created.append(stored)
        if self._watch is not None:
            self._watch.added.append(stored)
        return stored

    def find(self, kind: str, id: str) -> Object | None:
        """Return the object, or None."""
        stored = self.objects.get(kind, {}).get(id)
        if stored is not None:
            self.keep(stored)
        return stored

    def keep(self, stored: Object) -> None:
        """Keep a copy of an object that is about to change, for `roll_back` and for the history. `find` does it too."""
        key, copy = python_id(stored), None
        if self._watch is not None and key not in self._watch.before:
            copy = clone(stored)
            self._watch.before[key] = (stored, copy)
        if self._journal is not None and key not in self._journal.before:
            self._journal.before[key] = (stored, clone(stored) if copy is None else copy)

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        """Record the objects that are added, and those that `find` returns, which may change."""
        self._watch = watch = Watch()
        try:
            yield watch
        finally:
            self._watch = None

    @property
    def is_watched(self) -> bool:
        """Whether a watch is going on."""
        return self._watch is not None

    def begin(self) -> None:
        """Record from now on what `roll_back` must undo: new objects, and changes of objects that `find` returned."""
        self._journal = Journal()

    def has_created(self, id: str) -> bool:
        """Return whether an object with the id was created since `begin`."""
        return self._journal is not None and any(stored["id"] == id for stored in self._journal.created)

    def commit(self) -> None:
        """Keep everything since `begin`."""
        self._journal = None

    def roll_back(self) -> None:
        """Undo everything since `begin`."""
        journal, self._journal = self._journal or Journal(), None
        for stored, before in journal.before.values():
            if stored != before:
                stored.clear()
                stored.update(clone(before))
        for stored in journal.created:
            self.objects[stored["object"]].pop(stored["id"], None)

    def get(self, kind: str, id: str, *, param: str | None = None) -> Object:
        """Return the object. Raises StripeError: 404, or 400 if a parameter named it."""
        stored = self.find(kind, id)
        if stored is None:
            raise _missing(kind, id, param)
        return stored

    def get_active(self, kind: str, id: str, *, param: str | None = None) -> Object:
        """Return the object like `get`, but treat a deleted object as missing."""
        stored = self.get(kind, id, param=param)
        if stored.get("deleted"):
            raise _missing(kind, id, param)
        return stored

    def all(self, kind: str) -> Iterator[Object]:
        """Iterate over the objects of a kind, newest first."""
        return reversed(self.objects.get(kind, {}).values())


DISPLAY_NAMES = {
    "payment_intent": "payment_intent",
    "payment_method": "PaymentMethod",
    "checkout.session": "checkout.session",
    "setup_intent": "setupintent",
    "webhook_endpoint": "webhook endpoint",
}
"""The names of kinds in Stripe's error messages, where they are not the kind with spaces for underscores."""


def _missing(kind: str, id: str, param: str | None) -> StripeError:
    return resource_missing(DISPLAY_NAMES.get(kind, kind.replace("_", " ")), id, param=param)
