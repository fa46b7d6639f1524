"""Lists of payments for staff: choose the index that narrows a filter most, and read no more than a page needs.

No view scans a table. A list merges index partitions, newest first. Filters that no index can decide are checked on
the items themselves, a bounded number of them per page, so a rare match gives short pages with a cursor. Which index
carries what: docs/decisions/0002-indexes.md.
"""

import hashlib
import heapq
import itertools
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import islice
from typing import Any

from tuition import clock
from tuition.core import attention, catalog, texts, timestamps
from tuition.core import payment as payments
from tuition.core.errors import NotFound
from tuition.core.payment import STATUSES, Payment
from tuition.core.refs import is_plan
from tuition.storage import dynamodb, keys, mapping, queries, search
from tuition.storage.dynamodb import Partition
from tuition.storage.items import EnrollmentItem, PaymentItem
from tuition.storage.queries import Cursor, payments_by_id
from tuition.stripe_gateway import resolve
from tuition.views.filters import EPOCH, Filters, Order, Refunded
from tuition.views.payment_json import PaymentView

MAX_BATCHES_PER_PAGE = 5
"""Batches of items that one page may read."""
TOTALS_BATCH = 100
"""Payments of one batch of totals."""
MAX_MONTHS_PER_PAGE = 24
"""Months that one page may look into."""
DISPUTED = ("open", "over")


def load_views(items: list[PaymentItem], *, with_doubles: bool = False) -> list[PaymentView]:
    """Read the enrollments of these payments and derive their attention reasons.

    `with_doubles` adds the other payment of each track that was paid for twice.
    """
    refs = {(item.user_id, item.track) for item in items}
    raw = dynamodb.batch_get({EnrollmentItem: [keys.enrollment_key(*ref) for ref in sorted(refs)]})
    enrollments = {(e.user_id, e.track): e for e in map(mapping.enrollment_from_raw, raw[EnrollmentItem])}
    doubled = {ref: enrollment.doubled for ref, enrollment in enrollments.items()}
    if with_doubles:
        listed = {item.payment_id for item in items}
        others = payments_by_id(sorted({one for ids in doubled.values() for one in ids if not is_plan(one)} - listed))
        items = items + [item for item in others if not item.attention_open]  # the index lists all the rest
    views = []
    for item in items:
        ref, payment = (item.user_id, item.track), mapping.payment_from_item(item)
        reasons = attention.unacknowledged(payment, double=payment.grantor in doubled.get(ref, []))
        enrollment = enrollments[ref].status if ref in enrollments else None
        views.append(PaymentView(payment, reasons, enrollment, item.check_at))
    return views


def matches(filters: Filters, view: PaymentView) -> bool:
    """Whether a payment matches. An index may lag behind its table, so the item itself is checked."""
    payment, day = view.payment, view.payment.created_at[:10]
    exact = (
        (filters.attention, bool(view.attention)),
        (filters.disputed, bool(payment.facts.disputes)),
        (filters.status, payment.status),
        (filters.track, payment.product),
        (filters.refund_request, payment.refund_request_state),
        (filters.currency, payment.currency),
    )
    if any(chosen not in (None, value) for chosen, value in exact):
        return False
    if filters.refunded and filters.refunded not in _refunded(payment):
        return False
    method = payment.payment_method or {}
    if filters.method and filters.method not in (method.get("type"), method.get("brand")):
        return False
    if filters.failure and filters.failure != _failure_code(payment):
        return False
    if payment.amount < (filters.amount_min or 0) or (
        filters.amount_max is not None and payment.amount > filters.amount_max
    ):
        return False
    first = filters.first.isoformat() if filters.first else day
    last = filters.last.isoformat() if filters.last else day
    return first <= day <= last


def _refunded(payment: Payment) -> tuple[Refunded, ...]:
    """Return the values of the filter `refunded` that a payment matches."""
    if payment.refunded:
        return ("true", "any")
    return ("false", "partly", "any") if payment.refund_amount else ("false", "none")


def _failure_code(payment: Payment) -> str | None:
    failure = payments.failure(payment.facts)
    return failure.code if failure else None


# --- pages ---


def page(
    filters: Filters, limit: int, cursor: str | None, order: Order = "newest"
) -> tuple[list[PaymentView], str | None]:
    """Return a page of matching payments and the cursor of the next. The page may be short if a match is rare."""
    list_id = filters.digest if order == "newest" else f"{filters.digest}:{order}"
    after = Cursor.decode(cursor, list_id) if cursor else None
    views, last = find(filters, limit, after, order=order)
    return views, last.encode(list_id) if last else None


