"""The pytest plugin in runs of its own: each fixture and marker in tests that pass and in tests that fail."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from stripe_simulator.testing.fault_runs import FAULTS, LASTING

ROOT = Path(__file__).parents[2]
PLUGIN = "stripe_simulator.pytest_plugin"
TIMEOUT_S = 120


@pytest.fixture(autouse=True)
def _only_this_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load no other installed plugin in the runs, and not the options of this run."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def run(pytester: pytest.Pytester, test: str, *options: str) -> pytest.RunResult:
    """Run a test module in this process with the plugin."""
    pytester.makepyfile("import pytest\nimport stripe\n" + test)
    return pytester.runpytest_inprocess("-p", PLUGIN, "-p", "no:cacheprovider", *options)


def passed(pytester: pytest.Pytester, test: str, *options: str, count: int = 1) -> pytest.RunResult:
    result = run(pytester, test, *options)
    result.assert_outcomes(passed=count)
    return result


def output_of_failure(pytester: pytest.Pytester, test: str, *options: str, error: bool = False) -> str:
    """Return the output of a run whose only test fails, or whose teardown does."""
    result = run(pytester, test, *options)
    result.assert_outcomes(**({"passed": 1, "errors": 1} if error else {"failed": 1}))  # type: ignore[arg-type]
    return result.stdout.str()


# --- the account, its client and its clock ---


def test_each_test_has_an_empty_account_of_its_own(pytester: pytest.Pytester) -> None:
    passed(
        pytester,
        """
keys = set()

@pytest.mark.parametrize("n", range(3))
def test_it(stripe_account, stripe_client, n):
    assert stripe_client.v1.customers.list().data == []
    stripe_client.v1.customers.create({"name": "Ada"})
    assert stripe_account.secret_key.startswith("sk_test_") and stripe_account.secret_key not in keys
    keys.add(stripe_account.secret_key)
    assert stripe_account.client().v1.customers.list().data[0].name == "Ada"
    assert stripe_account.publishable_key == stripe_account.secret_key.replace("sk_", "pk_")
""",
        count=3,
    )


def test_the_account_of_a_finished_test_is_deleted(pytester: pytest.Pytester) -> None:
    passed(
        pytester,
        """
def test_it(stripe_client):
    stripe_client.v1.customers.create({"name": "Ada"})

def test_no_account_is_left(stripe_simulator):
    assert len(stripe_simulator.stripe.accounts.all()) == 1
""",
        count=2,
    )


def test_a_factory_makes_any_number_of_accounts(pytester: pytest.Pytester) -> None:
    passed(
        pytester,
        """
def test_it(stripe_account_factory, stripe_account):
    first, second = stripe_account_factory(), stripe_account_factory()
    first.client().v1.customers.create({"name": "Ada"})
    assert [len(one.client().v1.customers.list().data) for one in (first, second, stripe_account)] == [1, 0, 0]
""",
    )


def test_the_options_of_the_client_can_be_overridden(pytester: pytest.Pytester) -> None:
    passed(
        pytester,
        """
@pytest.fixture(scope="session")
def stripe_client_options():
    return {"max_network_retries": 1}

@pytest.mark.stripe_fault(match="POST /v1/customers")
def test_it(stripe_client):
    assert stripe_client.v1.customers.create({"name": "Ada"}).name == "Ada"  # without a retry it would raise
""",
    )


def test_the_clock_of_the_account_moves_and_runs_what_is_due(pytester: pytest.Pytester) -> None:
    passed(
        pytester,
        """
from datetime import timedelta

def test_it(stripe_client, stripe_clock, stripe_account_factory):
    other = stripe_account_factory()
    before = stripe_clock.now()
    session = stripe_client.v1.checkout.sessions.create({
        "mode": "payment", "success_url": "https://example.com",
        "line_items": [{"quantity": 1, "price_data": {
            "currency": "usd", "unit_amount": 500, "product_data": {"name": "Course"}}}],
    })
    after = stripe_clock.advance(days=1, hours=1, minutes=1, seconds=1)
    assert after - before >= timedelta(days=1, hours=1, minutes=1, seconds=1)
    assert stripe_client.v1.checkout.sessions.retrieve(session.id).status == "expired"
    assert other.clock.now() < before + timedelta(hours=1)
