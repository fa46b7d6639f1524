"""``make audit``: compare our books with Stripe's now, for the days since the last comparison or for a range of days.

It invokes the same function as the daily schedule: on the local stack, or with ``--aws`` on a deployed stack with the
shell's credentials and region.
"""

from __future__ import annotations

import sys
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.reconcile import ReconcileError, Reconciler, console, parse_options

FUNCTION = "AuditFunction"


def print_report(report: dict[str, Any]) -> None:
    """Print the sums by day, kind and currency, then each difference, and each step that failed."""
    names = ("checked", "confirmed", "foreign", "users")
    totals = ", ".join(f"{report[name]} {name}" for name in names)
    console.print(f"{report['from']} to {report['through']}: {totals}")
    for one in report["sums"]:
        text = f"{one['day']} {one['kind']} {one['currency'] or ''} ours {one['ours']}, Stripe's {one['stripe']}"
        console.print(f"[red]{text}: {' '.join(one['ids'])}[/]" if one["ids"] else text)
    for failed in report["failed"]:
        console.print(f"[red]not handled[/] {failed}")
    if not report["done"]:
        console.print("[red]The comparison is not complete.[/] Run it again, for fewer days if it ran out of time.")


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if the books are equal, 1 if something differs or was not handled, 2 if the audit could not run."""
    options = parse_options("make audit", __doc__, arguments)
    days = {"from": options.first.isoformat(), "to": options.last.isoformat()} if options.first else None
    try:
        audit = Reconciler(stack=options.stack, aws=options.aws, function=FUNCTION, api_port=options.api_port)
        report = audit.invoke({"days": days} if days else {})
    except (ReconcileError, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print_report(report)
    return 1 if report["differences"] or not report["done"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
