"""Stories of one plan: a student, a bank, staff and the collector, day by day.

`Story` performs what `plan_steps` asks for as the collector will, with a bank that answers as the test says. It keeps
each change as facts, so that `replayed` can apply them in any order, and it checks the properties of every step.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tuition.core import plan as plans
from tuition.core import (
    plan_attempts,
    plan_decisions,
    plan_installments,
    plan_methods,
    plan_schedule,
    plan_steps,
    timestamps,
)
from tuition.core.facts import Charge, Closed, Dispute, Facts, Phase, Refund, Settled
from tuition.core.offers import LEAST_DAYS, Every
from tuition.core.payment import Payment
from tuition.core.plan import Plan
from tuition.core.plan_decisions import What
from tuition.core.plan_facts import Answer, DecisionName, Method, PlanDecision, PlanFacts, Try
from tuition.core.plan_parts import part_of
from tuition.core.plan_rules import MAX_CHARGE_DAYS, PlanRules
from tuition.core.plan_terms import PlanTerms
from tuition.core.refund_request import RefundRequest

DAY = 86400
FOUR = PlanTerms(
    offer="4x", amounts=(12475,) * 4, currency="usd", every="month", consent_version="2026-11", agreed_at=1_769_853_600
)
MEMBERSHIP = replace(FOUR, offer="monthly", amounts=(2900,), endless=True)
Outcome = Literal["ok", "processing", "invalid", "insufficient_funds", "authentication_required", "do_not_try_again"]
"""How the bank answers a charge. `invalid` is a refusal by Stripe without a charge (400)."""


class Killed(Exception):
    """The collector's process ended."""


def random_rules(rng: random.Random, every: Every = "month") -> PlanRules:
    """Return rules that a plan of an offer with payments this often can have."""
    grace = rng.choice((4, rng.randint(5, 40)))
    retries = rng.sample(range(1, grace), rng.randint(0, min(grace - 1, MAX_CHARGE_DAYS - 1)))
    rules = PlanRules(
        grace_days=grace,
        retry_days=(0, *sorted(retries)),
        give_up_days=grace + rng.choice((1, rng.randint(2, 60))),
        notice_days=rng.randint(1, LEAST_DAYS[every]),
    )
    assert rules.problem() is None
    return rules


def failure_of(outcome: Outcome | None) -> str | None:
    """Return the code of a charge that failed; None if it did not, or was never made."""
    return None if outcome in ("ok", "processing") else outcome


def plan_of(terms: PlanTerms = FOUR, **fields: Any) -> Plan:
    """Return a plan of which nothing has been paid yet."""
    kind = {"track": None, "membership": "ALL"} if terms.endless else {"track": "DP", "membership": None}
    at = "2026-01-31T10:00:00.000Z"
    values = {"plan_id": "pln_1", "user_id": "u", **kind, "attempt": 1, "created_at": at, "updated_at": at}
    return Plan(terms=terms, **{**values, **fields})


def at(day: str, hour: int = 6, terms: PlanTerms = FOUR) -> int:
    """Return a time of a day in the school's zone (epoch seconds)."""
    return terms.start_of(day) + hour * 3600


