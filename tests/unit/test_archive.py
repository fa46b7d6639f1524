"""The archive: its declared attributes, the names and locks of its objects, and the failures that it reports."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from moto import mock_aws

from tests import archive_bucket
from tests.archive_bucket import ArchiveBucket
from tests.unit.test_enrollment import enrollment
from tuition import clock
from tuition.core import archive as core
from tuition.core import digests, recorded_facts
from tuition.core import facts as core_facts
from tuition.core.audit import AuditEntry, Record, digest, transition
from tuition.core.facts import (
    Acknowledgement,
    Agreement,
    Balance,
    BalanceTransaction,
    Charge,
    Closed,
    Comparison,
    CreditNote,
    Decision,
    Dispute,
    Facts,
    FraudWarning,
    Kind,
    Phase,
    Refund,
    Settled,
    Withdrawal,
)
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.refund_request import RefundRequest
from tuition.outbox import archive
from tuition.settings import Settings
from tuition.storage import dynamodb, mapping

NOW = datetime(2026, 11, 28, 13, 5, tzinfo=UTC).timestamp()
PERSONAL = "ada@example.org"
SETTLED = Settled(20_000, "usd", 1_795_000_000)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> ArchiveBucket:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return archive_bucket.connect(monkeypatch)


@pytest.fixture
def for_years(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "settings", lambda: Settings(archive_for_years=True))


def payment(facts: Facts = core_facts.NO_FACTS, *requests: RefundRequest, version: int = 3) -> Payment:
    return Payment(
        payment_id="pay_1",
        user_id="ada",
        track="DP",
        kind="intent",
        attempt=1,
        stripe_object_id="pi_1",
        price=Money(20_000, "usd"),
        created_at="2026-11-23T18:00:00.000Z",
        updated_at="2026-12-31T23:59:58.000Z",
        email=PERSONAL,
        customer="cus_secret",
        facts=facts,
        requests=requests,
        version=version,
        audit_head="0" * 64,
    )


def record(seq: int = 3, subject: str = "pay_1", **more: Any) -> Record:
    entry = AuditEntry("2026-11-23T18:00:00.000Z", f"evt_{seq}", "payment_intent.succeeded", "webhook")
    values: dict[str, Any] = {"user_id": "ada", "track": "DP", "transition": {"settled": 20_000}, "previous": "f" * 64}
    return Record(subject, seq, entry, **{**values, **more})


def item_of(one: Record, form: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a record's item, as DynamoDB writes it."""
    return dynamodb.to_raw(mapping.record_to_item(one, NOW, form))


# --- declared attributes ---

EVERYTHING = Facts(
    settled=SETTLED,
    closed=Closed(1, "intent", "abandoned"),
    phase=Phase(1, 1, "failed", "card_declined", "The card of ada was declined.", 5),
    intent="pi_1",
    customer="cus_secret",
    charges={"ch_1": Charge("succeeded", 20_000, 1, "card", "visa", "4242", "https://receipt", "code", True, "usd")},
    refunds={"re_1": Refund("succeeded", 5_000, 2, "requested_by_customer", "rr_1", "lost_or_stolen_card")},
    disputes={"dp_1": Dispute(4, "won", 5_000, 3, "fraudulent", 20, 9, "eur")},
    fraud_warnings={"issfr_1": FraudWarning(1, "misc")},
    challenges={"pm_1": 1},
    claims={"pi_2": SETTLED},
    decision=Decision(2, "revoke", "staff", "a note on ada"),
    accepted=True,
    acknowledged={"fraud_warning": Acknowledgement(2, "fingerprint", "staff", "a note on ada")},
    unknown={"re_1.status": "a value of Stripe"},
    confirmed=SETTLED,
    contradicted=True,
    balance=Balance(900, 19_100, "usd"),
    balance_transactions={"txn_1": BalanceTransaction("charge", "ch_1", 20_000, "usd", 1, "pi_1")},
    compared={"books": Comparison(3, "a difference")},
    agreed=Agreement(1, "2026-11"),
    withdrawn=Withdrawal(6, "the name of ada", PERSONAL),
    invoice="in_1",
    credit_notes={"re_1": CreditNote("cn_1", "resource_missing")},
    rebuilt=True,
    erased=True,
)
REQUEST = RefundRequest(
    "rr_1", 5_000, "my reason", "ada", "2026-11-24T00:00:00.000Z", "succeeded", 2, "a note", "a message", "an answer",
    "staff", "re_1", "order",
)  # fmt: skip


