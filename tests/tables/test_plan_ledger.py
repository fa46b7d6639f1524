"""Plans in the ledger: one transaction for a payment, its plan and its enrollments, and the plan's own chain."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests import plans as on_tables
from tests.harness import Harness, Student
from tests.plans import FOUR, MEMBERSHIP, MONTHLY
from tuition import clock
from tuition.core import audit, catalog, plan_schedule, recorded_plan_facts, timestamps
from tuition.core.audit import AuditEntry
from tuition.core.enrollment import Enrollment
from tuition.core.errors import NotFound
from tuition.core.facts import Charge, Dispute, Facts, Settled
from tuition.core.payment_state import PaymentState
from tuition.core.plan import Plan
from tuition.core.plan_facts import Announced, Answer, Method, PlanFacts, Try
from tuition.core.plan_parts import part_of
from tuition.payments import plans
from tuition.storage import dynamodb, keys, ledger, mapping, queries
from tuition.storage.items import EnrollmentItem, PlanItem
from tuition.storage.ledger import AlreadyRecorded, Change, PlanChange, VersionConflict
from tuition.stripe_gateway import sync

MB, ITEM = 1024 * 1024, 400 * 1024
"""A transaction has at most 4 MB and 100 writes, an item 400 KB.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""
ACTION = AuditEntry("2026-11-23T00:00:00.000Z", "evt", "test", "webhook")


def settle(state: PaymentState, event_id: str = "evt_settled") -> Change:
    payment = state.existing
    settled = Settled(payment.price.amount, payment.price.currency, int(clock.now()))
    charge = Charge("succeeded", payment.price.amount, int(clock.now()), "card", payment_method="pm_1")
    facts = Facts(settled=settled, charges={f"ch_{payment.payment_id}": charge})
    return Change(payment.merged(facts), replace(ACTION, event_id=event_id))


def paid(user_id: str, terms: Any = FOUR) -> PaymentState:
    """Begin a plan and settle its first payment."""
    state = on_tables.begin(user_id, terms)
    return ledger.update(state.existing.ref, settle)


def stored(plan_id: str) -> Plan:
    return queries.plans_by_id([plan_id])[0]


def enrollment(user_id: str, product: str = "DP") -> Enrollment:
    raw = dynamodb.batch_get({EnrollmentItem: [keys.enrollment_key(user_id, product)]})[EnrollmentItem]
    return mapping.enrollment_from_raw(raw[0])


def chain_problem(plan_id: str) -> object:
    """Return what is wrong with the records of a plan's own chain, and with the facts to which they lead."""
    plan, trail = stored(plan_id), queries.audit_trail(plan_id)
    broken = audit.verify(plan_id, trail, plan.records, plan.audit_head)
    return broken or recorded_plan_facts.difference(trail, plan.facts)


def holds(plan_id: str) -> None:
    """The parts are those of the payments, and the enrollments have the plan's standing."""
    plan = stored(plan_id)
    payments = list(queries.payments_of_plan(plan_id))
    assert plan.parts == {one.payment_id: part for one in payments if (part := part_of(one))}
    for product in {plan.product, *plan.tracks}:
        assert enrollment(plan.user_id, product).standings.get(plan_id) == (
            plan.standing if plan.standing.counts else None
        )
    assert chain_problem(plan_id) is None


def test_a_plan_begins_with_its_first_payment_in_one_transaction(tuition: Harness, student: Student) -> None:
    state = on_tables.begin(student.sub)
    plan = state.existing_plan
    assert stored(plan.plan_id) == plan == ledger.load(state.existing.ref).plan
    assert (plan.status, plan.version, plan.records) == ("OPEN", 1, 1)
    assert enrollment(student.sub).open_plans == [plan.plan_id]
    assert enrollment(student.sub).open_payments == []
    assert enrollment(student.sub).attempt == 1
    holds(plan.plan_id)
    (record,) = queries.audit_trail(state.existing.payment_id)
    assert record["transition"]["plan"] == {"id": plan.plan_id, "from": None, "to": "OPEN"}
    assert record["transition"]["installments"] == [1]