def find(
    filters: Filters, limit: int, after: Cursor | None = None, *, steady: bool = False, order: Order = "newest"
) -> tuple[list[PaymentView], Cursor | None]:
    """Return at most `limit` payments after a cursor, and the cursor of the next page; None after the last page.

    `steady` reads by sort keys that never change and covers every day in range, so that no payment is missed because
    it moves from one partition to another during the walk.
    """
    cursors = _cursors(filters, after, limit + 1, steady=steady, order=order)
    views: list[PaymentView] = []
    last: Cursor | None = None
    for _ in range(MAX_BATCHES_PER_PAGE):
        batch = list(islice(cursors, limit - len(views)))
        if not batch:
            return views, None
        last = batch[-1]
        views += [view for view in _load(batch, filters, steady=steady) if matches(filters, view)]
        if len(views) >= limit or not last.item_id:
            break
    if last and not last.item_id:
        return views, last
    return views, last if next(cursors, None) else None


def totals(filters: Filters, cursor: str | None) -> tuple[dict[str, Any], list[str]]:
    """Return the number and the sums of matching payments among the next ones, and the users of the first batch.

    `read` is how many payments were read. Add up the answers until there is no `next_cursor`. Amounts are in minor
    units, by currency: `amount` of all matching payments, `received` and `refunded` of those that settled.
    """
    after = Cursor.decode(cursor, filters.digest) if cursor else None
    cursors = _cursors(filters, after, TOTALS_BATCH + 1)
    sums: dict[str, Counter[str]] = {}
    users: list[str] = []
    count, read, last = 0, 0, None
    for number in range(MAX_BATCHES_PER_PAGE):
        batch = list(islice(cursors, TOTALS_BATCH))
        last = batch[-1] if batch else None
        read += sum(1 for one in batch if one.item_id)
        for view in _load(batch, filters, steady=True):
            if matches(filters, view):
                count += 1
                users += [] if number else [view.payment.user_id]
                sums.setdefault(view.payment.currency, Counter()).update(_amounts(view.payment))
        if last is None or not last.item_id:
            break
    more = last and (not last.item_id or next(cursors, None))
    return {
        "payments": count,
        "read": read,
        "sums": [{"currency": currency, **amounts} for currency, amounts in sorted(sums.items())],
        "next_cursor": last.encode(filters.digest) if last and more else None,
    }, users


def _amounts(payment: Payment) -> dict[str, int]:
    received = payment.facts.settled.amount if payment.facts.settled else 0
    return {"amount": payment.amount, "received": received, "refunded": payment.refund_amount}


def _load(batch: list[Cursor], filters: Filters, *, steady: bool) -> list[PaymentView]:
    """Read the payments at these cursors. A user who was found by id is not listed again by their email address.

    The search table may lag behind a payment, so its words are checked on the payment itself.
    """
    is_queue = bool(filters.attention) and not (filters.q or filters.disputed or steady)
    stages: dict[str, str] = {}
    for cursor in batch:
        stages.setdefault(cursor.item_id, cursor.stage)
    items = payments_by_id([payment_id for payment_id in stages if payment_id])
    items = [item for item in items if stages[item.payment_id] == "listed" or item.user_id not in filters.ids]
    views = load_views(items, with_doubles=is_queue)
    return [view for view in views if stages.get(view.payment.payment_id) != "word" or _has_words(filters, view)]


def _has_words(filters: Filters, view: PaymentView) -> bool:
    """Whether a payment has all words of a search now, and is not found by the beginning of its address already."""
    is_listed = bool(filters.address) and texts.caseless(view.payment.email or "").startswith(
        texts.caseless(filters.address)
    )
    return not is_listed and search.words_of(view.payment) >= frozenset(filters.words)


def _cursors(
    filters: Filters, after: Cursor | None, page_size: int, *, steady: bool = False, order: Order = "newest"
) -> Iterator[Cursor]:
    """Yield the position of each candidate once, from the narrowest index.

    The oldest payments come from the partitions by status: months would be walked from the first one on, most of them
    empty.
    """
    if filters.q:
        yield from _search(filters, after, page_size)
        return
    before = after.listed_before() if after else None
    narrowed = filters.disputed or filters.attention or filters.track or len(filters.statuses) < len(STATUSES)
    if order == "newest" and (steady or not narrowed):
        sources = [_months(filters, before, page_size)]
    else:
        sources = [_walk(partition, filters, before, page_size, order) for partition in _partitions(filters)]
    yield from map(Cursor.listed, _merge(sources, order))


def _partitions(filters: Filters) -> list[Partition]:
    """Return the partitions of the narrowest index for these filters."""
    if filters.disputed:
        return [queries.by_dispute(state) for state in DISPUTED]
    if filters.attention or filters.refund_request == "awaiting_approval":  # such a request always needs attention
        return [queries.by_attention()]
    products = [filters.track] if filters.track else list(catalog.codes())
    pairs = itertools.product(filters.statuses, products)
    return [shard for status, product in pairs for shard in queries.by_status(status, product)]


