"""Defects to plant, as somebody might write them: each must be caught, or the tests that pass show nothing.

A plant is told how to set an attribute, so that it can be put in for good (a process of its own) or for a while.
"""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from tuition import ledger, refunds, stripe_client, stripe_events, tables
from tuition.core.errors import NotFound, TuitionError

Set = Callable[[Any, str, Any], object]
PLANTS: dict[str, Callable[[Set], None]] = {}


def plant(put: Callable[[Set], None]) -> Callable[[Set], None]:
    PLANTS[put.__name__] = put
    return put


def _in_two(alone: Callable[[str], bool]) -> Callable[..., None]:
    """The transaction without some of its writes, and those in one of their own afterwards."""
    real = ledger._write

    def write(writes: Mapping[str, Any], before: Any, *, pull: bool) -> None:
        later = {name: one for name, one in writes.items() if alone(name)}
        real({name: one for name, one in writes.items() if name not in later}, before, pull=pull)
        if later:
            real(later, before, pull=pull)

    return write


@plant
def enrollment_in_a_second_transaction(put: Set) -> None:
    put(ledger, "_write", _in_two(lambda name: name == "enrollment" or name.startswith("progress")))


@plant
def audit_record_in_a_call_of_its_own(put: Set) -> None:
    put(ledger, "_write", _in_two(lambda name: name == "audit"))


@plant
def pointer_put_after_the_payment(put: Set) -> None:
    put(ledger, "_write", _in_two(lambda name: name.startswith("pointer")))


@plant
def refund_called_before_the_request_is_stored(put: Set) -> None:
    real = refunds._add

    def add(key: Any, ask: Any, type_: str, by: Any) -> Any:
        payment = ledger.load(key).payment
        assert payment
        asked = ask(payment)
        if asked and asked.state == "calling":
            refunds._call(key, payment, asked, by)
        return real(key, ask, type_, by)

    put(refunds, "_told", lambda key, known, made, by: ledger.load(key).payment)
    put(refunds, "_add", add)


@plant
def new_idempotency_key_per_retry(put: Set) -> None:
    real = stripe_client._ask

    def ask(operation: Any, key: str | None = None) -> Any:
        return real(lambda client, options: operation(client, {"idempotency_key": str(uuid.uuid4())}), key)

    put(stripe_client, "_ask", ask)


@plant
def webhook_acknowledged_before_the_commit(put: Set) -> None:
    """Answered 200 whatever becomes of it, as by one who queues it in memory."""
    real = stripe_events._apply

    def apply(event: Any) -> Any:
        try:
            return real(event)
        except (TuitionError, *_AWS):
            return "applied"

    put(stripe_events, "_apply", apply)


def _aws() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError


_AWS = _aws()


@plant
def event_marked_as_seen_before_it_is_applied(put: Set) -> None:
    """The way of most tutorials: a table of seen ids, written first."""
    real = stripe_events._apply

    def apply(event: Mapping[str, Any]) -> Any:
        key = {"stripe_id": {"S": f"seen {event['id']}"}}
        name = tables.table(tables.PointerItem)
        if "Item" in tables.client().get_item(TableName=name, Key=key, ConsistentRead=True):
            return "applied"
        tables.client().put_item(TableName=name, Item=key)
        return real(event)

    put(stripe_events, "_apply", apply)


@plant
def replay_forgets_before_it_applies(put: Set) -> None:
    import json

    def replay(event_id: str, _staff: str | None = None) -> Any:
        key = {"TableName": tables.table(tables.QuarantineItem), "Key": tables.quarantine_key(event_id)}
        found = tables.client().get_item(**key)
        if "Item" not in found:
            raise NotFound(event_id)
        tables.client().delete_item(**key)
        return stripe_events.apply(json.loads(found["Item"]["event"]["S"]))

    put(stripe_events, "replay", replay)


@plant
def secret_answered_before_the_commit(put: Set) -> None:
    """The student gets what to pay with although the table does not know of it."""
    from tuition import checkout

    real = checkout._keep

    def keep(made: Any, answer: Any, *rest: Any) -> Any:
        try:
            return real(made, answer, *rest)
        except _AWS:
            return checkout.Offer(made, answer.object, new=True)

    put(checkout, "_keep", keep)
