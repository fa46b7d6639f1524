"""Random purchases of several students on the running stack, with delayed, duplicated and lost events.

Students buy, pay, cancel, ask for refunds and dispute, while Stripe's events are held, sent, duplicated or dropped.
Then the held events arrive shuffled and twice, the reconciler corrects what was lost, and the books must be consistent.
"""

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.seeds import first_seed
from tests.stack import checkers, commands
from tests.stack.conftest import Running
from tests.stack.test_analytics import books, count_earlier_tests, stored_payments, totals, until_counted

Figure = Callable[[str, object], None]
METHODS = (
    *("pm_card_visa", "pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined", "pm_usBankAccount_success"),
    *("pm_usBankAccount_insufficientFunds", "pm_card_pendingRefund", "pm_card_refundFail", "pm_card_createDispute"),
    *("pm_card_authenticationRequired", "pm_card_createDisputeInquiry"),
)
MODES = ("hold", "hold", "hold", "normal", "duplicate", "drop")
DISPUTE_STATUSES = (
    "under_review",
    "won",
    "lost",
    "needs_response",
    "prevented",
    "warning_closed",
    "a_status_of_tomorrow",
)


class RandomStudent:
    """A student with random actions. `actions` lists what the student, staff and Stripe may do next."""

    def __init__(self, running: Running, sub: str, rng: random.Random) -> None:
        self.running, self.sub, self.rng = running, sub, rng
        self.token = running.token(sub)
        self.payment: dict[str, Any] = {}
        self.actions: list[Callable[[], None]] = [
            *[self.create] * 3, *[self.pay] * 6, self.check_status, self.cancel,
            self.request_refund, self.staff_refund, self.dashboard_refund, self.dispute,
        ]  # fmt: skip

    def act(self) -> None:
        self.rng.choice(self.actions if self.payment else [self.create])()

    def post(self, path: str, body: dict[str, Any], token: str | None = None) -> dict[str, Any]:
        response = self.running.api("POST", path, token or self.token, json=body)
        assert response.status_code < 500, response.text
        return dict(response.json()) if response.status_code < 300 else {}

    def create(self) -> None:
        kind = self.rng.choice(("payment", "payment", "session", "code"))
        path = f"/api/payments/create-{'payment' if kind == 'payment' else 'checkout-session'}"
        code = {"promotion_code": self.code()} if kind == "code" else {}
        self.payment = self.post(path, {"track": "DP", **code}) or self.payment

    def code(self) -> str:
        percent = self.rng.choice((10, 50, 100))
        coupon = self.running.stripe("POST", "/v1/coupons", percent_off=percent)["id"]
        promotion = {"promotion[type]": "coupon", "promotion[coupon]": coupon}
        return str(self.running.stripe("POST", "/v1/promotion_codes", **promotion)["code"])

    def pay(self) -> None:
        method = self.rng.choice(METHODS)
        if "session_id" in self.payment:
            self.running.stripe(
                "POST", f"/v1/payment_pages/{self.payment['session_id']}/confirm", payment_method=method
            )
        else:
            self.running.pay(self.payment["payment_intent_id"], method)
        intent_id = self.intent_id()
        intent = self.running.stripe("GET", f"/v1/payment_intents/{intent_id}") if intent_id else {}
        if intent.get("status") == "requires_action":
            outcome = self.rng.choice(("success", "failure"))
            self.running.sim(f"payment_intents/{intent_id}/authenticate", outcome=outcome)

    def intent_id(self) -> str | None:
        if "session_id" not in self.payment:
            return str(self.payment["payment_intent_id"])
        session = self.running.stripe("GET", f"/v1/checkout/sessions/{self.payment['session_id']}")
        return str(session["payment_intent"]) if session["payment_intent"] else None

    def check_status(self) -> None:
        self.running.payment(self.token, self.payment["payment_id"])

    def cancel(self) -> None:
        if "session_id" in self.payment:
            self.running.stripe("POST", f"/v1/checkout/sessions/{self.payment['session_id']}/expire")
        else:
            self.running.stripe("POST", f"/v1/payment_intents/{self.payment['payment_intent_id']}/cancel")

    def request_refund(self) -> None:
        self.post(
            "/api/payments/request-refund", {"payment_id": self.payment["payment_id"], "reason": "changed my mind"}
        )

    def staff_refund(self) -> None:
        amount = self.rng.choice(({}, {"amount": 10_000}, {"amount": 49_900}))
        path = f"/api/admin/payments/{self.payment['payment_id']}/refunds"
        self.post(path, {"reason": "goodwill", **amount}, self.running.ready["admin_token"])

    def dashboard_refund(self) -> None:
        amount = self.rng.choice(({}, {"amount": 5_000}))
        self.running.stripe("POST", "/v1/refunds", payment_intent=self.intent_id() or "", **amount)

    def dispute(self) -> None:
        intent_id = self.intent_id()
        disputes = self.running.stripe("GET", f"/v1/disputes?payment_intent={intent_id}")["data"] if intent_id else []
        if disputes:
            self.running.sim("disputes", dispute=disputes[0]["id"], status=self.rng.choice(DISPUTE_STATUSES))
            return
        intent = self.running.stripe("GET", f"/v1/payment_intents/{intent_id}") if intent_id else {}
        if intent.get("status") == "succeeded":
            status = self.rng.choice(("needs_response", "warning_needs_response"))
            self.running.sim("disputes", payment_intent=intent_id, status=status)


