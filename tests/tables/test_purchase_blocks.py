"""A lost dispute blocks every further purchase of its user, until staff allow it."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

import admin as admin_function
from tests import permissions
from tests.harness import Harness, Response, Student
from tuition.core import payment as payments
from tuition.core.audit import AuditEntry
from tuition.core.facts import Dispute, Facts
from tuition.core.refs import Customer, PaymentRef
from tuition.payments import purchase_blocks
from tuition.storage import ledger
from tuition.storage.ledger import Change

TRACKS = ("DP", "FSD")


def buy(tuition: Harness, student: Student, track: str = "DP", method: str = "pm_card_visa") -> dict[str, Any]:
    response = tuition.create(student, track)
    assert response.status == 201, response
    tuition.pay(response.body["payment_intent_id"], method)
    tuition.deliver_all()
    return response.body


def open_dispute(tuition: Harness, purchase: dict[str, Any]) -> str:
    intent = purchase["payment_intent_id"]
    dispute = tuition.at_stripe("POST", "/_sim/disputes", payment_intent=intent, status="needs_response")
    tuition.deliver_all()
    return str(dispute["id"])


def move_dispute(tuition: Harness, dispute: str, status: str) -> None:
    tuition.at_stripe("POST", "/_sim/disputes", dispute=dispute, status=status)
    tuition.deliver_all()


def lose_dispute(tuition: Harness, student: Student, track: str = "DP") -> tuple[dict[str, Any], str]:
    """Buy a track and lose a dispute of the payment; return the purchase and the dispute's id."""
    purchase = buy(tuition, student, track)
    dispute = open_dispute(tuition, purchase)
    move_dispute(tuition, dispute, "lost")
    return purchase, dispute


def assert_blocked(response: Response) -> None:
    assert (response.status, response.body["type"].rpartition("/")[2]) == (409, "purchases-blocked"), response


def blocking(student: Student) -> tuple[str, ...]:
    return ledger.load_for_create(student.sub, "DP")[2].blocking


def test_a_student_who_lost_a_dispute_can_buy_no_track(tuition: Harness, student: Student) -> None:
    _, dispute = lose_dispute(tuition, student)
    for track in TRACKS:
        assert_blocked(tuition.create(student, track))
    assert blocking(student) == (dispute,)
    assert tuition.create(Student(student.sub + "-other")).status == 201


def test_an_open_dispute_blocks_nothing_and_keeps_access(tuition: Harness, student: Student) -> None:
    open_dispute(tuition, buy(tuition, student))
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert tuition.create(student, "FSD").status == 201


def test_a_dispute_won_on_appeal_leaves_the_list(tuition: Harness, student: Student) -> None:
    _, dispute = lose_dispute(tuition, student)
    move_dispute(tuition, dispute, "under_review")
    assert blocking(student) == ()
    move_dispute(tuition, dispute, "lost")
    assert_blocked(tuition.create(student, "FSD"))
    move_dispute(tuition, dispute, "won")
    assert blocking(student) == ()
    assert tuition.create(student, "FSD").status == 201


def test_a_lost_dispute_of_one_track_and_a_won_one_of_another_still_block(tuition: Harness, student: Student) -> None:
    _, first = lose_dispute(tuition, student)
    assert_blocked(tuition.create(student, "FSD"))
    purchase_blocks.decide(student.sub, "allow", "a mistake of the bank", "staff")
    _, second = lose_dispute(tuition, student, "FSD")
    assert blocking(student) == (second,)
    move_dispute(tuition, first, "won")
    assert blocking(student) == (second,)


def test_a_new_customer_at_stripe_keeps_the_block(tuition: Harness, student: Student) -> None:
    _, dispute = lose_dispute(tuition, student)
    purchase_blocks.decide(student.sub, "allow", "", "staff")
    customer = tuition.payment(tuition.payments(student).body["payments"][0]["payment_id"]).customer
    tuition.at_stripe("DELETE", f"/v1/customers/{customer}")
    buy(tuition, student)
    stored = ledger.load_for_create(student.sub, "DP")[2]
    assert (stored.lost_disputes, stored.allowed) == ({dispute}, {dispute})


