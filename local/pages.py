"""The web pages of a site: which file a path names, the generated ``config.json``, and the headers of every response.

In production CloudFront serves the same files from S3 with the headers in ``web.yaml``. ``tests/unit/test_web.py``
checks that they equal those of :func:`headers`. Sources:
https://docs.stripe.com/security/guide#content-security-policy
https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Content-Security-Policy
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.web_files import REVALIDATE, WebFile, web_files

STRIPE_JS = "https://js.stripe.com/endive/stripe.js"
"""Stripe.js of the pinned API version's release. The pages may load it from this address only."""
STRIPE_SCRIPTS = ("https://js.stripe.com", "https://*.js.stripe.com")
STRIPE_FRAMES = (*STRIPE_SCRIPTS, "https://hooks.stripe.com")
STRIPE_CALLS = ("https://api.stripe.com",)
CONFIG = "config.json"
"""The only file that differs between deployments."""


@dataclass(frozen=True)
class Origins:
    """The origins that the pages may use besides their own."""

    scripts: Sequence[str] = STRIPE_SCRIPTS
    frames: Sequence[str] = STRIPE_FRAMES
    calls: Sequence[str] = STRIPE_CALLS


@dataclass(frozen=True)
class Site:
    """The files of ``web/``, the content of ``config.json``, and the origins that the pages may use."""

    root: Path
    config: dict[str, Any] = field(default_factory=dict)
    origins: Origins = field(default_factory=Origins)
    reports: str = ""

    def files(self) -> dict[str, WebFile]:
        """Return every served file by its path without the first slash."""
        config = json.dumps(self.config, indent=2, sort_keys=True) + "\n"
        return {**web_files(self.root), CONFIG: WebFile(config.encode(), "application/json", REVALIDATE)}

    def headers(self) -> list[tuple[str, str]]:
        """Return the headers of every page and file."""
        return headers(self.origins, self.reports)


def local_site(root: Path, stripe_url: str | None) -> Site:
    """Return the local stack's site. ``stripe_url`` is the simulator's; None uses Stripe itself."""
    stripe_js = f"{stripe_url}/endive/stripe.js" if stripe_url else STRIPE_JS
    config = {"stripe_js": stripe_js, "sign_in": {"kind": "local"}}
    origins = Origins((stripe_url,), (stripe_url,), (stripe_url,)) if stripe_url else Origins()
    return Site(root, config, origins, "/_local/csp")


def headers(origins: Origins, reports: str = "") -> list[tuple[str, str]]:
    """Return the security headers: they limit what a page may load, and forbid framing it."""
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
