"""A user's enrollment in a track, derived from the standings of what grants access to it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from tuition.core import payment as payments
from tuition.core.payment import Payment
from tuition.core.refs import Grantor, is_plan

MAX_PAST_STANDINGS = 50
"""The newest standings that granted access or were refunded.

Older ones are shed unless they are open, grant access or hold funds.
"""

Status = Literal["PENDING", "ENROLLED", "SUSPENDED", "WITHDRAWN"]
BY_RANK: tuple[Status, ...] = ("ENROLLED", "SUSPENDED", "PENDING", "WITHDRAWN")
"""The statuses in the order in which they count: of several grantors, the first of these decides."""


@dataclass(frozen=True)
class Standing:
    """The effect of one grantor on its enrollment.

    `grants`: it gives access now. `granted`: it has ever given access. `holds_funds`: money is left after refunds.
    `revoked`: staff have revoked its access. `refunded`: a refund of it was made or is being made. `withdrawn`: the
    student has withdrawn from its contract, so it gives no access and its money is due. `suspended`: it is a plan that
    gives no access until the student pays what is due.
    """

    attempt: int
    open: bool = False
    grants: bool = False
    granted: bool = False
    holds_funds: bool = False
    revoked: bool = False
    refunded: bool = False
    withdrawn: bool = False
    suspended: bool = False

    @property
    def status(self) -> Status | None:
        """The status to which it leads on its own; None if it never gave access and cannot any more."""
        if self.grants:
            return "ENROLLED"
        if self.suspended:
            return "SUSPENDED"
        if self.open:
            return "PENDING"
        return "WITHDRAWN" if self.granted else None

    @property
    def has_ended(self) -> bool:
        """Whether it gave access, and gives none any more although staff have not revoked it."""
        return self.granted and not (self.grants or self.suspended or self.open or self.revoked)

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
        return self.open or self.grants or self.holds_funds or self.suspended


@dataclass(frozen=True, kw_only=True)
class Enrollment:
    """A user in a track, or with a membership. Its status is derived from its standings, by grantor.

    `attempt` is the highest attempt used, `attempt_times` the times (epoch seconds) of the newest attempts. `version` 0
    means that no item is stored yet. `erased`: the user's data were erased, so no write may store such data again.
    """

    user_id: str
    track: str
    standings: Mapping[Grantor, Standing] = field(default_factory=dict)
    attempt: int = 0
    attempt_times: tuple[int, ...] = ()
    version: int = 0
    erased: bool = False

    @property
    def status(self) -> Status | None:
        """ENROLLED if a grantor gives access, else SUSPENDED if one waits for the student, else PENDING if one is open.

        Else WITHDRAWN if one ever gave access, and None otherwise.
        """
        statuses = {standing.status for standing in self.standings.values()}
        return next((status for status in BY_RANK if status in statuses), None)

    @property
    def granted(self) -> bool:
        """Whether a grantor ever gave access, so that the user has progress, whatever happened later."""
        return any(standing.granted for standing in self.standings.values())

    @property
    def open_payments(self) -> list[str]:
        """The ids of the open payments without a plan, the newest attempt first. By design there is at most one."""
        return [grantor for grantor in self._open_grantors if not is_plan(grantor)]

    @property
    def open_plans(self) -> list[Grantor]:
        """The ids of the plans of which nothing is paid, the newest attempt first. By design there is at most one."""
        return [grantor for grantor in self._open_grantors if is_plan(grantor)]

    @property
    def _open_grantors(self) -> list[Grantor]:
        attempts = [(standing.attempt, key) for key, standing in self.standings.items() if standing.open]
        return [key for _, key in sorted(attempts, reverse=True)]

    @property
    def undecided(self) -> bool:
        """Whether we hold money that never granted access: the amount received differs from the price.

        Staff must decide. They have decided about a grantor whose access they revoked. After a withdrawal there is
        nothing to decide.
        """
        standings = self.standings.values()
        return any(s.holds_funds and not (s.granted or s.revoked or s.withdrawn) for s in standings)

    @property
    def doubled(self) -> list[Grantor]:
        """The surplus grantors that hold funds: all but the first by attempt, then id.

        The money of a withdrawal is due anyway, so its grantor is never one too many. Nor is a plan that has ended: its
        money paid for the time until then.
        """
        attempts = sorted(
            (standing.attempt, key)
            for key, standing in self.standings.items()
            if standing.holds_funds and not standing.withdrawn and not (is_plan(key) and standing.has_ended)
        )
        return [key for _, key in attempts[1:]]

    @property
    def refunded(self) -> frozenset[Grantor]:
        """The grantors with a refund that was made, is being made, or is due after a withdrawal."""
        return frozenset(key for key, standing in self.standings.items() if standing.refunded or standing.withdrawn)

    @property
    def current_grantor(self) -> Grantor | None:
        """The grantor that decides the status: the newest attempt that grants access.

        Else the newest one that is suspended, else that is open, else of all. None without a standing.
        """
        by_rank = [((s.grants, s.suspended, s.open, s.attempt), key) for key, s in self.standings.items()]
        return max(by_rank)[1] if by_rank else None

    def with_payment(self, payment: Payment) -> "Enrollment":
        """Return this enrollment with the current standing of the payment's grantor."""
        enrollment = self.with_standing(payment.grantor, standing_of(payment))
        attempt, erased = max(self.attempt, payment.attempt), self.erased or payment.facts.erased
        return replace(enrollment, attempt=attempt, erased=erased)

    def with_standing(self, grantor: Grantor, standing: Standing) -> "Enrollment":
        """Return this enrollment with this standing of a grantor, and without standings that do not count.

        Of past standings only the newest are kept, because the item's size is limited. None of the others decides.
        """
        return replace(self, standings=kept({**self.standings, grantor: standing}))

    def without(self, grantor: Grantor) -> "Enrollment":
        """Return this enrollment without the standing of a grantor."""
        return replace(self, standings={key: standing for key, standing in self.standings.items() if key != grantor})

    def standings_to_json(self) -> dict[str, Any]:
        """Return the standings by grantor as dicts for JSON, without flags that are false."""
        return {key: {n: v for n, v in asdict(s).items() if v is not False} for key, s in self.standings.items()}


def kept(standings: Mapping[Grantor, Standing]) -> dict[Grantor, Standing]:
    """Return the standings that an enrollment keeps: the current ones, and the newest of those that are past."""
    past = sorted((standing.attempt, key) for key, standing in standings.items() if standing.is_past)
    newest = {key for _, key in past[-MAX_PAST_STANDINGS:]}
    return {key: standing for key, standing in standings.items() if standing.is_current or key in newest}


def standing_problem(enrollment: Enrollment, grantor: Grantor, payment: Payment | None) -> str | None:
    """Return why a standing must not grant access: its grantor does not. None if it grants none, or the grantor does.

    `payment` is the payment that is stored under this id, if any.
    """
    if not enrollment.standings[grantor].grants:
        return None
    if payment is None:
        return "it grants access, but there is no such payment"
    if (payment.user_id, payment.product) != (enrollment.user_id, enrollment.track):
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
