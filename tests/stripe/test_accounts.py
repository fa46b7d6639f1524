"""Accounts side by side: which key selects which account, and that it shares nothing with another."""

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import stripe

from stripe_simulator import accounts as accounts_module
from stripe_simulator import state_file, webhooks
from stripe_simulator.account import TASKS, Account
from stripe_simulator.errors import NoAnswer
from stripe_simulator.pages import dispatch
from stripe_simulator.response import Response
from stripe_simulator.server import Simulator, Stripe, start
from stripe_simulator.version import API_VERSION
from tests.acceptance import ACCEPTANCE
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
        assert re.match(f"Invalid API Key provided: .*{key[-4:]}", error["message"])
        assert ("The simulator takes" in error["message"]) == key.startswith(("sk_test_", "rk_test_", "pk_test_"))
        assert response.headers["WWW-Authenticate"] == 'Basic realm="Stripe"'
    assert side_by_side.control(key, "GET", "health")[0] == 401
    assert side_by_side.ids() == [DEFAULT]


@pytest.mark.parametrize(
    ("options", "publishable_key"),
    [
        ({"secret_key": A}, A.replace("sk_", "pk_")),
        ({"secret_key": "sk_test_x"}, "pk_test_x"),
        ({"secret_key": "rk_test_x-y"}, "pk_test_x-y"),
        ({"secret_key": A, "publishable_key": "pk_test_other"}, "pk_test_other"),
    ],
    ids=["usual", "short", "restricted", "other"],
)
def test_the_publishable_key_of_a_chosen_secret_key_has_its_letters(
    options: dict[str, str], publishable_key: str
) -> None:
    simulated = Stripe(**options)  # type: ignore[arg-type]
    assert simulated.publishable_key == publishable_key
    path = "/v1/payment_intents/pi_none?client_secret=pi_none_secret_none"
    response = simulated.handle("GET", path, {"Authorization": f"Bearer {publishable_key}"})
    assert response.status == 404


@pytest.mark.parametrize("secret_key", [None, "sk_test_", "dummy"])
def test_other_publishable_keys_are_generated(secret_key: str | None) -> None:
    assert re.fullmatch("pk_test_[A-Za-z0-9]{24}", Stripe(secret_key=secret_key).publishable_key)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("sk_test_dummy", "sk_test_*ummy"),
        ("sk_test_abcd", "sk_test_abcd"),
        ("undefined", "*****ined"),
        ("False", "*alse"),
        ("nil", "nil"),
    ],
)
def test_an_error_shows_a_key_in_part_as_stripe_does(side_by_side: Accounts, key: str, text: str) -> None:
    """The texts are from reports of users."""
    message = side_by_side.call(key, "GET", "/v1/customers").json()["error"]["message"]
    assert message.partition(". The simulator takes")[0] == f"Invalid API Key provided: {text}"


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


