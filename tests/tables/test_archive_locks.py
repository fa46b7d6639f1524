"""Locks of archive objects outlast the payments whose records they have, and what nothing needs is released."""

import io
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

import archive_locks as function
import retention as retention_function
from tests import permissions, plan_calls
from tests import plans as on_tables
from tests.harness import Harness, Student
from tests.tables.test_reconcile import metric_values
from tuition import clock, log
from tuition.core import archive as core_archive
from tuition.core import archive_locks as rules
from tuition.core import retention, timestamps
from tuition.core.audit import AuditEntry
from tuition.core.facts import Facts, Refund
from tuition.outbox import archive, archive_locks
from tuition.outbox.archive_locks import PageFailed
from tuition.settings import settings
from tuition.storage import cursors, ledger
from tuition.storage.ledger import Change

DAY_S = 86_400
BOUGHT = datetime(2026, 11, 23, 12, tzinfo=UTC)
TABLES = {
    "payments": ("payment_id",),
    "audit": ("subject", "sort_key"),
    "plans": ("plan_id",),
    "enrollments": ("user_id", "sort_key"),
    "cursors": ("name",),
}
AGE = {"records/": 3288, "final/": 2922}
"""After how many days a released object expires: `tests/template/test_functions.py` has the template's."""


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "operation")


@dataclass
class Version:
    """A version of an object, with its lock and its tags."""

    key: str
    id: str
    body: bytes
    until: datetime
    written: datetime
    mode: str = "GOVERNANCE"
    tags: list[dict[str, str]] = field(default_factory=list)


