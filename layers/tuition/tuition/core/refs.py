"""References to a payment, to what grants access to a track, and to a user's Stripe customer."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

MAX_USER_ID_LENGTH = 128


type Grantor = str
"""The id of what grants access to an enrollment: a payment without a plan (`pay_…`), or a plan (`pln_…`)."""

PLAN_PREFIX = "pln_"

PlanKind = Literal["installments", "membership"]


def plan_kind(*, is_membership: bool) -> PlanKind:
    """Return the kind of a plan or an offer."""
    return "membership" if is_membership else "installments"


def is_plan(grantor: Grantor) -> bool:
    """Whether this is the id of a plan. Any other grantor is a payment."""
    return grantor.startswith(PLAN_PREFIX)


def is_user_id(text: str) -> bool:
    """Whether a text can be a user id.

    It becomes part of our keys, of Stripe's metadata and of a header to Stripe, and must not look like the id of a
    payment or plan, because all of these name a chain of audit records. It is a pseudonym and never erased, so it is no
    email address. `sub` is ASCII too: https://openid.net/specs/openid-connect-core-1_0.html#IDToken
    """
    plain = text.isascii() and text.isprintable() and " " not in text and "@" not in text
    return 0 < len(text) <= MAX_USER_ID_LENGTH and plain and not text.startswith(("pay_", PLAN_PREFIX))


@dataclass(frozen=True)
class PaymentRef:
    """The ids of a payment, its user, and its track or membership: they name the payment and its enrollment."""

    payment_id: str
    user_id: str
    track: str


class Customer(NamedTuple):
    """A user's Stripe customer. `generation` rises each time a new customer replaces one that is missing at Stripe.

    `email` is the address that Stripe was sent last, even if Stripe rejected it. None: not known. `first_purchases` has
    the payment that holds the user's first-purchase claim; a second one only if it settled after it had been closed.
    """

    user_id: str
    stripe_customer_id: str
    generation: int
    email: str | None
    first_purchases: frozenset[str] = frozenset()