@dataclass
class Story:
    """A plan with its payments, from the day on which it was first_day. `now` is in epoch seconds.

    `changes` are all changes of facts at their `times`: of the plan, or of a payment by its id. `charges` are the
    charges that the collector made: the day, the installment, the method and the occasion. `runs` are its runs: the
    time, and the changes before and after. `history` is the day, status, access and next due day after each run.
    """

    first_day: str = "2026-01-31"
    terms: PlanTerms = FOUR
    bank: Callable[["Story", str | None], Outcome] = lambda story, method: "ok"
    kill: Callable[[str], bool] = lambda point: False
    charging: bool = True
    plan: Plan = field(init=False)
    payments: dict[str, Payment] = field(default_factory=dict)
    changes: list[tuple[str | None, PlanFacts | Facts]] = field(default_factory=list)
    charges: list[tuple[str, int, str, str]] = field(default_factory=list)
    confirmed: dict[str, Outcome] = field(default_factory=dict)
    runs: list[tuple[int, int, int]] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    history: list[tuple[str, str, bool, str | None]] = field(default_factory=list)
    ids: int = 0

    def __post_init__(self) -> None:
        self.now = at(self.first_day, 10, self.terms)
        self.plan = plan_of(self.terms)

    # --- changes ---

    @property
    def today(self) -> str:
        return self.terms.day_of(self.now)

    def id(self, prefix: str) -> str:
        self.ids += 1
        return f"{prefix}_{self.ids:03}"

    def learn(self, facts: PlanFacts) -> None:
        self.changes.append((None, facts))
        self.times.append(self.now)
        self.plan = replace(self.plan.merged(facts), version=self.plan.version + 1)

    def report(self, payment_id: str, facts: Facts) -> None:
        """Merge facts into a payment, and write its part with it."""
        self.changes.append((payment_id, facts))
        self.times.append(self.now)
        self.payments[payment_id] = self.payments[payment_id].merged(facts)
        self.plan = replace(self.plan.with_payment(self.payments[payment_id]), version=self.plan.version + 1)

    def create(self, *covers: int) -> str:
        payment_id = plans.payment_id("test", self.plan, covers, {})
        assert payment_id not in self.payments, "an id is used once"
        price = self.terms.amount_of(covers)
        self.payments[payment_id] = Payment(
            payment_id=payment_id, user_id="u", track="DP", kind="intent", attempt=self.plan.next_number,
            stripe_object_id=f"pi_{payment_id}", price=price, created_at="2026-01-31T10:00:00.000Z",
            updated_at="2026-01-31T10:00:00.000Z", plan="pln_1", covers=covers,
        )  # fmt: skip
        self.report(payment_id, Facts(phase=Phase(self.now, 0, "created")))
        return payment_id

    # --- the bank ---

    def charge(self, payment_id: str, outcome: Outcome, method: str | None = "pm_1", kind: str = "card") -> Answer:
        """Charge a payment, and return the answer as a try would record it."""
        payment, charge = self.payments[payment_id], self.id("ch")
        succeeded = Charge("succeeded", payment.price.amount, self.now, kind, payment_method=method)
        if outcome == "invalid" or not payment.payable:
            return Answer(self.now, code="payment_intent_unexpected_state")
        if outcome == "ok":
            settled = Settled(payment.price.amount, "usd", self.now)
            self.report(payment_id, Facts(settled=settled, charges={charge: succeeded}))
            return Answer(self.now, charge)
        if outcome == "processing":
            pending = {charge: replace(succeeded, status="pending")}
            self.report(payment_id, Facts(phase=Phase(self.now, 2, "processing"), charges=pending))
            return Answer(self.now, charge)
        advice = outcome if outcome == "do_not_try_again" else "try_again_later"
        code = "stolen_card" if outcome == "do_not_try_again" else outcome
        failed = {charge: replace(succeeded, status="failed", code=code, advice=advice)}
        self.report(payment_id, Facts(phase=Phase(self.now, 3, "failed", code), charges=failed))
        return Answer(self.now, charge, code, advice)

    def bank_decides(self, payment_id: str, *, pays: bool) -> None:
        """A debit that was processing succeeds or fails."""
        charge_id = next(key for key, one in self.payments[payment_id].facts.charges.items() if one.status == "pending")
        pending = self.payments[payment_id].facts.charges[charge_id]
        if pays:
            settled = Settled(pending.amount, "usd", self.now)
            self.report(payment_id, Facts(settled=settled, charges={charge_id: replace(pending, status="succeeded")}))
        else:
            failed = {charge_id: replace(pending, status="failed", code="insufficient_funds")}
            self.report(payment_id, Facts(phase=Phase(self.now, 3, "failed", "insufficient_funds"), charges=failed))

    def close(self, payment_id: str) -> None:
        self.report(payment_id, Facts(closed=Closed(self.now, "intent", "canceled")))

    def refund(
        self,
        payment_id: str,
        amount: int,
        status: str = "succeeded",
        refund: str | None = None,
        request: str | None = None,
    ) -> str:
        """Refund an amount, or give a refund that exists another status. Return the refund's id."""
        refund_id = refund or self.id("re")
        self.report(payment_id, Facts(refunds={refund_id: Refund(status, amount, self.now, request=request)}))
        return refund_id

    def dispute(self, payment_id: str, status: str, dispute_id: str = "du_1") -> None:
        """Open or decide a dispute of all that a payment received."""
        dispute = self.payments[payment_id].facts.disputes.get(dispute_id)
        created = dispute.created if dispute else self.now
        stamp = (dispute.stamp if dispute else 0) + 1
        amount = self.payments[payment_id].amount
        self.report(payment_id, Facts(disputes={dispute_id: Dispute(stamp, status, amount, created, "fraudulent")}))

    # --- the student and staff ---

    def begin(self, method: str = "pm_1", kind: str = "card") -> str:
        """Begin the plan and pay its first installment."""
        payment_id = self.create(1)
        self.charge(payment_id, "ok", method, kind)
        return payment_id

    def pay(self, what: What = "next", outcome: Outcome = "ok", method: str = "pm_page") -> str | None:
        """Pay on the page, as `POST /api/plans/{id}/pay` will: with the open payment if it covers the same."""
        covers = plan_decisions.payable_seqs(self.plan, what, self.today)
        if not covers or self.plan.processing:
            return None
        for payment_id, part in list(self.plan.parts.items()):
            if part.payable and part.covers != covers:
                self.close(payment_id)
        same = [key for key, part in self.plan.parts.items() if part.payable]
        payment_id = same[0] if same else self.create(*covers)
        self.charge(payment_id, outcome, method)
        return payment_id

    def set_up(self, method: str, kind: str = "card") -> None:
        """Choose another payment method."""
        methods = {key: replace(one, replaced=self.now) for key, one in plan_methods.methods(self.plan).items()}
        self.learn(PlanFacts(methods={**methods, method: Method(set_up=self.now, type=kind)}))

    def detach(self, method: str) -> None:
        stored = plan_methods.methods(self.plan)[method]
        self.learn(PlanFacts(methods={method: replace(stored, gone=self.now)}))

    def decide(self, name: DecisionName, **values: Any) -> str | None:
        """Take a decision, and return why it is refused if it is."""
        decision = PlanDecision(version=self.plan.version, decision=name, at=self.now, actor="staff", **values)
        refusal = plan_decisions.refusal(self.plan, decision, self.today)
        if refusal is None:
            self.learn(PlanFacts(decisions={self.id("dec"): decision}))
        return refusal

    # --- the collector ---

    def run(self) -> list[plan_steps.Step]:
        """Perform every step that is due, as one run of the collector."""
        steps: list[plan_steps.Step] = []
        first = len(self.changes)
        try:
            while step := plan_steps.next_step(self.plan, self.now, charging=self.charging):
                steps.append(step)
                assert len(steps) < 40, steps[-6:]
                self.perform(step)
        finally:
            self.runs.append((self.now, first, len(self.changes)))
            plan = self.plan
            due = plan_schedule.due_day(plan, plan.first_owed) if plan.first_owed else None
            self.history.append((self.today, plan.status, plan.grants_access, due))
        return steps

    def perform(self, step: plan_steps.Step) -> None:
        match step:
            case plan_steps.Tick():
                before = self.plan
                self.learn(PlanFacts(observed=step.boundary))
                assert (before.covered, before.received, before.parts) == (
                    *(self.plan.covered, self.plan.received, self.plan.parts),
                )
            case plan_steps.Announce():
                self.learn(PlanFacts(announced={step.key: self.now}))
            case plan_steps.Close():
                self.close(step.payment_id)
            case plan_steps.Refund():
                payment, name = self.payments[step.payment_id], self.id("rr")
                request = RefundRequest(name, step.amount, "", "the collector", timestamps.iso(self.now), "submitting")
                self.payments[step.payment_id] = payment.with_requests((*payment.requests, request))
                self.refund(step.payment_id, step.amount, request=name)
            case plan_steps.Create():
                self.create(*step.covers)
            case plan_steps.Charge():
                self.begin_try(step)
            case plan_steps.Repeat():
                self.finish_try(step.occasion, step.attempt)
            case plan_steps.ReadAnswer():
                outcome = self.confirmed.get(step.attempt.idempotency_key(step.occasion))
                answer = Answer(self.now, code=failure_of(outcome))
                self.learn(PlanFacts(tries={step.occasion: replace(step.attempt, answer=answer)}))

    def begin_try(self, step: plan_steps.Charge) -> None:
        attempt = Try(at=self.now, payment_id=step.payment_id, seq=step.seq, method=step.method)
        assert step.occasion not in self.plan.facts.tries, "an occasion has one try"
        self.learn(PlanFacts(tries={step.occasion: attempt}))
        if self.kill("before the call"):
            raise Killed
        self.finish_try(step.occasion, attempt)

    def finish_try(self, occasion: str, attempt: Try) -> None:
        """Call Stripe under the try's key, at which a repeated call has the same answer and makes no second charge."""
        key = attempt.idempotency_key(occasion)
        if key not in self.confirmed:
            self.confirmed[key] = self.bank(self, attempt.method)
            self.check_charge(attempt)
            self.charges.append((self.today, attempt.seq, attempt.method or "", occasion))
            kind = plan_methods.methods(self.plan)[attempt.method or ""].type or "card"
            answer = self.charge(attempt.payment_id, self.confirmed[key], attempt.method, kind)
        else:
            answer = Answer(self.now, code=failure_of(self.confirmed[key]))
        if self.kill("after the call"):
            raise Killed
        self.learn(PlanFacts(tries={occasion: replace(attempt, answer=answer)}))

    def check_charge(self, attempt: Try) -> None:
        """Check what must be true whenever a charge is made, by the facts alone."""
        facts, method = self.plan.facts, attempt.method or ""
        announced = [key.partition(":")[2] for key in facts.announced if key.startswith(f"{attempt.seq}:")]
        assert announced and max(announced) <= self.today, "a charge before its announced day"
        ended = {one.decision for one in facts.decisions.values()} & {"close", "withdraw"}
        assert not ended, "a charge after the end"
        for payment in self.payments.values():
            statuses = {dispute.status for dispute in payment.facts.disputes.values()}
            assert not statuses & {"needs_response", "under_review"}, "a charge during a dispute"
            assert payment.status != "PROCESSING", "a charge while another is processing"
            for charge in payment.facts.charges.values():
                if charge.payment_method == method and charge.status == "failed":
                    fresh = plan_methods.methods(self.plan)[method].fresh
                    assert charge.advice != "do_not_try_again" or charge.created < fresh, "a charge against the advice"
        stored = facts.methods.get(method)
        assert stored is None or (stored.replaced, stored.gone) == (None, None), (
            "a charge with a method that was replaced or detached"
        )
        same = [one for one in self.charges if one[:2] == (self.today, attempt.seq) and one[3].startswith("day:")]
        assert not same, "two charges on a retry day"

    def until(self, day: str, act: Callable[["Story"], None] | None = None) -> None:
        """Let the days pass, with one run of the collector at 6 on each, up to and with this day."""
        while self.today < day:
            self.now = self.now - self.now % DAY + DAY + 6 * 3600
            if act:
                act(self)
            self.run()
            check(self)

    def skip_to(self, day: str) -> None:
        """Let the days pass without the collector."""
        self.now = at(day, 6, self.terms)

    def state(self, seq: int) -> str:
        return plan_installments.installments(self.plan)[seq - 1].state


