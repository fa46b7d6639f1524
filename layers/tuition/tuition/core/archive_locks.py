"""Which locks of the archive are extended: those of objects whose payment's money moved after the object was written.

An object is locked when it is written, as if its payment's money had moved last on that day. If money moves later, the
payment is kept longer (`tuition.core.retention`), and its objects must be locked for as long.
"""

from tuition.core import archive, retention

FOLDERS = {"final/": archive.FINAL_FORM_YEARS, "records/": archive.RECORD_YEARS}
"""The folders of the archive, and for how many years after the year of the last movement their objects are locked."""
SWEEP_FROM = "10-01"
"""The day of each year from which the locks that end with the year are looked at."""
LATE_UNTIL = "01-31"
"""The day of the next year until which an object may be written late, with the lock of the year before."""
DELETED_BY = "04-01"
"""The day by which the yearly deletion has deleted the payments whose retention period ended in the year before."""
PAYMENT = "pay_"
"""How the subjects begin that are payments. The other chains have no money that moves."""
MAX_ID_LENGTH = 255


def last_sweep_due(now: str) -> str:
    """Return the first day of the newest sweep that should have begun at this time (RFC 3339 UTC)."""
    begins = f"{now[:4]}-{SWEEP_FROM}"
    return begins if begins <= now else f"{int(now[:4]) - 1}-{SWEEP_FROM}"


def horizon(year: int) -> str:
    """Return the last moment of a year: a lock that ends later is looked at in another year."""
    return f"{year}-12-31T23:59:59.999Z"


def last_day(year: int, folder: str) -> str:
    """Return the last day of writing whose objects of a folder may have a lock that ends with this year, or before."""
    return f"{year - FOLDERS[folder] + 1}-{LATE_UNTIL}"


def payment_of(object_key: str) -> str | None:
    """Return the payment of a final form, which its name has (`13-pay_…-v5.json.gz`); None for another name."""
    name = object_key.rpartition("/")[2].partition("-")[2]
    payment, _, version = name.removesuffix(".json.gz").rpartition("-v")
    return payment if payment and version.isdigit() and name.endswith(".json.gz") else None


def is_payment_id(subject: str) -> bool:
    """Whether a subject can be the id of a payment: text of this form, and no longer than a key of DynamoDB may be."""
    return len(subject) <= MAX_ID_LENGTH and subject.isascii() and subject.isprintable()


def needed_until(last: str | None, folder: str, now: str) -> str:
    """Return until when the objects of a payment that was not deleted are locked; its money moved last at `last`.

    A payment that should have been deleted long ago is kept by a legal hold, or because something may still happen to
    it. Its objects are locked until the end of the next year, in which they are looked at again. So are those of a
    payment whose last movement is not known (None).
    """
    if last is None:
        return archive.locked_until(now, 1, for_years=True)
    until = archive.locked_until(last, FOLDERS[folder], for_years=True)
    if f"{retention.years_later(retention.kept_until(last), 1)[:4]}-{DELETED_BY}" <= now:
        return max(until, archive.locked_until(now, 1, for_years=True))
    return until
