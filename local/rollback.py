"""``make rollback``: let the aliases of a stack name again the versions that were live before a bad release.

It takes seconds, publishes nothing and touches no data. For each function with an alias it takes the newest version
that was published before ``--before``, on the local stack, or with ``--aws`` on a deployed stack with the shell's
credentials and region. It plans every function before it changes the first, and may be run again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.deployed_function import CommandFailed, add_stack_options, local_connection


class RollbackError(Exception):
    """Why nothing was rolled back, as a message to print."""


class Move(NamedTuple):
    """The move of one alias from its version to another. The revision is that of the alias as it was read."""

    function: str
    alias: str
    current: str
    target: str
    revision: str


def aliases(cloudformation: Any, stack: str) -> list[tuple[str, str]]:
    """Return the function and the name of each alias of a stack."""
    names = []
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
        for resource in page["StackResourceSummaries"]:
            if resource["ResourceType"] == "AWS::Lambda::Alias":
                function, alias = resource["PhysicalResourceId"].split(":")[-2:]
                names.append((function, alias))
    return names


def plan(functions: Any, names: Iterable[tuple[str, str]], before: datetime) -> list[Move]:
    """Return the moves that bring each alias to its newest version published before a time.

    Raises `RollbackError` if a function has no such version.
    """
    moves = []
    for function, name in names:
        versions = [
            int(version["Version"])
            for page in functions.get_paginator("list_versions_by_function").paginate(FunctionName=function)
            for version in page["Versions"]
            if version["Version"] != "$LATEST" and datetime.fromisoformat(version["LastModified"]) < before
        ]
        if not versions:
            raise RollbackError(f"{function} has no version that was published before {before.isoformat()}")
        alias = functions.get_alias(FunctionName=function, Name=name)
        is_shifting = bool((alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights"))
        target = str(max(versions))
        if alias["FunctionVersion"] != target or is_shifting:
            moves.append(Move(function, name, alias["FunctionVersion"], target, alias["RevisionId"]))
    return moves


def move(functions: Any, moves: Iterable[Move]) -> None:
    """Make the moves. An alias that someone else has changed since the plan stops them with Lambda's error."""
    for step in moves:
        functions.update_alias(
            FunctionName=step.function,
            Name=step.alias,
            FunctionVersion=step.target,
            RoutingConfig={"AdditionalVersionWeights": {}},
            RevisionId=step.revision,
        )
        print(f"{step.function}: version {step.current} -> {step.target}")


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if every alias names its version from before the time, 2 if that could not be done."""
    parser = argparse.ArgumentParser(prog="make rollback", description=__doc__)
    parser.add_argument(
        "--before",
        type=datetime.fromisoformat,
        required=True,
        help="a time before the release began, with its zone, for example 2026-11-28T14:00Z",
    )
    add_stack_options(parser)
    options = parser.parse_args(arguments)
    if options.before.tzinfo is None:
        parser.error("--before needs a time zone, for example 2026-11-28T14:00Z")
    try:
        connection = {} if options.aws else local_connection(options.api_port)
        functions = boto3.client("lambda", **connection)
        names = aliases(boto3.client("cloudformation", **connection), options.stack)
        moves = plan(functions, names, options.before)
        move(functions, moves)
    except (RollbackError, CommandFailed, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(moves)} of {len(names)} aliases moved")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
