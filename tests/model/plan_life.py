"""A search over the whole life of plans: students, the collector, staff, banks and time, with faults at every I/O.

A schedule has rounds. Between two rounds time passes: a quarter of an hour, days, or the 40 days of an outage. In a
round its participants run at the same time, one I/O after another, and each may die there. Stripe's events arrive late,
twice, in another order, or never. The checks are in `plan_checkers`.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests import plan_calls
from tests.acceptance import ACCEPTANCE
from tests.model import checkers, plan_checkers
from tests.model.simulation import Actor, Fate, Simulation, running, without_inspector
from tests.unit.plan_stories import random_rules
from tuition.core import catalog, plan_attention, plan_outcomes
from tuition.core.errors import PaymentInProgress
from tuition.core.facts import Kind
from tuition.core.money import Money
from tuition.core.refs import PaymentRef
from tuition.intake import collect, fan_out, reconcile, stripe_events, walk
from tuition.payments import collection, offers, plan_decisions, plan_endings, plan_payments, plans, refunds, switches
from tuition.payments.checkout import Buyer
from tuition.settings import settings
from tuition.storage import ledger

DAY_S = 86_400
DAY = float(DAY_S)
RULE_SEEDS = (3, 9)
"""In lives whose seed ends with these digits the rules of plans are random, and change. The others have the default.

