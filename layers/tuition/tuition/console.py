"""What staff do: find any payment, read its history, and see what needs a person. No view scans a table.

Every list is a merge of index partitions, newest first, and reads in proportion to its page: a filter that is rare
inside its partitions answers short pages with a cursor.
"""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from tuition import clock, ownership, tables
from tuition.core import audit, catalog
from tuition.core import payment as payments_core
from tuition.core.errors import NotFound, Unprocessable
from tuition.core.payment import STATUSES, Cause
from tuition.core.stripe_facts import ID_LENGTH
from tuition.history import decode_cursor, encode_cursor, payment_json, read_payments
from tuition.tables import EnrollmentItem, PaymentItem, Raw

FILTERS = ("status", "track", "refunded", "attention", "from", "to", "q", "limit", "cursor")
PAGES_READ = 5
MONTHS_READ = 24
EPOCH = date(2020, 1, 1)


@dataclass(frozen=True)
class Filters:
    """What staff look for. `first` and `last` are whole UTC days, both inclusive."""

    status: str | None = None
    track: str | None = None
    refunded: bool | None = None
    attention: bool | None = None
    first: date | None = None
    last: date | None = None
    q: str | None = None

    def match(self, one: "Shown") -> bool:
        """What the indexes do not decide. An index may lag behind: the item itself is asked again."""
        item = one.item
        if self.attention is not None and bool(one.attention) != self.attention:
            return False
        if self.refunded is not None and item.refunded != self.refunded:
            return False
        if (self.status and item.status != self.status) or (self.track and item.track != self.track):
            return False
        day = item.created_at[:10]
        return (not self.first or self.first.isoformat() <= day) and (not self.last or day <= self.last.isoformat())


def filters(asked: Mapping[str, str]) -> Filters:
    """The filters of a query. Raises `Unprocessable` for a value that no payment can have."""
    first, last = _day(asked, "from"), _day(asked, "to")
    if first and last and first > last:
        raise Unprocessable("from must not be after to", field="from")
    return Filters(
        status=_one_of(asked, "status", STATUSES),
        track=_one_of(asked, "track", tuple(catalog.tracks())),
        refunded=_flag(asked, "refunded"),
        attention=_flag(asked, "attention"),
        first=first,
        last=last,
        q=_searchable(asked.get("q", "").strip()),
    )


def _searchable(q: str) -> str | None:
    if len(q) > ID_LENGTH or any("\ud800" <= letter <= "\udfff" for letter in q):
        raise Unprocessable(f"q must have at most {ID_LENGTH} characters", field="q")
    return q or None


def _one_of(asked: Mapping[str, str], name: str, known: tuple[str, ...]) -> str | None:
    if name in asked and asked[name] not in known:
        raise Unprocessable(f"{name} must be one of {', '.join(known)}", field=name)
    return asked.get(name)


def _flag(asked: Mapping[str, str], name: str) -> bool | None:
    written = _one_of(asked, name, ("true", "false"))
    return None if written is None else written == "true"


def _day(asked: Mapping[str, str], name: str) -> date | None:
    if name not in asked:
        return None
    try:
        found = date.fromisoformat(asked[name])
    except ValueError:
        found = None
    if found is None or found.isoformat() != asked[name] or not EPOCH.year <= found.year < 2200:
        raise Unprocessable(f"{name} must be a day such as 2026-11-23", field=name)
    return found


# --- lists ---


@dataclass(frozen=True)
class Partition:
    """One hash key of one index, newest first."""

    index: str
    key: str
    value: str
    range: str = "listed_at"
    prefix: str | None = None


