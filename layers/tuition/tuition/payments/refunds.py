"""Refund a payment: store a request on it, then submit the refund to Stripe.

A request is stored before Stripe is called, so an unfinished refund is never lost: the student or staff who repeat the
request, Stripe's own event and the reconciler all resume it, with the same idempotency key.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tuition import clock, retry
from tuition.core import payment as payments
from tuition.core import stripe_json, timestamps
from tuition.core.audit import WITHDRAWN_RECORD, Actor, AuditEntry
from tuition.core.errors import (
    Contended,
    NotConfigured,
    NotFound,
    RefundRefused,
    RefundRepeated,
    StripeRefused,
    StripeUnavailable,
    Unprocessable,
    WithdrawalUnconfirmed,
)
from tuition.core.facts import Facts, Withdrawal
from tuition.core.money import Money, is_on_step, step
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.refs import PaymentRef
from tuition.core.refund_request import (
    MAX_ANSWER_LENGTH,
    MAX_REQUESTS,
    RefundRequest,
    State,
    StripeReason,
    are_too_many,
)
from tuition.log import logger
from tuition.settings import settings
from tuition.storage import ledger, limits
from tuition.storage.ledger import Change
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import resolve, sync

MAX_TEXT_LENGTH = 500
"""Of a reason, a note or a message, in characters."""
MAX_NAME_LENGTH = 200
"""Of the name in a withdrawal, in characters."""
CONFIRM_WITHDRAWAL = "You can withdraw from this contract without a reason. Confirm it: send withdrawal and your name."
NO_REASON = "Withdrawal from the contract"
"""The reason of the refund of a withdrawal, for which no reason is asked."""
STRIPE_FAILURES = (StripeUnavailable, StripeRefused, NotConfigured)
"""Failures that do not stop a withdrawal: Stripe does not answer, or refuses our request or our key."""


def request(ref: PaymentRef, reason: str) -> tuple[Payment, RefundRequest]:
    """Handle a student's request to refund all that can be refunded. Within the window it is submitted at once.

    Later requests await approval by staff. So does each request for a bank debit: the bank could return the debit too,
    and the school would pay twice. And so does each request after another payment of the user for this track was
    refunded: otherwise a student could buy and refund a track without end.

    In the EU, a request in the withdrawal period is a withdrawal (`withdraw`), so here it is refused.

    Repeating an undecided request resumes it. A refund by staff is resumed too, but not shown. Raises `RefundRefused`,
    `StripeUnavailable`, `WithdrawalUnconfirmed`, `Contended`.
    """

    def new_request(before: PaymentState) -> RefundRequest | None:
        payment = before.existing
        if settings().is_eu and not payment.plan and payments.may_withdraw(payment) and is_within_window(payment):
            raise WithdrawalUnconfirmed(CONFIRM_WITHDRAWAL)
        if any(existing.undecided for existing in payment.requests):
            return None
        if before.plan and before.plan.requested_payment not in (None, payment.payment_id):  # about the whole plan too
            raise Contended("A refund of this plan was requested at the same time. Try again.")
        _require_refundable(payment)
        if are_too_many(payment.requests):
            raise RefundRefused("This refund was rejected or withdrawn several times. Contact the school.")
        # The money of a plan is requested back as a whole: `payments.plans` decides whether that needs staff.
        state: State = "awaiting_approval" if payment.plan or _is_for_staff(before) else "submitting"
        return _new(payment, payment.refundable_amount, reason, by=ref.user_id, state=state)

    actor = Actor("request", ref.user_id)
    payment, fresh = _add(ref, new_request, "refund.requested", actor)
    current = _current(payment)
    result = _resumed(ref, payment, current.id, actor, fresh=fresh)
    if current.by != ref.user_id:
        raise RefundRefused("The school has started a refund of this payment. Reload it to see what is left.")
    return result


def withdraw_request(ref: PaymentRef, request_id: str) -> Payment:
    """Withdraw a student's own request that awaits approval. Repeating it changes nothing.

    Staff may decide at the same time: the first commit counts. Raises `NotFound`, and `RefundRefused` if the request no
    longer awaits approval, or follows a withdrawal from the contract, which cannot be undone.
    """
    actor = Actor("request", ref.user_id)

    def change(state: PaymentState) -> Change | None:
        payment = state.existing
        existing = _by_id(payment, request_id)
        if existing.state == "withdrawn":
            return None
        if not payments.may_withdraw_request(payment, existing):
            raise RefundRefused(
                "You have withdrawn from the contract, and that cannot be undone."
                if payment.facts.withdrawn
                else "This refund request has already been decided. Reload the payment."
            )
        withdrawn = _with_request(payment, replace(existing, state="withdrawn"))
        return Change(withdrawn, _entry(f"{request_id}:withdrawn", "refund.withdrawn", actor))

    return ledger.update(ref, change).existing


def withdraw(ref: PaymentRef, name: str, email: str | None, reason: str | None = None) -> Payment:
    """Handle a student's withdrawal from the contract. It is a fact, so access ends whatever becomes of the refund.

    The refund of all that can be refunded is requested in the same transaction, and submitted at once unless staff must
    decide when to make it: for a bank debit, after a refund of another payment for the track, and while a dispute is
    open. They cannot decline it. If another refund is undecided, attention keeps the rest until it is paid. While a
    bank processes the debit there is nothing to refund: its money is due once it settles, and attention names the day.

    `email` is where the acknowledgement goes. Only the first withdrawal counts: repeating it resumes its refund, and
    changes nothing else. Stripe may be out of reach or refuse our key, if our facts suffice to decide. If they do not,
    its failure is raised. Raises `RefundRefused`.
    """
    actor = Actor("request", ref.user_id)
    before = ledger.load(ref)
    limits.take_request(ref.user_id, before.limits)
    synced = _sync_for_withdrawal(ref, before)
    created: set[str] = set()

    def change(state: PaymentState) -> Change | None:
        payment = state.existing
        if payment.facts.withdrawn:
            return None
        _require_withdrawable(payment)
        now = clock.now()
        withdrawn = payment.merged(Facts(withdrawn=Withdrawal(int(now), name, email or payment.email)))
        new = _request_after_withdrawal(state, withdrawn, reason)
        if new:
            created.add(new.id)
            withdrawn = withdrawn.with_requests((*withdrawn.requests, new))
        return Change(
            withdrawn, AuditEntry(timestamps.iso(now), "withdrawal", WITHDRAWN_RECORD, "request", ref.user_id)
        )

    payment = ledger.update(ref, change).existing
    submitting = [existing.id for existing in payment.requests if existing.state == "submitting"]
    try:
        for request_id in submitting:
            payment = resume(ref, payment, request_id, actor, fresh=synced and request_id in created)
    except (*STRIPE_FAILURES, Contended) as error:  # the withdrawal stands, and the reconciler resumes its refund
        logger.warning("the refund of a withdrawal was not submitted", payment_id=ref.payment_id, error=str(error))
        payment = ledger.load(ref).existing
    return payment


def _sync_for_withdrawal(ref: PaymentRef, before: PaymentState) -> bool:
    """Sync a payment before its student withdraws. Return False if Stripe fails and our facts suffice."""
    try:
        sync.refresh(ref, before)
    except STRIPE_FAILURES as error:
        logger.warning("a withdrawal was not preceded by a sync", payment_id=ref.payment_id, error=str(error))
        if before.existing.facts.withdrawn is None and not payments.may_withdraw(before.existing):
            raise
        return False
    return True


def _require_withdrawable(payment: Payment) -> None:
    if not payments.may_withdraw(payment):
        _require_refundable(payment)
        raise RefundRefused("You cannot withdraw from this contract any more.")
    if not settings().is_eu or not is_within_window(payment):
        raise RefundRefused("The period for a withdrawal has ended. You can still request a refund: send a reason.")


def _request_after_withdrawal(before: PaymentState, withdrawn: Payment, reason: str | None) -> RefundRequest | None:
    """Return the refund request of a withdrawal; None if nothing can be refunded, or another refund is undecided.

    A refund of a part that Stripe has accepted does not block the rest.
    """
    if (
        payments.has_blocking_request(withdrawn)
        or withdrawn.refundable_amount <= 0
        or len(withdrawn.requests) >= MAX_REQUESTS
    ):
        return None
    is_held = payments.refund_refusal(withdrawn) == "disputed"
    state: State = "awaiting_approval" if is_held or _is_for_staff(before) else "submitting"
    return _new(withdrawn, withdrawn.refundable_amount, reason or NO_REASON, by=withdrawn.user_id, state=state)


def refund(
    ref: PaymentRef,
    amount: int | None,
    reason: str,
    note: str | None,
    staff: str,
    *,
    expected: int | None = None,
    message: str | None = None,
    idempotency_key: str | None = None,
    stripe_reason: StripeReason | None = None,
    currency: str | None = None,
) -> tuple[Payment, RefundRequest]:
    """Refund an amount (minor units), or all that can be refunded, for staff. Raises as `request`, and `Unprocessable`.

    The student sees `reason` and `message`, and never `note` or `stripe_reason`. `expected` is the refundable amount
    that they saw: if it has changed, another refund came first. With `currency`, another one is refused. With an
    `idempotency_key` the same order is made once. With neither, an amount that was refunded before is refused
    (`RefundRepeated`), because the order may be a repetition of one whose answer was lost. Repeating a refund that is
    being submitted resumes it. Another member of staff's refund is resumed, then refused.
    """
    order_key = _order_key(ref, staff, idempotency_key) if idempotency_key else None

    def new_request(before: PaymentState) -> RefundRequest | None:
        payment = before.existing
        if currency not in (None, payment.currency):
            raise Unprocessable(f"This payment is in {payment.currency}, and so are its refunds.", field="currency")
        if _by_order_key(payment, order_key):
            return None
        if any(existing.state == "submitting" for existing in payment.requests):
            return None
        if payments.has_blocking_request(payment):
            raise RefundRefused("Another refund of this payment is undecided. Decide it, or wait for its result.")
        _require_refundable(payment)
        refundable = payment.refundable_amount
        if expected is not None and expected != refundable:
            now, before_that = (Money(one, payment.currency) for one in (refundable, expected))
            raise RefundRefused(f"The refundable amount is now {now}, not {before_that}. Reload the payment.")
        chosen = refundable if amount is None else amount
        _require_possible(Money(chosen, payment.currency), refundable)
        if expected is None and order_key is None and _is_refunded_amount(payment, chosen):
            raise RefundRepeated(
                "This amount of this payment was refunded before. To refund it once more, send "
                "expected_refundable_amount or an Idempotency-Key."
            )
        request = _new(payment, chosen, reason, by=staff, state="submitting")
        return replace(request, note=note, message=message, order_key=order_key, stripe_reason=stripe_reason)

    actor = Actor("staff", staff)
    payment, fresh = _add(ref, new_request, "refund.created_by_staff", actor)
    same_order = _by_order_key(payment, order_key)
    if same_order and (same_order.reason, same_order.stripe_reason, same_order.amount) != (
        reason,
        stripe_reason,
        amount or same_order.amount,
    ):
        raise Unprocessable(
            "This Idempotency-Key was used for another refund. Send a new one.", field="idempotency-key"
        )
    current = same_order or _current(payment)
    result = _resumed(ref, payment, current.id, actor, fresh=fresh)
    order = (staff, reason, stripe_reason, amount or current.amount, order_key)
    if (current.by, current.reason, current.stripe_reason, current.amount, current.order_key) != order:
        raise RefundRefused("Another refund of this payment was being made. Reload the payment, then decide again.")
    return result


def _require_possible(amount: Money, refundable: int) -> None:
    """Raise `Unprocessable` unless an amount can be refunded. All that is left can be, whatever it is."""
    least = step(amount.currency)
    if not 0 < amount.amount <= refundable:
        most = Money(refundable, amount.currency)
        possible = f"amount must be from {least.amount} to {refundable}, the refundable amount ({most})"
        raise Unprocessable(possible, field="amount")
    if amount.amount < refundable and not is_on_step(amount):
        raise Unprocessable(f"amount must be a multiple of {least.amount} ({least}), and is {amount}", field="amount")


def _order_key(ref: PaymentRef, staff: str, idempotency_key: str) -> str:
    """Return what is stored of an `Idempotency-Key`: of fixed length, and different for each member of staff."""
    return hashlib.sha256(f"{ref.payment_id}:{staff}:{idempotency_key}".encode()).hexdigest()[:20]


def _by_order_key(payment: Payment, order_key: str | None) -> RefundRequest | None:
    """Return the refund that was ordered with this key, if any."""
    return next((existing for existing in payment.requests if order_key and existing.order_key == order_key), None)


def _is_refunded_amount(payment: Payment, amount: int) -> bool:
    """Whether a refund of this amount was made, by whatever way, and did not fail."""
    return any(
        refund.amount == amount and refund.status in payments.REDUCING_REFUNDS
        for refund in payment.facts.refunds.values()
    )


def refund_all(ref: PaymentRef, reason: str, actor: Actor) -> Payment:
    """Refund all that can be refunded of a payment whose plan ended with all money back, and return it.

    A request that awaits approval is submitted instead of a new one. Repeating it resumes the refund. Raises
    `StripeUnavailable`, `StripeRefused`, `NotConfigured` or `Contended`: the next call continues.
    """
    sync.refresh(ref)
    created: set[str] = set()

    def change(state: PaymentState) -> Change | None:
        payment = state.existing
        if payments.refund_refusal(payment) or any(one.state in ("submitting", "pending") for one in payment.requests):
            return None
        awaiting = next((one for one in payment.requests if one.state == "awaiting_approval"), None)
        if awaiting:
            submitting = replace(awaiting, state="submitting", amount=payment.refundable_amount)
            entry = _entry(f"{awaiting.id}:submitting", "refund.approved", actor)
            return Change(_with_request(payment, submitting), entry)
        if len(payment.requests) >= MAX_REQUESTS:
            return None
        by = actor.user_id or payment.user_id
        new = _new(payment, payment.refundable_amount, reason, by=by, state="submitting")
        created.add(new.id)
        return Change(payment.with_requests((*payment.requests, new)), _entry(new.id, "refund.requested", actor))

    payment = ledger.update(ref, change).existing
    for one in [one.id for one in payment.requests if one.state == "submitting"]:
        payment = resume(ref, payment, one, actor, fresh=one in created)
    return payment


def decide(
    ref: PaymentRef, request_id: str, *, approve: bool, note: str | None, staff: str, message: str | None = None
) -> tuple[Payment, RefundRequest]:
    """Approve or decline a request that awaits approval. Approving it again while it is submitted resumes it.

    The student sees `message`, and never `note`.
    Raises `NotFound`, and `RefundRefused` if the request no longer awaits approval.
    """
    actor, fresh = Actor("staff", staff), False

    def change(state: PaymentState) -> Change | None:
        nonlocal fresh
        payment = state.existing
        existing = _by_id(payment, request_id)
        fresh = existing.state == "awaiting_approval"
        if approve and existing.state == "submitting":
            return None
        if existing.state != "awaiting_approval":
            raise RefundRefused(
                "The student has withdrawn this request. Reload the payment."
                if existing.state == "withdrawn"
                else "This request has already been decided. Reload the payment."
            )
        if not approve and payment.facts.withdrawn:
            raise RefundRefused(
                "The student has withdrawn from the contract, so this refund cannot be declined. "
                f"It must be made by {payment.refund_due_by}."
            )
        if approve:
            _require_refundable(payment)
        new_state: State = "submitting" if approve else "declined"
        amount = min(existing.amount, payment.refundable_amount) if approve else existing.amount
        decided = replace(existing, state=new_state, amount=amount, decided_by=staff, note=note, message=message)
        entry = _entry(f"{request_id}:{new_state}", f"refund.{'approved' if approve else 'declined'}", actor)
        return Change(_with_request(payment, decided), entry)

    before = ledger.load(ref)
    if approve and _by_id(before.existing, request_id).state == "awaiting_approval":
        sync.refresh(ref, before)  # a refund in the dashboard or a dispute may not be known yet
    payment = ledger.update(ref, change).existing
    return _resumed(ref, payment, request_id, actor, fresh=fresh)


# --- the request ---


def _add(
    ref: PaymentRef, new_request: Callable[[PaymentState], RefundRequest | None], type_: str, actor: Actor
) -> tuple[Payment, bool]:
    """Store the request that `new_request` returns, if any. Return True if this invocation stored one.

    The payment is synced first, unless a request is undecided. It may have been paid, refunded in Stripe's dashboard or
    disputed, with its webhook late or lost. The sync is committed even if the request is then refused.
    """
    before = ledger.load(ref)
    if actor.source == "request":
        limits.take_request(ref.user_id, before.limits)
    if not any(existing.undecided for existing in before.existing.requests):
        sync.refresh(ref, before)
    created: set[str] = set()

    def change(state: PaymentState) -> Change | None:
        payment = state.existing
        new = new_request(state)
        if new is None:
            return None
        if len(payment.requests) >= MAX_REQUESTS:
            raise RefundRefused(
                f"This payment has had {MAX_REQUESTS} refund requests, and no more are accepted. Contact the school."
            )
        created.add(new.id)
        return Change(payment.with_requests((*payment.requests, new)), _entry(new.id, type_, actor))

    payment = ledger.update(ref, change).existing
    return payment, bool(created & {existing.id for existing in payment.requests})


def _new(payment: Payment, amount: int, reason: str, *, by: str, state: State) -> RefundRequest:
    """Return a new request. Its id includes the time, because a restore can bring a payment's version back.

    With the same id it would meet the refund that Stripe made for another request.
    """
    at = timestamps.iso(clock.now())
    digest = hashlib.sha256(f"{payment.payment_id}:{payment.version}:{at}".encode()).hexdigest()[:20]
    return RefundRequest(f"rr_{digest}", amount, reason, by, at, state)


def _require_refundable(payment: Payment) -> None:
    problem = _why_not_refundable(payment)
    if problem:
        raise RefundRefused(problem)


def _why_not_refundable(payment: Payment) -> str | None:
    refusal = payments.refund_refusal(payment)
    if refusal == "unpaid":
        return f"This payment is {payment.status}. Only a paid payment can be refunded."
    return _REFUSALS[refusal] if refusal else None


_REFUSALS: dict[payments.RefundRefusal, str] = {
    "free": "This payment was free, so there is nothing to refund.",
    "disputed": "This payment is disputed. The bank decides who gets the money.",
    "refunded": "This payment has already been refunded.",
}


def _is_for_staff(before: PaymentState) -> bool:
    """Whether a student's request awaits approval. Once they have withdrawn, the window no longer counts."""
    payment = before.existing
    is_repeated = bool(before.enrollment.refunded - {payment.grantor})
    in_time = payment.facts.withdrawn is not None or is_within_window(payment)
    may_be_returned = before.plan is not None and before.plan.may_be_returned
    return is_repeated or _may_be_bank_debit(payment) or may_be_returned or not in_time


