"""The local delivery of a stream: tries, halves and failures as Lambda has them."""

from collections.abc import Sequence
from typing import Any

import pytest

from local.stream import undelivered

RECORDS = [{"number": number} for number in range(8)]


class Function:
    """A function that fails at some records, and remembers every record that it has read."""

    def __init__(self, *poison: int, partial: bool = True) -> None:
        self.poison = poison
        self.partial = partial
        self.calls = 0
        self.read: list[int] = []

    def __call__(self, records: Sequence[Any]) -> int | None:
        self.calls += 1
        numbers = [record["number"] for record in records]
        first = next((at for at, number in enumerate(numbers) if number in self.poison), None)
        if first is None:
            self.read += numbers
            return None
        self.read += numbers[:first] if self.partial else []
        return first if self.partial else 0


def test_a_batch_without_a_failure_is_delivered_once() -> None:
    function = Function()
    assert undelivered(RECORDS, function, retries=3, bisect=True) == []
    assert (function.calls, function.read) == (1, list(range(8)))


@pytest.mark.parametrize("partial", [True, False], ids=["partial response", "function fails"])
def test_one_poison_record_fails_alone_after_a_bounded_number_of_tries(partial: bool) -> None:
    function = Function(5, partial=partial)
    assert undelivered(RECORDS, function, retries=3, bisect=True) == [{"number": 5}]
    assert sorted(function.read) == [0, 1, 2, 3, 4, 6, 7]
    assert function.calls <= 12


def test_without_halves_a_batch_fails_from_its_poison_record_on() -> None:
    assert undelivered(RECORDS, Function(5), retries=3, bisect=False) == [{"number": n} for n in (5, 6, 7)]


def test_a_record_that_fails_only_once_is_delivered() -> None:
    attempts: list[int] = []

    def invoke(records: Sequence[Any]) -> int | None:
        attempts.append(len(records))
        return 0 if len(attempts) == 1 else None

    assert undelivered(RECORDS[:1], invoke, retries=3, bisect=True) == []