@dataclass
class Bucket:
    """A bucket with Object Lock, as S3's reference describes it.

    `fails` says what a call on a key raises before it acts, and `loses` what it raises once it has acted. `markers` are
    the keys whose newest version is a delete marker, and since when.
    """

    versions: list[Version] = field(default_factory=list)
    markers: dict[str, datetime] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    refuses_unknown_markers: bool = False
    fails: Callable[[str, str], Exception | None] = lambda operation, key: None
    loses: Callable[[str, str], Exception | None] = lambda operation, key: None

    def _begin(self, operation: str, key: str) -> None:
        self.calls.append((operation, key))
        if problem := self.fails(operation, key):
            raise problem

    def _end(self, operation: str, key: str) -> None:
        if problem := self.loses(operation, key):
            raise problem

    def _version(self, key: str, version_id: str) -> Version:
        for version in self.versions:
            if (version.key, version.id) == (key, version_id):
                return version
        raise error("NoSuchVersion")

    def put_object(self, **params: Any) -> dict[str, Any]:
        until = datetime.fromisoformat(params["ObjectLockRetainUntilDate"])
        now = datetime.fromtimestamp(clock.now(), UTC)
        name = f"v{len(self.versions)}"
        self.versions.append(Version(params["Key"], name, params["Body"], until, now, params["ObjectLockMode"]))
        return {}

    def list_object_versions(
        self, Bucket: str, Prefix: str, MaxKeys: int, KeyMarker: str = "", VersionIdMarker: str = ""
    ) -> dict[str, Any]:
        """Return versions in the order of their keys, the newest of a key first."""
        self._begin("list", Prefix)
        newest = {version.id: -number for number, version in enumerate(self.versions)}
        if self.refuses_unknown_markers and VersionIdMarker and VersionIdMarker not in newest:
            raise error("InvalidArgument")
        listed = sorted(
            (one for one in self.versions if one.key.startswith(Prefix)), key=lambda one: (one.key, newest[one.id])
        )
        if KeyMarker:
            position = (KeyMarker, newest.get(VersionIdMarker, 1))
            listed = [one for one in listed if (one.key, newest[one.id]) > position]
        page, more = listed[:MaxKeys], listed[MaxKeys:]
        entries = [{"Key": one.key, "VersionId": one.id, "Size": len(one.body)} for one in page]
        markers = {"NextKeyMarker": page[-1].key, "NextVersionIdMarker": page[-1].id} if more else {}
        return {"Versions": entries, "IsTruncated": bool(more), **markers}

    def get_object(self, Bucket: str, Key: str, VersionId: str) -> dict[str, Any]:
        self._begin("get", Key)
        return {"Body": io.BytesIO(self._version(Key, VersionId).body)}

    def get_object_retention(self, Bucket: str, Key: str, VersionId: str) -> dict[str, Any]:
        self._begin("look", Key)
        version = self._version(Key, VersionId)
        return {"Retention": {"Mode": version.mode, "RetainUntilDate": version.until}}

    def put_object_retention(self, Bucket: str, Key: str, VersionId: str, Retention: dict[str, Any]) -> None:
        """Refuse to shorten a lock, and to weaken its mode: no caller has the right to bypass it."""
        self._begin("lock", Key)
        version = self._version(Key, VersionId)
        until = datetime.fromisoformat(Retention["RetainUntilDate"])
        if until < version.until or Retention["Mode"] != version.mode:
            raise error("AccessDenied")
        version.until = until
        self._end("lock", Key)

    def put_object_tagging(self, Bucket: str, Key: str, VersionId: str, Tagging: dict[str, Any]) -> None:
        self._begin("tag", Key)
        self._version(Key, VersionId).tags = list(Tagging["TagSet"])
        self._end("tag", Key)

    def expire(self) -> None:
        """Do what the template's lifecycle does in a day: hide released objects of their age, and delete unlocked ones.

        S3 puts a delete marker on a locked object, too, and tries every day to remove the versions behind a marker.
        """
        now = datetime.fromtimestamp(clock.now(), UTC)
        for version in self.versions:
            old = (now - version.written).days >= AGE[f"{version.key.partition('/')[0]}/"]
            if old and version.tags == archive_locks.RELEASED and version.key not in self.markers:
                self.markers[version.key] = now
        newest = {version.key: version for version in self.versions}
        for version in list(self.versions):
            hidden = self.markers.get(version.key)
            if newest[version.key] is not version:
                hidden = hidden or newest[version.key].written
            is_released = version.tags == archive_locks.RELEASED
            if hidden and is_released and now - hidden >= timedelta(days=1) and version.until < now:
                self.versions.remove(version)

    def of(self, payment_id: str) -> list[Version]:
        """The versions with something of a payment."""
        versions = []
        for version in self.versions:
            if f"-{payment_id}-v" in version.key:
                versions.append(version)
            elif version.key.startswith("records/"):
                versions += [version] * any(line["subject"] == payment_id for line in core_archive.lines(version.body))
        return versions


@pytest.fixture
def bucket(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for table, names in TABLES.items():
        tuition.empty_table(table, *names)
    tuition.freeze_time(BOUGHT.timestamp())
    monkeypatch.setenv("ARCHIVE_FOR_YEARS", "true")
    settings.cache_clear()
    bucket = Bucket()
    monkeypatch.setattr(archive, "_client", lambda: bucket)
    monkeypatch.setattr(archive_locks, "_s3", lambda: bucket)
    yield bucket
    settings.cache_clear()


def run(seconds: float = 900, **event: Any) -> dict[str, Any]:
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: seconds * 1000)
    with permissions.acting_as(function.handler):
        return dict(function.handler(event, context))


def go_to(tuition: Harness, at: str) -> None:
    """Set our clock only. The simulator's would do everything that is due in years."""
    tuition.offset_s += int(timestamps.epoch(f"{at}T12:00:00.000Z") - clock.now())


def bought(tuition: Harness, student: Student) -> str:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.advance_time(5)
    tuition.deliver_all()
    tuition.advance_time(3_700)
    tuition.reconcile()
    assert tuition.payment(purchase["payment_id"]).status == "SUCCEEDED"
    return str(purchase["payment_id"])


