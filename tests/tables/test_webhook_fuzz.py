"""Signed events with arbitrary content: each is answered 200 or 400, never 500, and the audit chains still verify."""

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
from tests.harness import SECRET, Harness, Student, request_event
from tuition import clock
from tuition.core import enrollment
from tuition.intake.stripe_events import EVENT_TYPES
from tuition.storage import dynamodb, keys, mapping
from tuition.storage.items import MODELS


def configured_seed() -> int:
    """Return `TUITION_SEED`, or 1."""
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


def open_declined_payment(tuition: Harness, student: Student) -> tuple[str, list[dict[str, Any]]]:
    """Open a payment whose card is declined; return its id and the events."""
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_card_chargeDeclined")
    return str(purchase["payment_id"]), tuition.new_events()


def test_a_field_of_any_shape_never_causes_a_500(tuition: Harness, student: Student) -> None:
    payment_id, events = open_declined_payment(tuition, student)
    numbers = iter(range(10**6))

    @settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(events), st.sampled_from(FIELDS), JSON)
    def fuzz(event: dict[str, Any], field: str, value: object) -> None:
        altered = copy.deepcopy(event)
        altered["id"] = f"evt_{student.sub}_{next(numbers)}"
        altered["data"]["object"][field] = value
        assert tuition.deliver(altered).status == 200

    fuzz()
    assert not tuition.payment(payment_id).facts.settled
    assert tuition.chain_problem(payment_id) is None


def test_signed_json_of_any_kind_is_answered_200_or_400_and_changes_nothing(tuition: Harness, student: Student) -> None:
    payment_id, _ = open_declined_payment(tuition, student)
    before = tuition.payment(payment_id)

    @settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(JSON)
    def fuzz(value: object) -> None:
        assert tuition.deliver_raw(json.dumps(value)).status in (200, 400)

    fuzz()
    assert tuition.payment(payment_id) == before


@pytest.mark.parametrize("depth", [500, 2000, 9000, 100_000])
def test_deeply_nested_json_is_quarantined_or_refused(tuition: Harness, student: Student, depth: int) -> None:
    payment_id, events = open_declined_payment(tuition, student)
    before = tuition.payment(payment_id)
    events[-1]["data"]["object"]["status"] = 7
    raw = json.dumps(events[-1])[:-1] + ',"x":' + "[" * depth + "]" * depth + "}"
    assert tuition.deliver_raw(raw).status in (200, 400)
    assert tuition.payment(payment_id) == before


@pytest.mark.parametrize("number", ["1" + "0" * 5000, "1e999", "NaN", "-Infinity", "-1"])
def test_a_number_that_is_no_valid_time_is_quarantined_or_refused(
    tuition: Harness, student: Student, number: str
) -> None:
    payment_id, events = open_declined_payment(tuition, student)
    before = tuition.payment(payment_id)
    raw = json.dumps({**events[0], "created": "HERE"}).replace('"HERE"', number)
    assert tuition.deliver_raw(raw).status in (200, 400)
    assert tuition.payment(payment_id) == before


# --- altered events of every type ---


def real_events(tuition: Harness, student: Student) -> tuple[list[dict[str, Any]], list[str]]:
    """Return undelivered events of every subscribed type, and the ids of their payments."""
    students = (Student(f"{student.sub}-{number}") for number in range(99))
    payment_ids: list[str] = []

    def pay(method: str) -> str:
        purchase = tuition.create(next(students)).body
        payment_ids.append(purchase["payment_id"])
        tuition.pay(purchase["payment_intent_id"], method)
        return str(purchase["payment_intent_id"])

    def open_session() -> str:
        purchase = tuition.call(create_checkout_session.handler, next(students), {"track": "DP"}).body
        payment_ids.append(purchase["payment_id"])
        return str(purchase["session_id"])

    intent = pay("pm_card_authenticationRequired")
    tuition.at_stripe("POST", f"/_sim/payment_intents/{intent}/authenticate", outcome="failure")
    for method in ("pm_card_pendingRefund", "pm_card_refundFail"):
        tuition.at_stripe("POST", "/v1/refunds", payment_intent=pay(method), amount=10_000)
    pay("pm_usBankAccount_success")
    pay("pm_card_createIssuerFraudRecord")
    for statuses in (("under_review", "won"), ("lost",)):
        dispute = tuition.at_stripe("POST", "/_sim/disputes", payment_intent=pay("pm_card_visa"))
        for status in statuses:
            tuition.at_stripe("POST", "/_sim/disputes", dispute=dispute["id"], status=status)
    canceled = tuition.create(next(students)).body["payment_intent_id"]
    tuition.at_stripe("POST", f"/v1/payment_intents/{canceled}/cancel")
    for method in ("pm_card_visa", "pm_usBankAccount_success", "pm_usBankAccount_insufficientFunds"):
        tuition.at_stripe("POST", f"/v1/payment_pages/{open_session()}/confirm", payment_method=method)
    tuition.at_stripe("POST", f"/v1/checkout/sessions/{open_session()}/expire")
    tuition.advance_stripe(10 * 86_400)
    events = [event for event in tuition.new_events() if event["type"] in EVENT_TYPES]
    assert {event["type"] for event in events} == set(EVENT_TYPES)
    return events, payment_ids


