"""Which events `stripe trigger` of the official CLI creates on the simulator, and how the others are refused.

make bench BENCH=stripe_triggers
"""

import argparse
import tempfile
from pathlib import Path

from stripe_simulator.server import start
from tests.stripe import cli_triggers, stripe_cli


def main() -> None:
    """Trigger every event, and write the table. It takes a minute or two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=cli_triggers.TABLE, help="the file of the table")
    options = parser.parse_args()
    simulator = start(seed=1)
    try:
        with tempfile.TemporaryDirectory() as home:
            events = cli_triggers.all_events(Path(home))
            rows = [cli_triggers.trigger(simulator, event, Path(home)) for event in events]
    finally:
        simulator.stop()
    options.out.write_text(cli_triggers.write_table(rows, stripe_cli.PACKAGE.rpartition("@")[2]))
    for row in rows:
        print(row.event, row.result, row.needs)


if __name__ == "__main__":
    main()
