"""Run ``sam build``, then add bytecode that Lambda can use and remove the package parts that no function loads.

SAM zips every file with the date 1980, so bytecode that Python checks by date never matches. Lambda's disk is
read-only, so each cold start would compile every module again. Unchecked hash-based bytecode has no date:
https://docs.python.org/3/reference/import.html#cached-bytecode-invalidation and issue 924 of aws-lambda-builders.
It cuts import time to about a third. Removing botocore's unused service models halves the zip.
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
SERVICES = frozenset({"dynamodb", "secretsmanager", "s3", "lambda", "cognito-idp"})
"""The AWS services that functions call. No other service model is shipped; tests/template checks this."""
NEVER_LOADED = (
    "stripe/params",
    "stripe/events",
    "aws_lambda_powertools/event_handler",
    "aws_lambda_powertools/utilities/[!j]*",  # the logger needs jmespath_utils
)
"""Package folders that load only on request, and that no function requests."""
BUILD_SECONDS = 300


def logical_id(module: str) -> str:
    """Return the logical id of ``functions/<module>.py``, which is also the name of its build folder."""
    return "".join(part.title() for part in module.split("_")) + "Function"


def fingerprint(root: Path = ROOT) -> str:
    """Return a hash over the name and content of every file that goes into a build."""
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
    """Build into ``.aws-sam/build`` if the sources have changed since the last build. Return whether it built."""
    stamp = root / ".aws-sam" / "built-from"
    current = fingerprint(root)
    if not always and stamp.exists() and stamp.read_text() == current:
        return False
    stamp.unlink(missing_ok=True)
    _sam_build(root)
    artifacts = root / ".aws-sam" / "build"
    for botocore_data in artifacts.glob("*/python/botocore/data"):
        keep_services(botocore_data)
    drop_never_loaded(artifacts)
    drop_compiled_twins(artifacts)
    compile_bytecode(artifacts)
    stamp.write_text(current)
    return True


def _sam_build(root: Path) -> None:
    """Run ``sam build`` with this environment's Python and pip first on the path. Raise its output if it fails."""
    tools = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', '')}",
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    result = subprocess.run(
        [sys.executable, "-m", "samcli", "build"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(f"sam build failed:\n{(result.stdout + result.stderr).strip()[-3000:]}")


def keep_services(botocore_data: Path) -> None:
    """Remove every service model from botocore's ``data`` folder except :data:`SERVICES`."""
    for model in botocore_data.iterdir():
        if model.is_dir() and model.name not in SERVICES:
            shutil.rmtree(model)


def drop_never_loaded(artifacts: Path) -> None:
    """Remove :data:`NEVER_LOADED`: two thirds of the layer's files, which Lambda would unpack before each start."""
    for pattern in NEVER_LOADED:
        for folder in artifacts.glob(f"*/python/{pattern}/"):
            shutil.rmtree(folder)


def drop_compiled_twins(artifacts: Path) -> None:
    """Remove extension modules that have a pure Python twin, so that one artifact fits arm64 and x86_64."""
    for extension in list(artifacts.rglob("*.so")):
        if extension.with_name(extension.name.partition(".")[0] + ".py").exists():
            extension.unlink()


def compile_bytecode(artifacts: Path) -> None:
    """Replace all bytecode with unchecked hash-based bytecode."""
    for cache in list(artifacts.rglob("__pycache__")):
        shutil.rmtree(cache)
    result = subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "."],
        cwd=artifacts,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(f"compileall failed:\n{(result.stdout + result.stderr).strip()[-3000:]}")


def main() -> None:
    """Run ``python -m local.build [--always] [--quiet]``."""
    parser = argparse.ArgumentParser(prog="make build", description=__doc__.splitlines()[0])
    parser.add_argument("--always", action="store_true", help="build even if nothing has changed")
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    options = parser.parse_args()
    started = time.monotonic()
    was_built = build(always=options.always)
    if not options.quiet:
        summary = f"built in {time.monotonic() - started:.1f} s" if was_built else "nothing changed"
        print(f"{summary}: .aws-sam/build")


if __name__ == "__main__":
    main()
