"""Validly signed events with anything anywhere: answered 200 or 400, never a fault of ours, and the chain holds."""

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.world import Student, World

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
        assert tuition.deliver_raw(json.dumps(value)).status in (200, 400, 413)

    fuzz()
    assert tuition.payment(payment_id) == before


@pytest.mark.parametrize("depth", [500, 2000, 9000, 100_000])
def test_deep_json_is_kept_or_refused(tuition: World, student: Student, depth: int) -> None:
    payment_id, events = created(tuition, student)
    before = tuition.payment(payment_id)
    events[-1]["data"]["object"]["status"] = 7
    raw = json.dumps(events[-1])[:-1] + ',"x":' + "[" * depth + "]" * depth + "}"
    assert tuition.deliver_raw(raw).status in (200, 400, 413)
    assert tuition.payment(payment_id) == before


@pytest.mark.parametrize("number", ["1" + "0" * 5000, "1e999", "NaN", "-Infinity", "-1"])
def test_numbers_that_no_integer_is_are_kept_or_refused(tuition: World, student: Student, number: str) -> None:
    payment_id, events = created(tuition, student)
    before = tuition.payment(payment_id)
    raw = json.dumps({**events[0], "created": "HERE"}).replace('"HERE"', number)
    assert tuition.deliver_raw(raw).status in (200, 400, 413)
    assert tuition.payment(payment_id) == before
