"""The status of a plan on each day of a story, computed in another way than the code does.

The oracle reads the changes in the order in which they happened, and moves a plan from one status to the next as the
table of PLANS does. The code derives the status from all facts at once, in whatever order they came.
"""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.unit.plan_stories import Story
from tuition.core.facts import Facts
from tuition.core.plan_facts import PlanDecision, PlanFacts

DAY_S = 86400
LEVELS = ("ACTIVE", "LATE", "SUSPENDED", "CLOSED")


def months_later(day: date, months: int) -> date:
    year, month = day.year + (day.month - 1 + months) // 12, (day.month - 1 + months) % 12 + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def epoch(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


@dataclass
class Payment:
    """A payment as the oracle knows it: `state` is open, processing, settled or closed."""

    covers: tuple[int, ...]
    state: str = "open"
    refunds: dict[str, str] = field(default_factory=dict)
    disputes: dict[str, str] = field(default_factory=dict)
    refunded: dict[str, int] = field(default_factory=dict)
    amount: int = 0

    @property
    def covering(self) -> bool:
        return self.state == "settled" and "lost" not in self.disputes.values()


@dataclass
class Oracle:
    """The state of a plan at one time. `clock` is the time up to which the collector has looked."""

    story: Story
    payments: dict[str, Payment] = field(default_factory=dict)
    due: dict[int, date] = field(default_factory=dict)
    promised: dict[int, date] = field(default_factory=dict)
    void: dict[int, int] = field(default_factory=dict)
    tried: dict[int, list[int]] = field(default_factory=dict)
    tries: dict[int, list[str]] = field(default_factory=dict)
    waived: set[int] = field(default_factory=set)
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)
    blocked: set[tuple[str, int]] = field(default_factory=set)
    able: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    failed_debits: set[tuple[int, str]] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    paused: int | None = None
    pause_access: bool | None = None
    revoked: bool = False
    canceled: bool = False
    ended: str | None = None
    now: int = 0
    clock: int = 0

    # --- changes ---

    def advance(self, at: int) -> None:
        """Time passes, during which the method that is chosen now could be charged."""
        for seq in self.seqs():
            if self.can_charge(seq) and at > self.now:
                self.able.setdefault(seq, []).append((self.now, at))
        self.now = at

    def seqs(self) -> range:
        return range(1, 40 if self.story.terms.endless else len(self.story.terms.amounts) + 1)

    def chosen(self) -> str | None:
        usable = [(one["set_up"], key) for key, one in self.methods.items() if not one["over"]]
        return max(usable)[1] if usable else None

    def can_charge(self, seq: int) -> bool:
        method = self.chosen()
        debits = [one for one in self.tries.get(seq, []) if self.methods.get(one, {}).get("type") == "us_bank_account"]
        if method and self.methods[method]["type"] == "us_bank_account" and len(debits) >= 3:
            return False
        return method is not None and not {(method, seq), (method, 0)} & self.blocked

    def interrupt(self) -> None:
        for seq in self.promised:
            self.void.setdefault(seq, self.now)

    def on_payment(self, key: str, facts: Facts) -> None:
        real = self.story.payments[key]
        mine = self.payments.setdefault(key, Payment(real.covers, amount=real.price.amount))
        if facts.phase and mine.state != "settled":
            mine.state = "processing" if facts.phase.name == "processing" else "open"
        if facts.closed and mine.state != "settled":
            mine.state = "closed"
        for name, charge in facts.charges.items():
            if charge.status == "failed" and charge.type == "us_bank_account":
                self.failed_debits |= {(seq, name) for seq in mine.covers}
            if charge.status == "failed" and charge.payment_method in self.methods:
                self.decline(charge.payment_method, charge.code, charge.advice, mine.covers)
        if facts.settled:
            first = not self.due
            mine.state = "settled"
            if first and 1 in mine.covers:
                charge = next(iter(facts.charges.values()))
                self.begin(charge.payment_method, charge.type)
        for name, refund in facts.refunds.items():
            request = refund.request or name
            if request not in mine.refunds and request not in self.accepted:
                self.interrupt()
            mine.refunds[request] = refund.status
            mine.refunded[name] = refund.amount if refund.status in ("pending", "succeeded") else 0
        for name, dispute in facts.disputes.items():
            if name not in mine.disputes:
                self.interrupt()
            mine.disputes[name] = dispute.status

    def begin(self, method: str | None, kind: str | None) -> None:
        start = datetime.fromtimestamp(self.now, UTC).date()
        every = self.story.terms.every
        for seq in [*self.seqs(), self.seqs()[-1] + 1]:
            weeks = {"week": seq - 1, "2 weeks": 2 * (seq - 1)}.get(every)
            months = {"month": seq - 1, "year": 12 * (seq - 1)}.get(every, 0)
            self.due[seq] = months_later(start, months) if weeks is None else start + timedelta(weeks=weeks)
        if method and method not in self.methods:
            self.methods[method] = {"set_up": self.now, "type": kind, "over": False}

    def decline(self, method: str, code: str | None, advice: str | None, covers: tuple[int, ...]) -> None:
        if advice == "do_not_try_again":
            self.blocked.add((method, 0))
        elif code == "authentication_required":
            self.blocked |= {(method, seq) for seq in covers}

    def on_plan(self, facts: PlanFacts) -> None:
        for key in facts.announced:
            seq, _, day = key.partition(":")
            self.promised[int(seq)] = date.fromisoformat(day)
            self.void.pop(int(seq), None)
        for key, one in facts.methods.items():
            over = one.replaced is not None or one.gone is not None
            method = self.methods.setdefault(key, {"set_up": one.set_up, "type": one.type, "over": False})
            method["over"] = method["over"] or over
        for attempt in facts.tries.values():
            if attempt.answer is None:
                self.tried.setdefault(attempt.seq, []).append(attempt.at)
                self.tries.setdefault(attempt.seq, []).append(attempt.method or "")
            elif attempt.method in self.methods:
                self.decline(attempt.method, attempt.answer.code, attempt.answer.advice, (attempt.seq,))
        for decision in facts.decisions.values():
            self.on_decision(decision)

    def on_decision(self, decision: PlanDecision) -> None:
        match decision.decision:
            case "cancel" | "undo_cancel":
                self.canceled = decision.decision == "cancel"
            case "waive" | "forgive":
                self.waived |= {*decision.seqs}
            case "reschedule":
                self.due[decision.seqs[0]] = date.fromisoformat(decision.to or "")
            case "pause":
                self.interrupt()
                self.paused, self.pause_access = self.now, decision.access
            case "resume":
                self.resume()
            case "withdraw":
                self.ended = "REFUNDED"
            case "close":
                self.ended = "REFUNDED" if decision.refund == "all" or self.ended == "REFUNDED" else "CLOSED"
            case "continue":
                self.accepted |= {*decision.accepts}
            case "revoke":
                self.interrupt()
                self.revoked = True
            case "restore":
                self.revoked = False

    def resume(self) -> None:
        start = datetime.fromtimestamp(self.paused or 0, UTC).date()
        days = datetime.fromtimestamp(self.now, UTC).date() - start
        self.due = {seq: day + days if day >= start else day for seq, day in self.due.items()}
        self.paused = None

    # --- status and access ---

    def paid(self) -> set[int]:
        """The installments that are paid or waived."""
        return {seq for one in self.payments.values() if one.covering for seq in one.covers} | self.waived

    def first(self) -> int | None:
        return next((seq for seq in self.seqs() if seq not in self.paid()), None)

    def next_due(self) -> str | None:
        """The day on which the first installment that is owed is due."""
        first = self.first()
        return self.due[first].isoformat() if self.due and first else None

    def status(self) -> str:
        settled = [one for one in self.payments.values() if one.state == "settled"]
        unexplained = any(name not in self.accepted for one in settled for name in one.refunds)
        all_back = bool(settled) and all(sum(one.refunded.values()) >= one.amount for one in settled)
        if self.ended == "REFUNDED" or (all_back and unexplained):
            return "REFUNDED"
        if self.ended:
            return self.ended
        if not self.due:
            return "OPEN" if any(one.state != "closed" for one in self.payments.values()) else "ABANDONED"
        lost = {seq for one in settled for seq in one.covers} - self.paid()
        if lost:
            rest = next((seq for seq in self.seqs() if seq not in self.paid() | lost), None)
            return "CLOSED" if self.story.terms.endless and rest and self.is_over(rest) else "SUSPENDED"
        first = self.first()
        if first is None:
            return "COMPLETE"
        if self.is_canceled_by(first):
            return "CLOSED"
        return "PAUSED" if self.paused is not None else self.level(first)

    def is_canceled_by(self, first: int) -> bool:
        """Whether a canceled membership has ended. A period that a bank is processing counts as paid."""
        end = first + 1 if self.is_processing(first) else first
        return self.canceled and self.clock >= epoch(self.due[end])

    def is_processing(self, seq: int) -> bool:
        is_processing = any(one.state == "processing" and seq in one.covers for one in self.payments.values())
        return is_processing and len([name for failed, name in self.failed_debits if failed == seq]) < 3

    def is_over(self, first: int) -> bool:
        """Whether a membership has ended for want of this period's payment."""
        return self.is_canceled_by(first) or self.level(first) == "CLOSED"

    def level(self, first: int) -> str:
        day, terms = self.promised.get(first), self.story.terms
        if day is None or day < self.due[first]:
            return "ACTIVE"
        clock = min(self.clock, self.void.get(first, self.clock))
        days = (clock - epoch(day)) // DAY_S
        level = 0 if days < 0 else 1
        was_tried = any(at >= epoch(day) for at in self.tried.get(first, []))
        last = epoch(day) + terms.grace_days * DAY_S
        chances = [start for start, end in self.able.get(first, []) if end > epoch(day) and start < last]
        if days >= terms.grace_days and (was_tried or not chances) and not self.is_processing(first):
            level = 3 if days >= terms.give_up_days or terms.endless else 2
        return LEVELS[level]

    def access(self) -> bool:
        if self.revoked:
            return False
        status = self.status()
        if status == "PAUSED":
            if self.pause_access is not None:
                return self.pause_access
            paused, self.paused = self.paused, None
            status, self.paused = self.status(), paused
        return status in ("ACTIVE", "LATE", "COMPLETE")


def days(story: Story) -> Iterator[tuple[str, str, bool, str | None]]:
    """Yield each day on which the collector ran, with the status, the access and the next due day after its run."""
    oracle, position = Oracle(story), 0
    for now, run_from, until in story.runs:
        for at, (payment_id, facts) in zip(story.times[position:until], story.changes[position:until], strict=True):
            oracle.advance(at)
            if position == run_from:
                oracle.clock = now
            position += 1
            if payment_id is None and isinstance(facts, PlanFacts):
                oracle.on_plan(facts)
            elif payment_id is not None and isinstance(facts, Facts):
                oracle.on_payment(payment_id, facts)
        oracle.advance(now)
        oracle.clock = now
        yield story.terms.day_of(now), oracle.status(), oracle.access(), oracle.next_due()
