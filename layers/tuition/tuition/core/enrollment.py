"""A user's enrollment in a track, derived from the standings of their payments for it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from tuition.core import payment as payments
from tuition.core.payment import Payment

MAX_PAST_STANDINGS = 50
"""The newest standings that granted access or were refunded.

Older ones are shed unless they are open, grant access or hold funds.
"""

Status = Literal["PENDING", "ENROLLED", "WITHDRAWN"]


@dataclass(frozen=True)
class Standing:
    """The effect of one payment on its enrollment.

    `grants`: it gives access now. `granted`: it has ever given access. `holds_funds`: money is left after refunds.
    `revoked`: staff have revoked its access. `refunded`: a refund of it was made or is being made. `withdrawn`: the
    student has withdrawn from its contract, so it gives no access and its money is due.
    """

    attempt: int
    open: bool = False
    grants: bool = False
    granted: bool = False
    holds_funds: bool = False
    revoked: bool = False
    refunded: bool = False
    withdrawn: bool = False

    @property
    def counts(self) -> bool:
        """Whether it affects the enrollment. That of a payment that was closed unpaid does not, so it is not stored."""
        return self.is_current or self.is_past

    @property
    def is_past(self) -> bool:
        """Whether it has granted access or was refunded, which later purchases and refunds depend on."""
        return self.granted or self.refunded

    @property
    def is_current(self) -> bool:
        """Whether it decides about access or money now."""
        return self.open or self.grants or self.holds_funds


@dataclass(frozen=True, kw_only=True)
class Enrollment:
    """A user in a track. Its status is derived from its standings, by payment id.

    `attempt` is the highest attempt used, `attempt_times` the times (epoch seconds) of the newest attempts. `version` 0
    means that no item is stored yet. `erased`: the user's data were erased, so no write may store such data again.
    """

    user_id: str
    track: str
    standings: Mapping[str, Standing] = field(default_factory=dict)
    attempt: int = 0
    attempt_times: tuple[int, ...] = ()
    version: int = 0
    erased: bool = False

    @property
    def status(self) -> Status | None:
        """ENROLLED if a payment grants access, else PENDING if one is open, else WITHDRAWN if one ever granted it.

        None otherwise.
        """
        standings = self.standings.values()
        if any(standing.grants for standing in standings):
            return "ENROLLED"
        if any(standing.open for standing in standings):
            return "PENDING"
        return "WITHDRAWN" if self.granted else None

    @property
    def granted(self) -> bool:
        """Whether a payment ever gave access, so that the user has progress, whatever happened later."""
        return any(standing.granted for standing in self.standings.values())

    @property
    def open_payments(self) -> list[str]:
        """The ids of the open payments, the newest attempt first. By design there is at most one."""
        attempts = [(standing.attempt, key) for key, standing in self.standings.items() if standing.open]
        return [key for _, key in sorted(attempts, reverse=True)]

    @property
    def undecided(self) -> bool:
        """Whether we hold money that never granted access: the amount received differs from the price.

        Staff must decide. They have decided about a payment whose access they revoked. After a withdrawal there is
        nothing to decide.
        """
        standings = self.standings.values()
        return any(s.holds_funds and not (s.granted or s.revoked or s.withdrawn) for s in standings)

    @property
    def doubled(self) -> list[str]:
        """The ids of surplus payments that hold funds: all but the first by attempt, then id.

        The money of a withdrawal is due anyway, so that payment is never one too many.
        """
        attempts = sorted((s.attempt, key) for key, s in self.standings.items() if s.holds_funds and not s.withdrawn)
        return [key for _, key in attempts[1:]]

    @property
    def refunded_payments(self) -> frozenset[str]:
        """The ids of the payments with a refund that was made, is being made, or is due after a withdrawal."""
        return frozenset(key for key, standing in self.standings.items() if standing.refunded or standing.withdrawn)

    @property
    def current_payment(self) -> str | None:
        """The id of the payment that decides the status: the newest attempt that grants access.

        Else the newest one that is open, else the newest of all. None without a standing.
        """
        by_rank = [((s.grants, s.open, s.attempt), key) for key, s in self.standings.items()]
        return max(by_rank)[1] if by_rank else None

    def with_payment(self, payment: Payment) -> "Enrollment":
        """Return this enrollment with the payment's current standing, and without standings that do not count.

        Of past standings only the newest are kept, because the item's size is limited. None of the others decides.
        """
        standings = {**self.standings, payment.payment_id: standing_of(payment)}
        attempt, erased = max(self.attempt, payment.attempt), self.erased or payment.facts.erased
        return replace(self, standings=kept(standings), attempt=attempt, erased=erased)

    def standings_to_json(self) -> dict[str, Any]:
        """Return the standings by payment id as dicts for JSON, without flags that are false."""
        return {key: {n: v for n, v in asdict(s).items() if v is not False} for key, s in self.standings.items()}


def kept(standings: Mapping[str, Standing]) -> dict[str, Standing]:
    """Return the standings that an enrollment keeps: the current ones, and the newest of those that are past."""
    past = sorted((standing.attempt, key) for key, standing in standings.items() if standing.is_past)
    newest = {key for _, key in past[-MAX_PAST_STANDINGS:]}
    return {key: standing for key, standing in standings.items() if standing.is_current or key in newest}


def standing_problem(enrollment: Enrollment, payment_id: str, payment: Payment | None) -> str | None:
    """Return why a standing must not grant access: its payment does not. None if it grants none, or the payment does.

    `payment` is the payment that is stored under this id, if any.
    """
    if not enrollment.standings[payment_id].grants:
        return None
    if payment is None:
        return "it grants access, but there is no such payment"
    if (payment.user_id, payment.track) != (enrollment.user_id, enrollment.track):
        return "it grants access, but its payment is of another user or track"
    if not payments.grants_access(payment):
        return f"it grants access, but its payment is {payment.status} and does not"
    return None


def standing_of(payment: Payment) -> Standing:
    """Return the current standing of a payment."""
    return Standing(
        attempt=payment.attempt,
        open=payment.open,
        grants=payments.grants_access(payment),
        granted=payments.ever_granted(payment),
        holds_funds=payments.holds_funds(payment),
        revoked=payments.is_revoked(payment),
        refunded=payments.has_refund(payment),
        withdrawn=payment.facts.withdrawn is not None,
    )
