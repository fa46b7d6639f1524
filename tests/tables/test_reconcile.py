"""What no webhook told is learned by the clock, and what was left open is ended: through the same door."""

import itertools
import json
from typing import Any

import pytest

import create_checkout_session
import create_payment
from tests.world import Student, World
from tuition import clock
from tuition.core import timestamps
from tuition.core.errors import StripeUnavailable, Unprocessable
from tuition.intake import reconcile, walk
from tuition.storage import cursors, keys, ledger
from tuition.stripe_gateway import client as stripe_client

DAY = 86_400
HOUR = 3_600
pytestmark = pytest.mark.usefixtures("walk")


def begun(tuition: World, student: Student) -> dict[str, Any]:
    return dict(tuition.create(student).body)


def lost(tuition: World) -> list[dict[str, Any]]:
    """Every event that Stripe has made since is lost."""
    return tuition.new_events()


def altered_and_paid(tuition: World, student: Student) -> None:
    """An intent that names another track than its payment, of which no event was told."""
    made = begun(tuition, student)
    intent = tuition.stripe.account.store.find("payment_intent", made["payment_intent_id"])
    assert intent
    intent["metadata"]["track"] = "XX"
    tuition.pay(made["payment_intent_id"])
    lost(tuition)


def status(tuition: World, student: Student) -> str | None:
    found = tuition.enrolled(student)
    return found["status"] if found else None


# --- what was not told ---


def test_a_purchase_whose_every_webhook_was_lost_enrolls_within_the_hour(tuition: World, student: Student) -> None:
    made = begun(tuition, student)
    tuition.pay(made["payment_intent_id"])
    lost(tuition)
    report = tuition.reconcile()
    assert (report["drifted"], report["failed"], report["done"]) == (1, [], True)
    assert (tuition.payment(made["payment_id"]).status, status(tuition, student)) == ("SUCCEEDED", "ENROLLED")
    assert [r["source"] for r in tuition.trail(made["payment_id"])] == ["request", "reconcile"]
    assert tuition.chain_problem(made["payment_id"]) is None


def test_where_all_was_told_a_run_asks_little_and_writes_nothing(tuition: World, student: Student) -> None:
    made = begun(tuition, student)
    tuition.pay(made["payment_intent_id"])
    tuition.later(5)
    tuition.deliver_all()
    tuition.reconcile()
    before = tuition.trail(made["payment_id"])
    tuition.stripe_calls.clear()
    tuition.time_passes(60)
    report = tuition.reconcile()
    assert (report["drifted"], report["checked"]) == (0, 0)
    assert {call.split()[1] for call in tuition.stripe_calls} == {
        *("/v1/events", "/v1/payment_intents", "/v1/checkout/sessions", "/v1/refunds", "/v1/disputes")
    }
    assert tuition.trail(made["payment_id"]) == before


@pytest.mark.parametrize("event_made", [True, False], ids=["event lost", "event never made"])
@pytest.mark.parametrize("what", ["refund", "dispute", "success", "session"])
def test_whatever_happened_at_stripe_is_learned_with_its_event_or_without(
    tuition: World, student: Student, what: str, event_made: bool
) -> None:
    if what == "session":
        made = tuition.call(create_checkout_session.handler, student, {"track": "DP"}).body
        tuition.at_stripe("POST", f"/v1/payment_pages/{made['session_id']}/confirm", payment_method="pm_card_visa")
    else:
        made = begun(tuition, student)
        tuition.pay(made["payment_intent_id"])
        if what != "success":
            tuition.deliver_all()
            path = "/v1/refunds" if what == "refund" else "/_sim/disputes"
            more = {} if what == "refund" else {"status": "lost"}
            tuition.at_stripe("POST", path, payment_intent=made["payment_intent_id"], **more)
    tuition.later(3)
    if not event_made:
        for event in lost(tuition):
            tuition.stripe.webhooks.payloads.pop(event["id"])
            tuition.stripe.webhooks.types.pop(event["id"])
    assert tuition.reconcile()["failed"] == []
    expected = {"refund": ("REFUNDED", "WITHDRAWN"), "dispute": ("SUCCEEDED", "WITHDRAWN")}
    assert (tuition.payment(made["payment_id"]).status, status(tuition, student)) == expected.get(
        what, ("SUCCEEDED", "ENROLLED")
    )


