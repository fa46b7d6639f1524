"""The published events: which record has which events, and that docs/events.md describes them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.event_schemas import schema_of
from tests.unit.test_enrollment import enrollment
from tests.unit.test_payment import PAID, disputed, in_phase, payment, refunded
from tools import published_events as reference
from tuition.core import audit, plan, published_events
from tuition.core.audit import AuditEntry, Record
from tuition.core.facts import Facts
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.published_events import PAYMENT_CHANGED, PAYMENT_RECORDED, PublishedEvent, of_record
from tuition.storage import mapping
from tuition.storage.items import AuditItem

ROOT = Path(__file__).parents[2]
CONSTANTS = {value for value in vars(published_events).values() if isinstance(value, str) and value.endswith(".v1")}


def events_of(before: Payment | None, after: Payment, *, seq: int = 2, type_: str = "pull") -> list[PublishedEvent]:
    old = enrollment().with_payment(before) if before else enrollment()
    transition = audit.transition(PaymentState(before, old), PaymentState(after, old.with_payment(after)))
    entry = AuditEntry("2026-11-23T18:30:00.000Z", "evt_1", type_, "pull")
    return of_record(stored(Record("pay_1", seq, entry, "u", "DP", transition)))


def stored(record: Record) -> dict[str, Any]:
    return {**record.body(), "sort_key": record.entry.sort_key, "recorded_at": "2026-11-23T18:30:01.000Z"}


def names(events: list[PublishedEvent]) -> list[str]:
    """Return short names, without the event that every record of a payment has: one of two."""
    types = [event.type for event in events if event.type not in (PAYMENT_CHANGED, PAYMENT_RECORDED)]
    return [type_.removeprefix("tuition.").removesuffix(".v1").removeprefix("payment.") for type_ in types]


def test_the_page_has_the_reference_that_the_code_produces() -> None:
    page = reference.PAGE.read_text(encoding="utf-8")
    assert reference.updated(page, reference.reference(), "events") == page, "run python -m tools.published_events"


def test_every_type_is_documented_with_a_sample() -> None:
    assert set(reference.TYPES) == CONSTANTS == set(reference.samples())


@pytest.mark.parametrize("name", sorted(CONSTANTS))
def test_the_sample_of_a_type_fits_its_schema(name: str) -> None:
    schema_of(name).validate(dict(reference.samples()[name].detail))


def test_every_event_of_the_samples_fits_its_schema_and_has_an_id_of_its_own() -> None:
    for record in reference.records():
        events = of_record(record)
        for event in events:
            schema_of(event.type).validate(dict(event.detail))
        assert len({event.detail["id"] for event in events}) == len(events)
        assert all(event.detail["id"].startswith(f"{record['subject']}#{record['sort_key']}#") for event in events)
        assert of_record(json.loads(json.dumps(record))) == events


def test_a_schema_refuses_a_field_that_it_does_not_name() -> None:
    detail = dict(reference.samples()[published_events.PAYMENT_SETTLED].detail)
    for changed in (
        {**detail, "email": "ada@example.com"},
        {**detail, "transition": {**detail["transition"], "note": "text"}},
        {name: value for name, value in detail.items() if name != "amount"},
    ):
        assert not schema_of(published_events.PAYMENT_SETTLED).is_valid(changed)


def test_every_record_of_the_first_release_has_events_that_fit_their_schemas() -> None:
    items = json.loads((ROOT / "tests" / "compat" / "0.1.0" / "audit.json").read_text(encoding="utf-8"))
    read = [AuditItem.from_raw_data(item) for item in items]
    records = [{**mapping.record_to_json(item), "sort_key": item.sort_key} for item in read]
    events = [event for record in records for event in of_record(record)]
    for event in events:
        schema_of(event.type).validate(dict(event.detail))
    assert {published_events.PAYMENT_SETTLED, published_events.PAYMENT_REFUNDED} <= {event.type for event in events}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, payment(), ["created"]),
        (None, payment(PAID), ["created", "settled", "enrollment.granted"]),
        (None, payment(PAID, refunded(49900)), ["created", "settled", "refunded", "refund_succeeded"]),
        (payment(), payment(in_phase("processing")), ["processing"]),
        (payment(in_phase("processing")), payment(in_phase("failed")), ["failed"]),
        (payment(PAID), payment(PAID, refunded(100, "pending")), ["refunded"]),
        (payment(PAID, refunded(100, "pending")), payment(PAID, refunded(100)), ["refund_succeeded"]),
        (payment(PAID), payment(PAID, refunded(100, "requires_action")), []),
        (payment(PAID), payment(PAID, refunded(100, "failed")), ["refund_failed", "attention.raised"]),
        (
            payment(PAID),
            payment(PAID, disputed("lost")),
            ["dispute_lost", "enrollment.withdrawn", "attention.raised"],
        ),
        (payment(PAID, disputed("lost")), payment(PAID, disputed("won", 2)), ["dispute_won", "enrollment.granted"]),
        (payment(PAID), payment(PAID), []),
    ],
)
def test_a_change_of_a_payment_has_these_events(before: Payment | None, after: Payment, expected: list[str]) -> None:
    assert names(events_of(before, after, seq=2 if before else 1)) == expected


def test_a_record_without_a_transition_says_only_that_there_is_one() -> None:
    paid = payment(PAID)
    assert [event.type for event in events_of(paid, paid)] == [PAYMENT_RECORDED]


def test_a_refund_that_never_counted_takes_nothing_back_when_it_fails() -> None:
    failed = payment(PAID, refunded(100, "failed"))
    assert [e.detail["amount"] for e in events_of(payment(PAID), failed) if "refund" in e.detail] == [0]
    pending = payment(PAID, refunded(100, "pending"))
    assert [e.detail["amount"] for e in events_of(pending, failed) if "refund" in e.detail] == [100]


REBUILT = payment(PAID, refunded(100), disputed("lost"), Facts(rebuilt=True))


@pytest.mark.parametrize("seq", [1, 3], ids=["without records", "with records"])
@pytest.mark.parametrize("type_", ["rebuilt", "payment_intent.succeeded", "charge.dispute.created", "refund.created"])
def test_a_payment_that_was_rebuilt_is_not_announced_again(type_: str, seq: int) -> None:
    events = events_of(None, REBUILT, seq=seq, type_=type_)
    assert names(events) == ["rebuilt", "attention.raised"]
    assert events[0].detail["totals"] == {"settled": 49900, "refunded": 100, "lost": 49900}


def test_a_payment_that_continues_old_records_is_not_announced_again_if_its_attention_does_not_tell() -> None:
    assert names(events_of(None, payment(PAID), seq=3)) == ["rebuilt", "enrollment.granted"]
    assert names(events_of(None, payment(PAID), seq=1)) == ["created", "settled", "enrollment.granted"]


def test_a_later_change_of_a_rebuilt_payment_is_announced() -> None:
    before = payment(PAID, Facts(rebuilt=True))
    after = payment(PAID, Facts(rebuilt=True), refunded(49900))
    assert names(events_of(before, after, seq=4))[:2] == ["refunded", "refund_succeeded"]


def test_the_event_of_a_rebuilt_payment_leads_to_those_that_it_repeats() -> None:
    announced = events_of(None, payment(PAID, refunded(100), disputed("lost")), seq=1)
    event = events_of(None, REBUILT, seq=1)[0]
    repeated = published_events.repeated(event.detail)
    assert names(repeated) == ["created", "settled", "refunded", "refund_succeeded", "dispute_lost"]
    for one, original in zip(repeated, announced, strict=False):
        schema_of(one.type).validate(dict(one.detail))
        assert (one.type, one.detail["id"]) == (original.type, original.detail["id"])


def test_a_dispute_that_changes_back_after_a_loss_gives_the_amount_back() -> None:
    lost, reopened = payment(PAID, disputed("lost")), payment(PAID, disputed("under_review", 2))
    event = next(event for event in events_of(lost, reopened) if "dispute" in event.detail)
    assert (event.type, event.detail["amount"]) == (published_events.DISPUTE_REOPENED, -49900)


@pytest.mark.parametrize("name", ["subject", "sort_key", "seq", "user_id", "type", "source", "at", "transition"])
def test_a_record_that_lacks_an_attribute_is_refused(name: str) -> None:
    record = next(reference.records())
    with pytest.raises(KeyError):
        of_record({key: value for key, value in record.items() if key != name})


@pytest.mark.parametrize("transition", [None, "status", ["status"], {"status": "PAID"}, {"settled": 1, "status": {}}])
def test_a_record_with_a_transition_of_another_form_is_refused(transition: object) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        of_record({**next(reference.records()), "transition": transition})


def test_every_type_ends_in_its_version() -> None:
    assert all(re.fullmatch(r"tuition\.[a-z]+\.[a-z_]+\.v[1-9]", name) for name in CONSTANTS)


def test_a_record_about_a_plan_says_what_happened_to_it() -> None:
    """The samples begin a plan, lose and win a dispute about it, fail to charge it, and end it and a membership."""
    events = [names(of_record(record)) for record in reference.records() if "plan" in record["transition"]]
    happened = [[name.removeprefix("plan.") for name in one if name.startswith("plan.")] for one in events]
    assert happened == [
        ["changed", "created"],
        ["begun"],
        ["suspended"],
        ["restored"],
        ["changed", "charge_announced", "late"],
        ["changed", "charge_failed", "needs_student"],
        ["changed", "paused"],
        ["changed", "resumed", "late"],
        ["changed", "complete"],
        ["changed", "closed"],
        ["changed", "ending"],
    ]


def test_every_status_of_a_plan_has_an_event_when_it_is_reached() -> None:
    reached = {status: [*published_events.plan_changes("OPEN", status)] for status in plan.STATUSES}
    first = published_events.PLAN_BEGUN
    assert reached.pop("OPEN") == []
    assert reached.pop("ACTIVE") == [first], "the first payment has settled"
    assert reached.pop("ABANDONED") == [published_events.PLAN_CLOSED]
    assert all(events[0] == first and len(events) == 2 for events in reached.values()), reached
    assert [*published_events.plan_changes("SUSPENDED", "LATE")] == [
        published_events.PLAN_RESTORED,
        published_events.PLAN_LATE,
    ]
    assert [*published_events.plan_changes("PAUSED", "SUSPENDED")] == [
        published_events.PLAN_RESUMED,
        published_events.PLAN_SUSPENDED,
    ]


def test_an_event_about_a_charge_has_its_installment_day_and_amount() -> None:
    samples = reference.samples()
    announced = samples[published_events.PLAN_CHARGE_ANNOUNCED].detail
    charge = {"installment": 2, "day": "2026-12-23", "amount": 12475, "currency": "usd", "card_expires": True}
    assert {name: announced[name] for name in charge} == charge
    failed = samples[published_events.PLAN_CHARGE_FAILED].detail
    assert (failed["payment_id"], failed["installment"], failed["code"]) == ("pay_2", 2, "card_declined")
    assert samples[published_events.PLAN_NEEDS_STUDENT].detail["reason"] == "do_not_try_again"
    assert samples[published_events.PLAN_ENDING].detail["ends_on"] == "2026-12-23"
