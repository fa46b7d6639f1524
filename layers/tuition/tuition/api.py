"""HTTP: parse an API Gateway event into a `Request`, and turn a `Reply` or an error into the response.

A handler takes a `Request`, returns a `Reply` and is decorated with `@endpoint`. Every error that it raises becomes a
problem (RFC 9457, `application/problem+json`) with a stable `type`. Each request is logged, without bodies and without
personal data.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import functools
import gc
import json
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tuition import clock
from tuition.core import texts
from tuition.core.errors import (
    BadRequest,
    BodyTooLarge,
    Forbidden,
    TuitionError,
    Unauthenticated,
    Unprocessable,
    UserIdRefused,
)
from tuition.core.refs import is_user_id
from tuition.log import logger
from tuition.settings import settings

MAX_BODY_BYTES = 64 * 1024
MAX_KEY_LENGTH = 255
"""Of an Idempotency-Key, in characters."""
URL_CHARACTERS = frozenset(string.ascii_letters + string.digits + "-._~:/?#[]@!$&'()*+,;=%")
"""The characters that a URL may contain. https://www.rfc-editor.org/rfc/rfc3986#section-2"""
INTERNAL_ERROR = "Something went wrong on our side. We have been notified. Try again in a few minutes."
PROBLEM_TYPES = "https://tuition.school/problems/"

Event = Mapping[str, Any]
Result = dict[str, Any]


class Identity(NamedTuple):
    """The caller, from the claims of an ID token that the gateway has verified.

    `email` is None unless it is verified. `has_mfa`: the token says that the caller used a second factor, or nothing
    asks for one here.
    """

    user_id: str
    email: str | None
    groups: frozenset[str]
    has_mfa: bool

    def buyer_email(self) -> str:
        """Return the verified email address. Raises `Forbidden` if there is none."""
        if self.email is None:
            raise Forbidden("Verify your email address before you enroll, then sign in again.")
        return self.email

    @property
    def is_staff(self) -> bool:
        """Whether the caller may read everything and decide: group `admin`."""
        return settings().admin_group in self.groups

    @property
    def may_read(self) -> bool:
        """Whether the caller may read everything: group `admin` or `support`."""
        return bool(self.groups & {settings().admin_group, settings().support_group})


