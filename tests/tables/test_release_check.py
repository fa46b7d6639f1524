"""The signed test event with which a release checks the webhook's new version."""

import io
import json
from collections.abc import Callable
from typing import Any

import botocore.exceptions
import pytest

import release_check as function
import webhook
from tests import permissions
from tests.harness import SECRET, Harness, Student
from tuition import settings
from tuition.intake import release_check

DEPLOYMENT = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "execution-1"}
DENIED = botocore.exceptions.ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "Invoke")


class NewVersion:
    """Lambda, with the webhook's new version behind it: the real handler, unless a test replaces its answer."""

    def __init__(self, answers: list[Any] | None = None) -> None:
        self.answers = answers or []
        self.requests: list[dict[str, Any]] = []

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:
        assert FunctionName == "arn:webhook:8"
        self.requests.append(json.loads(Payload))
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1] if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, str):
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(answer.encode())}
        if answer is None:
            with permissions.acting_as(webhook.handler):
                answer = webhook.handler(self.requests[-1], None)
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


class CodeDeploy:
    """CodeDeploy, which receives the result."""

    def __init__(self) -> None:
        self.statuses: list[str] = []

    def put_lifecycle_event_hook_execution_status(self, **params: str) -> None:
        assert (params["deploymentId"], params["lifecycleEventHookExecutionId"]) == ("d-1", "execution-1")
        self.statuses.append(params["status"])


@pytest.fixture
def codedeploy(monkeypatch: pytest.MonkeyPatch) -> CodeDeploy:
    reports = CodeDeploy()
    monkeypatch.setattr(release_check, "_codedeploy", lambda: reports)
    return reports


@pytest.fixture
def deploy_version(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> Callable[..., NewVersion]:
    """Return a function that makes a new version of the webhook, which gives these answers."""
    monkeypatch.setenv("WEBHOOK_VERSION", "arn:webhook:8")
    settings.settings.cache_clear()

    def deploy(*answers: Any) -> NewVersion:
        version = NewVersion(list(answers))
        monkeypatch.setattr(release_check, "_lambda", lambda: version)
        return version

    return deploy


def run(event: dict[str, str] | None = None) -> dict[str, Any]:
    with permissions.acting_as(function.handler):
        return function.handler(DEPLOYMENT if event is None else event, None)


def everything(tuition: Harness) -> dict[str, Any]:
    return {name: tuition.tables.scan(TableName=name)["Items"] for name in tuition.tables.list_tables()["TableNames"]}


def test_a_working_version_passes_without_a_write_and_codedeploy_receives_the_result(
    tuition: Harness, student: Student, deploy_version: Callable[..., NewVersion], codedeploy: CodeDeploy
) -> None:
    assert tuition.create(student).status == 201
    before = everything(tuition)
    version = deploy_version()
    assert run() == {"passed": True, "problem": None}
    assert codedeploy.statuses == ["Succeeded"]
    assert len(version.requests) == 1
    assert everything(tuition) == before


def test_a_person_can_run_the_check_without_a_deployment(
    deploy_version: Callable[..., NewVersion], codedeploy: CodeDeploy
) -> None:
    deploy_version()
    assert run({}) == {"passed": True, "problem": None}
    assert codedeploy.statuses == []


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": 503, "body": '{"type": "unavailable"}'},
        {"statusCode": 200, "body": '{"received": true, "outcome": "ignored"}'},
        '{"errorMessage": "No module named tuition"}',
    ],
    ids=["503", "a version that does not know the test event", "a version that does not start"],
)
def test_a_broken_version_fails_the_release_after_three_tries(
    deploy_version: Callable[..., NewVersion], codedeploy: CodeDeploy, answer: Any
) -> None:
    version = deploy_version(answer)
    assert run()["passed"] is False
    assert codedeploy.statuses == ["Failed"]
    assert len(version.requests) == 3


def test_one_failure_by_chance_does_not_fail_the_release(
    deploy_version: Callable[..., NewVersion], codedeploy: CodeDeploy
) -> None:
    version = deploy_version({"statusCode": 503, "body": "{}"}, None)
    assert run()["passed"] is True
    assert codedeploy.statuses == ["Succeeded"]
    assert len(version.requests) == 2


