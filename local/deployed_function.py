"""A function of a deployed stack, local or on AWS, as the commands invoke it; and their common options."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import boto3
from botocore.config import Config
from rich.console import Console

from local.change_set import ALIAS
from local.deploy import STACK
from local.ministack import ACCESS_KEY, REGION, SECRET_KEY
from local.running import add_port_option, find_stack

INVOCATION_S = 920
WAIT_S = 960
"""How long to wait for another run: an invocation lives 15 minutes, and then its lease expires."""
WAIT_BETWEEN_S = 5
console = Console(highlight=False)


class CommandFailed(Exception):
    """Why a command could not run, as a message to print. The function's log has the details."""


class AnotherRun(CommandFailed):
    """Another run is in progress."""


def physical_id(stack: str, logical_id: str, connection: dict[str, Any]) -> str:
    """Return the name of a deployed resource, by the template's name for it. `connection` is boto3's options."""
    cloudformation: Any = boto3.client("cloudformation", **connection)
    resource = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
    return str(resource["StackResourceDetail"]["PhysicalResourceId"])


class DeployedFunction:
    """A deployed function."""

    def __init__(
        self,
        *,
        stack: str,
        aws: bool,
        function: str,
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

        Raises `CommandFailed` if it fails, or if the other run does not end within `WAIT_S`.
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
            raise CommandFailed(f"{report.get('errorType', 'error')}: {report.get('errorMessage', report)}")
        return report


def local_connection(api_port: int | None) -> dict[str, Any]:
    """Return boto3's options for the local stack. Raises `CommandFailed` if none responds."""
    ready = find_stack(api_port)
    if ready is None:
        where = f" at port {api_port}" if api_port else ""
        raise CommandFailed(f"no local stack responds{where}: start `make run` in another shell, or pass --aws")
    return {
        "endpoint_url": ready["aws"],
        "region_name": REGION,
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SECRET_KEY,
    }


def add_stack_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a stack."""
    parser.add_argument("--aws", action="store_true", help="use a deployed stack, not the local one")
    parser.add_argument("--stack", default=STACK, help=f"the stack's name, default {STACK}")
    add_port_option(parser)