def _may_be_bank_debit(payment: Payment) -> bool:
    """Whether the student paid by a bank debit, or we do not know yet how they paid: Stripe was out of reach."""
    charges = payment.facts.charges.values()
    is_known = any(charge.status == "succeeded" and charge.type for charge in charges)
    return payment.is_bank_debit or not is_known


def is_within_window(payment: Payment) -> bool:
    """Whether a refund is still made at once, and a student can still withdraw.

    The window starts with the order, when the contract is concluded, and not when we saw the payment or the bank paid.
    Source: https://eur-lex.europa.eu/eli/dir/2011/83/oj, Article 9(2)
    """
    ordered_at = payment.ordered_at
    return ordered_at is not None and clock.now() <= timestamps.epoch(ordered_at) + settings().refund_days * 86400


def _current(payment: Payment) -> RefundRequest:
    """Return the newest undecided request, else the newest."""
    undecided = [existing for existing in payment.requests if existing.undecided]
    return (undecided or list(payment.requests))[-1]


def _by_id(payment: Payment, request_id: str) -> RefundRequest:
    for existing in payment.requests:
        if existing.id == request_id:
            return existing
    raise NotFound("This payment has no such refund request.")


def _with_request(payment: Payment, changed: RefundRequest) -> Payment:
    return payment.with_requests(
        tuple(changed if existing.id == changed.id else existing for existing in payment.requests)
    )


