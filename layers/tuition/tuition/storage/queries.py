"""Every query of an index or a partition, and the one cursor type.

An index is named here and in the template only. docs/decisions/0002-indexes.md says what each is for. An index whose
hash key has shards is a list of partitions, one for each shard, and its readers merge them.
"""

import base64
import heapq
import itertools
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from pynamodb.models import Model

from tuition.core import timestamps
from tuition.core.audit import EXPIRED_RECORD
from tuition.core.errors import Unprocessable
from tuition.core.payment import NO_DUE_DATE, CheckDue, Payment
from tuition.storage import dynamodb, keys, mapping
from tuition.storage.dynamodb import Item, Page, Partition, SortKeys
from tuition.storage.items import (
    DISCARDED,
    EMAILS,
    KEPT,
    AuditItem,
    EffectItem,
    EnrollmentItem,
    PaymentItem,
    PlanItem,
    QuarantineItem,
    SearchItem,
    StripeObjectItem,
)

if TYPE_CHECKING:
    from tuition.core.plan import Plan

PAGE_OF_PAYMENTS = 100
"""A batch read has at most 100 keys."""
NEWEST_RECORDS = 10
"""The newest records of a subject that are compared with its item."""
MAX_SORT_KEY_BYTES = 1024
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

# --- partitions ---


def by_user(user_id: str) -> Partition:
    """A user's payments, in the order of their creation."""
    return Partition(PaymentItem, "user_id", user_id, "listed_at", "by_user")


def by_plan(plan_id: str) -> Partition:
    """The payments of a plan, in the order of their creation."""
    return Partition(PaymentItem, "plan", plan_id, "listed_at", "by_plan")


def plans_by_user(user_id: str) -> Partition:
    """A user's plans, in the order of their creation."""
    return Partition(PlanItem, "user_id", user_id, "listed_at", "by_user")


def plans_by_status(status: str) -> list[Partition]:
    """The plans of one status, in the order in which their next installment is due."""
    return _shards(PlanItem, "plan_status", status, "due_at", "by_status")


def plans_by_attention() -> Partition:
    """The plans that need attention, in the order of their creation."""
    return Partition(PlanItem, "attention_open", "open", "listed_at", "by_attention")


def _shards(model: type[Model], key: str, value: str, sort_key: str, index: str) -> list[Partition]:
    return [Partition(model, key, shard, sort_key, index) for shard in keys.shards(key, value)]


def by_status(status: str, product: str) -> list[Partition]:
    """The payments of one status for one track or membership, in the order of their creation."""
    return _shards(PaymentItem, "status_track", f"{status}#{product}", "listed_at", "by_status")


def by_month(month: str) -> list[Partition]:
    """The payments created in a month (`2026-11`), in the order of their creation."""
    return _shards(PaymentItem, "created_month", month, "listed_at", "by_day")


def by_email(email_prefix: str) -> Partition:
    """The payments whose email address begins with the same character, ordered by address, then time."""
    return Partition(PaymentItem, "email_initial", email_prefix[0], "email_key", "by_email")


def by_attention() -> Partition:
    """The payments that need attention, in the order of their creation."""
    return Partition(PaymentItem, "attention_open", "open", "listed_at", "by_attention")


def by_dispute(state: str) -> Partition:
    """The disputed payments, `open` or `over`, in the order of their creation."""
    return Partition(PaymentItem, "disputed", state, "listed_at", "by_dispute")


def by_dispute_due(state: str) -> Partition:
    """The disputed payments, `open` or `over`, in the order in which an answer is due or the dispute began."""
    return Partition(PaymentItem, "disputed", state, "dispute_due", "by_dispute_due")


def by_refund_request(state: str) -> Partition:
    """The payments with a refund request that is `awaiting_approval`, in the order of these requests."""
    return Partition(PaymentItem, "refund_requested", state, "refund_requested_at", "by_refund_request")


def by_check(reason: CheckDue) -> list[Partition]:
    """The payments that the reconciler has to check again for this reason, in the order in which they are due."""
    return _shards(PaymentItem, "check_due", reason, "check_at", "by_check")


