"""Interleavings that broke earlier versions of the rules, each driven step by step. The name states the rule."""

from collections.abc import Iterator

import pytest

from tests.model import checkers, participants, search
from tests.model.simulation import RESTORED_TABLES, Actor, Simulation, running
from tests.shards import NUMBERS, set_shards
from tuition.core.errors import AlreadyEnrolled, PaymentInProgress, PurchasesBlocked, RefundRefused
from tuition.core.refs import PaymentRef
from tuition.intake import reconcile, stripe_events, walk
from tuition.payments import access, purchase_blocks, refunds
from tuition.storage import ledger
from tuition.stripe_gateway import sync

COMMIT = "transact_write_items"


@pytest.fixture(params=NUMBERS, ids=lambda number: f"{number} shards")
def sim(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulation]:
    with running(7, monkeypatch) as simulation:
        set_shards(monkeypatch, request.param)
        yield simulation
        finish(simulation)
        assert not simulation.problems
        assert not checkers.final_state(simulation)


def finish(sim: Simulation) -> None:
    """Deliver every event again, then reconcile."""
    search.deliver_until_quiet(sim, [e for e in sim.all_events() if e["type"] in stripe_events.EVENT_TYPES])
    assert not search.reconcile_until_quiet(sim)


def deliver_new_events(sim: Simulation) -> None:
    search.deliver_until_quiet(sim, [e for e in sim.new_events() if e["type"] in stripe_events.EVENT_TYPES])


def lose_tables(sim: Simulation) -> None:
    """Restore the tables to the moment before the first purchase."""
    for table in RESTORED_TABLES:
        sim.tables.stored[table].clear()
    sim.records.clear()


def reconcile_after_an_hour(sim: Simulation) -> walk.Run:
    sim.pass_time(3_700)
    run = reconcile.run(lambda: 900.0)
    assert run.done and not run.failed
    return run


def last_event(sim: Simulation, type_: str) -> dict[str, object]:
    return next(e for e in reversed(sim.all_events()) if e["type"] == type_)


def spawn_create(sim: Simulation, name: str, kind: str = "intent") -> Actor:
    return sim.spawn(name, lambda: sim.create(kind=kind))


def buy(sim: Simulation) -> PaymentRef:
    """Enroll a student who has a customer and has paid."""
    offer = sim.create()
    sim.pay(offer.payment.stripe_object_id)
    deliver_new_events(sim)
    return PaymentRef(offer.payment.payment_id, "ada", "DP")


def buy_and_refund(sim: Simulation) -> None:
    """Leave a student who has a customer and no open payment."""
    ref = buy(sim)
    refunds.request(ref, "no")
    deliver_new_events(sim)
    assert sim.enrollment().status == "WITHDRAWN"


def test_a_losing_create_of_another_kind_closes_only_its_own_object(sim: Simulation) -> None:
    buy_and_refund(sim)
    a, b = spawn_create(sim, "a"), spawn_create(sim, "b", "checkout")
    a.run_until(COMMIT)
    b.run_until(COMMIT)
    session = b.finish().payment
    with pytest.raises(PaymentInProgress):
        a.finish()
    assert sim.payment(session.payment_id).open
    assert checkers.payable(sim) == [session.stripe_object_id]
    finish(sim)
    assert sim.payment(session.payment_id).open


def test_a_losing_double_click_returns_the_winning_payment_and_cancels_nothing(sim: Simulation) -> None:
    buy_and_refund(sim)
    a, b = spawn_create(sim, "a"), spawn_create(sim, "b")
    a.run_until(COMMIT)
    b.run_until(COMMIT)
    first, second = a.finish(), b.finish()
    assert first.payment.stripe_object_id == second.payment.stripe_object_id
    assert checkers.payable(sim) == [first.payment.stripe_object_id]


