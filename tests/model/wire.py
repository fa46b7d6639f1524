"""What stands where a network would be: the botocore client, and Stripe's, each call an I/O of the current actor.

`Requests` takes a short way inside the `stripe` package: no user agents, no typed objects, one JSON parse an answer.
Paths, parameters, versions, keys and errors are still the package's own; `test_wire.py` holds it against the long
way for every call that Tuition makes.
"""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import botocore.exceptions
import stripe
from stripe._api_requestor import _APIRequestor
from stripe._encode import _api_encode

from stripe_simulator.account import Fault
from tests.model.dynamodb import Item
from tests.stripe_requests import request_log

if TYPE_CHECKING:
    from tests.model.machine import Machine


PULLS = ("GET /v1/payment_intents", "GET /v1/checkout/sessions")
NOTED = 50
"""Of each kind of request so many are held against Stripe's types: a search sends them by the million."""
_noted: Counter[str] = Counter()


class Wire:
    """The botocore client that the code sees."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine

    def __getattr__(self, operation: str) -> Callable[..., Item]:
        act = getattr(self._machine.tables, operation)
        machine = self._machine

        def call(**given: Any) -> Item:
            where = given.get("TableName") or ",".join(sorted(given.get("RequestItems", ())))

            def done() -> Item:
                answer: Item = act(**given)
                machine.committed(given.get("TransactItems", ()))
                return answer

            answer: Item = machine.io(f"{operation} {where}".strip(), done, _dynamodb_lost, _conflict(given))
            return answer

        setattr(self, operation, call)
        return call


def _dynamodb_lost() -> None:
    raise botocore.exceptions.ReadTimeoutError(endpoint_url="memory")


def _conflict(given: Mapping[str, Any]) -> Callable[[], None]:
    def refuse() -> None:
        reasons = [{"Code": "None"} for _ in given.get("TransactItems", [])]
        if not reasons:
            return
        reasons[0] = {"Code": "TransactionConflict"}
        error = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
        raise botocore.exceptions.ClientError(error, "TransactWriteItems")  # type: ignore[arg-type]

    return refuse


class InProcess(stripe.HTTPClient):
    """Stripe's HTTP client: each request is answered by the simulator."""

    name = "model"

    def __init__(self, machine: "Machine") -> None:
        super().__init__()
        self.machine = machine

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[Any, int, Mapping[str, str]]:
        machine = self.machine
        path = "/" + url.split("/", 3)[3]
        body = post_data.encode() if isinstance(post_data, str) else post_data or b""
        bare = path.partition("?")[0]
        method = method.upper()
        kind = f"{method} {bare.rpartition('/')[0] or bare}"
        if _noted[kind] < NOTED:
            _noted[kind] += 1
            request_log.record("model", method, path, post_data)

        asked = [path]

        def unknown() -> None:
            asked[0] = path.replace(bare, f"{bare}unknown")
            machine.unknown.add(bare.rpartition("/")[2])

        def act() -> tuple[Any, int, Mapping[str, str]]:
            answer = machine.stripe.handle(method, asked[0], headers or {}, body)
            if machine.current and kind in PULLS:
                machine.current.asked = len(machine.stripe.webhooks.payloads) if answer.status == 200 else None
            if answer.status == 200 and bare.endswith(("/cancel", "/expire")):
                machine.closing(bare.split("/")[-2])
            return answer.body, answer.status, {k.lower(): v for k, v in answer.headers.items()}

        def fault(kind: str) -> Callable[[], None]:
            wanted = [method, *bare.strip("/").split("/")]
            return lambda: machine.stripe.account.faults.append(Fault(wanted, 1, kind, 0.0))

        return machine.io(  # type: ignore[no-any-return]
            f"{method} {bare}", act, _stripe_lost, fault("error"), fault("rate_limit"), unknown
        )

    def close(self) -> None:
        pass


def _stripe_lost() -> None:
    raise stripe.APIConnectionError("lost by the schedule")


class Object:
    """An answer of Stripe's as the code reads one: a plain value, and the headers that came with it."""

    def __init__(self, body: bytes, headers: Mapping[str, str]) -> None:
        self.last_response = SimpleNamespace(headers=headers, data=json.loads(body))


class Requests(_APIRequestor):
    """The short way from a call to its request, for the machine of the moment."""

    http: InProcess
    keys = itertools.count(1)

    def request(  # type: ignore[override]
        self, method: str, url: str, params: Any = None, options: Any = None, **_: Any
    ) -> Object:
        method = method.upper()
        encoded = urlencode(list(_api_encode(params or {}))).replace("%5B", "[").replace("%5D", "]")
        headers = {"Authorization": f"Bearer {self._options.api_key}", "Stripe-Version": str(stripe.api_version)}
        if method == "POST":
            headers["Idempotency-Key"] = (options or {}).get("idempotency_key") or f"own-{next(self.keys)}"
        address = f"{self._options.base_addresses['api']}{url}"
        if method != "POST" and encoded:
            address += f"?{encoded}"
        body, status, answered = self.http.request(method, address, headers, encoded if method == "POST" else None)
        if not 200 <= status < 300:
            self._interpret_response(body.decode(), status, answered, "V1")  # raises Stripe's own error
        return Object(body, answered)


_client: list[stripe.StripeClient] = []


def client(machine: "Machine", key: str) -> stripe.StripeClient:
    """The one client of this process, now of this machine: its services are made once."""
    if not _client:
        made = stripe.StripeClient(key, base_addresses={"api": "http://stripe"}, max_network_retries=0)
        requests = Requests(options=made._requestor._options)
        made.v1 = type(made.v1)(requests)
        _client.append(made)
    _client[0].v1._requestor.http = InProcess(machine)  # type: ignore[attr-defined]
    return _client[0]
