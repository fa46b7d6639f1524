"""Admit callers and pages of this machine to the control API, the bank's page and the inspector.

The hosts that the simulator was started with (`--host`, `--public-url`, `--public`) count as this machine.

They need no API key. So a page of another origin must not reach them through the browser of a person who runs the
simulator: neither directly (`Origin`) nor under a name that resolves to this machine (`Host`, DNS rebinding).
"""

import ipaddress
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

REFUSAL = (
    "This part of the simulator only answers callers and pages of this machine. "
    "Start it with --public-url to use it under another name."
)


def is_guarded(target: str) -> bool:
    """Return whether a request for this target must come from this machine."""
    path = target.partition("?")[0]
    return path in ("/", "/_sim", "/inspect") or path.startswith(("/_sim/", "/inspect/"))


def is_own(headers: Mapping[str, str], hosts: Collection[str]) -> bool:
    """Return whether `Host` and `Origin`, where they are sent, are loopback or one of the hosts, in lower case."""
    host, origin = headers.get("host"), headers.get("origin")
    return (host is None or _is_own_url(f"//{host}", hosts)) and (origin is None or _is_own_url(origin, hosts))


def _is_own_url(url: str, hosts: Collection[str]) -> bool:
    try:
        parts = urlsplit(url)
        name = parts.hostname
        if name is None or "@" in parts.netloc:
            return False
        if name == "localhost" or name in hosts:
            return True
        return ipaddress.ip_address(name).is_loopback
    except ValueError:  # not a URL, or a name that is no IP address
        return False
