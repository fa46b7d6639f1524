"""Seeded random mixes of all payment flows; after each run, the sums and states must be consistent.

`make test` runs a short search, `make soak` the full one. A failure prints its seed and the last steps.
"""

import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest
from stripe._encode import _api_encode

from stripe_simulator.cards import BANKS, CARDS, COUNTRIES
from stripe_simulator.server import Stripe
from stripe_simulator.version import API_VERSION
from tests.stripe import typed_responses

METHODS = [f"pm_card_{name}" for name in CARDS if name not in COUNTRIES]
METHODS += [f"pm_usBankAccount_{name}" for name in BANKS]
FREQUENT_METHODS = ["pm_card_visa"] * 12 + ["pm_card_createDispute", "pm_card_pendingRefund", "pm_card_refundFail"] * 3
ITEM = {"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 49900, "product_data": {"name": "DP"}}}
RETURNED, REFUNDED = ("failed", "canceled"), ("pending", "succeeded", "requires_action")
"""The statuses of refunds that returned their amount to the account, and of refunds that count as refunded."""
SESSION_LIFETIME_S = 1800


class World:
    """One account, its clock, and the actions that a search chooses from."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 1_800_000_000.0
        self.stripe = Stripe(seed=seed, clock=lambda: self.now)
        self.headers = {"Authorization": f"Bearer {self.stripe.secret_key}", "Stripe-Version": API_VERSION}
        self.steps: list[str] = []
        self.problems: list[str] = []
        self.is_alone = True  # whether no other thread sends requests
        self.statuses: Counter[int] = Counter()

    def call(self, method: str, path: str, **params: Any) -> Any:
        """Send a request, record it as a step, and return the body of its response."""
        with self.stripe.account.lock:
            self.stripe.account.run_due()  # the tasks of an earlier request
        before = self.counts()
        if path.startswith("/_sim"):
            response = self.stripe.handle(method, path, {}, json.dumps(params).encode())
        else:
            text = urlencode(list(_api_encode(params)))
            response = self.stripe.handle(method, path, self.headers, text.encode())
        self.steps.append(f"{method} {path} {params} -> {response.status}")
        self.statuses[response.status] += 1
        assert response.status < 500, self.steps[-1]
        answer = response.json()
        shows_intent = "payment_intent" in answer.get("error", {})
        if self.is_alone and response.status >= 400 and not shows_intent and self.counts() != before:
            self.problems.append(f"a refused request left something: {self.steps[-1]}")
        return answer

    def counts(self) -> dict[str, int]:
        """Return the number of objects of each kind, of events and of scheduled tasks."""
        account = self.stripe.account
        objects = {kind: len(objects) for kind, objects in account.store.objects.items()}
        others = {"events": len(account.webhooks.payloads), "tasks": len(account.clock.tasks)}
        return {name: count for name, count in (objects | others).items() if count}

    def any(self, kind: str) -> dict[str, Any]:
        """Return one of the 30 newest objects of a kind, or a placeholder if there is none."""
        objects = self.all(kind)
        return self.random.choice(objects[-30:]) if objects else {"id": "none", "amount": 100}

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return all objects of a kind."""
        return list(self.stripe.account.store.objects.get(kind, {}).values())

    def method(self) -> str:
        """Return a random test payment method."""
        return self.random.choice(FREQUENT_METHODS + METHODS)

    def mandate(self) -> dict[str, str]:
        """Return the acceptance of a mandate, or nothing in one of five calls."""
        return {"mandate_data[customer_acceptance][type]": "offline"} if self.random.random() < 0.8 else {}

    # --- actions ---

    def create(self) -> None:
        more: dict[str, Any] = {}
        if self.random.random() < 0.3:
            more["customer"] = self.any("customer")["id"]
        if self.random.random() < 0.2:
            more["setup_future_usage"] = self.random.choice(["on_session", "off_session"])
        if self.random.random() < 0.2:
            more["capture_method"] = self.random.choice(["manual", "automatic"])
        if self.random.random() < 0.6:
            more |= {"confirm": True, "payment_method": self.method(), "return_url": "https://x/", **self.mandate()}
        amount = self.random.randrange(50, 90_000)
        self.call("POST", "/v1/payment_intents", amount=amount, currency="usd", **more)

    def customer(self) -> None:
        self.call("POST", "/v1/customers", email="a@example.com")

    def save(self) -> None:
        self.call("POST", f"/v1/payment_methods/{self.method()}/attach", customer=self.any("customer")["id"])

    def pay_saved(self) -> None:
        method = self.any("payment_method")
        params = {"payment_method": method["id"], "confirm": True, "return_url": "https://x/", **self.mandate()}
        if method.get("customer"):
            params["customer"] = method["customer"]
        self.call("POST", "/v1/payment_intents", amount=700, currency="usd", **params)

    def confirm(self) -> None:
        path = f"/v1/payment_intents/{self.any('payment_intent')['id']}/confirm"
        self.call("POST", path, payment_method=self.method(), return_url="https://x/", **self.mandate())

    def cancel(self) -> None:
        self.call("POST", f"/v1/payment_intents/{self.any('payment_intent')['id']}/cancel")

    def capture(self) -> None:
        intent = self.any("payment_intent")
        part = {"amount_to_capture": self.random.randrange(1, 40_000)} if self.random.random() < 0.5 else {}
        self.call("POST", f"/v1/payment_intents/{intent['id']}/capture", **part)

    def authenticate(self) -> None:
        outcome = self.random.choice(["success", "failure"])
        self.call("POST", f"/_sim/payment_intents/{self.any('payment_intent')['id']}/authenticate", outcome=outcome)

    def refund(self) -> None:
        intent = self.any("payment_intent")
        part = {"amount": self.random.randrange(1, intent["amount"] + 10)} if self.random.random() < 0.7 else {}
        with self.stripe.account.lock:
            charge = self.stripe.account.store.find("charge", intent.get("latest_charge") or "") or {}
            captured = charge.get("captured") and not charge["disputed"]
            refunded = sum(
                one["amount"]
                for one in self.stripe.account.store.all("refund")
                if one["charge"] == charge.get("id") and one["status"] in REFUNDED
            )
            refundable = charge["amount_captured"] - refunded if captured else 0
            refund = self.call("POST", "/v1/refunds", payment_intent=intent["id"], **part)
        is_possible = 1 <= part.get("amount", refundable) <= refundable
        if is_possible != ("error" not in refund) and captured:
            self.problems.append(f"{intent['id']}: {part} of {refundable} refundable answered {refund}")

    def refund_by_staff(self) -> None:
        status = self.random.choice(["requires_action", "pending", "succeeded"])
        self.call("POST", "/_sim/refunds", charge=self.any("charge")["id"], amount=10, status=status)

    def set_refund_status(self) -> None:
        status = self.random.choice(["pending", "succeeded", "failed", "canceled", "requires_action"])
        self.call("POST", "/_sim/refunds", refund=self.any("refund")["id"], status=status)

    def cancel_or_expire_refund(self) -> None:
        path = self.random.choice(["/v1/refunds/{}/cancel", "/v1/test_helpers/refunds/{}/expire"])
        self.call("POST", path.format(self.any("refund")["id"]))

    def dispute(self) -> None:
        status = self.random.choice(["needs_response", "warning_needs_response", "prevented"])
        self.call("POST", "/_sim/disputes", charge=self.any("charge")["id"], status=status)

    def set_dispute_status(self) -> None:
        status = self.random.choice(["won", "lost", "appeal_under_review", "warning_closed", "prevented", "new_one"])
        self.call("POST", "/_sim/disputes", dispute=self.any("dispute")["id"], status=status)

    def submit_evidence(self) -> None:
        text = self.random.choice(["winning_evidence", "losing_evidence", "escalate_inquiry_evidence", "x"])
        self.call("POST", f"/v1/disputes/{self.any('dispute')['id']}", evidence={"uncategorized_text": text})

    def accept_dispute(self) -> None:
        self.call("POST", f"/v1/disputes/{self.any('dispute')['id']}/close")

    def create_code(self) -> None:
        coupon = self.call("POST", "/v1/coupons", percent_off=self.random.choice([10, 50, 100]), max_redemptions=3)
        self.call(
            "POST", "/v1/promotion_codes", promotion={"type": "coupon", "coupon": coupon["id"]}, max_redemptions=2
        )

    def create_session(self) -> None:
        more: dict[str, Any] = {"expires_at": self.stripe.account.clock.unix() + SESSION_LIFETIME_S}
        if self.random.random() < 0.5:
            more["discounts"] = [{"promotion_code": self.any("promotion_code")["id"]}]
        if self.random.random() < 0.3:
            more["customer"] = self.any("customer")["id"]
        self.call("POST", "/v1/checkout/sessions", mode="payment", success_url="https://x/", line_items=[ITEM], **more)

    def pay_session(self) -> None:
        path = f"/v1/payment_pages/{self.any('checkout.session')['id']}/confirm"
        self.call("POST", path, payment_method=self.method())

    def expire_session(self) -> None:
        self.call("POST", f"/v1/checkout/sessions/{self.any('checkout.session')['id']}/expire")

    def advance_clock(self) -> None:
        self.call("POST", "/_sim/clock", advance_s=self.random.choice([1, 2, 3, 600, SESSION_LIFETIME_S]))

    def step(self) -> None:
        """Run one random action."""
        actions = [self.create] * 6 + [self.refund] * 4
        actions += [self.confirm, self.advance_clock, self.create_session, self.pay_session] * 2
        actions += [self.customer, self.save, self.pay_saved, self.cancel, self.capture, self.authenticate]
        actions += [self.refund_by_staff, self.set_refund_status, self.cancel_or_expire_refund]
        actions += [self.dispute, self.set_dispute_status, self.submit_evidence, self.accept_dispute]
        actions += [self.create_code, self.expire_session]
        self.random.choice(actions)()


def finish(world: World) -> list[str]:
    """Advance the clock until nothing is pending; return the inconsistencies in the account."""
    world.call("POST", "/_sim/clock", advance_s=2 * SESSION_LIFETIME_S)
    return [
        *world.problems,
        *problems_of_balance(world),
        *problems_of_charges(world),
        *problems_of_intents_and_codes(world),
        *problems_of_events(world),
    ]


def problems_of_balance(world: World) -> list[str]:
    """Check that payments less refunds and disputes equal the balance transactions, and these the balance."""
    messages = []
    transactions = world.all("balance_transaction")
    payments = sum(intent["amount_received"] for intent in world.all("payment_intent"))
    refunds = sum(refund["amount"] for refund in world.all("refund") if refund["status"] in REFUNDED)
    disputes = -sum(move["amount"] for dispute in world.all("dispute") for move in dispute["balance_transactions"])
    amounts = sum(transaction["amount"] for transaction in transactions)
    if payments - refunds - disputes != amounts:
        messages.append(f"{payments} - {refunds} - {disputes} is not {amounts}")
    messages += [f"{each['id']}: net" for each in transactions if each["net"] != each["amount"] - each["fee"]]
    balance = world.call("GET", "/v1/balance")
    total = sum(part["amount"] for name in ("available", "pending") for part in balance[name])
    if total != sum(transaction["net"] for transaction in transactions):
        messages.append("the balance is not the sum of the balance transactions")
    return messages


def problems_of_charges(world: World) -> list[str]:
    """Check that each charge's refunded amount is the sum of its refunds and at most the captured amount."""
    messages = []
    for charge in world.all("charge"):
        refunds = [
            refund["amount"]
            for refund in world.all("refund")
            if refund["charge"] == charge["id"] and refund["status"] in REFUNDED
        ]
        id, refunded = charge["id"], charge["amount_refunded"]
        uncaptured = charge["amount"] - charge["amount_captured"] if charge["status"] == "succeeded" else 0
        released = uncaptured if charge["captured"] or charge["refunded"] else 0
        if refunded != sum(refunds) + released or refunded > charge["amount"]:
            messages.append(f"{id}: {refunded} refunded, but its refunds are {refunds}")
        if charge["refunded"] != (refunded == charge["amount"]):
            messages.append(f"{id}: refunded is {charge['refunded']}")
        if sum(refunds) > charge["amount_captured"]:
            messages.append(f"{id}: more refunded than captured")
    return messages


def problems_of_intents_and_codes(world: World) -> list[str]:
    """Check that no PaymentIntent is paid twice and no coupon or code is redeemed too often."""
    messages = []
    charges = world.all("charge")
    for intent in world.all("payment_intent"):
        successes = [c for c in charges if c["payment_intent"] == intent["id"] and c["status"] == "succeeded"]
        if len(successes) > 1:
            messages.append(f"{intent['id']}: paid {len(successes)} times")
        if (intent["status"] == "succeeded") != (intent["amount_received"] > 0):
            messages.append(f"{intent['id']}: {intent['status']} with {intent['amount_received']}")
    for item in [*world.all("coupon"), *world.all("promotion_code")]:
        if item["max_redemptions"] is not None and item["times_redeemed"] > item["max_redemptions"]:
            messages.append(f"{item['id']}: redeemed {item['times_redeemed']} times")
    return messages


def problems_of_events(world: World) -> list[str]:
    """Check the fields of every event, and that the newest event of each object has the object's status."""
    newest: dict[str, Any] = {}
    messages: set[str] = set()
    for payload in world.stripe.webhooks.payloads.values():
        event = json.loads(payload)
        messages |= set(typed_responses.problems_of_event(event))
        if "id" in event["data"]["object"]:  # a balance has none
            newest[event["data"]["object"]["id"]] = event["data"]["object"]
    for kind in ("payment_intent", "refund", "dispute", "checkout.session"):
        for item in world.all(kind):
            status = newest.get(item["id"], item)["status"]
            if status != item["status"]:
                messages.add(f"{kind}: the newest event says {status}, but the object is {item['status']}")
    return sorted(messages)


def run(seed: int, steps: int) -> World:
    """Run random actions and check the result."""
    world = World(seed)
    for _ in range(steps):
        world.step()
    messages = finish(world)
    assert not messages, f"seed {seed}:\n" + "\n".join([*messages, "…", *world.steps[-40:]])
    return world


@pytest.mark.property
def test_mixed_flows_end_with_consistent_sums_and_reach_every_status() -> None:
    reached: set[str] = set()
    for seed in range(8):
        world = run(seed, 400)
        assert world.statuses[200] > 150 and world.statuses[402] > 5, (seed, world.statuses)
        for kind in ("payment_intent", "refund", "dispute", "charge", "checkout.session"):
            reached |= {f"{kind} {item['status']}" for item in world.all(kind)}
    expected = {f"refund {status}" for status in (*RETURNED, *REFUNDED)}
    expected |= {f"payment_intent {s}" for s in ("succeeded", "canceled", "requires_action", "requires_payment_method")}
    expected |= {f"dispute {s}" for s in ("won", "lost", "needs_response", "warning_closed", "prevented", "new_one")}
    expected |= {f"checkout.session {s}" for s in ("complete", "expired")} | {"charge failed", "charge succeeded"}
    assert expected - reached == set()


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1040))
def test_mixed_flows_end_with_consistent_sums_at_full_size(seed: int) -> None:
    run(seed, 3000)


def run_concurrently(world: World, threads: int, steps: int) -> None:
    """Run random actions in several threads."""
    world.is_alone = False
    actions = [world.create, world.refund, world.refund, world.confirm, world.cancel, world.capture, world.pay_session]
    actions += [world.create_session, world.create_code, world.expire_session]
    actions += [world.dispute, world.accept_dispute, world.set_refund_status]

    def work(seed: int) -> None:
        actions_of_thread = random.Random(seed)
        for _ in range(steps):
            actions_of_thread.choice(actions)()

    with ThreadPoolExecutor(threads) as pool:
        for worker in [pool.submit(work, seed) for seed in range(threads)]:
            worker.result()


def test_concurrent_mixed_flows_end_with_consistent_sums() -> None:
    world = World(1)
    for _ in range(20):
        world.create_code()
        world.create_session()
    run_concurrently(world, threads=8, steps=60)
    assert finish(world) == []
