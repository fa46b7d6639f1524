"""Stripe's errors, in the shape of its API.

https://docs.stripe.com/api/errors

StripeError                    any handler may raise it; the response is `{"error": {...}}`
├── from invalid_request()     400 invalid_request_error, found while the request executes
├── from validation_error()    400 invalid_request_error, found before the request executes
├── from resource_missing()    404 (named by the path) or 400 (named by a parameter), code resource_missing
└── from card_error()          402 card_error, with the intent inside
NoAnswer                       the connection closes without a response (faults of `/_sim/calls`)

An idempotency key keeps the response of every error but a validation error.
"""

from typing import Any

DOCS = "https://docs.stripe.com/error-codes/"
LOGS = "https://dashboard.stripe.com/test/logs/"


class StripeError(Exception):
    """A response with status >= 400. `stored` is whether an idempotency key keeps it.

    `missing_id` is the id in the path of which no object exists. `api.py` names the path's parameter in `param`.
    """

    missing_id: str | None = None

    def __init__(self, status: int, kind: str, message: str, *, stored: bool = True, **fields: Any) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.stored = stored
        self.fields = {name: value for name, value in fields.items() if value is not None}

    def body(self, request_id: str, log_url: str = LOGS) -> dict[str, Any]:
        """Return the response body. `log_url` begins the address of the request's page in the inspector."""
        error: dict[str, Any] = {"message": self.message, "type": self.kind}
        error.update(self.fields)
        code = error.get("code")
        if isinstance(code, str) and self.kind in {"invalid_request_error", "card_error"}:
            error["doc_url"] = DOCS + code.replace("_", "-")
        error["request_log_url"] = f"{log_url}{request_id}"
        return {"error": error}


class NoAnswer(Exception):
    """The connection closes without a response. `kind` is `before`, `after` or `hang`."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"the simulator closes the connection: {kind}")
        self.kind = kind


def invalid_request(message: str, *, code: str | None = None, param: str | None = None, **fields: Any) -> StripeError:
    """Return a 400 invalid_request_error found while the request executes: the idempotency key keeps it."""
    return StripeError(400, "invalid_request_error", message, code=code, param=param, **fields)


def validation_error(message: str, *, code: str | None = None, param: str | None = None) -> StripeError:
    """Return a 400 invalid_request_error found before the request executes: the idempotency key stays unused."""
    return StripeError(400, "invalid_request_error", message, stored=False, code=code, param=param)


def resource_missing(name: str, id: str, *, param: str | None = None) -> StripeError:
    """Return the error for a missing object: 404 if the path names it, 400 if the parameter `param` does."""
    status = 404 if param is None else 400
    message = f"No such {name}: '{id}'"
    error = StripeError(status, "invalid_request_error", message, code="resource_missing", param=param)
    error.missing_id = id if param is None else None
    return error


def card_error(
    message: str, *, code: str, decline_code: str | None = None, charge: str | None = None, **fields: Any
) -> StripeError:
    """Return a 402 card_error.

    https://docs.stripe.com/declines
    """
    return StripeError(402, "card_error", message, code=code, decline_code=decline_code, charge=charge, **fields)
