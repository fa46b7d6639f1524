"""A payment as the API, the console and the export show it. Each field is one row of `FIELDS`.

A row says how the field is read and where it appears; docs/architecture.md has "How to add a payment field".
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from tuition.core import payment as payments
from tuition.core import timestamps
from tuition.core.attention import AttentionReason, due_by
from tuition.core.facts import Balance, Settled
from tuition.core.money import Money
from tuition.core.payment import Failure, Payment
from tuition.core.refund_request import RefundRequest
from tuition.settings import settings

DASHBOARD = "https://dashboard.stripe.com"

Group = Literal["payment", "student", "money", "refund", "method", "stripe", "times", "record"]


class PaymentView(NamedTuple):
    """A payment with what does not follow from it alone.

    The attention reasons depend on the student's other payments too; `check_at` is when the reconciler looks next.
    """

    payment: Payment
    attention: list[AttentionReason]
    enrollment: str | None = None
    check_at: str | None = None

    def json(self) -> dict[str, Any]:
        """Return the payment as staff see it."""
        return {
            **_json(self, ("student", "staff")),
            "failure": _failure_json(payments.failure(self.payment.facts)),
            "attention": [self.reason_json(reason) for reason in self.attention],
        }

    def reason_json(self, reason: AttentionReason) -> dict[str, Any]:
        """Return an attention reason as staff see it, with the time by which they must act."""
        return {**vars(reason), "due_by": due_by(self.payment, reason)}


class Field(NamedTuple):
    """One field of a payment.

    `read` gives its value; by default it is the attribute of `Payment` with this name. `api` says who sees it in the
    JSON of a payment, `group` and `label` where the staff's view of one payment has it, `csv` whether it is a column
    of the export. `currency` gives the currency of an amount, which then has a second column in the major unit.
    """

    name: str
    read: Callable[[PaymentView], Any] | None = None
    api: Literal["student", "staff"] | None = None
    group: Group | None = None
    label: str | None = None
    csv: bool = False
    currency: Callable[[PaymentView], str] | None = None

    def decimal(self, view: PaymentView) -> str | None:
        """Return an amount in the major unit of its currency; None if the payment does not have it."""
        amount = self.value(view)
        return None if amount is None or not self.currency else Money(amount, self.currency(view)).decimal

    def value(self, view: PaymentView) -> Any:
        """Return the value, as JSON types. Amounts are in minor units."""
        return self.read(view) if self.read else getattr(view.payment, self.name)


def dashboard_url(kind: Literal["payments", "customers", "disputes", "invoices"], stripe_id: str | None) -> str | None:
    """Return where Stripe's dashboard shows an object; None without an id."""
    mode = "" if settings().stripe_livemode else "test/"
    return f"{DASHBOARD}/{mode}{kind}/{stripe_id}" if stripe_id else None


def _method(name: str) -> Callable[[PaymentView], Any]:
    return lambda view: (view.payment.payment_method or {}).get(name)


def _settled(read: Callable[[Settled], Any]) -> Callable[[PaymentView], Any]:
    return lambda view: read(view.payment.facts.settled) if view.payment.facts.settled else None


def _balance(read: Callable[[Balance], Any]) -> Callable[[PaymentView], Any]:
    return lambda view: read(view.payment.facts.balance) if view.payment.facts.balance else None


def _failed(read: Callable[[Failure], Any]) -> Callable[[PaymentView], Any]:
    def value(view: PaymentView) -> Any:
        failure = payments.failure(view.payment.facts)
        return read(failure) if failure else None

    return value


def _price_currency(view: PaymentView) -> str:
    return view.payment.price.currency


def _currency(view: PaymentView) -> str:
    return view.payment.currency


def _price(view: PaymentView) -> dict[str, Any]:
    """Return the price as the student was asked to pay it. `amount` and `currency` are what was received."""
    return {"amount": view.payment.price.amount, "currency": view.payment.price.currency}


def _settlement_currency(view: PaymentView) -> str:
    """Return the currency of our balance at Stripe that received the charge; without it, the received currency."""
    balance = view.payment.facts.balance
    return balance.currency if balance else view.payment.currency


def _list_amount(view: PaymentView) -> int:
    """Return the catalog's price at that time. A payment that was rebuilt from Stripe has only its own."""
    return view.payment.terms.list_amount or view.payment.price.amount


def _discount(view: PaymentView) -> int:
    """Return by how much a promotion code made the price lower than the catalog's."""
    return max(0, view.payment.terms.list_amount - view.payment.price.amount)


