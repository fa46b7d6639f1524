"""The rules of a plan that begins now: when a charge is announced and tried again, and what follows if it stays unpaid.

They are settings of the school. A plan keeps those with which it began: `tuition.core.plan_terms`.
"""

from typing import NamedTuple

MAX_DAYS = 1000
"""The most days that a rule counts."""
MAX_CHARGE_DAYS = 10
"""On how many days an installment is charged at most. Visa charges for more than 15 retries of a payment in 30 days.

New payment methods and orders of staff are further tries.
Source: https://support.stripe.com/questions/payment-blocked-due-to-excessive-retries
"""
MAX_DEBIT_TRIES = 3
"""How often an installment is debited from a bank account, also if the bank refuses it, and whatever the retry days.

Source: https://docs.stripe.com/payments/ach-direct-debit#ach-debit-retries
"""
MISSED_AFTER_DAYS = 3
"""An announced charge that was not tried so many days later is announced again: we were down, or switched off."""


class RuleProblem(NamedTuple):
    """The `rule` that cannot be as it is, by its name in `PlanRules`, and what it must be."""

    rule: str
    text: str


class PlanRules(NamedTuple):
    """The rules of every plan that is begun now, in days.

    `retry_days`, `grace_days` and `give_up_days` count from the day of a charge. A charge is announced `notice_days`
    before it is made.
    """

    grace_days: int = 14
    retry_days: tuple[int, ...] = (0, 3, 7, 12)
    give_up_days: int = 60
    notice_days: int = 7

    def problem(self) -> RuleProblem | None:
        """Return why a plan cannot have these rules: a charge would not be made, or access end without one."""
        days, grace = self.retry_days, self.grace_days
        if days[:1] != (0,):  # without a try on its day a charge is announced again, and never made
            return RuleProblem("retry_days", "must begin with 0, the day of the charge")
        if [*days] != sorted({*days}):
            return RuleProblem("retry_days", "must name later and later days, such as 0,3,7,12")
        if len(days) > MAX_CHARGE_DAYS:
            return RuleProblem("retry_days", f"must name at most {MAX_CHARGE_DAYS} days")
        if grace <= MISSED_AFTER_DAYS:  # a student would lose access on the day of a charge that we made late
            return RuleProblem("grace_days", f"must be at least {MISSED_AFTER_DAYS + 1}")
        if days[-1] >= grace:
            return RuleProblem("retry_days", f"must end before the grace of {grace} days does")
        if not grace < self.give_up_days <= MAX_DAYS:
            return RuleProblem("give_up_days", f"must be more than the grace of {grace} days, and at most {MAX_DAYS}")
        if not 1 <= self.notice_days <= MAX_DAYS:
            return RuleProblem("notice_days", f"must be 1 to {MAX_DAYS}")
        return None
