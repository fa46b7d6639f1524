"""``make reconcile``: run the reconciler now, or backfill a range of days, until the work is done.

It invokes the same function as the hourly schedule: on the local stack, or with ``--aws`` on a deployed stack with the
shell's credentials and region. It waits for another run that is in progress. An interrupted range resumes where it
stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import Progress

from local.change_set import ALIAS
from local.deploy import STACK
from local.ministack import ACCESS_KEY, REGION, SECRET_KEY
from local.running import add_port_option, find_stack

FUNCTION = "ReconcileFunction"
INVOCATION_S = 920
WAIT_S = 960
"""How long to wait for another run: an invocation lives 15 minutes, and then its lease expires."""
WAIT_BETWEEN_S = 5
MAX_RUNS = 100
"""Invocations of one command without a range. Each continues where the one before it ended."""
MAX_STALLED = 3
"""Invocations in a row that may end where a range stood before: a killed worker holds its task for 15 minutes."""
console = Console(highlight=False)


class ReconcileError(Exception):
    """Why the reconciler could not run, as a message to print. The function's log has the details."""


class AnotherRun(ReconcileError):
    """Another run is in progress."""


def physical_id(stack: str, logical_id: str, connection: dict[str, Any]) -> str:
    """Return the name of a deployed resource, by the template's name for it. `connection` is boto3's options."""
    cloudformation: Any = boto3.client("cloudformation", **connection)
    resource = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
    return str(resource["StackResourceDetail"]["PhysicalResourceId"])


class Reconciler:
    """The deployed function."""

    def __init__(
        self,
        *,
        stack: str,
        aws: bool,
        function: str = FUNCTION,
        api_port: int | None = None,
        qualifier: str | None = ALIAS,
    ) -> None:
        connection = {} if aws else local_connection(api_port)
        name = physical_id(stack, function, connection)
        self._target = {"FunctionName": name, **({"Qualifier": qualifier} if qualifier else {})}
        # An invocation may take 15 minutes, and a late response must not make boto3 invoke the function again.
        config = Config(read_timeout=INVOCATION_S, retries={"total_max_attempts": 1})
        self._client: Any = boto3.client("lambda", config=config, **connection)

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        """Invoke the function and return its report, after another run if one is in progress.

        Raises `ReconcileError` if it fails, or if the other run does not end within `WAIT_S`.
        """
        deadline = time.monotonic() + WAIT_S
        is_waiting = False
        while True:
            try:
                return self._invoke(event)
            except AnotherRun:
                if time.monotonic() > deadline:
                    raise
                if not is_waiting:
                    console.print(f"Another run is in progress. Waiting for it, at most {WAIT_S // 60} minutes.")
                is_waiting = True
                time.sleep(WAIT_BETWEEN_S)

    def _invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        payload = json.dumps({**event, "waits": True}).encode()
        response = self._client.invoke(**self._target, Payload=payload)
        report: dict[str, Any] = json.loads(response["Payload"].read())
        if report.get("lease_taken"):
            raise AnotherRun("another run is in progress: wait for it to finish, then try again")
        if response.get("FunctionError"):
            raise ReconcileError(f"{report.get('errorType', 'error')}: {report.get('errorMessage', report)}")
        return report


def local_connection(api_port: int | None) -> dict[str, Any]:
    """Return boto3's options for the local stack. Raises `ReconcileError` if none responds."""
    ready = find_stack(api_port)
    if ready is None:
        where = f" at port {api_port}" if api_port else ""
        raise ReconcileError(f"no local stack responds{where}: start `make run` in another shell, or pass --aws")
    return {
        "endpoint_url": ready["aws"],
        "region_name": REGION,
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SECRET_KEY,
    }


def walk(reconciler: Reconciler, first: date, last: date) -> list[dict[str, Any]]:
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


def runs(reconciler: Reconciler) -> Iterator[dict[str, Any]]:
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
        reconciler = Reconciler(stack=options.stack, aws=options.aws, api_port=options.api_port)
        has_range = options.first is not None
        reports = walk(reconciler, options.first, options.last) if has_range else list(runs(reconciler))
    except (ReconcileError, ClientError, BotoCoreError) as error:
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
    parser.add_argument("--aws", action="store_true", help="use a deployed stack, not the local one")
    parser.add_argument("--stack", default=STACK, help=f"the stack's name, default {STACK}")
    add_port_option(parser)
    options = parser.parse_args(arguments)
    if (options.first is None) != (options.last is None) or (options.first and options.first > options.last):
        parser.error("a range needs --from and --to, in this order")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
