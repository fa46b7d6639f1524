"""Buy a track: at most one open payment per user and track, however often and however concurrently it is requested.

A create loads the enrollment, which is the slot of its payment, and looks at what is open in it. `opening` creates the
object at Stripe and commits both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, NoReturn, cast

from tuition import clock, retry
from tuition.core import payment as payments
from tuition.core import plan as plans
from tuition.core import timestamps
from tuition.core.audit import Actor, AuditEntry
from tuition.core.catalog import Track
from tuition.core.enrollment import Enrollment
from tuition.core.errors import (
    AlreadyEnrolled,
    AmountTooSmall,
    CodeRefused,
    Conflicted,
    Contended,
    MethodNotReusable,
    PlanOpen,
    StripeRefused,
    StripeUnavailable,
    TermsChanged,
    TooManyRequests,
    Unprocessable,
)
from tuition.core.facts import Agreement, Facts, Kind
from tuition.core.limits import Limits
from tuition.core.money import Money
from tuition.core.payment import Payment, Terms
from tuition.core.payment_state import PaymentState
from tuition.core.plan import Plan
from tuition.core.plan_terms import PlanTerms
from tuition.core.promotion_rules import FIRST_CLAIMED
from tuition.core.purchase_blocks import PurchaseBlocks
from tuition.core.refs import Customer, PaymentRef, is_plan
from tuition.payments import (
    customers,
    opening,
    plan_payments,
    promotion_codes,
    purchase_blocks,
    recovery,
    switches,
)
from tuition.payments.opening import AttemptSpent, NewPayment, OpenedPayment
from tuition.payments.promotion_codes import PromotionCode
from tuition.settings import settings
from tuition.storage import ledger, limits, queries
from tuition.storage.ledger import Change, PlanChange
from tuition.storage.limits import CodeLookup
from tuition.stripe_gateway import closing

_INVOICE: Mapping[str, Any] = {
    "invoice_creation": {"enabled": True},
    "tax_id_collection": {"enabled": True},
    "billing_address_collection": "required",
    "customer_update": {"name": "auto", "address": "auto"},
}
"""The parameters of a session whose student needs an invoice. Name, address and tax id stay at Stripe.

https://docs.stripe.com/receipts#paid-invoice-receipts, https://docs.stripe.com/tax/checkout/tax-ids
"""


class Buyer(NamedTuple):
    """A user who buys: the user id and the verified email address of their token."""

    user_id: str
    email: str


class Product(NamedTuple):
    """A track or a membership by its code, and the price of its first payment."""

    code: str
    title: str
    price: Money
    is_membership: bool = False

    @classmethod
    def of_track(cls, track: Track) -> "Product":
        """Return a track at its full price."""
        return cls(track.track, track.title, track.price)


@dataclass(frozen=True)
class PurchaseRequest:
    """A purchase as a student requested it. With `plan` it begins a plan on these terms.

    The URLs are where Checkout sends its customer afterwards. `promotion` is the Stripe id of the terms' code, once
    the code has been found to be applicable; `first_purchase` says that it is for first purchases only. `lookups` are
    the lookups that did not refuse it. `has_closed`: the request has closed a payment, so that no limit may refuse it a
    new one. `agreed_version` is the version of the school's terms that the student agreed to.
    """

    product: Product
    kind: Kind
    terms: Terms
    plan: PlanTerms | None = None
    success_url: str = ""
    cancel_url: str = ""
    promotion: str | None = None
    first_purchase: bool = False
    lookups: list[CodeLookup] = field(default_factory=list)
    has_closed: bool = False
    agreed_version: str | None = None

    @property
    def description(self) -> str:
        """The text of the receipt and of Stripe's page."""
        return plan_payments.description(self.product.title, self.plan, (1,)) if self.plan else self.product.title


