"""Find the Chromium for the browser tests: the system's, or else the one that playwright downloads.

``make test`` runs ``python -m local.chromium``, which downloads playwright's if there is none.

A headless shell is preferred. It renders pages as Chromium does, but has no windows. Without it, Chromium draws a
window with a toolbar for every test, which takes a third of its processor time.
https://developer.chrome.com/blog/chrome-headless-shell
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SHELLS = ("chromium-headless-shell", "chrome-headless-shell")
NAMES = (*SHELLS, "chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
OPTIONS = ("--no-sandbox", "--disable-gpu")
"""The sandbox needs rights that a container does not give. The pages draw nothing for which a GPU is emulated."""
HOW = """The browser tests need Chromium, and playwright could not download it.
  Debian:         apt-get install chromium-headless-shell
  Ubuntu:         apt-get install chromium
  other systems:  .venv/bin/playwright install chromium
  or set CHROMIUM to the path of an installed one"""


def find() -> str | None:
    """Return the path of a Chromium: the variable CHROMIUM, the system's, or playwright's; None if there is none."""
    override = os.environ.get("CHROMIUM")
    if override:
        return override
    for name in NAMES:
        path = shutil.which(name)
        if path and _runs(path):
            return path
    return _playwright_chromium()


def _runs(path: str) -> bool:
    """Check that it starts: on Ubuntu, `chromium-browser` may only print a hint to install a snap."""
    return subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0


def _playwright_chromium() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def main() -> int:
    """Make sure that there is a Chromium, downloading playwright's if necessary. Return the exit code."""
    if find():
        return 0
    print("downloading Chromium for the browser tests", file=sys.stderr)
    result = subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    if result.returncode == 0 and find():
        return 0
    print(HOW, file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
