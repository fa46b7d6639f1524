"""A user in a track: the standings of their payments for it, and what follows from them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from tuition.core import payment as payments
from tuition.core.payment import Payment

Status = Literal["PENDING", "ENROLLED", "WITHDRAWN"]


@dataclass(frozen=True)
class Standing:
    """What one payment means for the enrollment: open, granting now, granted once, holding money."""

    attempt: int
    open: bool = False
    grants: bool = False
    granted: bool = False
    holds_funds: bool = False

    @property
    def counts(self) -> bool:
        """It says something: one that was closed unpaid does not, however many of them there were."""
        return self.open or self.grants or self.granted or self.holds_funds


@dataclass(frozen=True, kw_only=True)
class Enrollment:
    """`attempt` is the highest used; `attempt_times` the times (epoch seconds) of the newest attempts.

    `version` 0: no item yet.
    """

    user_id: str
    track: str
    standings: Mapping[str, Standing] = field(default_factory=dict)
    attempt: int = 0
    attempt_times: tuple[int, ...] = ()
    version: int = 0

    @property
    def status(self) -> Status | None:
        """ENROLLED while a payment grants, PENDING while one is open, WITHDRAWN if one ever granted, else None."""
        standings = self.standings.values()
        if any(standing.grants for standing in standings):
            return "ENROLLED"
        if any(standing.open for standing in standings):
            return "PENDING"
        return "WITHDRAWN" if self.granted else None

    @property
    def granted(self) -> bool:
        """Somebody who ever granted has progress, whatever happened later."""
        return any(standing.granted for standing in self.standings.values())

    @property
    def open_payments(self) -> list[str]:
        """The ids of the open payments, the newest attempt first. By design there is one at most."""
        found = [(standing.attempt, key) for key, standing in self.standings.items() if standing.open]
        return [key for _, key in sorted(found, reverse=True)]

    @property
    def undecided(self) -> bool:
        """Money is held that never let its user in: another amount came than was asked, and staff must decide."""
        return any(standing.holds_funds and not standing.granted for standing in self.standings.values())

    @property
    def doubled(self) -> list[str]:
        """The payments that hold money beside another: all but the lowest by attempt, then id."""
        found = sorted((s.attempt, key) for key, s in self.standings.items() if s.holds_funds)
        return [key for _, key in found[1:]]

    def with_payment(self, payment: Payment) -> "Enrollment":
        """This enrollment with the standing of that payment as it is now, and without those that say nothing."""
        standings = {**self.standings, payment.payment_id: standing_of(payment)}
        standings = {key: standing for key, standing in standings.items() if standing.counts}
        return replace(self, standings=standings, attempt=max(self.attempt, payment.attempt))

    def standings_to_json(self) -> dict[str, Any]:
        """The standings by payment id as dicts for JSON, without what is false."""
        return {key: {n: v for n, v in asdict(s).items() if v is not False} for key, s in self.standings.items()}


def standing_of(payment: Payment) -> Standing:
    """The standing of a payment as it is now."""
    return Standing(
        attempt=payment.attempt,
        open=payment.open,
        grants=payments.grants_access(payment),
        granted=payments.ever_granted(payment),
        holds_funds=payments.holds_funds(payment),
    )
