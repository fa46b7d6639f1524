"""Finding payments: which index narrows a filter most, and pages that read no more than they need.

No view scans a table. A list is a merge of index partitions, newest first; what an index cannot decide is asked of the
items themselves, a bounded number of them a page, so a filter that is rare inside its partitions answers short pages
with a cursor. Which index carries what: docs/decisions/0002-indexes.md.
"""

import hashlib
import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from tuition import clock
from tuition.core import attention, catalog, timestamps
from tuition.core.attention import AttentionReason
from tuition.core.errors import NotFound
from tuition.core.payment import Payment
from tuition.storage import dynamodb, keys, mapping, queries
from tuition.storage.dynamodb import Item
from tuition.storage.items import EnrollmentItem, PaymentItem
from tuition.storage.queries import Cursor, Partition, payments_by_id
from tuition.stripe_gateway import resolve
from tuition.views.filters import EPOCH, Filters
from tuition.views.payment_json import item_json

MAX_BATCHES_PER_PAGE = 5
"""Batches of items that one page may read."""
MAX_MONTHS_PER_PAGE = 24
"""Months that one page may look into."""
DISPUTED = ("open", "over")


# --- what is shown of a payment ---


@dataclass(frozen=True)
class PaymentView:
    """A payment with the causes that need a person, derived from it and from its student's other payments."""

    item: PaymentItem
    payment: Payment
    attention: list[AttentionReason]
    enrollment: str | None = None

    def json(self) -> dict[str, Any]:
        """The payment as staff see it, with what is left to refund."""
        return {
            **item_json(self.item, staff=True),
            "attention": [vars(cause) for cause in self.attention],
            "disputed": bool(self.payment.facts.disputes),
            "left": max(0, self.payment.left),
        }


def load_views(items: list[PaymentItem], *, doubles: bool = False) -> list[PaymentView]:
    """Payments with their attention; `doubles`: with the payment that a marked one doubles or is doubled by."""
    refs = {(item.user_id, item.track) for item in items}
    read = dynamodb.batch_get({EnrollmentItem: [keys.enrollment_key(*ref) for ref in sorted(refs)]})
    enrollments = {(e.user_id, e.track): e for e in map(mapping.enrollment_from_raw, read[EnrollmentItem])}
    doubled = {key: e.doubled for key, e in enrollments.items()}
    if doubles:
        known = {item.payment_id for item in items}
        more = payments_by_id(sorted({i for ids in doubled.values() for i in ids} - known))
        items = items + [item for item in more if not item.attention_open]  # the others come in their own place
    found = []
    for item in items:
        key, payment = (item.user_id, item.track), mapping.payment_from_item(item)
        causes = attention.unacknowledged(payment, double=item.payment_id in doubled.get(key, []))
        found.append(PaymentView(item, payment, causes, enrollments[key].status if key in enrollments else None))
    return found


def matches(wanted: Filters, one: PaymentView) -> bool:
    """What the indexes do not decide. An index may lag behind: the item itself is asked again."""
    item, day = one.item, one.item.created_at[:10]
    flags = [(wanted.attention, bool(one.attention)), (wanted.refunded, bool(item.refunded))]
    flags.append((wanted.disputed, item.disputed is not None))
    names = [(wanted.status, item.status), (wanted.track, item.track)]
    if any(asked not in (None, found) for asked, found in [*flags, *names]):
        return False
    amount = int(item.amount)
    if amount < (wanted.amount_min or 0) or (wanted.amount_max is not None and amount > wanted.amount_max):
        return False
    return (not wanted.first or wanted.first.isoformat() <= day) and (not wanted.last or day <= wanted.last.isoformat())


def _listed(key: str) -> Cursor:
    return Cursor("listed", key, key.partition("#")[2])


