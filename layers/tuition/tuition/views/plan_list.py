"""The list of plans for staff: by status, in the order of the due days, or those of one student.

As the list of payments (`payment_list`), it scans no table. Filters that no index can decide are checked on
the plans themselves, a bounded number of them per page, so a rare match gives short pages with a cursor.
"""

import hashlib
import heapq
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from tuition.core import catalog, plan, plan_attention, plan_installments, texts
from tuition.core.errors import NotFound
from tuition.core.plan import Plan
from tuition.core.refs import is_plan, plan_kind
from tuition.storage import mapping, queries
from tuition.storage.dynamodb import Partition
from tuition.storage.queries import Cursor
from tuition.stripe_gateway import resolve
from tuition.views import filters, payment_list

SUMMED = ("received", "refunded", "lost", "outstanding")
TOTALS_QUERY = ("status", "kind", "track", "due_from", "due_to", "attention", "q", "cursor")
LIST_QUERY = ("status", "kind", "track", "due_from", "due_to", "attention", "q", "limit", "cursor")
MAX_BATCHES_PER_PAGE = 5
"""Batches of plans that one page or one answer about sums may read."""
TOTALS_BATCH = 100
"""Plans that are read at once to add them up."""
MAX_MATCHES = 100
"""Payments whose email address begins with a searched text, of which the students' plans are listed."""
KINDS = ("installments", "membership")


@dataclass(frozen=True)
class PlanFilters:
    """Filters for plans. The due days are those of the next installment that is owed, both inclusive.

    `track` is the code of a membership, or of a track that a plan is for: those that a member has begun too.
    """

    status: str | None = None
    kind: str | None = None
    track: str | None = None
    due_from: str | None = None
    due_to: str | None = None
    attention: bool | None = None
    q: str | None = None

    @property
    def list_id(self) -> str:
        """The id of the list, for which alone a cursor is valid."""
        text = json.dumps(asdict(self), sort_keys=True)
        return "plans:" + hashlib.sha256(text.encode()).hexdigest()[:12]


def parse(query: Mapping[str, str]) -> PlanFilters:
    """Parse the filters of a query. Raises `Unprocessable` for a value that no plan can have."""
    due_from, due_to = filters.day(query, "due_from"), filters.day(query, "due_to")
    filters.require_order(due_from, due_to, "due_from")
    return PlanFilters(
        status=filters.one_of(query, "status", plan.STATUSES),
        kind=filters.one_of(query, "kind", KINDS),
        track=filters.one_of(query, "track", catalog.codes()),
        due_from=due_from.isoformat() if due_from else None,
        due_to=due_to.isoformat() if due_to else None,
        attention=filters.flag(query, "attention"),
        q=filters.search_text(query.get("q", "")),
    )


def page(chosen: PlanFilters, limit: int, cursor: str | None) -> tuple[list[Plan], str | None]:
    """Return a page of matching plans and the cursor of the next.

    Those of a search and those that need attention are listed newest first, all others by the day on which the next
    installment is due. Plans that owe nothing come last.
    """
    after = Cursor.decode(cursor, chosen.list_id) if cursor else None
    positions = _positions(chosen, after, limit + 1)
    plans: list[Plan] = []
    last: Cursor | None = None
    for _ in range(MAX_BATCHES_PER_PAGE):
        batch = list(islice(positions, limit - len(plans)))
        if not batch:
            return plans, None
        last = batch[-1]
        plans += [one for one in queries.plans_by_id(position.item_id for position in batch) if matches(chosen, one)]
        if len(plans) >= limit:
            break
    more = last is not None and next(positions, None) is not None
    return plans, last.encode(chosen.list_id) if last and more else None


