"""The facts of one plan: time that has passed, announcements, decisions, payment methods and tries, and their merge.

`merge` is commutative, associative and idempotent, as that of a payment's facts: `tuition.core.facts`. The payments of
a plan are not among its facts: `tuition.core.plan_parts`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, NamedTuple

from tuition.core import facts as core_facts
from tuition.core.facts import Acknowledgement
from tuition.core.merging import each, either
from tuition.core.stored import read

DecisionName = Literal[
    "cancel",
    "undo_cancel",
    "waive",
    "reschedule",
    "forgive",
    "pause",
    "resume",
    "withdraw",
    "continue",
    "close",
    "revoke",
    "restore",
]

MAX_DECISIONS = 100
"""Per plan. Decisions are never shed, so no other is taken but those that only end something.

The newest `facts.MAX_NOTES` keep their note.
"""
MAX_METHODS = 50
"""The newest by the time at which they were set up or chosen."""
MAX_ANNOUNCEMENTS = 100
"""The newest by installment and day. Only those of installments that are not covered matter."""
MAX_TRIES = 100
"""The newest by time."""


class Announced(NamedTuple):
    """The announcement of a charge: the installment, and the day on which it is collected."""

    seq: int
    day: str

    @property
    def key(self) -> str:
        """The name under which facts have it: `2:2026-03-01`."""
        return f"{self.seq}:{self.day}"

    @classmethod
    def of(cls, key: str) -> "Announced":
        """Return what a key names."""
        seq, _, day = key.partition(":")
        return cls(int(seq), day)


@dataclass(frozen=True, kw_only=True)
class PlanDecision:
    """A decision about a plan, taken at the plan's `version` at the time `at` (epoch seconds), by staff or the student.

    `seqs` are the installments that are waived, forgiven or rescheduled, `to` the new due day. `refund` says for a
    `close` whether all money goes back. `access` is that of a pause; None leaves it as it was. `accepts` are the
    refunds with which a plan may `continue`: a refund request's id, or that of a refund without a request.
    """

    version: int
    decision: DecisionName
    at: int
    actor: str
    seqs: tuple[int, ...] = ()
    to: str | None = None
    refund: Literal["all", "none"] | None = None
    access: bool | None = None
    accepts: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A payment method that the student set up for the plan. Times are in epoch seconds.

    `chosen` is when the student last chose it, which they may do again after another one.
    `updated` is when the network last gave a card new details. `replaced` is when the student chose another one, `gone`
    when Stripe no longer had it: both are final.
    """

    set_up: int
    type: str | None = None
    chosen: int | None = None
    updated: int | None = None
    replaced: int | None = None
    gone: int | None = None

    @property
    def fresh(self) -> int:
        """Since when it has its present details. Earlier declines say nothing about them."""
        return max(self.set_up, self.updated or 0)

    @property
    def since(self) -> int:
        """When it was set up, or chosen again: the newest method is charged."""
        return max(self.set_up, self.chosen or 0)

    @property
    def is_final(self) -> bool:
        """Whether it can never be charged again."""
        return self.replaced is not None or self.gone is not None


class Answer(NamedTuple):
    """The result of a try, read from the intent afterwards. A refusal without a charge is an answer too."""

    at: int
    charge: str | None = None
    code: str | None = None
    advice: str | None = None


@dataclass(frozen=True, kw_only=True)
class Try:
    """A charge without the student, recorded at the time `at` before Stripe is called.

    A plan has at most one try for each occasion, which is its key: `day:2026-03-04` on a retry day, `method:pm_1:17…`
    for a method that is new since then, `now:2026-03-04` on the order of staff.
    """

    at: int
    payment_id: str
    seq: int
    method: str | None
    answer: Answer | None = None

    def idempotency_key(self, occasion: str) -> str:
        """Return the key of the call to Stripe, with which a try without an answer is repeated."""
        return f"{self.payment_id}:{occasion}"


