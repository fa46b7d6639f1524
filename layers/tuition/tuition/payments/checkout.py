"""Buying: one open payment a user and track, however often, from wherever and at once it is asked for.

A create loads the enrollment, makes the object at Stripe under a key that is the payment's id, and commits both in
one transaction on the enrollment's version. Nothing that can be paid with leaves before that has committed. Who
loses the transaction looks again: at the winner's payment, at its own object, at an enrollment that moved for
another reason. Who leaves without an answer claims its object as abandoned before closing it, so that nobody can
commit what is dead.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from tuition import clock
from tuition.core import payment as payments
from tuition.core import stripe_json, timestamps
from tuition.core.audit import Entry
from tuition.core.catalog import Track
from tuition.core.enrollment import Enrollment
from tuition.core.errors import (
    AlreadyEnrolled,
    CodeRefused,
    Conflicted,
    Contended,
    PaymentInProgress,
    StripeRefused,
    StripeUnavailable,
    TooManyRequests,
    Unprocessable,
)
from tuition.core.facts import Facts, Kind
from tuition.core.money import Money
from tuition.core.payment import Payment, Terms
from tuition.core.refs import Customer, PaymentRef
from tuition.payments import customers, promotion_codes, recovery
from tuition.settings import settings
from tuition.storage import ledger
from tuition.storage.ledger import Change, PaymentState, StripeObjectTaken, VersionConflict
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import closing, resolve, sync
from tuition.stripe_gateway.client import Answer

CREATE_ROUNDS = 24
MAX_CREATES_PER_MINUTE = 60


@dataclass(frozen=True)
class Buyer:
    """Who buys: the user id and the verified e-mail of their token."""

    user_id: str
    email: str


@dataclass(frozen=True)
class PurchaseRequest:
    """What they want to buy, and how.

    The addresses are where Checkout sends its customer afterwards. `promotion` is the id at Stripe of the terms'
    code, once it has been found to be applicable.
    """

    track: Track
    kind: Kind
    terms: Terms
    success_url: str = ""
    cancel_url: str = ""
    promotion: str | None = None


@dataclass(frozen=True)
class OpenedPayment:
    """An open payment and Stripe's object to pay it with. `new`: it was made for this request."""

    payment: Payment
    object: Mapping[str, Any]
    new: bool

    def to_json(self) -> dict[str, Any]:
        """What the student's browser needs to pay, as the API answers it."""
        payment = self.payment
        if payment.kind == "intent":
            to_pay = {"payment_intent_id": payment.bound_to, "client_secret": self.object["client_secret"]}
        else:
            to_pay = {"session_id": payment.bound_to, "url": self.object["url"]}
        price = {"amount": payment.price.amount, "currency": payment.price.currency}
        return {"payment_id": payment.payment_id, **to_pay, **price, "track": payment.track, "status": payment.status}


def create_payment(
    buyer: Buyer, track: Track, *, save: bool = False, payment_method: str | None = None
) -> OpenedPayment:
    """The open payment of this user for this track, as a PaymentIntent to confirm in the browser.

    Raises `AlreadyEnrolled`, `PaymentInProgress`, `Conflicted` (money came in that staff must decide about),
    `TooManyRequests`, `Unprocessable` (the saved method is not usable), `StripeUnavailable` or `Contended`; after
    each of the last two the same request may be made again.
    """
    terms = Terms(track.price.amount, save_payment_method=save, payment_method=payment_method)
    return _create(buyer, PurchaseRequest(track, "intent", terms))


def create_checkout_session(
    buyer: Buyer, track: Track, *, success_url: str, cancel_url: str, save: bool = False, code: str | None = None
) -> OpenedPayment:
    """The open payment of this user for this track, as a Checkout Session to be paid on Stripe's page.

    The addresses are the caller's to check. An open session is answered again with the addresses that it has. The
    price is what the promotion code leaves of the track's. Raises as `create_payment`, and `CodeRefused`: then
    nothing was closed, and nothing was begun.
    """
    terms = Terms(track.price.amount, _normalize_code(code), save_payment_method=save)
    return _create(buyer, PurchaseRequest(track, "checkout", terms, success_url, cancel_url))


def _normalize_code(code: str | None) -> str | None:
    """A code as terms compare it: Stripe does not look at case. Other letters than ASCII's are in none, and stay."""
    return code.upper() if code and code.isascii() else code


