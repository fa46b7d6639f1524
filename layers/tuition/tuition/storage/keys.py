"""The keys of the tables' items, as DynamoDB writes them: the one place that knows their format."""

import zlib
from collections.abc import Mapping
from typing import NamedTuple

from tuition.storage.dynamodb import Item

USER_SORT_KEY = "#user"
"""The sort key, in the enrollments table, of a user's own audit chain, which belongs to no track."""
"""The name, in the cursors table, of the switch that stops new purchases."""
TAGS = "tags"
"""The name, in the notes table, of the item with all tags of a user or payment. No id of a note is equal to it."""
_ABOUT_USER = "user"
ALL_STAFF = "all staff"
"""The hash key, in the activity table, of the list of staff. No user id has a space."""
WORDS = "words"
"""The sort key, in the search table, of the item with all words of a payment."""
_WORD, _PAYMENT = "word#", "payment#"


class Shards(NamedTuple):
    """Over how many shards the values of an index's hash key are spread: as writers write them, and as readers read.

    The two differ only in the first of the two releases that change a number.
    """

    to_write: int
    to_read: int


SHARDS: Mapping[str, Shards] = {
    "collect_due": Shards(to_write=8, to_read=8),  # by_collect of the plans, which only the collector reads
    "plan_status": Shards(to_write=1, to_read=1),  # by_status of the plans
    "check_due": Shards(to_write=8, to_read=8),  # by_check, which only the reconciler reads
    "status_track": Shards(to_write=1, to_read=1),  # by_status
    "created_month": Shards(to_write=1, to_read=1),  # by_day
    "kept": Shards(to_write=1, to_read=1),  # by_first_at and by_last_at of the quarantine
    "recorded_day": Shards(to_write=8, to_read=8),  # by_recorded_day of the audit table
    "word": Shards(to_write=1, to_read=1),  # the search table
}
"""The shards of each index, by the attribute of its hash key. One hash key takes 1,000 write units per second.

A page of the console reads every shard, so a number above 1 costs it that many queries. Raise `to_read` in one release
and `to_write` in the next, and never lower `to_read`: docs/decisions/0019-shards-of-index-keys.md.
"""


def sharded(attribute: str, value: str, item_id: str) -> str:
    """Return the hash key with which an item is written: the value, and the shard that a hash of its id chooses."""
    return f"{value}#{zlib.crc32(item_id.encode()) % SHARDS[attribute].to_write}"


def shards(attribute: str, value: str) -> list[str]:
    """Return every hash key under which items with this value may be found."""
    return [f"{value}#{number}" for number in range(SHARDS[attribute].to_read)]


def payment_key(payment_id: str) -> Item:
    """Return the key of a payment."""
    return {"payment_id": {"S": payment_id}}


def plan_key(plan_id: str) -> Item:
    """Return the key of a plan."""
    return {"plan_id": {"S": plan_id}}


def enrollment_key(user_id: str, sort_key: str) -> Item:
    """Return the key of an enrollment (sort key: the track or membership), of progress, or of a user's own chain."""
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


def effect_key(consumer: str, subject: str, sort_key: str) -> Item:
    """Return the key of what a consumer did about a record; the sort key begins with the record's own."""
    return {"consumer_subject": {"S": f"{consumer}#{subject}"}, "sort_key": {"S": sort_key}}


def note_key(user_id: str, sort_key: str) -> Item:
    """Return the key of a note, or of tags, of a user."""
    return {"user_id": {"S": user_id}, "sort_key": {"S": sort_key}}


def note_sort_key(payment_id: str | None, name: str) -> str:
    """Return the sort key of a note or of `TAGS`, about a payment or about the user: all of one begin alike."""
    return f"{payment_id or _ABOUT_USER}#{name}"


def payment_of_note(sort_key: str) -> str | None:
    """Return the payment that a note or tags are about; None if it is the user."""
    topic = sort_key.partition("#")[0]
    return None if topic == _ABOUT_USER else topic


def search_key(word: str, listed_at: str) -> Item:
    """Return the key of a word of a payment, or of all words of one."""
    return {"word": {"S": word}, "listed_at": {"S": listed_at}}


def searched_word(word: str, payment_id: str) -> str:
    """Return the hash key of a payment's word."""
    return sharded("word", f"{_WORD}{word}", payment_id)


def searched_words(word: str) -> list[str]:
    """Return every hash key under which payments with a word may be found."""
    return shards("word", f"{_WORD}{word}")


def searched_payment(payment_id: str) -> str:
    """Return the hash key of the item with all words of a payment; its sort key is `WORDS`."""
    return f"{_PAYMENT}{payment_id}"


def payment_of_search(hash_key: str) -> str:
    """Return the payment of an item with all words of one."""
    return hash_key.removeprefix(_PAYMENT)


def activity_key(actor: str, sort_key: str) -> Item:
    """Return the key of an action of a member of staff, or under `ALL_STAFF` of the member."""
    return {"actor": {"S": actor}, "sort_key": {"S": sort_key}}


def quarantine_key(event_id: str) -> Item:
    """Return the key of a quarantined event."""
    return {"event_id": {"S": event_id}}


def cursor_key(name: str) -> Item:
    """Return the key of a walk's cursor."""
    return {"name": {"S": name}}


def roll_up_key(period: str, measure: str) -> Item:
    """Return the key of a roll-up (`tuition.core.rollups.RollUpKey`)."""
    return {"period": {"S": period}, "measure": {"S": measure}}


def count_key(period: str, measure: str) -> Item:
    """Return the key of the counts of one measure in a month (`2026-11`)."""
    return {"period": {"S": period}, "measure": {"S": measure}}
