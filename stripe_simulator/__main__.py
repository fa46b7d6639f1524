"""`python -m stripe_simulator --port 12111 --webhook-url http://127.0.0.1:8000/api/payments/webhook/`"""

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from stripe_simulator.errors import StripeError
from stripe_simulator.saved import NotOurs
from stripe_simulator.server import start


def port(text: str) -> int:
    """A port of TCP; 0 is any that is free."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port: it takes 0 to 65535")
    return int(text)


def main() -> int:
    """Run until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser("stripe_simulator", description="A Stripe for one laptop.")
    parser.add_argument("--port", type=port, default=12111)
    parser.add_argument("--webhook-url", help="where every event is posted")
    parser.add_argument("--webhook-secret", help="whsec_… that signs them; made up when left out")
    parser.add_argument("--secret-key", help="sk_test_… that is accepted; made up when left out")
    parser.add_argument("--publishable-key", help="pk_test_…; made up when left out")
    parser.add_argument("--seed", type=int, help="makes all ids deterministic")
    parser.add_argument("--data", type=Path, help="a file that keeps the state; memory only when left out")
    given = parser.parse_args()
    try:
        simulator = start(
            port=given.port,
            webhook_url=given.webhook_url,
            webhook_secret=given.webhook_secret,
            seed=given.seed,
            secret_key=given.secret_key,
            publishable_key=given.publishable_key,
            data=given.data,
        )
    except OSError as error:
        what = error.filename or f"port {given.port}"
        print(f"stripe_simulator: {what}: {error.strerror or error}", file=sys.stderr)
        return 1
    except NotOurs as error:
        print(f"stripe_simulator: {error}", file=sys.stderr)
        return 1
    except StripeError as error:
        parser.error(f"argument --webhook-url: {error}")
    ready = {
        "url": simulator.url,
        "secret_key": simulator.secret_key,
        "publishable_key": simulator.publishable_key,
        "webhook_secret": simulator.webhook_secret,
    }
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    print("ready " + json.dumps(ready), flush=True)
    ended.wait()
    simulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
