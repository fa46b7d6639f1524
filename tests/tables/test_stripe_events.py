"""What becomes of an event that is not the ordinary one: foreign, too early, unusable, of another version."""

import json
from typing import Any

import pytest

from tests.world import Student, World

QUARANTINE = "GET /api/admin/quarantine"
REPLAY = "POST /api/admin/quarantine/{event_id}/replay"


def paid_events(tuition: World, student: Student) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    return made, tuition.new_events()


def one(events: list[dict[str, Any]], type_: str) -> dict[str, Any]:
    return next(e for e in events if e["type"] == type_)


@pytest.mark.parametrize("metadata", [{"app": "shop"}, {"app": "tuition", "environment": "production"}, {}])
def test_what_is_not_ours_is_counted_and_forgotten(tuition: World, student: Student, metadata: dict[str, str]) -> None:
    made = tuition.create(student).body
    tuition.new_events()
    theirs = {f"metadata[{name}]": value for name, value in {**metadata, "payment_id": made["payment_id"]}.items()}
    paid = tuition.at_stripe(
        "POST", "/v1/payment_intents", amount=49900, currency="usd", payment_method="pm_card_visa", confirm="true",
        **{"allowed_payment_method_types[]": "card", **theirs},
    )  # fmt: skip
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=paid["id"])
    outcomes = {answer.body["outcome"] for answer in tuition.deliver_all()}
    assert outcomes <= {"foreign", "ignored"}
    assert tuition.payment(made["payment_id"]).status == "CREATED"
    assert len(tuition.trail(made["payment_id"])) == 1


def test_a_live_event_changes_nothing_in_a_test_environment(tuition: World, student: Student) -> None:
    made, events = paid_events(tuition, student)
    for event in events:
        assert tuition.deliver({**event, "livemode": True}).body["outcome"] == "foreign"
    assert tuition.payment(made["payment_id"]).status == "CREATED"


@pytest.mark.parametrize("whose", ["other app", "other environment", "other mode"])
def test_each_kind_of_foreign_event_is_counted(
    tuition: World, student: Student, capsys: pytest.CaptureFixture[str], whose: str
) -> None:
    _, events = paid_events(tuition, student)
    event = one(events, "payment_intent.succeeded")
    event["data"]["object"]["id"] = "pi_foreign"
    if whose == "other mode":
        event["livemode"] = True
    else:
        event["data"]["object"]["metadata"]["app" if whose == "other app" else "environment"] = "other"
    assert tuition.deliver(event).body["outcome"] == "foreign"
    emitted = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [e["ForeignEvent"] for e in emitted] == [[1.0]]


def test_an_event_of_another_api_version_is_only_a_reason_to_pull(tuition: World, student: Student) -> None:
    made, events = paid_events(tuition, student)
    event = one(events, "payment_intent.created")
    event["api_version"], event["data"]["object"]["status"] = "2019-01-01", "canceled"
    assert tuition.deliver(event).body["outcome"] == "applied"
    assert tuition.payment(made["payment_id"]).status == "SUCCEEDED"


def test_a_payment_whose_item_is_missing_is_rebuilt_from_a_pull_with_attention(
    tuition: World, student: Student
) -> None:
    made, events = paid_events(tuition, student)
    forget(tuition, made, student)
    assert tuition.deliver(one(events, "payment_intent.created")).body["outcome"] == "left"
    assert tuition.deliver(one(events, "payment_intent.succeeded")).body["outcome"] == "applied"
    payment = tuition.payment(made["payment_id"])
    assert (payment.status, payment.attempt) == ("SUCCEEDED", 1)
    assert tuition.attention(made["payment_id"]) == ["rebuilt"]
    assert tuition.enrolled(student)["status"] == "ENROLLED"
    tuition.refund(student, made["payment_id"])
    assert tuition.create(student).status == 201


def forget(tuition: World, made: dict[str, Any], student: Student) -> None:
    """The items are lost, as after a restore to an earlier moment."""
    tuition.tables.delete_item(TableName="payments", Key={"payment_id": {"S": made["payment_id"]}})
    tuition.tables.delete_item(TableName="stripe_objects", Key={"stripe_id": {"S": made["payment_intent_id"]}})
    tuition.tables.delete_item(TableName="enrollments", Key={"user_id": {"S": student.sub}, "sort_key": {"S": "DP"}})
    for record in tuition.trail(made["payment_id"]):
        key = {"subject": {"S": made["payment_id"]}, "sort_key": {"S": f"{record['at']}#{record['event_id']}"}}
        tuition.tables.delete_item(TableName="audit", Key=key)


def test_nothing_is_rebuilt_from_an_events_own_body(tuition: World, student: Student) -> None:
    made = tuition.create(student).body
    events = tuition.new_events()
    forget(tuition, made, student)
    event = one(events, "payment_intent.created")
    event["type"] = "payment_intent.succeeded"
    event["data"]["object"] |= {"status": "succeeded", "amount_received": 49900}
    assert tuition.deliver(event).body["outcome"] == "left"
    assert tuition.payment(made["payment_id"]) is None
    assert tuition.enrolled(student) is None


