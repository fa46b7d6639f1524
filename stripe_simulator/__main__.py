"""`python -m stripe_simulator --port 12111 --webhook-url http://127.0.0.1:8000/api/payments/webhook`."""

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from stripe_simulator import addresses
from stripe_simulator.accounts import check_keys
from stripe_simulator.errors import StripeError
from stripe_simulator.server import start
from stripe_simulator.state_file import StateFileError

EXPOSED = (
    "stripe_simulator: it listens on {host}. Every program that reaches this port can read and change the test data, "
    "and /_sim needs no key. Let only machines that you trust reach it."
)
"""The warning for a host that is not loopback."""


def port(text: str) -> int:
    """Parse a TCP port. 0 means any free port."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: use a number from 0 to 65535")
    return int(text)


def seed(text: str) -> int:
    """Parse the seed of `--disorder`."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a seed: use a whole number")
    return int(text)


def public_url(text: str) -> str:
    """Parse the URL of `--public-url`."""
    try:
        return addresses.public_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main() -> int:
    """Run until SIGINT or SIGTERM, and return the exit status."""
    parser = argparse.ArgumentParser("stripe_simulator", description="A Stripe simulator for one machine.")
    parser.add_argument("--port", type=port, default=12111)
    parser.add_argument("--webhook-url", help="the URL that receives every event")
    parser.add_argument("--webhook-secret", help="whsec_… that signs the events (default: generated)")
    parser.add_argument("--secret-key", help="sk_test_… that the API accepts (default: generated)")
    parser.add_argument("--publishable-key", help="pk_test_… that the API accepts (default: that of --secret-key)")
    parser.add_argument("--seed", type=int, help="makes all ids deterministic")
    parser.add_argument("--data", type=Path, help="a file that keeps the state (default: memory only)")
    parser.add_argument("--public", metavar="HOST", help="a host name whose pages may use /_sim, besides this machine")
    parser.add_argument(
        "--disorder", type=seed, metavar="SEED", help="delivers events out of order, twice and late, as this seed draws"
    )
    parser.add_argument("--host", default=addresses.LOOPBACK, help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--public-url", type=public_url, help="begins the URLs of objects (default: the address)")
    options = parser.parse_args()
    try:
        check_keys(options.secret_key, options.publishable_key)
    except ValueError as error:
        parser.error(str(error))
    try:
        simulator = start(
            port=options.port,
            webhook_url=options.webhook_url,
            webhook_secret=options.webhook_secret,
            seed=options.seed,
            secret_key=options.secret_key,
            publishable_key=options.publishable_key,
            data=options.data,
            public_host=options.public,
            disorder=options.disorder,
            host=options.host,
            public_url=options.public_url,
        )
    except OSError as error:
        place = "" if options.host == addresses.LOOPBACK else f"{options.host} "
        subject = error.filename or f"{place}port {options.port}"
        print(f"stripe_simulator: {subject}: {error.strerror or error}", file=sys.stderr)
        return 1
    except StateFileError as error:
        print(f"stripe_simulator: {error}", file=sys.stderr)
        return 1
    except StripeError as error:
        parser.error(f"argument --webhook-url: {error}")
    if not addresses.is_loopback(options.host):
        print(EXPOSED.format(host=options.host), file=sys.stderr)
    ready = {
        "url": simulator.url,
        "secret_key": simulator.secret_key,
        "publishable_key": simulator.publishable_key,
        "webhook_secret": simulator.webhook_secret,
        "admin_key": simulator.admin_key,
    }
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    print("ready " + json.dumps(ready), flush=True)
    stop.wait()
    simulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
