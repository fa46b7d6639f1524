"""The terms, facts and parts of a plan, and what they mean on every day: cover, money and decisions in force."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from tuition.core.payment import BANK_DEBITS
from tuition.core.plan_facts import NO_PLAN_FACTS, DecisionName, PlanDecision, PlanFacts
from tuition.core.plan_parts import Part
from tuition.core.plan_terms import MAX_PERIODS, PlanTerms

MAX_DEBITS_TRUSTED = 3
"""How many debits of an installment may fail before a further one gives access only when it is paid."""


@dataclass(frozen=True, kw_only=True)
class PlanBasis:
    """The values from which a plan's status follows. `parts` are by payment id. Amounts are in minor units."""

    terms: PlanTerms
    facts: PlanFacts = NO_PLAN_FACTS
    parts: Mapping[str, Part] = field(default_factory=dict)

    # --- cover ---

    @cached_property
    def first_payment_id(self) -> str | None:
        """The id of the payment that first paid installment 1; None before."""
        paid = [(part.settled_at, key) for key, part in self.parts.items() if part.paid and 1 in part.covers]
        return min(paid)[1] if paid else None

    @property
    def first_payment(self) -> Part | None:
        """The part of the payment that first paid installment 1; None before."""
        return self.parts[self.first_payment_id] if self.first_payment_id else None

    @cached_property
    def anchor(self) -> str | None:
        """The day on which installment 1 was first paid, from which every due day is counted; None before."""
        return self.terms.day_of(self.first_payment.settled_at or 0) if self.first_payment else None

    @property
    def started(self) -> bool:
        """Whether the first installment was ever paid."""
        return self.anchor is not None

    @cached_property
    def covered(self) -> frozenset[int]:
        """The installments that are paid."""
        return frozenset(seq for part in self.parts.values() if part.pays for seq in part.covers)

    @cached_property
    def waived(self) -> frozenset[int]:
        """The installments that staff have waived or forgiven, whether they were paid or not."""
        return frozenset(seq for one in self.decided("waive", "forgive") for seq in one.seqs)

    @cached_property
    def processing(self) -> frozenset[int]:
        """The installments of which a bank is processing a payment."""
        return frozenset(seq for part in self.parts.values() if part.processing for seq in part.covers)

    def is_trusted(self, seq: int) -> bool:
        """Whether a payment of an installment counts as paid while a bank is processing it.

        Not after `MAX_DEBITS_TRUSTED` debits for it failed: else debits that fail would give access for ever.
        """
        failed = [one for part in self.parts.values() if seq in part.covers for one in part.declines.values()]
        return seq in self.processing and sum(one.is_debit for one in failed) < MAX_DEBITS_TRUSTED

    @cached_property
    def taken(self) -> frozenset[int]:
        """The installments that a lost dispute took, and that are owed again."""
        lost = {seq for part in self.parts.values() if part.paid and not part.pays for seq in part.covers}
        return frozenset(lost - self.covered - self.waived)

    @cached_property
    def first_owed(self) -> int | None:
        """The first installment that is neither paid nor waived; None if there is none."""
        return next((seq for seq in self.terms.seqs if seq not in self.covered and seq not in self.waived), None)

    @cached_property
    def owed(self) -> tuple[int, ...]:
        """The installments that are neither paid nor waived. Of an endless plan, only the first of them."""
        if self.terms.endless:
            return () if self.first_owed is None else (self.first_owed,)
        return tuple(seq for seq in self.terms.seqs if seq not in self.covered and seq not in self.waived)

    @property
    def open_payments(self) -> list[str]:
        """The ids of the open payments, the newest first. By design there is at most one."""
        numbers = sorted(((part.number, key) for key, part in self.parts.items() if part.open), reverse=True)
        return [key for _, key in numbers]

    def covering(self, seq: int) -> list[str]:
        """Return the ids of the payments of an installment that did not close unpaid, the newest first."""
        ids = [(part.number, key) for key, part in self.parts.items() if seq in part.covers and not part.is_closed]
        return [key for _, key in sorted(ids, reverse=True)]

    # --- money ---

    @property
    def received(self) -> int:
        """The sum of what all payments received."""
        return sum(part.settled or 0 for part in self.parts.values())

    @property
    def refunded(self) -> int:
        """The sum of the refunds that are pending or made."""
        return sum(part.refunded for part in self.parts.values())

    @property
    def lost(self) -> int:
        """The amount that disputes took for good."""
        return sum(part.lost for part in self.parts.values())

    @property
    def may_be_returned(self) -> bool:
        """Whether a bank could return money of it: from a debit, also one in progress, or from an unknown method."""
        types = {part.method_type for part in self.parts.values() if part.settled is not None}
        return bool(self.processing or types & {None, *BANK_DEBITS})

    @property
    def holds_funds(self) -> bool:
        """Whether money is left after refunds and lost disputes."""
        return self.refunded + self.lost < self.received

    # --- decisions ---

    @cached_property
    def decisions(self) -> tuple[PlanDecision, ...]:
        """All decisions, in the order of the plan's versions on which they were taken."""
        by_version = sorted((one.version, key) for key, one in self.facts.decisions.items())
        return tuple(self.facts.decisions[key] for _, key in by_version)

    def decided(self, *names: DecisionName) -> Iterator[PlanDecision]:
        """Yield the decisions with these names, in their order."""
        return (one for one in self.decisions if one.decision in names)

    def _newest(self, *names: DecisionName) -> PlanDecision | None:
        return next(reversed([*self.decided(*names)]), None)

    @cached_property
    def pause(self) -> PlanDecision | None:
        """The pause that is in force; None without one."""
        newest = self._newest("pause", "resume")
        return newest if newest and newest.decision == "pause" else None

    @property
    def is_revoked(self) -> bool:
        """Whether staff have revoked access, whatever was paid."""
        newest = self._newest("revoke", "restore")
        return newest is not None and newest.decision == "revoke"

    @property
    def is_canceled(self) -> bool:
        """Whether the student has canceled a membership, at the end of the period that is paid."""
        newest = self._newest("cancel", "undo_cancel")
        return newest is not None and newest.decision == "cancel"

    @property
    def is_ending(self) -> bool:
        """Whether it ends with the period that is paid: it is canceled, or it can have no more periods."""
        return self.is_canceled or (self.terms.endless and self.first_owed == MAX_PERIODS)

    @cached_property
    def ended_by(self) -> Literal["money_back", "closed"] | None:
        """How a decision has ended the plan: with all money back, or without. None if none has. It is final."""
        ends = [*self.decided("withdraw", "close")]
        if any(one.refund != "none" for one in ends) or any(part.withdrawn for part in self.parts.values()):
            return "money_back"
        return "closed" if ends else None

    @cached_property
    def awaits_staff(self) -> bool:
        """Whether staff still decide when the money of a withdrawal from the contract goes back.

        They do so by the refund request of the payment that the withdrawal is stored on. If a bank was processing it
        then, there is no request, and they do so by a refund.
        """
        is_decided = any(one.refund != "none" for one in self.decided("withdraw", "close"))
        return not is_decided and any(
            part.withdrawn and (part.requested or part.withdrawn_while_processing) for part in self.parts.values()
        )

    @cached_property
    def held(self) -> Mapping[str, int]:
        """The amounts of bank debits that were made while their student withdrew, by payment id.

        The bank could return them after a refund, and the school would pay twice. So staff refund them.
        """
        has_withdrawn = any(self.decided("withdraw"))
        return {
            key: part.refundable
            for key, part in self.parts.items()
            if has_withdrawn and part.refundable > 0 and not part.refunding and part.method_type in {None, *BANK_DEBITS}
        }

    # --- money without a decision ---

    @cached_property
    def differing(self) -> Mapping[str, int]:
        """When payments settled for another amount than was asked, by their id, while the money is here.

        Nothing more is charged until staff accept the amount or refund it.
        """
        return {
            key: part.settled_at or 0
            for key, part in self.parts.items()
            if part.settled is not None and not part.agrees and part.refunded + part.lost < part.settled
        }

    @cached_property
    def accepted_refunds(self) -> Mapping[str, int]:
        """The refunds with which staff decided to continue, and when they first did."""
        times: dict[str, int] = {}
        for decision in self.decided("continue"):
            for name in decision.accepts:
                times[name] = min(times.get(name, decision.at), decision.at)
        return times

    @cached_property
    def unexplained_refunds(self) -> Mapping[str, list[str]]:
        """The refunds, also failed ones, that staff have not accepted, by payment id. They stop the collection.

        So a refund that fails never restarts it.
        """
        unexplained = {
            key: [name for name in part.refunds if name not in self.accepted_refunds]
            for key, part in self.parts.items()
        }
        return {key: names for key, names in unexplained.items() if names}

    @cached_property
    def is_all_back(self) -> bool:
        """Whether all that was received is refunded, and staff have not accepted that."""
        settled = [part for part in self.parts.values() if part.settled]
        all_back = bool(settled) and all(part.refunded >= (part.settled or 0) for part in settled)
        return all_back and bool(self.unexplained_refunds)
