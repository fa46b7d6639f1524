"""All that a filter finds as a file: whole, harmless to a spreadsheet, made once, and for who ordered it."""

import csv
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws

import export
from tests import rights
from tests.tables.test_admin import paid
from tests.world import Student, World
from tuition import clock
from tuition.core import timestamps
from tuition.storage import dynamodb, keys, mapping, queries
from tuition.views import exports, payment_list

ORDER = "POST /api/admin/exports"
ONE = "GET /api/admin/exports/{export_id}"
BUCKET = "exports"


class Context:
    """An invocation with so many seconds, of which each question takes one."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    def get_remaining_time_in_millis(self) -> float:
        self.left -= 1
        return self.left * 1000


class Files:
    """The bucket, and the invocations that were asked for."""

    def __init__(self, s3: Any) -> None:
        self.s3 = s3
        self.asked: list[str] = []
        self.loaded: list[str] = []

    def run(self, seconds: float = 900) -> list[dict[str, Any]]:
        """Do what Lambda does: one invocation for each that was asked for."""
        asked, self.asked = self.asked, []
        with rights.of(export.handler):
            return [export.handler({"export_id": export_id}, Context(seconds)) for export_id in asked]

    def table(self, export_id: str) -> list[dict[str, str]]:
        body = self.s3.get_object(Bucket=BUCKET, Key=f"exports/{export_id}/payments.csv")["Body"].read()
        assert body.startswith(b"\xef\xbb\xbf")
        return list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline="")))


@pytest.fixture
def files(client: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1", config=Config(signature_version="s3v4"))
        s3.create_bucket(Bucket=BUCKET)
        made = Files(s3)
        monkeypatch.setattr(exports, "_s3", lambda: s3)
        monkeypatch.setattr(exports, "invoke", lambda export_id: made.asked.append(export_id))
        yield made
        for start in range(0, len(made.loaded), 25):
            deletes = [{"DeleteRequest": {"Key": keys.payment_key(i)}} for i in made.loaded[start : start + 25]]
            client.batch_write_item(RequestItems={"payments": deletes})
        for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            s3.delete_object(Bucket=BUCKET, Key=item["Key"])
        s3.delete_bucket(Bucket=BUCKET)


def ordered(tuition: World, who: Student, **filters: Any) -> str:
    answer = tuition.admin(who, ORDER, {"filters": filters})
    assert answer.status == 202, answer.body
    return str(answer.body["export_id"])


def seen(tuition: World, who: Student, export_id: str) -> dict[str, Any]:
    answer = tuition.admin(who, ONE, export_id=export_id)
    assert answer.status == 200
    return dict(answer.body)


def load(tuition: World, files: Files, user: str, number: int, **columns: Any) -> None:
    """So many payments of one user, put past the ledger, for the while of a test."""
    from tuition.core.money import Money
    from tuition.core.payment import Payment

    requests = []
    for i in range(number):
        at = timestamps.iso(clock.now() - i)
        payment = Payment(
            payment_id=f"pay_{user.replace('-', '')}{i:05d}", user_id=user, track="DP", kind="intent", attempt=i + 1,
            stripe_object_id=f"pi_{i}", price=Money(49900, "usd"), created_at=at, updated_at=at, email=f"{user}@example.org",
        )  # fmt: skip
        item = mapping.payment_to_item(payment, clock.now(), [])
        for name, value in columns.items():
            setattr(item, name, value)
        requests.append({"PutRequest": {"Item": dynamodb.to_raw(item)}})
        files.loaded.append(payment.payment_id)
    for start in range(0, number, 25):
        tuition.tables.batch_write_item(RequestItems={"payments": requests[start : start + 25]})


def test_an_export_has_every_payment_that_the_filter_finds(
    tuition: World, files: Files, student: Student, admin: Student
) -> None:
    one, two = paid(tuition, student, "DP"), paid(tuition, student, "FSD")
    tuition.create(Student(student.sub + "-b"), "DP")
    export_id = ordered(tuition, admin, q=student.sub, status="SUCCEEDED", amount_min=1)
    waiting = seen(tuition, admin, export_id)
    assert (waiting["state"], waiting["url"]) == ("waiting", None)
    assert files.run() == [{"state": "done", "rows": 2}]
    done = seen(tuition, admin, export_id)
    assert (done["state"], done["rows"]) == ("done", 2)
    rows = {row["payment_id"]: row for row in files.table(export_id)}
    assert set(rows) == {one["payment_id"], two["payment_id"]}
    shown = rows[one["payment_id"]]
    assert (shown["amount"], shown["currency"], shown["status"]) == ("49900", "usd", "SUCCEEDED")
    assert (shown["method_last4"], shown["refunded"], shown["left"]) == ("4242", "no", "49900")
    assert shown["stripe_payment_intent"] == one["payment_intent_id"]
    link = urlsplit(done["url"])
    assert parse_qs(link.query)["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert parse_qs(link.query)["X-Amz-Expires"] == ["300"]
    assert "attachment" in parse_qs(link.query)["response-content-disposition"][0]


def test_ten_thousand_rows_are_all_there_and_none_is_a_formula(
    tuition: World, files: Files, student: Student, admin: Student, backend: str
) -> None:
    """moto sorts a whole partition at every query: it gets fewer."""
    many = 300 if backend == "moto" else 10_000
    nasty = '=HYPERLINK("https://evil.example","click"),\r\n@SUM(1)'
    load(tuition, files, student.sub, many, refund_reason=nasty)
    export_id = ordered(tuition, admin, q=student.sub)
    assert files.run() == [{"state": "done", "rows": many}]
    rows = files.table(export_id)
    assert len({row["payment_id"] for row in rows}) == len(rows) == many
    assert {row["refund_reason"] for row in rows} == {"'" + nasty}
    raw = files.s3.get_object(Bucket=BUCKET, Key=f"exports/{export_id}/payments.csv")["Body"].read()
    assert seen(tuition, admin, export_id)["bytes"] == len(raw)


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "  =1", "＝1", "\n=1"])
def test_a_cell_that_a_spreadsheet_would_calculate_is_made_a_text(cell: str) -> None:
    assert exports.harmless(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["", "ada@example.org", "a=b", "1-2", "'=1", "ünï\u202ecode", "4242"])
def test_any_other_cell_stays_what_it_is(cell: str) -> None:
    assert exports.harmless(cell) == cell


def test_an_export_goes_on_where_its_time_ended(tuition: World, files: Files, student: Student, admin: Student) -> None:
    load(tuition, files, student.sub, 600)
    export_id = ordered(tuition, admin, q=student.sub)
    assert [made["state"] for made in files.run(exports.LAST_S + 5)] == ["paused"]
    part = seen(tuition, admin, export_id)
    assert (part["state"], part["url"]) == ("running", None)
    assert 0 < part["rows"] < 600
    rounds = 0
    while seen(tuition, admin, export_id)["state"] != "done" and rounds < 10:
        files.run(exports.LAST_S + 5)
        rounds += 1
    assert 0 < rounds < 10
    rows = files.table(export_id)
    assert len({row["payment_id"] for row in rows}) == len(rows) == seen(tuition, admin, export_id)["rows"] == 600


def test_a_large_file_is_uploaded_in_parts(
    tuition: World, files: Files, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PART_BYTES", 5 * 1024 * 1024)
    load(tuition, files, student.sub, 300, refund_reason="x" * 40_000)
    export_id = ordered(tuition, admin, q=student.sub)
    assert files.run() == [{"state": "done", "rows": 300}]
    state, _ = exports._load(export_id)
    assert len(state.parts) == 2
    assert len(files.table(export_id)) == 300


def test_a_file_that_takes_longer_to_read_again_than_is_left_is_finished_by_the_next(
    tuition: World, files: Files, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(tuition, files, student.sub, 150)
    monkeypatch.setattr(exports, "READ_BACK_BYTES_S", 500)
    export_id = ordered(tuition, admin, q=student.sub)
    assert [made["state"] for made in files.run(exports.LAST_S + 10)] == ["paused"]
    assert exports._load(export_id)[0].walked
    seen(tuition, admin, export_id)
    monkeypatch.setattr(payment_list, "find", None)  # nothing is looked for twice
    assert files.run() == [{"state": "done", "rows": 150}]
    assert len(files.table(export_id)) == 150


def test_a_maker_that_dies_between_two_parts_is_followed_by_another(
    tuition: World, files: Files, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PART_BYTES", 5 * 1024 * 1024)
    load(tuition, files, student.sub, 400, refund_reason="x" * 40_000)
    export_id = ordered(tuition, admin, q=student.sub)
    real, calls = payment_list.find, []

    def dies(*args: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise MemoryError("killed")
        return real(*args, **more)

    monkeypatch.setattr(payment_list, "find", dies)
    with pytest.raises(MemoryError):
        files.run()
    monkeypatch.setattr(payment_list, "find", real)
    assert len(exports._load(export_id)[0].parts) == 1
    tuition.ahead_s += 20
    seen(tuition, admin, export_id)
    assert files.run() == [{"state": "done", "rows": 400}]
    assert len({row["payment_id"] for row in files.table(export_id)}) == len(files.table(export_id)) == 400


def test_an_export_that_keeps_failing_says_so(
    tuition: World, files: Files, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_id = ordered(tuition, admin, q=student.sub)

    def fails(*_: Any, **__: Any) -> Any:
        raise MemoryError("killed")

    monkeypatch.setattr(payment_list, "find", fails)
    for _ in range(exports.TRIES):
        with pytest.raises(MemoryError):
            files.run()
        files.asked = [export_id]
    assert files.run() == [{"state": "failed", "rows": 0}]
    assert seen(tuition, admin, export_id)["state"] == "failed"
    assert "log" in seen(tuition, admin, export_id)["problem"]


def test_a_file_that_lost_rows_is_never_called_done(
    tuition: World, files: Files, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(tuition, files, student.sub, 3)
    export_id = ordered(tuition, admin, q=student.sub)
    real = exports.encode
    monkeypatch.setattr(exports, "encode", lambda rows: real(rows[:2]))
    with pytest.raises(exports.ExportIncomplete):
        files.run()
    assert seen(tuition, admin, export_id)["state"] != "done"


def test_one_event_delivered_twice_makes_one_file(
    tuition: World, files: Files, student: Student, admin: Student
) -> None:
    load(tuition, files, student.sub, 250)
    export_id = ordered(tuition, admin, q=student.sub)
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


def test_a_track_or_a_day_is_exported_by_keys_that_never_move(
    tuition: World, files: Files, student: Student, admin: Student
) -> None:
    made = [paid(tuition, student, track)["payment_id"] for track in ("DP", "FSD")]
    ids = {}
    for name, filters in {"track": {"track": "DP"}, "disputed": {"disputed": "false"}, "all": {}}.items():
        ids[name] = ordered(tuition, admin, **filters)
        assert [run["state"] for run in files.run()] == ["done"]
    tables_ = {name: {row["payment_id"] for row in files.table(export_id)} for name, export_id in ids.items()}
    assert made[0] in tables_["track"]
    assert made[1] not in tables_["track"]
    assert set(made) <= tables_["all"]
    assert {row["track"] for row in files.table(ids["track"])} == {"DP"}


def test_who_ordered_is_on_record_and_what_they_searched_for_is_not(
    tuition: World, files: Files, student: Student, admin: Student
) -> None:
    export_id = ordered(tuition, admin, q=f"{student.sub}@example.org", track="DP")
    trail = queries.audit_trail(admin.sub)
    assert [(r["type"], r["source"], r["actor"]) for r in trail] == [("export.ordered", "staff", admin.sub)]
    assert trail[0]["event_id"] == f"export:{export_id}"
    assert trail[0]["transition"] == {"export": {"track": "DP", "searched": True}}
    ordered(tuition, admin)
    user = tuition.admin(admin, "GET /api/admin/users/{user_id}", user_id=admin.sub).body
    assert [r["seq"] for r in user["audit"]] == [1, 2]
    assert user["chain"] == {"verified": True, "problem": None}


def test_exports_ordered_at_once_are_all_on_record_in_one_chain(
    tuition: World, files: Files, admin: Student, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.tables.test_ledger import _one_at_a_time

    if backend == "moto":
        _one_at_a_time(tuition, monkeypatch)
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: ordered(tuition, admin), range(6)))
    user = tuition.admin(admin, "GET /api/admin/users/{user_id}", user_id=admin.sub).body
    assert {r["event_id"] for r in user["audit"]} == {f"export:{export_id}" for export_id in made}
    assert user["chain"] == {"verified": True, "problem": None}
    assert sorted(files.asked) == sorted(made)


def test_an_export_is_for_who_ordered_it(tuition: World, files: Files, admin: Student, student: Student) -> None:
    export_id = ordered(tuition, admin)
    files.run()
    other = Student("another-admin", groups=("admin",))
    assert tuition.admin(other, ONE, export_id=export_id).status == 404
    for who in (student, Student("s", groups=("support",))):
        assert tuition.admin(who, ONE, export_id=export_id).status == 403
        assert tuition.admin(who, ORDER, {"filters": {}}).status == 403
    assert len(files.asked) == 0
    for unknown in ("exp_" + "0" * 32, "exp_../../x", "pay_1", "exp_" + "0" * 31 + "\n", ""):
        assert tuition.admin(admin, ONE, export_id=unknown).status == 404


@pytest.mark.parametrize(
    "body",
    [
        *({"filters": {"status": "PAID"}}, {"filters": {"limit": "3"}}, {"filters": []}, {"filters": {"q": ["x"]}}),
        *({"filters": {"amount_min": 1.5}}, {"filters": {"colour": "red"}}, {"filters": {"q": "\ud800"}}, {"x": {}}),
    ],
)
def test_an_export_of_what_no_payment_can_have_is_refused(
    tuition: World, files: Files, admin: Student, body: dict[str, Any]
) -> None:
    assert tuition.admin(admin, ORDER, body).status == 422
    assert files.asked == []
    assert queries.audit_trail(admin.sub) == []
    assert json.dumps(files.s3.list_objects_v2(Bucket=BUCKET).get("Contents", []), default=str) == "[]"
