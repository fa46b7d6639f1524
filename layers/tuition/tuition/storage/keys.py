"""The keys of the tables' items, as DynamoDB writes them."""

from tuition.storage.dynamodb import Item

USER_SORT_KEY = "#user"
"""The range key, in `enrollments`, of what belongs to a user and to no track: the head of their own chain."""


def payment_key(payment_id: str) -> Item:
    """The key of a payment."""
    return {"payment_id": {"S": payment_id}}


def enrollment_key(user_id: str, entry: str) -> Item:
    """The key of an enrollment, of progress or of a user's own chain; `entry` is its range."""
    return {"user_id": {"S": user_id}, "entry": {"S": entry}}


def stripe_object_key(stripe_id: str) -> Item:
    """The key of the pointer from a Stripe id."""
    return {"stripe_id": {"S": stripe_id}}


def customer_key(user_id: str) -> Item:
    """The key of a user's Stripe customer."""
    return {"user_id": {"S": user_id}}


def audit_key(subject: str, entry: str) -> Item:
    """The key of a record; `entry` is `<event time>#<event id>`."""
    return {"subject": {"S": subject}, "entry": {"S": entry}}


def quarantine_key(event_id: str) -> Item:
    """The key of an event in quarantine."""
    return {"event_id": {"S": event_id}}


def cursor_key(name: str) -> Item:
    """The key of a walk over Stripe's objects."""
    return {"name": {"S": name}}


def count_key(period: str, measure: str) -> Item:
    """The key of the counts of one measure in a month (`2026-11`)."""
    return {"period": {"S": period}, "measure": {"S": measure}}


def project_sort_key(track: str, project: str) -> str:
    """The range key of the progress in a project."""
    return f"{track}#{project}"