def _entry(event_id: str, type_: str, actor: Actor) -> AuditEntry:
    return AuditEntry(timestamps.iso(clock.now()), event_id, type_, actor.source, actor.user_id)


# --- submitting it ---


def _resumed(
    ref: PaymentRef, payment: Payment, request_id: str, actor: Actor, *, fresh: bool
) -> tuple[Payment, RefundRequest]:
    payment = resume(ref, payment, request_id, actor, fresh=fresh)
    return payment, _by_id(payment, request_id)


def resume(ref: PaymentRef, payment: Payment, request_id: str, actor: Actor, *, fresh: bool = False) -> Payment:
    """Finish a request that is being submitted: sync to see if Stripe has its refund, else submit it.

    `fresh`: no other invocation can have submitted it yet. Requests in other states are left as they are. Raises
    `StripeUnavailable` if Stripe gives no definite answer: the request stays `submitting`, and the next call resumes it
    with the same idempotency key. `tries` rises only if the key is spent and Stripe lists no refund of this request.
    """
    for _ in retry.attempts(retry.REFUND):
        existing = _by_id(payment, request_id)
        if existing.state != "submitting":
            return payment
        if not fresh:
            payment = sync.refresh(ref)[0]
            if _by_id(payment, request_id).state != "submitting":
                return payment
        payment, fresh = _submit(ref, payment, existing, actor), True
    raise Contended("This refund is being made. Try again.")