def _agreed_terms(view: PaymentView) -> dict[str, Any] | None:
    """Return the version of the terms that the student agreed to before paying, and when; None without agreement."""
    agreed = view.payment.facts.agreed
    return {"version": agreed.version, "at": timestamps.iso(agreed.at)} if agreed else None


def _agreed(name: str) -> Callable[[PaymentView], Any]:
    return lambda view: (_agreed_terms(view) or {}).get(name)


def _opens_window(payment: Payment) -> bool:
    """Whether the refund window counts from this payment. A plan is refunded as a whole: its first payment opens it."""
    return payment.plan is None or 1 in payment.covers


def _refundable_until(view: PaymentView) -> str | None:
    """Return until when a refund request is granted at once, unless an earlier payment of the track was refunded.

    None if the student cannot request a refund, and for a bank debit, for which staff always decide.
    """
    paid_at = view.payment.paid_at
    if paid_at is None or not _opens_window(view.payment):
        return None
    if view.payment.is_bank_debit or not payments.may_request_refund(view.payment):
        return None
    return timestamps.iso(timestamps.epoch(paid_at) + settings().refund_days * 86400)


FIELDS: tuple[Field, ...] = (
    Field("payment_id", api="student", group="payment", csv=True),
    Field("created_at", api="student", group="times", csv=True),
    Field("updated_at", api="student", group="times", csv=True),
    Field("paid_at", api="student", csv=True),
    Field("user_id", api="staff", group="student", csv=True),
    Field("email", api="student", group="student", csv=True),
    Field("track", api="student", group="payment", csv=True),
    Field("kind", group="payment", csv=True),
    Field("attempt", group="payment", csv=True),
    Field("status", api="student", group="payment", csv=True),
    Field("amount", api="student", group="money", csv=True, currency=_currency),
    Field("currency", api="student", group="money", csv=True),
    Field("price", _price, api="student", group="money"),
    Field("price_amount", lambda v: v.payment.price.amount, csv=True, currency=_price_currency),
    Field("price_currency", _price_currency, csv=True),
    Field("list_amount", _list_amount, api="student", group="money"),
    Field("promotion_code", lambda v: v.payment.terms.promotion_code, group="money", csv=True),
    Field("first_purchase", group="money"),
    Field("discount", _discount, api="student", csv=True, currency=_price_currency),
    Field("received", _settled(lambda s: s.amount), group="money", csv=True, currency=_currency),
    Field("received_currency", _settled(lambda s: s.currency), group="money", csv=True),
    Field("fee", _balance(lambda b: b.fee), csv=True, currency=_settlement_currency),
    Field("net", _balance(lambda b: b.net), csv=True, currency=_settlement_currency),
    Field("settlement_currency", _balance(lambda b: b.currency), csv=True),
    Field("refund_amount", api="student", group="money", csv=True, currency=_currency),
    Field("lost", lambda v: payments.lost_amount(v.payment.facts), None, "money", csv=True, currency=_currency),
    Field("refundable_amount", api="student", group="money", csv=True, currency=_currency),
    Field("refund_pending_amount", api="student"),
    Field("refunded", api="student", group="refund", csv=True),
    Field("refund_reason", api="student", group="refund", csv=True),
    Field("refund_request", lambda v: v.payment.refund_request_state, csv=True),
    Field("returnable_until", api="staff", group="refund"),
    Field("withdrawn_at", api="staff", group="refund", csv=True),
    Field("refund_due_by", api="staff", group="refund", csv=True),
    Field("refunded_at", api="student", group="refund", csv=True),
    Field("can_cancel", api="student"),
    Field("can_request_refund", lambda v: payments.may_request_refund(v.payment), api="student"),
    Field("refundable_until", _refundable_until, api="student"),
    Field("dispute", lambda v: payments.dispute_state(v.payment.facts), api="student"),
    Field("no_access_reason", lambda v: payments.no_access_reason(v.payment), api="student"),
    Field("failure_code", _failed(lambda f: f.code), csv=True),
    Field("failure_message", _failed(lambda f: f.message), csv=True),
    Field("attention", lambda v: [reason.name for reason in v.attention], csv=True),
    Field("disputed", lambda v: bool(v.payment.facts.disputes), api="staff", csv=True),
    Field("payment_method", api="student"),
    Field("method_type", _method("type"), group="method", label="type", csv=True),
    Field("method_brand", _method("brand"), group="method", label="brand", csv=True),
    Field("method_last4", _method("last4"), group="method", label="last4", csv=True),
    Field("saved", lambda v: v.payment.terms.save_payment_method, group="method"),
    Field("receipt_url", api="student", group="method"),
    Field("invoice", api="student"),
    Field("verify_by", api="student", group="times"),
    Field("agreed_terms", _agreed_terms, api="student"),
    Field("terms_version", _agreed("version"), group="payment", csv=True),
    Field("terms_agreed_at", _agreed("at"), group="times", csv=True),
    Field("payment_intent_id", lambda v: v.payment.intent, api="student"),
    Field("stripe_payment_intent", lambda v: v.payment.intent, group="stripe", label="payment_intent", csv=True),
    Field("payment_url", lambda v: dashboard_url("payments", v.payment.intent), group="stripe"),
    Field("stripe_checkout_session", api="staff", group="stripe", label="checkout_session", csv=True),
    Field("stripe_charge_id", api="staff", group="stripe", label="charge", csv=True),
    Field("stripe_invoice", lambda v: v.payment.facts.invoice, None, "stripe", "invoice", csv=True),
    Field("invoice_url", lambda v: dashboard_url("invoices", v.payment.facts.invoice), group="stripe"),
    Field("stripe_customer_id", lambda v: v.payment.customer, "staff", "stripe", "customer", csv=True),
    Field("customer_url", lambda v: dashboard_url("customers", v.payment.customer), group="stripe"),
    Field("grants_access", lambda v: payments.grants_access(v.payment), group="payment"),
    Field("enrollment", lambda v: v.enrollment, group="payment"),
    Field("check_at", lambda v: v.check_at, group="times"),
    Field("synced_at", group="times"),
    Field("version", api="staff", group="record", csv=True),
    Field("audit_head", group="record"),
    Field("membership", api="student", group="payment", csv=True),
    Field("plan_id", lambda v: v.payment.plan, api="student", group="payment", label="plan", csv=True),
    Field("covers", lambda v: list(v.payment.covers), api="student", group="payment", csv=True),
)


