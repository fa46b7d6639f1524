"""The emails that the stack has sent: as JSON, and as a page that shows each in HTML and as text.

MiniStack keeps what its SES was given. It drops the tags of an email, so its kind and payment are read from the table
of effects, which has SES's id of each email.
"""

from __future__ import annotations

import html
import json
import urllib.request
from datetime import UTC, datetime
from typing import Any

from local.change_set import DeployedStack
from local.ministack import MiniStack

SECONDS = 10
HEADERS = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'"),
    ("Cache-Control", "no-store"),
]
"""An email is shown in a frame that may load and run nothing."""

Email = dict[str, Any]


class Outbox:
    """The sent emails of one deployed stack."""

    def __init__(self, aws: MiniStack, deployed: DeployedStack) -> None:
        self._url = f"{aws.url}/_ministack/ses/messages"
        self._dynamodb = aws.client("dynamodb")
        self._table = deployed.resources["EffectsTable"]

    def emails(self) -> list[Email]:
        """Return every email that has a recipient, the newest first."""
        with urllib.request.urlopen(self._url, timeout=SECONDS) as response:
            accounts: dict[str, list[dict[str, Any]]] = json.load(response)["messages"]
        effects = self._effects()
        emails = [_email(sent, effects) for messages in accounts.values() for sent in messages]
        return sorted(emails, key=lambda email: str(email["sent_at"]), reverse=True)

    def _effects(self) -> dict[str, tuple[str, str | None]]:
        """Return the kind and the payment of each email by SES's id."""
        kinds: dict[str, tuple[str, str | None]] = {}
        for page in self._dynamodb.get_paginator("scan").paginate(TableName=self._table):
            for item in page["Items"]:
                if "message_id" in item:
                    subject = item["consumer_subject"]["S"].partition("#")[2]
                    payment_id = subject if subject.startswith("pay_") else None
                    kinds[item["message_id"]["S"]] = item["kind"]["S"], payment_id
        return kinds


def _email(sent: dict[str, Any], effects: dict[str, tuple[str, str | None]]) -> Email:
    kind, payment_id = effects.get(sent["MessageId"], (None, None))
    sent_at = datetime.fromtimestamp(sent["Timestamp"], UTC).isoformat(timespec="milliseconds")
    return {
        "kind": kind,
        "to": ", ".join(sent["To"]),
        "subject": sent["Subject"],
        "text": sent["BodyText"],
        "html": sent["BodyHtml"],
        "payment_id": payment_id,
        "sent_at": sent_at.replace("+00:00", "Z"),
    }


STYLE = (
    ":root { color-scheme: light dark; font-family: system-ui, sans-serif; }"
    " body { max-width: 72rem; margin: 0 auto; padding: 1rem; }"
    " article { border-top: 1px solid GrayText; padding: 1rem 0; }"
    " iframe { width: 100%; height: 40rem; border: 1px solid GrayText; background: Canvas; }"
    " pre { white-space: pre-wrap; overflow-wrap: anywhere; }"
)


def page(emails: list[Email]) -> str:
    """Return a page with every email, in a sandboxed frame and as text."""
    articles = "".join(_article(number, email) for number, email in enumerate(emails, start=1))
    none = "" if emails else "<p>No email has been sent yet.</p>"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Outbox</title><style>{STYLE}</style></head>'
        f"<body><main><h1>Outbox</h1>{none}{articles}</main></body></html>"
    )


def _article(number: int, email: Email) -> str:
    values = {name: html.escape(str(value or "")) for name, value in email.items()}
    return (
        f"<article><h2>{values['subject']}</h2>"
        f"<p>{values['kind']}, to {values['to']}, {values['sent_at']}, {values['payment_id']}</p>"
        f'<iframe sandbox title="Email {number} in HTML" srcdoc="{values["html"]}"></iframe>'
        f"<details><summary>Text</summary><pre>{values['text']}</pre></details></article>"
    )
