"""A student begins a payment plan, chooses its payment method, or begins a track of a membership.

`plan_payments` pays its installments, `plan_endings` ends it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tuition import clock
from tuition.core import catalog, plan_methods, timestamps
from tuition.core.audit import AuditEntry
from tuition.core.catalog import Membership
from tuition.core.errors import (
    AlreadyEnrolled,
    Conflicted,
    ConsentOutdated,
    MethodNotReusable,
    NoMembershipAccess,
    NotAPlan,
    PlanNotPayable,
    RegionNotOffered,
    StripeRefused,
    StripeUnavailable,
    TooManyRequests,
    UnknownOffer,
)
from tuition.core.facts import Kind
from tuition.core.offers import FULL
from tuition.core.payment_state import PaymentState
from tuition.core.plan_facts import Method, PlanFacts
from tuition.core.plan_terms import PlanTerms
from tuition.core.refs import Customer
from tuition.payments import checkout, customers, offers, opening, own_plans
from tuition.payments.checkout import Buyer, Product
from tuition.payments.opening import OpenedPayment
from tuition.settings import settings
from tuition.storage import ledger, limits
from tuition.storage.ledger import PlanChange
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import closing, resolve

MAX_TRACKS = 10
"""The tracks that a member begins. Each has an enrollment, and all are written in one transaction."""
MAX_SETUPS = 8
"""SetupIntents that one request tries: an earlier one may have succeeded, or be canceled."""


class Urls(NamedTuple):
    """Where Checkout sends its customer afterwards. The caller has checked both."""

    success: str = ""
    cancel: str = ""


# --- beginning ---


def begin(
    buyer: Buyer,
    *,
    track: object,
    membership: str | None,
    offer: str,
    consent: str,
    kind: Kind,
    urls: Urls,
    payment_method: str | None = None,
    agreed_version: str | None = None,
) -> OpenedPayment:
    """Return the open first payment of a plan of this user, with the plan. One of `track` and `membership` is given.

    `consent` is the version of the text that the student agreed to. Raises `UnknownTrack`, `UnknownOffer`, `NotAPlan`,
    `RegionNotOffered`, `ConsentOutdated`, and as `checkout.begin_plan`.
    """
    product, terms = _offered(track, membership, offer)
    if not offers.are_listed():
        raise RegionNotOffered("The school offers no payment plans in your region. Pay the full price instead.")
    if consent != terms.consent_version:
        raise ConsentOutdated(terms.consent_version)
    return checkout.begin_plan(
        buyer,
        product,
        terms,
        kind=kind,
        success_url=urls.success,
        cancel_url=urls.cancel,
        payment_method=payment_method,
        agreed_version=agreed_version,
    )


def _offered(track: object, membership: str | None, name: str) -> tuple[Product, PlanTerms]:
    """Return what an offer of a track or membership buys, and the terms of a plan that begins now.

    Raises `UnknownTrack`, `UnknownOffer` or `NotAPlan`.
    """
    if name == FULL:
        raise NotAPlan("This is the full price. Pay it without a plan.", field="offer")
    product = catalog.find(track) if membership is None else _membership(membership)
    offer = next((one for one in product.offers if one.offer == name), None)
    if offer is None:
        names = ", ".join(one.offer for one in product.offers) or "none"
        raise UnknownOffer(f"{product.title} has no such offer. Its offers are: {names}.", field="offer")
    terms = PlanTerms.of(
        offer,
        offers.rules(),
        zone=settings().school_time_zone,
        consent_version=offers.consent_of(product, offer).version,
        agreed_at=int(clock.now()),
    )
    is_membership = isinstance(product, Membership)
    code = product.membership if isinstance(product, Membership) else product.track
    return Product(code, product.title, terms.amount_of((1,)), is_membership), terms


def _membership(code: str) -> Membership:
    membership = catalog.memberships().get(code)
    if membership is None or not membership.sold:
        raise UnknownOffer("There is no such membership.", field="membership")
    return membership


# --- the payment method ---


class Setup(NamedTuple):
    """A SetupIntent, with which the browser sets up a payment method."""

    setup_intent_id: str
    client_secret: str


def begin_method(plan_id: str, user_id: str) -> Setup:
    """Return a SetupIntent to set up another payment method for a plan; the same one until it is used.

    Raises `NotFound`, `PlanNotPayable`, `Conflicted` (the customer was deleted at Stripe), `TooManyRequests` (also
    after too many declines), `StripeUnavailable`.
    """
    state = _with_method(plan_id, user_id)
    wait_s = closing.wait_to_try_again(state.limits)
    if wait_s:
        raise TooManyRequests(
            "Too many payment methods were declined. Wait, then set up another one.", retry_after_s=wait_s
        )
    customer = _customer(state)
    plan = state.existing_plan
    params = {
        "customer": customer.stripe_customer_id,
        "usage": "off_session",
        "allowed_payment_method_types": opening.reusable_types(),
        "metadata": {**resolve.owner_metadata(), "user_id": user_id, "plan": plan_id},
    }
    newest = max((method.set_up for method in plan_methods.methods(plan).values()), default=0)
    for number in range(1, MAX_SETUPS + 1):
        setup = _setup(params, f"{plan_id}:method:{customer.generation}:{newest}:{number}")
        if setup:
            return setup
    raise StripeUnavailable("No payment method can be set up at Stripe. Try again.", 502)


def _setup(params: Mapping[str, Any], key: str) -> Setup | None:
    """Return the SetupIntent of this key; None if it can no longer be used."""
    try:
        answer = stripe_client.create_setup_intent(params, key)
        if answer.replayed:
            answer = stripe_client.retrieve_setup_intent(answer.object["id"])
    except StripeRefused as refused:
        if refused.code == "resource_missing" and refused.param == "customer":
            raise Conflicted(
                "Your payment methods are no longer saved. Pay the next installment: we keep the card that you use."
            ) from refused
        if refused.stripe_type == "idempotency_error" or refused.replayed or refused.code == "resource_missing":
            return None
        raise
    except StripeUnavailable as unavailable:
        if not unavailable.replayed:
            raise
        return None
    if answer.object["status"] in ("succeeded", "canceled"):
        return None
    return Setup(answer.object["id"], answer.object["client_secret"])


def choose_method(plan_id: str, user_id: str, method_id: str) -> PaymentState:
    """Charge the later installments of a plan to this method, which the student has set up for it.

    Stripe is asked whether the method is the student's, and whether a SetupIntent has set it up for charges without
    them. Raises `NotFound`, `PlanNotPayable`, `MethodNotReusable`, `TooManyRequests`, `StripeUnavailable`.
    """
    state = _with_method(plan_id, user_id)
    customer = _customer(state)
    method = customers.require_saved(customer, method_id)
    opening.require_reusable(method["type"])
    set_up = _set_up_at(customer, method_id)
    if set_up is None:
        raise MethodNotReusable(
            "This payment method was not set up for later charges. Set it up, then choose it.", field="payment_method"
        )

    def change(current: PaymentState) -> PlanChange | None:
        plan = current.existing_plan
        if plan_methods.chosen(plan) == method_id:
            return None
        stored = plan_methods.methods(plan).get(method_id)
        if stored and stored.is_final:
            raise MethodNotReusable(
                "This payment method can no longer be charged for this plan. Set up another one.",
                field="payment_method",
            )
        chosen = Method(set_up=set_up, type=method["type"], chosen=set_up)
        at = timestamps.iso(clock.now())
        entry = AuditEntry(at, f"method:{method_id}:{at}", "plan.method_chosen", "request", user_id)
        return PlanChange(plan.merged(PlanFacts(methods={method_id: chosen})), entry)

    return ledger.update_plan(plan_id, change)


def _set_up_at(customer: Customer, method_id: str) -> int | None:
    """Return Stripe's time by which it has set up a method of this customer for charges without them; None if not.

    It is the time of the answer. A SetupIntent does not say when it succeeded, and is often created before the charge
    that failed, when its student opens the dialog.
    """
    answer = stripe_client.list_setup_intents(customer.stripe_customer_id, method_id)
    is_set_up = any(one["status"] == "succeeded" and one["usage"] == "off_session" for one in answer.object["data"])
    return answer.date if is_set_up else None


def _with_method(plan_id: str, user_id: str) -> PaymentState:
    """Read a user's own plan whose payment method still matters. It counts as a request to Stripe."""
    state = own_plans.load(plan_id, user_id)
    if state.existing_plan.status not in own_plans.CHARGED or state.existing_plan.first_owed is None:
        raise PlanNotPayable("This plan will not be charged again, so it needs no other payment method.")
    limits.take_request(user_id, state.limits)
    return state