Plans keep those with which they began: the watch compares the terms of each plan at each commit.
"""
ROUNDS_OF_RULES = 4
"""After how many rounds they change."""
PASSES = (900.0, 6 * 3600.0, DAY, DAY, DAY, 2 * DAY, 3 * DAY, 7 * DAY, 15 * DAY)
OUTAGE = 40 * DAY
FATES: tuple[Fate, ...] = ("kill before", "kill after", "drop before", "drop after", "conflict", "error", "throttle")
CARDS = (
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_mastercard",
    "pm_card_refundFail",
    "pm_card_authenticationRequiredOnSetup",
)
METHODS = (*CARDS, *CARDS, "pm_usBankAccount_success", "pm_card_chargeDeclined")
CARD_STEPS = ("ok", "insufficient_funds", "do_not_honor", "lost_card", "authentication_required", "expired_card")
DEBIT_STEPS = ("ok", "insufficient_funds", "account_closed", "debit_not_authorized")
DISPUTES = (
    ("needs_response", "lost"),
    ("needs_response", "won"),
    ("needs_response", "lost", "under_review", "won"),
    ("warning_needs_response", "warning_closed"),
)
UNPAID = ("requires_payment_method", "requires_confirmation", "requires_action", "open")
"""The states of an intent or a session that its student can pay."""
FIRST_DAYS = (0, 8, 9, 40)
"""How many days after the start of the simulation a schedule begins: some on the last days of a month."""
InstallDefect = Callable[[pytest.MonkeyPatch], None]


@dataclass
class LifeResult:
    """The result of one schedule."""

    seed: int
    problems: list[str]
    trace: list[str]
    counts: Counter[str] = field(default_factory=Counter)


class Life:
    """One seeded history of plans."""

    def __init__(self, sim: Simulation, seed: int, change_rules: Callable[[], None]) -> None:
        self.sim, self.rng, self.change_rules = sim, random.Random(f"life:{seed}"), change_rules
        rng = self.rng
        self.counts: Counter[str] = Counter()
        self.watch = plan_checkers.Watch(sim, self.counts)
        self.users = ("ada", "bob")[: rng.choice((1, 1, 2))]
        self.product = {user: rng.choice(("DP", "DP", "ALL")) for user in self.users}
        self.fault_rate = rng.choice((0.0, 0.0, 0.01, 0.04))
        self.loss_rate = rng.choice((0.0, 0.0, 0.0, 0.3, 1.0))
        self.delivery_rate = rng.choice((0.05, 0.2, 0.6))
        self.restores = 1 if rng.random() < 0.15 else 0
        self.by_checkout = rng.choice((0.0, 0.0, 0.5))
        """How often a plan begins on Stripe's page."""
        self.outage_at = rng.randint(3, 20) if rng.random() < 0.35 else None
        self.busy = rng.choice((0.3, 1.0))
        """How much the people do besides paying."""
        self.withdraws = ("withdraw",) * 6 if settings().is_eu else ()
        self.undelivered: list[dict[str, Any]] = []
        self.snapshot: Any = None
        self.snapshot_at = 0.0
        self.pays = rng.choice((0.02, 0.05, 0.2))
        """How often a student pays before the collector does."""

    def run(self) -> list[str]:
        sim, rng = self.sim, self.rng
        sim.pass_time(rng.choice(FIRST_DAYS) * DAY)
        for number in range(rng.randint(14, 34)):
            if number == self.outage_at:
                self.counts["outages"] += 1
                self._pass(OUTAGE)
            if number % ROUNDS_OF_RULES == 0:
                self.change_rules()
            self._spawn_all()
            self._play()
            self._pass(rng.choice(PASSES))
        return self._check()

    # --- a round ---

    def _play(self) -> None:
        """Run the participants of a round, until all are done or time passes."""
        sim, rng = self.sim, self.rng
        for _ in range(1_500):
            self._collect_events()
            sim.actors = [actor for actor in sim.actors if not self._is_finished(actor)]
            if self.undelivered and rng.random() < (self.delivery_rate if sim.actors else 0.5):
                self._deliver()
            elif not sim.actors:
                break
            elif self.restores and rng.random() < 0.01:
                self._restore()
            else:
                sim.now += rng.choice((0.0, 0.01, 0.2))
                actor = rng.choice(sim.actors)
                actor.step(self._fate(actor))

    def _pass(self, seconds: float) -> None:
        """Let time pass. It kills the invocations in flight, and Stripe does what is due."""
        self.sim.pass_time(seconds)
        self._collect_events()

    def _collect_events(self) -> None:
        for event in self.sim.new_events():
            if event["type"] in stripe_events.SUBSCRIBED and self.rng.random() >= self.loss_rate:
                self.undelivered.append(event)

    def _is_finished(self, actor: Actor) -> bool:
        if actor.finished and actor.error is not None:
            self.sim.problems.append(f"{actor.name} raised {actor.error!r}")
        return actor.finished

    def _fate(self, actor: Actor) -> Fate:
        waiting = actor.waiting or ""
        if not actor.invoking or waiting == "sleep" or self.rng.random() >= self.fault_rate:
            return "go"
        fate = self.rng.choice(FATES)
        if fate == "conflict" and not waiting.startswith("transact"):
            return "go"
        if fate in ("error", "throttle") and "/v1/" not in waiting:
            return "go"
        if fate == "error" and waiting.startswith("GET"):
            fate = "drop before"
        self.sim.faults += 1
        self.counts["kills" if fate.startswith("kill") else "lost answers and refusals"] += 1
        return fate

    def _deliver(self) -> None:
        index = self.rng.randrange(len(self.undelivered))
        event = self.undelivered[index]
        if self.rng.random() < 0.9:
            del self.undelivered[index]
        self.counts["deliveries"] += 1

        def act() -> None:
            if isinstance(self.sim.invoke(lambda: stripe_events.apply(event)), BaseException):
                self.undelivered.append(event)

        self.sim.spawn(f"webhook {event['type']}", act)

    def _restore(self) -> None:
        """Take a snapshot. Later return all tables or the plans alone to it, or lose the plans. Then do as the runbook.

        A plan that alone returns to the snapshot is older than its records and its payments.
        """
        sim = self.sim
        if self.snapshot is None:
            self.snapshot, self.snapshot_at = sim.snapshot(), sim.now
            return
        for actor in sim.actors:
            while not actor.finished and actor.invoking:
                actor.step("kill before")
        what = self.rng.choice(("all tables", "the plans alone", "no plans"))
        if what == "no plans":
            sim.tables.stored["plans"].clear()  # their records and payments are not lost
        else:
            sim.restore(self.snapshot, only="plans" if what == "the plans alone" else None)
        sim.trace.append(f"RESTORE of {what}")
        self.counts["restores"] += 1
        self.counts[f"restores of {what}"] += 1
        self.snapshot, self.restores = None, 0
        sim.faults += 1
        self.watch.restart()
        sim.pass_time(1_000)  # the lease of a run that was killed has expired
        sim.stripe.account.faults.clear()
        self._recompute_plans()  # a plan that is older than its records must have them before anything else is recorded
        for first in range(int(self.snapshot_at - DAY), int(sim.now), int(30 * DAY)):
            reconcile.backfill(first, min(first + int(30 * DAY), int(sim.now)), lambda: 900.0)
        self._recompute_plans()

    def _recompute_plans(self) -> None:
        for plan_id in sorted({payment.plan for payment in self.sim.payments() if payment.plan}):
            if ledger.find_plan(plan_id):
                ledger.recompute_plan(plan_id)

    # --- the participants ---

    def _spawn_all(self) -> None:
        rng = self.rng
        rates: dict[str, tuple[float, Callable[[], None]]] = {
            "collector": (0.9, self._collect),
            "another collector": (0.15, self._collect),
            "worker": (0.3, self._work),
            "reconciler": (0.12, self._reconcile),
            "staff": (0.12 * self.busy, self._decide),
            "other staff": (0.1 * self.busy, self._other_decisions),
            "bank": (0.3 * self.busy, self._set_steps),
            "cardholder": (0.04 * self.busy, self._dispute),
            "dashboard": (0.06 * self.busy, self._use_dashboard),
            "catalog": (0.03, self._change_catalog),
        }
        for user in self.users:
            rates[f"{user} begins"] = (0.8, lambda u=user: self._begin(u))
            rates[f"{user} pays"] = (self.pays, lambda u=user: self._pay(u))
            rates[f"{user} changes the method"] = (0.12 * self.busy, lambda u=user: self._change_method(u))
            rates[f"{user} decides"] = ((0.25 if self.withdraws else 0.08) * self.busy, lambda u=user: self._end(u))
        for name, (probability, act) in rates.items():
            if rng.random() < probability:
                self.sim.spawn(name, act)

    def _invoke(self, act: Callable[[], Any]) -> Any:
        """Perform an invocation as a person does, who repeats one that failed. Return None after the last failure."""
        for _ in range(self.rng.choice((1, 3))):
            result = self.sim.invoke(act)
            if not isinstance(result, BaseException):
                return result
            self.counts[f"answer {type(result).__name__}"] += 1
        return None

    def _plans(self, user: str) -> list[Any]:
        return [plan for plan in self.sim.plans() if plan.user_id == user]

    def _some_plan(self) -> Any:
        plans_now = self.sim.plans()
        return self.rng.choice(plans_now) if plans_now else None

    def _begin(self, user: str) -> None:
        """Begin a plan, unless one runs, and pay its first installment."""
        rng, product = self.rng, self.product[user]
        if any(plan.status not in ("OPEN", "CLOSED", "REFUNDED", "ABANDONED") for plan in self._plans(user)):
            return
        membership = product if product == "ALL" else None
        kind: Kind = "checkout" if rng.random() < self.by_checkout else "intent"
        item = catalog.memberships()[product] if membership else self.sim.catalog[product]
        opened = self._invoke(
            lambda: plans.begin(
                Buyer(user, f"{user}@example.org"),
                track=None if membership else product,
                membership=membership,
                offer=item.offers[0].offer,
                consent=offers.consent_of(item, item.offers[0]).version,
                kind=kind,
                urls=plans.Urls("https://example.org/ok", "https://example.org/no"),
            )
        )
        if opened:
            self.counts[f"begun by {kind}"] += opened.new
        if opened and rng.random() < 0.9:
            self._confirm(opened.payment.stripe_object_id)

    def _confirm(self, object_id: str) -> None:
        """Pay in the browser or on Stripe's page, once or twice, and confirm with the bank if it asks."""
        sim, rng = self.sim, self.rng
        for _ in range(rng.choice((1, 1, 2))):
            sim.pause("pays")
            if sim.object(object_id)["status"] not in UNPAID:
                return
            self.counts["payments by students"] += 1
            sim.pay(object_id, rng.choice(METHODS))
            intent = sim.object(object_id)["payment_intent"] if object_id.startswith("cs_") else object_id
            if intent and sim.object(intent)["status"] == "requires_action":
                sim.pause("3-D Secure")
                path = f"/_sim/payment_intents/{intent}/authenticate"
                sim.at_stripe("POST", path, outcome=rng.choice(("success", "success", "failure")))

    def _pay(self, user: str) -> None:
        rng = self.rng
        for plan in self._plans(user):
            what = rng.choice(("next", "next", "due", "rest"))
            opened = self._invoke(lambda p=plan, w=what: plan_payments.pay(p.plan_id, user, f"{user}@example.org", w))
            if opened and rng.random() < 0.8:
                self._confirm(opened.payment.stripe_object_id)

    def _change_method(self, user: str) -> None:
        sim, rng = self.sim, self.rng
        for plan in self._plans(user):
            setup = self._invoke(lambda p=plan: plans.begin_method(p.plan_id, user))
            if setup is None:
                continue
            sim.pause("sets up a method")
            path = f"/v1/setup_intents/{setup.setup_intent_id}/confirm"
            setup_intent = sim.at_stripe("POST", path, payment_method=rng.choice(CARDS), **ACCEPTANCE)
            if setup_intent.get("status") == "succeeded" and rng.random() < 0.8:
                self.counts["methods chosen"] += 1
                self._invoke(lambda p=plan, m=setup_intent["payment_method"]: plans.choose_method(p.plan_id, user, m))

    def _end(self, user: str) -> None:
        """Cancel, resume, request the money back or, in the EU, withdraw, or begin a track of a membership."""
        rng = self.rng
        for plan in self._plans(user):
            what = rng.choice(("cancel", "resume", "request", "track", "track", "buy", *self.withdraws))
            plan_id = plan.plan_id
            if what == "cancel":
                self._invoke(lambda p=plan_id: plan_endings.cancel(p, user, "no time"))
            elif what == "resume":
                self._invoke(lambda p=plan_id: plan_endings.resume(p, user))
            elif what == "request" and plan.parts:
                payment_id = rng.choice(sorted(plan.parts))
                self._invoke(lambda p=plan_id, k=payment_id: plan_endings.request_refund(p, user, "changed my mind", k))
            elif what == "withdraw":
                if self._invoke(lambda p=plan_id: plan_endings.withdraw(p, user, "Ada Lovelace", None, None)):
                    self.counts["withdrawals"] += 1
            elif what == "track":
                self._invoke(lambda p=plan_id: plans.begin_track(p, user, rng.choice(("DP", "FSD"))))
            elif what == "buy" and plan.track:
                before = plan.blocks_purchase
                bought = self.sim.invoke(lambda: self.sim.create(user))
                if before and not isinstance(bought, BaseException) and self._still_blocks(plan_id):
                    self.sim.problems.append(f"{user} could buy DP outright while {plan_id} waits for its rest")

    def _still_blocks(self, plan_id: str) -> bool:
        plan = self.sim.plan(plan_id)
        return plan is not None and plan.blocks_purchase

    def _collect(self) -> None:
        self.counts["runs"] += 1
        self.sim.invoke(lambda: collect.run(lambda: 900.0))

    def _work(self) -> None:
        for _ in range(3):
            self.sim.pause("worker")
            if self.sim.messages:
                name = self.rng.choice(self.sim.messages)
                self.sim.messages.remove(name)
                self.sim.invoke(lambda n=name: reconcile.work(n, lambda: 900.0))

    def _reconcile(self) -> None:
        self.sim.invoke(lambda: reconcile.run(lambda: 900.0))

    def _decide(self) -> None:
        """Take a decision that is possible now, on the version that staff see: sometimes it has moved since."""
        plan = self._some_plan()
        if plan is None:
            return
        choices = [
            one for one in plan_outcomes.choices(plan, int(self.sim.now))
            if one.decision.decision != "close" or self.rng.random() < 0.3
        ]  # fmt: skip
        if not choices:
            return
        decision = self.rng.choice(choices).decision
        seq = decision.seqs[0] if decision.decision in ("waive", "reschedule") else None
        access = self.rng.choice((None, True, False)) if decision.decision == "pause" else None
        order = plan_decisions.Order(
            decision.decision, plan.version, "a note", seq, decision.to, decision.refund, access
        )
        self.sim.pause("reads the plan")
        if self._invoke(lambda: plan_decisions.decide(plan.plan_id, order, "grace")):
            self.counts[f"decided {decision.decision}"] += 1

    def _other_decisions(self) -> None:
        """Charge now, decide a refund request, acknowledge, or stop and start the collection."""
        sim, rng, plan = self.sim, self.rng, self._some_plan()
        if plan is None:
            return
        match rng.choice(("now", "now", "request", "request", "acknowledge", "switch")):
            case "now":
                self._invoke(lambda: collection.charge_now(plan.plan_id, walk.stripe_now(), "grace"))
            case "request":
                for payment in [one for one in sim.payments() if one.plan == plan.plan_id]:
                    for request in [one for one in payment.requests if one.state == "awaiting_approval"]:
                        ref, yes = PaymentRef(payment.payment_id, payment.user_id, plan.product), rng.random() < 0.5
                        self._invoke(
                            lambda r=ref, i=request.id, y=yes: refunds.decide(r, i, approve=y, note=None, staff="s")
                        )
            case "acknowledge":
                for reason in plan_attention.unacknowledged(plan):
                    name = reason.name
                    self._invoke(lambda n=name: plan_decisions.acknowledge(plan.plan_id, n, None, "seen", "grace"))
            case "switch":
                on = rng.random() < 0.5
                self._invoke(lambda: switches.decide("collecting", on=on, note="n", staff="grace"))

    # --- at Stripe ---

    def _set_steps(self) -> None:
        """Say what the next charges of each method of a customer do, or give a card new details."""
        sim, rng = self.sim, self.rng
        for method in sim.objects("payment_method"):
            if not method.get("customer"):
                continue
            path = f"/_sim/payment_methods/{method['id']}"
            if method["type"] == "card" and rng.random() < 0.15:
                sim.at_stripe("POST", path, card={"exp_month": 12, "exp_year": 2035})
                self.watch.updated[method["id"]] = sim.now
                continue
            steps = CARD_STEPS if method["type"] == "card" else DEBIT_STEPS
            sim.at_stripe("POST", path, next=[rng.choice(steps) for _ in range(rng.randint(0, 4))])

    def _dispute(self) -> None:
        sim, rng = self.sim, self.rng
        charges = [one for one in sim.objects("charge") if one["status"] == "succeeded"]
        free = [one for one in charges if not one["disputed"] and not one["refunded"]]
        if not free:
            return
        first, *later = rng.choice(DISPUTES)
        self.counts["disputes"] += 1
        dispute = sim.at_stripe("POST", "/_sim/disputes", charge=rng.choice(free)["id"], status=first)
        for status in later:
            for _ in range(rng.randint(0, 30)):
                sim.pause("bank decides")
            if "id" in dispute:
                sim.at_stripe("POST", "/_sim/disputes", dispute=dispute["id"], status=status)

    def _use_dashboard(self) -> None:
        """Refund, detach a method, delete a customer, alter an amount or cancel an intent, beside Tuition."""
        sim, rng = self.sim, self.rng
        match rng.choice(("refund", "refund", "detach", "detach", "delete", "alter", "cancel", "expire")):
            case "refund":
                charges = [one for one in sim.objects("charge") if one["status"] == "succeeded" and not one["refunded"]]
                if charges:
                    charge = rng.choice(charges)
                    amount = rng.choice((charge["amount"] - charge["amount_refunded"], 1_000))
                    sim.at_stripe("POST", "/v1/refunds", charge=charge["id"], amount=amount)
            case "detach":
                methods = [one["id"] for one in sim.objects("payment_method") if one.get("customer")]
                if methods:
                    sim.at_stripe("DELETE", f"/_sim/payment_methods/{rng.choice(methods)}")
            case "delete":
                for customer in sim.objects("customer"):
                    if not customer.get("deleted"):
                        sim.at_stripe("DELETE", f"/_sim/customers/{customer['id']}")
            case "expire":
                for session in sim.objects("checkout.session"):
                    if session["status"] == "open":
                        sim.at_stripe("POST", f"/v1/checkout/sessions/{session['id']}/expire")
            case name:
                intents = [one for one in sim.objects("payment_intent") if one["status"] == "requires_payment_method"]
                intents = [one for one in intents if one["metadata"].get("kind") == "intent"]  # not those of Checkout
                for intent in intents:
                    path = f"/v1/payment_intents/{intent['id']}"
                    if name == "alter":
                        sim.at_stripe("POST", path, amount=intent["amount"] + 100)
                    else:
                        sim.at_stripe("POST", f"{path}/cancel")

    def _change_catalog(self) -> None:
        """Raise the price of each installment. Only plans that begin later cost more."""
        track = self.sim.catalog["DP"]
        dearer = track.offers[0]._replace(amounts=tuple(amount + 100 for amount in track.offers[0].amounts))
        price = Money(track.price.amount + 400, track.price.currency)
        self.sim.catalog["DP"] = replace(track, offers=(dearer,), price=price)

    # --- the end ---

    def _check(self) -> list[str]:
        sim = self.sim
        sim.current = None
        for actor in sim.actors:
            self._is_finished(actor)
        try:
            self._come_to_rest()
        except Exception as error:  # noqa: BLE001  (the search looks for any error)
            sim.problems.append(f"the end raised {error!r}")
        return sim.problems

    def _come_to_rest(self) -> None:
        """Deliver the rest, reconcile, and collect for 80 days, in which the students and staff do nothing."""
        sim = self.sim
        sim.stripe.account.faults.clear()
        switches.decide("collecting", on=True, note="the end", staff="grace")
        self._deliver_until_quiet(sim.all_events() if self.counts["restores"] and not self.loss_rate else [])
        for _ in range(3 if self.loss_rate or sim.faults else 1):
            sim.pass_time(2 * 3600)
            run = reconcile.run(lambda: 900.0)  # the first reports what failed in earlier tasks, too
        sim.problems += [f"the reconciler failed: {reason}" for reason in run.failed]
        self._deliver_until_quiet()
        for number in range(24):
            sim.pass_time(2 * 3600 if number < 4 else 4 * DAY)
            run = collect.run(lambda: 900.0)
            if number:  # the first reports what failed in earlier tasks, too
                sim.problems += [f"the collector failed: {reason}" for reason in run.failed]
            sim.problems += [] if run.done else ["the collector did not finish"]
            self._deliver_until_quiet()
            if number in (3, 23):
                collect.run(lambda: 900.0)
                sim.problems += plan_checkers.final_problems(sim, int(sim.now)) + plan_checkers.plan_problems(sim)
            if sim.problems:
                return
        sim.problems += checkers.customers(sim) + self._stuck()

    def _deliver_until_quiet(self, events: list[dict[str, Any]] | None = None) -> None:
        sim = self.sim
        pending = [*self.undelivered, *[one for one in events or [] if one["type"] in stripe_events.SUBSCRIBED]]
        self.undelivered.clear()
        for _ in range(25):  # a minute, and a few rounds for what follows
            for event in pending:
                stripe_events.apply(event)
            sim.pass_time(3)
            pending = [event for event in sim.new_events() if event["type"] in stripe_events.SUBSCRIBED]
            if not pending and not sim.due_within(60):
                return
        raise AssertionError("Stripe keeps creating events")

    def _stuck(self) -> list[str]:
        """A student whose plan is SUSPENDED or that was given up can pay, and has access afterwards."""
        sim, problems = self.sim, []
        for plan in sim.plans():
            if plan.status not in ("SUSPENDED", "LATE") and plan.close_reason != "gave_up":
                continue
            result = sim.invoke(lambda p=plan: plan_payments.pay(p.plan_id, p.user_id, "a@example.org", "rest"))
            if isinstance(result, BaseException):
                if not (isinstance(result, PaymentInProgress) and plan.processing):
                    problems.append(f"{plan.plan_id} is {plan.status}, and paying it answers {result!r}")
                continue
            payable = sim.object(result.payment.stripe_object_id)["amount"]
            if not result.payment.price.amount == payable == plan.terms.amount_of(plan.owed).amount:
                continue  # altered in the dashboard
            sim.pay(result.payment.stripe_object_id)
            self._deliver_until_quiet()
            after = sim.plan(plan.plan_id)
            if plan.terms.endless and len(after.taken) < len(plan.taken) and after.payable:
                continue  # disputes took several periods, which are paid one by one
            if after.owed[1:] or (not after.grants_access and not after.is_revoked and not after.pause):
                problems.append(f"{plan.plan_id} was paid, and is {after.status}")
        return problems


def run_life(seed: int, defect: InstallDefect | None = None) -> LifeResult:
    """Run one schedule, with a planted defect if one is given."""
    with pytest.MonkeyPatch.context() as patch, running(seed, patch) as sim:
        without_inspector(patch)
        plan_calls.offer_plans(patch.setattr)
        sim.catalog = dict(catalog.tracks())
        patch.setattr(walk, "WINDOW_S", 30 * DAY_S)  # the other search has many windows
        patch.setattr(fan_out, "SLOTS_PER_READ", 5)
        patch.setenv("PLAN_REGIONS", "US,EU")
        patch.setenv("CONSUMER_REGION", "EU" if seed % 4 == 0 else "US")
        if defect:
            defect(patch)
        rules_rng = random.Random(f"rules:{seed}")

        def change_rules() -> None:
            if seed % 10 in RULE_SEEDS:
                for name, days in random_rules(rules_rng)._asdict().items():
                    patch.setenv(f"PLAN_{name.upper()}", str(days).strip("()").rstrip(","))
                settings.cache_clear()

        life = Life(sim, seed, change_rules)
        return LifeResult(seed, life.run(), sim.trace, life.counts)