def test_a_create_that_conflicts_with_an_older_payments_webhook_commits_the_same_object(sim: Simulation) -> None:
    ref = buy(sim)
    sim.at_stripe("POST", "/v1/refunds", payment_intent=sim.payment(ref.payment_id).intent)
    finish(sim)
    a = spawn_create(sim, "a").run_until(COMMIT)
    intent_id = sim.objects("payment_intent")[-1]["id"]
    sim.at_stripe("POST", "/_sim/disputes", payment_intent=sim.payment(ref.payment_id).intent, status="lost")
    stored = sim.tables.stored["enrollments"]["ada", "DP"]
    sim.tables.stored["enrollments"]["ada", "DP"] = {
        **stored,
        "version": {"N": str(int(stored["version"]["N"]) + 1)},
    }
    assert a.finish().payment.stripe_object_id == intent_id


def test_a_created_event_before_the_commit_rebuilds_nothing_and_the_create_commits(sim: Simulation) -> None:
    a = spawn_create(sim, "a").run_until(COMMIT)
    assert stripe_events.apply(last_event(sim, "payment_intent.created")) == "not_found"
    assert not sim.payments()
    assert a.finish().new


def test_a_retry_uses_the_intent_of_a_create_that_died_before_its_commit(sim: Simulation) -> None:
    spawn_create(sim, "a").run_until(COMMIT).die()
    intent_id = sim.objects("payment_intent")[-1]["id"]
    assert sim.create().payment.stripe_object_id == intent_id
    assert checkers.payable(sim) == [intent_id]


def test_a_canceled_orphan_is_not_offered_again_by_its_idempotency_key(sim: Simulation) -> None:
    spawn_create(sim, "a").run_until(COMMIT).die()
    orphan = sim.objects("payment_intent")[-1]["id"]
    sim.at_stripe("POST", f"/v1/payment_intents/{orphan}/cancel")
    offer = sim.create()
    assert offer.payment.stripe_object_id != orphan
    assert checkers.payable(sim) == [offer.payment.stripe_object_id]


def test_a_losing_create_claims_its_object_before_closing_it_so_that_no_other_commits_it(sim: Simulation) -> None:
    """A and B share an intent. C's session commits, A loses and cancels the intent, then B continues."""
    buy_and_refund(sim)
    a, b, c = spawn_create(sim, "a"), spawn_create(sim, "b"), spawn_create(sim, "c", "checkout")
    a.run_until(COMMIT)
    b.run_until(COMMIT)
    session = c.finish().payment
    a.run_until("POST /v1/payment_intents/").step()
    sim.at_stripe("POST", f"/v1/checkout/sessions/{session.stripe_object_id}/expire")
    sync.refresh(PaymentRef(session.payment_id, "ada", "DP"))
    offer = b.finish()
    assert checkers.payable(sim) == [offer.payment.stripe_object_id]


def test_a_rebuilt_payment_raises_the_attempt_counter_for_the_next_create(sim: Simulation) -> None:
    ref = buy(sim)
    lose_tables(sim)
    finish(sim)
    assert sim.payment(ref.payment_id).facts.rebuilt
    assert sim.enrollment().attempt == 1
    refunds.request(ref, "no")
    assert sim.create().payment.attempt == 2


@pytest.mark.parametrize("newest", ["PROCESSING", "FAILED"])
def test_a_sync_that_conflicts_with_another_sync_retrieves_again(sim: Simulation, newest: str) -> None:
    """Both run in one second, so only another retrieval shows which state is newer."""
    offer = sim.create()
    ref = PaymentRef(offer.payment.payment_id, "ada", "DP")
    intent = sim.stripe.account.store.find("payment_intent", offer.payment.stripe_object_id)
    assert intent is not None
    declined = {"status": "requires_payment_method", "last_payment_error": {"code": "card_declined", "message": "no"}}
    processing = {"status": "processing", "last_payment_error": None}
    before, after = (declined, processing) if newest == "PROCESSING" else (processing, declined)
    intent.update(before)
    old = sim.spawn("old sync", lambda: sync.refresh(ref)).run_until(COMMIT)
    intent.update(after)
    sim.spawn("new sync", lambda: sync.refresh(ref)).finish()
    old.finish()
    assert sim.payment(ref.payment_id).status == newest


