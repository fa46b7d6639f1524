"""The properties of plans: at each commit, at each call to Stripe, and when nothing is due any more.

The oracles know Stripe's objects, the records of the plans' own chains and the facts as stored. None asks the code
under test whether a charge was allowed.
"""

import calendar
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any
from urllib.parse import parse_qsl

from tests import consistency
from tests.in_memory_dynamodb.tables import Item
from tests.model.simulation import Simulation
from tuition.core import (
    attention,
    plan_attention,
    plan_checks,
    plan_schedule,
    plan_steps,
    recorded_plan_facts,
    timestamps,
)
from tuition.core.payment import BANK_DEBITS, Payment
from tuition.core.plan import Plan
from tuition.core.plan_facts import Announced
from tuition.core.plan_parts import part_of
from tuition.storage import mapping, queries

PAYABLE = {"requires_payment_method", "requires_confirmation", "requires_action", "processing"}


# --- the plans by Stripe's objects and their records ---


def plan_problems(sim: Simulation) -> list[str]:
    """The plans are what Stripe's objects and their own records lead to, and the enrollments have their standings."""
    problems: list[str] = []
    for plan in sim.plans():
        trail = queries.audit_trail(plan.plan_id)
        if broken := plan_checks.broken(plan, trail):
            problems.append(f"{plan.plan_id}: record {broken.seq}: {broken.why}")
        payments = [payment for payment in sim.payments() if payment.plan == plan.plan_id]
        derived = _derived(plan, trail, payments)
        if (plan.status, plan.parts, plan.covered) != (derived.status, derived.parts, derived.covered):
            problems.append(f"{plan.plan_id} is {plan.status} with {plan.parts}, by its payments {derived.status}")
        problems += _money(sim, plan, payments)
        for product in {plan.product, *plan.tracks}:
            enrollment = sim.enrollment(plan.user_id, product)
            standing = derived.standing if derived.standing.counts else None
            if enrollment is None or enrollment.standings.get(plan.plan_id) != standing:
                problems.append(f"{plan.plan_id} is {plan.status}, but {product} has another standing of it")
    for payment in sim.payments():
        problems += consistency.audit_violations(payment, queries.audit_trail(payment.payment_id))
    return problems


def _derived(plan: Plan, trail: list[dict[str, Any]], payments: list[Any]) -> Plan:
    """Return the plan that its records and payments lead to, whatever its item says.

    No record names a payment method. So the methods are the item's, as are those of the tries on record.
    """
    facts = recorded_plan_facts.restored(trail)
    tries = {key: replace(one, method=plan.facts.tries[key].method) for key, one in facts.tries.items()}
    parts = {payment.payment_id: part for payment in payments if (part := part_of(payment))}
    return replace(plan, facts=replace(facts, methods=plan.facts.methods, tries=tries), parts=parts)


def _money(sim: Simulation, plan: Plan, payments: list[Any]) -> list[str]:
    """What Stripe has received, refunded and lost for the plan is the sum of its parts."""
    intents = {payment.intent for payment in payments}
    of_plan = intents_of(sim, plan.plan_id)
    settled = sum(one["amount_received"] for one in of_plan if one["status"] == "succeeded")
    refunded = sum(
        one["amount"]
        for one in sim.objects("refund")
        if one["payment_intent"] in intents and one["status"] in ("pending", "succeeded")
    )
    lost = sum(
        one["amount"] for one in sim.objects("dispute") if one["payment_intent"] in intents and one["status"] == "lost"
    )
    held, due = (plan.received, plan.refunded, plan.lost), (settled, refunded, lost)
    covered = {
        seq
        for one in of_plan
        if one["status"] == "succeeded" and not _is_lost(sim, one["id"])
        for seq in _covers(one)
        if one["amount_received"] == plan.terms.amount_of(_covers(one)).amount
    }
    problems = [f"{plan.plan_id} has {held}, at Stripe {due}"] if held != due else []
    return problems + (
        [f"{plan.plan_id} covers {plan.covered}, at Stripe {covered}"] if plan.covered != covered else []
    )


def intents_of(sim: Simulation, plan_id: str) -> list[dict[str, Any]]:
    """Return the intents that Stripe has for a plan."""
    return [one for one in sim.objects("payment_intent") if one["metadata"].get("plan") == plan_id]


def _covers(intent: Mapping[str, Any]) -> list[int]:
    return [int(seq) for seq in intent["metadata"]["covers"].split(",")]


def _is_lost(sim: Simulation, intent: str) -> bool:
    return any(one["status"] == "lost" for one in sim.objects("dispute") if one["payment_intent"] == intent)