def test_the_first_use_of_a_key_by_many_threads_makes_one_account(
    side_by_side: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts, barrier = side_by_side.stripe.accounts, threading.Barrier(20)
    new = accounts.new

    def new_after_a_while(key: str) -> Account:
        time.sleep(0.05)  # the other threads meanwhile look for the account too
        return new(key)

    monkeypatch.setattr(accounts, "new", new_after_a_while)

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


def test_the_query_of_a_control_call_counts_like_its_body(side_by_side: Accounts) -> None:
    """A query that is ignored would delete all accounts instead of one."""
    admin = side_by_side.stripe.admin_key
    for key in (A, B):
        side_by_side.create(key, "customers")
    account = side_by_side.stripe.accounts.select(A)
    status, content = side_by_side.control(admin, "DELETE", "accounts?account=acct_none")
    assert (status, content["error"]["param"]) == (400, "account")
    assert side_by_side.control(admin, "DELETE", f"accounts?account={account.id}")[1] == {"deleted": [account.id]}
    assert side_by_side.ids() == [DEFAULT, B]
    for method, path in (
        ("DELETE", "accounts?id=acct_1"),
        ("GET", "accounts?limit=1"),
        ("DELETE", "accounts?account="),
    ):
        assert side_by_side.control(admin, method, path)[0] == 400, path
    assert side_by_side.ids() == [DEFAULT, B]
    intent = side_by_side.create(B, "payment_intents", PAID | {"payment_method": "pm_card_threeDSecure2Required"})["id"]
    status, content = side_by_side.control(B, "POST", f"payment_intents/{intent}/authenticate?outcome=failure")
    assert (status, content["status"]) == (200, "requires_payment_method")
    assert side_by_side.control(B, "POST", f"payment_intents/{intent}/authenticate?passed=0")[0] == 400


def test_an_event_of_a_control_call_names_no_request(side_by_side: Accounts) -> None:
    """As at Stripe for what the Dashboard, a bank or Stripe itself causes. The last request had another cause."""
    nobody = {"id": None, "idempotency_key": None}
    intent = side_by_side.create(A, "payment_intents", PAID)["id"]
    waiting = side_by_side.create(A, "setup_intents")["id"]
    confirmation = {"payment_method": "pm_card_threeDSecure2Required", "return_url": "https://x/"}
    side_by_side.create(A, f"setup_intents/{waiting}/confirm", confirmation)
    before = len(side_by_side.call(A, "GET", "/v1/events", {"limit": 100}).json()["data"])
    for path, body in (
        ("refunds", {"payment_intent": intent, "amount": 100}),
        ("early_fraud_warnings", {"payment_intent": intent}),
        ("disputes", {"payment_intent": intent}),
        (f"setup_intents/{waiting}/authenticate", {"outcome": "success"}),
    ):
        status, content = side_by_side.control(A, "POST", path, **body)
        assert status == 200, content
    events = side_by_side.call(A, "GET", "/v1/events", {"limit": 100}).json()["data"]
    news = events[: len(events) - before]
    assert {"charge.refunded", "charge.dispute.created", "setup_intent.succeeded"} <= {one["type"] for one in news}
    assert [one["request"] for one in news] == [nobody] * len(news)
    assert all(one["request"]["id"] for one in events[len(news) :])


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
        debit = {**PAID, **ACCEPTANCE, "payment_method": "pm_usBankAccount_success"}
        side_by_side.create(key, "payment_intents", debit)
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


# --- pages ---


def page(side_by_side: Accounts, method: str, target: str, **form: str) -> tuple[int, str]:
    """Open a page, or send its form. Pages have no key."""
    response = dispatch.handle(side_by_side.stripe.accounts, method, target, {}, urlencode(form).encode())
    assert response is not None, target
    return response.status, response.body.decode()


CARD_FORM = {"email": "ada@example.com", "number": "4242424242424242", "expiry": "12/40", "cvc": "123"}
SESSION = {
    "line_items[0][price_data][currency]": "usd",
    "line_items[0][price_data][unit_amount]": "500",
    "line_items[0][price_data][product_data][name]": "Course",
    "line_items[0][quantity]": "1",
    "mode": "payment",
    "success_url": "https://x/",
}


def test_the_checkout_page_finds_the_account_of_its_session(side_by_side: Accounts) -> None:
    for key in (DEFAULT, A, B):
        session = side_by_side.create(key, "checkout/sessions", SESSION)
        status, text = page(side_by_side, "GET", f"/c/pay/{session['id']}")
        assert status == 200 and "Course" in text
        assert page(side_by_side, "POST", f"/c/pay/{session['id']}", **CARD_FORM)[0] == 303
        paid = side_by_side.call(key, "GET", f"/v1/checkout/sessions/{session['id']}").json()
        assert paid["payment_status"] == "paid"
    counts = [len(side_by_side.call(key, "GET", "/v1/charges").json()["data"]) for key in (DEFAULT, A, B)]
    assert counts == [1, 1, 1]
    assert page(side_by_side, "GET", "/c/pay/cs_test_none")[0] == 404


@pytest.mark.parametrize("kind", ["payment_intents", "setup_intents"])
def test_the_page_of_the_bank_finds_the_account_of_its_intent(side_by_side: Accounts, kind: str) -> None:
    form = {**PAID, "payment_method": "pm_card_authenticationRequired"}
    form = (
        form if kind == "payment_intents" else {key: form[key] for key in ("confirm", "payment_method", "return_url")}
    )
    intent = side_by_side.create(A, kind, form)
    path = intent["next_action"]["redirect_to_url"]["url"].partition("12111")[2]
    assert page(side_by_side, "GET", path)[0] == 200
    assert page(side_by_side, "POST", path, outcome="success")[0] == 303
    assert side_by_side.call(A, "GET", f"/v1/{kind}/{intent['id']}").json()["status"] == "succeeded"
    assert page(side_by_side, "GET", "/_sim/3ds/pi_none")[0] == 404
    control = f"{kind}/{intent['id']}/authenticate"
    for key, expected in ((None, 404), (B, 404), (A, 400)):  # 400: authenticated before
        assert side_by_side.control(key, "POST", control, outcome="success")[0] == expected


def test_a_receipt_finds_the_account_of_its_charge(side_by_side: Accounts) -> None:
    for key, name in ((DEFAULT, "none"), (A, "first"), (B, "second")):
        intent = side_by_side.create(key, "payment_intents", {**PAID, "description": f"Course {name}"})
        charge = side_by_side.call(key, "GET", f"/v1/charges/{intent['latest_charge']}").json()
        status, text = page(side_by_side, "GET", charge["receipt_url"].partition("12111")[2])
        assert status == 200 and f"Course {name}" in text
    assert page(side_by_side, "GET", "/receipts/payment/none")[0] == 404


def test_the_inspector_shows_one_account_and_links_to_the_others(side_by_side: Accounts) -> None:
    assert "/inspect/accounts" not in page(side_by_side, "GET", "/")[1]
    for key, name in ((DEFAULT, "first"), (A, "second")):
        side_by_side.create(key, "webhook_endpoints", {"url": "https://a.test/", "enabled_events[]": "*"})
        side_by_side.create(key, "customers", {"name": f"of the {name}"})
    accounts = side_by_side.stripe.accounts
    default, other = accounts.select(DEFAULT), accounts.select(A)
    path = "/inspect/objects?kind=customer"
    first, second = page(side_by_side, "GET", path)[1], page(side_by_side, "GET", f"{path}&account={other.id}")[1]
    assert "of the first" in first and "of the second" not in first
    assert "of the second" in second and "of the first" not in second
    switcher = page(side_by_side, "GET", "/inspect/accounts")[1]
    assert f'href="/?account={other.id}"' in switcher and default.id in switcher
    for text in (first, second, switcher):
        assert A not in text and DEFAULT not in text and "whsec_" not in text
    event = next(iter(other.webhooks.payloads))
    page(side_by_side, "POST", f"/inspect/events/{event}/resend")
    assert len(other.webhooks.outbox) == 1
    page(side_by_side, "POST", f"/inspect/events/{event}/resend", account=other.id)
    assert len(other.webhooks.outbox) == 2 and len(default.webhooks.outbox) == 1


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example"])
def test_a_page_of_another_origin_cannot_use_a_key_that_it_made_up(simulator: Simulator, origin: str) -> None:
    key = "sk_test_MadeUpByAPage1"
    calls: list[dict[str, Any]] = [
        {"headers": {"Authorization": f"Bearer {key}"}},
        {"headers": {"Authorization": f"Bearer {key.replace('sk_', 'rk_')}"}},
        {"data": {"key": key}},
        {"params": {"key": key}},
        {"auth": (key, "")},
    ]
    for call in calls:
        headers = {**call.pop("headers", {}), "Origin": origin}
        assert httpx.post(f"{simulator.url}/v1/customers", headers=headers, **call).status_code == 403
    for allowed in ("http://localhost:3000", "http://127.0.0.1:8000"):
        response = httpx.get(f"{simulator.url}/v1/customers", headers={"Origin": allowed}, auth=(key, ""))
        assert response.json()["data"] == []
    public = httpx.post(
        f"{simulator.url}/v1/payment_methods",
        headers={"Origin": origin},
        data={"key": key.replace("sk_", "pk_"), "type": "card", "card[number]": "4242424242424242", "card[cvc]": "123"}
        | {"card[exp_month]": "12", "card[exp_year]": "2040"},
    )
    default = httpx.get(f"{simulator.url}/v1/customers", headers={"Origin": origin}, auth=(simulator.secret_key, ""))
    assert (public.status_code, default.status_code) == (200, 200), public.text


# --- deliveries and threads ---


def client_of(simulator: Simulator, key: str) -> stripe.StripeClient:
    return stripe.StripeClient(key, base_addresses={"api": simulator.url})


def test_each_account_sends_its_own_webhooks_at_the_same_time(simulator: Simulator, receiver: Receiver) -> None:
    keys = [f"sk_test_SendsWebhooks{number:02}" for number in range(5)]
    secrets = {}
    for key in keys:
        endpoint: Any = {"url": receiver.url, "enabled_events": ["customer.created"]}
        secrets[key] = client_of(simulator, key).v1.webhook_endpoints.create(endpoint).secret
    for number in range(4):
        for key in keys:
            client_of(simulator, key).v1.customers.create({"name": f"{key} {number}"})
    eventually(lambda: len(receiver.deliveries) == 20)
    names: dict[str, list[str]] = {key: [] for key in keys}
    for signature, body in receiver.deliveries:
        key, number = json.loads(body)["data"]["object"]["name"].split(" ")
        assert stripe.Webhook.construct_event(body, signature, secrets[key])
        names[key].append(number)
    assert {key: sorted(numbers) for key, numbers in names.items()} == {key: ["0", "1", "2", "3"] for key in keys}


def test_the_threads_of_a_sender_end_and_start_again(
    simulator: Simulator, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = simulator.stripe.accounts.select("sk_test_StartsThreads1")

    def threads() -> int:
        return sum(thread.name == f"webhooks-{account.id}" for thread in threading.enumerate())

    monkeypatch.setattr(webhooks, "IDLE_S", 0.05)
    client = client_of(simulator, account.secret_key)
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["customer.created"]})
    for count in (1, 2):
        client.v1.customers.create({})
        eventually(lambda count=count: len(receiver.deliveries) == count)  # type: ignore[misc]
        eventually(lambda: threads() == 0)
    receiver.statuses = [500]
    client.v1.customers.create({})
    eventually(lambda: len(receiver.deliveries) == 4)  # retried after a second, although the threads have ended


