"""The histories that broke earlier rules, each driven through its own interleaving. A name is what must be true."""

from collections.abc import Iterator

import pytest

from tests.model import cast, checkers, search
from tests.model.machine import RESTORED, Actor, Machine, running
from tuition.core.errors import AlreadyEnrolled, PaymentInProgress, RefundRefused
from tuition.core.refs import PaymentRef
from tuition.intake import reconcile, stripe_events, walk
from tuition.payments import access, refunds
from tuition.storage import ledger
from tuition.stripe_gateway import sync

INTENTS = "POST /v1/payment_intents"
SESSIONS = "POST /v1/checkout/sessions"
COMMIT = "transact_write_items"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with running(7, monkeypatch) as made:
        yield made
        settle(made)
        assert not made.problems
        assert not checkers.settled_state(made)


def settle(machine: Machine) -> None:
    """All is told, and the reconciler has run."""
    search.settle(machine, [e for e in machine.all_events() if e["type"] in stripe_events.EVENT_TYPES])
    assert not search.reconciled(machine)


def tell(machine: Machine) -> None:
    """What is new is told."""
    search.settle(machine, [e for e in machine.new_events() if e["type"] in stripe_events.EVENT_TYPES])


def forget(machine: Machine) -> None:
    """The tables are restored to the moment before anything was."""
    for table in RESTORED:
        machine.tables.stored[table].clear()
    machine.log.clear()


def an_hour_later(machine: Machine) -> walk.Run:
    machine.pass_time(3_700)
    done = reconcile.run(lambda: 900.0)
    assert done.done and not done.failed
    return done


def told(machine: Machine, type_: str) -> dict[str, object]:
    return next(e for e in reversed(machine.all_events()) if e["type"] == type_)


def creating(machine: Machine, name: str, kind: str = "intent") -> Actor:
    return machine.spawn(name, lambda: machine.create(kind=kind))


def bought(machine: Machine) -> PaymentRef:
    """A student who has a customer, has paid, and is enrolled."""
    offer = machine.create()
    machine.pay(offer.payment.stripe_object_id)
    tell(machine)
    return PaymentRef(offer.payment.payment_id, "ada", "DP")


def a_customer(machine: Machine) -> None:
    """A student who once paid and was refunded: the customer is known, nothing is open."""
    key = bought(machine)
    refunds.request(key, "no")
    tell(machine)
    assert machine.enrollment().status == "WITHDRAWN"


def test_the_loser_of_two_kinds_closes_its_own_and_never_the_winners(machine: Machine) -> None:
    a_customer(machine)
    a, b = creating(machine, "a"), creating(machine, "b", "checkout")
    a.until(COMMIT)
    b.until(COMMIT)
    session = b.finish().payment
    with pytest.raises(PaymentInProgress):
        a.finish()
    assert machine.payment(session.payment_id).open
    assert checkers.payable(machine) == [session.stripe_object_id]
    settle(machine)
    assert machine.payment(session.payment_id).open


def test_the_loser_of_a_double_click_answers_the_winners_and_cancels_nothing(machine: Machine) -> None:
    a_customer(machine)
    a, b = creating(machine, "a"), creating(machine, "b")
    a.until(COMMIT)
    b.until(COMMIT)
    first, second = a.finish(), b.finish()
    assert first.payment.stripe_object_id == second.payment.stripe_object_id
    assert checkers.payable(machine) == [first.payment.stripe_object_id]


def test_a_create_that_loses_to_an_older_payments_webhook_commits_the_same_object(machine: Machine) -> None:
    key = bought(machine)
    machine.at_stripe("POST", "/v1/refunds", payment_intent=machine.payment(key.payment_id).intent)
    settle(machine)
    a = creating(machine, "a").until(COMMIT)
    made = machine.objects("payment_intent")[-1]["id"]
    machine.at_stripe("POST", "/_sim/disputes", payment_intent=machine.payment(key.payment_id).intent, status="lost")
    stored = machine.tables.stored["enrollments"]["ada", "DP"]
    machine.tables.stored["enrollments"]["ada", "DP"] = {
        **stored,
        "version": {"N": str(int(stored["version"]["N"]) + 1)},
    }
    assert a.finish().payment.stripe_object_id == made


