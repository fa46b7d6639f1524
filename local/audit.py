"""``make audit``: compare our books with Stripe's now, for the days since the last comparison or for a range of days.

It invokes the same function as the daily schedule: on the local stack, or with ``--aws`` on a deployed stack with the
shell's credentials and region. It repeats that until the audit is finished, and waits for another run in progress.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.deployed_function import CommandFailed, DeployedFunction, console
from local.reconcile import MAX_RUNS, MAX_STALLED, parse_options
from tuition.core import books

FUNCTION = "AuditFunction"
MAX_DAYS = 31
"""Days of one audit (`tuition.intake.audit_run`). A longer range is several audits."""


def periods(first: date, last: date) -> Iterator[dict[str, str]]:
    """Yield a range of days in parts that one audit compares."""
    while first <= last:
        end = min(first + timedelta(days=MAX_DAYS - 1), last)
        yield {"from": first.isoformat(), "to": end.isoformat()}
        first = end + timedelta(days=1)


def finished(audit: DeployedFunction, event: dict[str, Any]) -> dict[str, Any]:
    """Invoke the function until the audit is finished, or until it stays where it was. Return its last report."""
    report: dict[str, Any] = {}
    stalled = 0
    for _ in range(MAX_RUNS):
        before, report = report, audit.invoke(event)
        stalled = stalled + 1 if report == before else 0
        if report["done"] or stalled == MAX_STALLED:
            break
    return report


def print_report(report: dict[str, Any]) -> None:
    """Print the sums by day, kind and currency, then each difference, and each step that failed."""
    names = ("checked", "confirmed", "foreign", "expired", "users")
    totals = ", ".join(f"{report[name]} {name}" for name in names)
    console.print(f"{report['from']} to {report['through']}: {totals}")
    for one in report["sums"]:
        text = f"{one['day']} {one['kind']}: {books.comparison(one['ours'], one['stripe'], one['currency'])}"
        console.print(f"[red]{text}: {' '.join(one['ids'])}[/]" if one["ids"] else text)
    for failed in report["failed"]:
        console.print(f"[red]not handled[/] {failed}")
    for name in report["unfinished"]:
        console.print(f"[red]not finished[/] {name}")
    if not report["done"]:
        console.print("[red]The comparison is not complete.[/] Mend what was not handled, and run it again.")


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if the books are equal, 1 if something differs or was not handled, 2 if the audit could not run."""
    options = parse_options("make audit", __doc__, arguments)
    events = [{"days": days} for days in periods(options.first, options.last)] if options.first else [{}]
    try:
        audit = DeployedFunction(stack=options.stack, aws=options.aws, function=FUNCTION, api_port=options.api_port)
        reports = [finished(audit, event) for event in events]
    except (CommandFailed, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for report in reports:
        print_report(report)
    return 1 if any(report["differences"] or not report["done"] for report in reports) else 0


if __name__ == "__main__":
    raise SystemExit(main())
