"""The filters of the list of payments for staff, and how they are parsed from a query."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, Literal, cast, get_args
from urllib.parse import unquote

from tuition.core import catalog, search, texts
from tuition.core.errors import Unprocessable
from tuition.core.money import CURRENCIES
from tuition.core.payment import STATUSES
from tuition.core.refund_request import STATES
from tuition.core.stripe_json import MAX_ID_LENGTH
from tuition.stripe_gateway import resolve

FILTERS = (
    *("status", "track", "refunded", "attention", "disputed", "from", "to", "amount_min", "amount_max"),
    "currency",
    *("refund_request", "method", "failure", "q"),
)
LIST_QUERY = (*FILTERS, "order", "limit", "cursor")
Order = Literal["newest", "oldest"]
Refunded = Literal["true", "false", "partly", "any", "none"]
"""How much was refunded: all of it, not all, only a part, all or a part, or nothing."""
STATUSES_OF_REFUNDED: dict[str, tuple[str, ...]] = {
    "true": ("REFUNDED",),
    "partly": ("SUCCEEDED",),
    "any": ("SUCCEEDED", "REFUNDED"),
}
STATUSES_OF_FAILURES = ("FAILED", "CANCELED")
MAX_CODE_LENGTH = 60
"""Characters of a payment method or a failure code in a filter. Stripe's longest known code has fewer."""
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
"""Characters without width, which are pasted along with an address."""
NO_BREAK_SPACE = "\u00a0"
"""Emails have one between a currency and its amount."""
OPENING, CLOSING = "<([{\"':;,", '>)]}":;,!?'
EPOCH = date(2020, 1, 1)
ID_PREFIXES = ("pay_", "pln_", "cus_", *resolve.POINTED)
CURRENCY_SIGNS = "$€£¥₩₹"
AMOUNT = re.compile(r"(\d+|\d{1,3}(,\d{3})+)(\.\d{1,3})?")


