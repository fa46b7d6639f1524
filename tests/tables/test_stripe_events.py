"""Unusual events: foreign, too early, unusable, or of another API version."""

import json
from typing import Any

import pytest

import webhook
from tests.harness import SECRET, Harness, Student
from tuition import settings
from tuition.core.errors import NotConfigured

QUARANTINE = "GET /api/admin/quarantine"
REPLAY = "POST /api/admin/quarantine/{event_id}/replay"


def paid_events(tuition: Harness, student: Student) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    return purchase, tuition.new_events()


def event_of_type(events: list[dict[str, Any]], event_type: str) -> dict[str, Any]:
    return next(e for e in events if e["type"] == event_type)


@pytest.mark.parametrize("metadata", [{"app": "shop"}, {"app": "tuition", "environment": "production"}, {}])
def test_a_foreign_event_changes_nothing(tuition: Harness, student: Student, metadata: dict[str, str]) -> None:
    purchase = tuition.create(student).body
    tuition.new_events()
    foreign_metadata = {
        f"metadata[{name}]": value for name, value in {**metadata, "payment_id": purchase["payment_id"]}.items()
    }
    intent = tuition.at_stripe(
        "POST", "/v1/payment_intents", amount=49900, currency="usd", payment_method="pm_card_visa", confirm="true",
        **{"allowed_payment_method_types[]": "card", **foreign_metadata},
    )  # fmt: skip
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=intent["id"])
    outcomes = {response.body["outcome"] for response in tuition.deliver_all()}
    assert outcomes <= {"foreign", "ignored"}
    assert tuition.payment(purchase["payment_id"]).status == "CREATED"
    assert len(tuition.audit_trail(purchase["payment_id"])) == 1


def test_a_live_event_changes_nothing_in_a_test_environment(tuition: Harness, student: Student) -> None:
    purchase, events = paid_events(tuition, student)
    for event in events:
        assert tuition.deliver({**event, "livemode": True}).body["outcome"] == "foreign"
    assert tuition.payment(purchase["payment_id"]).status == "CREATED"


@pytest.mark.parametrize("difference", ["other app", "other environment", "other mode"])
def test_each_kind_of_foreign_event_is_counted(
    tuition: Harness, student: Student, capsys: pytest.CaptureFixture[str], difference: str
) -> None:
    _, events = paid_events(tuition, student)
    event = event_of_type(events, "payment_intent.succeeded")
    event["data"]["object"]["id"] = "pi_foreign"
    if difference == "other mode":
        event["livemode"] = True
    else:
        event["data"]["object"]["metadata"]["app" if difference == "other app" else "environment"] = "other"
    assert tuition.deliver(event).body["outcome"] == "foreign"
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    names = sorted(name for line in metrics for name in ("ForeignEvent", "MisroutedEvent") if name in line)
    assert names == (["ForeignEvent", "MisroutedEvent"] if difference == "other mode" else ["ForeignEvent"])


@pytest.mark.parametrize("data", [None, {}, {"object": None}, {"object": {"metadata": None}}, {"object": {}}])
def test_an_event_of_the_other_mode_without_our_metadata_is_only_foreign(
    tuition: Harness, student: Student, capsys: pytest.CaptureFixture[str], data: Any
) -> None:
    _, events = paid_events(tuition, student)
    assert tuition.deliver({**events[0], "livemode": True, "data": data}).body["outcome"] == "foreign"
    assert "MisroutedEvent" not in capsys.readouterr().out