def totals(chosen: PlanFilters, cursor: str | None) -> tuple[dict[str, Any], list[str]]:
    """Return the number and the sums of matching plans among the next ones, and the users of the first batch.

    `read` is how many plans were read. Add up the answers until there is no `next_cursor`. Amounts are in minor units,
    by currency.
    """
    after = Cursor.decode(cursor, chosen.list_id) if cursor else None
    positions = _positions(chosen, after, TOTALS_BATCH + 1)
    sums: dict[str, Counter[str]] = {}
    users: list[str] = []
    count, read, last = 0, 0, None
    for number in range(MAX_BATCHES_PER_PAGE):
        batch = list(islice(positions, TOTALS_BATCH))
        last = batch[-1] if batch else None
        read += len(batch)
        for one in queries.plans_by_id(position.item_id for position in batch):
            if matches(chosen, one):
                count += 1
                users += [] if number else [one.user_id]
                amounts = {name: getattr(one, name) for name in SUMMED}
                sums.setdefault(one.terms.currency, Counter()).update(amounts)
        if last is None:
            break
    more = last is not None and next(positions, None) is not None
    return {
        "plans": count,
        "read": read,
        "sums": [{"currency": currency, **amounts} for currency, amounts in sorted(sums.items())],
        "next_cursor": last.encode(chosen.list_id) if last and more else None,
    }, users


def matches(chosen: PlanFilters, one: Plan) -> bool:
    """Whether a plan matches. An index may lag behind its table, so the plan itself is checked."""
    exact = (
        (chosen.status, one.status),
        (chosen.kind, plan_kind(is_membership=one.terms.endless)),
        (chosen.attention, bool(plan_attention.unacknowledged(one))),
    )
    if any(value not in (None, own) for value, own in exact):
        return False
    if chosen.track and chosen.track not in (*one.tracks, one.product):
        return False
    due = plan_installments.next_due(one)
    if not (chosen.due_from or chosen.due_to):
        return True
    return due is not None and (chosen.due_from or "") <= due <= (chosen.due_to or "9999")


def _positions(chosen: PlanFilters, after: Cursor | None, page_size: int) -> Iterator[Cursor]:
    if chosen.q or chosen.attention:
        before = after.listed_before() if after else None
        yield from _newest_first(_named(chosen.q) if chosen.q else [queries.plans_by_attention()], before, page_size)
        return
    statuses = [chosen.status] if chosen.status else plan.STATUSES
    partitions = [shard for status in statuses for shard in queries.plans_by_status(status)]
    yield from by_due(partitions, chosen.due_from or "0", f"{chosen.due_to or ''}~", after, page_size)


def by_due(partitions: list[Partition], low: str, high: str, after: Cursor | None, page_size: int) -> Iterator[Cursor]:
    """Yield the position of each plan of these partitions whose `due_at` is in a range, the earliest first.

    A plan that changes meanwhile can be in two partitions, or at two days. Only its first position counts.
    """
    position = after.due_after() if after else ""
    low = max(low, position)
    if low > high:
        return
    walks = [queries.sort_keys_between(one, low, high, page_size, ascending=True) for one in partitions]
    passed = {position.partition("#")[2]}
    for key in heapq.merge(*walks):
        plan_id = key.partition("#")[2]
        if plan_id not in passed:
            passed.add(plan_id)
            yield Cursor("due", key, plan_id)


def _newest_first(sources: list[Partition | str], before: str | None, page_size: int) -> Iterator[Cursor]:
    """Yield the positions of the plans of these partitions, and of single ones by their sort keys, newest first."""
    single = sorted((one for one in sources if isinstance(one, str) and (before is None or one < before)), reverse=True)
    walks = [
        queries.sort_keys_between(one, "0", before or "~", page_size) for one in sources if isinstance(one, Partition)
    ]
    last = before
    for key in heapq.merge(single, *walks, reverse=True):
        if key != last:
            yield Cursor.listed(key)
        last = key


def _named(q: str) -> list[Partition | str]:
    """Return where the plans are that a text names: a plan, the plan of a payment, or the plans of students.

    A student is named by their id, their customer's at Stripe, or their email address or its beginning.
    """
    search = filters.Filters(q=q)
    for text in search.ids:
        plan_id = text if is_plan(text) else _plan_of_payment(text)
        plans = queries.plans_by_id([plan_id]) if plan_id else []
        if plans:
            return [mapping.plan_listed_at(plans[0])]
    users = payment_list.users_named(search.ids)
    address = texts.caseless(search.address)
    if address:
        matches = islice(queries.emails_with_prefix(address, None, MAX_MATCHES), MAX_MATCHES)
        users += [item.user_id for item in queries.payments_by_id([cursor.item_id for cursor in matches])]
    return [queries.plans_by_user(user_id) for user_id in dict.fromkeys(users)]


def _plan_of_payment(text: str) -> str | None:
    try:
        return resolve.find_payment(text).plan
    except NotFound:
        return None
