"""Extend the locks of archive objects whose payments moved money later, and release the objects that nothing needs.

From October on, once a year, a sweep looks at each version of an object whose lock ends with the year or has ended:

- A payment or plan of it exists, and must be kept for longer: its lock is extended. Locks are never shortened. S3
  refuses it, because no role of a function has the right to bypass a lock.
- A payment of it is missing, but its records do not end with its deletion, such as after a restore; or it cannot be
  read: its lock is extended until the end of the next year.
- Its lock has ended, and all its payments were deleted: it gets the tag by which S3's lifecycle expires it. A lifecycle
  rule knows the age of an object and not its lock. It would hide a locked object behind a delete marker.

The function runs every hour, and each run continues for five minutes where the last one ended. Everything may be
repeated: an object whose lock is extended has a later lock, and a tag is the same when it is set again.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-expire-general-considerations.html
"""

import itertools
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tuition import aws_client, clock, metrics
from tuition.core import archive, archive_locks, retention, timestamps
from tuition.core.refs import PLAN_PREFIX, is_plan
from tuition.core.stored import read
from tuition.log import logger
from tuition.settings import settings
from tuition.storage import cursors, mapping, queries
from tuition.storage.items import PaymentItem

PAGE = 100
"""Versions of objects that are looked at before the position is stored."""
RUN_S = 300.0
"""A run begins no further page after so many seconds, so that it slows no table down."""
LAST_S = 120.0
"""With less time than this a run begins no further page."""
MAX_TRIES = 3
"""Runs in which a page may fail before the objects that fail are passed over, with an alarm.

So is an object that is alone in its page, after so many runs in a row were killed in that page and in larger ones.
"""
MAX_AT_ONCE = 8
"""Calls to S3 at the same time."""
RELEASED = [{"Key": "lock", "Value": "ended"}]
"""The tag of an object that S3's lifecycle may expire. The template has the same in `ArchiveBucket`."""
MISSING = frozenset({"NoSuchKey", "NoSuchVersion"})
"""S3's errors for a version that was deleted, such as by its lifecycle, after it was listed."""
UNREADABLE = (AttributeError, KeyError, TypeError, ValueError, RecursionError)
"""Errors of a payment or an audit record that the ledger has not written."""
COUNTS = ("later", "extended", "kept", "released", "missing", "failed")


class PageFailed(Exception):
    """S3 did not take or give everything of a page. The next run repeats the page."""


@dataclass
class Sweep:
    """How far the sweep of a year has come: behind a version of a key of this folder. Times are RFC 3339 UTC.

    `tries` counts the runs that have begun the next page, and `killed` those in a row that did not return, for
    lack of time or memory. `counts` says what became of the versions: their lock ends in `later` years, was `extended`,
    or is `kept` until it ends with the year; they were `released`, or were `missing` when their turn came; or S3 or
    their content `failed`, which raises an alarm.
    """

    year: int
    started_at: str
    folder: str = next(iter(archive_locks.FOLDERS))
    key: str = ""
    version: str = ""
    tries: int = 0
    killed: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    done_at: str | None = None


@dataclass(frozen=True)
class _Version:
    """A version of an object whose lock ends with the sweep's year, or has ended, and the payments that it is about."""

    key: str
    id: str
    mode: str
    until: str
    payments: frozenset[str]

    @property
    def name(self) -> dict[str, str]:
        """The parameters that name it in a call to S3."""
        return {"Bucket": settings().archive_bucket, "Key": self.key, "VersionId": self.id}


def run(remaining: Callable[[], float], *, again: bool = False) -> dict[str, Any]:
    """Continue the year's sweep as far as five minutes allow. Return a report. Raises `LeaseTaken` and `PageFailed`.

    With `again` a sweep begins now, unless one is unfinished.
    """
    with cursors.lease(cursors.ARCHIVE_LOCKS):
        clock.start_deadline()
        sweep, ends = _sweep(again=again), clock.monotonic() + RUN_S
        try:
            while sweep.done_at is None and remaining() > LAST_S and clock.monotonic() < ends:
                _next_page(sweep)
        finally:
            age = clock.now() - timestamps.epoch(sweep.started_at)
            metrics.age("ArchiveLockAge", 0.0 if sweep.done_at else age)
            report = {**vars(sweep), **sweep.counts, "done": sweep.done_at is not None}
            del report["counts"]
            logger.info("locks of the archive", **report)
    return report


def _sweep(*, again: bool) -> Sweep:
    """Return the unfinished sweep, or that of this year; a new one if none is, or if it is asked for."""
    now = timestamps.iso(clock.now())
    due, stored = archive_locks.last_sweep_due(now), cursors.read_report(cursors.ARCHIVE_LOCKS)
    if stored and (stored["done_at"] is None or (stored["started_at"] >= due and not again)):
        return read(Sweep, stored)
    return Sweep(int(now[:4]) if again else int(due[:4]), now)