def test_a_final_form_has_no_personal_text_of_a_payment_that_has_all_of_them() -> None:
    form = core.final_form(payment(EVERYTHING, REQUEST))
    text = json.dumps(form)
    secrets = [
        PERSONAL,
        "name of",
        "cus_secret",
        "4242",
        "visa",
        "https://",
        "declined.",
        "a note",
        "my reason",
        "message",
        "answer",
    ]
    assert [secret for secret in secrets if secret in text] == []
    assert "a value of Stripe" not in text
    assert core.undeclared(core.FINAL_FORM, form) == []
    assert set(form["facts"]) == set(EVERYTHING.to_json()) - {"customer"}
    assert form["facts"]["unknown"] == {"re_1.status": {}}
    assert form["refund_requests"]["rr_1"] == {
        "amount": 5_000,
        "at": "2026-11-24T00:00:00.000Z",
        "state": "succeeded",
        "tries": 2,
        "made_by": "student",
        "decided_by": "staff",
        "refund": "re_1",
    }
    assert (form["payment_id"], form["version"], form["status"], form["amount"]) == ("pay_1", 3, "SUCCEEDED", 20_000)
    assert form["closed_at"] == "2026-12-31T23:59:58.000Z"


ODD_TEXTS = [PERSONAL, "Ada Lovelace", "ch_\\xfc", "{'id': 1}", "", "b" * 256, "line\n", "\U0001f600"]


@pytest.mark.parametrize("odd", ODD_TEXTS, ids=range(len(ODD_TEXTS)))
def test_a_text_of_stripe_that_is_no_code_is_in_no_record_and_keeps_none_out_of_the_archive(
    odd: str, bucket: ArchiveBucket
) -> None:
    facts = Facts(
        settled=SETTLED,
        phase=Phase(1, 3, "failed", odd),
        charges={odd: Charge("failed", 1, 1, odd, code=odd, currency=odd)},
        refunds={odd: Refund("failed", 1, 2, odd, odd, odd)},
        disputes={odd: Dispute(1, odd, 1, 3, odd, 1, 9, odd)},
        fraud_warnings={odd: FraudWarning(1, odd)},
        challenges={odd: 1},
        claims={odd: SETTLED},
        acknowledged={f"unknown:{odd}": Acknowledgement(2, odd, "staff", odd)},
        unknown={odd: odd, f"{odd}.status": odd},
        balance_transactions={odd: BalanceTransaction("charge", odd, 1, odd, 1, odd)},
        invoice=odd,
        credit_notes={odd: CreditNote(odd, odd)},
    )
    before, after = payment(Facts(settled=SETTLED)), payment(facts)
    canceled = payment(Facts(closed=Closed(1, "intent", odd), phase=facts.phase))
    for one, other in [(before, after), (payment(), canceled)]:
        standing = enrollment().with_payment(one)
        moved = transition(PaymentState(one, standing), PaymentState(other, standing.with_payment(other)))
        patch = recorded_facts.added(one.facts, other.facts)
        one_record = record(transition=moved, facts=patch)
        assert archive.write({"1": item_of(one_record, {**core.final_form(other), "payment_id": "pay_1"})}) == []
        if len(odd) > 1:
            assert json.dumps(odd)[1:-1] not in json.dumps(one_record.body())
    assert recorded_facts.fold([{**record(transition=moved).body(), "facts": patch}]).difference(canceled.facts) is None


