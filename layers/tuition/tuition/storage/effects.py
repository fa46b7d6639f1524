"""Claims of consumers: each effect of an event outside our tables, such as an email, happens at most once.

A consumer claims an effect before it acts, and notes afterwards what it did. A claim that stays alone shows that the
consumer died between the two, so the effect may or may not have happened.
"""

import hashlib
import uuid
from typing import NamedTuple

from tuition import clock
from tuition.core import timestamps
from tuition.storage import dynamodb, keys
from tuition.storage.dynamodb import ConditionFailed, Item
from tuition.storage.items import EffectItem

ADDRESS = "address"
"""The consumer in the keys of undeliverable addresses."""
DELIVERY = "delivery"


class Effect(NamedTuple):
    """One effect: the consumer, the subject of the record, and what begins with the record's sort key."""

    consumer: str
    subject: str
    sort_key: str
    kind: str

    @property
    def item_key(self) -> Item:
        """The key of its item."""
        return keys.effect_key(self.consumer, self.subject, self.sort_key)


def claim(effect: Effect) -> EffectItem | None:
    """Claim an effect. Return None if it is ours now, else the item that is there."""
    return _add(effect, "claimed", None)


def skip(effect: Effect, reason: str) -> EffectItem | None:
    """Note that an effect never happens, and why. Return None, or the item that was there before."""
    return _add(effect, "skipped", reason)


def _add(effect: Effect, state: str, reason: str | None) -> EffectItem | None:
    """Add the item. A retry after a lost answer finds its own item, which its `holder` shows."""
    holder = uuid.uuid4().hex
    values = {":state": {"S": state}, ":kind": {"S": effect.kind}, ":at": {"S": timestamps.iso(clock.now())}}
    values |= {":holder": {"S": holder}}
    expression = "SET #state = :state, kind = :kind, #at = :at, holder = :holder"
    if reason:
        expression, values = f"{expression}, reason = :reason", values | {":reason": {"S": reason}}
    try:
        _update(effect, expression, "attribute_not_exists(consumer_subject)", values)
    except ConditionFailed as failed:
        existing = EffectItem.from_raw_data(failed.item)
        return None if existing.holder == holder else existing
    return None


def sent(effect: Effect, message_id: str) -> None:
    """Note that a claimed email was sent, with SES's id of it."""
    values = {":state": {"S": "sent"}, ":id": {"S": message_id}, ":at": {"S": timestamps.iso(clock.now())}}
    _update(effect, "SET #state = :state, message_id = :id, #at = :at", "attribute_exists(consumer_subject)", values)


def unsent(effect: Effect) -> bool:
    """Note that a claim has no sending. Return False if that was noted before, or the email was sent meanwhile."""
    values = {":state": {"S": "unsent"}, ":claimed": {"S": "claimed"}}
    try:
        _update(effect, "SET #state = :state", "#state = :claimed", values, ("#state",))
    except ConditionFailed:
        return False
    return True


def release(effect: Effect) -> None:
    """Give a claim back: the effect has certainly not happened."""
    dynamodb.delete(EffectItem, effect.item_key)


def _update(
    effect: Effect, expression: str, condition: str, values: Item, names: tuple[str, ...] = ("#state", "#at")
) -> None:
    names_of = {name: name.removeprefix("#") for name in names}
    dynamodb.update(EffectItem, effect.item_key, expression, condition=condition, names=names_of, values=values)


# --- addresses ---


def note_undeliverable(address: str, problem: str) -> None:
    """Remember that an address bounces for good, or that its owner complained. The address itself is not stored."""
    values = {":state": {"S": problem}, ":at": {"S": timestamps.iso(clock.now())}}
    dynamodb.update(
        EffectItem,
        _address_key(address),
        "SET #state = :state, #at = :at",
        names={"#state": "state", "#at": "at"},
        values=values,
    )


def forget_address(address: str) -> None:
    """Remove what is remembered of an address that was corrected or erased. A hash would still name it."""
    dynamodb.delete(EffectItem, _address_key(address))


def delivery_problem(address: str | None) -> dict[str, str] | None:
    """Return `{"problem", "at"}` of an address that bounces or complained; None if no problem is known."""
    raw = dynamodb.get(EffectItem, _address_key(address)) if address else None
    if raw is None:
        return None
    item = EffectItem.from_raw_data(raw)
    return {"problem": item.state, "at": item.at}


def _address_key(address: str) -> Item:
    return keys.effect_key(ADDRESS, address_hash(address), DELIVERY)


def address_hash(address: str) -> str:
    """Return what stands for an email address in keys: SHA-256 of the address without case, in hex."""
    return hashlib.sha256(address.strip().casefold().encode()).hexdigest()