def test_a_settled_first_payment_enrolls_by_the_plan_and_unlocks_the_first_project(
    tuition: Harness, student: Student
) -> None:
    state = paid(student.sub)
    assert (state.existing_plan.status, state.enrollment.status) == ("ACTIVE", "ENROLLED")
    assert tuition.enrollment(student)["projects"][0]["unlocked"]
    holds(state.existing_plan.plan_id)
    record = queries.audit_trail(state.existing.payment_id)[-1]
    assert record["transition"]["enrollment"] == {"from": "PENDING", "to": "ENROLLED"}
    assert record["transition"]["plan"]["to"] == "ACTIVE"


def test_a_payment_closed_unpaid_leaves_no_standing_of_its_plan(tuition: Harness, student: Student) -> None:
    state = on_tables.begin(student.sub)
    ref = state.existing.ref
    tuition.at_stripe("POST", f"/v1/payment_intents/{state.existing.stripe_object_id}/cancel")
    assert sync.refresh(ref)[0].status == "CANCELED"
    assert stored(state.existing_plan.plan_id).status == "ABANDONED"
    assert enrollment(student.sub).standings == {}
    again = on_tables.begin(student.sub)
    assert again.existing_plan.plan_id != state.existing_plan.plan_id


def test_a_commit_on_a_plan_that_has_moved_conflicts_and_writes_nothing(tuition: Harness, student: Student) -> None:
    old = paid(student.sub)
    plan = old.existing_plan
    on_tables.merge(plan.plan_id, PlanFacts(announced={"2:2026-12-29": 1}), "announce:2:2026-12-29")
    records = queries.audit_trail(old.existing.payment_id)
    disputed = Facts(disputes={"du_1": Dispute(1, "under_review", 12475, 5, "fraudulent")})
    with pytest.raises(VersionConflict):
        ledger.commit(old, Change(old.existing.merged(disputed), replace(ACTION, event_id="evt_d")))
    late = plan.merged(PlanFacts(observed=9))
    with pytest.raises(VersionConflict):
        ledger.commit_plan(replace(old, payment=None), PlanChange(late, replace(ACTION, event_id="tick:9")))
    assert queries.audit_trail(old.existing.payment_id) == records
    state = ledger.update(
        old.existing.ref, lambda s: Change(s.existing.merged(disputed), replace(ACTION, event_id="d"))
    )
    assert state.existing_plan.parts[old.existing.payment_id].dispute == "open"
    holds(plan.plan_id)


def test_a_commit_conflicts_if_a_plan_it_only_read_has_moved(tuition: Harness, student: Student) -> None:
    old = paid(student.sub)
    on_tables.merge(old.existing_plan.plan_id, PlanFacts(observed=9), "tick:9")
    with pytest.raises(VersionConflict):
        ledger.commit(old, Change(old.existing, replace(ACTION, event_id="evt_nothing")))


def test_a_change_of_a_payment_that_means_nothing_for_the_plan_leaves_the_plan_alone(
    tuition: Harness, student: Student
) -> None:
    old = paid(student.sub)
    state = ledger.update(old.existing.ref, lambda s: Change(s.existing, replace(ACTION, event_id="evt_nothing")))
    assert state.existing.version == old.existing.version + 1
    assert stored(old.existing_plan.plan_id) == old.existing_plan


def test_a_further_installment_is_added_with_its_number(tuition: Harness, student: Student) -> None:
    plan_id = paid(student.sub).existing_plan.plan_id
    state = on_tables.add_payment(plan_id, 2, 3)
    assert (state.existing.attempt, state.existing.covers, state.existing.price.amount) == (2, (2, 3), 24950)
    assert state.existing_plan.facts.last_number == 2
    assert enrollment(student.sub).attempt == 1  # the payments of a plan use no attempts of the enrollment
    ledger.update(state.existing.ref, settle)
    assert stored(plan_id).covered == {1, 2, 3}
    holds(plan_id)
    assert [record["type"] for record in queries.audit_trail(plan_id)] == ["plan.created", "plan.payment_created"]


