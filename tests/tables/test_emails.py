"""Each email is sent at most once, to the newest verified address, after the event that it follows."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import botocore.exceptions
import pytest

import emails as emails_function
import my_email
from tests import permissions
from tests.harness import Harness, Student
from tests.tables.test_access import DECIDE as ACCESS
from tests.tables.test_admin import _lose_open_payment
from tests.tables.test_erased_payments import erase
from tests.tables.test_promotion_codes import create_code
from tests.tables.test_reconcile import metric_values
from tests.tables.test_refunds import DECIDE, ORDER, WINDOW_S, buy
from tests.tables.test_sessions import open_session, pay_session
from tests.tables.test_withdrawals import NAME, buy_by_bank_debit, order_by_bank_debit, set_region, withdraw
from tuition import settings
from tuition.core import emails as core_emails
from tuition.core import timestamps
from tuition.core.emails import STUDENT_KINDS
from tuition.core.published_events import of_record
from tuition.outbox import emails, rendering, ses
from tuition.storage import dynamodb, effects, keys, mapping, queries
from tuition.storage.dynamodb import Partition
from tuition.storage.items import EMAILS, AuditItem, EffectItem

SEND = "POST /api/admin/payments/{payment_id}/emails"
SCHOOL = settings.Settings(
    school_name="School",
    email_sender="School <no-reply@school.example>",
    email_reply_to="help@school.example",
    email_configuration_set="tuition-emails",
    staff_emails=("grace@school.example", "joan@school.example"),
    allowed_origins=("https://learn.school.example",),
)


@dataclass
class Ses:
    """SES: what it took, and what it answers next."""

    taken: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None

    def send_email(self, **request: Any) -> dict[str, str]:
        if self.error:
            raise self.error
        self.taken.append(request)
        return {"MessageId": f"m-{len(self.taken)}"}


@dataclass
class Outbox:
    """The queue and the function behind it."""

    tuition: Harness
    ses: Ses

    def events(self, payment_id: str) -> list[dict[str, Any]]:
        """Return the events that were published about a payment, as EventBridge delivers them."""
        pages = dynamodb.query_pages(Partition(AuditItem, "subject", payment_id))
        items = [AuditItem.from_raw_data(item) for page in pages for item in page.items]
        stored = [
            {**mapping.record_to_json(i), "sort_key": i.sort_key, "recorded_at": i.recorded_at}
            for i in sorted(items, key=lambda item: int(item.seq))
        ]
        published = [event for record in stored for event in of_record(record)]
        return [{"source": "tuition", "detail-type": e.type, "detail": dict(e.detail)} for e in published]

    def deliver(self, event: dict[str, Any]) -> bool:
        """Deliver an event. Return whether the queue may delete it."""
        with permissions.acting_as(emails_function.handler):
            message = {"messageId": "m-1", "body": json.dumps(event)}
            answer = emails_function.handler({"Records": [message]}, None)
        assert answer["batchItemFailures"] in ([], [{"itemIdentifier": "m-1"}])
        return not answer["batchItemFailures"]

    def deliver_all(self, payment_id: str) -> list[tuple[str, str, str]]:
        """Deliver every event of a payment. Return kind, address and subject of each email that this sent."""
        before = len(self.ses.taken)
        for event in self.events(payment_id):
            assert self.deliver(event)
        return [shown(request) for request in self.ses.taken[before:]]

    def effects(self, subject: str) -> list[EffectItem]:
        pages = dynamodb.query_pages(Partition(EffectItem, "consumer_subject", f"{EMAILS}#{subject}"))
        return [EffectItem.from_raw_data(item) for page in pages for item in page.items]

    def reasons(self, subject: str) -> set[str]:
        return {f"{item.kind} {item.reason}" for item in self.effects(subject) if item.state == "skipped"}


def shown(request: dict[str, Any]) -> tuple[str, str, str]:
    (address,) = request["Destination"]["ToAddresses"]
    tags = {tag["Name"]: tag["Value"] for tag in request["EmailTags"]}
    return tags["kind"], address, request["Content"]["Simple"]["Subject"]["Data"]


def kinds(sent: list[tuple[str, str, str]]) -> list[str]:
    return sorted(kind for kind, _, _ in sent)


def use_settings(monkeypatch: pytest.MonkeyPatch, school: settings.Settings) -> None:
    for module in (emails, rendering, ses):
        monkeypatch.setattr(module, "settings", lambda: school)


@pytest.fixture
def outbox(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> Outbox:
    fake = Ses()
    monkeypatch.setattr(ses, "_client", lambda: fake)
    use_settings(monkeypatch, SCHOOL)
    return Outbox(tuition, fake)


# --- which emails follow ---


def of_student(tuition: Harness, student: Student) -> str:
    return str(tuition.payments(student).body["payments"][0]["payment_id"])


def bought(tuition: Harness, student: Student, admin: Student) -> None:
    buy(tuition, student)


def free(tuition: Harness, student: Student, admin: Student) -> None:
    code = create_code(tuition, student, {"percent_off": 100})
    pay_session(tuition, open_session(tuition, student, promotion_code=code).body["session_id"])
    tuition.deliver_all()


def another_amount(tuition: Harness, student: Student, admin: Student) -> None:
    purchase = tuition.create(student).body
    tuition.at_stripe("POST", f"/v1/payment_intents/{purchase['payment_intent_id']}", amount=100)
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()


def transferring(tuition: Harness, student: Student, admin: Student) -> None:
    tuition.pay(tuition.create(student).body["payment_intent_id"], "pm_usBankAccount_success")
    tuition.deliver_all()


def transfer_failed(tuition: Harness, student: Student, admin: Student) -> None:
    tuition.pay(tuition.create(student).body["payment_intent_id"], "pm_usBankAccount_insufficientFunds")
    tuition.deliver_all()
    tuition.advance_time(4 * 86400)
    tuition.deliver_all()


def declined_card(tuition: Harness, student: Student, admin: Student) -> None:
    tuition.pay(tuition.create(student).body["payment_intent_id"], "pm_card_chargeDeclined")
    tuition.deliver_all()


def refunded(tuition: Harness, student: Student, admin: Student) -> None:
    assert tuition.refund(student, buy(tuition, student)).status == 200
    tuition.deliver_all()


def refunded_in_part(tuition: Harness, student: Student, admin: Student) -> None:
    order = {"amount": 10000, "reason": "a part was missing", "message": "Sorry for that."}
    assert tuition.admin(admin, ORDER, order, payment_id=buy(tuition, student)).status == 200
    tuition.deliver_all()


def requested(tuition: Harness, student: Student, admin: Student) -> None:
    payment_id = buy(tuition, student)
    tuition.offset_s += WINDOW_S
    assert tuition.refund(student, payment_id).status == 202


def decided(decision: str) -> Callable[[Harness, Student, Student], None]:
    def arrange(tuition: Harness, student: Student, admin: Student) -> None:
        requested(tuition, student, admin)
        payment_id = of_student(tuition, student)
        (request,) = tuition.payment(payment_id).requests
        body = {"decision": decision, "message": "We talked about it."}
        tuition.admin(admin, DECIDE, body, payment_id=payment_id, request_id=request.id)
        tuition.deliver_all()

    arrange.__name__ = f"request_{decision}d"
    return arrange


def revoked(tuition: Harness, student: Student, admin: Student) -> None:
    body = {"decision": "revoke", "note": "shared the account"}
    assert tuition.admin(admin, ACCESS, body, payment_id=buy(tuition, student)).status == 200


def disputed(tuition: Harness, student: Student, admin: Student, status: str = "needs_response") -> None:
    intent = tuition.payment(buy(tuition, student)).intent
    tuition.at_stripe("POST", "/_sim/disputes", payment_intent=intent, status=status)
    tuition.deliver_all()


def lost(tuition: Harness, student: Student, admin: Student) -> None:
    disputed(tuition, student, admin, "lost")


def refund_failed(tuition: Harness, student: Student, admin: Student) -> None:
    tuition.refund(student, buy(tuition, student, "pm_card_refundFail"))
    tuition.advance_stripe(10)
    tuition.deliver_all()


def withdrawn(tuition: Harness, student: Student, admin: Student) -> None:
    withdraw(tuition, student, buy(tuition, student))
    tuition.deliver_all()


def withdrawn_from_a_bank_debit(tuition: Harness, student: Student, admin: Student) -> None:
    payment_id = buy_by_bank_debit(tuition, student)
    request_id = withdraw(tuition, student, payment_id).body["refund_request"]["id"]
    path = {"payment_id": payment_id, "request_id": request_id}
    assert tuition.admin(admin, DECIDE, {"decision": "approve"}, **path).status in (200, 202)
    tuition.deliver_all()


def withdrawn_while_processing(tuition: Harness, student: Student, admin: Student) -> None:
    withdraw(tuition, student, order_by_bank_debit(tuition, student))
    tuition.advance_stripe(5 * 86_400)
    tuition.deliver_all()


EU = (withdrawn, withdrawn_from_a_bank_debit, withdrawn_while_processing)
FOLLOW: dict[Callable[[Harness, Student, Student], None], list[str]] = {
    bought: ["purchase_confirmed"],
    free: ["purchase_confirmed"],
    another_amount: ["purchase_confirmed"],
    transferring: ["bank_transfer_under_way"],
    transfer_failed: ["payment_failed"],
    declined_card: [],
    refunded: ["purchase_confirmed", "refund_made"],
    refunded_in_part: ["purchase_confirmed", "refund_made"],
    refund_failed: ["purchase_confirmed", "refund_failed"],
    requested: ["refund_requested"],
    decided("approve"): ["refund_approved", "refund_made"],
    decided("decline"): ["refund_declined"],
    withdrawn: ["purchase_confirmed", "refund_made", "withdrawal_received"],
    withdrawn_from_a_bank_debit: ["purchase_confirmed", "refund_approved", "refund_made", "withdrawal_received"],
    withdrawn_while_processing: ["purchase_confirmed", "withdrawal_received"],
    revoked: ["access_ended", "purchase_confirmed"],
    disputed: ["dispute_opened", "dispute_opened", "purchase_confirmed"],
    lost: ["access_ended", "purchase_confirmed"],
}
"""The emails to the student and the two members of staff if every event is delivered after the last one.