def all_paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to every value inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield (*path, key)
        yield from all_paths(child, (*path, key))


ODD_VALUES = st.sampled_from(
    [
        *(None, True, 0, -1, 1, 10**15, 10**40, 1.5, [], {}, [[]], {"id": {}}),
        *("", " ", "x" * 300, "x" * 9000, "\x00", "\ud800", "é", "💳", "pi_1/../x", "pi_nobody", "cs_nobody"),
        *("pay_nobody", "DP", "XX", "succeeded", "canceled", "usd"),
    ]
)


@st.composite
def altered_events(draw: st.DrawFn, events: list[dict[str, Any]]) -> dict[str, Any]:
    """Draw a real event with one to three values altered, removed, or taken from another event."""
    event: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(events)))
    for _ in range(draw(st.integers(1, 3))):
        paths = list(all_paths(event))
        *outer, last = draw(st.sampled_from(paths))
        within: Any = event
        for key in outer:
            within = within[key]
        kind = draw(st.sampled_from(["odd", "odd", "any", "removed", "other", "type"]))
        if kind == "removed":
            del within[last]
        elif kind == "type":
            event["type"] = draw(st.sampled_from(sorted(EVENT_TYPES)))
        elif kind == "other":
            event.setdefault("data", {})
            event["data"] = copy.deepcopy(draw(st.sampled_from(events))["data"])
        else:
            within[last] = draw(ODD_VALUES if kind == "odd" else JSON)
    return event


def deliver_altered_events(tuition: Harness, student: Student, examples: int) -> Counter[str]:
    """Deliver altered events, check the chains and the enrollments, and count the outcomes."""
    events, payment_ids = real_events(tuition, student)
    numbers, outcomes = iter(range(10**6)), Counter[str]()
    for payment_id in payment_ids[:3]:
        assert tuition.chain_problem(payment_id) is None

    @seed(configured_seed())
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(altered_events(events))
    def fuzz(event: dict[str, Any]) -> None:
        if isinstance(event.get("id"), str) and next(numbers) % 2:
            event["id"] = f"evt_{student.sub}_{next(numbers)}"
        response = tuition.deliver(event)
        assert response.status == 200, response
        outcomes[response.body["outcome"]] += 1

    fuzz()
    for payment_id in payment_ids:
        assert tuition.chain_problem(payment_id) is None
        payment = tuition.payment(payment_id)
        item = tuition.tables.get_item(
            TableName="enrollments", Key=keys.enrollment_key(payment.user_id, "DP"), ConsistentRead=True
        )
        standings = mapping.enrollment_from_raw(item["Item"]).standings
        standing = enrollment.standing_of(payment)
        assert standings.get(payment_id) == (standing if standing.counts else None)
    return outcomes


@pytest.mark.property
def test_an_altered_event_never_causes_a_500_and_is_never_half_applied(
    tuition: Harness, student: Student, record_property: Any
) -> None:
    outcomes = deliver_altered_events(tuition, student, 500)
    assert {"applied", "foreign", "quarantined"} <= set(outcomes)
    record_property("figure", ("altered events delivered", outcomes.total()))


@pytest.mark.soak
def test_many_altered_events_never_cause_a_500(tuition: Harness, student: Student, record_property: Any) -> None:
    record_property("figure", ("altered events delivered", deliver_altered_events(tuition, student, 20_000).total()))


# --- requests that Stripe did not sign ---


def all_items(tuition: Harness) -> dict[str, list[Any]]:
    """Return every stored item of every table."""
    items_of = {}
    for model in MODELS:
        pages = tuition.tables.get_paginator("scan").paginate(TableName=dynamodb.table_name(model), ConsistentRead=True)
        items = [json.dumps(item, sort_keys=True) for page in pages for item in page["Items"]]
        items_of[model.__name__] = sorted(items)
    return items_of


