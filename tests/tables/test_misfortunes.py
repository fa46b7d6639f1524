"""What goes wrong seldom: customers deleted, tracks retired, items lost, disputes lost and bought again."""

from dataclasses import replace

import pytest

from tests.tables.test_sessions import begin, payable
from tests.world import Student, World
from tuition import settings
from tuition.core import catalog, refs
from tuition.core.money import Money
from tuition.intake import reconcile, stripe_events
from tuition.payments import checkout, refunds
from tuition.storage import keys, ledger, quarantine, queries


def kept_customer(tuition: World, student: Student) -> str:
    item = tuition.tables.get_item(TableName="customers", Key={"user_id": {"S": student.sub}})["Item"]
    return str(item["stripe_customer_id"]["S"])


# --- customers ---


@pytest.mark.parametrize("moved", [False, True], ids=["at once", "after the enrollment moved"])
def test_the_customer_that_replaces_a_deleted_one_is_kept_with_its_saved_cards(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    first = tuition.create(student, "DP").body
    tuition.at_stripe("DELETE", f"/v1/customers/{tuition.payment(first['payment_id']).customer}")
    commit, raced = ledger.commit, []

    def race(before: ledger.PaymentState, *args: object, **more: object) -> ledger.PaymentState:
        if moved and not raced:
            raced.append(True)
            ledger.next_attempt(before.enrollment, before.enrollment.attempt, "test")
        return commit(before, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(checkout.ledger, "commit", race)
    second = tuition.create(student, "FSD", save_payment_method=True)
    assert second.status == 201
    customer = tuition.payment(second.body["payment_id"]).customer
    assert kept_customer(tuition, student) == customer
    tuition.pay(second.body["payment_intent_id"])
    tuition.deliver_all()
    assert [m["last4"] for m in tuition.saved(student).body["payment_methods"]] == ["4242"]
    assert len(tuition.at_stripe("GET", "/v1/customers?limit=100")["data"]) == 1


# --- prices ---


@pytest.mark.parametrize("kind", ["intent", "checkout"])
def test_another_currency_of_the_same_amount_is_another_price(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    ask = tuition.create if kind == "intent" else lambda who: begin(tuition, who)
    old = ask(student).body
    changed = {**catalog.tracks(), "DP": replace(catalog.tracks()["DP"], price=Money(old["amount"], "eur"))}
    monkeypatch.setattr(catalog, "tracks", lambda: changed)
    new = ask(student)
    assert (new.status, new.body["amount"], new.body["currency"]) == (201, old["amount"], "eur")
    assert payable(tuition, student) == [new.body.get("payment_intent_id") or new.body["session_id"]]
    assert tuition.payment(old["payment_id"]).status == "CANCELED"


def test_a_bank_debit_that_has_failed_untold_is_closed_for_another_kind(tuition: World, student: Student) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"], "pm_usBankAccount_insufficientFunds")
    tuition.deliver_all()
    assert begin(tuition, student).status == 409
    tuition.later(10 * 86_400)
    session = begin(tuition, student)
    assert session.status == 201
    assert payable(tuition, student) == [session.body["session_id"]]


# --- who buys ---


@pytest.mark.parametrize("email", ["ada@internal", "jörg@example.org"])
def test_an_address_that_stripe_does_not_take_for_one_can_buy_all_the_same(
    tuition: World, student: Student, email: str
) -> None:
    who = Student(student.sub, email=email)
    made = tuition.create(who).body
    tuition.pay(made["payment_intent_id"])
    tuition.deliver_all()
    payment = tuition.payment(made["payment_id"])
    assert (tuition.enrolled(who)["status"], payment.email) == ("ENROLLED", email)
    assert tuition.at_stripe("GET", f"/v1/customers/{payment.customer}")["email"] is None
    again = tuition.create(who, "FSD").body
    assert tuition.payment(again["payment_id"]).customer == payment.customer == kept_customer(tuition, who)


@pytest.mark.parametrize("sub", ["josé", "李", "two words", "a\nline", "pay_nobody", "x" * 129])
def test_a_user_id_that_stripe_or_the_tables_could_not_carry_is_refused_before_money_moves(
    tuition: World, sub: str
) -> None:
    answer = tuition.create(Student(sub, email="ada@example.org"))
    assert (answer.status, answer.body["type"].rpartition("/")[2]) == (401, "unauthenticated")
    assert tuition.stripe_calls == []


def test_the_user_ids_that_providers_give_are_accepted(tuition: World) -> None:
    for sub in ("auth0|64af.1-x", "0f8c2a4e-5f0e-4a39-9a51-6b1f0a2d9c11", "ada@example.org", "00u1~x+y="):
        assert tuition.payments(Student(sub)).status == 200


# --- tracks that are sold no more ---


def retire(monkeypatch: pytest.MonkeyPatch, track: str = "DP") -> None:
    left = {code: known for code, known in catalog.tracks().items() if code != track}
    monkeypatch.setattr(catalog, "tracks", lambda: left)


def test_what_was_begun_before_its_track_was_retired_is_settled_and_refunded(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tuition.create(student).body
    retire(monkeypatch)
    tuition.pay(made["payment_intent_id"])
    assert {answer.status for answer in tuition.deliver_all()} == {200}
    assert tuition.status(student, made["payment_id"]).body["status"] == "SUCCEEDED"
    assert ledger.load(refs.PaymentRef.of(tuition.payment(made["payment_id"]))).enrollment.status == "ENROLLED"
    assert tuition.create(student).status == 422
    assert tuition.refund(student, made["payment_id"]).status == 200
    answers = tuition.deliver_all()
    assert {answer.body["outcome"] for answer in answers} <= {"applied", "ignored"}
    after = ledger.load(refs.PaymentRef.of(tuition.payment(made["payment_id"])))
    assert (after.payment and after.payment.status, after.enrollment.status) == ("REFUNDED", "WITHDRAWN")
    assert tuition.chain_problem(made["payment_id"]) is None


def test_a_payment_of_a_retired_track_whose_item_is_missing_is_for_a_person(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    tuition.tables.delete_item(TableName="payments", Key={"payment_id": {"S": made["payment_id"]}})
    retire(monkeypatch)
    told = {event["type"]: tuition.deliver(event) for event in tuition.new_events()}
    assert {answer.status for answer in told.values()} == {200}
    assert told["payment_intent.succeeded"].body["outcome"] == "quarantined"


# --- what no event of Stripe's has, and what a restore leaves ---


def test_a_currency_that_stripe_would_not_write_is_for_a_person(tuition: World, student: Student) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    event = next(e for e in tuition.new_events() if e["type"] == "payment_intent.succeeded")
    event["data"]["object"]["currency"] = "USD"
    assert tuition.deliver(event).body["outcome"] == "quarantined"


@pytest.mark.parametrize("how", ["webhook", "reconciler"])
@pytest.mark.usefixtures("walk")
def test_a_payment_that_is_rebuilt_goes_on_where_its_audit_trail_ends(
    tuition: World, student: Student, how: str
) -> None:
    made = tuition.create(student).body
    tuition.tables.delete_item(TableName="payments", Key={"payment_id": {"S": made["payment_id"]}})
    tuition.pay(made["payment_intent_id"])
    if how == "webhook":
        tuition.deliver_all()
    else:
        tuition.reconcile()
    assert (tuition.payment(made["payment_id"]).status, tuition.enrolled(student)["status"]) == (
        "SUCCEEDED",
        "ENROLLED",
    )
    assert [record["seq"] for record in tuition.trail(made["payment_id"])][:2] == [1, 2]
    assert tuition.chain_problem(made["payment_id"]) is None


@pytest.mark.parametrize("kind", ["intent", "checkout"])
@pytest.mark.parametrize("meanwhile", ["nothing", "closed", "paid", "processing"])
def test_an_open_payment_that_is_lost_keeps_nobody_from_buying_and_nobody_pays_twice(
    tuition: World, student: Student, kind: str, meanwhile: str
) -> None:
    """Its enrollment still names it: the tables were restored to different moments."""
    ask = tuition.create if kind == "intent" else lambda who: begin(tuition, who)
    made = ask(student).body
    lost = made.get("payment_intent_id") or made["session_id"]
    tuition.tables.delete_item(TableName="payments", Key={"payment_id": {"S": made["payment_id"]}})
    assert ask(student).status == 503  # a transaction may be about to show
    if meanwhile == "closed":
        end = f"payment_intents/{lost}/cancel" if kind == "intent" else f"checkout/sessions/{lost}/expire"
        tuition.at_stripe("POST", f"/v1/{end}")
    elif meanwhile != "nothing":
        method = "pm_card_visa" if meanwhile == "paid" else "pm_usBankAccount_processing"
        page = f"payment_intents/{lost}" if kind == "intent" else f"payment_pages/{lost}"
        tuition.at_stripe("POST", f"/v1/{page}/confirm", payment_method=method)
    tuition.new_events()
    tuition.time_passes(61)
    answer = ask(student)
    if meanwhile == "paid":
        assert answer.body["type"].rpartition("/")[2] == "already-enrolled"
        assert (tuition.attention(made["payment_id"]), payable(tuition, student)) == (["rebuilt"], [])
        assert tuition.chain_problem(made["payment_id"]) is None
    elif meanwhile == "processing":
        assert answer.body["type"].rpartition("/")[2] == "payment-in-progress"
    else:
        assert answer.status == 201
        assert payable(tuition, student) == [answer.body.get("payment_intent_id") or answer.body["session_id"]]
        trail = queries.audit_trail(student.sub)
        head = tuition.tables.get_item(TableName="enrollments", Key=keys.enrollment_key(student.sub, "#user"))["Item"]
        assert [record["type"] for record in trail] == ["payment.dropped"]
        assert trail[0]["transition"] == {"enrollment": {"from": "PENDING", "to": None}}
        assert head["audit_head"]["S"] == trail[0]["hash"]


@pytest.mark.parametrize("kind", ["intent", "checkout"])
@pytest.mark.parametrize("paid", [False, True])
@pytest.mark.usefixtures("walk")
def test_an_enrollment_that_a_restore_has_lost_is_made_again(
    tuition: World, student: Student, kind: str, paid: bool
) -> None:
    """Its payment is there, and Stripe says nothing new of it."""
    made = (tuition.create(student) if kind == "intent" else begin(tuition, student)).body
    if paid:
        page = (
            f"payment_intents/{made['payment_intent_id']}"
            if kind == "intent"
            else f"payment_pages/{made['session_id']}"
        )
        tuition.at_stripe("POST", f"/v1/{page}/confirm", payment_method="pm_card_visa")
    tuition.later(5)
    tuition.deliver_all()
    for item in tuition.tables.scan(TableName="enrollments")["Items"]:
        if item["user_id"]["S"] == student.sub:
            tuition.tables.delete_item(TableName="enrollments", Key={k: item[k] for k in ("user_id", "sort_key")})
    if paid:
        assert tuition.reconcile()["drifted"] == 1
    else:
        tuition.status(student, made["payment_id"])
    enrolled = tuition.enrolled(student)
    assert enrolled and enrolled["status"] == ("ENROLLED" if paid else "PENDING")
    assert enrolled["projects"][0]["unlocked"] is paid
    assert tuition.chain_problem(made["payment_id"]) is None
    written = len(tuition.trail(made["payment_id"]))
    tuition.reconcile()
    assert len(tuition.trail(made["payment_id"])) == written


def test_one_that_is_lost_with_its_customer_is_forgotten_too(tuition: World, student: Student) -> None:
    made = tuition.create(student).body
    for table, key in (
        ("payments", {"payment_id": {"S": made["payment_id"]}}),
        ("customers", {"user_id": {"S": student.sub}}),
    ):
        tuition.tables.delete_item(TableName=table, Key=key)
    tuition.time_passes(61)
    assert tuition.create(student).status == 201


# --- disputes ---


def test_a_track_whose_first_payment_was_lost_to_a_dispute_is_not_paid_twice_when_it_is_bought_again(
    tuition: World, student: Student
) -> None:
    lost = tuition.create(student).body
    tuition.pay(lost["payment_intent_id"], "pm_card_createDispute")
    tuition.deliver_all()
    (dispute,) = tuition.payment(lost["payment_id"]).facts.disputes
    tuition.at_stripe("POST", f"/v1/disputes/{dispute}/close")
    tuition.deliver_all()
    assert (tuition.payment(lost["payment_id"]).refundable_amount, tuition.enrolled(student)["status"]) == (
        0,
        "WITHDRAWN",
    )
    again = tuition.create(student).body
    tuition.pay(again["payment_intent_id"])
    tuition.deliver_all()
    assert tuition.enrolled(student)["status"] == "ENROLLED"
    assert tuition.attention(again["payment_id"]) == []
    assert tuition.attention(lost["payment_id"]) == [f"dispute:{dispute}"]


# --- the reconciler ---


@pytest.mark.usefixtures("walk")
def test_a_hundred_events_that_can_never_be_applied_keep_none_from_its_turn(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    tuition.later(5)
    good = next(e for e in tuition.new_events() if e["type"] == "charge.updated")
    tuition.reconcile()
    for n in range(4):
        bad = {**good, "id": f"evt_bad_{n}", "data": {"object": {**good["data"]["object"], "status": "odd"}}}
        assert tuition.deliver(bad).body["outcome"] == "quarantined"
        tuition.time_passes(1)
    quarantine.add({**good, "id": "evt_zzz"}, "as if")
    monkeypatch.setattr(reconcile, "MAX_REPLAYS", 2)
    assert [tuition.reconcile()["replayed"] for _ in range(3)] == [0, 0, 1]
    assert "evt_zzz" in {record["event_id"] for record in tuition.trail(made["payment_id"])}
    assert len(queries.oldest_quarantined(100)) == 4


@pytest.mark.usefixtures("walk")
def test_an_event_that_staff_replay_while_a_run_does_is_no_failure(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tuition.create(student).body
    tuition.reconcile()
    events = tuition.new_events()
    for event in events:
        quarantine.add(event, "as if")
    replay = stripe_events.replay

    def by_staff_first(event_id: str) -> str:
        if event_id == events[-1]["id"]:
            replay(event_id)
        return replay(event_id)

    monkeypatch.setattr(reconcile.stripe_events, "replay", by_staff_first)
    report = tuition.reconcile()
    assert (report["failed"], report["done"], queries.oldest_quarantined(100)) == ([], True, [])
    assert len(tuition.trail(made["payment_id"])) == 2


@pytest.mark.usefixtures("walk")
def test_one_object_without_an_answer_keeps_no_other_from_being_learned_and_is_asked_for_again(
    tuition: World, student: Student
) -> None:
    stuck = tuition.create(student).body
    other = Student(f"{student.sub}-other")
    fine = tuition.create(other).body
    for made in (stuck, fine):
        tuition.pay(made["payment_intent_id"])
    tuition.new_events()
    match = f"GET /v1/payment_intents/{stuck['payment_intent_id']}"
    tuition.at_stripe("POST", "/_sim/calls", match=match, times=99, fail="before")
    report = tuition.reconcile()
    assert (report["done"], tuition.enrolled(other)["status"]) == (False, "ENROLLED")
    assert {said.partition(":")[0] for said in report["failed"]} == {stuck["payment_id"], stuck["payment_intent_id"]}
    tuition.at_stripe("DELETE", "/_sim/calls")
    tuition.time_passes(4 * 86_400)
    report = tuition.reconcile()
    assert (report["done"], report["failed"], tuition.enrolled(student)["status"]) == (True, [], "ENROLLED")


@pytest.mark.usefixtures("walk")
@pytest.mark.parametrize("told", [True, False])
def test_who_waits_for_their_banks_small_deposit_has_ten_days(tuition: World, student: Student, told: bool) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"], "pm_card_authenticationRequired")  # stands for verify_with_microdeposits
    events = tuition.new_events()
    for event in events if told else ():
        tuition.deliver(event)
    closed = []
    for _ in range(18):
        tuition.time_passes(86_400)
        closed.append(tuition.reconcile()["closed"])
    assert (closed[:10], sum(closed)) == ([0] * 10, 1)
    assert tuition.payment(made["payment_id"]).status == "CANCELED"


def reenrolled(tuition: World, student: Student) -> tuple[str, str]:
    """Refunded, begun again, and back in because the refund failed: the payment that grants, and the open one."""
    old = tuition.create(student).body
    tuition.pay(old["payment_intent_id"], "pm_card_refundFail")
    tuition.deliver_all()
    tuition.refund(student, old["payment_id"])
    tuition.deliver_all()
    begun = tuition.create(student).body
    tuition.later(10)
    tuition.deliver_all()
    assert tuition.enrolled(student)["status"] == "ENROLLED"
    return old["payment_id"], begun["payment_id"]


@pytest.mark.usefixtures("walk")
def test_what_a_student_left_open_is_closed_once_another_payment_has_let_them_in(
    tuition: World, student: Student
) -> None:
    _, begun = reenrolled(tuition, student)
    assert payable(tuition, student) == [tuition.payment(begun).stripe_object_id]
    tuition.time_passes(2 * 3600)
    assert tuition.reconcile()["closed"] == 1
    assert (payable(tuition, student), tuition.payment(begun).status) == ([], "CANCELED")
    assert tuition.enrolled(student)["status"] == "ENROLLED"


@pytest.mark.usefixtures("walk")
def test_what_was_paid_after_another_payment_had_let_them_in_is_not_closed_but_calls_a_person(
    tuition: World, student: Student
) -> None:
    _, begun = reenrolled(tuition, student)
    tuition.pay(tuition.payment(begun).stripe_object_id)
    tuition.new_events()
    tuition.time_passes(2 * 3600)
    assert tuition.reconcile()["closed"] == 0
    assert tuition.payment(begun).status == "SUCCEEDED"
    assert "double" in tuition.attention(begun)


@pytest.mark.usefixtures("walk")
@pytest.mark.parametrize("how", ["webhook", "reconciler", "rebuilt"])
def test_a_dispute_counts_even_if_its_charge_does_not_say_that_it_is_disputed(
    tuition: World, student: Student, how: str
) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"], "pm_card_createDisputeInquiry")
    for charge in tuition.stripe.account.store.all("charge"):
        charge["disputed"] = False
    events = [e for e in tuition.new_events() if how != "rebuilt" or "dispute" in e["type"]]
    if how == "rebuilt":
        tuition.tables.delete_item(TableName="payments", Key={"payment_id": {"S": made["payment_id"]}})
    if how == "reconciler":
        tuition.reconcile()
    else:
        assert {tuition.deliver(event).status for event in events} == {200}
    assert [name for name in tuition.attention(made["payment_id"]) if name.startswith("dispute:")]
    assert tuition.enrolled(student)["status"] == "ENROLLED"


# --- the key ---


@pytest.mark.parametrize(("mode", "key"), [("false", "sk_live_x"), ("false", "rk_live_x"), ("true", "sk_test_x")])
def test_with_a_key_of_the_other_mode_no_money_moves(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch, mode: str, key: str
) -> None:
    monkeypatch.setenv("STRIPE_LIVEMODE", mode)
    monkeypatch.setattr(settings, "_read_secret", lambda arn: {"secret_key": key})
    settings.settings.cache_clear()
    settings._kept.clear()
    answer = tuition.create(student)
    settings.settings.cache_clear()
    assert (answer.status, answer.body["type"].rpartition("/")[2]) == (503, "not-configured")
    assert "different modes" in answer.body["detail"]
    assert tuition.stripe_calls == []


# --- refunds ---


def test_an_order_after_a_restore_is_not_taken_for_the_refund_of_one_that_was_forgotten(
    tuition: World, student: Student, admin: Student
) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    tuition.deliver_all()
    key = {"payment_id": {"S": made["payment_id"]}}
    earlier = tuition.tables.get_item(TableName="payments", Key=key)["Item"]
    kept = {record["hash"] for record in tuition.trail(made["payment_id"])}
    order = "POST /api/admin/payments/{payment_id}/refunds"
    first = tuition.admin(admin, order, {"amount": 10_000, "reason": "a part"}, payment_id=made["payment_id"])
    assert first.status == 200
    tuition.new_events()
    for record in tuition.trail(made["payment_id"]):
        if record["hash"] not in kept:
            entry = {"S": f"{record['at']}#{record['event_id']}"}
            tuition.tables.delete_item(TableName="audit", Key={"subject": {"S": made["payment_id"]}, "entry": entry})
    tuition.tables.put_item(TableName="payments", Item=earlier)
    tuition.time_passes(60)
    again = tuition.admin(admin, order, {"amount": 15_000, "reason": "more"}, payment_id=made["payment_id"])
    assert again.status == 200
    at_stripe = tuition.at_stripe("GET", f"/v1/refunds?payment_intent={made['payment_intent_id']}")["data"]
    assert sorted(refund["amount"] for refund in at_stripe) == [10_000, 15_000]
    tuition.deliver_all()
    assert tuition.payment(made["payment_id"]).refundable_amount == 49_900 - 25_000
    assert tuition.refund(student, made["payment_id"]).body["refund_amount"] == 49_900
    assert tuition.chain_problem(made["payment_id"]) is None


def test_a_refund_that_stripe_refuses_again_and_again_does_not_fill_the_payments_item(
    tuition: World, student: Student
) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    tuition.deliver_all()
    for charge in tuition.stripe.account.store.all("charge"):
        charge["disputed"] = True  # so that Stripe refuses, and we know no reason
    answers = [tuition.refund(student, made["payment_id"], "🙂" * 500) for _ in range(refunds.MAX_REJECTIONS + 2)]
    assert {answer.status for answer in answers} == {409}
    assert len(tuition.payment(made["payment_id"]).requests) == refunds.MAX_REJECTIONS
    assert "write to the school" in answers[-1].body["detail"]