def _create(buyer: Buyer, wish: PurchaseRequest) -> OpenedPayment:
    may_close: frozenset[str] | None = None
    unseen_method = wish.terms.payment_method
    for _ in range(CREATE_ROUNDS):
        enrollment, customer = ledger.load_for_create(buyer.user_id, wish.track.track)
        if enrollment.status == "ENROLLED":
            raise AlreadyEnrolled(f"you are enrolled in {wish.track.title} already")
        if enrollment.undecided:
            raise Conflicted("you have paid for this track, and another amount than was asked: the school looks at it")
        if unseen_method:
            customers.require_saved(customer, unseen_method)
            unseen_method = None
        open_now = enrollment.open_payments
        if may_close is None:  # only what was open at the first look: or two creates close each other's for ever
            may_close = frozenset(open_now)
        if not open_now:
            wish = _with_promotion(wish, customer)
            offer = _begin(buyer, wish, enrollment, customer)
        else:
            key = PaymentRef(open_now[0], buyer.user_id, wish.track.track)
            before = ledger.load(key)
            if before.payment is None:
                recovery.recover(key, enrollment, customer)
                offer = None
            elif _is_same_request(before, wish):
                offer = _reopen(key, before)
            else:
                wish = _with_promotion(wish, customer)  # a code that is refused closes nothing
                _close_first(key, before, enrollment, may_close)
                offer = None
        if offer:
            return offer
        if clock.remaining_s() < 1:
            break
    raise Contended("several requests for this track at once: try again")


def _with_promotion(wish: PurchaseRequest, customer: Customer | None) -> PurchaseRequest:
    """With the code of its terms found at Stripe, once. Raises `CodeRefused`."""
    if wish.terms.promotion_code is None or wish.promotion:
        return wish
    known = customer.stripe_customer_id if customer else None
    return replace(wish, promotion=promotion_codes.find(wish.terms.promotion_code, wish.track, known))


# --- the payment that is open already ---


def _is_same_request(before: PaymentState, wish: PurchaseRequest) -> bool:
    payment = before.found
    if not payment.open:
        return False
    same_currency = payment.price.currency == wish.track.price.currency
    return same_currency and (payment.kind, payment.terms) == (wish.kind, wish.terms)


def _reopen(key: PaymentRef, before: PaymentState) -> OpenedPayment | None:
    """The open payment, if Stripe still has it open. None: look again.

    Raises `PaymentInProgress` for a session that the student has completed: it has no address any more.
    """
    payment, obj = sync.refresh(key, before)
    if payment.gone:
        closing.close(key)
    if payment.open and obj.get("status") == "complete":
        raise PaymentInProgress(recovery.PROCESSING)
    return OpenedPayment(payment, obj, new=False) if payment.open else None


def _close_first(key: PaymentRef, before: PaymentState, enrollment: Enrollment, may_close: frozenset[str]) -> None:
    """Close the open payment, which is not the one that is wished. Raises `PaymentInProgress` where it must not be."""
    if not before.found.open:
        return
    if key.payment_id not in may_close:
        raise PaymentInProgress("another payment for this track was begun at the same time: finish or repeat that one")
    if before.found.status == "PROCESSING" and sync.refresh(key, before)[0].status == "PROCESSING":
        raise PaymentInProgress(recovery.PROCESSING)
    _attempt_times(enrollment)  # who may not begin another keeps the one that is open
    if closing.close(key).open:
        raise PaymentInProgress(recovery.PROCESSING)


# --- a new one ---


