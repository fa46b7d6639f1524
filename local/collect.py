"""``make collect``: collect the payment plans that are due, now and not within the next quarter of an hour.

It invokes the same function as the schedule: on the local stack, or with ``--aws`` on a deployed stack with the shell's
credentials and region. "Now" is Stripe's time: on the local stack, that of the simulator's clock.
"""

from __future__ import annotations

import argparse
import sys

from botocore.exceptions import BotoCoreError, ClientError

from local.deployed_function import CommandFailed, DeployedFunction, add_stack_options, console
from local.reconcile import MAX_RUNS

FUNCTION = "CollectFunction"


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if every plan that was due was collected, 1 if one was not, 2 if the function could not run."""
    parser = argparse.ArgumentParser(prog="make collect", description=__doc__)
    add_stack_options(parser)
    parser.add_argument(
        "--recompute",
        action="store_true",
        help="charge nothing, and correct every plan that differs from its payments, after a restore",
    )
    options = parser.parse_args(arguments)
    failed: list[str] = []
    try:
        function = DeployedFunction(stack=options.stack, aws=options.aws, function=FUNCTION, api_port=options.api_port)
        if options.recompute:
            return _recompute(function)
        for _ in range(MAX_RUNS):
            report = function.invoke({})
            console.print(f"{report['checked']} plans were due, {report['backlog']} are left")
            failed += report["failed"]
            if report["done"] or not report["checked"]:
                break
    except (CommandFailed, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for line in failed:
        console.print(f"[red]not collected[/] {line}")
    return 0 if report["done"] and not failed else 1


def _recompute(function: DeployedFunction) -> int:
    """Compare every plan with its payments, in as many invocations as it needs."""
    after, compared, failed = None, 0, list[str]()
    while True:
        report = function.invoke({"recompute": True, "after": after})
        compared += report["checked"]
        failed += report["failed"]
        for plan_id in report["changed"]:
            console.print(f"corrected {plan_id}")
        if report["done"] or report["after"] == after:
            break
        after = report["after"]
    console.print(f"{compared} plans were compared with their payments")
    for line in failed:
        console.print(f"[red]not compared[/] {line}")
    return 0 if report["done"] and not failed else 1


if __name__ == "__main__":
    raise SystemExit(main())
