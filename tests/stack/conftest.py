"""The whole stack as `make run` starts it, started once for all tests of this folder that run on a worker."""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.stack import Settings, Stack
from tests import openapi_answers
from tests.acceptance import ACCEPTANCE
from tests.recorded_calls import CallLog, call_log
from tests.stack import left_behind
from tests.stripe_requests import request_log

WAIT_S = 60.0
POLL_S = 0.2
"""Between two looks at a condition. Most of them are requests, which take the time of what is waited for."""
RECORDER = Path(__file__).parent / "ministack_recorder.py"
EARLY = (
    *("test_random_purchases.py", "test_privacy.py", "test_roles.py", "test_events.py", "test_emails.py"),
    *("test_erasure.py", "test_search.py", "test_analytics.py", "test_archive.py", "test_digests.py"),
    *("test_rare_calls.py", "test_stories.py", "test_checkout.py"),
)
"""Files whose tests read, replay, sync, audit, recount or compare all payments of the stack: run while there are few.
Those that cost most per payment come first."""
LATE = ("test_rotation.py", "test_schemathesis.py")
"""Files whose tests make many payments."""
_student_numbers = itertools.count(1)


class Running:
    """A running stack, and the HTTP requests that students, staff and Stripe send to it."""

    def __init__(self, stack: Stack, ready: dict[str, Any], calls: Path) -> None:
        self.stack = stack
        self.calls = calls
        self.ready = ready
        self.http = httpx.Client(timeout=WAIT_S, limits=httpx.Limits(max_connections=40))
        self.checked_rows: dict[str, Any] = {}
        self.checked: tuple[list[Any], int] | None = None
        self._tokens: dict[str, tuple[dict[str, Any], str]] = {}

    def token(self, sub: str, **more: Any) -> str:
        """Sign a person in, and return a token, which lasts a day. The same person as last time keeps the token."""
        body = {"sub": sub, "email": f"{sub}@example.org", "email_verified": True, **more}
        signed_in, token = self._tokens.get(sub, ({}, ""))
        if signed_in != body:
            answer = self.http.post(f"{self.ready['api']}/_local/token", json=body).raise_for_status()
            token = str(answer.json()["token"])
            self._tokens[sub] = body, token
        return token

    def api(self, method: str, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **more.pop("headers", {})}
        response = self.http.request(method, f"{self.ready['api']}{path}", headers=headers, **more)
        openapi_answers.check_http(method, response.url.path, response.status_code, response.headers, response.content)
        return response

    def create(self, token: str, track: str = "DP") -> httpx.Response:
        return self.api("POST", "/api/payments/create-payment", token, json={"track": track})

    def stripe(self, method: str, path: str, **data: Any) -> Any:
        key = (self.ready["stripe_secret_key"], "")
        return self.http.request(method, f"{self.ready['stripe']}{path}", auth=key, data=data or None).json()

    def sim(self, path: str, **body: Any) -> Any:
        return self.http.post(f"{self.ready['stripe']}/_sim/{path}", json=body).raise_for_status().json()

    def pay(self, intent_id: str, method: str = "pm_card_visa") -> Any:
        params = {"payment_method": method, **ACCEPTANCE}
        return self.stripe("POST", f"/v1/payment_intents/{intent_id}/confirm", **params)

    def payment(self, token: str, reference: str) -> Any:
        return self.api("GET", f"/api/payments/status/{reference}", token).json()

    def enrollment(self, token: str, track: str = "DP") -> Any:
        enrollments = self.api("GET", "/api/enrollments", token).json()["enrollments"]
        return next((e for e in enrollments if e["track"] == track), None)

    def staff(self, path: str, **query: str) -> Any:
        return self.api("GET", f"/api/admin{path}", self.ready["admin_token"], params=query).json()

    def client(self, service: str) -> Any:
        assert self.stack.aws is not None
        return self.stack.aws.client(service)

    def resource(self, logical_id: str) -> str:
        """Return the physical name, URL or ARN of a resource of the stack."""
        assert self.stack.deployed is not None
        return self.stack.deployed.resources[logical_id]

    def messages(self, queue: str) -> int:
        """Return how many messages a queue has, those in flight too."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.client("sqs").get_queue_attributes(QueueUrl=self.resource(queue), AttributeNames=names)
        return sum(int(number) for number in attributes["Attributes"].values())

    def recorded_calls(self) -> CallLog:
        """Return the calls that functions have made so far."""
        assert self.stack.deployed is not None
        log = CallLog()
        log.add(self.calls.read_text().splitlines(), self.stack.deployed.resources)
        return log

    def log_lines(self, term: str = "", group: str = "") -> Iterator[str]:
        """Yield the log lines with a term, from the log groups whose name contains a text."""
        return left_behind.log_lines(self.stack, term, group)

    def refused_calls(self, function: str) -> int:
        """Return how many different calls of a function its role has refused so far."""
        return sum(name == function for name, _, _ in self.recorded_calls().refused)

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until the condition returns a true value, and return that value."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(POLL_S)
        raise AssertionError(f"not after {WAIT_S} s: {what}")

    def until_delivered(self) -> None:
        """Wait until the stack has answered every event that Stripe does not hold back.

        An event that is being sent is no longer in the simulator's queue, but its delivery has no outcome yet.
        """

        def is_quiet() -> bool:
            if self._simulator("webhooks")["waiting"]:
                return False
            deliveries = self._simulator("deliveries", limit="100000")["deliveries"]
            return not any(delivery["outcome"] == "waiting" for delivery in deliveries)

        self.until(is_quiet, "every event is delivered")

    def _simulator(self, path: str, **query: str) -> Any:
        return self.http.get(f"{self.ready['stripe']}/_sim/{path}", params=query).raise_for_status().json()

    def until_enrolled(self, token: str, track: str = "DP") -> Any:
        def active_enrollment() -> Any:
            enrollment = self.enrollment(token, track)
            return enrollment if enrollment and enrollment["status"] == "ENROLLED" else None

        return self.until(active_enrollment, f"enrolled in {track}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files of this folder, because the time of `EARLY` grows with the payments of the tests before them.

    No test needs this order.
    """
    positions = [position for position, item in enumerate(items) if item.path.parent == RECORDER.parent]
    ordered = sorted((items[position] for position in positions), key=lambda item: _place(item.path.name))
    for position, item in zip(positions, ordered, strict=True):
        items[position] = item


