"""An erased person's data are nowhere on the running stack but where the law keeps them, also after a restore."""

import contextlib
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.harness import NAMES
from tests.stack import commands, left_behind
from tests.stack.conftest import Running
from tests.stack.test_checkout import create_code, create_session
from tests.stack.test_emails import outbox
from tests.stack.test_roles import invoke
from tuition.core import archive, timestamps

QUEUES = ("EmailQueue", "AnalyticsQueue", "ReconcileQueue", "ConsoleQueue")
DEAD_LETTERS = ("EmailDeadLetters", "AnalyticsDeadLetters", "ReconcileDeadLetters", "FailedRuns")
EXPIRES_IN_DAYS = ("ExportsBucket/exports/", "ExportsBucket/personal/")
"""Where copies stay for the three days of the bucket's lifecycle, which `tests/template` checks."""
WAITED_S = 7200
DIGITS = re.compile(r"last4\W+(?:S\W+)?\d{4}")


@dataclass
class Life:
    """The traces of a person. `texts` lead to the person, and may be nowhere after the erasure."""

    sub: str
    token: str
    email: str
    payment_ids: list[str]
    customer: str
    lost_customer: str
    method: str
    texts: list[str]
    versions: dict[tuple[str, ...], bytes] = field(default_factory=dict)
    """Of the objects in buckets, as the first search for the traces read them: a version never changes."""


def live(running: Running, sub: str) -> Life:
    """Use every feature that stores something about a person: purchases, refunds, a dispute, notes, copies, emails."""
    email, name = f"{sub}.erased@example.org", f"Ottilie {sub} Fennimore"
    texts = [f"{word} of {sub}" for word in ("reason", "order", "note", "message", "revocation", "block", "attention")]
    reason, order, note, message, revocation, block, attention = texts
    token = running.token(sub, email=f"old.{email}")
    method = create_card(running, "4242424242424242", name, email)
    first = buy(running, token, create_card(running, "4000000000009995", name, email), method)
    token = running.token(sub, email=email)
    assert running.api("POST", "/api/me/email", token).json()["complete"] is True
    second = buy_with_code(running, sub, token, create_card(running, "4000000000000259", name, email))
    decide(running, f"payments/{first}/refunds", amount=100, reason=order, note=note, message=message)
    body = {"payment_id": first, "reason": reason}
    assert running.api("POST", "/api/payments/request-refund", token, json=body).status_code == 200
    settle_dispute(running, second, attention)
    decide(running, f"payments/{second}/access", decision="revoke", note=revocation)
    decide(running, f"users/{sub}/purchases", decision="block", note=block)
    texts.append(write_note(running, first, f"remark of {sub}"))
    assert running.api("GET", "/api/me/export", token).status_code == 200
    assert running.staff(f"/users/{sub}/export")["payments"]
    export(running, email)
    running.until(lambda: len(outbox(running, to=email)) >= 1, "an email to the person")
    customer = running.staff(f"/users/{sub}")["user"]["customer"]["stripe_customer_id"]
    lost = customer_of_a_killed_create(running, customer, email)
    texts += [email, f"old.{email}", name, customer, lost]
    return Life(sub, token, email, [first, second], customer, lost, method, texts)


def create_card(running: Running, number: str, name: str, email: str) -> str:
    card = {"number": number, "exp_month": "12", "exp_year": "2040", "cvc": "123"}
    fields = {f"card[{key}]": value for key, value in card.items()}
    fields |= {"billing_details[name]": name, "billing_details[email]": email}
    return str(running.stripe("POST", "/v1/payment_methods", type="card", **fields)["id"])


def buy(running: Running, token: str, declined: str, method: str) -> str:
    """Buy a track and save the card, after a decline."""
    body = {"track": "DP", "save_payment_method": True}
    payment = running.api("POST", "/api/payments/create-payment", token, json=body).json()
    running.pay(payment["payment_intent_id"], declined)
    assert running.pay(payment["payment_intent_id"], method)["status"] == "succeeded"
    running.until_enrolled(token)
    running.until(lambda: running.payment(token, payment["payment_id"])["receipt_url"], "a receipt")
    return str(payment["payment_id"])