def test_a_purchase_and_its_refund_found_by_one_sync_end_as_in_two_steps(sim: Simulation) -> None:
    offer = sim.create()
    sim.pay(offer.payment.stripe_object_id)
    sim.at_stripe("POST", "/v1/refunds", payment_intent=offer.payment.stripe_object_id)
    sync.refresh(PaymentRef(offer.payment.payment_id, "ada", "DP"))
    assert sim.payment(offer.payment.payment_id).status == "REFUNDED"
    assert sim.enrollment().status == "WITHDRAWN"
    assert ("ada", "DP#" + sim.track.projects[0].project) in sim.tables.stored["enrollments"]


def test_a_dispute_that_is_lost_reviewed_and_lost_again_withdraws_access(sim: Simulation) -> None:
    ref = buy(sim)
    intent = sim.payment(ref.payment_id).intent
    dispute = sim.at_stripe("POST", "/_sim/disputes", payment_intent=intent)
    for status, expected in (("lost", "WITHDRAWN"), ("under_review", "ENROLLED"), ("lost", "WITHDRAWN")):
        sim.at_stripe("POST", "/_sim/disputes", dispute=dispute["id"], status=status)
        finish(sim)
        assert sim.enrollment().status == expected


def test_a_lost_dispute_blocks_until_staff_allow_it_or_it_is_won(sim: Simulation) -> None:
    ref = buy(sim)
    dispute = sim.at_stripe("POST", "/_sim/disputes", payment_intent=sim.payment(ref.payment_id).intent)
    for status, blocked in (("lost", True), ("under_review", False), ("lost", True), ("won", False)):
        sim.at_stripe("POST", "/_sim/disputes", dispute=dispute["id"], status=status)
        finish(sim)
        result = sim.invoke(lambda: sim.create(track="FSD"))
        assert isinstance(result, PurchasesBlocked) == blocked, (status, result)
    sim.at_stripe("POST", "/_sim/disputes", dispute=dispute["id"], status="lost")
    finish(sim)
    purchase_blocks.decide("ada", "allow", "", "staff")
    assert sim.create(track="FSD").payment.open


def test_a_replaced_customer_keeps_what_staff_have_allowed(sim: Simulation) -> None:
    ref = buy(sim)
    purchase_blocks.decide("ada", "block", "", "staff")
    sim.at_stripe("DELETE", f"/v1/customers/{sim.payment(ref.payment_id).customer}")
    purchase_blocks.decide("ada", "allow", "", "staff")
    sim.create(track="FSD")
    stored = sim.tables.stored["customers"]["ada",]
    assert stored.get("other_blocks") == stored.get("allowed_blocks") == {"SS": ["staff:1"]}


def test_a_dashboard_refund_between_request_and_call_rejects_the_request(sim: Simulation) -> None:
    ref = buy(sim)
    student = sim.spawn("student", lambda: sim.invoke(lambda: refunds.request(ref, "no")))
    student.run_until("POST /v1/refunds")
    sim.at_stripe("POST", "/v1/refunds", payment_intent=sim.payment(ref.payment_id).intent)
    student.finish()
    (request,) = sim.payment(ref.payment_id).requests
    assert request.state == "rejected" and request.answer
    assert sim.payment(ref.payment_id).status == "REFUNDED"


def test_a_step_marked_done_while_the_ledger_changes_the_lock_stays_done(sim: Simulation) -> None:
    ref = buy(sim)
    project = sim.track.projects[0]
    student = sim.spawn("student", lambda: refunds.request(ref, "no"))
    student.run_until("POST /v1/refunds").run_past("POST").run_until(COMMIT)
    participants.mark_done(sim, f"DP#{project.project}", project.steps[0].step)
    student.finish()
    item = sim.tables.stored["enrollments"]["ada", f"DP#{project.project}"]
    assert item["steps"]["M"][project.steps[0].step]["M"]["done"]["BOOL"]
    assert not item["unlocked"]["BOOL"]


