"""A seeded search over schedules: who goes on at each I/O, who dies there, which event comes when, and when not.

A seed is a whole schedule: the same seed makes the same history. `TUITION_SEED` begins a search elsewhere,
`TUITION_SCHEDULES` says how many it makes.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.model import checkers
from tests.model.machine import DISPUTES, SESSIONS, Actor, Fate, Killed, Machine, running
from tuition import checkout, history, pulls, refunds, stripe_events
from tuition.core import catalog
from tuition.core.errors import AlreadyEnrolled, NotFound, PaymentInProgress, RefundRefused
from tuition.core.money import Money
from tuition.ledger import Key

DAY = 86_400.0
STEPS = 4_000
FATES: tuple[Fate, ...] = ("kill", "kill after", "lose", "lose after", "error", "limit", "conflict")


@dataclass(frozen=True)
class Plan:
    """What a schedule may contain; each number is a chance or a most."""

    name: str
    creates: tuple[int, int] = (1, 3)
    pays: float = 0.7
    refunds: float = 0.4
    dashboard: float = 0.3
    faults: float = 0.6
    lost: float = 0.3
    steps_done: float = 0.3
    price: float = 0.15
    customer: float = 0.1
    restore: float = 0.0
    days: float = 0.2
    window_over: float = 0.1
    disputes: float = 0.2
    bank_waits: int = 12


PLANS = {
    plan.name: plan
    for plan in (
        Plan("whole"),
        Plan("creates", creates=(2, 6), refunds=0.0, pays=0.3, dashboard=0.1, lost=0.1),
        Plan("refunds", creates=(1, 1), pays=1.0, refunds=1.0, dashboard=0.6, price=0.0, customer=0.0),
        Plan("again", creates=(1, 2), pays=1.0, refunds=0.8, steps_done=0.6, price=0.0),
        Plan("disputes", creates=(1, 2), pays=1.0, refunds=0.3, price=0.0, customer=0.0, disputes=1.0),
        Plan(
            "drives",
            creates=(1, 1),
            pays=1.0,
            refunds=1.0,
            dashboard=0.1,
            faults=1.0,
            lost=0.5,
            price=0.0,
            disputes=0.0,
        ),
        Plan("appeals", (1, 1), 1.0, 0.0, 0.0, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, disputes=1.0, bank_waits=4),
        Plan("kinds", creates=(3, 6), pays=0.1, refunds=0.0, dashboard=0.0, faults=0.3, lost=0.0, price=0.0, days=0.0),
        Plan("orphans", creates=(1, 2), pays=0.5, refunds=0.0, dashboard=1.0, faults=1.0, lost=0.3, price=0.0),
        Plan("restore", creates=(1, 2), pays=0.9, restore=1.0, lost=0.0, price=0.0, customer=0.0, days=0.0),
    )
}
MIX = ("whole", "whole", "creates", "creates", "refunds", "again", "disputes", "restore", "kinds", "orphans", "drives")


@dataclass
class Found:
    """What one schedule came to."""

    seed: int
    plan: str
    problems: list[str]
    trace: list[str]
    counts: Counter[str] = field(default_factory=Counter)


class Schedule:
    """One seeded history of one student, staff, Stripe and the schedule's own malice."""

    def __init__(self, machine: Machine, plan: Plan, seed: int) -> None:
        self.machine = machine
        self.plan = plan
        self.chance = random.Random(f"{plan.name}:{seed}")
        self.counts: Counter[str] = Counter()
        self.pool: list[dict[str, Any]] = []
        self.marks: set[tuple[str, str]] = set()
        self.kept: Any = None
        self.restored = False
        chance = self.chance
        self.fault_rate = chance.choice((0.0, 0.01, 0.04, 0.1)) if chance.random() < plan.faults else 0.0
        self.loss_rate = chance.choice((0.1, 0.5, 1.0)) if chance.random() < plan.lost else 0.0
        self.stick = chance.choice((0.0, 0.0, 0.5, 0.85))
        self.tick = chance.choice((0.0, 0.001, 0.05, 0.4))
        self.eager = chance.choice((0.05, 0.2, 0.5))

    # --- the schedule ---

    def run(self) -> list[str]:
        machine, chance = self.machine, self.chance
        self._cast()
        last: Actor | None = None
        for _ in range(STEPS):
            self._collect()
            ready = [actor for actor in machine.actors if not actor.over]
            if not ready and not self.pool:
                break
            machine.now += self.tick
            if self.pool and (not ready or chance.random() < self.eager) and len(ready) < 12:
                self._deliver()
                continue
            if self.plan.restore and chance.random() < 0.02:
                self._restore(ready)
                continue
            if not ready:
                continue
            if last is None or last.over or chance.random() >= self.stick:
                last = chance.choice(ready)
            last.step(self._fate(last))
        else:
            machine.problems.append(f"not over after {STEPS} steps")
        return self._verdict()

    def _fate(self, actor: Actor) -> Fate:
        waiting = actor.waiting or ""
        if not actor.invoking or waiting == "sleep" or self.chance.random() >= self.fault_rate:
            return "go"
        fate = self.chance.choice(FATES)
        if (fate == "conflict" and not waiting.startswith("transact")) or (
            fate in ("error", "limit") and "/v1/" not in waiting
        ):
            return "go"
        if fate == "error" and waiting.startswith("GET"):
            fate = "lose"
        self.machine.faults += 1
        self.counts[fate] += 1
        return fate

    def _collect(self) -> None:
        for event in self.machine.new_events():
            if event["type"] in stripe_events.TYPES and self.chance.random() >= self.loss_rate:
                self.pool.append(event)

    def _deliver(self) -> None:
        chance = self.chance
        event = self.pool[chance.randrange(len(self.pool))]
        if chance.random() < 0.85:
            self.pool.remove(event)
        told = {**event, "api_version": "2020-08-27"} if chance.random() < 0.05 else event
        self.counts["deliveries"] += 1
        self.machine.spawn(f"webhook {event['type']}", lambda: self._webhook(event, told))

    def _webhook(self, event: dict[str, Any], told: dict[str, Any]) -> None:
        ended = self.machine.invoke(lambda: stripe_events.apply(told))
        if isinstance(ended, BaseException):
            self.pool.append(event)  # a 5xx: Stripe delivers again
        self.counts[f"webhook {ended}" if isinstance(ended, str) else "webhook failed"] += 1

    def _restore(self, ready: list[Actor]) -> None:
        """All four tables go back to one moment, and what was running is gone."""
        names = ("payments", "enrollments", "intents", "audit")
        if self.kept is None:
            self.kept = self.machine.tables.snapshot()
            return
        for actor in ready:
            while not actor.over and actor.invoking:
                actor.step("kill")
        for name in names:
            self.machine.tables.stored[name] = dict(self.kept[name])
        self.machine.trace.append("RESTORE")
        self.pool += [e for e in self._all_events() if e not in self.pool and self.chance.random() < 0.5]
        self.restored, self.kept = True, None
        self.marks = {mark for mark in self.marks if self._is_marked(mark)}
        self.machine.faults += 1

    def _all_events(self) -> list[dict[str, Any]]:
        return [event for event in self.machine.all_events() if event["type"] in stripe_events.TYPES]

    # --- who there is ---

    def _cast(self) -> None:
        machine, plan, chance = self.machine, self.plan, self.chance
        kinds = ("intent", "intent", "checkout") if SESSIONS else ("intent",)
        self.twins = twins = chance.random() < 0.5
        kind, save = chance.choice(kinds), chance.random() < 0.2
        for number in range(chance.randint(*plan.creates)):
            if not twins:
                kind, save = chance.choice(kinds), chance.random() < 0.4
            pays = chance.random() < plan.pays
            machine.spawn(f"student {number}", lambda k=kind, s=save, p=pays: self._student(k, save=s, pays=p))
        others: dict[str, tuple[float, Callable[[], None]]] = {
            "staff": (plan.refunds * 0.6, self._staff),
            "dashboard": (plan.dashboard, self._dashboard),
            "curriculum": (plan.steps_done, self._curriculum),
            "price": (plan.price, self._price),
            "customer": (plan.customer, self._customer),
            "time": (plan.days, self._days),
            "status": (0.4, self._look),
            "reconciler": (plan.refunds, self._reconciler),
            "bank": (plan.disputes if DISPUTES else 0.0, self._bank),
        }
        for name, (likely, act) in others.items():
            if chance.random() < likely:
                machine.spawn(name, act)

    def _wait(self, what: str, most: int = 6) -> None:
        for _ in range(self.chance.randint(0, most)):
            self.machine.pause(what)

    def _student(self, kind: str, *, save: bool, pays: bool) -> None:
        machine, chance = self.machine, self.chance
        for _ in range(chance.choice((1, 1, 2, 3))):
            offer = self._ask(kind, save=save)
            if offer is None:
                return
            if pays:
                self._wait("thinks")
                self._pay(offer.payment.bound_to)
            if chance.random() < 0.5:
                self._wait("reads")
                machine.invoke(lambda o=offer: history.status(o.payment.payment_id, "ada"))
            if chance.random() < self.plan.refunds:
                self._wait("regrets", 12)
                self._regret(Key(offer.payment.payment_id, "ada", "DP"))
            if not self.twins and chance.random() < 0.3:
                kind, save = chance.choice(("intent", "checkout") if SESSIONS else ("intent",)), chance.random() < 0.3

    def _ask(self, kind: str, *, save: bool) -> Any:
        """Ask for the payment as a browser does: again after a failure."""
        for _ in range(4):
            ended = self.machine.invoke(lambda: self.machine.create(kind=kind, save=save))
            self.counts["creates"] += 1
            if isinstance(ended, (AlreadyEnrolled, PaymentInProgress)):
                return None
            if not isinstance(ended, BaseException):
                return ended
            if isinstance(ended, Killed):
                self.counts["killed"] += 1
                if self.chance.random() < 0.3:
                    return None
            self.machine.pause("tries again")
        return None

    def _pay(self, bound_to: str) -> None:
        machine, chance = self.machine, self.chance
        if bound_to.startswith("cs_"):
            session = machine.stripe.account.store.find("checkout.session", bound_to)
            if session is not None:
                self._pay_page(session)
            return
        for _ in range(chance.choice((1, 1, 2, 6))):
            machine.pause("pays")
            self.counts["payments"] += 1
            method = chance.choice(METHODS)
            answer = machine.pay(bound_to, method)
            if answer.get("status") == "requires_action" and chance.random() < 0.8:
                machine.pause("3-D Secure")
                outcome = chance.choice(("success", "success", "failure"))
                machine.at_stripe("POST", f"/_sim/payment_intents/{bound_to}/authenticate", outcome=outcome)
            if answer.get("status") == "processing" and chance.random() < 0.7:
                self._wait("the bank thinks")
                machine.pass_time(2.5)

    def _pay_page(self, session: dict[str, Any]) -> None:
        """The student on Stripe's page: tries until it is paid, or gives up."""
        machine, chance = self.machine, self.chance
        for _ in range(chance.choice((1, 1, 2, 6))):
            machine.pause("pays on Stripe's page")
            self.counts["payments"] += 1
            method = chance.choice(METHODS)
            machine.at_stripe("POST", f"/v1/payment_pages/{session['id']}/confirm", payment_method=method)
            intent = machine.stripe.account.store.find("payment_intent", session["payment_intent"] or "")
            if intent and intent["status"] == "requires_action" and chance.random() < 0.8:
                machine.pause("3-D Secure")
                outcome = chance.choice(("success", "success", "failure"))
                machine.at_stripe("POST", f"/_sim/payment_intents/{intent['id']}/authenticate", outcome=outcome)
            if intent and intent["status"] == "processing" and chance.random() < 0.7:
                self._wait("the bank thinks")
                machine.pass_time(2.5)

    def _bank(self) -> None:
        """Opens a dispute, and decides, and decides again."""
        machine, chance = self.machine, self.chance
        self._wait("bank", 40)
        paid = [
            c
            for c in machine.objects("charge")
            if c["status"] == "succeeded" and not c["disputed"] and not c["refunded"]
        ]
        if not paid:
            return
        self.counts["disputes"] += 1
        steps = chance.choice(DISPUTED)
        made = machine.at_stripe("POST", "/_sim/disputes", charge=chance.choice(paid)["id"], status=steps[0])
        for status in steps[1:]:
            self._wait("bank", self.plan.bank_waits)
            if "id" in made:
                machine.at_stripe("POST", "/_sim/disputes", dispute=made["id"], status=status)

    def _regret(self, key: Key) -> None:
        machine = self.machine
        if self.chance.random() < self.plan.window_over:
            machine.pass_time(15 * DAY)
        if self.chance.random() < 0.4:
            machine.spawn("refund twin", lambda: machine.invoke(lambda: refunds.request(key, "twice")))
        for _ in range(3):
            ended = machine.invoke(lambda: refunds.request(key, "changed my mind"))
            self.counts["refund requests"] += 1
            if not isinstance(ended, BaseException) or isinstance(ended, (RefundRefused, NotFound)):
                return
            self._wait("asks again", 3)

    def _staff(self) -> None:
        machine, chance = self.machine, self.chance
        for _ in range(chance.randint(1, 3)):
            self._wait("staff work", 25)
            keys = [k for k, p in zip(machine.payment_keys(), machine.payments(), strict=True) if p.facts.settled]
            if not keys:
                continue
            key = chance.choice(keys)
            payment = machine.payment(key.payment_id)
            waiting = [r.id for r in payment.requests if r.state == "waiting"]
            self.counts["staff"] += 1
            if waiting and chance.random() < 0.7:
                yes = chance.random() < 0.6
                machine.invoke(lambda k=key, w=waiting, y=yes: refunds.decide(k, w[0], approve=y, note=None, staff="s"))
            else:
                amount = chance.choice((None, 10_000, 20_000, 49_900))
                machine.invoke(lambda k=key, a=amount: refunds.refund(k, a, "goodwill", None, "staff"))

    def _dashboard(self) -> None:
        """Somebody in Stripe's dashboard refunds or cancels: no metadata of ours."""
        machine, chance = self.machine, self.chance
        self._wait("dashboard", 40)
        intents = machine.objects("payment_intent")
        if not intents:
            return
        intent = chance.choice(intents)
        if intent["status"] == "succeeded":
            amount = chance.choice((intent["amount"], 5_000, 30_000))
            machine.at_stripe("POST", "/v1/refunds", payment_intent=intent["id"], amount=amount)
        elif chance.random() < 0.5:
            machine.at_stripe("POST", f"/v1/payment_intents/{intent['id']}/cancel")

    def _curriculum(self) -> None:
        """Marks steps done by its own UpdateItem, whatever else happens to the item."""
        machine = self.machine
        for _ in range(4):
            self._wait("curriculum", 25)
            items = machine.tables.stored["enrollments"]
            entries = [(key[1], item) for key, item in items.items() if "#" in key[1] and "steps" in item]
            if not entries:
                continue
            entry, item = self.chance.choice(entries)
            step = self.chance.choice(sorted(item["steps"]["M"]))
            mark(machine, entry, step)
            self.marks.add((entry, step))
            self.counts["steps done"] += 1

    def _is_marked(self, wanted: tuple[str, str]) -> bool:
        item = self.machine.tables.stored["enrollments"].get(("ada", wanted[0]), {})
        done = item.get("steps", {}).get("M", {}).get(wanted[1], {}).get("M", {}).get("done", {})
        return bool(done.get("BOOL"))

    def _price(self) -> None:
        self._wait("catalog", 20)
        track = self.machine.track
        self.machine.track = replace(track, price=Money(track.price.amount + 10_000, track.price.currency))

    def _customer(self) -> None:
        self._wait("dashboard", 20)
        for customer in self.machine.objects("customer"):
            self.machine.at_stripe("DELETE", f"/v1/customers/{customer['id']}")

    def _days(self) -> None:
        self._wait("time", 30)
        self.machine.pass_time(self.chance.choice((3.0, DAY + 60, DAY + 60)))

    def _look(self) -> None:
        for _ in range(3):
            self._wait("looks", 20)
            for key in self.machine.payment_keys():
                self.machine.invoke(lambda k=key: pulls.refresh(k))

    def _reconciler(self) -> None:
        for _ in range(3):
            self._wait("reconciler", 25)
            for key in self.machine.payment_keys():
                self.machine.invoke(lambda k=key: drive(self.machine, k))

    # --- the end ---

    def _verdict(self) -> list[str]:
        machine = self.machine
        for actor in machine.actors:
            if actor.error is not None:
                machine.problems.append(f"{actor.name} ended in {actor.error!r}")
        if not self.restored:
            machine.problems += checkers.after_answers(machine)
        if self.twins and machine.track.price == catalog.find("DP").price:
            machine.problems += self._closed_for_nothing()
        try:
            if not self.loss_rate:  # nothing was lost: no pull is needed to end as Stripe is
                told_again = self._all_events() if self.restored or self.chance.random() < 0.2 else []
                settle(machine, self.pool + told_again, pull=False)
                machine.problems += [f"without a pull: {problem}" for problem in checkers.settled_state(machine)]
            settle(machine, self.pool)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is what the search is for)
            machine.problems.append(f"settling ended in {error!r}")
        machine.problems += checkers.settled_state(machine)
        machine.problems += [f"{mark} was done and is not" for mark in sorted(self.marks) if not self._is_marked(mark)]
        if machine.tables.stored["quarantine"] and not self.restored:
            machine.problems.append(
                f"in quarantine: {[i['reason'] for i in machine.tables.stored['quarantine'].values()]}"
            )
        if not machine.problems:
            machine.problems += self._can_go_on()
        return machine.problems

    def _closed_for_nothing(self) -> list[str]:
        """Where all wish the same, nobody closes what anybody was answered (but after too many declines)."""
        machine = self.machine
        found = []
        for object_id in sorted({offer.payment.bound_to for offer in machine.answered} & machine.closed_by_us):
            intents = {
                object_id,
                *(s["payment_intent"] for s in machine.objects("checkout.session") if s["id"] == object_id),
            }
            declined = [
                c for c in machine.objects("charge") if c["payment_intent"] in intents and c["status"] == "failed"
            ]
            if len(declined) < checkout.FAILED_CHARGES:
                found.append(f"{object_id} was answered, and closed though nobody wished anything else")
        return found

    def _can_go_on(self) -> list[str]:
        """Nobody is stuck: the student can buy, or is enrolled, or has a payment that is being processed."""
        machine = self.machine
        ended = machine.invoke(machine.create)
        if isinstance(ended, (AlreadyEnrolled, PaymentInProgress)):
            status = machine.enrollment().status
            return [] if status in ("ENROLLED", "PENDING") else [f"{ended!r} while {status}"]
        if isinstance(ended, BaseException):
            return [f"the next create ended in {ended!r}"]
        return [] if ended.payment.bound_to in checkers.payable(machine) else ["the next create answered what is dead"]


