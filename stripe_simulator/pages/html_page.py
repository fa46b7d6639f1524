"""The parts of every page: the HTML frame, messages, redirects and form fields."""

import html
from urllib.parse import parse_qs

from stripe_simulator.response import Response


def page(title: str, content: str, status: int = 200, *, script: str = "") -> Response:
    """Return an HTML page. `script` names a file of `browser/`, the only script on the page."""
    script_tag = f'<script src="/_js/{script}" defer></script>' if script else ""
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><link rel="stylesheet" href="/_js/page.css">{script_tag}</head>'
        f"<body><main>{content}</main></body></html>"
    )
    headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
    return Response(status, headers, text.encode())


def message(title: str, text: str, status: int = 200) -> Response:
    """Return a page with a heading and one paragraph."""
    return page(title, f"<h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>", status)


def redirect(url: str) -> Response:
    """Return a 303 redirect to a URL."""
    return Response(303, {"Location": url, "Content-Type": "text/plain"}, b"")


def read_form(body: bytes) -> dict[str, str]:
    """Return the fields of a submitted form."""
    return {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}
