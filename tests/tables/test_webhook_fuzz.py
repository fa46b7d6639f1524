"""Validly signed events with anything anywhere: answered 200 or 400, never a fault of ours, and the chain holds."""

import base64
import copy
import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import create_checkout_session
import webhook
from stripe_simulator.webhooks import signature
from tests.world import SECRET, Student, World, request_event
from tuition import clock
from tuition.core import enrollment
from tuition.intake.stripe_events import EVENT_TYPES
from tuition.storage import dynamodb, keys, mapping
from tuition.storage.items import MODELS


def first_seed() -> int:
    """`TUITION_SEED`, or 1."""
    return int(os.environ.get("TUITION_SEED", "1"))


FIELDS = (
    *("object", "status", "amount", "amount_received", "currency", "metadata", "latest_charge", "customer"),
    *("payment_intent", "last_payment_error", "canceled_at", "payment_method_details", "receipt_url", "failure_code"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def created(tuition: World, student: Student) -> tuple[str, list[dict[str, Any]]]:
    """An open payment, and the declined events of a try to pay it."""
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"], "pm_card_chargeDeclined")
    return str(made["payment_id"]), tuition.new_events()


def test_a_field_of_any_shape_is_never_a_fault_of_ours(tuition: World, student: Student) -> None:
    payment_id, events = created(tuition, student)
    numbers = iter(range(10**6))

    @settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(events), st.sampled_from(FIELDS), JSON)
    def fuzz(event: dict[str, Any], field: str, value: object) -> None:
        changed = copy.deepcopy(event)
        changed["id"] = f"evt_{student.sub}_{next(numbers)}"
        changed["data"]["object"][field] = value
        assert tuition.deliver(changed).status == 200

    fuzz()
    assert not tuition.payment(payment_id).facts.settled
    assert tuition.chain_problem(payment_id) is None


def test_json_of_any_kind_that_is_signed_is_no_fault_and_changes_nothing(tuition: World, student: Student) -> None:
    payment_id, _ = created(tuition, student)
    before = tuition.payment(payment_id)

    @settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(JSON)
    def fuzz(value: object) -> None:
        assert tuition.deliver_raw(json.dumps(value)).status in (200, 400)

    fuzz()
    assert tuition.payment(payment_id) == before


@pytest.mark.parametrize("depth", [500, 2000, 9000, 100_000])
def test_deep_json_is_kept_or_refused(tuition: World, student: Student, depth: int) -> None:
    payment_id, events = created(tuition, student)
    before = tuition.payment(payment_id)
    events[-1]["data"]["object"]["status"] = 7
    raw = json.dumps(events[-1])[:-1] + ',"x":' + "[" * depth + "]" * depth + "}"
    assert tuition.deliver_raw(raw).status in (200, 400)
    assert tuition.payment(payment_id) == before


@pytest.mark.parametrize("number", ["1" + "0" * 5000, "1e999", "NaN", "-Infinity", "-1"])
def test_numbers_that_no_integer_is_are_kept_or_refused(tuition: World, student: Student, number: str) -> None:
    payment_id, events = created(tuition, student)
    before = tuition.payment(payment_id)
    raw = json.dumps({**events[0], "created": "HERE"}).replace('"HERE"', number)
    assert tuition.deliver_raw(raw).status in (200, 400)
    assert tuition.payment(payment_id) == before


# --- real events of every type, altered anywhere ---


def real_events(tuition: World, student: Student) -> tuple[list[dict[str, Any]], list[str]]:
    """Events of every type that the endpoint subscribes to, none delivered yet, and whose payments they are about."""
    people = (Student(f"{student.sub}-{number}") for number in range(99))
    made: list[str] = []

    def paid(method: str) -> str:
        offer = tuition.create(next(people)).body
        made.append(offer["payment_id"])
        tuition.pay(offer["payment_intent_id"], method)
        return str(offer["payment_intent_id"])

    def session() -> str:
        offer = tuition.call(create_checkout_session.handler, next(people), {"track": "DP"}).body
        made.append(offer["payment_id"])
        return str(offer["session_id"])

    asked = paid("pm_card_authenticationRequired")
    tuition.at_stripe("POST", f"/_sim/payment_intents/{asked}/authenticate", outcome="failure")
    for method in ("pm_card_pendingRefund", "pm_card_refundFail"):
        tuition.at_stripe("POST", "/v1/refunds", payment_intent=paid(method), amount=10_000)
    paid("pm_usBankAccount_success")
    for statuses in (("under_review", "won"), ("lost",)):
        opened = tuition.at_stripe("POST", "/_sim/disputes", payment_intent=paid("pm_card_visa"))
        for status in statuses:
            tuition.at_stripe("POST", "/_sim/disputes", dispute=opened["id"], status=status)
    canceled = tuition.create(next(people)).body["payment_intent_id"]
    tuition.at_stripe("POST", f"/v1/payment_intents/{canceled}/cancel")
    for method in ("pm_card_visa", "pm_usBankAccount_success", "pm_usBankAccount_insufficientFunds"):
        tuition.at_stripe("POST", f"/v1/payment_pages/{session()}/confirm", payment_method=method)
    tuition.at_stripe("POST", f"/v1/checkout/sessions/{session()}/expire")
    tuition.later(10 * 86_400)
    events = [event for event in tuition.new_events() if event["type"] in EVENT_TYPES]
    assert {event["type"] for event in events} == EVENT_TYPES
    return events, made


def places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to everything inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


ODD = st.sampled_from(
    [
        *(None, True, 0, -1, 1, 10**15, 10**40, 1.5, [], {}, [[]], {"id": {}}),
        *("", " ", "x" * 300, "x" * 9000, "\x00", "\ud800", "é", "💳", "pi_1/../x", "pi_nobody", "cs_nobody"),
        *("pay_nobody", "DP", "XX", "succeeded", "canceled", "usd"),
    ]
)


@st.composite
def alterations(draw: st.DrawFn, events: list[dict[str, Any]]) -> dict[str, Any]:
    """A real event with one to three places altered, removed, or taken from another event."""
    event: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(events)))
    for _ in range(draw(st.integers(1, 3))):
        paths = list(places(event))
        *outer, last = draw(st.sampled_from(paths))
        within: Any = event
        for key in outer:
            within = within[key]
        how = draw(st.sampled_from(["odd", "odd", "any", "gone", "other", "type"]))
        if how == "gone":
            del within[last]
        elif how == "type":
            event["type"] = draw(st.sampled_from(sorted(EVENT_TYPES)))
        elif how == "other":
            event.setdefault("data", {})
            event["data"] = copy.deepcopy(draw(st.sampled_from(events))["data"])
        else:
            within[last] = draw(ODD if how == "odd" else JSON)
    return event


