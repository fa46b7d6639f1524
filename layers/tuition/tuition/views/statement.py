"""The accountant's two files of a month: the statement of all balance transactions, and the tie-out by payout.

Both are exports (`views/exports.py`), because a month can have more transactions than a request has time for. A page
is one call to Stripe and two batch reads. The bounds of the month never move while a file is written, so new
transactions do not disturb the walk.

Sources: https://docs.stripe.com/api/balance_transactions/list, https://docs.stripe.com/payouts/reconciliation
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any, NamedTuple, cast

from tuition import clock
from tuition.core import statement, timestamps
from tuition.core.errors import StripeRefused, TuitionError, Unprocessable
from tuition.core.money import Money
from tuition.core.refs import PlanKind
from tuition.core.statement import Line, LineKind, Payout, PlanSum, Sum
from tuition.core.stored import read
from tuition.log import logger
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import resolve
from tuition.stripe_gateway.client import Answer
from tuition.views.spreadsheet import harmless

MAX_LINES = 500_000
"""Lines per file: an invocation reads about 100,000, and an export may have a few."""
MAX_PAYOUTS = 500
"""Payouts per month. Their sums are part of the export's state."""
MAX_UNEXPLAINED = 200
"""Unexplained lines that the state and the page have. The file has all."""
RECORDS_PER_BATCH = 1000
NOT_LISTED = 400
"""Stripe's status for a payout whose balance transactions it cannot list. A key without the right gets 401 or 403."""
MONTH_PATTERN = r"^20[2-9][0-9]-(0[1-9]|1[0-2])$"
MONTH = re.compile(MONTH_PATTERN)

HEADER = [
    *("balance_transaction", "created_at", "date", "available_at", "type", "kind", "explained", "currency"),
    *("amount", "amount_decimal", "fee", "fee_decimal", "net", "net_decimal"),
    *("source_currency", "source_amount", "source_amount_decimal", "our_amount", "our_amount_decimal"),
    *("charge", "refund", "dispute", "payment_intent", "payout", "payment_id", "track", "paid_at", "paid_date"),
    *("description", "source", "plan_id", "plan_kind", "covers"),
]
"""The columns of both files. `date` and `paid_date` are UTC days."""


class StatementTooLarge(TuitionError):
    """A month has more lines or payouts than a file may have."""


@dataclass(frozen=True)
class Page:
    """Rows of the file, the position after them (None at the end), and the summary of all rows so far."""

    rows: list[list[str | int]]
    cursor: list[str] | None
    summary: dict[str, Any]


def parse_month(month: object, now: float) -> str:
    """Return the month of an order. Raises `Unprocessable`."""
    if not isinstance(month, str) or not MONTH.fullmatch(month):
        raise Unprocessable("month must be a month such as 2026-11", field="month")
    if month > timestamps.iso(now)[:7]:
        raise Unprocessable("The month has not begun. Choose an earlier one.", field="month")
    return month


def bounds(month: str, ordered_at: str) -> tuple[int, int]:
    """Return the first and the last second of a month, UTC; the last is that of the order if the month is not over."""
    first = int(timestamps.epoch(f"{month}-01T00:00:00Z"))
    year, number = divmod(int(month[:4]) * 12 + int(month[5:]), 12)
    end = int(timestamps.epoch(f"{year:04}-{number + 1:02}-01T00:00:00Z"))
    return first, min(end - 1, int(timestamps.epoch(ordered_at)))


# --- the statement ---


def statement_page(month: str, ordered_at: str, cursor: list[str] | None, summary: Mapping[str, Any]) -> Page:
    """Read one page of the month's balance transactions, newest first. Raises `StatementTooLarge`."""
    first, last = bounds(month, ordered_at)
    after = cursor[0] if cursor else None
    page = _ask(stripe_client.list_created, "balance_transactions", first, last, after).object
    lines = _lines(page["data"])
    sums = statement.add(sums_of(summary), lines)
    _check_size(sums)
    by_plan = statement.add_by_plan(plan_sums_of(summary), lines)
    following = [lines[-1].transaction_id] if page["has_more"] and lines else None
    changed = {"sums": _json(sums), "by_plan": _json(by_plan), **_unexplained(summary, lines)}
    return Page(rows(lines), following, changed)


# --- the tie-out by payout ---


