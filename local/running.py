"""The stacks that `make run` has started in this folder, for `make demo` and `make reconcile`.

Each has a file of its own with its ready line, so that a stack that stops never removes another's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "running"
"""One file per stack, named by the port of its API. The keys in it are valid on that stack only."""
RESPONSE_S = 10


@contextlib.contextmanager
def running_file(ready: dict[str, Any]) -> Iterator[None]:
    """Keep the ready line in a file while the stack is running."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / f"{urlsplit(ready['api']).port}.json"
    file.unlink(missing_ok=True)  # of a stack that was killed, so that this one counts as the newest
    file.touch(mode=0o600)
    file.write_text(json.dumps(ready))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def find_stack(api_port: int | None) -> dict[str, Any] | None:
    """Return the ready line of the stack at this port, else of the newest; None if none of them responds."""
    files = sorted(FOLDER.glob("*.json"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for file in files:
        if api_port is None or file.stem == str(api_port):
            ready: dict[str, Any] = json.loads(file.read_text())
            if _responds(ready["api"]):
                return ready
    return None


def add_port_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that names one of several running stacks."""
    parser.add_argument("--api-port", type=int, help="use the stack with this API port; the default is the newest")


def _responds(api: str) -> bool:
    try:
        return httpx.get(f"{api}/api/payments/tracks", timeout=RESPONSE_S).status_code == 200
    except httpx.HTTPError:
        return False
