"""Sign a digest of each hour: every object that the archive received, chained to the digest of the hour before.

A digest covers the versions of objects that S3 stored in its hour, whatever their names say. An object's time of
storage never changes, so a digest has the same content whenever it is made, and hours that were missed are made up for
in order. Every object of the digest bucket is written only if it is absent. Of two runs at once, the second finds what
the first has written, and continues from it.

Memory and the size of a digest are bounded, whatever an hour has: it gets several digests, its parts, in the order of
the keys of its objects. Each is signed and continues the one before, so a run that is out of time, or killed, loses at
most one part. The next run continues behind the last object of the newest part.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html,
https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
"""

import base64
import gzip
import hashlib
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from botocore.exceptions import ClientError

from tuition import aws_client, clock, metrics
from tuition.core import archive, digests, timestamps
from tuition.core.digests import Head, Previous
from tuition.log import logger
from tuition.settings import settings

HOUR_S = 3_600
SETTLE_S = 60
"""How long after its end an hour gets its digest. S3 sets an object's time when it begins to store it."""
LATE_HOURS = 26
"""How long before its storage an object may have been named. The audit table's stream keeps a record for a day."""
HOURS_PER_RUN = 200
READ_AT_ONCE = 8
"""Objects that are read at the same time, and in memory."""
BLOCK_BYTES = 1024 * 1024
MAX_DAYS = 400
"""How far back the newest digest is looked for."""
MAX_PAGES = 20_000
"""Pages of 1,000 versions in a list. The time of a run ends a longer one."""
LAST_S = 120.0
"""With less time than this a run begins no further hour or part."""
WRITES = 3
"""Attempts of a conditional write that meets another one of the same key."""


class DigestConflict(Exception):
    """The bucket has another content than the one that follows from the archive. A person must look at it."""


def make(remaining: Callable[[], float]) -> dict[str, Any]:
    """Make the digest of every full hour that has none, as far as the time allows. Return a report."""
    now = clock.now() - SETTLE_S
    key = _Key()
    newest = _newest(key)
    hours: list[str] = []
    hour = digests.hour_after(newest.hour) if newest else _first_hour(now)
    parts = 0
    while timestamps.epoch(f"{hour}:00:00Z") + HOUR_S <= now and len(hours) < HOURS_PER_RUN and remaining() > LAST_S:
        signed, number = _make(hour, newest, key, remaining)
        parts += number
        if signed is None:
            break
        newest = signed
        hours.append(hour)
        hour = digests.hour_after(hour)
    age = max(0.0, clock.now() - timestamps.epoch(f"{hour}:00:00Z"))
    metrics.age("DigestAge", age)
    through = {"hour": newest.hour, "sha256": newest.sha256} if newest else None
    return {"hours": hours, "parts": parts, "through": through, "done": age < HOUR_S + SETTLE_S}


class _Key:
    """The signing key. Its public half is read once per run, and kept in the bucket."""

    def __init__(self) -> None:
        public = bytes(_kms().get_public_key(KeyId=settings().digest_key)["PublicKey"])
        self.fingerprint = digests.key_fingerprint(public)
        _put_once(digests.public_key_key(self.fingerprint), digests.pem(public))

    def sign(self, content: bytes) -> bytes:
        """Return the signature (DER) over the SHA-256 of the content."""
        response = _kms().sign(
            KeyId=settings().digest_key,
            Message=hashlib.sha256(content).digest(),
            MessageType="DIGEST",
            SigningAlgorithm="ECDSA_SHA_256",
        )
        return bytes(response["Signature"])


def _make(
    hour: str, previous: Previous | None, key: _Key, remaining: Callable[[], float]
) -> tuple[Previous | None, int]:
    """Make the digest of an hour, or complete one that an interrupted run has begun.

    Return it, and the number of digests that were made: more than one for an hour with several parts. Return None
    instead of it if the time did not suffice for all parts.
    """
    unfinished = _newest_part(hour)
    previous, after = unfinished or (previous, None)
    part, number = previous.part if unfinished and previous else 0, 0
    for versions, more in _slices(_versions(hour, after)):
        if number and remaining() <= LAST_S:
            return None, number
        part += 1
        previous = _make_part(hour, previous, key, versions, part if more or part > 1 else 0, more=more)
        number += 1
    return previous, number


