"""An account of a running simulator, and its clock."""

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    import stripe

TIMEOUT_S = 60.0
"""How long a call to the simulator may take, besides the time that it waits for deliveries."""
DRAIN_S = 30.0
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the simulator is on this machine


class SimulatorError(Exception):
    """The simulator refused a call."""


class StripeAccount:
    """An account of the simulator at `url`, selected by its secret key; by default by a new key, so it is empty."""

    def __init__(self, url: str, secret_key: str | None = None) -> None:
        self.url = url
        self.secret_key = secret_key or f"sk_test_{secrets.token_hex(12)}"

    def __repr__(self) -> str:
        return f"<StripeAccount {self.secret_key} at {self.url}>"

    @property
    def publishable_key(self) -> str:
        """The key of the account's pages."""
        return self.secret_key.replace("sk_test_", "pk_test_", 1)

    @property
    def clock(self) -> "StripeClock":
        """The account's clock."""
        return StripeClock(self)

    def client(self, **options: Any) -> "stripe.StripeClient":
        """Return a client of Stripe's library for this account, with further options of `stripe.StripeClient`."""
        import stripe

        return stripe.StripeClient(self.secret_key, **{"base_addresses": {"api": self.url}, **options})

    def control(self, call: str, body: Mapping[str, Any] | None = None, *, timeout: float = TIMEOUT_S) -> Any:
        """Make a call of the control API on this account, such as `control("POST /_sim/clock", {"advance_s": 60})`.

        Raises SimulatorError.
        """
        return self._send(call, json.dumps(body).encode() if body is not None else b"", timeout)

    def _send(self, call: str, data: bytes, timeout: float = TIMEOUT_S) -> Any:
        method, _, path = call.partition(" ")
        headers = {"Authorization": f"Bearer {self.secret_key}"}
        request = urllib.request.Request(self.url + path, data or None, headers, method=method)
        try:
            with OPENER.open(request, timeout=timeout) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise SimulatorError(f"{call}: {json.load(error)['error']['message']}") from None

    def add_endpoint(self, url: str) -> tuple[str, str]:
        """Send all events of the account to this URL too. Return the id and the signing secret of the endpoint."""
        form = urlencode({"url": url, "enabled_events[]": "*"})
        endpoint = self._send("POST /v1/webhook_endpoints", form.encode())
        return endpoint["id"], endpoint["secret"]

    def fail(self, match: str, fail: str = "before", **fields: Any) -> None:
        """Cause a fault in the next matching calls, as `POST /_sim/calls` does."""
        self.control("POST /_sim/calls", {"match": match, "fail": fail, **fields})

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults that remain, each with its remaining `times` and `skip`."""
        calls: list[dict[str, Any]] = self.control("GET /_sim/calls")["calls"]
        return calls

    def drain(self, timeout: float = DRAIN_S) -> bool:
        """Send what a disorder delays, wait until no delivery is due or in flight, and return whether that is so."""
        body = {"timeout_s": timeout}
        return bool(self.control("POST /_sim/webhooks/drain", body, timeout=timeout + TIMEOUT_S)["drained"])

    def delete(self) -> None:
        """Delete the account with everything in it."""
        self.control("DELETE /_sim/accounts")


class StripeClock:
    """The clock of an account. It runs, and `advance` moves it forward."""

    def __init__(self, account: StripeAccount) -> None:
        self._account = account

    def now(self) -> datetime:
        """Return the time of the account, in UTC."""
        return _time(self._account.control("GET /_sim/clock"))

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> datetime:
        """Move the clock forward, do all that is due until then, and return the new time."""
        step = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        return _time(self._account.control("POST /_sim/clock", {"advance_s": step.total_seconds()}))


def _time(state: Mapping[str, Any]) -> datetime:
    return datetime.fromtimestamp(state["now"], UTC)
