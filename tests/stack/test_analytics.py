"""Analytics on the running stack: records from the FIFO queue count once, a poison one is kept, and `make recount`."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from local import replay
from tests.stack import commands
from tests.stack.conftest import Running
from tests.stack.queues import short_visibility
from tests.stack.test_events import make_replay
from tuition.core import payment as payment_rules
from tuition.core import rollups
from tuition.core.payment import Payment
from tuition.storage import mapping


@pytest.fixture
def quick_redelivery(running: Running) -> Iterator[None]:
    with short_visibility(running, "AnalyticsQueue", 1):
        yield


def entries(running: Running, payment_id: str) -> list[rollups.QueueEntry]:
    """Return the messages of a payment's audit records."""
    details = running.staff(f"/payments/{payment_id}")
    common = {"subject": payment_id, "user_id": details["payment"]["user_id"], "track": details["payment"]["track"]}
    records = [{**common, **one, "sort_key": f"{one['at']}#{one['event_id']}"} for one in details["audit"]]
    return [entry for entry in map(rollups.queue_entry, records) if entry]


def send(running: Running, group_id: str, deduplication_id: str, body: str) -> None:
    running.client("sqs").send_message(
        QueueUrl=running.resource("AnalyticsQueue"),
        MessageGroupId=group_id,
        MessageDeduplicationId=deduplication_id,
        MessageBody=body,
    )


def settled(running: Running) -> int:
    totals = running.staff("/analytics", track="FSD", currency="usd")["totals"]
    return int(totals[0]["settled"]) if totals else 0


def paid(running: Running, token: str) -> dict[str, Any]:
    payment = running.create(token, "FSD").json()
    running.pay(payment["payment_intent_id"])
    running.until_enrolled(token, "FSD")
    return dict(payment)


@pytest.mark.usefixtures("quick_redelivery")
def test_records_count_once_and_make_recount_finds_nothing_to_correct(running: Running, token: str) -> None:
    count_earlier_tests(running)
    before = settled(running)
    payment = paid(running, token)
    running.until_delivered()
    poison = f"poison-{payment['payment_id']}"
    dead = running.messages("AnalyticsDeadLetters")
    messages = entries(running, payment["payment_id"])
    send(running, "poison", poison, "{")
    for repetition in range(2):
        for entry in reversed(messages):
            send(running, entry.group_id, f"{entry.deduplication_id}-{repetition}", json.dumps(entry.body))
    running.until(lambda: settled(running) == before + payment["amount"], "the payment's figures")
    running.until(lambda: running.messages("AnalyticsQueue") == 0, "the end of the queue")
    assert settled(running) == before + payment["amount"], "a repeated record adds nothing"
    assert running.messages("AnalyticsDeadLetters") == dead + 1, "the poison record is kept"
    result = commands.run(running, "recount", process=True)
    assert result.returncode == 0, result.stdout + result.stderr
    report = running.staff("/analytics")["recount"]
    assert (report["equal"], report["differences"]) == (True, [])


def test_make_recount_counts_a_payment_whose_records_never_arrived(running: Running, token: str) -> None:
    count_earlier_tests(running)
    before = settled(running)
    payment = paid(running, token)
    assert commands.run(running, "recount").returncode == 0, (
        "a payment of the last minutes may be on its way: it is no difference"
    )
    assert settled(running) == before + payment["amount"]


MAX_LAG_S = 30
"""The figures may be so far behind on the local stack. docs/operations.md has the measured lag."""


def totals(running: Running) -> dict[str, int]:
    """Return the figures of the last 30 days in US dollars."""
    of_usd = [one for one in running.staff("/analytics", currency="usd")["totals"] if one["currency"] == "usd"]
    names = ("payments", "created", "settled", "refunded", "lost")
    return {name: of_usd[0][name] if of_usd else 0 for name in names}


def stored_payments(running: Running) -> dict[str, Payment]:
    """Return all payments of the table by id."""
    table = running.resource("PaymentsTable")
    pages = running.client("dynamodb").get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    payments = (mapping.payment_from_raw(item) for page in pages for item in page["Items"])
    return {payment.payment_id: payment for payment in payments}


def books(running: Running, payment_ids: set[str] | None = None) -> dict[str, int]:
    """Return the same figures from the payments themselves: of some, because other tests forge some, or of all."""
    sums = dict.fromkeys(("payments", "created", "settled", "refunded", "lost"), 0)
    for payment in stored_payments(running).values():
        if payment_ids is None or payment.payment_id in payment_ids:
            amounts = {
                "payments": 1,
                "created": payment.price.amount,
                "settled": payment.facts.settled.amount if payment.facts.settled else 0,
                "refunded": payment.refund_amount,
                "lost": payment_rules.lost_amount(payment.facts),
            }
            sums = {name: number + amounts[name] for name, number in sums.items()}
    return sums


