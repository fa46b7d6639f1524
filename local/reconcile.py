"""``make reconcile``: run the reconciler now, or backfill a range of days, until the work is done.

It invokes the same function as the hourly schedule: on the local stack, or with ``--aws`` on a deployed stack with the
shell's credentials and region. It waits for another run that is in progress. An interrupted range resumes where it
stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.progress import Progress

from local.deployed_function import CommandFailed, DeployedFunction, add_stack_options, console

FUNCTION = "ReconcileFunction"
MAX_RUNS = 100
"""Invocations of one command without a range. Each continues where the one before it ended."""
MAX_STALLED = 3
"""Invocations in a row that may end where a range stood before: a killed worker holds its task for 15 minutes."""


def walk(reconciler: DeployedFunction, first: date, last: date) -> list[dict[str, Any]]:
    """Invoke the function until the range is complete or stalls. Show the progress, and return each report."""
    days = {"from": first.isoformat(), "to": last.isoformat()}
    begins, ends = (datetime.fromisoformat(f"{day}T00:00:00Z") for day in (first, last + timedelta(days=1)))
    reports: list[dict[str, Any]] = []
    stalled = 0
    with Progress(console=console) as progress:
        task = progress.add_task(f"{first} to {last}", total=(ends - begins).total_seconds())
        while True:
            reports.append(reconciler.invoke({"backfill": days}))
            position = datetime.fromisoformat(reports[-1]["cursor"])
            progress.update(task, completed=(position - begins).total_seconds())
            is_stalled = len(reports) > 1 and reports[-2]["cursor"] == reports[-1]["cursor"]
            stalled = stalled + 1 if is_stalled else 0
            # unanswered calls to Stripe would loop forever, and so would a window that no invocation finishes
            if reports[-1]["done"] or reports[-1]["unanswered"] or stalled == MAX_STALLED:
                return reports


def runs(reconciler: DeployedFunction) -> Iterator[dict[str, Any]]:
    """Invoke the function until nothing is left to do, and yield the report of each invocation.

    A report that is not done although nothing advanced would repeat forever, as while Stripe does not answer.
    """
    cursor = None
    for _ in range(MAX_RUNS):
        report = reconciler.invoke({})
        yield report
        advanced, cursor = report["cursor"] != cursor or report["checked"], report["cursor"]
        if report["done"] or report["unanswered"] or not advanced:
            return


def print_totals(reports: list[dict[str, Any]]) -> None:
    """Print the totals of all reports, and each object that could not be handled."""
    names = ("checked", "confirmed", "drifted", "closed", "orphans", "resumed", "replayed")
    console.print(", ".join(f"{sum(report[name] for report in reports)} {name}" for name in names))
    for failed in (line for report in reports for line in report["failed"]):
        console.print(f"[red]not handled[/] {failed}")


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if everything was handled, 1 if something was not, 2 if the reconciler could not run."""
    options = parse_options("make reconcile", __doc__, arguments)
    try:
        reconciler = DeployedFunction(
            stack=options.stack, aws=options.aws, function=FUNCTION, api_port=options.api_port
        )
        has_range = options.first is not None
        reports = walk(reconciler, options.first, options.last) if has_range else list(runs(reconciler))
    except (CommandFailed, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print_totals(reports)
    if not reports[-1]["done"]:
        console.print("[yellow]not finished[/] Run the command again.")
    return 1 if any(report["failed"] for report in reports) or not reports[-1]["done"] else 0


def parse_options(prog: str, description: str | None, arguments: list[str] | None) -> argparse.Namespace:
    """Return the range of days and the stack that a command names."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--from", dest="first", type=date.fromisoformat, help="first UTC day, for example 2026-11-01")
    parser.add_argument("--to", dest="last", type=date.fromisoformat, help="last UTC day, inclusive")
    add_stack_options(parser)
    options = parser.parse_args(arguments)
    if (options.first is None) != (options.last is None) or (options.first and options.first > options.last):
        parser.error("a range needs --from and --to, in this order")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
