"""Events reach their consumers on the running stack, whatever fails on the way.

The emulated bus delivers once, and knows neither retries of a target nor dead-letter queues.
"""

import http.server
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local import change_set, deploy, replay
from tests import joining
from tests.event_schemas import schema_of
from tests.stack import commands
from tests.stack.conftest import Running
from tests.stack.left_behind import LOG_ATTEMPTS
from tools import published_events as reference
from tuition.core import published_events

RULE = "events-probe"
CONSUMER = "events-consumer"


class Probe:
    """A queue that gets every event from the bus."""

    def __init__(self, running: Running) -> None:
        self._sqs, self._events = running.client("sqs"), running.client("events")
        self._bus = running.resource("EventBus")
        self._url = self._sqs.create_queue(QueueName=RULE)["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]
        self._events.put_rule(Name=RULE, EventBusName=self._bus, EventPattern=json.dumps({"source": ["tuition"]}))
        target = {"Id": "probe", "Arn": attributes["QueueArn"]}
        self._events.put_targets(Rule=RULE, EventBusName=self._bus, Targets=[target])
        self.details: list[tuple[str, dict[str, Any]]] = []

    def of(self, subject: str) -> list[str]:
        """Return the types of the events of a subject that have arrived so far."""
        self._receive()
        return [type_ for type_, detail in self.details if detail["subject"] == subject]

    def ids(self, subject: str) -> list[str]:
        self._receive()
        return [detail["id"] for _, detail in self.details if detail["subject"] == subject]

    def _receive(self) -> None:
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                event = json.loads(message["Body"])
                self.details.append((event["detail-type"], event["detail"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])

    def close(self) -> None:
        self._events.remove_targets(Rule=RULE, EventBusName=self._bus, Ids=["probe"])
        self._events.delete_rule(Name=RULE, EventBusName=self._bus)
        self._sqs.delete_queue(QueueUrl=self._url)


@pytest.fixture(scope="module")
def probe(running: Running) -> Iterator[Probe]:
    probe = Probe(running)
    yield probe
    probe.close()


def buy(running: Running, token: str, track: str = "DP") -> str:
    purchase = running.create(token, track).json()
    running.pay(purchase["payment_intent_id"])
    running.until_enrolled(token, track)
    return str(purchase["payment_id"])


def make_replay(running: Running, *arguments: str, process: bool = True) -> str:
    result = commands.run(running, "replay", *arguments, process=process)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def failed_records(running: Running) -> list[str]:
    """Return the records that the publishing reader has kept in S3."""
    s3, bucket = running.client("s3"), running.resource("FailedRecordsBucket")
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="aws/lambda/PublishedRecords/").get("Contents", [])
    return [s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read().decode() for one in listed]


def test_a_purchase_arrives_with_all_that_consumers_need(running: Running, token: str, sub: str, probe: Probe) -> None:
    payment_id = buy(running, token)
    expected = {
        published_events.PAYMENT_CREATED,
        published_events.PAYMENT_SETTLED,
        published_events.ENROLLMENT_GRANTED,
        published_events.PAYMENT_CHANGED,
    }
    running.until(lambda: expected <= set(probe.of(payment_id)), "the events of a purchase")
    own = [(type_, detail) for type_, detail in probe.details if detail["subject"] == payment_id]
    settled = next(detail for type_, detail in own if type_ == published_events.PAYMENT_SETTLED)
    assert settled["payment_id"] == payment_id and settled["user_id"] == sub
    assert (settled["amount"], settled["currency"], settled["track"]) == (49900, "usd", "DP")
    for type_, detail in probe.details:
        schema_of(type_).validate(detail)
    assert set(probe.of(payment_id)) <= set(reference.TYPES)
    assert sub + "@" not in json.dumps(probe.details)


def test_a_replay_sends_the_same_events_again(running: Running, token: str, probe: Probe) -> None:
    payment_id = buy(running, token)
    running.until_delivered()
    running.until(lambda: published_events.ENROLLMENT_GRANTED in probe.of(payment_id), "the events of a purchase")
    running.until(lambda: len(set(probe.ids(payment_id))) > 3, "those of its charge")
    before = Counter(probe.ids(payment_id))

    def came_again(times: int) -> bool:
        now = Counter(probe.ids(payment_id))
        return all(now[id_] >= count + times for id_, count in before.items())

    assert " records, " in make_replay(running, "--payment", payment_id)
    running.until(lambda: came_again(1), "every event a second time")
    first = next(detail for _, detail in probe.details if detail["subject"] == payment_id)
    make_replay(running, "--day", first["recorded_at"][:10], "--rate", str(replay.MAX_RATE))
    running.until(lambda: came_again(2), "the events of the day a third time")


def test_a_poison_record_holds_up_no_other_and_is_published_after_the_mend(
    running: Running, token: str, probe: Probe
) -> None:
    dynamodb, table = running.client("dynamodb"), running.resource("AuditTable")
    query = {"KeyConditionExpression": "subject = :s", "ExpressionAttributeValues": {":s": {"S": buy(running, token)}}}
    trail = dynamodb.query(TableName=table, ConsistentRead=True, Limit=1, **query)["Items"]
    key = {"subject": {"S": "pay_poison"}, "sort_key": {"S": "2026-11-23T18:00:00.000Z#evt_poison"}}
    poison = {**trail[0], **key, "seq": {"N": "1"}}
    try:
        dynamodb.put_item(TableName=table, Item={**poison, "transition": {"S": "not JSON"}})
        payment_id = buy(running, token, "FSD")
        running.until(lambda: published_events.ENROLLMENT_GRANTED in probe.of(payment_id), "the purchase behind it")
        running.until(lambda: any("pay_poison" in text for text in failed_records(running)), "the record in S3")
        assert probe.of("pay_poison") == []
        created = json.dumps({"status": {"from": None, "to": "CREATED"}, "currency": "usd"})
        dynamodb.put_item(TableName=table, Item={**poison, "transition": {"S": created}})
        make_replay(running, "--payment", "pay_poison")
        running.until(lambda: published_events.PAYMENT_CREATED in probe.of("pay_poison"), "the mended record")
    finally:
        dynamodb.delete_item(TableName=table, Key=key)


def test_events_of_a_function_that_is_killed_at_each_try_are_not_lost(
    running: Running, token: str, probe: Probe
) -> None:
    """Later tries or a replay publish them. The test above shows that S3 has the records that fail in every try."""
    functions, name = running.client("lambda"), running.resource("PublishFunction")
    functions.update_function_configuration(FunctionName=name, Handler="missing.handler")
    try:
        payment_id = buy(running, token)
        answer = functions.invoke(FunctionName=name, Payload=json.dumps({"replay": {"subject": payment_id}}).encode())
        assert answer.get("FunctionError"), "the function is not broken"
        assert probe.of(payment_id) == []
    finally:
        functions.update_function_configuration(FunctionName=name, Handler="publish.handler")
    make_replay(running, "--payment", payment_id)
    expected = {published_events.PAYMENT_SETTLED, published_events.ENROLLMENT_GRANTED}
    running.until(lambda: expected <= set(probe.of(payment_id)), "the events after the mend")


def test_a_consumer_is_one_file_and_one_rule(running: Running, token: str, tmp_path: Path) -> None:
    folder = tmp_path / "consumer"
    folder.mkdir()
    (folder / "settled.py").write_text(joining.consumer_file(), encoding="utf-8")
    content, object_key = change_set.archive(folder), "consumer.zip"
    template = joining.consumer_template({"Bucket": deploy.BUCKET, "Key": object_key})
    s3, cloudformation = running.client("s3"), running.client("cloudformation")
    s3.put_object(Bucket=deploy.BUCKET, Key=object_key, Body=content)
    values = {"EventBusName": running.resource("EventBus"), "AlarmTopicArn": "arn:aws:sns:us-east-1:000000000000:x"}
    parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()]
    cloudformation.create_stack(
        StackName=CONSUMER,
        TemplateBody=json.dumps(template),
        Parameters=parameters,
        Capabilities=["CAPABILITY_IAM"],
    )
    try:
        running.until(lambda: _status(cloudformation) == "CREATE_COMPLETE", "the consumer's stack")
        payment_id = buy(running, token)
        running.until(lambda: _logged(running, payment_id), "the consumer's line")
    finally:
        cloudformation.delete_stack(StackName=CONSUMER)
        _remove_logs_of_consumer(running)