def quarantined_by_first_at() -> list[Partition]:
    """The quarantined events, in the order in which they were first quarantined."""
    return _shards(QuarantineItem, "kept", KEPT, "listed_at", "by_first_at")


def quarantined_by_last_at(kept: str = KEPT) -> list[Partition]:
    """The quarantined events in the order of their last try, or the discarded ones in the order of that decision."""
    return _shards(QuarantineItem, "kept", kept, "last_at", "by_last_at")


def by_recorded_day(day: str) -> list[Partition]:
    """The audit records that were committed on a day (`2026-11-23`, UTC), in that order."""
    return _shards(AuditItem, "recorded_day", day, "recorded_position", "by_recorded_day")


def _merged(partitions: list[Partition], sort_keys: SortKeys | None = None, limit: int | None = None) -> Iterator[Item]:
    """Yield the items of all shards in the order of their sort keys. A page of a shard is read when it is needed."""
    by = str(partitions[0].sort_key)
    pages = (dynamodb.query_pages(one, sort_keys=sort_keys, limit=limit) for one in partitions)
    return heapq.merge(*map(_items, pages), key=lambda item: str(item[by]["S"]))


def _items(pages: Iterator[Page]) -> Iterator[Item]:
    for page in pages:
        yield from page.items


# --- the cursor ---


class Cursor(NamedTuple):
    """A position in a list: the last item that was read.

    `stage` says which of a list's parts it is in: `listed` (newest first by `<created_at>#<id>`), `due` (plans by
    their due days), `email` (the matches of an address, after those), `word` (those of its words, newest first,
    after these), `dispute`, `event`, `expired`, `record`, `activity` or `payment_method`. `sort_key` is the item's
    sort key in the index that is read. An empty `item_id` ends a page that has looked into enough empty months.
    """

    stage: str
    sort_key: str
    item_id: str

    def encode(self, list_id: str) -> str:
        """Return the opaque cursor that the API hands out, valid for this list and filter only."""
        text = json.dumps([3, list_id, self.stage, self.sort_key, self.item_id], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, cursor: str, list_id: str) -> "Cursor":
        """Read a cursor of this list. Raises `Unprocessable` for any other text."""
        try:
            version, encoded_list, *parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
            if (version, encoded_list) == (3, list_id) and len(parts) == 3 and all(map(_is_key, parts)):
                return cls(*parts)
        except (ValueError, TypeError, RecursionError):
            pass
        raise wrong_cursor()

    @classmethod
    def listed(cls, sort_key: str) -> "Cursor":
        """Return the cursor of a payment in a list that is ordered by `<created_at>#<payment_id>`."""
        return cls("listed", sort_key, sort_key.partition("#")[2])

    def listed_before(self) -> str:
        """Return the sort key before which a `listed` list continues. Raises `Unprocessable` for any other cursor."""
        if self.item_id == "" or (self.item_id.startswith(("pay_", "pln_")) and self.item_id.isascii()):
            return self._position("listed")
        raise wrong_cursor()

    def due_after(self) -> str:
        """Return the sort key after which a list of plans by their due days continues. Raises `Unprocessable`."""
        day, _, plan_id = self.sort_key.partition("#")
        is_day = timestamps.is_day(day) or day == NO_DUE_DATE
        if self.stage == "due" and is_day and plan_id == self.item_id and plan_id.startswith("pln_"):
            return self.sort_key
        raise wrong_cursor()

    def word_before(self) -> str:
        """Return the sort key before which the matches of words continue. Raises `Unprocessable`."""
        return self._position("word")

    def event_before(self) -> str:
        """Return the sort key before which the quarantine continues. Raises `Unprocessable` for any other cursor."""
        if self.item_id:
            return self._position("event")
        raise wrong_cursor()

    def _position(self, stage: str) -> str:
        """Return the sort key, `<time>#<id>`: a position in every shard. Raises `Unprocessable`."""
        time, _, item_id = self.sort_key.partition("#")
        if self.stage == stage and item_id == self.item_id and _is_time(time):
            return self.sort_key
        raise wrong_cursor()

    def start_of(self, partition: Partition) -> Item:
        """Return the key after which a query of this partition starts. Raises `Unprocessable` for a partial cursor."""
        if not self.sort_key or not self.item_id:
            raise wrong_cursor()
        hash_key = str(partition.model._hash_keyname)
        start = {partition.key: {"S": partition.value}, str(partition.sort_key): {"S": self.sort_key}}
        return {**start, hash_key: {"S": self.item_id}}

    @classmethod
    def after(cls, page: Page, partition: Partition, stage: str) -> "Cursor | None":
        """Return the cursor of the page after this one; None after the last."""
        if page.last_key is None:
            return None
        hash_key = str(partition.model._hash_keyname)
        return cls(stage, page.last_key[str(partition.sort_key)]["S"], page.last_key[hash_key]["S"])


