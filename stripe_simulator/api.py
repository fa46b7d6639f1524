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

from stripe_simulator import control, listen, rules
from stripe_simulator.account import NO_REQUEST, Account, Call, Handler
from stripe_simulator.accounts import Accounts, mask
from stripe_simulator.errors import NoAnswer, StripeError, validation_error
from stripe_simulator.expand import check_paths, expand
from stripe_simulator.masking import mask_params, mask_text
from stripe_simulator.params import check, parse_form, path_param
from stripe_simulator.resources import payment_intents, payment_methods, setup_intents
from stripe_simulator.response import Response
from stripe_simulator.routes import EXPAND_ONLY, PUBLISHABLE, ROUTES
from stripe_simulator.store import Object, public_fields
from stripe_simulator.unsupported_paths import refusal_of
from stripe_simulator.version import API_VERSION, family_of
from stripe_simulator.webhooks import Webhooks

FOR_BROWSER = {
    "payment_intent": payment_intents.for_browser,
    "payment_method": payment_methods.for_browser,
    "setup_intent": setup_intents.for_browser,
}
"""The fields of an error that a publishable key may see only in part."""
LOGGED_ERROR_FIELDS = ("type", "code", "decline_code", "message", "param")
MAX_LOGGED_HEADER = 255
"""The characters of a header that the log keeps: the longest idempotency key."""


