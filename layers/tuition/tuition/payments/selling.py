"""Stop selling, and sell again. No deploy is needed, and every create that begins afterwards is refused."""

from dataclasses import replace

from tuition import clock
from tuition.core import timestamps
from tuition.core.audit import AuditEntry
from tuition.core.errors import Conflicted, NotSelling
from tuition.core.selling import Selling
from tuition.settings import settings
from tuition.storage import selling_switch
from tuition.storage.selling_switch import SellingChange


def require_on(selling: Selling) -> None:
    """Raise `NotSelling` if staff have stopped selling. The error says what students should read."""
    problem = selling.explanation(settings().support_contact)
    if problem:
        raise NotSelling(problem)


def decide(*, on: bool, note: str, message: str | None, staff: str, expected_version: int | None = None) -> Selling:
    """Stop selling with a message for students, or sell again. Return the switch.

    Repeating a decision with the same message changes nothing, unless the switch differs from its records: then the new
    record says again what holds. With `expected_version`, a decision about an older state raises `Conflicted`: staff
    must not sell again after a stop that they have not seen. Raises `Contended`.
    """

    def change(before: Selling, is_verified: bool) -> SellingChange | None:
        if is_verified and (before.on, before.message) == (on, message):
            return None
        if expected_version not in (None, before.version):
            raise Conflicted("Other staff changed this in the meantime. Reload, then decide again.")
        at = timestamps.iso(clock.now())
        after = replace(before, on=on, message=message, note=note, actor=staff, at=at)
        kind = "selling.started" if on else "selling.stopped"
        return SellingChange(after, AuditEntry(at, f"selling:{before.version + 1}", kind, "staff", staff))

    return selling_switch.update(change)
