"""CSV exports of a filter's payments: complete, safe in a spreadsheet, and only for the user who ordered one."""

import csv
import io
import json
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

import export
from tests import permissions, plan_calls
from tests.harness import Harness, Student
from tests.tables.test_admin import buy_track
from tests.tables.test_plans import member
from tuition import clock, log
from tuition.core import timestamps
from tuition.core.errors import Contended
from tuition.core.facts import Balance, Facts, Refund, Settled
from tuition.core.money import Money
from tuition.core.payment import Payment, Terms
from tuition.core.refund_request import RefundRequest, State
from tuition.storage import dynamodb, keys, ledger, mapping, queries
from tuition.views import exports, payment_list, plan_rows, spreadsheet
from tuition.views.payment_json import PaymentView

ORDER = "POST /api/admin/exports"
ONE = "GET /api/admin/exports/{export_id}"
BUCKET = "exports"


class Context:
    """The context of an invocation with this many seconds left. Each reading of the remaining time takes one."""

    def __init__(self, seconds: float) -> None:
        self.remaining_s = seconds

    def get_remaining_time_in_millis(self) -> float:
        self.remaining_s -= 1
        return self.remaining_s * 1000


class ExportFiles:
    """The bucket with the exports, and the invocations that were requested."""

    def __init__(self, s3: Any) -> None:
        self.s3 = s3
        self.requested: list[str] = []
        self.payment_ids: list[str] = []

    def run(self, seconds: float = 900) -> list[dict[str, Any]]:
        """Run the requested invocations, as Lambda would."""
        requested, self.requested = self.requested, []
        with permissions.acting_as(export.handler):
            return [export.handler({"export_id": export_id}, Context(seconds)) for export_id in requested]

    def table(self, export_id: str, name: str = "payments") -> list[dict[str, str]]:
        body = self.s3.get_object(Bucket=BUCKET, Key=f"exports/{export_id}/{name}.csv")["Body"].read()
        assert body.startswith(b"\xef\xbb\xbf")
        return list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline="")))


@cache
def s3_client() -> Any:
    """Return one client for all tests, because creating it reads the model of all of S3. Only `mock_aws` answers it."""
    return boto3.client("s3", region_name="us-east-1", config=Config(signature_version="s3v4"))


@pytest.fixture
def files(client: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExportFiles]:
    with mock_aws():
        s3 = s3_client()
        s3.create_bucket(Bucket=BUCKET)
        files = ExportFiles(s3)
        monkeypatch.setattr(exports, "_s3", lambda: s3)
        monkeypatch.setattr(exports, "invoke", lambda export_id: files.requested.append(export_id))
        yield files
        for start in range(0, len(files.payment_ids), 25):
            deletes = [{"DeleteRequest": {"Key": keys.payment_key(i)}} for i in files.payment_ids[start : start + 25]]
            client.batch_write_item(RequestItems={"payments": deletes})
        for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            s3.delete_object(Bucket=BUCKET, Key=item["Key"])
        s3.delete_bucket(Bucket=BUCKET)


def order_export(tuition: Harness, user: Student, **filters: Any) -> str:
    response = tuition.admin(user, ORDER, {"filters": filters})
    assert response.status == 202, response.body
    return str(response.body["export_id"])


def export_status(tuition: Harness, user: Student, export_id: str) -> dict[str, Any]:
    response = tuition.admin(user, ONE, export_id=export_id)
    assert response.status == 200
    return dict(response.body)


def store_payments(
    tuition: Harness, files: ExportFiles, user: str, number: int, refund_reason: str | None = None
) -> None:
    """Store this many payments of one user, bypassing the ledger. The `files` fixture deletes them after the test."""
    reason = {"re_1": Refund("succeeded", 1, 0, refund_reason)} if refund_reason else {}
    requests = []
    for i in range(number):
        at = timestamps.iso(clock.now() - i)
        payment = Payment(
            payment_id=f"pay_{user.replace('-', '')}{i:05d}", user_id=user, track="DP", kind="intent", attempt=i + 1,
            stripe_object_id=f"pi_{i}", price=Money(49900, "usd"), created_at=at, updated_at=at,
            email=f"{user}@example.org",
            facts=Facts(refunds=reason),
        )  # fmt: skip
        item = mapping.payment_to_item(payment, clock.now(), [])
        requests.append({"PutRequest": {"Item": dynamodb.to_raw(item)}})
        files.payment_ids.append(payment.payment_id)
    for start in range(0, number, 25):
        tuition.tables.batch_write_item(RequestItems={"payments": requests[start : start + 25]})