def final_problems(sim: Simulation, now: int) -> list[str]:
    """Return what is wrong with plans for which the collector has done everything that is due."""
    problems: list[str] = []
    for plan in sim.plans():
        step = plan_steps.next_step(plan, now)
        if step is not None:
            problems.append(f"{plan.plan_id} is {plan.status}, and the collector leaves {step}")
        if any(one.answer is None for one in plan.facts.tries.values()):
            problems.append(f"{plan.plan_id} has a try without an answer")
        intents = intents_of(sim, plan.plan_id)
        sessions = {one.get("payment_intent"): one["status"] for one in sim.objects("checkout.session")}
        payable = [
            one
            for one in intents
            if one["status"] in PAYABLE and sessions.get(one["id"], "open") in ("open", "complete")
        ]
        if len(payable) > 1:
            problems.append(f"{plan.plan_id} has {len(payable)} intents that can be paid")
        kept = [one for one in intents if _keeps_money(sim, one) and not _is_altered(plan, one)]
        settled = Counter(seq for one in kept for seq in _covers(one))
        reasons = {reason.name for reason in plan_attention.reasons(plan)}
        for seq, count in settled.items():
            if count > 1 and f"double:{seq}" not in reasons and plan.ended_by != "money_back":
                problems.append(
                    f"{plan.plan_id} was paid {count} times for installment {seq}, without a reason for attention"
                )
        problems += _due_days(plan) + _withdrawal(sim, plan, intents)
        if plan.money_due and not any(name.startswith("money_due:") for name in reasons):
            problems.append(f"{plan.plan_id} still owes {plan.money_due}, without a reason for attention")
    return problems


def _keeps_money(sim: Simulation, intent: Mapping[str, Any]) -> bool:
    """Whether the money of an intent is still here. Of another amount than was asked, its payment says so to staff."""
    back = sum(
        one["amount"]
        for one in sim.objects("refund")
        if one["payment_intent"] == intent["id"] and one["status"] in ("pending", "succeeded")
    )
    return intent["status"] == "succeeded" and back < intent["amount_received"] and not _is_lost(sim, intent["id"])


def _is_altered(plan: Plan, intent: Mapping[str, Any]) -> bool:
    return bool(intent["amount"] != plan.terms.amount_of(_covers(intent)).amount)


def _withdrawal(sim: Simulation, plan: Plan, intents: list[dict[str, Any]]) -> list[str]:
    """After a withdrawal from the contract there is no access, and no money is left that staff need not look at."""
    payments = [payment for payment in sim.payments() if payment.plan == plan.plan_id]
    if not any(payment.facts.withdrawn for payment in payments):
        return []
    problems = [f"{plan.plan_id} was withdrawn and grants access"] if plan.grants_access else []
    looked_at = plan_attention.reasons(plan) or any(attention.reasons(one, double=False) for one in payments)
    kept = [one["id"] for one in intents if _keeps_money(sim, one)]
    return problems + ([f"{plan.plan_id} was withdrawn and keeps {kept}"] if kept and not looked_at else [])


def _due_days(plan: Plan) -> list[str]:
    """Every due day that no decision has moved is as many months after the anchor, at most the month's last day."""
    if plan.anchor is None or any(plan.decided("reschedule", "pause")):
        return []
    anchor = date.fromisoformat(plan.anchor)
    problems = []
    for seq in [*plan.terms.seqs][:6]:
        year, month = divmod(anchor.year * 12 + anchor.month - 1 + seq - 1, 12)
        last = calendar.monthrange(year, month + 1)[1]
        due = date(year, month + 1, min(anchor.day, last)).isoformat()
        if plan_schedule.due_day(plan, seq) != due:
            problems.append(f"{plan.plan_id}: {seq} is due {plan_schedule.due_day(plan, seq)}, not {due}")
    return problems


# --- the properties at each moment ---


def stops(plan: Plan, payments: Iterable[Payment]) -> str | None:
    """Return what forbids every charge without the student, by its facts and payments; None if nothing does."""
    newest: dict[str, str] = {}
    for decision in plan.decisions:
        for pair in (("cancel", "undo_cancel"), ("pause", "resume"), ("revoke", "restore")):
            if decision.decision in pair:
                newest[pair[0]] = decision.decision
        if decision.decision in ("withdraw", "close"):
            return decision.decision
    for name, last in newest.items():
        if name == last:
            return name
    for part in plan.parts.values():
        if part.dispute == "open" or part.withdrawn or part.requested:
            return "a dispute, a withdrawal or a request"
    accepted = {name for decision in plan.decided("continue") for name in decision.accepts}
    of_plan = [one for payment in payments if payment.plan == plan.plan_id for one in payment.facts.refunds.items()]
    if {refund.request or key for key, refund in of_plan} - accepted:
        return "a refund, made or failed, without a decision of staff"
    return None