def payments(wanted: Filters, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of payments, newest first, with the cursor of the next; it may be short where a filter is rare."""
    before = decode_cursor(cursor) if cursor else None
    places = _places(wanted, before)
    found: list[Shown] = []
    place: str | None = None
    for _ in range(PAGES_READ):
        batch = [p for _, p in zip(range(limit - len(found)), places, strict=False)]
        if not batch:
            return _page(found, None)
        place = batch[-1]
        items = read_payments([p.split("#")[1] for p in batch])
        found += [one for one in _shown(items, doubles=bool(wanted.attention)) if wanted.match(one)]
        if len(found) >= limit:
            break
    return _page(found, place if next(places, None) else None)


def _page(found: list["Shown"], place: str | None) -> dict[str, Any]:
    shown = [one.json() for one in found]
    return {"payments": shown, "next_cursor": encode_cursor(place) if place else None}


@dataclass(frozen=True)
class Shown:
    """A payment with the causes that need a person, derived from it and from its student's other payments."""

    item: PaymentItem
    attention: list[Cause]

    def json(self) -> dict[str, Any]:
        return {**payment_json(self.item, staff=True), "attention": [vars(cause) for cause in self.attention]}


def _shown(items: list[PaymentItem], *, doubles: bool = False) -> list[Shown]:
    """Payments with their attention; `doubles`: with the payment that a marked one doubles or is doubled by."""
    keys = {(item.user_id, item.track) for item in items}
    read = tables.read_together({EnrollmentItem: [tables.enrollment_key(*key) for key in sorted(keys)]})
    enrollments = {(e.user_id, e.track): e for e in map(tables.enrollment_from_raw, read[EnrollmentItem])}
    doubled = {key: e.doubled for key, e in enrollments.items()}
    if doubles:
        known = {item.payment_id for item in items}
        items = items + read_payments(sorted({i for ids in doubled.values() for i in ids} - known))
    return [Shown(item, _attention(item, doubled.get((item.user_id, item.track), []))) for item in items]


def _attention(item: PaymentItem, doubled: list[str]) -> list[Cause]:
    return payments_core.attention(tables.payment_of(item), double=item.payment_id in doubled)


def _places(wanted: Filters, before: str | None) -> Iterator[str]:
    """The places (`<created_at>#<payment_id>`) that the narrowest index offers, newest first, each once."""
    if wanted.q:
        sources = [_walk(p, wanted, before) for p in _searched(wanted.q)]
        direct = _direct(wanted.q)
        sources.append(iter(sorted((p for p in direct if not before or p < before), reverse=True)))
    elif wanted.attention:
        sources = [_walk(Partition("by_attention", "attention_open", "open"), wanted, before)]
    elif wanted.status or wanted.track:
        statuses = [wanted.status] if wanted.status else list(STATUSES)
        tracks = [wanted.track] if wanted.track else list(catalog.tracks())
        partitions = [Partition("by_status", "status_track", f"{s}#{t}") for s in statuses for t in tracks]
        sources = [_walk(partition, wanted, before) for partition in partitions]
    else:
        sources = [_months(wanted, before)]
    last: str | None = None
    for place in heapq.merge(*sources, reverse=True):
        if place != last:
            yield place
        last = place


def _months(wanted: Filters, before: str | None) -> Iterator[str]:
    """Month by month, back from the last that can hold one: a bounded number of them a page."""
    newest = date.fromisoformat(before[:10] if before else clock.iso(clock.now())[:10])
    month = min(wanted.last or newest, newest).replace(day=1)
    oldest = max(wanted.first or EPOCH, EPOCH)
    for _ in range(MONTHS_READ):
        yield from _walk(Partition("by_day", "created_month", month.isoformat()[:7]), wanted, before)
        month = (month - timedelta(days=1)).replace(day=1)
        if month < oldest.replace(day=1):
            return


def _walk(partition: Partition, wanted: Filters, before: str | None) -> Iterator[str]:
    """The places of one partition, a hundred keys a read, within the days that are wanted."""
    names = {"#k": partition.key, "#r": partition.range}
    values: Raw = {":k": {"S": partition.value}}
    condition = "#k = :k"
    if partition.prefix is not None:
        condition, values[":p"] = f"{condition} AND begins_with(#r, :p)", {"S": partition.prefix}
        yield from (
            p for p in sorted(_read(partition, condition, names, values), reverse=True) if not before or p < before
        )
        return
    low = f"{wanted.first.isoformat()}" if wanted.first else "0"
    high = f"{(wanted.last + timedelta(days=1)).isoformat()}" if wanted.last else "9"
    high = min(high, before) if before else high
    values |= {":l": {"S": low}, ":h": {"S": high}}
    for place in _read(partition, f"{condition} AND #r BETWEEN :l AND :h", names, values):
        if place != before:
            yield place


def _read(partition: Partition, condition: str, names: dict[str, str], values: Raw) -> Iterator[str]:
    start: Raw | None = None
    while True:
        answer = tables.client().query(
            TableName=tables.table(PaymentItem),
            IndexName=partition.index,
            KeyConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
            ScanIndexForward=False,
            Limit=100,
            **({"ExclusiveStartKey": start} if start else {}),
        )
        for key in answer["Items"]:
            created_at = key[partition.range]["S"].split("#")[1 if partition.range == "email_key" else 0]
            yield f"{created_at}#{key['payment_id']['S']}"
        start = answer.get("LastEvaluatedKey")
        if not start:
            return


# --- searching ---


def _direct(q: str) -> list[str]:
    """The place of the payment that an id names: its own, its intent's, session's or charge's."""
    try:
        payment = ownership.find(q)
    except NotFound:
        return []
    return [tables.listed_at(payment)]


def _searched(q: str) -> list[Partition]:
    """The partitions of a user: by id, by their Stripe customer, by e-mail or its beginning."""
    if q.startswith("cus_"):
        pointer = tables.read_pointer(q)
        return [Partition("by_user", "user_id", pointer.user_id)] if pointer and pointer.user_id else []
    email = q.lower()
    by_email = Partition("by_email", "email_initial", email[0], range="email_key", prefix=email)
    return [Partition("by_user", "user_id", q), by_email]


# --- one payment ---


def payment(payment_id: str) -> dict[str, Any]:
    """A payment with its refund requests and its audit trail, the chain checked. Raises `NotFound`."""
    found = read_payments([payment_id]) if payment_id.startswith("pay_") and len(payment_id) <= ID_LENGTH else []
    if not found:
        raise NotFound("there is no payment with this id")
    item = found[0]
    shown = _shown(found)[0]
    trail = tables.audit_trail(payment_id)
    broken = audit.verify(payment_id, trail, int(item.version), item.audit_head)
    chain = {"verified": broken is None, "problem": f"record {broken.seq}: {broken.why}" if broken else None}
    return {
        "payment": {**shown.json(), "refund_requests": item.refund_requests},
        "audit": trail,
        "chain": chain,
    }
