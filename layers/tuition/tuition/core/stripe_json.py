"""Read Stripe's JSON into facts.

Objects in webhooks and in API responses are read alike, as plain dicts. Every enum and every field that Stripe's types
call Optional is open: a value that we do not know counts for nothing and is kept in `Facts.unknown`, for attention. A
value of an unexpected type or range raises `EventUnusable`.

Sources: https://docs.stripe.com/payments/paymentintents/lifecycle, https://docs.stripe.com/api/refunds/object,
https://docs.stripe.com/api/disputes/object, https://docs.stripe.com/api/checkout/sessions/object,
https://docs.stripe.com/api/radar/early_fraud_warnings/object
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from tuition.core import facts as core_facts
from tuition.core.errors import EventUnusable
from tuition.core.facts import NO_FACTS, Charge, Closed, Dispute, Facts, FraudWarning, Phase, PhaseName, Refund, Settled

MAX_ID_LENGTH = 255
MAX_UNKNOWN_LENGTH = 160
"""In characters, of a value in `Facts.unknown`."""
MAX_TEXT_LENGTH = 5000
"""In characters. Every text of Stripe's that is read here is shorter."""
MAX_CODE_LENGTH = 100
"""Of a code or name that is stored, in characters. The rest is cut off, because a payment's item is limited."""
MAX_STORED_LENGTH = 500
"""Of a message or address that is stored, in characters. A message is cut off; a longer address is left out."""

MAX_AMOUNT = 10**15
"""In minor units. Every amount of Stripe's is below it."""
MAX_TIMESTAMP = 10**11
"""In epoch seconds (the year 5138). Every time of Stripe's is below it, and `timestamps.iso` can still write it."""

VERIFY_WITHIN_S = 10 * 86400
"""How long a student can confirm a deposit after it was sent."""
DEPOSIT_ARRIVES_WITHIN_S = 2 * 86400

SYNC_ORDER = 10
"""The `Phase.order` of a sync. It is above that of every event."""


INTENT_STATUSES = {
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "processing",
    "requires_capture",
    "canceled",
    "succeeded",
}
SESSION_STATUSES = {"open", "complete", "expired"}
CHALLENGES = ("use_stripe_sdk", "redirect_to_url")
"""The next actions that are a 3-D Secure step of a card."""
PAYMENT_STATUSES = {"paid", "unpaid", "no_payment_required"}


# --- Stripe's objects ---


def readable(read: Callable[[Mapping[str, Any]], Facts], obj: Mapping[str, Any]) -> Facts:
    """Return the facts of one object among others. An object that cannot be read never hides those beside it."""
    try:
        return read(obj)
    except EventUnusable as error:
        name = ascii(obj.get("id")).strip("'")[:MAX_ID_LENGTH]
        return Facts(unknown={name: str(error)[:MAX_UNKNOWN_LENGTH]})


def _unknown(obj: Mapping[str, Any], name: str, values: Collection[str]) -> dict[str, str]:
    """Return the field with its value, for `Facts.unknown`, if it has none of the known values."""
    value = obj.get(name)
    if isinstance(value, str) and value in values:
        return {}
    return {f"{object_id(obj, 'id')}.{name}": str(optional_text(obj, name))[:MAX_UNKNOWN_LENGTH]}


def of_intent(intent: Mapping[str, Any], at: int, order: int | None = None) -> Facts:
    """Return the facts of a PaymentIntent as of `at` (epoch seconds). A sync passes `order` too: see `sync_stamp`."""
    status, unknown = optional_text(intent, "status"), _unknown(intent, "status", INTENT_STATUSES)
    settled = closed = phase = None
    if status == "succeeded":
        settled = Settled(integer(intent, "amount_received"), _currency(intent), at)
    elif status == "canceled":
        when = timestamp(intent, "canceled_at") if intent.get("canceled_at") is not None else at
        closed = Closed(when, "intent", optional_text(intent, "cancellation_reason") or "canceled")
    elif not unknown:
        phase = _phase_of_intent(intent, status, at, order)
    latest = intent.get("latest_charge")
    inner = readable(of_charge, latest) if isinstance(latest, Mapping) else NO_FACTS
    facts = Facts(settled, closed, phase, object_id(intent, "id"), optional_id(intent, "customer"), unknown=unknown)
    beside = Facts(charges=inner.charges, challenges=_challenges(intent, status, at), unknown=inner.unknown)
    return core_facts.merge(facts, beside)


