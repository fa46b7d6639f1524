"""The browser that the tests drive: the system's Chromium where there is one, else the one that playwright brings.

``python -m local.chromium`` (``make test`` calls it) makes sure that there is one, or says what to do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
HOW = """There is no Chromium for the browser tests, and playwright could not bring one.
  Debian, Ubuntu: apt-get install chromium
  else:           .venv/bin/playwright install chromium
  or set CHROMIUM to the path of one"""


def find() -> str | None:
    """The path of a Chromium: what CHROMIUM names, the system's, or playwright's own."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    for name in NAMES:
        found = shutil.which(name)
        if found and _runs(found):
            return found
    return _playwrights()


def _runs(path: str) -> bool:
    """Ubuntu's `chromium-browser` may be a mere note that there is a snap."""
    return subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0


def _playwrights() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def main() -> int:
    """0 when there is a browser, after fetching playwright's where it must be."""
    if find():
        return 0
    print("fetching Chromium for the browser tests", file=sys.stderr)
    done = subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    if done.returncode == 0 and find():
        return 0
    print(HOW, file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