def test_an_account_answers_while_another_account_is_locked(simulator: Simulator) -> None:
    busy = simulator.stripe.accounts.select("sk_test_IsBusy000001")
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with busy.lock:
            held.set()
            release.wait(timeout=60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(timeout=30)
        for key in (simulator.secret_key, "sk_test_IsFree000001", "sk_test_IsNew0000001"):
            session = client_of(simulator, key).v1.checkout.sessions.create(
                {
                    "mode": "payment",
                    "success_url": "https://x/",
                    "line_items": [
                        {
                            "quantity": 1,
                            "price_data": {"currency": "usd", "unit_amount": 500, "product_data": {"name": "Course"}},
                        }
                    ],
                }
            )
            assert session.url is not None and httpx.get(session.url, timeout=20).status_code == 200
            assert httpx.get(f"{simulator.url}/_sim/health", auth=(key, ""), timeout=20).status_code == 200
    finally:
        release.set()
        thread.join()


def test_accounts_are_made_used_listed_and_deleted_by_many_threads_at_once(simulator: Simulator) -> None:
    keys = [f"sk_test_Contended{number:04}" for number in range(4)]
    admin = (simulator.stripe.admin_key, "")

    def work(number: int) -> set[int]:
        statuses = set()
        with httpx.Client(base_url=simulator.url, timeout=60) as api:
            for turn in range(15):
                key = (keys[(number + turn) % len(keys)], "")
                statuses.add(api.post("/v1/customers", auth=key).status_code)
                statuses.add(api.post("/_sim/clock", auth=key, json={"advance_s": 5}).status_code)
                if turn % 5 == number % 5:
                    statuses.add(api.request("DELETE", "/_sim/accounts", auth=key).status_code)
                statuses.add(api.get("/_sim/accounts", auth=admin).status_code)
        return statuses

    with ThreadPoolExecutor(8) as pool:
        assert set().union(*pool.map(work, range(8))) == {200}


def test_an_account_made_again_while_it_is_deleted_sends_its_webhooks(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = start(seed=4)  # with a seed, the new account has the id of the old one
    try:
        accounts = simulator.stripe.accounts
        old, on_close = accounts.select(A), accounts.on_close

        def make_again_first(account: Account) -> None:
            assert accounts.select(A).id == account.id
            on_close(account)

        monkeypatch.setattr(accounts, "on_close", make_again_first)
        accounts.delete(old)
        assert accounts.select(A) is not old
        client = client_of(simulator, A)
        client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["customer.created"]})
        client.v1.customers.create({})
        eventually(lambda: len(receiver.deliveries) == 1)
    finally:
        simulator.stop()


