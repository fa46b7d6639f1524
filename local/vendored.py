"""Check that the vendored files under ``web/`` equal those of the npm packages listed in ``vendored.json``.

``python -m local.vendored`` downloads the packages into ``.cache`` once and compares every byte.
https://docs.npmjs.com/cli/v11/configuring-npm/package-lock-json#packages (integrity)
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from local.dynamodb_local import NPM

ROOT = Path(__file__).resolve().parent.parent
LISTS = "web/**/vendored.json"
CACHE = ROOT / ".cache" / "npm"
DOWNLOAD_SECONDS = 300


def lists(root: Path = ROOT) -> dict[Path, dict[str, Any]]:
    """Return the content of each ``vendored.json`` by its folder."""
    return {path.parent: json.loads(path.read_text(encoding="utf-8")) for path in sorted(root.glob(LISTS))}


def sha256(content: bytes) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def package(name: str, version: str, integrity: str) -> Path:
    """Return a package's tarball, downloading it once. Raises RuntimeError if its integrity hash differs."""
    tarball = CACHE / f"{name.replace('/', '-')}-{version}.tgz"
    if not tarball.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            command = [sys.executable, "-c", NPM, "pack", "--silent", f"{name}@{version}"]
            result = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False
            )
            if result.returncode != 0:
                raise RuntimeError(f"npm could not download {name}@{version}: {result.stderr.strip()[-500:]}")
            next(Path(folder).glob("*.tgz")).replace(tarball)
    actual = "sha512-" + base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if actual != integrity:
        raise RuntimeError(f"{tarball} is not the {name}@{version} that was vendored: its hash is {actual}")
    return tarball


def differences(root: Path = ROOT) -> list[str]:
    """Return a line for each vendored file that differs from its package's file."""
    lines = []
    for folder, manifest in lists(root).items():
        for entry in manifest["files"]:
            name, version = entry["package"], entry["version"]
            with tarfile.open(package(name, version, manifest["integrity"][f"{name}@{version}"])) as archive:
                member = archive.extractfile(f"package/{entry['path']}")
                original = member.read() if member else b""
            if (folder / entry["file"]).read_bytes() != original:
                lines.append(f"{entry['file']} is not {entry['path']} of {name}@{version}")
    return lines


def main() -> int:
    """Print each difference. Return 0 if there is none, otherwise 1."""
    lines = differences()
    for line in lines:
        print(line, file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    raise SystemExit(main())
