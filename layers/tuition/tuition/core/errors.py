"""The errors of Tuition, in one hierarchy. `tuition.api` turns each into a problem (RFC 9457).

TuitionError
├── BadRequest                400, the request cannot be read
│   ├── BodyTooLarge          413
│   └── SignatureRefused      400, a webhook without a valid signature of Stripe's
├── Unprocessable             422, a value that is not accepted
│   ├── UnknownTrack
│   ├── CodeRefused           a promotion code: unknown, expired, used up, not applicable
│   ├── UnknownOffer          a track or membership has no such offer, or there is no such membership
│   ├── NotAPlan              the offer is the full price, which is bought without a plan
│   ├── ConsentOutdated       the student agreed to another text than the current one
│   ├── CodeNotAccepted       a plan takes no promotion code
│   ├── RegionNotOffered      plans are not offered in the region of the school's buyers
│   ├── MethodNotReusable     a payment method that cannot be kept, or was not kept, for later charges
│   └── AmountTooSmall        Stripe charges no amount that is so small
├── Unauthenticated           401, no valid identity
├── Forbidden                 403, an identity without this permission
│   └── UserIdRefused         the user id is an email address
├── NotFound                  404, missing, or another user's
├── Conflicted                409, not possible in the current state
│   ├── AlreadyEnrolled
│   ├── AlreadyPaid           a payment that is paid cannot be canceled
│   ├── PaymentInProgress
│   ├── PlanOpen              a plan of the user for the track is partly paid and can still be paid
│   ├── PlanNotPayable        nothing of the plan can be paid
│   ├── MethodInUse           a plan of the user charges the payment method
│   ├── NothingDue            no installment of the plan is due
│   ├── NoMembershipAccess    the membership gives no access, so no track can begin
│   ├── PurchasesBlocked      the user may buy no track until staff allow it
│   ├── NotSelling            staff have stopped selling
│   ├── TermsChanged          the student agreed to other terms than the current ones
│   ├── MoneyOpen             a payment, refund or dispute of the user is not decided yet
│   ├── UserErased            the user's data are erased, or will be
│   ├── LegalHold             staff hold the user's data, so they are neither erased nor deleted
│   ├── RefundRefused
│   ├── WithdrawalUnconfirmed the refund request would be a withdrawal, which needs a confirmation
│   └── RefundRepeated        staff refund an amount that was refunded before, without saying that they mean it
├── TooManyRequests           429, with Retry-After
├── Unavailable               503, temporary, with Retry-After
│   ├── Contended             503, too many conflicts with other writers
│   ├── StripeUnavailable     502 no answer, 503 rate limit, 504 timeout
│   └── NotConfigured         503, a secret or setting is missing or invalid
├── StripeRefused             a definite refusal by Stripe; use cases translate it
└── EventUnusable             an event for quarantine, answered 200
"""

from collections.abc import Sequence


class TuitionError(Exception):
    """The base class. `type` is the stable name of the problem; `str(error)` says what happened and what to do."""

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
    """The body exceeds the size limit."""

    status = 413
    type = "body-too-large"
    title = "The body is too large"


class SignatureRefused(BadRequest):
    """A webhook has no valid signature."""

    type = "signature-refused"
    title = "The webhook's signature was refused"


class Unprocessable(TuitionError):
    """A value is not accepted. `field` names it in the body or the query."""

    status = 422
    type = "unprocessable"
    title = "The request is not valid"

    def __init__(self, message: str, field: str | None = None) -> None:
        """Create the error. `field` is None if no single field is wrong."""
        super().__init__(message)
        self.field = field


class UnknownTrack(Unprocessable):
    """There is no track with this code, or the code is missing."""

    type = "unknown-track"
    title = "There is no such track"

    def __init__(self, code: object, codes: Sequence[str]) -> None:
        """Create the error for the `code` received. `codes` are those that exist."""
        problem = "No track was sent." if code is None else f"There is no track {str(code)[:40]!r}."
        super().__init__(f"{problem} Send one of {', '.join(codes)}.", field="track")