def _challenges(intent: Mapping[str, Any], status: str | None, at: int) -> dict[str, int]:
    """Return the 3-D Secure step that an intent waits for. Other actions, such as a bank's deposits, are not counted.

    Source: https://docs.stripe.com/api/payment_intents/object#payment_intent_object-next_action-type
    """
    action = intent.get("next_action")
    if status != "requires_action" or not isinstance(action, Mapping) or action.get("type") not in CHALLENGES:
        return {}
    return {optional_id(intent, "payment_method") or f"at:{at}": at}


def _phase_of_intent(intent: Mapping[str, Any], status: str | None, at: int, order: int | None) -> Phase:
    error = intent.get("last_payment_error")
    name: PhaseName = "created"
    code = message = verify_by = None
    if status in ("processing", "requires_capture"):
        name = "processing"
    elif status == "requires_action":
        name = "requires_action"
        verify_by = _verify_by(intent)
    elif isinstance(error, Mapping):
        name = "failed"
        code = _code(error, "decline_code") or _code(error, "code")
        message = (optional_text(error, "message") or "")[:MAX_STORED_LENGTH] or None
    return Phase(at, core_facts.PHASE_ORDER[name] if order is None else order, name, code, message, verify_by)


def _verify_by(intent: Mapping[str, Any]) -> int | None:
    """Return until when the student can confirm a deposit to their bank account; None if Stripe waits for no deposit.

    Stripe names only the day on which it should arrive, a few days after it was sent. For a Checkout payment it is sent
    when the intent is created.
    """
    deposit = deposit_to_confirm(intent)
    if deposit is None:
        return None
    arrival = deposit.get("arrival_date")
    sent = arrival - DEPOSIT_ARRIVES_WITHIN_S if type(arrival) is int and 0 < arrival < MAX_TIMESTAMP else 0
    return max(timestamp(intent, "created"), sent) + VERIFY_WITHIN_S


