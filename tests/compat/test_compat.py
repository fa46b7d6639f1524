"""Everything that a release wrote can be read by this version, and this version can run beside the last release."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from tests.compat import write_release
from tests.compat.schema import FOLDER, problems, schema
from tests.harness import Harness, Student, client_for, create_tables, running_harness
from tuition.core import audit, moments, recorded_facts, switches
from tuition.core import payment as payments
from tuition.core.facts import NO_FACTS, merge
from tuition.core.payment import Payment
from tuition.intake import stripe_events
from tuition.payments import access
from tuition.storage import dynamodb, keys, mapping
from tuition.storage.items import (
    AuditItem,
    CountItem,
    CursorItem,
    CustomerItem,
    EnrollmentItem,
    LimitsItem,
    PaymentItem,
    QuarantineItem,
    StripeObjectItem,
)

MODELS = {
    "payments": PaymentItem,
    "stripe_objects": StripeObjectItem,
    "customers": CustomerItem,
    "enrollments": EnrollmentItem,
    "audit": AuditItem,
    "quarantine": QuarantineItem,
    "cursors": CursorItem,
    "analytics": CountItem,
    "limits": LimitsItem,
}


def version_numbers(folder: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in folder.name.split("."))


RELEASES = sorted((path for path in FOLDER.iterdir() if (path / "schema.json").exists()), key=version_numbers)
every_release = pytest.mark.parametrize("release", RELEASES, ids=lambda release: str(release.name))


@cache
def stored(release: Path, name: str) -> Any:
    return json.loads((release / f"{name}.json").read_text(encoding="utf-8"))


def payments_of(release: Path) -> list[Payment]:
    return [mapping.payment_from_raw(copy.deepcopy(item)) for item in stored(release, "payments")]


def trails_of(release: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the audit records of each subject."""
    trails: dict[str, list[dict[str, Any]]] = {}
    for item in stored(release, "audit"):
        record = mapping.record_to_json(AuditItem.from_raw_data(copy.deepcopy(item)))
        trails.setdefault(record["subject"], []).append(record)
    return trails


def switch_of(release: Path) -> dict[str, Any] | None:
    """Return the item of the selling switch, None before the first decision about it."""
    items = copy.deepcopy(stored(release, "cursors"))
    return next((item for item in items if item["name"]["S"] == "selling"), None)


def test_the_first_release_has_a_folder() -> None:
    assert "0.1.0" in [release.name for release in RELEASES]


@every_release
def test_a_release_wrote_every_table_and_each_kind_of_event_that_its_students_caused(release: Path) -> None:
    assert [name for name in MODELS if not stored(release, name)] == []
    types = {event["type"] for event in stored(release, "events")}
    subjects = {stripe_events.EVENT_TYPES[type_].subject for type_ in types & set(stripe_events.EVENT_TYPES)}
    assert subjects == {"intent", "session", "charge", "refund", "dispute", "fraud_warning"}
    statuses = {payment["status"] for payment in stored(release, "expected")["payments"].values()}
    assert statuses == {"CREATED", "PROCESSING", "SUCCEEDED", "FAILED", "CANCELED", "REFUNDED"}


@every_release
@pytest.mark.parametrize("table", MODELS)
def test_every_item_of_a_release_is_read_with_the_attributes_that_it_has(release: Path, table: str) -> None:
    for raw in stored(release, table):
        item = MODELS[table].from_raw_data(copy.deepcopy(raw))
        for name in MODELS[table].get_attributes():
            assert (getattr(item, name) is not None) == (name in raw), (table, name)


@every_release
def test_every_payment_of_a_release_has_the_same_state_in_this_version(release: Path) -> None:
    states = {payment.payment_id: write_release.state(payment) for payment in payments_of(release)}
    assert states == stored(release, "expected")["payments"]


@every_release
def test_every_user_of_a_release_has_the_same_access_in_this_version(release: Path) -> None:
    tables = {"payments": [], "enrollments": copy.deepcopy(stored(release, "enrollments"))}
    assert write_release.expected(tables)["enrollments"] == stored(release, "expected")["enrollments"]


@every_release
def test_a_payment_of_a_release_that_is_written_again_keeps_its_facts(release: Path) -> None:
    for payment in payments_of(release):
        raw = dynamodb.to_raw(mapping.payment_to_item(payment, write_release.START, []))
        assert mapping.payment_from_raw(raw) == payment


@every_release
def test_every_chain_of_a_release_verifies_in_this_version(release: Path) -> None:
    trails = trails_of(release)
    for payment in payments_of(release):
        assert audit.verify_payment(payment, trails.pop(payment.payment_id)) is None, payment.payment_id
    heads = {
        item["user_id"]["S"]: mapping.chain_head(copy.deepcopy(item))
        for item in stored(release, "enrollments")
        if item["sort_key"]["S"] == "#user"
    }
    assert heads
    for user_id, (version, head) in heads.items():
        (subject,) = [subject for subject in trails if subject.endswith(user_id)]
        assert audit.verify(subject, trails.pop(subject), version, head) is None, user_id
    switch = mapping.switch_from_raw("selling", switch_of(release))
    assert switches.verify(switch, trails.pop(switches.SUBJECTS["selling"])) is None
    assert trails == {}


