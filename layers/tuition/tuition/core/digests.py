"""The signed digest of an hour: every object that the archive received, chained to the digest of the hour before.

The model is the digest file of CloudTrail. `verifier/README.md` describes the format for auditors. A digest has the
same bytes whenever it is made, so that two runs for one hour agree. An hour without objects has a digest too.

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
    """The digest before: its hour, the SHA-256 of its file, and its signature."""

    hour: str
    sha256: str
    signature: bytes


def hour_after(hour: str) -> str:
    """Return the hour after an hour such as `2026-11-28T13`."""
    return timestamps.iso(timestamps.epoch(f"{hour}:00:00Z") + HOUR_S)[:13]


def digest_key(hour: str) -> str:
    """Return the S3 key of an hour's digest; the hour is `2026-11-28T13` in UTC. Its signature is beside it."""
    return f"hours/dt={hour[:10]}/{hour[11:]}.json"


def signature_key(hour: str) -> str:
    """Return the S3 key of the signature of an hour's digest: DER, as OpenSSL and KMS use it."""
    return f"{digest_key(hour)}.sig"


def heads_key(hour: str) -> str:
    """Return the S3 key of the heads of an hour."""
    return f"heads/dt={hour[:10]}/{hour[11:]}.jsonl.gz"


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
    entry = {"key": key, "version_id": version_id, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    try:
        records = _records(key, content)
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return {**entry, "records": None, "first": None, "last": None}
    if key.startswith(RECORDS):
        for subject, head in records:
            newest = heads.get(subject)
            if newest is None or (newest.seq, newest.hash) < (head.seq, head.hash):
                heads[subject] = head
    positions = [{"subject": subject, "seq": head.seq} for subject, head in (records[:1] + records[-1:])]
    first, last = (positions[0], positions[-1]) if positions else (None, None)
    return {**entry, "records": len(records), "first": first, "last": last}


def _records(key: str, content: bytes) -> list[tuple[str, Head]]:
    """Return the subject, position and hash of each record in the object. A final form is one, named by its key."""
    if key.startswith(RECORDS):
        records = [json.loads(line) for line in archive.decompressed(content).splitlines()]
        return [(str(record["subject"]), Head(int(record["seq"]), str(record["hash"]))) for record in records]
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
) -> bytes:
    """Return the digest of an hour. `archive` is the name of the bucket, `key_id` is `key_fingerprint` of its key."""
    listed = sorted(objects, key=lambda entry: (entry["key"], entry["version_id"]))
    before = None
    if previous:
        signature = base64.b64encode(previous.signature).decode()
        before = {"hour": previous.hour, "sha256": previous.sha256, "signature": signature}
    return _canonical(
        {
            "format": FORMAT,
            "hour": hour,
            "archive": archive,
            "key_id": key_id,
            "previous": before,
            "objects": listed,
            "records": sum(entry["records"] or 0 for entry in listed if entry["key"].startswith(RECORDS)),
            "heads": {
                "key": heads_key(hour),
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


def pem(public_key: bytes) -> bytes:
    """Return a public key (DER) in PEM, which is Base64 in lines (RFC 7468)."""
    text = base64.b64encode(public_key).decode()
    lines = [text[start : start + PEM_WIDTH] for start in range(0, len(text), PEM_WIDTH)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""]).encode()


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