@dataclass
class Request:
    """A request that may execute: authenticated, routed, and the first of its idempotency key."""

    account: Account
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
    version: str | None = None
    sent_key: str | None = None
    start: float = 0.0


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
    """The simulator without a socket: accounts side by side, each behind a lock of its own."""

    def __init__(
        self,
        seed: int | None = None,
        clock: Callable[[], float] = time.time,
        secret_key: str | None = None,
        publishable_key: str | None = None,
        admin_key: str | None = None,
        disorder: int | None = None,
    ) -> None:
        self.accounts = Accounts(seed, clock, secret_key, publishable_key, admin_key, disorder)

    @property
    def account(self) -> Account:
        """The default account, the one with the keys of the command line."""
        return self.accounts.default

    @property
    def secret_key(self) -> str:
        """The default account's secret key."""
        return self.account.secret_key

    @property
    def publishable_key(self) -> str:
        """The default account's publishable key."""
        return self.account.publishable_key

    @property
    def admin_key(self) -> str:
        """The key that lists and deletes accounts."""
        return self.accounts.admin_key

    @property
    def webhooks(self) -> Webhooks:
        """The default account's events and deliveries. Without a sender, deliveries wait in `webhooks.outbox`."""
        return self.account.webhooks

    def handle(self, method: str, path_with_query: str, headers: Mapping[str, str], body: bytes = b"") -> Response:
        """Handle one request. Raises NoAnswer if a fault of `/_sim/calls` closes the connection."""
        request = self.begin(method, path_with_query, headers, body)
        if isinstance(request, Response):
            return request
        if request.fault == "hang":
            if request.key is not None:
                request.account.idempotency_keys.forget(request.key)
            raise NoAnswer("hang")
        return self.execute(request)

    def begin(self, method: str, path_with_query: str, headers: Mapping[str, str], body: bytes) -> Response | Request:
        """Do everything that precedes execution. Return the request, or a response if it may not execute."""
        path, _, query = path_with_query.partition("?")
        lowercase_headers = {name.lower(): value for name, value in headers.items()}
        if path.startswith("/_sim/"):
            return self._control(method, path, query, lowercase_headers, body)
        key, refusal = _api_key(method, lowercase_headers, query, body), None
        try:
            account = self.accounts.select(key)
        except StripeError as error:  # the default account logs the refusal, and its faults apply before it
            account, refusal = self.account, error
        with account.lock:
            account.run_due()
            account.unsaved |= method != "GET"
            with account.store.random_stream("requests"):
                request_id = f"req_{account.store.token(14)}"
            request = Request(
                account=account,
                method=method,
                path=path,
                form={},
                key=None,
                request_id=request_id,
                browser=False,
                user_agent=lowercase_headers.get("user-agent"),
                version=lowercase_headers.get("stripe-version", "")[:MAX_LOGGED_HEADER] or None,
                sent_key=lowercase_headers.get("idempotency-key", "")[:MAX_LOGGED_HEADER] or None,
                start=account.clock.real(),
            )
            try:
                replay = self._admit(request, lowercase_headers, query, body, key, refusal)
            except StripeError as error:
                return self._error_response(request, error)
            return replay or request

    def has_made_up_key(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Return whether a request has a secret key that is not the default account's.

        Any page on the web can make up such a key, so only programs and pages of this machine may use one.
        """
        return self.accounts.is_made_up(_api_key(method, headers, target.partition("?")[2], body))

    def _control(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Handle a request to the control API: it acts on the account of its key, or else on the default account."""
        account, is_admin = self.account, False
        try:
            if headers.get("authorization"):
                key = _authorization_key(headers)
                is_admin = key == self.admin_key
                if is_admin and path.rstrip("/") != control.ACCOUNTS:
                    raise _admin_key_refused()
                account = self.account if is_admin else self.accounts.select(key)
        except StripeError as error:
            return self._respond(self.account, error.status, error.body("req_sim"), {})
        with account.lock:
            account.run_due()
            account.unsaved |= method != "GET"
            caller = control.Caller(self.accounts, account, is_admin)
            status, content = control.handle(caller, method, path, query, body)
            return self._respond(account, status, content, {})

    def _admit(
        self,
        request: Request,
        headers: dict[str, str],
        query: str,
        body: bytes,
        key: str,
        refusal: StripeError | None,
    ) -> Response | None:
        """Parse, authenticate and route the request. Return the response to replay, if there is one.

        `refusal` is the error of an API key that selects no account.
        """
        account = request.account
        fault = control.take_fault(account, request.method, request.path)
        if fault is not None:
            request.fault, request.seconds = fault.fail, fault.seconds
        if request.fault == "before":
            raise NoAnswer("before")
        route = ROUTER.find(request.method, request.path)
        request.form = _read_params(request.method, headers, query, body, is_routed=route is not None)
        if refusal is not None:
            raise refusal
        if key in account.expired_keys:
            message = f"Expired API Key provided: {mask(key)}"
            raise StripeError(401, "invalid_request_error", message, stored=False, code="api_key_expired")
        request.browser = key == account.publishable_key
        _refuse_other_accounts(account, headers)
        if route is None:
            raise _unrecognized_url(request)
        version = headers.get("stripe-version")
        request.family = None if version is None else family_of(version)
        request.handler, request.operation, request.ids = route
        if request.browser and request.operation not in PUBLISHABLE:
            raise StripeError(
                403,
                "invalid_request_error",
                "This API call cannot be made with a publishable API key. Please use a secret API key.",
                stored=False,
                code="secret_key_required",
            )
        if account.per_second and account.count_request():
            request.fault = "rate_limit"
        control.raise_fault(request.fault)
        idempotency_key = headers.get("idempotency-key")
        if request.method != "POST" or not idempotency_key:
            return None
        return self._replay(request, idempotency_key)

    def _replay(self, request: Request, key: str) -> Response | None:
        request.headers["Idempotency-Key"] = key
        fingerprint = hashlib.sha256(json.dumps(request.form, sort_keys=True).encode()).hexdigest()
        keys = request.account.idempotency_keys
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
        account = request.account
        with account.lock:
            account.run_due()
            account.unsaved |= request.method != "GET"
            account.request = {"id": request.request_id, "idempotency_key": request.key}
            stored, rule = True, []
            try:
                with account.recording(request.request_id):
                    status, content = 200, self._call_handler(request)
            except StripeError as error:
                rule = rules.trace(error)
                status, content, stored = error.status, _error_body(request, error), error.stored
                for name in FOR_BROWSER.keys() & content["error"].keys() if request.browser else ():
                    content["error"][name] = FOR_BROWSER[name](content["error"][name])
            except Exception:
                if request.key is not None:
                    account.idempotency_keys.forget(request.key)
                raise
            finally:
                account.request = NO_REQUEST  # no later event, such as that of a control call, is of this request
            body = _encode(content)
            if request.key is not None:
                if stored:
                    account.idempotency_keys.finish(request.key, status, body)
                else:
                    account.idempotency_keys.forget(request.key)
            self._log(request, status, error=content.get("error") if status >= 400 else None, rule=rule)
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
            request.account,
            request.method,
            request.path,
            params,
            request.ids,
            request.browser,
            request.form,
            request.user_agent,
        )
        check_paths(request.operation, paths)
        try:
            with request.account.atomic():
                content = request.handler(call)
        except StripeError as error:
            if error.missing_id is not None:
                error.fields["param"] = path_param(request.operation, request.ids, error.missing_id)
            raise
        if content.get("object") == "search_result" and "total_count" not in paths:
            del content["total_count"]
        paths = [path for path in paths if path != "total_count"]
        if paths:
            _expand(request.account, content, paths)
        return content

    def _error_response(self, request: Request, error: StripeError) -> Response:
        content = _error_body(request, error)
        self._log(request, error.status, error=content["error"], rule=rules.trace(error))
        response = self._response(request, error.status, _encode(content))
        if error.status == 401:
            response.headers["WWW-Authenticate"] = 'Basic realm="Stripe"'
        if error.fields.get("code") in {"lock_timeout", "idempotency_key_in_use"}:
            response.headers["Stripe-Should-Retry"] = "true"
        if error.status == 429 and error.fields.get("code") != "lock_timeout":
            response.headers["Stripe-Rate-Limited-Reason"] = "global-rate"
        return response

    def _log(
        self, request: Request, status: int, *, error: Any = None, rule: list[str] | None = None, replayed: bool = False
    ) -> None:
        """Add a request to the log, without the numbers of cards and accounts."""
        key = request.sent_key
        shown = {name: (error or {}).get(name) for name in LOGGED_ERROR_FIELDS}
        request.account.log.append(
            {
                "request_id": request.request_id,
                "at": request.account.clock.unix(),
                "method": request.method,
                "path": mask_text(request.path),
                "operation": request.operation or None,
                "params": mask_params(request.form),
                "user_agent": request.user_agent,
                "idempotency_key": key and mask_text(key),
                "version": request.version and mask_text(request.version),
                "publishable": request.browser,
                "replayed": replayed,
                "fault": request.fault,
                "status": status,
                "duration_ms": round((request.account.clock.real() - request.start) * 1000, 1),
                "error": error and {name: text and mask_text(text) for name, text in shown.items()},
                "rule": rule,
            }
        )

    def _response(self, request: Request, status: int, body: bytes) -> Response:
        shown = mask_text(body.decode()).encode() if status >= 400 else body  # an error repeats what it refuses
        request.account.keep_response(request.request_id, shown)
        headers = {"Request-Id": request.request_id, "Stripe-Version": API_VERSION, **request.headers}
        return self._respond(request.account, status, body, headers)

    def internal_error(self) -> Response:
        """Return the response for an error of the simulator itself, in the words of Stripe's own message."""
        error = StripeError(500, "api_error", "Sorry, there was an error on the simulator's end: see its log.")
        with self.account.lock, self.account.store.random_stream("requests"):
            request_id = f"req_{self.account.store.token(14)}"
        return self._respond(self.account, 500, error.body(request_id), {"Request-Id": request_id})

    def _respond(self, account: Account, status: int, content: Any, headers: dict[str, str]) -> Response:
        body = content if isinstance(content, bytes) else _encode(content)
        common_headers = {
            "Content-Type": "application/json",
            "Date": formatdate(account.clock.now(), usegmt=True),
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Expose-Headers": "Request-Id",
            "Cache-Control": "no-cache, no-store",
        }
        return Response(status, common_headers | headers, body)