def create_payment(
    buyer: Buyer,
    track: Track,
    *,
    save: bool = False,
    payment_method: str | None = None,
    agreed_version: str | None = None,
) -> OpenedPayment:
    """Return the open payment of this user for this track, as a PaymentIntent to confirm in the browser.

    `agreed_version` is the version of the terms that the student agreed to, if they were asked.

    Raises `TermsChanged`, `AlreadyEnrolled`, `PurchasesBlocked`, `NotSelling`, `PaymentInProgress`, `Conflicted` (staff
    must review an amount that was received), `TooManyRequests`, `Unprocessable` (the saved method cannot be used),
    `StripeUnavailable` or `Contended`. After the last two the same request can be repeated.
    """
    terms = Terms(track.price.amount, save_payment_method=save, payment_method=payment_method)
    return _create(buyer, PurchaseRequest(Product.of_track(track), "intent", terms, agreed_version=agreed_version))


def create_checkout_session(
    buyer: Buyer,
    track: Track,
    *,
    success_url: str,
    cancel_url: str,
    save: bool = False,
    code: str | None = None,
    invoice: bool = False,
    agreed_version: str | None = None,
) -> OpenedPayment:
    """Return the open payment of this user for this track, as a Checkout Session to be paid on Stripe's page.

    The caller has checked the URLs. An open session is returned with the URLs that it was created with. With `invoice`,
    Stripe's page asks for name, address and tax id, and Stripe makes an invoice after the payment. Raises as
    `create_payment`, and `CodeRefused` with nothing closed and nothing created.
    """
    terms = Terms(track.price.amount, _normalize_code(code), save_payment_method=save, invoice=invoice)
    request = PurchaseRequest(
        Product.of_track(track),
        "checkout",
        terms,
        success_url=success_url,
        cancel_url=cancel_url,
        agreed_version=agreed_version,
    )
    return _create(buyer, request)


def begin_plan(
    buyer: Buyer,
    product: Product,
    plan: PlanTerms,
    *,
    kind: Kind,
    success_url: str = "",
    cancel_url: str = "",
    payment_method: str | None = None,
    agreed_version: str | None = None,
) -> OpenedPayment:
    """Return the open first payment of a plan of this user for this product, with the plan.

    It is as `create_payment` and `create_checkout_session`: the same choice returns the same plan, another one closes
    what is open. The student's method is kept for the later charges. Raises as they do, and `PlanOpen`,
    `MethodNotReusable`, `AmountTooSmall`.
    """
    terms = Terms(product.price.amount, payment_method=payment_method, offer=plan.offer)
    return _create(
        buyer,
        PurchaseRequest(
            product, kind, terms, plan, success_url=success_url, cancel_url=cancel_url, agreed_version=agreed_version
        ),
    )


def preview_code(buyer: Buyer, track: Track, text: str) -> PromotionCode:
    """Return the price of a purchase with a promotion code, as a create would find it. Nothing is started or reserved.

    A refused code counts in the same limit as in a create, and each preview as a request to Stripe, so a preview tells
    no more about codes than creates do. Raises as `create_checkout_session`, but for errors of a payment.
    """
    enrollment, customer, blocks, used, switch = ledger.load_for_create(buyer.user_id, track.track)
    product = Product.of_track(track)
    _require_purchasable(product, enrollment, blocks)
    switches.require_selling(switch)
    limits.take_request(buyer.user_id, used)
    code, lookup = _look_up_code(buyer, product, _normalize_code(text) or "", enrollment, customer, used)
    limits.release_code(lookup)
    return code


def _normalize_code(code: str | None) -> str | None:
    """Return a code as terms compare it: Stripe ignores case, and its codes are ASCII."""
    return code.upper() if code and code.isascii() else code


def _create(buyer: Buyer, request: PurchaseRequest) -> OpenedPayment:
    _require_current_terms(request.agreed_version)
    opened: OpenedPayment | None = None
    try:
        opened = _open(buyer, request)
    except CodeRefused:
        request.lookups.clear()  # Stripe refused what its list of codes had allowed
        raise
    finally:
        if opened is None or not opened.new:  # else the commit has removed them
            for lookup in request.lookups:
                limits.release_code(lookup)
    return _with_agreement(opened, request.agreed_version)