@every_release
def test_every_version_of_a_payment_of_a_release_can_be_shown_as_it_was(release: Path) -> None:
    """Its records have no facts, so status and amounts follow from its transitions."""
    trails = trails_of(release)
    for payment in payments_of(release):
        trail = sorted(trails[payment.payment_id], key=lambda record: int(record["seq"]))
        records = [{**record, "recorded_at": record["at"]} for record in trail]
        for version in range(1, payment.version + 1):
            past = moments.at_version(payment, records, version).payment
            totals = audit.fold(trail[:version])
            assert past.status == totals["status"]
            settled = past.facts.settled.amount if past.facts.settled else 0
            assert (settled, past.refund_amount) == (totals["settled"], totals["refunded"])
        assert payments.grants_access(past) == payments.grants_access(payment)


@every_release
def test_the_records_that_brought_a_fact_of_a_payment_of_a_release_are_named(release: Path) -> None:
    trails = trails_of(release)
    for payment in payments_of(release):
        trail = sorted(trails[payment.payment_id], key=lambda record: int(record["seq"]))
        facts = payment.facts
        assert bool(recorded_facts.sources(trail, "settled", facts)) == (facts.settled is not None)
        assert bool(recorded_facts.sources(trail, "decision", facts)) == (facts.decision is not None)
        counted = [refund for refund in facts.refunds.values() if refund.status in payments.COUNTED_REFUNDS]
        assert bool(recorded_facts.sources(trail, "refunds", facts)) == bool(counted)


@every_release
def test_a_chain_of_a_release_with_a_changed_record_does_not_verify(release: Path) -> None:
    payment = payments_of(release)[0]
    records = copy.deepcopy(trails_of(release)[payment.payment_id])
    records[0]["at"] = "2026-01-01T00:00:00.000Z"
    assert audit.verify_payment(payment, records) is not None


@every_release
def test_the_events_of_a_release_lead_to_the_money_of_their_payments(release: Path) -> None:
    """Each payment is built again from its events alone, which lack the facts that only a sync shows."""
    items = [item for item in stored(release, "stripe_objects") if "payment_id" in item]
    pointers = {item["stripe_id"]["S"]: item["payment_id"]["S"] for item in items}
    facts = dict.fromkeys(stored(release, "expected")["payments"], NO_FACTS)
    for event in stored(release, "events"):
        if event["type"] in stripe_events.EVENT_TYPES:
            parsed = stripe_events.parse(event)
            owner = pointers.get(parsed.session or parsed.intent or "")
            if owner:
                facts[owner] = merge(facts[owner], parsed.facts)
    for payment in payments_of(release):
        rebuilt = replace(payment, facts=facts[payment.payment_id])
        assert rebuilt.facts.settled == payment.facts.settled
        assert set(rebuilt.facts.charges) <= set(payment.facts.charges)
        assert set(rebuilt.facts.refunds) <= set(payment.facts.refunds)
        assert rebuilt.refund_amount == payment.refund_amount


@pytest.fixture(params=RELEASES, ids=lambda release: str(release.name))
def restored(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Harness]]:
    """The tables as a release left them, under this version. Stripe does not answer."""
    with mock_aws():
        client = client_for(None)
        create_tables(client)
        for table in MODELS:
            for item in stored(request.param, table):
                client.put_item(TableName=table, Item=copy.deepcopy(item))
        with running_harness(client, monkeypatch) as tuition:
            tuition.freeze_time(write_release.START + 20 * write_release.DAY)
            tuition.stripe_blocked = True
            yield request.param, tuition


def test_the_events_of_a_release_that_arrive_again_change_nothing(restored: tuple[Path, Harness]) -> None:
    """Stripe may repeat an event for three days, so across a release: the ids of records must not change."""
    release, tuition = restored
    before = {table: tuition.tables.scan(TableName=table)["Items"] for table in ("payments", "audit", "enrollments")}
    outcomes: Counter[str | None] = Counter()
    for event in stored(release, "events"):
        answer = tuition.deliver(event)
        outcomes[answer.body.get("outcome")] += 1
        if answer.status != 200:  # a dispute is always synced, and Stripe does not answer
            assert (answer.status, event["type"].split(".")[:2]) == (502, ["charge", "dispute"])
    assert set(outcomes) == {"applied", "ignored", None}
    assert outcomes["applied"] > 50
    for table, items in before.items():
        assert tuition.tables.scan(TableName=table)["Items"] == items


def test_a_student_of_a_release_is_refused_a_second_purchase(restored: tuple[Path, Harness]) -> None:
    _, tuition = restored
    paid = Student("paid")
    assert tuition.create(paid).status == 409
    enrollment = tuition.enrollment(paid)
    assert enrollment and enrollment["status"] == "ENROLLED"