def quarantined(tuition: World, admin: Student) -> list[dict[str, Any]]:
    """All that waits, over all pages."""
    found: list[dict[str, Any]] = []
    query = {"limit": "100"}
    while True:
        page = tuition.admin(admin, QUARANTINE, query=query).body
        found += page["events"]
        if not page["next_cursor"]:
            return found
        query["cursor"] = page["next_cursor"]


def test_an_event_of_ours_that_cannot_be_applied_waits_in_quarantine_and_can_be_replayed(
    tuition: World, student: Student, admin: Student
) -> None:
    made, events = paid_events(tuition, student)
    event = one(events, "payment_intent.succeeded")
    broken = json.loads(json.dumps(event))
    broken["data"]["object"]["amount_received"] = "a lot"
    for _ in range(2):
        assert tuition.deliver(broken).body["outcome"] == "quarantined"
    listed = [q for q in quarantined(tuition, admin) if q["event_id"] == event["id"]]
    assert listed[0]["tries"] == 2
    assert "amount_received" in listed[0]["reason"]
    again = tuition.admin(admin, REPLAY, event_id=event["id"])
    assert again.body["outcome"] == "quarantined"
    tuition.deliver_raw(json.dumps(event))
    mended = tuition.admin(admin, REPLAY, event_id=event["id"])
    assert mended.status == 200
    assert tuition.payment(made["payment_id"]).status == "SUCCEEDED"


def test_another_object_that_settled_in_a_payments_name_calls_a_person_and_moves_nothing(
    tuition: World, student: Student
) -> None:
    made = tuition.create(student).body
    bound = tuition.at_stripe("GET", f"/v1/payment_intents/{made['payment_intent_id']}")
    metadata = {f"metadata[{k}]": v for k, v in bound["metadata"].items()}
    tuition.new_events()
    stray = tuition.at_stripe(
        "POST", "/v1/payment_intents", amount=49900, currency="usd", payment_method="pm_card_visa", confirm="true",
        **{"allowed_payment_method_types[]": "card", **metadata},
    )  # fmt: skip
    assert stray["status"] == "succeeded"
    tuition.deliver_all()
    payment = tuition.payment(made["payment_id"])
    assert (payment.status, payment.stripe_object_id) == ("CREATED", made["payment_intent_id"])
    assert tuition.attention(made["payment_id"]) == [f"claim:{stray['id']}"]
    assert tuition.enrolled(student)["status"] == "PENDING"


@pytest.mark.parametrize("kind", ["intent", "session"])
def test_a_strangers_settled_object_told_by_an_event_of_another_version_still_claims(
    tuition: World, student: Student, kind: str
) -> None:
    """Its body is not read, so it is asked for: money in a payment's name must never be passed over."""
    made = tuition.create(student).body
    bound = tuition.at_stripe("GET", f"/v1/payment_intents/{made['payment_intent_id']}")
    metadata = {f"metadata[{k}]": v for k, v in bound["metadata"].items()}
    tuition.new_events()
    if kind == "intent":
        stray = tuition.at_stripe(
            "POST", "/v1/payment_intents", amount=49900, currency="usd", payment_method="pm_card_visa", confirm="true",
            **{"allowed_payment_method_types[]": "card", **metadata},
        )  # fmt: skip
        told = "payment_intent.succeeded"
    else:
        line = {"currency": "usd", "unit_amount": "49900", "product_data][name": "x"}
        stray = tuition.at_stripe(
            "POST", "/v1/checkout/sessions", mode="payment", success_url="https://example.org/",
            **{f"line_items[0][price_data][{k}]": v for k, v in line.items()}, **{"line_items[0][quantity]": 1},
            **metadata,
        )  # fmt: skip
        tuition.at_stripe("POST", f"/v1/payment_pages/{stray['id']}/confirm", payment_method="pm_card_visa")
        told = "checkout.session.completed"
    event = one(tuition.new_events(), told)
    assert tuition.deliver({**event, "api_version": "2020-08-27"}).body["outcome"] == "applied"
    assert tuition.attention(made["payment_id"]) == [f"claim:{stray['id']}"]
    assert tuition.payment(made["payment_id"]).status == "CREATED"


def test_a_strangers_open_object_told_by_an_event_of_another_version_claims_nothing(
    tuition: World, student: Student
) -> None:
    made = tuition.create(student).body
    bound = tuition.at_stripe("GET", f"/v1/payment_intents/{made['payment_intent_id']}")
    metadata = {f"metadata[{k}]": v for k, v in bound["metadata"].items()}
    tuition.new_events()
    tuition.at_stripe("POST", "/v1/payment_intents", amount=49900, currency="usd", **metadata)
    event = one(tuition.new_events(), "payment_intent.created")
    tuition.deliver({**event, "api_version": "2020-08-27"})
    assert tuition.attention(made["payment_id"]) == []
    assert len(tuition.trail(made["payment_id"])) == 1


