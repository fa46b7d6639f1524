"""Many payments at once, for lists and exports: written straight into the table, and taken out again.

They have no audit trail and no student, so they must be gone before the checkers look.
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

A_WRITE = 25


class Loaded:
    """So many unpaid payments of one fictitious class, one each `apart` from `first` on. A context manager."""

    def __init__(self, running: Running, count: int, first: datetime, apart: timedelta) -> None:
        aws, deployed = running.stack.aws, running.stack.deployed
        assert aws is not None
        assert deployed is not None
        self.client = aws.client("dynamodb")
        self.table = deployed.resources["PaymentsTable"]
        self.payments = [payment(number, first + number * apart) for number in range(count)]

    def __enter__(self) -> "Loaded":
        items = [mapping.payment_to_item(one, clock.now(), []) for one in self.payments]
        for item in items:
            item.check_due = item.check_at = None  # the reconciler has no business with them
        self._batch([{"PutRequest": {"Item": dynamodb.to_raw(item)}} for item in items])
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._batch([{"DeleteRequest": {"Key": keys.payment_key(one.payment_id)}} for one in self.payments])

    def _batch(self, requests: list[dict[str, Any]]) -> None:
        for start in range(0, len(requests), A_WRITE):
            answer = self.client.batch_write_item(RequestItems={self.table: requests[start : start + A_WRITE]})
            assert not answer["UnprocessedItems"]

    def within(self, period: str) -> int:
        """How many were begun in a month or on a day."""
        return sum(one.created_at.startswith(period) for one in self.payments)


def payment(number: int, at: datetime) -> Payment:
    begun = timestamps.iso(at.timestamp())
    return Payment(
        payment_id=f"pay_loaded{at.timestamp():.0f}x{number}", user_id=f"loaded-{number}", track="DP", kind="intent",
        attempt=1, stripe_object_id=f"pi_loaded{at.timestamp():.0f}x{number}", price=Money(49900, "usd"), created_at=begun,
        updated_at=begun, email=f"loaded-{number}@example.org",
    )  # fmt: skip
