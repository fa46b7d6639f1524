"""``make digest``: sign the digests of all full hours that have none, now and not at ten past the hour.

It invokes the same function as the hourly schedule: on the local stack, or with ``--aws`` on a deployed stack with the
shell's credentials and region. The hour in progress gets no digest before its end, because a digest can never be
replaced.
"""

from __future__ import annotations

import argparse
import sys

from botocore.exceptions import BotoCoreError, ClientError

from local.deployed_function import CommandFailed, DeployedFunction, add_stack_options, console
from local.reconcile import MAX_RUNS

FUNCTION = "DigestFunction"


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if every full hour has its digest, 1 if not, 2 if the function could not run."""
    parser = argparse.ArgumentParser(prog="make digest", description=__doc__)
    add_stack_options(parser)
    options = parser.parse_args(arguments)
    try:
        function = DeployedFunction(
            stack=options.stack, aws=options.aws, function=FUNCTION, api_port=options.api_port, qualifier=None
        )
        for _ in range(MAX_RUNS):
            report = function.invoke({})
            for hour in report["hours"]:
                console.print(f"signed {hour}")
            if report["done"] or not (report["hours"] or report.get("parts")):  # an hour may need several runs
                break
    except (CommandFailed, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    through = report["through"]
    if through:
        console.print(f"the newest digest is that of {through['hour']}: {through['sha256']}")
    return 0 if report["done"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