def count_deliveries(running: Running) -> int:
    url = f"{running.ready['stripe']}/_sim/deliveries"
    rows = running.http.get(url, params={"limit": "100000"}).raise_for_status().json()["deliveries"]
    return sum(row["outcome"] == "delivered" for row in rows)


def run_history(running: Running, seed: int, students: int, actions: int) -> int:
    """Run one random history, check the books, and return the number of payments."""
    rng = random.Random(f"histories {seed}")
    people = [RandomStudent(running, f"history-{seed}-{number}", rng) for number in range(students)]
    for _ in range(actions):
        running.sim("webhooks", deliver=rng.choice(MODES))
        rng.choice(people).act()
    running.sim("webhooks/release", order="shuffled", seed=seed, times=2)
    running.sim("webhooks", deliver=rng.choice(("normal", "shuffle", "duplicate")))
    running.sim("clock", advance_s=5)  # completes pending bank debits, refunds and disputes
    running.until_delivered()
    reconcile_now(running)
    payments = checkers.check(running)
    before = versions(running)
    reconcile_now(running)
    changed = {name: before[name] for name, version in versions(running).items() if version != before[name]}
    assert not changed, [checkers.read(running).records[name][version:] for name, version in changed.items()]
    return payments


def versions(running: Running) -> dict[str, int]:
    """Return the version of each payment."""
    return {name: payment.version for name, payment in stored_payments(running).items()}


def reconcile_now(running: Running) -> None:
    result = commands.run(running, "reconcile")
    assert result.returncode == 0, result.stdout + result.stderr


def check_figures(running: Running, figures: dict[str, int], payments: dict[str, int]) -> None:
    """Check that the figures have changed as the payments have, and that a recount finds nothing to correct.

    `figures` and `payments` are the earlier figures, and the earlier sums of the payments: the stack has those of other
    tests too.
    """
    until_counted(running)
    after, now = totals(running), books(running)
    assert after == {name: figures[name] + now[name] - payments[name] for name in figures}
    report = commands.run(running, "recount")
    assert report.returncode == 0, report.stdout + report.stderr
    assert totals(running) == after, "the recount had something to add"


def search(running: Running, histories: int, students: int, actions: int, record_property: Figure) -> None:
    before = count_deliveries(running)
    count_earlier_tests(running)
    figures, payments = totals(running), books(running)
    for seed in range(first_seed(), first_seed() + histories):
        print(f"TUITION_SEED={seed}: {students} students, {actions} actions")
        run_history(running, seed, students, actions)
    check_figures(running, figures, payments)
    record_property("figure", ("histories on the running stack", histories))
    record_property("figure", ("events delivered to the running stack", count_deliveries(running) - before))


@pytest.mark.property
def test_the_books_are_consistent_after_random_purchases_and_deliveries(
    running: Running, record_property: Figure
) -> None:
    search(running, 2, 4, 30, record_property)


@pytest.mark.soak
def test_the_books_are_consistent_in_the_full_size_search(running: Running, record_property: Figure) -> None:
    search(running, 60, 6, 120, record_property)
