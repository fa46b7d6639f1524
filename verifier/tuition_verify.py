"""Verify a copy of Tuition's archive against its signed digests, without Tuition and without AWS.

    python tuition_verify.py --archive DIR --digests DIR --key PUBLIC.pem

It needs Python 3.11 or later and the package `cryptography`. README.md beside this file describes the formats, what the
verification shows, and what it cannot show. Exit codes: 0 the archive holds, 1 it does not hold, 2 it could not be
checked. A finding outweighs a part that could not be checked.

Memory is bounded, whatever the size of the archive: digests are read one at a time, objects line by line, and the
positions of all records are sorted in a temporary SQLite database.
"""

import argparse
import base64
import binascii
import gzip
import hashlib
import io
import json
import os
import re
import sqlite3
import stat
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

try:
    from datetime import UTC

    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
except ImportError as missing:
    print(f"This program needs Python 3.11 or later, and the package cryptography ({missing}).", file=sys.stderr)
    print("Install it with: pip install cryptography", file=sys.stderr)
    sys.exit(2)

HOLDS, DOES_NOT_HOLD, NOT_CHECKED = 0, 1, 2
FORMATS = (1, 2)
"""The formats that this program reads: of an hour with one digest, and of one with several."""
DIGEST_DELAY = timedelta(minutes=20)
"""How long after its end an hour has its digest. Without `--until`, younger hours need none."""
MAX_DIGEST_BYTES = 16 * 1024 * 1024
MAX_PARTS = 9_999
"""Digests of one hour."""
MAX_LINE_BYTES = 4 * 1024 * 1024
"""The longest record or final form that is read. An item of DynamoDB has at most 400 KB."""
EXTRA_LINES = 1_000
"""Lines that are read of an object beyond those that its digest lists."""
ROWS_PER_INSERT = 5_000
CACHE_KB = 64_000
"""Memory of SQLite. Everything else is on disk."""
BLOCK_BYTES = 1024 * 1024
PROGRESS_S = 2.0
MAX_PRINTED = 200
"""Findings that are printed. The others are counted."""
HOUR_FORMAT = "%Y-%m-%dT%H"
MAX_SEQ = 2**53
HASH = re.compile(r"[0-9a-f]{64}")
DIGEST_FILE = re.compile(r"(\d\d)(?:-(\d{4}))?\.json(?:\.sig)?", re.ASCII)
HOUR = re.compile(r"2\d{3}-\d\d-\d\dT\d\d", re.ASCII)
DAY_FOLDER = re.compile(r"dt=(2\d{3}-\d\d-\d\d)", re.ASCII)
OBJECT_KEY = re.compile(
    r"(?P<kind>records|final)/dt=(?P<day>2\d{3}-\d\d-\d\d)/(?P<hour>\d\d)-[^/\\\0:]+\.jsonl?\.gz", re.ASCII
)
VERSION_ID = re.compile(r"[A-Za-z0-9._-]{1,1024}")
OLDER = "older"
"""The folder of a copy that has the versions of a key which are not its newest: `older/<version id>/<key>`."""
CORRUPT = (EOFError, zlib.error, gzip.BadGzipFile, ValueError, RecursionError)
"""Errors of content that is no gzip, no UTF-8 or no JSON."""


class UnusableError(Exception):
    """A file does not have the documented structure."""


@dataclass
class Report:
    """The findings, printed as they are made. Progress goes to stderr."""

    findings: int = 0
    unchecked: int = 0
    last_progress: float = field(default_factory=time.monotonic)

    def finding(self, place: str, text: str) -> None:
        """Report something that an honest archive cannot contain."""
        self.findings += 1
        self._print(self.findings, "FINDING", place, text)

    def not_checked(self, place: str, text: str) -> None:
        """Report something that cannot be checked, and that proves no tampering."""
        self.unchecked += 1
        self._print(self.unchecked, "NOT CHECKED", place, text)

    @staticmethod
    def _print(number: int, label: str, place: str, text: str) -> None:
        if number <= MAX_PRINTED:
            print(printable(f"{label} {place}: {text}"))
        if number == MAX_PRINTED:
            print(f"{label}: further ones are counted, not printed")

    def progress(self, text: str) -> None:
        """Print how far the verification is, at most every `PROGRESS_S` seconds."""
        if time.monotonic() - self.last_progress >= PROGRESS_S:
            self.last_progress = time.monotonic()
            print(text, file=sys.stderr, flush=True)

    @property
    def exit_code(self) -> int:
        """The exit code: a finding outweighs a part that could not be checked."""
        return DOES_NOT_HOLD if self.findings else NOT_CHECKED if self.unchecked else HOLDS


