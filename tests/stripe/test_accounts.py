"""Accounts side by side: which key selects which account, and that it shares nothing with another."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from stripe_simulator import accounts as accounts_module
from stripe_simulator.errors import NoAnswer
from stripe_simulator.response import Response
from stripe_simulator.server import Simulator, Stripe
from stripe_simulator.version import API_VERSION
from tests.stripe.conftest import Receiver, eventually

DEFAULT, A, B = "sk_test_short", "sk_test_AAAAaaaa0000", "sk_test_BBBBbbbb1111"
NOW = 1_800_000_000
PAID = {
    "amount": "500",
    "currency": "usd",
    "confirm": "true",
    "payment_method": "pm_card_visa",
    "return_url": "https://x/",
}


class Accounts:
    """A simulator without a socket, called with different keys."""

    def __init__(self, seed: int | None = None) -> None:
        self.stripe = Stripe(seed=seed, clock=lambda: NOW, secret_key=DEFAULT, publishable_key="pk_test_default")

    def call(self, key: str | None, method: str, path: str, form: Any = None, **headers: str) -> Response:
        """Send a request with a key, or without one."""
        all_headers = {"Stripe-Version": API_VERSION} | {name.replace("_", "-"): text for name, text in headers.items()}
        if key is not None:
            all_headers["Authorization"] = f"Bearer {key}"
        query = f"?{urlencode(form)}" if form and method == "GET" else ""
        return self.stripe.handle(method, path + query, all_headers, urlencode(form or {}).encode() * (not query))

    def create(self, key: str, path: str, form: Any = None) -> Any:
        """Create an object and return it."""
        response = self.call(key, "POST", f"/v1/{path}", form)
        assert response.status == 200, response.body
        return response.json()

    def control(self, key: str | None, method: str, path: str, **body: Any) -> tuple[int, Any]:
        """Call the control API with a key, or without one."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        response = self.stripe.handle(method, f"/_sim/{path}", headers, json.dumps(body).encode() if body else b"")
        return response.status, response.json()

    def ids(self) -> list[str]:
        """Return the secret keys of all accounts."""
        return [row["secret_key"] for row in self.control(self.stripe.admin_key, "GET", "accounts")[1]["accounts"]]


@pytest.fixture
def side_by_side() -> Accounts:
    return Accounts()


# --- keys ---


def test_each_key_selects_an_account_of_its_own(side_by_side: Accounts) -> None:
    for key in (DEFAULT, A, B):
        side_by_side.create(key, "customers", {"name": key})
    for key in (DEFAULT, A, B):
        listed = side_by_side.call(key, "GET", "/v1/customers").json()["data"]
        assert [customer["name"] for customer in listed] == [key]
    assert side_by_side.ids() == [DEFAULT, A, B]


@pytest.mark.parametrize(
    "key",
    [
        *(
            "sk_test_short2",
            "sk_test_12345678901",
            "sk_test_1234567890_2",
            "sk_test_AAAAaaaa000é",
            "SK_TEST_AAAAaaaa0000",
        ),
        *("sk_live_AAAAaaaa0000", "rk_live_AAAAaaaa0000", "pk_live_AAAAaaaa0000", "sk_test_", "AAAAaaaa0000", "x"),
        *("pk_test_NobodyHasThis0", "pk_test_short", "sk_test_default", "rk_test_default", "whsec_AAAAaaaa0000"),
    ],
)
def test_every_other_key_is_a_401_in_the_words_of_stripe(side_by_side: Accounts, key: str) -> None:
    for path in ("/v1/customers", "/v1/payment_intents/pi_x", "/v1/none"):
        response = side_by_side.call(key, "GET", path)
        error = response.json()["error"]
        assert (response.status, error["type"]) == (401, "invalid_request_error")
        assert error["message"].startswith(f"Invalid API Key provided: {key[:8]}")
        assert response.headers["WWW-Authenticate"] == 'Basic realm="Stripe"'
    assert side_by_side.control(key, "GET", "health")[0] == 401
    assert side_by_side.ids() == [DEFAULT]


def test_a_request_without_a_key_is_a_401_and_makes_no_account(side_by_side: Accounts) -> None:
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Basic x"}, {"Authorization": "Digest " + A}):
        response = side_by_side.stripe.handle("GET", "/v1/customers", headers)
        assert response.status == 401
        assert response.json()["error"]["message"].startswith("You did not provide an API key.")
    assert side_by_side.ids() == [DEFAULT]