def test_a_request_in_flight_ends_with_its_account(simulator: Simulator) -> None:
    key = ("sk_test_InFlight00001", "")
    fault = {"match": "POST /v1/customers", "fail": "slow", "seconds": 1.0}
    httpx.post(f"{simulator.url}/_sim/calls", auth=key, json=fault).raise_for_status()

    def send() -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(f"{simulator.url}/v1/customers", auth=key, timeout=30)

    thread = ThreadPoolExecutor(1).submit(send)
    eventually(lambda: httpx.get(f"{simulator.url}/_sim/calls", auth=key).json() == {"calls": []})
    httpx.request("DELETE", f"{simulator.url}/_sim/accounts", auth=key).raise_for_status()
    thread.result(timeout=60)
    assert httpx.get(f"{simulator.url}/v1/customers", auth=key).json()["data"] == []


# --- saved state ---


def test_all_accounts_survive_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    file = tmp_path / "state.json"
    first = start(data=file, seed=9, secret_key=DEFAULT)
    customers, admin = {}, first.admin_key
    for number, key in enumerate((DEFAULT, A, B)):
        endpoint: Any = {"url": receiver.url, "enabled_events": ["customer.created"]}
        client_of(first, key).v1.webhook_endpoints.create(endpoint)
        httpx.post(f"{first.url}/_sim/webhooks", auth=(key, ""), json={"deliver": "hold", "delay_s": number})
        customers[key] = client_of(first, key).v1.customers.create({"name": key}, {"idempotency_key": "k"}).id
        httpx.post(f"{first.url}/_sim/clock", auth=(key, ""), json={"advance_s": 1000 * number})
    httpx.post(f"{first.url}/_sim/keys", auth=(A, ""), json={"secret_key": "rk_test_added"}).raise_for_status()
    httpx.request("DELETE", f"{first.url}/_sim/keys", auth=(B, ""), json={"secret_key": B}).raise_for_status()
    rows = httpx.get(f"{first.url}/_sim/accounts", auth=(admin, "")).json()
    first.stop()
    second = start(data=file, seed=9)
    try:
        assert second.admin_key == admin
        assert httpx.get(f"{second.url}/_sim/accounts", auth=(admin, "")).json() == rows
        for number, key in enumerate((DEFAULT, A)):
            client = client_of(second, key)
            replay = client.v1.customers.create({"name": key}, {"idempotency_key": "k"})
            assert replay.id == customers[key]
            created = client.v1.customers.create({})
            assert created.id != replay.id and 1000 * number - 60 < created.created - time.time() < 1000 * number + 60
            state = httpx.get(f"{second.url}/_sim/webhooks", auth=(key, "")).json()
            assert state == {"deliver": "hold", "delay_s": float(number), "held": 2, "waiting": 0}
        assert httpx.get(f"{second.url}/v1/customers", auth=("rk_test_added", "")).json()["data"][1]["name"] == A
        assert httpx.get(f"{second.url}/v1/customers", auth=(B, "")).json()["error"]["code"] == "api_key_expired"
        assert receiver.deliveries == []
        httpx.post(f"{second.url}/_sim/webhooks/release", auth=(B, "")).raise_for_status()
        eventually(lambda: len(receiver.deliveries) == 1)
        assert json.loads(receiver.deliveries[0][1])["data"]["object"]["name"] == B
    finally:
        second.stop()


