"""Export payments or plans that match a filter, or an accountant's files of a month, as CSV: order, make, download.

An HTTP API cannot stream and a Lambda response is limited to 6 MB, so an invocation of its own writes the file to S3
by multipart upload. The export's state is an object beside it, with the filter, the progress and a lease. Both expire
together. Each write of the state is conditional on the state that was read, so of two invocations that run the same
export one fails. An invocation that runs out of time stores the remainder that it has not uploaded, and stops. The
next request for the progress then invokes the function again, also after a crash once the lease has expired. At the
end the file is read back and its records are counted, so `rows` is what the file contains. The amounts of a statement
are added up again too.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

import csv
import json
import re
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any, Literal, cast, get_args

from botocore.exceptions import ClientError

from tuition import aws_client, clock
from tuition.core import timestamps
from tuition.core.audit import AuditEntry
from tuition.core.errors import NotFound, StripeUnavailable, TuitionError, Unprocessable
from tuition.core.stored import read
from tuition.settings import settings
from tuition.storage import ledger
from tuition.storage.queries import Cursor
from tuition.views import filters, payment_list, plan_list, plan_rows, recorded_reads, statement
from tuition.views.payment_json import FIELDS, Field, PaymentView
from tuition.views.spreadsheet import cell, encode
from tuition.views.statement import FileSums, Page, StatementTooLarge

State = Literal["waiting", "running", "paused", "done", "failed"]
ExportKind = Literal["payments", "plans", "statement", "payouts"]
LISTS = ("payments", "plans")
"""The kinds that have filters. The others have a month."""

PART_BYTES = 8 * 1024 * 1024
"""S3 requires 5 MiB per part, except for the last. At most 10,000 parts make 80 GB."""
PAGE = 100
LAST_S = 30.0
"""With less time than this an invocation pauses the export."""
READ_BACK_BYTES_S = 10_000_000
"""A safe estimate of how fast the file is read back."""
ADD_UP_BYTES_S = 3_000_000
"""The same for a statement, whose amounts are added up: 15 MB per second with a whole processor."""
REPORT_INTERVAL_S = 2.0
READ_TIMEOUT_S = 20
"""Of a call to S3 or Lambda."""
LINK_S = 300
STALE_AFTER_S = 15.0
"""An export without a lease and without news for this long is invoked again by the next request for its progress."""
TRIES = 5


HEADER = [
    name
    for column in FIELDS
    if column.csv
    for name in ([column.name, f"{column.name}_decimal"] if column.currency else [column.name])
]


class ExportTaken(TuitionError):
    """Another invocation is running this export."""


class ExportIncomplete(TuitionError):
    """The finished file differs from what was written."""


@dataclass(frozen=True)
class Export:
    """The state of one export, as stored.

    `kind` is what it contains: payments, plans, or of a month the statement or what its payouts include. `filters` are
    those of the list of payments or plans, or the month. `summary` has the sums of what is stored of a statement.
    `leased_until` and `updated_at` are epoch seconds, the other times RFC 3339. `rows` and `size` count what is stored
    (uploaded or in the remainder; uploaded), and `rows_found` may be ahead. `cursor` is after the last row stored;
    `walked` means that no page is left to read.
    """

    export_id: str
    by: str
    filters: Mapping[str, str]
    ordered_at: str
    state: State = "waiting"
    rows: int = 0
    size: int = 0
    rows_found: int = 0
    cursor: list[str] | None = None
    walked: bool = False
    has_remainder: bool = False
    upload_id: str | None = None
    parts: list[str] = field(default_factory=list)
    leased_until: float = 0.0
    updated_at: float = 0.0
    tries: int = 0
    done_at: str | None = None
    problem: str | None = None
    kind: ExportKind = "payments"
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """The name of the file among the export's objects."""
        return f"{self.kind}.csv"

    @property
    def is_list(self) -> bool:
        """Whether it contains what matches filters, and has no sums."""
        return self.kind in LISTS

    @property
    def is_final(self) -> bool:
        """Whether the export is done or has failed."""
        return self.state in ("done", "failed")

    def object_key(self, name: str) -> str:
        """Return the S3 key of one of the export's objects."""
        return f"exports/{self.export_id}/{name}"


# --- ordering and downloading ---