""",
    )


def test_a_clock_that_would_go_back_is_refused(pytester: pytest.Pytester) -> None:
    text = output_of_failure(pytester, "def test_it(stripe_clock):\n    stripe_clock.advance(seconds=-1)\n")
    assert "SimulatorError: POST /_sim/clock: advance_s must be a number from 0" in text


def test_a_failed_test_shows_its_account_and_its_requests(pytester: pytest.Pytester) -> None:
    text = output_of_failure(
        pytester,
        """
def test_it(stripe_client):
    stripe_client.v1.customers.create({"name": "Ada"})
    stripe_client.v1.customers.retrieve("cus_x")
""",
    )
    assert re.search(r"<StripeAccount sk_test_\w+ at http://127\.0\.0\.1:\d+>", text)
    assert "POST /v1/customers -> 200" in text
    assert "GET /v1/customers/cus_x -> 404 No such customer: 'cus_x'" in text
    assert "--disorder" not in text


# --- webhooks ---

PAY = """
def pay(client, card="pm_card_visa"):
    return client.v1.payment_intents.create({
        "amount": 500, "currency": "usd", "confirm": True, "payment_method": card,
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
    })
"""


def test_webhooks_are_verified_and_collected_in_order(pytester: pytest.Pytester) -> None:
    passed(
        pytester,
        PAY
        + """
def test_it(stripe_client, stripe_webhooks):
    intent = pay(stripe_client)
    event = stripe_webhooks.wait_for("payment_intent.succeeded", {"id": intent.id})
    assert event["data"]["object"]["amount_received"] == 500
    stripe_webhooks.assert_delivered("payment_intent.created", "charge.succeeded", "payment_intent.succeeded")
    stripe_client.v1.customers.create({"name": "Ada"})
    stripe_webhooks.wait_for("customer.created")
    types = stripe_webhooks.types()
    assert types.index("customer.created") > types.index("payment_intent.succeeded")
    first = stripe_webhooks.deliveries[0]
    assert stripe.Webhook.construct_event(first.body, first.signature, stripe_webhooks.secret).id == first.event["id"]
    stripe_webhooks.clear()
    assert stripe_webhooks.events == []
""",
    )


def test_a_handler_receives_each_delivery_before_the_wait_ends(pytester: pytest.Pytester) -> None:
    passed(
        pytester,
        """
def test_it(stripe_client, stripe_webhooks):
    names = []
    def handle(received):
        names.append(received.event["data"]["object"]["name"])
        return 500 if len(names) == 1 else None
    stripe_webhooks.handler = handle
    stripe_client.v1.customers.create({"name": "Ada"})
    stripe_webhooks.wait_for("customer.created")
    assert names == ["Ada"]
    stripe_webhooks.account.clock.advance(seconds=1)
    stripe_webhooks.assert_delivered("customer.created", only=True)
    assert names == ["Ada", "Ada"]
""",
    )


def test_an_exception_of_the_handler_fails_the_test(pytester: pytest.Pytester) -> None:
    text = output_of_failure(
        pytester,
        """
def test_it(stripe_client, stripe_webhooks):
    stripe_webhooks.handler = lambda received: 1 / 0
    stripe_client.v1.customers.create({"name": "Ada"})
    stripe_webhooks.account.drain()
""",
        error=True,
    )
    assert "webhooks that could not be accepted:" in text
    assert "customer.created: the handler raised ZeroDivisionError('division by zero')" in text


def test_a_missing_delivery_names_the_exception_of_the_handler(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_it(stripe_client, stripe_webhooks):
    stripe_webhooks.handler = lambda received: 1 / 0
    stripe_client.v1.customers.create({"name": "Ada"})
    stripe_webhooks.account.drain()
    stripe_webhooks.assert_delivered("customer.created")
""",
    )
    result.assert_outcomes(failed=1, errors=1)
    _, _, failure = result.stdout.str().partition("= FAILURES =")
    assert "the handler raised ZeroDivisionError('division by zero')" in failure and "responded 500" in failure


def test_a_webhook_with_an_invalid_signature_is_refused_and_fails_the_test(pytester: pytest.Pytester) -> None:
    text = output_of_failure(
        pytester,
        """
def test_it(stripe_client, stripe_webhooks):
    stripe_webhooks.secret = "whsec_other"
    stripe_client.v1.customers.create({"name": "Ada"})
    stripe_webhooks.account.drain()
    assert stripe_webhooks.events == []
    deliveries = stripe_webhooks.account.control("GET /_sim/deliveries")["deliveries"]
    assert [one["status"] for one in deliveries[0]["tries"]] == [400]
""",
        error=True,
    )
    assert "is of the secret whsec_other" in text


