"""``make extend-locks``: extend or release the archive's locks that end with this year, now and not in October.

It invokes the same function as the hourly schedule until the sweep has ended: on the local stack, or with ``--aws`` on
a deployed stack with the shell's credentials and region. An unfinished sweep is finished first.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.deployed_function import CommandFailed, DeployedFunction, add_stack_options, console

FUNCTION = "ArchiveLocksFunction"
MAX_RUNS = 1_000
"""Invocations of one command. Each continues where the one before it ended, for five minutes."""
ENDS = ("extended", "released", "kept", "later", "missing", "failed")


def print_report(report: dict[str, Any]) -> None:
    """Print what became of the objects, and whether all were looked at."""
    console.print(f"{report['year']}: {', '.join(f'{report[name]} {name}' for name in ENDS)}")
    if not report["done"]:
        console.print("[yellow]The sweep is not finished.[/] Run the command again.")


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if every object was looked at, 1 if one failed or the sweep is unfinished, 2 if it could not run."""
    parser = argparse.ArgumentParser(prog="make extend-locks", description=__doc__)
    add_stack_options(parser)
    options = parser.parse_args(arguments)
    try:
        function = DeployedFunction(
            stack=options.stack, aws=options.aws, function=FUNCTION, api_port=options.api_port, qualifier=None
        )
        report = function.invoke({"again": True})
        for _ in range(MAX_RUNS):
            if report["done"]:
                break
            report = function.invoke({})
    except (CommandFailed, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print_report(report)
    return 0 if report["done"] and not report["failed"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
