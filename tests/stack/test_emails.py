"""Emails on the running stack: each once after its flow, whatever is delivered twice or dies in between."""

import http.server
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local import replay
from local.build import ROOT
from local.stack import STAFF
from tests.stack.conftest import WAIT_S, Running
from tests.stack.queues import short_visibility
from tests.stack.test_events import make_replay
from tests.stack.test_roles import invoke
from tuition.core.emails import EVENT_TYPES
from tuition.core.published_events import of_record
from tuition.outbox.emails import CLAIM_S


def outbox(running: Running, **values: str) -> list[dict[str, Any]]:
    """Return the sent emails with these values, the newest first."""
    url = f"{running.ready['api']}/_local/outbox"
    emails = running.http.get(url, headers={"Accept": "application/json"}).raise_for_status().json()["emails"]
    return [email for email in emails if all(email[name] == value for name, value in values.items())]


def address(sub: str) -> str:
    return f"{sub}@example.org"


def buy(running: Running, token: str) -> str:
    payment = running.create(token).json()
    running.pay(payment["payment_intent_id"])
    running.until_enrolled(token)
    return str(payment["payment_id"])


def until_sent(running: Running, kind: str, **values: str) -> dict[str, Any]:
    def sent() -> Any:
        return outbox(running, kind=kind, **values)

    emails: list[dict[str, Any]] = running.until(sent, f"the email {kind}")
    assert len(emails) == 1
    return emails[0]


def effects(running: Running, payment_id: str) -> list[dict[str, Any]]:
    assert running.stack.aws is not None
    assert running.stack.deployed is not None
    items: list[dict[str, Any]] = running.stack.aws.client("dynamodb").query(
        TableName=running.stack.deployed.resources["EffectsTable"],
        KeyConditionExpression="consumer_subject = :key",
        ExpressionAttributeValues={":key": {"S": f"emails#{payment_id}"}},
    )["Items"]
    return items


def settled_message(running: Running, sub: str, payment_id: str) -> dict[str, Any]:
    """Return the queue's message with the event of a purchase, as the bus made it."""
    record = next(
        record
        for record in running.staff(f"/payments/{payment_id}")["audit"]
        if record["transition"].get("settled") is not None
    )
    sort_key = f"{record['at']}#{record['event_id']}"
    type_ = "tuition.payment.settled.v1"
    detail = {
        "id": f"{payment_id}#{sort_key}#{type_}",
        "subject": payment_id,
        "sort_key": sort_key,
        "payment_id": payment_id,
        "user_id": sub,
        "at": record["at"],
        "transition": record["transition"],
    }
    body = json.dumps({"source": "tuition", "detail-type": type_, "detail": detail})
    return {"Records": [{"messageId": "m-1", "body": body}]}


def test_a_purchase_and_its_refund_are_confirmed_once_each(running: Running, token: str, sub: str) -> None:
    payment_id = buy(running, token)
    email = until_sent(running, "purchase_confirmed", payment_id=payment_id)
    assert (email["to"], email["subject"]) == (address(sub), "You are enrolled in Data Professional")
    assert f"{running.ready['api']}/#/payments/{payment_id}" in email["text"]
    assert "<table" in email["html"]
    message = settled_message(running, sub, payment_id)
    for _ in range(2):
        assert invoke(running, "EmailsFunction", message) == {"batchItemFailures": []}
    body = {"payment_id": payment_id, "reason": "changed my mind"}
    assert running.api("POST", "/api/payments/request-refund", token, json=body).status_code == 200
    until_sent(running, "refund_made", payment_id=payment_id)
    assert sorted(email["kind"] for email in outbox(running, to=address(sub))) == ["purchase_confirmed", "refund_made"]


def test_a_dispute_is_reported_to_staff(running: Running, token: str) -> None:
    payment_id = buy(running, token)
    intent = running.payment(token, payment_id)["payment_intent_id"]
    running.sim("disputes", payment_intent=intent, status="needs_response")
    assert until_sent(running, "dispute_opened", payment_id=payment_id)["to"] == STAFF


def test_staff_send_an_email_again(running: Running, token: str) -> None:
    payment_id = buy(running, token)
    until_sent(running, "purchase_confirmed", payment_id=payment_id)
    path, order = f"/api/admin/payments/{payment_id}/emails", {"kind": "purchase_confirmed"}
    assert running.api("POST", path, running.ready["admin_token"], json=order).status_code == 202
    running.until(lambda: len(outbox(running, payment_id=payment_id)) == 2, "the second email")