def buy_with_code(running: Running, sub: str, token: str, method: str) -> str:
    create_code(running, f"ERASED-{sub}", 50)
    session = create_session(running, token, "FSD", promotion_code=f"erased-{sub}").json()
    path = f"/v1/payment_pages/{session['session_id']}/confirm"
    running.stripe("POST", path, payment_method=method, expected_amount=session["amount"])
    running.until_enrolled(token, "FSD")
    return str(session["payment_id"])


def decide(running: Running, path: str, **body: Any) -> None:
    response = running.api("POST", f"/api/admin/{path}", running.ready["admin_token"], json=body)
    assert response.status_code == 200, response.text


def write_note(running: Running, payment_id: str, text: str) -> str:
    path, body = f"/api/admin/notes?payment_id={payment_id}", {"text": text}
    response = running.api("POST", path, running.ready["admin_token"], json=body)
    assert response.status_code == 201, response.text
    return text


def settle_dispute(running: Running, payment_id: str, note: str) -> None:
    """Acknowledge the dispute of a payment, and let the bank decide it."""

    def view() -> Any:
        return running.staff(f"/payments/{payment_id}")

    (reason,) = running.until(lambda: view()["payment"]["attention"], "a dispute")
    decide(running, f"payments/{payment_id}/attention", name=reason["name"], note=note)
    intent = view()["payment"]["payment_intent_id"]
    (dispute,) = running.stripe("GET", f"/v1/disputes?payment_intent={intent}")["data"]
    running.sim("disputes", dispute=dispute["id"], status="won")
    running.until(lambda: '"won"' in json.dumps(view()["facts"]), "the decision of the bank")


def export(running: Running, email: str) -> None:
    body = {"filters": {"q": email}}
    ordered = running.api("POST", "/api/admin/exports", running.ready["admin_token"], json=body).json()
    running.until(lambda: running.staff(f"/exports/{ordered['export_id']}")["state"] == "done", "the export")


def customer_of_a_killed_create(running: Running, customer: str, email: str) -> str:
    """Create a customer as a create does that is killed before its commit."""
    metadata = running.stripe("GET", f"/v1/customers/{customer}")["metadata"]
    fields = {f"metadata[{name}]": value for name, value in metadata.items()}
    return str(running.stripe("POST", "/v1/customers", email=email, **fields)["id"])


def erase(running: Running, life: Life) -> None:
    """Erase the person. In place of the clock, the times of the erasure are moved, as if hours had passed."""
    response = running.api("DELETE", "/api/me", life.token)
    assert response.status_code == 202, response.text
    assert invoke(running, "EraseFunction", {})
    table, key = running.resource("CustomersTable"), {"user_id": {"S": life.sub}}
    stored = running.client("dynamodb").get_item(TableName=table, Key=key)["Item"]
    erasure = json.loads(stored["erasure"]["S"])
    for name in ("requested_at", "due_at", "sign_in_ended_at"):
        erasure[name] = timestamps.iso(timestamps.epoch(erasure[name]) - WAITED_S)
    stored["erasure"] = {"S": json.dumps(erasure)}
    running.client("dynamodb").put_item(TableName=table, Item=stored)
    running.until(lambda: invoke(running, "EraseFunction", {}) and is_erased(running, life), "the erasure")


def is_erased(running: Running, life: Life) -> bool:
    erasure = running.staff(f"/users/{life.sub}")["user"]["erasure"]
    return bool(erasure and erasure["state"] == "erased")


