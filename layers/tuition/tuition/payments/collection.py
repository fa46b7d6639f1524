"""Collect a plan: let time pass, announce charges, charge without the student, close payments, and refund them.

`core.plan_steps` says what the next step is. A step is committed before the next one is asked for, so a run that is
killed anywhere is continued by the next one. A try is recorded before Stripe is called, and is repeated under its own
key until its answer is recorded. So it charges once.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from tuition import clock
from tuition.core import plan_attempts, plan_methods, plan_steps, timestamps
from tuition.core.audit import Actor, AuditEntry
from tuition.core.errors import (
    AmountTooSmall,
    Conflicted,
    NotFound,
    StripeRefused,
    StripeUnavailable,
)
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.plan import Plan
from tuition.core.plan_attempts import Attempt
from tuition.core.plan_facts import Answer, PlanFacts, Try
from tuition.core.plan_steps import Step
from tuition.core.published_events import ANNOUNCED_CARD_EXPIRES
from tuition.log import logger
from tuition.payments import plan_payments, refunds, restored_plans
from tuition.storage import ledger, switches
from tuition.storage.ledger import PlanChange
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import closing, sync

ANNOUNCED = "plan.announced"
"""The type of the record of an announcement."""
MAX_STEPS = 60
"""Steps of one plan in one run, so that no plan keeps the others waiting. The next run continues."""
COLLECTOR = Actor("reconcile")

StillDue = Callable[[Plan], Step | None]
"""Returns the step that is due for a plan as it is now."""

REFUND_REASON = "The payment plan has ended, and all its payments are refunded"
"""The reason of the refunds of a plan that ended with all money back, for staff and student."""
REFUSED_CREATE = ""
"""The payment of a try for which Stripe refused to make one."""


class Ordered(NamedTuple):
    """The result of staff's order to charge a plan now."""

    plan: Plan
    attempt: Try


def collect(plan_id: str, now: int, *, charging: bool) -> Counter[str]:
    """Take every step of a plan that is due `now` (epoch seconds by Stripe's clock), and count them by their names.

    Without `charging` nothing is announced or charged. The plan is compared with its payments first, in case a restore
    has separated them. Raises `NotFound`, `StripeUnavailable`, `PaymentInProgress` or `Contended`: what was done until
    then stays, and the next run continues.
    """
    taken: Counter[str] = Counter()
    last: tuple[Step, int] | None = None
    for number in range(MAX_STEPS):
        state = ledger.load_plan(plan_id) if number else restored_plans.compared(plan_id)
        step = plan_steps.next_step(state.existing_plan, now, charging=charging)
        if step is None:
            break
        if (step, state.existing_plan.version) == last:
            logger.warning("a step changed nothing, and the next run takes it again", plan_id=plan_id, step=repr(step))
            break
        last = step, state.existing_plan.version
        _Collector(state, now).take(step, lambda plan: plan_steps.next_step(plan, now, charging=charging))
        taken[type(step).__name__] += 1
        clock.start_deadline()
    return taken


def charge_now(plan_id: str, now: int, staff: str) -> Ordered:
    """Charge the installment that is due, on the order of staff, at most once a day. Repeating it changes nothing.

    Raises `NotFound`, `Conflicted` if there is nothing to charge, `StripeUnavailable`, `PaymentInProgress` or
    `Contended`.
    """

    def ordered(plan: Plan) -> Step | None:
        attempt = plan_attempts.attempt_now(plan, now)
        return None if isinstance(attempt, str) else plan_steps.charge(plan, attempt, now)

    if not switches.load("collecting").on:
        raise Conflicted("Staff have stopped the charges of payment plans. Start them again first.")
    for number in range(MAX_STEPS):
        state = ledger.load_plan(plan_id) if number else restored_plans.compared(plan_id)
        plan = state.existing_plan
        ordered_today = plan.facts.tries.get(f"now:{plan.terms.day_of(now)}")
        if ordered_today and ordered_today.answer:
            return Ordered(plan, ordered_today)
        step = plan_steps.next_step(plan, now)
        if isinstance(step, plan_steps.Tick | plan_steps.Repeat | plan_steps.ReadAnswer):
            _Collector(state, now).take(step, lambda plan: plan_steps.next_step(plan, now))
            continue
        attempt = plan_attempts.attempt_now(plan, now)
        if isinstance(attempt, str):
            raise Conflicted(_REASONS[attempt])
        _Collector(state, now, Actor("staff", staff)).take(plan_steps.charge(plan, attempt, now), ordered)
    raise Conflicted("This plan is being changed by other requests. Reload it, then try again.")