@aws_client.failures_as_unavailable("S3 or Lambda failed")
def order(body: Mapping[str, Any], staff: str, kind: object = "payments", month: object = None) -> dict[str, Any]:
    """Start an export of what matches these filters, or a file of a month. Raises `Unprocessable`."""
    if kind not in get_args(ExportKind):
        raise Unprocessable(f"kind must be one of {', '.join(get_args(ExportKind))}", field="kind")
    if kind in LISTS and month is not None:
        raise Unprocessable("month is for a statement or payouts. Use filters instead.", field="month")
    if kind not in LISTS and body:
        raise Unprocessable("A statement has no filters. Send a month.", field="filters")
    export_id = f"exp_{uuid.uuid4().hex}"
    now = timestamps.iso(clock.now())
    audited: dict[str, Any]
    if kind == "payments":
        parsed = filters.parse(_as_query(body, filters.FILTERS))
        _record_reads(parsed, staff)
        query = {n: json.dumps(v) if isinstance(v, (bool, int)) else v for n, v in parsed.to_json().items()}
        audited = {n: value for n, value in query.items() if n != "q"} | ({"searched": True} if parsed.q else {})
    elif kind == "plans":
        query = _as_query(body, plan_rows.FILTERS)
        plan_list.parse(query)
        audited = {**query, "kind": kind} | ({"plan_kind": query["kind"]} if "kind" in query else {})
    else:
        query = {"month": statement.parse_month(month, clock.now())}
        audited = {"kind": kind, **query}
    entry = AuditEntry(now, f"export:{export_id}", "export.ordered", "staff", staff)
    ledger.record_for_user(staff, entry, {"export": audited})
    export = Export(export_id, staff, query, now, updated_at=clock.now(), kind=cast(ExportKind, kind))
    _s3().put_object(Bucket=settings().exports_bucket, Key=export.object_key("state.json"), Body=_body(export))
    invoke(export_id)
    return _to_json(export)


def _record_reads(parsed: filters.Filters, staff: str) -> None:
    """Record whom an export with a search is about, as for the search itself: the people on its first page.

    More people than that are no read of one person's data.
    """
    if parsed.q:
        views, _ = payment_list.page(parsed, PAGE, None)
        recorded_reads.record(staff, (view.payment.user_id for view in views))


def _as_query(body: Mapping[str, Any], names: Collection[str]) -> dict[str, str]:
    """Return the filters of a body, of those with these names, as they are written in a query."""
    query = {}
    for name, value in body.items():
        if name not in names:
            raise Unprocessable(f"{name[:40]!r} is not a filter", field="filters")
        if value is not None:
            if not isinstance(value, (str, int)):
                raise Unprocessable(f"{name} must be a text, a number, or true or false", field="filters")
            query[name] = json.dumps(value) if isinstance(value, (bool, int)) else value
    return query


@aws_client.failures_as_unavailable("S3 or Lambda failed")
def progress(export_id: str, staff: str) -> dict[str, Any]:
    """Return an export, with a link once it is done. Resume it if it is paused or stale. Raises `NotFound`."""
    if not re.fullmatch(r"exp_[0-9a-f]{32}", export_id):
        raise NotFound("You have no such export.")
    try:
        export, _ = _load(export_id)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchKey", "404"):
            raise
        raise NotFound("You have no such export, or it has expired. Start a new one.") from error
    if export.by != staff:
        raise NotFound("You have no such export.")
    now = clock.now()
    needs_invocation = export.state == "paused" or now - export.updated_at > STALE_AFTER_S
    if not export.is_final and needs_invocation and export.leased_until < now:
        invoke(export_id)
    return _to_json(export)


def _to_json(export: Export) -> dict[str, Any]:
    """Return an export as the API shows it. `rows` are those in the file, or those found so far."""
    done = export.state == "done"
    return {
        "export_id": export.export_id,
        "kind": export.kind,
        "state": {"paused": "running"}.get(export.state, export.state),
        "filters": dict(export.filters),
        "rows": export.rows if done else export.rows_found,
        "bytes": export.size if done else None,
        "ordered_at": export.ordered_at,
        "done_at": export.done_at,
        "problem": export.problem,
        "url": _link(export) if done else None,
        "url_expires_at": timestamps.iso(clock.now() + LINK_S) if done else None,
        **statement.to_json(export.kind if done else "payments", export.filters, export.ordered_at, export.summary),
    }


def _link(export: Export) -> str:
    of = export.kind if export.is_list else f"{export.kind}-{export.filters['month']}"
    name = f"{of}-{export.ordered_at[:19].replace(':', '')}.csv"
    params = {"Bucket": settings().exports_bucket, "Key": export.object_key(export.file_name)}
    params["ResponseContentDisposition"] = f'attachment; filename="{name}"'
    return str(_s3().generate_presigned_url("get_object", Params=params, ExpiresIn=LINK_S))


def invoke(export_id: str) -> None:
    """Start an invocation of the export function for this export."""
    payload = json.dumps({"export_id": export_id}).encode()
    _lambda().invoke(FunctionName=settings().export_function, InvocationType="Event", Payload=payload)


# --- writing the file ---