def test_created_before_the_commit_rebuilds_nothing_and_the_create_wins(machine: Machine) -> None:
    a = creating(machine, "a").until(COMMIT)
    assert stripe_events.apply(told(machine, "payment_intent.created")) == "left"
    assert not machine.payments()
    assert a.finish().new


def test_a_create_that_died_after_stripe_is_taken_up_by_the_retry(machine: Machine) -> None:
    creating(machine, "a").until(COMMIT).die()
    made = machine.objects("payment_intent")[-1]["id"]
    assert machine.create().payment.stripe_object_id == made
    assert checkers.payable(machine) == [made]


def test_an_orphan_that_was_closed_is_not_answered_again_by_its_key(machine: Machine) -> None:
    creating(machine, "a").until(COMMIT).die()
    orphan = machine.objects("payment_intent")[-1]["id"]
    machine.at_stripe("POST", f"/v1/payment_intents/{orphan}/cancel")
    offer = machine.create()
    assert offer.payment.stripe_object_id != orphan
    assert checkers.payable(machine) == [offer.payment.stripe_object_id]


def test_what_a_loser_closed_is_claimed_first_and_nobody_commits_it(machine: Machine) -> None:
    """A and B share O; C's session commits; A, having lost, cancels O; C's session is gone; B would commit O."""
    a_customer(machine)
    a, b, c = creating(machine, "a"), creating(machine, "b"), creating(machine, "c", "checkout")
    a.until(COMMIT)
    b.until(COMMIT)
    session = c.finish().payment
    a.until("POST /v1/payment_intents/").step()
    machine.at_stripe("POST", f"/v1/checkout/sessions/{session.stripe_object_id}/expire")
    sync.refresh(PaymentRef(session.payment_id, "ada", "DP"))
    offer = b.finish()
    assert checkers.payable(machine) == [offer.payment.stripe_object_id]


def test_a_rebuilt_payment_raises_the_counter_for_the_next_create(machine: Machine) -> None:
    key = bought(machine)
    forget(machine)
    settle(machine)
    assert machine.payment(key.payment_id).facts.rebuilt
    assert machine.enrollment().attempt == 1
    refunds.request(key, "no")
    assert machine.create().payment.attempt == 2


@pytest.mark.parametrize("newest", ["PROCESSING", "FAILED"])
def test_of_two_pulls_the_one_that_conflicts_pulls_again(machine: Machine, newest: str) -> None:
    """Both in one second, so that nothing but asking again can tell which is newer."""
    offer = machine.create()
    key = PaymentRef(offer.payment.payment_id, "ada", "DP")
    intent = machine.stripe.account.store.find("payment_intent", offer.payment.stripe_object_id)
    assert intent is not None
    declined = {"status": "requires_payment_method", "last_payment_error": {"code": "card_declined", "message": "no"}}
    processing = {"status": "processing", "last_payment_error": None}
    before, after = (declined, processing) if newest == "PROCESSING" else (processing, declined)
    intent.update(before)
    old = machine.spawn("old pull", lambda: sync.refresh(key)).until(COMMIT)
    intent.update(after)
    machine.spawn("new pull", lambda: sync.refresh(key)).finish()
    old.finish()
    assert machine.payment(key.payment_id).status == newest


def test_purchase_and_refund_learned_in_one_pull_end_as_in_two_steps(machine: Machine) -> None:
    offer = machine.create()
    machine.pay(offer.payment.stripe_object_id)
    machine.at_stripe("POST", "/v1/refunds", payment_intent=offer.payment.stripe_object_id)
    sync.refresh(PaymentRef(offer.payment.payment_id, "ada", "DP"))
    assert machine.payment(offer.payment.payment_id).status == "REFUNDED"
    assert machine.enrollment().status == "WITHDRAWN"
    assert ("ada", "DP#" + machine.track.projects[0].project) in machine.tables.stored["enrollments"]


