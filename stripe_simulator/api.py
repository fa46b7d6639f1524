"""The API without sockets: from request to response.

>>> stripe = Stripe(seed=1)
>>> response = stripe.handle("POST", "/v1/customers", {"Authorization": f"Bearer {stripe.secret_key}"}, b"")
>>> response.status
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

from stripe_simulator import control, listen
from stripe_simulator.account import Account, Call, Handler
from stripe_simulator.errors import NoAnswer, StripeError, validation_error
from stripe_simulator.expand import check_paths, expand
from stripe_simulator.params import check, parse_form, path_param
from stripe_simulator.resources.payment_intents import for_browser
from stripe_simulator.response import Response
from stripe_simulator.routes import EXPAND_ONLY, PUBLISHABLE, ROUTES
from stripe_simulator.store import Object, public_fields
from stripe_simulator.version import API_VERSION, family_of
from stripe_simulator.webhooks import Webhooks


@dataclass
class Request:
    """A request that may execute: authenticated, routed, and the first of its idempotency key."""

    method: str
    path: str
    form: dict[str, Any]
    key: str | None
    request_id: str
    browser: bool
    family: str | None = None  # of the version that the request names
    handler: Handler | None = None
    operation: str = ""
    ids: list[str] = field(default_factory=list)
    fault: str | None = None
    seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    user_agent: str | None = None


class Router:
    """The handlers by method and path. `*` matches one segment; a route without `*` takes precedence."""

    def __init__(self, routes: Mapping[str, Handler]) -> None:
        self._exact = {route: handler for route, handler in routes.items() if "*" not in route}
        self._patterns: dict[tuple[str, int], list[tuple[list[str], str, Handler]]] = {}
        for route, handler in routes.items():
            if "*" in route:
                method, path = route.split(" ")
                segments = path.split("/")
                self._patterns.setdefault((method, len(segments)), []).append((segments, route, handler))

    def find(self, method: str, path: str) -> tuple[Handler, str, list[str]] | None:
        """Return the handler, its route, and the path segments that `*` matched."""
        exact = self._exact.get(f"{method} {path}")
        if exact is not None:
            return exact, f"{method} {path}", []
        parts = path.split("/")
        for segments, route, handler in self._patterns.get((method, len(parts)), []):
            if all(segment == part or (segment == "*" and part) for segment, part in zip(segments, parts, strict=True)):
                return handler, route, [unquote(p) for s, p in zip(segments, parts, strict=True) if s == "*"]
        return None


ROUTER = Router({**ROUTES, "POST /v1/stripecli/sessions": listen.open_session})


class Stripe:
    """The simulator without a socket: one account behind one lock."""

    def __init__(
        self,
        seed: int | None = None,
        clock: Callable[[], float] = time.time,
        secret_key: str | None = None,
        publishable_key: str | None = None,
        disorder: int | None = None,
    ) -> None:
        self.account = Account(seed, clock, secret_key, publishable_key)
        self.account.webhooks.set_default_seed(disorder)

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
        """The events and deliveries. Without a sender, deliveries wait in `webhooks.outbox`."""
        return self.account.webhooks

    def handle(self, method: str, path_with_query: str, headers: Mapping[str, str], body: bytes = b"") -> Response:
        """Handle one request. Raises NoAnswer if a fault of `/_sim/calls` closes the connection."""
        request = self.begin(method, path_with_query, headers, body)
        if isinstance(request, Response):
            return request
        if request.fault == "hang":
            if request.key is not None:
                self.account.idempotency_keys.forget(request.key)
            raise NoAnswer("hang")
        return self.execute(request)

    def begin(self, method: str, path_with_query: str, headers: Mapping[str, str], body: bytes) -> Response | Request:
        """Do everything that precedes execution. Return the request, or a response if it may not execute."""
        path, _, query = path_with_query.partition("?")
        with self.account.lock:
            self.account.run_due()
            if path.startswith("/_sim/"):
                status, content = control.handle(self.account, method, path, query, body)
                return self._respond(status, content, {})
            with self.account.store.random_stream("requests"):
                request_id = f"req_{self.account.store.token(14)}"
            request = Request(
                method=method,
                path=path,
                form={},
                key=None,
                request_id=request_id,
                browser=False,
            )
            lowercase_headers = {name.lower(): value for name, value in headers.items()}
            try:
                replay = self._admit(request, lowercase_headers, query, body)
            except StripeError as error:
                return self._error_response(request, error)
            return replay or request

    def _admit(self, request: Request, headers: dict[str, str], query: str, body: bytes) -> Response | None:
        """Parse, authenticate and route the request. Return the response to replay, if there is one."""
        fault = control.take_fault(self.account, request.method, request.path)
        if fault is not None:
            request.fault, request.seconds = fault.fail, fault.seconds
        if request.fault == "before":
            raise NoAnswer("before")
        request.user_agent = headers.get("user-agent")
        route = ROUTER.find(request.method, request.path)
        if route is not None:  # a body of another API, such as JSON for /v2, is a 404
            request.form = _parse_params(request.method, headers, query, body)
        request.browser = self._authenticate(headers, request.form)
        self._refuse_other_accounts(headers)
        version = headers.get("stripe-version")
        request.family = None if version is None else family_of(version)
        if route is None:
            raise _unrecognized_url(request)
        request.handler, request.operation, request.ids = route
        if request.browser and request.operation not in PUBLISHABLE:
            raise StripeError(
                403,
                "invalid_request_error",
                "This API call cannot be made with a publishable API key. Please use a secret API key.",
                stored=False,
                code="secret_key_required",
            )
        if self.account.per_second and self.account.count_request():
            request.fault = "rate_limit"
        control.raise_fault(request.fault)
        key = headers.get("idempotency-key")
        if request.method != "POST" or not key:
            return None
        return self._replay(request, key)

    def _replay(self, request: Request, key: str) -> Response | None:
        request.headers["Idempotency-Key"] = key
        fingerprint = hashlib.sha256(json.dumps(request.form, sort_keys=True).encode()).hexdigest()
        keys = self.account.idempotency_keys
        record = keys.begin(key, request.method, request.path, fingerprint, request.request_id)
        request.key = key
        if record is None:
            request.headers["Original-Request"] = request.request_id
            return None
        request.headers["Original-Request"] = record.request_id
        request.headers["Idempotent-Replayed"] = "true"
        self._log(request, record.status or 0, replayed=True)
        return self._response(request, record.status or 0, record.body)

    def execute(self, request: Request) -> Response:
        """Execute the request, and keep the response under its idempotency key."""
        account = self.account
        with account.lock:
            account.run_due()
            account.request = {"id": request.request_id, "idempotency_key": request.key}
            stored = True
            try:
                status, content = 200, self._call_handler(request)
            except StripeError as error:
                status, content, stored = error.status, error.body(request.request_id), error.stored
                if request.browser and "payment_intent" in content["error"]:
                    content["error"]["payment_intent"] = for_browser(content["error"]["payment_intent"])
            except Exception:
                if request.key is not None:
                    account.idempotency_keys.forget(request.key)
                raise
            body = _encode(content)
            if request.key is not None:
                if stored:
                    account.idempotency_keys.finish(request.key, status, body)
                else:
                    account.idempotency_keys.forget(request.key)
            self._log(request, status, error=content.get("error") if status >= 400 else None)
            if request.fault == "after":
                raise NoAnswer("after")
            return self._response(request, status, body)

    def _call_handler(self, request: Request) -> Object:
        assert request.handler is not None
        if request.fault == "error":
            raise StripeError(500, "api_error", "An error occurred with our connection to a dependency.")
        params = check(request.operation, request.form, family=request.family, browser=request.browser)
        paths = params.pop("expand", [])
        call = Call(
            self.account,
            request.method,
            request.path,
            params,
            request.ids,
            request.browser,
            request.form,
        )
        check_paths(request.operation, paths)
        try:
            with self.account.atomic():
                content = request.handler(call)
        except StripeError as error:
            if error.missing_id is not None:
                error.fields["param"] = path_param(request.operation, request.ids, error.missing_id)
            raise
        if content.get("object") == "search_result" and "total_count" not in paths:
            del content["total_count"]
        paths = [path for path in paths if path != "total_count"]
        if paths:
            self._expand(content, paths)
        return content

    def _expand(self, content: Object, paths: list[str]) -> None:
        def lookup(id: str) -> Object | None:
            stored = self.account.lookup(id)
            return None if stored is None else public_fields(stored)

        def loader(target: Object, path: str) -> Callable[[], Object | list[Object] | None] | None:
            load = EXPAND_ONLY.get((target.get("object", ""), path))
            return None if load is None else partial(load, self.account, target)

        expand(content, paths, lookup, loader)

    def _authenticate(self, headers: Mapping[str, str], form: dict[str, Any]) -> bool:
        """Return whether the request uses the publishable key.

        https://docs.stripe.com/api/authentication
        """
        scheme, _, value = headers.get("authorization", "").partition(" ")
        key = value.strip() if scheme.lower() == "bearer" else ""
        if scheme.lower() == "basic":
            try:
                key = base64.b64decode(value).decode().split(":", 1)[0]
            except ValueError:
                key = ""
        if not scheme and isinstance(form.get("key"), str):
            key = form["key"]
        if key in self.account.expired_keys:
            masked = f"{key[:8]}{'*' * max(0, len(key) - 12)}{key[-4:]}"
            message = f"Expired API Key provided: {masked}"
            raise StripeError(401, "invalid_request_error", message, stored=False, code="api_key_expired")
        if key in (self.account.secret_key, *self.account.more_secret_keys):
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

    def _refuse_other_accounts(self, headers: Mapping[str, str]) -> None:
        """Raise StripeError for a call on behalf of another account: Connect is not simulated.

        https://docs.stripe.com/connect/authentication
        """
        for name in ("stripe-account", "stripe-context"):
            if headers.get(name, self.account.id) != self.account.id:
                raise StripeError(
                    403,
                    "invalid_request_error",
                    "Only Stripe Connect platforms can work with other accounts. If you specified a client_id "
                    "parameter, make sure it's correct. If you need to setup a Stripe Connect platform, you can do so "
                    "at https://dashboard.stripe.com/account/applications/settings. The simulator has no Connect.",
                    stored=False,
                    code="platform_account_required",
                )

    def _error_response(self, request: Request, error: StripeError) -> Response:
        content = error.body(request.request_id)
        self._log(request, error.status, error=content["error"])
        response = self._response(request, error.status, _encode(content))
        if error.status == 401:
            response.headers["WWW-Authenticate"] = 'Basic realm="Stripe"'
        if error.fields.get("code") in {"lock_timeout", "idempotency_key_in_use"}:
            response.headers["Stripe-Should-Retry"] = "true"
        if error.status == 429 and error.fields.get("code") != "lock_timeout":
            response.headers["Stripe-Rate-Limited-Reason"] = "global-rate"
        return response

    def _log(self, request: Request, status: int, *, error: Any = None, replayed: bool = False) -> None:
        self.account.log.append(
            {
                "request_id": request.request_id,
                "at": self.account.clock.unix(),
                "method": request.method,
                "path": request.path,
                "params": request.form,
                "user_agent": request.user_agent,
                "idempotency_key": request.headers.get("Idempotency-Key"),
                "versioned": request.family is not None,
                "publishable": request.browser,
                "replayed": replayed,
                "fault": request.fault,
                "status": status,
                "error": error and {k: error.get(k) for k in ("type", "code", "message", "param")},
            }
        )

    def _response(self, request: Request, status: int, body: bytes) -> Response:
        headers = {"Request-Id": request.request_id, "Stripe-Version": API_VERSION, **request.headers}
        return self._respond(status, body, headers)

    def internal_error(self) -> Response:
        """Return the response for an error of the simulator itself, in the words of Stripe's own message."""
        error = StripeError(500, "api_error", "Sorry, there was an error on the simulator's end: see its log.")
        request_id = f"req_{self.account.store.token(14)}"
        return self._respond(500, error.body(request_id), {"Request-Id": request_id})

    def _respond(self, status: int, content: Any, headers: dict[str, str]) -> Response:
        body = content if isinstance(content, bytes) else _encode(content)
        common_headers = {
            "Content-Type": "application/json",
            "Date": formatdate(self.account.clock.now(), usegmt=True),
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Expose-Headers": "Request-Id",
            "Cache-Control": "no-cache, no-store",
        }
        return Response(status, common_headers | headers, body)