def test_a_restricted_key_acts_on_the_account_of_the_secret_key_of_the_same_letters(side_by_side: Accounts) -> None:
    for secret in (A, DEFAULT):
        restricted = secret.replace("sk_", "rk_")
        customer = side_by_side.create(restricted, "customers")["id"]
        assert side_by_side.call(secret, "GET", f"/v1/customers/{customer}").status == 200
        assert side_by_side.call(B, "GET", f"/v1/customers/{customer}").status == 404
    assert side_by_side.ids() == [DEFAULT, A, B]


def test_the_publishable_key_of_an_account_reads_intents_of_this_account_only(side_by_side: Accounts) -> None:
    public = {A: A.replace("sk_", "pk_"), B: B.replace("sk_", "pk_"), DEFAULT: "pk_test_default"}
    assert side_by_side.call(public[A], "GET", "/v1/payment_intents/pi_x").status == 401
    for key in public:
        side_by_side.create(key, "customers")
    intent = side_by_side.create(A, "payment_intents", {"amount": 500, "currency": "usd"})
    path, secret = f"/v1/payment_intents/{intent['id']}", {"client_secret": intent["client_secret"]}
    assert side_by_side.call(public[A], "GET", path, secret).json()["id"] == intent["id"]
    assert side_by_side.call(None, "GET", path, {**secret, "key": public[A]}).json()["id"] == intent["id"]
    for key in (public[B], public[DEFAULT]):
        error = side_by_side.call(key, "GET", path, secret).json()["error"]
        assert error["code"] == "resource_missing"
    assert side_by_side.call(public[A], "GET", "/v1/customers").json()["error"]["code"] == "secret_key_required"


def test_basic_and_bearer_authorization_select_the_same_account(simulator: Simulator) -> None:
    key = "sk_test_BasicAndBearer1"
    customer = httpx.post(f"{simulator.url}/v1/customers", auth=(key, "")).json()["id"]
    response = httpx.get(f"{simulator.url}/v1/customers/{customer}", headers={"Authorization": f"Bearer {key}"})
    assert response.json()["id"] == customer


def test_the_first_use_of_a_key_by_many_threads_makes_one_account(side_by_side: Accounts) -> None:
    barrier = threading.Barrier(20)

    def use(number: int) -> str:
        barrier.wait(timeout=30)
        return str(side_by_side.create(A if number % 2 else A.replace("sk_", "rk_"), "customers")["id"])

    with ThreadPoolExecutor(20) as pool:
        created = set(pool.map(use, range(20)))
    listed = side_by_side.call(A, "GET", "/v1/customers", {"limit": 100}).json()["data"]
    assert {customer["id"] for customer in listed} == created and len(created) == 20
    assert side_by_side.ids() == [DEFAULT, A]


def test_a_header_of_connect_is_refused_by_name(side_by_side: Accounts) -> None:
    other = side_by_side.stripe.accounts.select(B).id
    for header in ("Stripe_Account", "Stripe_Context"):
        for id in (other, "acct_none"):
            response = side_by_side.call(A, "POST", "/v1/customers", None, **{header: id})
            error = response.json()["error"]
            assert (response.status, error["code"]) == (403, "platform_account_required")
            assert header.replace("_", "-") in error["message"] and "the key of that account" in error["message"]
    assert side_by_side.call(A, "GET", "/v1/customers").json()["data"] == []


# --- the limit, the list and the end of accounts ---