An email about an older moment that no longer applies is left out: a transfer that has failed is no longer under way.
"""


@pytest.mark.parametrize("arrange", FOLLOW, ids=lambda arrange: arrange.__name__)
def test_each_email_is_sent_once_however_often_its_event_is_delivered(
    tuition: Harness,
    outbox: Outbox,
    student: Student,
    admin: Student,
    arrange: Callable[[Harness, Student, Student], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if arrange in EU:
        set_region(monkeypatch, "EU")
    arrange(tuition, student, admin)
    payment_id = of_student(tuition, student)
    sent = outbox.deliver_all(payment_id)
    assert kinds(sent) == FOLLOW[arrange], outbox.reasons(payment_id)
    for kind, address, subject in sent:
        staff = kind == "dispute_opened"
        assert address in (SCHOOL.staff_emails if staff else (student.claims["email"],))
        assert subject
    assert outbox.deliver_all(payment_id) == []
    assert outbox.deliver_all(payment_id) == []


@pytest.mark.parametrize("kind", STUDENT_KINDS)
def test_every_kind_of_email_to_a_student_follows_some_flow(kind: str) -> None:
    assert any(kind in following for following in FOLLOW.values())


def text_of(outbox: Outbox, kind: str) -> str:
    (request,) = [request for request in outbox.ses.taken if shown(request)[0] == kind]
    return str(request["Content"]["Simple"]["Body"]["Text"]["Data"])


def test_the_email_about_a_purchase_says_what_was_bought(tuition: Harness, outbox: Outbox, student: Student) -> None:
    payment_id = buy(tuition, student)
    outbox.deliver_all(payment_id)
    text = text_of(outbox, "purchase_confirmed")
    for part in ("$499.00", "Data Professional", "Explore a data set", "Refundable until", "Visa ending in 4242"):
        assert part in text, text
    assert f"https://learn.school.example/#/payments/{payment_id}" in text


def test_a_second_purchase_after_a_refund_promises_no_automatic_refund(
    tuition: Harness, outbox: Outbox, student: Student, admin: Student
) -> None:
    refunded(tuition, student, admin)
    payment_id = buy(tuition, student)
    outbox.deliver_all(payment_id)
    text = text_of(outbox, "purchase_confirmed")
    assert "You can get your money back" not in text
    assert "the school decides" in text.replace("\n", " ")
    assert tuition.refund(student, payment_id).status == 202, "it awaits approval"


def test_the_acknowledgement_of_a_withdrawal_has_its_content_date_and_time(
    tuition: Harness, outbox: Outbox, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_region(monkeypatch, "EU")
    use_settings(monkeypatch, replace(SCHOOL, consumer_region="EU"))
    tuition.freeze_time(timestamps.epoch("2026-11-29T19:05:00.000Z"))
    payment_id = buy(tuition, student)
    outbox.deliver_all(payment_id)
    assert "You can withdraw from this contract" in text_of(outbox, "purchase_confirmed")
    tuition.stripe_blocked = True  # the acknowledgement does not wait for the refund
    moved = Student(student.sub, "new@example.org")
    withdraw(tuition, moved, payment_id)
    assert [(kind, address) for kind, address, _ in outbox.deliver_all(payment_id)] == [
        ("withdrawal_received", "new@example.org")
    ]
    text = text_of(outbox, "withdrawal_received").replace("\n", " ")
    for part in (
        "on November 29, 2026 at 7:05 PM UTC",
        f"“I, {NAME}, withdraw from the contract for Data Professional.”",
        "You get $499.00 back by December 13, 2026 at 7:05 PM UTC at the latest",
        "Acknowledgement sent to: new@example.org",
        payment_id,
    ):
        assert part in text, text
    assert outbox.deliver_all(payment_id) == []


def test_the_message_of_staff_reaches_the_student(
    tuition: Harness, outbox: Outbox, student: Student, admin: Student
) -> None:
    decided("decline")(tuition, student, admin)
    outbox.deliver_all(of_student(tuition, student))
    assert "> We talked about it." in text_of(outbox, "refund_declined")


def test_a_partial_refund_names_its_amount_and_keeps_access(
    tuition: Harness, outbox: Outbox, student: Student, admin: Student
) -> None:
    refunded_in_part(tuition, student, admin)
    outbox.deliver_all(of_student(tuition, student))
    text = text_of(outbox, "refund_made")
    assert "$100.00 of the $499.00" in text
    assert "You keep your access to Data Professional." in text
    assert "> Sorry for that." in text


def test_a_full_refund_says_that_access_ended_in_the_same_email(
    tuition: Harness, outbox: Outbox, student: Student, admin: Student
) -> None:
    refunded(tuition, student, admin)
    outbox.deliver_all(of_student(tuition, student))
    assert "Your access to Data Professional has ended" in text_of(outbox, "refund_made")


def test_a_partial_refund_of_a_payment_without_access_promises_none(
    tuition: Harness, outbox: Outbox, student: Student, admin: Student
) -> None:
    revoked(tuition, student, admin)
    payment_id = of_student(tuition, student)
    assert tuition.admin(admin, ORDER, {"amount": 100, "reason": "a part"}, payment_id=payment_id).status == 200
    outbox.deliver_all(payment_id)
    text = text_of(outbox, "refund_made")
    assert "keep" not in text
    assert "has ended" not in text, "the email about the end of access said so"


def test_a_refund_of_a_second_payment_for_the_same_track_does_not_say_that_access_ended(
    tuition: Harness, outbox: Outbox, student: Student
) -> None:
    first = tuition.create(student).body
    _lose_open_payment(tuition, student, first["payment_id"])
    second = tuition.create(student).body
    for purchase in (second, first):
        tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    tuition.refund(student, second["payment_id"])
    tuition.deliver_all()
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    outbox.deliver_all(second["payment_id"])
    assert "has ended" not in text_of(outbox, "refund_made")


def test_an_inquiry_is_not_called_a_dispute_that_holds_funds(
    tuition: Harness, outbox: Outbox, student: Student, admin: Student
) -> None:
    """Stripe holds no funds for an inquiry, and a refund is a good answer to it."""
    disputed(tuition, student, admin, "warning_needs_response")
    outbox.deliver_all(of_student(tuition, student))
    request = outbox.ses.taken[-1]
    assert shown(request)[2] == "Inquiry about $499.00: an answer is due"
    text = request["Content"]["Simple"]["Body"]["Text"]["Data"]
    assert "No funds are held, and the payment can still be refunded." in text


def test_the_request_names_sender_reply_to_and_configuration_set(
    tuition: Harness, outbox: Outbox, student: Student
) -> None:
    outbox.deliver_all(buy(tuition, student))
    (request,) = outbox.ses.taken
    assert request["FromEmailAddress"] == SCHOOL.email_sender
    assert request["ReplyToAddresses"] == [SCHOOL.email_reply_to]
    assert request["ConfigurationSetName"] == SCHOOL.email_configuration_set


def test_two_refunds_in_one_record_are_two_emails(tuition: Harness, outbox: Outbox, student: Student) -> None:
    """A sync can bring both refunds that staff made in Stripe's dashboard."""
    payment_id = buy(tuition, student)
    intent = tuition.payment(payment_id).intent
    for amount in (100, 200):
        tuition.at_stripe("POST", "/v1/refunds", payment_intent=intent, amount=amount)
    tuition.new_events()
    tuition.offset_s += 2 * 86400
    tuition.reconcile()
    sent = outbox.deliver_all(payment_id)
    subjects = [subject for kind, _, subject in sent if kind == "refund_made"]
    assert sorted(subjects) == [
        "We refunded $1.00 of your payment for Data Professional",
        "We refunded $2.00 of your payment for Data Professional",
    ]