def test_an_amount_that_differs_grants_nothing_and_calls_a_person(tuition: World, student: Student) -> None:
    made, events = paid_events(tuition, student)
    event = one(events, "payment_intent.succeeded")
    event["data"]["object"]["amount_received"] = 100
    assert tuition.deliver(event).status == 200
    assert tuition.payment(made["payment_id"]).status == "SUCCEEDED"
    assert tuition.enrolled(student) is None
    assert tuition.attention(made["payment_id"]) == ["amount"]


@pytest.mark.parametrize(
    ("secret", "age", "alter"),
    [("whsec_other", 0, False), ("whsec_test", 301, False), ("whsec_test", -301, False), ("whsec_test", 0, True)],
    ids=["another secret", "old", "from the future", "altered"],
)
def test_a_webhook_that_is_not_stripes_is_400_and_changes_nothing(
    tuition: World, student: Student, secret: str, age: int, alter: bool
) -> None:
    import time

    from stripe_simulator.webhooks import signature
    from webhook import handler

    made, events = paid_events(tuition, student)
    body = json.dumps(one(events, "payment_intent.succeeded"))
    header = signature(secret, body.encode(), int(time.time()) - age)
    sent = body.replace("succeeded", "succeedee") if alter else body
    for headers in ({"stripe-signature": header}, {}, {"stripe-signature": "t=1"}):
        assert tuition.call(handler, None, sent, headers=headers).status == 400
    assert tuition.payment(made["payment_id"]).status == "CREATED"
    assert len(tuition.trail(made["payment_id"])) == 1


def test_a_webhook_without_a_configured_secret_is_refused(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuition import settings

    _, events = paid_events(tuition, student)
    monkeypatch.setattr(settings, "webhook_signing_secrets", list)
    assert tuition.deliver(events[0]).status == 400


def test_a_stripe_that_is_down_while_a_pull_is_needed_is_5xx_and_the_next_delivery_applies(
    tuition: World, student: Student
) -> None:
    made, events = paid_events(tuition, student)
    for event in events:
        tuition.deliver(event)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=made["payment_intent_id"])
    refunded = one(tuition.new_events(), "charge.refunded")
    tuition.stripe_blocked = True
    assert tuition.deliver(refunded).status == 502
    assert tuition.payment(made["payment_id"]).status == "SUCCEEDED"
    tuition.stripe_blocked = False
    assert tuition.deliver(refunded).status == 200
    assert tuition.payment(made["payment_id"]).status == "REFUNDED"


@pytest.mark.parametrize(("wrong", "metric"), [("amount", "EventQuarantined"), ("claim", "AttentionRaised")])
def test_what_needs_a_person_is_counted_as_its_alarm_watches(
    tuition: World, student: Student, capsys: pytest.CaptureFixture[str], wrong: str, metric: str
) -> None:
    _, events = paid_events(tuition, student)
    event = one(events, "payment_intent.succeeded")
    event["data"]["object"]["amount_received"] = "a lot" if wrong == "amount" else 1
    tuition.deliver(event)
    emitted = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [e[metric] for e in emitted] == [[1.0]]
    described = emitted[0]["_aws"]["CloudWatchMetrics"][0]
    assert (described["Namespace"], sorted(described["Dimensions"][0])) == ("Tuition", ["environment", "service"])


def test_metadata_emptied_at_stripe_do_not_lose_a_payment_that_is_pointed_to(tuition: World, student: Student) -> None:
    _, events = paid_events(tuition, student)
    for event in events:
        event["data"]["object"]["metadata"] = {}
        assert tuition.deliver(event).status == 200
    assert tuition.enrolled(student)["status"] == "ENROLLED"


@pytest.mark.parametrize("path", ["id", "data.object.id", "created"])
@pytest.mark.parametrize(
    "value", ["x" * 3000, "\ud800", 10**14, None, [1]], ids=["long", "half", "huge", "none", "list"]
)
def test_an_id_or_a_time_that_no_table_can_hold_is_for_a_person(
    tuition: World, student: Student, path: str, value: Any
) -> None:
    made, events = paid_events(tuition, student)
    event = one(events, "payment_intent.succeeded")
    *outer, name = path.split(".")
    within = event
    for key in outer:
        within = within[key]
    within[name] = value
    assert tuition.deliver(event).body["outcome"] == "quarantined"
    assert tuition.payment(made["payment_id"]).status == "CREATED"


def test_the_largest_event_that_is_accepted_fits_into_quarantine(tuition: World, student: Student) -> None:
    _, events = paid_events(tuition, student)
    event = one(events, "payment_intent.succeeded")
    event["data"]["object"]["status"] = 7
    padded = json.dumps(event)[:-1] + ',"x":"' + "é" * 60_000 + '"}'
    assert tuition.deliver_raw(padded).body["outcome"] == "quarantined"
    assert tuition.deliver_raw(padded.replace("é", "éé")).status == 400
