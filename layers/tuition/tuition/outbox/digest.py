"""Sign a digest of each hour: every object that the archive received, chained to the digest of the hour before.

A digest covers the versions of objects that S3 stored in its hour, whatever their names say. An object's time of
storage never changes, so a digest has the same content whenever it is made, and hours that were missed are made up for
in order. Every object of the digest bucket is written only if it is absent. Of two runs at once, the second finds what
the first has written, and continues from it.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html,
https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
"""

import base64
import gzip
import hashlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from botocore.exceptions import ClientError

from tuition import aws_client, clock, metrics
from tuition.core import digests, timestamps
from tuition.core.digests import Head, Previous
from tuition.log import logger
from tuition.settings import settings

HOUR_S = 3_600
SETTLE_S = 60
"""How long after its end an hour gets its digest. S3 sets an object's time when it begins to store it."""
LATE_HOURS = 26
"""How long before its storage an object may have been named. The audit table's stream keeps a record for a day."""
HOURS_PER_RUN = 200
MAX_DAYS = 400
"""How far back the newest digest is looked for."""
MAX_PAGES = 2_000
"""Pages of 1,000 versions in a list."""
LAST_S = 120.0
"""With less time than this a run begins no further hour."""
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
    while timestamps.epoch(f"{hour}:00:00Z") + HOUR_S <= now and len(hours) < HOURS_PER_RUN and remaining() > LAST_S:
        newest = _make(hour, newest, key)
        hours.append(hour)
        hour = digests.hour_after(hour)
    age = max(0.0, clock.now() - timestamps.epoch(f"{hour}:00:00Z"))
    metrics.age("DigestAge", age)
    through = {"hour": newest.hour, "sha256": newest.sha256} if newest else None
    return {"hours": hours, "through": through, "done": age < HOUR_S + SETTLE_S}


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


def _make(hour: str, previous: Previous | None, key: _Key) -> Previous:
    """Make the digest of an hour, or complete one that an interrupted run has begun."""
    heads: dict[str, Head] = {}
    objects = [
        digests.describe(version["Key"], version["VersionId"], _read_version(version), heads)
        for version in sorted(_versions(hour), key=lambda version: (version["Key"], version["VersionId"]))
    ]
    heads_content = digests.heads_file(heads)
    stored_heads = _put_once(digests.heads_key(hour), heads_content)
    if gzip.decompress(stored_heads) != gzip.decompress(heads_content):
        raise DigestConflict(f"The heads of {hour} differ from those of the archive's objects.")
    content = digests.digest_file(
        hour, settings().archive_bucket, key.fingerprint, previous, objects, heads, stored_heads
    )
    if _put_once(digests.digest_key(hour), content) != content:
        raise DigestConflict(f"The digest of {hour} differs from what the archive has, or names another key.")
    signed = _sign(hour, content, key)
    logger.info("digest", hour=hour, sha256=signed.sha256, objects=len(objects), subjects=len(heads))
    return signed


def _sign(hour: str, content: bytes, key: _Key) -> Previous:
    """Sign a digest unless it is signed. The daily root is stored first, because a signed digest is complete."""
    if hour.endswith("T23"):
        _put_once(digests.root_key(hour[:10]), digests.root_line(hour[:10], content).encode())
    signature = _put_once(digests.signature_key(hour), key.sign(content))
    return Previous(hour, hashlib.sha256(content).hexdigest(), signature)


def _newest(key: _Key) -> Previous | None:
    """Return the newest digest, and sign it if an interrupted run has not. None if there is no digest yet."""
    if not _keys("hours/", most=1):
        return None
    for days in range(MAX_DAYS):
        day = timestamps.iso(clock.now() - days * HOUR_S * 24)[:10]
        hours = [name.rpartition("/")[2][:2] for name in _keys(f"hours/dt={day}/") if name.endswith(".json")]
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


def _versions(hour: str) -> Iterator[dict[str, Any]]:
    """Yield the versions of objects that the archive stored in the hour."""
    start = timestamps.epoch(f"{hour}:00:00Z")
    named = [start + hours * HOUR_S for hours in range(-LATE_HOURS, 2)]  # a clock may be a little fast
    for day in sorted({timestamps.iso(at)[:10] for at in named}):
        for prefix in digests.PREFIXES:
            for version in _listed(f"{prefix}dt={day}/"):
                if start <= version["LastModified"].timestamp() < start + HOUR_S:
                    yield version


def _listed(prefix: str) -> Iterator[dict[str, Any]]:
    """Yield the versions of all keys with a prefix."""
    marker: dict[str, str] = {}
    for _ in range(MAX_PAGES):
        page = _s3().list_object_versions(Bucket=settings().archive_bucket, Prefix=prefix, **marker)
        yield from page.get("Versions", [])
        if not page.get("IsTruncated"):
            return
        marker = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
    raise DigestConflict(f"The archive has more than {MAX_PAGES} pages of versions of {prefix}.")


def _read_version(version: dict[str, Any]) -> bytes:
    response = _s3().get_object(Bucket=settings().archive_bucket, Key=version["Key"], VersionId=version["VersionId"])
    return bytes(response["Body"].read())


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


def _keys(prefix: str, most: int = 1_000) -> list[str]:
    page = _s3().list_objects_v2(Bucket=settings().digest_bucket, Prefix=prefix, MaxKeys=most)
    return [entry["Key"] for entry in page.get("Contents", [])]


@cache
def _s3() -> Any:
    return aws_client.create("s3", read_timeout_s=10)


@cache
def _kms() -> Any:
    return aws_client.create("kms", read_timeout_s=10)