def test_a_dispute_lost_before_its_customer_is_stored_blocks(tuition: Harness, student: Student) -> None:
    """A restore may have lost the customer: the block is stored without one, and a purchase adds it."""
    purchase = buy(tuition, student)
    key = {"user_id": {"S": student.sub}}
    tuition.tables.delete_item(TableName="customers", Key=key)
    dispute = open_dispute(tuition, purchase)
    move_dispute(tuition, dispute, "lost")
    assert ledger.load_customer(student.sub)[0] is None
    assert_blocked(tuition.create(student, "FSD"))
    assert tuition.saved_methods(student).body["payment_methods"] == []
    purchase_blocks.decide(student.sub, "allow", "", "staff")
    assert tuition.create(student, "FSD").status == 201
    assert ledger.load_customer(student.sub)[0] is not None
    assert ledger.load_for_create(student.sub, "DP")[2].lost_disputes == {dispute}


def test_a_rebuilt_payment_brings_its_lost_dispute_back(tuition: Harness, student: Student) -> None:
    purchase, dispute = lose_dispute(tuition, student)
    for table, key in (
        ("payments", {"payment_id": {"S": purchase["payment_id"]}}),
        ("customers", {"user_id": {"S": student.sub}}),
    ):
        tuition.tables.delete_item(TableName=table, Key=key)
    move_dispute(tuition, dispute, "lost")
    tuition.reconcile()
    assert tuition.payment(purchase["payment_id"]).facts.rebuilt
    assert blocking(student) == (dispute,)


def test_every_order_of_events_ends_with_the_same_list(tuition: Harness, student: Student) -> None:
    """Three payments whose disputes end differently, and a decision of staff about the first one."""
    refs = [PaymentRef(buy(tuition, s)["payment_id"], s.sub, "DP") for s in _students(student, 3)]

    def dispute(number: int, status: str) -> None:
        def decide(state: ledger.PaymentState) -> Change:
            payment = state.existing
            new = Dispute(payment.version, status, 100, 1, "fraudulent")
            entry = AuditEntry("2026-01-01T00:00:00.000Z", f"d:{payment.version}", "test", "request")
            return Change(payment.merged(Facts(disputes={f"dp_{number}": new})), entry)

        ledger.update(refs[number], decide)

    steps = {"first lost": (0, "lost"), "second lost": (1, "lost"), "third won": (2, "won")}
    for order in itertools.permutations(steps):
        for number in range(3):
            dispute(number, "needs_response")
        for name in order:
            dispute(*steps[name])
        lists = [ledger.load_for_create(ref.user_id, "DP")[2].lost_disputes for ref in refs]
        assert lists == [{"dp_0"}, {"dp_1"}, set()]


def _students(student: Student, count: int) -> list[Student]:
    return [Student(f"{student.sub}-{number}") for number in range(count)]