# --- to whom ---


def test_the_newest_verified_address_gets_the_email(tuition: Harness, outbox: Outbox, student: Student) -> None:
    payment_id = buy(tuition, student)
    tuition.create(replace(student, email="new@example.org"), "FSD")
    ((_, address, _),) = outbox.deliver_all(payment_id)
    assert address == "new@example.org"


def test_an_email_without_an_address_is_counted_and_not_sent(
    tuition: Harness, outbox: Outbox, student: Student, capsys: pytest.CaptureFixture[str]
) -> None:
    payment_id = buy(tuition, student)
    events = outbox.events(payment_id)
    for table, key in (("payments", keys.payment_key(payment_id)), ("customers", keys.customer_key(student.sub))):
        tuition.tables.update_item(TableName=table, Key=key, UpdateExpression="REMOVE email")
    for event in [*events, *events]:
        assert outbox.deliver(event)
    assert outbox.ses.taken == []
    assert metric_values(capsys, "EmailDropped") == [[1.0]]
    assert outbox.reasons(payment_id) == {"purchase_confirmed no_address"}


def test_an_erased_user_gets_no_email_and_that_is_no_alarm(
    tuition: Harness, outbox: Outbox, student: Student, capsys: pytest.CaptureFixture[str]
) -> None:
    payment_id = buy(tuition, student)
    erase(payment_id, student.sub)
    for event in outbox.events(payment_id):
        assert outbox.deliver(event)
    assert outbox.ses.taken == []
    assert metric_values(capsys, "EmailDropped") == []
    assert outbox.reasons(payment_id) == {"purchase_confirmed erased"}