def printable(text: str) -> str:
    """Return the text without control characters, which a manipulated file could send to the terminal."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


# --- keys and digests ---


def load_keys(paths: list[Path]) -> dict[str, ec.EllipticCurvePublicKey]:
    """Return the public keys by fingerprint. Raises `UnusableError` for a file that is no public key on P-256."""
    keys = {}
    for path in paths:
        try:
            key = serialization.load_pem_public_key(path.read_bytes())
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise UnusableError(f"{path} is no public key in PEM format ({error})") from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise UnusableError(f"{path} is no key on the curve P-256")
        keys[fingerprint(key)] = key
    return keys


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """Return the id of a key in digests: the SHA-256 of its DER form (SubjectPublicKeyInfo)."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def is_signed(key: ec.EllipticCurvePublicKey, signature: bytes, content: bytes) -> bool:
    """Whether the signature (DER) is this key's over the SHA-256 of the content."""
    try:
        key.verify(signature, content, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


class Position(NamedTuple):
    """A record's place in history: its subject, and its number among the records of the subject."""

    subject: str
    seq: int

    def __str__(self) -> str:
        return f"{self.subject} position {self.seq}"


@dataclass(frozen=True)
class Entry:
    """A version of an archive object, as a digest lists it. `records` is None if it was unreadable then."""

    key: str
    version_id: str
    sha256: str
    records: int | None
    first: Position | None
    last: Position | None


class Name(NamedTuple):
    """Which digest of a chain it is: an hour's, or a part with which the hour does not end (else 0)."""

    hour: str
    part: int

    @property
    def file(self) -> str:
        """The path of its file in the folder `hours`, without an extension."""
        return f"dt={self.hour[:10]}/{self.hour[11:]}{f'-{self.part:04}' if self.part else ''}"

    def __str__(self) -> str:
        return f"{self.hour} part {self.part}" if self.part else self.hour


@dataclass(frozen=True)
class Digest:
    """A digest: see README.md. `part` is its number if its hour has several, else 0."""

    hour: str
    part: int
    more: bool
    key_id: str
    previous: tuple[Name, str, bytes] | None
    objects: list[Entry]
    heads_sha256: str

    @property
    def name(self) -> Name:
        """Its name: that of the hour, if the hour ends with it."""
        return Name(self.hour, self.part if self.more else 0)


def typed(value: Any, kind: type) -> Any:
    """Return the value if it has the type. A boolean is no number."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UnusableError(f"{value!r:.60} is no {kind.__name__}")
    return value


def parse_digest(content: bytes) -> Digest:
    """Return a digest. Raises `UnusableError` if the content does not have the documented structure."""
    try:
        body = typed(json.loads(content), dict)
        if body["format"] not in FORMATS or isinstance(body["format"], bool):
            formats = " and ".join(map(str, FORMATS))
            raise UnusableError(f"its format is {body['format']!r:.60}; this program reads the formats {formats}")
        is_part = body["format"] == FORMATS[1]
        part, more = (parse_part(body["part"]), typed(body["more"], bool)) if is_part else (0, False)
        before = body["previous"]
        previous = None
        if before is not None:
            signature = base64.b64decode(before["signature"], validate=True)
            name = Name(typed(before["hour"], str), parse_part(before["part"]) if "part" in before else 0)
            previous = (name, typed(before["sha256"], str), signature)
        return Digest(
            typed(body["hour"], str),
            part,
            more,
            typed(body["key_id"], str),
            previous,
            [parse_entry(entry) for entry in typed(body["objects"], list)],
            typed(body["heads"]["sha256"], str),
        )
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise UnusableError(f"it is no digest ({type(error).__name__}: {error!s:.60})") from error


def parse_part(value: Any) -> int:
    """Return the number of a part of an hour."""
    if not 1 <= typed(value, int) <= MAX_PARTS:
        raise UnusableError(f"{value!r:.60} is no number of a part")
    return int(value)


def parse_entry(entry: Any) -> Entry:
    """Return one entry of a digest's list of objects."""
    key, version_id = typed(entry["key"], str), typed(entry["version_id"], str)
    if not OBJECT_KEY.fullmatch(key) or not VERSION_ID.fullmatch(version_id):
        raise UnusableError(f"{key!r:.200} is no key of the archive")
    records = entry["records"]
    first, last = (None if at is None else parse_position(at) for at in (entry["first"], entry["last"]))
    count = None if records is None else typed(records, int)
    return Entry(key, version_id, typed(entry["sha256"], str), count, first, last)


def parse_position(at: Any) -> Position:
    """Return a subject and position."""
    subject, seq = typed(at["subject"], str), typed(at["seq"], int)
    subject.encode()  # half a surrogate pair raises ValueError
    if not 1 <= seq <= MAX_SEQ:
        raise UnusableError(f"{seq!r:.60} is no position")
    return Position(subject, seq)


def parse_hash(value: Any) -> str:
    """Return a SHA-256 in hex."""
    if not HASH.fullmatch(typed(value, str)):
        raise UnusableError(f"{value!r:.60} is no hash")
    return str(value)


def parse_hour(text: str) -> datetime:
    """Return the beginning of an hour such as `2026-11-28T13`. Raises ValueError."""
    return datetime.strptime(text, HOUR_FORMAT).replace(tzinfo=UTC)


def following(hour: str, hours: int = 1) -> str:
    """Return the hour after (or before) an hour."""
    return (parse_hour(hour) + timedelta(hours=hours)).strftime(HOUR_FORMAT)


def span(first: str, last: str) -> str:
    """Return the name of one hour, or of several."""
    return first if first == last else f"{first} to {last}"


# --- the records, sorted on disk ---

SCHEMA = """
CREATE TABLE objects (id INTEGER PRIMARY KEY, key TEXT NOT NULL);
CREATE TABLE files (path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE records (
    id INTEGER PRIMARY KEY, subject TEXT, seq INTEGER, is_final INTEGER, hash TEXT, previous TEXT, object INTEGER,
    line INTEGER
);
"""


class Row(NamedTuple):
    """A record or final form as the chains need it. `place` is the object and the line.

    `hash` of a final form is the hash of its payment's newest record, and `previous` is the hash of its own content.
    """

    subject: str
    seq: int
    is_final: bool
    hash: str
    previous: str
    place: str


class Store:
    """A temporary database on disk: the positions of all records, and the files that digests list."""

    def __init__(self, folder: str) -> None:
        self._other_folder = os.environ.get("SQLITE_TMPDIR")
        os.environ["SQLITE_TMPDIR"] = folder  # sorting spills here too, and not into a small /tmp
        self._db = sqlite3.connect(Path(folder) / "records.sqlite", isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE", f"cache_size = -{CACHE_KB}"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(SCHEMA)
        self._db.execute("BEGIN")
        self._rows: list[tuple[str, int, int, str, str, int, int]] = []
        self._object = 0

    def close(self) -> None:
        """Close the database. Its folder is removed by the caller, so later databases spill elsewhere."""
        self._db.close()
        del os.environ["SQLITE_TMPDIR"]
        if self._other_folder is not None:
            os.environ["SQLITE_TMPDIR"] = self._other_folder

    def add_object(self, key: str) -> None:
        """Name the object that the next records are in."""
        self._object += 1
        self._db.execute("INSERT INTO objects VALUES (?, ?)", (self._object, key))

    def add(self, at: Position, is_final: bool, record_hash: str, previous: str, line: int) -> None:
        """Keep a record's position and hashes."""
        self._rows.append((at.subject, at.seq, int(is_final), record_hash, previous, self._object, line))
        if len(self._rows) >= ROWS_PER_INSERT:
            self.flush()

    def flush(self) -> int:
        """Write the rows that are in memory. Return the number of the last row."""
        self._db.executemany(
            "INSERT INTO records (subject, seq, is_final, hash, previous, object, line) VALUES (?, ?, ?, ?, ?, ?, ?)",
            self._rows,
        )
        self._rows.clear()
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM records").fetchone()[0])

    def add_file(self, path: str) -> None:
        """Keep that a file of the archive is explained by a digest, or is already reported."""
        self._db.execute("INSERT OR IGNORE INTO files VALUES (?)", (path,))

    def has_file(self, path: str) -> bool:
        """Whether the file is explained."""
        return self._db.execute("SELECT 1 FROM files WHERE path = ?", (path,)).fetchone() is not None

    def heads(self, after: int) -> Iterator[tuple[str, int, str]]:
        """Yield the newest position of each subject, with its hash, among the records after a row, by subject."""
        query = "SELECT subject, seq, hash FROM records WHERE id > ? AND NOT is_final ORDER BY 1, 2 DESC, 3 DESC"
        previous = None
        for subject, seq, record_hash in self._db.execute(query, (after,)):
            if subject != previous:
                yield subject, seq, record_hash
            previous = subject

    def rows(self) -> Iterator[Row]:
        """Yield all records by subject and position, and final forms behind the record of their version."""
        query = """
            SELECT subject, seq, is_final, hash, previous, key, line FROM records JOIN objects ON objects.id = object
            ORDER BY subject, seq, is_final, records.id
        """
        for subject, seq, is_final, record_hash, previous, key, line in self._db.execute(query):
            yield Row(subject, seq, bool(is_final), record_hash, previous, f"{key} line {line}" if line else key)


# --- the verification ---


@dataclass(frozen=True)
class Options:
    """The command line. `last_hour` must have a digest; `since` the first hour to verify."""

    archive: Path
    digests: Path
    keys: dict[str, ec.EllipticCurvePublicKey]
    roots: frozenset[str]
    last_hour: str
    since: str | None


class Verification:
    """One run over a copy."""

    def __init__(self, options: Options, report: Report, store: Store) -> None:
        self._options, self._report, self._store = options, report, store
        self._previous: tuple[Name, str, bytes] | None = None
        self._roots_to_meet = set(options.roots)
        self._first = self._last = ""
        self._digests = self._objects = self._records = self._subjects = 0
        self._newer = 0
        self._is_incomplete = self._lacks_digest = False
        self._final: tuple[str, int, str] | None = None

    def run(self) -> None:
        """Verify everything, and print what was verified."""
        hours = list(self._hours())
        if not hours:
            raise UnusableError(f"{self._options.digests} contains no digest (hours/dt=…/HH.json)")
        if next(self._objects_of_copy(), None) is None:
            raise UnusableError(f"{self._options.archive} contains no object (records/dt=…/HH-….jsonl.gz)")
        for number, (hour, parts) in enumerate(hours, start=1):
            self._check_hour(hour, parts, is_newest=number == len(hours))
            self._report.progress(f"{hour}: {number:,} of {len(hours):,} digests, {self._records:,} records")
        self._check_end()
        self._check_files()
        self._check_chains()
        self._summarize()

    def _hours(self) -> Iterator[tuple[str, set[int]]]:
        """Yield the hours that have a digest or a signature, in order, each with its parts: 0 is the hour's digest."""
        top = self._options.digests / "hours"
        for folder in sorted(os.listdir(top)) if top.is_dir() else ():
            day = DAY_FOLDER.fullmatch(folder)
            parts: dict[str, set[int]] = {}
            for name in os.listdir(top / folder) if day else ():
                file = DIGEST_FILE.fullmatch(name)
                hour = f"{day[1] if day else ''}T{file[1] if file else ''}"
                if file and is_hour(hour) and (self._options.since is None or hour >= self._options.since):
                    parts.setdefault(hour, set()).add(int(file[2] or 0))
            yield from sorted(parts.items())

    def _check_hour(self, hour: str, parts: set[int], *, is_newest: bool) -> None:
        """Check the digests of an hour: its parts, which must have no gap, and the one with which it ends.

        The newest hour may have parts only, if it need not have a digest yet: the others are still being made.
        """
        is_unfinished = is_newest and 0 not in parts and bool(self._last) and hour > self._options.last_hour
        self._check_continuity(hour, counts=not is_unfinished)
        newest = max(parts)
        for part in range(1, newest + 1):
            self._check_digest(Name(hour, part), part)
        if not is_unfinished:
            self._check_digest(Name(hour, 0), newest + 1 if newest else 0)

    # --- digests ---

    def _check_continuity(self, hour: str, *, counts: bool) -> None:
        """Report the hours without a digest before this one. An unfinished hour does not count as the last one."""
        if self._last and following(self._last) != hour:
            self._report_missing(following(self._last), following(hour, -1))
        elif not self._last and self._options.since is not None and self._options.since < hour:
            self._report_missing(self._options.since, following(hour, -1))
        if counts:
            self._first = self._first or hour
            self._last = hour

    def _report_missing(self, first: str, last: str) -> None:
        self._report.finding(span(first, last), "the digest is missing" if first == last else "the digests are missing")

    def _check_digest(self, name: Name, part: int) -> None:
        """Check a digest. `part` is the number that it must have: 0 for an hour with one digest."""
        hour, place = name.hour, f"hours/{name.file}.json"
        content = self._read(place, "the digest is missing")
        signature = self._read(f"{place}.sig", "the digest has no signature")
        if content is None:
            self._previous = None
            return
        sha256 = hashlib.sha256(content).hexdigest()
        digest = self._parse(place, content, signature)
        if digest is not None:
            if digest.hour != hour:
                self._report.finding(place, f"the digest is of another hour, {digest.hour}")
            elif digest.name != name:
                self._report.finding(place, f"the digest has another place in its hour: it is that of {digest.name}")
            elif digest.part != part:
                of_hour = f"part {digest.part}" if digest.part else "the only digest"
                self._report.finding(place, f"it is {of_hour} of its hour, but {max(part - 1, 0)} parts are before it")
            self._check_previous(place, name, digest)
            self._check_objects(hour, digest)
        self._previous = (name, sha256, signature or b"")
        self._digests += 1
        if name.part:
            return
        self._check_root_file(hour, sha256)
        if sha256 in self._roots_to_meet:
            self._roots_to_meet.remove(sha256)
            print(
                f"{hour}: its digest is the root {sha256}, so history until the end of this hour is the published one"
            )

    def _read(self, name: str, missing: str) -> bytes | None:
        """Return a file of the digests. One that is missing is a finding, and an unreadable one cannot be checked."""
        path = self._options.digests / name
        try:
            require_file(path)
            if path.stat().st_size > MAX_DIGEST_BYTES:
                raise OSError(f"it has more than {MAX_DIGEST_BYTES:,} bytes")
            return path.read_bytes()
        except FileNotFoundError:
            self._report.finding(name, missing)
        except UnusableError as error:
            self._report.finding(name, str(error))
        except OSError as error:
            self._lacks_digest = True
            self._cannot_read(name, error)
        return None

    def _cannot_read(self, place: str, error: object) -> None:
        """Report a file that cannot be read. Its content may explain gaps, which then prove no tampering."""
        self._is_incomplete = True
        self._report.not_checked(place, f"it cannot be read ({error!s:.300})")

    def _finding_if_complete(self, place: str, text: str) -> None:
        """Report a finding that a file which could not be read may explain. With such a file it proves nothing."""
        if self._is_incomplete:
            self._report.not_checked(place, f"{text} (a file that could not be read may explain this)")
        else:
            self._report.finding(place, text)

    def _check_root_file(self, hour: str, sha256: str) -> None:
        """Compare the daily root of the copy, if it has one, with the digest of the last hour of the day."""
        name = f"roots/{hour[:10]}.txt"
        if hour.endswith("T23") and os.path.lexists(self._options.digests / name):
            line = self._read(name, "the daily root is missing")
            if line is not None and line.rstrip(b"\r\n") != f"{hour[:10]} {sha256}".encode():
                self._report.finding(name, f"it is not the hash of the digest of {hour}")

    def _parse(self, name: str, content: bytes, signature: bytes | None) -> Digest | None:
        """Return the digest, after its signature is checked. An altered digest is still used to find more."""
        try:
            digest = parse_digest(content)
        except UnusableError as error:
            if signature is not None and any(is_signed(k, signature, content) for k in self._options.keys.values()):
                self._is_incomplete = self._lacks_digest = True
                self._report.not_checked(name, f"its signature is right, but {error}")
            else:
                self._report.finding(name, f"the digest was changed: {error}")
            return None
        key = self._options.keys.get(digest.key_id)
        if key is None:
            self._report.finding(name, f"it names the key {digest.key_id}, which is not among the keys given by --key")
        elif signature is not None and not is_signed(key, signature, content):
            self._report.finding(name, "the signature does not fit: the digest or its signature was changed")
        return digest

    def _check_previous(self, place: str, name: Name, digest: Digest) -> None:
        hour, is_first = name.hour, digest.part <= 1
        if hour == self._first and is_first:
            if digest.previous is not None and self._options.since is None:
                self._report.finding(place, f"the digests before it are missing: it continues {digest.previous[0]}")
            return
        if digest.previous is None:
            self._report.finding(place, "it claims to be the first digest, but earlier ones exist")
            return
        before, sha256, signature = digest.previous
        expected = Name(following(hour, -1), 0) if is_first else Name(hour, digest.part - 1)
        if before != expected:
            which = "of the hour before" if is_first else f"of {expected}"
            self._report.finding(place, f"it continues the digest of {before}, and not {which}")
        elif self._previous is not None and self._previous[0] == before:
            if sha256 != self._previous[1]:
                self._report.finding(place, f"the digest of {before} before it is not the one that it continues")
            elif signature != self._previous[2]:
                self._report.finding(place, f"the signature of the digest of {before} before it was replaced")

    def _check_end(self) -> None:
        """Report a tail that was cut off, and roots that no digest has."""
        if self._last < self._options.last_hour:
            self._report_missing(following(self._last), self._options.last_hour)
        for root in sorted(self._roots_to_meet):
            self._report.finding(
                f"root {root}", "no digest has this hash: the digest is missing, or history was signed again"
            )

    # --- objects ---

    def _check_objects(self, hour: str, digest: Digest) -> None:
        before = self._store.flush()
        listed = {(entry.key, entry.sha256) for entry in digest.objects}
        for entry in digest.objects:
            self._check_object(hour, entry, listed)
            self._objects += 1
            self._report.progress(f"{hour}: {self._objects:,} objects, {self._records:,} records")
        self._store.flush()
        self._check_heads(hour, digest, before)

    def _check_object(self, hour: str, entry: Entry, listed: set[tuple[str, str]]) -> None:
        """Check that the copy has the object with the bytes that the digest lists, and read its records."""
        place = f"{entry.key} (version {entry.version_id}, digest of {hour})"
        actual = ""
        for path in (f"{OLDER}/{entry.version_id}/{entry.key}", entry.key):
            try:
                actual = file_sha256(self._options.archive / path) or actual
            except UnusableError as error:
                self._report.finding(place, str(error))
                self._store.add_file(path)
                return
            except OSError as error:
                self._cannot_read(place, error)
                self._store.add_file(path)
                return
            if actual == entry.sha256:
                self._store.add_file(path)
                self._read_object(place, path, entry, intact=True)
                return
        if not actual:
            self._report.finding(place, f"the object is missing; {contents(entry)}")
            return
        if (entry.key, actual) in listed:
            self._report.finding(place, f"this version of the object is missing; {contents(entry)}")
            return
        self._report.finding(place, f"its content was changed: the SHA-256 is {actual}, not {entry.sha256}")
        self._store.add_file(entry.key)
        if (self._options.archive / entry.key).is_file():
            self._read_object(place, entry.key, entry, intact=False)

    def _read_object(self, place: str, path: str, entry: Entry, *, intact: bool) -> None:
        """Read the records of an object. Of a changed one, read what is readable, to name the change."""
        self._store.add_object(entry.key)
        try:
            with gzip.open(self._options.archive / path) as lines:
                if entry.key.startswith("final/"):
                    self._read_final(place, lines, entry)
                else:
                    self._read_records(place, lines, entry)
        except (*CORRUPT, UnusableError) as error:
            if intact:
                self._report.not_checked(place, f"it has the bytes of the digest, but cannot be read ({error!s:.100})")
            else:
                self._report.finding(place, f"it cannot be read ({error!s:.100})")
        except OSError as error:
            self._cannot_read(place, error)

    def _read_records(self, place: str, lines: gzip.GzipFile, entry: Entry) -> None:
        first = last = None
        number = 0
        for number, line in enumerate(read_lines(lines), start=1):
            last = self._read_record(f"{place} line {number}", line, number)
            first = first or last
            if entry.records is not None and number > entry.records + EXTRA_LINES:
                raise UnusableError(f"it has many more records than the {entry.records:,} of its digest")
        if entry.records is None:
            raise UnusableError("its digest lists it as unreadable")
        if (number, first, last) != (entry.records, entry.first, entry.last):
            self._report.finding(place, f"it has {number:,} records, {first} to {last}; {contents(entry)}")

    def _read_record(self, place: str, line: bytes, number: int) -> Position:
        record = typed(json.loads(line), dict)
        try:
            at = parse_position(record)
            record_hash = parse_hash(record.pop("hash"))
            previous = "" if record["previous"] == "" else parse_hash(record["previous"])
        except KeyError as error:
            raise UnusableError(f"line {number} has no {error}") from error
        if canonical_sha256(record) != record_hash:
            self._report.finding(place, f"{at}: the record was changed, because it does not have its own hash")
        if canonical({**record, "hash": record_hash}) != line.rstrip(b"\n"):
            self._report.finding(place, f"{at}: the line is not in the documented form, so it can be read in two ways")
        self._store.add(at, False, record_hash, previous, number)
        self._records += 1
        return at

    def _read_final(self, place: str, content: gzip.GzipFile, entry: Entry) -> None:
        """Check a payment's final form against its key, and keep the hash of the record that it rests on."""
        line = read_all(content)
        form = typed(json.loads(line), dict)
        try:
            at = parse_position({"subject": form["payment_id"], "seq": form["version"]})
            head = parse_hash(form["audit_head"])
        except KeyError as error:
            raise UnusableError(f"it has no {error}") from error
        if entry.key.rpartition("/")[2][3:] != f"{at.subject}-v{at.seq}.json.gz":
            self._report.finding(place, f"it is the final form of {at}")
        if canonical(form) != line.rstrip(b"\n"):
            self._report.finding(place, "it is not in the documented form, so it can be read in two ways")
        self._store.add(at, True, head, canonical_sha256(form), 0)

    def _check_heads(self, hour: str, digest: Digest, before: int) -> None:
        """Check the heads file of an hour against the digest, and against the records of its objects."""
        key = f"heads/{Name(hour, digest.part).file}.jsonl.gz"
        path = self._options.digests / key
        try:
            sha256 = file_sha256(path)
        except UnusableError as error:
            self._report.finding(key, str(error))
            return
        except OSError as error:
            self._report.not_checked(key, f"it cannot be read ({error})")
            return
        if sha256 != digest.heads_sha256:
            self._report.finding(key, "the heads were changed" if sha256 else "the heads are missing")
            return
        try:
            with gzip.open(path) as lines:
                self._compare_heads(key, lines, before)
        except (*CORRUPT, UnusableError, KeyError) as error:
            self._report.not_checked(key, f"it cannot be read ({error!s:.100})")
        except OSError as error:
            self._report.not_checked(key, f"it cannot be read ({error})")

    def _compare_heads(self, key: str, lines: gzip.GzipFile, before: int) -> None:
        computed = self._store.heads(before)
        for line in read_lines(lines):
            head = typed(json.loads(line), dict)
            expected = (head["subject"], head["seq"], head["hash"])
            actual = next(computed, None)
            if actual != expected:
                held = f"{actual[0]} at {actual[1]}" if actual else "no further record"
                self._finding_if_complete(
                    key, f"the hour ends with {expected[0]} at {expected[1]}, but its objects have {held}"
                )
                return
        surplus = next(computed, None)
        if surplus:
            self._finding_if_complete(
                key, f"the objects of the hour have records of {surplus[0]}, which it does not name"
            )

    # --- the whole archive ---

    def _objects_of_copy(self) -> Iterator[str]:
        """Yield the paths of the objects of the copy, without files that lie elsewhere."""
        return (path for path in self._files() if path.partition("/")[0] in ("records", "final", OLDER))

    def _files(self) -> Iterator[str]:
        """Yield the paths of all files of the copy, and of links to folders, which are not followed."""
        for folder, folders, names in os.walk(self._options.archive, onerror=reraise):
            folders.sort()
            links = [name for name in folders if (Path(folder) / name).is_symlink()]
            for name in sorted(names + links):
                path = (Path(folder) / name).relative_to(self._options.archive).as_posix()
                yield os.fsencode(path).decode(errors="backslashreplace")

    def _check_files(self) -> None:
        """Report files that no digest explains. Those after the last digest are counted, because none can."""
        latest = (datetime.now(UTC) + timedelta(hours=1)).strftime(HOUR_FORMAT)
        for path in self._files():
            self._report.progress(f"looking for objects that no digest lists: {path}")
            if self._store.has_file(path):
                continue
            key = OBJECT_KEY.fullmatch(path.split("/", 2)[-1] if path.startswith(f"{OLDER}/") else path)
            hour = f"{key['day']}T{key['hour']}" if key else ""
            if (self._options.archive / path).is_dir():
                self._report.not_checked(path, "it is a link to a folder, which can hide objects: copy the folder")
            elif hour > latest:
                self._report.finding(path, "no digest lists this object, and its name has a time in the future")
            elif hour > self._last:
                self._newer += 1
            elif self._options.since is None or not hour or hour >= self._options.since:
                self._report_unlisted(path, hour)

    def _report_unlisted(self, path: str, hour: str) -> None:
        reason = "it was added later, or replaced"
        if hour == self._last:
            reason += ", or stored just after the hour (then a copy made after the next digest holds)"
        if self._lacks_digest:
            self._report.not_checked(path, "no digest lists this object, but a digest could not be read")
        else:
            self._report.finding(path, f"no digest lists this object: {reason}")

    def _check_chains(self) -> None:
        """Check that the records of each subject are numbered without a gap and chained by hash."""
        subject: str | None = None
        seq, hashes_before, hashes_here = 0, {""}, {""}
        for number, row in enumerate(self._store.rows()):
            self._report.progress(f"chains: {number:,} of {self._records:,} records")
            if row.subject != subject:
                subject, seq, hashes_before, hashes_here = row.subject, 0, {""}, {""}
                self._subjects += 1
                if self._options.since is not None:  # its earlier records are not in this copy
                    seq, hashes_here = (row.seq, {row.hash}) if row.is_final else (row.seq - 1, {row.previous})
            if row.is_final:
                self._check_final(row, seq, hashes_here)
            elif row.seq == seq and row.hash in hashes_here:
                continue  # delivered twice
            elif row.seq == seq:
                self._report.finding(f"{row.subject} position {seq}", f"two different records; one is in {row.place}")
                hashes_here.add(row.hash)
                self._check_link(row, hashes_before)
            else:
                is_gap = row.seq != seq + 1
                if is_gap and self._options.since is None:
                    self._report_gap(row, seq + 1)
                hashes_before, seq, hashes_here = hashes_here, row.seq, {row.hash}
                if not is_gap:
                    self._check_link(row, hashes_before)

    def _report_gap(self, row: Row, first: int) -> None:
        missing = f"position {first}" if row.seq - 1 == first else f"positions {first} to {row.seq - 1}"
        self._finding_if_complete(f"{row.subject} {missing}", f"missing; the record at {row.seq} is in {row.place}")

    def _check_link(self, row: Row, hashes_before: set[str]) -> None:
        if row.previous not in hashes_before:
            self._finding_if_complete(
                f"{row.subject} position {row.seq}", f"it does not continue the record before it ({row.place})"
            )

    def _check_final(self, row: Row, seq: int, hashes_here: set[str]) -> None:
        newest = (row.subject, row.seq, row.previous)
        if self._final is not None and self._final[:2] == newest[:2] and self._final != newest:
            self._report.finding(row.place, f"there are two different final forms of {row.subject} position {row.seq}")
        self._final = newest
        if row.seq != seq:
            if self._options.since is None:
                self._finding_if_complete(row.place, f"no record of {row.subject} has position {row.seq}")
        elif row.hash not in hashes_here:
            self._finding_if_complete(
                row.place, f"it does not rest on the record at position {row.seq} of {row.subject}"
            )

    def _summarize(self) -> None:
        print(
            f"{span(self._first, self._last)}: {self._digests:,} digests, {self._objects:,} objects, "
            f"{self._records:,} records of {self._subjects:,} subjects"
        )
        if self._newer:
            print(f"{self._newer:,} objects are newer than the last digest ({self._last}) and were not verified")
        if self._options.since is not None:
            print(f"Nothing before {self._options.since} was verified (--since)")
        if not self._options.roots:
            print(
                "No --root was given. Without a digest's hash from outside, this program cannot show that the holder "
                "of the signing key did not rewrite and sign the whole history again."
            )
        if self._previous:
            print(f"The digest of {self._previous[0]} has the hash {self._previous[1]}")


def is_hour(text: str) -> bool:
    """Whether the text names an hour that exists."""
    try:
        return HOUR.fullmatch(text) is not None and bool(parse_hour(text))
    except ValueError:
        return False


def reraise(error: OSError) -> None:
    """Stop at a folder that cannot be read: it could hide objects."""
    raise error


def contents(entry: Entry) -> str:
    """Return what a digest says about the records of an object."""
    if entry.records is None:
        return "its digest lists it as unreadable"
    return f"its digest lists {entry.records:,} records, {entry.first} to {entry.last}"


def canonical(body: dict[str, Any]) -> bytes:
    """Return JSON with sorted keys and no spaces."""
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def canonical_sha256(body: dict[str, Any]) -> str:
    """Return the hash of a record: SHA-256 of its JSON with sorted keys and no spaces."""
    return hashlib.sha256(canonical(body)).hexdigest()


def require_file(path: Path) -> None:
    """Raise `UnusableError` for a folder, pipe or device, which can be without end. Raises OSError."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise UnusableError("it is no file, but a folder, pipe or device")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex, or an empty text if there is no such file. Raises `UnusableError`."""
    total = hashlib.sha256()
    try:
        require_file(path)
        with path.open("rb") as content:
            while block := content.read(BLOCK_BYTES):
                total.update(block)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return total.hexdigest()


def read_lines(content: gzip.GzipFile) -> Iterator[bytes]:
    """Yield the lines of a compressed file. Raises `UnusableError` for a line that is too long."""
    while line := content.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES:
            raise UnusableError(f"a line has more than {MAX_LINE_BYTES:,} bytes")
        yield line


def read_all(content: gzip.GzipFile) -> bytes:
    """Return the content of a compressed file. Raises `UnusableError` if it is too long."""
    value = content.read(MAX_LINE_BYTES + 1)
    if len(value) > MAX_LINE_BYTES:
        raise UnusableError(f"it has more than {MAX_LINE_BYTES:,} bytes")
    return value


# --- the command line ---


def last_full_hour(until: str | None) -> str:
    """Return the last hour that ends at or before `until`; without it, that ended long enough ago for a digest."""
    moment = datetime.now(UTC) - DIGEST_DELAY
    if until is not None:
        moment = datetime.fromisoformat(until)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return (moment - timedelta(hours=1)).strftime(HOUR_FORMAT)


def parse_options(arguments: list[str] | None) -> Options:
    """Return the options of the command line. Exits with 2 if they are wrong. Raises `UnusableError`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--archive", type=Path, required=True, help="the copy of the archive bucket")
    parser.add_argument("--digests", type=Path, required=True, help="the copy of the digest bucket")
    parser.add_argument("--key", type=Path, required=True, action="append", help="a public key (PEM); repeatable")
    parser.add_argument("--root", action="append", default=[], help="a daily root from outside; repeatable")
    parser.add_argument("--until", help="the time of the copy in UTC, such as 2026-11-28T13 (default: now)")
    parser.add_argument("--since", help="the first hour to verify, if older objects have expired")
    options = parser.parse_args(arguments)
    roots = frozenset(root.split()[-1].lower() if root.split() else "" for root in options.root)
    if not all(HASH.fullmatch(root) for root in roots):
        parser.error("--root takes the hash of a daily root, 64 hexadecimal digits")
    if options.since is not None and not is_hour(options.since):
        parser.error("--since takes an hour in UTC such as 2026-11-28T13")
    try:
        last_hour = last_full_hour(options.until)
    except (ValueError, OverflowError):
        parser.error("--until takes a time in UTC such as 2026-11-28T13")
    for name in ("archive", "digests"):
        if not getattr(options, name).is_dir():
            raise UnusableError(f"--{name} {getattr(options, name)} is no folder")
    return Options(options.archive, options.digests, load_keys(options.key), roots, last_hour, options.since)


def main(arguments: list[str] | None = None) -> int:
    """Verify, print the result, and return the exit code."""
    report = Report()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options = parse_options(arguments)
        with tempfile.TemporaryDirectory(prefix="tuition-verify-", ignore_cleanup_errors=True) as folder:
            store = Store(folder)
            try:
                Verification(options, report, store).run()
            finally:
                store.close()
    except BrokenPipeError:
        raise
    except (UnusableError, OSError, sqlite3.Error) as error:
        report.not_checked("verification", str(error))
    result = {HOLDS: "HOLDS", DOES_NOT_HOLD: "DOES NOT HOLD", NOT_CHECKED: "COULD NOT BE CHECKED"}[report.exit_code]
    print(f"{result}: {report.findings:,} findings, {report.unchecked:,} parts that could not be checked")
    return report.exit_code


def program() -> int:
    """Run `main`. A run that was interrupted, or failed, could not check the archive: it did not find a change."""
    try:
        code = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("Interrupted: the archive was not checked.", file=sys.stderr)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (MemoryError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, AttributeError):
        traceback.print_exc()
        print("This is an error of this program: the archive was not checked.", file=sys.stderr)
    else:
        return code
    return NOT_CHECKED


if __name__ == "__main__":
    sys.exit(program())