_REASONS: dict[object, str] = {
    "not_charged": "This plan cannot be charged now. Its status and its dates say why.",
    "processing": "A bank is processing a payment of this plan. Wait for the result.",
    "not_announced": "The student has not had notice of this charge yet, or its day has not come.",
    "no_method": "The student has no payment method that can be charged. Ask them to choose one.",
    "do_not_try_again": "The student's bank refuses all further charges to this payment method.",
    "authentication_required": "The student's bank asks the student to confirm. Only the student can pay now.",
    "tries_used": "This bank account was debited three times without success. Ask the student to pay.",
    "tried_today": "Staff have charged this plan today. Try again tomorrow.",
}


class _Collector:
    """One step of one plan, as it was loaded."""

    def __init__(self, state: PaymentState, now: int, actor: Actor = COLLECTOR) -> None:
        self._state, self._plan, self._now, self._actor = state, state.existing_plan, now, actor

    def take(self, step: Step, still_due: StillDue) -> None:
        """Take a step. One that writes the plan alone is committed only if it still is what `still_due` returns."""
        match step:
            case plan_steps.Tick():
                at = timestamps.iso(step.boundary)
                entry = AuditEntry(at, f"tick:{step.boundary}", "plan.tick", *self._actor)
                self._record(PlanFacts(observed=step.boundary), entry, step, still_due)
            case plan_steps.Announce():
                record_type = self._announced_as(step.day)
                if record_type:
                    facts = PlanFacts(announced={step.key: self._now})
                    self._record(facts, self._entry(f"announced:{step.key}", record_type), step, still_due)
            case plan_steps.Create():
                self._create(step, still_due)
            case plan_steps.Charge():
                self._charge(step, still_due)
            case plan_steps.Repeat():
                self._confirm(step.occasion, step.attempt)
            case plan_steps.ReadAnswer():
                self._record_answer(step.occasion, step.attempt, None)
            case plan_steps.Close():
                closing.close(self._plan.payment_ref(step.payment_id))
            case plan_steps.Refund():
                refunds.refund_all(self._plan.payment_ref(step.payment_id), REFUND_REASON, self._actor)

    def _entry(self, event_id: str, kind: str) -> AuditEntry:
        return AuditEntry(timestamps.iso(self._now), event_id, kind, *self._actor)

    def _record(self, facts: PlanFacts, entry: AuditEntry, step: Step, still_due: StillDue) -> Plan:
        def change(state: PaymentState) -> PlanChange | None:
            plan = state.existing_plan
            return PlanChange(plan.merged(facts), entry) if still_due(plan) == step else None

        return ledger.update_plan(self._plan.plan_id, change, before=self._state).existing_plan

    def _announced_as(self, day: str) -> str | None:
        """Return the type of the record that announces a charge; None if asking for the method has changed the plan.

        Stripe is asked for the method. It may have been detached in Stripe's dashboard, or deleted with its customer,
        and the event may be lost, as may the one that names the method of the first payment. The type says whether its
        card expires before the day: no expiry is stored.
        """
        method = plan_methods.chosen(self._plan)
        if method is None and self._learned_method():
            return None
        customer = ledger.load_customer(self._plan.user_id)[0] if method else None
        if method is None or customer is None:
            return ANNOUNCED
        try:
            card = stripe_client.retrieve_payment_method(customer.stripe_customer_id, method).object.get("card")
        except StripeRefused as refused:
            if refused.code != "resource_missing":
                raise
        else:
            expires = card and f"{card['exp_year']}-{card['exp_month']:02}" < day[:7]
            return ANNOUNCED_CARD_EXPIRES if expires else ANNOUNCED
        stored = plan_methods.methods(self._plan)[method]
        gone = PlanFacts(methods={method: replace(stored, gone=self._now)})

        def change(state: PaymentState) -> PlanChange | None:
            plan = state.existing_plan
            if plan_methods.chosen(plan) != method:
                return None
            return PlanChange(plan.merged(gone), self._entry(f"gone:{method}", "plan.method_gone"))

        ledger.update_plan(self._plan.plan_id, change, before=self._state)
        return None

    def _learned_method(self) -> bool:
        """Sync the first payment if no event has reported its payment method. Return whether the plan has changed."""
        plan = self._plan
        if plan.first_payment_id is None or plan.parts[plan.first_payment_id].method:
            return False
        sync.refresh(plan.payment_ref(plan.first_payment_id))
        return ledger.load_plan(plan.plan_id).existing_plan.version != plan.version

    def _create(self, step: plan_steps.Create, still_due: StillDue) -> None:
        """Create the payment of an installment. If Stripe refuses to, that is the result of the day's attempt.

        So a plan that Stripe will not let us charge is retried on its retry days, and not every quarter of an hour. So
        is one without a customer: a restore has lost our record of it, and it was deleted at Stripe.
        """
        try:
            plan_payments.open_payment(self._state, step.covers, self._actor)
        except (StripeRefused, AmountTooSmall, NotFound) as refused:
            attempt = self._attempt()
            if attempt is None:
                return
            code = refused.code if isinstance(refused, StripeRefused) and refused.code else "refused"
            refused_try = Try(
                at=self._now,
                payment_id=REFUSED_CREATE,
                seq=attempt.seq,
                method=attempt.method,
                answer=Answer(self._now, code=code),
            )
            occasion = attempt.occasion(self._plan, self._now)
            entry = self._entry(f"try:{occasion}", "plan.create_refused")
            self._record(PlanFacts(tries={occasion: refused_try}), entry, step, still_due)

    def _attempt(self) -> Attempt | None:
        """Return the attempt for which a payment is created."""
        due = plan_attempts.next_attempt(self._plan)
        if self._actor.source == "staff":
            due = plan_attempts.attempt_now(self._plan, self._now)
        return None if isinstance(due, str) else due

    def _charge(self, step: plan_steps.Charge, still_due: StillDue) -> None:
        attempt = Try(at=self._now, payment_id=step.payment_id, seq=step.seq, method=step.method)
        entry = self._entry(f"try:{step.occasion}", "plan.try_begun")
        after = self._record(PlanFacts(tries={step.occasion: attempt}), entry, step, still_due)
        if after.facts.tries.get(step.occasion) == attempt:
            self._confirm(step.occasion, attempt)

    def _confirm(self, occasion: str, attempt: Try) -> None:
        """Confirm the intent of a try under the try's own key, and record what it led to.

        `setup_future_usage` is cleared: Stripe charges no intent off session that has it, and the student's page sets
        it. A call that Stripe may have carried out or not is repeated by the next run.

        Source: https://docs.stripe.com/api/payment_intents/confirm
        """
        payment = ledger.load(self._plan.payment_ref(attempt.payment_id)).payment
        refused: StripeRefused | None = None
        if payment and payment.intent:
            params = {"payment_method": attempt.method, "off_session": True, "setup_future_usage": ""}
            try:
                if _is_unaltered(payment, payment.intent):
                    stripe_client.confirm_intent(payment.intent, params, attempt.idempotency_key(occasion))
            except StripeUnavailable as unavailable:
                if not unavailable.replayed:
                    raise
            except StripeRefused as error:
                refused = error
        self._record_answer(occasion, attempt, refused)

    def _record_answer(self, occasion: str, attempt: Try, refused: StripeRefused | None) -> None:
        """Record what a try led to, as Stripe shows it now. The payment is synced first, in a commit of its own."""
        state = ledger.load(self._plan.payment_ref(attempt.payment_id))
        payment = sync.refresh_state(state.existing.ref, state, declines=True)[0].existing if state.payment else None
        answer = _answer(payment, attempt, refused)

        def change(current: PaymentState) -> PlanChange | None:
            plan = current.existing_plan
            stored = plan.facts.tries.get(occasion)
            if stored is None or stored.answer:
                return None
            answered = PlanFacts(tries={occasion: replace(stored, answer=answer)})
            return PlanChange(plan.merged(answered), self._entry(f"answer:{occasion}", "plan.try_answered"))

        ledger.update_plan(self._plan.plan_id, change)


