"""Stop selling or collecting, and start again. No deploy is needed.

Every create that begins after selling was stopped is refused. The collector reads its switch before each plan.
"""

from collections.abc import Mapping
from dataclasses import replace

from tuition import clock
from tuition.core import switches, timestamps
from tuition.core.audit import AuditEntry
from tuition.core.errors import Conflicted, NotSelling
from tuition.core.switches import Switch, SwitchName
from tuition.settings import settings
from tuition.storage import switches as storage
from tuition.storage.switches import SwitchChange

_TYPES: Mapping[tuple[SwitchName, bool], str] = {
    ("selling", True): "selling.started",
    ("selling", False): "selling.stopped",
    ("collecting", True): "collecting.started",
    ("collecting", False): "collecting.stopped",
}
"""The types of the records."""


def require_selling(selling: Switch) -> None:
    """Raise `NotSelling` if staff have stopped selling. The error says what students should read."""
    problem = switches.not_selling(selling, settings().support_contact)
    if problem:
        raise NotSelling(problem)


def decide(
    name: SwitchName,
    *,
    on: bool,
    note: str,
    staff: str,
    message: str | None = None,
    expected_version: int | None = None,
) -> Switch:
    """Turn a switch. Return it. `message` is for students, while nothing is sold.

    Repeating a decision with the same message changes nothing, unless the switch differs from its records: then the new
    record says again what holds. With `expected_version`, a decision about an older state raises `Conflicted`: staff
    must not start again after a stop that they have not seen. Raises `Contended`.
    """

    def change(before: Switch, is_verified: bool) -> SwitchChange | None:
        if is_verified and (before.on, before.message) == (on, message):
            return None
        if expected_version not in (None, before.version):
            raise Conflicted("Other staff changed this in the meantime. Reload, then decide again.")
        at = timestamps.iso(clock.now())
        after = replace(before, on=on, message=message, note=note, actor=staff, at=at)
        entry = AuditEntry(at, f"{name}:{before.version + 1}", _TYPES[name, on], "staff", staff)
        return SwitchChange(after, entry)

    return storage.update(name, change)