class CodeRefused(Unprocessable):
    """A promotion code cannot be used, for `reason`."""

    type = "promotion-code-refused"
    title = "The promotion code cannot be used"

    def __init__(self, message: str, reason: str) -> None:
        """Create the error. `reason` is one of `tuition.core.promotion_rules.Reason`."""
        super().__init__(message, field="promotion_code")
        self.reason = reason


class UnknownOffer(Unprocessable):
    """There is no such offer of a track or membership, or no such membership. `field` says which."""

    type = "unknown-offer"
    title = "There is no such offer"


class NotAPlan(Unprocessable):
    """The offer is the full price at once. It is bought without a plan."""

    type = "not-a-plan"
    title = "This offer is not a payment plan"


class ConsentOutdated(Unprocessable):
    """The student agreed to another version of the consent text. `current_consent` is the current one."""

    type = "consent-outdated"
    title = "The text that you agreed to has changed"

    def __init__(self, current_consent: str) -> None:
        """Create the error with the current version."""
        super().__init__(
            f"The text of the payment plan has changed: the current version is {current_consent}. Read it, then agree "
            "again.",
            field="consent",
        )
        self.current_consent = current_consent


class CodeNotAccepted(Unprocessable):
    """A plan takes no promotion code."""

    type = "promotion-code-not-accepted"
    title = "A payment plan takes no promotion code"


class RegionNotOffered(Unprocessable):
    """Plans are not offered in the region of the school's buyers."""

    type = "region-not-offered"
    title = "Payment plans are not offered here"


class MethodNotReusable(Unprocessable):
    """The payment method cannot be charged again later, or its student has not allowed it."""

    type = "payment-method-not-reusable"
    title = "This payment method cannot be used for a payment plan"


class AmountTooSmall(Unprocessable):
    """Stripe does not charge so small an amount in this currency."""

    type = "amount-too-small"
    title = "The amount is too small to be charged"


class Unauthenticated(TuitionError):
    """The request has no valid identity."""

    status = 401
    type = "unauthenticated"
    title = "Sign in"


class Forbidden(TuitionError):
    """The user does not have this permission."""

    status = 403
    type = "forbidden"
    title = "Not allowed"


class UserIdRefused(Forbidden):
    """The user id of the token is an email address. Nothing is stored for it."""

    type = "user-id-refused"
    title = "This user id cannot be used"


class NotFound(TuitionError):
    """The object does not exist, or belongs to another user."""

    status = 404
    type = "not-found"
    title = "Not found"


class Conflicted(TuitionError):
    """The action is not possible in the current state."""

    status = 409
    type = "conflict"
    title = "Not possible in the current state"


class AlreadyEnrolled(Conflicted):
    """The user is already enrolled in the track."""

    type = "already-enrolled"
    title = "Already enrolled"


class AlreadyPaid(Conflicted):
    """The payment is paid, so it cannot be canceled."""

    type = "already-paid"
    title = "Already paid"


class PaymentInProgress(Conflicted):
    """Another payment of the user for the track is in progress."""

    type = "payment-in-progress"
    title = "A payment is in progress"


class PlanOpen(Conflicted):
    """A plan of the user for the same track or membership is partly paid, and its rest can be paid."""

    type = "plan-open"
    title = "A payment plan is not paid yet"

    def __init__(self, message: str, plan_id: str) -> None:
        """Create the error with the plan whose rest can be paid."""
        super().__init__(message)
        self.plan_id = plan_id


class PlanNotPayable(Conflicted):
    """Nothing of the plan can be paid: it is complete, closed or refunded, or was never begun."""

    type = "plan-not-payable"
    title = "Nothing of this payment plan can be paid"


class MethodInUse(Conflicted):
    """A plan of the user will charge this payment method, so it stays saved until they choose another one for it."""

    type = "payment-method-in-use"
    title = "A payment plan uses this payment method"

    def __init__(self, message: str, plan_id: str) -> None:
        """Create the error with the plan that charges the method."""
        super().__init__(message)
        self.plan_id = plan_id


class NothingDue(Conflicted):
    """No installment of the plan is due."""

    type = "nothing-due"
    title = "Nothing is due"


class NoMembershipAccess(Conflicted):
    """The membership gives no access now, so no track can begin."""

    type = "no-membership-access"
    title = "The membership gives no access"