def test_the_same_installment_twice_conflicts(tuition: Harness, student: Student) -> None:
    plan_id = paid(student.sub).existing_plan.plan_id
    before = ledger.load_plan(plan_id)
    plan, payment = before.existing_plan, on_tables.new_payment(before.existing_plan, (2,))
    created = replace(ACTION, event_id=f"create:{payment.payment_id}")
    numbered = PlanChange(plan.merged(PlanFacts(last_number=2)), replace(ACTION, event_id="payment:2"))
    ledger.commit(before, Change(payment, created, numbered))
    with pytest.raises(AlreadyRecorded):
        ledger.commit(before, Change(payment, created, numbered))
    assert len(stored(plan_id).parts) == 2


def test_the_answer_of_a_try_is_written_with_the_payment(tuition: Harness, student: Student) -> None:
    plan_id = paid(student.sub).existing_plan.plan_id
    ref = on_tables.add_payment(plan_id, 2).existing.ref

    def change(state: PaymentState) -> Change:
        plan = state.existing_plan.merged(PlanFacts(observed=7))
        return settle(state)._replace(plan=PlanChange(plan, replace(ACTION, event_id="answer:1", type="plan.tried")))

    state = ledger.update(ref, change)
    assert state.existing_plan.facts.observed == 7
    assert state.existing_plan.covered == {1, 2}
    assert queries.audit_trail(plan_id)[-1]["type"] == "plan.tried"
    holds(plan_id)


def test_a_tick_is_recorded_once_however_often_it_is_made(tuition: Harness, student: Student) -> None:
    plan_id = paid(student.sub).existing_plan.plan_id
    for _ in range(2):
        on_tables.merge(plan_id, PlanFacts(observed=1_800_000_000), "tick:1800000000", at=1_800_000_000)
    assert [record["event_id"] for record in queries.audit_trail(plan_id)][1:] == ["tick:1800000000"]
    holds(plan_id)


def test_a_tick_that_a_restore_of_the_plans_lost_is_recorded_again(tuition: Harness, student: Student) -> None:
    plan_id = paid(student.sub).existing_plan.plan_id
    snapshot = tuition.tables.get_item(TableName="plans", Key=keys.plan_key(plan_id))["Item"]
    on_tables.merge(plan_id, PlanFacts(observed=1_800_000_000), "tick:1800000000", at=1_800_000_000)
    head = stored(plan_id)
    # The plan alone is restored, but for its chain's head: else the next record would contradict the chain.
    chain = {"records": {"N": str(head.records)}, "audit_head": {"S": head.audit_head}}
    tuition.tables.put_item(TableName="plans", Item={**snapshot, **chain})
    state = on_tables.merge(plan_id, PlanFacts(observed=1_800_000_000), "tick:1800000000", at=1_800_000_000)
    assert state.existing_plan.facts.observed == 1_800_000_000
    assert [record["event_id"] for record in queries.audit_trail(plan_id)][-2:] == [
        "tick:1800000000",
        f"tick:1800000000:{state.existing_plan.version - 1}",
    ]
    holds(plan_id)


def test_a_missing_plan_is_rebuilt_from_its_records_and_payments(tuition: Harness, student: Student) -> None:
    first = paid(student.sub)
    plan_id = first.existing_plan.plan_id
    on_tables.decide(plan_id, "waive", "dec_1", seqs=(4,), note="a secret")
    second = on_tables.add_payment(plan_id, 2).existing
    before = stored(plan_id)
    tuition.tables.delete_item(TableName="plans", Key=keys.plan_key(plan_id))
    state = ledger.update(second.ref, settle)
    plan = stored(plan_id)
    assert plan == state.existing_plan
    assert (plan.terms, plan.covered, plan.waived) == (before.terms, {1, 2}, {4})
    assert plan.facts.rebuilt
    assert "a secret" not in repr(plan)
    holds(plan_id)