def _error_body(request: Request, error: StripeError) -> Object:
    """Return the body of an error. Its `request_log_url` is the page of the request in the inspector."""
    return error.body(request.request_id, f"{request.account.url}/inspect/requests/")


def _api_key(method: str, headers: Mapping[str, str], query: str, body: bytes) -> str:
    """Return the API key of a request, of its header `Authorization` or else of its parameter `key`.

    https://docs.stripe.com/api/authentication
    """
    if headers.get("authorization"):
        return _authorization_key(headers)
    try:
        key = _parse_params(method, headers, query, body).get("key")
    except StripeError:  # reported when the request is admitted
        return ""
    return key if isinstance(key, str) else ""


def _authorization_key(headers: Mapping[str, str]) -> str:
    """Return the key of `Authorization`, Bearer or Basic, or an empty string."""
    scheme, _, value = headers["authorization"].partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value).decode().split(":", 1)[0]
        except ValueError:
            return ""
    return ""


def _admin_key_refused() -> StripeError:
    return StripeError(
        403,
        "invalid_request_error",
        f"The admin key only lists and deletes accounts ({control.ACCOUNTS}). To control an account, send its secret "
        "key, or no key for the default account.",
        stored=False,
    )


def _refuse_other_accounts(account: Account, headers: Mapping[str, str]) -> None:
    """Raise StripeError for a call on behalf of another account: Connect is not simulated.

    https://docs.stripe.com/connect/authentication
    """
    for name in ("Stripe-Account", "Stripe-Context"):
        if headers.get(name.lower(), account.id) != account.id:
            raise StripeError(
                403,
                "invalid_request_error",
                "Only Stripe Connect platforms can work with other accounts. If you specified a client_id "
                "parameter, make sure it's correct. If you need to setup a Stripe Connect platform, you can do so "
                "at https://dashboard.stripe.com/account/applications/settings. The simulator does not support "
                f"Connect and its header `{name}`: to act on another account, send the key of that account.",
                stored=False,
                code="platform_account_required",
            )