class Watch:
    """Watches each commit and each call to Stripe, and adds what must not be to the problems of the simulation."""

    def __init__(self, sim: Simulation, counts: Counter[str]) -> None:
        self.sim, self.counts = sim, counts
        self.plans: dict[str, Plan] = {}
        """Each plan as it was committed last."""
        self.stopped_since: dict[str, int] = {}
        """Plan -> the step since which nothing may be charged without the student."""
        self.restored = False
        self.updated: dict[str, float] = {}
        """Payment method -> when the card network gave it new details."""
        self._requests: dict[str, Any] = {}
        self._declined: dict[str, list[tuple[str, int, str | None, str | None, float]]] = defaultdict(list)
        self._debits: Counter[tuple[str, int]] = Counter()
        self._paid_days: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        self._on_commit, self._handle = sim.on_commit, sim.stripe.handle
        sim.on_commit = self.on_commit  # type: ignore[method-assign]
        sim.stripe.handle = self.handle  # type: ignore[method-assign]

    def restart(self) -> None:
        """Forget what a restore has undone."""
        self.restored = True
        self.plans = {plan.plan_id: plan for plan in self.sim.plans()}
        self.stopped_since.clear()

    def _problem(self, plan: Plan, text: str) -> None:
        self.sim.problems.append(f"{plan.plan_id} ({plan.status}): {text}")

    # --- commits ---

    def on_commit(self, writes: Sequence[Item]) -> None:
        """Check the plans of a committed transaction."""
        self._on_commit(writes)
        puts = [write["Put"] for write in writes if "Put" in write]
        records = {put["Item"]["subject"]["S"]: put["Item"] for put in puts if put["TableName"] == "audit"}
        for put in puts:
            if put["TableName"] == "plans":
                plan = mapping.plan_from_raw(put["Item"])
                self._check_plan(self.plans.get(plan.plan_id), plan, records.get(plan.plan_id))
                self.plans[plan.plan_id] = plan

    def _check_plan(self, before: Plan | None, plan: Plan, record: Item | None) -> None:
        sim, record_type = self.sim, record["type"]["S"] if record else ""
        if record:
            self.counts[record_type] += 1
        if before is None or before.status != plan.status:
            self.counts[plan.status] += 1
        if plan.status == "SUSPENDED" and not plan.payable:
            self._problem(plan, "its student can do nothing")
        if stops(plan, sim.payments()) is None:
            self.stopped_since.pop(plan.plan_id, None)
        else:
            self.stopped_since.setdefault(plan.plan_id, sim.steps)
        if before is None:
            return
        if before.terms != plan.terms:
            self._problem(plan, "its terms have changed")
        if record_type == "plan.tick":
            self._check_tick(before, plan, record or {})
        if plan.status == "SUSPENDED" and before.status in ("ACTIVE", "LATE") and not plan.taken:
            self._check_suspension(plan)
        for key, announced_at in plan.facts.announced.items():
            if key not in before.facts.announced and not self.restored:
                notice = timestamps.days_between(plan.terms.day_of(announced_at), Announced.of(key).day)
                if notice < plan.terms.notice_days:
                    self._problem(plan, f"the charge {key} was announced {notice} days before")
        new_tries = plan.facts.tries.keys() - before.facts.tries.keys()
        if new_tries and stops(before, sim.payments()):
            self._problem(plan, f"{new_tries} began after: {stops(before, sim.payments())}")

    def _check_tick(self, before: Plan, plan: Plan, record: Item) -> None:
        """A tick records the start of a day, under that time, and moves no money."""
        observed = plan.facts.observed
        if observed != plan.terms.start_of(plan.terms.day_of(observed)):
            self._problem(plan, f"a tick observed {timestamps.iso(observed)}, which is no boundary")
        if (before.covered, before.parts) != (plan.covered, plan.parts):
            self._problem(plan, "a tick changed what is covered")

    def _check_suspension(self, plan: Plan) -> None:
        """Access ends by time only after the grace since the announced day, and a try or nothing to try with."""
        seq, today = plan.first_owed, plan.terms.day_of(int(self.sim.now))
        days = [Announced.of(key).day for key in plan.facts.announced if Announced.of(key).seq == seq]
        if not days or timestamps.days_between(max(days), today) < plan.terms.grace_days:
            self._problem(plan, f"suspended on {today} for a charge announced for {days}")
        tried = any(
            one.seq == seq and plan.terms.day_of(one.at) >= max(days, default="") for one in plan.facts.tries.values()
        )
        lost = any(m.gone or m.replaced for m in plan.facts.methods.values())
        declines = [one for part in plan.parts.values() for one in part.declines.values()]
        refused = any(one.advice == "do_not_try_again" or one.code == "authentication_required" for one in declines)
        refused = refused or any(one.answer and one.answer.code for one in plan.facts.tries.values())
        if not (tried or lost or refused or self.restored):
            self._problem(plan, f"suspended on {today}, and {seq} was never tried")

    # --- calls to Stripe ---

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Any:
        """Answer a request as Stripe does, and check it."""
        key = headers.get("Idempotency-Key")
        if method == "POST" and key and key.startswith("pay_"):
            request = path, _without_terms(body)
            if self._requests.setdefault(key, request) != request:
                self.sim.problems.append(f"{key} was used for two requests: {self._requests[key]} and {request}")
        response = self._handle(method, path, headers, body)
        params = dict(parse_qsl(body.decode())) if path.endswith("/confirm") else {}
        if params.get("off_session") in ("true", "True") and response.status in (200, 402):
            replayed = any(name.lower() == "idempotent-replayed" for name in response.headers)
            if not replayed and key:
                self._check_charge(path.split("/")[-2], params["payment_method"], key, response)
        return response

    def _check_charge(self, intent_id: str, method: str, key: str, response: Any) -> None:
        sim, intent = self.sim, self.sim.object(intent_id)
        plan, (seq, *more) = sim.plan(intent["metadata"]["plan"]), _covers(intent)
        self.counts["charges"] += 1
        self.counts["charges that succeeded or are processing"] += response.status == 200
        if plan is None or more:
            sim.problems.append(f"{intent_id} was charged without a plan, or for {[seq, *more]}")
            return
        today, now = plan.terms.day_of(int(sim.now)), sim.now
        payment_id, _, occasion = key.partition(":")
        attempt = plan.facts.tries.get(occasion)
        if attempt is None or (attempt.payment_id, attempt.method, attempt.seq) != (payment_id, method, seq):
            self._problem(plan, f"charged under {key} with {method}, but its try is {attempt}")
        since = self.stopped_since.get(plan.plan_id)
        started = sim.current.first_io_step if sim.current else None
        if since is not None and started is not None and since < started:
            self._problem(
                plan, f"charged at step {sim.steps}, although since step {since}: {stops(plan, sim.payments())}"
            )
        announced = [(Announced.of(name), at) for name, at in plan.facts.announced.items()]
        if not any(
            one.seq == seq
            and one.day <= today
            and timestamps.days_between(plan.terms.day_of(at), one.day) >= plan.terms.notice_days
            for one, at in announced
        ):
            self._problem(plan, f"{seq} was charged on {today} and announced {announced}")
        held = [one["id"] for one in intents_of(sim, plan.plan_id) if one["id"] != intent_id and _keeps_money(sim, one)]
        settled = {payment.intent for payment in sim.payments() if payment.facts.settled and not self.restored}
        twice = [one for one in held if one in settled and seq in _covers(sim.object(one))]
        if twice:
            self._problem(plan, f"{seq} was charged, although {twice} had been received for it")
        self._check_bounds(plan, seq, method, occasion, today, paid=response.status == 200)
        if response.status == 402:
            error = response.json()["error"]
            code = error.get("decline_code") or error.get("code")
            self._declined[plan.plan_id].append((method, seq, code, error.get("advice_code"), now))

    def _check_bounds(self, plan: Plan, seq: int, method: str, occasion: str, today: str, *, paid: bool) -> None:
        """The bank's advice is obeyed, a debit is tried three times, and one charge of a plan is paid on a day."""
        if self.restored:
            return
        for declined, other, code, advice, at in self._declined[plan.plan_id]:
            if declined == method and self.updated.get(method, 0) < at:
                if advice == "do_not_try_again":
                    self._problem(plan, f"{method} was tried again for {seq} although its bank forbids it")
                if code == "authentication_required" and other == seq:
                    self._problem(plan, f"{seq} was tried again with {method} although only the student can confirm it")
        if self.sim.object(method)["type"] in BANK_DEBITS:
            self._debits[plan.plan_id, seq] += 1
            if self._debits[plan.plan_id, seq] > 3:
                self._problem(plan, f"{seq} was debited more than three times")
        if paid and not occasion.startswith("now:"):  # a debit that failed may be followed by one with another method
            self._paid_days[plan.plan_id, today].add(seq)
            if len(self._paid_days[plan.plan_id, today]) > 1:
                self._problem(plan, f"two installments were charged on {today}")


def _without_terms(body: bytes) -> list[tuple[str, str]]:
    """Return the parameters of a request. The terms have the time of the agreement, which a repeated begin changes."""
    return [one for one in parse_qsl(body.decode()) if one[0] != "metadata[plan_terms]"]
