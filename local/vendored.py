"""The files under ``web/`` that others wrote: unmodified from npm packages, as ``vendored.json`` beside them says.

``python -m local.vendored`` fetches the packages once into ``.cache`` and compares every byte.
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
    """What each folder of vendored files says of them."""
    return {path.parent: json.loads(path.read_text(encoding="utf-8")) for path in sorted(root.glob(LISTS))}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def package(name: str, version: str, integrity: str) -> Path:
    """The tarball of a package, fetched at the first call. Raises RuntimeError where it is not the one we know."""
    kept = CACHE / f"{name.replace('/', '-')}-{version}.tgz"
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            command = [sys.executable, "-c", NPM, "pack", "--silent", f"{name}@{version}"]
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False
            )
            if done.returncode != 0:
                raise RuntimeError(f"npm could not fetch {name}@{version}: {done.stderr.strip()[-500:]}")
            next(Path(folder).glob("*.tgz")).replace(kept)
    found = "sha512-" + base64.b64encode(hashlib.sha512(kept.read_bytes()).digest()).decode()
    if found != integrity:
        raise RuntimeError(f"{kept} is not the {name}@{version} that was vendored: {found}")
    return kept


def differences(root: Path = ROOT) -> list[str]:
    """What of the vendored files is not as its package has it, one line each."""
    found = []
    for folder, said in lists(root).items():
        for one in said["files"]:
            name, version = one["package"], one["version"]
            with tarfile.open(package(name, version, said["integrity"][f"{name}@{version}"])) as archive:
                member = archive.extractfile(f"package/{one['path']}")
                theirs = member.read() if member else b""
            if (folder / one["file"]).read_bytes() != theirs:
                found.append(f"{one['file']} is not {one['path']} of {name}@{version}")
    return found


def main() -> int:
    """0 when every file is its package's."""
    found = differences()
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