def test_an_export_contains_every_payment_that_matches_its_filter(
    tuition: Harness, files: ExportFiles, student: Student, admin: Student
) -> None:
    first, second = buy_track(tuition, student, "DP"), buy_track(tuition, student, "FSD")
    tuition.create(Student(student.sub + "-b"), "DP")
    export_id = order_export(tuition, admin, q=student.sub, status="SUCCEEDED", amount_min=1)
    pending = export_status(tuition, admin, export_id)
    assert (pending["state"], pending["url"]) == ("waiting", None)
    assert files.run() == [{"state": "done", "rows": 2}]
    status = export_status(tuition, admin, export_id)
    assert (status["state"], status["rows"]) == ("done", 2)
    rows = {row["payment_id"]: row for row in files.table(export_id)}
    assert set(rows) == {first["payment_id"], second["payment_id"]}
    first_row = rows[first["payment_id"]]
    assert (first_row["amount"], first_row["currency"], first_row["status"]) == ("49900", "usd", "SUCCEEDED")
    assert (first_row["method_last4"], first_row["refunded"], first_row["refundable_amount"]) == ("4242", "no", "49900")
    assert first_row["stripe_payment_intent"] == first["payment_intent_id"]
    link = urlsplit(status["url"])
    assert parse_qs(link.query)["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert parse_qs(link.query)["X-Amz-Expires"] == ["300"]
    assert "attachment" in parse_qs(link.query)["response-content-disposition"][0]


def test_an_export_says_what_was_asked_received_and_refunded_and_when(
    tuition: Harness, files: ExportFiles, student: Student, admin: Student
) -> None:
    payment_id = buy_track(tuition, student, "DP")["payment_id"]
    unpaid = tuition.create(student, "FSD").body["payment_id"]
    tuition.admin(
        admin,
        "POST /api/admin/payments/{payment_id}/refunds",
        {"amount": 100, "reason": "a part"},
        payment_id=payment_id,
    )
    tuition.deliver_all()
    export_id = order_export(tuition, admin, q=student.sub)
    files.run()
    rows = {row["payment_id"]: row for row in files.table(export_id)}
    row = rows[payment_id]
    charge = next(iter(tuition.payment(payment_id).facts.charges.values()))
    assert row["paid_at"] == timestamps.iso(charge.created)
    amounts = {
        "amount": 49900, "price_amount": 49900, "received": 49900, "discount": 0, "refund_amount": 100, "lost": 0,
        "refundable_amount": 49800,
    }  # fmt: skip
    for name, amount in amounts.items():
        assert (row[name], row[f"{name}_decimal"]) == (str(amount), f"{amount // 100}.{amount % 100:02}"), name
    assert (row["price_currency"], row["received_currency"], row["refund_request"]) == ("usd", "usd", "succeeded")
    balance = ("fee", "fee_decimal", "net", "net_decimal", "settlement_currency")
    assert [row[name] for name in balance] == [""] * 5
    row = rows[unpaid]
    empty = ("paid_at", "received", "received_decimal", "received_currency", "refund_request")
    assert [row[name] for name in empty] == [""] * 5
    assert (row["refund_amount_decimal"], row["price_amount_decimal"]) == ("0.00", row["amount_decimal"])


@pytest.mark.parametrize(
    ("price", "received", "requests", "expected"),
    [
        ((25000, "usd"), (25000, "usd"), (), {"discount": 24900, "discount_decimal": "249.00"}),
        ((49900, "usd"), (5000, "jpy"), (), {"received_decimal": "5000", "price_amount_decimal": "499.00"}),
        ((49900, "usd"), (5000, "kwd"), (), {"received_decimal": "5.000", "received_currency": "kwd"}),
        ((49900, "usd"), (5000, "jpy"), (), {"refund_amount_decimal": "100", "refundable_amount_decimal": "4900"}),
        (
            (49900, "usd"),
            (49900, "usd"),
            (),
            {"fee": 1300, "fee_decimal": "13.00", "net": 43000, "net_decimal": "430.00"},
        ),
        ((49900, "usd"), (49900, "usd"), (), {"settlement_currency": "eur", "received_currency": "usd"}),
        ((49900, "usd"), None, ("succeeded", "awaiting_approval"), {"refund_request": "awaiting_approval"}),
        ((49900, "usd"), None, ("pending", "declined"), {"refund_request": "pending"}),
        ((49900, "usd"), None, ("rejected", "declined"), {"refund_request": "declined"}),
    ],
)
def test_each_amount_of_a_row_is_in_its_own_currency(
    price: tuple[int, str],
    received: tuple[int, str] | None,
    requests: tuple[State, ...],
    expected: dict[str, str | int],
) -> None:
    refund = {"re_1": Refund("succeeded", 100, 5)} if received else {}
    payment = Payment(
        payment_id="pay_1", user_id="u", track="DP", kind="intent", attempt=1, stripe_object_id="pi_1",
        price=Money(*price), created_at="2026-11-23T18:30:00.000Z", updated_at="2026-11-23T18:30:00.000Z",
        terms=Terms(list_amount=49900),
        facts=Facts(
            settled=Settled(*received, at=7) if received else None,
            refunds=refund,
            balance=Balance(1300, 43000, "eur") if received else None,
        ),
        requests=tuple(RefundRequest(f"rr_{i}", 1, "", "u", "", state) for i, state in enumerate(requests)),
    )  # fmt: skip
    cells = dict(zip(exports.HEADER, exports.row(PaymentView(payment, [])), strict=True))
    assert {name: cells[name] for name in expected} == expected


@pytest.mark.parametrize(("count", "page"), [(1_000, 10), pytest.param(10_000, exports.PAGE, marks=pytest.mark.soak)])
def test_an_export_of_a_hundred_pages_is_complete_and_contains_no_formula(
    tuition: Harness,
    files: ExportFiles,
    student: Student,
    admin: Student,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    page: int,
) -> None:
    """`make soak` makes one of 10,000 rows."""
    monkeypatch.setattr(exports, "PAGE", page)
    formula = '=HYPERLINK("https://evil.example","click"),\r\n@SUM(1)'
    store_payments(tuition, files, student.sub, count, refund_reason=formula)
    export_id = order_export(tuition, admin, q=student.sub)
    assert files.run() == [{"state": "done", "rows": count}]
    rows = files.table(export_id)
    assert len({row["payment_id"] for row in rows}) == len(rows) == count
    neutral = "'" + formula.replace("@SUM", "'@SUM")
    assert {row["refund_reason"] for row in rows} == {neutral}
    raw = files.s3.get_object(Bucket=BUCKET, Key=f"exports/{export_id}/payments.csv")["Body"].read()
    assert export_status(tuition, admin, export_id)["bytes"] == len(raw)


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "  =1", "＝1", '"=1"', "\tx"])
def test_a_cell_that_a_spreadsheet_would_evaluate_becomes_text(cell: str) -> None:
    assert spreadsheet.harmless(cell) == "'" + cell


