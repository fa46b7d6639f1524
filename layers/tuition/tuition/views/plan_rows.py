"""Plans as the rows of an export: what each one received, what is owed, and what happens next."""

from collections.abc import Mapping
from typing import Any

from tuition.core.money import Money
from tuition.core.plan import Plan
from tuition.storage import queries
from tuition.views import plan_list
from tuition.views.spreadsheet import cell

FILTERS = ("status", "kind", "track", "due_from", "due_to", "attention")
"""Those of the list, without its search."""
PLANS_PER_PAGE = 100
AMOUNTS = frozenset(("total", "received", "refunded", "lost", "outstanding", "due_amount", "next_amount"))
COLUMNS = (
    *("plan_id", "kind", "track", "membership", "offer", "every", "status", "grants_access", "user_id", "email"),
    *("created_at", "started_on", "updated_at", "currency", "total", "received", "refunded", "lost", "outstanding"),
    *("due_amount", "next_due", "next_amount", "next_charge_at", "needs_student", "payment_method"),
    *("paid_through", "cancel_at", "access_until", "closes_on", "close_reason", "stopped_by", "attention"),
)
HEADER = [name for column in COLUMNS for name in ([column, f"{column}_decimal"] if column in AMOUNTS else [column])]


def page(query: Mapping[str, str], cursor: list[str] | None) -> tuple[list[list[str | int]], list[str] | None]:
    """Return the rows of the plans among the next ones that match, and the cursor after them; None after the last.

    The table is scanned, so that a plan that changes during the export is neither missed nor listed twice.
    """
    from tuition.views import staff_plans  # slow to load, and no other export needs it

    chosen = plan_list.parse(query)
    scanned, last = queries.page_of_plans(PLANS_PER_PAGE, cursor[0] if cursor else None)
    plans = [plan for plan in scanned if plan_list.matches(chosen, plan)]
    rows = [row(plan, shown) for plan, shown in zip(plans, staff_plans.with_emails(plans), strict=True)]
    return rows, [last] if last else None


def row(plan: Plan, shown: Mapping[str, Any]) -> list[str | int]:
    """Return the cells of a plan, which is shown so in the list, in the order of `HEADER`.

    Amounts are in minor units. Their decimal twins are numbers.
    """
    coming, due, method = (shown[name] or {} for name in ("next", "due", "payment_method"))
    values = {
        **shown,
        "started_on": plan.anchor,
        "lost": plan.lost,
        "due_amount": due.get("amount"),
        "next_due": coming.get("due"),
        "next_amount": coming.get("amount"),
        "next_charge_at": coming.get("attempt_at"),
        "needs_student": coming.get("needs_you"),
        "payment_method": method.get("type"),
        "attention": [reason["name"] for reason in shown["attention"]],
    }
    return [one for name in COLUMNS for one in _cells(name, values[name], shown["currency"])]


def _cells(name: str, value: Any, currency: str) -> list[str | int]:
    if name not in AMOUNTS:
        return [cell(value)]
    return [cell(value), "" if value is None else Money(value, currency).decimal]