def test_a_partial_refund_with_a_delayed_first_call_is_made_once(sim: Simulation) -> None:
    ref = buy(sim)
    first = sim.spawn("first", lambda: refunds.refund(ref, 10_000, "goodwill", None, "staff"))
    first.run_until("POST /v1/refunds")
    (request,) = sim.payment(ref.payment_id).requests
    by = refunds.Actor("reconcile")
    second = sim.spawn("second", lambda: refunds.resume(ref, sim.payment(ref.payment_id), request.id, by))
    second.run_until("POST /v1/refunds")
    first.finish()
    second.finish()
    assert [refund["amount"] for refund in sim.objects("refund")] == [10_000]


def test_a_refund_event_without_a_pointer_is_resolved_by_its_intent(sim: Simulation) -> None:
    offer = sim.create()
    sim.pay(offer.payment.stripe_object_id)
    sim.at_stripe("POST", "/v1/refunds", payment_intent=offer.payment.stripe_object_id)
    sim.tables.stored["stripe_objects"].clear()
    assert stripe_events.apply(last_event(sim, "refund.created")) == "applied"


def test_a_price_change_closes_the_open_payment_and_the_next_create_has_the_new_price(sim: Simulation) -> None:
    old = sim.create()
    sim.raise_price("DP")
    new = sim.create()
    assert new.payment.price.amount == 59_900
    assert checkers.payable(sim) == [new.payment.stripe_object_id]
    assert sim.payment(old.payment.payment_id).status == "CANCELED"


def test_a_customer_deleted_at_stripe_is_replaced_by_the_next_create(sim: Simulation) -> None:
    buy_and_refund(sim)
    (customer,) = sim.objects("customer")
    sim.at_stripe("DELETE", f"/v1/customers/{customer['id']}")
    assert sim.create().payment.customer != customer["id"]


def test_a_payment_is_not_rebuilt_from_the_body_of_an_event(sim: Simulation) -> None:
    offer = sim.create()
    sim.pay(offer.payment.stripe_object_id, "pm_card_chargeDeclined")
    failed = last_event(sim, "payment_intent.payment_failed")
    lose_tables(sim)
    assert stripe_events.apply(failed) == "not_found"
    assert not sim.payments()


def test_a_refund_of_one_payment_racing_the_success_of_another_keeps_both_standings(sim: Simulation) -> None:
    ref = buy(sim)
    access.decide(ref, "revoke", "a test", "dean")
    offer = sim.create()
    sim.pay(offer.payment.stripe_object_id)
    sim.at_stripe("POST", "/v1/refunds", payment_intent=sim.payment(ref.payment_id).intent)
    sim.pass_time(3)
    succeeded, refunded = last_event(sim, "payment_intent.succeeded"), last_event(sim, "refund.created")
    success = sim.spawn("success", lambda: stripe_events.apply(succeeded)).run_until(COMMIT)
    refund = sim.spawn("refund", lambda: stripe_events.apply(refunded)).run_until(COMMIT)
    refund.finish()
    success.finish()
    assert sim.enrollment().status == "ENROLLED"
    assert sim.enrollment().doubled == []


def test_closing_another_object_with_the_same_payment_id_changes_nothing(sim: Simulation) -> None:
    """The first create died, Stripe drops its idempotency key after a day, and its object is canceled later."""
    buy_and_refund(sim)
    spawn_create(sim, "student").run_until(COMMIT).die()
    orphan = sim.objects("payment_intent")[-1]["id"]
    sim.pass_time(25 * 3600)
    offer = sim.create()
    assert sim.object(orphan)["metadata"]["payment_id"] == offer.payment.payment_id
    sim.at_stripe("POST", f"/v1/payment_intents/{orphan}/cancel")
    assert stripe_events.apply(last_event(sim, "payment_intent.canceled")) in ("applied", "not_found")
    assert sim.payment(offer.payment.payment_id).open


