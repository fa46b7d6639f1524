"""All objects of the simulated account, and how they are answered.

Objects are plain dicts in the shape that Stripe answers, references as ids. Names that begin with
`_` are the simulator's own and never leave it.
"""

import random
import string
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stripe_simulator.errors import missing

Object = dict[str, Any]
ALPHABET = string.ascii_letters + string.digits


def clone(value: Any) -> Any:
    """A deep copy of JSON values."""
    if isinstance(value, dict):
        return {key: clone(each) for key, each in value.items()}
    if isinstance(value, list):
        return [clone(each) for each in value]
    return value


def shown(stored: Object) -> Object:
    """The object as it leaves: without the simulator's own fields."""
    return {key: clone(value) for key, value in stored.items() if not key.startswith("_")}


class Store:
    """Objects by kind and id, in the order of their creation."""

    def __init__(self, seed: int | None = None) -> None:
        self._seed: int | str | None = seed
        self.rewind()
        self.objects: dict[str, dict[str, Object]] = {}

    def rewind(self) -> None:
        """Draw under the seed from the beginning again."""
        self.random = random.Random(self._seed)
        self._streams: dict[str, random.Random] = {}

    def go_on(self, run: int) -> None:
        """A later run with the same file and seed makes other ids than those before it."""
        self._seed = None if self._seed is None else f"{self._seed} run {run}"
        self.rewind()

    @contextmanager
    def apart(self, stream: str) -> Iterator[None]:
        """Draw from a stream of its own: the ids of what is asked for do not hang on how often or when one looks."""
        own = None if self._seed is None else f"{self._seed} {stream}"
        kept, self.random = self.random, self._streams.setdefault(stream, random.Random(own))
        try:
            yield
        finally:
            self.random = kept

    def new_id(self, prefix: str, length: int = 24) -> str:
        """A fresh id, deterministic under a seed."""
        return f"{prefix}_{self.token(length)}"

    def token(self, length: int) -> str:
        """Random letters and digits."""
        return "".join(self.random.choices(ALPHABET, k=length))

    def add(self, stored: Object) -> Object:
        """Keep a new object."""
        self.objects.setdefault(stored["object"], {})[stored["id"]] = stored
        return stored

    def find(self, kind: str, id: str) -> Object | None:
        """The object, or None."""
        return self.objects.get(kind, {}).get(id)

    def get(self, kind: str, id: str, *, param: str | None = None) -> Object:
        """The object; StripeError 404, or 400 when a parameter named it. Spoken names as Stripe has them."""
        found = self.find(kind, id)
        if found is None:
            raise missing(SPOKEN.get(kind, kind.replace("_", " ")), id, param=param)
        return found

    def all(self, kind: str) -> Iterator[Object]:
        """Newest first."""
        return reversed(self.objects.get(kind, {}).values())


SPOKEN = {
    "payment_intent": "payment_intent",
    "payment_method": "PaymentMethod",
    "checkout.session": "checkout.session",
    "setup_intent": "setupintent",
    "webhook_endpoint": "webhook endpoint",
}