def wrong_cursor() -> Unprocessable:
    """Return the error for a cursor that is not one of this list's."""
    return Unprocessable("cursor belongs to another list. Send the next_cursor of this list's last page.", "cursor")


def _is_key(part: object) -> bool:
    """Whether this can be a sort key: short enough, and without half a surrogate pair."""
    if not isinstance(part, str) or any("\ud800" <= letter <= "\udfff" for letter in part):
        return False
    return len(part.encode()) <= MAX_SORT_KEY_BYTES


def _is_time(text: str) -> bool:
    try:
        return "2020" <= text < "2200" and timestamps.iso(timestamps.epoch(text)) == text
    except ValueError:
        return False


# --- payments ---


def payments_by_id(payment_ids: Iterable[str]) -> list[PaymentItem]:
    """Read payments, strongly consistent, each once, in this order. Payments that do not exist are left out.

    An index can have an id twice while its item changes. DynamoDB refuses a batch that has a key twice.
    """
    ids = list(dict.fromkeys(payment_ids))
    raw = dynamodb.batch_get({PaymentItem: [keys.payment_key(i) for i in ids]})[PaymentItem]
    items = {item["payment_id"]["S"]: PaymentItem.from_raw_data(item) for item in raw}
    return [items[i] for i in ids if i in items]


def plans_by_id(plan_ids: Iterable[str]) -> "list[Plan]":
    """Read plans, strongly consistent, each once, in this order. Plans that do not exist are left out."""
    ids = list(dict.fromkeys(plan_ids))
    raw = dynamodb.batch_get({PlanItem: [keys.plan_key(plan_id) for plan_id in ids]})[PlanItem]
    plans = {item["plan_id"]["S"]: mapping.plan_from_raw(item) for item in raw}
    return [plans[plan_id] for plan_id in ids if plan_id in plans]


def page_of_plans(limit: int, after: str | None) -> "tuple[list[Plan], str | None]":
    """Read the next plans of the table after this one, strongly consistent, and the id of the last; None at its end.

    A scan: each plan has its place, whatever changes in it.
    """
    page = dynamodb.scan_page(PlanItem, limit=limit, start=keys.plan_key(after) if after else None)
    last = page.last_key["plan_id"]["S"] if page.last_key else None
    return list(map(mapping.plan_from_raw, page.items)), last


def plan_items_of_user(user_id: str) -> Iterator[Item]:
    """Yield the item of every plan of a user, the newest first: a query and a batch read per page."""
    for page in dynamodb.query_pages(plans_by_user(user_id), descending=True, limit=PAGE_OF_PAYMENTS):
        raw = dynamodb.batch_get({PlanItem: [keys.plan_key(key["plan_id"]["S"]) for key in page.items]})[PlanItem]
        own = [item for item in raw if item["user_id"]["S"] == user_id]
        yield from sorted(own, key=lambda item: str(item["listed_at"]["S"]), reverse=True)


def plans_of_user(user_id: str) -> "Iterator[Plan]":
    """Yield every plan of a user, the newest first: a query and a batch read per page."""
    yield from map(mapping.plan_from_raw, plan_items_of_user(user_id))