def test_a_wait_ends_at_its_timeout_and_says_what_came_instead(pytester: pytest.Pytester) -> None:
    text = output_of_failure(
        pytester,
        """
def test_it(stripe_client, stripe_webhooks):
    stripe_client.v1.customers.create({"name": "Ada"})
    stripe_webhooks.wait_for("customer.created", {"name": "Bea"}, timeout=0.1)
""",
    )
    assert 'AssertionError: customer.created with {"name": "Bea"} was not delivered within 0.1 s' in text
    assert re.search(r'came instead:\nE +customer\.created  \(evt_\w+\): name is "Ada", not "Bea"', text)


def test_a_wait_ends_as_soon_as_a_webhook_is_refused(pytester: pytest.Pytester) -> None:
    text = output_of_failure(
        pytester,
        """
@pytest.fixture
def accept_all(stripe_webhooks):
    yield
    stripe_webhooks.problems.clear()

def test_it(stripe_client, stripe_webhooks, accept_all):
    stripe_webhooks.secret = "whsec_other"
    stripe_client.v1.customers.create({"name": "Ada"})
    stripe_webhooks.wait_for("customer.created", timeout=100_000)
""",
    )
    assert "is of the secret whsec_other" in text


def test_a_wait_receives_an_event_that_is_created_later(pytester: pytest.Pytester) -> None:
    passed(
        pytester,
        """
import threading

def test_it(stripe_client, stripe_webhooks, stripe_account):
    started = threading.Event()
    def create():
        started.wait()
        stripe_client.v1.customers.create({"name": "Ada"})
    thread = threading.Thread(target=create)
    thread.start()
    drain = stripe_account.drain
    stripe_account.drain = lambda timeout: drain(timeout) and started.set()  # nothing to deliver yet
    assert stripe_webhooks.wait_for("customer.created", timeout=60)["data"]["object"]["name"] == "Ada"
    thread.join()
""",
    )


# --- assert_delivered ---


def test_events_are_expected_in_any_order_and_each_once(pytester: pytest.Pytester) -> None:
    passed(
        pytester,
        """
from unittest import mock

def test_it(stripe_client, stripe_webhooks):
    stripe_webhooks.account.control("POST /_sim/webhooks", {"deliver": "duplicate"})
    for name in ("Ada", "Bea"):
        stripe_client.v1.customers.create({"name": name, "metadata": {"a": "1", "b": "2"}})
    first, second = stripe_webhooks.assert_delivered(
        "customer.created", ("customer.created", {"name": "Ada", "metadata": {"b": "2"}}), only=True
    )
    assert [one["data"]["object"]["name"] for one in (first, second)] == ["Bea", "Ada"]
    stripe_webhooks.assert_delivered(("customer.created", {"id": mock.ANY}))
    with pytest.raises(AssertionError, match="1 of 3 events were not delivered"):
        stripe_webhooks.assert_delivered(*["customer.created"] * 3)
    with pytest.raises(TypeError, match="neither an event type nor a tuple"):
        stripe_webhooks.assert_delivered({"type": "customer.created"})
""",
    )


