"""Prove on real AWS what MiniStack cannot show: ``make live-aws``.

It sets a temporary environment up in a sandbox account, buys and refunds in Stripe's test mode, checks the policies,
prints the consumed capacity of each table, and removes everything, also after a failure. It takes its credentials from
AWS's usual variables, and ``AWS_REGION``, ``STRIPE_SECRET_KEY`` (``sk_test_…``), ``STRIPE_PUBLISHABLE_KEY`` and
``ALERT_EMAIL``. ``AWS_ENDPOINT_URL`` and ``STRIPE_API_BASE`` point it at MiniStack and the simulator.
"""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from installer.__main__ import main as install
from installer.world import DENIED, World, error_code
from local import change_set

VARIABLES = ("AWS_REGION", "STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY", "ALERT_EMAIL")
METRICS = ("ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits")
EXPLICIT = "explicit deny"
"""In AWS's message of a refusal by a policy.
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"""
MINUTES = 60
"""How far back the consumed capacity is summed: the stack is younger."""


def main(variables: Mapping[str, str] = os.environ) -> int:
    """Return 0 if everything holds and everything was removed."""
    if missing := [name for name in VARIABLES if not variables.get(name)]:
        print(f"make live-aws needs {', '.join(missing)}. Nothing was done.")
        return 1
    if not variables["STRIPE_SECRET_KEY"].startswith("sk_test_"):
        print("STRIPE_SECRET_KEY must be a test-mode key (sk_test_…). Nothing was done.")
        return 1
    environment = f"live-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder:
        arguments = _arguments(variables, environment, Path(folder))
        secrets = {"secret_key": variables["STRIPE_SECRET_KEY"]}
        try:
            failed = install(arguments, secrets=secrets) or install([*arguments, "--check"], secrets=secrets)
            problems = [] if failed else _look(variables, f"tuition-{environment}")
        finally:
            left = install([*arguments, "--remove", "--take-over"], secrets=secrets)
    for problem in problems:
        print(f"! {problem}")
    return 1 if failed or problems or left else 0


def _arguments(variables: Mapping[str, str], environment: str, folder: Path) -> list[str]:
    answers = {
        "region": variables["AWS_REGION"],
        "keep": "no",
        "alert_email": variables["ALERT_EMAIL"],
        "publishable_key": variables["STRIPE_PUBLISHABLE_KEY"],
    }
    arguments = ["--environment", environment, "--defaults", "--yes", "--state", str(folder)]
    for name, value in answers.items():
        arguments += ["--set", f"{name}={value}"]
    for option, variable in (("--aws-endpoint-url", "AWS_ENDPOINT_URL"), ("--stripe-api-base", "STRIPE_API_BASE")):
        if address := variables.get(variable):
            arguments += [option, address]
    return arguments


def _look(variables: Mapping[str, str], stack: str) -> list[str]:
    """Check the policies of the audit table, and print what the run has consumed."""
    world = World(variables["AWS_REGION"], variables.get("AWS_ENDPOINT_URL"))
    deployed = change_set.describe(world.client("cloudformation"), stack)
    for table in sorted(deployed.tables()):
        print(f"{table}: " + ", ".join(f"{_sum(world, deployed.tables()[table], name):.1f} {name}" for name in METRICS))
    if world.aws_endpoint_url:
        print("MiniStack does not enforce the policies of tables, so they are checked on AWS only.")
        return []
    return _policy_problems(world, deployed.resources["AuditTable"])


def _sum(world: World, table: str, metric: str) -> Any:
    """Return the sum of a metric of a table with its indexes. CloudWatch shows it some minutes later."""
    now = datetime.now(UTC)
    points = world.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/DynamoDB",
        MetricName=metric,
        Dimensions=[{"Name": "TableName", "Value": table}],
        StartTime=now - timedelta(minutes=MINUTES),
        EndTime=now,
        Period=60 * MINUTES,
        Statistics=["Sum"],
    )["Datapoints"]
    return sum(point["Sum"] for point in points)


def _policy_problems(world: World, table: str) -> list[str]:
    """Try what the audit table's policy denies to every principal.

    A refusal for a missing right would prove nothing, so AWS must name the explicit denial.
    """
    dynamodb = world.client("dynamodb")
    key = {"subject": {"S": "live-aws"}, "sort_key": {"S": "live-aws"}}
    attempts = {"put_item": {"Item": key}, "update_item": {"Key": key}, "delete_item": {"Key": key}}
    problems = []
    for operation, params in attempts.items():
        try:
            getattr(dynamodb, operation)(TableName=table, **params)
        except ClientError as error:
            if error_code(error) not in DENIED or EXPLICIT not in str(error):
                problems.append(f"{operation} on the audit table: {error}")
        else:
            problems.append(f"{operation} on the audit table is allowed: {json.dumps(params)}")
    return problems


if __name__ == "__main__":
    raise SystemExit(main())