def test_the_account_after_the_last_is_refused_until_one_is_deleted(
    side_by_side: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert accounts_module.MAX_ACCOUNTS == 1_000
    monkeypatch.setattr(accounts_module, "MAX_ACCOUNTS", 3)
    for key in (A, B):
        side_by_side.create(key, "customers")
    third = "sk_test_CCCCcccc2222"
    for response in (
        side_by_side.call(third, "POST", "/v1/customers"),
        side_by_side.stripe.handle("GET", "/_sim/health", {"Authorization": f"Bearer {third}"}),
    ):
        error = response.json()["error"]
        assert (response.status, error["code"]) == (403, "account_limit_reached")
        assert "DELETE /_sim/accounts" in error["message"]
    assert side_by_side.create(A, "customers") and side_by_side.create(DEFAULT, "customers")
    assert side_by_side.control(B, "DELETE", "accounts")[0] == 200
    assert side_by_side.create(third, "customers")
    assert side_by_side.ids() == [DEFAULT, A, third]


def test_a_thousand_accounts_fit_and_none_waits_for_the_others(side_by_side: Accounts) -> None:
    started_at = time.process_time()
    for number in range(accounts_module.MAX_ACCOUNTS - 1):
        side_by_side.create(f"sk_test_thousand{number:06}", "customers")
    assert time.process_time() - started_at < 60
    response = side_by_side.call("sk_test_thousand999999", "POST", "/v1/customers")
    assert response.json()["error"]["code"] == "account_limit_reached"
    assert len(side_by_side.ids()) == 1_000


def test_the_admin_key_lists_accounts_and_does_nothing_else(side_by_side: Accounts) -> None:
    side_by_side.create(A, "payment_intents", PAID)
    admin = side_by_side.stripe.admin_key
    status, answer = side_by_side.control(admin, "GET", "accounts")
    default, row = answer["accounts"]
    assert status == 200 and set(default) == set(row)
    assert (default["default"], row["default"]) == (True, False)
    assert (row["secret_key"], row["publishable_key"]) == (A, A.replace("sk_", "pk_"))
    assert row["id"].startswith("acct_") and row["id"] != default["id"] and row["created"] == NOW
    assert row["objects"] >= 2 and row["events"] >= 2 and (default["objects"], default["events"]) == (0, 0)
    for key in (None, A, DEFAULT):
        status, answer = side_by_side.control(key, "GET", "accounts")
        assert status == 403 and "admin key" in answer["error"]["message"]
    assert side_by_side.call(admin, "GET", "/v1/customers").status == 401
    status, answer = side_by_side.control(admin, "POST", "reset")
    assert status == 403 and "/_sim/accounts" in answer["error"]["message"]


def test_accounts_are_deleted_by_their_own_key_or_by_the_admin_key(side_by_side: Accounts) -> None:
    admin, third = side_by_side.stripe.admin_key, "sk_test_CCCCcccc2222"
    customers = {key: side_by_side.create(key, "customers")["id"] for key in (DEFAULT, A, B, third)}
    rows = side_by_side.control(admin, "GET", "accounts")[1]["accounts"]
    ids = {row["secret_key"]: row["id"] for row in rows}
    assert side_by_side.control(A, "DELETE", "accounts", account=ids[B])[0] == 400
    assert side_by_side.control(A, "DELETE", "accounts", account=ids[A]) == (200, {"deleted": [ids[A]]})
    assert side_by_side.call(A, "GET", f"/v1/customers/{customers[A]}").status == 404  # a new account
    assert side_by_side.control(admin, "DELETE", "accounts", account="acct_none")[0] == 400
    assert side_by_side.control(admin, "DELETE", "accounts", account=ids[B]) == (200, {"deleted": [ids[B]]})
    for key, body in ((None, {}), (DEFAULT, {}), (admin, {"account": ids[DEFAULT]})):
        status, answer = side_by_side.control(key, "DELETE", "accounts", **body)
        assert status == 400 and "/_sim/reset" in answer["error"]["message"]
    assert len(side_by_side.control(admin, "DELETE", "accounts")[1]["deleted"]) == 2
    assert side_by_side.ids() == [DEFAULT]
    assert side_by_side.call(DEFAULT, "GET", f"/v1/customers/{customers[DEFAULT]}").status == 200


def test_a_reset_empties_the_account_of_the_key_only(side_by_side: Accounts) -> None:
    for key in (DEFAULT, A, B):
        side_by_side.create(key, "customers")
    for reset, left in ((A, [1, 0, 1]), (None, [0, 0, 1])):
        assert side_by_side.control(reset, "POST", "reset") == (200, {"reset": True})
        counts = [len(side_by_side.call(key, "GET", "/v1/customers").json()["data"]) for key in (DEFAULT, A, B)]
        assert counts == left
    assert side_by_side.ids() == [DEFAULT, A, B]


# --- the state of each account ---


def test_an_idempotency_key_belongs_to_one_account(side_by_side: Accounts) -> None:
    created = [side_by_side.call(key, "POST", "/v1/customers", None, Idempotency_Key="k") for key in (A, B, A)]
    assert [one.headers.get("Idempotent-Replayed") for one in created] == [None, None, "true"]
    assert created[0].json()["id"] == created[2].json()["id"] != created[1].json()["id"]
    other = side_by_side.call(B, "POST", "/v1/payment_intents", PAID, Idempotency_Key="k")
    assert other.json()["error"]["type"] == "idempotency_error"


def test_a_fault_affects_the_calls_of_one_account(side_by_side: Accounts) -> None:
    fault = {"match": "POST /v1/customers", "times": 1, "fail": "before"}
    assert side_by_side.control(A, "POST", "calls", **fault)[1] == {"calls": [fault]}
    assert side_by_side.control(None, "GET", "calls")[1] == {"calls": []}
    assert side_by_side.control(None, "DELETE", "calls")[0] == 200
    for key in (DEFAULT, B):
        assert side_by_side.create(key, "customers")
    with pytest.raises(NoAnswer):
        side_by_side.create(A, "customers")
    assert side_by_side.create(A, "customers")


def test_a_rate_limit_counts_the_requests_of_one_account(side_by_side: Accounts) -> None:
    side_by_side.control(A, "POST", "limits", per_second=2)
    for key in (A, A, B, B, B):
        assert side_by_side.create(key, "customers")
    assert side_by_side.call(A, "POST", "/v1/customers").status == 429
    assert side_by_side.call(B, "POST", "/v1/customers").status == 200


def test_a_clock_moves_the_dates_and_pending_tasks_of_one_account(side_by_side: Accounts) -> None:
    for key in (A, B):
        side_by_side.create(key, "payment_intents", {**PAID, "payment_method": "pm_usBankAccount_success"})
    assert side_by_side.control(A, "POST", "clock", advance_s=1000)[1]["now"] == NOW + 1000
    for key, now, status in ((A, NOW + 1000, "succeeded"), (B, NOW, "processing"), (DEFAULT, NOW, None)):
        response = side_by_side.call(key, "POST", "/v1/customers")
        assert response.json()["created"] == now
        assert parsedate_to_datetime(response.headers["Date"]).timestamp() == now
        assert side_by_side.control(key, "GET", "health")[1]["now"] == now
        listed = side_by_side.call(key, "GET", "/v1/payment_intents").json()["data"]
        assert [intent["status"] for intent in listed] == ([status] if status else [])


def test_the_request_log_has_the_requests_of_one_account(side_by_side: Accounts) -> None:
    side_by_side.create(A, "customers", {"name": "a"})
    side_by_side.call("sk_test_no", "GET", "/v1/events")
    rows = {key: side_by_side.control(key, "GET", "requests")[1]["requests"] for key in (DEFAULT, A, B)}
    assert [(row["path"], row["status"]) for row in rows[A]] == [("/v1/customers", 200)]
    assert [(row["path"], row["status"]) for row in rows[DEFAULT]] == [("/v1/events", 401)]
    assert rows[B] == []


def test_the_balance_and_payouts_belong_to_one_account(side_by_side: Accounts) -> None:
    side_by_side.create(A, "payment_intents", PAID)
    side_by_side.control(A, "POST", "clock", advance_s=2)
    assert side_by_side.control(B, "POST", "payouts", include_pending=True)[0] == 400
    status, payout = side_by_side.control(A, "POST", "payouts", include_pending=True)
    assert status == 200 and payout["amount"] > 0
    assert len(side_by_side.call(A, "GET", "/v1/payouts").json()["data"]) == 1
    assert side_by_side.call(B, "GET", "/v1/payouts").json()["data"] == []
    assert side_by_side.call(B, "GET", f"/v1/payouts/{payout['id']}").status == 404


def test_a_card_has_another_fingerprint_in_each_account(side_by_side: Accounts) -> None:
    """As at Stripe: https://docs.stripe.com/api/payment_methods/object#payment_method_object-card-fingerprint."""
    form = {"type": "card", "card[token]": "tok_visa"}
    methods = [side_by_side.create(key, "payment_methods", form) for key in (A, A, B)]
    first, second, other = (method["card"]["fingerprint"] for method in methods)
    assert first == second != other


def test_keys_are_added_and_expired_in_one_account(side_by_side: Accounts) -> None:
    side_by_side.create(B, "customers")
    added = side_by_side.control(A, "POST", "keys", secret_key="sk_test_AddedToAccountA")[1]["secret_key"]
    customer = side_by_side.create(added, "customers")["id"]
    for key in (A, added.replace("sk_", "rk_")):
        assert side_by_side.call(key, "GET", f"/v1/customers/{customer}").status == 200
    assert side_by_side.call(added.replace("sk_", "pk_"), "GET", "/v1/payment_intents/pi_x").status == 401
    for owner, key in ((A, B), (A, DEFAULT), (None, added), (B, added.replace("sk_", "rk_")), (B, "rk_test_short")):
        status, answer = side_by_side.control(owner, "POST", "keys", secret_key=key)
        assert status == 400 and "another account" in answer["error"]["message"], key
        status, answer = side_by_side.control(owner, "DELETE", "keys", secret_key=key)
        assert status == 400 and "a secret key of this account" in answer["error"]["message"], key
    assert side_by_side.control(added, "DELETE", "keys", secret_key=A)[0] == 200
    assert side_by_side.call(A, "GET", "/v1/customers").json()["error"]["code"] == "api_key_expired"
    assert side_by_side.call(added, "GET", "/v1/customers").status == 200
    assert side_by_side.call(B, "GET", "/v1/customers").status == 200
    assert side_by_side.control(A, "POST", "keys", secret_key=A)[0] == 200  # an expired key controls its account
    assert side_by_side.call(A, "GET", "/v1/customers").status == 200
    assert side_by_side.ids() == [DEFAULT, B, A]


def test_the_same_requests_to_an_account_create_the_same_ids_whatever_other_accounts_do() -> None:
    def run(between: list[str]) -> list[Any]:
        simulated = Accounts(seed=3)
        answers = []
        for _ in range(3):
            for key in between:
                simulated.create(key, "payment_intents", PAID)
            answers.append(simulated.create(A, "payment_intents", PAID))
            answers.append(simulated.control(A, "POST", "clock", advance_s=5)[1])
        events = simulated.call(A, "GET", "/v1/events", {"limit": 100}).json()["data"]
        account = simulated.stripe.accounts.select(A)
        return [*answers, *events, account.id, list(account.log), simulated.create(DEFAULT, "customers")["id"]]

    alone, busy = run([]), run([B, "sk_test_CCCCcccc2222"])
    assert alone == busy
    other = Accounts(seed=3).create(B, "payment_intents", PAID)["id"]
    assert other != alone[0]["id"]


def test_events_go_to_the_endpoints_of_their_account_only(side_by_side: Accounts) -> None:
    secrets = {}
    for key in (DEFAULT, A, B):
        form = {"url": f"https://{key[8:]}.test/", "enabled_events[]": "*"}
        secrets[key] = side_by_side.create(key, "webhook_endpoints", form)["secret"]
    assert len(set(secrets.values())) == 3
    customer = side_by_side.create(A, "customers")["id"]
    boxes = {key: side_by_side.stripe.accounts.select(key).webhooks.outbox for key in (DEFAULT, A, B)}
    assert [len(box) for box in boxes.values()] == [0, 1, 0]
    (delivery,) = boxes[A]
    assert delivery.event["data"]["object"]["id"] == customer and delivery.secrets == [secrets[A]]
    assert [len(side_by_side.call(key, "GET", "/v1/events").json()["data"]) for key in (DEFAULT, A, B)] == [0, 1, 0]
    for key in (DEFAULT, B):
        assert side_by_side.call(key, "GET", f"/v1/events/{delivery.event_id}").status == 404
        assert side_by_side.call(key, "POST", f"/v1/events/{delivery.event_id}/retry").status == 404
        endpoint = side_by_side.call(A, "GET", "/v1/webhook_endpoints").json()["data"][0]["id"]
        assert side_by_side.control(key, "POST", "webhooks/roll", endpoint=endpoint)[0] == 400
    assert list(side_by_side.control(B, "POST", "webhooks/roll")[1]["secrets"]) != [delivery.endpoint_id]
    assert delivery.secrets == [secrets[A]]


def test_held_webhooks_are_held_and_released_in_one_account(side_by_side: Accounts) -> None:
    for key in (A, B):
        side_by_side.create(key, "webhook_endpoints", {"url": "https://a.test/", "enabled_events[]": "*"})
    side_by_side.control(A, "POST", "webhooks", deliver="hold")
    for key in (A, B):
        side_by_side.create(key, "customers")
    assert [side_by_side.control(key, "GET", "webhooks")[1]["held"] for key in (DEFAULT, A, B)] == [0, 1, 0]
    assert [side_by_side.control(key, "GET", "webhooks")[1]["waiting"] for key in (DEFAULT, A, B)] == [0, 0, 1]
    assert side_by_side.control(B, "POST", "webhooks/release")[1] == {"released": 0}
    assert side_by_side.control(A, "POST", "webhooks/release")[1] == {"released": 1}
    assert len(side_by_side.control(A, "GET", "deliveries")[1]["deliveries"]) == 1


def test_the_endpoint_of_the_command_line_belongs_to_the_default_account(
    webhook_simulator: Simulator, receiver: Receiver
) -> None:
    simulator = webhook_simulator
    for key in (A, simulator.secret_key):
        httpx.post(f"{simulator.url}/v1/customers", auth=(key, ""), data={"name": key}).raise_for_status()
    eventually(lambda: len(receiver.deliveries) == 1)
    names = [json.loads(body)["data"]["object"]["name"] for _, body in receiver.deliveries]
    assert names == [simulator.secret_key]
    assert httpx.get(f"{simulator.url}/v1/webhook_endpoints", auth=(A, "")).json()["data"] == []
