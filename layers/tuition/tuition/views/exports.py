"""All that a filter finds as a CSV file: ordered by staff, made by an invocation of its own, fetched by a signed link.

An HTTP API cannot stream and a Lambda answers 6 MB, so the file grows in S3 by multipart upload. Beside it lies its
state: how far it is, who is making it until when, and the filter. Both expire together. Each write of the state is
conditional on the one that was read, so that of two who make the same export one wins. Whoever runs out of time keeps
what is not uploaded yet (`rest`) and stops; asking for the progress has it made on, and a maker that died is
followed by another when its lease has ended. Finished, the file is read again and its records are counted: what
is answered as `rows` is what is in the file.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html,
https://owasp.org/www-community/attacks/CSV_Injection, https://www.rfc-editor.org/rfc/rfc4180
"""

import csv
import io
import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any, Literal

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from tuition import clock
from tuition.core import timestamps
from tuition.core.audit import AuditEntry
from tuition.core.errors import NotFound, TuitionError, Unprocessable
from tuition.settings import settings
from tuition.storage import ledger
from tuition.storage.queries import Cursor
from tuition.views import filters, payment_list
from tuition.views.payment_json import FIELDS, PaymentView

State = Literal["waiting", "running", "paused", "done", "failed"]

PART_BYTES = 8 * 1024 * 1024
"""S3 takes parts from 5 MiB on, but for the last; 10,000 of these are 80 GB."""
PAGE = 100
LAST_S = 30.0
"""With less than this left of an invocation the rest is for the next."""
READ_BACK_BYTES_S = 10_000_000
"""As fast as a file is surely read again."""
SAY_AFTER_S = 2.0
LINK_S = 300
WAIT_S = 15.0
"""So long after it was ordered or last heard of, an export that nobody makes is begun again by who asks for it."""
TRIES = 5
FORMULA = frozenset("=+-@\t\r\n＝＋－＠")
"""Spreadsheets take what begins with one of these for a formula, or for the end of the cell."""

COLUMNS = tuple(field for field in FIELDS if field.csv)


class ExportTaken(TuitionError):
    """Somebody else is making this export."""


class ExportIncomplete(TuitionError):
    """The finished file is not what was written."""


@dataclass(frozen=True)
class Export:
    """The state of one export. Times are RFC 3339, `held_until` epoch seconds; `place` is after the last row kept."""

    export_id: str
    by: str
    filters: Mapping[str, str]
    ordered_at: str
    state: State = "waiting"
    rows: int = 0
    size: int = 0
    found: int = 0
    place: list[str] | None = None
    walked: bool = False
    rest: bool = False
    upload_id: str | None = None
    parts: list[str] = field(default_factory=list)
    held_until: float = 0.0
    heard_at: float = 0.0
    tries: int = 0
    done_at: str | None = None
    problem: str | None = None

    @property
    def over(self) -> bool:
        """Nothing more will be done for it: it is done or has failed."""
        return self.state in ("done", "failed")

    def key(self, name: str) -> str:
        """The key of one of its objects in the bucket."""
        return f"exports/{self.export_id}/{name}"


# --- ordering and fetching ---


def order(asked: Mapping[str, Any], staff: str) -> dict[str, Any]:
    """Begin an export of all that these filters find. Raises `Unprocessable`."""
    wanted = filters.parse(_as_query(asked))
    export_id = f"exp_{uuid.uuid4().hex}"
    now = timestamps.iso(clock.now())
    written = {n: json.dumps(v) if isinstance(v, (bool, int)) else v for n, v in wanted.to_json().items()}
    what = {name: value for name, value in written.items() if name != "q"} | ({"searched": True} if wanted.q else {})
    entry = AuditEntry(now, f"export:{export_id}", "export.ordered", "staff", staff)
    ledger.record_for_user(staff, entry, {"export": what})
    made = Export(export_id, staff, written, now, heard_at=clock.now())
    _s3().put_object(Bucket=settings().exports_bucket, Key=made.key("state.json"), Body=_body(made))
    invoke(export_id)
    return shown(made)


def _as_query(asked: Mapping[str, Any]) -> dict[str, str]:
    """Filters of a body, as a query has them."""
    found = {}
    for name, value in asked.items():
        if name not in filters.FILTERS or name in ("limit", "cursor"):
            raise Unprocessable(f"{name[:40]!r} is not a filter", field="filters")
        if value is not None:
            if not isinstance(value, (str, int)):
                raise Unprocessable(f"the filter {name} must be a text, a number, or true or false", field="filters")
            found[name] = json.dumps(value) if isinstance(value, (bool, int)) else value
    return found


