"""``make auditor-copy``: copy the archive, the digests, the public keys and the verifier into a folder.

It reads the buckets of the local stack, or with ``--aws`` those of a deployed stack with the shell's credentials and
region. The copy has what the newest signed digest covers: objects that were stored later are in the next copy. It
prints the command that verifies the copy.
"""

from __future__ import annotations

import argparse
import itertools
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.build import ROOT
from local.deployed_function import CommandFailed, add_stack_options, console, local_connection, physical_id

THREADS = 16
BATCH = 1_000
"""Versions whose copies are begun together."""
MAX_PATH = 1_024
"""In characters. S3's keys have at most as many bytes."""
SIGNATURE = re.compile(r"hours/(dt=\d{4}-\d{2}-\d{2}/\d{2})\.json\.sig", re.ASCII)
VERIFIER = ROOT / "verifier"


class Source:
    """Both buckets of a stack."""

    def __init__(self, *, stack: str, aws: bool, api_port: int | None = None) -> None:
        connection = {} if aws else local_connection(api_port)
        self.archive = physical_id(stack, "ArchiveBucket", connection)
        self.digests = physical_id(stack, "DigestBucket", connection)
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


@dataclass(frozen=True)
class Copy:
    """A copy up to the moment `until`, such as `2026-11-28T13`, without the keys that are no path in the folder."""

    until: str
    refused: list[str]


def copy(source: Source, folder: Path) -> Copy | None:
    """Write the copy, and return what it covers; None if there is no digest yet."""
    with ThreadPoolExecutor(THREADS) as pool:
        files = [version for version in source.versions(source.digests) if version["IsLatest"]]
        signed = max((match[1] for version in files if (match := SIGNATURE.fullmatch(version["Key"]))), default=None)
        if signed is None:
            return None
        end = datetime.strptime(signed, "dt=%Y-%m-%d/%H").replace(tzinfo=UTC) + timedelta(hours=1)
        shown = ((version["Key"], version) for version in files if not _is_after(version["Key"], signed))
        refused = _copy_all(pool, source, source.digests, shown, folder / "digests")
        covered = (
            (_path(version), version) for version in source.versions(source.archive) if version["LastModified"] < end
        )
        refused += _copy_all(pool, source, source.archive, covered, folder / "archive")
    (folder / "keys").mkdir(exist_ok=True)
    for key in (folder / "digests" / "keys").glob("*.pem"):
        shutil.copy(key, folder / "keys")
    for name in ("tuition_verify.py", "README.md"):
        shutil.copy(VERIFIER / name, folder)
    return Copy(end.strftime("%Y-%m-%dT%H"), refused)


def _is_after(object_key: str, signed: str) -> bool:
    """Whether a file belongs to a later hour than the newest signed one: its digest is being made now."""
    kind, _, hour = object_key.partition("/")
    return kind in ("hours", "heads") and hour[: len(signed)] > signed


def _path(version: dict[str, Any]) -> str:
    """Return where the verifier looks for a version."""
    return str(version["Key"] if version["IsLatest"] else f"older/{version['VersionId']}/{version['Key']}")


def _copy_all(
    pool: ThreadPoolExecutor,
    source: Source,
    bucket: str,
    versions: Iterable[tuple[str, dict[str, Any]]],
    folder: Path,
) -> list[str]:
    """Copy versions to their paths in a folder, with progress. Return the keys that are no path in it.

    Raises the first failure.
    """
    refused: list[str] = []
    copied = 0
    for batch in itertools.batched(versions, BATCH, strict=False):
        paths = [(version, folder / path) for path, version in batch if _is_inside(folder, path)]
        refused += [version["Key"] for path, version in batch if not _is_inside(folder, path)]
        for _ in pool.map(lambda one: source.copy(bucket, *one), paths):
            copied += 1
        console.print(f"{copied} files of {folder.name}")
    return refused


def _is_inside(folder: Path, path: str) -> bool:
    """Whether a path is one of a file in the folder. A role that writes to a bucket may choose any key."""
    parts = path.split("/")
    return not {"", ".", ".."} & {*parts} and "\\" not in path and "\0" not in path and len(path) <= MAX_PATH


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if the folder has a copy, 1 if there is no digest or a key is no path, 2 if a bucket was not read."""
    parser = argparse.ArgumentParser(prog="make auditor-copy", description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder to write, which must be empty or absent")
    add_stack_options(parser)
    options = parser.parse_args(arguments)
    if options.folder.exists() and any(options.folder.iterdir()):
        parser.error(f"{options.folder} is not empty")
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        result = copy(Source(stack=options.stack, aws=options.aws, api_port=options.api_port), options.folder)
    except (CommandFailed, ClientError, BotoCoreError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if result is None:
        print("error: there is no digest yet. The first one is made after the first full hour.", file=sys.stderr)
        return 1
    keys = " ".join(f"--key keys/{path.name}" for path in sorted((options.folder / "keys").iterdir()))
    command = f"python tuition_verify.py --archive archive --digests digests {keys} --until {result.until}"
    console.print(f"In {options.folder}:", command, sep="\n", soft_wrap=True)
    for key in result.refused:
        print(f"not copied, because its key is no path in the folder: {key!r}", file=sys.stderr)
    return 1 if result.refused else 0


if __name__ == "__main__":
    raise SystemExit(main())