def test_a_claim_without_a_sending_is_counted_and_not_sent(running: Running, token: str, sub: str) -> None:
    """As a consumer leaves it that was killed between the two."""
    assert running.stack.aws is not None
    assert running.stack.deployed is not None
    payment_id = buy(running, token)
    until_sent(running, "purchase_confirmed", payment_id=payment_id)
    (item,) = effects(running, payment_id)
    claimed = {name: item[name] for name in ("consumer_subject", "sort_key", "kind", "holder")}
    claimed |= {"state": {"S": "claimed"}, "at": {"S": "2026-01-01T00:00:00.000Z"}}
    table = running.stack.deployed.resources["EffectsTable"]
    running.stack.aws.client("dynamodb").put_item(TableName=table, Item=claimed)
    sent, counted = len(outbox(running, to=address(sub))), unsent(running)
    for _ in range(2):
        answer = invoke(running, "EmailsFunction", settled_message(running, sub, payment_id))
        assert answer == {"batchItemFailures": []}
    assert [item["state"]["S"] for item in effects(running, payment_id)] == ["unsent"]
    assert len(outbox(running, to=address(sub))) <= sent
    running.until(lambda: unsent(running) > counted, "the metric of the alarm")


def unsent(running: Running) -> int:
    """Return how often the metric of the alarm was counted so far.

    A late line appears with its worker's next invocation, so the function is invoked first.
    """
    assert invoke(running, "EmailsFunction", {"Records": []}) == {"batchItemFailures": []}
    return sum('"EmailUnsent"' in line for line in running.log_lines("EmailUnsent"))


# --- a consumer that is killed ---


FUNCTION_TIMEOUT_S = 7
"""Less than the function waits for SES, so that Lambda kills it while it waits, and long enough to reach SES."""
VISIBILITY_S = 8
QUIET_S = 5
"""An event is on its way to the queue for at most so long."""


class SilentSes:
    """SES as a server that takes an email about one payment and never answers. It throttles every other email."""

    def __init__(self) -> None:
        self.payment_id = ""
        self.called, self.hung_up = threading.Event(), threading.Event()
        silent = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if silent.payment_id and silent.payment_id in body:
                    silent.called.set()
                    self.connection.recv(1)  # returns when the caller is dead
                    silent.hung_up.set()
                    self.close_connection = True
                    return
                self.send_response(429)
                self.send_header("Content-Type", "application/json")
                self.send_header("x-amzn-errortype", "TooManyRequestsException")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def silent_ses(running: Running) -> Iterator[tuple[SilentSes, Callable[[], None]]]:
    """Put a server in the place of SES, and give the function little time. Yields it, and what restores both."""
    functions, name, silent = running.client("lambda"), running.resource("EmailsFunction"), SilentSes()
    before = functions.get_function_configuration(FunctionName=name)
    variables = before["Environment"]["Variables"]

    def restore() -> None:
        environment = {"Variables": variables}
        functions.update_function_configuration(FunctionName=name, Timeout=before["Timeout"], Environment=environment)

    changed = {"Variables": {**variables, "AWS_ENDPOINT_URL_SESV2": silent.url}}
    with short_visibility(running, "EmailQueue", VISIBILITY_S):
        functions.update_function_configuration(FunctionName=name, Timeout=FUNCTION_TIMEOUT_S, Environment=changed)
        try:
            yield silent, restore
        finally:
            restore()
            silent.server.shutdown()


def until_delivered(running: Running) -> None:
    """Wait until the queue is empty for longer than an event is on its way to it."""

    def is_quiet() -> bool:
        if running.messages("EmailQueue"):
            return False
        time.sleep(QUIET_S)
        return running.messages("EmailQueue") == 0

    running.until(is_quiet, "an empty queue of emails")


def age_claim(running: Running, payment_id: str) -> None:
    """Make the claim of a payment as old as one whose invocation certainly ended, instead of waiting for that."""
    (item,) = effects(running, payment_id)
    key = {name: item[name] for name in ("consumer_subject", "sort_key")}
    at = {"S": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - CLAIM_S - 1))}
    running.client("dynamodb").update_item(
        TableName=running.resource("EffectsTable"),
        Key=key,
        UpdateExpression="SET #at = :at",
        ConditionExpression="#state = :claimed",
        ExpressionAttributeNames={"#at": "at", "#state": "state"},
        ExpressionAttributeValues={":at": at, ":claimed": {"S": "claimed"}},
    )


def test_a_consumer_killed_while_ses_takes_the_email_is_counted_and_sends_nothing_twice(
    running: Running, token: str, sub: str, silent_ses: tuple[SilentSes, Callable[[], None]]
) -> None:
    """SES may or may not have sent the email when its caller dies. The message must leave the queue all the same."""
    silent, restore = silent_ses
    counted, dead = unsent(running), running.messages("EmailDeadLetters")
    payment = running.create(token).json()
    silent.payment_id = payment["payment_id"]
    running.pay(payment["payment_intent_id"])
    assert silent.called.wait(WAIT_S), "the function never called SES"
    assert [item["state"]["S"] for item in effects(running, silent.payment_id)] == ["claimed"]
    assert silent.hung_up.wait(WAIT_S), "the function was not killed"
    restore()
    assert [item["state"]["S"] for item in effects(running, silent.payment_id)] == ["claimed"]
    assert running.messages("EmailQueue") > 0, "the message of the dead consumer is lost"
    age_claim(running, silent.payment_id)
    running.until(lambda: effects(running, silent.payment_id)[0]["state"]["S"] == "unsent", "the claim is reported")
    running.until(lambda: unsent(running) == counted + 1, "the metric of the alarm")
    running.until(lambda: running.messages("EmailQueue") == 0, "the message leaves the queue")
    assert running.messages("EmailDeadLetters") == dead
    assert outbox(running, to=address(sub)) == []
    path, order = f"/api/admin/payments/{silent.payment_id}/emails", {"kind": "purchase_confirmed"}
    assert running.api("POST", path, running.ready["admin_token"], json=order).status_code == 202
    until_sent(running, "purchase_confirmed", payment_id=silent.payment_id)
    assert unsent(running) == counted + 1