def test_a_payment_that_is_missing_is_rebuilt_if_it_is_settled(tuition: World, student: Student) -> None:
    made = begun(tuition, student)
    tuition.pay(made["payment_intent_id"])
    for table, key in (
        ("payments", keys.payment_key(made["payment_id"])),
        ("enrollments", keys.enrollment_key(student.sub, "DP")),
        ("stripe_objects", keys.stripe_object_key(made["payment_intent_id"])),
    ):
        tuition.tables.delete_item(TableName=table, Key=key)
    record = tuition.trail(made["payment_id"])[0]
    tuition.tables.delete_item(
        TableName="audit", Key=keys.audit_key(made["payment_id"], f"{record['at']}#{record['event_id']}")
    )
    assert tuition.reconcile()["drifted"] == 1
    assert (tuition.payment(made["payment_id"]).status, status(tuition, student)) == ("SUCCEEDED", "ENROLLED")
    assert tuition.attention(made["payment_id"]) == ["rebuilt"]


def test_a_settled_object_in_the_name_of_another_payment_needs_a_person(tuition: World, student: Student) -> None:
    made = begun(tuition, student)
    named = tuition.stripe.account.store.find("payment_intent", made["payment_intent_id"])
    assert named
    twin = tuition.at_stripe(
        "POST", "/v1/payment_intents", amount=49900, currency="usd", payment_method="pm_card_visa", confirm="true",
        **{"allowed_payment_method_types[]": "card"}, **{f"metadata[{k}]": v for k, v in named["metadata"].items()},
    )  # fmt: skip
    lost(tuition)
    tuition.reconcile()
    assert tuition.attention(made["payment_id"]) == [f"claim:{twin['id']}"]
    assert tuition.payment(made["payment_id"]).status == "CREATED"


def test_many_that_are_due_leave_half_of_the_time_for_what_stripe_made(tuition: World, student: Student) -> None:
    for number in range(12):
        begun(tuition, Student(f"{student.sub}-{number}"))
    tuition.reconcile()
    tuition.time_passes(8 * HOUR)
    before = tuition.reconcile()
    tuition.time_passes(3 * HOUR)
    left = itertools.count(70, -3)  # each look at the clock takes three seconds
    report = reconcile.run(lambda: float(next(left)))
    assert 0 < report.checked < 12
    assert not report.done
    assert timestamps.iso(report.place) > before["place"]
    assert report.checked + tuition.reconcile()["checked"] == 12


# --- what was left open ---


