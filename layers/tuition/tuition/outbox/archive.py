"""Write audit records, and the final forms that they carry, to the archive bucket.

Records that arrive together are one object. Its name follows from its records, so a retry within the hour writes the
same name again, as another version with the same content. Every object is locked when it is written, so no role of a
function can change or delete it. A record that the archive must not have fails alone: Lambda divides its batch, tries
nine times and keeps the record in `FailedRecordsBucket`.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
"""

import base64
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tuition import aws_client, clock, metrics
from tuition.core import archive, timestamps
from tuition.log import logger
from tuition.settings import settings
from tuition.storage import mapping
from tuition.storage.dynamodb import Item
from tuition.storage.items import AuditItem, is_personal

MAX_AT_ONCE = 8
"""Final forms that are written, and objects that are read, at the same time."""
RECORDS_PREFIX = "records/"
UNREADABLE: dict[str, Any] = {}
MAX_PAGES = 1_000
"""Pages of 1,000 objects of one day. With a window of 20 seconds a shard of the stream writes 4,320 objects."""


class NotArchivable(Exception):
    """The archive must not have this record. The message names the attributes, never their values."""


@dataclass(frozen=True)
class _Entry:
    """An audit record as the archive has it, and the payment's final form if the record closed the payment."""

    record: dict[str, Any]
    final_form: dict[str, Any] | None


def write(items: Mapping[str, Item]) -> list[str]:
    """Archive audit items, as DynamoDB writes them, by name. Return the names of those that were not archived whole."""
    entries, failed = _entries(items)
    if not entries:
        return failed
    now = timestamps.iso(clock.now())
    records = [entry.record for entry in entries.values()]
    until = archive.locked_until(now, archive.RECORD_YEARS, for_years=settings().archive_for_years)
    if not _put(archive.records_key(records, now), archive.content(records), until):
        metrics.count("RecordNotArchived", len(entries))
        return failed + list(entries)
    return failed + _write_final_forms({name: e.final_form for name, e in entries.items() if e.final_form}, now)


def _entries(items: Mapping[str, Item]) -> tuple[dict[str, _Entry], list[str]]:
    """Return the entries of the items that may be archived, and the names of the others."""
    entries, failed = {}, []
    for name, item in items.items():
        try:
            entries[name] = entry_of(item)
        except Exception:
            logger.exception("an audit record cannot be archived", record=name, item_key=_key(item))
            metrics.count("RecordNotArchived")
            failed.append(name)
    return entries, failed


def entry_of(item: Item) -> _Entry:
    """Return the entry of an audit item. Raises `NotArchivable`, or what reading an item raises that is no record."""
    attributes = {one.attr_name: one for one in AuditItem.get_attributes().values()}
    unknown = sorted(name for name in item if name not in attributes or is_personal(attributes[name]))
    if unknown:
        raise NotArchivable(f"the item has {', '.join(unknown)}")
    stored = AuditItem.from_raw_data(item)
    record, final_form = mapping.record_to_json(stored), stored.final_form
    paths = archive.undeclared(archive.RECORD, record)
    if not archive.has_own_hash(record):
        raise NotArchivable("its hash is that of other content")
    if final_form is not None:
        paths += archive.undeclared(archive.FINAL_FORM, final_form, "final_form")
        if (final_form["payment_id"], final_form["version"]) != (record["subject"], record["seq"]):
            raise NotArchivable("its final form is that of another record")
    if paths:
        raise NotArchivable(f"it has {', '.join(paths)}")
    return _Entry(record, final_form)


def _key(item: Item) -> dict[str, Any]:
    return {name: item.get(name) for name in ("subject", "sort_key")}


def _write_final_forms(forms: Mapping[str, Mapping[str, Any]], now: str) -> list[str]:
    """Write each final form as an object. After a failure the next ones are not tried, so that no batch takes long."""
    is_down = False

    def put(form: Mapping[str, Any]) -> bool:
        nonlocal is_down
        if not is_down:
            for_years = settings().archive_for_years
            since = str(form["closed_at"]) if for_years else now
            until = archive.locked_until(since, archive.FINAL_FORM_YEARS, for_years=for_years)
            is_down = not _put(archive.final_form_key(form, now), archive.content([form]), until)
        return not is_down

    with ThreadPoolExecutor(MAX_AT_ONCE) as pool:
        results = dict(zip(forms, pool.map(put, forms.values()), strict=True))
    failed = [name for name, is_written in results.items() if not is_written]
    if failed:
        metrics.count("RecordNotArchived", len(failed))
    return failed


def _put(object_key: str, body: bytes, until: str) -> bool:
    """Write an object with its lock. Return False if S3 did not confirm it: the same object may then be there."""
    try:
        _client().put_object(
            Bucket=settings().archive_bucket,
            Key=object_key,
            Body=body,
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=base64.b64encode(hashlib.sha256(body).digest()).decode(),
            ObjectLockMode="GOVERNANCE",
            ObjectLockRetainUntilDate=until,
        )
    except (ClientError, BotoCoreError):
        logger.exception("the archive did not take an object", object_key=object_key)
        return False
    return True


def records_of(day: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the records of each object that was written on a day (`2026-11-28`, UTC). Raises what S3 answers."""
    params: dict[str, Any] = {"Bucket": settings().archive_bucket, "Prefix": f"records/dt={day}/"}
    with ThreadPoolExecutor(MAX_AT_ONCE) as pool:
        for _ in range(MAX_PAGES):
            page = _client().list_objects_v2(**params)
            yield from pool.map(_records_in, [entry["Key"] for entry in page.get("Contents", [])])
            if not page.get("IsTruncated"):
                return
            params["ContinuationToken"] = page["NextContinuationToken"]
    raise OverflowError(f"the archive has more than {MAX_PAGES} pages of objects for {day}")


def first_day() -> str | None:
    """Return the first day of which the archive has records (`2026-11-28`, UTC); None for an empty archive."""
    page = _client().list_objects_v2(Bucket=settings().archive_bucket, Prefix=f"{RECORDS_PREFIX}dt=", MaxKeys=1)
    names = [entry["Key"] for entry in page.get("Contents", [])]
    return str(names[0]).removeprefix(f"{RECORDS_PREFIX}dt=")[:10] if names else None


def _records_in(object_key: str) -> list[dict[str, Any]]:
    """Return the records of an object. One that cannot be read is one record without attributes: `UNREADABLE`."""
    response = _client().get_object(Bucket=settings().archive_bucket, Key=object_key)
    try:
        return archive.lines(response["Body"].read(archive.MAX_OBJECT_BYTES))
    except (OSError, EOFError, zlib.error, ValueError, RecursionError):
        logger.exception("an object of the archive cannot be read", object_key=object_key)
        return [UNREADABLE]


@cache
def _client() -> Any:
    return aws_client.create("s3", read_timeout_s=5, attempts=2, max_pool_connections=MAX_AT_ONCE)