def test_codedeploy_receives_a_failure_also_if_the_version_cannot_be_invoked(
    deploy_version: Callable[..., NewVersion], codedeploy: CodeDeploy
) -> None:
    deploy_version(DENIED)
    with pytest.raises(botocore.exceptions.ClientError):
        run()
    assert codedeploy.statuses == ["Failed"]


def test_a_version_without_its_table_fails(
    tuition: Harness,
    deploy_version: Callable[..., NewVersion],
    codedeploy: CodeDeploy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tuition.storage.ledger.load_with_pointers", lambda *_: (_ for _ in ()).throw(DENIED))
    monkeypatch.setattr("tuition.log.logger.exception", lambda *_, **__: None)
    deploy_version()
    assert run()["passed"] is False
    assert codedeploy.statuses == ["Failed"]


@pytest.mark.parametrize("broken", ["stripe", "webhook"])
def test_a_version_that_cannot_read_a_secret_fails(
    deploy_version: Callable[..., NewVersion],
    codedeploy: CodeDeploy,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    """The hook signs with the webhook's secret. The version then finds no key of Stripe's, or another secret."""
    secrets = {"stripe": {"secret_key": "sk_test_x"}, "webhook": {"signing_secrets": [SECRET]}}
    monkeypatch.setattr(settings, "_read_secret", lambda arn: secrets[arn])
    settings._kept.clear()
    version = deploy_version()
    invoke = version.invoke

    def invoke_with_broken_secret(**params: Any) -> dict[str, Any]:
        settings._kept.clear()
        monkeypatch.setitem(secrets, broken, {"secret_key": "", "signing_secrets": ["whsec_other"]})
        return invoke(**params)

    monkeypatch.setattr(version, "invoke", invoke_with_broken_secret)
    assert run()["passed"] is False
    assert codedeploy.statuses == ["Failed"]


def test_before_the_webhook_has_a_secret_there_is_nothing_to_check(
    deploy_version: Callable[..., NewVersion], codedeploy: CodeDeploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "_read_secret", lambda arn: {})
    settings._kept.clear()
    version = deploy_version()
    assert run()["passed"] is True
    assert codedeploy.statuses == ["Succeeded"]
    assert version.requests == []


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("SCHOOL_TIME_ZONE", "Europe/Atlantis", ("SCHOOL_TIME_ZONE", "'Europe/Atlantis'")),
        ("PLAN_GRACE_DAYS", "12", ("PLAN_RETRY_DAYS is 0,3,7,12", "before the grace of 12 days")),
    ],
)
def test_an_unknown_time_zone_or_rules_that_no_plan_can_have_fail_the_release(
    deploy_version: Callable[..., NewVersion],
    codedeploy: CodeDeploy,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    problem: tuple[str, ...],
) -> None:
    monkeypatch.setenv(name, value)
    version = deploy_version()
    outcome = run()
    assert outcome["passed"] is False
    assert all(part in outcome["problem"] for part in problem)
    assert codedeploy.statuses == ["Failed"]
    assert version.requests == []


def test_no_caller_without_the_signing_secret_can_send_the_test_event(
    tuition: Harness, deploy_version: Callable[..., NewVersion], codedeploy: CodeDeploy
) -> None:
    version = deploy_version()
    run()
    body = version.requests[0]["body"]
    assert tuition.deliver_raw(body, secret="whsec_other").status == 400
    unsigned = version.requests[0] | {"headers": {}}
    assert webhook.handler(unsigned, None)["statusCode"] == 400
    assert tuition.deliver_raw(body).body["outcome"] == "checked"


@pytest.mark.parametrize(
    "changes",
    [{"metadata": {}}, {"metadata": {"app": "tuition", "environment": "other"}}, {"status": "processing"}],
    ids=str,
)
def test_a_test_event_about_anything_else_fails_and_is_not_quarantined(
    tuition: Harness,
    deploy_version: Callable[..., NewVersion],
    codedeploy: CodeDeploy,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
) -> None:
    monkeypatch.setattr("tuition.log.logger.exception", lambda *_, **__: None)
    version = deploy_version()
    run()
    event = json.loads(version.requests[0]["body"])
    event["data"]["object"] |= changes
    before = everything(tuition)
    assert tuition.deliver(event).status == 500
    assert everything(tuition) == before
