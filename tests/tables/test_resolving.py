"""The payment that an event belongs to: our own pointer decides, and metadata only where there is none."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import create_checkout_session
from tests.harness import Harness, Student
from tests.tables.test_refunds import buy
from tests.tables.test_round_trips import POINTER, READ, TRANSACTION, record_calls
from tests.tables.test_sessions import pay_session
from tuition import settings
from tuition.storage import keys

pytestmark = pytest.mark.usefixtures("empty_tables")
Metadata = dict[str, str]
EDITS: dict[str, Callable[[Metadata], Any]] = {
    "no app": lambda metadata: metadata.pop("app"),
    "no environment": lambda metadata: metadata.pop("environment"),
    "no payment": lambda metadata: metadata.pop("payment_id"),
    "no user": lambda metadata: metadata.pop("user_id"),
    "no track": lambda metadata: metadata.pop("track"),
    "no metadata": lambda metadata: metadata.clear(),
    "another payment": lambda metadata: metadata.update(payment_id="pay_other"),
    "another user": lambda metadata: metadata.update(user_id="somebody-else"),
    "another track": lambda metadata: metadata.update(track="FSD"),
    "an unusable user": lambda metadata: metadata.update(user_id="é"),
}


def paid_by_session(tuition: Harness, student: Student) -> str:
    purchase = tuition.call(create_checkout_session.handler, student, {"track": "DP"}).body
    pay_session(tuition, purchase["session_id"])
    return str(purchase["payment_id"])


def paid_by_intent(tuition: Harness, student: Student) -> str:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    return str(purchase["payment_id"])


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize(
    ("purchase", "event_type"),
    [(paid_by_intent, "payment_intent.succeeded"), (paid_by_session, "checkout.session.completed")],
    ids=["intent", "session"],
)
def test_a_student_is_enrolled_whatever_the_metadata_say(
    tuition: Harness, student: Student, purchase: Callable[..., str], event_type: str, edit: str
) -> None:
    payment_id = purchase(tuition, student)
    (event,) = [event for event in tuition.new_events() if event["type"] == event_type]
    EDITS[edit](event["data"]["object"]["metadata"])
    assert tuition.deliver(event).body["outcome"] == "applied"
    assert tuition.payment(payment_id).status == "SUCCEEDED"
    assert (tuition.enrollment(student) or {})["status"] == "ENROLLED"


@pytest.mark.parametrize("edit", EDITS)
def test_a_charge_with_edited_metadata_belongs_to_its_intents_payment(
    tuition: Harness, student: Student, edit: str
) -> None:
    payment_id = paid_by_intent(tuition, student)
    (event,) = [event for event in tuition.new_events() if event["type"] == "charge.succeeded"]
    EDITS[edit](event["data"]["object"]["metadata"])
    assert tuition.deliver(event).body["outcome"] == "applied"
    assert event["data"]["object"]["id"] in tuition.payment(payment_id).facts.charges


def test_metadata_copied_from_another_payment_raise_no_claim_against_it(
    tuition: Harness, student: Student, admin: Student
) -> None:
    other = buy(tuition, admin)
    copied = tuition.at_stripe("GET", f"/v1/payment_intents/{tuition.payment(other).intent}")["metadata"]
    payment_id = paid_by_intent(tuition, student)
    intent = tuition.payment(payment_id).intent
    tuition.at_stripe(
        "POST", f"/v1/payment_intents/{intent}", **{f"metadata[{name}]": value for name, value in copied.items()}
    )
    for event in tuition.new_events():
        if event["type"] in ("payment_intent.succeeded", "charge.succeeded"):
            event["data"]["object"]["metadata"] = copied
        assert tuition.deliver(event).body["outcome"] in ("applied", "ignored")
    assert tuition.attention(other) == tuition.attention(payment_id) == []
    assert tuition.payment(payment_id).status == "SUCCEEDED"
    tuition.reconcile()
    assert tuition.attention(other) == tuition.attention(payment_id) == []


def test_the_reconciler_enrolls_a_student_whose_metadata_were_rewritten(
    tuition: Harness, student: Student, admin: Student
) -> None:
    other = buy(tuition, admin)
    copied = tuition.at_stripe("GET", f"/v1/payment_intents/{tuition.payment(other).intent}")["metadata"]
    payment_id = paid_by_intent(tuition, student)
    intent = tuition.payment(payment_id).intent
    tuition.at_stripe(
        "POST", f"/v1/payment_intents/{intent}", **{f"metadata[{name}]": value for name, value in copied.items()}
    )
    assert tuition.reconcile()["failed"] == []
    assert tuition.payment(payment_id).status == "SUCCEEDED"
    assert tuition.attention(other) == []


def forget_intent(tuition: Harness, kind: str, object_id: str) -> None:
    """Make an object, and every event about it, name only its charge."""
    tuition.stripe.account.store.objects[kind][object_id]["payment_intent"] = None
    payloads = tuition.stripe.webhooks.payloads
    for event_id, payload in payloads.items():
        event = json.loads(payload)
        if event["data"]["object"]["id"] == object_id:
            event["data"]["object"]["payment_intent"] = None
            payloads[event_id] = json.dumps(event)


@pytest.mark.parametrize("charge_is_stored", [True, False])
@pytest.mark.parametrize("kind", ["refund", "dispute"])
@pytest.mark.parametrize("way", ["webhook", "reconciler"])
def test_a_refund_or_dispute_without_an_intent_belongs_to_its_charges_payment(
    tuition: Harness, student: Student, kind: str, charge_is_stored: bool, way: str
) -> None:
    payment_id = paid_by_intent(tuition, student)
    for event in tuition.new_events():
        if charge_is_stored or event["type"] == "payment_intent.succeeded":
            if not charge_is_stored:
                event["data"]["object"]["latest_charge"] = None
            tuition.deliver(event)
    intent = tuition.payment(payment_id).intent
    assert bool(tuition.payment(payment_id).facts.charges) is charge_is_stored
    if kind == "refund":
        created = tuition.at_stripe("POST", "/v1/refunds", payment_intent=intent)
    else:
        created = tuition.at_stripe("POST", "/_sim/disputes", payment_intent=intent, status="lost")
    forget_intent(tuition, kind, created["id"])
    if way == "reconciler":
        assert tuition.reconcile()["failed"] == []
    else:
        for event in tuition.new_events():
            if event["data"]["object"]["object"] == kind:
                assert tuition.deliver(event).body["outcome"] == "applied"
    facts = tuition.payment(payment_id).facts
    assert created["id"] in (facts.refunds if kind == "refund" else facts.disputes)
    assert (tuition.enrollment(student) or {})["status"] != "ENROLLED"


def test_a_webhook_whose_metadata_name_another_payment_is_one_more_read(tuition: Harness, student: Student) -> None:
    paid_by_intent(tuition, student)
    (event,) = [event for event in tuition.new_events() if event["type"] == "payment_intent.succeeded"]
    event["data"]["object"]["metadata"]["payment_id"] = "pay_other"
    with record_calls(tuition) as call_names:
        assert tuition.deliver(event).body["outcome"] == "applied"
    assert call_names == [READ, READ, TRANSACTION]


def test_a_webhook_without_our_metadata_first_reads_the_pointer(tuition: Harness, student: Student) -> None:
    paid_by_intent(tuition, student)
    (event,) = [event for event in tuition.new_events() if event["type"] == "payment_intent.succeeded"]
    event["data"]["object"]["metadata"] = {}
    with record_calls(tuition) as call_names:
        assert tuition.deliver(event).body["outcome"] == "applied"
    assert call_names == [POINTER, READ, TRANSACTION]


def test_the_webhook_of_our_own_refund_is_one_read_and_one_transaction(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    tuition.refund(student, payment_id)
    (event,) = [event for event in tuition.new_events() if event["type"] == "refund.created"]
    with record_calls(tuition) as call_names:
        assert tuition.deliver(event).body["outcome"] == "applied"
    assert call_names == [READ, TRANSACTION]


# --- the stack's id ---


@pytest.fixture
def _stack_id(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("STACK_ID", "stack-1")
    settings.settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.settings.cache_clear()


@pytest.mark.usefixtures("_stack_id")
def test_every_object_that_we_create_at_stripe_carries_the_stacks_id(tuition: Harness, student: Student) -> None:
    payment_id = paid_by_session(tuition, student)
    tuition.deliver_all()
    assert tuition.refund(student, payment_id).status == 200
    store = tuition.stripe.account.store
    for type_ in ("customer", "checkout.session", "payment_intent", "charge", "refund"):
        objects = list(store.all(type_))
        assert objects and all(obj["metadata"]["stack"] == "stack-1" for obj in objects), type_


@pytest.mark.usefixtures("_stack_id")
@pytest.mark.parametrize("event_type", ["payment_intent.succeeded", "charge.succeeded", "charge.dispute.created"])
def test_an_event_of_another_stack_is_foreign_and_raises_an_alarm_unless_we_know_its_object(
    tuition: Harness, student: Student, capsys: pytest.CaptureFixture[str], event_type: str
) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_card_createDispute")
    (event,) = [event for event in tuition.new_events() if event["type"] == event_type]
    intent = tuition.stripe.account.store.find("payment_intent", purchase["payment_intent_id"])
    assert intent
    for metadata in (intent["metadata"], event["data"]["object"]["metadata"]):
        metadata |= {"stack": "stack-2"} if metadata else {}
    pointer = keys.stripe_object_key(purchase["payment_intent_id"])
    stored = tuition.tables.get_item(TableName="stripe_objects", Key=pointer)["Item"]
    tuition.tables.delete_item(TableName="stripe_objects", Key=pointer)
    assert tuition.deliver(event).body["outcome"] == "foreign"
    assert capsys.readouterr().out.count('"MisroutedEvent":[1.0]') == 1
    tuition.tables.put_item(TableName="stripe_objects", Item=stored)
    assert tuition.deliver(event).body["outcome"] == "applied"
    assert "MisroutedEvent" not in capsys.readouterr().out


@pytest.mark.usefixtures("_stack_id")
def test_an_object_without_a_stacks_id_is_ours(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    (event,) = [event for event in tuition.new_events() if event["type"] == "payment_intent.succeeded"]
    del event["data"]["object"]["metadata"]["stack"]
    tuition.tables.delete_item(TableName="stripe_objects", Key=keys.stripe_object_key(purchase["payment_intent_id"]))
    assert tuition.deliver(event).body["outcome"] == "applied"