def _parse_params(method: str, headers: Mapping[str, str], query: str, body: bytes) -> dict[str, Any]:
    """Return the parameters of a request, from its body and its query. Raises StripeError if they are malformed."""
    if body and headers.get("content-type", "").startswith("application/json"):
        raise validation_error(
            "Invalid request (check that your POST content type is application/x-www-form-urlencoded). "
            "If you have any questions, we can help at https://support.stripe.com/."
        )
    text = query if method in {"GET", "DELETE"} and not body else body.decode(errors="replace")
    params = parse_form(text)
    return parse_form(query) | params if text is not query and query else params


def _unrecognized_url(request: Request) -> StripeError:
    """Return the error for a path without a route. A path with an empty id gets a hint."""
    hint = (
        "If you are trying to list objects, remove the trailing slash. If you are trying to retrieve an object, make "
        "sure you passed a valid (non-empty) identifier in your code. "
    )
    return StripeError(
        404,
        "invalid_request_error",
        f"Unrecognized request URL ({request.method}: {request.path}). {hint if request.path.endswith('/') else ''}"
        "Please see https://stripe.com/docs or we can help at https://support.stripe.com/.",
        stored=False,
    )


def _encode(content: Any) -> bytes:
    """Return the body of a response, indented like Stripe's."""
    return json.dumps(content, indent=2).encode()
