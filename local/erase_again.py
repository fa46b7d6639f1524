"""``make erase-again``: do every erasure on the list again, after a restore has brought its data back.

It invokes the function that performs erasures every five minutes: on the local stack, or with ``--aws`` on a deployed
stack with the shell's credentials and region. It erases only what was created before the first erasure.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.deployed_function import CommandFailed, DeployedFunction, add_stack_options, console

FUNCTION = "EraseFunction"
MAX_INVOCATIONS = 1000
"""Each puts thousands of erasures on the list again."""


def erase(eraser: DeployedFunction) -> dict[str, Any]:
    """Put every erasure on the list again, in as many invocations as that takes, and return the last report."""
    report = eraser.invoke({"again": True})
    for _ in range(MAX_INVOCATIONS):
        if "next" not in report:
            return report
        console.print("The list is long. Continuing.")
        report = eraser.invoke({"again": True, "after": report["next"]})
    raise CommandFailed("The list of erasures does not end. Look at the log of EraseFunction.")


def is_complete(report: dict[str, Any]) -> bool:
    """Print what was erased, and return whether nothing is left to do."""
    console.print(f"{report['erased']} erased, {report['failed']} failed")
    console.print(f"{report['waiting']} requests wait for their time or for money, {report['held']} for a legal hold")
    if report["failed"] or not report["done"]:
        console.print("[red]Not every erasure is done.[/] The next run within five minutes continues. Look again then.")
        return False
    return True


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if every erasure on the list is done again, 1 if one is not yet, 2 if it could not run."""
    parser = argparse.ArgumentParser(prog="make erase-again", description=__doc__)
    add_stack_options(parser)
    options = parser.parse_args(arguments)
    try:
        eraser = DeployedFunction(stack=options.stack, aws=options.aws, function=FUNCTION, api_port=options.api_port)
        report = erase(eraser)
    except (CommandFailed, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0 if is_complete(report) else 1


if __name__ == "__main__":
    raise SystemExit(main())
