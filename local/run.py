"""Start the whole stack, say ``ready {json}`` in one line, and end all of it on Ctrl-C or SIGTERM.

See :mod:`local.stack` for what is started.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from local.stack import ROOT, PortTaken, Settings, Stack

RUNNING = ROOT / ".cache" / "running.json"
"""The ready line of the stack that runs, for `make demo`: its keys open nothing but that stack."""
PORTS = {"api": 8000, "stripe": 12111, "aws": 8001}


def main(arguments: list[str] | None = None) -> int:
    """Run until told to stop. 0 after a clean end, 1 when something could not start or died."""
    options = _parse(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    stack = Stack(
        Settings(
            api_port=options.api_port,
            stripe_port=options.stripe_port,
            aws_port=options.aws_port,
            data=options.data,
        ),
        say,
    )
    try:
        ready = stack.start(stop)
        if ready is not None:
            with left(ready):
                print(f"ready {json.dumps(ready)}", flush=True)
                return _watch(stack, stop)
        return 0
    except (PortTaken, RuntimeError) as error:
        say(f"error: {error}")
        return 1
    finally:
        stack.stop()


@contextlib.contextmanager
def left(ready: dict[str, Any]) -> Iterator[None]:
    """Leave the ready line for `make demo` and `make reconcile` as long as the stack runs."""
    RUNNING.parent.mkdir(exist_ok=True)
    RUNNING.touch(mode=0o600)
    RUNNING.write_text(json.dumps(ready))
    try:
        yield
    finally:
        RUNNING.unlink(missing_ok=True)


def _watch(stack: Stack, stop: threading.Event) -> int:
    """Wait for the end: 0 when it was asked for, 1 when a part died."""
    while not stop.wait(0.5):
        if dead := stack.dead():
            say(f"error: {dead} ended by itself")
            return 1
    say("stopping")
    return 0


def say(text: str) -> None:
    """What people read goes to the error stream; standard output has the one ready line."""
    print(text, file=sys.stderr, flush=True)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make run", description="The whole of Tuition on this machine.")
    for name, port in PORTS.items():
        parser.add_argument(f"--{name}-port", type=_port, default=port, help=f"default {port}; 0 takes any free one")
    parser.add_argument("--data", type=Path, help="keep the state in this folder; without it, it is gone at the end")
    return parser.parse_args(arguments)


def _port(written: str) -> int:
    if not 0 <= int(written) < 65536:
        raise argparse.ArgumentTypeError(f"{written} is not a port: 0 to 65535")
    return int(written)


if __name__ == "__main__":
    raise SystemExit(main())