def _begin(
    buyer: Buyer, wish: PurchaseRequest, enrollment: Enrollment, known: Customer | None, new: Customer | None = None
) -> OpenedPayment | None:
    """Make the object at Stripe and commit it as the next attempt. None: look again.

    `known` is the customer that is kept already; `new` replaces it, and is kept with the payment.
    """
    begun = _attempt_times(enrollment)
    if known is None and new is None:
        new = customers.create(buyer.user_id, buyer.email, generation=1)
    customer = cast(Customer, new or known)
    attempt = enrollment.attempt + 1
    asked = _create_params(wish, customer)
    payment_id = payments.payment_id(
        settings().tuition_environment, buyer.user_id, wish.track.track, attempt, wish.kind, asked
    )
    key = PaymentRef(payment_id, buyer.user_id, wish.track.track)
    try:
        answer = _create_object(wish, asked, resolve.metadata(key, attempt, wish.kind), payment_id)
    except StripeRefused as refused:
        if refused.code == "resource_missing" and refused.param == "customer":
            if new:
                return None  # forgotten as soon as it was made
            new = customers.create(buyer.user_id, buyer.email, customer.generation + 1)
            return _begin(buyer, wish, enrollment, known, new)
        _on_refusal(refused, wish, customer, enrollment, attempt)
        return None
    except StripeUnavailable as unavailable:
        if not unavailable.replayed:
            raise
        ledger.next_attempt(enrollment, attempt, "replayed_failure")
        return None
    facts = _facts(wish, answer)
    if payments.status(facts) == "CANCELED":
        ledger.next_attempt(enrollment, attempt, "replayed_closed")
        return None
    price = Money(answer.object["amount" if wish.kind == "intent" else "amount_total"], answer.object["currency"])
    made = _payment(key, wish, attempt, answer.object["id"], price, buyer, customer, facts)
    return _commit(made, answer, enrollment, begun, new)


def _attempt_times(enrollment: Enrollment) -> tuple[int, ...]:
    """The times of the newest attempts with this one's. Raises `TooManyRequests` beyond 60 a minute."""
    now = int(clock.now())
    recent = [at for at in enrollment.begun if at > now - 60]
    if len(recent) >= MAX_CREATES_PER_MINUTE:
        raise TooManyRequests("too many payments were begun: wait a little", retry_after_s=max(1, recent[0] + 60 - now))
    return (*recent, now)


def _on_refusal(
    refused: StripeRefused, wish: PurchaseRequest, customer: Customer, enrollment: Enrollment, attempt: int
) -> None:
    """Stripe's definite no to a create: the key was used for something else, a no of long ago is repeated or what the
    key once made is gone, or the code or the saved method is no longer what it was when we asked for it."""
    if refused.stripe_type == "idempotency_error" or refused.replayed:
        ledger.next_attempt(enrollment, attempt, "replayed_refusal" if refused.replayed else "key_used")
    elif refused.code == "resource_missing" and refused.stripe_status == 404:
        ledger.next_attempt(enrollment, attempt, "replayed_gone")
    elif wish.terms.promotion_code and _is_about_the_code(refused):
        promotion_codes.find(wish.terms.promotion_code, wish.track, customer.stripe_customer_id)
        raise CodeRefused(f"Stripe does not accept this promotion code: {refused}", "not-applicable")
    elif wish.terms.payment_method and (refused.param == "payment_method" or "PaymentMethod" in str(refused)):
        raise Unprocessable("the saved payment method cannot be used: take another", field="payment_method")
    else:
        raise refused


def _is_about_the_code(refused: StripeRefused) -> bool:
    """Stripe has no code of its own for these refusals, and not all name their parameter."""
    named = f"{refused.param} {refused}".lower()
    return refused.code == "amount_too_small" or any(word in named for word in ("discount", "promotion", "coupon"))


def _create_params(wish: PurchaseRequest, customer: Customer) -> dict[str, Any]:
    """The parameters of the create without metadata: they are part of the payment's id."""
    asked: dict[str, Any] = {
        "customer": customer.stripe_customer_id,
        "allowed_payment_method_types": list(settings().payment_method_types),
    }
    if wish.kind == "checkout":
        return {**asked, **_session_params(wish)}
    usage = {"setup_future_usage": "on_session"} if wish.terms.save_payment_method else {}
    price = {"amount": wish.track.price.amount, "currency": wish.track.price.currency}
    method = {"payment_method": wish.terms.payment_method} if wish.terms.payment_method else {}
    return {**asked, **price, **usage, **method, "description": wish.track.title}


