"""The read capacity of each view of the console does not grow from 1,000 to 100,000 payments.

tests/tables/read_capacity.py says how it is measured. The exit code is 1 if a view is not flat.

    make bench BENCH=console_capacity ARGS="--sizes 1000 100000"
"""

import argparse
import sys
import time
from pathlib import Path

from local import dynamodb_local
from tests.tables.read_capacity import Figure, flat, measure


def report(figures: dict[int, dict[str, Figure]], seconds: float) -> str:
    """Format the figures as a table."""
    small, large = min(figures), max(figures)
    lines = [
        __doc__.split("\n")[0],
        "",
        f"Read units / calls / rows, a page of 20 unless stated; {seconds:.0f} s.",
        "",
    ]
    lines.append(f"{'view':58} {f'{small:,}':>14} {f'{large:,}':>16}")
    for name, small_figure in figures[small].items():
        if name not in figures[large]:
            continue
        large_figure = figures[large][name]
        verdict = "" if flat(small_figure, large_figure) else "  NOT FLAT"
        if verdict and name.endswith("not cached"):
            verdict = "  counted once"
        lines.append(f"{name:58} {columns(small_figure)} {columns(large_figure)}{verdict}")
    return "\n".join(lines) + "\n"


def columns(figure: Figure) -> str:
    """Format one figure."""
    units, calls, rows = figure
    return f"{units:9.1f} /{calls:3} /{rows:4}"


def main() -> int:
    """Measure, print the figures, and write them to a file. Return 1 if a view is not flat."""
    parser = argparse.ArgumentParser(prog="benchmarks.console_capacity", description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs=2, default=[1_000, 100_000])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".txt"), help="the file of the figures")
    options = parser.parse_args()
    started = time.monotonic()
    with dynamodb_local.running() as url:
        text = report(measure(url, options.sizes), time.monotonic() - started)
    options.out.write_text(text, encoding="utf-8")
    print(text)
    return 1 if "NOT FLAT" in text else 0


if __name__ == "__main__":
    sys.exit(main())
