"""The error tree. `tuition.api` turns every error into a problem (RFC 9457).

TuitionError
├── BadRequest                400, the request cannot be read
│   ├── BodyTooLarge          413
│   └── SignatureRefused      400, a webhook that is not proven to be Stripe's
├── Unprocessable             422, understood, but not acceptable
│   ├── UnknownTrack          a track that is not sold
│   └── CodeRefused           a promotion code: unknown, expired, used up, not applicable
├── Unauthenticated           401, no valid identity
├── Forbidden                 403, this identity may not do that
├── NotFound                  404, missing, or another user's
├── Conflicted                409, not possible in the present state
│   ├── AlreadyEnrolled
│   ├── PaymentInProgress
│   └── RefundRefused
├── TooManyRequests           429, with Retry-After
├── Unavailable               503, temporary, with Retry-After
│   ├── Contended             503, too many concurrent changes of one item
│   ├── StripeUnavailable     502 no answer, 503 rate-limited, 504 timeout
│   └── NotConfigured         503, a secret has no value yet
├── StripeRefused             a definite refusal (4xx); use cases say what it means
└── EventUnusable             an event for the quarantine, answered 200
"""

from collections.abc import Sequence


class TuitionError(Exception):
    """The root. `type` is the stable name of the problem; `str(error)` says what happened and what to do."""

    status = 500
    type = "internal-error"
    title = "Something went wrong on our side"
    retry_after_s: int | None = None


class BadRequest(TuitionError):
    """The request cannot be read."""

    status = 400
    type = "bad-request"
    title = "The request cannot be read"


class BodyTooLarge(BadRequest):
    """The body exceeds the limit."""

    status = 413
    type = "body-too-large"
    title = "The body is too large"


class SignatureRefused(BadRequest):
    """The webhook's signature does not prove that Stripe sent it."""

    type = "signature-refused"
    title = "The webhook's signature was refused"


class Unprocessable(TuitionError):
    """The request was understood but cannot be accepted. `field` names the part that is wrong."""

    status = 422
    type = "unprocessable"
    title = "The request is not acceptable"

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class UnknownTrack(Unprocessable):
    """The track is not sold."""

    type = "unknown-track"
    title = "There is no such track"

    def __init__(self, code: object, tracks: Sequence[str]) -> None:
        problem = "track is missing" if code is None else f"{str(code)[:40]!r} is not a track that we sell"
        super().__init__(f"{problem}. Send one of {', '.join(tracks)}.", field="track")


class CodeRefused(Unprocessable):
    """The promotion code cannot be used; `reason` says why."""

    type = "promotion-code-refused"
    title = "The promotion code cannot be used"

    def __init__(self, message: str, reason: str) -> None:
        """Take a `reason` of `tuition.core.promotion_rules.Reason`."""
        super().__init__(message, field="promotion_code")
        self.reason = reason


class Unauthenticated(TuitionError):
    """The request has no valid identity."""

    status = 401
    type = "unauthenticated"
    title = "Sign in"


class Forbidden(TuitionError):
    """The identity may not do this."""

    status = 403
    type = "forbidden"
    title = "Not allowed"


class NotFound(TuitionError):
    """The thing does not exist, or belongs to another user."""

    status = 404
    type = "not-found"
    title = "Not found"


class Conflicted(TuitionError):
    """The present state does not allow this."""

    status = 409
    type = "conflict"
    title = "Not possible in the present state"


class AlreadyEnrolled(Conflicted):
    """The user is enrolled in this track."""

    type = "already-enrolled"
    title = "Already enrolled"


class PaymentInProgress(Conflicted):
    """Another payment for this track must be finished first."""

    type = "payment-in-progress"
    title = "A payment is in progress"


class RefundRefused(Conflicted):
    """The payment cannot be refunded."""

    type = "refund-refused"
    title = "This payment cannot be refunded"


class TooManyRequests(TuitionError):
    """A bound was exceeded; `retry_after_s` says when to try again."""

    status = 429
    type = "too-many-requests"
    title = "Too many requests"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(TuitionError):
    """A temporary failure: the same request can be repeated."""

    status = 503
    type = "unavailable"
    title = "Temporarily unavailable"
    retry_after_s = 5


class Contended(Unavailable):
    """Other requests kept changing the same item."""

    type = "contended"
    title = "Too many changes at once"
    retry_after_s = 1


class StripeUnavailable(Unavailable):
    """Stripe gave no definite answer, so the call may or may not have had its effect.

    `status` is 502 for a lost connection or a 5xx, 503 for a rate limit, 504 for a timeout. `replayed`: Stripe replayed
    the answer of the idempotency key, and will replay it for the same key again.
    """

    type = "stripe-unavailable"
    title = "Stripe is temporarily unavailable"

    def __init__(self, message: str, status: int, *, replayed: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.replayed = replayed


class NotConfigured(Unavailable):
    """A setting or secret is missing or unusable."""

    type = "not-configured"
    title = "Not set up yet"
    retry_after_s = 60


class StripeRefused(TuitionError):
    """Stripe refused the call (4xx) and did nothing. Use cases turn it into what it means.

    `replayed`: Stripe replayed the answer of the idempotency key, which may no longer be true.

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
    """A signed event of ours that cannot be applied as it is, and goes into quarantine."""
