"""The reconciler's worker behind its queue, with the permissions of its role."""

import json
import time
from typing import Any

from tests.stack.conftest import Running


def put_task(running: Running, name: str, task: str) -> None:
    item = {"name": {"S": name}, "task": {"S": task}}
    running.client("dynamodb").put_item(TableName=running.resource("CursorsTable"), Item=item)


def send(running: Running, name: str) -> None:
    running.client("sqs").send_message(QueueUrl=running.resource("ReconcileQueue"), MessageBody=name)


def report(running: Running, name: str) -> Any:
    key = {"name": {"S": name}}
    item = running.client("dynamodb").get_item(TableName=running.resource("CursorsTable"), Key=key)["Item"]
    return json.loads(item["report"]["S"]) if "report" in item else None


def counts(running: Running) -> tuple[int, int]:
    """Return how many messages wait, and how many are hidden because a worker received them and did not finish."""
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    url = running.resource("ReconcileQueue")
    attributes = running.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=list(names))["Attributes"]
    return int(attributes[names[0]]), int(attributes[names[1]])


def test_a_worker_walks_the_window_that_its_message_names(running: Running, token: str) -> None:
    running.sim("webhooks", deliver="drop")
    payment = running.create(token, "DP").json()
    running.pay(payment["payment_intent_id"])
    now = int(time.time())
    bounds = {"walk": "stack", "first": now - 300, "last": now + 300, "after": now + 300}
    put_task(running, "window:stack:1", json.dumps({"kind": "window", **bounds}))
    send(running, "window:stack:1")
    done = running.until(lambda: report(running, "window:stack:1"), "the worker's report")
    assert done["drifted"] >= 1, done
    assert running.enrollment(token, "DP")["status"] == "ENROLLED"
    send(running, "window:stack:1")  # delivered again: it does nothing
    running.until(lambda: counts(running) == (0, 0), "the deletion of an obsolete message")
    assert report(running, "window:stack:1") == done


def test_a_worker_checks_the_payments_that_its_message_names(running: Running, token: str) -> None:
    running.sim("webhooks", deliver="drop")
    payment = running.create(token, "DP").json()
    running.pay(payment["payment_intent_id"])
    task = {"kind": "payments", "after": int(time.time()) + 900, "payment_ids": [payment["payment_id"]]}
    put_task(running, "payments:stack:1", json.dumps(task))
    send(running, "payments:stack:1")
    done = running.until(lambda: report(running, "payments:stack:1"), "the worker's report")
    assert (done["checked"], done["failed"]) == (1, [])
    assert running.enrollment(token, "DP")["status"] == "ENROLLED"


def test_a_task_that_a_worker_could_not_finish_stays_in_the_queue(running: Running) -> None:
    put_task(running, "window:stack:2", json.dumps({"kind": "window"}) + "broken")
    send(running, "window:stack:2")
    running.until(lambda: counts(running) == (0, 1), "the hidden message")
    time.sleep(2)
    assert counts(running) == (0, 1)
    running.client("sqs").purge_queue(QueueUrl=running.resource("ReconcileQueue"))