def _make_part(
    hour: str, previous: Previous | None, key: _Key, versions: list[dict[str, Any]], part: int, *, more: bool
) -> Previous:
    """Make a digest over versions of an hour, unless it is there. `part` is 0 for an hour with one digest."""
    if part > digests.MAX_PARTS:
        raise DigestConflict(f"The hour {hour} has more than {digests.MAX_PARTS} parts.")
    heads: dict[str, Head] = {}
    objects = list(_described(versions, heads))
    heads_content = digests.heads_file(heads)
    stored_heads = _put_once(digests.heads_key(hour, part), heads_content)
    if gzip.decompress(stored_heads) != gzip.decompress(heads_content):
        raise DigestConflict(f"The heads of {hour} differ from those of the archive's objects.")
    bucket = settings().archive_bucket
    content = digests.digest_file(
        hour, bucket, key.fingerprint, previous, objects, heads, stored_heads, part, more=more
    )
    named = part if more else 0
    if _put_once(digests.digest_key(hour, named), content) != content:
        raise DigestConflict(f"The digest of {hour} differs from what the archive has, or names another key.")
    signed = _sign(hour, content, key, named)
    logger.info("digest", hour=hour, part=part, sha256=signed.sha256, objects=len(objects), subjects=len(heads))
    return signed


def _described(versions: list[dict[str, Any]], heads: dict[str, Head]) -> Iterator[dict[str, Any]]:
    """Yield what a digest says about each version, and add its records to the `heads`. A few are read at once."""
    with ThreadPoolExecutor(READ_AT_ONCE) as pool:
        for batch in itertools.batched(versions, READ_AT_ONCE, strict=False):
            for version, content in zip(batch, pool.map(_read_version, batch), strict=True):
                name = (version["Key"], version["VersionId"])
                if isinstance(content, bytes):
                    yield digests.describe(*name, content, heads)
                else:
                    yield digests.describe_unread(*name, version["Size"], content)


def _sign(hour: str, content: bytes, key: _Key, part: int = 0) -> Previous:
    """Sign a digest unless it is signed. The daily root is stored first, because a signed digest is complete."""
    if hour.endswith("T23") and not part:
        _put_once(digests.root_key(hour[:10]), digests.root_line(hour[:10], content).encode())
    signature = _put_once(digests.signature_key(hour, part), key.sign(content))
    return Previous(hour, hashlib.sha256(content).hexdigest(), signature, part)


def _newest_part(hour: str) -> tuple[Previous, tuple[str, str]] | None:
    """Return the newest signed part of an unfinished hour, and its last object; None if it has none."""
    names = _keys(digests.digest_key(hour).removesuffix(".json") + "-")
    parts = [int(name.removesuffix(".json.sig")[-4:]) for name in names if name.endswith(".json.sig")]
    if not parts:
        return None
    part = max(parts)
    content, signature = _get(digests.digest_key(hour, part)), _get(digests.signature_key(hour, part))
    before = Previous(hour, hashlib.sha256(content).hexdigest(), signature, part)
    return before, digests.last_object_of(content)


def _newest(key: _Key) -> Previous | None:
    """Return the newest digest, and sign it if an interrupted run has not. None if there is no digest yet."""
    if next(_keys("hours/"), None) is None:
        return None
    for days in range(MAX_DAYS):
        day = timestamps.iso(clock.now() - days * HOUR_S * 24)[:10]
        names = (name.rpartition("/")[2] for name in _keys(f"hours/dt={day}/"))
        hours = [name[:2] for name in names if name[2:] == ".json"]
        if hours:
            return _complete(f"{day}T{max(hours)}", key)
    raise DigestConflict(f"The newest digest is older than {MAX_DAYS} days.")


def _complete(hour: str, key: _Key) -> Previous:
    content = _get(digests.digest_key(hour))
    try:
        signature = _get(digests.signature_key(hour))
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        if digests.key_of(content) != key.fingerprint:
            raise DigestConflict(f"The digest of {hour} has no signature, and is of another key.") from error
        return _sign(hour, content, key)
    return Previous(hour, hashlib.sha256(content).hexdigest(), signature)


def _first_hour(now: float) -> str:
    """Return the hour of the first digest: that of the archive's first object, else the last full one.

    The first by name may have been stored after others, so the earliest of the first thousand counts.
    """
    hour = timestamps.iso(now - HOUR_S)[:13]
    for prefix in digests.PREFIXES:
        page = _s3().list_object_versions(Bucket=settings().archive_bucket, Prefix=prefix)
        for version in page.get("Versions", []):
            hour = min(hour, timestamps.iso(version["LastModified"].timestamp())[:13])
    return hour