def test_a_missing_event_shows_what_came_what_is_pending_and_what_failed(pytester: pytest.Pytester) -> None:
    text = output_of_failure(
        pytester,
        PAY
        + """
def test_it(stripe_client, stripe_webhooks, stripe_account):
    customer = stripe_client.v1.customers.create({"name": "Ada"})
    stripe_account.drain()
    stripe_webhooks.statuses = [503]
    stripe_client.v1.customers.update(customer.id, {"name": "Bea"})
    stripe_account.drain()
    stripe_account.control("POST /_sim/webhooks", {"deliver": "hold"})
    stripe_client.v1.customers.delete(customer.id)
    stripe_account.control("POST /_sim/webhooks", {"deliver": "drop"})
    stripe_client.v1.products.create({"name": "Course"})
    stripe_webhooks.assert_delivered(
        ("customer.created", {"name": "Cyd", "metadata": {"a": "1"}}),
        "customer.updated", "customer.deleted", "product.created", "charge.succeeded",
    )
""",
    )
    lines = [line.removeprefix("E").strip() for line in text.splitlines() if line.startswith("E ")]
    lines = [re.sub(r"evt_\w+", "evt", re.sub(r"http://\S+: ", "URL: ", line)) for line in lines]
    lines = [re.sub(r"\d\.\d s", "N s", line) for line in lines]
    assert lines == [
        "AssertionError: 5 of 5 events were not delivered",
        'missing    customer.created with {"name": "Cyd", "metadata": {"a": "1"}}',
        "missing    customer.updated",
        "missing    customer.deleted",
        "missing    product.created",
        "missing    charge.succeeded  (no such event was created)",
        "came instead:",
        'customer.created  (evt): name is "Ada", not "Cyd"; metadata.a is absent, not "1"',
        "pending:",
        "customer.deleted  (evt) to URL: held until POST /_sim/webhooks/release",
        "product.created  (evt) to URL: dropped, as POST /_sim/webhooks demands",
        "failed:",
        "customer.updated  (evt) to URL: responded 503; the next try is due in N s of the clock",
    ]


def test_only_refuses_other_events(pytester: pytest.Pytester) -> None:
    text = output_of_failure(
        pytester,
        """
def test_it(stripe_client, stripe_webhooks):
    stripe_webhooks.assert_delivered(only=True)
    stripe_client.v1.customers.create({"name": "Ada"})
    stripe_client.v1.products.create({"name": "Course"})
    stripe_webhooks.assert_delivered("customer.created", only=True)
""",
    )
    assert re.search(r"AssertionError: other events were delivered\nE +delivered  customer\.created", text)
    assert re.search(r"came instead:\nE +product\.created  \(evt_\w+\)\nE +pending: none", text)


def test_a_delivery_in_flight_and_one_that_is_delayed_are_pending(pytester: pytest.Pytester) -> None:
    text = output_of_failure(
        pytester,
        """
import threading

def test_it(stripe_client, stripe_webhooks, stripe_account):
    ended = threading.Event()
    stripe_webhooks.handler = lambda received: ended.wait() and None
    stripe_client.v1.customers.create({"name": "Ada"})
    stripe_account.control("POST /_sim/webhooks", {"delay_s": 900})
    stripe_client.v1.products.create({"name": "Course"})
    try:
        stripe_webhooks.assert_delivered("customer.created", timeout=0.1)
    finally:
        ended.set()
""",
    )
    assert "1 of 1 events were not delivered, and deliveries were still in flight after 0.1 s" in text
    assert re.search(r"customer\.created  \(evt_\w+\) to http\S+: in flight", text)
    assert re.search(r"product\.created  \(evt_\w+\) to http\S+: due in \d+\.\d s of the clock", text)


def test_the_deliveries_to_the_endpoint_of_an_application_can_be_asserted_too(pytester: pytest.Pytester) -> None:
    passed(
        pytester,
        """
from stripe_simulator.testing.deliveries import assert_delivered

def test_it(stripe_client, stripe_account, stripe_webhook_server):
    application = stripe_webhook_server.receiver()
    application.handler = lambda received: 404
    id, application.secret = stripe_account.add_endpoint(application.url)
    stripe_client.v1.customers.create({"name": "Ada"})
    with pytest.raises(AssertionError, match="responded 404"):
        assert_delivered(stripe_account, "customer.created")
    application.handler = None
    stripe_account.clock.advance(seconds=1)
    assert_delivered(stripe_account, "customer.created", endpoint=id)
    with pytest.raises(AssertionError, match="was created, but this endpoint does not receive it"):
        assert_delivered(stripe_account, "customer.created", endpoint="we_other")
""",
    )


# --- the marker ---