def page(wanted: Filters, limit: int, cursor: str | None) -> tuple[list[PaymentView], str | None]:
    """A page of what the filters find with the cursor of the next; it may be short where a filter is rare."""
    after = Cursor.of_cursor(cursor, wanted.digest) if cursor else None
    found, last = find(wanted, limit, after)
    return found, last.cursor(wanted.digest) if last else None


def find(
    wanted: Filters, limit: int, after: Cursor | None = None, *, steady: bool = False
) -> tuple[list[PaymentView], Cursor | None]:
    """At most `limit` payments after a place, and where the next page begins; None: there are no more.

    `steady`: by keys that never change, so that no payment is passed over because it moves between two partitions
    while they are read; it reads all of the days that are wanted.
    """
    places = _places(wanted, after, limit + 1, steady=steady)
    found: list[PaymentView] = []
    place: Cursor | None = None
    for _ in range(MAX_BATCHES_PER_PAGE):
        batch = [p for _, p in zip(range(limit - len(found)), places, strict=False)]
        if not batch:
            return found, None
        place = batch[-1]
        found += [one for one in _of(batch, wanted, steady=steady) if matches(wanted, one)]
        if len(found) >= limit or not place.payment_id:
            break
    if place and not place.payment_id:
        return found, place
    return found, place if next(places, None) else None


def _of(batch: list[Cursor], wanted: Filters, *, steady: bool) -> list[PaymentView]:
    """The payments of these places. Whom the words name as a user is not found by their e-mail again."""
    queue = bool(wanted.attention) and not (wanted.q or wanted.disputed or steady)
    stages: dict[str, str] = {}
    for place in batch:
        stages.setdefault(place.payment_id, place.stage)
    items = payments_by_id([payment_id for payment_id in stages if payment_id])
    fresh = [item for item in items if stages[item.payment_id] != "email" or item.user_id != wanted.q]
    return load_views(fresh, doubles=queue)


def _places(wanted: Filters, after: Cursor | None, size: int, *, steady: bool) -> Iterator[Cursor]:
    """The places that the narrowest index offers, each once; keys are read `size` at a time."""
    if wanted.q:
        yield from _searched(wanted, wanted.q, after, size)
        return
    before = _before(after)
    if steady:
        sources = [_months(wanted, before, size)]
    elif wanted.disputed:
        sources = [_walk(Partition("by_dispute", "disputed", name), wanted, before, size) for name in DISPUTED]
    elif wanted.attention:
        sources = [_walk(Partition("by_attention", "attention_open", "open"), wanted, before, size)]
    elif wanted.status or wanted.refunded or wanted.track:
        tracks = [wanted.track] if wanted.track else catalog.ever_sold()
        keys = [f"{status}#{track}" for status in wanted.statuses for track in tracks]
        sources = [_walk(Partition("by_status", "status_track", key), wanted, before, size) for key in keys]
    else:
        sources = [_months(wanted, before, size)]
    yield from map(_listed, _merged(sources))


def _before(after: Cursor | None) -> str | None:
    """The key before which a walk goes on. Raises `Unprocessable` for a place that no such list has."""
    if after is None:
        return None
    created_at, _, payment_id = after.key.partition("#")
    named = payment_id == "" or (payment_id.startswith("pay_") and payment_id.isascii())
    if after.stage != "listed" or payment_id != after.payment_id or not named or not _is_time(created_at):
        raise queries.wrong_cursor()
    return after.key


def _is_time(written: str) -> bool:
    try:
        return "2020" <= written < "2200" and timestamps.iso(timestamps.epoch(written)) == written
    except ValueError:
        return False


def _merged(sources: list[Iterator[str]]) -> Iterator[str]:
    last: str | None = None
    for key in heapq.merge(*sources, reverse=True):
        if key != last:
            yield key
        last = key