@dataclass(frozen=True)
class Filters:
    """Filters for payments. `first` and `last` are whole UTC days, amounts minor units; all four are inclusive.

    With `currency`, only payments in it match, so that amounts of two currencies are not compared. `track` is the code
    of a track or of a membership.
    """

    status: str | None = None
    track: str | None = None
    refunded: Refunded | None = None
    attention: bool | None = None
    disputed: bool | None = None
    first: date | None = None
    last: date | None = None
    amount_min: int | None = None
    amount_max: int | None = None
    currency: str | None = None
    refund_request: str | None = None
    method: str | None = None
    failure: str | None = None
    q: str | None = None

    @property
    def statuses(self) -> list[str]:
        """The statuses that a matching payment can have."""
        possible = [
            ("SUCCEEDED", "REFUNDED") if self.refund_request else STATUSES,  # only what is paid can be refunded
            STATUSES_OF_REFUNDED.get(self.refunded or "", STATUSES),
            STATUSES_OF_FAILURES if self.failure else STATUSES,
            (self.status,) if self.status else STATUSES,
        ]
        return [status for status in STATUSES if all(status in statuses for statuses in possible)]

    def to_json(self) -> dict[str, Any]:
        """Return the filters that are set, named as in the query."""
        names = {"first": "from", "last": "to"}
        values = {names.get(f.name, f.name): getattr(self, f.name) for f in fields(self)}
        return {n: v.isoformat() if isinstance(v, date) else v for n, v in values.items() if v is not None}

    @property
    def ids(self) -> list[str]:
        """The ids that `q` can be: as it was typed, and without the punctuation around it."""
        pasted = (self.q or "").lstrip(OPENING + " ").rstrip(CLOSING + ". ")
        return [text for text in dict.fromkeys((self.q, pasted)) if text]

    @property
    def address(self) -> str:
        """The email address, or its beginning, that `q` can be; it may be pasted with a name, a link or punctuation."""
        text = re.sub(f"[{INVISIBLE}]", "", self.q or "")
        in_brackets = re.search(r"<([^<>]+)>", text)
        text = (in_brackets[1] if in_brackets else text).strip().lstrip(OPENING)
        if text[:7].lower() == "mailto:":
            text = unquote(text[7:].partition("?")[0])
        text = "".join(text.split()).lstrip(OPENING)
        return text.rstrip(CLOSING + ".'" if "@" in text else CLOSING)

    @property
    def words(self) -> tuple[str, ...]:
        """The words that `q` can be, of which a payment must have all: amounts, last four digits, words of an address.

        Empty if it is an id, or has more words than a search takes.
        """
        if not self.q or self.q.startswith(ID_PREFIXES):
            return ()
        parts = _without_currencies(texts.caseless(self.q).split())
        words = [word for part in parts for word in _words_of(part)]
        words = list(dict.fromkeys(words))
        return tuple(words) if len(words) <= search.MAX_QUERY_WORDS else ()

    @property
    def digest(self) -> str:
        """A digest that is part of every cursor, so that a cursor is valid for one filter only."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:12]


def _without_currencies(parts: list[str]) -> list[str]:
    """Leave out the code of a currency beside an amount: `1,299.50 USD`, as staff read it in the list."""
    is_amount = [bool(AMOUNT.fullmatch(_amount_text(part))) for part in parts]
    beside = [any(is_amount[max(0, at - 1) : at + 2]) for at in range(len(parts))]
    return [part for part, is_beside in zip(parts, beside, strict=True) if not (is_beside and part in CURRENCIES)]


def _amount_text(part: str) -> str:
    return part.strip(OPENING + CLOSING + CURRENCY_SIGNS)


def _words_of(part: str) -> tuple[str, ...]:
    """Return the words of a part of a search without blanks: one if it is an amount, such as `$1,299.50`."""
    text = _amount_text(part)
    if AMOUNT.fullmatch(text):
        return (search.amount_word(text.replace(",", "")),)
    return search.words_of(text)


def parse(query: Mapping[str, str]) -> Filters:
    """Parse the filters of a query. Raises `Unprocessable` for a value that no payment can have."""
    first, last = day(query, "from"), day(query, "to")
    require_order(first, last, "from")
    amount_min, amount_max = _amount(query, "amount_min"), _amount(query, "amount_max")
    if amount_min is not None and amount_max is not None and amount_min > amount_max:
        raise Unprocessable("The minimum amount cannot be higher than the maximum.", field="amount_min")
    return Filters(
        status=one_of(query, "status", STATUSES),
        track=one_of(query, "track", catalog.codes()),
        refunded=cast(Refunded | None, one_of(query, "refunded", get_args(Refunded))),
        attention=flag(query, "attention"),
        disputed=flag(query, "disputed"),
        first=first,
        last=last,
        amount_min=amount_min,
        amount_max=amount_max,
        currency=parse_currency(query),
        refund_request=one_of(query, "refund_request", STATES),
        method=_code(query, "method"),
        failure=_code(query, "failure"),
        q=search_text(query.get("q", "")),
    )


def require_order(first: date | None, last: date | None, name: str) -> None:
    """Raise `Unprocessable` for the field `name` if the first day is after the last."""
    if first and last and first > last:
        raise Unprocessable("The start date cannot be after the end date.", field=name)


def search_text(q: str) -> str | None:
    """Parse the text of a search; None if it is blank. Raises `Unprocessable`."""
    q = re.sub(rf"^[\s{INVISIBLE}]+|[\s{INVISIBLE}]+$", "", q.replace(NO_BREAK_SPACE, " "))
    if len(q) > MAX_ID_LENGTH or not q.isprintable():
        raise Unprocessable(f"q must have at most {MAX_ID_LENGTH} printable characters", field="q")
    return q or None


def parse_order(query: Mapping[str, str]) -> Order:
    """Parse the order of a list: by the time of creation. A search has its own order. Raises `Unprocessable`."""
    order = one_of(query, "order", get_args(Order)) or "newest"
    if order == "oldest" and query.get("q"):
        raise Unprocessable("A search has its own order. Leave out order or q.", field="order")
    return cast(Order, order)


def _code(query: Mapping[str, str], name: str) -> str | None:
    """Parse one of Stripe's codes, such as `us_bank_account`. Stripe adds new ones, so any code is accepted."""
    if name in query and not re.fullmatch(rf"[a-z0-9_]{{1,{MAX_CODE_LENGTH}}}", query[name]):
        raise Unprocessable(f"{name} must be one of Stripe's codes, such as us_bank_account", field=name)
    return query.get(name)


def one_of(query: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str | None:
    """Parse one of these values; None if the query does not have it. Raises `Unprocessable`."""
    if name in query and query[name] not in allowed:
        raise Unprocessable(f"{name} must be one of {', '.join(allowed)}", field=name)
    return query.get(name)


def parse_currency(query: Mapping[str, str]) -> str | None:
    """Parse a currency; None if the query does not have it. Any three letters are accepted. Raises `Unprocessable`."""
    currency = query.get("currency")
    if currency is not None and not re.fullmatch("[a-z]{3}", currency):
        raise Unprocessable("currency must be three small letters, such as usd", field="currency")
    return currency


def flag(query: Mapping[str, str], name: str) -> bool | None:
    """Parse `true` or `false`; None if the query does not have it. Raises `Unprocessable`."""
    value = one_of(query, name, ("true", "false"))
    return None if value is None else value == "true"


def day(query: Mapping[str, str], name: str) -> date | None:
    """Parse a day; None if the query does not have it. Raises `Unprocessable`."""
    if name not in query:
        return None
    try:
        parsed = date.fromisoformat(query[name])
    except ValueError:
        parsed = None
    if parsed is None or parsed.isoformat() != query[name] or not EPOCH.year <= parsed.year < 2200:
        raise Unprocessable(f"{name} must be a day such as 2026-11-23", field=name)
    return parsed


def _amount(query: Mapping[str, str], name: str) -> int | None:
    if name not in query:
        return None
    amount = query[name]
    if not (amount.isascii() and amount.isdigit() and len(amount) <= 12):
        raise Unprocessable(f"{name} must be a whole number of minor units (cents)", field=name)
    return int(amount)
