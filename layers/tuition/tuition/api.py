"""HTTP: the one place where an API Gateway event becomes a request, and a result or an error an answer.

A handler is a function of `Request` to `Reply` under `@endpoint`. Whatever it raises becomes a problem
(RFC 9457, `application/problem+json`) with a stable `type`. One line is logged a request, with neither bodies nor
personal data.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import functools
import json
import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tuition import clock
from tuition.core.errors import (
    BadRequest,
    BodyTooLarge,
    Forbidden,
    TuitionError,
    Unauthenticated,
    Unavailable,
    Unprocessable,
)
from tuition.log import logger
from tuition.settings import settings

BODY_BYTES = 64 * 1024
URL_CHARACTERS = frozenset(string.ascii_letters + string.digits + "-._~:/?#[]@!$&'()*+,;=%")
"""All that an address is written with. https://www.rfc-editor.org/rfc/rfc3986#section-2"""
NOT_WRITING = re.compile(r"[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]")
"""Control characters, halves of surrogate pairs, and what turns the direction of the text around it."""
PROBLEM_TYPES = "https://tuition.school/problems/"

Event = Mapping[str, Any]
Result = dict[str, Any]


@dataclass(frozen=True)
class Identity:
    """Who calls, by the claims of an ID token that the gateway has verified. `email` only where it is verified."""

    user_id: str
    email: str | None
    groups: frozenset[str]

    def buyer_email(self) -> str:
        """The verified address. Raises `Forbidden` where there is none."""
        if self.email is None:
            raise Forbidden("buying needs a verified e-mail address: verify yours, then sign in again")
        return self.email

    @property
    def is_staff(self) -> bool:
        """May read everything and decide: group `admin`."""
        return "admin" in self.groups

    @property
    def may_read(self) -> bool:
        """May read everything: group `admin` or `support`."""
        return bool(self.groups & {"admin", "support"})


