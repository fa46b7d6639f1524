"""What staff may filter payments by, and how it is written in a query."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from tuition.core import catalog
from tuition.core.errors import Unprocessable
from tuition.core.payment import STATUSES
from tuition.core.stripe_json import MAX_ID_LENGTH

FILTERS = (
    *("status", "track", "refunded", "attention", "disputed", "from", "to", "amount_min", "amount_max"),
    *("q", "limit", "cursor"),
)
EPOCH = date(2020, 1, 1)


@dataclass(frozen=True)
class Filters:
    """What staff look for. `first` and `last` are whole UTC days, amounts minor units, all of them inclusive."""

    status: str | None = None
    track: str | None = None
    refunded: bool | None = None
    attention: bool | None = None
    disputed: bool | None = None
    first: date | None = None
    last: date | None = None
    amount_min: int | None = None
    amount_max: int | None = None
    q: str | None = None

    @property
    def statuses(self) -> list[str]:
        """Those that a payment found may have."""
        wanted = [status for status in STATUSES if self.status in (None, status)]
        return [status for status in wanted if not self.refunded or status == "REFUNDED"]

    def to_json(self) -> dict[str, Any]:
        """The filters that are set, by the names of the query."""
        names = {"first": "from", "last": "to"}
        found = {names.get(f.name, f.name): getattr(self, f.name) for f in fields(self)}
        return {n: v.isoformat() if isinstance(v, date) else v for n, v in found.items() if v is not None}

    @property
    def digest(self) -> str:
        """What a cursor carries, so that it is good for no other filter."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:12]


def parse(asked: Mapping[str, str]) -> Filters:
    """The filters of a query. Raises `Unprocessable` for a value that no payment can have."""
    first, last = _day(asked, "from"), _day(asked, "to")
    if first and last and first > last:
        raise Unprocessable("from must not be after to", field="from")
    least, most = _amount(asked, "amount_min"), _amount(asked, "amount_max")
    if least is not None and most is not None and least > most:
        raise Unprocessable("amount_min must not be above amount_max", field="amount_min")
    return Filters(
        status=_one_of(asked, "status", STATUSES),
        track=_one_of(asked, "track", tuple(catalog.ever_sold())),
        refunded=flag(asked, "refunded"),
        attention=flag(asked, "attention"),
        disputed=flag(asked, "disputed"),
        first=first,
        last=last,
        amount_min=least,
        amount_max=most,
        q=_searchable(asked.get("q", "").strip()),
    )


def _searchable(q: str) -> str | None:
    if len(q) > MAX_ID_LENGTH or not q.isprintable():
        raise Unprocessable(f"q must have at most {MAX_ID_LENGTH} printable characters", field="q")
    return q or None


def _one_of(asked: Mapping[str, str], name: str, known: tuple[str, ...]) -> str | None:
    if name in asked and asked[name] not in known:
        raise Unprocessable(f"{name} must be one of {', '.join(known)}", field=name)
    return asked.get(name)


def flag(asked: Mapping[str, str], name: str) -> bool | None:
    """`true` or `false` of a query; None where it is not given."""
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


def _amount(asked: Mapping[str, str], name: str) -> int | None:
    if name not in asked:
        return None
    written = asked[name]
    if not (written.isascii() and written.isdigit() and len(written) <= 12):
        raise Unprocessable(f"{name} must be a whole number of minor units (cents)", field=name)
    return int(written)
