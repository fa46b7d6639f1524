"""What a browser loads: the stand-in for Stripe.js, the frame with the card's fields, and their look.

https://docs.stripe.com/js
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stripe_simulator.server import Response

FOLDER = Path(__file__).parent
KINDS = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
STRIPE_JS = re.compile(r"/v3/?|/[a-z]+/stripe\.js")
"""As js.stripe.com has it: a release's name, or v3."""


def answer(path: str) -> "Response | None":
    """A file by its path, None when there is none."""
    from stripe_simulator.server import Response

    if STRIPE_JS.fullmatch(path):
        path = "/_js/stripe.js"
    found = re.fullmatch(r"/_js/([a-z_]+(\.[a-z]+))", path)
    if found is None or found[2] not in KINDS or not (FOLDER / found[1]).is_file():
        return None
    headers = {"Content-Type": f"{KINDS[found[2]]}; charset=utf-8", "Cache-Control": "no-store"}
    return Response(200, headers, (FOLDER / found[1]).read_bytes())