def test_a_dispute_lost_reviewed_and_lost_again_counts(machine: Machine) -> None:
    key = bought(machine)
    intent = machine.payment(key.payment_id).intent
    made = machine.at_stripe("POST", "/_sim/disputes", payment_intent=intent)
    for status, expected in (("lost", "WITHDRAWN"), ("under_review", "ENROLLED"), ("lost", "WITHDRAWN")):
        machine.at_stripe("POST", "/_sim/disputes", dispute=made["id"], status=status)
        settle(machine)
        assert machine.enrollment().status == expected


def test_a_refund_in_the_dashboard_between_request_and_call_ends_the_request_refused(machine: Machine) -> None:
    key = bought(machine)
    asking = machine.spawn("asking", lambda: machine.invoke(lambda: refunds.request(key, "no"))).until(
        "POST /v1/refunds"
    )
    machine.at_stripe("POST", "/v1/refunds", payment_intent=machine.payment(key.payment_id).intent)
    asking.finish()
    (request,) = machine.payment(key.payment_id).requests
    assert request.state == "refused" and request.answer
    assert machine.payment(key.payment_id).status == "REFUNDED"


def test_a_step_marked_while_the_ledger_unlocks_stays(machine: Machine) -> None:
    key = bought(machine)
    project = machine.track.projects[0]
    asking = (
        machine.spawn("asking", lambda: refunds.request(key, "no")).until("POST /v1/refunds").past("POST").until(COMMIT)
    )
    cast.mark(machine, f"DP#{project.project}", project.steps[0].step)
    asking.finish()
    item = machine.tables.stored["enrollments"]["ada", f"DP#{project.project}"]
    assert item["steps"]["M"][project.steps[0].step]["M"]["done"]["BOOL"]
    assert not item["unlocked"]["BOOL"]


def test_a_partial_refund_whose_first_call_is_late_is_made_once(machine: Machine) -> None:
    key = bought(machine)
    first = machine.spawn("first", lambda: refunds.refund(key, 10_000, "goodwill", None, "staff"))
    first.until("POST /v1/refunds")
    (asked,) = machine.payment(key.payment_id).requests
    by = refunds.Actor("reconcile")
    second = machine.spawn("second", lambda: refunds.resume(key, machine.payment(key.payment_id), asked.id, by))
    second.until("POST /v1/refunds")
    first.finish()
    second.finish()
    assert [refund["amount"] for refund in machine.objects("refund")] == [10_000]


def test_a_refund_that_arrives_first_is_placed_by_its_intent(machine: Machine) -> None:
    offer = machine.create()
    machine.pay(offer.payment.stripe_object_id)
    machine.at_stripe("POST", "/v1/refunds", payment_intent=offer.payment.stripe_object_id)
    machine.tables.stored["stripe_objects"].clear()
    assert stripe_events.apply(told(machine, "refund.created")) == "applied"


def test_a_price_change_closes_what_is_open_and_begins_at_the_new_price(machine: Machine) -> None:
    old = machine.create()
    machine.raise_price("DP")
    new = machine.create()
    assert new.payment.price.amount == 59_900
    assert checkers.payable(machine) == [new.payment.stripe_object_id]
    assert machine.payment(old.payment.payment_id).status == "CANCELED"


def test_a_customer_deleted_at_stripe_is_replaced_at_the_next_create(machine: Machine) -> None:
    a_customer(machine)
    (customer,) = machine.objects("customer")
    machine.at_stripe("DELETE", f"/v1/customers/{customer['id']}")
    assert machine.create().payment.customer != customer["id"]