def _submit(ref: PaymentRef, payment: Payment, existing: RefundRequest, actor: Actor) -> Payment:
    metadata = {**resolve.metadata(ref, payment.attempt, payment.kind), "refund_request": existing.id}
    params = {
        "payment_intent": payment.intent,
        "amount": existing.amount,
        "reason": existing.stripe_reason or "requested_by_customer",
        "metadata": metadata,
    }
    try:
        answer = stripe_client.create_refund(params, existing.idempotency_key)
    except StripeUnavailable as unavailable:
        if not unavailable.replayed:
            raise
        return _use_new_key(ref, existing, actor)
    except StripeRefused as refused:
        if refused.stripe_type == "idempotency_error":
            return _use_new_key(ref, existing, actor)
        return _record_refusal(ref, existing, str(refused), actor)
    return _record_refund(ref, existing, answer.object, actor)


def _record_refund(ref: PaymentRef, existing: RefundRequest, refund_object: dict[str, Any], actor: Actor) -> Payment:
    facts = stripe_json.of_refund(refund_object)

    def change(state: PaymentState) -> Change | None:
        payment = state.existing
        after = payment.merged(facts)
        if after == payment:
            return None
        return Change(after, _entry(f"{existing.id}:{refund_object['id']}", "refund.made", actor))

    return ledger.update(ref, change).existing


