"""The facts in audit records: no field that could name a person, and enough to fold them again."""

import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args, get_type_hints
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit import event_histories
from tests.unit.event_histories import HistoricalStripe, InMemoryLedger
from tests.unit.test_facts import random_facts
from tests.unit.test_item_sizes import largest_payment
from tests.unit.test_payment import PAID, payment, refunded
from tuition.core import audit
from tuition.core import payment as payments
from tuition.core.audit import AuditEntry, Record
from tuition.core.enrollment import Enrollment, standing_of
from tuition.core.facts import (
    NO_FACTS,
    Acknowledgement,
    Charge,
    Comparison,
    Decision,
    Facts,
    Phase,
    Settled,
    merge,
)
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.recorded_facts import DECLARED, MAPS, added, fold, patched, reduced, restored

ENTRY = AuditEntry("2026-11-23T18:30:00.000Z", "evt_1", "payment_intent.succeeded", "webhook")
PERSONAL = "Ada Lovelace <ada@example.org>"
seeds = st.lists(st.integers(0, 2**32), min_size=1, max_size=8)
many_examples = settings(max_examples=150, deadline=None, derandomize=True)


def kinds_of_facts() -> set[type[Any]]:
    """Return every dataclass that a field of the facts can hold, at any depth."""
    kinds: set[type[Any]] = set()
    waiting: list[type[Any]] = [Facts]
    while waiting:
        kind = waiting.pop()
        kinds.add(kind)
        for annotation in get_type_hints(kind).values():
            waiting += [one for one in _named(annotation) if is_dataclass(one) and one not in kinds]
    return kinds


def _named(annotation: Any) -> Iterator[Any]:
    arguments = get_args(annotation)
    if not arguments:
        yield annotation
    for argument in arguments:
        yield from _named(argument)


def texts(value: Any) -> Iterator[str]:
    """Yield every text in JSON, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield key
            yield from texts(inner)


def records_of(states: list[Facts], without_facts: frozenset[int] = frozenset()) -> list[dict[str, Any]]:
    """Return the records of a payment that has these facts, one version after the other."""
    before, records = NO_FACTS, []
    for seq, facts in enumerate(states, 1):
        transition = {"status": {"from": None, "to": "CREATED"}} if seq == 1 else {}
        record = {"seq": seq, "transition": transition, "facts": added(before, facts)}
        if seq in without_facts:
            del record["facts"]
        records.append(record)
        before = facts
    return records


def states_of(numbers: list[int]) -> list[Facts]:
    """Return facts to which others are added, one after the other."""
    states, facts = [], NO_FACTS
    for number in numbers:
        facts = merge(facts, random_facts(number))
        states.append(facts)
    return states


# --- which fields ---


def test_every_field_of_every_fact_is_declared_as_recorded_or_not() -> None:
    assert set(DECLARED) == kinds_of_facts()
    for kind, declared in DECLARED.items():
        names = [*declared.recorded, *declared.withheld, *declared.keys_only]
        assert sorted(names) == sorted(field.name for field in fields(kind)), kind


def test_every_fact_with_entries_is_declared_as_a_map() -> None:
    maps = {field.name for field in fields(Facts) if isinstance(getattr(NO_FACTS, field.name), Mapping)}
    assert maps == MAPS


def test_a_field_that_could_name_a_person_is_never_recorded() -> None:
    facts = Facts(
        customer="cus_1",
        phase=Phase(1, 1, "failed", "card_declined", PERSONAL),
        charges={"ch_1": Charge("failed", 1, 1, "card", "visa", "4242", f"https://x/{PERSONAL}", "card_declined")},
        decision=Decision(2, "revoke", "staff-1", PERSONAL),
        acknowledged={"rebuilt": Acknowledgement(3, PERSONAL, "staff-1", PERSONAL)},
        unknown={"re_1.status": PERSONAL},
        compared={"books": Comparison(4, PERSONAL)},
    )
    assert added(NO_FACTS, facts) == {
        "phase": {"at": 1, "order": 1, "name": "failed", "code": "card_declined"},
        "charges": {"ch_1": {"status": "failed", "amount": 1, "created": 1, "type": "card", "code": "card_declined"}},
        "decision": {"version": 2, "decision": "revoke"},
        "acknowledged": {"rebuilt": {"version": 3}},
        "unknown": {"re_1.status": {}},
        "compared": {"books": {"version": 4}},
    }


@pytest.mark.parametrize("text", [PERSONAL, "two words", "a" * 101, "ä", "line\n"])
def test_a_code_that_is_no_code_is_recorded_as_unknown(text: str) -> None:
    facts = Facts(charges={"ch_1": Charge("failed", 1, 1, code=text)})
    assert added(NO_FACTS, facts)["charges"]["ch_1"]["code"] == "unknown"


@pytest.mark.property
@many_examples
@given(seeds)
def test_a_patch_has_whole_numbers_and_short_codes_only(numbers: list[int]) -> None:
    for record in records_of(states_of(numbers)):
        assert json.loads(json.dumps(record["facts"])) == record["facts"]
        assert "." not in re.sub(r'"[^"]*"', "", json.dumps(record["facts"]))
        assert all(len(text) <= 100 and text.isascii() and " " not in text for text in texts(record["facts"]))


# --- folding ---


@pytest.mark.property
@many_examples
@given(seeds)
def test_the_records_up_to_any_version_fold_to_the_facts_of_that_version(numbers: list[int]) -> None:
    states = states_of(numbers)
    records = records_of(states)
    for version, facts in enumerate(states, 1):
        folded = fold(records[:version])
        assert folded.complete
        assert folded.facts == reduced(facts)
        assert folded.difference(facts) is None


@pytest.mark.property
@many_examples
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_a_patch_leads_from_any_facts_to_any_others(one: int, other: int) -> None:
    """Also to fewer: a merge sheds old entries, and a rebuilt payment starts again."""
    before, after = random_facts(one), random_facts(other)
    assert patched(reduced(before), added(before, after)) == reduced(after)
    assert (added(before, after) == {}) == (reduced(before) == reduced(after))


def test_the_patch_is_a_json_merge_patch_of_rfc_7396() -> None:
    """The examples of the appendix of https://www.rfc-editor.org/rfc/rfc7396 whose patch is an object."""
    for target, patch, result in (
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ):
        assert patched(target, patch) == result