def _require_current_terms(agreed_version: str | None) -> None:
    """Raise `TermsChanged` if the student agreed to a version that is no longer, or not yet, the current one."""
    current = settings().terms_version or None
    if agreed_version is not None and agreed_version != current:
        raise TermsChanged(current)


def _with_agreement(opened: OpenedPayment, agreed_version: str | None) -> OpenedPayment:
    """Record the agreement of an open payment that began without it, or under earlier terms, before it can be paid."""
    if agreed_version is None or _has_agreed(opened.payment, agreed_version):
        return opened
    now = clock.now()

    def change(state: PaymentState) -> Change | None:
        payment = state.existing
        if not payment.payable or _has_agreed(payment, agreed_version):
            return None
        agreed = payment.merged(Facts(agreed=Agreement(int(now), agreed_version)))
        at = timestamps.iso(now)
        return Change(agreed, AuditEntry(at, f"terms:{at}", "terms.agreed", "request", actor=payment.user_id))

    return opened._replace(payment=ledger.update(opened.payment.ref, change).existing)


def _has_agreed(payment: Payment, version: str) -> bool:
    return payment.facts.agreed is not None and payment.facts.agreed.version == version


def _open(buyer: Buyer, request: PurchaseRequest) -> OpenedPayment:
    may_close: frozenset[str] | None = None
    unchecked_method = request.terms.payment_method
    email_checked = False
    for _ in retry.attempts(retry.CREATE):
        enrollment, customer, blocks, used, switch = ledger.load_for_create(buyer.user_id, request.product.code)
        _require_purchasable(request.product, enrollment, blocks)
        switches.require_selling(switch)
        _require_few_declines(enrollment, used)
        if customer and customer.email != buyer.email and not email_checked:
            limits.take_request(buyer.user_id, used)
            customers.send_email(customer, buyer.email)
        email_checked = True
        if unchecked_method:
            if customer:
                limits.take_request(buyer.user_id, used)
            method = customers.require_saved(customer, unchecked_method)
            if request.plan:
                opening.require_reusable(method["type"])
            unchecked_method = None
        if may_close is None:
            # Only what was open at the first look may be closed: otherwise two creates close each other's forever.
            may_close = frozenset(closing.open_payments(enrollment))
        opened, request = _look(buyer, request, enrollment, customer, used, may_close)
        if opened:
            return opened
        if clock.remaining_s() < 1:
            break
    raise Contended("There are several requests for this track at the same time. Try again.")


def _require_purchasable(product: Product, enrollment: Enrollment, blocks: PurchaseBlocks) -> None:
    if enrollment.status == "ENROLLED":
        raise AlreadyEnrolled(
            f"You already have {product.title}."
            if product.is_membership
            else f"You are already enrolled in {product.title}."
        )
    purchase_blocks.require_allowed(blocks)
    _require_no_payable_plan(product, enrollment)
    if enrollment.undecided:
        raise Conflicted(
            "You already paid for this track, but not the listed price. The school is reviewing your payment."
        )


def _require_no_payable_plan(product: Product, enrollment: Enrollment) -> None:
    """Raise `PlanOpen` if a plan for the product is partly paid, and its rest can be paid."""
    plan_ids = [
        grantor
        for grantor, standing in enrollment.standings.items()
        if is_plan(grantor) and not standing.open and (standing.suspended or standing.holds_funds)
    ]
    for plan in queries.plans_by_id(plan_ids) if plan_ids else ():
        if plan.blocks_purchase:
            raise PlanOpen(
                f"You have a payment plan for {product.title} that is not fully paid. Pay the rest to continue.",
                plan.plan_id,
            )


