"""All objects of the simulated account, and how they are answered.

Objects are plain dicts in the shape that Stripe answers, references as ids. Names that begin with
`_` are the simulator's own and never leave it.
"""

import random
import string
from collections.abc import Iterator
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
        self.random = random.Random(seed)
        self.objects: dict[str, dict[str, Object]] = {}

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