def _store(sweep: Sweep) -> None:
    clock.start_deadline()
    cursors.store_report(vars(sweep), cursors.ARCHIVE_LOCKS)


def _next_page(sweep: Sweep) -> None:
    """Look at the next page of versions, act, and store the position behind it. Raises `PageFailed`."""
    versions, following = _page(sweep)
    is_deadly = sweep.killed >= MAX_TRIES
    sweep.tries, sweep.killed = sweep.tries + 1, sweep.killed + 1
    _store(sweep)  # also a run that does not return has tried
    try:
        counts = Counter(failed=len(versions)) if is_deadly else _handle(sweep, versions)
    except Exception:
        _store_end(sweep)
        raise
    for version in versions if is_deadly else ():
        logger.error("the runs that looked at an object of the archive were killed", object_key=version["Key"])
    if counts["failed"] and sweep.tries < MAX_TRIES:
        _store_end(sweep)
        raise PageFailed(f"{counts['failed']} objects behind {sweep.key or sweep.folder}")
    if counts["failed"]:
        metrics.count("ArchiveLockFailed", counts["failed"])
    sweep.counts = {name: sweep.counts[name] + counts[name] for name in COUNTS}
    if following:
        sweep.key, sweep.version = following
    else:
        _end_folder(sweep)
    sweep.tries = 0
    _store_end(sweep)


def _store_end(sweep: Sweep) -> None:
    """Store that the run was not killed in its page."""
    sweep.killed = 0
    _store(sweep)


def _end_folder(sweep: Sweep) -> None:
    folders = list(archive_locks.FOLDERS)
    later = folders[folders.index(sweep.folder) + 1 :]
    sweep.key = sweep.version = ""
    if later:
        sweep.folder = later[0]
    else:
        sweep.done_at = timestamps.iso(clock.now())