def _require_few_declines(enrollment: Enrollment, used: Limits) -> None:
    """Raise `TooManyRequests` if the user was declined too often within the last hour. Nothing stays open to pay."""
    wait_s = closing.wait_after_declines(used)
    if not wait_s:
        return
    closing.close_after_declines(enrollment)
    raise TooManyRequests("Too many of your payments were declined. Wait, then try again.", retry_after_s=wait_s)


def _look(
    buyer: Buyer,
    request: PurchaseRequest,
    enrollment: Enrollment,
    customer: Customer | None,
    used: Limits,
    may_close: frozenset[str],
) -> tuple[OpenedPayment | None, PurchaseRequest]:
    """Take one round of a create. Without an opened payment another round is needed."""
    open_payments = closing.open_payments(enrollment)
    if not open_payments:
        opening.attempt_times(enrollment, has_closed=request.has_closed)  # before a code is looked up
        request = _with_promotion(buyer, request, enrollment, customer, used)
        return _begin(buyer, request, enrollment, customer), request
    if is_plan(open_payments[0]):
        limits.take_request(buyer.user_id, used)
        recovery.recover_plan(open_payments[0], enrollment, customer)
        return None, request
    ref = PaymentRef(open_payments[0], buyer.user_id, request.product.code)
    state = ledger.load(ref)
    if state.payment is None:
        limits.take_request(buyer.user_id, state.limits)
        recovery.recover(ref, enrollment, customer)
    elif _is_same_request(state, request):
        opened, has_closed = opening.reopen(state, may_process=request.plan is None)
        return opened, replace(request, has_closed=request.has_closed or has_closed)
    else:
        if opening.require_closable(state, may_close):
            # A user who may not begin another payment keeps the open one.
            opening.attempt_times(enrollment, has_closed=request.has_closed)
        # Before closing, because a refused code must close nothing.
        request = _with_promotion(buyer, request, enrollment, customer, used)
        has_closed = opening.close_first(state)
        request = replace(request, has_closed=request.has_closed or has_closed)
    return None, request


def _with_promotion(
    buyer: Buyer, request: PurchaseRequest, enrollment: Enrollment, customer: Customer | None, used: Limits
) -> PurchaseRequest:
    """Return the request with its code looked up at Stripe, once. Raises `CodeRefused` or `TooManyRequests`."""
    if request.terms.promotion_code is None or request.promotion:
        return request
    code, lookup = _look_up_code(buyer, request.product, request.terms.promotion_code, enrollment, customer, used)
    request.lookups.append(lookup)
    return replace(request, promotion=code.id, first_purchase=code.first_purchase)


def _look_up_code(
    buyer: Buyer, product: Product, text: str, enrollment: Enrollment, customer: Customer | None, used: Limits
) -> tuple[PromotionCode, CodeLookup]:
    """Return a code that the user can use for this track, and the lookup, which counts until it is released.

    A code for first purchases is refused while a payment for another track holds the user's claim. Raises `CodeRefused`
    or `TooManyRequests`.
    """
    lookup = limits.begin_code(buyer.user_id, text, used)
    customer_id = customer.stripe_customer_id if customer else None
    try:
        code = promotion_codes.find(text, product.code, product.price, customer_id)
        claims = customer.first_purchases - {*enrollment.open_payments} if code.first_purchase and customer else ()
        if any(_holds_claim(enrollment, payment_id) for payment_id in claims):
            raise CodeRefused(FIRST_CLAIMED.message, FIRST_CLAIMED.reason)
    except CodeRefused:
        limits.refuse_code(lookup)
        raise
    except StripeUnavailable:
        limits.release_code(lookup)
        raise
    return code, lookup


def _holds_claim(enrollment: Enrollment, payment_id: str) -> bool:
    """Whether the payment that claims the user's first purchase exists. If a restore has lost it, the claim is freed.

    Its code was just found applicable, so Stripe has no finished purchase of the user. The claim of a payment that was
    deleted after its retention period stays.
    """
    if ledger.load(PaymentRef(payment_id, enrollment.user_id, enrollment.track)).payment:
        return True
    if queries.expired([payment_id]):
        return True
    ledger.drop_payment(enrollment, payment_id)
    return False


