"""Evidence for a dispute: the texts that Stripe takes, their bounds, and what our own records say for each.

Files are not sent. Source: https://docs.stripe.com/api/disputes/evidence_object
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tuition.core import catalog, texts, timestamps
from tuition.core.catalog import Membership, Track
from tuition.core.errors import Unprocessable
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.core.plan import Plan
from tuition.core.plan_facts import Announced
from tuition.core.refund_request import State

FIELDS = (
    *("product_description", "customer_name", "customer_email_address", "billing_address", "service_date"),
    *("access_activity_log", "refund_policy_disclosure", "refund_refusal_explanation"),
    *("cancellation_policy_disclosure", "cancellation_rebuttal"),
    *("duplicate_charge_id", "duplicate_charge_explanation", "uncategorized_text"),
)
"""The fields of Stripe's that have a text and fit a course. Each takes the id of a file or a text, never both."""
MAX_FIELD_LENGTH = 20_000
"""In characters, of one field."""
MAX_CHARACTERS = 150_000
"""Of all fields together, as Stripe counts them."""
MAX_BYTES = 300_000
"""Of all fields together in UTF-8: a draft is one item of at most 400 KB."""
MAX_BODY_BYTES = 1_000_000
"""Of a request with a draft: JSON may write a character of two bytes as six."""
REQUEST_STATES: Mapping[State, str] = {
    "awaiting_approval": "not decided yet",
    "declined": "declined",
    "submitting": "the refund is under way",
    "pending": "the refund is under way",
    "succeeded": "refunded",
    "rejected": "the refund was not possible",
    "failed": "the refund failed",
    "superseded": "another refund was made instead",
    "withdrawn": "the student withdrew the request",
}
"""The state of a refund request in words, as the bank's staff read them."""
MAX_LINES = 150
"""Of the list of records in one field. The newest are left out, because a dispute is about the purchase."""


def checked(fields: object) -> dict[str, str]:
    """Return the fields that have a text, in the order of `FIELDS`. Raises `Unprocessable`, which names the field."""
    if not isinstance(fields, Mapping):
        raise Unprocessable("fields must be an object with texts.", field="fields")
    for name, text in fields.items():
        if name not in FIELDS:
            raise Unprocessable(
                f"{str(name)[:40]!r} is not a field of evidence. Use {', '.join(FIELDS)}.", field="fields"
            )
        if not isinstance(text, str):
            raise Unprocessable(f"{name} must be a text.", field=name)
        if texts.FORBIDDEN.search(text):
            raise Unprocessable(
                f"{name} has a control character, or one that changes the direction of text. Remove it.", field=name
            )
        if len(text) > MAX_FIELD_LENGTH:
            raise Unprocessable(f"{name} has {len(text):,} characters. Shorten it to {MAX_FIELD_LENGTH:,}.", field=name)
    kept = {name: fields[name].strip() for name in FIELDS if str(fields.get(name, "")).strip()}
    if characters(kept) > MAX_CHARACTERS or sum(len(text.encode()) for text in kept.values()) > MAX_BYTES:
        raise Unprocessable(
            f"The texts are too long: Stripe takes {MAX_CHARACTERS:,} characters in all.", field="fields"
        )
    return kept


