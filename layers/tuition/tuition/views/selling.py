"""The selling switch for staff: its state, its history, and whether the two agree."""

from typing import Any

from tuition import retry
from tuition.core import selling
from tuition.core.audit import Broken
from tuition.core.selling import Selling
from tuition.storage import queries, selling_switch


def verified() -> tuple[Selling, list[dict[str, Any]], Broken | None]:
    """Read the switch and its audit trail, and verify them. A commit between the two would look like tampering."""
    for _ in retry.attempts(retry.AUDIT_READ):
        switch, trail = selling_switch.load(), queries.audit_trail(selling.SUBJECT)
        broken = selling.verify(switch, trail)
        if broken is None:
            break
    return switch, trail, broken


def to_json() -> dict[str, Any]:
    """Return the switch with its newest decision and its audit trail, as the API answers it."""
    switch, trail, broken = verified()
    decision = {"note": switch.note, "actor": switch.actor, "at": switch.at} if switch.version else None
    return {
        "selling": switch.on,
        "message": switch.message,
        "decision": decision,
        "version": switch.version,
        "audit": trail,
        "chain": {"verified": broken is None, "problem": f"record {broken.seq}: {broken.why}" if broken else None},
    }
