"""The alarm on alarms, which the emulated AWS evaluates, and the count that the alarm on the emails' rule reads."""

from collections.abc import Iterable
from typing import Any

from local.deploy import STACK
from tests.stack.conftest import Running
from tests.stack.test_emails import buy, outbox, until_sent
from tests.stack.test_events import make_replay
from tests.stack.test_roles import invoke

ALARM = f"{STACK}-StudentsCannotBuyAlarm"
BEHIND = (
    "CreatePaymentFailsAlarm",
    "CreateCheckoutSessionFailsAlarm",
    "WebhookErrorsAlarm",
    "ApiServerErrorsAlarm",
)


def test_students_cannot_buy_rings_while_the_alarms_of_its_rule_ring(running: Running) -> None:
    assert running.stack.aws is not None and running.stack.deployed is not None
    cloudwatch, resources = running.stack.aws.client("cloudwatch"), running.stack.deployed.resources

    def state_while(ringing: Iterable[str]) -> Any:
        for name in BEHIND:
            value = "ALARM" if name in ringing else "OK"
            cloudwatch.set_alarm_state(AlarmName=resources[name], StateValue=value, StateReason="a test")
        described = cloudwatch.describe_alarms(AlarmNames=[ALARM], AlarmTypes=["CompositeAlarm"])
        (alarm,) = described["CompositeAlarms"]
        return alarm["StateValue"]

    try:
        assert state_while([]) == "OK"
        for ringing in (["WebhookErrorsAlarm"], ["ApiServerErrorsAlarm"]):
            assert state_while(ringing) == "OK"
        for ringing in (BEHIND[:1], BEHIND[1:2], BEHIND[2:]):
            assert state_while(ringing) == "ALARM"
    finally:
        assert state_while([]) == "OK"


def events_for_emails(running: Running) -> int:
    """Return how often events that an email may follow were counted so far.

    A late line appears with its worker's next invocation, so the function is invoked first.
    """
    assert invoke(running, "PublishFunction", {"Records": []}) == {"batchItemFailures": []}
    return sum('"EmailEventPublished"' in line for line in running.log_lines("EmailEventPublished"))


def test_the_events_for_emails_are_counted_while_their_rule_is_disabled(running: Running, token: str) -> None:
    """`EmailsStoppedAlarm` compares the count with what the rule queued. The emulated AWS does not evaluate it."""
    events, rule = running.client("events"), running.resource("EmailsToSend")
    bus = running.resource("EventBus")
    events.disable_rule(Name=rule, EventBusName=bus)
    assert events.describe_rule(Name=rule, EventBusName=bus)["State"] == "DISABLED"
    try:
        counted = events_for_emails(running)
        payment_id = buy(running, token)
        running.until_delivered()
        running.until(lambda: events_for_emails(running) > counted, "the count of the events for emails")
        assert outbox(running, payment_id=payment_id) == []
    finally:
        events.enable_rule(Name=rule, EventBusName=bus)
    make_replay(running, "--payment", payment_id, process=False)
    until_sent(running, "purchase_confirmed", payment_id=payment_id)
