"""Cursor pagination, `created` ranges and search. https://docs.stripe.com/api/pagination"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from stripe_simulator.errors import missing, unvalidated
from stripe_simulator.store import Object, shown

PAGE, MOST = 10, 100
RANGES: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda value, limit: value > limit,
    "gte": lambda value, limit: value >= limit,
    "lt": lambda value, limit: value < limit,
    "lte": lambda value, limit: value <= limit,
}
SEARCHED = {  # https://docs.stripe.com/search#query-fields-for-payment-intents and those of the others
    *("amount", "created", "currency", "customer", "disputed", "metadata", "status", "refunded", "email", "name"),
    *("phone", "description", "active", "lookup_key", "product", "type", "shippable", "url", "payment_method_details"),
}
JOINED = re.compile(r"\s+(AND|OR)\s+(?=-?\w+[\[:<>~])", re.IGNORECASE)
CLAUSE = re.compile(r"""\s*(-?)(\w+)(?:\[["'](.*?)["']\])?\s*(:|>=|<=|>|<|~)\s*(?:["'](.*?)["']|(\S+))""")


def within(created: int, wanted: Any) -> bool:
    """Whether `created` is what the parameter of that name asks for: a second, or gt/gte/lt/lte."""
    if wanted is None:
        return True
    if isinstance(wanted, dict):
        return all(RANGES[name](created, limit) for name, limit in wanted.items())
    return bool(created == wanted)


def matching(items: Iterable[Object], params: dict[str, Any], *fields: str) -> Iterable[Object]:
    """The items with the wanted `created` and, where given, the wanted value in each field."""
    wanted = {field: params[field] for field in fields if field in params}
    for item in items:
        if item.get("deleted"):
            yield item  # not shown, but a page may begin after it
        elif within(item["created"], params.get("created")) and all(item.get(f) == v for f, v in wanted.items()):
            yield item


def page(items: Iterable[Object], params: dict[str, Any], url: str, kind: str = "object") -> Object:
    """One page, newest first, as `{object: list, url, has_more, data}`."""
    limit = _limit(params)
    after, before = params.get("starting_after"), params.get("ending_before")
    if after is not None and before is not None:
        raise unvalidated("Received both starting_after and ending_before parameters. Please pass in only one.")
    found = _before(items, before, limit, kind) if before else _after(items, after, limit, kind)
    rows, has_more = found
    return {"object": "list", "url": url, "has_more": has_more, "data": [shown(row) for row in rows]}


def _limit(params: dict[str, Any]) -> int:
    limit = int(params.get("limit", PAGE))
    if not 1 <= limit <= MOST:
        problem = (
            f"This value must be {'greater than or equal to 1' if limit < 1 else f'less than or equal to {MOST}'}."
        )
        raise unvalidated(problem, code="parameter_invalid_integer", param="limit")
    return limit


def _start(page: str | None) -> int:
    """Where a page of a search begins: what `next_page` said."""
    if page and not re.fullmatch(r"\d{1,9}", page):
        raise unvalidated(f"Invalid page: {page}. Pass the next_page of the answer before.", param="page")
    return int(page or 0)


def _after(items: Iterable[Object], cursor: str | None, limit: int, kind: str) -> tuple[list[Object], bool]:
    rows: list[Object] = []
    reached = cursor is None
    for item in items:
        if reached and not item.get("deleted"):
            if len(rows) == limit:
                return rows, True
            rows.append(item)
        elif item["id"] == cursor:
            reached = True
    if not reached:
        raise missing(kind, str(cursor), param="starting_after")
    return rows, False


def _before(items: Iterable[Object], cursor: str, limit: int, kind: str) -> tuple[list[Object], bool]:
    rows: list[Object] = []
    for item in items:
        if item["id"] == cursor:
            return rows[-limit:], len(rows) > limit
        if not item.get("deleted"):
            rows.append(item)
    raise missing(kind, cursor, param="ending_before")


def search(items: Iterable[Object], params: dict[str, Any], url: str) -> Object:
    """A page of what the query finds; `page` continues it. https://docs.stripe.com/search"""
    clauses, joined = _clauses(params["query"])
    limit, start = _limit(params), _start(params.get("page"))
    found = [item for item in items if joined(_fits(item, clause) for clause in clauses)]
    more = len(found) > start + limit
    return {
        "object": "search_result",
        "url": url,
        "has_more": more,
        "data": [shown(item) for item in found[start : start + limit]],
        "next_page": str(start + limit) if more else None,
        "total_count": len(found),
    }


def _clauses(query: str) -> tuple[list[tuple[bool, str, str | None, str, str]], Callable[[Iterable[bool]], bool]]:
    """The clauses, and `all` or `any`: a query has AND or OR, not both."""
    parts = JOINED.split(query.strip())
    words = {word.upper() for word in parts[1::2]}
    if len(words) > 1:
        raise unvalidated("You can combine clauses with AND or with OR, not with both in one query.", param="query")
    clauses = []
    for part in parts[::2]:
        match = CLAUSE.fullmatch(part)
        if match is None:
            raise unvalidated(f"We were unable to parse your search query: {query}", param="query")
        negated, field, key, operator, quoted, bare = match.groups()
        if field not in SEARCHED or (key is not None) != (field == "metadata"):
            raise unvalidated(f"Field `{field}` is an unsupported search field.", param="query")
        if operator not in (":", "~") and not re.fullmatch(r"-?\d{1,15}", bare or quoted or ""):
            raise unvalidated(f"Field `{field}` is compared with a number only.", param="query")
        clauses.append((bool(negated), field, key, operator, quoted if quoted is not None else bare))
    return clauses, any if words == {"OR"} else all


def _fits(item: Object, clause: tuple[bool, str, str | None, str, str]) -> bool:
    negated, field, key, operator, wanted = clause
    value = item.get(field)
    if key is not None:
        value = (value or {}).get(key)
    if operator in {":", "~"}:
        text = "" if value is None else str(value).lower()
        fits = wanted.lower() in text if operator == "~" else (value is not None and text == wanted.lower())
        if wanted == "null":
            fits = value is None
    else:
        name = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}[operator]
        fits = isinstance(value, int) and RANGES[name](value, int(wanted))
    return fits != negated