def check(story: Story) -> None:
    """Check what holds whenever the collector has run."""
    plan = story.plan
    if story.charging:
        assert plan_steps.next_step(plan, story.now) is None
        wake = plan_steps.wake_at(plan)
        if wake is not None:
            assert wake > story.now
            assert plan_steps.next_step(plan, wake - 1) is None and plan_steps.next_step(plan, wake) is not None
        assert sum(part.payable for part in plan.parts.values()) <= 1
    truth = [one.facts for one in story.payments.values()]
    received = sum(one.settled.amount for one in truth if one.settled)
    refunded = sum(r.amount for one in truth for r in one.refunds.values() if r.status in ("pending", "succeeded"))
    lost = sum(d.amount for one in truth for d in one.disputes.values() if d.status == "lost")
    assert (plan.received, plan.refunded, plan.lost) == (received, refunded, lost)
    if plan.status == "SUSPENDED":
        assert plan.payable and plan_decisions.payable_seqs(plan, "next", story.today)
    if not plan.charged_off_session:
        assert isinstance(plan_attempts.next_attempt(plan), str)
    days = [day for day, *_, occasion in story.charges if occasion.startswith("day:")]
    assert len(days) == len({*days}), "one charge on a retry day"
    by_seq = [seq for part in plan.parts.values() if part.pays for seq in part.covers]
    assert len(by_seq) == len({*by_seq})
    assert Plan.__eq__(plan, replace(plan, terms=PlanTerms.from_json(plan.terms.to_json())))


