"""Start the local stack, print one line ``ready {json}``, and stop the stack on Ctrl-C or SIGTERM.

:mod:`local.stack` lists its parts.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from local.running import running_file
from local.stack import PortTaken, Settings, Stack

PORTS = {"api": 8000, "stripe": 12111, "aws": 8001}


def main(arguments: list[str] | None = None) -> int:
    """Run until a signal stops it. Return 0 after a clean stop, 1 if a part could not start or has ended."""
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
        print_status,
    )
    try:
        ready = stack.start(stop)
        if ready is not None:
            with running_file(ready):
                print(f"ready {json.dumps(ready)}", flush=True)
                return _watch(stack, stop)
        return 0
    except (PortTaken, RuntimeError) as error:
        print_status(f"error: {error}")
        return 1
    finally:
        stack.stop()


def _watch(stack: Stack, stop: threading.Event) -> int:
    """Wait until a signal arrives (return 0) or a part of the stack ends (return 1)."""
    while not stop.wait(0.5):
        if part := stack.ended_part():
            print_status(f"error: {part} has ended unexpectedly")
            return 1
    print_status("stopping")
    return 0


def print_status(text: str) -> None:
    """Print a message to standard error: standard output has the ready line only."""
    print(text, file=sys.stderr, flush=True)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make run", description="Run all of Tuition on this machine.")
    for name, port in PORTS.items():
        parser.add_argument(f"--{name}-port", type=_port, default=port, help=f"default {port}; 0 picks a free port")
    parser.add_argument("--data", type=Path, help="keep the state in this folder; without it, the state is discarded")
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    if not 0 <= int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is not a port: use 0 to 65535")
    return int(text)


if __name__ == "__main__":
    raise SystemExit(main())