def _session_params(wish: PurchaseRequest) -> dict[str, Any]:
    """One track at the catalog's price, in its own currency: no adaptive pricing, no codes typed on the page.

    Who wants their method saved gets a box to tick on the page, which is their consent: `setup_future_usage` would
    save it unasked. https://docs.stripe.com/payments/checkout/save-during-payment
    """
    product = {"name": wish.track.title}
    price = {"currency": wish.track.price.currency, "unit_amount": wish.track.price.amount, "product_data": product}
    asked: dict[str, Any] = {
        "mode": "payment",
        "line_items": [{"price_data": price, "quantity": 1}],
        "adaptive_pricing": {"enabled": False},
        "payment_intent_data": {"description": wish.track.title},
        "success_url": wish.success_url,
        "cancel_url": wish.cancel_url,
    }
    if wish.promotion:
        asked["discounts"] = [{"promotion_code": wish.promotion}]
    if wish.terms.save_payment_method:
        asked["saved_payment_method_options"] = {"payment_method_save": "enabled"}
    return asked


def _create_object(wish: PurchaseRequest, asked: Mapping[str, Any], metadata: Mapping[str, str], key: str) -> Answer:
    """Make the object; an answer from Stripe's memory of the key is read again, since it may be long closed."""
    if wish.kind == "checkout":
        inner = {**asked["payment_intent_data"], "metadata": metadata}
        answer = stripe_client.create_session({**asked, "payment_intent_data": inner, "metadata": metadata}, key)
        return stripe_client.retrieve_session(answer.object["id"]) if answer.replayed else answer
    answer = stripe_client.create_intent({**asked, "metadata": metadata}, key)
    return stripe_client.retrieve_intent(answer.object["id"]) if answer.replayed else answer


def _facts(wish: PurchaseRequest, answer: Answer) -> Facts:
    """What the answer tells. A new object's phase is stamped as an event's: an event may be as new as this."""
    read: Callable[..., Facts] = stripe_json.of_intent if wish.kind == "intent" else stripe_json.of_session
    return read(answer.object, answer.date)


def _payment(
    key: PaymentRef,
    wish: PurchaseRequest,
    attempt: int,
    bound_to: str,
    price: Money,
    buyer: Buyer,
    customer: Customer,
    facts: Facts,
) -> Payment:
    now = timestamps.iso(clock.now())
    return Payment(
        payment_id=key.payment_id,
        user_id=buyer.user_id,
        track=key.track,
        kind=wish.kind,
        attempt=attempt,
        bound_to=bound_to,
        price=price,
        created_at=now,
        updated_at=now,
        email=buyer.email,
        customer=customer.stripe_customer_id,
        terms=wish.terms,
    ).merged(facts)


def _commit(
    made: Payment, answer: Answer, enrollment: Enrollment, begun: tuple[int, ...], customer: Customer | None
) -> OpenedPayment | None:
    """Commit what was made, as often as it loses for a reason that is none of its own. None: look again."""
    key = made.ref
    entry = Entry(made.created_at, f"create:{made.payment_id}", "payment.created", "request", actor=made.user_id)
    for tried in range(1, CREATE_ROUNDS):
        try:
            kept = ledger.commit(PaymentState(None, enrollment), Change(made, entry), begun=begun, customer=customer)
            return OpenedPayment(kept.payment or made, answer.object, new=True)
        except StripeObjectTaken as taken:
            _on_object_taken(taken, made, enrollment)
            return None
        except (VersionConflict, ledger.AlreadyRecorded):
            now = ledger.load(key)
        if now.payment:
            same = now.payment.bound_to == made.bound_to
            if same and now.payment.open:
                return OpenedPayment(now.payment, answer.object, new=False)
            if not same:
                _abandon(made)
            return None
        if now.enrollment.open_payments or now.enrollment.status == "ENROLLED":
            _abandon(made)
            return None
        enrollment = now.enrollment
        known = ledger.load_for_create(made.user_id, made.track)[1] if customer else None
        if customer and known and known.generation >= customer.generation:
            customer = None  # another purchase has kept one meanwhile: that record stands
        clock.pause(tried)
    _abandon(made)
    return None


def _on_object_taken(taken: StripeObjectTaken, made: Payment, enrollment: Enrollment) -> None:
    """Another create gave this object up: the attempt is spent. Anybody else's: give up ours, and look again."""
    if taken.pointer.stripe_id != made.bound_to:
        _abandon(made)
    elif taken.pointer.state == ledger.ABANDONED:
        ledger.next_attempt(enrollment, made.attempt, "abandoned")


def _abandon(made: Payment) -> None:
    closing.abandon(made.kind, made.bound_to, made.user_id, made.track)