def _months(wanted: Filters, before: str | None, size: int) -> Iterator[str]:
    """Month by month, back from the last that can hold one; after enough of them, a place to go on from."""
    newest = date.fromisoformat(before[:10] if before else timestamps.iso(clock.now())[:10])
    month = min(wanted.last or newest, newest).replace(day=1)
    oldest = max(wanted.first or EPOCH, EPOCH).replace(day=1)
    for _ in range(MAX_MONTHS_PER_PAGE):
        if month < oldest:
            return
        yield from _walk(Partition("by_day", "created_month", month.isoformat()[:7]), wanted, before, size)
        month = (month - timedelta(days=1)).replace(day=1)
    if month >= oldest:
        yield f"{month.isoformat()[:7]}-{_last_day(month)}T23:59:59.999Z#"


def _last_day(month: date) -> str:
    return str(((month + timedelta(days=31)).replace(day=1) - timedelta(days=1)).day)


def _walk(partition: Partition, wanted: Filters, before: str | None, size: int) -> Iterator[str]:
    """The keys of one partition, newest first, within the days that are wanted."""
    low = wanted.first.isoformat() if wanted.first else "0"
    high = (wanted.last + timedelta(days=1)).isoformat() if wanted.last else "9"
    high = min(high, before) if before else high
    if high < low:
        return
    values: Item = {":l": {"S": low}, ":h": {"S": high}}
    for key in queries.payment_keys(partition, "#r BETWEEN :l AND :h", values, size):
        place = key[partition.range]["S"]
        if place != before:
            yield place


def of_user(user_id: str, limit: int, cursor: str | None) -> tuple[list[PaymentView], str | None]:
    """A page of one user's payments, newest first."""
    of = hashlib.sha256(f"user:{user_id}".encode()).hexdigest()[:12]
    before = _before(Cursor.of_cursor(cursor, of)) if cursor else None
    keys = _walk(Partition("by_user", "user_id", user_id), Filters(), before, limit + 1)
    batch = [_listed(key) for _, key in zip(range(limit), keys, strict=False)]
    found = load_views(payments_by_id([one.payment_id for one in batch]))
    more = next(keys, None) is not None
    return found, batch[-1].cursor(of) if batch and more else None


# --- searching ---


def _searched(wanted: Filters, q: str, after: Cursor | None, size: int) -> Iterator[Cursor]:
    """First what the words name exactly (a payment, or all of a user's), then whom an e-mail's beginning finds."""
    direct = _direct(q)
    if after is None or after.stage == "listed":
        before, user_id = _before(after), _user(q)
        theirs = [_walk(Partition("by_user", "user_id", user_id), wanted, before, size)] if user_id else []
        named = (key for key in direct if before is None or key < before)
        yield from map(_listed, _merged([named, *theirs]))
        after = None
    for place in _by_email(q.lower(), after, size):
        if not direct or place.payment_id != _listed(direct[0]).payment_id:
            yield place


def _direct(q: str) -> list[str]:
    """The place of the payment that an id names: its own, its intent's, session's or charge's."""
    try:
        return [mapping.listed_at(resolve.find_payment(q))]
    except NotFound:
        return []


def _user(q: str) -> str | None:
    """The user that an id names: their own, or their Stripe customer's."""
    if q.startswith("cus_"):
        pointer = queries.stripe_object(q)
        return pointer.user_id if pointer else None
    return q


def _by_email(beginning: str, after: Cursor | None, size: int) -> Iterator[Cursor]:
    """By the address, and the newest first within one."""
    partition = Partition("by_email", "email_initial", beginning[0], range="email_key")
    start: Item | None = None
    if after:
        if after.stage != "email" or not after.key.startswith(beginning) or not after.payment_id:
            raise queries.wrong_cursor()
        start = {partition.key: {"S": beginning[0]}, "email_key": {"S": after.key}}
        start |= keys.payment_key(after.payment_id)
    for key in queries.payment_keys(partition, "begins_with(#r, :p)", {":p": {"S": beginning}}, size, start):
        yield Cursor("email", key["email_key"]["S"], key["payment_id"]["S"])