def test_the_orphan_of_a_create_that_died_is_closed_by_the_next_hourly_run(sim: Simulation) -> None:
    spawn_create(sim, "student").run_until(COMMIT).die()
    (orphan,) = checkers.payable(sim)
    assert reconcile_after_an_hour(sim).orphans == 1
    assert not checkers.payable(sim)
    assert sim.create().payment.stripe_object_id != orphan


def test_a_create_does_not_commit_an_object_that_the_reconciler_closed(sim: Simulation) -> None:
    slow = spawn_create(sim, "student").run_until(COMMIT)
    assert reconcile_after_an_hour(sim).orphans == 1
    offer = slow.finish()
    assert checkers.payable(sim) == [offer.payment.stripe_object_id]


def test_concurrent_creates_of_two_kinds_do_not_keep_closing_each_other(sim: Simulation) -> None:
    buy_and_refund(sim)
    a, b = spawn_create(sim, "student a"), spawn_create(sim, "student b", "checkout")
    a.run_past("batch_get_item")
    b.run_past("batch_get_item")
    first = a.finish()
    with pytest.raises(PaymentInProgress):
        b.finish()
    assert checkers.payable(sim) == [first.payment.stripe_object_id]


@pytest.mark.parametrize("source", ["webhook", "sync"])
def test_a_complete_session_with_a_failed_bank_debit_is_canceled_and_the_student_can_buy_again(
    sim: Simulation, source: str
) -> None:
    offer = sim.create(kind="checkout")
    sim.pay(offer.payment.stripe_object_id, "pm_usBankAccount_insufficientFunds")
    sim.pass_time(3)
    if source == "webhook":
        deliver_new_events(sim)
    else:
        sync.refresh(PaymentRef(offer.payment.payment_id, "ada", "DP"))
    payment = sim.payment(offer.payment.payment_id)
    assert payment.status == "CANCELED" and payment.facts.closed.reason == "payment_failed"
    second = sim.create(kind="checkout")
    assert checkers.payable(sim) == [second.payment.stripe_object_id]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("sync_between", [False, True])
def test_two_phases_of_the_same_second_end_as_at_stripe_in_either_order(
    sim: Simulation, order: tuple[int, int], sync_between: bool
) -> None:
    offer = sim.create()
    ref = PaymentRef(offer.payment.payment_id, "ada", "DP")
    sim.pay(offer.payment.stripe_object_id, "pm_card_chargeDeclined")
    sim.pay(offer.payment.stripe_object_id, "pm_usBankAccount_success")
    events = [last_event(sim, f"payment_intent.{name}") for name in ("payment_failed", "processing")]
    for index in order:
        if sync_between:
            sync.refresh(ref)
        stripe_events.apply(events[index])
    assert sim.payment(ref.payment_id).status == "PROCESSING"


@pytest.mark.parametrize("first", [0, 1])
def test_a_double_payment_needs_attention_at_the_later_attempt_in_either_order(sim: Simulation, first: int) -> None:
    ref = buy(sim)
    access.decide(ref, "revoke", "a test", "dean")
    second = sim.create()
    sim.pay(second.payment.stripe_object_id)
    deliver_new_events(sim)
    refs = [ref, PaymentRef(second.payment.payment_id, "ada", "DP")]
    verdicts: tuple[access.AccessDecision, ...] = ("restore", "revoke")
    for index in (first, 1 - first):
        access.decide(refs[index], verdicts[index], "second decision", "dean")
    assert sim.enrollment().doubled == [second.payment.payment_id]
    assert not checkers.final_state(sim)
    sim.at_stripe("POST", "/v1/refunds", payment_intent=sim.payment(refs[first].payment_id).intent)
    deliver_new_events(sim)
    assert sim.enrollment().doubled == []