def _place(file: str) -> tuple[int, int]:
    if file in EARLY:
        return 0, EARLY.index(file)
    return (2, LATE.index(file)) if file in LATE else (1, 0)


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    messages: list[str] = []
    calls = tmp_path_factory.mktemp("aws") / "calls"
    stack = Stack(Settings(aws_program=(str(RECORDER), str(calls))), messages.append)
    try:
        ready = stack.start()
        assert ready is not None, messages
        running_stack = Running(stack, ready, calls)
        yield running_stack
        log = (
            running_stack.http.get(f"{ready['stripe']}/_sim/requests", params={"limit": "10000"})
            .raise_for_status()
            .json()
        )
        request_log.add_simulator_log("stack", log["requests"])
        call_log.merge(running_stack.recorded_calls().report())
        assert left_behind.problems(stack) == []
    finally:
        stack.stop()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Deliver webhooks after a test that may have stopped them: all tests share one simulator.

    This is a hook because it comes before the teardown of every fixture, and some of them check the tables.
    """
    running: Running | None = getattr(item, "funcargs", {}).get("running")
    if running:
        running.sim("webhooks", deliver="normal", delay_s=0)


@pytest.fixture
def sub() -> str:
    return f"student-{next(_student_numbers)}"


@pytest.fixture
def token(running: Running, sub: str) -> str:
    return running.token(sub)