def replayed(story: Story, order: Sequence[tuple[str | None, PlanFacts | Facts]]) -> Plan:
    """Return the plan to which the story's changes lead in another order, some of them twice."""
    plan = plan_of(story.terms)
    payments = {key: replace(one, facts=Facts()) for key, one in story.payments.items()}
    for payment_id, facts in order:
        if payment_id is None and isinstance(facts, PlanFacts):
            plan = plan.merged(facts)
        elif payment_id is not None and isinstance(facts, Facts):
            payments[payment_id] = payments[payment_id].merged(facts)
            plan = plan.with_payment(payments[payment_id])
    return plan


def shuffled[T](changes: Iterable[T], rng: random.Random) -> list[T]:
    """Return the changes in a random order, some of them twice."""
    order = list(changes)
    order += rng.sample(order, len(order) // 3)
    rng.shuffle(order)
    return order


def agrees(story: Story, plan: Plan) -> bool:
    """Whether a replayed plan has the facts, the parts and all that follows from them as the story has."""
    same_parts = {key: part_of(one) for key, one in story.payments.items() if part_of(one)} == dict(plan.parts)
    derived = (plan.status, plan.standing, plan_steps.wake_at(plan), plan_schedule.boundaries(plan))
    original = story.plan
    expected = (original.status, original.standing, plan_steps.wake_at(original), plan_schedule.boundaries(original))
    return same_parts and plan.facts == original.facts and derived == expected