def test_a_double_payment_found_by_the_reconciler_is_queued_for_staff(sim: Simulation) -> None:
    ref = buy(sim)
    access.decide(ref, "revoke", "a test", "dean")
    second = sim.create()
    sim.pay(second.payment.stripe_object_id)
    sim.new_events()
    reconcile_after_an_hour(sim)
    assert sim.payment(second.payment.payment_id).status == "SUCCEEDED"
    assert sim.tables.stored["payments"][second.payment.payment_id,].get("attention_open") == {"S": "open"}


def test_a_free_session_enrolls_and_its_refund_is_rejected_with_a_reason(sim: Simulation) -> None:
    sim.create_promotion_codes()
    offer = sim.create(kind="checkout", code="FREE")
    assert offer.payment.price.amount == 0
    sim.pay(offer.payment.stripe_object_id)
    deliver_new_events(sim)
    assert sim.payment(offer.payment.payment_id).status == "SUCCEEDED"
    assert sim.payment(offer.payment.payment_id).intent is None
    assert sim.enrollment().status == "ENROLLED"
    with pytest.raises(RefundRefused, match="free"):
        refunds.request(PaymentRef(offer.payment.payment_id, "ada", "DP"), "no")
    with pytest.raises(AlreadyEnrolled):
        sim.create()


def test_an_unreadable_event_is_quarantined_and_replayed_once_it_can_be_read(sim: Simulation) -> None:
    offer = sim.create()
    sim.pay(offer.payment.stripe_object_id)
    event = last_event(sim, "payment_intent.succeeded")
    sim.unreadable.add(str(event["id"]))
    for _ in range(3):
        assert stripe_events.apply(event) == "quarantined"
    assert sim.tables.stored["quarantine"][event["id"],]["tries"] == {"N": "3"}
    sim.parser_fixed = True
    assert reconcile_after_an_hour(sim).replayed == 1
    assert not sim.tables.stored["quarantine"]
    assert sim.enrollment().status == "ENROLLED"


def test_erased_personal_facts_do_not_return_with_a_late_event(sim: Simulation) -> None:
    offer = sim.create()
    ref = PaymentRef(offer.payment.payment_id, "ada", "DP")
    sim.pay(offer.payment.stripe_object_id)
    sim.pass_time(3)
    for type_ in ("payment_intent.succeeded", "charge.succeeded"):
        stripe_events.apply(last_event(sim, type_))
    ledger.update(ref, participants.erase_personal_facts)
    assert stripe_events.apply(last_event(sim, "charge.updated")) == "applied"
    (charge,) = sim.payment(ref.payment_id).facts.charges.values()
    assert (charge.brand, charge.last4, charge.receipt_url) == (None, None, None)


def test_a_late_processing_event_after_a_failure_rebuilds_nothing(sim: Simulation) -> None:
    offer = sim.create()
    sim.pay(offer.payment.stripe_object_id, "pm_card_chargeDeclined")
    sim.pay(offer.payment.stripe_object_id, "pm_usBankAccount_success")
    failed, processing = (last_event(sim, f"payment_intent.{name}") for name in ("payment_failed", "processing"))
    lose_tables(sim)
    assert [stripe_events.apply(event) for event in (failed, processing)] == ["not_found", "not_found"]
    assert not sim.payments()
    sim.pass_time(3)


def test_two_syncs_of_one_version_at_the_same_time_end_in_the_newer_state(sim: Simulation) -> None:
    offer = sim.create()
    ref = PaymentRef(offer.payment.payment_id, "ada", "DP")
    old = sim.spawn("old sync", lambda: sync.refresh(ref)).run_until("GET")
    sim.pay(offer.payment.stripe_object_id, "pm_card_chargeDeclined")
    old.run_until(COMMIT)
    new = sim.spawn("new sync", lambda: sync.refresh(ref)).run_until("GET")
    sim.pay(offer.payment.stripe_object_id, "pm_usBankAccount_success")
    new.run_until(COMMIT)
    old.finish()
    new.finish()
    assert sim.payment(ref.payment_id).status == "PROCESSING"


