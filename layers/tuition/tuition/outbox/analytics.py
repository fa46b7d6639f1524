"""Count audit records into the roll-ups of analytics, from a queue that delivers them at least once, in any order.

A record says that its payment or plan has changed. The consumer reads it, and adds to the roll-ups the difference
between what it contributes now (`tuition.core.rollups`) and what was counted of it. One transaction claims the records,
stores what is counted, and changes the roll-ups. So neither order nor repetition, a kill, or a replay of everything
changes a sum: docs/decisions/0029-roll-ups.md.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tuition import retry
from tuition.core import rollups
from tuition.core.errors import Contended, Unavailable
from tuition.core.refs import is_plan
from tuition.core.rollups import Contribution, RollUpKey
from tuition.core.timestamps import UTC_ZONE
from tuition.log import logger
from tuition.settings import school_time_zone
from tuition.storage import queries
from tuition.storage import rollups as stored
from tuition.storage.rollups import MAX_CLAIMS, MAX_WRITES, Counted, RollUpConflict


@dataclass(frozen=True)
class Message:
    """A message of the queue: which audit record to count, and on which day it was committed."""

    message_id: str
    subject: str
    sort_key: str
    recorded_day: str


@dataclass(frozen=True)
class Change:
    """The change by one payment or plan: its new counted contribution, and the difference to the roll-ups."""

    counted: Counted
    difference: Contribution
    recorded_days: frozenset[str]
    is_whole: bool = True


def zones() -> list[str]:
    """Return the time zones in which days are counted: UTC, and the school's. Raises `NotConfigured`."""
    return list(dict.fromkeys((UTC_ZONE, school_time_zone())))