def progress(export_id: str, staff: str) -> dict[str, Any]:
    """How far an export is; done, with a link to it. One that nobody makes is made on. Raises `NotFound`."""
    if not re.fullmatch(r"exp_[0-9a-f]{32}", export_id):
        raise NotFound("there is no such export of yours")
    try:
        export, _ = _load(export_id)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchKey", "404"):
            raise
        raise NotFound("there is no such export of yours, or it has expired") from error
    if export.by != staff:
        raise NotFound("there is no such export of yours")
    now = clock.now()
    left_alone = export.state == "paused" or now - export.heard_at > WAIT_S
    if not export.over and left_alone and export.held_until < now:
        invoke(export_id)
    return shown(export)


def shown(export: Export) -> dict[str, Any]:
    """An export as the API shows it; `rows` are those in the file, or found so far."""
    done = export.state == "done"
    return {
        "export_id": export.export_id,
        "state": {"paused": "running"}.get(export.state, export.state),
        "filters": dict(export.filters),
        "rows": export.rows if done else export.found,
        "bytes": export.size if done else None,
        "ordered_at": export.ordered_at,
        "done_at": export.done_at,
        "problem": export.problem,
        "url": _link(export) if done else None,
        "url_expires_at": timestamps.iso(clock.now() + LINK_S) if done else None,
    }


def _link(export: Export) -> str:
    name = f"payments-{export.ordered_at[:19].replace(':', '')}.csv"
    asked = {"Bucket": settings().exports_bucket, "Key": export.key("payments.csv")}
    asked["ResponseContentDisposition"] = f'attachment; filename="{name}"'
    return str(_s3().generate_presigned_url("get_object", Params=asked, ExpiresIn=LINK_S))


def invoke(export_id: str) -> None:
    """Have an invocation of its own make this export."""
    payload = json.dumps({"export_id": export_id}).encode()
    _lambda().invoke(FunctionName=settings().export_function, InvocationType="Event", Payload=payload)


# --- making ---


def make(export_id: str, remaining_s: Callable[[], float]) -> Export:
    """Make an export, or go on with it, until it is whole or the time is short. Raises `Taken`."""
    export, etag = _load(export_id)
    if export.over:
        return export
    if export.held_until > clock.now():
        raise ExportTaken(f"{export_id} is being made by another invocation")
    making = _Making(export, etag, remaining_s)
    making.claim()
    try:
        making.run()
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchUpload":
            raise
        making.begin_anew()
    finally:
        making.release()
    return making.export