def payments_of_plan(plan_id: str) -> Iterator[Payment]:
    """Yield the payments of a plan that the index shows, the oldest first: a query and a batch read per page."""
    for page in dynamodb.query_pages(by_plan(plan_id), limit=PAGE_OF_PAYMENTS):
        items = payments_by_id([key["payment_id"]["S"] for key in page.items])
        yield from map(mapping.payment_from_item, items)


def due_plans(now: str) -> Iterator[str]:
    """Yield the ids of the plans at which the collector must look, the longest due first. `now` is RFC 3339."""
    partitions = _shards(PlanItem, "collect_due", mapping.COLLECT_DUE, "collect_at", "by_collect")
    due = _merged(partitions, SortKeys("#sort <= :now", {":now": now}))
    yield from (key["plan_id"]["S"] for key in due)


def page_of_payments(
    partition: Partition, limit: int, cursor: Cursor | None, *, descending: bool, stage: str
) -> tuple[list[PaymentItem], Cursor | None]:
    """Read one page of an index with its payments: one query and one batch read."""
    start = cursor.start_of(partition) if cursor else None
    page = dynamodb.query(partition, descending=descending, limit=limit, start=start)
    items = payments_by_id([key["payment_id"]["S"] for key in page.items])
    return items, Cursor.after(page, partition, stage)


def payments_of_user(user_id: str) -> Iterator[Payment]:
    """Yield every payment of a user, the newest first: a query and a batch read per page."""
    for page in dynamodb.query_pages(by_user(user_id), descending=True, limit=PAGE_OF_PAYMENTS):
        items = payments_by_id([key["payment_id"]["S"] for key in page.items])
        yield from map(mapping.payment_from_item, items)


def sort_keys_between(
    partition: Partition, low: str, high: str, page_size: int, *, ascending: bool = False
) -> Iterator[str]:
    """Yield a partition's sort keys from high to low, or ascending, both inclusive."""
    between = SortKeys("#sort BETWEEN :low AND :high", {":low": low, ":high": high})
    for page in dynamodb.query_pages(partition, sort_keys=between, descending=not ascending, limit=page_size):
        yield from (key[str(partition.sort_key)]["S"] for key in page.items)


def emails_with_prefix(prefix: str, after: Cursor | None, page_size: int) -> Iterator[Cursor]:
    """Yield the position of each payment whose address begins with this text, from the last address.

    The text must be written as `core.texts.caseless` writes it.
    """
    partition = by_email(prefix)
    begins = SortKeys("begins_with(#sort, :prefix)", {":prefix": prefix})
    start = after.start_of(partition) if after else None
    for page in dynamodb.query_pages(partition, sort_keys=begins, descending=True, limit=page_size, start=start):
        for key in page.items:
            yield Cursor("email", key["email_key"]["S"], key["payment_id"]["S"])


def payments_with_word(word: str, before: str | None, page_size: int) -> Iterator[Cursor]:
    """Yield the position of each payment that was found by a word when it was stored, newest first."""
    older = SortKeys("#sort < :before", {":before": before}) if before else None
    partitions = [Partition(SearchItem, "word", key, "listed_at") for key in keys.searched_words(word)]
    pages = (dynamodb.query_pages(one, sort_keys=older, descending=True, limit=page_size) for one in partitions)
    for item in heapq.merge(*map(_items, pages), key=lambda item: str(item["listed_at"]["S"]), reverse=True):
        yield Cursor.listed(item["listed_at"]["S"])._replace(stage="word")


def count_with_word(word: str, limit: int) -> int:
    """Count the payments with a word, at most `limit` in each shard. One query per shard."""
    partitions = [Partition(SearchItem, "word", key, "listed_at") for key in keys.searched_words(word)]
    return sum(len(dynamodb.query(one, limit=limit).items) for one in partitions)


def month_pages(partition: Partition, after: str, page_size: int) -> Iterator[tuple[list[str], bool]]:
    """Yield the sort keys of one shard of a month after this one, oldest first, page by page, and if there are more."""
    newer = SortKeys("#sort > :after", {":after": after})
    for page in dynamodb.query_pages(partition, sort_keys=newer, limit=page_size):
        yield [key["listed_at"]["S"] for key in page.items], page.last_key is not None