def test_nothing_is_rebuilt_from_an_events_own_body(machine: Machine) -> None:
    offer = machine.create()
    machine.pay(offer.payment.stripe_object_id, "pm_card_chargeDeclined")
    failed = told(machine, "payment_intent.payment_failed")
    forget(machine)
    assert stripe_events.apply(failed) == "left"
    assert not machine.payments()


def test_a_refund_of_one_payment_racing_the_success_of_another_keeps_both_standings(machine: Machine) -> None:
    key = bought(machine)
    access.decide(key, "revoke", "a test", "dean")
    offer = machine.create()
    machine.pay(offer.payment.stripe_object_id)
    machine.at_stripe("POST", "/v1/refunds", payment_intent=machine.payment(key.payment_id).intent)
    machine.pass_time(3)
    paid = machine.spawn("paid", lambda: stripe_events.apply(told(machine, "payment_intent.succeeded"))).until(COMMIT)
    old = machine.spawn("refund", lambda: stripe_events.apply(told(machine, "refund.created"))).until(COMMIT)
    old.finish()
    paid.finish()
    assert machine.enrollment().status == "ENROLLED"
    assert machine.enrollment().doubled == []


def test_a_closing_of_another_object_of_the_same_name_changes_nothing(machine: Machine) -> None:
    """The first create died, a day later Stripe has forgotten its key, and its object is closed."""
    a_customer(machine)
    creating(machine, "student").until(COMMIT).die()
    orphan = machine.objects("payment_intent")[-1]["id"]
    machine.pass_time(25 * 3600)
    offer = machine.create()
    assert machine.object(orphan)["metadata"]["payment_id"] == offer.payment.payment_id
    machine.at_stripe("POST", f"/v1/payment_intents/{orphan}/cancel")
    assert stripe_events.apply(told(machine, "payment_intent.canceled")) in ("applied", "left")
    assert machine.payment(offer.payment.payment_id).open


def test_an_orphan_of_a_create_that_died_is_closed_within_the_hour_that_follows(machine: Machine) -> None:
    creating(machine, "student").until(COMMIT).die()
    (orphan,) = checkers.payable(machine)
    assert an_hour_later(machine).orphans == 1
    assert not checkers.payable(machine)
    assert machine.create().payment.stripe_object_id != orphan


def test_a_create_does_not_commit_what_the_reconciler_has_given_up(machine: Machine) -> None:
    slow = creating(machine, "student").until(COMMIT)
    assert an_hour_later(machine).orphans == 1
    offer = slow.finish()
    assert checkers.payable(machine) == [offer.payment.stripe_object_id]


def test_creates_of_two_kinds_do_not_close_each_others_for_ever(machine: Machine) -> None:
    a_customer(machine)
    a, b = creating(machine, "student a"), creating(machine, "student b", "checkout")
    a.past("batch_get_item")
    b.past("batch_get_item")
    first = a.finish()
    with pytest.raises(PaymentInProgress):
        b.finish()
    assert checkers.payable(machine) == [first.payment.stripe_object_id]


@pytest.mark.parametrize("learned", ["told", "pulled"])
def test_a_complete_session_whose_bank_refuses_is_canceled_and_the_student_buys_again(
    machine: Machine, learned: str
) -> None:
    offer = machine.create(kind="checkout")
    machine.pay(offer.payment.stripe_object_id, "pm_usBankAccount_insufficientFunds")
    machine.pass_time(3)
    if learned == "told":
        tell(machine)
    else:
        sync.refresh(PaymentRef(offer.payment.payment_id, "ada", "DP"))
    payment = machine.payment(offer.payment.payment_id)
    assert payment.status == "CANCELED" and payment.facts.closed.reason == "payment_failed"
    again = machine.create(kind="checkout")
    assert checkers.payable(machine) == [again.payment.stripe_object_id]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("between", [False, True])
