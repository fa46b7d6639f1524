"""Giving money back: a request is on the payment before Stripe is called, and whoever comes drives it to its end."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from tuition import clock
from tuition.core import payment as payments
from tuition.core import stripe_json, timestamps
from tuition.core.audit import Entry, Source
from tuition.core.errors import Contended, NotFound, RefundRefused, StripeRefused, StripeUnavailable, Unprocessable
from tuition.core.payment import Payment
from tuition.core.refs import PaymentRef
from tuition.core.refund_request import RefundRequest, State
from tuition.settings import settings
from tuition.storage import ledger
from tuition.storage.ledger import Change, PaymentState
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import resolve, sync

MAX_SUBMISSIONS = 4
MAX_TEXT_LENGTH = 500
MAX_REJECTIONS = 10
"""So often a student may ask again after Stripe refused: each request stays on the payment, whose item has an end."""


@dataclass(frozen=True)
class Actor:
    """Who comes to a request: each record of it names them. `actor` is a user id; the reconciler has none."""

    source: Source
    actor: str | None = None


def request(key: PaymentRef, reason: str) -> tuple[Payment, RefundRequest]:
    """A student's request for all that is left: done at once within the window, else it waits for staff.

    Asked again, the same request is driven on and answered; one of staff's is driven on too, and not shown.
    Raises `RefundRefused`, `StripeUnavailable`.
    """

    def ask(payment: Payment) -> RefundRequest | None:
        if any(known.undecided for known in payment.requests):
            return None
        _refuse_impossible(payment)
        if sum(known.state == "refused" for known in payment.requests) >= MAX_REJECTIONS:
            raise RefundRefused("Stripe has refused this refund many times: write to the school")
        state: State = "calling" if _within_window(payment) else "waiting"
        return _new(payment, payment.left, reason, by=key.user_id, state=state)

    by = Actor("request", key.user_id)
    payment, fresh = _add(key, ask, "refund.requested", by)
    asked = _newest(payment)
    driven = _resumed(key, payment, asked.id, by, fresh=fresh)
    if asked.by != key.user_id:
        raise RefundRefused("the school is refunding a part of this payment: ask again when that is done")
    return driven


def refund(
    key: PaymentRef, amount: int | None, reason: str, note: str | None, staff: str, *, left: int | None = None
) -> tuple[Payment, RefundRequest]:
    """Staff give back an amount (minor units), or all that is left. Raises as `request`, and `Unprocessable`.

    `left`: what was left when they decided. If it is another by now, somebody else was first, and they are told.

    Asked again while it is being made, whatever became of the first answer, it is driven on and answered; another's is
    driven on too, and then refused.
    """

    def ask(payment: Payment) -> RefundRequest | None:
        if any(known.state == "calling" for known in payment.requests):
            return None
        if any(known.undecided for known in payment.requests):
            raise RefundRefused("another refund of this payment is not decided yet: decide or wait for that one")
        _refuse_impossible(payment)
        if left is not None and left != payment.left:
            raise RefundRefused(f"{payment.left} is left to refund by now, not {left}: look again")
        wanted = payment.left if amount is None else amount
        if not 0 < wanted <= payment.left:
            raise Unprocessable(f"amount must be from 1 to {payment.left}, what is left to refund", field="amount")
        return replace(_new(payment, wanted, reason, by=staff, state="calling"), note=note)

    by = Actor("staff", staff)
    payment, fresh = _add(key, ask, "refund.ordered", by)
    asked = _newest(payment)
    driven = _resumed(key, payment, asked.id, by, fresh=fresh)
    if (asked.by, asked.reason, asked.amount) != (staff, reason, amount or asked.amount):
        raise RefundRefused("another refund of this payment was being made: look at it, then decide again")
    return driven


def decide(
    key: PaymentRef, request_id: str, *, approve: bool, note: str | None, staff: str
) -> tuple[Payment, RefundRequest]:
    """Staff approve or decline what waits; one that is approved and being made is driven on.

    Raises `NotFound`, `RefundRefused` when it no longer waits.
    """
    by, fresh = Actor("staff", staff), False

    def change(loaded: PaymentState) -> Change | None:
        nonlocal fresh
        payment = loaded.found
        known = _by_id(payment, request_id)
        fresh = known.state == "waiting"
        if approve and known.state == "calling":
            return None
        if known.state != "waiting":
            raise RefundRefused(f"this request is {known.state}: only one that waits can be decided")
        if approve:
            _refuse_impossible(payment)
        state: State = "calling" if approve else "declined"
        amount = min(known.amount, payment.left) if approve else known.amount
        decided = replace(known, state=state, amount=amount, decided_by=staff, note=note)
        entry = _entry(f"{request_id}:{state}", f"refund.{'approved' if approve else 'declined'}", by)
        return Change(_with_request(payment, decided), entry)

    payment = ledger.update(key, change).found
    return _resumed(key, payment, request_id, by, fresh=fresh)


# --- the request ---


def _add(
    key: PaymentRef, ask: Callable[[Payment], RefundRequest | None], type_: str, by: Actor
) -> tuple[Payment, bool]:
    """Store the request that `ask` makes of the payment, if any; True where this invocation stored one.

    What is open is asked for at Stripe first: it may have been paid, and its webhook late or lost.
    """
    made: set[str] = set()

    def change(loaded: PaymentState) -> Change | None:
        payment = loaded.found
        if payment.open:
            payment = payment.merged(sync.fetch(payment)[0])
        asked = ask(payment)
        if asked is None:
            return None
        made.add(asked.id)
        after = payment.with_requests((*payment.requests, asked))
        return Change(after, _entry(asked.id, type_, by))

    payment = ledger.update(key, change).found
    return payment, bool(made & {known.id for known in payment.requests})


def _new(payment: Payment, amount: int, reason: str, *, by: str, state: State) -> RefundRequest:
    """Its id is made of the payment, the version it was asked on and the time: after a restore a version comes again,
    and must not meet a refund that Stripe made for another request."""
    at = timestamps.iso(clock.now())
    digest = hashlib.sha256(f"{payment.payment_id}:{payment.version}:{at}".encode()).hexdigest()[:20]
    return RefundRequest(f"rr_{digest}", amount, reason, by, at, state)


def _refuse_impossible(payment: Payment) -> None:
    settled = payment.facts.settled
    if settled is None:
        raise RefundRefused(f"this payment is {payment.status}: only one that was paid can be refunded")
    if settled.amount == 0:
        raise RefundRefused("this payment was free: there is nothing to refund")
    if any(d.status not in payments.DECIDED_DISPUTES | payments.INQUIRIES for d in payment.facts.disputes.values()):
        raise RefundRefused("this payment is disputed: the bank decides who gets the money")
    if payment.left <= 0:
        raise RefundRefused("nothing is left to refund: it has been given back")


def _within_window(payment: Payment) -> bool:
    """Counted from the payment itself, not from when we learned of it."""
    paid = [charge.created for charge in payment.facts.charges.values() if charge.status == "succeeded"]
    paid += [payment.facts.settled.at] if payment.facts.settled else []
    return bool(paid) and clock.now() <= min(paid) + settings().refund_window_days * 86400


def _newest(payment: Payment) -> RefundRequest:
    undecided = [known for known in payment.requests if known.undecided]
    return (undecided or list(payment.requests))[-1]


def _by_id(payment: Payment, request_id: str) -> RefundRequest:
    for known in payment.requests:
        if known.id == request_id:
            return known
    raise NotFound("there is no such refund request on this payment")


def _with_request(payment: Payment, changed: RefundRequest) -> Payment:
    return payment.with_requests(tuple(changed if known.id == changed.id else known for known in payment.requests))


def _entry(event_id: str, type_: str, by: Actor) -> Entry:
    return Entry(timestamps.iso(clock.now()), event_id, type_, by.source, by.actor)


# --- driving it ---


def _resumed(
    key: PaymentRef, payment: Payment, request_id: str, by: Actor, *, fresh: bool
) -> tuple[Payment, RefundRequest]:
    payment = resume(key, payment, request_id, by, fresh=fresh)
    return payment, _by_id(payment, request_id)


def resume(key: PaymentRef, payment: Payment, request_id: str, by: Actor, *, fresh: bool = False) -> Payment:
    """Take a `calling` request to its end: look whether Stripe has its refund, else call. Others stay as they are.

    `fresh`: nobody can have called Stripe for it yet.

    Raises `StripeUnavailable` where Stripe gives no definite answer: the request stays `calling`, and the next
    to come drives it on with the same key. The try rises only when a key is known to be spent and a listing shows
    no refund of this request.
    """
    for _ in range(MAX_SUBMISSIONS):
        known = _by_id(payment, request_id)
        if known.state != "calling":
            return payment
        if not fresh:
            payment = sync.refresh(key)[0]
            if _by_id(payment, request_id).state != "calling":
                return payment
        payment, fresh = _submit(key, payment, known, by), True
    raise Contended("this refund is being made: ask again")


def _submit(key: PaymentRef, payment: Payment, known: RefundRequest, by: Actor) -> Payment:
    metadata = {**resolve.metadata(key, payment.attempt, payment.kind), "refund_request": known.id}
    params = {
        "payment_intent": payment.intent,
        "amount": known.amount,
        "reason": "requested_by_customer",
        "metadata": metadata,
    }
    try:
        answer = stripe_client.create_refund(params, known.idempotency_key)
    except StripeUnavailable as unavailable:
        if not unavailable.replayed:
            raise
        return _use_new_key(key, known, by)
    except StripeRefused as refused:
        if refused.stripe_type == "idempotency_error":
            return _use_new_key(key, known, by)
        return _record_refusal(key, known, str(refused), by)
    return _record_refund(key, known, answer.object, by)


def _record_refund(key: PaymentRef, known: RefundRequest, refund_object: dict[str, object], by: Actor) -> Payment:
    facts = stripe_json.of_refund(refund_object)

    def change(loaded: PaymentState) -> Change | None:
        payment = loaded.found
        after = payment.merged(facts)
        if after == payment:
            return None
        return Change(after, _entry(f"{known.id}:{refund_object['id']}", "refund.made", by))

    return ledger.update(key, change).found


def _record_refusal(key: PaymentRef, known: RefundRequest, why: str, by: Actor) -> Payment:
    """Stripe's definite no, after a pull: the refund may be there all the same, made by an earlier call."""

    def change(loaded: PaymentState) -> Change | None:
        payment = loaded.found
        if _by_id(payment, known.id).state != "calling":
            return None  # another drive has ended it
        after = payment.merged(sync.fetch(payment)[0])
        asked = _by_id(after, known.id)
        if asked.state == "calling":
            after = _with_request(after, replace(asked, state="refused", answer=why))
        return Change(after, _entry(f"{known.id}:refused:{known.tries}", "refund.refused", by))

    return ledger.update(key, change).found


def _use_new_key(key: PaymentRef, known: RefundRequest, by: Actor) -> Payment:
    """The key is spent: a new try, by a conditional write, if Stripe lists no refund of this request."""

    def change(loaded: PaymentState) -> Change | None:
        payment = loaded.found
        stored = _by_id(payment, known.id)
        if stored.state != "calling" or stored.tries != known.tries:
            return None  # another drive has ended it, or tries again
        after = payment.merged(sync.fetch(payment)[0])
        asked = _by_id(after, known.id)
        if asked.state == "calling":
            after = _with_request(after, replace(asked, tries=known.tries + 1))
        return Change(after, _entry(f"{known.id}:try:{known.tries + 1}", "refund.tried_again", by))

    return ledger.update(key, change).found


# --- what is answered ---


def http_status(asked: RefundRequest) -> int:
    """200 decided, 202 waiting for staff or for Stripe. Raises `RefundRefused` where Stripe said no."""
    if asked.state in ("refused", "failed"):
        raise RefundRefused(f"Stripe did not make the refund: {asked.answer or 'no reason given'}")
    return 202 if asked.undecided else 200
