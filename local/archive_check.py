"""``make check-archive``: compare the archive with the audit table for a day, yesterday unless ``--day`` names one.

It invokes the same function as the daily schedule: on the local stack, or with ``--aws`` on a deployed stack with the
shell's credentials and region. With ``--repair`` it archives the records that the archive does not have.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.deployed_function import CommandFailed, DeployedFunction, add_stack_options, console

FUNCTION = "ArchiveCheckFunction"


def print_report(report: dict[str, Any]) -> None:
    """Print how much was compared, then each missing record and each gap."""
    console.print(f"{report['day']}: {report['records']} records, {report['repaired']} archived now")
    for record in report["missing"]:
        console.print(f"[red]not archived[/] {record}", highlight=False)
    for subject in report["gaps"]:
        console.print(f"[red]neither archived nor in the table[/] a record of {subject}", highlight=False)
    if not report["done"]:
        console.print("[red]The comparison is not complete.[/] Run it again.")


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if the archive is complete, also after a repair, 1 if it is not, 2 if it could not be compared."""
    parser = argparse.ArgumentParser(prog="make check-archive", description=__doc__)
    parser.add_argument("--day", help="the day (UTC), default yesterday")
    parser.add_argument("--repair", action="store_true", help="archive what is missing")
    add_stack_options(parser)
    options = parser.parse_args(arguments)
    event = {**({"day": options.day} if options.day else {}), **({"repair": True} if options.repair else {})}
    try:
        function = DeployedFunction(
            stack=options.stack, aws=options.aws, function=FUNCTION, api_port=options.api_port, qualifier=None
        )
        report = function.invoke(event)
    except (CommandFailed, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print_report(report)
    left = report["missing_records"] - report["repaired"] + report["subjects_with_gaps"]
    return 0 if report["done"] and not left else 1


if __name__ == "__main__":
    raise SystemExit(main())
