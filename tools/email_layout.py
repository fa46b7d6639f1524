"""Write the styles of `emails/email.css` into the elements of `emails/layout.html`, for the layout that ships.

The result is checked in beside the code that renders emails, so the build needs no further step, and a review shows the
HTML that is sent. `tests/unit/test_email_rendering.py` compares it with its sources.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "emails"
LAYOUT = ROOT / "layers" / "tuition" / "tuition" / "outbox" / "email_layout.html"


def inlined() -> str:
    """Return the layout with the styles of each element's classes. Raises `KeyError` for a class without a style.

    The classes stay, because the dark scheme and the phone's width can be chosen in a style sheet only.
    """
    css = (SOURCES / "email.css").read_text(encoding="utf-8")
    styles = {name: body.strip() for name, body in re.findall(r"^\.([\w-]+) \{([^}]*)\}", css, re.MULTILINE)}

    def styled(match: re.Match[str]) -> str:
        return f'{match[0]} style="{" ".join(styles[name] for name in match[1].split())}"'

    return re.sub(r'(?<=\s)class="([^"]+)"', styled, (SOURCES / "layout.html").read_text(encoding="utf-8"))


def main() -> None:
    """Run ``python -m tools.email_layout``."""
    LAYOUT.write_text(inlined(), encoding="utf-8")
    print(f"wrote {LAYOUT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
