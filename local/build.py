"""``sam build``, and then what it leaves undone: bytecode that Lambda can use, and only the models in use.

SAM zips every file with the date 1980, so bytecode that is checked by date never fits and Lambda, whose disk
is read-only, would compile everything again at each cold start. Hash-based bytecode that is not checked has
no date: https://docs.python.org/3/reference/import.html#cached-bytecode-invalidation and issue 924 of
aws-lambda-builders. Imports take about a third of the time with it, and cutting botocore's service models
halves the zip.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / ".aws-sam" / "build"
SOURCES = ("template.yaml", "samconfig.toml", "functions", "layers", "local/build.py")
SERVICES = frozenset({"dynamodb", "secretsmanager", "s3", "lambda"})
"""The AWS services that functions call: the others' models are not shipped. tests/template checks the code."""
UNLOADED = (
    "stripe/params",
    "stripe/events",
    "aws_lambda_powertools/event_handler",
    "aws_lambda_powertools/utilities/[!j]*",  # the logger needs jmespath_utils
)
BUILD_SECONDS = 300


def logical_id(module: str) -> str:
    """The name in the template, and the folder of the build, of the function in ``functions/<module>.py``."""
    return "".join(part.title() for part in module.split("_")) + "Function"


def fingerprint(root: Path = ROOT) -> str:
    """A hash over the names and contents of everything that a build is made from."""
    digest = hashlib.sha256()
    for source in SOURCES:
        path = root / source
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(root)).encode() + b"\0")
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def build(root: Path = ROOT, *, always: bool = False) -> bool:
    """Make ``.aws-sam/build`` when the sources differ from those it was made from; True if it was made."""
    mark = root / ".aws-sam" / "built-from"
    wanted = fingerprint(root)
    if not always and mark.exists() and mark.read_text() == wanted:
        return False
    mark.unlink(missing_ok=True)
    _sam_build(root)
    artifacts = root / ".aws-sam" / "build"
    for botocore_data in artifacts.glob("*/python/botocore/data"):
        keep_services(botocore_data)
    drop_unloaded(artifacts)
    drop_compiled_twins(artifacts)
    compile_bytecode(artifacts)
    mark.write_text(wanted)
    return True


def _sam_build(root: Path) -> None:
    """Run ``sam build`` with this environment's Python and pip first on the path; raise what it says."""
    tools = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', '')}",
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "samcli", "build"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"sam build failed:\n{(done.stdout + done.stderr).strip()[-3000:]}")


def keep_services(botocore_data: Path) -> None:
    """Remove from botocore's ``data`` the models of every service but :data:`SERVICES`."""
    for entry in botocore_data.iterdir():
        if entry.is_dir() and entry.name not in SERVICES:
            shutil.rmtree(entry)


def drop_unloaded(artifacts: Path) -> None:
    """Remove the parts of packages that are loaded only by who asks for them, as nothing here does.

    They are two thirds of the files of the layer, and every file is unpacked before a function starts.
    """
    for part in UNLOADED:
        for folder in artifacts.glob(f"*/python/{part}/"):
            shutil.rmtree(folder)


def drop_compiled_twins(artifacts: Path) -> None:
    """Remove extension modules that have a Python twin, so that one artifact fits arm64 and x86_64."""
    for extension in list(artifacts.rglob("*.so")):
        if extension.with_name(extension.name.partition(".")[0] + ".py").exists():
            extension.unlink()


def compile_bytecode(artifacts: Path) -> None:
    """Put hash-based, never checked bytecode beside every module, in place of any that is there."""
    for cache in list(artifacts.rglob("__pycache__")):
        shutil.rmtree(cache)
    done = subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "."],
        cwd=artifacts,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"compileall failed:\n{(done.stdout + done.stderr).strip()[-3000:]}")


def main() -> None:
    """``python -m local.build [--always] [--quiet]``"""
    parser = argparse.ArgumentParser(prog="make build", description=__doc__.splitlines()[0])
    parser.add_argument("--always", action="store_true", help="also when nothing changed")
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
    options = parser.parse_args()
    started = time.monotonic()
    made = build(always=options.always)
    if not options.quiet:
        what = f"built in {time.monotonic() - started:.1f} s" if made else "nothing changed"
        print(f"{what}: .aws-sam/build")


if __name__ == "__main__":
    main()