def _slices(versions: Iterator[list[dict[str, Any]]]) -> Iterator[tuple[list[dict[str, Any]], bool]]:
    """Yield the versions of each part of an hour, and whether another part follows. At least one, which may be empty.

    All versions of a key are in one part, unless they are more than a part has. So where a part ends follows from the
    versions behind the part before, whenever it is made.
    """
    part: list[dict[str, Any]] = []
    for of_key in versions:
        if part and len(part) + len(of_key) > digests.PART_OBJECTS:
            yield part, True
            part = []
        part += of_key
        while len(part) > digests.PART_OBJECTS:
            yield part[: digests.PART_OBJECTS], True
            part = part[digests.PART_OBJECTS :]
    yield part, False


def _versions(hour: str, after: tuple[str, str] | None) -> Iterator[list[dict[str, Any]]]:
    """Yield the versions of each key that the archive stored in the hour, in the order of key and version id.

    With `after`, begin behind this key and version id.
    """
    start = timestamps.epoch(f"{hour}:00:00Z")
    named = [timestamps.iso(start + hours * HOUR_S)[:13] for hours in (-LATE_HOURS, 1)]  # a clock may be a little fast
    days = [timestamps.day_after(named[0][:10], number) for number in range(3)]
    for prefix, day in itertools.product(digests.PREFIXES, [day for day in days if day <= named[1][:10]]):
        folder = f"{prefix}dt={day}/"
        marker = f"{folder}{named[0][11:]}" if day == named[0][:10] else ""
        if after and folder < after[0][: len(folder)]:
            continue
        if after and after[0].startswith(folder):
            marker = max(marker, after[0][:-1])
        of_hour = (
            version
            for version in _listed(folder, marker)
            if start <= version["LastModified"].timestamp() < start + HOUR_S
        )
        for _, of_key in itertools.groupby(of_hour, key=lambda version: str(version["Key"])):
            ordered = sorted(of_key, key=lambda version: str(version["VersionId"]))
            behind = [version for version in ordered if not after or _name(version) > after]
            if behind:
                yield behind


def _name(version: dict[str, Any]) -> tuple[str, str]:
    return version["Key"], version["VersionId"]


def _listed(prefix: str, first: str) -> Iterator[dict[str, Any]]:
    """Yield the versions of all keys with a prefix, in the order of keys, behind the key `first` if it is not empty."""
    marker = {"KeyMarker": first} if first else {}
    for _ in range(MAX_PAGES):
        page = _s3().list_object_versions(Bucket=settings().archive_bucket, Prefix=prefix, **marker)
        yield from page.get("Versions", [])
        if not page.get("IsTruncated"):
            return
        marker = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
    raise DigestConflict(f"The archive has more than {MAX_PAGES} pages of versions of {prefix}.")


def _read_version(version: dict[str, Any]) -> bytes | str:
    """Return the content of a version; of one that is larger than an archive object can be, its SHA-256 in hex."""
    name = {"Key": version["Key"], "VersionId": version["VersionId"]}
    body = _s3().get_object(Bucket=settings().archive_bucket, **name)["Body"]
    if version["Size"] <= archive.MAX_OBJECT_BYTES:
        return bytes(body.read())
    total = hashlib.sha256()
    for block in body.iter_chunks(BLOCK_BYTES):
        total.update(block)
    return total.hexdigest()


# --- the digest bucket ---


def _put_once(object_key: str, content: bytes) -> bytes:
    """Write an object unless it is there, and return its content: this one, or that of another run."""
    for attempt in range(1, WRITES + 1):
        try:
            _s3().put_object(
                Bucket=settings().digest_bucket,
                Key=object_key,
                Body=content,
                IfNoneMatch="*",
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=base64.b64encode(hashlib.sha256(content).digest()).decode(),
            )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "PreconditionFailed":
                return _get(object_key)
            if code != "ConditionalRequestConflict" or attempt == WRITES:
                raise
        else:
            return content
    raise AssertionError("unreachable")


def _get(object_key: str) -> bytes:
    return bytes(_s3().get_object(Bucket=settings().digest_bucket, Key=object_key)["Body"].read())


def _keys(prefix: str) -> Iterator[str]:
    """Yield the keys with a prefix. An hour has two for each part."""
    params: dict[str, Any] = {"Bucket": settings().digest_bucket, "Prefix": prefix}
    for _ in range(MAX_PAGES):
        page = _s3().list_objects_v2(**params)
        yield from (entry["Key"] for entry in page.get("Contents", []))
        if not page.get("IsTruncated"):
            return
        params["ContinuationToken"] = page["NextContinuationToken"]
    raise DigestConflict(f"There are more than {MAX_PAGES} pages of keys that begin with {prefix}.")


@cache
def _s3() -> Any:
    return aws_client.create("s3", read_timeout_s=10, max_pool_connections=READ_AT_ONCE)


@cache
def _kms() -> Any:
    return aws_client.create("kms", read_timeout_s=10)