def has_payments(statuses: Iterable[str], products: Iterable[str]) -> bool:
    """Whether a payment has one of these statuses: at most one query for each status, product and shard."""
    pairs = itertools.product(sorted(statuses), products)
    partitions = (shard for status, product in pairs for shard in by_status(status, product))
    return any(dynamodb.query(partition, limit=1).items for partition in partitions)


def payments_with_status(statuses: Iterable[str], track: str) -> Iterator[Payment]:
    """Yield the payments of a track with one of these statuses, page by page. One may have changed when it is used."""
    for partition in (shard for status in statuses for shard in by_status(status, track)):
        for page in dynamodb.query_pages(partition, limit=PAGE_OF_PAYMENTS):
            for item in payments_by_id([key["payment_id"]["S"] for key in page.items]):
                yield mapping.payment_from_item(item)


def due_payments(reason: CheckDue, now: str) -> Iterator[str]:
    """Yield the ids of the payments that are due for a check, the longest due first. `now` is RFC 3339."""
    due = _merged(by_check(reason), SortKeys("#sort <= :now", {":now": now}))
    yield from (key["payment_id"]["S"] for key in due)


def oldest_refund_request() -> str | None:
    """Return when the oldest refund request that awaits approval was made; None without one. One query."""
    page = dynamodb.query(by_refund_request("awaiting_approval"), limit=1)
    return page.items[0]["refund_requested_at"]["S"].partition("#")[0] if page.items else None


class Waiting(NamedTuple):
    """The payments and plans that wait for staff: how many of each kind, and the first times (RFC 3339 UTC)."""

    requests: int
    oldest: str | None
    attention: int
    plans: int
    disputes: int
    due_by: str | None


def what_waits_for_staff(limit: int) -> Waiting:
    """Count at most `limit` refund requests, payments and plans that need attention, and open disputes."""
    requests = _first(by_refund_request("awaiting_approval"), limit)
    disputes = _first(by_dispute_due("open"), limit)
    oldest = [item["refund_requested_at"]["S"].partition("#")[0] for item in requests[:1]]
    due = [item["dispute_due"]["S"].partition("#")[0] for item in disputes[:1]]
    return Waiting(
        requests=len(requests),
        oldest=oldest[0] if oldest else None,
        attention=len(_first(by_attention(), limit)),
        plans=len(_first(plans_by_attention(), limit)),
        disputes=len(disputes),
        due_by=due[0] if due and due[0] != NO_DUE_DATE else None,
    )


def payments_that_need_attention(limit: int) -> Iterator[Payment]:
    """Yield at most `limit` payments that need attention, in the order of their creation."""
    ids = [key["payment_id"]["S"] for key in _first(by_attention(), limit)]
    for batch in itertools.batched(ids, PAGE_OF_PAYMENTS, strict=False):
        yield from (mapping.payment_from_item(item) for item in payments_by_id(list(batch)))


def _first(partition: Partition, limit: int) -> list[Item]:
    return list(itertools.islice(_items(dynamodb.query_pages(partition, limit=limit)), limit))


# --- everything else ---


def stripe_object(stripe_id: str) -> StripeObjectItem | None:
    """Read the pointer from a Stripe id, strongly consistent; None if there is none."""
    item = dynamodb.get(StripeObjectItem, keys.stripe_object_key(stripe_id))
    return StripeObjectItem.from_raw_data(item) if item else None


def stripe_objects(stripe_ids: list[str]) -> dict[str, StripeObjectItem]:
    """Read the pointers from at most `PAGE_OF_PAYMENTS` Stripe ids, by id. Ids without one are left out."""
    raw = dynamodb.batch_get({StripeObjectItem: [keys.stripe_object_key(i) for i in stripe_ids]})[StripeObjectItem]
    return {item["stripe_id"]["S"]: StripeObjectItem.from_raw_data(item) for item in raw}


def _all(model: type[Model], key: str, value: str) -> list[Item]:
    """Read every item under a hash key. For partitions that stay small: one user's, one payment's trail."""
    return [item for page in dynamodb.query_pages(Partition(model, key, value)) for item in page.items]


