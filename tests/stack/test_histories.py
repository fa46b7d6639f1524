"""Purchases of several students on the running stack, whatever becomes of them, and events in no order at all.

While they buy, are declined, cancel, pay, are refunded and dispute, Stripe's events are held, sent, doubled or lost.
Then what was held comes shuffled, each twice; the hourly run finds out what was lost; and the books must be right.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.seeds import first_seed
from tests.stack import checkers
from tests.stack.conftest import Running
from tests.stack.test_stories import reconcile

Figure = Callable[[str, object], None]
METHODS = (
    *("pm_card_visa", "pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined", "pm_usBankAccount_success"),
    *("pm_usBankAccount_insufficientFunds", "pm_card_pendingRefund", "pm_card_refundFail", "pm_card_createDispute"),
    *("pm_card_authenticationRequired", "pm_card_createDisputeInquiry"),
)
MODES = ("hold", "hold", "hold", "normal", "duplicate", "drop")
DISPUTED = ("under_review", "won", "lost", "needs_response", "prevented", "warning_closed", "a_status_of_tomorrow")


class Somebody:
    """A student with a seed; `acts` is what they and the school may do next."""

    def __init__(self, running: Running, sub: str, chance: random.Random) -> None:
        self.running, self.sub, self.chance = running, sub, chance
        self.token = running.token(sub)
        self.offer: dict[str, Any] = {}
        self.acts: list[Callable[[], None]] = [
            *[self.begin] * 3, *[self.pay] * 6, self.look, self.give_up,
            self.regret, self.staff_refund, self.dashboard_refund, self.dispute,
        ]  # fmt: skip

    def act(self) -> None:
        self.chance.choice(self.acts if self.offer else [self.begin])()

    def ask(self, path: str, body: dict[str, Any], token: str | None = None) -> dict[str, Any]:
        answer = self.running.api("POST", path, token or self.token, json=body)
        assert answer.status_code < 500, answer.text
        return dict(answer.json()) if answer.status_code < 300 else {}

    def begin(self) -> None:
        kind = self.chance.choice(("payment", "payment", "session", "code"))
        path = f"/api/payments/create-{'payment' if kind == 'payment' else 'checkout-session'}/"
        code = {"promotion_code": self.code()} if kind == "code" else {}
        self.offer = self.ask(path, {"track": "DP", **code}) or self.offer

    def code(self) -> str:
        percent = self.chance.choice((10, 50, 100))
        coupon = self.running.stripe("POST", "/v1/coupons", percent_off=percent)["id"]
        promotion = {"promotion[type]": "coupon", "promotion[coupon]": coupon}
        made = self.running.stripe("POST", "/v1/promotion_codes", **promotion)
        return str(made["code"])

    def pay(self) -> None:
        method = self.chance.choice(METHODS)
        if "session_id" in self.offer:
            self.running.stripe("POST", f"/v1/payment_pages/{self.offer['session_id']}/confirm", payment_method=method)
        else:
            self.running.pay(self.offer["payment_intent_id"], method)
        intent = self.intent()
        found = self.running.stripe("GET", f"/v1/payment_intents/{intent}") if intent else {}
        if found.get("status") == "requires_action":
            outcome = self.chance.choice(("success", "failure"))
            self.running.sim(f"payment_intents/{intent}/authenticate", outcome=outcome)

    def intent(self) -> str | None:
        if "session_id" not in self.offer:
            return str(self.offer["payment_intent_id"])
        found = self.running.stripe("GET", f"/v1/checkout/sessions/{self.offer['session_id']}")["payment_intent"]
        return str(found) if found else None

    def look(self) -> None:
        self.running.payment(self.token, self.offer["payment_id"])

    def give_up(self) -> None:
        if "session_id" in self.offer:
            self.running.stripe("POST", f"/v1/checkout/sessions/{self.offer['session_id']}/expire")
        else:
            self.running.stripe("POST", f"/v1/payment_intents/{self.offer['payment_intent_id']}/cancel")

    def regret(self) -> None:
        self.ask("/api/payments/request-refund/", {"payment_id": self.offer["payment_id"], "reason": "changed my mind"})

    def staff_refund(self) -> None:
        amount = self.chance.choice(({}, {"amount": 10_000}, {"amount": 49_900}))
        path = f"/api/admin/payments/{self.offer['payment_id']}/refunds/"
        self.ask(path, {"reason": "goodwill", **amount}, self.running.ready["admin_token"])

    def dashboard_refund(self) -> None:
        amount = self.chance.choice(({}, {"amount": 5_000}))
        self.running.stripe("POST", "/v1/refunds", payment_intent=self.intent() or "", **amount)

    def dispute(self) -> None:
        intent = self.intent()
        listed = self.running.stripe("GET", f"/v1/disputes?payment_intent={intent}")["data"] if intent else []
        if listed:
            self.running.sim("disputes", dispute=listed[0]["id"], status=self.chance.choice(DISPUTED))
            return
        found = self.running.stripe("GET", f"/v1/payment_intents/{intent}") if intent else {}
        if found.get("status") == "succeeded":
            status = self.chance.choice(("needs_response", "warning_needs_response"))
            self.running.sim("disputes", payment_intent=intent, status=status)


@pytest.fixture(autouse=True)
def _as_usual_afterwards(running: Running) -> Iterator[None]:
    yield
    running.sim("webhooks", deliver="normal", delay_s=0)


def delivered(running: Running) -> int:
    url = f"{running.ready['stripe']}/_sim/deliveries"
    rows = running.http.get(url, params={"limit": "100000"}).raise_for_status().json()["deliveries"]
    return sum(row["outcome"] == "delivered" for row in rows)


def waiting(running: Running) -> bool:
    return bool(running.http.get(f"{running.ready['stripe']}/_sim/webhooks").raise_for_status().json()["waiting"])


def history(running: Running, seed: int, students: int, acts: int) -> int:
    """A history and its end; how many payments the books have."""
    chance = random.Random(f"histories {seed}")
    people = [Somebody(running, f"history-{seed}-{number}", chance) for number in range(students)]
    for _ in range(acts):
        running.sim("webhooks", deliver=chance.choice(MODES))
        chance.choice(people).act()
    running.sim("webhooks/release", order="shuffled", seed=seed, times=2)
    running.sim("webhooks", deliver=chance.choice(("normal", "shuffle", "duplicate")))
    running.sim("clock", advance_s=5)  # bank debits, refunds and disputes that were under way
    running.until(lambda: not waiting(running), "all is told")
    reconciled(running)
    checked = checkers.check(running)
    before = {name: payment.version for name, payment in checkers.read(running).payments.items()}
    reconciled(running)
    after = checkers.read(running)
    again = {name for name, payment in after.payments.items() if payment.version != before[name]}
    assert not again, [after.records[name][before[name] :] for name in again]
    return checked


def reconciled(running: Running) -> None:
    done = reconcile(running)
    assert done.returncode == 0, done.stdout + done.stderr


def search(running: Running, histories: int, students: int, acts: int, record_property: Figure) -> None:
    before = delivered(running)
    for seed in range(first_seed(), first_seed() + histories):
        print(f"TUITION_SEED={seed}: {students} students, {acts} acts")
        history(running, seed, students, acts)
    record_property("figure", ("histories on the running stack", histories))
    record_property("figure", ("events delivered to the running stack", delivered(running) - before))


@pytest.mark.property
def test_whatever_students_do_and_however_it_is_told_the_books_are_right(
    running: Running, record_property: Figure
) -> None:
    search(running, 2, 4, 30, record_property)


@pytest.mark.soak
def test_histories_on_the_running_stack_at_full_size(running: Running, record_property: Figure) -> None:
    search(running, 60, 6, 120, record_property)
