"""The files of `browser/`: the stand-in for Stripe.js, the frame with the card fields, and their styles.

https://docs.stripe.com/js
"""

import re
from pathlib import Path

from stripe_simulator.response import Response

FOLDER = Path(__file__).parent / "browser"
CONTENT_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
STRIPE_JS = re.compile(r"/v3/?|/[a-z]+/stripe\.js")
"""The script's path on js.stripe.com: the name of a release, or v3."""


def answer(path: str) -> Response | None:
    """Return the file at a path, or None if there is no such file."""
    if STRIPE_JS.fullmatch(path):
        path = "/_js/stripe.js"
    match = re.fullmatch(r"/_js/([a-z_]+(\.[a-z]+))", path)
    if match is None or match[2] not in CONTENT_TYPES or not (FOLDER / match[1]).is_file():
        return None
    headers = {"Content-Type": f"{CONTENT_TYPES[match[2]]}; charset=utf-8", "Cache-Control": "no-store"}
    return Response(200, headers, (FOLDER / match[1]).read_bytes())
