"""The participants of a schedule: students, staff, banks, the clock, the catalog, and users of Stripe's dashboard.

Each one acts between its I/Os as the schedule permits. At `sim.pause`, any other participant may act first.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from tests.model import checkers
from tests.model.scenarios import Scenario
from tests.model.simulation import Killed, Simulation
from tuition import clock
from tuition.core import attention, timestamps
from tuition.core import purchase_blocks as purchase_decisions
from tuition.core.audit import AuditEntry
from tuition.core.errors import (
    AlreadyPaid,
    CodeRefused,
    Conflicted,
    NotFound,
    PaymentInProgress,
    RefundRefused,
    TermsChanged,
    WithdrawalUnconfirmed,
)
from tuition.core.facts import Facts
from tuition.core.limits import NO_LIMITS
from tuition.core.refs import PaymentRef
from tuition.intake import reconcile, stripe_events
from tuition.payments import access, cancellation, purchase_blocks, refunds, status, switches
from tuition.storage import ledger
from tuition.storage import switches as stored_switches
from tuition.storage.ledger import Change, PaymentState
from tuition.stripe_gateway import closing, sync

DAY = 86_400.0
USERS = ("ada", "bob", "cy")
TRACKS = ("DP", "FSD")


class Participants:
    """The people of one schedule, and what they have done (`counts`)."""

    def __init__(self, sim: Simulation, scenario: Scenario, rng: Random, counts: Counter[str]) -> None:
        self.sim, self.scenario, self.rng, self.counts = sim, scenario, rng, counts
        self.done_steps: set[tuple[str, str, str]] = set()
        """The steps that the curriculum has marked as done: user, entry, step."""
        self.same_choices = rng.random() < scenario.same_choices
        """All tabs request the same purchase, so no tab may close an object that another tab was offered."""
        self.users = USERS[: rng.choice(scenario.students)]
        self.kind = rng.choice(scenario.kinds)

    def spawn_all(self) -> None:
        """Spawn every participant of the scenario."""
        sim, scenario, rng = self.sim, self.scenario, self.rng
        if scenario.promotion_codes:
            sim.create_promotion_codes(scenario.codes)
        for user in self.users:
            self._spawn_student(user)
        others: dict[str, tuple[float, Callable[[], None]]] = {
            "refund staff": (scenario.staff_refunds, self._handle_refunds),
            "access staff": (scenario.access_decisions, self._decide_access),
            "purchase staff": (scenario.purchase_decisions, self._decide_purchases),
            "attention staff": (scenario.acknowledgements, self._acknowledge),
            "dashboard user": (scenario.dashboard, self._use_dashboard),
            "curriculum": (scenario.curriculum, self._complete_steps),
            "catalog": (scenario.price_change, self._change_price),
            "support": (scenario.customer_deleted, self._delete_customers),
            "time": (scenario.days_pass, self._pass_days),
            "viewer": (scenario.views, self._view_payments),
            "reconciler": (scenario.reconciler, self._reconcile),
            "worker": (scenario.reconciler, self._perform_tasks),
            "bank": (scenario.disputed, self._dispute),
            "card tester": (scenario.card_testing, self._test_cards),
            "orphan payer": (scenario.pays_orphans, self._pay_orphans),
            "merchant": (scenario.amount_altered, self._alter_amounts),
            "privacy staff": (scenario.erasure, self._erase),
        }
        if scenario.terms:
            sim.publish_terms(scenario.terms[0])
            sim.spawn("school", self._change_terms)
        for name, (probability, act) in others.items():
            if rng.random() < probability:
                for _ in range({"viewer": scenario.viewers, "worker": 2}.get(name, 1)):
                    sim.spawn(name, act)
        for number in range(2 if scenario.selling_stops else 0):
            sim.spawn(f"selling staff {number}", self._decide_selling)

    def _spawn_student(self, user: str) -> None:
        rng, scenario = self.rng, self.scenario
        kind, save = self.kind, rng.random() < 0.2
        code = self.choose_code(kind)
        track = rng.choice(TRACKS[: scenario.tracks])
        for number in range(rng.choice(scenario.tabs)):
            if not self.same_choices:
                kind, save = rng.choice(scenario.kinds), rng.random() < 0.3
                code, track = self.choose_code(kind), rng.choice(("DP", track))
            pays = rng.random() < scenario.pays
            act = StudentTab(self, user, track, kind, save=save, code=code, pays=pays).act
            self.sim.spawn(f"student {user} {number}", act)
        if scenario.start == "bought" and rng.random() < scenario.requests_refund:
            for payment in self.sim.payments():
                ref = PaymentRef(payment.payment_id, payment.user_id, payment.track)
                self.sim.spawn("student requests a refund", lambda r=ref: self.request_refund(r))

    def choose_code(self, kind: str) -> str | None:
        if kind == "checkout" and self.rng.random() < self.scenario.promotion_codes:
            return self.rng.choice(self.scenario.codes)
        return None

    def wait(self, reason: str, max_pauses: int | None = None) -> None:
        for _ in range(self.rng.randint(0, self.scenario.max_waits if max_pauses is None else max_pauses)):
            self.sim.pause(reason)

    def _some_payment(self, *, settled: bool = True) -> Any:
        candidates = [p for p in self.sim.payments() if p.facts.settled or not settled]
        return self.rng.choice(candidates) if candidates else None

    # --- refunds ---

    def request_refund(self, ref: PaymentRef) -> None:
        sim = self.sim
        self.wait("considers a refund")
        is_over = self.rng.random() < self.scenario.refund_window_over
        if is_over and not self.counts["windows over"]:  # the audit of the whole schedule compares 31 days at most
            self.counts["windows over"] += 1
            sim.pass_time(15 * DAY)
        if self.rng.random() < 0.4:
            sim.spawn("student clicks twice", lambda: sim.invoke(lambda: self._ask(ref, "twice")))
        for _ in range(3):
            result = sim.invoke(lambda: self._ask(ref, "changed my mind"))
            self.counts["refund requests"] += 1
            final = (RefundRefused, WithdrawalUnconfirmed, NotFound)
            if not isinstance(result, BaseException) or isinstance(result, final):
                break
            self.wait("retries the refund request", 3)
        if self.scenario.withdraws_requests and self.rng.random() < self.scenario.withdraws_requests:
            self._withdraw_request(ref)

    def _withdraw_request(self, ref: PaymentRef) -> None:
        """Withdraw a request while staff may decide it, with retries after a failure."""
        payment = self.sim.payment(ref.payment_id)
        awaiting = [one.id for one in payment.requests if one.state == "awaiting_approval"] if payment else []
        for request_id in awaiting:
            for _ in range(3):
                self.wait("withdraws the request", 4)
                self.counts["withdrawn requests"] += 1
                result = self.sim.invoke(lambda r=request_id: refunds.withdraw_request(ref, r))
                if not isinstance(result, BaseException) or isinstance(result, (RefundRefused, NotFound)):
                    break

    def cancel(self, payment_id: str, user: str) -> None:
        """Cancel a payment while its student may pay it in another tab."""
        for _ in range(3):
            self.wait("cancels", 6)
            self.counts["cancels"] += 1
            result = self.sim.invoke(lambda: cancellation.cancel(payment_id, user))
            if isinstance(result, (AlreadyPaid, PaymentInProgress, NotFound)):
                return
            if not isinstance(result, BaseException):
                if result.stripe_object_id in checkers.payable(self.sim):
                    self.sim.problems.append(f"{payment_id} was canceled and can still be paid")
                return

    def _change_terms(self) -> None:
        for version in self.scenario.terms[1:]:
            self.wait("changes the terms", 20)
            self.counts["new terms"] += 1
            self.sim.publish_terms(version)

    def _ask(self, ref: PaymentRef, reason: str) -> Any:
        """Withdraw from the contract, where the scenario is in the EU, or request a refund."""
        if self.scenario.withdrawals and self.rng.random() < self.scenario.withdrawals:
            self.counts["withdrawals"] += 1
            return refunds.withdraw(ref, "Ada Lovelace", None)
        return refunds.request(ref, reason)

    def _handle_refunds(self) -> None:
        """Decide refund requests, and refund without a request."""
        sim, rng = self.sim, self.rng
        for _ in range(rng.randint(1, 3)):
            self.wait("refund staff")
            payment = self._some_payment()
            if payment is None:
                continue
            ref = PaymentRef(payment.payment_id, payment.user_id, payment.track)
            pending_ids = [r.id for r in payment.requests if r.state == "awaiting_approval"]
            self.counts["staff refunds"] += 1
            if pending_ids and rng.random() < 0.7:
                yes = rng.random() < 0.6
                sim.invoke(lambda r=ref, p=pending_ids, y=yes: refunds.decide(r, p[0], approve=y, note=None, staff="s"))
            else:
                amount = rng.choice(self.scenario.refund_amounts)
                sim.invoke(lambda r=ref, a=amount: refunds.refund(r, a, "goodwill", None, "staff"))

    # --- other decisions of staff ---

    def _decide_access(self) -> None:
        """Accept an amount, revoke access or restore it, and change that decision later."""
        sim, rng = self.sim, self.rng
        for _ in range(rng.randint(1, 4)):
            self.wait("access staff")
            payment = self._some_payment()
            if payment is not None:
                ref = PaymentRef(payment.payment_id, payment.user_id, payment.track)
                decision: access.AccessDecision = rng.choice(("accept_amount", "revoke", "revoke", "restore"))
                self.counts[decision] += 1
                sim.invoke(lambda r=ref, d=decision: access.decide(r, d, "agreed by phone", "dean"))

    def _decide_purchases(self) -> None:
        """Block and allow the purchases of a user."""
        for _ in range(3):
            self.wait("purchase staff", 20)
            user, decision = self.rng.choice(self.users), self.rng.choice(purchase_decisions.DECISIONS)
            self.counts["purchase decisions"] += 1
            self.sim.invoke(lambda u=user, d=decision: purchase_blocks.decide(u, d, "a note of staff", "staff"))

    def _decide_selling(self) -> None:
        """Stop selling, and sell again, sometimes only from the state that was seen."""
        for _ in range(3):
            self.wait("selling staff", 12)
            on = self.rng.random() < 0.4
            version = stored_switches.load("selling").version if on and self.rng.random() < 0.5 else None
            self.counts["selling decisions"] += 1
            self.sim.invoke(
                lambda o=on, v=version: switches.decide("selling", on=o, note="n", staff="staff", expected_version=v)
            )

    def _acknowledge(self) -> None:
        """Acknowledge a reason why a payment needs attention."""
        sim, rng = self.sim, self.rng
        for _ in range(rng.randint(1, 4)):
            self.wait("attention staff")
            payment = self._some_payment(settled=False)
            if payment is None:
                continue
            enrollment = sim.enrollment(payment.user_id, payment.track)
            double = enrollment is not None and payment.grantor in enrollment.doubled
            causes = attention.reasons(payment, double=double)
            if causes and sim.current:
                cause = rng.choice(causes)
                ref = PaymentRef(payment.payment_id, payment.user_id, payment.track)
                sim.current.acknowledging = cause.name, cause.fingerprint
                self.counts["acknowledge"] += 1
                sim.invoke(lambda r=ref, c=cause: access.acknowledge(r, c.name, c.fingerprint, "checked", "clerk"))

    def _erase(self) -> None:
        """Erase the personal facts of a user's payment."""
        sim = self.sim
        self.wait("privacy staff", 25)
        payment = self._some_payment(settled=False)
        if payment is not None:
            ref = PaymentRef(payment.payment_id, payment.user_id, payment.track)
            self.counts["erased"] += 1
            sim.invoke(lambda: ledger.update(ref, erase_personal_facts))

    # --- at Stripe ---

    def _use_dashboard(self) -> None:
        """Refund, cancel or expire in Stripe's dashboard, without our metadata."""
        sim, rng = self.sim, self.rng
        for _ in range(rng.randint(1, 2)):
            self.wait("dashboard user", 2 * self.scenario.max_waits)
            objects = [*sim.objects("payment_intent"), *sim.objects("checkout.session")]
            if not objects:
                continue
            obj = rng.choice(objects)
            path = f"/v1/payment_intents/{obj['id']}"
            if obj["status"] == "succeeded":
                amount = rng.choice((obj["amount"], 5_000, 30_000))
                sim.at_stripe("POST", "/v1/refunds", payment_intent=obj["id"], amount=amount)
            elif obj["object"] == "checkout.session":
                sim.at_stripe("POST", f"/v1/checkout/sessions/{obj['id']}/expire")
            else:
                sim.at_stripe("POST", f"{path}/cancel")

    def _alter_amounts(self) -> None:
        """Change the amount of an open intent, so that the amount received differs from the price."""
        sim = self.sim
        for _ in range(4):
            self.wait("merchant", self.scenario.max_waits // 2)
            open_intents = [i for i in sim.objects("payment_intent") if i["status"] == "requires_payment_method"]
            ids = [i["id"] for i in open_intents if i["metadata"].get("kind") == "intent"]  # not those of Checkout
            if ids:
                sim.at_stripe("POST", f"/v1/payment_intents/{self.rng.choice(ids)}", amount=45_000)

    def _pay_orphans(self) -> None:
        """Pay an open intent that no payment is bound to, because its create died."""
        sim = self.sim
        for _ in range(2):
            self.wait("orphan payer", 4 * self.scenario.max_waits)
            bound = {payment.stripe_object_id for payment in sim.payments()}
            open_intents = [i for i in sim.objects("payment_intent") if i["status"] == "requires_payment_method"]
            orphans = [i["id"] for i in open_intents if i["id"] not in bound and i["metadata"].get("kind") == "intent"]
            if orphans:
                self.counts["orphans paid"] += 1
                sim.pay(self.rng.choice(orphans))

    def _dispute(self) -> None:
        """Open a dispute, decide it, and decide it again after an appeal."""
        sim, rng = self.sim, self.rng
        paid: list[dict[str, Any]] = []
        for _ in range(4):
            self.wait("bank", 2 * self.scenario.max_waits)
            charges = [c for c in sim.objects("charge") if c["status"] == "succeeded"]
            paid = [c for c in charges if not c["disputed"] and not c["refunded"]]
            if paid:
                break
        else:
            return
        self.counts["disputes"] += 1
        statuses = rng.choice(self.scenario.dispute_histories)
        dispute = sim.at_stripe("POST", "/_sim/disputes", charge=rng.choice(paid)["id"], status=statuses[0])
        for next_status in statuses[1:]:
            self.wait("bank")
            if "id" in dispute:
                sim.at_stripe("POST", "/_sim/disputes", dispute=dispute["id"], status=next_status)

    def _test_cards(self) -> None:
        """Try one card after another on an open intent whose client secret has left the school."""
        sim = self.sim
        for _ in range(12):
            sim.pause("tests a card")
            stored = {payment.payment_id for payment in sim.payments()}
            open_intents = [i for i in sim.objects("payment_intent") if i["status"] == "requires_payment_method"]
            offered = [i["id"] for i in open_intents if i["metadata"].get("payment_id") in stored]
            if offered:
                sim.pay(offered[0], "pm_card_chargeDeclined")
                self.counts["tested cards"] += 1

    def _delete_customers(self) -> None:
        self.wait("support", 20)
        for customer in self.sim.objects("customer"):
            if not customer.get("deleted"):
                self.sim.at_stripe("DELETE", f"/v1/customers/{customer['id']}")

    # --- the school ---

    def _complete_steps(self) -> None:
        """Mark steps as done with the curriculum's own UpdateItem, regardless of other writes to the item."""
        sim = self.sim
        for _ in range(4):
            self.wait("curriculum", 25)
            items = sim.tables.stored["enrollments"]
            with_steps = [(key, item) for key, item in items.items() if "#" in key[1] and "steps" in item]
            if not with_steps:
                continue
            (user, entry), item = self.rng.choice(with_steps)
            step = self.rng.choice(sorted(item["steps"]["M"]))
            mark_done(sim, entry, step, user)
            self.done_steps.add((user, entry, step))
            self.counts["steps done"] += 1

    def is_done(self, user_entry_step: tuple[str, str, str]) -> bool:
        user, entry, step = user_entry_step
        item = self.sim.tables.stored["enrollments"].get((user, entry), {})
        done = item.get("steps", {}).get("M", {}).get(step, {}).get("M", {}).get("done", {})
        return bool(done.get("BOOL"))

    def _change_price(self) -> None:
        self.wait("catalog", 20)
        self.sim.raise_price(self.rng.choice(TRACKS[: self.scenario.tracks]))

    def _pass_days(self) -> None:
        for _ in range(self.rng.randint(1, 2)):
            self.wait("time", 30)
            self.sim.pass_time(self.rng.choice((3.0, DAY + 60, DAY + 60)))

    def _view_payments(self) -> None:
        """View payments as their student. Each view may sync."""
        for _ in range(3):
            self.wait("viewer")
            for ref in self.sim.payment_refs():
                if self.rng.random() < self.scenario.syncs:
                    self._sync(ref)
                else:
                    self.sim.invoke(lambda r=ref: status.synced_payment(r.payment_id, r.user_id))

    def _sync(self, ref: PaymentRef) -> None:
        """Sync a payment. The result is the current state at Stripe, however many syncs run at once."""
        sim, actor = self.sim, self.sim.current
        result = sim.invoke(lambda: sync.refresh(ref))
        if isinstance(result, BaseException) or actor is None:
            return
        if actor.events_at_read != len(sim.stripe.webhooks.payloads):
            return
        if result[0].missing_at_stripe:
            return  # it was missing at Stripe once, so it will be closed whatever its state is now
        expected = checkers.StripeState(sim).expected(result[0]).status
        if result[0].status != expected:
            sim.problems.append(f"a sync returned {result[0].status} right after Stripe had answered {expected}")

    def _reconcile(self) -> None:
        """Run the hourly job, or resume unfinished refunds and replay the quarantine."""
        sim, rng = self.sim, self.rng
        for _ in range(3):
            self.wait("reconciler")
            if rng.random() < self.scenario.hour_passes:
                sim.pass_time(3700)
            if rng.random() < 0.5:
                self.counts["runs"] += 1
                sim.invoke(lambda: reconcile.run(lambda: 900.0))
                continue
            for ref in sim.payment_refs():
                sim.invoke(lambda r=ref: resume_refunds(sim, r))
            for event_id in list(sim.tables.stored["quarantine"]):
                sim.invoke(lambda e=event_id[0]: stripe_events.replay(e))

    def _perform_tasks(self) -> None:
        """Perform the reconciler's tasks, as the queue delivers their names: in any order, twice, or never."""
        sim, rng = self.sim, self.rng
        for _ in range(12):
            self.wait("worker", 8)
            if sim.messages:
                name = rng.choice(sim.messages)
                if rng.random() < 0.7:
                    sim.messages.remove(name)  # otherwise it is delivered again
                if rng.random() < 0.8:  # otherwise it is lost
                    self.counts["tasks"] += 1
                    sim.invoke(lambda n=name: reconcile.work(n, lambda: 900.0))


class StudentTab:
    """One browser tab of a student who requests a purchase, pays, and may change their mind."""

    def __init__(
        self, people: Participants, user: str, track: str, kind: str, *, save: bool, code: str | None, pays: bool
    ) -> None:
        self.people, self.sim, self.rng = people, people.sim, people.rng
        self.user, self.track, self.kind, self.save, self.code, self.pays = user, track, kind, save, code, pays

    def act(self) -> None:
        sim, rng, scenario = self.sim, self.rng, self.people.scenario
        self.people.wait("arrives", scenario.arrival_waits)
        for _ in range(rng.choice(scenario.purchases)):
            offer = self._create()
            if offer is None:
                return
            if scenario.cancels and rng.random() < scenario.cancels:
                payment = offer.payment
                sim.spawn(f"canceling {self.user}", lambda p=payment: self.people.cancel(p.payment_id, p.user_id))
            if self.pays:
                self.people.wait("is about to pay", 6)
                self._pay(offer.payment.stripe_object_id)
            if rng.random() < scenario.views:
                self.people.wait("is about to view", 6)
                sim.invoke(lambda o=offer: status.synced_payment(o.payment.payment_id, self.user))
            if rng.random() < scenario.requests_refund:
                self.people.request_refund(PaymentRef(offer.payment.payment_id, self.user, self.track))
            if not self.people.same_choices and rng.random() < 0.3:
                self.kind, self.save = rng.choice(scenario.kinds), rng.random() < 0.3
                self.code = self.people.choose_code(self.kind)

    def _create(self) -> Any:
        """Create the payment as a browser does, with retries after a failure."""
        sim, rng = self.sim, self.rng
        email = f"{self.user}@new.example.org" if rng.random() < self.people.scenario.new_email else ""
        for _ in range(4):
            params = {"save": self.save, "track": self.track, "email": email, "code": self.code}
            if self.people.scenario.terms:
                params["agreed_version"] = sim.terms[-1]
            result = sim.invoke(lambda p=params: sim.create(self.user, self.kind, **p))
            self.people.counts["creates"] += 1
            if isinstance(result, TermsChanged):
                continue
            if isinstance(result, (Conflicted, CodeRefused)):
                return None
            if not isinstance(result, BaseException):
                return result
            if isinstance(result, Killed):
                self.people.counts["killed"] += 1
                if rng.random() < 0.3:
                    return None
            sim.pause("retries the create")
        return None

    def _pay(self, object_id: str) -> None:
        """Pay in the browser or on Stripe's page, with a bounded number of attempts."""
        sim, rng = self.sim, self.rng
        for _ in range(rng.choice(self.people.scenario.payment_attempts)):
            sim.pause("pays")
            self.people.counts["payments"] += 1
            method = rng.choice(self.people.scenario.methods)
            sim.pay(object_id, method)
            intent = sim.object(object_id)["payment_intent"] if object_id.startswith("cs_") else object_id
            self._authenticate(sim.object(intent) if intent else {"status": None})

    def _authenticate(self, intent: dict[str, Any]) -> None:
        """Complete 3-D Secure where it is required, and let a bank debit settle."""
        sim, rng = self.sim, self.rng
        if intent["status"] == "requires_action" and rng.random() < 0.8:
            sim.pause("3-D Secure")
            outcome = rng.choice(self.people.scenario.authentication_outcomes)
            sim.at_stripe("POST", f"/_sim/payment_intents/{intent['id']}/authenticate", outcome=outcome)
        if intent["status"] == "processing" and rng.random() < 0.7:
            self.people.wait("bank debit is processing", 6)
            sim.pass_time(2.5)


def mark_done(sim: Simulation, entry: str, step: str, user: str = "ada") -> None:
    """Mark a step as done, with the curriculum's own write."""
    sim.tables.update_item(
        TableName="enrollments",
        Key={"user_id": {"S": user}, "sort_key": {"S": entry}},
        UpdateExpression="SET steps.#step.done = :true",
        ExpressionAttributeNames={"#step": step},
        ExpressionAttributeValues={":true": {"BOOL": True}},
    )


def erase_personal_facts(loaded: PaymentState) -> Change | None:
    """Return the change that an erasure makes to a payment's facts, for the ledger to commit."""
    payment = loaded.payment
    if payment is None or payment.facts.erased:
        return None
    entry = AuditEntry(timestamps.iso(clock.now()), f"erased:{payment.version}", "payment.erased", "staff", "staff")
    return Change(payment.merged(Facts(erased=True)), entry)


def resume_refunds(sim: Simulation, ref: PaymentRef) -> None:
    """Resume the refunds that are being submitted, and close what must be closed, as the reconciler does."""
    payment = sim.payment(ref.payment_id)
    for request in payment.requests if payment else ():
        if request.state == "submitting":
            refunds.resume(ref, sim.payment(ref.payment_id), request.id, refunds.Actor("reconcile"))
    state = replace(ledger.load(ref), limits=NO_LIMITS)
    if state.payment and closing.must_close(state):
        closing.close(ref)