def user_items(user_id: str) -> dict[str, Item]:
    """Read a user's enrollments, progress and the head of their own chain, by sort key."""
    return {item["sort_key"]["S"]: item for item in _all(EnrollmentItem, "user_id", user_id)}


def is_known_user(user_id: str) -> bool:
    """Whether the user has an enrollment, with or without access, or a record of their own. One query."""
    return bool(dynamodb.query(Partition(EnrollmentItem, "user_id", user_id), limit=1).items)


def audit_trail(subject: str, since: str = "") -> list[dict[str, Any]]:
    """Read a subject's audit records in the order of `seq`, each as `tuition.core.audit` hashed it, with its hash.

    With `since` (RFC 3339), only those of events from that time on.
    """
    records = [mapping.record_to_json(AuditItem.from_raw_data(item)) for item in audit_items(subject, since)]
    return sorted(records, key=lambda record: int(record["seq"]))


def audit_items(subject: str, since: str = "") -> list[Item]:
    """Read a subject's audit records in the order of time, as DynamoDB writes them."""
    if not since:
        return _all(AuditItem, "subject", subject)
    partition = Partition(AuditItem, "subject", subject, "sort_key")
    sort_keys = SortKeys("#sort >= :since", {":since": since})
    return [item for page in dynamodb.query_pages(partition, sort_keys=sort_keys) for item in page.items]


def recorded_trail(subject: str) -> list[dict[str, Any]]:
    """Read a subject's audit records as `audit_trail` does, each with the time at which the ledger committed it."""
    items = [AuditItem.from_raw_data(item) for item in audit_items(subject)]
    records = [{**mapping.record_to_json(item), "recorded_at": item.recorded_at} for item in items]
    return sorted(records, key=lambda record: int(record["seq"]))


def newest_seq(subject: str) -> int:
    """Return the highest position among the newest records of a subject; 0 without one. It is one read.

    A record may be earlier in the order of time than those before it, so several are read.
    """
    partition = Partition(AuditItem, "subject", subject, "sort_key")
    page = next(dynamodb.query_pages(partition, descending=True, limit=NEWEST_RECORDS))
    return max((int(AuditItem.from_raw_data(item).seq) for item in page.items), default=0)


def newest_of_trail(subject: str, first: int, version: int) -> list[dict[str, Any]]:
    """Read a subject's audit records from this position to `version`, in this order. One may be missing.

    A record may be earlier in the order of time than those before it, so up to three times as many records are read.
    """
    if first <= 1:
        return audit_trail(subject)
    partition, records = Partition(AuditItem, "subject", subject, "sort_key"), dict[int, dict[str, Any]]()
    count = version - first + 1
    for page in itertools.islice(dynamodb.query_pages(partition, descending=True, limit=count), 3):
        read = [mapping.record_to_json(AuditItem.from_raw_data(item)) for item in page.items]
        records |= {record["seq"]: record for record in read if record["seq"] >= first}
        if len(records) >= count:
            break
    return [records[seq] for seq in sorted(records)]


def page_of_trail(subject: str, limit: int, cursor: Cursor | None) -> tuple[list[Item], Cursor | None]:
    """Read one page of a subject's audit records in the order of time, and the cursor of the next, in stage `record`.

    Raises `Unprocessable` for the cursor of another subject.
    """
    if cursor and (cursor.stage != "record" or cursor.item_id != subject):
        raise wrong_cursor()
    partition = Partition(AuditItem, "subject", subject, "sort_key")
    page = dynamodb.query(partition, limit=limit, start=cursor.start_of(partition) if cursor else None)
    return page.items, Cursor.after(page, partition, "record")


def emails_about(subject: str) -> list[Item]:
    """Read what became of each email about a payment or a plan, as DynamoDB writes it."""
    return _all(EffectItem, "consumer_subject", f"{EMAILS}#{subject}")


def expired(payment_ids: Iterable[str]) -> frozenset[str]:
    """Return those of these missing payments that were deleted after their retention period. One query for each.

    The deletion is the newest record of a payment's trail.
    """
    partitions = {payment_id: Partition(AuditItem, "subject", payment_id) for payment_id in payment_ids}
    newest = {key: dynamodb.query(one, descending=True, limit=1).items for key, one in partitions.items()}
    return frozenset(key for key, items in newest.items() if items and items[0]["type"]["S"] == EXPIRED_RECORD)


