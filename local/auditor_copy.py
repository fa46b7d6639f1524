"""``make auditor-copy``: copy the archive, the digests, the public keys and the verifier into a folder.

It reads the buckets of the local stack, or with ``--aws`` those of a deployed stack with the shell's credentials and
region. The copy has what the newest digest covers: objects that were stored later are in the next copy. It prints the
command that verifies the copy.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.build import ROOT
from local.deploy import STACK
from local.reconcile import ReconcileError, console, local_connection
from local.running import add_port_option

THREADS = 16
VERIFIER = ROOT / "verifier"


class Source:
    """Both buckets of a stack."""

    def __init__(self, *, stack: str, aws: bool, api_port: int | None = None) -> None:
        connection = {} if aws else local_connection(api_port)
        cloudformation: Any = boto3.client("cloudformation", **connection)

        def bucket(name: str) -> str:
            resource = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=name)
            return str(resource["StackResourceDetail"]["PhysicalResourceId"])

        self.archive, self.digests = bucket("ArchiveBucket"), bucket("DigestBucket")
        config = Config(max_pool_connections=THREADS, connect_timeout=5, read_timeout=60)
        self._s3: Any = boto3.client("s3", config=config, **connection)

    def versions(self, bucket: str) -> Iterator[dict[str, Any]]:
        """Yield every version of every object of a bucket."""
        for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            yield from page.get("Versions", [])

    def copy(self, bucket: str, version: dict[str, Any], path: Path) -> None:
        """Copy a version of an object into a file."""
        response = self._s3.get_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(response["Body"].read())


def copy(source: Source, folder: Path) -> str | None:
    """Write the copy. Return the first moment that it does not cover, such as `2026-11-28T13`; None without digests."""
    with ThreadPoolExecutor(THREADS) as pool:
        files = [version for version in source.versions(source.digests) if version["IsLatest"]]
        _wait(pool.map(lambda v: source.copy(source.digests, v, folder / "digests" / v["Key"]), files))
        hours = sorted(v["Key"] for v in files if v["Key"].startswith("hours/") and v["Key"].endswith(".json.sig"))
        if not hours:
            return None
        newest = datetime.strptime(hours[-1], "hours/dt=%Y-%m-%d/%H.json.sig").replace(tzinfo=UTC)
        end = newest + timedelta(hours=1)
        covered = [version for version in source.versions(source.archive) if version["LastModified"] < end]
        _wait(pool.map(lambda v: source.copy(source.archive, v, folder / "archive" / _path(v)), covered))
    (folder / "keys").mkdir(exist_ok=True)
    for key in (folder / "digests" / "keys").glob("*.pem"):
        shutil.copy(key, folder / "keys")
    for name in ("tuition_verify.py", "README.md"):
        shutil.copy(VERIFIER / name, folder)
    return end.strftime("%Y-%m-%dT%H")


def _path(version: dict[str, Any]) -> str:
    """Return where the verifier looks for a version."""
    return str(version["Key"] if version["IsLatest"] else f"older/{version['VersionId']}/{version['Key']}")


def _wait(results: Iterator[None]) -> None:
    """Wait for all copies. Raises the first failure."""
    for _ in results:
        pass


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if the folder has a copy, 1 if there is no digest yet, 2 if the buckets could not be read."""
    parser = argparse.ArgumentParser(prog="make auditor-copy", description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder to write, which must be empty or absent")
    parser.add_argument("--aws", action="store_true", help="use a deployed stack, not the local one")
    parser.add_argument("--stack", default=STACK, help=f"the stack's name, default {STACK}")
    add_port_option(parser)
    options = parser.parse_args(arguments)
    if options.folder.exists() and any(options.folder.iterdir()):
        parser.error(f"{options.folder} is not empty")
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        until = copy(Source(stack=options.stack, aws=options.aws, api_port=options.api_port), options.folder)
    except (ReconcileError, ClientError, BotoCoreError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if until is None:
        print("error: there is no digest yet. The first one is made after the first full hour.", file=sys.stderr)
        return 1
    keys = " ".join(f"--key keys/{path.name}" for path in sorted((options.folder / "keys").iterdir()))
    command = f"python tuition_verify.py --archive archive --digests digests {keys} --until {until}"
    console.print(f"In {options.folder}:", command, sep="\n", soft_wrap=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