def alter_everything(tuition: World, student: Student, examples: int) -> Counter[str]:
    events, made = real_events(tuition, student)
    numbers, outcomes = iter(range(10**6)), Counter[str]()
    for payment_id in made[:3]:
        assert tuition.chain_problem(payment_id) is None

    @seed(first_seed())
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(alterations(events))
    def fuzz(event: dict[str, Any]) -> None:
        if isinstance(event.get("id"), str) and next(numbers) % 2:
            event["id"] = f"evt_{student.sub}_{next(numbers)}"
        answer = tuition.deliver(event)
        assert answer.status == 200, answer
        outcomes[answer.body["outcome"]] += 1

    fuzz()
    for payment_id in made:
        assert tuition.chain_problem(payment_id) is None
        payment = tuition.payment(payment_id)
        found = tuition.tables.get_item(
            TableName="enrollments", Key=keys.enrollment_key(payment.user_id, "DP"), ConsistentRead=True
        )
        standings = mapping.enrollment_from_raw(found["Item"]).standings
        standing = enrollment.standing_of(payment)
        assert standings.get(payment_id) == (standing if standing.counts else None)
    return outcomes


@pytest.mark.property
def test_a_real_event_altered_anywhere_is_never_a_fault_and_never_half_applied(
    tuition: World, student: Student, backend: str, record_property: Any
) -> None:
    """moto copies whole tables for each transaction, so it is given fewer."""
    outcomes = alter_everything(tuition, student, 60 if backend == "moto" else 500)
    assert {"applied", "foreign", "quarantined"} <= set(outcomes)
    record_property("figure", ("altered events delivered", outcomes.total()))


@pytest.mark.soak
def test_real_events_altered_at_full_size(tuition: World, student: Student, record_property: Any) -> None:
    record_property("figure", ("altered events delivered", alter_everything(tuition, student, 20_000).total()))


# --- what is not Stripe's changes nothing ---


def everything(tuition: World) -> dict[str, list[Any]]:
    """All that is stored."""
    found = {}
    for model in MODELS:
        pages = tuition.tables.get_paginator("scan").paginate(TableName=dynamodb.table_name(model), ConsistentRead=True)
        items = [json.dumps(item, sort_keys=True) for page in pages for item in page["Items"]]
        found[model.__name__] = sorted(items)
    return found


