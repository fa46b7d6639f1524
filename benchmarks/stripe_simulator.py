"""How fast the simulator serves on one core, and how much memory an object takes.

For each part it prints the requests per second of wall-clock time and of the simulator's CPU time (the rate of a quiet
machine), and the growth of its memory per intent.

    make bench BENCH=stripe_simulator ARGS="--intents 5000"
"""

import argparse
from pathlib import Path

from tests.stripe.simulator_load import run, table


def main() -> None:
    """Measure, print the figures, and write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--intents", type=int, default=5000)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".txt"), help="the file of the figures")
    options = parser.parse_args()
    figures = table(run(options.intents))
    print(figures)
    options.out.write_text(figures)


if __name__ == "__main__":
    main()