def _record_refusal(ref: PaymentRef, existing: RefundRequest, why: str, actor: Actor) -> Payment:
    """Record Stripe's refusal, after a sync: an earlier call may have made the refund.

    The answer is our own reason if the sync shows one, because Stripe's message names its objects.
    """

    def change(state: PaymentState) -> Change | None:
        payment = state.existing
        if _by_id(payment, existing.id).state != "submitting":
            return None  # another invocation has finished it
        after = payment.merged(sync.fetch(payment)[0])
        current = _by_id(after, existing.id)
        if current.state == "submitting":
            answer = (_why_not_refundable(after) or why)[:MAX_ANSWER_LENGTH]
            after = _with_request(after, replace(current, state="rejected", answer=answer))
        return Change(after, _entry(f"{existing.id}:refused:{existing.tries}", "refund.refused", actor))

    return ledger.update(ref, change).existing


def _use_new_key(ref: PaymentRef, existing: RefundRequest, actor: Actor) -> Payment:
    """Count one more try, because the key is spent, unless Stripe lists a refund of this request."""

    def change(state: PaymentState) -> Change | None:
        payment = state.existing
        stored = _by_id(payment, existing.id)
        if stored.state != "submitting" or stored.tries != existing.tries:
            return None  # another invocation has finished it, or has taken a new key
        after = payment.merged(sync.fetch(payment)[0])
        current = _by_id(after, existing.id)
        if current.state == "submitting":
            after = _with_request(after, replace(current, tries=existing.tries + 1))
        return Change(after, _entry(f"{existing.id}:try:{existing.tries + 1}", "refund.tried_again", actor))

    return ledger.update(ref, change).existing


# --- the answer ---


def withdrawal_http_status(payment: Payment) -> int:
    """Return 202 while money of a withdrawal is due or under way, else 200. A failed refund is no failed withdrawal.

    While a bank processes the debit, its money is under way too.
    """
    undecided = any(existing.undecided for existing in payment.requests)
    return 202 if undecided or payments.amount_due(payment) or payment.status == "PROCESSING" else 200


def http_status(refund_request: RefundRequest) -> int:
    """Return 200 for a decided request, 202 for an undecided one. Raises `RefundRefused` if Stripe made no refund."""
    if refund_request.state in ("rejected", "failed"):
        reason = refund_request.answer or "no reason given"
        raise RefundRefused(f"Stripe did not make the refund: {reason}")
    return 202 if refund_request.undecided else 200