@pytest.mark.parametrize("wrong", ["secret", "time"])
def test_every_refused_signature_is_counted(
    tuition: Harness, student: Student, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    _, (event, *_) = paid_events(tuition, student)
    refusal = {"secret": "whsec_other"} if wrong == "secret" else {"at": 1.0}
    assert tuition.deliver(event, **refusal).status == 400
    assert tuition.call(webhook.handler, None, "{}").status == 400
    assert capsys.readouterr().out.count('"SignatureRefused":[1.0]') == 2


def test_a_delivery_of_a_new_endpoint_is_accepted_before_the_cached_secrets_expire(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """During a rotation both endpoints deliver each event, so the second delivery repeats the first."""
    purchase, events = paid_events(tuition, student)
    event = event_of_type(events, "payment_intent.succeeded")
    assert tuition.deliver(event).body["outcome"] == "applied"
    stored = {"signing_secrets": [SECRET, "whsec_new"]}
    monkeypatch.setattr(settings, "_read_secret", lambda arn: stored)
    before = tuition.audit_trail(purchase["payment_id"])
    assert tuition.deliver(event, secret="whsec_new").status == 200
    assert tuition.audit_trail(purchase["payment_id"]) == before
    assert "SignatureRefused" not in capsys.readouterr().out


def test_wrong_signatures_read_the_secret_again_at_most_once_in_ten_seconds(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, (event, *_) = paid_events(tuition, student)
    assert tuition.deliver(event).status == 200
    reads: list[str] = []

    def read(arn: str) -> dict[str, Any]:
        reads.append(arn)
        raise NotConfigured("Secrets Manager does not answer.")

    monkeypatch.setattr(settings, "_read_secret", read)
    for _ in range(5):
        assert tuition.deliver(event, secret="whsec_other").status == 400
    assert tuition.deliver(event).status == 200, "the cached secret stays in use"
    assert len(reads) == 1


def test_an_event_of_another_api_version_is_not_read_but_triggers_a_sync(tuition: Harness, student: Student) -> None:
    purchase, events = paid_events(tuition, student)
    event = event_of_type(events, "payment_intent.created")
    event["api_version"], event["data"]["object"]["status"] = "2019-01-01", "canceled"
    assert tuition.deliver(event).body["outcome"] == "applied"
    assert tuition.payment(purchase["payment_id"]).status == "SUCCEEDED"


def test_a_payment_with_a_missing_item_is_rebuilt_from_stripe_and_needs_attention(
    tuition: Harness, student: Student
) -> None:
    purchase, events = paid_events(tuition, student)
    lose_items(tuition, purchase, student)
    assert tuition.deliver(event_of_type(events, "payment_intent.created")).body["outcome"] == "not_found"
    assert tuition.deliver(event_of_type(events, "payment_intent.succeeded")).body["outcome"] == "applied"
    payment = tuition.payment(purchase["payment_id"])
    assert (payment.status, payment.attempt) == ("SUCCEEDED", 1)
    assert tuition.attention(purchase["payment_id"]) == ["rebuilt"]
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    tuition.refund(student, purchase["payment_id"])
    assert tuition.create(student).status == 201


def lose_items(tuition: Harness, purchase: dict[str, Any], student: Student) -> None:
    """Delete the payment's items, as a restore to an earlier moment would."""
    tuition.tables.delete_item(TableName="payments", Key={"payment_id": {"S": purchase["payment_id"]}})
    tuition.tables.delete_item(TableName="stripe_objects", Key={"stripe_id": {"S": purchase["payment_intent_id"]}})
    tuition.tables.delete_item(TableName="enrollments", Key={"user_id": {"S": student.sub}, "sort_key": {"S": "DP"}})
    for record in tuition.audit_trail(purchase["payment_id"]):
        key = {"subject": {"S": purchase["payment_id"]}, "sort_key": {"S": f"{record['at']}#{record['event_id']}"}}
        tuition.tables.delete_item(TableName="audit", Key=key)


def test_no_payment_is_rebuilt_from_the_body_of_an_event(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    events = tuition.new_events()
    lose_items(tuition, purchase, student)
    event = event_of_type(events, "payment_intent.created")
    event["type"] = "payment_intent.succeeded"
    event["data"]["object"] |= {"status": "succeeded", "amount_received": 49900}
    assert tuition.deliver(event).body["outcome"] == "not_found"
    assert tuition.payment(purchase["payment_id"]) is None
    assert tuition.enrollment(student) is None


def quarantined_events(tuition: Harness, admin: Student) -> list[dict[str, Any]]:
    """Return all quarantined events, over all pages."""
    events: list[dict[str, Any]] = []
    query = {"limit": "100"}
    while True:
        page = tuition.admin(admin, QUARANTINE, query=query).body
        events += page["events"]
        if not page["next_cursor"]:
            return events
        query["cursor"] = page["next_cursor"]


def test_an_event_that_cannot_be_applied_is_quarantined_and_can_be_replayed(
    tuition: Harness, student: Student, admin: Student
) -> None:
    purchase, events = paid_events(tuition, student)
    event = event_of_type(events, "payment_intent.succeeded")
    broken = json.loads(json.dumps(event))
    broken["data"]["object"]["amount_received"] = "a lot"
    for _ in range(2):
        assert tuition.deliver(broken).body["outcome"] == "quarantined"
    items = [q for q in quarantined_events(tuition, admin) if q["event_id"] == event["id"]]
    assert items[0]["tries"] == 2
    assert "amount_received" in items[0]["reason"]
    again = tuition.admin(admin, REPLAY, event_id=event["id"])
    assert again.body["outcome"] == "quarantined"
    tuition.deliver_raw(json.dumps(event))
    retried = tuition.admin(admin, REPLAY, event_id=event["id"])
    assert retried.status == 200
    assert tuition.payment(purchase["payment_id"]).status == "SUCCEEDED"


def test_a_quarantined_event_expires_half_a_year_after_its_first_try(tuition: Harness, student: Student) -> None:
    _, events = paid_events(tuition, student)
    event = event_of_type(events, "payment_intent.succeeded")
    event["data"]["object"]["amount_received"] = "a lot"
    first = tuition.time_source() + tuition.offset_s
    for _ in range(2):
        assert tuition.deliver(event).body["outcome"] == "quarantined"
        tuition.offset_s += 86_400
    (item,) = tuition.tables.query(
        TableName="quarantine",
        KeyConditionExpression="event_id = :id",
        ExpressionAttributeValues={":id": {"S": event["id"]}},
    )["Items"]
    assert item["tries"]["N"] == "2"
    assert 0 <= int(item["expires_at"]["N"]) - int(first) - 180 * 86_400 < 60


def test_another_settled_object_in_a_payments_name_needs_attention_and_changes_nothing(
    tuition: Harness, student: Student
) -> None:
    purchase = tuition.create(student).body
    intent = tuition.at_stripe("GET", f"/v1/payment_intents/{purchase['payment_intent_id']}")
    metadata = {f"metadata[{k}]": v for k, v in intent["metadata"].items()}
    tuition.new_events()
    other = tuition.at_stripe(
        "POST", "/v1/payment_intents", amount=49900, currency="usd", payment_method="pm_card_visa", confirm="true",
        **{"allowed_payment_method_types[]": "card", **metadata},
    )  # fmt: skip
    assert other["status"] == "succeeded"
    tuition.deliver_all()
    payment = tuition.payment(purchase["payment_id"])
    assert (payment.status, payment.stripe_object_id) == ("CREATED", purchase["payment_intent_id"])
    assert tuition.attention(purchase["payment_id"]) == [f"claim:{other['id']}"]
    assert tuition.enrollment(student)["status"] == "PENDING"


@pytest.mark.parametrize("kind", ["intent", "session"])
def test_a_settled_object_of_another_api_version_in_a_payments_name_is_still_a_claim(
    tuition: Harness, student: Student, kind: str
) -> None:
    """We do not read the body of such an event but fetch its object, so that no money in a payment's name is missed."""
    purchase = tuition.create(student).body
    intent = tuition.at_stripe("GET", f"/v1/payment_intents/{purchase['payment_intent_id']}")
    metadata = {f"metadata[{k}]": v for k, v in intent["metadata"].items()}
    tuition.new_events()
    if kind == "intent":
        other = tuition.at_stripe(
            "POST", "/v1/payment_intents", amount=49900, currency="usd", payment_method="pm_card_visa", confirm="true",
            **{"allowed_payment_method_types[]": "card", **metadata},
        )  # fmt: skip
        event_type = "payment_intent.succeeded"
    else:
        item = {"currency": "usd", "unit_amount": "49900", "product_data][name": "x"}
        other = tuition.at_stripe(
            "POST", "/v1/checkout/sessions", mode="payment", success_url="https://example.org/",
            **{f"line_items[0][price_data][{k}]": v for k, v in item.items()}, **{"line_items[0][quantity]": 1},
            **metadata,
        )  # fmt: skip
        tuition.at_stripe("POST", f"/v1/payment_pages/{other['id']}/confirm", payment_method="pm_card_visa")
        event_type = "checkout.session.completed"
    event = event_of_type(tuition.new_events(), event_type)
    assert tuition.deliver({**event, "api_version": "2020-08-27"}).body["outcome"] == "applied"
    assert tuition.attention(purchase["payment_id"]) == [f"claim:{other['id']}"]
    assert tuition.payment(purchase["payment_id"]).status == "CREATED"


def test_an_open_object_of_another_api_version_in_a_payments_name_is_no_claim(
    tuition: Harness, student: Student
) -> None:
    purchase = tuition.create(student).body
    intent = tuition.at_stripe("GET", f"/v1/payment_intents/{purchase['payment_intent_id']}")
    metadata = {f"metadata[{k}]": v for k, v in intent["metadata"].items()}
    tuition.new_events()
    tuition.at_stripe("POST", "/v1/payment_intents", amount=49900, currency="usd", **metadata)
    event = event_of_type(tuition.new_events(), "payment_intent.created")
    tuition.deliver({**event, "api_version": "2020-08-27"})
    assert tuition.attention(purchase["payment_id"]) == []
    assert len(tuition.audit_trail(purchase["payment_id"])) == 1


def test_a_different_amount_grants_nothing_and_needs_attention(tuition: Harness, student: Student) -> None:
    purchase, events = paid_events(tuition, student)
    event = event_of_type(events, "payment_intent.succeeded")
    event["data"]["object"]["amount_received"] = 100
    assert tuition.deliver(event).status == 200
    assert tuition.payment(purchase["payment_id"]).status == "SUCCEEDED"
    assert (tuition.enrollment(student) or {})["status"] is None
    assert tuition.attention(purchase["payment_id"]) == ["amount"]


@pytest.mark.parametrize(
    ("secret", "age", "alter"),
    [("whsec_other", 0, False), ("whsec_test", 301, False), ("whsec_test", -301, False), ("whsec_test", 0, True)],
    ids=["another secret", "old", "from the future", "altered"],
)
def test_a_webhook_with_an_invalid_signature_answers_400_and_changes_nothing(
    tuition: Harness, student: Student, secret: str, age: int, alter: bool
) -> None:
    import time

    from stripe_simulator.webhooks import signature
    from webhook import handler

    purchase, events = paid_events(tuition, student)
    body = json.dumps(event_of_type(events, "payment_intent.succeeded"))
    header = signature(secret, body.encode(), int(time.time()) - age)
    body_sent = body.replace("succeeded", "succeedee") if alter else body
    for headers in ({"stripe-signature": header}, {}, {"stripe-signature": "t=1"}):
        assert tuition.call(handler, None, body_sent, headers=headers).status == 400
    assert tuition.payment(purchase["payment_id"]).status == "CREATED"
    assert len(tuition.audit_trail(purchase["payment_id"])) == 1


def test_a_webhook_is_refused_if_no_secret_is_configured(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuition import settings

    _, events = paid_events(tuition, student)
    monkeypatch.setattr(settings, "webhook_signing_secrets", list)
    assert tuition.deliver(events[0]).status == 400


def test_a_webhook_that_needs_stripe_while_it_is_down_answers_502_and_a_redelivery_applies(
    tuition: Harness, student: Student
) -> None:
    purchase, events = paid_events(tuition, student)
    for event in events:
        tuition.deliver(event)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=purchase["payment_intent_id"])
    refund_event = event_of_type(tuition.new_events(), "charge.refunded")
    tuition.stripe_blocked = True
    assert tuition.deliver(refund_event).status == 502
    assert tuition.payment(purchase["payment_id"]).status == "SUCCEEDED"
    tuition.stripe_blocked = False
    assert tuition.deliver(refund_event).status == 200
    assert tuition.payment(purchase["payment_id"]).status == "REFUNDED"


@pytest.mark.parametrize(("wrong", "metric"), [("amount", "EventQuarantined"), ("claim", "AttentionRaised")])
def test_quarantined_events_and_attention_reasons_are_counted_with_their_alarms_dimensions(
    tuition: Harness, student: Student, capsys: pytest.CaptureFixture[str], wrong: str, metric: str
) -> None:
    _, events = paid_events(tuition, student)
    event = event_of_type(events, "payment_intent.succeeded")
    event["data"]["object"]["amount_received"] = "a lot" if wrong == "amount" else 1
    tuition.deliver(event)
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [e[metric] for e in metrics] == [[1.0]]
    directive = metrics[0]["_aws"]["CloudWatchMetrics"][0]
    assert (directive["Namespace"], sorted(directive["Dimensions"][0])) == ("Tuition", ["environment", "service"])


def test_a_payment_is_found_by_its_pointer_if_the_metadata_was_removed_at_stripe(
    tuition: Harness, student: Student
) -> None:
    _, events = paid_events(tuition, student)
    for event in events:
        event["data"]["object"]["metadata"] = {}
        assert tuition.deliver(event).status == 200
    assert tuition.enrollment(student)["status"] == "ENROLLED"


@pytest.mark.parametrize("path", ["id", "data.object.id", "created"])
@pytest.mark.parametrize(
    "value", ["x" * 3000, "\ud800", 10**14, None, [1]], ids=["too long", "lone surrogate", "too large", "null", "list"]
)
def test_an_event_with_an_id_or_time_that_no_table_can_hold_is_quarantined(
    tuition: Harness, student: Student, path: str, value: Any
) -> None:
    purchase, events = paid_events(tuition, student)
    event = event_of_type(events, "payment_intent.succeeded")
    *outer, name = path.split(".")
    within = event
    for key in outer:
        within = within[key]
    within[name] = value
    assert tuition.deliver(event).body["outcome"] == "quarantined"
    assert tuition.payment(purchase["payment_id"]).status == "CREATED"


def test_the_largest_accepted_event_fits_into_quarantine(tuition: Harness, student: Student) -> None:
    _, events = paid_events(tuition, student)
    event = event_of_type(events, "payment_intent.succeeded")
    event["data"]["object"]["status"] = 7
    body = json.dumps(event)[:-1] + ',"x":"' + "é" * 2_300_000 + '"}'
    assert tuition.deliver_raw(body).body["outcome"] == "quarantined"
    assert tuition.deliver_raw(body.replace("é", "éé")).status == 400