def loses_text(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Whether a draft lacks a text that the one before it has. While data are on hold, texts are only added."""
    return any(text not in after.get(name, "") for name, text in before.items())


def characters(fields: Mapping[str, str]) -> int:
    """Return how many characters the fields have together."""
    return sum(len(text) for text in fields.values())


def assembled(
    payment: Payment,
    product: Track | Membership,
    records: Iterable[Mapping[str, Any]],
    projects: Iterable[Mapping[str, Any]],
    emails: Iterable[tuple[str, str]],
    plan: Plan | None = None,
) -> dict[str, str]:
    """Return what our records say about a payment, as a first draft. Nothing in it is a claim that they do not have.

    `product` is the track or membership. `records` are its audit records and those of its `plan`, `projects` the
    student's progress, as they see it, and `emails` the time and kind of each email that was delivered to the mail
    system.
    """
    draft = {
        "product_description": _product(product),
        "customer_email_address": payment.email or "",
        "service_date": (payment.paid_at or "")[:10],
        "access_activity_log": "\n".join([*_access(records), *_progress(projects)][:MAX_LINES]),
        "refund_policy_disclosure": "\n".join([*_terms(payment), *_consent(payment, plan)]),
        "refund_refusal_explanation": _refunds(payment),
        "uncategorized_text": "\n".join([*_purchase(payment), *_emails(emails)][:MAX_LINES]),
    }
    return checked({name: texts.FORBIDDEN.sub("", text)[:MAX_FIELD_LENGTH] for name, text in draft.items()})


def _product(product: Track | Membership) -> str:
    if isinstance(product, Membership):
        return f"{product.title}: {product.summary}"
    steps = sum(len(project.steps) for project in product.projects)
    names = ", ".join(project.title for project in product.projects)
    return f"{product.title}: an online course with {len(product.projects)} projects in {steps} steps ({names})."


def _access(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return when access began and ended, by the records that changed the enrollment."""
    lines = []
    for record in records:
        transition = record["transition"]
        for track, change in {"": transition.get("enrollment"), **transition.get("enrollments", {})}.items():
            before, after = (change.get("from"), change.get("to")) if isinstance(change, Mapping) else (None, None)
            if "ENROLLED" in (before, after) and before != after:
                has = "got access to" if after == "ENROLLED" else "lost access to"
                lines.append(f"{_time(record['at'])}: the student {has} {catalog.title(track) or 'the course'}")
    return lines


def _time(at: str) -> str:
    """Return a time as the bank's staff read it: `2026-11-29 18:00 UTC`."""
    return f"{at[:10]} {at[11:16]} UTC"


def _progress(projects: Iterable[Mapping[str, Any]]) -> list[str]:
    lines = []
    for project in projects:
        done = [step["title"] for step in project["steps"] if step["done"]]
        state = "unlocked" if project["unlocked"] else "locked"
        names = f": {', '.join(done)}" if done else ""
        lines.append(f"Project {project['title']}: {state}, {len(done)} of {len(project['steps'])} steps done{names}")
    return lines


def _terms(payment: Payment) -> list[str]:
    agreed = payment.facts.agreed
    if agreed is None:
        return []
    return [f"The student agreed to the terms, version {agreed.version}, on {_time(timestamps.iso(agreed.at))}."]


def _consent(payment: Payment, plan: Plan | None) -> list[str]:
    """Return to which charges the student agreed, and when those of this payment were announced."""
    if plan is None:
        return []
    terms, of = plan.terms, "" if plan.terms.endless else f" of {len(plan.terms.amounts)}"
    agreed = _time(timestamps.iso(terms.agreed_at))
    text = f"The student agreed to the payment plan and its charges, version {terms.consent_version}, on {agreed}."
    numbers = ", ".join(map(str, payment.covers))
    lines = [text, f"This payment is number {numbers}{of}, one every {terms.every}."]
    for key, at in sorted(plan.facts.announced.items()):
        announced = Announced.of(key)
        if announced.seq in payment.covers:
            lines.append(f"{_time(timestamps.iso(at))}: the charge on {announced.day} was announced by email")
    return lines


def _refunds(payment: Payment) -> str:
    if not payment.requests:
        return "The student has requested no refund."
    return "\n".join(
        f"{_time(one.at)}: refund of {Money(one.amount, payment.currency)} requested; {REQUEST_STATES[one.state]}"
        for one in payment.requests
    )


def _purchase(payment: Payment) -> list[str]:
    method = payment.payment_method or {}
    card = " ".join(str(method[name]) for name in ("type", "brand", "last4") if method.get(name))
    paid = f"paid {_time(payment.paid_at)}" if payment.paid_at else "not paid"
    lines = [f"Order {payment.payment_id}, created {_time(payment.created_at)}, {paid}: {payment.money}."]
    lines += [f"Paid with {card}."] if card else []
    lines += ["The payer was asked for 3-D Secure."] if payment.facts.challenges else []
    return lines + ([f"Receipt: {payment.receipt_url}"] if payment.receipt_url else [])


def _emails(emails: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{_time(at)}: email {kind.replace('_', ' ')} sent to the student" for at, kind in emails]