def test_a_record_has_a_changed_entry_whole_and_no_entry_that_stays() -> None:
    before = merge(PAID, refunded(100, "pending"))
    after = merge(before, merge(refunded(100), refunded(200, refund_id="re_2")))
    changed = {"status": "succeeded", "amount": 100, "created": 20}
    assert added(before, after) == {"refunds": {"re_1": changed, "re_2": {**changed, "amount": 200}}}


def test_a_rebuilt_payment_starts_from_its_own_facts() -> None:
    old = records_of([PAID, merge(PAID, refunded(100))])
    rebuilt = {"seq": 3, "transition": {"status": {"from": None, "to": "SUCCEEDED"}}, "facts": added(NO_FACTS, PAID)}
    assert fold([*old, rebuilt]).facts == reduced(PAID)


@pytest.mark.property
@many_examples
@given(seeds, st.frozensets(st.integers(1, 8)))
def test_records_of_both_schemas_never_contradict_an_honest_payment(
    numbers: list[int], without_facts: frozenset[int]
) -> None:
    states = states_of(numbers)
    records = records_of(states, without_facts)
    for version, facts in enumerate(states, 1):
        folded = fold(records[:version])
        assert folded.complete == (not any(seq <= version for seq in without_facts))
        assert folded.difference(facts) is None


# --- finding rewritten facts ---


@pytest.mark.property
@many_examples
@given(seeds, st.integers(0, 2**32))
def test_other_facts_than_those_of_the_records_are_found(numbers: list[int], other: int) -> None:
    states = states_of(numbers)
    rewritten = random_facts(other)
    difference = fold(records_of(states)).difference(rewritten)
    assert (difference is None) == (reduced(rewritten) == reduced(states[-1]))


@pytest.mark.property
@pytest.mark.parametrize("seed", range(30))
def test_the_records_of_a_generated_history_fold_to_the_payment_at_every_version(seed: int) -> None:
    """Every prefix, in four orders of the events: the same facts, and so the same status, access and standing."""
    history = event_histories.make(f"recorded{seed}")
    rng = random.Random(f"recorded orders:{seed}")
    with event_histories.stripe_answers_from(history) as stripe:
        for order in event_histories.orders(history, rng, 4):
            versions = versions_of(stripe, order, rng)
            for states in versions.values():
                records = records_of([state.facts for state in states])
                for version, state in enumerate(states, 1):
                    folded = fold(records[:version])
                    assert folded.facts == reduced(state.facts)
                    at_that_time = replace(state, facts=restored(folded.facts, "not recorded"))
                    assert at_that_time.status == state.status
                    assert standing_of(at_that_time) == standing_of(state)
                    assert payments.no_access_reason(at_that_time) == payments.no_access_reason(state)


