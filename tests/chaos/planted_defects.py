"""Planted defects, written as a developer might write them: tests that pass with them prove nothing.

Each defect receives a function that sets an attribute, so that it can be installed in another process for good, or in
this one for a while.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from tuition.core.errors import NotFound, TuitionError
from tuition.intake import stripe_events
from tuition.payments import opening, refunds
from tuition.storage import dynamodb, keys, ledger
from tuition.storage.dynamodb import StorageUnavailable
from tuition.storage.items import QuarantineItem, StripeObjectItem
from tuition.stripe_gateway import client as stripe_client

SetAttribute = Callable[[Any, str, Any], object]
DEFECTS: dict[str, Callable[[SetAttribute], None]] = {}


def defect(install: Callable[[SetAttribute], None]) -> Callable[[SetAttribute], None]:
    DEFECTS[install.__name__] = install
    return install


def _split_transaction(is_separate: Callable[[str], bool]) -> Callable[..., None]:
    """Return a `_write` that commits some of the writes in a second transaction."""
    real = ledger._write

    def write(writes: Mapping[str, Any], before: Any, *, is_sync: bool) -> None:
        second = {name: one for name, one in writes.items() if is_separate(name)}
        real({name: one for name, one in writes.items() if name not in second}, before, is_sync=is_sync)
        if second:
            real(second, before, is_sync=is_sync)

    return write


@defect
def enrollment_in_a_second_transaction(put: SetAttribute) -> None:
    put(ledger, "_write", _split_transaction(lambda name: name == "enrollment" or name.startswith("progress")))


@defect
def audit_record_in_a_second_transaction(put: SetAttribute) -> None:
    put(ledger, "_write", _split_transaction(lambda name: name == "audit"))


@defect
def pointer_in_a_second_transaction(put: SetAttribute) -> None:
    put(ledger, "_write", _split_transaction(lambda name: name.startswith("pointer")))


@defect
def refund_created_before_its_request_is_stored(put: SetAttribute) -> None:
    real = refunds._add

    def add(ref: Any, ask: Any, type_: str, by: Any) -> Any:
        state = ledger.load(ref)
        payment = state.existing
        request = ask(state)
        if request and request.state == "submitting":
            refunds._submit(ref, payment, request, by)
        return real(ref, ask, type_, by)

    put(refunds, "_record_refund", lambda ref, request, refund, by: ledger.load(ref).payment)
    put(refunds, "_add", add)


@defect
def new_idempotency_key_per_retry(put: SetAttribute) -> None:
    real = stripe_client._ask

    def ask(operation: Any, key: str | None = None) -> Any:
        return real(lambda client, options: operation(client, {"idempotency_key": str(uuid.uuid4())}), key)

    put(stripe_client, "_ask", ask)


@defect
def webhook_acknowledged_before_the_commit(put: SetAttribute) -> None:
    """The webhook responds 200 even if the commit fails, like a webhook that queues events in memory."""
    real = stripe_events._apply

    def apply(event: Any) -> Any:
        try:
            return real(event)
        except TuitionError:
            return "applied"

    put(stripe_events, "_apply", apply)


@defect
def event_marked_as_processed_before_it_is_applied(put: SetAttribute) -> None:
    """The solution of most tutorials: a table of processed event ids, written first."""
    real = stripe_events._apply

    def apply(event: Mapping[str, Any]) -> Any:
        key = {"stripe_id": {"S": f"seen {event['id']}"}}
        name = dynamodb.table_name(StripeObjectItem)
        if "Item" in dynamodb.client().get_item(TableName=name, Key=key, ConsistentRead=True):
            return "applied"
        dynamodb.client().put_item(TableName=name, Item=key)
        return real(event)

    put(stripe_events, "_apply", apply)


@defect
def replay_deletes_the_event_before_it_is_applied(put: SetAttribute) -> None:
    def replay(event_id: str, _staff: str | None = None) -> Any:
        key = {"TableName": dynamodb.table_name(QuarantineItem), "Key": keys.quarantine_key(event_id)}
        response = dynamodb.client().get_item(**key)
        if "Item" not in response:
            raise NotFound(event_id)
        dynamodb.client().delete_item(**key)
        return stripe_events.apply(json.loads(response["Item"]["event"]["S"]))

    put(stripe_events, "replay", replay)


@defect
def client_secret_returned_before_the_commit(put: SetAttribute) -> None:
    """The student can pay although the payment was never stored."""
    real = opening.commit

    def commit(payment: Any, answer: Any, *rest: Any, **options: Any) -> Any:
        try:
            return real(payment, answer, *rest, **options)
        except StorageUnavailable:
            return opening.OpenedPayment(payment, answer.object, new=True)

    put(opening, "commit", commit)