def test_concurrent_losses_of_two_payments_lose_no_id(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second dispute is lost between the first one's load and its commit."""
    purchases = [buy(tuition, student, track) for track in TRACKS]
    disputes = [open_dispute(tuition, purchase) for purchase in purchases]
    tuition.at_stripe("POST", "/_sim/disputes", dispute=disputes[0], status="lost")
    (first, *_) = [event for event in tuition.new_events() if event["type"] == "charge.dispute.closed"]
    real = ledger.commit

    def commit(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(ledger, "commit", real)
        move_dispute(tuition, disputes[1], "lost")
        with permissions.acting_as(admin_function.handler):
            purchase_blocks.decide(student.sub, "allow", "", "staff")
        return real(*args, **options)

    monkeypatch.setattr(ledger, "commit", commit)
    assert tuition.deliver(first).body["outcome"] == "applied"
    stored = ledger.load_for_create(student.sub, "DP")[2]
    assert (stored.lost_disputes, stored.allowed) == (set(disputes), {disputes[1]})
    assert_blocked(tuition.create(student))


def test_the_list_is_written_in_the_transaction_of_the_payment(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = buy(tuition, student)
    dispute = open_dispute(tuition, purchase)
    tables: list[list[str]] = []
    real = ledger.dynamodb.call

    def call(operation: Any, **params: Any) -> Any:
        if operation == "transact_write_items":
            tables.append([write["TableName"] for item in params["TransactItems"] for write in item.values()])
        return real(operation, **params)

    monkeypatch.setattr(ledger.dynamodb, "call", call)
    move_dispute(tuition, dispute, "lost")
    assert any({"payments", "enrollments", "audit", "customers"} <= set(names) for names in tables)


def test_a_payment_lists_what_it_lost() -> None:
    disputes = {
        f"dp_{status}": Dispute(1, status, 100, 1, "fraudulent")
        for status in ("lost", "prevented", "won", "needs_response", "under_review", "warning_closed")
    }
    assert payments.lost_disputes(Facts(disputes=disputes)) == {"dp_lost", "dp_prevented"}


# --- staff ---


def test_staff_allow_what_they_know_and_no_later_loss(tuition: Harness, student: Student) -> None:
    _, first = lose_dispute(tuition, student)
    blocks = purchase_blocks.decide(student.sub, "allow", "a mistake of the bank", "staff-1")
    assert (blocks.blocking, blocks.allowed) == ((), {first})
    purchase = buy(tuition, student)
    dispute = open_dispute(tuition, purchase)
    move_dispute(tuition, dispute, "lost")
    assert_blocked(tuition.create(student))
    assert blocking(student) == (dispute,)


def test_staff_block_a_user_who_has_never_bought_and_allow_them_again(tuition: Harness, student: Student) -> None:
    blocks = purchase_blocks.decide(student.sub, "block", "a stolen card", "staff-1")
    assert len(blocks.blocking) == 1
    assert_blocked(tuition.create(student))
    assert tuition.saved_methods(student).status == 200
    assert purchase_blocks.decide(student.sub, "block", "again", "staff-2") == blocks
    purchase_blocks.decide(student.sub, "allow", "", "staff-1")
    assert tuition.create(student).status == 201
    purchase_blocks.decide(student.sub, "block", "", "staff-1")
    assert_blocked(tuition.create(student, "FSD"))


def test_a_block_by_staff_lasts_when_the_dispute_that_blocked_before_it_is_won(
    tuition: Harness, student: Student
) -> None:
    _, dispute = lose_dispute(tuition, student)
    purchase_blocks.decide(student.sub, "block", "a stolen card", "staff-1")
    move_dispute(tuition, dispute, "won")
    assert_blocked(tuition.create(student, "FSD"))
    purchase_blocks.decide(student.sub, "allow", "", "staff-1")
    assert tuition.create(student, "FSD").status == 201


PURCHASES = "POST /api/admin/users/{user_id}/purchases"


def test_staff_decide_and_see_it_on_the_user(tuition: Harness, student: Student, admin: Student) -> None:
    _, dispute = lose_dispute(tuition, student)
    allowed = tuition.admin(admin, PURCHASES, {"decision": "allow", "note": "talked to them"}, user_id=student.sub)
    assert allowed.status == 200, allowed
    assert not allowed.body["purchases"]["blocked"]
    blocked = tuition.admin(admin, PURCHASES, {"decision": "block", "note": "a stolen card"}, user_id=student.sub)
    assert blocked.body["purchases"]["blocking"] == ["staff:2"]
    page = tuition.admin(admin, "GET /api/admin/users/{user_id}", user_id=student.sub).body
    assert page["user"]["history"] == {"disputes": 1, "disputes_lost": 1, "refunds": 0}
    purchases = page["user"]["purchases"]
    assert purchases == blocked.body["purchases"]
    assert (purchases["lost_disputes"], purchases["allowed"]) == ([dispute], [dispute])
    decision = {name: purchases["decision"][name] for name in ("decision", "note", "actor")}
    assert decision == {"decision": "block", "note": "a stolen card", "actor": admin.sub}
    assert [(r["type"], r["actor"], r["transition"]) for r in page["audit"]] == [
        ("purchases.allow", admin.sub, {"purchases": {"from": [dispute], "to": []}}),
        ("purchases.block", admin.sub, {"purchases": {"from": [], "to": ["staff:2"]}}),
    ]
    assert page["chain"]["verified"]


def test_the_history_counts_disputes_and_refunds(tuition: Harness, student: Student, admin: Student) -> None:
    open_dispute(tuition, buy(tuition, student))
    refunded = buy(tuition, student, "FSD")
    assert tuition.refund(student, refunded["payment_id"]).status == 200
    tuition.deliver_all()
    page = tuition.admin(admin, "GET /api/admin/users/{user_id}", user_id=student.sub).body
    assert page["user"]["history"] == {"disputes": 1, "disputes_lost": 0, "refunds": 1}
    assert page["user"]["purchases"]["blocked"] is False


@pytest.mark.parametrize("body", [{}, {"decision": "maybe", "note": "x"}, {"decision": "block"}])
def test_a_decision_without_a_known_word_or_a_note_is_refused(
    tuition: Harness, student: Student, admin: Student, body: dict[str, str]
) -> None:
    assert tuition.admin(admin, PURCHASES, body, user_id=student.sub).status == 422


def test_support_may_not_decide_about_purchases(tuition: Harness, student: Student) -> None:
    support = Student("support-p", groups=("support",))
    body = {"decision": "allow", "note": "x"}
    assert tuition.admin(support, PURCHASES, body, user_id=student.sub).status == 403


def test_staff_decide_about_a_user_whose_id_has_a_slash(tuition: Harness, student: Student, admin: Student) -> None:
    """The gateway decodes %2F in a path, so no path names this user."""
    user = Student(f"idp/{student.sub}")
    lose_dispute(tuition, user)
    assert_blocked(tuition.create(user))
    route, body = "POST /api/admin/users/purchases", {"decision": "allow", "note": "the bank was wrong"}
    assert tuition.admin(admin, route, body, query={"user_id": user.sub}).body["purchases"]["blocked"] is False
    assert tuition.create(user).status == 201
    assert tuition.admin(admin, route, body).status == 404
    assert tuition.admin(admin, route, body, query={"user": "x"}).status == 422


@pytest.mark.parametrize("decision", ["block", "allow"])
def test_a_payments_id_is_no_user_and_its_audit_trail_stays_whole(
    tuition: Harness, student: Student, admin: Student, decision: str
) -> None:
    payment_id = buy(tuition, student)["payment_id"]
    body = {"decision": decision, "note": "pasted the wrong id"}
    for user_id in (payment_id, "pay_unknown", "ada lovelace", "ad\u00e4", "ada\x00", "\ud800", "", "x" * 129):
        assert tuition.admin(admin, PURCHASES, body, user_id=user_id).status == 404, ascii(user_id)
        assert tuition.admin(admin, "GET /api/admin/users/{user_id}", user_id=user_id).status == 404, ascii(user_id)
    assert tuition.chain_problem(payment_id) is None


def test_the_answer_says_why_and_whom_to_write_to(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_dispute(tuition, student)
    assert "Write to the school" in tuition.create(student).body["detail"]
    settings = replace(purchase_blocks.settings(), support_contact="help@school.example")
    monkeypatch.setattr(purchase_blocks, "settings", lambda: settings)
    detail = tuition.create(student).body["detail"]
    assert "a bank took back an earlier payment" in detail and "help@school.example" in detail


def test_a_customer_is_stored_once_and_keeps_its_creation_time(tuition: Harness, student: Student) -> None:
    purchase_blocks.decide(student.sub, "block", "", "staff")
    purchase_blocks.decide(student.sub, "allow", "", "staff")
    before = tuition.tables.get_item(TableName="customers", Key={"user_id": {"S": student.sub}})["Item"]
    tuition.advance_time(5)
    tuition.create(student)
    after = tuition.tables.get_item(TableName="customers", Key={"user_id": {"S": student.sub}})["Item"]
    assert after["created_at"] == before["created_at"]
    assert after["updated_at"]["S"] > before["updated_at"]["S"]
    assert isinstance(ledger.load_customer(student.sub)[0], Customer)