# --- the payment that is already open ---


def _is_same_request(state: PaymentState, request: PurchaseRequest) -> bool:
    """Whether the open payment is what is requested: the same choice, at the same price and on the same plan's terms.

    The time of the agreement to a plan's text is not part of the choice.
    """
    payment, plan = state.existing, state.plan.terms if state.plan else None
    if plan and request.plan:
        plan = replace(plan, agreed_at=request.plan.agreed_at)
    same_currency = payment.price.currency == request.product.price.currency
    same_choice = (payment.kind, payment.terms, plan) == (request.kind, request.terms, request.plan)
    return payment.open and same_currency and same_choice


# --- a new payment ---


@dataclass(frozen=True)
class _EnrollmentSlot:
    """An enrollment as the slot of a payment. `plan` is the plan that the payment begins, if any."""

    enrollment: Enrollment
    plan: Plan | None = None

    def before(self) -> PaymentState:
        return PaymentState(None, self.enrollment)

    def plan_change(self, payment: Payment) -> PlanChange | None:
        if self.plan is None:
            return None
        created = f"create:{self.plan.plan_id}"
        entry = AuditEntry(payment.created_at, created, "plan.created", "request", payment.user_id)
        return PlanChange(replace(self.plan, created_at=payment.created_at, updated_at=payment.created_at), entry)

    def retire(self, why: str) -> None:
        ledger.next_attempt(self.enrollment, self.enrollment.attempt + 1, why)

    def moved(self, current: PaymentState) -> "_EnrollmentSlot | None":
        now = current.enrollment
        is_taken = now.open_payments or now.open_plans or now.status in ("ENROLLED", "SUSPENDED") or now.undecided
        return None if is_taken else replace(self, enrollment=now)


def _begin(
    buyer: Buyer,
    request: PurchaseRequest,
    enrollment: Enrollment,
    stored: Customer | None,
    new: Customer | None = None,
) -> OpenedPayment | None:
    """Create the object at Stripe and commit it as the next attempt. None: another round is needed.

    `stored` is the customer in our table; `new` replaces it and is stored with the payment.
    """
    attempt_times = opening.attempt_times(enrollment, has_closed=request.has_closed)
    if stored is None and new is None:
        new = customers.create(buyer.user_id, buyer.email, generation=1)
    customer = cast(Customer, new or stored)
    new_payment, plan = _new_payment(buyer, request, enrollment.attempt + 1, customer)
    slot = _EnrollmentSlot(enrollment, plan)
    try:
        payment, answer = opening.create(new_payment)
    except AttemptSpent as spent:
        slot.retire(spent.why)
        return None
    except StripeRefused as refused:
        if refused.code == "resource_missing" and refused.param == "customer":
            if new:
                return None  # deleted as soon as it was created
            new = customers.create(buyer.user_id, buyer.email, customer.generation + 1)
            return _begin(buyer, request, enrollment, stored, new)
        _raise_translated(refused, request, customer)
    codes = [lookup.entry for lookup in request.lookups]
    actor = Actor("request", buyer.user_id)
    return opening.commit(payment, answer, slot, actor, attempt_times=attempt_times, customer=new, accepted_codes=codes)


