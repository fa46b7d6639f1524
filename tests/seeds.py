"""The seed of the searches, of the generated faults, and of what a run draws."""

import os
from collections.abc import Sequence


def first_seed() -> int:
    """Return `TUITION_SEED`, or 1."""
    return int(os.environ.get("TUITION_SEED", "1"))


def drawn[Item](items: Sequence[Item], parts: int) -> Sequence[Item]:
    """Return one in so many of these items: others with the next seed, and all with as many seeds as parts."""
    return items[first_seed() % parts :: parts]