def test_what_shows_after_two_phases_of_one_second_is_stripes(
    machine: Machine, order: tuple[int, int], between: bool
) -> None:
    offer = machine.create()
    key = PaymentRef(offer.payment.payment_id, "ada", "DP")
    machine.pay(offer.payment.stripe_object_id, "pm_card_chargeDeclined")
    machine.pay(offer.payment.stripe_object_id, "pm_usBankAccount_success")
    both = [told(machine, f"payment_intent.{name}") for name in ("payment_failed", "processing")]
    for place in order:
        if between:
            sync.refresh(key)
        stripe_events.apply(both[place])
    assert machine.payment(key.payment_id).status == "PROCESSING"


@pytest.mark.parametrize("first", [0, 1])
def test_a_track_paid_for_twice_needs_a_person_at_the_later_attempt_whichever_was_learned_first(
    machine: Machine, first: int
) -> None:
    key = bought(machine)
    access.decide(key, "revoke", "a test", "dean")
    second = machine.create()
    machine.pay(second.payment.stripe_object_id)
    tell(machine)
    keys = [key, PaymentRef(second.payment.payment_id, "ada", "DP")]
    verdicts: tuple[access.AccessDecision, ...] = ("accept", "revoke")
    for place in (first, 1 - first):
        access.decide(keys[place], verdicts[place], "once more", "dean")
    assert machine.enrollment().doubled == [second.payment.payment_id]
    assert not checkers.settled_state(machine)
    machine.at_stripe("POST", "/v1/refunds", payment_intent=machine.payment(keys[first].payment_id).intent)
    tell(machine)
    assert machine.enrollment().doubled == []


def test_a_second_purchase_that_the_reconciler_learns_of_is_in_the_queue(machine: Machine) -> None:
    key = bought(machine)
    access.decide(key, "revoke", "a test", "dean")
    second = machine.create()
    machine.pay(second.payment.stripe_object_id)
    machine.new_events()
    an_hour_later(machine)
    assert machine.payment(second.payment.payment_id).status == "SUCCEEDED"
    assert machine.tables.stored["payments"][second.payment.payment_id,].get("attention_open") == {"S": "open"}


def test_a_free_session_enrolls_and_its_refund_is_refused_with_the_reason(machine: Machine) -> None:
    machine.codes()
    offer = machine.create(kind="checkout", code="FREE")
    assert offer.payment.price.amount == 0
    machine.pay(offer.payment.stripe_object_id)
    tell(machine)
    assert machine.payment(offer.payment.payment_id).status == "SUCCEEDED"
    assert machine.payment(offer.payment.payment_id).intent is None
    assert machine.enrollment().status == "ENROLLED"
    with pytest.raises(RefundRefused, match="free"):
        refunds.request(PaymentRef(offer.payment.payment_id, "ada", "DP"), "no")
    with pytest.raises(AlreadyEnrolled):
        machine.create()


def test_a_poison_event_is_kept_for_a_person_and_stripe_is_told_that_all_is_well(machine: Machine) -> None:
    offer = machine.create()
    machine.pay(offer.payment.stripe_object_id)
    paid = told(machine, "payment_intent.succeeded")
    machine.unreadable.add(str(paid["id"]))
    for _ in range(3):
        assert stripe_events.apply(paid) == "quarantined"
    assert machine.tables.stored["quarantine"][paid["id"],]["tries"] == {"N": "3"}
    machine.mended = True
    assert an_hour_later(machine).replayed == 1
    assert not machine.tables.stored["quarantine"]
    assert machine.enrollment().status == "ENROLLED"


def test_what_was_erased_stays_erased_whatever_comes_late(machine: Machine) -> None:
    offer = machine.create()
    key = PaymentRef(offer.payment.payment_id, "ada", "DP")
    machine.pay(offer.payment.stripe_object_id)
    machine.pass_time(3)
    for type_ in ("payment_intent.succeeded", "charge.succeeded"):
        stripe_events.apply(told(machine, type_))
    ledger.update(key, cast.erasure)
    assert stripe_events.apply(told(machine, "charge.updated")) == "applied"
    (charge,) = machine.payment(key.payment_id).facts.charges.values()
    assert (charge.brand, charge.last4, charge.receipt_url) == (None, None, None)


