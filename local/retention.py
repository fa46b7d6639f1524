"""``make retention``: show the payments that the yearly deletion has listed, and when it will delete them.

It deletes nothing: only the function's schedule does, 30 days after the list. A list that this year lacks is made. It
invokes the function on the local stack, or with ``--aws`` on a deployed stack with the shell's credentials and region.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.deployed_function import CommandFailed, DeployedFunction, add_stack_options, console

FUNCTION = "RetentionFunction"
MAX_RUNS = 100
"""Invocations of one command. Each continues the list where the one before it ended."""


def print_report(report: dict[str, Any]) -> None:
    """Print how far the year's list and deletion have come."""
    totals = ", ".join(f"{report[name]} {name}" for name in ("listed", "deleted", "changed", "held", "unfinished"))
    console.print(f"{report['year']}: {totals}")
    if report["done_at"]:
        console.print(f"The deletion ended at {report['done_at']}.")
    elif report["delete_from"]:
        console.print(f"The listed payments will be deleted from {report['delete_from']}.")
    else:
        console.print("[yellow]The list is not complete.[/] Run the command again.")


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if the list is complete, 1 if it is not, 2 if the function could not run."""
    parser = argparse.ArgumentParser(prog="make retention", description=__doc__)
    add_stack_options(parser)
    options = parser.parse_args(arguments)
    try:
        retention = DeployedFunction(
            stack=options.stack, aws=options.aws, function=FUNCTION, api_port=options.api_port, qualifier=None
        )
        report: dict[str, Any] = {}
        for _ in range(MAX_RUNS):
            before, report = report, retention.invoke({})
            if report["listed_at"] or report == before:
                break
        for number in range(report["parts"]):
            for payment_id, last in retention.invoke({"part": number})["payments"].items():
                console.print(f"{payment_id} money moved last {last}")
    except (CommandFailed, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print_report(report)
    return 0 if report["listed_at"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