SIGNS = [char for char in map(chr, range(0x110000)) if unicodedata.normalize("NFKC", char) in (*"=+-@", "\u2212")]


@pytest.mark.parametrize("invisible", ["", "\x00", "\x7f", "\xad", "\u200e", "\u2062", "\xa0", "\u3000", "\ufeff\x00 "])
@pytest.mark.parametrize("delimiter", ["", "a;", "a\t"])
def test_a_sign_that_only_looks_like_the_start_of_a_formula_makes_a_text(delimiter: str, invisible: str) -> None:
    for sign in SIGNS:
        cell = f"{invisible}{sign}1"
        assert spreadsheet.harmless(delimiter + cell) == f"{delimiter}'{cell}", ascii(sign)


@pytest.mark.parametrize("blank", ["\t", "\r", "\n"])
def test_a_cell_that_begins_with_a_delimiter_is_text_before_and_after_it(blank: str) -> None:
    assert spreadsheet.harmless(f"{blank}=1") == f"'{blank}'=1"


DELIMITERS = [",", ";", "\t", "|", "\r", "\n", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@x", "＝1", ' "=1"', '"=1"', "'=1"[1:], "\u200b=1"])
def test_no_delimiter_of_any_spreadsheet_begins_a_formula(delimiter: str, formula: str) -> None:
    """Excel with a German, French or Italian locale splits the file at `;`, whatever quotes it has."""
    harmless = spreadsheet.harmless(f"a{delimiter}{formula}{delimiter}b{delimiter}{formula}")
    for piece in harmless.replace("\r\n", delimiter).split(delimiter):
        assert piece.strip(' "\u200b')[:1] not in {"=", "+", "-", "@", "＝"}, harmless
    assert harmless.count("'") == 2
    assert harmless.replace("'", "") == f"a{delimiter}{formula}{delimiter}b{delimiter}{formula}"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_formula_stays_text_whichever_delimiter_a_spreadsheet_uses(delimiter: str) -> None:
    row = ["pay_1", "ok;=cmd|' /C calc'!A0", 'x\t"=1+1"', 'a\n=2\n;"@SUM(1)"', ',=1"', '";=1']
    line = exports.encode([[spreadsheet.harmless(cell) for cell in row]]).decode()
    cells = [cell for parsed in csv.reader(io.StringIO(line, newline=""), delimiter=delimiter) for cell in parsed]
    pieces = line.replace("\n", delimiter).replace("\r", delimiter).split(delimiter)
    for cell in [*cells, *pieces]:
        assert cell.strip().strip('"').strip()[:1] not in {"=", "+", "-", "@"}, cell


@pytest.mark.parametrize(
    "cell", ["", "ada@example.org", "a=b", "a, b; c", "no; I am -1", "1-2", "'=1", "ünï\u202ecode", "4242"]
)
def test_any_other_cell_is_unchanged(cell: str) -> None:
    assert spreadsheet.harmless(cell) == cell


def test_an_export_resumes_where_its_time_ended(
    tuition: Harness, files: ExportFiles, student: Student, admin: Student
) -> None:
    store_payments(tuition, files, student.sub, 600)
    export_id = order_export(tuition, admin, q=student.sub)
    assert [result["state"] for result in files.run(exports.LAST_S + 5)] == ["paused"]
    status = export_status(tuition, admin, export_id)
    assert (status["state"], status["url"]) == ("running", None)
    assert 0 < status["rows"] < 600
    rounds = 0
    while export_status(tuition, admin, export_id)["state"] != "done" and rounds < 10:
        files.run(exports.LAST_S + 5)
        rounds += 1
    assert 0 < rounds < 10
    rows = files.table(export_id)
    assert (
        len({row["payment_id"] for row in rows}) == len(rows) == export_status(tuition, admin, export_id)["rows"] == 600
    )


def test_a_large_file_is_uploaded_in_parts(
    tuition: Harness, files: ExportFiles, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PART_BYTES", 5 * 1024 * 1024)
    store_payments(tuition, files, student.sub, 210, refund_reason="x" * 40_000)
    export_id = order_export(tuition, admin, q=student.sub)
    assert files.run() == [{"state": "done", "rows": 210}]
    state, _ = exports._load(export_id)
    assert len(state.parts) == 2
    assert len(files.table(export_id)) == 210


def test_a_file_that_cannot_be_read_back_in_time_is_finished_by_the_next_invocation(
    tuition: Harness, files: ExportFiles, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_payments(tuition, files, student.sub, 150)
    monkeypatch.setattr(exports, "READ_BACK_BYTES_S", 500)
    export_id = order_export(tuition, admin, q=student.sub)
    assert [result["state"] for result in files.run(exports.LAST_S + 10)] == ["paused"]
    assert exports._load(export_id)[0].walked
    export_status(tuition, admin, export_id)
    monkeypatch.setattr(payment_list, "find", None)  # the payments are not searched again
    assert files.run() == [{"state": "done", "rows": 150}]
    assert len(files.table(export_id)) == 150


def test_an_invocation_killed_between_two_parts_is_continued_by_another(
    tuition: Harness, files: ExportFiles, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PART_BYTES", 5 * 1024 * 1024)
    store_payments(tuition, files, student.sub, 210, refund_reason="x" * 40_000)
    export_id = order_export(tuition, admin, q=student.sub)
    real_find, calls = payment_list.find, []

    def find_and_die(*args: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise MemoryError("killed")
        return real_find(*args, **more)

    monkeypatch.setattr(payment_list, "find", find_and_die)
    with pytest.raises(MemoryError):
        files.run()
    monkeypatch.setattr(payment_list, "find", real_find)
    assert len(exports._load(export_id)[0].parts) == 1
    tuition.offset_s += 20
    export_status(tuition, admin, export_id)
    assert files.run() == [{"state": "done", "rows": 210}]
    assert len({row["payment_id"] for row in files.table(export_id)}) == len(files.table(export_id)) == 210


def test_an_export_that_keeps_failing_is_reported_as_failed(
    tuition: Harness, files: ExportFiles, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_id = order_export(tuition, admin, q=student.sub)

    def fail(*_: Any, **__: Any) -> Any:
        raise MemoryError("killed")

    monkeypatch.setattr(payment_list, "find", fail)
    for _ in range(exports.TRIES):
        with pytest.raises(MemoryError):
            files.run()
        files.requested = [export_id]
    assert files.run() == [{"state": "failed", "rows": 0}]
    assert export_status(tuition, admin, export_id)["state"] == "failed"
    assert "log" in export_status(tuition, admin, export_id)["problem"]


def test_a_file_with_missing_rows_is_never_reported_as_done(
    tuition: Harness, files: ExportFiles, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_payments(tuition, files, student.sub, 3)
    export_id = order_export(tuition, admin, q=student.sub)
    real_encode = exports.encode
    monkeypatch.setattr(exports, "encode", lambda rows: real_encode(rows[:2]))
    with pytest.raises(exports.ExportIncomplete):
        files.run()
    assert export_status(tuition, admin, export_id)["state"] != "done"


def test_an_event_delivered_twice_writes_one_file(
    tuition: Harness, files: ExportFiles, student: Student, admin: Student
) -> None:
    store_payments(tuition, files, student.sub, 250)
    export_id = order_export(tuition, admin, q=student.sub)
    outcomes: list[dict[str, Any]] = []

    class Interrupted(Context):
        def get_remaining_time_in_millis(self) -> float:
            if not outcomes:
                outcomes.append({})
                outcomes[0] = export.handler({"export_id": export_id}, Context(900))
            return super().get_remaining_time_in_millis()

    first = export.handler({"export_id": export_id}, Interrupted(900))
    assert [outcomes[0]["state"], first["state"]] == ["done", "taken"]
    assert len(files.table(export_id)) == 250
    assert export.handler({"export_id": export_id}, Context(900)) == {"state": "done", "rows": 250}


def test_an_export_by_track_contains_only_that_track_and_an_unfiltered_one_contains_all(
    tuition: Harness, files: ExportFiles, student: Student, admin: Student
) -> None:
    payment_ids = [buy_track(tuition, student, track)["payment_id"] for track in ("DP", "FSD")]
    ids = {}
    for name, filters in {"track": {"track": "DP"}, "disputed": {"disputed": "false"}, "all": {}}.items():
        ids[name] = order_export(tuition, admin, **filters)
        assert [run["state"] for run in files.run()] == ["done"]
    exported = {name: {row["payment_id"] for row in files.table(export_id)} for name, export_id in ids.items()}
    assert payment_ids[0] in exported["track"]
    assert payment_ids[1] not in exported["track"]
    assert set(payment_ids) <= exported["all"]
    assert {row["track"] for row in files.table(ids["track"])} == {"DP"}


def test_an_export_of_plans_has_each_that_matches_once_although_one_is_paid_while_it_is_made(
    tuition: Harness, files: ExportFiles, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_calls.offer_plans(monkeypatch.setattr)
    monkeypatch.setattr(plan_rows, "PLANS_PER_PAGE", 1)
    tuition.empty_table("plans", "plan_id")
    students = [Student(f"{student.sub}-{number}") for number in range(3)]
    plans = {plan_calls.started(tuition, one)["plan_id"]: one for one in students}
    member(tuition, student)
    filters = {"kind": "installments", "attention": False}
    ordered = tuition.admin(admin, ORDER, {"kind": "plans", "filters": filters})
    assert queries.audit_trail(admin.sub)[-1]["transition"] == {
        "export": {"kind": "plans", "plan_kind": "installments", "attention": "false"}
    }
    export_id = ordered.body["export_id"]
    assert [result["state"] for result in files.run(exports.LAST_S + 3)] == ["paused"]
    for plan_id, one in plans.items():
        tuition.pay(plan_calls.pay(tuition, one, plan_id, "rest").body["payment_intent_id"])
    tuition.deliver_all()
    for _ in range(5):
        export_status(tuition, admin, export_id)
        files.run()
    done = export_status(tuition, admin, export_id)
    assert (done["kind"], done["state"], done["rows"], done["statement"]) == ("plans", "done", 3, None)
    assert "plans-" in parse_qs(urlsplit(done["url"]).query)["response-content-disposition"][0]
    rows = files.table(export_id, "plans")
    assert {row["plan_id"]: row["user_id"] for row in rows} == {key: one.sub for key, one in plans.items()}
    assert len(rows) == 3
    columns = ("status", "received", "outstanding", "next_amount", "total_decimal", "outstanding_decimal", "email")
    assert {row["status"] for row in rows} <= {"ACTIVE", "COMPLETE"}
    for row in rows:
        first = plan_calls.read(tuition, plans[row["plan_id"]], row["plan_id"])["schedule"][0]
        assert row["started_on"] == first["due"]
    for row in rows:
        of_active = ("ACTIVE", "12475", "37425", "12475", "499.00", "374.25", f"{row['user_id']}@example.org")
        of_complete = ("COMPLETE", "49900", "0", "", "499.00", "0.00", f"{row['user_id']}@example.org")
        assert tuple(row[name] for name in columns) == (of_active if row["status"] == "ACTIVE" else of_complete)


def test_the_audit_trail_names_who_ordered_an_export_but_not_the_search_text(
    tuition: Harness, files: ExportFiles, student: Student, admin: Student
) -> None:
    export_id = order_export(tuition, admin, q=f"{student.sub}@example.org", track="DP")
    trail = queries.audit_trail(admin.sub)
    assert [(r["type"], r["source"], r["actor"]) for r in trail] == [("export.ordered", "staff", admin.sub)]
    assert trail[0]["event_id"] == f"export:{export_id}"
    assert trail[0]["transition"] == {"export": {"track": "DP", "searched": True}}
    order_export(tuition, admin)
    user = tuition.admin(admin, "GET /api/admin/users/{user_id}", user_id=admin.sub).body
    assert [r["seq"] for r in user["audit"]] == [1, 2]
    assert user["chain"] == {"verified": True, "problem": None}


def test_an_export_with_a_search_records_whom_it_is_about(
    tuition: Harness, files: ExportFiles, student: Student, admin: Student
) -> None:
    buy_track(tuition, student, "DP")
    order_export(tuition, admin, q=f"{student.sub}@example.org")
    read, ordered = queries.audit_trail(admin.sub)
    assert (read["type"], read["transition"]) == ("data.read", {"read": {"users": [student.sub]}})
    assert ordered["type"] == "export.ordered"
    assert "@" not in json.dumps([read, ordered])


def test_no_export_with_a_search_is_made_without_the_record(
    tuition: Harness, files: ExportFiles, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    buy_track(tuition, student, "DP")

    def fail(*_: Any) -> None:
        raise Contended("busy")

    monkeypatch.setattr(ledger, "record_for_user", fail)
    assert tuition.admin(admin, ORDER, {"filters": {"q": student.sub}}).status == 503
    assert files.requested == []


@pytest.mark.threads
def test_concurrent_orders_are_all_recorded_in_one_chain(
    tuition: Harness, files: ExportFiles, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadPoolExecutor(6) as pool:
        export_ids = list(pool.map(lambda _: order_export(tuition, admin), range(6)))
    user = tuition.admin(admin, "GET /api/admin/users/{user_id}", user_id=admin.sub).body
    assert {r["event_id"] for r in user["audit"]} == {f"export:{export_id}" for export_id in export_ids}
    assert user["chain"] == {"verified": True, "problem": None}
    assert sorted(files.requested) == sorted(export_ids)


def test_an_export_is_visible_only_to_the_user_who_ordered_it(
    tuition: Harness, files: ExportFiles, admin: Student, student: Student
) -> None:
    export_id = order_export(tuition, admin)
    files.run()
    other = Student("another-admin", groups=("admin",))
    assert tuition.admin(other, ONE, export_id=export_id).status == 404
    for user in (student, Student("s", groups=("support",))):
        assert tuition.admin(user, ONE, export_id=export_id).status == 403
        assert tuition.admin(user, ORDER, {"filters": {}}).status == 403
    assert len(files.requested) == 0
    for unknown in ("exp_" + "0" * 32, "exp_../../x", "pay_1", "exp_" + "0" * 31 + "\n", ""):
        assert tuition.admin(admin, ONE, export_id=unknown).status == 404


def test_an_export_that_a_later_version_stored_is_read_without_its_new_field(
    tuition: Harness, files: ExportFiles, admin: Student
) -> None:
    """Two versions run at once during a release, and either may be asked for the progress or invoked."""
    export_id = order_export(tuition, admin)
    name = f"exports/{export_id}/state.json"
    stored = json.loads(files.s3.get_object(Bucket=BUCKET, Key=name)["Body"].read())
    files.s3.put_object(Bucket=BUCKET, Key=name, Body=json.dumps({**stored, "columns": ["email"]}).encode())
    assert export_status(tuition, admin, export_id)["state"] == "waiting"
    files.run()
    assert export_status(tuition, admin, export_id)["state"] == "done"


@pytest.mark.parametrize(
    "body",
    [
        *({"filters": {"status": "PAID"}}, {"filters": {"limit": "3"}}, {"filters": []}, {"filters": {"q": ["x"]}}),
        *({"kind": "plans", "filters": {"status": "PAID"}}, {"kind": "plans", "filters": {"q": "ada"}}),
        {"kind": "plans", "month": "2026-11"},
        *({"filters": {"amount_min": 1.5}}, {"filters": {"colour": "red"}}, {"filters": {"q": "\ud800"}}, {"x": {}}),
    ],
)
def test_an_export_with_an_invalid_filter_is_refused(
    tuition: Harness, files: ExportFiles, admin: Student, body: dict[str, Any]
) -> None:
    assert tuition.admin(admin, ORDER, body).status == 422
    assert files.requested == []
    assert queries.audit_trail(admin.sub) == []
    assert json.dumps(files.s3.list_objects_v2(Bucket=BUCKET).get("Contents", []), default=str) == "[]"


def test_an_export_that_cannot_reach_s3_answers_503(
    tuition: Harness, files: ExportFiles, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []

    def unreachable() -> Any:
        raise EndpointConnectionError(endpoint_url="https://s3.example")

    monkeypatch.setattr(exports, "_s3", unreachable)
    monkeypatch.setattr(log.logger, "exception", lambda message, **_: logged.append(message))
    response = tuition.admin(admin, ORDER, {"filters": {}})
    assert (response.status, response.body["type"].rpartition("/")[2]) == (503, "unavailable")
    assert logged == ["S3 or Lambda failed"]