def payouts_page(month: str, ordered_at: str, cursor: list[str] | None, summary: Mapping[str, Any]) -> Page:
    """Read one page of the balance transactions of a payout; the first page lists the month's payouts.

    The cursor is the index of a payout and the last transaction read of it. Raises `StatementTooLarge`.
    """
    if cursor is None:
        payouts = _payouts(*bounds(month, ordered_at))
        return Page([], _following(payouts, 0), {"payouts": _json(payouts), "sums": [], **_unexplained({}, [])})
    index, after = int(cursor[0]), cursor[1] or None
    payouts = [stored_payout(one) for one in summary["payouts"]]
    try:
        page = _ask(stripe_client.list_paid_out, payouts[index].payout_id, after).object
    except StripeRefused as refused:
        if refused.stripe_status != NOT_LISTED or after:
            raise
        logger.warning("Stripe does not list a payout", payout=payouts[index].payout_id, error=str(refused))
        return Page([], _following(payouts, index + 1), dict(summary))
    lines = _lines(page["data"], payouts[index].payout_id)
    payouts[index] = statement.with_lines(payouts[index], lines)
    sums = statement.add(sums_of(summary), lines)
    _check_size(sums)
    has_more = page["has_more"] and lines
    following = [str(index), lines[-1].transaction_id] if has_more else _following(payouts, index + 1)
    summary = {"payouts": _json(payouts), "sums": _json(sums), **_unexplained(summary, lines)}
    return Page(rows(lines), following, summary)


def _payouts(first: int, last: int) -> list[Payout]:
    """List the payouts that were created in a month."""
    payouts: list[Payout] = []
    while True:
        after = payouts[-1].payout_id if payouts else None
        page = _ask(stripe_client.list_created, "payouts", first, last, after).object
        payouts += [statement.payout(obj) for obj in page["data"]]
        if len(payouts) > MAX_PAYOUTS:
            raise StatementTooLarge(f"The month has more than {MAX_PAYOUTS} payouts.")
        if not page["has_more"] or not page["data"]:
            return payouts


def _following(payouts: Sequence[Payout], start: int) -> list[str] | None:
    """Return the position of the next payout whose transactions Stripe can list."""
    return next(([str(n), ""] for n in range(start, len(payouts)) if payouts[n].automatic), None)


def stored_payout(stored: Mapping[str, Any]) -> Payout:
    """Return the payout that `Payout.to_json` wrote."""
    return read(Payout, {**stored, "sums": tuple(read(Sum, one) for one in stored["sums"])})


# --- both ---


