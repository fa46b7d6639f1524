"""A user's enrollment in a track: the standing of each of their payments, and the status that follows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from tuition.core import payment as payments
from tuition.core.payment import Payment

Status = Literal["PENDING", "ENROLLED", "WITHDRAWN"]


@dataclass(frozen=True)
class Standing:
    """The effect of one payment on the enrollment: whether it is open, grants access, ever did, and holds funds."""

    attempt: int
    open: bool = False
    grants: bool = False
    granted: bool = False
    holds_funds: bool = False

    @property
    def counts(self) -> bool:
        """Whether it matters. A payment that was closed unpaid does not, so such standings are not stored."""
        return self.open or self.grants or self.granted or self.holds_funds


@dataclass(frozen=True, kw_only=True)
class Enrollment:
    """A user's enrollment in a track.

    `attempt` is the highest attempt number used, `attempt_times` the times (epoch seconds) of recent attempts.
    `version` is 0 until an item is stored.
    """

    user_id: str
    track: str
    standings: Mapping[str, Standing] = field(default_factory=dict)
    attempt: int = 0
    attempt_times: tuple[int, ...] = ()
    version: int = 0

    @property
    def status(self) -> Status | None:
        """ENROLLED while a payment grants access, PENDING while one is open, WITHDRAWN if one ever did, else None."""
        standings = self.standings.values()
        if any(standing.grants for standing in standings):
            return "ENROLLED"
        if any(standing.open for standing in standings):
            return "PENDING"
        return "WITHDRAWN" if self.granted else None

    @property
    def granted(self) -> bool:
        """Whether any payment ever granted access: then the user has progress, whatever happened later."""
        return any(standing.granted for standing in self.standings.values())

    @property
    def open_payments(self) -> list[str]:
        """The ids of the open payments, newest attempt first. By design there is at most one."""
        by_attempt = [(standing.attempt, key) for key, standing in self.standings.items() if standing.open]
        return [key for _, key in sorted(by_attempt, reverse=True)]

    @property
    def undecided(self) -> bool:
        """Whether we hold money that never granted access, because the amount received differs from the price."""
        return any(standing.holds_funds and not standing.granted for standing in self.standings.values())

    @property
    def doubled(self) -> list[str]:
        """The payments that hold funds in addition to another: all but the lowest by attempt, then id."""
        by_attempt = sorted((s.attempt, key) for key, s in self.standings.items() if s.holds_funds)
        return [key for _, key in by_attempt[1:]]

    def with_payment(self, payment: Payment) -> "Enrollment":
        """Return this enrollment with the payment's present standing, and without standings that do not matter."""
        standings = {**self.standings, payment.payment_id: standing_of(payment)}
        standings = {key: standing for key, standing in standings.items() if standing.counts}
        return replace(self, standings=standings, attempt=max(self.attempt, payment.attempt))

    def standings_to_json(self) -> dict[str, Any]:
        """Return the standings by payment id as dicts for JSON, without false fields."""
        return {key: {n: v for n, v in asdict(s).items() if v is not False} for key, s in self.standings.items()}


def standing_of(payment: Payment) -> Standing:
    """Return the present standing of a payment."""
    return Standing(
        attempt=payment.attempt,
        open=payment.open,
        grants=payments.grants_access(payment),
        granted=payments.ever_granted(payment),
        holds_funds=payments.holds_funds(payment),
    )