def test_recomputing_a_plan_follows_its_payments_after_a_restore(tuition: Harness, student: Student) -> None:
    first = paid(student.sub)
    plan_id = first.existing_plan.plan_id
    snapshot = tuition.tables.get_item(TableName="plans", Key=keys.plan_key(plan_id))["Item"]
    second = on_tables.add_payment(plan_id, 2).existing
    ledger.update(second.ref, settle)
    head = stored(plan_id)
    chain = {"records": {"N": str(head.records)}, "audit_head": {"S": head.audit_head}}
    tuition.tables.put_item(TableName="plans", Item={**snapshot, **chain})
    assert ledger.recompute_plan(plan_id).existing_plan.covered == {1, 2}
    holds(plan_id)
    version = stored(plan_id).version
    ledger.recompute_plan(plan_id)
    assert stored(plan_id).version == version
    third = on_tables.add_payment(plan_id, 3).existing
    for payment in (second, third):
        tuition.tables.delete_item(TableName="payments", Key=keys.payment_key(payment.payment_id))
    assert ledger.recompute_plan(plan_id).existing_plan.covered == {1, 2}, "a paid installment is not charged again"
    assert {*stored(plan_id).parts} == {first.existing.payment_id, second.payment_id}
    assert chain_problem(plan_id) is None


def test_a_plan_that_nothing_shows_does_not_stop_its_payments(tuition: Harness, student: Student) -> None:
    state = on_tables.begin(student.sub)
    plan_id = state.existing_plan.plan_id
    tuition.tables.delete_item(TableName="plans", Key=keys.plan_key(plan_id))
    for record in queries.audit_trail(plan_id):
        tuition.tables.delete_item(
            TableName="audit", Key=keys.audit_key(plan_id, f"{record['at']}#{record['event_id']}")
        )
    with pytest.raises(NotFound):
        ledger.load_plan(plan_id)
    payment = ledger.update(state.existing.ref, settle).existing
    assert payment.status == "SUCCEEDED"
    assert "plan_missing" in [reason.name for reason in ledger.load(payment.ref).attention]


def test_a_membership_has_an_enrollment_of_its_own_and_gives_access_to_each_track_begun(
    tuition: Harness, student: Student
) -> None:
    state = paid(student.sub, MONTHLY)
    plan_id = state.existing_plan.plan_id
    assert (state.existing.track, state.existing.membership) == (None, MEMBERSHIP)
    assert enrollment(student.sub, MEMBERSHIP).status == "ENROLLED"
    assert tuition.enrollment(student) is None
    on_tables.merge(plan_id, PlanFacts(tracks={"DP": 1}), "track:DP", "DP")
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert tuition.enrollment(student)["projects"][0]["unlocked"]
    on_tables.merge(plan_id, PlanFacts(tracks={"FSD": 2}), "track:FSD", "FSD")
    holds(plan_id)
    lost = Facts(disputes={"du_1": Dispute(1, "lost", 2900, 5, "fraudulent")})
    ledger.update(state.existing.ref, lambda s: Change(s.existing.merged(lost), replace(ACTION, event_id="evt_lost")))
    assert tuition.enrollment(student)["status"] == tuition.enrollment(student, "FSD")["status"] == "SUSPENDED"
    assert not tuition.enrollment(student)["projects"][0]["unlocked"]
    record = queries.audit_trail(state.existing.payment_id)[-1]
    assert record["transition"]["enrollments"]["FSD"] == {"from": "ENROLLED", "to": "SUSPENDED"}
    holds(plan_id)


def member_with_ten_tracks(user_id: str, patch: pytest.MonkeyPatch) -> tuple[PaymentState, list[str]]:
    """Return the state of a membership with the most tracks that one begins, and their codes."""
    one = catalog.tracks()["DP"]
    tracks = {f"T{number}": replace(one, track=f"T{number}") for number in range(plans.MAX_TRACKS)}
    patch.setattr(catalog, "tracks", lambda: tracks)
    state = paid(user_id, MONTHLY)
    on_tables.merge(state.existing_plan.plan_id, PlanFacts(tracks=dict.fromkeys(tracks, 1)), "tracks", *tracks)
    return state, [*tracks]