@dataclass(frozen=True)
class Reply:
    """A response; `body` is encoded as JSON."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


class Request:
    """An HTTP API event, payload format 2.0."""

    def __init__(self, event: Event) -> None:
        self.event = event

    @property
    def route(self) -> str:
        """The route as in the template: `GET /api/payments/status/{payment_intent_id}`."""
        return str(self.event.get("routeKey", ""))

    def header(self, name: str) -> str | None:
        """Return a header by its lower-case name; None if it is missing."""
        value = (self.event.get("headers") or {}).get(name)
        return value if isinstance(value, str) else None

    def idempotency_key(self) -> str | None:
        """Return the `Idempotency-Key` header, trimmed; None if it is missing. Raises `Unprocessable`."""
        key = self.header("idempotency-key")
        if key is None:
            return None
        if not (key.strip() and key.isascii() and key.isprintable() and len(key) <= MAX_KEY_LENGTH):
            raise Unprocessable(
                f"Idempotency-Key must be 1 to {MAX_KEY_LENGTH} printable ASCII characters", field="idempotency-key"
            )
        return key.strip()

    def path(self, name: str) -> str:
        """Return a path parameter; "" if the route does not have it."""
        return str((self.event.get("pathParameters") or {}).get(name, ""))

    def query(self, *allowed: str) -> dict[str, str]:
        """Return the query parameters. Raises `Unprocessable` for any that is not allowed."""
        params = self.event.get("queryStringParameters") or {}
        for name in params:
            if name not in allowed:
                raise Unprocessable(f"{name[:40]!r} is not accepted here. Use {', '.join(allowed)}.", field=name)
        return dict(params)

    def limit(self, query: Mapping[str, str]) -> int:
        """Return the `limit` of a list: 1 to 100, by default 20. Raises `Unprocessable`."""
        limit = query.get("limit", "20")
        if not (limit.isascii() and limit.isdigit() and len(limit) < 4 and 1 <= int(limit) <= 100):
            raise Unprocessable("limit must be a number from 1 to 100", field="limit")
        return int(limit)

    def raw_body(self, max_length: int = MAX_BODY_BYTES) -> bytes:
        """Return the body as it was sent. Raises `BadRequest`, or `BodyTooLarge` beyond `max_length` bytes."""
        body = self.event.get("body") or ""
        try:
            raw = base64.b64decode(body, validate=True) if self.event.get("isBase64Encoded") else body.encode()
        except ValueError as error:  # not base64, not ASCII, or a lone surrogate
            raise BadRequest("The body cannot be decoded. Send JSON in UTF-8.") from error
        if len(raw) > max_length:
            raise BodyTooLarge(f"The body has {len(raw)} bytes. At most {max_length} are accepted.")
        return bytes(raw)

    def json(self, *allowed: str, max_length: int = MAX_BODY_BYTES) -> dict[str, Any]:
        """Return the body, a JSON object with only the allowed fields. Raises `BadRequest`, `Unprocessable`."""
        try:
            body = json.loads(self.raw_body(max_length).decode("utf-8"))
        except UnicodeDecodeError as error:
            raise BadRequest("The body is not UTF-8. Send JSON in UTF-8.") from error
        except (ValueError, RecursionError) as error:
            raise BadRequest('The body is not JSON. Send an object such as {"track": "DP"}.') from error
        if not isinstance(body, dict):
            raise BadRequest(f"The body is a JSON {type(body).__name__}. Send an object.")
        for name in body:
            if name not in allowed:
                raise Unprocessable(f"{name[:40]!r} is not accepted here. Send {', '.join(allowed)}.", field=name[:40])
        return body

    def json_if_any(self, *allowed: str) -> dict[str, Any]:
        """Return the body as `json` does, and an empty object for a request without a body."""
        return self.json(*allowed) if self.event.get("body") else {}

    def identity(self) -> Identity:
        """Return the caller.

        Raises `Unauthenticated` if a claim is missing or cannot be trusted, and `UserIdRefused` for an email address.
        """
        authorizer = (self.event.get("requestContext") or {}).get("authorizer") or {}
        claims = (authorizer.get("jwt") or {}).get("claims") or {}
        names = settings()
        user_id = claims.get(names.claim_user_id)
        if isinstance(user_id, str) and "@" in user_id:  # a user id is never erased, so it must not be an address
            raise UserIdRefused(
                "Your user id is an email address. The school must set up its sign-in with another user id."
            )
        if not isinstance(user_id, str) or not is_user_id(user_id):
            raise Unauthenticated("The token does not say who you are. Sign in again.")
        if claims.get("token_use", "id") != "id":
            raise Unauthenticated("This is an access token. Send the ID token.")
        if not claims.get("exp"):
            raise Unauthenticated("The token never expires. Sign in again.")
        email = claims.get(names.claim_email)
        verified = str(claims.get(names.claim_email_verified, "")).lower() == "true"
        groups = _groups(str(claims.get(names.claim_groups, "")))
        has_mfa = not names.staff_mfa_claim or _names_mfa(str(claims.get(names.staff_mfa_claim, "")))
        return Identity(user_id, str(email) if email and verified else None, groups, has_mfa)

    def staff(self, *, decides: bool = False) -> Identity:
        """Return the caller if they are staff. Raises `Forbidden`. `support` may read; `decides` requires `admin`."""
        identity = self.identity()
        if not (identity.is_staff if decides else identity.may_read):
            raise Forbidden(
                "Your role may only read. Ask an admin to do this."
                if identity.may_read
                else "Only the school's staff can do this. Sign in with a staff account."
            )
        if not identity.has_mfa:
            raise Forbidden("Staff need a second factor. Set one up for your account, then sign in with it.")
        return identity


def _groups(claim: str) -> frozenset[str]:
    """Return the groups that a claim names. The gateway turns a list into text: `[admin support]`.

    Cognito's group names contain no blanks, so the claim of the template's pool is split at them. Another issuer's
    names may contain blanks, and "school admin" must not count as `admin`. Its claim therefore counts only if it is
    exactly one of the two names of staff, or a list of nothing else.
    """
    if not settings().jwt_issuer:
        return frozenset(claim.removeprefix("[").removesuffix("]").split())
    is_list = claim.startswith("[") and claim.endswith("]")
    groups = frozenset(claim[1:-1].split(" ") if is_list else [claim])
    return groups if groups <= {settings().admin_group, settings().support_group} else frozenset()


def _names_mfa(claim: str) -> bool:
    """Whether the claim about the sign-in is the value that stands for a second factor, or a list that has it.

    The gateway turns a list into text, and the values of `amr` contain no blanks: `[pwd otp mfa]`.
    https://www.rfc-editor.org/rfc/rfc8176
    """
    value = settings().staff_mfa_value
    is_list = claim.startswith("[") and claim.endswith("]")
    return bool(value) and value in (claim[1:-1].split(" ") if is_list else [claim])


def endpoint(handler: Callable[[Request], Reply]) -> Callable[[Event, object], Result]:
    """Turn a function into a Lambda handler: start the deadline, log the request, answer errors as problems.

    This is the end of INIT. No later collection looks at the modules and the client, which live as long as the process.
    """
    gc.freeze()

    @functools.wraps(handler)
    def wrapped(event: Event, _context: object) -> Result:
        clock.start_deadline()
        started = clock.now()
        request = Request(event)
        try:
            reply = handler(request)
        except TuitionError as error:
            reply = problem(error)
            if reply.status == 500:
                logger.exception("unhandled")
            else:
                logger.info("refused", problem=error.type)
        except Exception:
            logger.exception("unhandled")
            reply = problem(TuitionError(INTERNAL_ERROR))
        logger.info(request.route or "request", status=reply.status, ms=round((clock.now() - started) * 1000))
        return _result(reply)

    return wrapped


def problem(error: TuitionError) -> Reply:
    """Return an error as an RFC 9457 problem. The detail of an internal error, or of a Stripe refusal, stays hidden."""
    detail = str(error) if error.status != 500 else INTERNAL_ERROR
    body: dict[str, Any] = {
        "type": PROBLEM_TYPES + error.type,
        "title": error.title,
        "status": error.status,
        "detail": detail,
    }
    members = ("field", "reason", "until", "current_terms", "current_consent", "plan_id")
    body |= {name: getattr(error, name) for name in members if getattr(error, name, None)}
    headers = {"content-type": "application/problem+json"}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
    return Reply(error.status, body, headers)


def _result(reply: Reply) -> Result:
    headers = {
        "content-type": "application/json",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        **reply.headers,
    }
    return {"statusCode": reply.status, "headers": headers, "body": json.dumps(reply.body, separators=(",", ":"))}


# --- the fields of a body ---


def url_field(body: Mapping[str, Any], name: str, default: str) -> str:
    """Return a URL of an allowed origin, by default the path `default` of the first one. Raises `Unprocessable`.

    Comparing the text is enough: after an origin comes the end or a slash, so the origin cannot be part of a longer
    host name or the user name before an @. Stripe fills in `{CHECKOUT_SESSION_ID}`.
    """
    value = text_field(body, name, max_length=2000)
    origins = settings().allowed_origins
    if value is None:
        return (origins[0] if origins else "http://127.0.0.1:8000") + default
    if not any(value == origin or value.startswith(origin + "/") for origin in origins):
        raise Unprocessable(f"{name} must begin with {' or '.join(origins)}", field=name)
    if not set(value.replace("{CHECKOUT_SESSION_ID}", "")) <= URL_CHARACTERS:
        raise Unprocessable(f"{name} has characters that a URL cannot have. Write them as %XX.", field=name)
    return value


def text_field(body: Mapping[str, Any], name: str, *, max_length: int, required: bool = False) -> str | None:
    """Return a text, trimmed; it may have several lines. None if it is missing. Raises `Unprocessable`."""
    value = body.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value.strip():
        raise Unprocessable(f"{name} must be a text and not empty", field=name)
    if len(value) > max_length or texts.FORBIDDEN.search(value):
        raise Unprocessable(
            f"{name} must have at most {max_length} characters, none of them a control character", field=name
        )
    return value.strip()


def flag_field(body: Mapping[str, Any], name: str, *, required: bool = False) -> bool:
    """Return a boolean, by default False. Raises `Unprocessable`."""
    value = body.get(name, None if required else False)
    if not isinstance(value, bool):
        raise Unprocessable(f"{name} must be true or false", field=name)
    return value


def version_field(body: Mapping[str, Any], name: str) -> int | None:
    """Return the number of a state that the caller has seen; None if it is missing. Raises `Unprocessable`."""
    value = body.get(name)
    if value is not None and (type(value) is not int or not 0 <= value < 10**9):
        raise Unprocessable(f"{name} must be a whole number, as you read it before", field=name)
    return value


def amount_field(body: Mapping[str, Any], name: str) -> int | None:
    """Return an amount in minor units; None if it is missing. Raises `Unprocessable`."""
    value = body.get(name)
    if value is not None and (type(value) is not int or not 0 < value < 10**9):
        raise Unprocessable(f"{name} must be a whole number of minor units (cents) above 0", field=name)
    return value
