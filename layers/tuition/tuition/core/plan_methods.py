"""The payment method that a plan charges without its student, and what prevents a try with it."""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from tuition.core.merging import either
from tuition.core.payment import BANK_DEBITS
from tuition.core.plan_basis import PlanBasis
from tuition.core.plan_facts import Method, join_method
from tuition.core.plan_parts import AUTHENTICATION_REQUIRED, DO_NOT_TRY_AGAIN
from tuition.core.plan_rules import MAX_DEBIT_TRIES

Block = Literal["do_not_try_again", "authentication_required", "tries_used"]


class Failure(NamedTuple):
    """A charge that failed, or a try that Stripe refused without a charge."""

    at: int
    seqs: tuple[int, ...]
    method: str | None
    code: str | None
    advice: str | None


def methods(plan: PlanBasis) -> Mapping[str, Method]:
    """Return the payment methods by id: those set up for the plan, and the one of its first payment."""
    first = plan.first_payment
    if first is None or first.method is None or plan.facts.erased:
        return plan.facts.methods
    method = Method(set_up=first.settled_at or 0, type=first.method_type)
    joined = either(plan.facts.methods.get(first.method), method, join_method) or method
    return {**plan.facts.methods, first.method: joined}


def chosen(plan: PlanBasis) -> str | None:
    """Return the id of the method that is charged: the newest that is not replaced and not gone; None without one.

    One that its student set up in the same second as the first payment is newer than the method of that payment.
    """
    usable = [
        (method.since, key in plan.facts.methods, key) for key, method in methods(plan).items() if not method.is_final
    ]
    return max(usable)[-1] if usable else None


def failures(plan: PlanBasis) -> Iterator[Failure]:
    """Yield what failed: each charge once, also one that only the answer of a try names."""
    answered = {one.answer.charge for one in plan.facts.tries.values() if one.answer and one.answer.charge}
    for part in plan.parts.values():
        for charge, decline in part.declines.items():
            if charge not in answered:
                yield Failure(decline.at, part.covers, decline.method, decline.code, decline.advice)
    for one in plan.facts.tries.values():
        if one.answer and (one.answer.code or one.answer.advice):
            yield Failure(one.answer.at, (one.seq,), one.method, one.answer.code, one.answer.advice)


def blocks(plan: PlanBasis, seq: int, method: str) -> list[tuple[int, Block]]:
    """Return since when (epoch seconds), and why, no further try of an installment may be made with a method.

    A method that was set up or updated later may be tried. Bank accounts have a bounded number of tries together.
    """
    return _blocks(plan, seq, method, methods(plan)[method].fresh)


def _blocks(plan: PlanBasis, seq: int, method: str, since: int) -> list[tuple[int, Block]]:
    by_id = methods(plan)
    failed = [one for one in failures(plan) if one.method == method and one.at >= since]
    result: list[tuple[int, Block]] = []
    for one in failed:
        if one.advice == DO_NOT_TRY_AGAIN:
            result.append((one.at, "do_not_try_again"))
        elif one.code == AUTHENTICATION_REQUIRED and seq in one.seqs:
            result.append((one.at, "authentication_required"))
    if by_id[method].type in BANK_DEBITS:
        accounts = {key for key, one in by_id.items() if one.type in BANK_DEBITS}
        tries = sorted(one.at for one in plan.facts.tries.values() if one.seq == seq and one.method in accounts)
        result += [(at, "tries_used") for at in tries[MAX_DEBIT_TRIES - 1 : MAX_DEBIT_TRIES]]
    return sorted(result)


def was_tried(plan: PlanBasis, seq: int, day: str) -> bool:
    """Whether an installment was tried on this day or later."""
    return any(one.seq == seq and plan.terms.day_of(one.at) >= day for one in plan.facts.tries.values())


def first_chance(plan: PlanBasis, seq: int, since: int) -> int | None:
    """Return the first time from `since` on (epoch seconds) at which an installment could be tried; None if never.

    The grace ends only if the installment was tried, or never could be: no student is suspended because we did not
    collect.
    """
    by_id, chances = methods(plan), []
    for key, method in by_id.items():
        newer = [other.set_up for other in by_id.values() if other.set_up > method.set_up]
        ends = [*newer, *(at for at in (method.replaced, method.gone) if at is not None)]
        for details in (method.set_up, method.fresh):  # an update of a card ends no chance that it had before
            first = max(details, since)
            blocked = [at for at, _ in _blocks(plan, seq, key, details)]
            chances += [first] if all(first < end for end in (*ends, *blocked)) else []
    return min(chances, default=None)
