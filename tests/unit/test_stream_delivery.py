"""The local delivery of a stream: tries, halves and failures as Lambda has them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local import stream
from local.stream import Stopped, expired, first_failure, passing, undelivered

RECORDS = [{"number": number} for number in range(8)]


def no_wait(seconds: float) -> bool:
    return False


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
    assert undelivered(RECORDS, function, retries=3, bisect=True, wait=no_wait) == []
    assert (function.calls, function.read) == (1, list(range(8)))


@pytest.mark.parametrize("partial", [True, False], ids=["partial response", "function fails"])
def test_one_poison_record_fails_alone_after_a_bounded_number_of_tries(partial: bool) -> None:
    function = Function(5, partial=partial)
    assert undelivered(RECORDS, function, retries=3, bisect=True, wait=no_wait) == [{"number": 5}]
    assert sorted(function.read) == [0, 1, 2, 3, 4, 6, 7]
    assert function.calls <= 12


def test_without_halves_a_batch_fails_from_its_poison_record_on() -> None:
    assert undelivered(RECORDS, Function(5), retries=3, bisect=False, wait=no_wait) == [
        {"number": n} for n in (5, 6, 7)
    ]


def test_a_record_that_fails_only_once_is_delivered() -> None:
    attempts: list[int] = []

    def invoke(records: Sequence[Any]) -> int | None:
        attempts.append(len(records))
        return 0 if len(attempts) == 1 else None

    assert undelivered(RECORDS[:1], invoke, retries=3, bisect=True, wait=no_wait) == []


def test_tries_are_apart_by_waits_that_grow_up_to_a_limit() -> None:
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return False

    assert undelivered(RECORDS[:1], Function(0), retries=8, bisect=True, wait=wait) == RECORDS[:1]
    assert waits == [0.05, 0.1, 0.2, 0.4, *[stream.MAX_WAIT_SECONDS] * 4]
    waits.clear()
    assert undelivered(RECORDS, Function(), retries=8, bisect=True, wait=wait) == []
    assert waits == []


def test_a_reader_that_is_stopped_makes_no_further_try_and_fails_no_record() -> None:
    function = Function(5)
    with pytest.raises(Stopped):
        undelivered(RECORDS, function, retries=8, bisect=True, wait=lambda seconds: True)
    assert sorted(function.read) == [0, 1, 2, 3, 4]


# --- the response of a function ---


@pytest.mark.parametrize(
    ("body", "position"),
    [
        (b'{"batchItemFailures": []}', None),
        (b'{"batchItemFailures": null}', None),
        (b"{}", None),
        (b"null", None),
        (b"", None),
        (b'{"batchItemFailures": [{"itemIdentifier": "12"}, {"itemIdentifier": "11"}]}', 1),
        (b'{"batchItemFailures": [{"itemIdentifier": "99"}]}', 0),
        (b'{"batchItemFailures": [{"itemIdentifier": ""}]}', 0),
        (b'{"batchItemFailures": [{"itemIdentifier": null}]}', 0),
        (b'{"batchItemFailures": [{"sequenceNumber": "11"}]}', 0),
        (b'{"batchItemFailures": ["11"]}', 0),
        (b'["11"]', 0),
        (b"Internal Server Error", 0),
    ],
)
def test_a_malformed_response_fails_its_batch_and_ends_no_reader(body: bytes, position: int | None) -> None:
    records = [{"dynamodb": {"SequenceNumber": number}} for number in ("10", "11", "12")]
    assert first_failure(body, records) == position


# --- the settings of a mapping ---

NEW_RECORDS = {"FilterCriteria": {"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}]}}


def test_a_filter_passes_only_what_it_names() -> None:
    records = [{"eventName": name} for name in ("INSERT", "MODIFY", "REMOVE")]
    assert passing(records, NEW_RECORDS) == records[:1]
    assert passing(records, {}) == records


def test_a_filter_that_the_local_reader_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="eventName only"):
        passing([], {"FilterCriteria": {"Filters": [{"Pattern": '{"dynamodb": {}}'}]}})


def test_a_record_beyond_the_greatest_age_is_not_delivered() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    records = [
        {"dynamodb": {"ApproximateCreationDateTime": now - timedelta(seconds=seconds)}} for seconds in (60, 61, 0)
    ]
    assert expired(records, {"MaximumRecordAgeInSeconds": 60}, now.timestamp()) == records[1:2]


def test_an_empty_batch_is_not_delivered() -> None:
    function = Function()
    assert undelivered([], function, retries=3, bisect=True, wait=no_wait) == []
    assert function.calls == 0
