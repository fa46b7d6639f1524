"""The histories that broke earlier rules, each driven through its own interleaving. A name is what must be true."""

from collections.abc import Iterator

import pytest

from tests.model import checkers, search
from tests.model.machine import Actor, Machine, running
from tuition import pulls, refunds, stripe_events
from tuition.core.errors import PaymentInProgress
from tuition.ledger import Key

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
    search.settle(machine, [e for e in events(machine) if e["type"] in stripe_events.TYPES])


def events(machine: Machine) -> list[dict[str, object]]:
    return machine.all_events()


def told(machine: Machine, type_: str) -> dict[str, object]:
    return next(e for e in reversed(events(machine)) if e["type"] == type_)


def creating(machine: Machine, name: str, kind: str = "intent") -> Actor:
    return machine.spawn(name, lambda: machine.create(kind=kind))


def bought(machine: Machine) -> Key:
    """A student who has a customer, has paid, and is enrolled."""
    offer = machine.create()
    machine.pay(offer.payment.bound_to)
    settle(machine)
    return Key(offer.payment.payment_id, "ada", "DP")


def a_customer(machine: Machine) -> None:
    """A student who once paid and was refunded: the customer is known, nothing is open."""
    key = bought(machine)
    refunds.request(key, "no")
    settle(machine)
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
    assert checkers.payable(machine) == [session.bound_to]
    settle(machine)
    assert machine.payment(session.payment_id).open


def test_the_loser_of_a_double_click_answers_the_winners_and_cancels_nothing(machine: Machine) -> None:
    a_customer(machine)
    a, b = creating(machine, "a"), creating(machine, "b")
    a.until(COMMIT)
    b.until(COMMIT)
    first, second = a.finish(), b.finish()
    assert first.payment.bound_to == second.payment.bound_to
    assert checkers.payable(machine) == [first.payment.bound_to]


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
    assert a.finish().payment.bound_to == made


def test_created_before_the_commit_rebuilds_nothing_and_the_create_wins(machine: Machine) -> None:
    a = creating(machine, "a").until(COMMIT)
    assert stripe_events.apply(told(machine, "payment_intent.created")) == "left"
    assert not machine.payments()
    assert a.finish().new


def test_a_create_that_died_after_stripe_is_taken_up_by_the_retry(machine: Machine) -> None:
    creating(machine, "a").until(COMMIT).die()
    made = machine.objects("payment_intent")[-1]["id"]
    assert machine.create().payment.bound_to == made
    assert checkers.payable(machine) == [made]


def test_an_orphan_that_was_closed_is_not_answered_again_by_its_key(machine: Machine) -> None:
    creating(machine, "a").until(COMMIT).die()
    orphan = machine.objects("payment_intent")[-1]["id"]
    machine.at_stripe("POST", f"/v1/payment_intents/{orphan}/cancel")
    offer = machine.create()
    assert offer.payment.bound_to != orphan
    assert checkers.payable(machine) == [offer.payment.bound_to]


def test_what_a_loser_closed_is_claimed_first_and_nobody_commits_it(machine: Machine) -> None:
    """A and B share O; C's session commits; A, having lost, cancels O; C's session is gone; B would commit O."""
    a_customer(machine)
    a, b, c = creating(machine, "a"), creating(machine, "b"), creating(machine, "c", "checkout")
    a.until(COMMIT)
    b.until(COMMIT)
    session = c.finish().payment
    a.until("POST /v1/payment_intents/").step()
    machine.at_stripe("POST", f"/v1/checkout/sessions/{session.bound_to}/expire")
    pulls.refresh(Key(session.payment_id, "ada", "DP"))
    offer = b.finish()
    assert checkers.payable(machine) == [offer.payment.bound_to]


def test_a_rebuilt_payment_raises_the_counter_for_the_next_create(machine: Machine) -> None:
    key = bought(machine)
    for table in ("payments", "enrollments", "intents", "audit"):
        machine.tables.stored[table].clear()
    settle(machine)
    assert machine.payment(key.payment_id).facts.rebuilt
    assert machine.enrollment().attempt == 1
    refunds.request(key, "no")
    assert machine.create().payment.attempt == 2