def test_faults_meet_the_calls_of_the_test_but_not_of_its_fixtures(pytester: pytest.Pytester) -> None:
    passed(
        pytester,
        """
@pytest.fixture
def customer(stripe_client):
    return stripe_client.v1.customers.create({"name": "Ada"})

@pytest.mark.stripe_fault(match="POST /v1/customers", fail="rate_limit", times=2, skip=1)
@pytest.mark.stripe_fault("GET /v1/customers/*", fail="rate_limit")
def test_it(stripe_client, customer):
    stripe_client.v1.customers.create({"name": "Bea"})
    for _ in range(2):
        with pytest.raises(stripe.RateLimitError):
            stripe_client.v1.customers.create({"name": "Bea"})
    stripe_client.v1.customers.create({"name": "Bea"})
    with pytest.raises(stripe.RateLimitError):
        stripe_client.v1.customers.retrieve(customer.id)
""",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "needs match, such as 'POST /v1/payment_intents'"),
        ("'POST /v1/customers', 'before'", "takes only match without a name, not ('POST /v1/customers', 'before')"),
        ("match='POST /v1/customers', count=1", "has no count: it takes match, fail, times, skip, seconds"),
        ("match='customers'", "match must be a method and a path, such as"),
        ("match='POST /v1/customers', fail='explode'", "fail must be one of before, after, hang,"),
        ("match='POST /v1/customers', times=0", "times must be a whole number from 1"),
        ("match='POST /v1/customers', seconds=1", "seconds is only for fail 'slow'"),
    ],
    ids=["no match", "two without names", "unknown name", "no method", "unknown fault", "no times", "seconds"],
)
def test_wrong_arguments_of_the_marker_fail_the_test(pytester: pytest.Pytester, arguments: str, message: str) -> None:
    text = output_of_failure(
        pytester,
        f"""
@pytest.mark.stripe_fault({arguments})
def test_it(stripe_client):
    raise SystemError("the test must not run")
""",
    )
    assert message in text
    assert "must not run" not in text.replace('raise SystemError("the test must not run")', "")


def test_a_marker_without_an_account_fails_the_test(pytester: pytest.Pytester) -> None:
    text = output_of_failure(pytester, "@pytest.mark.stripe_fault('*')\ndef test_it():\n    pass\n")
    assert "@pytest.mark.stripe_fault needs a fixture of the account, such as stripe_client" in text


def test_a_fault_that_no_call_meets_fails_the_test(pytester: pytest.Pytester) -> None:
    text = output_of_failure(
        pytester,
        """
@pytest.mark.stripe_fault(match="POST /v1/customers", skip=1)
def test_it(stripe_client):
    stripe_client.v1.customers.create({"name": "Ada"})
""",
    )
    assert "no call met the fault of @pytest.mark.stripe_fault: [{'match': 'POST /v1/customers'" in text