def test_pending_deliveries_of_every_account_are_sent_after_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    file = tmp_path / "state.json"
    first = start(data=file)
    endpoint: Any = {"url": receiver.url, "enabled_events": ["customer.created"]}
    receiver.statuses = [500] * 100
    client_of(first, A).v1.webhook_endpoints.create(endpoint)
    client_of(first, A).v1.customers.create({"name": "late"})
    eventually(lambda: len(receiver.deliveries) == 1)
    first.stop()
    receiver.deliveries.clear()
    receiver.statuses.clear()
    second = start(data=file)
    try:
        eventually(lambda: len(receiver.deliveries) == 1)
        assert json.loads(receiver.deliveries[0][1])["data"]["object"]["name"] == "late"
    finally:
        second.stop()


def test_an_account_that_is_made_or_deleted_is_saved_while_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_file, "SAVE_INTERVAL_S", 0.05)
    file = tmp_path / "state.json"
    simulator = start(data=file)
    try:
        httpx.get(f"{simulator.url}/v1/customers", auth=(A, "")).raise_for_status()
        eventually(lambda: A in file.read_text())
        httpx.request("DELETE", f"{simulator.url}/_sim/accounts", auth=(A, "")).raise_for_status()
        eventually(lambda: A not in file.read_text())
    finally:
        simulator.stop()


