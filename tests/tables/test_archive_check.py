"""The comparison of a day finds each record that the archive does not have, and archives it again on request."""

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest

import archive_check as function
from tests import archive_bucket, permissions
from tests.archive_bucket import ArchiveBucket
from tests.harness import Harness, Student
from tuition import clock
from tuition.core import archive as core
from tuition.core.errors import Unprocessable
from tuition.outbox import archive, archive_check
from tuition.storage import cursors

DAY = "2026-11-23"


class Context:
    """The context of an invocation with this many seconds left."""

    def __init__(self, seconds: int = 900) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return self._seconds * 1000


@pytest.fixture
def bucket(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> ArchiveBucket:
    for item in tuition.tables.scan(TableName="audit")["Items"]:
        tuition.tables.delete_item(TableName="audit", Key={name: item[name] for name in ("subject", "sort_key")})
    tuition.freeze_time(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp())
    return archive_bucket.connect(monkeypatch)


def buy(tuition: Harness, student: Student) -> str:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.advance_time(5)
    tuition.deliver_all()
    return str(purchase["payment_id"])


def items(tuition: Harness) -> list[dict[str, Any]]:
    stored = tuition.tables.scan(TableName="audit", ConsistentRead=True)["Items"]
    return sorted(stored, key=lambda item: str(item["recorded_position"]["S"]))


def name(item: dict[str, Any]) -> str:
    return f"{item['subject']['S']} {item['sort_key']['S']}"


def write(*some: dict[str, Any]) -> None:
    assert archive.write({name(item): item for item in some}) == []


def compare(**event: Any) -> dict[str, Any]:
    return function.handler({"day": DAY, **event}, Context())


def counted(capsys: pytest.CaptureFixture[str]) -> bool:
    return "ArchiveIncomplete" in capsys.readouterr().out


def test_a_complete_day_raises_no_alarm(
    tuition: Harness, student: Student, bucket: ArchiveBucket, capsys: pytest.CaptureFixture[str]
) -> None:
    buy(tuition, student)
    every = items(tuition)
    for item in every:
        write(item)
    write(*every)  # a retry
    report = compare()
    assert (report["complete"], report["done"], report["missing"], report["gaps"]) == (True, True, [], [])
    assert report["records"] == report["archived"] == len(every)
    assert not counted(capsys)


def test_a_record_of_the_last_seconds_of_a_day_is_archived_on_the_next_one(
    tuition: Harness, student: Student, bucket: ArchiveBucket
) -> None:
    buy(tuition, student)
    tuition.freeze_time(datetime(2026, 11, 24, 0, 0, 10, tzinfo=UTC).timestamp())
    write(*items(tuition))
    assert compare()["complete"]


def test_each_missing_record_is_named_raises_the_alarm_and_is_archived_on_request(
    tuition: Harness, student: Student, bucket: ArchiveBucket, capsys: pytest.CaptureFixture[str]
) -> None:
    buy(tuition, student)
    first, lost, *rest = items(tuition)
    write(first, *rest)
    report = compare()
    assert (report["complete"], report["missing"], report["missing_records"]) == (False, [name(lost)], 1)
    assert counted(capsys)
    repaired = compare(repair=True)
    assert (repaired["missing"], repaired["repaired"]) == ([name(lost)], 1)
    assert compare()["complete"]


def test_a_record_that_the_table_has_is_missing_and_no_gap(
    tuition: Harness, student: Student, bucket: ArchiveBucket
) -> None:
    payment_id = buy(tuition, student)
    trail = sorted((i for i in items(tuition) if i["subject"]["S"] == payment_id), key=lambda i: int(i["seq"]["N"]))
    write(*(item for item in items(tuition) if item != trail[1]))
    report = compare(repair=True)
    assert (report["missing"], report["gaps"], report["repaired"]) == ([name(trail[1])], [], 1)


def test_a_record_that_was_repaired_weeks_later_is_complete_from_then_on(
    tuition: Harness, student: Student, bucket: ArchiveBucket
) -> None:
    buy(tuition, student)
    first, lost, *rest = items(tuition)
    write(first, *rest)
    tuition.freeze_time(datetime(2026, 12, 20, 12, tzinfo=UTC).timestamp())
    assert compare()["missing"] == [name(lost)]
    assert compare(repair=True)["repaired"] == 1
    assert (compare()["complete"], compare()["missing"]) == (True, [])


def test_a_record_that_neither_the_table_nor_the_archive_has_is_a_gap_of_its_subject(
    tuition: Harness, student: Student, bucket: ArchiveBucket, capsys: pytest.CaptureFixture[str]
) -> None:
    payment_id = buy(tuition, student)
    trail = sorted((i for i in items(tuition) if i["subject"]["S"] == payment_id), key=lambda i: int(i["seq"]["N"]))
    assert len(trail) >= 3
    lost = trail[1]
    tuition.tables.delete_item(TableName="audit", Key={key: lost[key] for key in ("subject", "sort_key")})
    write(*items(tuition))
    report = compare()
    assert (report["complete"], report["missing"], report["gaps"]) == (False, [], [payment_id])
    assert counted(capsys)


def test_a_record_with_other_content_is_missing(
    tuition: Harness, student: Student, bucket: ArchiveBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    buy(tuition, student)
    every = items(tuition)
    write(*every)
    changed = [{**line, "hash": "0" * 64} if line["seq"] == 1 else line for line in bucket.records]
    bucket.puts[0]["Body"] = core.content(changed)
    assert set(compare()["missing"]) == {name(item) for item in every if item["seq"]["N"] == "1"}


def test_a_comparison_that_has_no_time_left_says_so_and_raises_the_alarm(
    tuition: Harness, student: Student, bucket: ArchiveBucket, capsys: pytest.CaptureFixture[str]
) -> None:
    buy(tuition, student)
    write(*items(tuition))
    report = function.handler({"day": DAY}, Context(int(archive_check.LAST_S) - 1))
    assert (report["done"], report["complete"]) == (False, False)
    assert counted(capsys)


def test_without_a_day_yesterday_is_compared(tuition: Harness, bucket: ArchiveBucket) -> None:
    tuition.freeze_time(datetime(2026, 11, 24, 5, 30, tzinfo=UTC).timestamp())
    assert function.handler({}, Context())["day"] == DAY
    with pytest.raises(Unprocessable):
        function.handler({"day": "yesterday"}, Context())


# --- every day, once a month ---


def every_day(seconds: int = 900) -> dict[str, Any]:
    with permissions.acting_as(function.handler):
        return function.handler({"every_day": True}, Context(seconds))


def fill_days(tuition: Harness, student: Student, number: int) -> None:
    """Archive the records of some days in a row, and stand on the day behind them."""
    for day in range(number):
        tuition.freeze_time(datetime(2026, 11, 23 + day, 12, tzinfo=UTC).timestamp())
        buy(tuition, Student(f"{student.sub}-{day}"))
        today = f"2026-11-{23 + day}"
        write(*(item for item in items(tuition) if item["recorded_at"]["S"].startswith(today)))
    tuition.freeze_time(datetime(2026, 11, 23 + number, 12, tzinfo=UTC).timestamp())


@pytest.fixture
def _no_progress(tuition: Harness) -> None:
    tuition.empty_table("cursors", "name")


@pytest.mark.usefixtures("_no_progress")
def test_every_day_since_the_archive_began_is_compared_once_a_month(
    tuition: Harness, student: Student, bucket: ArchiveBucket, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_days(tuition, student, 3)
    report = every_day()
    assert (report["done"], report["complete"], report["days"]) == (True, True, 3)
    assert report["records"] == len(items(tuition))
    assert every_day() == report, "the month is done"
    assert '"ArchiveScanAge":[0.0]' in capsys.readouterr().out
    tuition.freeze_time(datetime(2026, 12, 1, 12, tzinfo=UTC).timestamp())
    assert (every_day()["month"], every_day()["days"]) == ("2026-12", 8)


@pytest.mark.usefixtures("_no_progress")
def test_a_record_that_was_removed_from_an_old_object_is_found_by_the_month(
    tuition: Harness, student: Student, bucket: ArchiveBucket, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_days(tuition, student, 3)
    bucket.puts = [put for put in bucket.puts if "dt=2026-11-24/" not in put["Key"]]
    report = every_day()
    assert (report["done"], report["complete"], report["problem_days"]) == (True, False, ["2026-11-24"])
    assert counted(capsys)


@pytest.mark.usefixtures("_no_progress")
def test_the_month_continues_where_an_hour_ended(
    tuition: Harness, student: Student, bucket: ArchiveBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_days(tuition, student, 3)
    seconds = iter(range(0, 100_000, 200))
    monkeypatch.setattr(clock, "monotonic", lambda: float(next(seconds)))
    reports = [every_day() for _ in range(4)]
    assert [report["days"] for report in reports] == [1, 2, 3, 3]
    assert [report["done"] for report in reports] == [False, False, False, True]


@pytest.mark.usefixtures("_no_progress")
@pytest.mark.parametrize("failure", [RuntimeError, SystemExit])
def test_a_day_in_which_each_run_fails_or_is_killed_is_named_and_passed_over(
    tuition: Harness,
    student: Student,
    bucket: ArchiveBucket,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failure: type[BaseException],
) -> None:
    fill_days(tuition, student, 3)
    real = archive_check.compare

    def compare(day: str, *arguments: Any) -> dict[str, Any]:
        if day == "2026-11-24":
            raise failure
        return real(day, *arguments)

    monkeypatch.setattr(archive_check, "compare", compare)
    for _ in range(archive_check.MAX_TRIES):
        with pytest.raises(failure):
            every_day()
    assert not counted(capsys)
    report = every_day()
    assert (report["done"], report["days"], report["problem_days"]) == (True, 2, ["2026-11-24"])
    assert counted(capsys)


@pytest.mark.usefixtures("_no_progress")
def test_a_late_month_is_finished_and_rings_its_alarm_meanwhile(
    tuition: Harness, student: Student, bucket: ArchiveBucket, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_days(tuition, student, 2)
    assert every_day(seconds=30)["days"] == 0
    tuition.freeze_time(datetime(2026, 12, 20, 12, tzinfo=UTC).timestamp())
    capsys.readouterr()
    assert every_day(seconds=30)["days"] == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "ArchiveScanAge" in line)
    assert json.loads(line)["ArchiveScanAge"] == [pytest.approx(25 * 86_400, abs=60)]
    assert (every_day()["month"], every_day()["month"]) == ("2026-11", "2026-12")


def test_only_one_comparison_of_the_month_is_in_progress(tuition: Harness, bucket: ArchiveBucket) -> None:
    with cursors.lease(cursors.ARCHIVE):
        assert every_day() == {"lease_taken": True}


def test_the_daily_run_reports_the_age_of_the_newest_compared_day(
    tuition: Harness, student: Student, bucket: ArchiveBucket, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_days(tuition, student, 1)
    function.handler({}, Context())
    line = next(line for line in capsys.readouterr().out.splitlines() if "ArchiveCheckAge" in line)
    assert json.loads(line)["ArchiveCheckAge"] == [pytest.approx(43_200, abs=60)]
    function.handler({}, Context(30))
    assert "ArchiveCheckAge" not in capsys.readouterr().out, "a comparison without an end has no age"


@pytest.mark.parametrize(
    "body",
    [
        core.content([{"subject": "pay_1", "seq": 1, "hash": "no hex"}]),
        core.content([{"subject": "pay_1", "hash": "00"}]),
        core.content([{"seq": 1}]),
        b"no gzip",
        core.content([{"subject": "pay_1", "seq": 1, "hash": "00"}])[:-4],
        gzip.compress(b"not json"),
        gzip.compress(bytes(core.MAX_CONTENT_BYTES + 1)),
    ],
    ids=["no hex", "no position", "no subject", "no gzip", "cut off", "no JSON", "too large"],
)
def test_content_that_no_archive_function_wrote_is_a_finding_and_ends_no_comparison(
    tuition: Harness, student: Student, bucket: ArchiveBucket, capsys: pytest.CaptureFixture[str], body: bytes
) -> None:
    buy(tuition, student)
    write(*items(tuition))
    bucket.puts.append({"Key": f"records/dt={DAY}/13-forged.jsonl.gz", "Body": body})
    report = compare()
    assert (report["done"], report["complete"], report["missing"], report["unreadable"]) == (True, False, [], 1)
    assert counted(capsys)
