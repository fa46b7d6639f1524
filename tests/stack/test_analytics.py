"""Analytics on the running stack: records from the FIFO queue count once, a poison one is kept, and `make recount`."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from local.build import ROOT
from local.running import running_file
from tests.stack.conftest import Running
from tests.stack.test_fan_out import client, resource
from tuition.core import rollups


@pytest.fixture
def short_visibility(running: Running) -> Iterator[None]:
    """Let a message that failed be delivered again after a second."""
    sqs, url = client(running, "sqs"), resource(running, "AnalyticsQueue")
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
    yield
    sqs.set_queue_attributes(QueueUrl=url, Attributes=before)


def entries(running: Running, payment_id: str) -> list[rollups.QueueEntry]:
    """Return the messages of a payment's audit records."""
    details = running.staff(f"/payments/{payment_id}")
    common = {"subject": payment_id, "user_id": details["payment"]["user_id"], "track": details["payment"]["track"]}
    records = [{**common, **one, "sort_key": f"{one['at']}#{one['event_id']}"} for one in details["audit"]]
    return [entry for entry in map(rollups.queue_entry, records) if entry]


def send(running: Running, group_id: str, deduplication_id: str, body: str) -> None:
    client(running, "sqs").send_message(
        QueueUrl=resource(running, "AnalyticsQueue"),
        MessageGroupId=group_id,
        MessageDeduplicationId=deduplication_id,
        MessageBody=body,
    )


def waiting(running: Running, queue: str) -> int:
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    url = resource(running, queue)
    attributes = client(running, "sqs").get_queue_attributes(QueueUrl=url, AttributeNames=list(names))["Attributes"]
    return sum(int(number) for number in attributes.values())


def recount(running: Running) -> subprocess.CompletedProcess[str]:
    with running_file(running.ready):
        port = running.ready["api"].rpartition(":")[2]
        command = [sys.executable, "-m", "local.recount", "--api-port", port]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def settled(running: Running) -> int:
    totals = running.staff("/analytics", track="FSD", currency="usd")["totals"]
    return int(totals[0]["settled"]) if totals else 0


def paid(running: Running, token: str) -> dict[str, Any]:
    payment = running.create(token, "FSD").json()
    running.pay(payment["payment_intent_id"])
    running.until_enrolled(token, "FSD")
    return dict(payment)


@pytest.mark.usefixtures("short_visibility")
def test_records_count_once_and_make_recount_finds_nothing_to_correct(running: Running, token: str) -> None:
    recount(running)  # count the payments of earlier tests
    before = settled(running)
    payment = paid(running, token)
    poison = f"poison-{payment['payment_id']}"
    dead = waiting(running, "AnalyticsDeadLetters")
    messages = entries(running, payment["payment_id"])
    send(running, "poison", poison, "{")
    for repetition in range(2):
        for entry in reversed(messages):
            send(running, entry.group_id, f"{entry.deduplication_id}-{repetition}", json.dumps(entry.body))
    running.until(lambda: settled(running) == before + payment["amount"], "the payment's figures")
    running.until(lambda: waiting(running, "AnalyticsQueue") == 0, "the end of the queue")
    assert settled(running) == before + payment["amount"], "a repeated record adds nothing"
    assert waiting(running, "AnalyticsDeadLetters") == dead + 1, "the poison record is kept"
    result = recount(running)
    assert result.returncode == 0, result.stdout + result.stderr
    report = running.staff("/analytics")["recount"]
    assert (report["equal"], report["differences"]) == (True, [])


def test_make_recount_counts_a_payment_whose_records_never_arrived(running: Running, token: str) -> None:
    before = settled(running)
    payment = paid(running, token)
    assert recount(running).returncode == 0, "a payment of the last minutes may be on its way: it is no difference"
    assert settled(running) == before + payment["amount"]