@st.composite
def forged_requests(draw: st.DrawFn, events: list[dict[str, Any]]) -> tuple[str, str | None, bool]:
    """Draw a body, a signature header, and whether the body claims to be base64, as sent without the secret."""
    event = draw(st.sampled_from(events))
    body, now = json.dumps(event), int(clock.now())
    valid = signature(SECRET, body.encode(), now)
    mac = valid.partition("v1=")[2]
    kind = draw(
        st.sampled_from(["secret", "old", "early", "cut", "flip", "v0", "header", "replay", "none", "longer", "64"])
    )
    age = draw(st.integers(301, 10**9))
    if kind == "secret":
        return body, signature(draw(st.text(max_size=40)) + "?", body.encode(), now), False
    if kind in ("old", "early"):
        return body, signature(SECRET, body.encode(), max(0, now + (-age if kind == "old" else age))), False
    if kind == "cut":
        return body[: draw(st.integers(0, len(body) - 1))], valid, False
    if kind == "flip":
        index = draw(st.integers(0, len(body) - 1))
        return body[:index] + chr((ord(body[index]) ^ draw(st.integers(1, 15))) % 128) + body[index + 1 :], valid, False
    if kind == "v0":
        return body, f"t={now},v0={mac}", False
    if kind == "replay":  # an old signature with a newer time
        return body, f"t={now + draw(st.integers(1, 299))},v1={mac}", False
    if kind == "none":
        return body, draw(st.sampled_from([None, "", "t=,v1=", f"t={now}", f"v1={mac}", f"t={now},v1="])), False
    if kind == "longer":
        return body + draw(st.sampled_from([" ", "\n", "{}", "\x00"])), valid, False
    if kind == "64":
        wrong = draw(st.sampled_from([body, base64.b64encode(body.encode()).decode()[:-5] + "*", "====", "é"]))
        return wrong, valid, True
    return body, draw(st.text(max_size=200)), False


@pytest.mark.property
def test_a_request_without_the_secret_changes_nothing(tuition: Harness, student: Student, record_property: Any) -> None:
    events, _ = real_events(tuition, student)
    before, headers = all_items(tuition), []

    @seed(configured_seed())
    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(forged_requests(events))
    def forge(request: tuple[str, str | None, bool]) -> None:
        body, header, encoded = request
        event = request_event(None, body, headers={} if header is None else {"stripe-signature": header})
        response = webhook.handler({**event, "isBase64Encoded": encoded}, None)
        assert response["statusCode"] == 400
        assert response["headers"]["content-type"] == "application/problem+json"
        headers.append(header)

    forge()
    assert all_items(tuition) == before
    record_property("figure", ("forged webhooks refused", len(headers)))


def test_a_signed_body_that_is_too_large_or_no_event_changes_nothing(tuition: Harness, student: Student) -> None:
    events, _ = real_events(tuition, student)
    before = all_items(tuition)
    full_body = json.dumps(events[0])
    for body, status in (
        (full_body[:-1] + " " * webhook.EVENT_BYTES + "}", 400),
        (full_body[: len(full_body) // 2], 400),
        ("", 400),
        ("[" * 100_000, 400),
        ("null", 200),
        ("[]", 200),
        ("7", 200),
        ("{}", 200),
    ):
        assert tuition.deliver_raw(body).status == status, body[:20]
    assert all_items(tuition) == before


@pytest.mark.parametrize("body", ["é", "\ud800", "*", "YQ", "\x00"])
def test_a_body_that_falsely_claims_to_be_base64_is_refused(tuition: Harness, body: str) -> None:
    event = request_event(None, body, headers={"stripe-signature": signature(SECRET, b"", int(clock.now()))})
    assert webhook.handler({**event, "isBase64Encoded": True}, None)["statusCode"] == 400


def test_a_body_that_the_gateway_encoded_is_decoded(tuition: Harness, student: Student) -> None:
    events, _ = real_events(tuition, student)
    stripe_event = next(e for e in events if e["type"] == "payment_intent.succeeded")
    body = json.dumps(stripe_event).encode()
    header = {"stripe-signature": signature(SECRET, body, int(clock.now()))}
    request = request_event(None, base64.b64encode(body).decode(), headers=header)
    response = webhook.handler({**request, "isBase64Encoded": True}, None)
    assert json.loads(response["body"])["outcome"] == "applied"
    assert tuition.payment(stripe_event["data"]["object"]["metadata"]["payment_id"]).status == "SUCCEEDED"


def test_a_signed_body_is_refused_after_five_minutes(tuition: Harness, student: Student) -> None:
    events, _ = real_events(tuition, student)
    body = json.dumps(events[0])
    header = {"stripe-signature": signature(SECRET, body.encode(), int(clock.now()))}
    assert tuition.call(webhook.handler, None, body, headers=header).status == 200
    before = all_items(tuition)
    assert tuition.call(webhook.handler, None, body, headers=header).status == 200
    tuition.offset_s += 302
    assert tuition.call(webhook.handler, None, body, headers=header).status == 400
    assert all_items(tuition) == before
