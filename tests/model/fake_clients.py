"""In-process stand-ins for the network: a botocore client and a Stripe client whose calls are I/Os of an actor.

`FastRequestor` is a fast path inside the `stripe` package: no user agent, no typed objects, one JSON parse per
response. Paths, parameters, versions, keys and errors are still those of the package. `test_fast_paths.py` compares it
with the package's own path for every call that Tuition makes.
"""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import botocore.exceptions
import stripe
from stripe._api_requestor import _APIRequestor
from stripe._encode import _api_encode

from stripe_simulator.account import Fault
from tests.in_memory_dynamodb.tables import Item
from tests.stripe_requests import request_log

RETRIEVALS = ("GET /v1/payment_intents", "GET /v1/checkout/sessions")
"""The requests with which a sync starts."""
MAX_CHECKED = 50
"""How many requests of each kind are checked against Stripe's types: a search sends millions of them."""
_checked: Counter[str] = Counter()


class DynamoDBClient:
    """The botocore client that the code uses."""

    def __init__(self, sim: Any) -> None:
        self._sim = sim

    def __getattr__(self, operation: str) -> Callable[..., Item]:
        act = getattr(self._sim.tables, operation)
        sim = self._sim

        def call(**params: Any) -> Item:
            target = params.get("TableName") or ",".join(sorted(params.get("RequestItems", ())))

            def perform() -> Item:
                response: Item = act(**params)
                sim.on_commit(params.get("TransactItems", ()))
                return response

            response: Item = sim.io(f"{operation} {target}".strip(), perform, _drop_dynamodb, _conflict(params))
            return response

        setattr(self, operation, call)
        return call


def _drop_dynamodb() -> None:
    raise botocore.exceptions.ReadTimeoutError(endpoint_url="memory")


def _conflict(params: Mapping[str, Any]) -> Callable[[], None]:
    """Return a function that cancels the transaction because of a conflicting one, if `params` are a transaction's."""

    def cancel() -> None:
        reasons = [{"Code": "None"} for _ in params.get("TransactItems", [])]
        if not reasons:
            return
        reasons[0] = {"Code": "TransactionConflict"}
        error = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
        raise botocore.exceptions.ClientError(error, "TransactWriteItems")  # type: ignore[arg-type]

    return cancel


class SimulatorTransport(stripe.HTTPClient):
    """Stripe's HTTP client; the simulator answers each request."""

    name = "model"

    def __init__(self, sim: Any) -> None:
        super().__init__()
        self.sim = sim

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[Any, int, Mapping[str, str]]:
        sim = self.sim
        path = "/" + url.split("/", 3)[3]
        body = post_data.encode() if isinstance(post_data, str) else post_data or b""
        bare = path.partition("?")[0]
        method = method.upper()
        kind = f"{method} {bare.rpartition('/')[0] or bare}"
        if _checked[kind] < MAX_CHECKED:
            _checked[kind] += 1
            request_log.record("model", method, path, post_data)

        sent_path = path

        def missing() -> None:
            nonlocal sent_path
            sent_path = path.replace(bare, f"{bare}unknown")
            sim.missing_at_stripe.add(bare.rpartition("/")[2])

        def act() -> tuple[Any, int, Mapping[str, str]]:
            response = sim.stripe.handle(method, sent_path, headers or {}, body)
            if sim.current and kind in RETRIEVALS:
                sim.current.events_at_read = len(sim.stripe.webhooks.payloads) if response.status == 200 else None
            if response.status == 200 and bare.endswith(("/cancel", "/expire")):
                sim.on_close(bare.split("/")[-2])
            return response.body, response.status, {k.lower(): v for k, v in response.headers.items()}

        def fault(failure: str) -> Callable[[], None]:
            match = [method, *bare.strip("/").split("/")]
            return lambda: sim.stripe.account.faults.append(Fault(match, 1, failure, 0.0))

        return sim.io(  # type: ignore[no-any-return]
            f"{method} {bare}", act, _drop_stripe, fault("error"), fault("rate_limit"), missing
        )

    def close(self) -> None:
        pass


def _drop_stripe() -> None:
    raise stripe.APIConnectionError("dropped by the schedule")


class PlainObject:
    """A response of Stripe as the code reads it: parsed JSON and the response headers."""

    def __init__(self, body: bytes, headers: Mapping[str, str]) -> None:
        self.last_response = SimpleNamespace(headers=headers, data=json.loads(body))


class FastRequestor(_APIRequestor):
    """The fast path from a call to its request, for the current simulation."""

    http: SimulatorTransport
    numbers = itertools.count(1)

    def request(  # type: ignore[override]
        self, method: str, url: str, params: Any = None, options: Any = None, **_: Any
    ) -> PlainObject:
        method = method.upper()
        encoded = urlencode(list(_api_encode(params or {}))).replace("%5B", "[").replace("%5D", "]")
        headers = {"Authorization": f"Bearer {self._options.api_key}", "Stripe-Version": str(stripe.api_version)}
        if method == "POST":
            headers["Idempotency-Key"] = (options or {}).get("idempotency_key") or f"own-{next(self.numbers)}"
        address = f"{self._options.base_addresses['api']}{url}"
        if method != "POST" and encoded:
            address += f"?{encoded}"
        body, status, received = self.http.request(method, address, headers, encoded if method == "POST" else None)
        if not 200 <= status < 300:
            self._interpret_response(body.decode(), status, received, "V1")  # raises the package's own error
        return PlainObject(body, received)


_client: list[stripe.StripeClient] = []


def stripe_client_for(sim: Any, secret_key: str) -> stripe.StripeClient:
    """Return this process's only client, connected to this simulation. Its services are created once."""
    if not _client:
        client = stripe.StripeClient(secret_key, base_addresses={"api": "http://stripe"}, max_network_retries=0)
        requestor = FastRequestor(options=client._requestor._options)
        client.v1 = type(client.v1)(requestor)
        _client.append(client)
    _client[0].v1._requestor.http = SimulatorTransport(sim)  # type: ignore[attr-defined]
    return _client[0]