def test_faults_meet_the_calls_of_a_unittest_method_too(pytester: pytest.Pytester) -> None:
    """A marker that is ignored would let the test pass without the fault."""
    result = run(
        pytester,
        """
import unittest
import pytest, stripe

class TestIt(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def client(self, stripe_client):
        self.customers = stripe_client.v1.customers

    @pytest.mark.stripe_fault("POST /v1/customers")
    def test_it(self):
        with self.assertRaises(stripe.APIConnectionError):
            self.customers.create({})

    @pytest.mark.stripe_fault("POST /v1/refunds")
    def test_without_a_call(self):
        self.customers.create({})
""",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*no call met the fault of @pytest.mark.stripe_fault: *POST /v1/refunds*"])


def test_the_marker_is_registered(pytester: pytest.Pytester) -> None:
    text = pytester.runpytest_inprocess("-p", PLUGIN, "--markers").stdout.str()
    assert "@pytest.mark.stripe_fault(match, fail='before', times=1, skip=0, seconds=None)" in text


# --- a run for each call and each fault ---

FLOW = """
def flow(run):
    customer = run.client.v1.customers.create({"name": "Ada"}, {"idempotency_key": "one"})
    return run.client.v1.payment_intents.create(
        {"amount": 500, "currency": "usd", "customer": customer.id}, {"idempotency_key": "two"}
    )
"""


def test_a_callable_runs_once_for_each_call_and_each_fault(pytester: pytest.Pytester) -> None:
    passed(
        pytester,
        FLOW
        + f"""
def test_it(stripe_each_fault):
    runs = []
    def check(run):
        runs.append(run)
        assert (run.point is None) == (run.error is None)
        assert run.prepared.name == "Course"
        assert len(run.client.v1.customers.list().data) <= 1
        run.account.faults() == []
    points = stripe_each_fault(
        flow, check, prepare=lambda run: run.client.v1.products.create({{"name": "Course"}})
    )
    assert [run.point for run in runs] == [None, *points]
    assert len(points) == 2 * ({len(FAULTS)} + {len(LASTING)})
    customers = {{str(run.point): len(run.client.v1.customers.list().data) for run in runs}}
    assert customers["call 0 before"] == customers["call 0 error"] == customers["call 0 rate_limit"] == 0
    assert customers["call 0 after"] == customers["call 1 before"] == customers["call 1 before from then on"] == 1
    assert len({{run.account.secret_key for run in runs}}) == len(runs)
""",
    )


def test_the_failure_of_a_run_names_the_fault_and_its_call(pytester: pytest.Pytester) -> None:
    text = output_of_failure(
        pytester,
        FLOW
        + """
def test_it(stripe_each_fault):
    def check(run):
        if run.error:
            flow(run)  # retries
        assert len(run.client.v1.payment_intents.list().data) == 1
    stripe_each_fault(flow, check, faults=("error",), lasting=())
""",
    )
    assert "with the fault: call 0 error (POST /v1/customers)" in text
    assert "the calls that reached Stripe in this run:" in text and "POST /v1/customers -> 500 (fault: error)" in text


def test_a_failure_of_pytest_in_a_run_names_the_fault_too(pytester: pytest.Pytester) -> None:
    text = output_of_failure(
        pytester,
        """
def test_it(stripe_each_fault):
    def check(run):
        if run.point:
            with pytest.raises(ValueError):
                pass
    stripe_each_fault(lambda run: run.client.v1.customers.create({}), check)
""",
    )
    assert "DID NOT RAISE" in text and "with the fault: call 0 before (POST /v1/customers)" in text


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        ("lambda run: None", "the flow makes no call to the simulator"),
        ("lambda run: run.client.v1.customers.retrieve('cus_x')", "No such customer: 'cus_x'"),
        (
            "lambda run: run.point or run.client.v1.customers.create({})",
            "the call was never made: the flow makes other calls than in its first run",
        ),
    ],
    ids=["no call", "first run", "other calls"],
)
def test_a_flow_without_a_first_run_or_with_other_calls_later_fails(
    pytester: pytest.Pytester, flow: str, message: str
) -> None:
    test = f"def test_it(stripe_each_fault):\n    stripe_each_fault({flow}, lambda run: None)\n"
    assert message in output_of_failure(pytester, test)


def test_an_assertion_of_the_flow_is_a_failure_of_the_test(pytester: pytest.Pytester) -> None:
    text = output_of_failure(
        pytester,
        """
def test_it(stripe_each_fault):
    def flow(run):
        try:
            run.client.v1.customers.create({})
        except stripe.APIConnectionError:
            raise AssertionError("the flow has noticed")
    stripe_each_fault(flow, lambda run: None)
""",
    )
    assert "the flow has noticed" in text and "with the fault: call 0 before (POST /v1/customers)" in text


# --- disorder ---

ORDER = """
def test_it(stripe_client, stripe_webhooks):
    for n in range(20):
        stripe_client.v1.customers.create({"name": str(n)})
    stripe_webhooks.account.drain()
    print("order:", *(event["data"]["object"]["name"] for event in stripe_webhooks.events))
"""


def order_of(pytester: pytest.Pytester, *options: str) -> list[str]:
    text = passed(pytester, ORDER, "-s", *options).stdout.str()
    return text.partition("order: ")[2].splitlines()[0].split()


