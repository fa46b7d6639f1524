"""Stripe's errors, in its shape. https://docs.stripe.com/api/errors

StripeError                what any handler may raise; answered as `{"error": {...}}`
├── from invalid()         400 invalid_request_error
├── from missing()         404 (path) or 400 (parameter), code resource_missing
├── from declined()        402 card_error, with the intent inside
└── from unvalidated()     400, and not kept under the request's idempotency key
NoAnswer                   the connection is closed without an answer (faults of `/_sim/calls`)
"""

from typing import Any

DOCS = "https://docs.stripe.com/error-codes/"


class StripeError(Exception):
    """An answer with status >= 400; `stored` says whether an idempotency key keeps it."""

    def __init__(self, status: int, kind: str, message: str, *, stored: bool = True, **fields: Any) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.stored = stored
        self.fields = {name: value for name, value in fields.items() if value is not None}

    def body(self, request_id: str) -> dict[str, Any]:
        """The body of the answer."""
        error: dict[str, Any] = {"message": self.message, "type": self.kind}
        error.update(self.fields)
        code = error.get("code")
        if isinstance(code, str) and self.kind in {"invalid_request_error", "card_error"}:
            error["doc_url"] = DOCS + code.replace("_", "-")
        error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
        return {"error": error}


class NoAnswer(Exception):
    """The connection ends without an answer; `kind` is `before`, `after` or `hang`."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"the simulator closes the connection: {kind}")
        self.kind = kind


def invalid(message: str, *, code: str | None = None, param: str | None = None, **fields: Any) -> StripeError:
    """400 invalid_request_error, found while executing: kept under the idempotency key."""
    return StripeError(400, "invalid_request_error", message, code=code, param=param, **fields)


def unvalidated(message: str, *, code: str | None = None, param: str | None = None) -> StripeError:
    """400 invalid_request_error, found before executing: the idempotency key stays free."""
    return StripeError(400, "invalid_request_error", message, stored=False, code=code, param=param)


def missing(what: str, id: str, *, param: str | None = None) -> StripeError:
    """No such object: 404 when the path names it (`param` is then `id`), 400 when a parameter does."""
    status = 404 if param is None else 400
    message = f"No such {what}: '{id}'"
    return StripeError(status, "invalid_request_error", message, code="resource_missing", param=param or "id")


def declined(
    message: str, *, code: str, decline_code: str | None = None, charge: str | None = None, **fields: Any
) -> StripeError:
    """402 card_error. https://docs.stripe.com/declines"""
    return StripeError(402, "card_error", message, code=code, decline_code=decline_code, charge=charge, **fields)