def _new_payment(
    buyer: Buyer, request: PurchaseRequest, attempt: int, customer: Customer
) -> tuple[NewPayment, Plan | None]:
    """Return the payment to create, and the plan that it begins, if any.

    The ids of both are hashes of the request, so a retry makes the same objects.
    """
    params, product = _create_params(request, customer), request.product
    names = settings().namespace, buyer.user_id, product.code, attempt
    new = NewPayment(
        ref=PaymentRef("", buyer.user_id, product.code),
        kind=request.kind,
        attempt=attempt,
        params=params,
        terms=request.terms,
        email=buyer.email,
        customer=customer,
        first_purchase=request.first_purchase,
        agreed_version=request.agreed_version,
    )
    if request.plan is None:
        return replace(new, ref=replace(new.ref, payment_id=payments.payment_id(*names, request.kind, params))), None
    choice = {"kind": request.kind, **replace(request.plan, agreed_at=0).to_json(), **params}
    plan = Plan(
        plan_id=plans.plan_id(*names, choice),
        user_id=buyer.user_id,
        track=None if product.is_membership else product.code,
        membership=product.code if product.is_membership else None,
        attempt=attempt,
        terms=request.plan,
        created_at="",
        updated_at="",
    )
    ref = replace(new.ref, payment_id=plans.payment_id(settings().namespace, plan, (1,), params))
    return replace(new, ref=ref, attempt=plan.next_number, plan=plan, covers=(1,)), plan


def _raise_translated(refused: StripeRefused, request: PurchaseRequest, customer: Customer) -> NoReturn:
    """Raise the error for a refusal that is about the request: the code or the saved method has changed since."""
    if request.terms.promotion_code and _is_about_the_code(refused):
        product = request.product
        promotion_codes.find(request.terms.promotion_code, product.code, product.price, customer.stripe_customer_id)
        raise CodeRefused(f"Stripe does not accept this promotion code: {refused}", "not-applicable")
    if request.terms.payment_method and (refused.param == "payment_method" or "PaymentMethod" in str(refused)):
        problem = "This saved payment method cannot be used. Choose another one."
        raise (MethodNotReusable if request.plan else Unprocessable)(problem, field="payment_method")
    if request.plan and refused.code == "amount_too_small":
        raise AmountTooSmall(f"Stripe does not charge {request.product.price}. Choose another way to pay.")
    raise refused


def _is_about_the_code(refused: StripeRefused) -> bool:
    """Whether a refusal is about the promotion code. Stripe has no error code for it, and may not name a parameter."""
    text = f"{refused.param} {refused}".lower()
    return refused.code == "amount_too_small" or any(word in text for word in ("discount", "promotion", "coupon"))


def _create_params(request: PurchaseRequest, customer: Customer) -> dict[str, Any]:
    """Return the parameters of the create, without metadata. They are part of the payment's id."""
    params: dict[str, Any] = {
        "customer": customer.stripe_customer_id,
        "allowed_payment_method_types": (
            opening.reusable_types() if request.plan else list(settings().payment_method_types)
        ),
    }
    if request.kind == "checkout":
        return {**params, **_session_params(request)}
    usage = {"setup_future_usage": "on_session"} if request.terms.save_payment_method else {}
    if request.plan:
        usage = {"setup_future_usage": "off_session"}
    price = {"amount": request.product.price.amount, "currency": request.product.price.currency}
    method = {"payment_method": request.terms.payment_method} if request.terms.payment_method else {}
    return {**params, **price, **usage, **method, "description": request.description}


def _session_params(request: PurchaseRequest) -> dict[str, Any]:
    """Return a session of one track at the catalog's price and currency, without codes that are typed on the page.

    A student who wants to save their method ticks a box on the page, which is their consent; `setup_future_usage` would
    save it without asking. https://docs.stripe.com/payments/checkout/save-during-payment
    """
    price = request.product.price
    product = {"name": request.description}
    price_data = {"currency": price.currency, "unit_amount": price.amount, "product_data": product}
    params: dict[str, Any] = {
        "mode": "payment",
        "line_items": [{"price_data": price_data, "quantity": 1}],
        "adaptive_pricing": {"enabled": False},
        "payment_intent_data": {"description": request.description},
        "success_url": request.success_url,
        "cancel_url": request.cancel_url,
    }
    if request.promotion:
        params["discounts"] = [{"promotion_code": request.promotion}]
    if request.terms.save_payment_method:
        params["saved_payment_method_options"] = {"payment_method_save": "enabled"}
    if request.terms.invoice:
        params |= _INVOICE
    if request.plan:
        params["payment_intent_data"]["setup_future_usage"] = "off_session"
    return params
