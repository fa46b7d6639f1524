"""Whether the pages that are served are those of this repository: ``make watch ARGS=https://learn.example.org``.

Every file and header is fetched as a browser would get it and held against what is here, byte for byte. It is what PCI
DSS 11.6.1 calls a change- and tamper-detection mechanism, to be run at least weekly (a schedule of the CI does).
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

from local import site
from local.stack import ROOT

SECONDS = 20


def differences(origin: str, root: Path = ROOT / "web") -> Iterator[str]:
    """One sentence for each file or header that is not as it is here."""
    _, said = _get(f"{origin}/config.json")
    config = json.loads(said)
    origins = _origins(config)
    if origins is None:
        yield f"config.json loads Stripe.js from {config['stripe_js']}"
        return
    for file in sorted(path for path in root.rglob("*") if path.is_file()):
        path = "/" if file.name == "index.html" and file.parent == root else f"/{file.relative_to(root)}"
        try:
            headers, content = _get(origin + path)
        except urllib.error.URLError as error:
            yield f"{path} is not served: {error}"
            continue
        if content != file.read_bytes():
            yield f"{path} is another file: sha256 {_hash(content)}, here {_hash(file.read_bytes())}"
        for name, wanted in site.headers(origins):
            found = headers.get(name.lower(), "").partition("; report-uri ")[0]
            if found != wanted:
                yield f"{path} comes with {name}: {found or 'nothing'}"


def _origins(config: dict[str, object]) -> site.Origins | None:
    """Whom the pages may deal with by their `config.json`; None where Stripe.js comes from anywhere else."""
    script = urlsplit(str(config["stripe_js"]))
    sign_in = config["sign_in"]
    assert isinstance(sign_in, dict)
    domain = (str(sign_in["domain"]),) if "domain" in sign_in else ()
    if config["stripe_js"] == site.STRIPE_JS:
        return site.Origins(calls=(*site.STRIPE_CALLS, *domain))
    if script.hostname == "127.0.0.1":  # the simulator, on this machine
        here = f"{script.scheme}://{script.netloc}"
        return site.Origins((here,), (here,), (here, *domain))
    return None


def _get(url: str) -> tuple[dict[str, str], bytes]:
    if not url.startswith(("https://", "http://127.0.0.1:")):
        raise SystemExit("usage: make watch ARGS=https://learn.example.org")
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:
        return {name.lower(): value for name, value in answer.headers.items()}, answer.read()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main(arguments: list[str]) -> int:
    """0 when all is as it is here, 1 with a line for each difference."""
    if len(arguments) != 1:
        raise SystemExit("usage: make watch ARGS=https://learn.example.org")
    found = list(differences(arguments[0].rstrip("/")))
    for line in found:
        print(line)
    if not found:
        print(f"{arguments[0]} serves the pages of this repository")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
