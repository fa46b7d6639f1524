"""Thousands of events, shuffled and some duplicated, through the real webhook handler on DynamoDB Local.

tests/chaos/webhook_load.py says how. The exit code is 1 if an event was lost or duplicated.

    make bench BENCH=webhook_load ARGS="--payments 5000"
"""

import argparse
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local import dynamodb_local
from tests.chaos.webhook_load import THREADS, run
from tests.harness import client_for, create_tables

FIGURES = Path(__file__).with_suffix(".txt")


def report(figures: dict[str, Any], command: str) -> str:
    """Format the figures, with the command that produced them."""
    ms = figures["ms"]
    rate = figures["deliveries"] / figures["delivery_s"]
    duplicated = f"shuffled, one in ten twice; answered {figures['statuses']}"
    return "\n".join(
        [
            f"$ {command}",
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {platform.python_version()}, {os.cpu_count()} processors,"
            f" load {os.getloadavg()[0]:.1f} at the end, DynamoDB Local in memory, one process of {THREADS} threads",
            "",
            f"payments               {figures['payments']}  {figures['outcomes']}",
            f"events                 {figures['events']}",
            f"deliveries             {figures['deliveries']}  {duplicated}",
            f"deliveries per second  {rate:.0f}  in {figures['delivery_s']:.0f} s",
            f"ms per delivery        p50 {ms[49]}, p95 {ms[94]}, p99 {ms[98]}",
            f"creates per second     {figures['payments'] / figures['purchase_s']:.0f}  one after the other",
            f"audit records          {figures['records']}",
            f"events lost            {figures['lost']}",
            f"contradictions         {len(figures['wrong'])}",
            "",
        ]
    )


def main() -> int:
    """Measure, print the figures, and write them to a file. Return 1 if an event was lost or duplicated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payments", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("TUITION_SEED", "1")))
    options = parser.parse_args()

    def progress(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    with dynamodb_local.running() as url:
        client = client_for(url)
        create_tables(client)
        figures = run(client, options.payments, options.seed, progress)
    command = f'make bench BENCH=webhook_load ARGS="--payments {options.payments} --seed {options.seed}"'
    text = report(figures, command)
    print(text, end="")
    FIGURES.write_text(text)
    for contradiction in figures["wrong"][:20]:
        progress(contradiction)
    return 1 if figures["wrong"] or figures["lost"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
