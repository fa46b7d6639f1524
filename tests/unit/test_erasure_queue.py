"""The queue of erasures with thousands of entries: every one has its turn, and no run outlives its time."""

import io
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import erase
from tuition import clock, metrics
from tuition.payments import erasure, erasure_list
from tuition.settings import settings

RUN_S = 240.0
ATTEMPT_S = 0.125
PER_RUN = 1681
"""Attempts within `RUN_S`, less what a run keeps in reserve."""
WAITING = [f"a-{number:04}" for number in range(5000)]
DUE = [f"z-{number:02}" for number in range(10)]


class Bucket:
    """The calls of S3 that the list of erasures makes, in memory. Pages have 1,000 keys, as S3's have."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:
        self.objects[Key] = Body

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[Key])}

    def delete_object(self, *, Bucket: str, Key: str) -> None:
        self.objects.pop(Key, None)

    def list_objects_v2(
        self, *, Bucket: str, Prefix: str, StartAfter: str = "", ContinuationToken: str = ""
    ) -> dict[str, Any]:
        keys = sorted(key for key in self.objects if key.startswith(Prefix) and key > (ContinuationToken or StartAfter))
        page: dict[str, Any] = {"Contents": [{"Key": key} for key in keys[:1000]], "IsTruncated": len(keys) > 1000}
        return page | ({"NextContinuationToken": keys[999]} if page["IsTruncated"] else {})


class Queue:
    """The runs, with attempts in place of erasures. Users whose name begins with `z` can be erased, others wait."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.attempts: list[str] = []
        self.unfinished: set[str] = set()
        """Users whose next attempt uses up the time of its run."""
        self.endless: set[str] = set()
        """Users of whom each attempt does."""
        self.broken: set[str] = set()
        """Users of whom each attempt ends with an unexpected error."""
        self.seconds = 0.0

    def add(self, *user_ids: str) -> None:
        for user_id in user_ids:
            erasure_list.put("due", user_id, {})

    def remaining(self) -> float:
        return self.seconds

    def attempt(self, user_id: str) -> Any:
        def step(report: erasure.Report) -> None:
            assert self.seconds >= erasure.RESERVE_S
            self.attempts.append(user_id)
            self.seconds -= ATTEMPT_S
            if user_id in self.broken:
                raise ValueError(user_id)
            if user_id in self.unfinished | self.endless:
                self.unfinished.discard(user_id)
                self.seconds, report.done = 0.0, False
            elif user_id.startswith("z"):
                erasure_list.remove_due(user_id)
                report.erased += 1
                one.is_finished = True
            else:
                report.waiting += 1

        one = SimpleNamespace(due_at=clock.now(), is_finished=False, step=step)
        return one

    def run(self, **event: Any) -> dict[str, Any]:
        self.seconds = RUN_S
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: self.seconds * 1000)
        return erase.handler(event, context)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    monkeypatch.setenv("ERASURES_BUCKET", "erasures")
    settings.cache_clear()
    bucket = Bucket()
    queue = Queue(bucket)
    monkeypatch.setattr(erasure_list, "_s3", lambda: bucket)
    monkeypatch.setattr(erasure, "_Erase", lambda user_id, _remaining: queue.attempt(user_id))
    monkeypatch.setattr(metrics, "age", lambda *_args: None)
    yield queue
    settings.cache_clear()


def test_thousands_that_wait_for_money_delay_no_other_beyond_one_circle(queue: Queue) -> None:
    queue.add(*WAITING, *DUE)
    reports = [queue.run() for _ in range(3)]
    assert [report["done"] for report in reports] == [False, False, False]
    assert sum(report["erased"] for report in reports) == len(DUE)
    assert len(queue.attempts) == 3 * PER_RUN
    turns = Counter(queue.attempts)
    assert (set(turns), max(turns.values())) == ({*WAITING, *DUE}, 2)


def test_the_next_run_begins_where_the_last_one_stopped(queue: Queue) -> None:
    queue.add(*WAITING)
    queue.run()
    queue.run()
    assert queue.attempts == WAITING[: 2 * PER_RUN]


