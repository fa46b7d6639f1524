"""Who there is: students, staff, banks, the clock, the catalog, and those at Stripe's dashboard.

Each acts between its I/Os as a schedule lets it. `machine.pause` is a place where anything else may come first.
"""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from tests.model import checkers
from tests.model.machine import Killed, Machine
from tests.model.plans import Plan
from tuition import clock
from tuition.core import attention, timestamps
from tuition.core.audit import AuditEntry
from tuition.core.errors import CodeRefused, Conflicted, NotFound, RefundRefused
from tuition.core.facts import Facts
from tuition.core.refs import PaymentRef
from tuition.intake import reconcile, stripe_events
from tuition.payments import access, refunds, status
from tuition.storage import ledger
from tuition.storage.ledger import Change, PaymentState
from tuition.stripe_gateway import closing, sync

DAY = 86_400.0
USERS = ("ada", "bob", "cy")
TRACKS = ("DP", "FSD")
CODES = ("FREE", "FREE", "FIFTH", "ONCE", "OVER", "NONE")


class Cast:
    """The people of one schedule, and what they have done (`counts`)."""

    def __init__(self, machine: Machine, plan: Plan, chance: Random, counts: Counter[str]) -> None:
        self.machine, self.plan, self.chance, self.counts = machine, plan, chance, counts
        self.marks: set[tuple[str, str, str]] = set()
        """User, entry and step that the curriculum has marked as done."""
        self.twins = chance.random() < plan.twins
        """All wish the same: nobody may close what anybody was answered."""
        self.users = USERS[: chance.choice(plan.students)]
        self.kind = chance.choice(plan.kinds)

    def enter(self) -> None:
        """Let everybody of the plan in."""
        machine, plan, chance = self.machine, self.plan, self.chance
        if plan.codes:
            machine.codes()
        for user in self.users:
            self._tabs(user)
        others: dict[str, tuple[float, Callable[[], None]]] = {
            "staff": (plan.staff, self._staff),
            "dean": (plan.decides, self._dean),
            "clerk": (plan.acknowledges, self._clerk),
            "dashboard": (plan.dashboard, self._dashboard),
            "curriculum": (plan.curriculum, self._curriculum),
            "catalog": (plan.price, self._price),
            "support": (plan.customer, self._customer),
            "time": (plan.days, self._days),
            "looker": (plan.looks, self._look),
            "reconciler": (plan.reconciles, self._reconcile),
            "bank": (plan.bank, self._bank),
            "tester": (plan.card_testing, self._test_cards),
            "stranger": (plan.strangers, self._pay_what_is_left),
            "merchant": (plan.alters, self._alter),
            "privacy": (plan.erases, self._erase),
        }
        for name, (likely, act) in others.items():
            if chance.random() < likely:
                for _ in range(plan.lookers if name == "looker" else 1):
                    machine.spawn(name, act)

    def _tabs(self, user: str) -> None:
        chance, plan = self.chance, self.plan
        kind, save = self.kind, chance.random() < 0.2
        code = self.code(kind)
        track = chance.choice(TRACKS[: plan.tracks])
        for number in range(chance.choice(plan.tabs)):
            if not self.twins:
                kind, save = chance.choice(plan.kinds), chance.random() < 0.3
                code, track = self.code(kind), chance.choice(("DP", track))
            pays = chance.random() < plan.pays
            act = Student(self, user, track, kind, save=save, code=code, pays=pays).act
            self.machine.spawn(f"student {user} {number}", act)
        if plan.begin == "bought" and chance.random() < plan.regrets:
            for payment in self.machine.payments():
                key = PaymentRef(payment.payment_id, payment.user_id, payment.track)
                self.machine.spawn("student regrets", lambda k=key: self.regret(k))

    def code(self, kind: str) -> str | None:
        return self.chance.choice(CODES) if kind == "checkout" and self.chance.random() < self.plan.codes else None

    def wait(self, what: str, most: int | None = None) -> None:
        for _ in range(self.chance.randint(0, self.plan.waits if most is None else most)):
            self.machine.pause(what)

    def _some_payment(self, *, settled: bool = True) -> Any:
        found = [p for p in self.machine.payments() if p.facts.settled or not settled]
        return self.chance.choice(found) if found else None

    # --- money back ---

    def regret(self, key: PaymentRef) -> None:
        machine = self.machine
        self.wait("regrets")
        if self.chance.random() < self.plan.window_over:
            machine.pass_time(15 * DAY)
        if self.chance.random() < 0.4:
            machine.spawn("student asks twice", lambda: machine.invoke(lambda: refunds.request(key, "twice")))
        for _ in range(3):
            ended = machine.invoke(lambda: refunds.request(key, "changed my mind"))
            self.counts["refund requests"] += 1
            if not isinstance(ended, BaseException) or isinstance(ended, (RefundRefused, NotFound)):
                return
            self.wait("asks again", 3)

    def _staff(self) -> None:
        machine, chance = self.machine, self.chance
        for _ in range(chance.randint(1, 3)):
            self.wait("staff work")
            payment = self._some_payment()
            if payment is None:
                continue
            key = PaymentRef(payment.payment_id, payment.user_id, payment.track)
            waiting = [r.id for r in payment.requests if r.state == "waiting"]
            self.counts["staff refunds"] += 1
            if waiting and chance.random() < 0.7:
                yes = chance.random() < 0.6
                machine.invoke(lambda k=key, w=waiting, y=yes: refunds.decide(k, w[0], approve=y, note=None, staff="s"))
            else:
                amount = chance.choice(self.plan.partial)
                machine.invoke(lambda k=key, a=amount: refunds.refund(k, a, "goodwill", None, "staff"))

    # --- what else staff decide ---

    def _dean(self) -> None:
        """Accepts an amount, or revokes access, and thinks again."""
        machine, chance = self.machine, self.chance
        for _ in range(chance.randint(1, 4)):
            self.wait("dean")
            payment = self._some_payment()
            if payment is not None:
                key = PaymentRef(payment.payment_id, payment.user_id, payment.track)
                verdict: access.AccessDecision = chance.choice(("accept", "revoke", "revoke"))
                self.counts[verdict] += 1
                machine.invoke(lambda k=key, v=verdict: access.decide(k, v, "so be it", "dean"))

    def _clerk(self) -> None:
        """Acknowledges what needs a person."""
        machine, chance = self.machine, self.chance
        for _ in range(chance.randint(1, 4)):
            self.wait("clerk")
            payment = self._some_payment(settled=False)
            if payment is None:
                continue
            enrollment = machine.enrollment(payment.user_id, payment.track)
            double = enrollment is not None and payment.payment_id in enrollment.doubled
            causes = attention.reasons(payment, double=double)
            if causes and machine.current:
                cause = chance.choice(causes)
                key = PaymentRef(payment.payment_id, payment.user_id, payment.track)
                machine.current.acknowledges = cause.name, cause.fingerprint
                self.counts["acknowledge"] += 1
                machine.invoke(lambda k=key, c=cause: access.acknowledge(k, c.name, c.fingerprint, "seen", "clerk"))

    def _erase(self) -> None:
        """Erases a user, as far as payments go: their personal facts."""
        machine = self.machine
        self.wait("privacy", 25)
        payment = self._some_payment(settled=False)
        if payment is not None:
            key = PaymentRef(payment.payment_id, payment.user_id, payment.track)
            self.counts["erased"] += 1
            machine.invoke(lambda: ledger.update(key, erasure))

    # --- at Stripe ---

    def _dashboard(self) -> None:
        """Somebody in Stripe's dashboard refunds, cancels or expires: no metadata of ours."""
        machine, chance = self.machine, self.chance
        for _ in range(chance.randint(1, 2)):
            self.wait("dashboard", 2 * self.plan.waits)
            objects = [*machine.objects("payment_intent"), *machine.objects("checkout.session")]
            if not objects:
                continue
            found = chance.choice(objects)
            path = f"/v1/payment_intents/{found['id']}"
            if found["status"] == "succeeded":
                amount = chance.choice((found["amount"], 5_000, 30_000))
                machine.at_stripe("POST", "/v1/refunds", payment_intent=found["id"], amount=amount)
            elif found["object"] == "checkout.session":
                machine.at_stripe("POST", f"/v1/checkout/sessions/{found['id']}/expire")
            else:
                machine.at_stripe("POST", f"{path}/cancel")

    def _alter(self) -> None:
        """Somebody alters the amount of an open intent: what is received is not what was asked."""
        machine = self.machine
        for _ in range(4):
            self.wait("merchant", self.plan.waits // 2)
            opened = [i for i in machine.objects("payment_intent") if i["status"] == "requires_payment_method"]
            own = [i["id"] for i in opened if i["metadata"].get("kind") == "intent"]  # Checkout's own are not altered
            if own:
                machine.at_stripe("POST", f"/v1/payment_intents/{self.chance.choice(own)}", amount=45_000)

    def _pay_what_is_left(self) -> None:
        """Somebody pays an object that nobody should have: one that its maker lost sight of."""
        machine = self.machine
        for _ in range(2):
            self.wait("stranger", 4 * self.plan.waits)
            bound = {payment.stripe_object_id for payment in machine.payments()}
            opened = [i for i in machine.objects("payment_intent") if i["status"] == "requires_payment_method"]
            lost = [i["id"] for i in opened if i["id"] not in bound and i["metadata"].get("kind") == "intent"]
            if lost:
                self.counts["paid by strangers"] += 1
                machine.pay(self.chance.choice(lost))

    def _bank(self) -> None:
        """Opens a dispute, and decides, and decides again."""
        machine, chance = self.machine, self.chance
        paid: list[dict[str, Any]] = []
        for _ in range(4):
            self.wait("bank", 2 * self.plan.waits)
            charges = [c for c in machine.objects("charge") if c["status"] == "succeeded"]
            paid = [c for c in charges if not c["disputed"] and not c["refunded"]]
            if paid:
                break
        else:
            return
        self.counts["disputes"] += 1
        steps = chance.choice(self.plan.disputes)
        made = machine.at_stripe("POST", "/_sim/disputes", charge=chance.choice(paid)["id"], status=steps[0])
        for next_status in steps[1:]:
            self.wait("bank")
            if "id" in made:
                machine.at_stripe("POST", "/_sim/disputes", dispute=made["id"], status=next_status)

    def _test_cards(self) -> None:
        """Tries card after card on what is open: nobody can on what has not left the school yet."""
        machine = self.machine
        for _ in range(12):
            machine.pause("tests a card")
            known = {payment.payment_id for payment in machine.payments()}
            opened = [i for i in machine.objects("payment_intent") if i["status"] == "requires_payment_method"]
            given = [i["id"] for i in opened if i["metadata"].get("payment_id") in known]
            if given:
                machine.pay(given[0], "pm_card_chargeDeclined")
                self.counts["tested cards"] += 1

    def _customer(self) -> None:
        self.wait("support", 20)
        for customer in self.machine.objects("customer"):
            if not customer.get("deleted"):
                self.machine.at_stripe("DELETE", f"/v1/customers/{customer['id']}")

    # --- what the school does ---

    def _curriculum(self) -> None:
        """Marks steps done by its own UpdateItem, whatever else happens to the item."""
        machine = self.machine
        for _ in range(4):
            self.wait("curriculum", 25)
            items = machine.tables.stored["enrollments"]
            entries = [(key, item) for key, item in items.items() if "#" in key[1] and "steps" in item]
            if not entries:
                continue
            (user, entry), item = self.chance.choice(entries)
            step = self.chance.choice(sorted(item["steps"]["M"]))
            mark(machine, entry, step, user)
            self.marks.add((user, entry, step))
            self.counts["steps done"] += 1

    def is_marked(self, wanted: tuple[str, str, str]) -> bool:
        user, entry, step = wanted
        item = self.machine.tables.stored["enrollments"].get((user, entry), {})
        done = item.get("steps", {}).get("M", {}).get(step, {}).get("M", {}).get("done", {})
        return bool(done.get("BOOL"))

    def _price(self) -> None:
        self.wait("catalog", 20)
        self.machine.raise_price(self.chance.choice(TRACKS[: self.plan.tracks]))

    def _days(self) -> None:
        for _ in range(self.chance.randint(1, 2)):
            self.wait("time", 30)
            self.machine.pass_time(self.chance.choice((3.0, DAY + 60, DAY + 60)))

    def _look(self) -> None:
        """A student who looks at what was bought: each look may pull."""
        for _ in range(3):
            self.wait("looks")
            for key in self.machine.payment_keys():
                if self.chance.random() < self.plan.pulls:
                    self._pull(key)
                else:
                    self.machine.invoke(lambda k=key: status.synced_payment(k.payment_id, k.user_id))

    def _pull(self, key: PaymentRef) -> None:
        """Who pulls is answered what Stripe said, however many pull at once."""
        machine, actor = self.machine, self.machine.current
        ended = machine.invoke(lambda: sync.refresh(key))
        if isinstance(ended, BaseException) or actor is None or actor.asked != len(machine.stripe.webhooks.payloads):
            return
        if ended[0].missing_at_stripe:
            return  # Stripe once said so: it is about to be closed, whatever it is now
        expected = checkers.Stripe(machine).truth(ended[0]).status
        if ended[0].status != expected:
            machine.problems.append(f"a pull answered {ended[0].status}, and Stripe had just said {expected}")

    def _reconcile(self) -> None:
        """The hourly run; and whoever drives a refund that hangs, or replays what is in quarantine."""
        machine, chance = self.machine, self.chance
        for _ in range(3):
            self.wait("reconciler")
            if chance.random() < self.plan.hours:
                machine.pass_time(3700)
            if chance.random() < 0.5:
                self.counts["runs"] += 1
                machine.invoke(lambda: reconcile.run(lambda: 900.0))
                continue
            for key in machine.payment_keys():
                machine.invoke(lambda k=key: drive(machine, k))
            for event_id in list(machine.tables.stored["quarantine"]):
                machine.invoke(lambda e=event_id[0]: stripe_events.replay(e))


class Student:
    """One tab of a student's browser: asks, pays, thinks again."""

    def __init__(
        self, cast: Cast, user: str, track: str, kind: str, *, save: bool, code: str | None, pays: bool
    ) -> None:
        self.cast, self.machine, self.chance = cast, cast.machine, cast.chance
        self.user, self.track, self.kind, self.save, self.code, self.pays = user, track, kind, save, code, pays

    def act(self) -> None:
        machine, chance, plan = self.machine, self.chance, self.cast.plan
        self.cast.wait("comes", plan.late)
        for _ in range(chance.choice(plan.loops)):
            offer = self._ask()
            if offer is None:
                return
            if self.pays:
                self.cast.wait("thinks", 6)
                self._pay(offer.payment.stripe_object_id)
            if chance.random() < plan.looks:
                self.cast.wait("reads", 6)
                machine.invoke(lambda o=offer: status.synced_payment(o.payment.payment_id, self.user))
            if chance.random() < plan.regrets:
                self.cast.regret(PaymentRef(offer.payment.payment_id, self.user, self.track))
            if not self.cast.twins and chance.random() < 0.3:
                self.kind, self.save = chance.choice(plan.kinds), chance.random() < 0.3
                self.code = self.cast.code(self.kind)

    def _ask(self) -> Any:
        """Ask for the payment as a browser does: again after a failure."""
        machine, chance = self.machine, self.chance
        email = f"{self.user}@new.example.org" if chance.random() < self.cast.plan.email else ""
        for _ in range(4):
            given = {"save": self.save, "track": self.track, "email": email, "code": self.code}
            ended = machine.invoke(lambda g=given: machine.create(self.user, self.kind, **g))
            self.cast.counts["creates"] += 1
            if isinstance(ended, (Conflicted, CodeRefused)):
                return None
            if not isinstance(ended, BaseException):
                return ended
            if isinstance(ended, Killed):
                self.cast.counts["killed"] += 1
                if chance.random() < 0.3:
                    return None
            machine.pause("tries again")
        return None

    def _pay(self, stripe_object_id: str) -> None:
        """Tries until it is paid, or gives up: in the browser, or on Stripe's page."""
        machine, chance = self.machine, self.chance
        for _ in range(chance.choice(self.cast.plan.tries)):
            machine.pause("pays")
            self.cast.counts["payments"] += 1
            method = chance.choice(self.cast.plan.methods)
            machine.pay(stripe_object_id, method)
            intent = (
                machine.object(stripe_object_id)["payment_intent"]
                if stripe_object_id.startswith("cs_")
                else stripe_object_id
            )
            self._go_on(machine.object(intent) if intent else {"status": None})

    def _go_on(self, intent: dict[str, Any]) -> None:
        machine, chance = self.machine, self.chance
        if intent["status"] == "requires_action" and chance.random() < 0.8:
            machine.pause("3-D Secure")
            outcome = chance.choice(self.cast.plan.outcomes)
            machine.at_stripe("POST", f"/_sim/payment_intents/{intent['id']}/authenticate", outcome=outcome)
        if intent["status"] == "processing" and chance.random() < 0.7:
            self.cast.wait("the bank thinks", 6)
            machine.pass_time(2.5)


def mark(machine: Machine, entry: str, step: str, user: str = "ada") -> None:
    """A step done, as the curriculum writes it."""
    machine.tables.update_item(
        TableName="enrollments",
        Key={"user_id": {"S": user}, "sort_key": {"S": entry}},
        UpdateExpression="SET steps.#step.done = :true",
        ExpressionAttributeNames={"#step": step},
        ExpressionAttributeValues={":true": {"BOOL": True}},
    )


def erasure(loaded: PaymentState) -> Change | None:
    """What an erasure does to a payment's facts, by the ledger's door."""
    payment = loaded.payment
    if payment is None or payment.facts.erased:
        return None
    entry = AuditEntry(timestamps.iso(clock.now()), f"erased:{payment.version}", "payment.erased", "staff", "staff")
    return Change(payment.merged(Facts(erased=True)), entry)


def drive(machine: Machine, key: PaymentRef) -> None:
    """What is calling, driven to its end as the reconciler does."""
    payment = machine.payment(key.payment_id)
    for request in payment.requests if payment else ():
        if request.state == "calling":
            refunds.resume(key, machine.payment(key.payment_id), request.id, refunds.Actor("reconcile"))
    payment = machine.payment(key.payment_id)
    if payment and closing.must_close(payment):
        closing.close(key)