def test_an_email_about_a_payment_that_no_longer_exists_is_counted(
    tuition: Harness, outbox: Outbox, student: Student, capsys: pytest.CaptureFixture[str]
) -> None:
    payment_id = buy(tuition, student)
    events = outbox.events(payment_id)
    tuition.tables.delete_item(TableName="payments", Key=keys.payment_key(payment_id))
    assert all(outbox.deliver(event) for event in events)
    assert metric_values(capsys, "EmailDropped") == [[1.0]]


def test_without_a_sender_nothing_is_sent_even_later(
    tuition: Harness, outbox: Outbox, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = buy(tuition, student)
    use_settings(monkeypatch, replace(SCHOOL, email_sender=""))
    assert outbox.deliver_all(payment_id) == []
    use_settings(monkeypatch, SCHOOL)
    assert outbox.deliver_all(payment_id) == []
    assert outbox.reasons(payment_id) == {"purchase_confirmed no_sender"}


def test_an_old_transition_sends_nothing_and_says_so(tuition: Harness, outbox: Outbox, student: Student) -> None:
    payment_id = buy(tuition, student)
    tuition.offset_s += core_emails.MAX_AGE_S + 1
    assert outbox.deliver_all(payment_id) == []
    assert outbox.reasons(payment_id) == {"purchase_confirmed too_old"}


@pytest.mark.parametrize("is_new_refund", [True, False])
def test_a_webhook_that_rebuilds_a_lost_payment_does_not_repeat_old_emails(
    tuition: Harness, outbox: Outbox, student: Student, is_new_refund: bool
) -> None:
    payment_id = buy(tuition, student)
    intent = tuition.payment(payment_id).intent
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=intent, amount=100)
    tuition.deliver_all()
    assert kinds(outbox.deliver_all(payment_id)) == ["purchase_confirmed", "refund_made"]
    tuition.advance_time(2 * 86400)
    tuition.tables.delete_item(TableName="payments", Key=keys.payment_key(payment_id))
    if is_new_refund:
        tuition.at_stripe("POST", "/v1/refunds", payment_intent=intent, amount=200)
    else:
        tuition.at_stripe("POST", "/_sim/disputes", payment_intent=intent, status="under_review")
    tuition.deliver_all()
    assert tuition.payment(payment_id).facts.rebuilt
    sent = [subject for _, _, subject in outbox.deliver_all(payment_id)]
    assert sent == (["We refunded $2.00 of your payment for Data Professional"] if is_new_refund else [])


