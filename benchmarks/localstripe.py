"""The simulator beside localstripe, another stateful Stripe for tests: speed, start and memory in one run.

localstripe is installed from PyPI into an environment of its own. Both programs run with the same Python and get the
same requests, in rounds by turns. The rate is the median of the rounds; an intent takes two requests. localstripe
writes its whole state to disk for each new object, which is switched off for 10,000 objects: they would take too long.

    make bench BENCH=localstripe
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.stripe.simulator_comparison import Figures, compare, simulator, table

ROOT = Path(__file__).parents[1]
PACKAGE = "localstripe==1.15.10"
INSTALL_TIMEOUT_S = 300.0
WITHOUT_DISK = (
    "from localstripe import resources, server; resources.Store.dump_to_disk = lambda self: None; server.start()"
)
"""localstripe without the copy of its whole state that it writes to disk for each new object."""


def install(folder: Path) -> Path:
    """Install localstripe into an environment of its own, and return its Python."""
    uv, python = ROOT / ".uv" / "bin" / "uv", folder / "bin" / "python"
    for words in (
        ["venv", "--python", sys.executable, str(folder)],
        ["pip", "install", "--python", str(python), PACKAGE],
    ):
        subprocess.run([str(uv), *words, "--quiet"], check=True, timeout=INSTALL_TIMEOUT_S)
    return python


def main() -> None:
    """Measure, print the figures, and write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".txt"), help="the file of the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        python = str(install(Path(folder) / "venv"))
        ours = Figures(simulator)
        words = ["--from-scratch", "--port"]
        other = Figures(
            lambda port: [python, "-m", "localstripe", *words, str(port)],
            lambda port: [python, "-c", WITHOUT_DISK, *words, str(port)],
        )
        compare([ours, other], options.rounds, options.requests, options.objects)
    figures = f"{PACKAGE}; {table(ours, other, options.objects)}"
    print(figures)
    options.out.write_text(figures)


if __name__ == "__main__":
    main()