METHODS = (
    *("pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined", "pm_card_threeDSecureRequired"),
    *("pm_usBankAccount_success", "pm_usBankAccount_insufficientFunds", "pm_card_pendingRefund", "pm_card_refundFail"),
)
DISPUTED = (
    *(("needs_response",), ("needs_response", "lost"), ("needs_response", "under_review", "won")),
    *(("needs_response", "lost", "under_review", "lost"), ("needs_response", "lost", "under_review", "won")),
    *(("warning_needs_response", "warning_closed"), ("warning_needs_response", "needs_response", "lost")),
    *(("needs_response", "under_review"),),
)


def mark(machine: Machine, entry: str, step: str, user: str = "ada") -> None:
    """A step done, as the curriculum writes it."""
    machine.tables.update_item(
        TableName="enrollments",
        Key={"user_id": {"S": user}, "entry": {"S": entry}},
        UpdateExpression="SET steps.#step.done = :true",
        ExpressionAttributeNames={"#step": step},
        ExpressionAttributeValues={":true": {"BOOL": True}},
    )


def settle(machine: Machine, events: list[dict[str, Any]], *, pull: bool = True) -> None:
    """All is told in this order; what Stripe does later is done; what is calling is driven; all is pulled."""
    machine.stripe.account.faults.clear()
    machine.new_events()
    for _ in range(20):
        for event in events:
            stripe_events.apply(event)
        for key in machine.payment_keys():
            drive(machine, key)
        machine.pass_time(3)
        events = [event for event in machine.new_events() if event["type"] in stripe_events.TYPES]
        if not events and not machine.due_within(60):
            break
    else:
        raise AssertionError("Stripe does not come to rest")
    if not pull:
        return
    for key in machine.payment_keys():
        pulls.refresh(key)
        drive(machine, key)
    machine.pass_time(3)
    for event in machine.new_events():
        stripe_events.apply(event)
    for key in machine.payment_keys():
        pulls.refresh(key)


