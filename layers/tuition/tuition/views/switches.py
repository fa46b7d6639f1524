"""The switches for staff: their state, their history, and whether the two agree."""

from typing import Any

from tuition import retry
from tuition.core import switches
from tuition.core.audit import Broken
from tuition.core.switches import Switch, SwitchName
from tuition.storage import queries
from tuition.storage import switches as storage


def verified(name: SwitchName) -> tuple[Switch, list[dict[str, Any]], Broken | None]:
    """Read a switch and its audit trail, and verify them. A commit between the two would look like tampering."""
    for _ in retry.attempts(retry.AUDIT_READ):
        switch, trail = storage.load(name), queries.audit_trail(switches.SUBJECTS[name])
        broken = switches.verify(switch, trail)
        if broken is None:
            break
    return switch, trail, broken


def to_json(name: SwitchName) -> dict[str, Any]:
    """Return a switch with its newest decision and its audit trail, as the API answers it."""
    switch, trail, broken = verified(name)
    decision = {"note": switch.note, "actor": switch.actor, "at": switch.at} if switch.version else None
    return {
        name: switch.on,
        **({"message": switch.message} if name == "selling" else {}),
        "decision": decision,
        "version": switch.version,
        "audit": trail,
        "chain": {"verified": broken is None, "problem": f"record {broken.seq}: {broken.why}" if broken else None},
    }
