"""``make reconcile``: run the reconciler now, or walk over the days of a range until they are done.

It invokes the function that the clock invokes: of the stack that ``make run`` runs, or with ``--aws`` of a deployed
one, with the credentials and the region of the shell. A range that was interrupted goes on where it ended.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import Progress

from local.deploy import STACK
from local.ministack import ACCESS_KEY, REGION, SECRET_KEY
from local.run import RUNNING

FUNCTION = "ReconcileFunction"
INVOCATION_S = 920
console = Console(highlight=False)


class Failed(Exception):
    """What to tell the person; the function's log says more."""


class Reconciler:
    """The deployed function."""

    def __init__(self, *, stack: str, aws: bool) -> None:
        more = {} if aws else _running_stack()
        cloudformation: Any = boto3.client("cloudformation", **more)
        found = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=FUNCTION)
        self._name = found["StackResourceDetail"]["PhysicalResourceId"]
        # One invocation lives up to 15 minutes, and it must not be made twice because its answer is late.
        config = Config(read_timeout=INVOCATION_S, retries={"total_max_attempts": 1})
        self._client: Any = boto3.client("lambda", config=config, **more)

    def ask(self, event: dict[str, Any]) -> dict[str, Any]:
        """What one invocation did. Raises `Failed`."""
        answer = self._client.invoke(FunctionName=self._name, Payload=json.dumps(event).encode())
        said: dict[str, Any] = json.loads(answer["Payload"].read())
        if answer.get("FunctionError"):
            raise Failed(f"{said.get('errorType', 'error')}: {said.get('errorMessage', said)}")
        return said


def _running_stack() -> dict[str, Any]:
    if not RUNNING.exists():
        raise Failed("no stack runs on this machine: `make run` in another shell, or --aws for a deployed one")
    url = json.loads(RUNNING.read_text())["aws"]
    return {
        "endpoint_url": url,
        "region_name": REGION,
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SECRET_KEY,
    }


def walk(reconciler: Reconciler, first: date, last: date) -> list[dict[str, Any]]:
    """Ask until the range is done, and show how far it has come. What each invocation did."""
    days = {"from": first.isoformat(), "to": last.isoformat()}
    begins, ends = (datetime.fromisoformat(f"{day}T00:00:00Z") for day in (first, last + timedelta(days=1)))
    reports = []
    with Progress(console=console) as progress:
        task = progress.add_task(f"{first} to {last}", total=(ends - begins).total_seconds())
        while True:
            reports.append(reconciler.ask({"backfill": days}))
            place = datetime.fromisoformat(reports[-1]["cursor"])
            progress.update(task, completed=(place - begins).total_seconds())
            if reports[-1]["done"] or reports[-1]["unanswered"]:  # else it would be asked for without end
                return reports


def tell(reports: list[dict[str, Any]]) -> None:
    """Print the sums, and each thing that could not be handled."""
    names = ("checked", "drifted", "closed", "orphans", "resumed", "replayed")
    console.print(", ".join(f"{sum(report[name] for report in reports)} {name}" for name in names))
    for failed in (line for report in reports for line in report["failed"]):
        console.print(f"[red]not handled[/] {failed}")


def main(arguments: list[str] | None = None) -> int:
    """0 where everything was handled, 1 where something was not, 2 where nothing could be asked."""
    options = _parse(arguments)
    try:
        reconciler = Reconciler(stack=options.stack, aws=options.aws)
        ranged = options.first is not None
        reports = walk(reconciler, options.first, options.last) if ranged else [reconciler.ask({})]
    except (Failed, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    tell(reports)
    return 1 if any(report["failed"] for report in reports) else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make reconcile", description=__doc__)
    parser.add_argument("--from", dest="first", type=date.fromisoformat, help="first UTC day, as 2026-11-01")
    parser.add_argument("--to", dest="last", type=date.fromisoformat, help="last UTC day, inclusive")
    parser.add_argument("--aws", action="store_true", help="a deployed stack, not the one on this machine")
    parser.add_argument("--stack", default=STACK, help=f"its name, default {STACK}")
    options = parser.parse_args(arguments)
    if (options.first is None) != (options.last is None) or (options.first and options.first > options.last):
        parser.error("a range needs --from and --to, in this order")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
