"""Pay installments of a plan that has begun: its student on the page, or the collector without them.

Both use the same PaymentIntent for the same installments, so an installment cannot be charged twice. At most one intent
of a plan can be paid at any time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from tuition import clock, retry
from tuition.core import catalog, plan_decisions, plan_outcomes, timestamps
from tuition.core import plan as plans
from tuition.core.audit import Actor, AuditEntry
from tuition.core.errors import (
    AmountTooSmall,
    Contended,
    NotFound,
    NothingDue,
    PaymentInProgress,
    PlanNotPayable,
    StripeRefused,
    TooManyRequests,
)
from tuition.core.payment import Payment, Terms
from tuition.core.payment_state import PaymentState
from tuition.core.plan import Plan
from tuition.core.plan_decisions import What
from tuition.core.plan_facts import PlanFacts
from tuition.core.plan_terms import PlanTerms
from tuition.core.refs import Customer
from tuition.payments import customers, opening, own_plans, restored_plans
from tuition.payments.opening import AttemptSpent, NewPayment, OpenedPayment
from tuition.settings import settings
from tuition.storage import ledger, limits, queries
from tuition.storage.ledger import PlanChange
from tuition.stripe_gateway import closing, sync


def pay(plan_id: str, user_id: str, email: str, what: What) -> OpenedPayment:
    """Return the open payment of installments of a user's own plan: the next one, all that are due, or all the rest.

    The installments are those that are owed now. An open payment for the same installments is returned, any other is
    closed first. Raises `NotFound`, `PlanNotPayable`, `NothingDue`, `PaymentInProgress`, `TooManyRequests`,
    `StripeUnavailable` or `Contended`. After the last two the same request can be repeated.
    """
    may_close: frozenset[str] | None = None
    has_closed = False
    for _ in retry.attempts(retry.CREATE):
        state = own_plans.load(plan_id, user_id)
        _require_few_declines(state)
        covers = _payable(state, what)
        open_payments = state.existing_plan.open_payments
        if may_close is None:
            # Only what was open at the first look may be closed: otherwise two requests close each other's forever.
            may_close = frozenset(open_payments)
        if not open_payments:
            current = ledger.recompute_plan(plan_id, state)  # a restore may have separated it from its payments
            if current.existing_plan.version != state.existing_plan.version:
                continue
            _require_new_day(state)
            times = opening.attempt_times(state.enrollment, has_closed=has_closed)
            opened = open_payment(state, covers, Actor("request", user_id), email, times)
        else:
            opened, closed = _reopen(open_payments[0], state, covers, may_close, has_closed=has_closed)
            has_closed = has_closed or closed
        if opened:
            return opened
        if clock.remaining_s() < 1:
            break
    raise Contended("There are several requests for this plan at the same time. Try again.")


def _require_few_declines(state: PaymentState) -> None:
    wait_s = closing.wait_to_try_again(state.limits)
    if wait_s:
        raise TooManyRequests("Too many of your payments were declined. Wait, then try again.", retry_after_s=wait_s)


def _require_new_day(state: PaymentState) -> None:
    """Raise `TooManyRequests` until tomorrow if a payment of the plan was declined too often today, and so closed."""
    terms, now = state.existing_plan.terms, plan_outcomes.time_of(state.existing_plan, int(clock.now()))
    for payment in queries.payments_of_plan(state.existing_plan.plan_id):
        closed = replace(state, payment=payment)
        if payment.status != "CANCELED" or not closing.declined_too_often(closed):
            continue
        newest = max([*closed.declines.values(), *payment.facts.challenges.values()])
        if terms.day_of(newest) == terms.day_of(now):
            raise TooManyRequests(
                "Too many of your payments for this plan were declined today. Try again tomorrow.",
                retry_after_s=max(1, terms.start_of(timestamps.day_after(terms.day_of(now))) - now),
            )


def _payable(state: PaymentState, what: What) -> tuple[int, ...]:
    """Return the numbers of the installments to pay. Raises `PlanNotPayable`, `NothingDue` or `PaymentInProgress`."""
    plan = state.existing_plan
    if plan.status == "OPEN":
        raise PlanNotPayable("This plan has not begun. Complete its first payment.")
    if plan.processing:
        _sync_processing(state)
        raise PaymentInProgress(closing.PROCESSING)
    if not plan.payable:
        raise PlanNotPayable("This plan can no longer be paid.")
    covers = plan_decisions.payable_seqs(plan, what, plan.terms.day_of(plan_outcomes.time_of(plan, int(clock.now()))))
    if not covers:
        raise NothingDue("Nothing is due now. You can pay the next installment early, or all the rest.")
    return covers


def _sync_processing(state: PaymentState) -> None:
    """Sync the payment that a bank is processing, in case its webhook is late: the next request sees the result."""
    plan = state.existing_plan
    limits.take_request(plan.user_id, state.limits)
    for payment_id in plan.open_payments:
        sync.refresh(plan.payment_ref(payment_id))


def _reopen(
    payment_id: str,
    plan_state: PaymentState,
    covers: tuple[int, ...],
    may_close: frozenset[str],
    *,
    has_closed: bool,
) -> tuple[OpenedPayment | None, bool]:
    """Return the open payment if it covers these installments, else close it. The flag says whether it was closed."""
    plan = plan_state.existing_plan
    state = ledger.load(plan.payment_ref(payment_id))
    if state.payment is None:  # a restore has lost it
        limits.take_request(plan.user_id, plan_state.limits)
        restored_plans.compared(plan.plan_id)
        return None, False
    if (state.payment.kind, state.payment.covers) == ("intent", covers):
        return opening.reopen(state, may_process=False)
    if opening.require_closable(state, may_close):
        # A student who may not begin another payment keeps the open one.
        opening.attempt_times(plan_state.enrollment, has_closed=has_closed)
    return None, opening.close_first(state)


# --- a new payment ---


@dataclass(frozen=True)
class _PlanSlot:
    """A plan as the slot of a payment that covers these installments."""

    state: PaymentState
    covers: tuple[int, ...]
    actor: Actor

    @property
    def plan(self) -> Plan:
        return self.state.existing_plan

    def before(self) -> PaymentState:
        return self.state

    def plan_change(self, payment: Payment) -> PlanChange:
        entry = AuditEntry(payment.created_at, f"payment:{payment.payment_id}", "plan.payment_created", *self.actor)
        return PlanChange(self.plan.merged(PlanFacts(last_number=payment.attempt)), entry)

    def retire(self, why: str) -> None:
        number, at = self.plan.next_number, timestamps.iso(clock.now())
        entry = AuditEntry(at, f"number:{number}", f"plan.number_skipped.{why}", *self.actor)

        def skip(state: PaymentState) -> PlanChange | None:
            plan = state.existing_plan
            return PlanChange(plan.merged(PlanFacts(last_number=number)), entry) if plan.next_number == number else None

        ledger.update_plan(self.plan.plan_id, skip)

    def moved(self, _: PaymentState) -> "_PlanSlot | None":
        state = ledger.load_plan(self.plan.plan_id)
        plan = state.existing_plan
        is_free = plan.payable and not plan.open_payments and plan.next_number == self.plan.next_number
        return _PlanSlot(state, self.covers, self.actor) if is_free and {*self.covers} <= {*plan.owed} else None


def open_payment(
    state: PaymentState,
    covers: tuple[int, ...],
    actor: Actor,
    email: str | None = None,
    attempt_times: tuple[int, ...] | None = None,
) -> OpenedPayment | None:
    """Create the intent of these installments, unconfirmed, and commit it with its plan as the plan's next payment.

    `state` is that of `ledger.load_plan`, and the caller has made sure that no other payment of the plan is open. Its
    customer is replaced if it is missing at Stripe. `email` is the student's verified address, if they are here; the
    address that Stripe was sent last otherwise. None: the plan has moved, or its next number is spent. Load it again.
    Raises `StripeRefused`, `StripeUnavailable` and `AmountTooSmall`; `NotFound` if Stripe has no customer any more, and
    the student is not here.
    """
    plan = state.existing_plan
    stored = ledger.load_customer(plan.user_id)[0]
    if stored is None:
        lost = _lost_customer(plan, email)
        return _open_for(lost, lost, state, covers, actor, email, attempt_times)
    return _open_for(stored, None, state, covers, actor, email or stored.email, attempt_times)


def _lost_customer(plan: Plan, email: str | None) -> Customer:
    """Return the customer who paid this plan, of whom a restore has lost our record."""
    customer = customers.of_plan(plan)
    if customer:
        return customer
    if email is None:
        raise NotFound("The student of this plan has no customer at Stripe.")
    return customers.create(plan.user_id, email, generation=1)


def _open_for(
    customer: Customer,
    new: Customer | None,
    state: PaymentState,
    covers: tuple[int, ...],
    actor: Actor,
    email: str | None,
    attempt_times: tuple[int, ...] | None,
) -> OpenedPayment | None:
    slot = _PlanSlot(state, covers, actor)
    try:
        payment, answer = opening.create(_new_payment(slot.plan, covers, new or customer, email))
    except AttemptSpent as spent:
        slot.retire(spent.why)
        return None
    except StripeRefused as refused:
        is_missing = refused.code == "resource_missing" and refused.param == "customer"
        if is_missing and email and not new:
            new = customers.create(slot.plan.user_id, email, customer.generation + 1)
            return _open_for(customer, new, state, covers, actor, email, attempt_times)
        if refused.code == "amount_too_small":
            raise AmountTooSmall("Stripe does not charge so small an amount. Pay more at once.") from refused
        raise
    return opening.commit(payment, answer, slot, actor, attempt_times=attempt_times, customer=new)


def _new_payment(plan: Plan, covers: tuple[int, ...], customer: Customer, email: str | None) -> NewPayment:
    price = plan.terms.amount_of(covers)
    params = {
        "customer": customer.stripe_customer_id,
        "allowed_payment_method_types": opening.reusable_types(),
        "amount": price.amount,
        "currency": price.currency,
        "description": description(catalog.title(plan.product), plan.terms, covers),
    }
    payment_id = plans.payment_id(settings().namespace, plan, covers, params)
    return NewPayment(
        ref=plan.payment_ref(payment_id),
        kind="intent",
        attempt=plan.next_number,
        params=params,
        terms=Terms(price.amount, offer=plan.terms.offer),
        email=email,
        customer=customer,
        plan=plan,
        covers=covers,
    )


def description(title: str, terms: PlanTerms, covers: Iterable[int]) -> str:
    """Return what the receipt says that a payment is for: `Data Professional, installment 2 of 4`."""
    seqs = [*covers]
    if terms.endless:
        return title
    numbers = str(seqs[0]) if len(seqs) == 1 else f"{seqs[0]} to {seqs[-1]}"
    return f"{title}, installment{'' if len(seqs) == 1 else 's'} {numbers} of {len(terms.amounts)}"
