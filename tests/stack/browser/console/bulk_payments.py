"""Many payments at once, for lists and exports, written directly into the table and deleted again.

They have no audit trail and no student, so they must be deleted before the invariants are checked.
"""

from datetime import datetime, timedelta
from types import TracebackType
from typing import Any

from tests.stack.conftest import Running
from tuition import clock
from tuition.core import timestamps
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.storage import dynamodb, keys, mapping

BATCH_SIZE = 25


class BulkPayments:
    """A context manager with `count` unpaid payments, created at intervals of `interval` from `first` on."""

    def __init__(self, running: Running, count: int, first: datetime, interval: timedelta) -> None:
        aws, deployed = running.stack.aws, running.stack.deployed
        assert aws is not None
        assert deployed is not None
        self.client = aws.client("dynamodb")
        self.table = deployed.resources["PaymentsTable"]
        self.payments = [build_payment(number, first + number * interval) for number in range(count)]

    def __enter__(self) -> "BulkPayments":
        items = [mapping.payment_to_item(payment, clock.now(), []) for payment in self.payments]
        for item in items:
            item.check_due = item.check_at = None  # keep the reconciler away from them
        self._write([{"PutRequest": {"Item": dynamodb.to_raw(item)}} for item in items])
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._write([{"DeleteRequest": {"Key": keys.payment_key(payment.payment_id)}} for payment in self.payments])

    def _write(self, requests: list[dict[str, Any]]) -> None:
        for start in range(0, len(requests), BATCH_SIZE):
            batch = requests[start : start + BATCH_SIZE]
            response = self.client.batch_write_item(RequestItems={self.table: batch})
            assert not response["UnprocessedItems"]

    def count_in(self, period: str) -> int:
        """The number of payments created in a month (`2021-03`) or on a day (`2021-03-04`)."""
        return sum(payment.created_at.startswith(period) for payment in self.payments)


def build_payment(number: int, created: datetime) -> Payment:
    created_at = timestamps.iso(created.timestamp())
    suffix = f"bulk{created.timestamp():.0f}x{number}"
    return Payment(
        payment_id=f"pay_{suffix}", user_id=f"bulk-{number}", track="DP", kind="intent",
        attempt=1, stripe_object_id=f"pi_{suffix}", price=Money(49900, "usd"), created_at=created_at,
        updated_at=created_at, email=f"bulk-{number}@example.org",
    )  # fmt: skip