def transactions(patch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return a list to which every transaction adds the number of its writes and its size in bytes."""
    sizes: list[tuple[int, int]] = []
    real = dynamodb.call

    def call(operation: Any, **params: Any) -> Any:
        if operation == "transact_write_items":
            sizes.append((len(params["TransactItems"]), len(json.dumps(params["TransactItems"]))))
        return real(operation, **params)

    patch.setattr(dynamodb, "call", call)
    return sizes


def test_a_member_with_ten_tracks_whose_payment_changes_fits_into_one_transaction(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, tracks = member_with_ten_tracks(student.sub, monkeypatch)
    sizes = transactions(monkeypatch)
    declined = {f"ch_{student.sub}{number:03}": Charge("failed", 2900, number) for number in range(90)}
    lost = Facts(disputes={"du_1": Dispute(1, "lost", 2900, 5, "fraudulent")}, charges=declined)
    ledger.update(state.existing.ref, lambda s: Change(s.existing.merged(lost), replace(ACTION, event_id="evt_lost")))
    assert [enrollment(student.sub, track).status for track in tracks] == ["SUSPENDED"] * 10
    ((writes, size),) = sizes
    assert (writes, size < 4 * MB - 3 * ITEM) == (ledger.MAX_WRITES, True), "payment, plan and record at their limits"


def test_the_unpaid_period_of_a_member_with_ten_tracks_ends_their_access_in_one_transaction(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, tracks = member_with_ten_tracks(student.sub, monkeypatch)
    plan_id, now = state.existing_plan.plan_id, int(clock.now())
    due = plan_schedule.due_day(state.existing_plan, 2) or ""
    tried = Try(at=MONTHLY.start_of(due), payment_id="pay_2", seq=2, method="pm_1", answer=Answer(now, code="declined"))
    facts = PlanFacts(announced={Announced(2, due).key: now}, tries={f"day:{due}": tried})
    on_tables.merge(plan_id, facts, "tried")
    sizes = transactions(monkeypatch)
    over = MONTHLY.start_of(timestamps.day_after(due, MONTHLY.grace_days))
    on_tables.merge(plan_id, PlanFacts(observed=over), f"tick:{over}")
    assert stored(plan_id).close_reason == "lapsed"
    assert [enrollment(student.sub, track).status for track in tracks] == ["WITHDRAWN"] * 10
    ((writes, size),) = sizes
    assert (writes < ledger.MAX_WRITES, size < 4 * MB - 2 * ITEM) == (True, True)
    holds(plan_id)
    holds(plan_id)


def test_the_indexes_list_plans_by_user_status_due_date_time_of_collection_and_attention(
    tuition: Harness, student: Student
) -> None:
    plan_id = paid(student.sub).existing_plan.plan_id
    assert [plan.plan_id for plan in queries.plans_of_user(student.sub)] == [plan_id]
    item = PlanItem.from_raw_data(tuition.tables.get_item(TableName="plans", Key=keys.plan_key(plan_id))["Item"])
    assert (item.plan_status, item.attention_open) == (keys.sharded("plan_status", "ACTIVE", plan_id), None)
    due = timestamps.months_after(timestamps.iso(clock.now())[:10], 1)
    assert item.due_at == f"{due}#{plan_id}"
    assert plan_id not in queries.due_plans(timestamps.iso(clock.now()))
    assert plan_id in queries.due_plans(f"{due}T00:00:00.000Z")
    on_tables.add_payment(plan_id, 2)
    assert list(queries.payments_of_plan(plan_id)) == [
        ledger.load(one.ref).payment for one in queries.payments_of_plan(plan_id)
    ]


def test_the_chain_of_a_plan_has_no_method_actor_or_note(tuition: Harness, student: Student) -> None:
    plan_id = paid(student.sub).existing_plan.plan_id
    on_tables.merge(plan_id, PlanFacts(methods={"pm_secret": Method(set_up=1)}), "method:1")
    on_tables.decide(plan_id, "pause", "dec_1", note="a secret")
    assert "secret" not in repr([record["facts"] for record in queries.audit_trail(plan_id)])
    holds(plan_id)
