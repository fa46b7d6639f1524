"""The switches with which staff stop something at once: every new purchase, or the charges of payment plans."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tuition.core import audit
from tuition.core.audit import Broken

SwitchName = Literal["selling", "collecting"]
SUBJECTS: Mapping[SwitchName, str] = {"selling": "selling switch", "collecting": "collecting switch"}
"""The subjects of the switches' audit chains. No user's id contains a blank, so no user has the same chain."""
OF_SUBJECTS: Mapping[str, SwitchName] = {subject: name for name, subject in SUBJECTS.items()}


@dataclass(frozen=True)
class Switch:
    """A switch. `selling` stops every new purchase, `collecting` what plans announce and charge without the student.

    `message` is what students read while nothing is sold; `note` is for staff. `version` and `audit_head` are the
    number and the hash of the newest record. Before the first decision it is on.
    """

    name: SwitchName
    on: bool = True
    message: str | None = None
    note: str | None = None
    actor: str | None = None
    at: str | None = None
    version: int = 0
    audit_head: str = ""


def not_selling(selling: Switch, contact: str) -> str | None:
    """Return why nothing can be bought, and whom to write to; None while the school sells."""
    if selling.on:
        return None
    why = selling.message or "The school has stopped selling for the moment."
    why += "." if why[-1].isalnum() or why[-1] in ')"' else ""
    return (
        f"{why} Nothing changes for what you have already paid. "
        f"Write to {contact or 'the school'} if you have questions."
    )


def verify(switch: Switch, stored: Iterable[Mapping[str, Any]]) -> Broken | None:
    """Check a switch's records as `audit.verify` does, and that the newest one leads to the switch's state."""
    records = sorted(stored, key=lambda record: int(record["seq"]))
    broken = audit.verify(SUBJECTS[switch.name], records, switch.version, switch.audit_head)
    if broken:
        return broken
    change = records[-1]["transition"].get(switch.name) if records else {"to": True}
    recorded = change.get("to") if isinstance(change, dict) else None
    if recorded == switch.on:
        return None
    return Broken(switch.version, f"the records lead to {switch.name} {recorded}, but the switch has {switch.on}")