def test_a_payment_of_a_release_continues_its_chain_with_facts(restored: tuple[Path, Harness]) -> None:
    """The old records have none, so only what later records changed can be compared."""
    release, tuition = restored
    (payment,) = [one for one in payments_of(release) if one.user_id == "paid"]
    access.decide(payment.ref, "revoke", "shared the account", "staff-1")
    trail = tuition.audit_trail(payment.payment_id)
    old = {record["schema_version"] for record in trails_of(release)[payment.payment_id]}
    assert [record["schema_version"] for record in trail] == [*[min(old)] * payment.version, audit.SCHEMA_VERSION]
    assert trail[-1]["facts"] == {"decision": {"version": payment.version + 1, "decision": "revoke"}}
    assert tuition.chain_problem(payment.payment_id) is None
    item = tuition.tables.get_item(TableName="payments", Key=keys.payment_key(payment.payment_id))["Item"]
    item["facts"]["S"] = item["facts"]["S"].replace('"revoke"', '"restore"')
    tuition.tables.put_item(TableName="payments", Item=item)
    assert tuition.chain_problem(payment.payment_id) == audit.Broken(
        payment.version + 1, "the payment has another decision than its records"
    )


# --- two versions at once ---


def test_this_version_can_run_beside_the_last_release() -> None:
    assert problems(stored(RELEASES[-1], "schema"), schema()) == []


@every_release
def test_an_unknown_state_of_a_refund_request_counts_as_decided(release: Path) -> None:
    """As in the last release, which meets `superseded` and `withdrawn` in a shift and after a rollback."""
    request_count = 0
    for raw in stored(release, "payments"):
        requests = json.loads(raw["refund_requests"]["S"])
        for request in requests:
            request["state"] = "later"
        later = mapping.payment_from_raw(raw | {"refund_requests": {"S": json.dumps(requests)}})
        kept = [request for request in later.requests if not request.refund]
        assert not any(request.undecided for request in kept)
        assert payments.refund_request_listing(later) is None
        request_count += len(kept)
    assert request_count


@every_release
def test_additions_of_a_later_version_do_not_stop_this_one(release: Path) -> None:
    """A later release may add fields. During its shift, and after a rollback, this version reads them too."""
    extended: set[str] = set()
    for raw in stored(release, "payments"):
        later = copy.deepcopy(raw) | {"seat": {"S": "12"}}
        for name in ("facts", "terms", "price", "refund_requests"):
            value = json.loads(later[name]["S"])
            parts = [value] if isinstance(value, dict) else value
            for part in parts:
                part["later"] = 1
                for inner in part.values():
                    if isinstance(inner, dict) and name == "facts":
                        extended.update(_add_later(inner))
            later[name]["S"] = json.dumps(value)
        assert mapping.payment_from_raw(later) == mapping.payment_from_raw(copy.deepcopy(raw))
    assert {"settled", "charge", "refund"} <= extended
    for raw in stored(release, "enrollments"):
        if "standings" in raw:
            later = copy.deepcopy(raw)
            standings = json.loads(later["standings"]["S"])
            later["standings"]["S"] = json.dumps({key: value | {"later": 1} for key, value in standings.items()})
            assert mapping.enrollment_from_raw(later) == mapping.enrollment_from_raw(copy.deepcopy(raw))


def _add_later(value: dict[str, Any]) -> Iterator[str]:
    """Add a field to a fact, or to each fact of a dict by id. Yield what kind of fact it was."""
    for key, inner in list(value.items()):
        if isinstance(inner, dict) and key.startswith(("ch_", "py_", "re_", "pyr_")):
            inner["later"] = 1
            yield "charge" if key.startswith(("ch_", "py_")) else "refund"
    if {"amount", "currency", "at"} <= set(value):
        value["later"] = 1
        yield "settled"


def changed(change: str) -> list[str]:
    current = copy.deepcopy(schema())
    payment, refund = current["items"]["PaymentItem"], current["values"]["Refund"]
    match change:
        case "remove":
            del payment["track"]
        case "remove a field":
            del refund["created"]
        case "retype":
            payment["amount"]["type"] = "UnicodeAttribute S"
        case "require":
            payment["email"]["optional"] = False
        case "leave out":
            payment["user_id"]["optional"] = True
        case "add a required one":
            payment["seat"] = {"type": "UnicodeAttribute S", "optional": False}
        case "add an optional one":
            payment["seat"] = {"type": "UnicodeAttribute S", "optional": True}
        case "remove a table":
            del current["items"]["LimitsItem"]
        case "older records":
            current["audit_schema_version"] = 0
    return problems(schema(), current)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("remove", "PaymentItem.track is removed"),
        ("remove a field", "Refund.created is removed"),
        ("retype", "PaymentItem.amount was NumberAttribute N and is UnicodeAttribute S"),
        ("require", "PaymentItem.email is required now"),
        ("leave out", "PaymentItem.user_id may be missing now"),
        ("add a required one", "PaymentItem.seat is new and required"),
        ("remove a table", "LimitsItem.declines is removed"),
        ("older records", "the schema version of audit records went back"),
    ],
)
def test_a_change_that_the_last_release_cannot_read_is_refused(change: str, problem: str) -> None:
    assert any(sentence.startswith(problem) for sentence in changed(change))


def test_a_new_optional_attribute_is_accepted() -> None:
    assert changed("add an optional one") == []
