"""The seed of the searches and of the generated faults."""

import os


def first_seed() -> int:
    """Return `TUITION_SEED`, or 1."""
    return int(os.environ.get("TUITION_SEED", "1"))