def drive(machine: Machine, key: Key) -> None:
    """What is calling, driven to its end as the reconciler does."""
    for request in machine.payment(key.payment_id).requests:
        if request.state == "calling":
            refunds.drive(key, machine.payment(key.payment_id), request.id)


def one(seed: int, plan: str | None = None, defect: Callable[[pytest.MonkeyPatch], None] | None = None) -> Found:
    """One schedule."""
    chosen = PLANS[plan or MIX[seed % len(MIX)]]
    with pytest.MonkeyPatch.context() as patch, running(seed, patch) as machine:
        if defect:
            defect(patch)
        schedule = Schedule(machine, chosen, seed)
        problems = schedule.run()
        return Found(seed, chosen.name, problems, machine.trace, schedule.counts)


def first_seed() -> int:
    return int(os.environ.get("TUITION_SEED", "1"))


def schedules(default: int) -> int:
    return int(os.environ.get("TUITION_SCHEDULES", default))


def search(
    count: int, plan: str | None = None, defect: Callable[[pytest.MonkeyPatch], None] | None = None, seed: int = 1
) -> Iterator[Found]:
    for number in range(seed, seed + count):
        yield one(number, plan, defect)


def report(found: Found) -> str:
    """The history of a violation, to read."""
    lines = "\n".join(f"  {line}" for line in found.trace[-400:])
    return f"seed {found.seed} ({found.plan}): {'; '.join(found.problems)}\n{lines}"


def measure(count: int, plan: str | None = None) -> None:
    """Print a rate and the first violations: `python -m tests.model.search 500 creates`."""
    begun, bad, counts = time.monotonic(), [], Counter[str]()
    for found in search(count, plan, seed=first_seed()):
        counts.update(found.counts)
        if found.problems:
            bad.append(found)
            print(found.seed, found.plan, len(found.trace), found.problems[:3])
    print(f"{count} schedules, {len(bad)} violations, {count / (time.monotonic() - begun):.1f}/s", dict(counts))


if __name__ == "__main__":
    import sys

    measure(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
