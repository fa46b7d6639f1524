"""A record of the audit table that is changed or removed is counted by the function that reads the table's stream."""

from typing import Any

from tests.stack.conftest import Running

KEY = {"subject": {"S": "pay_overwritten"}, "sort_key": {"S": "2026-11-23T18:00:00.000Z#evt_overwritten"}}


def _count(running: Running) -> int:
    return len(list(running.log_lines("AuditRecordChanged")))


def test_a_put_over_a_record_inside_a_transaction_and_a_deletion_are_counted(running: Running) -> None:
    """The table's policy cannot deny the put, because the ledger writes records the same way."""
    assert running.stack.aws is not None
    assert running.stack.deployed is not None
    dynamodb: Any = running.stack.aws.client("dynamodb")
    table = running.stack.deployed.resources["AuditTable"]

    def put(type_: str) -> None:
        item = {**KEY, "type": {"S": type_}}
        dynamodb.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": item}}])

    before = _count(running)
    put("payment_intent.succeeded")
    put("payment_intent.canceled")
    running.until(lambda: _count(running) > before, "the overwritten record is counted")
    dynamodb.delete_item(TableName=table, Key=KEY)
    running.until(lambda: _count(running) > before + 1, "the deleted record is counted")
