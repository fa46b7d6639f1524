"""Whether the school sells: the switch with which staff stop every new purchase at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tuition.core import audit
from tuition.core.audit import Broken

SUBJECT = "selling switch"
"""The subject of the switch's audit chain. No user's id contains a blank, so no user has the same chain."""


@dataclass(frozen=True)
class Selling:
    """The switch. `message` is what students read while nothing is sold; `note` is for staff.

    `version` and `audit_head` are the number and the hash of the newest record. Before the first decision the school
    sells.
    """

    on: bool = True
    message: str | None = None
    note: str | None = None
    actor: str | None = None
    at: str | None = None
    version: int = 0
    audit_head: str = ""

    def explanation(self, contact: str) -> str | None:
        """Return why nothing can be bought, and whom to write to; None while the school sells."""
        if self.on:
            return None
        why = self.message or "The school has stopped selling for the moment."
        why += "." if why[-1].isalnum() or why[-1] in ')"' else ""
        return (
            f"{why} Nothing changes for what you have already paid. "
            f"Write to {contact or 'the school'} if you have questions."
        )


def verify(selling: Selling, stored: Iterable[Mapping[str, Any]]) -> Broken | None:
    """Check the switch's records as `audit.verify` does, and that the newest one leads to the switch's state."""
    records = sorted(stored, key=lambda record: int(record["seq"]))
    broken = audit.verify(SUBJECT, records, selling.version, selling.audit_head)
    if broken:
        return broken
    changes = records[-1]["transition"] if records else {"selling": {"to": True}}
    recorded = changes["selling"].get("to") if isinstance(changes.get("selling"), dict) else None
    if recorded == selling.on:
        return None
    return Broken(selling.version, f"the records lead to selling {recorded}, but the switch has {selling.on}")
