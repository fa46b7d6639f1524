"""Check that a deployed site serves the pages of this repository: ``make watch ARGS=https://learn.example.org``.

It fetches every file as a browser does, and compares content and headers byte for byte with this repository's. PCI DSS
11.6.1 calls this a change- and tamper-detection mechanism, to be run at least weekly (a schedule of the CI runs it).
Source: https://www.pcisecuritystandards.org/document_library/ (PCI DSS v4.0.1, 6.4.3 and 11.6.1)
"""

from __future__ import annotations

import hashlib
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from local import pages
from local.stack import ROOT
from local.web_files import web_files

SECONDS = 20


def differences(origin: str, root: Path = ROOT / "web") -> Iterator[str]:
    """Yield a sentence for each file or header that differs from this repository's."""
    _, content = _get(f"{origin}/config.json")
    config = json.loads(content)
    origins = _origins(config)
    if origins is None:
        yield f"config.json loads Stripe.js from {config['stripe_js']}"
        return
    for name, file in web_files(root).items():
        path = f"/{name}".removesuffix("index.html")
        try:
            headers, content = _get(origin + path)
        except urllib.error.URLError as error:
            yield f"{path} is not served: {error}"
            continue
        if content != file.content:
            yield f"{path} is another file: sha256 {_hash(content)}, here {_hash(file.content)}"
        for header, expected in [*pages.headers(origins), ("Cache-Control", file.cache_control)]:
            actual = headers.get(header.lower(), "").partition("; report-uri ")[0]
            if actual != expected:
                yield f"{path} comes with {header}: {actual or 'nothing'}"


def _origins(config: dict[str, object]) -> pages.Origins | None:
    """Return the origins that a site may use according to its ``config.json``; None for an unknown Stripe.js."""
    script = urlsplit(str(config["stripe_js"]))
    sign_in = config["sign_in"]
    assert isinstance(sign_in, dict)
    domain = (str(sign_in["domain"]),) if "domain" in sign_in else ()
    if config["stripe_js"] == pages.STRIPE_JS:
        return pages.Origins(calls=(*pages.STRIPE_CALLS, *domain))
    if script.hostname == "127.0.0.1":  # the simulator
        simulator = f"{script.scheme}://{script.netloc}"
        return pages.Origins((simulator,), (simulator,), (simulator, *domain))
    return None


def _get(url: str) -> tuple[dict[str, str], bytes]:
    if not url.startswith(("https://", "http://127.0.0.1:")):
        raise SystemExit("usage: make watch ARGS=https://learn.example.org")
    with urllib.request.urlopen(url, timeout=SECONDS) as response:
        return {name.lower(): value for name, value in response.headers.items()}, response.read()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main(arguments: list[str]) -> int:
    """Print each difference. Return 0 if there is none, otherwise 1."""
    if len(arguments) != 1:
        raise SystemExit("usage: make watch ARGS=https://learn.example.org")
    lines = list(differences(arguments[0].rstrip("/")))
    for line in lines:
        print(line)
    if not lines:
        print(f"{arguments[0]} serves the pages of this repository")
    return 1 if lines else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