def _is_unaltered(payment: Payment, intent_id: str) -> bool:
    """Whether Stripe would charge the amount that was announced. An intent that staff altered at Stripe is closed."""
    intent = stripe_client.retrieve_intent(intent_id).object
    if (intent["amount"], intent["currency"]) == (payment.price.amount, payment.price.currency):
        return True
    logger.warning("a payment was altered at Stripe: it is closed and not charged", payment_id=payment.payment_id)
    closing.close(payment.ref)
    return False


def _answer(payment: Payment | None, attempt: Try, refused: StripeRefused | None) -> Answer:
    """Return the answer of a try: its charge, if there is one, else the code with which Stripe refused it.

    Its time is Stripe's, so that it does not depend on who reads the answer first.
    """
    charges = plan_attempts.charges_since(payment, attempt) if payment else []
    if payment and charges:
        charge = payment.facts.charges[charges[-1]]
        failed = charge.status == "failed"
        code, advice = (charge.code, charge.advice) if failed else (None, None)
        return Answer(charge.created, charges[-1], code, advice)
    is_paid = payment is not None and payment.facts.settled is not None
    if refused is None and (is_paid or (payment is not None and payment.status == "PROCESSING")):
        return Answer(attempt.at)
    return Answer(attempt.at, code=refused.code if refused and refused.code else "unknown")
