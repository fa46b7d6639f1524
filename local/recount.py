"""``make recount``: recount all figures of analytics from the payments, and correct those that differ.

It invokes the same function as the nightly schedule, which recounts only the days that changed and corrects nothing:
on the local stack, or with ``--aws`` on a deployed stack with the shell's credentials and region.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.deployed_function import CommandFailed, DeployedFunction, add_stack_options, console

FUNCTION = "RecountFunction"


def print_report(report: dict[str, Any]) -> None:
    """Print how much was recounted, then each difference."""
    console.print(f"{report['payments']} payments, {report['days']} days: {report['repaired']} corrected")
    for payment_id in report["missing"]:
        console.print(f"[red]not counted[/] {payment_id}")
    for one in report["differences"]:
        numbers = f"{one['rolled_up']} instead of {one['recounted']}"
        console.print(f"[red]different[/] {one['roll_up']} {one['figure']}: {numbers}")
    if not report["done"]:
        console.print("[red]The recount is not complete.[/] Run it again.")


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if the figures are equal, 1 if some differed or the recount is not complete, 2 if it could not run."""
    parser = argparse.ArgumentParser(prog="make recount", description=__doc__)
    add_stack_options(parser)
    options = parser.parse_args(arguments)
    try:
        recount = DeployedFunction(
            stack=options.stack, aws=options.aws, function=FUNCTION, api_port=options.api_port, qualifier=None
        )
        report = recount.invoke({"full": True})
    except (CommandFailed, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print_report(report)
    return 0 if report["equal"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
