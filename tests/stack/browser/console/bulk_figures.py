"""The roll-ups of many payments at once, written directly into the table and removed again.

They are what the recount computes for these payments (`core/rollups.py`), in a currency that no other test uses. The
payments themselves are not stored.
"""

import time
from collections import Counter
from dataclasses import replace
from types import TracebackType
from typing import Any

from botocore.exceptions import ClientError

from tests.stack.conftest import Running
from tuition.core import rollups, timestamps
from tuition.core.facts import Balance, Charge, Dispute, Facts, Refund, Settled
from tuition.core.money import Money
from tuition.core.payment import Payment, Terms
from tuition.core.rollups import Contribution, RollUpKey
from tuition.storage import dynamodb, keys
from tuition.storage.items import RollUpItem

CURRENCY = "chf"
BATCH_SIZE = 25
TRIES = 5
PRICES = {"DP": 49_900, "FSD": 59_900}
FEE = 1_477


class BulkFigures:
    """A context manager with the roll-ups of `count` payments, spread over the days of this year (UTC) until today."""

    def __init__(self, running: Running, count: int) -> None:
        self.client, self.table = running.client("dynamodb"), running.resource("AnalyticsTable")
        now = int(time.time())
        self.year = timestamps.iso(now)[:4]
        first = int(timestamps.epoch(f"{self.year}-01-01T00:00:00Z"))
        times = (first + (now - 120 - first) * number // count for number in range(count))
        self.payments = [build_payment(number, at) for number, at in enumerate(times)]
        zones = sorted({str(running.staff("/analytics", zone=zone)["range"]["zone"]) for zone in ("utc", "school")})
        self.contribution = rollups.total(rollups.contribution(payment, zones) for payment in self.payments)

    def __enter__(self) -> "BulkFigures":
        self._change(self.contribution)
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._change(rollups.difference(self.contribution, {}))

    def _change(self, difference: Contribution) -> None:
        """Add to the roll-ups. Only those of cohorts have no currency, so only they may be another test's too."""
        own = {key: figures for key, figures in difference.items() if CURRENCY in key.parts}
        self._write(own, is_removal=any(number < 0 for figures in own.values() for number in figures.values()))
        for key in difference.keys() - own.keys():
            for _ in range(TRIES):
                if self._add(key, difference[key]):
                    break
            else:
                raise AssertionError(f"{key} changes all the time")

    def _write(self, own: Contribution, *, is_removal: bool) -> None:
        requests: list[dict[str, Any]] = []
        for key, figures in own.items():
            item_key = keys.roll_up_key(key.period, key.measure)
            item = RollUpItem(key.period, key.measure, figures=figures, version=1)
            put = {"PutRequest": {"Item": dynamodb.to_raw(item)}}
            requests.append({"DeleteRequest": {"Key": item_key}} if is_removal else put)
        for start in range(0, len(requests), BATCH_SIZE):
            batch = requests[start : start + BATCH_SIZE]
            assert not self.client.batch_write_item(RequestItems={self.table: batch})["UnprocessedItems"]

    def _add(self, key: RollUpKey, figures: rollups.Figures) -> bool:
        """Add to a roll-up on condition of the version that was read. Return False if another writer was first."""
        raw = self.client.get_item(TableName=self.table, Key=keys.roll_up_key(key.period, key.measure)).get("Item")
        item = RollUpItem.from_raw_data(raw) if raw else RollUpItem(key.period, key.measure, figures={}, version=0)
        version = int(item.version)
        item.figures, item.version = rollups.added(item.figures, figures), version + 1
        condition = "version = :version" if version else "attribute_not_exists(version)"
        values = {"ExpressionAttributeValues": {":version": {"N": str(version)}}} if version else {}
        put = {"TableName": self.table, "Item": dynamodb.to_raw(item), "ConditionExpression": condition}
        try:
            self.client.put_item(**put, **values)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def books(self) -> Counter[str]:
        """Add up the payments without a roll-up: the figures of the year in minor units, and numbers of payments."""
        sums: Counter[str] = Counter()
        for payment in self.payments:
            facts = payment.facts
            sums["payments"] += 1
            sums["paid"] += facts.settled is not None
            sums["settled"] += facts.settled.amount if facts.settled else 0
            if facts.settled:
                sums[f"settled in {timestamps.iso(facts.settled.at)[:7]}"] += facts.settled.amount
            sums["refunded"] += sum(refund.amount for refund in facts.refunds.values())
            sums["disputed"] += sum(dispute.amount for dispute in facts.disputes.values())
            sums["lost"] += sum(one.amount for one in facts.disputes.values() if one.status == "lost")
            sums["fees"] += facts.balance.fee if facts.balance else 0
            sums["declined"] += sum(charge.status == "failed" for charge in facts.charges.values())
            sums[f"settled for {payment.track}"] += facts.settled.amount if facts.settled else 0
        sums["net"] = sums["settled"] - sums["refunded"] - sums["lost"] - sums["fees"]
        return sums


def build_payment(number: int, created: int) -> Payment:
    """Return a payment that was created at this time (epoch seconds). Its state depends on its number only."""
    track = ("DP", "FSD")[number % 2]
    price, kind = Money(PRICES[track] - number % 7, CURRENCY), number // 2 % 20
    charge = Charge("succeeded", price.amount, created, "card", "visa", "4242", currency=CURRENCY)
    settled, balance = Settled(price.amount, CURRENCY, created + 30), Balance(FEE, price.amount - FEE, CURRENCY)
    facts = Facts(settled=settled, charges={f"ch_{number}": charge}, balance=balance)
    if kind == 0:
        facts = Facts(charges={f"ch_{number}": Charge("failed", price.amount, created, "card", code="card_declined")})
    elif kind == 1:
        facts = replace(facts, refunds={f"re_{number}": Refund("succeeded", 10_000, created + 60)})
    elif kind == 2:
        status = "lost" if number % 4 else "won"
        facts = replace(facts, disputes={f"du_{number}": Dispute(1, status, price.amount, created + 60, "general")})
    at = timestamps.iso(created)
    code = "WELCOME" if kind == 3 else None
    return Payment(
        payment_id=f"pay_figures{number}", user_id=f"figures-{number}", track=track, kind="intent", attempt=1,
        stripe_object_id=f"pi_figures{number}", price=price, created_at=at, updated_at=at, facts=facts,
        terms=Terms(list_amount=PRICES[track], promotion_code=code),
    )  # fmt: skip
