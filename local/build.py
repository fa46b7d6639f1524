"""Build what is deployed: the functions, the layer with its packages for Lambda, and a template that names them.

The layout is that of ``sam build``, so ``sam local invoke`` and ``sam validate`` read it. Neither the SAM CLI nor
Docker is needed: pip downloads the wheels that fit Lambda, whatever this machine is, and refuses a package without one.

Archives date every file 1980, so bytecode that Python checks by date never matches. Lambda's disk is
read-only, so each cold start would compile every module again. Unchecked hash-based bytecode has no date:
https://docs.python.org/3/reference/import.html#cached-bytecode-invalidation and issue 924 of aws-lambda-builders.
It cuts import time to about a third. Removing botocore's unused service models halves the zip, and removing their
endpoints saves each new client 10 ms.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

from local.change_set import archive
from local.deploy import read_template

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / ".aws-sam" / "build"
SOURCES = ("template.yaml", "samconfig.toml", "functions", "layers", "local/build.py")
SERVICES = frozenset(
    {"dynamodb", "secretsmanager", "s3", "lambda", "cognito-idp", "codedeploy", "sqs", "sesv2", "events", "kms"}
)
"""The AWS services that functions call. No other service model is shipped; tests/template checks this."""
NEVER_LOADED = (
    "stripe/params",
    "stripe/events",
    "aws_lambda_powertools/event_handler",
    "aws_lambda_powertools/utilities/[!j]*",  # the logger needs jmespath_utils
)
"""Package folders that load only on request, and that no function requests."""
NOTES_OF_PIP = ("RECORD", "INSTALLER", "REQUESTED")
"""Files of pip's about an installation. They name this machine's Python, so each machine would build another layer."""
BUILD_SECONDS = 300
PYTHON = (3, 13)
"""The Python of the functions' runtime. Bytecode of any other would not load."""
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
"""The wheels that Lambda's arm64 runtime (Amazon Linux 2023) loads. :func:`drop_compiled_twins` makes them fit both."""


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
    artifacts = root / ".aws-sam" / "build"
    if not always and stamp.exists() and stamp.read_text(encoding="utf-8") == current and artifacts.is_dir():
        return False
    if sys.version_info[:2] != PYTHON:
        raise RuntimeError(f"the build needs Python {PYTHON[0]}.{PYTHON[1]}, and this is {sys.version.split()[0]}")
    stamp.unlink(missing_ok=True)
    unfinished = root / ".aws-sam" / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    _copy_sources(root, unfinished)
    for layer in unfinished.glob("*/python"):
        _install_packages(layer / "requirements.txt", layer)
    for botocore_data in unfinished.glob("*/python/botocore/data"):
        keep_services(botocore_data)
    drop_never_loaded(unfinished)
    drop_compiled_twins(unfinished)
    compile_bytecode(unfinished)
    write_archives(unfinished)
    shutil.rmtree(artifacts, ignore_errors=True)
    unfinished.rename(artifacts)
    stamp.write_text(current, encoding="utf-8")
    return True


def _copy_sources(root: Path, build_folder: Path) -> None:
    """Copy the code of each function and layer into a folder of its own, beside a template that names the folders."""
    template = read_template(root / "template.yaml")
    shared_code = template.get("Globals", {}).get("Function", {}).get("CodeUri")
    without_bytecode = shutil.ignore_patterns("__pycache__")
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            source, target, field = properties.get("CodeUri", shared_code), build_folder / name, "CodeUri"
        elif resource["Type"] == "AWS::Serverless::LayerVersion":
            source, target, field = properties["ContentUri"], build_folder / name / "python", "ContentUri"
        else:
            continue
        shutil.copytree(root / source, target, ignore=without_bytecode)
        properties[field] = name
        resource.setdefault("Metadata", {})["SamResourceId"] = name
    text = yaml.safe_dump(template, sort_keys=False, allow_unicode=True, width=120)
    (build_folder / "template.yaml").write_text(text, encoding="utf-8")


def _install_packages(requirements: Path, folder: Path) -> None:
    """Install the pinned packages of a layer. Raises RuntimeError with the end of pip's output if it fails."""
    platforms = [part for name in PLATFORMS for part in ("--platform", name)]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--no-compile", "--only-binary", ":all:", "--implementation", "cp"]
    command += ["--python-version", ".".join(map(str, PYTHON)), *platforms]
    command += ["--target", str(folder), "--requirement", str(requirements)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    if result.returncode != 0:
        raise RuntimeError(
            f"the layer's packages cannot be installed:\n{(result.stdout + result.stderr).strip()[-3000:]}"
        )
    shutil.rmtree(folder / "bin", ignore_errors=True)  # commands, which no function runs
    for name in NOTES_OF_PIP:
        for note in folder.glob(f"*.dist-info/{name}"):
            note.unlink()


def keep_services(botocore_data: Path) -> None:
    """Remove every service from botocore's ``data`` folder except :data:`SERVICES`: their models, and their endpoints.

    botocore parses the whole file of endpoints for each new client, which takes longer than any other file.
    """
    for model in botocore_data.iterdir():
        if model.is_dir() and model.name not in SERVICES:
            shutil.rmtree(model)
    file = botocore_data / "endpoints.json"
    endpoints = json.loads(file.read_text(encoding="utf-8"))
    for partition in endpoints["partitions"]:
        partition["services"] = {name: one for name, one in partition["services"].items() if name in SERVICES}
    file.write_text(json.dumps(endpoints), encoding="utf-8")


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


def write_archives(artifacts: Path) -> None:
    """Write the archive of each function and layer beside its folder: compressing them takes longer than a deploy."""
    for folder in [entry for entry in artifacts.iterdir() if entry.is_dir()]:
        folder.with_name(f"{folder.name}.zip").write_bytes(archive(folder))


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
