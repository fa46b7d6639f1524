"""Annotations of a field for the OpenAPI document, and the types that many fields share.

Every module of this package uses the standard library and the layer only. `tools/openapi.py` reads the dataclasses when
the document is made. A function never imports them, so they cost nothing at INIT.
"""

from typing import Annotated, Any


class About:
    """The description of a field, with keywords of JSON Schema such as `maxLength` and `examples`.

    `name` is the field's name in JSON, if Python cannot have it: `from`.
    """

    def __init__(self, description: str = "", *, name: str | None = None, **keywords: Any) -> None:
        self.description = description
        self.name = name
        self.keywords = keywords


MAX_TEXT = 500
"""The most characters of a text that a person writes. `tests/unit/test_openapi.py` compares it with the handlers'."""

Amount = Annotated[int, About("In the minor unit of its currency.", examples=[49900])]
Currency = Annotated[str, About("The ISO 4217 code, in lower case.", pattern="^[a-z]{3}$", examples=["usd"])]
Time = Annotated[str, About("In UTC.", format="date-time", examples=["2026-11-23T18:30:00.000Z"])]
Day = Annotated[str, About(format="date", examples=["2026-11-23"])]
Track = Annotated[str, About("The code of the track.", examples=["DP"])]
PaymentId = Annotated[str, About("The id of the payment.", examples=["pay_4f1c2a9b7d3e4c58"])]
IntentId = Annotated[str, About("The id of the PaymentIntent at Stripe.", examples=["pi_3SXk2eLz9Qw1"])]
UserId = Annotated[str, About("The `sub` of the user's token.", examples=["ada"])]
Email = Annotated[str, About(examples=["ada@example.org"])]
Text = Annotated[str, About(minLength=1, maxLength=MAX_TEXT, pattern=r"\S")]
"""A text that a person writes. It may have several lines, but no control characters."""
Url = Annotated[str, About(format="uri", examples=["https://example.org/"])]
Cursor = Annotated[
    str | None, About("The `cursor` of the next page, or null after the last page.", examples=["eyJ2IjoxfQ"])
]