def paths(shape: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every object of a shape: an undeclared attribute may hide in each."""
    if isinstance(shape, core.Each):
        yield from paths(shape.shape, (*path, "id_1"))
    elif shape is not core.VALUE:
        yield path
        for name, part in shape.items():
            yield from paths(part, (*path, name))


@pytest.mark.parametrize("path", list(paths(core.RECORD)), ids=".".join)
def test_an_attribute_that_is_not_declared_is_refused_wherever_it_is(
    path: tuple[str, ...], bucket: ArchiveBucket, capsys: pytest.CaptureFixture[str]
) -> None:
    inner: dict[str, Any] = {"email": PERSONAL}
    for name in reversed(path):
        inner = {name: inner}
    assert core.undeclared(core.RECORD, inner) == [f".{'.'.join((*path, 'email'))}".replace("id_1", "*")]
    if path[:1] == ("transition",):
        bad = record(transition=inner["transition"])
        assert archive.write({"1": item_of(bad), "2": item_of(record(2))}) == ["1"]
        assert [line["seq"] for line in bucket.records] == [2]
        output = capsys.readouterr().out
        assert "RecordNotArchived" in output
        assert PERSONAL not in "".join(line for line in output.splitlines() if '"_aws"' in line)


def test_null_in_the_facts_of_a_record_is_declared_because_it_removes_a_fact() -> None:
    facts: dict[str, Any] = {
        "phase": None,
        "refunds": {"re_1": None, "re_2": {"status": "failed", "reason": None}},
        "unknown": {},
    }
    assert core.undeclared(core.RECORD, {"facts": facts}) == []
    assert core.undeclared(core.RECORD, {"facts": {**facts, "unknown": {"re_1.status": "text"}}}) == [
        ".facts.unknown.*"
    ]


def test_an_object_where_a_value_is_declared_and_a_name_that_is_no_id_are_refused() -> None:
    assert core.undeclared(core.RECORD, {"type": {"email": PERSONAL}}) == [".type"]
    assert core.undeclared(core.RECORD, {"type": [{"email": PERSONAL}]}) == [".type"]
    assert core.undeclared(core.RECORD, {"transition": "text"}) == [".transition"]
    assert core.undeclared(core.RECORD, {"transition": {"declines": {PERSONAL: "code"}}}) == [".transition.declines.*"]


@pytest.mark.parametrize(
    "change",
    [
        {"email": {"S": PERSONAL}},
        {"transition": {"S": '{"settled":1}'}},
        {"hash": {"S": "0" * 64}},
        {"seq": {"S": "text"}},
        {"final_form": {"S": '{"payment_id":"pay_2","version":3}'}},
        {"final_form": {"S": '{"payment_id":"pay_1","version":3,"email":"ada"}'}},
        {"final_form": {"S": '{"payment_id":"pay_1","version":3,"facts":{"customer":"cus_1"}}'}},
    ],
    ids=str,
)
def test_a_record_that_does_not_hold_is_refused_and_the_others_of_its_batch_are_archived(
    bucket: ArchiveBucket, change: dict[str, Any]
) -> None:
    batch = {"1": item_of(record(1)), "2": {**item_of(record(3)), **change}, "3": item_of(record(2))}
    assert archive.write(batch) == ["2"]
    assert [line["seq"] for line in bucket.records] == [1, 2]
    assert bucket.final_forms == []


def test_an_empty_batch_writes_nothing(bucket: ArchiveBucket) -> None:
    assert archive.write({}) == []
    assert archive.write({"1": {}}) == ["1"]
    assert bucket.puts == []


# --- the objects ---


def test_a_line_is_the_record_whose_hash_is_that_of_its_other_attributes(bucket: ArchiveBucket) -> None:
    one = record(track=None)
    assert archive.write({"1": item_of(one)}) == []
    (put,) = bucket.puts
    (line,) = gzip.decompress(put["Body"]).decode().splitlines()
    stored = json.loads(line)
    assert line == json.dumps(stored, sort_keys=True, separators=(",", ":"))
    assert stored.pop("hash") == digest(stored) == hashlib.sha256(core.canonical(stored).encode()).hexdigest()
    assert stored == one.body()


def test_an_object_is_named_by_its_day_and_hour_and_by_its_records(bucket: ArchiveBucket) -> None:
    archive.write({"1": item_of(record(1)), "2": item_of(record(2))})
    archive.write({"7": item_of(record(1)), "8": item_of(record(2))})
    archive.write({"2": item_of(record(2))})
    archive.write({"2": item_of(record(2, user_id="eve"))})
    first, retried, part, other = (put["Key"] for put in bucket.puts)
    assert first == retried
    assert len({first, part, other}) == 3
    assert first.startswith("records/dt=2026-11-28/13-")
    assert first.endswith(".jsonl.gz")
    assert bucket.puts[0]["Body"] == bucket.puts[1]["Body"]
    assert bucket.puts[0]["Body"][4:8] == b"\0\0\0\0"  # no time of writing, so the bytes are always the same


def test_a_small_object_that_unpacks_to_more_than_any_batch_stops_no_digest() -> None:
    bomb = gzip.compress(bytes(core.MAX_CONTENT_BYTES + 1))
    assert len(bomb) < core.MAX_OBJECT_BYTES // 100
    entry = digests.describe("records/dt=2026-11-28/13-a.jsonl.gz", "v1", bomb, {})
    assert (entry["records"], entry["sha256"]) == (None, hashlib.sha256(bomb).hexdigest())


@pytest.mark.parametrize("kind", ["intent", "checkout"])
def test_a_final_form_has_no_text_in_place_of_a_stripe_id(kind: Kind) -> None:
    text = "ada@example.org, call me"
    charges = {text: Charge(status="succeeded", amount=1, created=1)}
    one = payment(replace(EVERYTHING, charges=charges, intent=text))
    form = core.final_form(replace(one, stripe_object_id=text, kind=kind))
    name = "stripe_payment_intent" if kind == "intent" else "stripe_checkout_session"
    assert (form[name], form["stripe_payment_intent"], form["stripe_charge_id"]) == ("unknown", "unknown", "unknown")
    assert "call me" not in core.canonical(form)


def test_a_final_form_is_an_object_of_its_payment_and_version(bucket: ArchiveBucket) -> None:
    form = core.final_form(payment(EVERYTHING))
    assert archive.write({"1": item_of(record(3), form), "2": item_of(record(4))}) == []
    _, put = bucket.puts
    assert put["Key"] == "final/dt=2026-11-28/13-pay_1-v3.json.gz"
    assert bucket.final_forms == [form]


def test_production_locks_records_to_the_end_of_the_eighth_year_and_final_forms_of_the_seventh_after_closing(
    bucket: ArchiveBucket, for_years: None
) -> None:
    form = {**core.final_form(payment()), "closed_at": "2025-12-31T23:59:59.000Z"}
    archive.write({"1": item_of(record(3), form)})
    locks = [put["ObjectLockRetainUntilDate"] for put in bucket.puts]
    assert locks == ["2034-12-31T23:59:59.000Z", "2032-12-31T23:59:59.000Z"]
    assert {put["ObjectLockMode"] for put in bucket.puts} == {"GOVERNANCE"}


def test_every_other_environment_locks_for_a_day(bucket: ArchiveBucket) -> None:
    archive.write({"1": item_of(record(3), core.final_form(payment()))})
    assert [put["ObjectLockRetainUntilDate"] for put in bucket.puts] == ["2026-11-29T13:05:00.000Z"] * 2


# --- failures ---


def test_records_that_s3_does_not_take_are_all_reported(
    bucket: ArchiveBucket, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.refuses = lambda object_key: True
    form = core.final_form(payment())
    assert archive.write({"1": item_of(record(2)), "2": item_of(record(3), form)}) == ["1", "2"]
    assert '"RecordNotArchived":[2.0]' in capsys.readouterr().out


def test_a_lost_answer_is_a_failure_and_the_retry_writes_the_same_bytes(bucket: ArchiveBucket) -> None:
    bucket.loses_answer = True
    batch = {"1": item_of(record(3), core.final_form(payment()))}
    assert archive.write(batch) == ["1"]
    bucket.loses_answer = False
    assert archive.write(batch) == []
    first, second, _ = bucket.puts
    assert (first["Key"], first["Body"]) == (second["Key"], second["Body"])


def test_only_the_records_whose_final_form_failed_are_reported_and_no_more_are_tried(bucket: ArchiveBucket) -> None:
    tried: list[str] = []

    def refuse(object_key: str) -> bool:
        tried.append(object_key)
        return object_key.startswith("final/")

    bucket.refuses = refuse
    batch = {"0": item_of(record(1))}
    for version in range(2, 102):
        form = core.final_form(payment(version=version))
        batch[str(version)] = item_of(record(version), form)
    assert archive.write(batch) == [str(version) for version in range(2, 102)]
    assert len(tried) <= 1 + archive.MAX_AT_ONCE


def test_s3_takes_the_put_with_its_lock_and_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    import botocore.session

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    archive._client.cache_clear()
    with mock_aws():
        s3 = botocore.session.get_session().create_client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="archive", ObjectLockEnabledForBucket=True)
        assert archive.write({"1": item_of(record(3))}) == []
        (version,) = s3.list_object_versions(Bucket="archive")["Versions"]
        assert s3.head_object(Bucket="archive", Key=version["Key"])["ObjectLockMode"] == "GOVERNANCE"
    archive._client.cache_clear()


# --- when a payment is closed ---


def refund(status: str) -> Facts:
    return Facts(settled=SETTLED, confirmed=SETTLED, refunds={"re_1": Refund(status, 20_000, 1)})


def dispute(status: str) -> Facts:
    return Facts(settled=SETTLED, confirmed=SETTLED, disputes={"dp_1": Dispute(1, status, 20_000, 1, "fraudulent")})


PAID = Facts(settled=SETTLED, confirmed=SETTLED)


@pytest.mark.parametrize(
    "facts",
    [
        PAID,
        Facts(closed=Closed(1, "intent", "abandoned")),
        *(refund(status) for status in ("succeeded", "failed", "canceled")),
        *(dispute(status) for status in ("won", "lost", "prevented", "warning_closed")),
        Facts(
            closed=Closed(1, "intent", core_facts.MISSING),
            acknowledged={"gone": Acknowledgement(1, "", "staff", "")},
        ),
    ],
    ids=str,
)
def test_a_payment_is_closed_when_nothing_is_under_way(facts: Facts) -> None:
    assert core.is_closed(payment(facts))


@pytest.mark.parametrize(
    "facts",
    [
        Facts(),
        Facts(phase=Phase(1, 2, "processing")),
        Facts(phase=Phase(1, 3, "failed")),
        Facts(settled=SETTLED),  # only an event says so
        Facts(settled=SETTLED, contradicted=True),
        Facts(closed=Closed(1, "intent", core_facts.MISSING)),
        *(refund(status) for status in ("pending", "requires_action", "unknown")),
        *(dispute(status) for status in ("needs_response", "under_review", "warning_needs_response")),
    ],
    ids=str,
)
def test_a_payment_is_not_closed_while_it_waits_for_a_bank_or_for_stripe(facts: Facts) -> None:
    assert not core.is_closed(payment(facts))


@pytest.mark.parametrize("state", ["awaiting_approval", "declined", "succeeded", "rejected", "failed"])
def test_a_request_that_waits_for_a_person_or_is_decided_keeps_no_payment_open(state: Any) -> None:
    assert core.is_closed(payment(PAID, replace(REQUEST, state=state)))


@pytest.mark.parametrize("state", ["submitting", "pending"])
def test_a_request_that_stripe_has_not_answered_keeps_its_payment_open(state: Any) -> None:
    assert not core.is_closed(payment(PAID, replace(REQUEST, state=state)))
