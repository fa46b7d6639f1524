"""Requests in, answers out. `Stripe` is the simulator without sockets; `start()` puts it on a port.

>>> stripe = Stripe(seed=1)
>>> answer = stripe.handle("POST", "/v1/customers", {"Authorization": f"Bearer {stripe.secret_key}"}, b"")
>>> answer.status
200
"""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from typing import Any
from urllib.parse import unquote

from stripe_simulator import API_VERSION, control, listen
from stripe_simulator.account import Account, Call, Handler
from stripe_simulator.errors import NoAnswer, StripeError, unvalidated
from stripe_simulator.expand import check as check_paths
from stripe_simulator.expand import expand
from stripe_simulator.params import check, parse_form
from stripe_simulator.resources import INCLUDES, PUBLIC, ROUTES
from stripe_simulator.resources.payment_intents import for_browser
from stripe_simulator.store import Object, shown
from stripe_simulator.webhooks import Webhooks

__all__ = ["Response", "Simulator", "Stripe", "start"]


@dataclass
class Response:
    """What is answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass
class Request:
    """A request that may execute: authenticated, routed, and the first of its key."""

    method: str
    path: str
    form: dict[str, Any]
    key: str | None
    request_id: str
    versioned: bool
    browser: bool
    handler: Handler | None = None
    operation: str = ""
    ids: list[str] = field(default_factory=list)
    fault: str | None = None
    seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    user_agent: str | None = None


class Router:
    """Method and path to handler, `*` standing for one segment; fixed segments win."""

    def __init__(self, routes: Mapping[str, Handler]) -> None:
        self._exact = {route: handler for route, handler in routes.items() if "*" not in route}
        self._open: dict[tuple[str, int], list[tuple[list[str], str, Handler]]] = {}
        for route, handler in routes.items():
            if "*" in route:
                method, path = route.split(" ")
                steps = path.split("/")
                self._open.setdefault((method, len(steps)), []).append((steps, route, handler))

    def find(self, method: str, path: str) -> tuple[Handler, str, list[str]] | None:
        """The handler, its route and the segments that stood for `*`."""
        exact = self._exact.get(f"{method} {path}")
        if exact is not None:
            return exact, f"{method} {path}", []
        parts = path.split("/")
        for steps, route, handler in self._open.get((method, len(parts)), []):
            if all(step in ("*", part) for step, part in zip(steps, parts, strict=True)):
                return handler, route, [unquote(p) for s, p in zip(steps, parts, strict=True) if s == "*"]
        return None


ROUTER = Router({**ROUTES, "POST /v1/stripecli/sessions": listen.open_session})


class Stripe:
    """The simulator in one process, without a socket: one store, one lock."""

    def __init__(
        self,
        seed: int | None = None,
        clock: Callable[[], float] = time.time,
        secret_key: str | None = None,
        publishable_key: str | None = None,
    ) -> None:
        self.account = Account(seed, clock, secret_key, publishable_key)

    @property
    def secret_key(self) -> str:
        """The account's secret key."""
        return self.account.secret_key

    @property
    def publishable_key(self) -> str:
        """The account's publishable key."""
        return self.account.publishable_key

    @property
    def webhooks(self) -> Webhooks:
        """Events and deliveries; without a sender the deliveries wait in `webhooks.outbox`."""
        return self.account.webhooks

    def handle(self, method: str, path_with_query: str, headers: Mapping[str, str], body: bytes = b"") -> Response:
        """Answer one request. Raises NoAnswer where a fault of `/_sim/calls` closes the connection."""
        begun = self.begin(method, path_with_query, headers, body)
        if isinstance(begun, Response):
            return begun
        if begun.fault == "hang":
            if begun.key is not None:
                self.account.keys.forget(begun.key)
            raise NoAnswer("hang")
        return self.execute(begun)

    def begin(self, method: str, path_with_query: str, headers: Mapping[str, str], body: bytes) -> "Response | Request":
        """All that comes before a request executes; an answer when it may not."""
        path, _, query = path_with_query.partition("?")
        with self.account.lock:
            self.account.run_due()
            if path.startswith("/_sim/"):
                status, answer = control.handle(self.account, method, path, query, body)
                return self._respond(status, answer, {})
            with self.account.store.apart("requests"):
                request_id = f"req_{self.account.store.token(14)}"
            request = Request(
                method=method,
                path=path.rstrip("/") if len(path) > 1 else path,
                form={},
                key=None,
                request_id=request_id,
                versioned=False,
                browser=False,
            )
            given = {name.lower(): value for name, value in headers.items()}
            try:
                replay = self._admit(request, given, query, body)
            except StripeError as error:
                return self._refused(request, error)
            return replay or request

    def _admit(self, request: Request, given: dict[str, str], query: str, body: bytes) -> Response | None:
        fault = control.fault_for(self.account, request.method, request.path)
        if fault is not None:
            request.fault, request.seconds = fault.fail, fault.seconds
        if request.fault == "before":
            raise NoAnswer("before")
        request.user_agent = given.get("user-agent")
        text = query if request.method in {"GET", "DELETE"} and not body else body.decode(errors="replace")
        request.form = parse_form(text)
        if text is not query and query:
            request.form = parse_form(query) | request.form
        request.browser = self._authenticate(given, request.form)
        request.versioned = _version(given)
        found = ROUTER.find(request.method, request.path)
        if found is None:
            raise StripeError(
                404,
                "invalid_request_error",
                f"Unrecognized request URL ({request.method}: {request.path}). "
                "Please see https://stripe.com/docs or we can help at https://support.stripe.com/.",
                stored=False,
            )
        request.handler, request.operation, request.ids = found
        if request.browser and request.operation not in PUBLIC:
            raise StripeError(
                403,
                "invalid_request_error",
                "This API call cannot be made with a publishable API key. Please use a secret API key.",
                stored=False,
                code="secret_key_required",
            )
        if self.account.per_second and self.account.is_over_limit():
            request.fault = "rate_limit"
        control.refuse(request.fault)
        key = given.get("idempotency-key")
        if request.method != "POST" or not key:
            return None
        return self._replay(request, key)

    def _replay(self, request: Request, key: str) -> Response | None:
        request.headers["Idempotency-Key"] = key
        fingerprint = hashlib.sha256(json.dumps(request.form, sort_keys=True).encode()).hexdigest()
        kept = self.account.keys.begin(key, request.method, request.path, fingerprint, request.request_id)
        request.key = key
        if kept is None:
            request.headers["Original-Request"] = request.request_id
            return None
        request.headers["Original-Request"] = kept.request_id
        request.headers["Idempotent-Replayed"] = "true"
        self._note(request, kept.status or 0, replayed=True)
        return self._answer(request, kept.status or 0, kept.body)

    def execute(self, request: Request) -> Response:
        """Do it, and keep the answer under its key."""
        account = self.account
        with account.lock:
            account.run_due()
            account.request = {"id": request.request_id, "idempotency_key": request.key}
            stored = True
            try:
                status, answer = 200, self._run(request)
            except StripeError as error:
                status, answer, stored = error.status, error.body(request.request_id), error.stored
                if request.browser and "payment_intent" in answer["error"]:
                    answer["error"]["payment_intent"] = for_browser(answer["error"]["payment_intent"])
            except Exception:
                if request.key is not None:
                    account.keys.forget(request.key)
                raise
            body = json.dumps(answer, indent=2).encode() if request.browser else json.dumps(answer).encode()
            if request.key is not None:
                if stored:
                    account.keys.finish(request.key, status, body)
                else:
                    account.keys.forget(request.key)
            self._note(request, status, error=answer.get("error") if status >= 400 else None)
            if request.fault == "after":
                raise NoAnswer("after")
            return self._answer(request, status, body)

    def _run(self, request: Request) -> Object:
        assert request.handler is not None
        if request.fault == "error":
            raise StripeError(500, "api_error", "An error occurred with our connection to a dependency.")
        params = check(request.operation, request.form, versioned=request.versioned, browser=request.browser)
        paths = params.pop("expand", [])
        call = Call(
            self.account,
            request.method,
            request.path,
            params,
            request.ids,
            request.versioned,
            request.browser,
            request.form,
        )
        check_paths(request.operation, paths)
        answer = request.handler(call)
        if paths:
            self._expand(answer, paths)
        return answer

    def _expand(self, answer: Object, paths: list[str]) -> None:
        def lookup(id: str) -> Object | None:
            found = self.account.lookup(id)
            return None if found is None else shown(found)

        def include(target: Object, name: str) -> Callable[[], Object | None] | None:
            make = INCLUDES.get((target.get("object", ""), name))
            return None if make is None else partial(make, self.account, target)

        expand(answer, paths, lookup, include)

    def _authenticate(self, headers: Mapping[str, str], form: dict[str, Any]) -> bool:
        """Whether the key is the publishable one. https://docs.stripe.com/api/authentication"""
        scheme, _, value = headers.get("authorization", "").partition(" ")
        key = value.strip() if scheme.lower() == "bearer" else ""
        if scheme.lower() == "basic":
            try:
                key = base64.b64decode(value).decode().split(":", 1)[0]
            except ValueError:
                key = ""
        if not scheme and isinstance(form.get("key"), str):
            key = form["key"]
        if key == self.account.secret_key:
            return False
        if key == self.account.publishable_key:
            return True
        if not key:
            message = (
                "You did not provide an API key. You need to provide your API key in the Authorization header, "
                "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
            )
        else:
            message = f"Invalid API Key provided: {key[:8]}{'*' * max(0, len(key) - 12)}{key[-4:]}"
        raise StripeError(401, "invalid_request_error", message, stored=False)

    def _refused(self, request: Request, error: StripeError) -> Response:
        answer = error.body(request.request_id)
        self._note(request, error.status, error=answer["error"])
        response = self._answer(request, error.status, json.dumps(answer).encode())
        if error.fields.get("code") in {"lock_timeout", "idempotency_key_in_use"}:
            response.headers["Stripe-Should-Retry"] = "true"
        if error.status == 429:
            response.headers["Stripe-Rate-Limited-Reason"] = "global-rate"
        return response

    def _note(self, request: Request, status: int, *, error: Any = None, replayed: bool = False) -> None:
        self.account.log.append(
            {
                "request_id": request.request_id,
                "at": self.account.clock.unix(),
                "method": request.method,
                "path": request.path,
                "params": request.form,
                "user_agent": request.user_agent,
                "idempotency_key": request.headers.get("Idempotency-Key"),
                "versioned": request.versioned,
                "publishable": request.browser,
                "replayed": replayed,
                "fault": request.fault,
                "status": status,
                "error": error and {k: error.get(k) for k in ("type", "code", "message", "param")},
            }
        )

    def _answer(self, request: Request, status: int, body: bytes) -> Response:
        headers = {"Request-Id": request.request_id, "Stripe-Version": API_VERSION, **request.headers}
        return self._respond(status, body, headers)

    def broken(self) -> Response:
        """What is answered where the simulator itself has failed: Stripe's own words for it."""
        error = StripeError(500, "api_error", "Sorry, there was an error on the simulator's end: see its log.")
        request_id = f"req_{self.account.store.token(14)}"
        return self._respond(500, error.body(request_id), {"Request-Id": request_id})

    def _respond(self, status: int, answer: Any, headers: dict[str, str]) -> Response:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        base = {
            "Content-Type": "application/json",
            "Date": formatdate(self.account.clock.now(), usegmt=True),
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Expose-Headers": "Request-Id",
            "Cache-Control": "no-cache, no-store",
        }
        return Response(status, base | headers, body)


def _version(headers: Mapping[str, str]) -> bool:
    """Whether the request names the API version; only ours is spoken. https://docs.stripe.com/api/versioning"""
    version = headers.get("stripe-version")
    if version is None:
        return False
    if version != API_VERSION:
        raise unvalidated(f"Invalid Stripe API version: {version}. The simulator speaks {API_VERSION}.")
    return True


from stripe_simulator.http import Simulator, start  # noqa: E402  (the shell around what is above)