def _expand(account: Account, content: Object, paths: list[str]) -> None:
    """Expand the paths of a response with the objects of the account."""

    def lookup(id: str) -> Object | None:
        stored = account.lookup(id)
        return None if stored is None else public_fields(stored)

    def loader(target: Object, path: str) -> Callable[[], Object | list[Object] | None] | None:
        load = EXPAND_ONLY.get((target.get("object", ""), path))
        return None if load is None else partial(load, account, target)

    expand(content, paths, lookup, loader)


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


def _read_params(
    method: str, headers: Mapping[str, str], query: str, body: bytes, *, is_routed: bool
) -> dict[str, Any]:
    """Return the parameters. Without a route they are only for the log: JSON for /v2 gets its 404, not a 400."""
    try:
        return _parse_params(method, headers, query, body)
    except StripeError:
        if is_routed:
            raise
        return {}


def _unrecognized_url(request: Request) -> StripeError:
    """Return the error for a path without a route. A path with an empty id gets a hint.

    A part of Stripe that is not simulated is refused by name: its 404 would look like a missing object.
    """
    refusal = refusal_of(request.method, request.path)
    if refusal is not None:
        return validation_error(refusal)
    hint = (
        "If you are trying to list objects, remove the trailing slash. If you are trying to retrieve an object, make "
        "sure you passed a valid (non-empty) identifier in your code. "
    )
    if request.path.startswith("/v2/"):
        hint = "The simulator does not simulate API v2, although Stripe does. "
    elif not request.path.endswith("/"):
        hint = ""
    return StripeError(
        404,
        "invalid_request_error",
        f"Unrecognized request URL ({request.method}: {request.path}). {hint}"
        "Please see https://stripe.com/docs or we can help at https://support.stripe.com/.",
        stored=False,
    )


def _encode(content: Any) -> bytes:
    """Return the body of a response, indented like Stripe's."""
    return json.dumps(content, indent=2).encode()