class _Making:
    """One invocation's work on an export. `export` is what is kept; the buffer is what came after it."""

    def __init__(self, export: Export, etag: str, remaining_s: Callable[[], float]) -> None:
        self.export = export
        self.etag = etag
        self.remaining_s = remaining_s
        self.said_at = 0.0
        self.s3 = _s3()
        self.bucket = settings().exports_bucket

    def claim(self) -> None:
        """Nobody else makes it while this invocation can live. Raises `Taken`."""
        if self.export.tries >= TRIES:
            self.keep(state="failed", problem="it could not be made: see the log of the export function")
            return
        held_until = clock.now() + self.remaining_s()
        self.keep(state="running", held_until=held_until, tries=self.export.tries + 1)

    def release(self) -> None:
        if not self.export.over:
            self.keep(held_until=0.0)

    def begin_anew(self) -> None:
        """The upload is gone: it was finished before it could be kept, or has been left for a day."""
        self.keep(
            upload_id=None, parts=[], place=None, walked=False, rest=False, rows=0, size=0, found=0, state="paused"
        )

    def keep(self, **changed: Any) -> None:
        """Write the state, if it is still the one that was read. Raises `Taken`."""
        export = replace(self.export, **changed, heard_at=clock.now())
        try:
            answer = self.s3.put_object(
                Bucket=self.bucket, Key=export.key("state.json"), Body=_body(export), IfMatch=self.etag
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise ExportTaken(f"{export.export_id} was taken by another invocation") from error
            raise
        self.export, self.etag = export, answer["ETag"]

    def run(self) -> None:
        if self.export.over:
            return
        if self.export.upload_id is None:
            asked = {"Bucket": self.bucket, "Key": self.export.key("payments.csv")}
            upload = self.s3.create_multipart_upload(**asked, ContentType="text/csv; charset=utf-8")
            self.keep(upload_id=upload["UploadId"])
        wanted = filters.parse(self.export.filters)
        buffer, found = self.rest(), self.export.rows
        place = Cursor(*self.export.place) if self.export.place else None
        walked = self.export.walked
        while not walked:
            if self.remaining_s() < LAST_S:
                self.pause(buffer, found, place)
                return
            rows, place = payment_list.find(wanted, PAGE, place, steady=True)
            buffer += encode([row(one) for one in rows])
            found, walked = found + len(rows), place is None
            if len(buffer) >= PART_BYTES:
                self.upload(buffer, found, place, walked=walked)
                buffer = b""
            elif clock.now() - self.said_at > SAY_AFTER_S:
                self.said_at = clock.now()
                self.keep(found=found)
        if self.remaining_s() < 5 + (self.export.size + len(buffer)) // READ_BACK_BYTES_S:
            self.pause(buffer, found, None, walked=True)
        else:
            self.finish(buffer, found)

    def rest(self) -> bytes:
        """What an earlier invocation had and did not upload; at first, the mark of UTF-8 and the names."""
        if self.export.rest:
            return bytes(self.s3.get_object(Bucket=self.bucket, Key=self.export.key("rest.csv"))["Body"].read())
        return b"" if self.export.parts else "\ufeff".encode() + encode([[column.name for column in COLUMNS]])

    def pause(self, buffer: bytes, found: int, place: Cursor | None, *, walked: bool = False) -> None:
        """The time is short: keep all that the next invocation needs to go on."""
        self.s3.put_object(Bucket=self.bucket, Key=self.export.key("rest.csv"), Body=buffer)
        kept = {"rows": found, "found": found, "place": _cursor_json(place), "walked": walked}
        self.keep(state="paused", rest=True, tries=0, **kept)

    def upload(self, buffer: bytes, found: int, place: Cursor | None, *, walked: bool) -> None:
        """One more part: what is kept afterwards is all that it ends with."""
        number = len(self.export.parts) + 1
        part = self.s3.upload_part(**self.of_upload(), PartNumber=number, Body=buffer)
        kept = {
            "rows": found,
            "found": found,
            "place": _cursor_json(place),
            "rest": False,
            "walked": walked,
            "tries": 0,
        }
        self.keep(parts=[*self.export.parts, part["ETag"]], size=self.export.size + len(buffer), **kept)

    def of_upload(self) -> dict[str, Any]:
        key = self.export.key("payments.csv")
        return {"Bucket": self.bucket, "Key": key, "UploadId": self.export.upload_id}

    def finish(self, buffer: bytes, found: int) -> None:
        """Put the parts together, and see that the file has all that was found."""
        if buffer:
            self.upload(buffer, found, None, walked=True)
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(self.export.parts, 1)]
        self.s3.complete_multipart_upload(**self.of_upload(), MultipartUpload={"Parts": parts})
        size, rows = self.read_back()
        if (size, rows) != (self.export.size, self.export.rows):
            raise ExportIncomplete(
                f"the file has {rows} rows and {size} bytes, not {self.export.rows} and {self.export.size}"
            )
        self.keep(state="done", done_at=timestamps.iso(clock.now()), held_until=0.0)

    def read_back(self) -> tuple[int, int]:
        """The bytes and the records in the finished file."""
        answer = self.s3.get_object(Bucket=self.bucket, Key=self.export.key("payments.csv"))
        lines = (line.decode() for line in answer["Body"].iter_lines(chunk_size=1 << 20, keepends=True))
        return int(answer["ContentLength"]), sum(1 for _ in csv.reader(lines)) - 1


def _cursor_json(cursor: Cursor | None) -> list[str] | None:
    return [cursor.stage, cursor.sort_key, cursor.item_id] if cursor else None


# --- rows ---


def row(view: PaymentView) -> list[str | int]:
    """Return the cells of a payment, in the order of `COLUMNS`. Amounts are in minor units."""
    return [_cell(column.value(view)) for column in COLUMNS]


def _cell(value: Any) -> str | int:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return harmless(" ".join(value))
    return value if isinstance(value, int) else harmless(value or "")


def harmless(cell: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] in FORMULA or cell.lstrip()[:1] in FORMULA else cell


def encode(rows: list[list[str | int]] | list[list[str]]) -> bytes:
    """Rows as RFC 4180 has them, in UTF-8."""
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue().encode("utf-8", "replace")


# --- S3 and Lambda ---


def _load(export_id: str) -> tuple[Export, str]:
    key = Export(export_id, "", {}, "").key("state.json")
    answer = _s3().get_object(Bucket=settings().exports_bucket, Key=key)
    return Export(**json.loads(answer["Body"].read())), answer["ETag"]


def _body(export: Export) -> bytes:
    return json.dumps(asdict(export)).encode()


@cache
def _s3() -> Any:
    """Signed with version 4, for the region's own endpoint: what is signed for another is refused."""
    config = _config(signature_version="s3v4", s3={"addressing_style": "virtual"})
    return botocore.session.get_session().create_client("s3", config=config)


@cache
def _lambda() -> Any:
    return botocore.session.get_session().create_client("lambda", config=_config())


def _config(**more: Any) -> Config:
    return Config(connect_timeout=2, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3}, **more)
