"""Rare failures: deleted customers, retired tracks, items lost in a restore, lost disputes, and their retries."""

from dataclasses import replace

import pytest

from tests.acceptance import ACCEPTANCE
from tests.harness import Harness, Student
from tests.tables.test_sessions import open_session, payable_ids
from tuition import settings
from tuition.core import catalog, refund_request
from tuition.core.money import Money
from tuition.intake import reconcile, stripe_events
from tuition.payments import checkout, purchase_blocks
from tuition.storage import keys, ledger, quarantine, queries


def stored_customer(tuition: Harness, student: Student) -> str:
    item = tuition.tables.get_item(TableName="customers", Key={"user_id": {"S": student.sub}})["Item"]
    return str(item["stripe_customer_id"]["S"])


# --- customers ---


@pytest.mark.parametrize("conflict", [False, True], ids=["without a conflict", "after a conflict"])
def test_the_replacement_of_a_deleted_customer_is_stored_with_its_saved_cards(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, conflict: bool
) -> None:
    first = tuition.create(student, "DP").body
    tuition.at_stripe("DELETE", f"/v1/customers/{tuition.payment(first['payment_id']).customer}")
    commit, conflicts = ledger.commit, []

    def commit_after_conflict(state: ledger.PaymentState, *args: object, **more: object) -> ledger.PaymentState:
        if conflict and not conflicts:
            conflicts.append(True)
            ledger.next_attempt(state.enrollment, state.enrollment.attempt, "test")
        return commit(state, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(checkout.ledger, "commit", commit_after_conflict)
    second = tuition.create(student, "FSD", save_payment_method=True)
    assert second.status == 201
    customer = tuition.payment(second.body["payment_id"]).customer
    assert stored_customer(tuition, student) == customer
    tuition.pay(second.body["payment_intent_id"])
    tuition.deliver_all()
    assert [m["last4"] for m in tuition.saved_methods(student).body["payment_methods"]] == ["4242"]
    assert len(tuition.at_stripe("GET", "/v1/customers?limit=100")["data"]) == 1


# --- prices ---


@pytest.mark.parametrize("kind", ["intent", "checkout"])
def test_the_same_amount_in_another_currency_is_another_price(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    create = tuition.create if kind == "intent" else lambda buyer: open_session(tuition, buyer)
    old_purchase = create(student).body
    new_tracks = {**catalog.tracks(), "DP": replace(catalog.tracks()["DP"], price=Money(old_purchase["amount"], "eur"))}
    monkeypatch.setattr(catalog, "tracks", lambda: new_tracks)
    response = create(student)
    assert (response.status, response.body["amount"], response.body["currency"]) == (201, old_purchase["amount"], "eur")
    assert payable_ids(tuition, student) == [response.body.get("payment_intent_id") or response.body["session_id"]]
    assert tuition.payment(old_purchase["payment_id"]).status == "CANCELED"


def test_a_failed_bank_debit_whose_webhook_is_missing_is_closed_for_a_session(
    tuition: Harness, student: Student
) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_usBankAccount_insufficientFunds")
    tuition.deliver_all()
    assert open_session(tuition, student).status == 409
    tuition.advance_stripe(10 * 86_400)
    response = open_session(tuition, student)
    assert response.status == 201
    assert payable_ids(tuition, student) == [response.body["session_id"]]


# --- email addresses and user ids ---


@pytest.mark.parametrize("email", ["ada@internal", "jörg@example.org"])
def test_a_student_whose_email_stripe_rejects_can_still_buy(tuition: Harness, student: Student, email: str) -> None:
    buyer = Student(student.sub, email=email)
    purchase = tuition.create(buyer).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    payment = tuition.payment(purchase["payment_id"])
    assert (tuition.enrollment(buyer)["status"], payment.email) == ("ENROLLED", email)
    assert tuition.at_stripe("GET", f"/v1/customers/{payment.customer}")["email"] is None
    second = tuition.create(buyer, "FSD").body
    assert tuition.payment(second["payment_id"]).customer == payment.customer == stored_customer(tuition, buyer)


@pytest.mark.parametrize("sub", ["josé", "李", "two words", "a\nline", "pay_nobody", "x" * 129])
def test_a_user_id_that_stripe_or_the_tables_cannot_store_is_refused_before_any_charge(
    tuition: Harness, sub: str
) -> None:
    response = tuition.create(Student(sub, email="ada@example.org"))
    assert (response.status, response.body["type"].rpartition("/")[2]) == (401, "unauthenticated")
    assert tuition.stripe_calls == []


def test_the_user_ids_of_common_identity_providers_are_accepted(tuition: Harness) -> None:
    for sub in ("auth0|64af.1-x", "0f8c2a4e-5f0e-4a39-9a51-6b1f0a2d9c11", "00u1~x+y="):
        assert tuition.payments(Student(sub)).status == 200


# --- retired tracks ---


def retire_track(monkeypatch: pytest.MonkeyPatch, track: str = "DP") -> None:
    remaining = {code: definition for code, definition in catalog.tracks().items() if code != track}
    monkeypatch.setattr(catalog, "tracks", lambda: remaining)


def test_a_payment_opened_before_its_track_was_retired_is_settled_and_refunded(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = tuition.create(student).body
    retire_track(monkeypatch)
    tuition.pay(purchase["payment_intent_id"])
    assert {response.status for response in tuition.deliver_all()} == {200}
    assert tuition.status(student, purchase["payment_id"]).body["status"] == "SUCCEEDED"
    assert ledger.load(tuition.payment(purchase["payment_id"]).ref).enrollment.status == "ENROLLED"
    assert tuition.create(student).status == 422
    assert tuition.refund(student, purchase["payment_id"]).status == 200
    responses = tuition.deliver_all()
    assert {response.body["outcome"] for response in responses} <= {"applied", "ignored"}
    state = ledger.load(tuition.payment(purchase["payment_id"]).ref)
    assert (state.payment and state.payment.status, state.enrollment.status) == ("REFUNDED", "WITHDRAWN")
    assert tuition.chain_problem(purchase["payment_id"]) is None


def test_the_events_of_a_lost_payment_of_a_retired_track_are_quarantined(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.tables.delete_item(TableName="payments", Key={"payment_id": {"S": purchase["payment_id"]}})
    retire_track(monkeypatch)
    responses = {event["type"]: tuition.deliver(event) for event in tuition.new_events()}
    assert {response.status for response in responses.values()} == {200}
    assert responses["payment_intent.succeeded"].body["outcome"] == "quarantined"


# --- invalid events, and items lost in a restore ---


def test_an_event_with_a_currency_that_stripe_never_writes_is_quarantined(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    event = next(e for e in tuition.new_events() if e["type"] == "payment_intent.succeeded")
    event["data"]["object"]["currency"] = "USD"
    assert tuition.deliver(event).body["outcome"] == "quarantined"


@pytest.mark.parametrize("source", ["webhook", "reconciler"])
@pytest.mark.usefixtures("empty_tables")
def test_a_rebuilt_payment_continues_its_audit_trail(tuition: Harness, student: Student, source: str) -> None:
    purchase = tuition.create(student).body
    tuition.tables.delete_item(TableName="payments", Key={"payment_id": {"S": purchase["payment_id"]}})
    tuition.pay(purchase["payment_intent_id"])
    if source == "webhook":
        tuition.deliver_all()
    else:
        tuition.reconcile()
    assert (tuition.payment(purchase["payment_id"]).status, tuition.enrollment(student)["status"]) == (
        "SUCCEEDED",
        "ENROLLED",
    )
    assert [record["seq"] for record in tuition.audit_trail(purchase["payment_id"])][:2] == [1, 2]
    assert tuition.chain_problem(purchase["payment_id"]) is None


@pytest.mark.parametrize("kind", ["intent", "checkout"])
@pytest.mark.parametrize("meanwhile", ["nothing", "closed", "paid", "processing"])
def test_an_open_payment_lost_in_a_restore_blocks_no_purchase_and_is_not_paid_twice(
    tuition: Harness, student: Student, kind: str, meanwhile: str
) -> None:
    """The enrollment still names the payment, because the tables were restored to different moments."""
    create = tuition.create if kind == "intent" else lambda buyer: open_session(tuition, buyer)
    purchase = create(student).body
    object_id = purchase.get("payment_intent_id") or purchase["session_id"]
    tuition.tables.delete_item(TableName="payments", Key={"payment_id": {"S": purchase["payment_id"]}})
    assert create(student).status == 503  # a transaction may not be visible yet
    if meanwhile == "closed":
        path = f"payment_intents/{object_id}/cancel" if kind == "intent" else f"checkout/sessions/{object_id}/expire"
        tuition.at_stripe("POST", f"/v1/{path}")
    elif meanwhile != "nothing":
        method = "pm_card_visa" if meanwhile == "paid" else "pm_usBankAccount_processing"
        page = f"payment_intents/{object_id}" if kind == "intent" else f"payment_pages/{object_id}"
        tuition.at_stripe("POST", f"/v1/{page}/confirm", payment_method=method, **ACCEPTANCE)
    tuition.new_events()
    tuition.advance_time(61)
    response = create(student)
    if meanwhile == "paid":
        assert response.body["type"].rpartition("/")[2] == "already-enrolled"
        assert (tuition.attention(purchase["payment_id"]), payable_ids(tuition, student)) == (["rebuilt"], [])
        assert tuition.chain_problem(purchase["payment_id"]) is None
    elif meanwhile == "processing":
        assert response.body["type"].rpartition("/")[2] == "payment-in-progress"
    else:
        assert response.status == 201
        assert payable_ids(tuition, student) == [response.body.get("payment_intent_id") or response.body["session_id"]]
        trail = queries.audit_trail(student.sub)
        head = tuition.tables.get_item(TableName="enrollments", Key=keys.enrollment_key(student.sub, "#user"))["Item"]
        assert [record["type"] for record in trail] == ["payment.dropped"]
        assert trail[0]["transition"] == {"enrollment": {"from": "PENDING", "to": None}}
        assert head["audit_head"]["S"] == trail[0]["hash"]


@pytest.mark.parametrize("kind", ["intent", "checkout"])
@pytest.mark.parametrize("is_paid", [False, True])
@pytest.mark.usefixtures("empty_tables")
def test_an_enrollment_lost_in_a_restore_is_stored_again(
    tuition: Harness, student: Student, kind: str, is_paid: bool
) -> None:
    """The payment is stored, and Stripe sends no new event about it."""
    purchase = (tuition.create(student) if kind == "intent" else open_session(tuition, student)).body
    if is_paid:
        page = (
            f"payment_intents/{purchase['payment_intent_id']}"
            if kind == "intent"
            else f"payment_pages/{purchase['session_id']}"
        )
        tuition.at_stripe("POST", f"/v1/{page}/confirm", payment_method="pm_card_visa")
    tuition.advance_stripe(5)
    tuition.deliver_all()
    for item in tuition.tables.scan(TableName="enrollments")["Items"]:
        if item["user_id"]["S"] == student.sub:
            tuition.tables.delete_item(TableName="enrollments", Key={k: item[k] for k in ("user_id", "sort_key")})
    if is_paid:
        assert tuition.reconcile()["drifted"] == 1
    else:
        tuition.status(student, purchase["payment_id"])
    enrollment = tuition.enrollment(student)
    assert enrollment and enrollment["status"] == ("ENROLLED" if is_paid else "PENDING")
    assert enrollment["projects"][0]["unlocked"] is is_paid
    assert tuition.chain_problem(purchase["payment_id"]) is None
    records = len(tuition.audit_trail(purchase["payment_id"]))
    tuition.reconcile()
    assert len(tuition.audit_trail(purchase["payment_id"])) == records


def test_a_payment_lost_together_with_its_customer_is_dropped_too(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    for table, key in (
        ("payments", {"payment_id": {"S": purchase["payment_id"]}}),
        ("customers", {"user_id": {"S": student.sub}}),
    ):
        tuition.tables.delete_item(TableName=table, Key=key)
    tuition.advance_time(61)
    assert tuition.create(student).status == 201


# --- disputes ---


def test_buying_again_after_a_lost_dispute_that_staff_allow_is_not_a_double_payment(
    tuition: Harness, student: Student
) -> None:
    first = tuition.create(student).body
    tuition.pay(first["payment_intent_id"], "pm_card_createDispute")
    tuition.deliver_all()
    (dispute,) = tuition.payment(first["payment_id"]).facts.disputes
    tuition.at_stripe("POST", f"/v1/disputes/{dispute}/close")
    tuition.deliver_all()
    assert (tuition.payment(first["payment_id"]).refundable_amount, tuition.enrollment(student)["status"]) == (
        0,
        "WITHDRAWN",
    )
    assert tuition.create(student).body["type"].endswith("/purchases-blocked")
    purchase_blocks.decide(student.sub, "allow", "a mistake of the bank", "staff")
    second = tuition.create(student).body
    tuition.pay(second["payment_intent_id"])
    tuition.deliver_all()
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert tuition.attention(second["payment_id"]) == []
    assert tuition.attention(first["payment_id"]) == [f"dispute:{dispute}"]


# --- the reconciler ---


@pytest.mark.usefixtures("empty_tables")
def test_events_that_can_never_be_applied_do_not_keep_others_from_being_replayed(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.advance_stripe(5)
    event = next(e for e in tuition.new_events() if e["type"] == "charge.updated")
    tuition.reconcile()
    for n in range(4):
        invalid = {**event, "id": f"evt_bad_{n}", "data": {"object": {**event["data"]["object"], "amount": "odd"}}}
        assert tuition.deliver(invalid).body["outcome"] == "quarantined"
        tuition.advance_time(1)
    quarantine.add({**event, "id": "evt_zzz"}, "as if")
    monkeypatch.setattr(reconcile, "MAX_REPLAYS", 2)
    assert [tuition.reconcile()["replayed"] for _ in range(3)] == [0, 0, 1]
    assert "evt_zzz" in {record["event_id"] for record in tuition.audit_trail(purchase["payment_id"])}
    assert len(queries.oldest_quarantined(100)) == 4


@pytest.mark.usefixtures("empty_tables")
def test_an_event_that_staff_replay_during_a_run_is_no_failure(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = tuition.create(student).body
    tuition.reconcile()
    events = tuition.new_events()
    for event in events:
        quarantine.add(event, "as if")
    replay = stripe_events.replay

    def replay_after_staff(event_id: str) -> str:
        if event_id == events[-1]["id"]:
            replay(event_id)
        return replay(event_id)

    monkeypatch.setattr(reconcile.stripe_events, "replay", replay_after_staff)
    report = tuition.reconcile()
    assert (report["failed"], report["done"], queries.oldest_quarantined(100)) == ([], True, [])
    assert len(tuition.audit_trail(purchase["payment_id"])) == 2


@pytest.mark.usefixtures("empty_tables")
def test_an_object_that_stripe_does_not_return_blocks_no_other_and_is_fetched_again(
    tuition: Harness, student: Student
) -> None:
    stuck = tuition.create(student).body
    other_student = Student(f"{student.sub}-other")
    other_purchase = tuition.create(other_student).body
    for purchase in (stuck, other_purchase):
        tuition.pay(purchase["payment_intent_id"])
    tuition.new_events()
    match = f"GET /v1/payment_intents/{stuck['payment_intent_id']}"
    tuition.at_stripe("POST", "/_sim/calls", match=match, times=99, fail="before")
    report = tuition.reconcile()
    assert (report["done"], tuition.enrollment(other_student)["status"]) == (False, "ENROLLED")
    assert {failure.partition(":")[0] for failure in report["failed"]} == {
        stuck["payment_id"],
        stuck["payment_intent_id"],
    }
    tuition.at_stripe("DELETE", "/_sim/calls")
    tuition.advance_time(4 * 86_400)
    report = tuition.reconcile()
    assert (report["done"], report["failed"], tuition.enrollment(student)["status"]) == (True, [], "ENROLLED")


@pytest.mark.usefixtures("empty_tables")
@pytest.mark.parametrize("delivered", [True, False])
def test_a_student_who_waits_for_a_microdeposit_has_ten_days(
    tuition: Harness, student: Student, delivered: bool
) -> None:
    purchase = tuition.create(student).body
    # The simulator has no verify_with_microdeposits; a card that requires authentication stands in for it.
    tuition.pay(purchase["payment_intent_id"], "pm_card_authenticationRequired")
    events = tuition.new_events()
    for event in events if delivered else ():
        tuition.deliver(event)
    closed = []
    for _ in range(18):
        tuition.advance_time(86_400)
        closed.append(tuition.reconcile()["closed"])
    assert (closed[:10], sum(closed)) == ([0] * 10, 1)
    assert tuition.payment(purchase["payment_id"]).status == "CANCELED"


def reenroll(tuition: Harness, student: Student) -> tuple[str, str]:
    """Refund a payment, open another, and let the refund fail; return the ids of the granting and the open payment."""
    first = tuition.create(student).body
    tuition.pay(first["payment_intent_id"], "pm_card_refundFail")
    tuition.deliver_all()
    tuition.refund(student, first["payment_id"])
    tuition.deliver_all()
    second = tuition.create(student).body
    tuition.advance_stripe(10)
    tuition.deliver_all()
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    return first["payment_id"], second["payment_id"]


@pytest.mark.usefixtures("empty_tables")
def test_an_open_payment_is_closed_once_another_payment_grants_access(tuition: Harness, student: Student) -> None:
    _, open_id = reenroll(tuition, student)
    assert payable_ids(tuition, student) == [tuition.payment(open_id).stripe_object_id]
    tuition.advance_time(2 * 3600)
    assert tuition.reconcile()["closed"] == 1
    assert (payable_ids(tuition, student), tuition.payment(open_id).status) == ([], "CANCELED")
    assert tuition.enrollment(student)["status"] == "ENROLLED"


@pytest.mark.usefixtures("empty_tables")
def test_a_payment_settled_after_another_granted_access_is_not_closed_but_needs_attention(
    tuition: Harness, student: Student
) -> None:
    _, open_id = reenroll(tuition, student)
    tuition.pay(tuition.payment(open_id).stripe_object_id)
    tuition.new_events()
    tuition.advance_time(2 * 3600)
    assert tuition.reconcile()["closed"] == 0
    assert tuition.payment(open_id).status == "SUCCEEDED"
    assert "double" in tuition.attention(open_id)


@pytest.mark.usefixtures("empty_tables")
@pytest.mark.parametrize("source", ["webhook", "reconciler", "rebuilt"])
def test_a_dispute_counts_even_if_its_charge_is_not_marked_as_disputed(
    tuition: Harness, student: Student, source: str
) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_card_createDisputeInquiry")
    for charge in tuition.stripe.account.store.all("charge"):
        charge["disputed"] = False
    events = [e for e in tuition.new_events() if source != "rebuilt" or "dispute" in e["type"]]
    if source == "rebuilt":
        tuition.tables.delete_item(TableName="payments", Key={"payment_id": {"S": purchase["payment_id"]}})
    if source == "reconciler":
        tuition.reconcile()
    else:
        assert {tuition.deliver(event).status for event in events} == {200}
    assert [name for name in tuition.attention(purchase["payment_id"]) if name.startswith("dispute:")]
    assert tuition.enrollment(student)["status"] == "ENROLLED"


# --- Stripe's API key ---


@pytest.mark.parametrize(("mode", "key"), [("false", "sk_live_x"), ("false", "rk_live_x"), ("true", "sk_test_x")])
def test_a_key_of_the_other_mode_makes_no_call_to_stripe(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, mode: str, key: str
) -> None:
    monkeypatch.setenv("STRIPE_LIVEMODE", mode)
    monkeypatch.setattr(settings, "_read_secret", lambda arn: {"secret_key": key})
    settings.settings.cache_clear()
    settings._kept.clear()
    response = tuition.create(student)
    settings.settings.cache_clear()
    assert (response.status, response.body["type"].rpartition("/")[2]) == (503, "not-configured")
    assert "different modes" in response.body["detail"]
    assert tuition.stripe_calls == []


# --- refunds ---


def test_an_order_after_a_restore_is_not_confused_with_a_refund_the_restore_lost(
    tuition: Harness, student: Student, admin: Student
) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    key = {"payment_id": {"S": purchase["payment_id"]}}
    old_item = tuition.tables.get_item(TableName="payments", Key=key)["Item"]
    old_hashes = {record["hash"] for record in tuition.audit_trail(purchase["payment_id"])}
    order = "POST /api/admin/payments/{payment_id}/refunds"
    first = tuition.admin(admin, order, {"amount": 10_000, "reason": "a part"}, payment_id=purchase["payment_id"])
    assert first.status == 200
    tuition.new_events()
    for record in tuition.audit_trail(purchase["payment_id"]):
        if record["hash"] not in old_hashes:
            sort_key = {"S": f"{record['at']}#{record['event_id']}"}
            tuition.tables.delete_item(
                TableName="audit", Key={"subject": {"S": purchase["payment_id"]}, "sort_key": sort_key}
            )
    tuition.tables.put_item(TableName="payments", Item=old_item)
    tuition.advance_time(60)
    again = tuition.admin(admin, order, {"amount": 15_000, "reason": "more"}, payment_id=purchase["payment_id"])
    assert again.status == 200
    refunds_at_stripe = tuition.at_stripe("GET", f"/v1/refunds?payment_intent={purchase['payment_intent_id']}")["data"]
    assert sorted(refund["amount"] for refund in refunds_at_stripe) == [10_000, 15_000]
    tuition.deliver_all()
    assert tuition.payment(purchase["payment_id"]).refundable_amount == 49_900 - 25_000
    assert tuition.refund(student, purchase["payment_id"]).body["refund_amount"] == 49_900
    assert tuition.chain_problem(purchase["payment_id"]) is None


def test_repeated_rejections_do_not_fill_the_payments_item(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    for charge in tuition.stripe.account.store.all("charge"):
        charge["disputed"] = True  # makes Stripe refuse although we see no reason
    responses = [
        tuition.refund(student, purchase["payment_id"], "🙂" * 500) for _ in range(refund_request.MAX_REJECTIONS + 2)
    ]
    assert {response.status for response in responses} == {409}
    assert len(tuition.payment(purchase["payment_id"]).requests) == refund_request.MAX_REJECTIONS
    assert "Contact the school" in responses[-1].body["detail"]