def test_a_state_file_of_one_account_is_read_as_the_default_account(tmp_path: Path) -> None:
    """The format before accounts had no version and no delivery mode."""
    file = tmp_path / "state.json"
    first = start(data=file, secret_key=DEFAULT)
    customer = client_of(first, DEFAULT).v1.customers.create({}).id
    first.stop()
    (state,) = json.loads(file.read_text())["accounts"]
    for name in ("created", "deliver", "delay_s"):
        del state[name]
    file.write_text(json.dumps(state))
    second = start(data=file)
    try:
        assert second.secret_key == DEFAULT
        assert client_of(second, DEFAULT).v1.customers.retrieve(customer).id == customer
        assert client_of(second, A).v1.customers.list().data == []
    finally:
        second.stop()


def test_a_delivery_is_saved_while_running_when_its_response_has_come(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a run after `kill -9` would send again what was delivered long ago."""
    monkeypatch.setattr(state_file, "SAVE_INTERVAL_S", 0.05)
    file, may_respond = tmp_path / "state.json", threading.Event()
    receiver.handler = lambda delivery: 200 if may_respond.wait(60) else 500
    simulator = start(data=file)

    def outcomes() -> list[str]:
        accounts = json.loads(file.read_text())["accounts"]
        return [one["outcome"] for account in accounts for one in account["deliveries"]]

    try:
        endpoint: Any = {"url": receiver.url, "enabled_events": ["customer.created"]}
        client_of(simulator, A).v1.webhook_endpoints.create(endpoint)
        client_of(simulator, A).v1.customers.create({})
        eventually(lambda: outcomes() == ["waiting"] and not simulator.stripe.accounts.is_unsaved())
        may_respond.set()
        eventually(lambda: outcomes() == ["delivered"])
    finally:
        may_respond.set()
        simulator.stop()


def test_an_account_that_was_not_saved_has_other_ids_in_the_next_run(tmp_path: Path) -> None:
    """Its webhooks may have been delivered, so an id of the next run would name another object."""
    file, ids = tmp_path / "state.json", set()
    for _ in range(3):
        simulator = start(data=file, seed=5)
        content = file.read_bytes()
        ids.add(client_of(simulator, A).v1.customers.create({}).id)
        simulator.stop()
        file.write_bytes(content)  # as after `kill -9`
    assert len(ids) == 3


DEBIT: Any = {
    "amount": 500,
    "currency": "usd",
    "confirm": True,
    "allowed_payment_method_types": ["us_bank_account"],
    "mandate_data": {"customer_acceptance": {"type": "offline"}},
}


def test_processing_debits_of_an_earlier_state_file_have_their_usual_outcome(tmp_path: Path) -> None:
    """Files from before mandates do not say how a processing debit ends."""
    file, ids = tmp_path / "state.json", {}
    first = start(data=file)
    httpx.post(f"{first.url}/_sim/webhooks", json={"deliver": "hold"}).raise_for_status()
    for name in ("success", "accountClosed", "processing"):
        params = DEBIT | {"payment_method": f"pm_usBankAccount_{name}"}
        ids[name] = client_of(first, first.secret_key).v1.payment_intents.create(params).id
    first.stop()
    state = json.loads(file.read_text())
    for charge in state["accounts"][0]["objects"]["charge"].values():
        del charge["_settles"]
    file.write_text(json.dumps(state["accounts"][0]))
    second = start(data=file)
    try:
        httpx.post(f"{second.url}/_sim/clock", json={"advance_s": 60}).raise_for_status()
        intents = client_of(second, second.secret_key).v1.payment_intents
        statuses = {name: intents.retrieve(id).status for name, id in ids.items()}
        assert statuses == {
            "success": "succeeded",
            "accountClosed": "requires_payment_method",
            "processing": "processing",
        }
        assert intents.cancel(ids["processing"]).status == "canceled"
    finally:
        second.stop()


def test_a_task_that_raises_stops_neither_other_accounts_nor_the_saving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(state_file, "SAVE_INTERVAL_S", 0.05)
    ran: list[str] = []

    def work(account: Account, name: str) -> None:
        if name == "raises":
            raise ZeroDivisionError
        ran.append(name)

    monkeypatch.setitem(TASKS, "test.work", work)
    file = tmp_path / "state.json"
    simulator = start(data=file)
    try:
        for key, name in ((A, "raises"), (A, "after it"), (B, "beside it")):
            account = simulator.stripe.accounts.select(key)
            with account.lock:
                account.schedule("test.work", name, seconds=0.05 * (1 + len(name)))
        eventually(lambda: sorted(ran) == ["after it", "beside it"])
        assert "a task of the account" in caplog.text and "ZeroDivisionError" in caplog.text
        simulator.stripe.accounts.select("sk_test_LaterLater01")
        eventually(lambda: "sk_test_LaterLater01" in file.read_text())
    finally:
        simulator.stop()


def test_the_request_in_progress_stays_so_if_a_task_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "test.work", lambda account: {}["absent"])
    account = Stripe().account
    account.request = {"id": "req_1", "idempotency_key": None}
    account.schedule("test.work", seconds=0)
    with pytest.raises(KeyError):
        account.run_due()
    assert account.request["id"] == "req_1"


def saved(tmp_path: Path) -> dict[str, Any]:
    """Return the state of a simulator with the default account and account A."""
    simulator = start(data=tmp_path / "saved.json", secret_key=DEFAULT)
    client_of(simulator, A).v1.customers.create({})
    simulator.stop()
    return dict(json.loads((tmp_path / "saved.json").read_text()))


def test_a_state_file_that_cannot_be_read_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    state = saved(tmp_path)
    default, other = state["accounts"]
    without_objects = {name: value for name, value in other.items() if name != "objects"}
    without_key = {name: value for name, value in other.items() if name != "secret_key"}
    other_task = other | {"later": [{"at": 0.0, "seq": 1, "name": "moon.rise", "arguments": []}]}
    problems = {
        "version 3": {**state, "version": 3},
        "not a state file": {**state, "accounts": []},
        "KeyError('objects')": {**state, "accounts": [default, without_objects]},
        "KeyError('secret_key')": {**state, "accounts": [default, without_key]},
        "this version has no task moon.rise": {**state, "accounts": [default, other_task]},
        "is not a state file of the simulator": {**state, "accounts": [default, "x"]},
    }
    file = tmp_path / "state.json"
    for message, content in problems.items():
        file.write_text(json.dumps(content))
        with pytest.raises(state_file.StateFileError, match=re.escape(message)):
            start(data=file)
        assert json.loads(file.read_text()) == content


def test_the_key_of_another_saved_account_cannot_become_the_default_key(tmp_path: Path) -> None:
    saved(tmp_path)
    for options in ({"secret_key": A}, {"publishable_key": A.replace("sk_", "pk_")}):
        with pytest.raises(state_file.StateFileError, match="use another --secret-key or --publishable-key") as error:
            start(data=tmp_path / "saved.json", **options)  # type: ignore[arg-type]
        assert A[8:] not in str(error.value)
    start(data=tmp_path / "saved.json", secret_key="sk_test_CCCCcccc2222").stop()