def test_staff_get_one_digest_a_day(running: Running, token: str) -> None:
    payment_id = buy(running, token)
    intent = running.payment(token, payment_id)["payment_intent_id"]
    running.sim("disputes", payment_intent=intent, status="needs_response")
    until_sent(running, "dispute_opened", payment_id=payment_id)
    event = json.loads((ROOT / "events" / "emails" / "staff_digest.json").read_text())
    for _ in range(2):
        assert invoke(running, "EmailsFunction", event) == {"batchItemFailures": []}
    emails = running.until(lambda: outbox(running, kind="staff_digest", to=STAFF), "the digest")
    assert {email["payment_id"] for email in emails} == {None}
    assert set(Counter(email["sent_at"][:10] for email in emails).values()) == {1}


@pytest.mark.parametrize("path", ["/_local/outbox", "/_local/outbox?x=1"])
def test_the_outbox_is_a_page_whose_frames_may_run_nothing(running: Running, token: str, sub: str, path: str) -> None:
    until_sent(running, "purchase_confirmed", payment_id=buy(running, token))
    response = running.http.get(f"{running.ready['api']}{path}")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert address(sub) in response.text
    assert "<iframe sandbox title=" in response.text
    assert "<script" not in response.text


# --- every email once ---


def email_events(running: Running, payment_id: str) -> list[str]:
    """Return the bodies of the messages that the bus puts into the queue for the records of a payment."""
    details = running.staff(f"/payments/{payment_id}")
    common = {"subject": payment_id, "user_id": details["payment"]["user_id"], "track": details["payment"]["track"]}
    records = [{**common, **one, "sort_key": f"{one['at']}#{one['event_id']}"} for one in details["audit"]]
    events = [event for record in records for event in of_record(record)]
    bodies = [{"source": "tuition", "detail-type": one.type, "detail": dict(one.detail)} for one in events]
    return [json.dumps(body) for body in bodies if body["detail-type"] in EVENT_TYPES]


def test_each_email_is_sent_once_under_duplicates_redelivered_batches_and_a_replay_of_everything(
    running: Running, sub: str
) -> None:
    """Two purchases: one is refunded by its student, the other is disputed and lost."""
    refunding, disputing = running.token(f"{sub}-1"), running.token(f"{sub}-2")
    running.sim("webhooks", deliver="hold")
    purchases = [running.create(token).json() for token in (refunding, disputing)]
    for purchase in purchases:
        running.pay(purchase["payment_intent_id"])
    running.sim("webhooks/release", order="shuffled", seed=7, times=3)
    running.sim("webhooks", deliver="duplicate")
    for token in (refunding, disputing):
        running.until_enrolled(token)
    refunded, lost = (purchase["payment_id"] for purchase in purchases)
    body = {"payment_id": refunded, "reason": "changed my mind"}
    assert running.api("POST", "/api/payments/request-refund", refunding, json=body).status_code == 200
    intent = purchases[1]["payment_intent_id"]
    dispute = running.sim("disputes", payment_intent=intent, status="needs_response")
    until_sent(running, "dispute_opened", payment_id=lost)
    running.sim("webhooks", deliver="shuffle")
    running.sim("disputes", dispute=dispute["id"], status="lost")
    expected = {
        ("purchase_confirmed", refunded, address(f"{sub}-1")),
        ("refund_made", refunded, address(f"{sub}-1")),
        ("purchase_confirmed", lost, address(f"{sub}-2")),
        ("dispute_opened", lost, STAFF),
        ("access_ended", lost, address(f"{sub}-2")),
    }

    def sent() -> Counter[tuple[str, str, str]]:
        emails = [(one["kind"], one["payment_id"], one["to"]) for one in outbox(running)]
        return Counter(email for email in emails if email[1] in (refunded, lost))

    running.until(lambda: expected <= set(sent()), "every email")
    bodies = [*email_events(running, refunded), *email_events(running, lost)]
    assert len(bodies) >= len(expected)
    batch = {"Records": [{"messageId": f"m-{number}", "body": body} for number, body in enumerate(bodies * 2)]}
    assert invoke(running, "EmailsFunction", batch) == {"batchItemFailures": []}
    for body in bodies:
        running.client("sqs").send_message(QueueUrl=running.resource("EmailQueue"), MessageBody=body)
    make_replay(running, "--rate", str(replay.MAX_RATE))
    until_delivered(running)
    assert sent() == Counter(dict.fromkeys(expected, 1))
