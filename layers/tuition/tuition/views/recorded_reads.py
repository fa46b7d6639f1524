"""Record on the chain of a member of staff whose data they have read: ids only, before anything is shown.

The page of a user or a payment shows one person's data, and so do the result of a search and the answer to a decision,
which may change nothing. A list without a search is not about one person. A member of staff who reads the same person's
data again within an hour leaves no further record: the record says that there was at least one read in the hour.
"""

import hashlib
from collections.abc import Iterable

from tuition import clock
from tuition.cache import Cache
from tuition.core import timestamps
from tuition.core.audit import AuditEntry
from tuition.core.errors import Unavailable
from tuition.storage import ledger

HOUR_S = 3600
READ_RECORD = "data.read"
"""The type of the record. Its time is the start of the hour."""

_recorded: Cache[bool] = Cache()
"""The reads that this container has recorded, by member of staff, person and hour."""


def record(staff: str, user_ids: Iterable[str]) -> None:
    """Record that a member of staff reads these people's data, unless this hour has the record.

    One transaction, for at most a page of people. Raises `Unavailable` if there is no record afterwards: then nothing
    may be shown.
    """
    hour = timestamps.iso(int(clock.now()) // HOUR_S * HOUR_S)
    new = [user_id for user_id in sorted({*user_ids}) if not _recorded.get(_name(staff, user_id, hour))]
    if not new:
        return
    event_id = f"read:{hashlib.sha256(chr(10).join(new).encode()).hexdigest()[:32]}"
    entry = AuditEntry(hour, event_id, READ_RECORD, "staff", staff)
    try:
        ledger.record_for_user(staff, entry, {"read": {"users": new}})
    except Unavailable as error:
        raise Unavailable("Your access to this data could not be recorded, so it is not shown. Try again.") from error
    for user_id in new:
        _recorded.keep(_name(staff, user_id, hour), value=True, seconds=HOUR_S)


def _name(staff: str, user_id: str, hour: str) -> str:
    return f"{hour} {staff} {user_id}"  # no user id has a space
