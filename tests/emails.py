"""One example of each email, with contents that are hard to lay out, and what each is rendered to.

The rendered emails are checked in under `tests/golden/emails`. After a change of a text or of the layout, write them
again and read the difference: `PYTHONPATH=layers/tuition .venv/bin/python -m tests.emails`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from tuition.core.emails import Day, Days, Email, Instant, Kind, PlanEmailKind, ScheduledPayment, StaffKind, Value
from tuition.core.money import Money
from tuition.outbox import rendering
from tuition.outbox.rendering import Rendered
from tuition.settings import Settings

GOLDEN = Path(__file__).parent / "golden" / "emails"
SCHOOL = Settings(
    school_name="School of Data & Code",
    school_time_zone="America/New_York",
    support_contact="help@school.example",
    email_sender="School <no-reply@school.example>",
    allowed_origins=("https://learn.school.example",),
)
LONG = "Professional Certificate in Responsible Data Engineering <and Advanced Full-Stack Web Application Development>"
UNBROKEN = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
ID = "pay_qhz2k4v7t3m5xw6c2d4b7a3e"
WINTER, SUMMER = Instant("2026-11-29T19:05:00.000Z"), Instant("2026-07-01T04:00:00.000Z")
DOLLARS = Money(49_900, "usd")


def about(kind: Kind, texts: str | None = None, **values: Value) -> Email:
    """Return an email about a payment for a track."""
    common: dict[str, Value] = {"track": "Data Professional", "payment_id": ID}
    page = "console/#/payments" if kind == "dispute_opened" else "#/payments"
    return Email(kind, texts or kind, f"/{page}/{ID}", {**common, **values})


PLAN = "pln_qhz2k4v7t3m5xw6c2d4b7a3e"
INSTALLMENT, SPRING = Money(12_475, "usd"), Day("2027-03-01")
DUE = ("2026-11-29", "2026-12-29", "2027-01-29", "2027-02-28")
SCHEDULE = tuple(ScheduledPayment(seq, Day(day), INSTALLMENT) for seq, day in enumerate(DUE, start=1))
SECOND: dict[str, Value] = {"installment": "2", "installments": "4"}


def about_plan(kind: PlanEmailKind | StaffKind, texts: str | None = None, page: str = "", **values: Value) -> Email:
    """Return an email about a payment plan."""
    common: dict[str, Value] = {"track": "Data Professional", "plan_id": PLAN}
    schedule = SCHEDULE if texts is None and kind == "plan_begun" else ()
    return Email(kind, texts or kind, f"/#/plans/{PLAN}{page}", {**common, **values}, schedule)


CARD: dict[str, Value] = {"method": "visa", "last4": "4242"}
CASES: dict[str, Email] = {
    "purchase_confirmed": about(
        "purchase_confirmed",
        amount=DOLLARS,
        paid_at=WINTER,
        project="Explore a data set",
        refundable_until=SUMMER,
        **CARD,
    ),
    "purchase_confirmed_later_attempt": about(
        "purchase_confirmed",
        amount=DOLLARS,
        paid_at=WINTER,
        project="Explore a data set",
        requestable_until=SUMMER,
        **CARD,
    ),
    "purchase_confirmed_long_names": about(
        "purchase_confirmed",
        track=LONG,
        amount=Money(123_456_789, "bhd"),
        paid_at=SUMMER,
        project=UNBROKEN,
        method="us_bank_account",
        last4="6789",
    ),
    "purchase_confirmed_yen": about("purchase_confirmed", amount=Money(60_000, "jpy"), paid_at=WINTER, **CARD),
    "purchase_confirmed_free": about(
        "purchase_confirmed",
        "purchase_confirmed_free",
        amount=Money(0, "usd"),
        paid_at=WINTER,
        project="Explore a data set",
    ),
    "purchase_under_review": about(
        "purchase_confirmed", "purchase_under_review", amount=Money(100, "chf"), paid_at=WINTER, **CARD
    ),
    "purchase_without_access": about(
        "purchase_confirmed", "purchase_without_access", amount=DOLLARS, paid_at=WINTER, **CARD
    ),
    "bank_transfer_under_way": about("bank_transfer_under_way", amount=DOLLARS),
    "payment_failed": about("payment_failed", amount=DOLLARS, reason="Your bank account has insufficient funds."),
    "purchase_confirmed_eu": about(
        "purchase_confirmed",
        amount=Money(49_900, "eur"),
        paid_at=WINTER,
        project="Explore a data set",
        withdrawable_until=SUMMER,
        **CARD,
    ),
    "withdrawal_received": about(
        "withdrawal_received",
        submitted_at=WINTER,
        paid_at=SUMMER,
        paid_amount=Money(49_900, "eur"),
        amount=Money(49_900, "eur"),
        refund_due_by=Instant("2026-12-13T19:05:00.000Z"),
        name="Ada <King> & Countess of Lovelace",
        email="ada@school.example",
    ),
    "withdrawal_received_long_names": about(
        "withdrawal_received",
        track=LONG,
        submitted_at=SUMMER,
        paid_at=SUMMER,
        paid_amount=Money(0, "eur"),
        name=f"{UNBROKEN} {UNBROKEN}",
        email=f"{UNBROKEN}@school.example",
    ),
    "withdrawal_received_processing": about(
        "withdrawal_received",
        submitted_at=WINTER,
        processing_amount=DOLLARS,
        refund_due_by=Instant("2026-12-13T19:05:00.000Z"),
        name="Ada Lovelace",
        email="ada@school.example",
    ),
    "withdrawal_received_erased": about(
        "withdrawal_received", submitted_at=WINTER, paid_at=SUMMER, paid_amount=Money(49_900, "eur")
    ),
    "refund_requested": about("refund_requested", amount=DOLLARS, requested_at=WINTER, kept_track="Data Professional"),
    "refund_approved": about(
        "refund_approved", amount=DOLLARS, requested_at=WINTER, message="We are sorry to see you go."
    ),
    "refund_declined": about(
        "refund_declined",
        amount=DOLLARS,
        requested_at=WINTER,
        message=f"You finished <all> projects & got the certificate.\n\n{UNBROKEN}{UNBROKEN}\nWrite to us.",
    ),
    "refund_made": about("refund_made", amount=DOLLARS, paid_amount=DOLLARS, ended_track="Data Professional"),
    "refund_made_in_part": about(
        "refund_made",
        "refund_made_in_part",
        amount=Money(1, "usd"),
        paid_amount=DOLLARS,
        remaining=Money(49_899, "usd"),
        kept_track="Data Professional",
    ),
    "refund_made_in_part_without_access": about(
        "refund_made",
        "refund_made_in_part",
        amount=Money(1, "usd"),
        paid_amount=DOLLARS,
        remaining=Money(49_899, "usd"),
    ),
    "refund_failed": about("refund_failed", amount=DOLLARS),
    "access_ended_revoked": about("access_ended", "access_ended_revoked", amount=Money(0, "eur")),
    "access_ended_dispute_lost": about("access_ended", "access_ended_dispute_lost", amount=DOLLARS),
    "access_ended_refunded": about("access_ended", "access_ended_refunded", amount=DOLLARS),
    "access_ended_withdrawn": about("access_ended", "access_ended_withdrawn", amount=DOLLARS),
    "access_ended_amount_differs": about("access_ended", "access_ended_amount_differs", amount=DOLLARS),
    "plan_begun": about_plan(
        "plan_begun",
        amount=INSTALLMENT,
        paid_at=WINTER,
        project="Explore a data set",
        notice_days=Days(7),
        refundable_until=Instant("2026-12-13T19:05:00.000Z"),
        **CARD,
    ),
    "plan_begun_long_names": about_plan(
        "plan_begun",
        track=LONG,
        amount=Money(123_456_789, "bhd"),
        paid_at=SUMMER,
        project=UNBROKEN,
        notice_days=Days(1),
    ),
    "membership_begun": about_plan(
        "plan_begun",
        "membership_begun",
        amount=Money(4900, "eur"),
        paid_at=WINTER,
        notice_days=Days(7),
        next_amount=Money(4900, "eur"),
        next_day=SPRING,
        withdrawable_until=Instant("2026-12-13T19:05:00.000Z"),
        **CARD,
    ),
    "plan_charge_announced": about_plan(
        "plan_charge_announced", amount=INSTALLMENT, day=SPRING, grace_days=Days(14), **SECOND, **CARD
    ),
    "plan_charge_announced_card_expires": about_plan(
        "plan_charge_announced",
        amount=INSTALLMENT,
        day=SPRING,
        grace_days=Days(14),
        expiring_method="visa",
        **SECOND,
        **CARD,
    ),
    "plan_charge_announced_other_method": about_plan(
        "plan_charge_announced",
        amount=INSTALLMENT,
        day=SPRING,
        grace_days=Days(14),
        other_method="us_bank_account",
        **SECOND,
    ),
    "plan_charge_announced_no_method": about_plan(
        "plan_charge_announced",
        "plan_charge_announced_no_method",
        "/method",
        amount=INSTALLMENT,
        day=SPRING,
        grace_days=Days(14),
    ),
    "membership_charge_announced": about_plan(
        "plan_charge_announced",
        "membership_charge_announced",
        amount=INSTALLMENT,
        day=SPRING,
        grace_days=Days(14),
        **CARD,
    ),
    "plan_charged": about_plan(
        "plan_charged",
        payment_id=ID,
        amount=INSTALLMENT,
        paid_at=WINTER,
        next_amount=INSTALLMENT,
        next_day=SPRING,
        restored_track="Data Professional",
        **SECOND,
        **CARD,
    ),
    "plan_charge_failed": about_plan(
        "plan_charge_failed",
        amount=INSTALLMENT,
        reason="Your card has insufficient funds.",
        retry_day=SPRING,
        access_until=Day("2027-03-14"),
        **SECOND,
    ),
    "plan_confirmation_needed": about_plan(
        "plan_charge_failed",
        "plan_confirmation_needed",
        "/pay/next",
        amount=INSTALLMENT,
        access_until=SPRING,
        **SECOND,
    ),
    "plan_method_needed": about_plan(
        "plan_method_needed", None, "/method", amount=INSTALLMENT, access_until=SPRING, **SECOND
    ),
    "plan_suspended": about_plan("plan_suspended", amount=INSTALLMENT),
    "plan_suspended_dispute": about_plan("plan_suspended", "plan_suspended_dispute", amount=INSTALLMENT),
    "plan_restored": about_plan("plan_restored", next_amount=INSTALLMENT, next_day=SPRING),
    "membership_ending": about_plan("plan_ending", "membership_ending", day=SPRING),
    "plan_complete": about_plan("plan_complete", amount=INSTALLMENT, received=DOLLARS),
    "plan_closed_gave_up": about_plan("plan_closed", "plan_closed_gave_up", amount=INSTALLMENT, **SECOND),
    "plan_closed_staff": about_plan("plan_closed", "plan_closed_staff"),
    "plan_closed_refunded": about_plan("plan_closed", "plan_closed_refunded"),
    "membership_closed_lapsed": about_plan("plan_closed", "membership_closed_lapsed"),
    "membership_closed_ended": about_plan("plan_closed", "membership_closed_ended"),
    "plan_defaulted": about_plan(
        "plan_defaulted",
        amount=INSTALLMENT,
        received=INSTALLMENT,
        remaining=Money(37_425, "usd"),
        user_id="student-1",
        give_up_days=Days(60),
        **SECOND,
    ),
    "dispute_opened": about(
        "dispute_opened", amount=DOLLARS, reason="product not received", user_id="student-1", due_by=WINTER
    ),
    "dispute_opened_without_a_date": about("dispute_opened", amount=DOLLARS, reason="general", user_id="student-1"),
    "inquiry_opened": about(
        "dispute_opened", "inquiry_opened", amount=DOLLARS, reason="general", user_id="student-1", due_by=WINTER
    ),
    "staff_digest": Email(
        "staff_digest",
        "staff_digest",
        "/console/",
        {"attention": "12", "requests": "3", "oldest": SUMMER, "disputes": "1", "due_by": WINTER},
    ),
    "staff_digest_of_one": Email("staff_digest", "staff_digest", "/console/", {"attention": "1"}),
}


@contextmanager
def settings_of_school(school: Settings = SCHOOL) -> Iterator[None]:
    """Render with the settings of an example school."""
    with mock.patch.object(rendering, "settings", return_value=school):
        yield


def rendered(name: str) -> Rendered:
    """Render an example."""
    with settings_of_school():
        return rendering.render(CASES[name])


def main() -> None:
    """Write the golden files."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for old in GOLDEN.iterdir():
        old.unlink()
    for name in CASES:
        email = rendered(name)
        (GOLDEN / f"{name}.txt").write_text(f"Subject: {email.subject}\n\n{email.text}", encoding="utf-8")
        (GOLDEN / f"{name}.html").write_text(email.html, encoding="utf-8")


if __name__ == "__main__":
    main()
