"""A payment together with the enrollment that it belongs to, as they are loaded and committed."""

from dataclasses import dataclass
from functools import cached_property

from tuition.core import attention
from tuition.core.attention import AttentionReason
from tuition.core.enrollment import Enrollment
from tuition.core.errors import NotFound
from tuition.core.limits import NO_LIMITS, Limits
from tuition.core.payment import Payment


@dataclass(frozen=True)
class PaymentState:
    """A payment and its enrollment, read together. `payment` is None if it does not exist (yet).

    `limits` is what their user has used up of their limits.
    """

    payment: Payment | None
    enrollment: Enrollment
    limits: Limits = NO_LIMITS

    @property
    def existing(self) -> Payment:
        """The payment. Raises `NotFound` if it does not exist."""
        if self.payment is None:
            raise NotFound("There is no such payment.")
        return self.payment

    @cached_property
    def attention(self) -> list[AttentionReason]:
        """The reasons that staff have not acknowledged, computed once."""
        if self.payment is None:
            return []
        return attention.unacknowledged(self.payment, double=bool(self.enrollment.doubled))