@aws_client.failures_as_unavailable("S3 or Lambda failed")
def make(export_id: str, remaining_s: Callable[[], float]) -> Export:
    """Run or resume an export until it is done or time runs short. Raises `ExportTaken`."""
    export, etag = _load(export_id)
    if export.is_final:
        return export
    if export.leased_until > clock.now():
        raise ExportTaken(f"{export_id} is being made by another invocation")
    run = _Run(export, etag, remaining_s)
    run.acquire_lease()
    try:
        run.write_file()
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchUpload":
            raise
        run.restart()
    except StatementTooLarge as error:
        run.store(state="failed", problem=str(error))
    finally:
        run.release_lease()
    return run.export


class _Run:
    """One invocation's work on an export.

    `export` is the state as stored. Rows found since then are in the buffer of `write_file`.
    """

    def __init__(self, export: Export, etag: str, remaining_s: Callable[[], float]) -> None:
        self.export = export
        self.etag = etag
        self.remaining_s = remaining_s
        self.reported_at = 0.0
        self.s3 = _s3()
        self.bucket = settings().exports_bucket

    def acquire_lease(self) -> None:
        """Take the lease for as long as this invocation can live. Raises `ExportTaken`.

        Fails the export after `TRIES` invocations without progress.
        """
        if self.export.tries >= TRIES:
            self.store(state="failed", problem="The export failed. See the log of the export function.")
            return
        leased_until = clock.now() + self.remaining_s()
        self.store(state="running", leased_until=leased_until, tries=self.export.tries + 1)

    def release_lease(self) -> None:
        if not self.export.is_final:
            self.store(leased_until=0.0)

    def restart(self) -> None:
        """Start over, because the upload is missing: completed before its state was saved, or removed after a day."""
        self.store(
            upload_id=None,
            parts=[],
            cursor=None,
            walked=False,
            has_remainder=False,
            rows=0,
            size=0,
            rows_found=0,
            summary={},
            state="paused",
        )

    def store(self, **changes: Any) -> None:
        """Store the state unless another invocation has changed it since it was read. Raises `ExportTaken`."""
        export = replace(self.export, **changes, updated_at=clock.now())
        try:
            response = self.s3.put_object(
                Bucket=self.bucket, Key=export.object_key("state.json"), Body=_body(export), IfMatch=self.etag
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise ExportTaken(f"{export.export_id} was taken by another invocation") from error
            raise
        self.export, self.etag = export, response["ETag"]

    def write_file(self) -> None:
        if self.export.is_final:
            return
        if self.export.upload_id is None:
            params = {"Bucket": self.bucket, "Key": self.export.object_key(self.export.file_name)}
            upload = self.s3.create_multipart_upload(**params, ContentType="text/csv; charset=utf-8")
            self.store(upload_id=upload["UploadId"])
        buffer, progress = self.remainder(), _Progress.of(self.export)
        while not progress.walked:
            if self.remaining_s() < LAST_S:
                self.pause(buffer, progress)
                return
            try:
                page = _page(self.export, progress)
            except StripeUnavailable:
                if progress == _Progress.of(self.export):
                    raise  # nothing new: this counts as a try
                self.pause(buffer, progress)
                return
            buffer += encode(page.rows)
            progress = _Progress(progress.rows + len(page.rows), page.cursor, page.cursor is None, page.summary)
            if len(buffer) >= PART_BYTES:
                self.upload(buffer, progress)
                buffer = b""
            elif clock.now() - self.reported_at > REPORT_INTERVAL_S:
                self.reported_at = clock.now()
                self.store(rows_found=progress.rows)
        bytes_s = READ_BACK_BYTES_S if self.export.is_list else ADD_UP_BYTES_S
        if self.remaining_s() < 5 + (self.export.size + len(buffer)) // bytes_s:
            self.pause(buffer, progress)
        else:
            self.finish(buffer, progress)

    def remainder(self) -> bytes:
        """Return what an earlier invocation did not upload; for a new file the byte order mark and the header row."""
        if self.export.has_remainder:
            return bytes(self.s3.get_object(Bucket=self.bucket, Key=self.export.object_key("rest.csv"))["Body"].read())
        header = {"payments": HEADER, "plans": plan_rows.HEADER}.get(self.export.kind, statement.HEADER)
        return b"" if self.export.parts else "\ufeff".encode() + encode([header])

    def pause(self, buffer: bytes, progress: "_Progress") -> None:
        """Store the buffer and the cursor, so that the next invocation can continue."""
        self.s3.put_object(Bucket=self.bucket, Key=self.export.object_key("rest.csv"), Body=buffer)
        self.store(**progress.changes(), state="paused", has_remainder=True)

    def upload(self, buffer: bytes, progress: "_Progress") -> None:
        """Upload the buffer as the next part, and save the progress that it completes."""
        number = len(self.export.parts) + 1
        part = self.s3.upload_part(**self.upload_params(), PartNumber=number, Body=buffer)
        parts, size = [*self.export.parts, part["ETag"]], self.export.size + len(buffer)
        self.store(**progress.changes(), parts=parts, size=size, has_remainder=False)

    def upload_params(self) -> dict[str, Any]:
        object_key = self.export.object_key(self.export.file_name)
        return {"Bucket": self.bucket, "Key": object_key, "UploadId": self.export.upload_id}

    def finish(self, buffer: bytes, progress: "_Progress") -> None:
        """Complete the upload and check that the file contains every row and adds up. Raises `ExportIncomplete`."""
        if buffer:
            self.upload(buffer, progress)
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(self.export.parts, 1)]
        self.s3.complete_multipart_upload(**self.upload_params(), MultipartUpload={"Parts": parts})
        size, rows, sums = self.read_back()
        if (size, rows) != (self.export.size, self.export.rows):
            raise ExportIncomplete(
                f"the file has {rows} rows and {size} bytes, not {self.export.rows} and {self.export.size}"
            )
        if not statement.adds_up(self.export.kind, sums, self.export.summary):
            raise ExportIncomplete("the rows of the file do not add up to its sums")
        self.store(state="done", done_at=timestamps.iso(clock.now()), leased_until=0.0)

    def read_back(self) -> tuple[int, int, FileSums]:
        """Return the number of bytes and of records in the finished file, and the sums of a statement's records."""
        response = self.s3.get_object(Bucket=self.bucket, Key=self.export.object_key(self.export.file_name))
        lines = (line.decode("utf-8-sig") for line in response["Body"].iter_lines(chunk_size=1 << 20, keepends=True))
        if self.export.is_list:
            return int(response["ContentLength"]), sum(1 for _ in csv.reader(lines)) - 1, FileSums([], [])
        sums = statement.file_sums(csv.DictReader(lines))
        return int(response["ContentLength"]), sum(one.lines for one in sums.sums), sums