@pytest.mark.parametrize("newest", ["PROCESSING", "FAILED"])
def test_of_two_pulls_the_one_that_conflicts_pulls_again(machine: Machine, newest: str) -> None:
    """Both in one second, so that nothing but asking again can tell which is newer."""
    offer = machine.create()
    key = Key(offer.payment.payment_id, "ada", "DP")
    intent = machine.stripe.account.store.find("payment_intent", offer.payment.bound_to)
    assert intent is not None
    declined = {"status": "requires_payment_method", "last_payment_error": {"code": "card_declined", "message": "no"}}
    processing = {"status": "processing", "last_payment_error": None}
    before, after = (declined, processing) if newest == "PROCESSING" else (processing, declined)
    intent.update(before)
    old = machine.spawn("old pull", lambda: pulls.refresh(key)).until(COMMIT)
    intent.update(after)
    machine.spawn("new pull", lambda: pulls.refresh(key)).finish()
    old.finish()
    assert machine.payment(key.payment_id).status == newest


def test_purchase_and_refund_learned_in_one_pull_end_as_in_two_steps(machine: Machine) -> None:
    offer = machine.create()
    machine.pay(offer.payment.bound_to)
    machine.at_stripe("POST", "/v1/refunds", payment_intent=offer.payment.bound_to)
    pulls.refresh(Key(offer.payment.payment_id, "ada", "DP"))
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
    search.mark(machine, f"DP#{project.project}", project.steps[0].step)
    asking.finish()
    item = machine.tables.stored["enrollments"]["ada", f"DP#{project.project}"]
    assert item["steps"]["M"][project.steps[0].step]["M"]["done"]["BOOL"]
    assert not item["unlocked"]["BOOL"]


def test_a_partial_refund_whose_first_call_is_late_is_made_once(machine: Machine) -> None:
    key = bought(machine)
    first = machine.spawn("first", lambda: refunds.refund(key, 10_000, "goodwill", None, "staff"))
    first.until("POST /v1/refunds")
    (asked,) = machine.payment(key.payment_id).requests
    second = machine.spawn("second", lambda: refunds.drive(key, machine.payment(key.payment_id), asked.id))
    second.until("POST /v1/refunds")
    first.finish()
    second.finish()
    assert [refund["amount"] for refund in machine.objects("refund")] == [10_000]


def test_a_refund_that_arrives_first_is_placed_by_its_intent(machine: Machine) -> None:
    offer = machine.create()
    machine.pay(offer.payment.bound_to)
    machine.at_stripe("POST", "/v1/refunds", payment_intent=offer.payment.bound_to)
    machine.tables.stored["intents"].clear()
    assert stripe_events.apply(told(machine, "refund.created")) == "applied"


def test_a_price_change_closes_what_is_open_and_begins_at_the_new_price(machine: Machine) -> None:
    old = machine.create()
    machine.track = search.replace(machine.track, price=search.Money(59_900, "usd"))
    new = machine.create()
    assert new.payment.price.amount == 59_900
    assert checkers.payable(machine) == [new.payment.bound_to]
    assert machine.payment(old.payment.payment_id).status == "CANCELED"


def test_a_customer_deleted_at_stripe_is_replaced_at_the_next_create(machine: Machine) -> None:
    a_customer(machine)
    (customer,) = machine.objects("customer")
    machine.at_stripe("DELETE", f"/v1/customers/{customer['id']}")
    assert machine.create().payment.customer != customer["id"]


def test_nothing_is_rebuilt_from_an_events_own_body(machine: Machine) -> None:
    offer = machine.create()
    machine.pay(offer.payment.bound_to, "pm_card_chargeDeclined")
    failed = told(machine, "payment_intent.payment_failed")
    for table in ("payments", "enrollments", "intents", "audit"):
        machine.tables.stored[table].clear()
    assert stripe_events.apply(failed) == "left"
    assert not machine.payments()
    machine.answered.clear()


def test_a_refund_of_one_payment_racing_the_success_of_another_keeps_both_standings(machine: Machine) -> None:
    key = bought(machine)
    refunds.request(key, "no")
    offer = machine.create()
    machine.pay(offer.payment.bound_to)
    machine.pass_time(3)
    paid = machine.spawn("paid", lambda: stripe_events.apply(told(machine, "payment_intent.succeeded"))).until(COMMIT)
    old = machine.spawn("refund", lambda: stripe_events.apply(told(machine, "refund.created"))).until(COMMIT)
    old.finish()
    paid.finish()
    assert machine.enrollment().status == "ENROLLED"