def archive_new(tuition: Harness, archived: set[str]) -> None:
    """Write the records that are not archived yet, as one object, with the final forms that they carry."""
    items = tuition.tables.scan(TableName="audit", ConsistentRead=True)["Items"]
    new = {f"{item['subject']['S']} {item['sort_key']['S']}": item for item in items}
    new = {name: item for name, item in sorted(new.items()) if name not in archived}
    assert archive.write(new) == []
    archived |= set(new)


def move_money(tuition: Harness, payment_id: str, number: int = 1) -> None:
    """Record a refund now, as an event of Stripe's does."""
    refund = Refund(status="succeeded", amount=100, created=int(clock.now()))
    entry = AuditEntry(timestamps.iso(clock.now()), f"evt_{number}", "refund.updated", "webhook")
    added = Facts(refunds={f"re_{number}": refund})
    ledger.update(tuition.payment(payment_id).ref, lambda state: Change(state.existing.merged(added), entry))


def delete_due_payments(tuition: Harness, year: int) -> None:
    """List what is due at the beginning of a year, and delete it a month later."""
    for day in (f"{year}-01-01", f"{year}-02-02"):
        go_to(tuition, day)
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: 900_000)
        with permissions.acting_as(retention_function.handler):
            retention_function.handler({"delete": True}, context)


def ends(versions: list[Version]) -> set[int]:
    assert versions
    assert all((one.until.month, one.until.day) == (12, 31) for one in versions)
    return {one.until.year for one in versions}


# --- extension and release ---


def test_money_that_moved_later_extends_every_lock_of_its_payment(
    tuition: Harness, student: Student, bucket: Bucket
) -> None:
    archived: set[str] = set()
    payment_id = bought(tuition, student)
    archive_new(tuition, archived)
    other = bought(tuition, Student(f"{student.sub}-other"))
    archive_new(tuition, archived)
    assert ends([one for one in bucket.versions if one.key.startswith("records/")]) == {2034}
    assert ends([one for one in bucket.versions if one.key.startswith("final/")]) == {2033}
    go_to(tuition, "2028-02-29")
    move_money(tuition, payment_id)
    go_to(tuition, "2033-10-02")
    report = run()
    assert (report["done"], report["year"], report["extended"], report["released"]) == (True, 2033, 1, 0)
    (final,) = [one for one in bucket.of(payment_id) if one.key.startswith("final/")]
    assert final.until.year == 2035
    delete_due_payments(tuition, 2034)
    assert tuition.payment(other) is None
    go_to(tuition, "2034-10-02")
    report = run()
    assert (report["extended"], report["released"], report["failed"]) == (1, 1, 0)
    assert {one.until.year for one in bucket.of(payment_id)} == {2035, 2036}
    assert not any(one.tags for one in bucket.of(payment_id))
    assert [one.key for one in bucket.of(other) if one.tags] == [
        one.key for one in bucket.of(other) if one.key.startswith("final/")
    ]