def read(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Count the records that these messages name. Return the ids of the messages that must be delivered again."""
    messages, failed = [], []
    for record in records:
        try:
            messages.append(_message(record))
        except (KeyError, TypeError, ValueError):
            logger.exception("a message cannot be read", message_id=record["messageId"])
            failed.append(str(record["messageId"]))
    return failed + _count_all(messages)


def _message(record: Mapping[str, Any]) -> Message:
    body = json.loads(record["body"])
    return Message(
        str(record["messageId"]), str(body["subject"]), str(body["sort_key"]), str(body["recorded_day"])[:10]
    )


def _count_all(messages: Sequence[Message]) -> list[str]:
    """Count messages together; if one of them cannot be counted, halve them until only that one is left."""
    if not messages:
        return []
    try:
        count(messages)
    except (Unavailable, Contended):
        logger.exception("records could not be counted", messages=len(messages))
        return [message.message_id for message in messages]
    except Exception:
        if len(messages) == 1:
            logger.exception("a record cannot be counted", subject=messages[0].subject)
            return [messages[0].message_id]
        middle = len(messages) // 2
        return _count_all(messages[:middle]) + _count_all(messages[middle:])
    return []


def count(messages: Sequence[Message]) -> None:
    """Count records: as many transactions as they need. Raises `Contended` after the last conflict of one of them."""
    while messages:
        for _ in retry.attempts(retry.ROLL_UPS):
            try:
                messages = _count_some(messages)
                break
            except RollUpConflict:
                continue
        else:
            raise Contended("The figures are being changed by others. Try again.")


def count_subject(subject: str, recorded_days: frozenset[str]) -> bool:
    """Count a payment or plan without a record, as the recount does. Return whether anything was missing.

    `recorded_days` are those of its audit records. Raises `Contended`.
    """
    is_missing = False
    for _ in retry.attempts(retry.ROLL_UPS):
        try:
            change = _fitting(_changes({subject: recorded_days}), [])[0]
            if not change.difference:
                return is_missing
            _store([], [change])
            is_missing = True
        except RollUpConflict:
            continue
    raise Contended("The figures are being changed by others. Try again.")


def _count_some(messages: Sequence[Message]) -> list[Message]:
    """Count as many records as one transaction holds, and return the others. Raises `RollUpConflict`."""
    claims = stored.claimed((message.subject, message.sort_key) for message in messages)
    pending = [message for message in messages if (message.subject, message.sort_key) not in claims]
    if not pending:
        return []
    recorded: dict[str, frozenset[str]] = {}
    for message in pending:
        recorded[message.subject] = recorded.get(message.subject, frozenset()) | {message.recorded_day}
    changes = _fitting(_changes(recorded), pending)
    counted = {change.counted.subject for change in changes if change.is_whole}
    done = [message for message in pending if message.subject in counted][:MAX_CLAIMS]
    _store(list(dict.fromkeys((message.subject, message.sort_key) for message in done)), changes)
    claimed = {(message.subject, message.sort_key) for message in done}
    return [message for message in pending if (message.subject, message.sort_key) not in claimed]


def contributions(subjects: Iterable[str]) -> Iterator[tuple[str, Counted, Contribution]]:
    """Yield each payment or plan with what was counted of it, and what it contributes now.

    The counted contribution is read first. Read second, it could come from a newer state of the payment than the one
    at hand, and the sums would go back to the older one. A missing payment contributes nothing, unless it was deleted
    after its retention period: its figures stay. A plan, and a payment of one, cost a query of their records.
    """
    ids = list(subjects)
    counted = stored.load_counted(ids)
    payments = stored.load_payments(one for one in ids if not is_plan(one))
    expired = queries.expired(one for one in ids if one not in payments and not is_plan(one))
    for subject in ids:
        before, payment = counted[subject], payments.get(subject)
        if subject in expired:
            now = rollups.from_json(before.figures)
        elif is_plan(subject):
            now = rollups.plan_contribution(queries.audit_trail(subject), zones())
        else:
            trail = queries.audit_trail(subject) if payment and payment.plan else ()
            now = rollups.contribution(payment, zones(), trail)
        yield subject, before, now


def _changes(recorded: Mapping[str, frozenset[str]]) -> list[Change]:
    """Return the change by each payment or plan, from its state as it is now."""
    changes = []
    for subject, before, now in contributions(recorded):
        days = recorded[subject]
        figures = rollups.to_json(now)
        change = rollups.difference(rollups.from_json(before.figures), now)
        changes.append(Change(replace(before, figures=figures), change, days))
    return changes


def _fitting(changes: Sequence[Change], messages: Sequence[Message]) -> list[Change]:
    """Return the first changes that fit into one transaction: at least one, or a part of it if it is too large alone.

    A payment with many refunds, disputes or declines on different days changes more roll-ups than a transaction holds.
    """
    chosen: list[Change] = []
    keys: set[RollUpKey] = set()
    writes = 0
    for change in changes:
        of_payment = sum(message.subject == change.counted.subject for message in messages)
        writes += 1 + min(of_payment, MAX_CLAIMS)
        if writes + len(keys | change.difference.keys()) > MAX_WRITES:
            return chosen or [_part(change)]
        keys |= change.difference.keys()
        chosen.append(change)
    return chosen


def _part(change: Change) -> Change:
    """Return the first half of what a transaction holds of a change; the next one finds the rest."""
    chosen = dict(sorted(change.difference.items())[: MAX_WRITES // 2])
    target = rollups.from_json(change.counted.figures)
    rest = {key: figures for key, figures in change.difference.items() if key not in chosen}
    so_far = rollups.difference(rest, target)
    counted = replace(change.counted, figures=rollups.to_json(so_far))
    return replace(change, counted=counted, difference=chosen, is_whole=False)


def _store(claims: Sequence[stored.Claim], changes: Sequence[Change]) -> None:
    sums = rollups.total(change.difference for change in changes)
    touched = list(dict.fromkeys(key for change in changes for key in change.difference))
    days: dict[RollUpKey, frozenset[str]] = dict.fromkeys(touched, frozenset())
    for change in changes:
        for key in change.difference:
            days[key] |= change.recorded_days
    loaded = stored.load(touched)
    new = [
        replace(
            loaded[key],
            figures=rollups.added(loaded[key].figures, sums.get(key, {})),
            recorded_days=loaded[key].recorded_days | days[key],
        )
        for key in touched
    ]
    stored.store(claims, [change.counted for change in changes if change.difference], new)