@dataclass(frozen=True)
class _Progress:
    """The rows found so far, the position after them, and their summary. `walked`: no page is left to read."""

    rows: int
    cursor: list[str] | None
    walked: bool
    summary: Mapping[str, Any]

    @classmethod
    def of(cls, export: Export) -> "_Progress":
        """Return the progress that is stored."""
        return cls(export.rows, export.cursor, export.walked, export.summary)

    def changes(self) -> dict[str, Any]:
        """Return the state of an export that has made progress: the next failure is its first."""
        return {**vars(self), "rows_found": self.rows, "tries": 0}


def _page(export: Export, progress: _Progress) -> Page:
    """Read the next page of what the export contains."""
    if export.kind == "payments":
        cursor = Cursor(*progress.cursor) if progress.cursor else None
        views, last = payment_list.find(filters.parse(export.filters), PAGE, cursor, steady=True)
        return Page([row(view) for view in views], [last.stage, last.sort_key, last.item_id] if last else None, {})
    if export.kind == "plans":
        rows, cursor_after = plan_rows.page(export.filters, progress.cursor)
        return Page(rows, cursor_after, {})
    read_page = statement.statement_page if export.kind == "statement" else statement.payouts_page
    return read_page(export.filters["month"], export.ordered_at, progress.cursor, progress.summary)


# --- rows ---


def row(view: PaymentView) -> list[str | int]:
    """Return the cells of a payment, in the order of `HEADER`.

    Amounts are in minor units. Their decimal twins are numbers, also below zero.
    """
    return [cell for column in FIELDS if column.csv for cell in _cells(column, view)]


def _cells(column: Field, view: PaymentView) -> list[str | int]:
    value = cell(column.value(view))
    return [value, column.decimal(view) or ""] if column.currency else [value]


# --- S3 and Lambda ---


def _load(export_id: str) -> tuple[Export, str]:
    object_key = Export(export_id, "", {}, "").object_key("state.json")
    response = _s3().get_object(Bucket=settings().exports_bucket, Key=object_key)
    return read(Export, json.loads(response["Body"].read())), response["ETag"]


def _body(export: Export) -> bytes:
    return json.dumps(asdict(export)).encode()


@cache
def _s3() -> Any:
    """Return a client that signs with version 4 for the region's endpoint. S3 refuses links signed for another."""
    return aws_client.create(
        "s3", read_timeout_s=READ_TIMEOUT_S, signature_version="s3v4", s3={"addressing_style": "virtual"}
    )


@cache
def _lambda() -> Any:
    return aws_client.create("lambda", read_timeout_s=READ_TIMEOUT_S)