def deposit_to_confirm(intent: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return Stripe's description of the deposit that the student must confirm; None if there is none.

    Source: https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment
    """
    action = intent.get("next_action")
    deposit = action.get("verify_with_microdeposits") if isinstance(action, Mapping) else None
    return deposit if isinstance(deposit, Mapping) else None


def of_session(session: Mapping[str, Any], at: int, order: int | None = None) -> Facts:
    """Return the facts of a Checkout Session, and of its PaymentIntent if expanded. Arguments as of `of_intent`."""
    paid, status = optional_text(session, "payment_status"), optional_text(session, "status")
    unknown = _unknown(session, "payment_status", PAYMENT_STATUSES) | _unknown(session, "status", SESSION_STATUSES)
    intent = session.get("payment_intent")
    inner = Facts(intent=optional_id(session, "payment_intent"))
    if isinstance(intent, Mapping):
        inner = replace(readable(lambda obj: of_intent(obj, at, order), intent), closed=None)
    settled = closed = None
    phase = inner.phase
    if (paid == "paid" and status != "open") or (paid == "no_payment_required" and status == "complete"):
        missing = [name for name in ("amount_total", "currency") if session.get(name) is None]
        unknown |= {key: value for name in missing for key, value in _unknown(session, name, ()).items()}
        if not missing:
            settled = Settled(integer(session, "amount_total"), _currency(session), at)
    elif status == "expired":
        closed = Closed(at, "checkout", "expired")
    elif status == "complete" and isinstance(intent, Mapping) and inner.settled is None and _is_dead(intent):
        closed = Closed(at, "checkout", "payment_failed")
    elif phase is None and not unknown:
        name: PhaseName = "processing" if status == "complete" else "created"
        phase = Phase(at, core_facts.PHASE_ORDER[name] if order is None else order, name)
    invoice = optional_id(session, "invoice")
    facts = Facts(settled, closed, phase, None, optional_id(session, "customer"), unknown=unknown, invoice=invoice)
    return core_facts.merge(inner, facts)


def _is_dead(intent: Mapping[str, Any]) -> bool:
    """Whether a complete session's delayed payment failed: it can neither be paid again nor expired."""
    return intent.get("status") in ("requires_payment_method", "canceled")


def failed_session(session: Mapping[str, Any], at: int) -> Facts:
    """Return the facts of a session from `checkout.session.async_payment_failed`."""
    return Facts(closed=Closed(at, "checkout", "payment_failed"), intent=optional_id(session, "payment_intent"))


def of_charge(charge: Mapping[str, Any]) -> Facts:
    """Return the facts of a charge. Of its payment method, only type, brand and last four digits are read."""
    details = charge.get("payment_method_details")
    type_ = optional_text(details, "type") if isinstance(details, Mapping) else None
    method = details.get(type_) if isinstance(details, Mapping) and type_ else None
    method = method if isinstance(method, Mapping) else {}
    receipt = optional_text(charge, "receipt_url")
    return Facts(
        intent=optional_id(charge, "payment_intent"),
        charges={
            object_id(charge, "id"): Charge(
                status=_known(charge, "status", core_facts.CHARGE_RANK),
                amount=integer(charge, "amount"),
                created=timestamp(charge, "created"),
                type=type_ and type_[:MAX_CODE_LENGTH],
                brand=_code(method, "brand"),
                last4=_code(method, "last4"),
                receipt_url=receipt if receipt and len(receipt) <= MAX_STORED_LENGTH else None,
                code=_failure_code(charge),
                currency=_code(charge, "currency"),
                advice=_advice(charge),
                payment_method=optional_id(charge, "payment_method"),
            )
        },
        unknown=_unknown(charge, "status", core_facts.CHARGE_RANK),
    )


def _failure_code(charge: Mapping[str, Any]) -> str | None:
    """Return why the charge failed: the bank's reason, which is more specific than `card_declined`, else the code.

    Source: https://docs.stripe.com/declines/codes
    """
    code, outcome = _code(charge, "failure_code"), charge.get("outcome")
    reason = _code(outcome, "reason") if isinstance(outcome, Mapping) else None
    return (reason or code) if charge.get("status") == "failed" else None


def _advice(charge: Mapping[str, Any]) -> str | None:
    """Return what Stripe advises after a decline: `do_not_try_again`, for example.

    Source: https://docs.stripe.com/declines#retrying-issuer-declines
    """
    outcome = charge.get("outcome")
    return _code(outcome, "advice_code") if isinstance(outcome, Mapping) else None


def of_refund(refund: Mapping[str, Any]) -> Facts:
    """Return the facts of a refund."""
    metadata = refund.get("metadata")
    return Facts(
        intent=optional_id(refund, "payment_intent"),
        refunds={
            object_id(refund, "id"): Refund(
                status=_known(refund, "status", core_facts.REFUND_RANK),
                amount=integer(refund, "amount"),
                created=timestamp(refund, "created"),
                reason=_code(refund, "reason"),
                request=_code(metadata, "refund_request") if isinstance(metadata, Mapping) else None,
                failure=_code(refund, "failure_reason"),
            )
        },
        unknown=_unknown(refund, "status", core_facts.REFUND_RANK),
    )


def of_dispute(dispute: Mapping[str, Any], stamp: int) -> Facts:
    """Return the facts of a dispute, synced at version `stamp` of its payment."""
    moves = dispute.get("balance_transactions") or []
    currency = optional_text(moves[0], "currency") if moves else None
    evidence = dispute.get("evidence_details")
    due_by = evidence.get("due_by") if isinstance(evidence, Mapping) else None
    return Facts(
        intent=optional_id(dispute, "payment_intent"),
        disputes={
            object_id(dispute, "id"): Dispute(
                stamp=stamp,
                status=_code(dispute, "status") or core_facts.UNKNOWN,
                amount=integer(dispute, "amount"),
                created=timestamp(dispute, "created"),
                reason=_code(dispute, "reason") or core_facts.UNKNOWN,
                withdrawn=-sum(
                    integer(move, "amount", minimum=-MAX_AMOUNT) for move in moves if move.get("currency") == currency
                ),
                withdrawn_currency=currency,
                due_by=due_by if type(due_by) is int and 0 < due_by < MAX_TIMESTAMP else None,
            )
        },
    )


def of_fraud_warning(warning: Mapping[str, Any]) -> Facts:
    """Return the facts of an early fraud warning."""
    stored = FraudWarning(timestamp(warning, "created"), _code(warning, "fraud_type") or core_facts.UNKNOWN)
    return Facts(fraud_warnings={object_id(warning, "id"): stored})


def sync_stamp(stored: Phase | None, date: int) -> tuple[int, int]:
    """Return the `at` and `order` of a sync, so that it sorts after the stored phase.

    `date` is Stripe's `Date` header in epoch seconds.
    """
    if stored is None or stored.at < date:
        return date, SYNC_ORDER
    return stored.at, max(stored.order + 1, SYNC_ORDER)


# --- fields of an object; each function raises `EventUnusable` ---


def text(obj: Mapping[str, Any], name: str) -> str:
    """Return a field that must be a text of 1 to `MAX_TEXT_LENGTH` characters."""
    value = obj.get(name)
    if isinstance(value, str) and value and len(value) <= MAX_TEXT_LENGTH and _is_unicode(value):
        return value
    raise EventUnusable(f"{obj.get('object', 'object')}.{name} should be a string, but is a {type(value).__name__}")


def _is_unicode(value: str) -> bool:
    """Whether it can be encoded: JSON can contain half a surrogate pair, which cannot be stored or logged."""
    return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)


