"""Pagination with cursors, filters and search.

https://docs.stripe.com/api/pagination
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from stripe_simulator.errors import resource_missing, validation_error
from stripe_simulator.store import Object, public_fields

DEFAULT_LIMIT, MAX_LIMIT = 10, 100
COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda value, limit: value > limit,
    "gte": lambda value, limit: value >= limit,
    "lt": lambda value, limit: value < limit,
    "lte": lambda value, limit: value <= limit,
}
SEARCH_FIELDS: dict[str, tuple[str, ...]] = {  # https://docs.stripe.com/search#query-fields-for-payment-intents
    "charges": (
        *("amount", "billing_details.address.postal_code", "created", "currency", "customer", "disputed", "metadata"),
        *("refunded", "status"),
    ),
    "customers": ("created", "email", "metadata", "name", "phone"),
    "invoices": ("created", "currency", "customer", "metadata", "number", "status", "total"),
    "payment_intents": ("amount", "created", "currency", "customer", "metadata", "status"),
    "prices": ("active", "currency", "lookup_key", "metadata", "product", "type"),
    "products": ("active", "description", "metadata", "name", "shippable", "url"),
}
CARD_SEARCH_FIELD = re.compile(r"payment_method_details\.card\.(brand|exp_month|exp_year|fingerprint|last4)")
MAX_CLAUSES, MIN_SUBSTRING_LENGTH = 10, 3
CONJUNCTION = re.compile(r"\s+(AND|OR)\s+(?=-?[\w.]+[\[:<>~])", re.IGNORECASE)
CLAUSE = re.compile(r"""\s*(-?)([\w.]+)(?:\[["'](.*?)["']\])?\s*(:|>=|<=|>|<|~)\s*(?:["'](.*?)["']|(\S+))""")
ESCAPED = re.compile(r"\\(.)")


def is_in_range(created: int, param: Any) -> bool:
    """Return whether a time matches the parameter `created`: a Unix time, or limits gt/gte/lt/lte."""
    if param is None:
        return True
    if isinstance(param, dict):
        return all(COMPARISONS[name](created, limit) for name, limit in param.items())
    return bool(created == param)


def select(items: Iterable[Object], params: dict[str, Any], *fields: str) -> Iterable[Object]:
    """Yield the items that match the parameter `created` and the parameters named by `fields`, if present."""
    values = {field: params[field] for field in fields if field in params}
    for item in items:
        if item.get("deleted"):
            yield item  # a page omits it, but may start after it
        elif is_in_range(item["created"], params.get("created")) and all(item.get(f) == v for f, v in values.items()):
            yield item


def page(items: Iterable[Object], params: dict[str, Any], url: str, kind: str = "object") -> Object:
    """Return one page, newest first: `{object: list, url, has_more, data}`."""
    limit = _limit(params)
    after, before = params.get("starting_after"), params.get("ending_before")
    if after is not None and before is not None:
        raise validation_error("Received both starting_after and ending_before parameters. Please pass in only one.")
    rows, has_more = _before(items, before, limit, kind) if before else _after(items, after, limit, kind)
    return {"object": "list", "url": url, "has_more": has_more, "data": [public_fields(row) for row in rows]}


def _limit(params: dict[str, Any]) -> int:
    limit = int(params.get("limit", DEFAULT_LIMIT))
    if not 1 <= limit <= MAX_LIMIT:
        bound = "greater than or equal to 1" if limit < 1 else f"less than or equal to {MAX_LIMIT}"
        raise validation_error(f"This value must be {bound}.", code="parameter_invalid_integer", param="limit")
    return limit


def _start(page: str | None) -> int:
    """Parse the position of a search page, which is the `next_page` of the previous response."""
    if page and not re.fullmatch(r"\d{1,9}", page):
        raise validation_error(f"Invalid page: {page}. Pass the next_page of the previous response.", param="page")
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
        raise resource_missing(kind, str(cursor), param="starting_after")
    return rows, False


def _before(items: Iterable[Object], cursor: str, limit: int, kind: str) -> tuple[list[Object], bool]:
    rows: list[Object] = []
    for item in items:
        if item["id"] == cursor:
            return rows[-limit:], len(rows) > limit
        if not item.get("deleted"):
            rows.append(item)
    raise resource_missing(kind, cursor, param="ending_before")


def search(items: Iterable[Object], params: dict[str, Any], url: str) -> Object:
    """Return one page of the search results; the parameter `page` selects it.

    https://docs.stripe.com/search
    """
    clauses, combine = _clauses(params["query"], url.split("/")[2])
    limit, start = _limit(params), _start(params.get("page"))
    results = [item for item in items if combine(_matches(item, clause) for clause in clauses)]
    has_more = len(results) > start + limit
    return {
        "object": "search_result",
        "url": url,
        "has_more": has_more,
        "data": [public_fields(item) for item in results[start : start + limit]],
        "next_page": str(start + limit) if has_more else None,
        "total_count": len(results),
    }


def _clauses(
    query: str, resource: str
) -> tuple[list[tuple[bool, str, str | None, str, str]], Callable[[Iterable[bool]], bool]]:
    """Parse a query into its clauses, and `all` or `any` to combine them: a query has AND or OR, not both."""
    parts = CONJUNCTION.split(query.strip())
    words = {word.upper() for word in parts[1::2]}
    if len(words) > 1:
        raise validation_error(
            "You can combine clauses with AND or with OR, not with both in one query.", param="query"
        )
    if len(parts[::2]) > MAX_CLAUSES:
        message = f"You can have at most {MAX_CLAUSES} clauses in a query, but you passed {len(parts[::2])}."
        raise validation_error(message, param="query")
    clauses = []
    for part in parts[::2]:
        match = CLAUSE.fullmatch(part)
        if match is None:
            raise validation_error(f"We were unable to parse your search query: {query}", param="query")
        negated, field, key, operator, quoted, bare = match.groups()
        is_card_field = resource == "charges" and CARD_SEARCH_FIELD.fullmatch(field)
        if (field not in SEARCH_FIELDS[resource] and not is_card_field) or (key is not None) != (field == "metadata"):
            message = f"Field `{field}` is an unsupported search field for resource `{resource}`."
            raise validation_error(message, param="query")
        if operator == "~" and len(bare or quoted or "") < MIN_SUBSTRING_LENGTH:
            message = f"A substring match needs at least {MIN_SUBSTRING_LENGTH} characters."
            raise validation_error(message, param="query")
        if operator not in (":", "~") and not re.fullmatch(r"-?\d{1,15}", bare or quoted or ""):
            raise validation_error(f"Field `{field}` can only be compared with a number.", param="query")
        term = bare if quoted is None else ESCAPED.sub(r"\1", quoted)
        clauses.append((bool(negated), field, key, operator, term))
    return clauses, any if words == {"OR"} else all


def _matches(item: Object, clause: tuple[bool, str, str | None, str, str]) -> bool:
    negated, field, key, operator, term = clause
    value: Any = item
    for name in field.split("."):
        value = (value or {}).get(name)
    if key is not None:
        value = (value or {}).get(key)
    if operator in {":", "~"}:
        text = "" if value is None else str(value).lower()
        matches = term.lower() in text if operator == "~" else (value is not None and text == term.lower())
        if term == "null":
            matches = value is None
    else:
        name = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}[operator]
        matches = isinstance(value, int) and COMPARISONS[name](value, int(term))
    return matches != negated