def test_a_payment_that_was_lost_before_it_was_paid_is_confirmed(
    tuition: Harness, outbox: Outbox, student: Student
) -> None:
    purchase = tuition.create(student).body
    tuition.tables.delete_item(TableName="payments", Key=keys.payment_key(purchase["payment_id"]))
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    assert kinds(outbox.deliver_all(purchase["payment_id"])) == ["purchase_confirmed"]


def test_a_rebuilt_payment_sends_each_email_that_is_news_once(
    tuition: Harness, outbox: Outbox, student: Student
) -> None:
    """One event stands for its purchase and its refund. The payment was lost before it was paid."""
    purchase = tuition.create(student).body
    payment_id = purchase["payment_id"]
    tuition.tables.delete_item(TableName="payments", Key=keys.payment_key(payment_id))
    tuition.pay(purchase["payment_intent_id"])
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=purchase["payment_intent_id"], amount=100)
    tuition.deliver_all()
    (rebuilt,) = [e for e in outbox.events(payment_id) if e["detail-type"] == "tuition.payment.rebuilt.v1"]
    outbox.ses.error = answered("TooManyRequestsException", 429)
    assert not outbox.deliver(rebuilt)
    outbox.ses.error = None
    assert kinds(outbox.deliver_all(payment_id)) == ["purchase_confirmed", "refund_made"]
    assert outbox.deliver_all(payment_id) == []


def test_a_refund_that_failed_before_sends_nothing_when_its_payment_is_rebuilt(
    tuition: Harness, outbox: Outbox, student: Student, admin: Student
) -> None:
    refund_failed(tuition, student, admin)
    payment_id = of_student(tuition, student)
    outbox.deliver_all(payment_id)
    tuition.tables.delete_item(TableName="payments", Key=keys.payment_key(payment_id))
    intent = tuition.at_stripe("GET", "/v1/payment_intents", limit=1)["data"][0]["id"]
    tuition.at_stripe("POST", "/_sim/disputes", payment_intent=intent, status="under_review")
    tuition.deliver_all()
    assert tuition.payment(payment_id).facts.rebuilt
    assert outbox.deliver_all(payment_id) == []