def _status(cloudformation: Any) -> str:
    return str(cloudformation.describe_stacks(StackName=CONSUMER)["Stacks"][0]["StackStatus"])


def _remove_logs_of_consumer(running: Running) -> None:
    """Remove its lines, because only those of Tuition's functions are declared."""
    assert running.stack.aws is not None
    logs = running.stack.aws.client("logs", attempts=LOG_ATTEMPTS)
    pages = logs.get_paginator("describe_log_groups").paginate()
    for name in [one["logGroupName"] for page in pages for one in page["logGroups"] if CONSUMER in one["logGroupName"]]:
        logs.delete_log_group(logGroupName=name)


def _logged(running: Running, payment_id: str) -> bool:
    return any(f'"paid": "{payment_id}"' in line for line in running.log_lines(payment_id, CONSUMER))


class Outside:
    """A system outside AWS: it keeps the requests that it gets, with their headers."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str | None, dict[str, Any]]] = []
        outside = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                key = self.headers.get("X-Api-Key") or self.headers.get("Authorization")
                outside.requests.append((self.path, key, body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def outside() -> Iterator[Outside]:
    system = Outside()
    yield system
    system.server.shutdown()


def test_systems_outside_aws_get_their_events_with_their_key(running: Running, token: str, outside: Outside) -> None:
    """The emulated CloudFormation has no API destinations. So the template's resources are made by API here."""
    resources = joining.outside_template()["Resources"]
    events, bus = running.client("events"), running.resource("EventBus")
    undo_steps: list[Callable[[], Any]] = []
    try:
        for name in ("Curriculum", "Accounting"):
            connection = dict(resources[f"{name}Connection"]["Properties"])
            parameters = connection["AuthParameters"]["ApiKeyAuthParameters"]
            auth = {"ApiKeyAuthParameters": {**parameters, "ApiKeyValue": f"key of {name}"}}
            arn = events.create_connection(Name=name, **connection | {"AuthParameters": auth})["ConnectionArn"]
            undo_steps.append(lambda name=name: events.delete_connection(Name=name))
            destination = dict(resources[f"{name}Destination"]["Properties"])
            destination |= {"ConnectionArn": arn, "InvocationEndpoint": f"{outside.url}/{name}"}
            target_arn = events.create_api_destination(Name=name, **destination)["ApiDestinationArn"]
            undo_steps.append(lambda name=name: events.delete_api_destination(Name=name))
            rule = resources[f"{name}Rule"]["Properties"]
            events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(rule["EventPattern"]))
            (target,) = rule["Targets"]
            target = {"Id": target["Id"], "Arn": target_arn, "RetryPolicy": target["RetryPolicy"]}
            target["RoleArn"] = "arn:aws:iam::000000000000:role/delivery"
            events.put_targets(Rule=name, EventBusName=bus, Targets=[target])
            undo_steps.append(lambda name=name: events.delete_rule(Name=name, EventBusName=bus))
            undo_steps.append(
                lambda name=name, id_=target["Id"]: events.remove_targets(Rule=name, EventBusName=bus, Ids=[id_])
            )
        payment_id = buy(running, token)

        def received() -> set[tuple[str, str | None, str]]:
            mine = [one for one in outside.requests if one[2]["detail"]["subject"] == payment_id]
            return {(path, key, body["detail-type"]) for path, key, body in mine}

        expected = {
            ("/Curriculum", "key of Curriculum", published_events.ENROLLMENT_GRANTED),
            ("/Accounting", "key of Accounting", published_events.PAYMENT_SETTLED),
        }
        running.until(lambda: expected <= received(), "the deliveries")
        assert received() == expected
    finally:
        for undo in reversed(undo_steps):
            undo()
