"""The roll-ups of analytics: read, and changed together with the claims on the records that changed them.

One transaction claims records and changes the roll-ups, each on condition of the version that was read. So a record
counts once, whatever is delivered twice, killed or replayed.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tuition import clock
from tuition.core import timestamps
from tuition.core.errors import TuitionError
from tuition.core.payment import Payment
from tuition.core.rollups import Figures, RollUpKey
from tuition.storage import dynamodb, keys, mapping
from tuition.storage.dynamodb import Item, Partition, SortKeys, StorageRefused, TransactionCanceled
from tuition.storage.items import EffectItem, PaymentItem, RollUpItem

CONSUMER = "analytics"
MAX_WRITES = 100
"""Of one transaction."""
MAX_CLAIMS = 90
"""Of one transaction, so that roll-ups have room."""
KEYS_PER_READ = 100
"""A batch read has at most 100 keys."""
ITEMS_PER_SCAN = 500
"""Of one page of the table."""
COUNTED = "counted"
_TRANSIENT = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}

Claim = tuple[str, str]
"""The subject and the sort key of an audit record."""


class RollUpConflict(TuitionError):
    """Another transaction changed one of the roll-ups, or claimed one of the records, first. Read again."""


@dataclass(frozen=True)
class RollUp:
    """A roll-up as it was read. `version` is 0 if it does not exist. `changed_at` is RFC 3339."""

    key: RollUpKey
    figures: Figures = field(default_factory=dict)
    version: int = 0
    recorded_days: frozenset[str] = frozenset()
    changed_at: str | None = None


@dataclass(frozen=True)
class Counted:
    """The counted contribution of a payment or plan: the figures of each roll-up, by its key as text."""

    subject: str
    figures: dict[str, Figures] = field(default_factory=dict)
    version: int = 0


def claimed(claims: Iterable[Claim]) -> set[Claim]:
    """Return those of the records that are claimed."""
    item_keys = [keys.effect_key(CONSUMER, subject, sort_key) for subject, sort_key in dict.fromkeys(claims)]
    items = [item for batch in _batches(item_keys) for item in dynamodb.batch_get({EffectItem: batch})[EffectItem]]
    return {(item["consumer_subject"]["S"].partition("#")[2], item["sort_key"]["S"]) for item in items}


def load_payments(payment_ids: Iterable[str]) -> dict[str, Payment]:
    """Return the payments that exist, by id."""
    item_keys = [keys.payment_key(payment_id) for payment_id in dict.fromkeys(payment_ids)]
    items = [item for batch in _batches(item_keys) for item in dynamodb.batch_get({PaymentItem: batch})[PaymentItem]]
    loaded = map(mapping.payment_from_raw, items)
    return {payment.payment_id: payment for payment in loaded}


def load_counted(subjects: Iterable[str]) -> dict[str, Counted]:
    """Return what was counted of each payment or plan, by id."""
    ids = list(dict.fromkeys(subjects))
    items = _load(map(_counted_key, ids))
    in_order = (items.get(_counted_key(subject)) for subject in ids)
    return {
        subject: Counted(subject, dict(item.figures), int(item.version)) if item else Counted(subject)
        for subject, item in zip(ids, in_order, strict=True)
    }


def every_counted() -> Iterator[list[Counted]]:
    """Yield what was counted of each payment and plan, page by page of the table. Some may no longer exist."""
    start: Item | None = None
    while True:
        page = dynamodb.scan_page(RollUpItem, limit=ITEMS_PER_SCAN, start=start)
        counted = (item for item in page.items if item["measure"]["S"] == COUNTED)
        yield [
            Counted(item.period.partition("#")[2], dict(item.figures), int(item.version))
            for item in map(RollUpItem.from_raw_data, counted)
        ]
        if page.last_key is None:
            return
        start = page.last_key


def load(roll_up_keys: Iterable[RollUpKey]) -> dict[RollUpKey, RollUp]:
    """Return the roll-ups with these keys. One that does not exist is empty."""
    distinct = list(dict.fromkeys(roll_up_keys))
    items = _load(distinct)
    return {key: _roll_up(items[key]) if key in items else RollUp(key) for key in distinct}


def between(period: str, low: str, high: str) -> Iterator[RollUp]:
    """Yield the roll-ups of a partition whose sort keys are from `low` to `high`, both inclusive."""
    partition = Partition(RollUpItem, "period", period, "measure")
    sort_keys = SortKeys("#sort BETWEEN :low AND :high", {":low": low, ":high": high})
    for page in dynamodb.query_pages(partition, sort_keys=sort_keys):
        for item in page.items:
            yield _roll_up(RollUpItem.from_raw_data(item))


def store(claims: Iterable[Claim], counted: Iterable[Counted], roll_ups: Iterable[RollUp]) -> None:
    """Claim records and write what they change, in one transaction.

    Each value has the version that was read; the item gets the next one. Raises `RollUpConflict` with nothing written.
    """
    now = timestamps.iso(clock.now())
    writes = [_claim(subject, sort_key, now) for subject, sort_key in claims]
    writes += [_put(_counted_key(one.subject), one.figures, one.version, frozenset()) for one in counted]
    writes += [_put(one.key, one.figures, one.version, one.recorded_days, now) for one in roll_ups]
    try:
        dynamodb.call("transact_write_items", TransactItems=writes)
    except TransactionCanceled as canceled:
        codes = {reason["Code"] for reason in canceled.reasons}
        if codes & (_TRANSIENT | {"ConditionalCheckFailed"}):
            raise RollUpConflict("another transaction was first") from None
        raise StorageRefused("The figures could not be stored. Try again.") from canceled


def _counted_key(subject: str) -> RollUpKey:
    return RollUpKey(f"{COUNTED}#{subject}", COUNTED)


def _load(roll_up_keys: Iterable[RollUpKey]) -> dict[RollUpKey, RollUpItem]:
    raw_keys = [keys.roll_up_key(key.period, key.measure) for key in dict.fromkeys(roll_up_keys)]
    raw = [item for batch in _batches(raw_keys) for item in dynamodb.batch_get({RollUpItem: batch})[RollUpItem]]
    items = map(RollUpItem.from_raw_data, raw)
    return {RollUpKey(item.period, item.measure): item for item in items}


def _batches(item_keys: list[Item]) -> Iterator[tuple[Item, ...]]:
    return itertools.batched(item_keys, KEYS_PER_READ, strict=False)


def _roll_up(item: RollUpItem) -> RollUp:
    key = RollUpKey(item.period, item.measure)
    return RollUp(key, dict(item.figures), int(item.version), frozenset(item.recorded_days or ()), item.changed_at)


def _claim(subject: str, sort_key: str, now: str) -> Item:
    item = EffectItem(f"{CONSUMER}#{subject}", sort_key, state=COUNTED, at=now)
    put = {"TableName": dynamodb.table_name(EffectItem), "Item": dynamodb.to_raw(item)}
    return {"Put": {**put, "ConditionExpression": "attribute_not_exists(consumer_subject)"}}


def _put(
    key: RollUpKey, figures: object, version: int, recorded_days: frozenset[str], changed_at: str | None = None
) -> Item:
    days = set(recorded_days) or None
    item = RollUpItem(
        key.period, key.measure, figures=figures, version=version + 1, recorded_days=days, changed_at=changed_at
    )
    return dynamodb.put_of_version(item, version)
