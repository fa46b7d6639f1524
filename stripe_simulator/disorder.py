"""Seeded disorder of deliveries: some overtake others, some arrive twice, some arrive late.

Stripe promises neither an order nor a single delivery (https://docs.stripe.com/webhooks#event-ordering). The draws of
an endpoint depend on the seed and on the number of its deliveries alone, so the same events have the same order.
"""

import heapq
import random
from dataclasses import dataclass, field
from typing import Any

Delivery = Any
"""A `webhooks.Delivery`, which this module only passes on."""

MAX_OVERTAKEN = 3
"""How many later deliveries may overtake a delivery that is not late."""
DOUBLED, LATE = 0.25, 0.15
"""The part of the deliveries that arrives twice, and the part that waits until no event is created for `QUIET_S`."""
QUIET_S = 1.0
NEVER = float("inf")


@dataclass(order=True)
class Waiting:
    """A delivery that waits for later ones. `turn` is the number of the delivery that it waits for."""

    turn: float
    tie: float
    delivery: Delivery = field(compare=False)


class Queue:
    """The deliveries to one endpoint, in the order of its draws."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._waiting: list[Waiting] = []  # a heap
        self._count = 0
        self.quiet_at = NEVER
        """When the waiting deliveries no longer wait for later ones."""
        self.last: Delivery | None = None
        """The delivery sent last; the next one waits for the response to it."""

    def __len__(self) -> int:
        return len(self._waiting)

    def draw_double(self) -> bool:
        """Return whether the next delivery arrives twice."""
        return self._random.random() < DOUBLED

    def add(self, delivery: Delivery, now: float) -> None:
        """Add a delivery, which waits until its turn."""
        self._count += 1
        is_late, overtaken = self._random.random() < LATE, self._random.randint(0, MAX_OVERTAKEN)
        turn = NEVER if is_late else self._count + overtaken
        heapq.heappush(self._waiting, Waiting(turn, self._random.random(), delivery))
        self.quiet_at = now + QUIET_S

    def take(self, *, everything: bool = False) -> list[Delivery]:
        """Remove and return the deliveries whose turn has come, or all of them."""
        taken = []
        while self._waiting and (everything or self._waiting[0].turn <= self._count):
            taken.append(heapq.heappop(self._waiting).delivery)
        if not self._waiting:
            self.quiet_at = NEVER
        return taken