@pytest.mark.parametrize("kind", ["payment_intent", "checkout.session"])
def test_an_orphan_is_closed_after_an_hour_and_not_before(
    tuition: World,
    student: Student,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    orphan = died_after_stripe(tuition, student, monkeypatch, kind)
    tuition.reconcile()
    assert is_open(tuition, kind, orphan)
    tuition.time_passes(HOUR + 1)
    capsys.readouterr()
    assert tuition.reconcile()["orphans"] == 1
    assert '"ReconcileDrift":[1.0]' in capsys.readouterr().out
    assert not is_open(tuition, kind, orphan)
    offer = begun(tuition, student)
    assert is_open(tuition, "payment_intent", offer["payment_intent_id"])


def test_an_orphan_that_was_paid_meanwhile_is_rebuilt(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan = died_after_stripe(tuition, student, monkeypatch, "payment_intent")
    ledger.abandon(orphan, student.sub, "DP")
    tuition.pay(orphan)
    tuition.reconcile()
    assert status(tuition, student) == "ENROLLED"


def died_after_stripe(tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch, kind: str) -> str:
    """The id of an object whose create was killed before its transaction."""

    class Died(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Died

    handler = create_payment.handler if kind == "payment_intent" else create_checkout_session.handler
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "commit", die)
        with pytest.raises(Died):
            tuition.call(handler, student, {"track": "DP"})
    return str(list(tuition.stripe.account.store.objects[kind])[-1])


def is_open(tuition: World, kind: str, object_id: str) -> bool:
    found = tuition.stripe.account.store.find(kind, object_id)
    assert found
    return found["status"] in ("open", "requires_payment_method")


def test_a_payment_left_alone_for_days_is_closed_and_one_in_use_is_not(tuition: World, student: Student) -> None:
    old, used = begun(tuition, student), begun(tuition, Student(student.sub + "-b"))
    tuition.time_passes(3 * DAY - 60)
    tuition.pay(used["payment_intent_id"], "pm_card_chargeDeclined")
    tuition.deliver_all()
    tuition.time_passes(DAY)
    assert tuition.reconcile()["closed"] == 1
    assert tuition.payment(old["payment_id"]).status == "CANCELED"
    assert tuition.payment(used["payment_id"]).status == "FAILED"
    assert status(tuition, student) is None


def test_what_is_open_is_looked_at_less_often_as_it_ages(tuition: World, student: Student) -> None:
    made = begun(tuition, student)
    tuition.deliver_all()
    version = tuition.payment(made["payment_id"]).version
    looks = []
    for hour in range(24):
        tuition.time_passes(HOUR + 1)
        looks += [hour] * tuition.reconcile()["checked"]
    assert 8 < len(looks) < 20
    assert looks[:4] == [0, 1, 2, 3]
    assert tuition.payment(made["payment_id"]).version == version
    assert tuition.chain_problem(made["payment_id"]) is None


def test_a_refund_that_was_being_called_is_driven_on(tuition: World, student: Student) -> None:
    made = begun(tuition, student)
    tuition.pay(made["payment_intent_id"])
    tuition.deliver_all()
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/refunds", times=9, fail="before")
    assert tuition.refund(student, made["payment_id"]).status == 502
    tuition.at_stripe("DELETE", "/_sim/calls")
    assert tuition.reconcile()["resumed"] == 0  # somebody may be at it still
    tuition.time_passes(301)
    assert tuition.reconcile()["resumed"] == 1
    assert tuition.payment(made["payment_id"]).status == "REFUNDED"
    (moved,) = [r for r in tuition.trail(made["payment_id"]) if r["type"] == "refund.made"]
    assert (moved["source"], moved.get("actor")) == ("reconcile", None)
    assert len(tuition.stripe.account.store.objects["refund"]) == 1


# --- quarantine ---


def test_what_could_not_be_applied_is_tried_again(tuition: World, student: Student) -> None:
    made = begun(tuition, student)
    tuition.pay(made["payment_intent_id"])
    (event,) = [e for e in tuition.new_events() if e["type"] == "payment_intent.succeeded"]
    broken = {**event, "data": {"object": {**event["data"]["object"], "amount_received": "much"}}}
    assert tuition.deliver(broken).body["outcome"] == "quarantined"
    assert tuition.reconcile()["replayed"] == 0
    stored = keys.quarantine_key(event["id"])
    tuition.tables.update_item(
        TableName="quarantine", Key=stored, UpdateExpression="SET event = :event",
        ExpressionAttributeValues={":event": {"S": json.dumps(event)}},
    )  # fmt: skip
    assert tuition.reconcile()["replayed"] == 1
    assert "Item" not in tuition.tables.get_item(TableName="quarantine", Key=stored)


def test_an_event_that_cannot_be_applied_goes_to_quarantine_and_the_place_moves_on(
    tuition: World, student: Student
) -> None:
    altered_and_paid(tuition, student)
    report = tuition.reconcile()
    assert any("another user or track" in failed for failed in report["failed"])
    kept = tuition.tables.scan(TableName="quarantine")["Items"]
    assert {"payment_intent.succeeded"} <= {json.loads(item["event"]["S"])["type"] for item in kept}
    assert report["cursor"] == timestamps.iso(cursors.read(cursors.RECONCILE) or 0)
    assert report["done"]


# --- runs ---


def emitted(capsys: pytest.CaptureFixture[str], metric: str) -> list[Any]:
    """The values of a metric that were written since the last look, each with the dimensions of its alarm."""
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    found = [line for line in written if metric in line]
    for line in found:
        (described,) = line["_aws"]["CloudWatchMetrics"]
        assert (described["Namespace"], sorted(described["Dimensions"][0])) == ("Tuition", ["environment", "service"])
        assert (line["environment"], line["service"]) == ("test", "tuition")
    return [line[metric] for line in found]


def test_a_run_tells_how_long_ago_that_was_to_which_it_came(
    tuition: World, student: Student, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(tuition, student)
    tuition.reconcile()
    assert emitted(capsys, "ReconcileAge") == [[0.0]]
    tuition.time_passes(3 * HOUR)
    assert not tuition.reconcile(seconds=walk.RESERVE_S - 1)["done"]
    ((age,),) = emitted(capsys, "ReconcileAge")
    assert 3 * HOUR <= age < 3 * HOUR + 60


def test_each_thing_that_a_run_could_not_handle_is_counted(
    tuition: World, student: Student, capsys: pytest.CaptureFixture[str]
) -> None:
    altered_and_paid(tuition, student)
    capsys.readouterr()
    failed = tuition.reconcile()["failed"]
    assert failed
    assert emitted(capsys, "ReconcileFailed") == [[1.0]] * len(failed)


def test_only_one_runs_at_a_time_and_a_lease_that_was_not_given_back_ends(tuition: World) -> None:
    lease = cursors.lease()
    with lease, pytest.raises(cursors.LeaseTaken):
        tuition.reconcile()
    assert tuition.reconcile()["done"]
    with cursors.lease():  # its holder is killed: what it gives back is no longer its own
        tuition.tables.update_item(
            TableName="cursors",
            Key=keys.cursor_key(cursors.RECONCILE),
            UpdateExpression="SET holder = :other",
            ExpressionAttributeValues={":other": {"S": "killed"}},
        )
    with pytest.raises(cursors.LeaseTaken):
        tuition.reconcile()
    tuition.time_passes(cursors.LEASE_S + 1)
    assert tuition.reconcile()["done"]


def test_stripe_out_of_reach_ends_a_run_and_the_next_loses_nothing(tuition: World, student: Student) -> None:
    made = begun(tuition, student)
    tuition.pay(made["payment_intent_id"])
    lost(tuition)
    tuition.stripe_blocked = True
    with pytest.raises(StripeUnavailable):
        tuition.reconcile()
    tuition.stripe_blocked = False
    tuition.time_passes(60)
    assert tuition.reconcile()["drifted"] == 1
    assert status(tuition, student) == "ENROLLED"


def test_where_stripe_limits_us_a_run_waits_and_goes_on(tuition: World, student: Student) -> None:
    made = begun(tuition, student)
    tuition.pay(made["payment_intent_id"])
    lost(tuition)
    tuition.at_stripe("POST", "/_sim/calls", match="GET /v1/payment_intents/*", times=3, fail="rate_limit")
    assert tuition.reconcile()["failed"] == []
    assert status(tuition, student) == "ENROLLED"


def test_a_run_without_time_leaves_the_rest_to_the_next(tuition: World, student: Student) -> None:
    made = begun(tuition, student)
    tuition.pay(made["payment_intent_id"])
    lost(tuition)
    assert tuition.reconcile(seconds=walk.RESERVE_S - 1)["done"] is False
    assert status(tuition, student) != "ENROLLED"
    assert tuition.reconcile()["done"]
    assert status(tuition, student) == "ENROLLED"


def test_a_session_is_pulled_once_when_its_intent_is_first_seen(tuition: World, student: Student) -> None:
    made = tuition.call(create_checkout_session.handler, student, {"track": "DP"}).body
    tuition.at_stripe("POST", f"/v1/payment_pages/{made['session_id']}/confirm", payment_method="pm_card_visa")
    tuition.time_passes(3)
    lost(tuition)
    intent = tuition.at_stripe("GET", f"/v1/checkout/sessions/{made['session_id']}")["payment_intent"]
    obj = tuition.at_stripe("GET", f"/v1/payment_intents/{intent}")
    run = walk.Run(lambda: 900)
    tuition.stripe_calls.clear()
    walk._on_intent(run, obj, int(clock.now()))
    assert tuition.stripe_calls == [f"GET /v1/checkout/sessions/{made['session_id']}"]
    assert status(tuition, student) == "ENROLLED"


def test_a_hundred_and_one_purchases_untold_are_all_learned(tuition: World, student: Student) -> None:
    """More than a page of every list."""
    made = [begun(tuition, Student(f"{student.sub}-{n}")) for n in range(101)]
    for one in made:
        tuition.pay(one["payment_intent_id"])
    lost(tuition)
    assert tuition.reconcile()["drifted"] == len(made)
    assert {tuition.payment(one["payment_id"]).status for one in made} == {"SUCCEEDED"}


# --- backfill ---


def test_a_backfill_goes_on_where_it_ended_and_can_be_asked_again(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = begun(tuition, student)
    tuition.pay(made["payment_intent_id"])
    today = timestamps.iso(clock.now())[:10]
    lost(tuition)
    days = {"from": today, "to": today}
    walked: list[int] = []
    real = cursors.advance

    def move(name: str, place: int) -> None:
        real(name, place)
        walked.append(place)
        if len(walked) == 5:
            raise walk.OutOfTime

    with monkeypatch.context() as patch:
        patch.setattr(cursors, "advance", move)
        assert tuition.reconcile(backfill=days)["done"] is False
    calls = list(walked)
    report = tuition.reconcile(backfill=days)
    assert (report["done"], calls == sorted(calls)) == (True, True)
    assert status(tuition, student) == "ENROLLED"
    assert tuition.reconcile(backfill=days)["drifted"] == 0


@pytest.mark.parametrize(
    "asked", [{}, {"from": "2026-11-01"}, {"from": "2026-11-02", "to": "2026-11-01"}, {"from": "x", "to": "y"}, "all"]
)
def test_a_backfill_of_no_days_is_refused(tuition: World, asked: Any) -> None:
    with pytest.raises(Unprocessable):
        tuition.reconcile(backfill=asked)


def test_lists_are_read_to_their_end(tuition: World, student: Student) -> None:
    made = begun(tuition, student)
    tuition.pay(made["payment_intent_id"])
    for _ in range(101):
        tuition.at_stripe("POST", "/v1/refunds", payment_intent=made["payment_intent_id"], amount=1)
    assert len(stripe_client.list_refunds(made["payment_intent_id"])) == 101
