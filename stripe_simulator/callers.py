"""Admit callers and pages of this machine to the control API, the bank's page and the overview.

They need no API key. So a page of another origin must not reach them through the browser of a person who runs the
simulator: neither directly (`Origin`) nor under a name that resolves to this machine (`Host`, DNS rebinding).
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

REFUSAL = "This part of the simulator only answers callers and pages of this machine."


def is_guarded(target: str) -> bool:
    """Return whether a request for this target must come from this machine."""
    path = target.partition("?")[0]
    return path == "/" or path == "/_sim" or path.startswith("/_sim/")


def is_own(headers: Mapping[str, str], public_host: str | None) -> bool:
    """Return whether `Host` and `Origin`, where they are sent, are loopback or the public host."""
    host, origin = headers.get("host"), headers.get("origin")
    return (host is None or _is_own_url(f"//{host}", public_host)) and (
        origin is None or _is_own_url(origin, public_host)
    )


def _is_own_url(url: str, public_host: str | None) -> bool:
    try:
        parts = urlsplit(url)
        name = parts.hostname
        if name is None or "@" in parts.netloc:
            return False
        if name == "localhost" or (public_host is not None and name == public_host.lower()):
            return True
        return ipaddress.ip_address(name).is_loopback
    except ValueError:  # not a URL, or a name that is no IP address
        return False
