"""Count what a user asks of Stripe without committing anything: one conditional update before Stripe is asked.

Every container counts in the user's one item, so a bound holds for all of them together. Declines of
payments are counted in the ledger's transactions, payments on the enrollment.
"""

import hashlib
import uuid
from typing import NamedTuple

from tuition import clock, retry
from tuition.core.errors import Contended, TooManyRequests
from tuition.core.limits import KEPT_S, MINUTE_MS, NO_LIMITS, Limits, code_entry
from tuition.settings import settings
from tuition.storage import dynamodb, keys, mapping
from tuition.storage.dynamodb import ConditionFailed, Item, ItemBusy, StorageUnavailable
from tuition.storage.items import LimitsItem


class CodeLookup(NamedTuple):
    """A lookup of a promotion code. It counts as refused unless a create's transaction or `release_code` removes it.

    `own`: this request wrote `entry`. Otherwise it shares the entry of another request for the same code.
    """

    user_id: str
    code_id: str
    entry: str
    own: bool


def take_request(user_id: str, loaded: Limits, requests: int = 1) -> None:
    """Count one request to Stripe. Raises `TooManyRequests` if the user's bucket is full, and `Contended`.

    The bucket takes `stripe_requests_burst` requests, and `stripe_requests_per_minute` leave it. A request that costs
    us more counts as several `requests`, but as no more than the bucket takes.
    """
    burst, each = settings().stripe_requests_burst, MINUTE_MS // settings().stripe_requests_per_minute
    cost = min(requests, burst) * each
    limits = loaded
    for _ in retry.attempts(retry.LIMITS):
        now = int(clock.now() * 1000)
        latest = now + burst * each - cost
        if limits.busy_until_ms > latest:
            wait_s = max(1, -((latest - limits.busy_until_ms) // 1000))
            raise TooManyRequests("You sent too many requests. Wait a moment, then try again.", retry_after_s=wait_s)
        try:
            if limits.busy_until_ms < now:
                free = "attribute_not_exists(busy_until_ms) OR busy_until_ms < :now"
                values = {":now": _number(now), ":until": _number(now + cost)}
                return _update(user_id, "busy_until_ms = :until", free, values)
            values = {":now": _number(now), ":latest": _number(latest), ":cost": _number(cost)}
            has_room = "busy_until_ms BETWEEN :now AND :latest"
            return _update(user_id, "busy_until_ms = busy_until_ms + :cost", has_room, values)
        except ConditionFailed as failed:
            limits = mapping.limits_from_raw(failed.item) if failed.item else NO_LIMITS
        except ItemBusy:
            continue
    raise Contended("You sent many requests at once. Try again.")


def count_decline(user_id: str, key: str, at: int) -> Limits:
    """Count a decline that belongs to no payment, by its id, at a time (epoch seconds). Return the limits after it.

    Counting it again changes nothing. Raises `Contended`.
    """
    for _ in retry.attempts(retry.LIMITS):
        raw = dynamodb.batch_get({LimitsItem: [keys.limits_key(user_id)]})[LimitsItem]
        loaded = mapping.limits_from_raw(raw[0]) if raw else NO_LIMITS
        after = loaded.with_declines({key: at}, int(clock.now()))
        if key not in {entry.partition(":")[2] for entry in after.declines - loaded.declines}:
            return loaded
        values: Item = {":declines": {"SS": sorted(after.declines)}}
        as_loaded = "attribute_not_exists(declines)"
        if loaded.declines:
            as_loaded = "declines = :loaded"
            values[":loaded"] = {"SS": sorted(loaded.declines)}
        try:
            _update(user_id, "declines = :declines", as_loaded, values)
            return after
        except (ConditionFailed, ItemBusy):
            continue
    raise Contended("The limits of this user are being changed by other requests. Try again.")


def begin_code(user_id: str, text: str, loaded: Limits) -> CodeLookup:
    """Count a promotion code before it is looked up. Raises `TooManyRequests` after too many refused ones.

    Requests for the same code at the same time share one entry, because a code that is accepted must not use up the
    limit. Those that share it count as requests to Stripe instead.
    """
    code_id = hashlib.sha256(text.encode()).hexdigest()[:16]
    limits = loaded
    for _ in retry.attempts(retry.LIMITS):
        now = int(clock.now())
        wait_s = limits.wait_after_codes(now, settings().refused_codes_per_ten_minutes)
        if wait_s:
            raise TooManyRequests(
                "You tried too many promotion codes. Try again later, or continue without a code.", wait_s
            )
        shared = limits.code_in_flight(code_id, now)
        if shared:
            take_request(user_id, limits)
            return CodeLookup(user_id, code_id, shared, own=False)
        after = limits.with_code(code_id, now)
        try:
            values = {":codes": {"SS": sorted(after.refused_codes)}}
            as_loaded = "attribute_not_exists(refused_codes)"
            if limits.refused_codes:
                as_loaded = "refused_codes = :loaded"
                values[":loaded"] = {"SS": sorted(limits.refused_codes)}
            _update(user_id, "refused_codes = :codes", as_loaded, values)
            return CodeLookup(user_id, code_id, code_entry(code_id, now), own=True)
        except ConditionFailed as failed:
            limits = mapping.limits_from_raw(failed.item) if failed.item else NO_LIMITS
        except ItemBusy:
            continue
    raise Contended("You sent many promotion codes at once. Try again.")


def refuse_code(lookup: CodeLookup) -> None:
    """Count a refused code that shared the entry of another request. An own entry counts already."""
    if not lookup.own:
        entry = code_entry(f"{uuid.uuid4().hex}:{lookup.code_id}", int(clock.now()))
        dynamodb.update(
            LimitsItem,
            keys.limits_key(lookup.user_id),
            "SET expires_at = :expires ADD refused_codes :codes",
            values={":expires": _expires(), ":codes": {"SS": [entry]}},
        )


def release_code(lookup: CodeLookup) -> None:
    """Stop counting a code that was not refused. If that fails, it counts until its window ends."""
    if lookup.own:
        try:
            dynamodb.update(
                LimitsItem,
                keys.limits_key(lookup.user_id),
                "SET expires_at = :expires DELETE refused_codes :codes",
                values={":expires": _expires(), ":codes": {"SS": [lookup.entry]}},
            )
        except StorageUnavailable:
            return  # it is logged, and the create has its own answer


def _update(user_id: str, assignment: str, condition: str, values: Item) -> None:
    expression = f"SET {assignment}, expires_at = :expires"
    values = {**values, ":expires": _expires()}
    dynamodb.update(LimitsItem, keys.limits_key(user_id), expression, condition=condition, values=values)


def _expires() -> Item:
    return _number(int(clock.now()) + KEPT_S)


def _number(value: int) -> Item:
    return {"N": str(value)}
