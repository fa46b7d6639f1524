"""The keys of the tables' items, as DynamoDB writes them: the one place that knows their format."""

import unicodedata

from tuition.storage.dynamodb import Item

USER_SORT_KEY = "#user"
"""The sort key, in the enrollments table, of a user's own audit chain, which belongs to no track."""


def payment_key(payment_id: str) -> Item:
    """Return the key of a payment."""
    return {"payment_id": {"S": payment_id}}


def email_text(address: str) -> str:
    """Return an email address, or its beginning, as the index has it: without case, and composed (Unicode NFC).

    Casefolding can decompose a letter, so it comes first. https://www.unicode.org/reports/tr15/
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", address).casefold())


def enrollment_key(user_id: str, sort_key: str) -> Item:
    """Return the key of an enrollment (sort key: the track), of progress, or of a user's own chain."""
    return {"user_id": {"S": user_id}, "sort_key": {"S": sort_key}}


def project_sort_key(track: str, project: str) -> str:
    """Return the sort key, in the enrollments table, of the progress in a project."""
    return f"{track}#{project}"


def project_of(sort_key: str) -> str | None:
    """Return the project whose progress this sort key names; None for an enrollment or a user's chain."""
    track, _, project = sort_key.partition("#")
    return project if track and project else None


def stripe_object_key(stripe_id: str) -> Item:
    """Return the key of the pointer from a Stripe id."""
    return {"stripe_id": {"S": stripe_id}}


def customer_key(user_id: str) -> Item:
    """Return the key of a user's Stripe customer."""
    return {"user_id": {"S": user_id}}


def limits_key(user_id: str) -> Item:
    """Return the key of a user's limits."""
    return {"user_id": {"S": user_id}}


def audit_key(subject: str, sort_key: str) -> Item:
    """Return the key of an audit record; the sort key is `<time>#<event id>`."""
    return {"subject": {"S": subject}, "sort_key": {"S": sort_key}}


def quarantine_key(event_id: str) -> Item:
    """Return the key of a quarantined event."""
    return {"event_id": {"S": event_id}}


def cursor_key(name: str) -> Item:
    """Return the key of a walk's cursor."""
    return {"name": {"S": name}}


def count_key(period: str, measure: str) -> Item:
    """Return the key of the counts of one measure in a month (`2026-11`)."""
    return {"period": {"S": period}, "measure": {"S": measure}}