def places(running: Running, life: Life) -> Iterator[tuple[str, str]]:
    """Yield everything that the stack keeps: the place, and the content as text."""
    for logical in NAMES:
        for item in left_behind.items(running.stack, running.resource(logical)):
            yield logical, json.dumps(item, ensure_ascii=False)
    for logical in left_behind.BUCKETS:
        for key, body in versions(running, running.resource(logical), life.versions):
            yield f"{logical}/{key}", key + text_of(body)
    for line in running.log_lines():
        yield "a log", line
    for logical in DEAD_LETTERS:
        queue = {"QueueUrl": running.resource(logical), "MaxNumberOfMessages": 10, "VisibilityTimeout": 0}
        for message in running.client("sqs").receive_message(**queue).get("Messages", ()):
            yield logical, message["Body"]


def versions(running: Running, bucket: str, bodies: dict[tuple[str, ...], bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield every version of every object of a bucket. `bodies` has those of the versions that were read before."""
    s3 = running.client("s3")
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for one in page.get("Versions", ()):
            identity = (bucket, one["Key"], one["VersionId"], one["ETag"])
            if identity not in bodies:
                version = {} if one["VersionId"] == "null" else {"VersionId": one["VersionId"]}
                bodies[identity] = s3.get_object(Bucket=bucket, Key=one["Key"], **version)["Body"].read()
            yield one["Key"], bodies[identity]


def text_of(body: bytes) -> str:
    with contextlib.suppress(ValueError, zlib.error):  # it is not compressed
        body = archive.decompressed(body)
    return body.decode("utf-8", "replace")


def until_queues_are_empty(running: Running) -> None:
    running.until(lambda: not any(running.messages(queue) for queue in QUEUES), "empty queues")


def left_of(running: Running, life: Life) -> set[str]:
    """Return where the stack still has something that leads to the person."""
    until_queues_are_empty(running)
    left = set()
    for place, text in places(running, life):
        is_own = life.sub in text or any(one in text for one in life.payment_ids)
        if any(one in text for one in life.texts) or (is_own and DIGITS.search(text)):
            left.add(place)
    return {place for place in left if not place.startswith(EXPIRES_IN_DAYS)}


def assert_stripe_has_deleted(running: Running, life: Life) -> None:
    for customer in (life.customer, life.lost_customer):
        assert running.stripe("GET", f"/v1/customers/{customer}").get("deleted") is True
    assert running.stripe("GET", f"/v1/payment_methods/{life.method}")["customer"] in (
        life.customer,
        life.lost_customer,
    )
    assert running.stripe("GET", f"/v1/customers?email={life.email}")["data"] == []


@pytest.mark.timeout(420)
def test_an_erased_person_s_data_are_nowhere_on_the_stack_also_after_a_restore(running: Running, sub: str) -> None:
    life = live(running, sub)
    lost_place = {"PaymentsTable", "CustomersTable", "StripeObjectsTable", "NotesTable"}
    assert left_of(running, life) >= lost_place, "the search finds what is there"
    table, key = running.resource("CustomersTable"), {"user_id": {"S": sub}}
    pointers, pointer = running.resource("StripeObjectsTable"), {"stripe_id": {"S": life.customer}}
    backup = running.client("dynamodb").get_item(TableName=table, Key=key)["Item"]
    pointer_backup = running.client("dynamodb").get_item(TableName=pointers, Key=pointer)["Item"]
    erase(running, life)
    assert left_of(running, life) == set()
    emails = len(outbox(running, to=life.email))
    assert_stripe_has_deleted(running, life)

    running.client("dynamodb").put_item(TableName=table, Item=backup)
    running.client("dynamodb").put_item(TableName=pointers, Item=pointer_backup)
    assert left_of(running, life) == {"CustomersTable", "StripeObjectsTable"}
    command = commands.run(running, "erase_again")
    assert command.returncode == 0, command.stdout + command.stderr
    running.until(lambda: is_erased(running, life), "the repetition")
    assert left_of(running, life) == set()
    assert len(outbox(running, to=life.email)) == emails, "no email follows an erasure"