@dataclass(frozen=True)
class Reply:
    """What to answer; `body` is JSON."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


class Request:
    """An HTTP API event, payload 2.0."""

    def __init__(self, event: Event) -> None:
        self.event = event

    @property
    def route(self) -> str:
        """The route as the template has it: `GET /api/payments/status/{payment_intent_id}`."""
        return str(self.event.get("routeKey", ""))

    def header(self, name: str) -> str | None:
        """A header by its lower-case name."""
        value = (self.event.get("headers") or {}).get(name)
        return value if isinstance(value, str) else None

    def path(self, name: str) -> str:
        """A part of the path by its name; "" where the route has none of it."""
        return str((self.event.get("pathParameters") or {}).get(name, ""))

    def query(self, *known: str) -> dict[str, str]:
        """The query. Raises `Unprocessable` for a name that is not known."""
        found = self.event.get("queryStringParameters") or {}
        for name in found:
            if name not in known:
                raise Unprocessable(f"{name[:40]!r} is not a query parameter here: use {', '.join(known)}", field=name)
        return dict(found)

    def limit(self, asked: Mapping[str, str]) -> int:
        """`limit` of a list: 1 to 100, 20 where it is not given."""
        written = asked.get("limit", "20")
        if not (written.isascii() and written.isdigit() and len(written) < 4 and 1 <= int(written) <= 100):
            raise Unprocessable("limit must be a number from 1 to 100", field="limit")
        return int(written)

    def raw_body(self, max_length: int = BODY_BYTES) -> bytes:
        """The body as it was sent. Raises `BodyTooLarge` beyond `most` bytes."""
        body = self.event.get("body") or ""
        try:
            raw = base64.b64decode(body, validate=True) if self.event.get("isBase64Encoded") else body.encode()
        except ValueError as error:  # no base64, not even ASCII, or half a surrogate pair
            raise BadRequest("the body cannot be decoded") from error
        if len(raw) > max_length:
            raise BodyTooLarge(f"the body has {len(raw)} bytes: at most {max_length} are accepted")
        return bytes(raw)

    def json(self, *known: str) -> dict[str, Any]:
        """The body as a JSON object with none but the known fields. Raises `BadRequest`, `Unprocessable`."""
        try:
            found = json.loads(self.raw_body().decode("utf-8"))
        except UnicodeDecodeError as error:
            raise BadRequest("the body is not UTF-8") from error
        except (ValueError, RecursionError) as error:
            raise BadRequest('the body is not JSON: send an object such as {"track": "DP"}') from error
        if not isinstance(found, dict):
            raise BadRequest(f"the body is a JSON {type(found).__name__}: send an object")
        for name in found:
            if name not in known:
                raise Unprocessable(f"{name[:40]!r} is not accepted here: send {', '.join(known)}", field=name[:40])
        return found

    def identity(self) -> Identity:
        """Who calls. Raises `Unauthenticated` for claims that we cannot rely on: it fails closed."""
        authorizer = (self.event.get("requestContext") or {}).get("authorizer") or {}
        claims = (authorizer.get("jwt") or {}).get("claims") or {}
        names = settings()
        user_id = claims.get(names.claim_user_id)
        if not isinstance(user_id, str) or not _is_user_id(user_id):
            raise Unauthenticated("the token does not say who you are: sign in again")
        if claims.get("token_use", "id") != "id":
            raise Unauthenticated("this is an access token: send the ID token")
        if not claims.get("exp"):
            raise Unauthenticated("the token never expires: sign in again")
        email = claims.get(names.claim_email)
        verified = str(claims.get(names.claim_email_verified, "")).lower() == "true"
        groups = str(claims.get(names.claim_groups, "")).removeprefix("[").removesuffix("]").split()
        return Identity(user_id, str(email) if email and verified else None, frozenset(groups))

    def staff(self, *, decides: bool = False) -> Identity:
        """Who calls, if they are staff. Raises `Forbidden`. `support` reads, `admin` decides too."""
        identity = self.identity()
        if not (identity.is_staff if decides else identity.may_read):
            raise Forbidden("this is for the school's staff" if not identity.may_read else "support may only read")
        return identity


def _is_user_id(claimed: str) -> bool:
    """Short and plain enough to be a key of ours, a metadata value and part of a header at Stripe, and no payment's id.

    https://openid.net/specs/openid-connect-core-1_0.html#IDToken has `sub` in ASCII too.
    """
    plain = claimed.isascii() and claimed.isprintable() and " " not in claimed
    return 0 < len(claimed) <= 128 and plain and not claimed.startswith("pay_")


def endpoint(handler: Callable[[Request], Reply]) -> Callable[[Event, object], Result]:
    """Make a Lambda handler of a function: deadline, one log line, errors as problems."""

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
                logger.exception("a fault of ours")
            else:
                logger.info("refused", problem=error.type)
        except (ClientError, BotoCoreError):
            logger.exception("AWS failed")
            reply = problem(Unavailable("a part of our system does not answer: try again"))
        except Exception:
            logger.exception("unhandled")
            reply = problem(TuitionError("this is a fault of ours and has been recorded"))
        logger.info(request.route or "request", status=reply.status, ms=round((clock.now() - started) * 1000))
        return _result(reply)

    return wrapped


def problem(error: TuitionError) -> Reply:
    """An error as RFC 9457 has it. What is ours alone (Stripe's refusals, faults) says no more than it must."""
    detail = str(error) if error.status != 500 else "this is a fault of ours and has been recorded"
    body: dict[str, Any] = {
        "type": PROBLEM_TYPES + error.type,
        "title": error.title,
        "status": error.status,
        "detail": detail,
    }
    body |= {name: getattr(error, name) for name in ("field", "reason") if getattr(error, name, None)}
    headers = {"content-type": "application/problem+json"}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
    return Reply(error.status, body, headers)


def _result(reply: Reply) -> Result:
    headers = {"content-type": "application/json", "cache-control": "no-store", **reply.headers}
    return {"statusCode": reply.status, "headers": headers, "body": json.dumps(reply.body, separators=(",", ":"))}


# --- the types of fields ---


def url_field(body: Mapping[str, Any], name: str, default: str) -> str:
    """An address of an allowed origin, or that path of the first. Raises `Unprocessable` for any other.

    What is compared is the text: an origin that is followed by its slash cannot be a part of another host's name, nor
    somebody's name before an @. `{CHECKOUT_SESSION_ID}` is Stripe's to fill in.
    """
    value = text_field(body, name, max_length=2000)
    origins = settings().allowed_origins
    if value is None:
        return (origins[0] if origins else "http://127.0.0.1:8000") + default
    if not any(value == origin or value.startswith(origin + "/") for origin in origins):
        raise Unprocessable(f"{name} must begin with {' or '.join(origins)}", field=name)
    if not set(value.replace("{CHECKOUT_SESSION_ID}", "")) <= URL_CHARACTERS:
        raise Unprocessable(f"{name} has characters that an address cannot have: write them as %XX", field=name)
    return value


def text_field(body: Mapping[str, Any], name: str, *, max_length: int, required: bool = False) -> str | None:
    """A text of a body, trimmed; it may have several lines. Raises `Unprocessable` for any other value."""
    value = body.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value.strip():
        raise Unprocessable(f"{name} must be a text that is not empty", field=name)
    if len(value) > max_length or NOT_WRITING.search(value):
        raise Unprocessable(
            f"{name} must have at most {max_length} characters, none of them a control character", field=name
        )
    return value.strip()


def flag_field(body: Mapping[str, Any], name: str) -> bool:
    """true or false; false where it is not given."""
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise Unprocessable(f"{name} must be true or false", field=name)
    return value


def amount_field(body: Mapping[str, Any], name: str) -> int | None:
    """An amount in minor units, or None where it is not given."""
    value = body.get(name)
    if value is not None and (type(value) is not int or not 0 < value < 10**9):
        raise Unprocessable(f"{name} must be a whole number of minor units (cents) above 0", field=name)
    return value
