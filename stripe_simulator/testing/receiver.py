"""A receiver of webhooks on loopback, which verifies each signature and keeps the deliveries in order.

https://docs.stripe.com/webhooks#verify-manually
"""

import hmac
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from stripe_simulator.testing.account import DRAIN_S, StripeAccount
from stripe_simulator.testing.deliveries import Expected, assert_delivered, expectation, report
from stripe_simulator.webhooks import signature

Event = dict[str, Any]
LOG = logging.getLogger("stripe_simulator")
WAIT_S = 10.0
"""How long `wait_for` waits."""
TOLERANCE_S = 300
"""How old a signature may be, as in Stripe's libraries."""
POLL_S = 0.02
"""How long `stop` waits at most for the server's loop."""


class ReceivedWebhook(NamedTuple):
    """A delivery as the handler of an application would receive it: the header `Stripe-Signature`, and the body."""

    signature: str
    body: bytes

    @property
    def event(self) -> Event:
        """The event."""
        event: Event = json.loads(self.body)
        return event


Handler = Callable[[ReceivedWebhook], int | None]


class WebhookReceiver:
    """A webhook endpoint of one account. Get one from `WebhookServer.receiver`."""

    def __init__(self, url: str, secret: str | None) -> None:
        self.url = url
        self.secret = secret
        """The signing secret that each delivery must have been signed with. None accepts any signature."""
        self.account: StripeAccount | None = None
        self.endpoint_id: str | None = None
        self.statuses: list[int] = []
        """The statuses of the next responses; after them the responses are 200."""
        self.handler: Handler | None = None
        """Handles each delivery and may return the status of the response. An exception fails the test."""
        self.problems: list[str] = []
        """The deliveries that were refused, and the exceptions of `handler`."""
        self._deliveries: list[ReceivedWebhook] = []
        self._changed = threading.Condition()

    def connect(self, account: StripeAccount) -> "WebhookReceiver":
        """Receive the events of an account."""
        self.account = account
        self.endpoint_id, self.secret = account.add_endpoint(self.url)
        return self

    @property
    def deliveries(self) -> list[ReceivedWebhook]:
        """The deliveries in the order of their arrival, those with a response of an error included."""
        with self._changed:
            return list(self._deliveries)

    @property
    def events(self) -> list[Event]:
        """The events of the deliveries. An event that was delivered twice is here twice."""
        return [delivery.event for delivery in self.deliveries]

    def types(self) -> list[str]:
        """Return the types of the events."""
        return [event["type"] for event in self.events]

    def clear(self) -> None:
        """Forget the deliveries so far."""
        with self._changed:
            self._deliveries.clear()

    def wait_for(self, type: str, fields: Mapping[str, Any] | None = None, *, timeout: float = WAIT_S) -> Event:
        """Wait until an event of a type has arrived whose object has these fields, and return it.

        Raises AssertionError at the timeout, or as soon as a delivery was refused.
        """
        __tracebackhide__ = True
        expected = expectation((type, fields or {}))
        end = time.monotonic() + timeout
        if self.account is not None:
            self.account.drain(min(timeout, DRAIN_S))

        def event() -> Event | None:
            return next((event for event in (one.event for one in self._deliveries) if expected.accepts(event)), None)

        with self._changed:
            self._changed.wait_for(lambda: self.problems or event(), max(0.0, end - time.monotonic()))
            received = event()
        self.check()
        if received is None:
            message = f"{expected} was not delivered within {timeout:g} s"
            raise AssertionError(f"{message}\n{self._report(expected)}")
        return received

    def assert_delivered(self, *expected: Expected, only: bool = False, timeout: float = DRAIN_S) -> list[Event]:
        """Assert that these events were delivered here, in any order. See `deliveries.assert_delivered`."""
        __tracebackhide__ = True
        assert self.account is not None, "connect() the receiver to an account first"
        try:
            events = assert_delivered(self.account, *expected, only=only, endpoint=self.endpoint_id, timeout=timeout)
        except AssertionError as error:
            if self.problems:  # an exception of the handler says more than its 500
                raise AssertionError(f"{error}\n{self._problems()}") from None
            raise
        self.check()
        return events

    def check(self) -> None:
        """Raise AssertionError if a delivery was refused or the handler raised an exception."""
        __tracebackhide__ = True
        if self.problems:
            raise AssertionError(self._problems())

    def _problems(self) -> str:
        return "webhooks that could not be accepted:\n  " + "\n  ".join(self.problems)

    def _report(self, expected: Any) -> str:
        if self.account is not None:
            return report(self.account, [expected], self.endpoint_id)
        return "delivered: " + (", ".join(self.types()) or "nothing")

    def receive(self, received: ReceivedWebhook) -> int:
        """Verify and keep a delivery, and return the status of the response."""
        problem = self.secret and signature_problem(self.secret, received.body, received.signature)
        if problem:
            with self._changed:
                self.problems.append(problem)
                self._changed.notify_all()
            return 400
        status = self._handle(received)
        with self._changed:
            self._deliveries.append(received)
            self._changed.notify_all()
            return self.statuses.pop(0) if self.statuses else status

    def _handle(self, received: ReceivedWebhook) -> int:
        try:
            return (self.handler and self.handler(received)) or 200
        except Exception as error:
            LOG.exception("the handler of the webhooks")
            self.problems.append(f"{received.event['type']}: the handler raised {error!r}")
            return 500


def signature_problem(secret: str, body: bytes, header: str) -> str | None:
    """Return why the header `Stripe-Signature` does not sign this body with the secret now, or None."""
    fields = [part.partition("=") for part in header.split(",")]
    times = [value for name, _, value in fields if name == "t" and value.isdecimal()]
    if not times:
        return f"the header Stripe-Signature has no time: {header[:100]!r}"
    expected = signature(secret, body, int(times[0])).partition("v1=")[2]
    if not any(name == "v1" and hmac.compare_digest(value, expected) for name, _, value in fields):
        return f"no signature in {header[:100]!r} is of the secret {secret}"
    age = time.time() - int(times[0])
    return f"the signature is {age:.0f} s old" if abs(age) > TOLERANCE_S else None


class _Server(ThreadingHTTPServer):
    request_queue_size = 128


class WebhookServer:
    """An HTTP server on a free port of 127.0.0.1, with a path for each receiver."""

    def __init__(self) -> None:
        self._receivers: dict[str, WebhookReceiver] = {}
        receivers = self._receivers

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver = receivers.get(self.path.partition("?")[0])
                received = ReceivedWebhook(self.headers.get("Stripe-Signature", ""), body)
                self.send_response(410 if receiver is None else receiver.receive(received))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Log nothing, to keep the output of the tests clean."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_S,), daemon=True)
        self._thread.start()

    def receiver(self, secret: str | None = None) -> WebhookReceiver:
        """Return a receiver with a URL of its own. To verify signatures, pass a secret or `connect` it."""
        path = f"/{secrets.token_hex(8)}"
        self._receivers[path] = WebhookReceiver(self.url + path, secret)
        return self._receivers[path]

    def remove(self, receiver: WebhookReceiver) -> None:
        """Respond 410 to the late deliveries of a test that has ended."""
        self._receivers.pop(receiver.url.removeprefix(self.url), None)

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)