def test_the_records_of_a_plan_are_locked_as_long_as_its_payments(
    tuition: Harness, student: Student, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_calls.offer_plans(monkeypatch.setattr)
    opened = plan_calls.started(tuition, student)
    tuition.advance_time(3_700)
    tuition.reconcile()
    items = tuition.tables.scan(TableName="audit", ConsistentRead=True)["Items"]
    of_plan = {f"plan {n}": item for n, item in enumerate(items) if item["subject"]["S"] == opened["plan_id"]}
    assert archive.write(of_plan) == []
    archive_new(tuition, {f"{item['subject']['S']} {item['sort_key']['S']}" for item in of_plan.values()})
    go_to(tuition, "2028-02-29")
    on_tables.decide(opened["plan_id"], "close", "dec_1", refund="none")
    for year in (2033, 2034):
        go_to(tuition, f"{year}-10-02")
        assert run()["failed"] == 0
    assert {one.until.year for one in bucket.of(opened["plan_id"])} == {2036}
    assert {one.until.year for one in bucket.of(opened["payment_id"])} == {2035, 2036}
    delete_due_payments(tuition, 2036)
    assert tuition.payment(opened["payment_id"]) is None
    go_to(tuition, "2037-10-02")
    run()
    assert all(one.tags for one in bucket.of(opened["plan_id"]))


def test_objects_of_a_payment_outlast_it_whenever_its_money_moves_and_expire_afterwards(
    tuition: Harness, student: Student, bucket: Bucket
) -> None:
    """Every year its sweep, its deletion of payments, and the lifecycle. The money moves on inconvenient days."""
    archived: set[str] = set()
    payment_id = bought(tuition, student)
    archive_new(tuition, archived)
    moves = {"2026-12-31": 1, "2028-02-29": 2, "2034-12-31": 3, "2041-10-03": 4}
    first = {one.key for one in bucket.of(payment_id)}
    gone_in, expired_in = None, None
    for year in range(2026, 2053):
        if year > 2026:
            delete_due_payments(tuition, year)
        gone_in = gone_in or (year if tuition.payment(payment_id) is None else None)
        days = [f"{year}-10-01", f"{year}-10-04", f"{year}-12-31"]
        for day in sorted({*days, *(at for at in moves if at.startswith(str(year)))}):
            if day < BOUGHT.date().isoformat():
                continue
            go_to(tuition, day)
            if day in moves:
                move_money(tuition, payment_id, moves[day])
                archive_new(tuition, archived)
            assert run()["done"]
            bucket.expire()
            tuition.offset_s += 2 * DAY_S
            bucket.expire()
            present = {one.key for one in bucket.of(payment_id)}
            if tuition.payment(payment_id):
                assert first <= present, "an object expired before its payment was deleted"
                assert not bucket.markers, "an object was hidden before its payment was deleted"
            elif not present and expired_in is None:
                expired_in = year
    assert (gone_in, expired_in) == (2049, 2050)


@pytest.mark.parametrize("kept", ["nothing", "a legal hold"])
def test_a_payment_that_a_legal_hold_keeps_has_locked_objects_until_the_end_of_the_next_year(
    tuition: Harness, student: Student, bucket: Bucket, kept: str
) -> None:
    payment_id = bought(tuition, student)
    archive_new(tuition, set())
    if kept == "a legal hold":
        values = {":hold": {"S": '{"note": "case 7"}'}}
        key = {"user_id": {"S": student.sub}}
        set_hold = "SET legal_hold = :hold"
        tuition.tables.update_item(
            TableName="customers", Key=key, UpdateExpression=set_hold, ExpressionAttributeValues=values
        )
    delete_due_payments(tuition, 2034)
    go_to(tuition, "2034-10-01")
    report = run()
    assert (report["extended"], report["released"]) == ((2, 0) if kept == "a legal hold" else (0, 1))
    assert ends([one for one in bucket.of(payment_id) if not one.tags]) == {2035 if kept == "a legal hold" else 2034}


@pytest.mark.parametrize("what", ["missing without its last record", "unreadable", "without a readable record"])
def test_a_payment_that_was_not_deleted_but_cannot_be_read_keeps_its_objects_for_another_year(
    tuition: Harness, student: Student, bucket: Bucket, what: str
) -> None:
    """A restore can lose a payment, which is rebuilt later. Its objects must still be there, and hold up no others."""
    payment_id, other = bought(tuition, student), bought(tuition, Student(f"{student.sub}-other"))
    archive_new(tuition, set())
    go_to(tuition, "2030-05-01")
    move_money(tuition, other)
    go_to(tuition, "2034-10-01")
    key, forged = {"payment_id": {"S": payment_id}}, {"subject": {"S": payment_id}, "sort_key": {"S": "2020"}}
    if what == "without a readable record":
        tuition.tables.put_item(TableName="audit", Item={**forged, "seq": {"S": "x"}})
    elif what == "unreadable":
        values = {":broken": {"S": "[" * 100_000}}
        tuition.tables.update_item(
            TableName="payments", Key=key, UpdateExpression="SET facts = :broken", ExpressionAttributeValues=values
        )
    else:
        tuition.tables.delete_item(TableName="payments", Key=key)
    report = run()
    assert (report["done"], report["failed"], report["released"]) == (True, 0, 0)
    assert ends([one for one in bucket.versions if f"-{payment_id}-v" in one.key]) == {2035}
    assert ends(bucket.of(other)) == {2037, 2038}
    tuition.tables.delete_item(TableName="payments", Key=key)  # the check of what the tests store cannot read them
    tuition.tables.delete_item(TableName="audit", Key=forged)


def test_an_object_of_several_payments_is_locked_for_the_one_that_is_kept_longest(
    tuition: Harness, student: Student, bucket: Bucket
) -> None:
    kept, other = bought(tuition, student), bought(tuition, Student(f"{student.sub}-other"))
    archive_new(tuition, set())
    go_to(tuition, "2030-05-01")
    move_money(tuition, kept)
    delete_due_payments(tuition, 2034)
    go_to(tuition, "2034-10-01")
    assert tuition.payment(other) is None
    run()
    (records,) = [one for one in bucket.of(other) if one.key.startswith("records/")]
    assert (records.until.year, records.tags) == (2038, [])
    assert records in bucket.of(kept)


def test_every_version_of_an_object_is_looked_at_and_each_keeps_its_mode(
    tuition: Harness, student: Student, bucket: Bucket
) -> None:
    """A stolen right to put objects could hide the true version behind another one."""
    payment_id = bought(tuition, student)
    archive_new(tuition, set())
    archive_new(tuition, set())
    bucket.versions[0].mode = "COMPLIANCE"
    go_to(tuition, "2030-05-01")
    move_money(tuition, payment_id)
    go_to(tuition, "2034-10-01")
    run()
    assert {one.until.year for one in bucket.of(payment_id)} == {2037, 2038}
    assert [one.mode for one in bucket.versions].count("COMPLIANCE") == 1


def test_a_version_that_another_one_hides_outlasts_its_payment_and_expires_afterwards(
    tuition: Harness, student: Student, bucket: Bucket
) -> None:
    """The lock of a final form ends on 31 December, and its payment is deleted in February."""
    payment_id = bought(tuition, student)
    archive_new(tuition, set())
    (final,) = [one for one in bucket.of(payment_id) if one.key.startswith("final/")]
    go_to(tuition, "2027-03-01")
    forged = core_archive.content([{"payment_id": payment_id, "version": 1}])
    bucket.put_object(
        Key=final.key, Body=forged, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate="2027-03-02T00:00:00Z"
    )
    for day in ("2033-10-01", "2034-01-15"):
        go_to(tuition, day)
        run()
        bucket.expire()
    assert tuition.payment(payment_id)
    assert final in bucket.versions
    delete_due_payments(tuition, 2034)
    for day in ("2034-10-01", "2035-10-01"):
        go_to(tuition, day)
        run()
        bucket.expire()
        tuition.offset_s += 2 * DAY_S
        bucket.expire()
    assert final not in bucket.versions


def test_the_first_lock_is_the_rule_for_money_that_moved_on_the_day_of_the_write() -> None:
    for at in ("2026-01-01T00:00:00.000Z", "2028-02-29T23:59:59.999Z", "2026-12-31T23:59:59.999Z"):
        for folder, years in rules.FOLDERS.items():
            until = core_archive.locked_until(at, years, for_years=True)
            assert rules.needed_until(at, folder, at) == until
            assert until[:10] >= retention.kept_until(at)[:10], "its objects are locked while it is kept"
            assert until <= rules.horizon(int(until[:4]))
            assert f"{folder}dt={at[:10]}" < f"{folder}dt={rules.last_day(int(until[:4]), folder)}/~"


@pytest.mark.parametrize(
    ("now", "day"),
    [
        ("2026-09-30T23:59:59.999Z", "2025-10-01"),
        ("2026-10-01T00:00:00.000Z", "2026-10-01"),
        ("2026-12-31T23:59:59.999Z", "2026-10-01"),
        ("2027-01-01T00:00:00.000Z", "2026-10-01"),
        ("2028-02-29T12:00:00.000Z", "2027-10-01"),
    ],
)
def test_a_sweep_is_due_from_october_until_the_next_one(now: str, day: str) -> None:
    assert rules.last_sweep_due(now) == day


# --- a sweep and its runs ---


def test_a_sweep_is_made_once_a_year_a_late_one_is_made_up_for_and_one_is_made_on_request(
    tuition: Harness, bucket: Bucket
) -> None:
    assert run()["year"] == 2026
    go_to(tuition, "2027-09-30")
    before = cursors.read_report(cursors.ARCHIVE_LOCKS)
    run()
    assert cursors.read_report(cursors.ARCHIVE_LOCKS) == before
    go_to(tuition, "2029-01-05")  # nothing ran in October 2027 and 2028
    assert run()["year"] == 2028
    report = run(again=True)
    assert (report["year"], report["done"]) == (2029, True)
    go_to(tuition, "2029-10-01")
    assert run()["year"] == 2029
    assert cursors.read_report(cursors.ARCHIVE_LOCKS)["started_at"].startswith("2029-10-01")


@pytest.fixture
def eleven_objects(tuition: Harness, student: Student, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Objects of one payment whose money moved later, at the time of the sweep of their locks, in pages of two."""
    monkeypatch.setattr(archive_locks, "PAGE", 2)
    payment_id = bought(tuition, student)
    archived: set[str] = set()
    archive_new(tuition, archived)
    for number in range(9):
        move_money(tuition, payment_id, number)
        tuition.offset_s += 3600
        archive_new(tuition, archived)
    go_to(tuition, "2030-05-01")
    move_money(tuition, payment_id, 99)
    go_to(tuition, "2034-10-01")
    return bucket


def locked_for_good(bucket: Bucket) -> bool:
    return all(one.until.year >= 2037 and not one.tags for one in bucket.versions)


def test_a_run_without_time_continues_at_its_position(
    eleven_objects: Bucket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = itertools.count(step=archive_locks.RUN_S / 2)
    monkeypatch.setattr(clock, "monotonic", lambda: next(times))
    reports = [run()]
    while not reports[-1]["done"]:
        reports.append(run())
        assert len(reports) < 50
    assert len(reports) > 3
    assert locked_for_good(eleven_objects)
    assert reports[-1]["extended"] == len(eleven_objects.versions)
    looks = [key for operation, key in eleven_objects.calls if operation == "look"]
    assert len(looks) == len(eleven_objects.versions), "an object was looked at twice"
    ages = metric_values(capsys, "ArchiveLockAge")
    assert ages[-1] == [0.0]
    assert run(seconds=100)["done"]


def test_a_run_without_time_for_a_page_begins_none(eleven_objects: Bucket) -> None:
    assert run(seconds=100)["done"] is False
    assert eleven_objects.calls == []


class Killed(BaseException):
    """The end of a process."""


def test_a_kill_at_any_call_loses_nothing(eleven_objects: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before and after each call in turn, until a run ends. The position never passes an object that is not locked."""
    monkeypatch.setattr(archive_locks, "MAX_TRIES", 1_000)  # else the fourth kill in a page passes an object over
    for kind in ("fails", "loses"):
        for number in itertools.count():
            calls = itertools.count()

            def kill(operation: str, key: str, number: int = number, calls: Iterator[int] = calls) -> Exception | None:
                if operation in ("lock", "tag", "look", "list") and next(calls) == number:
                    raise Killed
                return None

            setattr(eleven_objects, kind, kill)
            try:
                report = run()
            except Killed:
                tuition_now = clock.now()
                monkeypatch.setattr(clock, "now", lambda at=tuition_now: at + 1000)  # the lease of a killed run ends
                continue
            assert report["done"]
            break
        setattr(eleven_objects, kind, lambda operation, key: None)
    assert locked_for_good(eleven_objects)


def test_an_object_that_kills_every_run_is_passed_over_alone_with_an_alarm(
    eleven_objects: Bucket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A forged object can take more memory or time than a run has. It must not end the extension of all locks."""
    monkeypatch.setattr(archive_locks, "PAGE", 100)
    deadly = sorted(one.key for one in eleven_objects.versions if one.key.startswith("records/"))[5]

    def kill(operation: str, key: str) -> Exception | None:
        if (operation, key) == ("look", deadly):
            raise Killed
        return None

    eleven_objects.fails = kill
    for _ in range(50):
        try:
            report = run()
        except Killed:
            at = clock.now()
            monkeypatch.setattr(clock, "now", lambda at=at: at + 1000)  # the lease of a killed run ends
        else:
            break
    assert (report["done"], report["failed"]) == (True, 1)
    assert '"ArchiveLockFailed":[1.0]' in capsys.readouterr().out
    assert [one.key for one in eleven_objects.versions if one.until.year < 2037] == [deadly]


def test_a_lost_answer_is_no_failure_the_next_run_sees_the_later_lock(eleven_objects: Bucket) -> None:
    eleven_objects.loses = lambda operation, key: (
        ConnectTimeoutError(endpoint_url="s3") if operation == "lock" else None
    )
    with pytest.raises(PageFailed):
        run()
    eleven_objects.loses = lambda operation, key: None
    assert run()["failed"] == 0
    assert locked_for_good(eleven_objects)


def test_an_object_that_fails_in_three_runs_is_passed_over_with_an_alarm_and_tried_again_in_the_next_sweep(
    eleven_objects: Bucket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    poison, logged = eleven_objects.versions[0].key, list[str]()
    monkeypatch.setattr(log.logger, "exception", lambda _message, object_key: logged.append(object_key))
    eleven_objects.fails = lambda operation, key: (
        error("AccessDenied") if (operation, key) == ("lock", poison) else None
    )
    for _ in range(archive_locks.MAX_TRIES - 1):
        with pytest.raises(PageFailed):
            run()
    assert "ArchiveLockFailed" not in capsys.readouterr().out
    report = run()
    assert (report["done"], report["failed"]) == (True, 1)
    assert '"ArchiveLockFailed":[1.0]' in capsys.readouterr().out
    assert set(logged) == {poison}
    assert sum(one.until.year < 2037 for one in eleven_objects.versions) == 1
    eleven_objects.fails = lambda operation, key: None
    assert run(again=True)["extended"] == 1
    assert locked_for_good(eleven_objects)


def test_s3_out_of_reach_ends_the_run_and_passes_nothing_over(eleven_objects: Bucket) -> None:
    eleven_objects.fails = lambda operation, key: ConnectTimeoutError(endpoint_url="s3")
    for _ in range(5):
        with pytest.raises(ConnectTimeoutError):
            run()
    eleven_objects.fails = lambda operation, key: None
    assert run()["failed"] == 0
    assert locked_for_good(eleven_objects)


def test_an_object_that_was_deleted_meanwhile_is_counted_as_missing(eleven_objects: Bucket) -> None:
    for number, operation in enumerate(("look", "get", "lock")):
        gone = [one.key for one in eleven_objects.versions if one.key.startswith("records/")][number]

        def delete(called: str, key: str, operation: str = operation, gone: str = gone) -> Exception | None:
            if (called, key) == (operation, gone):
                eleven_objects.versions = [one for one in eleven_objects.versions if one.key != gone]
            return None

        eleven_objects.fails = delete
        report = run(again=True)
        assert (report["done"], report["missing"], report["failed"]) == (True, 1, 0)
        for one in eleven_objects.versions:
            one.until = one.until.replace(year=2034)
    assert run(again=True)["missing"] == 0


def test_the_version_of_the_position_may_be_deleted_between_two_runs(
    eleven_objects: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 may refuse a marker that it does not know any more. Then the versions of its key are looked at again."""
    times = itertools.count(step=archive_locks.RUN_S / 3)
    with monkeypatch.context() as short:
        short.setattr(clock, "monotonic", lambda: next(times))
        assert not run()["done"]
    position = cursors.read_report(cursors.ARCHIVE_LOCKS)
    assert position["version"]
    eleven_objects.versions = [one for one in eleven_objects.versions if one.id != position["version"]]
    eleven_objects.refuses_unknown_markers = True
    assert run()["failed"] == 0
    assert locked_for_good(eleven_objects)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"no gzip", core_archive.content([{"seq": 1}]), core_archive.content([])[:-4]),
        *(core_archive.content([{"subject": f"pay_{text}"}]) for text in ("x" * 2_045, "\ud800", "\n")),
    ],
    ids=["empty", "other bytes", "no record", "cut off", "long id", "half a surrogate pair", "line end"],
)
def test_an_object_that_cannot_be_read_is_neither_extended_nor_released_and_raises_the_alarm(
    eleven_objects: Bucket, body: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (broken, *_) = [one for one in eleven_objects.versions if one.key.startswith("records/")]
    broken.body, broken.until = body, broken.until.replace(year=2033)
    for _ in range(archive_locks.MAX_TRIES - 1):
        with pytest.raises(PageFailed):
            run()
    assert run()["failed"] == 1
    assert '"ArchiveLockFailed":[1.0]' in capsys.readouterr().out
    assert (broken.until.year, broken.tags) == (2033, [])


def test_an_object_without_a_lock_is_locked_and_a_released_one_that_is_needed_again_is_not_released_any_more(
    eleven_objects: Bucket,
) -> None:
    """A restore brings a deleted payment back. A kill between the two calls repeats both."""
    for one in eleven_objects.versions:
        one.until, one.tags = one.until.replace(year=2033), list(archive_locks.RELEASED)
    bare = eleven_objects.versions[0].key
    eleven_objects.fails = lambda operation, key: (
        error("NoSuchObjectLockConfiguration") if (operation, key) == ("look", bare) else None
    )
    run()
    assert locked_for_good(eleven_objects)
    order = [operation for operation, key in eleven_objects.calls if key == bare and operation in ("tag", "lock")]
    assert order == ["tag", "lock"]


def test_two_runs_at_once_are_one(eleven_objects: Bucket) -> None:
    with cursors.lease(cursors.ARCHIVE_LOCKS):
        assert run() == {"lease_taken": True}
    assert eleven_objects.calls == []


def test_the_age_of_a_sweep_grows_until_it_is_done(
    eleven_objects: Bucket, tuition: Harness, capsys: pytest.CaptureFixture[str]
) -> None:
    run(seconds=100)
    eleven_objects.fails = lambda operation, key: error("SlowDown")
    cursors.store_report(vars(archive_locks.Sweep(2034, timestamps.iso(clock.now()))), cursors.ARCHIVE_LOCKS)
    tuition.offset_s += 15 * DAY_S
    capsys.readouterr()
    with pytest.raises(ClientError):
        run()
    assert metric_values(capsys, "ArchiveLockAge") == [[15.0 * DAY_S]]


def test_an_environment_that_locks_for_a_day_extends_by_a_day(
    eleven_objects: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHIVE_FOR_YEARS", "false")
    settings.cache_clear()
    for one in eleven_objects.versions:
        one.until = datetime(2034, 9, 1, tzinfo=UTC)
    run()
    assert {one.until.date().isoformat() for one in eleven_objects.versions} == {"2034-10-02"}


def test_the_report_and_the_log_name_no_user(
    eleven_objects: Bucket, student: Student, capsys: pytest.CaptureFixture[str]
) -> None:
    report = run()
    assert student.sub not in json.dumps(report) + capsys.readouterr().out
