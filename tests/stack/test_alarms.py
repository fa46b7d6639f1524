"""The alarm on alarms, which the emulated AWS evaluates."""

from collections.abc import Iterable
from typing import Any

from local.deploy import STACK
from tests.stack.conftest import Running

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
