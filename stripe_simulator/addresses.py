"""The addresses of a simulator: where it listens (`--host`), and what it writes into URLs (`--public-url`)."""

import ipaddress
import socket
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"
BACKLOG = 256


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address of this machine, IPv4 or IPv6. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def local_url(host: str, port: int) -> str:
    """Return the URL at which a program on this machine reaches a listener. Every address includes loopback."""
    host = {"": LOOPBACK, "0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 (compared, not bound)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Return whether only programs on this machine reach a listener on this host."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, which may resolve to any address
        return False


def host_of(url: str) -> str:
    """Return the host of a URL, in lower case and without brackets."""
    return urlsplit(url).hostname or ""


def public_url(text: str) -> str:
    """Return a public URL without a slash at its end.

    Raises ValueError for a URL with a path, because the pages name each other by absolute paths, and for a host with
    other letters than those of ASCII, because the header `Location` of a redirect has it.
    """
    url = text.removesuffix("/")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:  # brackets without an IPv6 address, or an invalid port
        valid = False
    if not valid or url != f"{parts.scheme}://{parts.netloc}" or url.endswith(":") or not _is_printable(url):
        raise ValueError(f"{text} is not a public URL: use a scheme, a host and a port, as in http://stripe:12111")
    return url


def _is_printable(url: str) -> bool:
    return url.isascii() and url.isprintable() and " " not in url