@dataclass(frozen=True, kw_only=True)
class PlanFacts:
    """All facts of one plan, besides its payments. Times are in epoch seconds.

    `observed` is the newest boundary that is known to have passed. `announced` are the announcements, by
    `Announced.key`, and when each was first made; `bounced` those whose email came back. `decisions` are by id,
    `methods` by their id at Stripe, `tries` by occasion. `tracks` are those that a member began. `last_number` is the
    highest number of its payments. `rebuilt` says that our record was missing. `erased` says that personal fields were
    erased, `expired` that all payments were deleted after their retention period: a merge keeps these fields empty.
    """

    observed: int = 0
    announced: Mapping[str, int] = field(default_factory=dict)
    bounced: Mapping[str, int] = field(default_factory=dict)
    decisions: Mapping[str, PlanDecision] = field(default_factory=dict)
    methods: Mapping[str, Method] = field(default_factory=dict)
    tries: Mapping[str, Try] = field(default_factory=dict)
    tracks: Mapping[str, int] = field(default_factory=dict)
    last_number: int = 0
    acknowledged: Mapping[str, Acknowledgement] = field(default_factory=dict)
    rebuilt: bool = False
    erased: bool = False
    expired: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return a dict for JSON, without empty fields."""
        stored = {name: _without_empty(value) for name, value in asdict(self).items()}
        return {name: value for name, value in stored.items() if value not in (0, {}, False)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "PlanFacts":
        """Return the facts that `to_json` wrote."""

        def decision(value: Mapping[str, Any]) -> PlanDecision:
            lists = {name: tuple(value[name]) for name in ("seqs", "accepts") if name in value}
            return read(PlanDecision, {**value, **lists})

        def a_try(value: Mapping[str, Any]) -> Try:
            answer = value.get("answer")
            return read(Try, {"method": None, "payment_id": "", **value, "answer": Answer(*answer) if answer else None})

        def acknowledgement(value: Mapping[str, Any]) -> Acknowledgement:
            return read(Acknowledgement, {"fingerprint": "", "note": "", **value})

        return cls(
            **{name: stored[name] for name in _PLAIN if name in stored},
            decisions={key: decision(value) for key, value in stored.get("decisions", {}).items()},
            methods={key: read(Method, value) for key, value in stored.get("methods", {}).items()},
            tries={key: a_try(value) for key, value in stored.get("tries", {}).items()},
            acknowledged={key: acknowledgement(value) for key, value in stored.get("acknowledged", {}).items()},
        )


_PLAIN = ("observed", "announced", "bounced", "tracks", "last_number", "rebuilt", "erased", "expired")
NO_PLAN_FACTS = PlanFacts()


def _without_empty(value: Any) -> Any:
    """Return a map of dataclasses as dicts without the fields that have no value."""
    if not isinstance(value, Mapping):
        return value
    return {
        key: {name: part for name, part in entry.items() if part not in (None, (), "")}
        if isinstance(entry, Mapping)
        else entry
        for key, entry in value.items()
    }


def merge(a: PlanFacts, b: PlanFacts) -> PlanFacts:
    """Return the facts of both. Commutative, associative and idempotent."""
    merged = PlanFacts(
        observed=max(a.observed, b.observed),
        announced=_newest_announced(each(a.announced, b.announced, min)),
        bounced=_newest_announced(each(a.bounced, b.bounced, min)),
        decisions=_newest_notes(each(a.decisions, b.decisions, lambda x, y: max(x, y, key=_decision_key))),
        methods=_newest_methods(each(a.methods, b.methods, join_method)),
        tries=_newest_tries(each(a.tries, b.tries, _join_try)),
        tracks=each(a.tracks, b.tracks, min),
        last_number=max(a.last_number, b.last_number),
        acknowledged=core_facts.newest_acknowledged(
            each(a.acknowledged, b.acknowledged, lambda x, y: max(x, y, key=core_facts.acknowledgement_key))
        ),
        rebuilt=a.rebuilt or b.rebuilt,
        erased=a.erased or b.erased,
        expired=a.expired or b.expired,
    )
    return _without_personal(merged) if merged.erased or merged.expired else merged


def _decision_key(one: PlanDecision) -> tuple[Any, ...]:
    rest = (one.refund or "", -1 if one.access is None else int(one.access), one.accepts, one.actor, one.note)
    return one.version, one.decision, one.at, one.seqs, one.to or "", *rest


def join_method(a: Method, b: Method) -> Method:
    """Return the method as two reports of it say."""
    return Method(
        set_up=min(a.set_up, b.set_up),
        type=either(a.type, b.type, max),
        chosen=either(a.chosen, b.chosen, max),
        updated=either(a.updated, b.updated, max),
        replaced=either(a.replaced, b.replaced, min),
        gone=either(a.gone, b.gone, min),
    )


def _join_try(a: Try, b: Try) -> Try:
    """Return the try that was recorded first, with the first answer."""
    answer = either(a.answer, b.answer, lambda x, y: min(x, y, key=_answer_key))
    return replace(min(a, b, key=lambda one: (one.at, one.payment_id, one.seq, one.method or "")), answer=answer)


def _answer_key(answer: Answer) -> tuple[int, str, str, str]:
    return answer.at, answer.charge or "", answer.code or "", answer.advice or ""


def _newest_notes(decisions: Mapping[str, PlanDecision]) -> dict[str, PlanDecision]:
    """Keep all decisions, and the notes of the newest."""
    kept = {*sorted(decisions, key=lambda key: (decisions[key].version, key))[-core_facts.MAX_NOTES :]}
    return {key: one if key in kept else replace(one, note="") for key, one in decisions.items()}


def _newest_methods(methods: Mapping[str, Method]) -> dict[str, Method]:
    kept = {*sorted(methods, key=lambda key: (methods[key].since, key))[-MAX_METHODS:]}
    return {key: one for key, one in methods.items() if key in kept}


def _newest_announced(announced: Mapping[str, int]) -> dict[str, int]:
    kept = {*sorted(announced, key=Announced.of)[-MAX_ANNOUNCEMENTS:]}
    return {key: at for key, at in announced.items() if key in kept}


def _newest_tries(tries: Mapping[str, Try]) -> dict[str, Try]:
    kept = {*sorted(tries, key=lambda key: (tries[key].at, key))[-MAX_TRIES:]}
    return {key: one for key, one in tries.items() if key in kept}


def _without_personal(facts: PlanFacts) -> PlanFacts:
    """Drop the fields that lead to a person, so that no late event restores one of them."""
    return replace(
        facts,
        decisions={key: replace(one, note="") for key, one in facts.decisions.items()},
        methods={},
        tries={},
        acknowledged={key: replace(one, note="") for key, one in facts.acknowledged.items()},
    )