def optional_text(obj: Mapping[str, Any], name: str) -> str | None:
    """Return a text, or None if the field is empty or missing."""
    return None if obj.get(name) in (None, "") else text(obj, name)


def _code(obj: Mapping[str, Any], name: str) -> str | None:
    """Return the first `MAX_CODE_LENGTH` characters of an optional text."""
    value = optional_text(obj, name)
    return value and value[:MAX_CODE_LENGTH]


def object_id(obj: Mapping[str, Any], name: str) -> str:
    """Return an id: ASCII, and short enough for a key of a table."""
    value = text(obj, name)
    if len(value) <= MAX_ID_LENGTH and value.isascii():
        return value
    raise EventUnusable(f"{obj.get('object', 'object')}.{name} should be an id")


def timestamp(obj: Mapping[str, Any], name: str) -> int:
    """Return a time in epoch seconds."""
    value = integer(obj, name)
    if 0 <= value < MAX_TIMESTAMP:
        return value
    raise EventUnusable(f"{obj.get('object', 'object')}.{name} should be a time in seconds")


def optional_id(obj: Mapping[str, Any], name: str) -> str | None:
    """Return the id in a field that Stripe may have expanded, or None if the field is empty or missing."""
    value = obj.get(name)
    if value in (None, ""):
        return None
    return object_id(value, "id") if isinstance(value, Mapping) else object_id(obj, name)


def integer(obj: Mapping[str, Any], name: str, *, minimum: int = 0) -> int:
    """Return an integer from `minimum` to `MAX_AMOUNT`. Only movements of a balance are negative."""
    value = obj.get(name)
    if type(value) is int and minimum <= value < MAX_AMOUNT:
        return value
    problem = "is too small or too large" if type(value) is int else f"is a {type(value).__name__}"
    raise EventUnusable(f"{obj.get('object', 'object')}.{name} should be an integer, but {problem}")


def _currency(obj: Mapping[str, Any]) -> str:
    """Return the currency, which Stripe writes in lower case."""
    value = text(obj, "currency")
    if value == value.lower():
        return value
    raise EventUnusable(f"{obj.get('object', 'object')}.currency should be in lower case")


def _known(obj: Mapping[str, Any], name: str, values: Collection[str]) -> str:
    """Return a text if it is one of the known values, else `UNKNOWN`."""
    value = optional_text(obj, name)
    return value if value is not None and value in values else core_facts.UNKNOWN