def _page(sweep: Sweep) -> tuple[list[dict[str, Any]], tuple[str, str] | None]:
    """Return the versions behind the position that are old enough, and the position behind them; None at the end.

    After a run that was killed in a page, the page is smaller. In the end it has one version.
    """
    limit = max(1, PAGE // 10**sweep.killed)
    params: dict[str, Any] = {"Bucket": settings().archive_bucket, "Prefix": sweep.folder, "MaxKeys": limit}
    try:
        page = _s3().list_object_versions(**params, **_marker(sweep))
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidArgument" or not sweep.version:
            raise
        page = _s3().list_object_versions(**params, KeyMarker=sweep.key[:-1])  # that version was deleted meanwhile
    end = f"{sweep.folder}dt={archive_locks.last_day(sweep.year, sweep.folder)}/~"
    versions = [version for version in page.get("Versions", []) if version["Key"] < end]
    if page.get("IsTruncated") and page["NextKeyMarker"] < end:
        return versions, (page["NextKeyMarker"], page["NextVersionIdMarker"])
    return versions, None


def _marker(sweep: Sweep) -> dict[str, str]:
    return {"KeyMarker": sweep.key, "VersionIdMarker": sweep.version} if sweep.key else {}


def _handle(sweep: Sweep, listed: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Extend or release what of a page must be. Return how many versions came to which end, as in `COUNTS`."""
    horizon, now = archive_locks.horizon(sweep.year), timestamps.iso(clock.now())
    with ThreadPoolExecutor(MAX_AT_ONCE) as pool:
        looks = list(pool.map(lambda version: _attempt(version["Key"], lambda: _look(version, horizon)), listed))
        versions = [look for look in looks if isinstance(look, _Version)]
        movements = _last_movements(sorted(frozenset().union(*(version.payments for version in versions))))
        ends = pool.map(lambda version: _attempt(version.key, lambda: _decide(version, movements, now)), versions)
        return Counter([*(look for look in looks if isinstance(look, str)), *map(str, ends)])


def _attempt[T](object_key: str, call: Callable[[], T]) -> T | str:
    """Return what a call returns; `missing` if the version was deleted meanwhile, and `failed` if S3 refuses it."""
    try:
        return call()
    except (ClientError, BotoCoreError, ValueError, EOFError, zlib.error, RecursionError) as error:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
        if code in MISSING:
            return "missing"
        logger.exception("the lock of an object of the archive", object_key=object_key)
        return "failed"


def _look(version: Mapping[str, Any], horizon: str) -> _Version | str:
    """Return a version whose lock ends by the horizon; `later` for another. Raises `ClientError` and `ValueError`."""
    key = version["Key"]
    name = {"Bucket": settings().archive_bucket, "Key": key, "VersionId": version["VersionId"]}
    try:
        lock = _s3().get_object_retention(**name)["Retention"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchObjectLockConfiguration":
            raise
        lock = {"Mode": "GOVERNANCE", "RetainUntilDate": None}
    until = timestamps.iso(lock["RetainUntilDate"].timestamp()) if lock["RetainUntilDate"] else ""
    if until > horizon:
        return "later"
    payment = archive_locks.payment_of(key)
    payments = {payment} if payment else _payments_in(name, version["Size"])
    return _Version(key, name["VersionId"], lock["Mode"], until, frozenset(payments))


def _payments_in(name: Mapping[str, str], size: int) -> set[str]:
    """Return the payments that an object has records of. Raises `ValueError` for one that cannot be read."""
    if size > archive.MAX_OBJECT_BYTES:
        raise ValueError(f"it has {size} bytes")
    payments = set[str]()
    for record in archive.each_line(_s3().get_object(**name)["Body"].read()):
        if not isinstance(record, dict) or not isinstance(record.get("subject"), str):
            raise ValueError("it has a line that is no record")
        if record["subject"].startswith((archive_locks.PAYMENT, PLAN_PREFIX)):
            payments.add(record["subject"])
    if not all(map(archive_locks.is_payment_id, payments)):
        raise ValueError("it has a record of a payment that cannot exist")
    return payments


def _last_movements(payment_ids: Sequence[str]) -> dict[str, str | None]:
    """Return when money of each of these payments moved last, and each plan among them changed last.

    Payments that were deleted are left out, and plans whose payments were. It is None for a payment or plan that cannot
    be read, for a payment that is missing without a record of its deletion, and for a missing plan.
    """
    plan_ids = [one for one in payment_ids if is_plan(one)]
    movements = _last_changes(plan_ids)
    payment_ids = [one for one in payment_ids if not is_plan(one)]
    for batch in itertools.batched(payment_ids, queries.PAGE_OF_PAYMENTS, strict=False):
        clock.start_deadline()
        exist: dict[str, str | None] = {}
        try:
            exist |= {item.payment_id: _last_movement(item) for item in queries.payments_by_id(list(batch))}
        except UNREADABLE:  # each alone, so that one does not hold up the others
            for payment_id in batch:
                exist |= _last_movement_of(payment_id)
        movements |= exist | dict.fromkeys(one for one in batch if one not in exist and not _is_deleted(one))
    return movements


def _last_changes(plan_ids: Sequence[str]) -> dict[str, str | None]:
    """Return when each of these plans changed last: its payments are kept for at least seven years from then."""
    changes: dict[str, str | None] = dict.fromkeys(plan_ids)
    for plan_id in plan_ids:
        clock.start_deadline()
        try:
            plans = queries.plans_by_id([plan_id])
        except UNREADABLE:
            logger.exception("a plan of an object of the archive cannot be read", plan_id=plan_id)
            continue
        if plans and plans[0].facts.expired:
            del changes[plan_id]
        elif plans:
            changes[plan_id] = plans[0].updated_at
    return changes


def _last_movement_of(payment_id: str) -> dict[str, str | None]:
    """Return the last movement of one payment, None if it cannot be read; nothing for a missing one."""
    clock.start_deadline()
    try:
        return {item.payment_id: _last_movement(item) for item in queries.payments_by_id([payment_id])}
    except UNREADABLE:
        logger.exception("a payment of an object of the archive cannot be read", payment_id=payment_id)
        return {payment_id: None}


def _last_movement(item: PaymentItem) -> str:
    clock.start_deadline()
    payment = mapping.payment_from_item(item)
    last = retention.last_movement(payment, queries.audit_trail(payment.payment_id))
    changes = _last_changes([payment.plan]) if payment.plan else {}
    return max([last, *filter(None, changes.values())])  # the payments of a plan are deleted together


def _is_deleted(payment_id: str) -> bool:
    clock.start_deadline()
    return bool(queries.expired([payment_id]))


def _decide(version: _Version, movements: Mapping[str, str | None], now: str) -> str:
    """Extend the lock of a version, release it, or do nothing. Return the end as in `COUNTS`. Raises `ClientError`."""
    folder = f"{version.key.partition('/')[0]}/"
    exist = [movements[payment] for payment in version.payments if payment in movements]
    needed = max((archive_locks.needed_until(last, folder, now) for last in exist), default="")
    if needed and not settings().archive_for_years:
        needed = archive.locked_until(now, archive_locks.FOLDERS[folder], for_years=False)
    if needed > version.until:
        return _extend(version, needed, now)
    if needed or version.until > now:
        return "kept"
    _s3().put_object_tagging(**version.name, Tagging={"TagSet": RELEASED})
    return "released"


def _extend(version: _Version, until: str, now: str) -> str:
    """Lock a version for longer, in its own mode. One whose lock had ended may have been released: it is not any more.

    The tag is removed first. A run that is killed between the two repeats both.
    """
    if version.until <= now:
        _s3().put_object_tagging(**version.name, Tagging={"TagSet": []})
    retention_of_version = {"Mode": version.mode, "RetainUntilDate": until}
    _s3().put_object_retention(**version.name, Retention=retention_of_version)
    logger.info("the lock of an object of the archive is extended", object_key=version.key, until=until)
    return "extended"


@cache
def _s3() -> Any:
    return aws_client.create("s3", read_timeout_s=10, max_pool_connections=MAX_AT_ONCE)