def test_webhooks_come_in_the_disorder_of_the_seed(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stripe_simulator.disorder.QUIET_S", 1000.0)  # however slow this machine is
    first = order_of(pytester, "--disorder", "7")
    assert order_of(pytester, "--disorder", "7") == first
    assert order_of(pytester, "--disorder", "8") != first
    assert set(first) == {str(n) for n in range(20)} and len(first) > 20
    assert sorted(order_of(pytester), key=int) == [str(n) for n in range(20)], "each once without the option"


def test_a_wait_and_an_assertion_do_not_wait_for_a_late_delivery(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stripe_simulator.disorder.QUIET_S", 100_000.0)
    passed(
        pytester,
        """
@pytest.mark.parametrize("n", range(10))
def test_it(stripe_client, stripe_webhooks, n):
    for name in range(n):
        stripe_client.v1.customers.create({"name": str(name)})
    stripe_webhooks.assert_delivered(*["customer.created"] * n, only=True)
    stripe_client.v1.customers.create({"name": "last"})
    stripe_webhooks.wait_for("customer.created", {"name": "last"})
""",
        "--disorder",
        "7",
        count=10,
    )


def test_the_seed_is_in_the_header_and_in_the_output_of_a_failure(pytester: pytest.Pytester) -> None:
    text = output_of_failure(pytester, "def test_it(stripe_client):\n    assert False\n", "--disorder", "7")
    assert "stripe simulator: --disorder 7\n" in text
    assert "--disorder 7 repeats this order of the deliveries" in text


def test_a_random_seed_is_drawn_and_shown(pytester: pytest.Pytester) -> None:
    text = output_of_failure(pytester, "def test_it(stripe_client):\n    assert False\n", "--disorder", "random")
    seeds = re.findall(r"--disorder (\d+)", text)
    assert len(seeds) == 2 and len(set(seeds)) == 1


def test_a_seed_that_is_no_number_is_refused(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_it(): pass\n", "--disorder", "x")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--disorder" in result.stderr.str() and "'x'" in result.stderr.str()


# --- how it is loaded ---

ONE_TEST = "def test_it(stripe_account):\n    assert stripe_account.clock.now()\n"


def section(heading: str) -> list[tuple[str, str]]:
    """Return the fenced blocks of a section of the simulator's README: the language and the text of each."""
    text = (ROOT / "stripe_simulator" / "README.md").read_text(encoding="utf-8")
    part = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^```(\w+)\n(.*?)^```", part, re.MULTILINE | re.DOTALL)


def test_the_examples_of_the_manual_pass_in_order_and_in_disorder(pytester: pytest.Pytester) -> None:
    conftest, tests = [block for language, block in section("Use it in tests") if language == "python"]
    pytester.makeconftest(conftest)
    pytester.makepyfile(tests)
    for options in ([], ["--disorder", "random"]):
        result = pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)
        result.assert_outcomes(passed=tests.count("def test_"))


def test_the_plugin_is_loaded_by_its_name_in_the_top_conftest(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(f"pytest_plugins = ['{PLUGIN}']\n")
    pytester.makepyfile(ONE_TEST)
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


@pytest.mark.parametrize("also_by_name", [False, True], ids=["entry point", "entry point and name"])
def test_the_plugin_is_loaded_by_an_entry_point(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, also_by_name: bool
) -> None:
    """Of a made-up package with the entry point of the real one. Other installed plugins load too, as they would."""
    project = tomllib.loads((ROOT / "stripe_simulator" / "pyproject.toml").read_text())["project"]
    ((name, value),) = project["entry-points"]["pytest11"].items()
    site = pytester.mkdir("site")
    metadata = site / "made_up-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(f"[pytest11]\n{name} = {value}\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    if also_by_name:
        pytester.makeconftest(f"pytest_plugins = ['{PLUGIN}']\n")
    pytester.makepyfile(ONE_TEST)
    pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:schemathesis").assert_outcomes(passed=1)


def test_two_workers_have_a_simulator_each_and_one_seed(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile(
        """
import os
import pytest

@pytest.mark.parametrize("n", range(4))
def test_it(stripe_client, stripe_webhooks, n):
    stripe_client.v1.customers.create({"name": str(n)})
    stripe_webhooks.assert_delivered(("customer.created", {"name": str(n)}), only=True)

@pytest.mark.parametrize("n", range(2))
def test_it_fails(stripe_account, n):
    assert False, os.environ["PYTEST_XDIST_WORKER"]
"""
    )
    options = ["-p", "no:cacheprovider", "-p", "xdist", "-p", PLUGIN, "-n", "2", "--dist", "each"]
    command = [sys.executable, "-m", "pytest", *options, "--disorder", "random", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert "4 failed, 8 passed" in result.stdout, result.stdout + result.stderr
    assert set(re.findall(r"AssertionError: (gw\d)", result.stdout)) == {"gw0", "gw1"}
    assert len(set(re.findall(r"--disorder (\d+)", result.stdout))) == 1
    assert len(set(re.findall(r"at (http://127\.0\.0\.1:\d+)>", result.stdout))) == 2


def test_the_library_and_the_simulator_do_not_import_pytest_or_stripe() -> None:
    code = (
        "import sys, stripe_simulator.server, stripe_simulator.testing.fault_runs, stripe_simulator.testing.receiver;"
        "print([name for name in ('pytest', '_pytest', 'stripe') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    assert result.stdout == "[]\n"
