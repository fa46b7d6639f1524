"""What can go wrong, as one tree. `tuition.api` turns every leaf into a problem (RFC 9457).

TuitionError
├── BadRequest                400, the request cannot be read
│   ├── BodyTooLarge          413
│   └── SignatureRefused      400, a webhook that we cannot know to be Stripe's
├── Unprocessable             422, read, and not acceptable
│   ├── UnknownTrack
│   └── CodeRefused           a promotion code: unknown, expired, used up, not applicable
├── Unauthenticated           401, no identity that we accept
├── Forbidden                 403, an identity that may not do this
├── NotFound                  404, not there, or somebody else's
├── Conflicted                409, not in this state
│   ├── AlreadyEnrolled
│   ├── PaymentInProgress
│   └── RefundRefused
├── TooManyRequests           429, with Retry-After
├── Unavailable               503, may pass by itself, with Retry-After
│   ├── Contended             503, the same item was changed by others too often
│   ├── StripeUnavailable     502 no answer, 503 limited, 504 too slow
│   └── NotConfigured         503, a secret is not there yet
├── StripeRefused             Stripe's definite no; use cases say what it means
└── EventUnusable             an event for the quarantine, answered 200
"""

from collections.abc import Sequence


class TuitionError(Exception):
    """The root. `type` is the stable name of the problem; `str(error)` says what to do."""

    status = 500
    type = "internal-error"
    title = "Something went wrong on our side"
    retry_after_s: int | None = None


class BadRequest(TuitionError):
    status = 400
    type = "bad-request"
    title = "The request cannot be read"


class BodyTooLarge(BadRequest):
    status = 413
    type = "body-too-large"
    title = "The body is too large"


class SignatureRefused(BadRequest):
    type = "signature-refused"
    title = "The webhook's signature was refused"


class Unprocessable(TuitionError):
    """`field` names what is wrong in the body or the query."""

    status = 422
    type = "unprocessable"
    title = "The request is not acceptable"

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class UnknownTrack(Unprocessable):
    type = "unknown-track"
    title = "There is no such track"

    def __init__(self, code: object, known: Sequence[str]) -> None:
        named = "is missing" if code is None else f"{str(code)[:40]!r} is not a track that we sell"
        super().__init__(f"track {named}: send one of {', '.join(known)}", field="track")


class CodeRefused(Unprocessable):
    type = "promotion-code-refused"
    title = "The promotion code cannot be used"

    def __init__(self, message: str, reason: str) -> None:
        """`reason` is one of `tuition.core.promotion.Reason`."""
        super().__init__(message, field="promotion_code")
        self.reason = reason


class Unauthenticated(TuitionError):
    status = 401
    type = "unauthenticated"
    title = "Sign in"


class Forbidden(TuitionError):
    status = 403
    type = "forbidden"
    title = "Not allowed"


class NotFound(TuitionError):
    status = 404
    type = "not-found"
    title = "Not found"


class Conflicted(TuitionError):
    status = 409
    type = "conflict"
    title = "Not possible in the present state"


class AlreadyEnrolled(Conflicted):
    type = "already-enrolled"
    title = "Already enrolled"


class PaymentInProgress(Conflicted):
    type = "payment-in-progress"
    title = "A payment is in progress"


class RefundRefused(Conflicted):
    type = "refund-refused"
    title = "This payment cannot be refunded"


class TooManyRequests(TuitionError):
    status = 429
    type = "too-many-requests"
    title = "Too many requests"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(TuitionError):
    status = 503
    type = "unavailable"
    title = "Not available for the moment"
    retry_after_s = 5


class Contended(Unavailable):
    type = "contended"
    title = "Too many changes at once"
    retry_after_s = 1


class StripeUnavailable(Unavailable):
    """Stripe gave no definite answer: it may or may not have done what was asked.

    `status` is 502 for a connection lost or a 5xx, 503 for a limit of Stripe's, 504 for no answer in time.
    `replayed` says that Stripe answered from its memory of the idempotency key: the same key gets it again.
    """

    type = "stripe-unavailable"
    title = "Stripe is not available for the moment"

    def __init__(self, message: str, status: int, *, replayed: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.replayed = replayed


class NotConfigured(Unavailable):
    type = "not-configured"
    title = "Not set up yet"
    retry_after_s = 60


class StripeRefused(TuitionError):
    """Stripe's definite no (4xx): nothing was done. Use cases turn it into what it means; unhandled it is ours.

    `replayed`: it is what Stripe answered when the idempotency key came before, and may no longer be so.

    Source: https://docs.stripe.com/api/errors
    """

    def __init__(
        self,
        message: str,
        status: int,
        type_: str,
        code: str | None,
        param: str | None = None,
        *,
        replayed: bool = False,
    ) -> None:
        super().__init__(message)
        self.stripe_status = status
        self.stripe_type = type_
        self.code = code
        self.param = param
        self.replayed = replayed


class EventUnusable(TuitionError):
    """A validly signed event of ours that cannot be applied as it is: for a person, in quarantine."""