def _ask[**P](list_: Callable[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
    """Make a call with a deadline of its own, and wait while Stripe rate-limits it."""
    clock.start_deadline()
    return stripe_client.retry_rate_limits(list_, *args, **kwargs)


def _lines(transactions: Sequence[Mapping[str, Any]], payout: str | None = None) -> list[Line]:
    """Return a line for each balance transaction."""
    sources = [one["source"] for one in transactions if _is_of_payment(one)]
    payments = iter(resolve.payments_of(sources))
    lines = []
    for transaction in transactions:
        payment = next(payments) if _is_of_payment(transaction) else None
        lines.append(statement.line(transaction, statement.movement(transaction), payment, payout))
    return lines


def _is_of_payment(transaction: Mapping[str, Any]) -> bool:
    source = transaction.get("source")
    return isinstance(source, Mapping) and source.get("object") in statement.OF_PAYMENTS


def _json(values: Iterable[Sum | PlanSum | Payout]) -> list[dict[str, Any]]:
    return [one.to_json() for one in values]


def _unexplained(summary: Mapping[str, Any], lines: Sequence[Line]) -> dict[str, Any]:
    """Return the first unexplained lines, and how many there are so far."""
    more = [one.to_json() for one in lines if not one.explained]
    first = [*summary.get("unexplained", []), *more][:MAX_UNEXPLAINED]
    return {"unexplained": first, "unexplained_lines": summary.get("unexplained_lines", 0) + len(more)}


def _check_size(sums: Iterable[Sum]) -> None:
    if sum(one.lines for one in sums) > MAX_LINES:
        raise StatementTooLarge(f"The month has more than {MAX_LINES:,} balance transactions.")


def rows(lines: Iterable[Line]) -> list[list[str | int]]:
    """Return the cells of each line, in the order of `HEADER`."""
    return [_row(one) for one in lines]


def _row(one: Line) -> list[str | int]:
    source = one.source_currency
    return [
        *_texts(one.transaction_id, one.created_at, one.created_at[:10], one.available_at, one.type, one.kind),
        *_texts("yes" if one.explained else "no", one.currency),
        *(cell for amount in (one.amount, one.fee, one.net) for cell in _amount(amount, one.currency)),
        *_texts(source),
        *(cell for amount in (one.source_amount, one.our_amount) for cell in _amount(amount, source)),
        *_texts(one.charge, one.refund, one.dispute, one.payment_intent, one.payout, one.payment_id, one.track),
        *_texts(one.paid_at, one.paid_at and one.paid_at[:10], one.description, one.source),
        *_texts(one.plan_id, one.plan_kind, " ".join(map(str, one.covers))),
    ]


def _texts(*texts: str | None) -> list[str]:
    return [harmless(one or "") for one in texts]


def _amount(amount: int | None, currency: str | None) -> list[str | int]:
    """Return an amount in minor units and as a decimal. Both are numbers, also below zero."""
    return ["", ""] if amount is None or currency is None else [amount, Money(amount, currency).decimal]


class FileSums(NamedTuple):
    """The sums of all lines of a file, and those of a statement's payments by kind of plan."""

    sums: list[Sum]
    by_plan: list[PlanSum]


def file_sums(records: Iterable[Mapping[str, str]]) -> FileSums:
    """Return the sums of the records of a finished file, to compare them with those of its summary."""
    sums: list[Sum] = []
    plan_sums: list[PlanSum] = []
    for batch in batched(records, RECORDS_PER_BATCH, strict=False):
        sums = statement.merged([*sums, *map(_sum_of_record, batch)])
        plan_sums = statement.merged_by_plan([*plan_sums, *filter(None, map(_plan_sum_of_record, batch))])
    return FileSums(sums, plan_sums)


def _sum_of_record(record: Mapping[str, str]) -> Sum:
    explained = record["explained"] == "yes"
    amount, fee, net = (int(record[name]) for name in ("amount", "fee", "net"))
    return Sum(cast(LineKind, record["kind"]), record["currency"], explained, 1, amount, fee, net)


def _plan_sum_of_record(record: Mapping[str, str]) -> PlanSum | None:
    plan_kind, kind = cast(PlanKind, record["plan_kind"]) or None, cast(LineKind, record["kind"])
    return statement.by_plan(plan_kind, record["currency"], kind, int(record["amount"]), int(record["fee"]))


def sums_of(summary: Mapping[str, Any]) -> list[Sum]:
    """Return the sums of all lines of a file that its summary has."""
    return [read(Sum, one) for one in summary.get("sums", [])]


def plan_sums_of(summary: Mapping[str, Any]) -> list[PlanSum]:
    """Return the sums by kind of plan of a statement that its summary has."""
    return [read(PlanSum, one) for one in summary.get("by_plan", [])]


def adds_up(kind: str, sums: FileSums, summary: Mapping[str, Any]) -> bool:
    """Whether the rows of a finished file have the sums of its summary. A tie-out has none by kind of plan."""
    by_plan = plan_sums_of(summary) if kind == "statement" else sums.by_plan
    return sums == FileSums(sums_of(summary), by_plan)


# --- the answer ---


def to_json(kind: str, filters: Mapping[str, str], ordered_at: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the statement or the tie-out of a finished file as the API has it; the other one is None."""
    if kind not in ("statement", "payouts"):
        return {"statement": None, "tie_out": None}
    month = filters["month"]
    _, last = bounds(month, ordered_at)
    unexplained = {name: summary[name] for name in ("unexplained", "unexplained_lines")}
    period = {"month": month, "through": timestamps.iso(last), "complete": timestamps.iso(last + 1)[:7] != month}
    if kind == "payouts":
        return {"statement": None, "tie_out": {**period, "payouts": summary["payouts"], **unexplained}}
    totals = [one.to_json() for one in statement.totals(sums_of(summary))]
    sums = {"totals": totals, "by_plan": summary.get("by_plan", []), "sums": summary["sums"]}
    return {"statement": {**period, **sums, **unexplained}, "tie_out": None}