def test_a_failed_refund_is_found_through_an_event_of_another_api_version(sim: Simulation) -> None:
    """The charge does not show a failed refund, and an event of another `api_version` only starts a sync."""
    offer = sim.create()
    sim.pay(offer.payment.stripe_object_id, "pm_card_refundFail")
    deliver_new_events(sim)
    sim.at_stripe("POST", "/v1/refunds", payment_intent=offer.payment.stripe_object_id, amount=5_000)
    sim.pass_time(3)
    failed = {**last_event(sim, "refund.failed"), "api_version": "2020-08-27"}
    assert stripe_events.apply(failed) == "applied"
    for type_ in ("refund.created", "charge.refunded"):
        stripe_events.apply(last_event(sim, type_))
    refunded = sim.payment(offer.payment.payment_id).facts.refunds.values()
    assert [refund.status for refund in refunded] == ["failed"]


def test_a_failed_refund_whose_webhook_is_lost_is_found_by_the_reconciler(sim: Simulation) -> None:
    offer = sim.create()
    sim.pay(offer.payment.stripe_object_id, "pm_card_refundFail")
    deliver_new_events(sim)
    sim.at_stripe("POST", "/v1/refunds", payment_intent=offer.payment.stripe_object_id, amount=5_000)
    sim.pass_time(3)
    sim.new_events()
    reconcile_after_an_hour(sim)
    refunded = sim.payment(offer.payment.payment_id).facts.refunds.values()
    assert [refund.status for refund in refunded] == ["failed"]


def test_a_payment_is_closed_after_its_fifth_failed_charge(sim: Simulation) -> None:
    offer = sim.create()
    for _ in range(5):
        assert sim.object(offer.payment.stripe_object_id)["status"] == "requires_payment_method"
        sim.pay(offer.payment.stripe_object_id, "pm_card_chargeDeclined")
        deliver_new_events(sim)
    assert sim.payment(offer.payment.payment_id).status == "CANCELED"
    assert sim.create().payment.stripe_object_id != offer.payment.stripe_object_id


def test_another_settled_object_with_the_payments_id_is_a_claim_for_staff(sim: Simulation) -> None:
    buy_and_refund(sim)
    spawn_create(sim, "student").run_until(COMMIT).die()
    orphan = sim.objects("payment_intent")[-1]["id"]
    sim.pass_time(25 * 3600)
    offer = sim.create()
    sim.pay(orphan)
    deliver_new_events(sim)
    payment = sim.payment(offer.payment.payment_id)
    assert payment.open and list(payment.facts.claims) == [orphan]


@pytest.mark.parametrize("hours", [0, 9])
def test_a_settled_payment_is_confirmed_by_the_next_hourly_run(sim: Simulation, hours: int) -> None:
    offer = sim.create()
    if hours:
        sim.pass_time(hours * 3600)
        reconcile_after_an_hour(sim)
    sim.pay(offer.payment.stripe_object_id)
    deliver_new_events(sim)
    assert sim.payment(offer.payment.payment_id).facts.confirmed is None
    run = reconcile_after_an_hour(sim)
    assert (run.confirmed, run.drifted) == (1, 0)
    assert not checkers.unconfirmed(sim)


def test_each_standing_that_grants_access_has_a_payment_that_grants_it(sim: Simulation) -> None:
    buy_and_refund(sim)
    assert not checkers.standings(sim)
    sim.pay(sim.create().payment.stripe_object_id)
    deliver_new_events(sim)
    assert sim.enrollment().status == "ENROLLED"
    assert not checkers.standings(sim)


def test_a_student_can_buy_again_once_staff_have_revoked_another_amount(sim: Simulation) -> None:
    first = sim.create()
    sim.at_stripe("POST", f"/v1/payment_intents/{first.payment.stripe_object_id}", amount=100)
    sim.pay(first.payment.stripe_object_id)
    deliver_new_events(sim)
    access.decide(first.payment.ref, "revoke", "paid by mistake", "dean")
    second = sim.create()
    sim.pay(second.payment.stripe_object_id)
    deliver_new_events(sim)
    assert sim.enrollment("ada", "DP").status == "ENROLLED"
