"""The web pages as they are served from their own origin: `config.json`, and the headers that go with every file.

In production the same files are on S3 behind CloudFront; `docs/setup.md` has the policy that :func:`headers` makes for
there, and a test holds the two together. Sources:
https://docs.stripe.com/security/guide#content-security-policy
https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Content-Security-Policy
"""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STRIPE_JS = "https://js.stripe.com/endive/stripe.js"
"""Stripe.js of the release that the pinned API version belongs to; it may be loaded from nowhere else."""
STRIPE_SCRIPTS = ("https://js.stripe.com", "https://*.js.stripe.com")
STRIPE_FRAMES = (*STRIPE_SCRIPTS, "https://hooks.stripe.com")
STRIPE_CALLS = ("https://api.stripe.com",)


@dataclass(frozen=True)
class Origins:
    """Whom the pages deal with besides their own origin."""

    scripts: Sequence[str] = STRIPE_SCRIPTS
    frames: Sequence[str] = STRIPE_FRAMES
    calls: Sequence[str] = STRIPE_CALLS


@dataclass(frozen=True)
class Site:
    """The files of ``web/``, what `config.json` says, and whom the pages may deal with."""

    root: Path
    config: dict[str, Any] = field(default_factory=dict)
    origins: Origins = field(default_factory=Origins)
    reports: str = ""

    def file(self, path: str) -> Path | None:
        """The file of a path, or None; a folder is its ``index.html``."""
        root = self.root.resolve()
        found = (root / path.lstrip("/")).resolve()
        if found.is_dir():
            found = found / "index.html"
        return found if found.is_relative_to(root) and found.is_file() else None

    def is_folder(self, path: str) -> bool:
        """A folder without the slash that the addresses of its page are relative to."""
        root = self.root.resolve()
        found = (root / path.lstrip("/")).resolve()
        return not path.endswith("/") and found.is_relative_to(root) and (found / "index.html").is_file()

    def headers(self) -> list[tuple[str, str]]:
        """The headers of every page and file."""
        return headers(self.origins, self.reports)


def local(root: Path, stripe_url: str | None) -> Site:
    """The site of this machine. `stripe_url` is the simulator's; None where Stripe's test mode is used."""
    stripe_js = f"{stripe_url}/endive/stripe.js" if stripe_url else STRIPE_JS
    config = {"stripe_js": stripe_js, "sign_in": {"kind": "local"}}
    origins = Origins((stripe_url,), (stripe_url,), (stripe_url,)) if stripe_url else Origins()
    return Site(root, config, origins, "/_local/csp")


def headers(origins: Origins, reports: str = "") -> list[tuple[str, str]]:
    """What a browser is told with every file: from where it may load, and that nobody may frame it."""
    policy = {
        "default-src": ["'none'"],
        "script-src": ["'self'", *origins.scripts],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "connect-src": ["'self'", *origins.calls],
        "frame-src": [*origins.frames],
        "form-action": ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
    text = "; ".join(f"{name} {' '.join(sources)}" for name, sources in policy.items())
    return [
        ("Content-Security-Policy", f"{text}; report-uri {reports}" if reports else text),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "strict-origin-when-cross-origin"),
        ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
        ("Cross-Origin-Opener-Policy", "same-origin-allow-popups"),
    ]


def content_type(file: Path) -> str:
    """A file's media type, with its charset where it is text."""
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") or kind.endswith(("javascript", "xml")) else kind