def test_a_run_with_time_for_all_tries_each_once_wherever_the_last_one_stopped(queue: Queue) -> None:
    queue.add(*WAITING[:2500])
    assert queue.run()["done"] is False
    for user_id in WAITING[1000:2500]:
        erasure_list.remove_due(user_id)
    queue.add("b-new", WAITING[1700])
    queue.attempts.clear()
    assert queue.run()["done"] is True
    assert queue.attempts == [WAITING[1700], "b-new", *WAITING[:1000]]


def test_an_erasure_that_used_up_the_time_is_the_first_of_the_next_run(queue: Queue) -> None:
    queue.add(*WAITING[:20])
    queue.unfinished = {WAITING[7]}
    assert queue.run()["done"] is False
    assert queue.run()["done"] is True
    assert queue.attempts == [*WAITING[:8], *WAITING[7:20], *WAITING[:7]]


@pytest.mark.parametrize("position", [0, 7, 19], ids=["first", "middle", "last"])
def test_an_erasure_that_uses_up_the_time_of_every_run_delays_no_other_beyond_one_circle(
    queue: Queue, position: int
) -> None:
    queue.add(*WAITING[:20])
    queue.endless = {WAITING[position]}
    for _ in range(4):
        assert queue.run()["done"] is False
    assert set(queue.attempts) == set(WAITING[:20])
    assert queue.attempts.count(WAITING[position]) == 4


@pytest.mark.parametrize("position", [0, 7, 19], ids=["first", "middle", "last"])
def test_an_erasure_with_an_unexpected_error_ends_its_run_and_delays_no_other_beyond_one_circle(
    queue: Queue, position: int
) -> None:
    queue.add(*WAITING[:20])
    queue.broken = {WAITING[position]}
    for _ in range(2):
        with pytest.raises(ValueError, match=WAITING[position]):
            queue.run()
    assert set(queue.attempts) == set(WAITING[:20])


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"{}"], ids=["empty", "bytes", "list", "none"])
def test_a_run_with_a_damaged_position_begins_at_the_front(queue: Queue, body: bytes) -> None:
    queue.add(*WAITING[:20])
    queue.bucket.objects[erasure_list.POSITION] = body
    assert queue.run()["done"] is True
    assert queue.attempts == WAITING[:20]


def test_a_run_from_the_stale_position_of_a_run_beside_it_tries_all(queue: Queue) -> None:
    queue.add(*WAITING[:20])
    queue.unfinished = {WAITING[7]}
    queue.run()
    erasure_list.put_position(WAITING[3])  # a run beside it began earlier, and stores its position later
    for user_id in WAITING[2:6]:
        erasure_list.remove_due(user_id)
    queue.attempts.clear()
    assert queue.run()["done"] is True
    assert queue.attempts == [*WAITING[6:20], *WAITING[:2]]


def test_after_a_restore_thousands_are_put_on_the_list_in_several_invocations(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    erased = [f"z-{number:04}" for number in range(5000)]
    for user_id in erased:
        erasure_list.put("done", user_id, {"erased_at": "2026-11-28T13:00:00Z"})
    read, reads = erasure_list.read, Counter[str]()

    def read_slowly(folder: erasure_list.Folder, user_id: str) -> dict[str, Any]:
        queue.seconds -= ATTEMPT_S
        reads[user_id] += 1
        return read(folder, user_id)

    monkeypatch.setattr(erasure_list, "read", read_slowly)
    report = queue.run(again=True)
    assert (report["done"], report["next"]) == (False, erased[PER_RUN - 1])
    report = queue.run(again=True, after=report["next"])
    report = queue.run(again=True, after=report["next"])
    assert "next" not in report
    assert reads == Counter(erased)
    while not report["done"]:
        report = queue.run()
    assert Counter(queue.attempts) == Counter(erased)
    assert [key for key in queue.bucket.objects if key.startswith("due/")] == []