def test_a_withdrawal_while_the_bank_processes_the_debit_is_acknowledged_at_once(
    tuition: Harness, outbox: Outbox, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_region(monkeypatch, "EU")
    payment_id = order_by_bank_debit(tuition, student)
    withdraw(tuition, student, payment_id)
    assert "withdrawal_received" in kinds(outbox.deliver_all(payment_id))
    text = " ".join(text_of(outbox, "withdrawal_received").split())
    assert "Your bank is still processing your payment of $499.00." in text
    assert "If it fails, you owe nothing." in text
    assert "Paid on" not in text


def test_a_withdrawal_is_not_acknowledged_again_when_its_payment_is_rebuilt(
    tuition: Harness, outbox: Outbox, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_region(monkeypatch, "EU")
    use_settings(monkeypatch, replace(SCHOOL, consumer_region="EU"))
    payment_id = buy_by_bank_debit(tuition, student)
    intent = tuition.payment(payment_id).intent
    withdraw(tuition, student, payment_id)
    assert "withdrawal_received" in kinds(outbox.deliver_all(payment_id))
    tuition.tables.delete_item(TableName="payments", Key=keys.payment_key(payment_id))
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=intent, amount=200)
    tuition.deliver_all()
    assert tuition.payment(payment_id).facts.withdrawn
    assert tuition.payment(payment_id).facts.rebuilt
    assert kinds(outbox.deliver_all(payment_id)) == ["refund_made"]


def test_no_email_says_that_access_ended_after_staff_restored_it(
    tuition: Harness, outbox: Outbox, student: Student, admin: Student
) -> None:
    revoked(tuition, student, admin)
    payment_id = of_student(tuition, student)
    tuition.admin(admin, ACCESS, {"decision": "restore", "note": "a mistake"}, payment_id=payment_id)
    assert kinds(outbox.deliver_all(payment_id)) == ["purchase_confirmed"]
    assert "access_ended no_longer_applies" in outbox.reasons(payment_id)


# --- at most once ---


def settled_event(outbox: Outbox, payment_id: str) -> dict[str, Any]:
    (event,) = [e for e in outbox.events(payment_id) if e["detail-type"] == "tuition.payment.settled.v1"]
    return event


def answered(code: str, status: int) -> botocore.exceptions.ClientError:
    words = "Email address is not verified: ada@example.org"
    response: Any = {
        "Error": {"Code": code, "Message": words},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return botocore.exceptions.ClientError(response, "SendEmail")


REFUSALS = [
    answered("TooManyRequestsException", 429),
    answered("MessageRejected", 400),
    answered("AccountSuspendedException", 400),
    botocore.exceptions.EndpointConnectionError(endpoint_url="https://email.example"),
    botocore.exceptions.ConnectTimeoutError(endpoint_url="https://email.example"),
]
UNCERTAIN = [
    answered("InternalServiceErrorException", 500),
    botocore.exceptions.ReadTimeoutError(endpoint_url="https://email.example"),
    botocore.exceptions.ConnectionClosedError(endpoint_url="https://email.example"),
]


@pytest.mark.parametrize("error", REFUSALS, ids=str)
def test_a_refusal_gives_the_claim_back_and_the_message_to_the_queue(
    tuition: Harness, outbox: Outbox, student: Student, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    payment_id = buy(tuition, student)
    event = settled_event(outbox, payment_id)
    outbox.ses.error = error
    assert not outbox.deliver(event)
    assert outbox.effects(payment_id) == []
    outbox.ses.error = None
    assert outbox.deliver(event)
    assert len(outbox.ses.taken) == 1
    assert metric_values(capsys, "EmailUnsent") == []


@pytest.mark.parametrize("error", UNCERTAIN, ids=str)
def test_an_email_without_an_answer_of_ses_is_counted_and_never_sent_again(
    tuition: Harness, outbox: Outbox, student: Student, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    payment_id = buy(tuition, student)
    event = settled_event(outbox, payment_id)
    outbox.ses.error = error
    assert outbox.deliver(event)
    outbox.ses.error = None
    assert outbox.deliver(event)
    assert outbox.ses.taken == []
    assert metric_values(capsys, "EmailUnsent") == [[1.0]]
    assert [item.state for item in outbox.effects(payment_id)] == ["unsent"]


class Killed(BaseException):
    """The end of the process."""


def killed(*_: Any, **__: Any) -> Any:
    raise Killed


@pytest.mark.parametrize("at", ["before the call", "after the call"])
def test_a_consumer_killed_between_claim_and_sending_raises_an_alarm_and_does_not_double(
    tuition: Harness,
    outbox: Outbox,
    student: Student,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    at: str,
) -> None:
    payment_id = buy(tuition, student)
    event = settled_event(outbox, payment_id)
    target = (ses, "send") if at == "before the call" else (effects, "sent")
    with monkeypatch.context() as patch:
        patch.setattr(*target, killed)
        with pytest.raises(Killed):
            outbox.deliver(event)
    taken = len(outbox.ses.taken)
    assert not outbox.deliver(event), "the other invocation may still run"
    tuition.offset_s += emails.CLAIM_S
    assert outbox.deliver(event)
    assert outbox.deliver(event)
    assert len(outbox.ses.taken) == taken
    assert metric_values(capsys, "EmailUnsent") == [[1.0]]


def test_a_claim_whose_answer_was_lost_is_still_ours(
    tuition: Harness, outbox: Outbox, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Botocore repeats an update that was not answered, and the repetition finds the item of the first."""
    payment_id = buy(tuition, student)
    update = dynamodb.update

    def twice(*args: Any, **more: Any) -> None:
        if "holder" in args[2]:
            update(*args, **more)
        update(*args, **more)

    monkeypatch.setattr(dynamodb, "update", twice)
    assert outbox.deliver(settled_event(outbox, payment_id))
    assert len(outbox.ses.taken) == 1


def test_two_invocations_with_the_same_message_send_one_email(
    tuition: Harness, outbox: Outbox, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = buy(tuition, student)
    event = settled_event(outbox, payment_id)
    second: list[bool] = []
    send = ses.send

    def send_while_another_runs(*args: Any) -> str:
        monkeypatch.setattr(ses, "send", send)
        second.append(outbox.deliver(event))
        return send(*args)

    monkeypatch.setattr(ses, "send", send_while_another_runs)
    assert outbox.deliver(event)
    assert second == [False]
    assert len(outbox.ses.taken) == 1
    assert outbox.deliver(event)
    assert len(outbox.ses.taken) == 1


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"detail-type": "tuition.payment.settled.v1", "detail": {}}'])
def test_a_message_that_cannot_be_read_returns_to_the_queue(outbox: Outbox, body: str) -> None:
    answer = emails_function.handler({"Records": [{"messageId": "m-1", "body": body}]}, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}


def test_a_failed_message_does_not_hold_up_the_others(tuition: Harness, outbox: Outbox, student: Student) -> None:
    event = settled_event(outbox, buy(tuition, student))
    records = [{"messageId": "m-1", "body": "{}"}, {"messageId": "m-2", "body": json.dumps(event)}]
    assert emails_function.handler({"Records": records}, None) == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}
    assert len(outbox.ses.taken) == 1


@pytest.mark.parametrize("error", [None, *REFUSALS, *UNCERTAIN], ids=str)
def test_neither_an_address_nor_the_content_is_logged(
    tuition: Harness, outbox: Outbox, student: Student, error: Exception | None, capsys: pytest.CaptureFixture[str]
) -> None:
    payment_id = buy(tuition, student)
    outbox.ses.error = error
    capsys.readouterr()
    outbox.deliver(settled_event(outbox, payment_id))
    log = "".join(capsys.readouterr())
    assert "@" not in log, log
    assert "enrolled" not in log


# --- sent again by staff ---


def test_staff_can_send_an_email_again_on_record(
    tuition: Harness, outbox: Outbox, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    outbox.deliver_all(payment_id)
    answer = tuition.admin(admin, SEND, {"kind": "purchase_confirmed"}, payment_id=payment_id)
    assert (answer.status, answer.body) == (202, {"payment_id": payment_id, "kind": "purchase_confirmed"})
    record = tuition.audit_trail(payment_id)[-1]
    assert (record["type"], record["actor"]) == ("email.requested.purchase_confirmed", admin.sub)
    assert tuition.chain_problem(payment_id) is None
    assert kinds(outbox.deliver_all(payment_id)) == ["purchase_confirmed"]
    assert outbox.deliver_all(payment_id) == []
    assert tuition.admin(admin, SEND, {"kind": "purchase_confirmed"}, payment_id=payment_id).status == 202
    assert kinds(outbox.deliver_all(payment_id)) == ["purchase_confirmed"]


@pytest.mark.parametrize("arrange", FOLLOW, ids=lambda arrange: arrange.__name__)
def test_every_email_that_fits_the_payment_can_be_sent_again(
    tuition: Harness,
    outbox: Outbox,
    student: Student,
    admin: Student,
    arrange: Callable[[Harness, Student, Student], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if arrange in EU:
        set_region(monkeypatch, "EU")
    arrange(tuition, student, admin)
    payment_id = of_student(tuition, student)
    outbox.deliver_all(payment_id)
    fitting = {kind for kind in FOLLOW[arrange] if kind != "dispute_opened"}
    for kind in STUDENT_KINDS:
        status = tuition.admin(admin, SEND, {"kind": kind}, payment_id=payment_id).status
        assert status in ((202,) if kind in fitting else (202, 409)), kind
        assert kinds(outbox.deliver_all(payment_id)) == ([kind] if status == 202 else [])


@pytest.mark.parametrize("kind", ["refund_made", "access_ended", "payment_failed"])
def test_an_email_that_does_not_fit_is_refused_without_a_record(
    tuition: Harness, student: Student, admin: Student, kind: str
) -> None:
    payment_id = buy(tuition, student)
    records = len(tuition.audit_trail(payment_id))
    assert tuition.admin(admin, SEND, {"kind": kind}, payment_id=payment_id).status == 409
    assert len(tuition.audit_trail(payment_id)) == records


@pytest.mark.parametrize("kind", ["dispute_opened", "staff_digest", "", None, 1, ["purchase_confirmed"]])
def test_another_kind_is_refused(tuition: Harness, student: Student, admin: Student, kind: object) -> None:
    answer = tuition.admin(admin, SEND, {"kind": kind}, payment_id=buy(tuition, student))
    assert (answer.status, answer.body["field"]) == (422, "kind")


def test_an_email_about_an_unknown_payment_is_not_found(tuition: Harness, admin: Student) -> None:
    assert tuition.admin(admin, SEND, {"kind": "purchase_confirmed"}, payment_id="pay_none").status == 404


# --- addresses that bounce ---


def report(outbox: Outbox, address: str, kind: str = "Permanent", payment_id: str | None = None) -> None:
    """Deliver SES's event: https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-examples.html."""
    mail: dict[str, Any] = {"messageId": "m-1", "destination": [address]}
    mail |= {"tags": {"payment_id": [payment_id]}} if payment_id else {}
    if kind == "complaint":
        detail = {"complaint": {"complainedRecipients": [{"emailAddress": address}]}, "mail": mail}
        event = {"detail-type": emails.COMPLAINED, "detail": detail}
    else:
        bounce = {"bounceType": kind, "bouncedRecipients": [{"emailAddress": address}]}
        event = {"detail-type": emails.BOUNCED, "detail": {"bounce": bounce, "mail": mail}}
    assert outbox.deliver({"source": "aws.ses", **event})


def test_a_late_bounce_of_an_address_that_was_corrected_is_not_remembered(
    tuition: Harness, outbox: Outbox, student: Student
) -> None:
    payment_id = buy(tuition, student)
    old = student.claims["email"]
    report(outbox, old.upper(), payment_id=payment_id)
    assert effects.delivery_problem(old) is not None
    moved = Student(student.sub, email="moved@example.org")
    assert tuition.call(my_email.handler, moved, route="POST /api/me/email").status == 200
    report(outbox, old, payment_id=payment_id)
    assert effects.delivery_problem(old) is None
    report(outbox, "moved@example.org", payment_id=payment_id)
    assert effects.delivery_problem("moved@example.org") is not None
    effects.forget_address("moved@example.org")


@pytest.mark.parametrize(
    ("kind", "problem"), [("Permanent", "bounced"), ("complaint", "complained"), ("Transient", None)]
)
def test_a_bounce_stops_optional_emails_and_shows_on_the_users_page(
    tuition: Harness, outbox: Outbox, admin: Student, kind: str, problem: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    student = Student(f"bouncing-{uuid.uuid4().hex}")
    requested(tuition, student, admin)
    report(outbox, student.claims["email"].upper(), kind)
    assert "@" not in capsys.readouterr().out.replace("@timestamp", "")
    payment_id = of_student(tuition, student)
    assert kinds(outbox.deliver_all(payment_id)) == ([] if problem else ["refund_requested"])
    user = tuition.admin(admin, "GET /api/admin/users/{user_id}", user_id=student.sub).body["user"]
    assert (user["email_delivery"] or {"problem": None})["problem"] == problem


def test_an_email_that_the_student_must_get_is_sent_to_an_address_that_bounced(
    tuition: Harness, outbox: Outbox, student: Student
) -> None:
    """SES itself stops sending to it. If the address works again, a person takes it off SES's list."""
    payment_id = buy(tuition, student)
    report(outbox, student.claims["email"])
    assert kinds(outbox.deliver_all(payment_id)) == ["purchase_confirmed"]


# --- the digest of staff ---


def ask_for_digest(outbox: Outbox) -> list[tuple[str, str, str]]:
    before = len(outbox.ses.taken)
    message = {"source": "aws.events", "detail-type": "Scheduled Event", "time": "2026-11-23T06:00:00Z", "detail": {}}
    assert outbox.deliver(message)
    return [shown(request) for request in outbox.ses.taken[before:]]


@pytest.mark.usefixtures("empty_tables")
def test_each_member_of_staff_gets_one_digest_a_day_if_anything_waits(
    tuition: Harness, outbox: Outbox, student: Student, admin: Student
) -> None:
    tuition.offset_s = 40 * 86400
    assert ask_for_digest(outbox) == []
    requested(tuition, student, admin)
    digest = ask_for_digest(outbox)
    assert [(kind, address) for kind, address, _ in digest] == [("staff_digest", a) for a in SCHOOL.staff_emails]
    assert "Refund requests that wait: 1" in outbox.ses.taken[-1]["Content"]["Simple"]["Body"]["Text"]["Data"]
    assert ask_for_digest(outbox) == []
    tuition.offset_s += 86400
    assert len(ask_for_digest(outbox)) == 2


def test_an_overdue_refund_of_a_withdrawal_is_counted_every_day_until_it_is_made(
    tuition: Harness,
    outbox: Outbox,
    student: Student,
    admin: Student,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_region(monkeypatch, "EU")
    payment_id = buy_by_bank_debit(tuition, student)
    request_id = withdraw(tuition, student, payment_id).body["refund_request"]["id"]
    every = queries.payments_that_need_attention
    of_this_test = lambda most: (one for one in every(most) if one.payment_id == payment_id)  # noqa: E731
    monkeypatch.setattr(queries, "payments_that_need_attention", of_this_test)
    capsys.readouterr()
    tuition.advance_time(13 * 86_400)
    ask_for_digest(outbox)
    assert metric_values(capsys, "WithdrawalOverdue") == []
    for _ in range(2):
        tuition.advance_time(86_400 + 60)
        ask_for_digest(outbox)
        assert metric_values(capsys, "WithdrawalOverdue") == [[1.0]]
    path = {"payment_id": payment_id, "request_id": request_id}
    assert tuition.admin(admin, DECIDE, {"decision": "approve"}, **path).status in (200, 202)
    capsys.readouterr()
    ask_for_digest(outbox)
    assert metric_values(capsys, "WithdrawalOverdue") == []


def test_a_digest_that_ses_refused_for_one_person_is_sent_to_that_person_only(
    tuition: Harness, outbox: Outbox, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuition.offset_s = 60 * 86400
    requested(tuition, student, admin)
    send = ses.send

    def refuse_joan(address: str, *rest: Any) -> str:
        if address.startswith("joan"):
            raise ses.EmailRefused("TooManyRequestsException")
        return send(address, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(ses, "send", refuse_joan)
        assert not outbox.deliver({"detail-type": "Scheduled Event", "detail": {}})
    assert [address for _, address, _ in ask_for_digest(outbox)] == ["joan@school.example"]


TWENTY = tuple(f"staff-{number}@school.example" for number in range(20))


@pytest.mark.parametrize("bad", [TWENTY[0], TWENTY[7]])
def test_an_address_that_ses_refuses_does_not_hold_up_the_emails_to_others(
    tuition: Harness, outbox: Outbox, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    use_settings(monkeypatch, replace(SCHOOL, staff_emails=TWENTY))
    tuition.offset_s = (80 + TWENTY.index(bad)) * 86400
    disputed(tuition, student, admin)
    opened = [e for e in outbox.events(of_student(tuition, student)) if "dispute_opened" in e["detail-type"]]
    send = ses.send

    def refuse_one(address: str, *rest: Any) -> str:
        if address == bad:
            raise ses.EmailRefused("BadRequestException")
        return send(address, *rest)

    monkeypatch.setattr(ses, "send", refuse_one)
    for event in (*opened, {"detail-type": "Scheduled Event", "detail": {}}):
        outbox.ses.taken.clear()
        assert not outbox.deliver(event), "the message returns to the queue for the one address"
        assert not outbox.deliver(event)
        assert [shown(request)[1] for request in outbox.ses.taken] == [one for one in TWENTY if one != bad]


def test_an_event_that_no_email_follows_leaves_nothing(tuition: Harness, outbox: Outbox, student: Student) -> None:
    payment_id = str(tuition.create(student).body["payment_id"])
    assert outbox.deliver_all(payment_id) == []
    assert outbox.effects(payment_id) == []