@st.composite
def forgeries(draw: st.DrawFn, events: list[dict[str, Any]]) -> tuple[str, str | None, bool]:
    """A body, a header and whether the body is said to be base64: as somebody who has no secret could send them."""
    event = draw(st.sampled_from(events))
    body, now = json.dumps(event), int(clock.now())
    good = signature(SECRET, body.encode(), now)
    mac = good.partition("v1=")[2]
    how = draw(
        st.sampled_from(["secret", "old", "early", "cut", "flip", "v0", "header", "again", "none", "longer", "64"])
    )
    age = draw(st.integers(301, 10**9))
    if how == "secret":
        return body, signature(draw(st.text(max_size=40)) + "?", body.encode(), now), False
    if how in ("old", "early"):
        return body, signature(SECRET, body.encode(), max(0, now + (-age if how == "old" else age))), False
    if how == "cut":
        return body[: draw(st.integers(0, len(body) - 1))], good, False
    if how == "flip":
        place = draw(st.integers(0, len(body) - 1))
        return body[:place] + chr((ord(body[place]) ^ draw(st.integers(1, 15))) % 128) + body[place + 1 :], good, False
    if how == "v0":
        return body, f"t={now},v0={mac}", False
    if how == "again":  # the signature of another moment under a newer time
        return body, f"t={now + draw(st.integers(1, 299))},v1={mac}", False
    if how == "none":
        return body, draw(st.sampled_from([None, "", "t=,v1=", f"t={now}", f"v1={mac}", f"t={now},v1="])), False
    if how == "longer":
        return body + draw(st.sampled_from([" ", "\n", "{}", "\x00"])), good, False
    if how == "64":
        wrong = draw(st.sampled_from([body, base64.b64encode(body.encode()).decode()[:-5] + "*", "====", "é"]))
        return wrong, good, True
    return body, draw(st.text(max_size=200)), False


@pytest.mark.property
def test_whoever_has_no_secret_changes_nothing(tuition: World, student: Student, record_property: Any) -> None:
    events, _ = real_events(tuition, student)
    before, sent = everything(tuition), []

    @seed(first_seed())
    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(forgeries(events))
    def forge(forged: tuple[str, str | None, bool]) -> None:
        body, header, encoded = forged
        asked = request_event(None, body, headers={} if header is None else {"stripe-signature": header})
        answer = webhook.handler({**asked, "isBase64Encoded": encoded}, None)
        assert answer["statusCode"] == 400
        assert answer["headers"]["content-type"] == "application/problem+json"
        sent.append(header)

    forge()
    assert everything(tuition) == before
    record_property("figure", ("forged webhooks refused", len(sent)))


def test_a_signed_body_that_is_too_large_or_no_event_changes_nothing(tuition: World, student: Student) -> None:
    events, _ = real_events(tuition, student)
    before = everything(tuition)
    whole = json.dumps(events[0])
    for body, status in (
        (whole[:-1] + " " * webhook.EVENT_BYTES + "}", 400),
        (whole[: len(whole) // 2], 400),
        ("", 400),
        ("[" * 100_000, 400),
        ("null", 200),
        ("[]", 200),
        ("7", 200),
        ("{}", 200),
    ):
        assert tuition.deliver_raw(body).status == status, body[:20]
    assert everything(tuition) == before


@pytest.mark.parametrize("body", ["é", "\ud800", "*", "YQ", "\x00"])
def test_a_body_that_only_says_to_be_base64_is_refused(tuition: World, body: str) -> None:
    asked = request_event(None, body, headers={"stripe-signature": signature(SECRET, b"", int(clock.now()))})
    assert webhook.handler({**asked, "isBase64Encoded": True}, None)["statusCode"] == 400


def test_a_body_that_the_gateway_encoded_is_the_same_event(tuition: World, student: Student) -> None:
    events, _ = real_events(tuition, student)
    event = next(e for e in events if e["type"] == "payment_intent.succeeded")
    body = json.dumps(event).encode()
    header = {"stripe-signature": signature(SECRET, body, int(clock.now()))}
    asked = request_event(None, base64.b64encode(body).decode(), headers=header)
    answer = webhook.handler({**asked, "isBase64Encoded": True}, None)
    assert json.loads(answer["body"])["outcome"] == "applied"
    assert tuition.payment(event["data"]["object"]["metadata"]["payment_id"]).status == "SUCCEEDED"


def test_the_same_signed_body_is_refused_after_five_minutes_and_changes_nothing(
    tuition: World, student: Student
) -> None:
    events, _ = real_events(tuition, student)
    body = json.dumps(events[0])
    header = {"stripe-signature": signature(SECRET, body.encode(), int(clock.now()))}
    assert tuition.call(webhook.handler, None, body, headers=header).status == 200
    before = everything(tuition)
    assert tuition.call(webhook.handler, None, body, headers=header).status == 200
    tuition.ahead_s += 302
    assert tuition.call(webhook.handler, None, body, headers=header).status == 400
    assert everything(tuition) == before