def lag_s(running: Running, expected: dict[str, int]) -> float:
    """Wait until the figures are those expected, and return the seconds that this took."""
    started = time.monotonic()
    running.until(lambda: totals(running) == expected, f"{expected}, not {totals(running)}")
    return time.monotonic() - started


def roll_up_items(running: Running) -> list[str]:
    """Return each roll-up and each counted contribution, with its version."""
    pages = running.client("dynamodb").get_paginator("scan").paginate(TableName=running.resource("AnalyticsTable"))
    items = [item for page in pages for item in page["Items"]]
    return sorted(json.dumps(item, sort_keys=True) for item in items if "figures" in item)


def is_published(running: Running) -> bool:
    """Return whether the reader of the stream has delivered every audit record so far to `publish`."""
    (reader,) = [one for one in running.stack.stream_readers if one._name == "PublishedRecords"]
    streams = running.client("dynamodbstreams")
    stream = streams.describe_stream(StreamArn=reader._arn)["StreamDescription"]
    position = {"ShardIteratorType": "TRIM_HORIZON"}
    if reader._last is not None:
        position = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": reader._last}
    shard_id = stream["Shards"][0]["ShardId"]
    iterator = streams.get_shard_iterator(StreamArn=reader._arn, ShardId=shard_id, **position)["ShardIterator"]
    return not streams.get_records(ShardIterator=iterator, Limit=1)["Records"]


def until_counted(running: Running) -> None:
    """Wait until every event was applied, and every audit record was published and counted.

    The webhook writes the records, and `publish` puts them into the queue.
    """
    running.until_delivered()
    running.until(lambda: is_published(running) and running.messages("AnalyticsQueue") == 0, "the end of the queue")


def count_earlier_tests(running: Running) -> None:
    """Count whatever earlier tests have left, by hand too. Then only the test's own payments change the figures."""
    until_counted(running)
    commands.run(running, "recount")
    until_counted(running)


def test_purchases_a_refund_and_a_dispute_reach_the_figures_without_help(running: Running, sub: str) -> None:
    """The way is stream, publish, queue, analytics. Prints the lag behind each commit (`pytest -s`)."""
    count_earlier_tests(running)
    before, lags, purchases = totals(running), [], []
    expected = before
    for number in range(3):
        token = running.token(f"{sub}-{number}")
        payment = paid(running, token)
        amount = payment["amount"]
        changes = {"payments": 1, "created": amount, "settled": amount}
        expected = {name: value + changes.get(name, 0) for name, value in expected.items()}
        lags.append(lag_s(running, expected))
        purchases.append(payment)
    refunded, disputed, _ = purchases
    path, body = f"/api/admin/payments/{refunded['payment_id']}/refunds", {"amount": 10_000, "reason": "one project"}
    answer = running.api("POST", path, running.ready["admin_token"], json=body)
    assert answer.status_code == 200, answer.text
    expected = {**expected, "refunded": expected["refunded"] + 10_000}
    lags.append(lag_s(running, expected))
    running.sim("disputes", payment_intent=disputed["payment_intent_id"], status="lost")
    expected = {**expected, "lost": expected["lost"] + amount}
    lags.append(lag_s(running, expected))
    print(f"lag of the figures: {min(lags):.1f} to {max(lags):.1f} s")
    assert max(lags) <= MAX_LAG_S
    own = books(running, {payment["payment_id"] for payment in purchases})
    assert totals(running) == {name: value + own[name] for name, value in before.items()}
    report = commands.run(running, "recount")
    assert report.returncode == 0, report.stdout + report.stderr
    assert totals(running) == expected, "the recount had nothing to add"


def test_a_replay_of_everything_changes_nothing(running: Running, token: str) -> None:
    """The queue drops repetitions of the last five minutes, so the records of a payment also come under other ids."""
    payment = paid(running, token)
    until_counted(running)
    before = roll_up_items(running)
    assert any(payment["payment_id"] in item for item in before)
    output = make_replay(running, "--rate", str(replay.MAX_RATE), process=False)
    assert int(output.split(" records")[0].split()[-1]) >= len(entries(running, payment["payment_id"]))
    for entry in entries(running, payment["payment_id"]):
        send(running, entry.group_id, f"{entry.deduplication_id}-replayed", json.dumps(entry.body))
    until_counted(running)
    assert roll_up_items(running) == before