class PurchasesBlocked(Conflicted):
    """The user may buy no track until staff allow it."""

    type = "purchases-blocked"
    title = "Buying is blocked"


class NotSelling(Conflicted):
    """Staff have stopped selling: no student can begin a purchase, or continue one."""

    type = "not-selling"
    title = "Selling has stopped"


class TermsChanged(Conflicted):
    """The student agreed to other terms than the current ones. `current_terms` is their version, if there are any."""

    type = "terms-changed"
    title = "The terms have changed"

    def __init__(self, current_terms: str | None) -> None:
        """Create the error with the version of the current terms; None if the school asks for no agreement."""
        if current_terms is None:
            message = "There are no terms to agree to now. Reload the page, then try again."
        else:
            message = f"The terms have changed: the current version is {current_terms}. Read them, then agree again."
        super().__init__(message)
        self.current_terms = current_terms


class LegalHold(Conflicted):
    """Staff hold the user's data: they are neither erased, deleted nor corrected until the hold is lifted."""

    type = "legal-hold"
    title = "These data must be kept for now"


class MoneyOpen(Conflicted):
    """The user's data cannot be erased yet, for `reason`. `until` is when they may be (RFC 3339 UTC), if known."""

    type = "money-open"
    title = "Money is not settled yet"

    def __init__(self, message: str, reason: str, until: str | None) -> None:
        """Create the error. `reason` is one of `tuition.core.erasure.OpenMoney`."""
        super().__init__(message)
        self.reason = reason
        self.until = until


class UserErased(Conflicted):
    """The data of this user id are erased, or will be. It can buy nothing any more."""

    type = "user-erased"
    title = "This account was erased"


class RefundRefused(Conflicted):
    """The payment cannot be refunded, or not in this way."""

    type = "refund-refused"
    title = "This payment cannot be refunded"


class WithdrawalUnconfirmed(Conflicted):
    """A refund request in the withdrawal period is a withdrawal, which the student must confirm as such."""

    type = "withdrawal-unconfirmed"
    title = "Confirm the withdrawal"


class RefundRepeated(Conflicted):
    """The same amount of this payment was refunded before, and nothing says that this refund is a second one."""

    type = "refund-repeated"
    title = "The same amount was already refunded"


class TooManyRequests(TuitionError):
    """The user exceeded a rate limit."""

    status = 429
    type = "too-many-requests"
    title = "Too many requests"

    def __init__(self, message: str, retry_after_s: int) -> None:
        """Create the error. `retry_after_s` is the wait in seconds until a retry can succeed."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(TuitionError):
    """A temporary failure: a retry may succeed."""

    status = 503
    type = "unavailable"
    title = "Temporarily unavailable"
    retry_after_s = 5


class Contended(Unavailable):
    """A write gave up after too many conflicts with other writers."""

    type = "contended"
    title = "Too many changes at once"
    retry_after_s = 1


class StripeUnavailable(Unavailable):
    """Stripe gave no definite answer: the request may or may not have taken effect.

    `status` is 502 for a lost connection or a 5xx, 503 for Stripe's rate limit, 504 for a timeout. `replayed` says that
    Stripe replayed the stored response of the idempotency key: a retry with the same key gets the same response.
    """

    type = "stripe-unavailable"
    title = "Stripe is temporarily unavailable"

    def __init__(self, message: str, status: int, *, replayed: bool = False) -> None:
        """Create the error. `status` is the one to answer with."""
        super().__init__(message)
        self.status = status
        self.replayed = replayed


class NotConfigured(Unavailable):
    """A secret or a setting is missing or invalid."""

    type = "not-configured"
    title = "Not set up yet"
    retry_after_s = 60


class StripeRefused(TuitionError):
    """Stripe refused a request (4xx), which had no effect. Use cases translate it; unhandled, it is answered as a 500.

    `replayed` says that Stripe replayed the stored response of the idempotency key, which may be out of date.

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
        """Create the error from Stripe's: its status, `type`, `code` and `param`."""
        super().__init__(message)
        self.stripe_status = status
        self.stripe_type = type_
        self.code = code
        self.param = param
        self.replayed = replayed


class EventUnusable(TuitionError):
    """An event of ours is validly signed but cannot be applied. It goes to quarantine for staff."""