def records_of_day(day: str) -> Iterator[Item]:
    """Yield the keys of the audit records that were committed on a day (`2026-11-23`, UTC), in that order.

    The index may lag, and a commit takes its time first: read a day some minutes after it has ended.
    """
    for item in _merged(by_recorded_day(day)):
        yield keys.audit_key(item["subject"]["S"], item["sort_key"]["S"])


def page_of_records(shard: str, first: str, until: str, limit: int) -> Page:
    """Read one page of the keys of the audit records of a shard of a day, committed from `first` until before `until`.

    Both are a time (RFC 3339), or a position from `after_record`. The index may lag, as for `records_of_day`.
    """
    partition = Partition(AuditItem, "recorded_day", shard, "recorded_position", "by_recorded_day")
    between = SortKeys("#sort BETWEEN :first AND :until", {":first": first, ":until": until})
    return dynamodb.query(partition, sort_keys=between, limit=limit)


def after_record(item: Item) -> str:
    """Return the position behind a record: before every other position, because they go on with `0` to `9`."""
    return f"{item['recorded_position']['S']}!"


def recorded_days_of(subject: str) -> frozenset[str]:
    """Return the days on which a subject's records were committed, as the index has them."""
    days = (item.get("recorded_day", {}).get("S", "") for item in _all(AuditItem, "subject", subject))
    return frozenset(day.partition("#")[0] for day in days if day)


def payments_of_month(month: str) -> Iterator[str]:
    """Yield the ids of the payments that were created in a month, oldest first."""
    for item in _merged(by_month(month)):
        yield item["payment_id"]["S"]


def page_of_day(day: str, limit: int, after: str | None) -> tuple[list[Item], str | None]:
    """Read the audit records that were committed on a day behind a position, as DynamoDB writes them, at most `limit`.

    Also return the position at which the next page starts; None at the end of the day.
    """
    newer = SortKeys("#sort > :after", {":after": after}) if after else None
    indexed = list(itertools.islice(_merged(by_recorded_day(day), newer, limit + 1), limit + 1))
    item_keys = [keys.audit_key(item["subject"]["S"], item["sort_key"]["S"]) for item in indexed[:limit]]
    items = dynamodb.batch_get({AuditItem: item_keys})[AuditItem]
    ordered = sorted(items, key=lambda item: str(item["recorded_position"]["S"]))
    return ordered, indexed[limit - 1]["recorded_position"]["S"] if len(indexed) > limit else None


def page_of_quarantine(limit: int, cursor: Cursor | None) -> tuple[list[QuarantineItem], Cursor | None]:
    """Read one page of the quarantine, newest first, without the events' bodies, which the index does not have."""
    older = SortKeys("#sort < :before", {":before": cursor.event_before()}) if cursor else None
    pages = [
        dynamodb.query(partition, sort_keys=older, descending=True, limit=limit + 1).items
        for partition in quarantined_by_first_at()
    ]
    newest = list(heapq.merge(*pages, key=lambda item: str(item["listed_at"]["S"]), reverse=True))
    items = [QuarantineItem.from_raw_data(item) for item in newest[:limit]]
    return items, Cursor("event", items[-1].listed_at, items[-1].event_id) if len(newest) > limit else None


def oldest_quarantined(limit: int) -> list[str]:
    """Return the ids of quarantined events, the one whose last try is oldest first."""
    return [item["event_id"]["S"] for item in itertools.islice(_merged(quarantined_by_last_at(), limit=limit), limit)]


def discarded_before(at: str, limit: int) -> list[str]:
    """Return the ids of events that staff discarded before this time, the oldest first. `at` is RFC 3339."""
    older = SortKeys("#sort <= :now", {":now": at})
    items = _merged(quarantined_by_last_at(DISCARDED), older, limit)
    return [item["event_id"]["S"] for item in itertools.islice(items, limit)]