def versions_of(stripe: HistoricalStripe, order: list[int], rng: random.Random) -> dict[str, list[Payment]]:
    """Deliver the events in this order, and return the states of each payment, the first one first."""
    versions: dict[str, list[Payment]] = {}

    class Recording(InMemoryLedger):
        def commit(self, after: Payment) -> None:
            versions.setdefault(after.payment_id, [self.payments[after.payment_id]]).append(after)
            super().commit(after)

    with mock.patch.object(event_histories, "InMemoryLedger", Recording):
        event_histories.replay(stripe, order, rng)
    return versions


@pytest.mark.property
@many_examples
@given(st.integers(0, 2**32))
def test_folded_facts_give_facts_whose_withheld_texts_are_the_marker(number: int) -> None:
    facts = random_facts(number)
    again = restored(reduced(facts), "not recorded")
    assert reduced(again) == reduced(facts)
    assert again.customer is None
    assert all(charge.receipt_url == "not recorded" for charge in again.charges.values())
    assert set(again.unknown.values()) <= {"not recorded"}


def test_a_difference_names_the_fact() -> None:
    folded = fold(records_of([merge(PAID, refunded(100))]))
    assert folded.difference(merge(PAID, refunded(100, "failed"))) == "refunds.re_1"
    assert folded.difference(replace(merge(PAID, refunded(100)), accepted=True)) == "accepted"
    assert folded.difference(Facts(settled=Settled(49_900, "usd", 11), refunds=refunded(100).refunds)) == "settled"


def test_behind_a_record_without_facts_only_what_changed_since_is_compared() -> None:
    paid, later = PAID, merge(PAID, refunded(100))
    folded = fold(records_of([paid, later], frozenset({1})))
    assert folded.difference(replace(later, accepted=True)) is None
    assert folded.difference(merge(later, refunded(100, "failed"))) == "refunds.re_1"


def chained(states: list[Payment], schema_versions: list[int]) -> tuple[Payment, list[dict[str, Any]]]:
    """Return the last state of a payment with its records, each as the ledger writes it in this schema version."""
    before, previous, records = PaymentState(None, Enrollment(user_id="u", track="DP")), "", []
    for seq, (state, schema) in enumerate(zip(states, schema_versions, strict=True), 1):
        after = PaymentState(state, before.enrollment.with_payment(state))
        facts = added(before.payment.facts if before.payment else NO_FACTS, state.facts) if schema == 2 else None
        record = Record(
            *("pay_1", seq, replace(ENTRY, event_id=f"evt_{seq}"), "u", "DP", audit.transition(before, after)),
            previous=previous, schema_version=schema, facts=facts,
        )  # fmt: skip
        records.append({**record.body(), "hash": record.hash})
        previous, before = record.hash, after
    return replace(states[-1], version=len(states), audit_head=previous), records


@pytest.mark.parametrize("schemas", [[1, 1, 1], [1, 1, 2], [1, 2, 2], [1, 2, 1], [2, 2, 2], [2, 1, 2]])
def test_a_chain_of_both_schema_versions_verifies(schemas: list[int]) -> None:
    states = [payment(), payment(PAID), payment(PAID, refunded(100))]
    stored, records = chained(states, schemas)
    random.Random(1).shuffle(records)
    assert audit.verify_payment(stored, records) is None
    assert all(("facts" in record) == (record["schema_version"] == 2) for record in records)


def test_a_rewritten_fact_that_moves_no_money_breaks_the_verification() -> None:
    stored, records = chained([payment(), payment(PAID)], [2, 2])
    assert audit.verify_payment(stored, records) is None
    rewritten = replace(stored, facts=replace(stored.facts, settled=Settled(49_900, "usd", 11)))
    broken = audit.verify_payment(rewritten, records)
    assert broken == audit.Broken(2, "the payment has another settled than its records")


def test_the_hash_covers_the_facts() -> None:
    stored, records = chained([payment(), payment(PAID)], [2, 2])
    records[0]["facts"] = {"settled": {"amount": 1, "currency": "usd", "at": 1}}
    assert audit.verify_payment(stored, records) == audit.Broken(1, "its content was changed")
    del records[0]["facts"]
    assert audit.verify_payment(stored, records) == audit.Broken(1, "its content was changed")


def test_the_facts_of_the_largest_payment_are_recorded_and_found_again() -> None:
    facts = largest_payment().facts
    assert patched({}, added(NO_FACTS, facts)) == reduced(facts)
