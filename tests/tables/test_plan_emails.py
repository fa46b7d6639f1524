"""The emails about a payment plan: each follows what happened to the plan, once, and says what happens next."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from tests import plans as direct
from tests.harness import Harness, Student
from tests.plan_calls import FIRST, MEMBERSHIP, begin, call, offer_plans, pay, set_up, started
from tests.tables.test_emails import SCHOOL, Outbox, Ses, kinds, shown, use_settings
from tuition import clock
from tuition.core import plan_attention, timestamps
from tuition.core.audit import AuditEntry
from tuition.core.payment_state import PaymentState
from tuition.core.plan import Plan
from tuition.core.plan_facts import Announced, Answer, PlanFacts, Try
from tuition.core.plan_methods import chosen
from tuition.core.plan_schedule import collection_day, due_day
from tuition.core.published_events import ANNOUNCED_CARD_EXPIRES
from tuition.outbox import emails, ses
from tuition.storage import effects, ledger
from tuition.storage.ledger import PlanChange

DAY_S = 86_400


@pytest.fixture(autouse=True)
def _offered(monkeypatch: pytest.MonkeyPatch) -> None:
    offer_plans(monkeypatch.setattr)


@pytest.fixture
def outbox(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> Outbox:
    fake = Ses()
    monkeypatch.setattr(ses, "_client", lambda: fake)
    use_settings(monkeypatch, SCHOOL)
    return Outbox(tuition, fake)


def plan_of(plan_id: str) -> Plan:
    return ledger.load_plan(plan_id).existing_plan


def deliver(outbox: Outbox, plan_id: str) -> list[str]:
    """Deliver every event of a plan and of its payments, twice. Return the kinds of the emails that this sent."""
    subjects = [plan_id, *sorted(plan_of(plan_id).parts)]
    sent = [email for subject in subjects for email in outbox.deliver_all(subject)]
    assert [email for subject in subjects for email in outbox.deliver_all(subject)] == []
    return kinds(sent)


def deliver_new(outbox: Outbox, plan_id: str) -> list[str]:
    """Deliver every event of a plan and of its payments once."""
    return kinds([email for one in (plan_id, *plan_of(plan_id).parts) for email in outbox.deliver_all(one)])


def text(outbox: Outbox) -> str:
    """Return the text of the last email, in one line."""
    return " ".join(str(outbox.ses.taken[-1]["Content"]["Simple"]["Body"]["Text"]["Data"]).split())


def announce(plan_id: str, record_type: str = "plan.announced") -> str:
    """Announce the charge of the next installment on its due day, as the collector does. Return the day."""

    def change(state: PaymentState) -> PlanChange:
        plan = state.existing_plan
        seq = plan.owed[0]
        key = Announced(seq, due_day(plan, seq) or "").key
        entry = AuditEntry(timestamps.iso(clock.now()), f"announced:{key}", record_type, "reconcile")
        return PlanChange(plan.merged(PlanFacts(announced={key: int(clock.now())})), entry)

    plan = ledger.update_plan(plan_id, change).existing_plan
    return due_day(plan, plan.owed[0]) or ""


def fall_due(tuition: Harness, plan_id: str, days: int = 0) -> None:
    """Let time pass until the next installment has been due for some days, and observe it."""
    plan = plan_of(plan_id)
    at = plan.terms.start_of(timestamps.day_after(due_day(plan, plan.owed[0]) or "", days))
    tuition.advance_time(int(at - clock.now()) + 60)
    direct.merge(plan_id, PlanFacts(observed=at), f"tick:{at}", at=at)


def fail(plan_id: str, code: str, advice: str | None = None) -> None:
    """Record a charge without the student that the bank declined."""
    plan, now = plan_of(plan_id), int(clock.now())
    answer = Answer(now, f"ch_{now}", code, advice)
    declined = Try(at=now, payment_id="", seq=plan.owed[0], method=chosen(plan), answer=answer)
    occasion = f"day:{plan.terms.day_of(now)}"
    direct.merge(plan_id, PlanFacts(tries={occasion: declined}), f"answer:{occasion}")


def due_plan(tuition: Harness, outbox: Outbox, student: Student) -> str:
    """Return a plan whose second installment is due. Its emails until then were sent."""
    plan_id = str(started(tuition, student)["plan_id"])
    announce(plan_id)
    assert deliver(outbox, plan_id) == ["plan_begun", "plan_charge_announced"]
    fall_due(tuition, plan_id)
    return plan_id


def test_a_plan_that_begins_says_its_schedule_in_place_of_a_purchase(
    tuition: Harness, outbox: Outbox, student: Student
) -> None:
    opened = started(tuition, student)
    assert deliver(outbox, opened["plan_id"]) == ["plan_begun"]
    assert text(outbox).count("$124.75") == 6, "the lead, the amount paid, and four installments"
    for part in ("Visa ending in 4242", "7 days before each charge", "Explore a data set", "money back", "/#/plans/"):
        assert part in text(outbox), text(outbox)


@pytest.mark.parametrize("expires", [False, True])
def test_a_charge_is_announced_with_amount_day_and_method(
    tuition: Harness, outbox: Outbox, student: Student, expires: bool
) -> None:
    plan_id = str(started(tuition, student)["plan_id"])
    deliver(outbox, plan_id)
    announce(plan_id, ANNOUNCED_CARD_EXPIRES if expires else "plan.announced")
    assert deliver(outbox, plan_id) == ["plan_charge_announced"]
    for part in ("installment 2 of 4", "$124.75", "Visa ending in 4242", "choose another payment method"):
        assert part in text(outbox), text(outbox)
    assert ("expires before that day" in text(outbox)) is expires


def test_a_charge_that_was_paid_before_its_notice_is_not_announced(
    tuition: Harness, outbox: Outbox, student: Student
) -> None:
    plan_id = str(started(tuition, student)["plan_id"])
    announce(plan_id)
    tuition.pay(pay(tuition, student, plan_id).body["payment_intent_id"])
    tuition.deliver_all()
    assert deliver(outbox, plan_id) == ["plan_begun", "plan_charged"]
    assert "plan_charge_announced no_longer_applies" in outbox.reasons(plan_id)


@pytest.mark.parametrize(
    ("code", "advice", "kind", "part"),
    [
        ("card_declined", None, "plan_charge_failed", "We will try again on"),
        ("authentication_required", None, "plan_charge_failed", "Confirm the payment: https"),
        ("card_declined", "do_not_try_again", "plan_charge_failed", "Choose another payment method"),
    ],
)
def test_a_charge_that_failed_says_what_happens_next(
    tuition: Harness, outbox: Outbox, student: Student, code: str, advice: str | None, kind: str, part: str
) -> None:
    plan_id = due_plan(tuition, outbox, student)
    fail(plan_id, code, advice)
    assert deliver(outbox, plan_id) == [kind]
    assert part in text(outbox), text(outbox)
    last = date.fromisoformat(str(plan_of(plan_id).access_until))
    assert f"Your access ends after {last:%B} {last.day}, {last.year} if" in text(outbox)


def test_a_payment_method_that_was_detached_after_the_notice_is_asked_for_at_once(
    tuition: Harness, outbox: Outbox, student: Student
) -> None:
    plan_id = str(started(tuition, student)["plan_id"])
    method = set_up(tuition, student, plan_id)
    assert call(tuition, student, "POST", plan_id, "payment-method", {"payment_method": method}).status == 200
    deliver(outbox, plan_id)
    announce(plan_id)
    deliver(outbox, plan_id)
    assert "Charged to: card" in text(outbox), "no payment was made with it, so we know neither brand nor digits"
    plan = plan_of(plan_id)
    gone = {key: replace(one, gone=int(clock.now())) for key, one in plan.facts.methods.items()}
    first = plan.first_payment
    assert first
    gone |= {str(first.method): replace(next(iter(gone.values())), set_up=first.settled_at or 0)}
    direct.merge(plan_id, PlanFacts(methods=gone), "gone:all")
    assert deliver(outbox, plan_id) == ["plan_method_needed"]
    assert f"/#/plans/{plan_id}/method" in text(outbox)


def test_a_plan_that_is_late_is_suspended_and_a_payment_restores_it_with_one_email(
    tuition: Harness, outbox: Outbox, student: Student
) -> None:
    plan_id = due_plan(tuition, outbox, student)
    fail(plan_id, "card_declined")
    assert deliver(outbox, plan_id) == ["plan_charge_failed"]
    fall_due(tuition, plan_id, plan_of(plan_id).terms.grace_days)
    assert deliver(outbox, plan_id) == ["plan_suspended"]
    assert "Pay and continue" in text(outbox)
    tuition.pay(pay(tuition, student, plan_id).body["payment_intent_id"])
    tuition.deliver_all()
    assert deliver(outbox, plan_id) == ["plan_charged"]
    assert "You have access to Data Professional again." in text(outbox)


def test_staff_and_student_get_an_email_when_a_plan_is_given_up(
    tuition: Harness, outbox: Outbox, student: Student
) -> None:
    plan_id = due_plan(tuition, outbox, student)
    fail(plan_id, "card_declined")
    fall_due(tuition, plan_id, plan_of(plan_id).terms.give_up_days)
    assert plan_of(plan_id).close_reason == "gave_up"
    before = len(outbox.ses.taken)
    deliver(outbox, plan_id)
    sent = [shown(request)[:2] for request in outbox.ses.taken[before:]]
    staff = [("plan_defaulted", address) for address in SCHOOL.staff_emails]
    assert sorted(sent) == sorted([("plan_closed", student.claims["email"]), *staff])
    assert "installment 2 of 4, $124.75," in text(outbox), "three are owed, and one was due for too long"


def test_the_last_payment_completes_the_plan_with_one_email(tuition: Harness, outbox: Outbox, student: Student) -> None:
    plan_id = str(started(tuition, student)["plan_id"])
    deliver(outbox, plan_id)
    tuition.pay(pay(tuition, student, plan_id, "rest").body["payment_intent_id"])
    tuition.deliver_all()
    assert deliver(outbox, plan_id) == ["plan_complete"]
    assert "Paid in total: $499.00" in text(outbox)


def test_a_withdrawn_plan_names_each_refund_and_its_end(tuition: Harness, outbox: Outbox, student: Student) -> None:
    plan_id = str(started(tuition, student)["plan_id"])
    deliver(outbox, plan_id)
    assert call(tuition, student, "POST", plan_id, "cancel", {"reason": "no time"}).status == 200
    tuition.deliver_all()
    assert deliver(outbox, plan_id) == ["plan_closed", "refund_made"]


def test_a_membership_says_when_it_ends_and_that_it_has_ended(
    tuition: Harness, outbox: Outbox, student: Student
) -> None:
    plan_id = direct.begin(student.sub, direct.MONTHLY).existing_plan.plan_id
    (payment_id,) = plan_of(plan_id).parts
    tuition.pay(str(tuition.payment(payment_id).intent))
    tuition.deliver_all()
    tuition.create(student, "FSD")  # which stores the student's address
    assert deliver(outbox, plan_id) == ["plan_begun"]
    assert f"Your membership {MEMBERSHIP.title} has begun." in text(outbox)
    direct.decide(plan_id, "cancel", "dec_1")
    assert deliver(outbox, plan_id) == ["plan_ending"]
    fall_due(tuition, plan_id)
    assert deliver(outbox, plan_id) == ["plan_closed"]
    assert "as you asked" in text(outbox)


def test_access_that_staff_revoke_ends_with_one_email_and_an_erased_student_gets_none(
    tuition: Harness, outbox: Outbox, student: Student
) -> None:
    plan_id = str(started(tuition, student)["plan_id"])
    deliver(outbox, plan_id)
    direct.decide(plan_id, "revoke", "dec_1")
    assert deliver(outbox, plan_id) == ["access_ended"]
    direct.decide(plan_id, "restore", "dec_2")
    direct.merge(plan_id, PlanFacts(erased=True), "erased")
    direct.decide(plan_id, "revoke", "dec_3")
    assert deliver(outbox, plan_id) == []
    assert "access_ended erased" in outbox.reasons(plan_id)


def test_a_notice_that_comes_back_needs_attention_and_the_charge_stays(
    tuition: Harness, outbox: Outbox, student: Student
) -> None:
    plan_id = str(started(tuition, student)["plan_id"])
    deliver(outbox, plan_id)
    announce(plan_id)
    deliver(outbox, plan_id)
    notice = outbox.ses.taken[-1]
    tags = {tag["Name"]: [tag["Value"]] for tag in notice["EmailTags"]}
    bounce = {"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": student.claims["email"]}]}
    detail = {"bounce": bounce, "mail": {"messageId": "m-1", "tags": tags}}
    for _ in range(2):
        assert outbox.deliver({"source": "aws.ses", "detail-type": emails.BOUNCED, "detail": detail})
    plan = plan_of(plan_id)
    assert [one.name for one in plan_attention.unacknowledged(plan)] == ["bounced:2"]
    assert collection_day(plan, 2) == due_day(plan, 2)
    records = [record["type"] for record in tuition.audit_trail(plan_id)]
    assert records.count("plan.notice_bounced") == 1
    effects.forget_address(str(student.claims["email"]))


def test_the_emails_of_a_plan_that_is_collected_to_its_end(tuition: Harness, outbox: Outbox, student: Student) -> None:
    """One notice and one receipt for each charge that the collector makes, and one email for the last payment."""
    plan_id = str(started(tuition, student)["plan_id"])
    sent = deliver(outbox, plan_id)
    for _ in range(100):
        tuition.advance_time(DAY_S)
        tuition.collect()
        tuition.advance_stripe(3)
        tuition.deliver_all()
        sent += deliver_new(outbox, plan_id)
    assert plan_of(plan_id).status == "COMPLETE"
    assert sorted(sent) == sorted(
        ["plan_begun", *["plan_charge_announced"] * 3, *["plan_charged"] * 2, "plan_complete"]
    )


def test_staff_cannot_send_the_email_of_a_purchase_about_a_payment_of_a_plan(
    tuition: Harness, student: Student, admin: Student
) -> None:
    opened = dict(begin(tuition, student).body)
    tuition.pay(opened["payment_intent_id"])
    tuition.deliver_all()
    route = "POST /api/admin/payments/{payment_id}/emails"
    answer: Any = tuition.admin(admin, route, {"kind": "purchase_confirmed"}, payment_id=opened["payment_id"])
    assert (answer.status, opened["amount"]) == (409, FIRST)
