"""Honest copies of the archive and its digests, for the tests and the benchmark of `verifier/tuition_verify.py`.

Records come from `core.audit`, objects from `core.archive`, and digests from `core.digests`, as in production. The
signature is made with a local key instead of KMS's.
"""

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tuition.core import archive, digests
from tuition.core.audit import AuditEntry, Record
from tuition.core.digests import Head, Previous

ARCHIVE = "archive-bucket"
VERSION = "v1"
HOURS = [f"2026-11-27T{hour:02}" for hour in range(21, 24)] + [f"2026-11-28T{hour:02}" for hour in range(4)]
EMPTY_HOUR = "2026-11-27T23"
UNTIL = "2026-11-28T04"


def line_of(record: Mapping[str, Any]) -> bytes:
    """Return a record's line in the archive."""
    return f"{archive.canonical(record)}\n".encode()


def pack(records: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the content of an archive object."""
    return archive.content(records)


def unpack(path: Path) -> list[dict[str, Any]]:
    """Return the records of an archive object."""
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def rehash(record: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the record with changes, and with the hash that fits them."""
    body = {**{name: value for name, value in record.items() if name != "hash"}, **changes}
    return {**body, "hash": hashlib.sha256(line_of(body).rstrip()).hexdigest()}


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_id(key: ec.EllipticCurvePrivateKey) -> str:
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return digests.key_fingerprint(key.public_key().public_bytes(encoding, form))


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Copy:
    """A copy of both buckets in a folder, with the key that signs."""

    root: Path
    key: ec.EllipticCurvePrivateKey
    chains: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.write_key(self.key)

    @property
    def archive(self) -> Path:
        return self.root / "archive"

    @property
    def digests(self) -> Path:
        return self.root / "digests"

    def write_key(self, key: ec.EllipticCurvePrivateKey, name: str = "key") -> Path:
        path = self.root / f"{name}.pem"
        path.write_bytes(public_pem(key))
        return path

    def digest(self, hour: str) -> Path:
        return self.digests / digests.digest_key(hour)

    def objects(self, hour: str = "") -> list[Path]:
        """Return the objects of an hour, or all."""
        pattern = f"dt={hour[:10]}/{hour[11:]}-*" if hour else "dt=*/*"
        return sorted(self.archive.glob(f"records/{pattern}"))

    def next_record(self, subject: str, **transition: Any) -> dict[str, Any]:
        """Append a record to the subject's chain, and return it as the archive stores it."""
        chain = self.chains.setdefault(subject, [])
        seq = len(chain) + 1
        entry = AuditEntry(f"2026-11-27T20:00:{seq:02}.000Z", f"evt_{subject}_{seq}", "charge.succeeded", "webhook")
        record = Record(subject, seq, entry, "user", "DP", transition, chain[-1]["hash"] if chain else "")
        chain.append({**record.body(), "hash": record.hash})
        return chain[-1]

    def put(self, hour: str, name: str, content: bytes, folder: str = "records", older: str = "") -> Path:
        """Write an archive object, or an older version of one."""
        extension = "jsonl" if folder == "records" else "json"
        key = f"{folder}/dt={hour[:10]}/{hour[11:]}-{name}.{extension}.gz"
        path = self.archive / (f"older/{older}/{key}" if older else key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def sign(self, key: ec.EllipticCurvePrivateKey | None = None, hours: Iterable[str] = HOURS) -> None:
        """Write the digests of these hours, in order, over what the archive has. Replaces those that are there."""
        signer, previous = key or self.key, None
        for hour in hours:
            heads: dict[str, Head] = {}
            listed = [
                digests.describe(key_of, version, path.read_bytes(), heads)
                for version, key_of, path in self._versions(hour)
            ]
            heads_content = digests.heads_file(heads)
            content = digests.digest_file(hour, ARCHIVE, key_id(signer), previous, listed, heads, heads_content)
            signature = signer.sign(content, ec.ECDSA(hashes.SHA256()))
            for name, value in (
                (digests.heads_key(hour), heads_content),
                (digests.digest_key(hour), content),
                (digests.signature_key(hour), signature),
            ):
                path = self.digests / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(value)
            previous = Previous(hour, hashlib.sha256(content).hexdigest(), signature)

    def _versions(self, hour: str) -> Iterator[tuple[str, str, Path]]:
        """Yield version id, key and path of the objects of an hour."""
        for folder in ("records", "final"):
            for path in sorted((self.archive / folder / f"dt={hour[:10]}").glob(f"{hour[11:]}-*")):
                yield VERSION, path.relative_to(self.archive).as_posix(), path
        for path in sorted((self.archive / "older").glob(f"*/*/dt={hour[:10]}/{hour[11:]}-*")):
            version, _, key = path.relative_to(self.archive / "older").as_posix().partition("/")
            yield version, key, path

    def root_of(self, hour: str) -> str:
        """Return the hash of an hour's digest, which is the daily root if the hour is the last of its day."""
        return hashlib.sha256(self.digest(hour).read_bytes()).hexdigest()


def honest(root: Path, key: ec.EllipticCurvePrivateKey | None = None) -> Copy:
    """Write a copy that holds: seven hours over midnight, one of them empty, with all that may happen to be there.

    An object was written twice, a record was delivered twice, and a payment was closed.
    """
    copy = Copy(root, key or new_key())
    for number, hour in enumerate(HOURS):
        if hour == EMPTY_HOUR:
            continue
        for batch in range(2):
            subjects = [f"pay_{batch}{(number + i) % 4}" for i in range(3)] + ["user_1" if batch else "pln_1"]
            copy.put(hour, f"b{batch}", pack(copy.next_record(s, settled=number) for s in subjects))
    late = copy.chains["pay_00"][-1]
    copy.put(HOURS[-1], "again", pack([late, copy.chains["user_1"][0]]))
    again = copy.objects(HOURS[4])[0]
    copy.put(HOURS[4], "b0", again.read_bytes(), older="v0")
    state = {"payment_id": "pay_00", "version": late["seq"], "audit_head": late["hash"], "status": "REFUNDED"}
    copy.put(HOURS[-1], f"pay_00-v{late['seq']}", pack([state]), folder="final")
    copy.sign()
    return copy
