"""The signed digest of an hour: every object that the archive received, chained to the digest of the hour before.

The model is the digest file of CloudTrail. `verifier/README.md` describes the format for auditors. A digest has the
same bytes whenever it is made, so that two runs for one hour agree. An hour without objects has a digest too. An hour
with very many objects has several, each signed and chained to the one before: its parts, numbered from 1. The last part
has the name of the hour's digest, so an hour is complete once that exists.

Source: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html
"""

import base64
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tuition.core import archive, timestamps

FORMAT = 1
PART_FORMAT = 2
"""The format of a part of an hour, which other hours do not have."""
PART_OBJECTS = 5_000
"""Versions of objects per part. A digest with as many has some 2 MB, and the verifier reads 16 MB."""
MAX_PARTS = 9_999
"""Parts of one hour."""
HOUR_S = 3_600
RECORDS = "records/"
PREFIXES = ("final/", RECORDS)
"""Where the archive keeps its objects."""
PEM_WIDTH = 64
_FINAL = re.compile(r"(?P<subject>.+)-v(?P<seq>\d+)\.json\.gz")


@dataclass(frozen=True)
class Head:
    """The newest position of a subject in the objects of an hour, with the hash of its record."""

    seq: int
    hash: str


@dataclass(frozen=True)
class Previous:
    """The digest before: its hour, the SHA-256 of its file, and its signature.

    `part` is its number if it is a part with which its hour does not end, else 0.
    """

    hour: str
    sha256: str
    signature: bytes
    part: int = 0


def hour_after(hour: str) -> str:
    """Return the hour after an hour such as `2026-11-28T13`."""
    return timestamps.iso(timestamps.epoch(f"{hour}:00:00Z") + HOUR_S)[:13]


def _file(hour: str, part: int) -> str:
    return f"dt={hour[:10]}/{hour[11:]}{f'-{part:04}' if part else ''}"


def digest_key(hour: str, part: int = 0) -> str:
    """Return the S3 key of an hour's digest; the hour is `2026-11-28T13` in UTC. Its signature is beside it.

    With `part`, return that of a part with which the hour does not end.
    """
    return f"hours/{_file(hour, part)}.json"


def signature_key(hour: str, part: int = 0) -> str:
    """Return the S3 key of the signature of an hour's digest: DER, as OpenSSL and KMS use it."""
    return f"{digest_key(hour, part)}.sig"


def heads_key(hour: str, part: int = 0) -> str:
    """Return the S3 key of the heads of an hour, or of any of its parts."""
    return f"heads/{_file(hour, part)}.jsonl.gz"


def root_key(day: str) -> str:
    """Return the S3 key of a daily root."""
    return f"roots/{day}.txt"


def root_line(day: str, digest: bytes) -> str:
    """Return the daily root: the day, and the SHA-256 of the digest of its last hour, which covers all before it."""
    return f"{day} {hashlib.sha256(digest).hexdigest()}\n"


def public_key_key(fingerprint: str) -> str:
    """Return the S3 key of a public key."""
    return f"keys/{fingerprint}.pem"


def describe(key: str, version_id: str, content: bytes, heads: dict[str, Head]) -> dict[str, Any]:
    """Return what a digest says about a version of an archive object, and add its records to the hour's `heads`.

    An object that cannot be read is listed by its hash alone, with `records` null, so that it stops no digest.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        records = _records(key, content)
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return describe_unread(key, version_id, len(content), sha256)
    if key.startswith(RECORDS):
        for subject, head in records:
            newest = heads.get(subject)
            if newest is None or (newest.seq, newest.hash) < (head.seq, head.hash):
                heads[subject] = head
    positions = [{"subject": subject, "seq": head.seq} for subject, head in (records[:1] + records[-1:])]
    first, last = (positions[0], positions[-1]) if positions else (None, None)
    contents = {"records": len(records), "first": first, "last": last}
    return describe_unread(key, version_id, len(content), sha256) | contents


def describe_unread(key: str, version_id: str, size: int, sha256: str) -> dict[str, Any]:
    """Return what a digest says about a version whose records were not read, because they cannot be."""
    entry: dict[str, Any] = {"key": key, "version_id": version_id, "size": size, "sha256": sha256}
    return {**entry, "records": None, "first": None, "last": None}


def _records(key: str, content: bytes) -> list[tuple[str, Head]]:
    """Return the subject, position and hash of each record in the object. A final form is one, named by its key."""
    if key.startswith(RECORDS):
        return [
            (str(record["subject"]), Head(int(record["seq"]), str(record["hash"])))
            for record in archive.each_line(content)
        ]
    name = _FINAL.fullmatch(key.rpartition("/")[2].partition("-")[2])
    if name is None:
        raise ValueError(key)
    return [(name["subject"], Head(int(name["seq"]), ""))]


def heads_file(heads: Mapping[str, Head]) -> bytes:
    """Return the heads of an hour as compressed JSON Lines, sorted by subject."""
    lines = (
        _canonical({"subject": subject, "seq": heads[subject].seq, "hash": heads[subject].hash}) + b"\n"
        for subject in sorted(heads)
    )
    return gzip.compress(b"".join(lines), mtime=0)


def digest_file(
    hour: str,
    archive: str,
    key_id: str,
    previous: Previous | None,
    objects: Iterable[Mapping[str, Any]],
    heads: Mapping[str, Head],
    heads_content: bytes,
    part: int = 0,
    *,
    more: bool = False,
) -> bytes:
    """Return the digest of an hour. `archive` is the name of the bucket, `key_id` is `key_fingerprint` of its key.

    `part` is the number of a part of an hour that has several, and `more` says that others follow; else 0.
    """
    listed = sorted(objects, key=lambda entry: (entry["key"], entry["version_id"]))
    before: dict[str, Any] | None = None
    if previous:
        signature = base64.b64encode(previous.signature).decode()
        before = {"hour": previous.hour, "sha256": previous.sha256, "signature": signature}
        before |= {"part": previous.part} if previous.part else {}
    return _canonical(
        {
            **({"format": PART_FORMAT, "part": part, "more": more} if part else {"format": FORMAT}),
            "hour": hour,
            "archive": archive,
            "key_id": key_id,
            "previous": before,
            "objects": listed,
            "records": sum(entry["records"] or 0 for entry in listed if entry["key"].startswith(RECORDS)),
            "heads": {
                "key": heads_key(hour, part),
                "sha256": hashlib.sha256(heads_content).hexdigest(),
                "subjects": len(heads),
            },
        }
    )


def key_fingerprint(public_key: bytes) -> str:
    """Return the id of a signing key: the SHA-256 of its public key (DER, SubjectPublicKeyInfo), in hex."""
    return hashlib.sha256(public_key).hexdigest()


def key_of(digest: bytes) -> str:
    """Return the id of the key that a digest names."""
    return str(json.loads(digest)["key_id"])


def last_object_of(digest: bytes) -> tuple[str, str]:
    """Return the key and the version id of the last object that a part of an hour lists."""
    last = json.loads(digest)["objects"][-1]
    return str(last["key"]), str(last["version_id"])


def pem(public_key: bytes) -> bytes:
    """Return a public key (DER) in PEM, which is Base64 in lines (RFC 7468)."""
    text = base64.b64encode(public_key).decode()
    lines = [text[start : start + PEM_WIDTH] for start in range(0, len(text), PEM_WIDTH)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""]).encode()


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