def _merge(sources: list[Iterator[str]], order: Order = "newest") -> Iterator[str]:
    """Merge sort keys in this order, each once."""
    last: str | None = None
    for key in heapq.merge(*sources, reverse=order == "newest"):
        if key != last:
            yield key
        last = key


def _months(filters: Filters, before: str | None, page_size: int) -> Iterator[str]:
    """Walk back month by month. After `MAX_MONTHS_PER_PAGE` months yield the sort key from which to continue."""
    newest = date.fromisoformat(before[:10] if before else timestamps.iso(clock.now())[:10])
    month = min(filters.last or newest, newest).replace(day=1)
    oldest = max(filters.first or EPOCH, EPOCH).replace(day=1)
    for _ in range(MAX_MONTHS_PER_PAGE):
        if month < oldest:
            return
        shards = queries.by_month(month.isoformat()[:7])
        yield from _merge([_walk(shard, filters, before, page_size) for shard in shards])
        month = (month - timedelta(days=1)).replace(day=1)
    if month >= oldest:
        last_day = (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        yield f"{last_day.isoformat()}T23:59:59.999Z#"


def _walk(
    partition: Partition, filters: Filters, position: str | None, page_size: int, order: Order = "newest"
) -> Iterator[str]:
    """Yield the sort keys of one partition within the filter's days that follow a position in this order."""
    low = filters.first.isoformat() if filters.first else "0"
    high = (filters.last + timedelta(days=1)).isoformat() if filters.last else "9"
    if position and order == "newest":
        high = min(high, position)
    elif position:
        low = max(low, position)
    if high < low:
        return
    sort_keys = queries.sort_keys_between(partition, low, high, page_size, ascending=order == "oldest")
    yield from (key for key in sort_keys if key != position)


def of_user(user_id: str, limit: int, cursor: str | None) -> tuple[list[PaymentView], str | None]:
    """Return a page of one user's payments, newest first, and the cursor of the next."""
    list_id = hashlib.sha256(f"user:{user_id}".encode()).hexdigest()[:12]
    before = Cursor.decode(cursor, list_id).listed_before() if cursor else None
    sort_keys = _walk(queries.by_user(user_id), Filters(), before, limit + 1)
    batch = [Cursor.listed(key) for key in islice(sort_keys, limit)]
    views = load_views(payments_by_id([one.item_id for one in batch]))
    more = next(sort_keys, None) is not None
    return views, batch[-1].encode(list_id) if batch and more else None


# --- searching ---


def _search(filters: Filters, after: Cursor | None, page_size: int) -> Iterator[Cursor]:
    """Yield what the text names exactly (a payment, or those of a user or a plan), then an address's beginning.

    Then those of words, newest first.
    """
    exact, address = _payment_named(filters.ids), texts.caseless(filters.address)
    if after is None or after.stage == "listed":
        before = after.listed_before() if after else None
        named_lists = [queries.by_user(user) for user in users_named(filters.ids)]
        named_lists += [queries.by_plan(text) for text in filters.ids if is_plan(text)]
        theirs = [_walk(partition, filters, before, page_size) for partition in named_lists]
        named = (key for key in exact if before is None or key < before)
        yield from map(Cursor.listed, _merge([named, *theirs]))
        after = None
    elif after.stage == "word":
        yield from _with_words(filters, after.word_before(), page_size)
        return
    elif after.stage != "email" or not after.sort_key.startswith(address):
        raise queries.wrong_cursor()
    for cursor in queries.emails_with_prefix(address, after, page_size) if address else ():
        if not exact or cursor.item_id != Cursor.listed(exact[0]).item_id:
            yield cursor
    yield from _with_words(filters, None, page_size)


def _with_words(filters: Filters, before: str | None, page_size: int) -> Iterator[Cursor]:
    """Yield the payments that have the rarest word of a search; the others are checked on the payments."""
    words = filters.words
    if len(words) > 1:
        words = tuple(sorted(words, key=lambda word: (queries.count_with_word(word, page_size), -len(word))))
    for word in words[:1]:
        yield from queries.payments_with_word(word, before, page_size)


def _payment_named(ids: list[str]) -> list[str]:
    """Return the sort key of the payment that an id names: its own, or that of one of its objects at Stripe."""
    for text in ids:
        try:
            return [mapping.listed_at(resolve.find_payment(text))]
        except NotFound:
            continue
    return []


def users_named(ids: list[str]) -> list[str]:
    """Return the users that these ids name: their own id, which may look like a customer's, or their customer's."""
    pointers = [queries.stripe_object(text) for text in ids if text.startswith("cus_")]
    return list(dict.fromkeys([*ids, *(pointer.user_id for pointer in pointers if pointer and pointer.user_id)]))