def test_a_late_processing_after_a_failure_rebuilds_nothing(machine: Machine) -> None:
    offer = machine.create()
    machine.pay(offer.payment.stripe_object_id, "pm_card_chargeDeclined")
    machine.pay(offer.payment.stripe_object_id, "pm_usBankAccount_success")
    failed, processing = (told(machine, f"payment_intent.{name}") for name in ("payment_failed", "processing"))
    forget(machine)
    assert [stripe_events.apply(event) for event in (failed, processing)] == ["left", "left"]
    assert not machine.payments()
    machine.pass_time(3)


def test_two_pulls_on_one_version_in_one_moment_end_in_the_newer(machine: Machine) -> None:
    offer = machine.create()
    key = PaymentRef(offer.payment.payment_id, "ada", "DP")
    old = machine.spawn("old pull", lambda: sync.refresh(key)).until("GET")
    machine.pay(offer.payment.stripe_object_id, "pm_card_chargeDeclined")
    old.until(COMMIT)
    new = machine.spawn("new pull", lambda: sync.refresh(key)).until("GET")
    machine.pay(offer.payment.stripe_object_id, "pm_usBankAccount_success")
    new.until(COMMIT)
    old.finish()
    new.finish()
    assert machine.payment(key.payment_id).status == "PROCESSING"


def test_a_refund_that_failed_is_learned_from_an_event_that_is_only_a_reason_to_pull(machine: Machine) -> None:
    """Of a refund that has failed the charge shows nothing; another `api_version` gives no facts of its own."""
    offer = machine.create()
    machine.pay(offer.payment.stripe_object_id, "pm_card_refundFail")
    tell(machine)
    machine.at_stripe("POST", "/v1/refunds", payment_intent=offer.payment.stripe_object_id, amount=5_000)
    machine.pass_time(3)
    failed = {**told(machine, "refund.failed"), "api_version": "2020-08-27"}
    assert stripe_events.apply(failed) == "applied"
    for type_ in ("refund.created", "charge.refunded"):
        stripe_events.apply(told(machine, type_))
    refunded = machine.payment(offer.payment.payment_id).facts.refunds.values()
    assert [refund.status for refund in refunded] == ["failed"]


def test_a_refund_that_failed_untold_is_learned_by_the_reconciler(machine: Machine) -> None:
    offer = machine.create()
    machine.pay(offer.payment.stripe_object_id, "pm_card_refundFail")
    tell(machine)
    machine.at_stripe("POST", "/v1/refunds", payment_intent=offer.payment.stripe_object_id, amount=5_000)
    machine.pass_time(3)
    machine.new_events()
    an_hour_later(machine)
    refunded = machine.payment(offer.payment.payment_id).facts.refunds.values()
    assert [refund.status for refund in refunded] == ["failed"]


def test_a_payment_is_closed_after_its_fifth_failed_charge(machine: Machine) -> None:
    offer = machine.create()
    for _ in range(5):
        assert machine.object(offer.payment.stripe_object_id)["status"] == "requires_payment_method"
        machine.pay(offer.payment.stripe_object_id, "pm_card_chargeDeclined")
        tell(machine)
    assert machine.payment(offer.payment.payment_id).status == "CANCELED"
    assert machine.create().payment.stripe_object_id != offer.payment.stripe_object_id


def test_a_settled_object_in_the_name_of_another_payment_is_a_claim_and_a_person_looks(machine: Machine) -> None:
    a_customer(machine)
    creating(machine, "student").until(COMMIT).die()
    orphan = machine.objects("payment_intent")[-1]["id"]
    machine.pass_time(25 * 3600)
    offer = machine.create()
    machine.pay(orphan)
    tell(machine)
    payment = machine.payment(offer.payment.payment_id)
    assert payment.open and list(payment.facts.claims) == [orphan]