def _customer(state: PaymentState) -> Customer:
    customer = ledger.load_customer(state.existing_plan.user_id)[0]
    if customer is None:
        raise Conflicted("You have no saved payment methods. Pay the next installment first.")
    return customer


# --- the tracks of a member ---


def begin_track(plan_id: str, user_id: str, code: object) -> tuple[PaymentState, bool]:
    """Begin a track of a membership that gives access. Return whether it is new. Repeating it changes nothing.

    Raises `NotFound`, `UnknownTrack`, `NoMembershipAccess`, `AlreadyEnrolled` or `Conflicted` beyond `MAX_TRACKS`.
    """
    product = catalog.find(code)
    track, title = product.track, product.title
    own_plans.load(plan_id, user_id)
    is_new = False

    def change(state: PaymentState) -> PlanChange | None:
        nonlocal is_new
        plan, is_new = state.existing_plan, False
        if plan.membership is None or not plan.grants_access:
            raise NoMembershipAccess(
                "This plan is not a membership, or it gives no access now. So you cannot begin a track."
            )
        if track in plan.facts.tracks:
            return None
        if any(one.status == "ENROLLED" for one in state.enrollments if one.track == track):
            raise AlreadyEnrolled(f"You are already enrolled in {title}.")
        if len(plan.facts.tracks) >= MAX_TRACKS:
            raise Conflicted(f"You can begin at most {MAX_TRACKS} tracks with a membership.")
        is_new, now = True, clock.now()
        entry = AuditEntry(timestamps.iso(now), f"track:{track}", "plan.track_begun", "request", user_id)
        return PlanChange(plan.merged(PlanFacts(tracks={track: int(now)})), entry)

    return ledger.update_plan(plan_id, change, track), is_new