def _json(view: PaymentView, audiences: tuple[str, ...]) -> dict[str, Any]:
    return {field.name: field.value(view) for field in FIELDS if field.api in audiences}


def _failure_json(failure: Failure | None) -> dict[str, Any] | None:
    return failure._asdict() if failure else None


def student_json(payment: Payment) -> dict[str, Any]:
    """Return a payment as its student sees it, with why it failed and what became of their last refund request.

    A later refund by the school is shown in its place if staff wrote a message for the student.
    """
    failure = payments.failure(payment.facts)
    requests = [request for request in payment.requests if request.by == payment.user_id or request.message]
    return {
        **_json(PaymentView(payment, []), ("student",)),
        "failure": _failure_json(failure.for_student() if failure else None),
        "refund_request": request_json(requests[-1], payment) if requests else None,
        "resume": _resume_json(payment) if payment.open and payment.plan is None else None,
        **({"withdrawal": _withdrawal_json(payment)} if settings().is_eu or payment.facts.withdrawn else {}),
    }


def _withdrawal_json(payment: Payment) -> dict[str, Any]:
    """Return until when the student can withdraw from the contract; after they have, what they submitted and when."""
    until = None
    if settings().is_eu and _opens_window(payment) and payment.ordered_at and payments.may_withdraw(payment):
        until = timestamps.iso(timestamps.epoch(payment.ordered_at) + settings().refund_days * 86400)
    withdrawn = payment.facts.withdrawn
    return {
        "possible_until": until,
        "submitted_at": payment.withdrawn_at,
        "name": withdrawn.name if withdrawn else None,
        "email": withdrawn.email if withdrawn else None,
        "refund_due_by": payment.refund_due_by,
    }


def _resume_json(payment: Payment) -> dict[str, Any]:
    """Return the choices with which a create answers this open payment instead of replacing it."""
    terms = payment.terms
    return {
        "kind": payment.kind,
        "promotion_code": terms.promotion_code,
        "save_payment_method": terms.save_payment_method,
        "payment_method": terms.payment_method,
        "invoice": terms.invoice,
    }


def request_json(request: RefundRequest, payment: Payment) -> dict[str, Any]:
    """Return a refund request as its student sees it, without who decided it."""
    can_withdraw = payments.may_withdraw_request(payment, request)
    own = request.for_student(payment.user_id)
    return {**own, "currency": payment.currency, "can_withdraw": can_withdraw}


def staff_request_json(request: RefundRequest, payment: Payment) -> dict[str, Any]:
    """Return a refund request as staff see it, without empty fields."""
    return {**request.to_json(), "currency": payment.currency}


def groups(view: PaymentView) -> dict[str, dict[str, Any]]:
    """Return every field of a payment, grouped by what it is about."""
    grouped: dict[str, dict[str, Any]] = {}
    for field in FIELDS:
        if field.group:
            grouped.setdefault(field.group, {})[field.label or field.name] = field.value(view)
    return grouped
