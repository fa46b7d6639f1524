"""Releases: what is called by its alias, when a new version is published, and what checks and rolls back a shift."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from typing import Any

import pytest

from local import deploy
from local.build import ROOT
from tests.permissions import ALLOWED, LEDGER
from tests.template.conftest import of_type

WRITERS = sorted(
    name
    for name, rights in ALLOWED.items()
    if "PutItem" in rights.get("AuditTable", set()) and name not in ("RetentionFunction", "EmailsFunction")
)
"""The functions that write to the ledger: each commit has an audit record.

But two. The deletion of payments runs once a day, so no alarm would show within a shift that its release is bad. The
emails write one fact, that a notice came back, and their release check would have to send some.
"""
RELEASED = [*WRITERS, "ExportFunction"]
"""The functions that are called by their alias."""


def versions(resources: dict[str, Any]) -> dict[str, str]:
    """Return the logical id of each function's version."""
    return {p["FunctionName"]["Ref"]: name for name, p in resource_items(resources, "AWS::Lambda::Version")}


def resource_items(resources: dict[str, Any], kind: str) -> Iterator[tuple[str, Any]]:
    yield from of_type(resources, kind).items()


def test_the_functions_that_write_to_the_ledger_are_those_with_its_rights() -> None:
    assert len(WRITERS) == 14
    assert all(LEDGER["PaymentsTable"] <= ALLOWED[function]["PaymentsTable"] for function in WRITERS)


@pytest.mark.parametrize("function", RELEASED)
def test_the_alias_of_a_function_names_the_version_that_this_release_publishes(
    resources: dict[str, Any], function: str
) -> None:
    alias = resources[f"{function}Aliaslive"]["Properties"]
    assert alias == {
        "Name": "live",
        "FunctionName": {"Ref": function},
        "FunctionVersion": {"Fn::GetAtt": [versions(resources)[function], "Version"]},
    }
    # A rollback needs the previous version. That of a failed release goes: the next attempt would publish the same.
    assert resources[versions(resources)[function]]["DeletionPolicy"] == "RetainExceptOnCreate"


def test_no_other_function_has_an_alias(resources: dict[str, Any]) -> None:
    assert set(versions(resources)) == set(RELEASED)


@pytest.mark.parametrize("function", WRITERS)
def test_a_release_of_a_writer_is_shifted_by_codedeploy_and_rolled_back_by_alarms(
    resources: dict[str, Any], function: str
) -> None:
    policy = resources[f"{function}Aliaslive"]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    hook = {"Ref": "ReleaseCheckFunction"} if function == "WebhookFunction" else None
    assert policy.get("BeforeAllowTrafficHook") == hook
    group = resources[policy["DeploymentGroupName"]["Ref"]]["Properties"]
    assert group["ServiceRoleArn"] == {"Fn::GetAtt": ["ReleaseRole", "Arn"]}
    assert group["AutoRollbackConfiguration"]["Enabled"] is True
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    assert group["AlarmConfiguration"]["Enabled"] is True
    alarms = [resources[alarm["Name"]["Ref"]]["Properties"] for alarm in group["AlarmConfiguration"]["Alarms"]]
    watched = [(a["Namespace"], a["MetricName"], {d["Name"]: d["Value"] for d in a["Dimensions"]}) for a in alarms]
    live = {"FunctionName": {"Ref": function}, "Resource": {"Fn::Sub": f"${{{function}}}:live"}}
    assert ("AWS/Lambda", "Errors", live) in watched
    assert ("AWS/ApiGateway", "5xx", {"ApiId": {"Ref": "HttpApi"}}) in watched


def test_a_release_shifts_at_once_unless_a_parameter_asks_for_a_canary(
    expand: Callable[..., Any], template: dict[str, Any]
) -> None:
    def shifts(**parameters: str) -> set[str]:
        groups = of_type(expand(**parameters)["Resources"], "AWS::CodeDeploy::DeploymentGroup").values()
        return {group["DeploymentConfigName"]["Fn::Sub"][1]["ConfigName"] for group in groups}

    assert shifts() == {"AllAtOnce"}
    assert shifts(ReleaseShift="Canary10Percent5Minutes") == {"Canary10Percent5Minutes"}
    assert template["Parameters"]["ReleaseShift"]["Default"] == "AllAtOnce"


def expanded_with(change: Callable[[dict[str, Any]], None] = lambda source: None, **parameters: str) -> dict[str, Any]:
    """Return the expanded template after a change of its source."""
    source = deploy.read_template(ROOT / "template.yaml")
    for resource in source["Resources"].values():
        for field in ("CodeUri", "ContentUri"):
            if field in resource["Properties"]:
                resource["Properties"][field] = {"Bucket": "bucket", "Key": "key"}
    source["Globals"]["Function"]["CodeUri"] = {"Bucket": "bucket", "Key": "key"}
    change(source)
    resources: dict[str, Any] = deploy.expand(source, parameters)["Resources"]
    return resources


@cache
def unchanged() -> dict[str, Any]:
    """Return the expanded template without a change. It is only read."""
    return expanded_with()


def new_layer(source: dict[str, Any]) -> None:
    source["Resources"]["TuitionLayer"]["Properties"]["ContentUri"]["Key"] = "key-2"


def new_code(source: dict[str, Any]) -> None:
    source["Globals"]["Function"]["CodeUri"]["Key"] = "key-2"


def new_setting(source: dict[str, Any]) -> None:
    source["Globals"]["Function"]["Environment"]["Variables"]["NEW_SETTING"] = "1"


@pytest.mark.parametrize("change", [new_layer, new_code, new_setting])
def test_a_release_that_changes_any_part_of_the_functions_publishes_a_version_of_each(
    change: Callable[[dict[str, Any]], None],
) -> None:
    """Nearly all code is in the layer. Without it in the version's id, a release would change nothing that is live."""
    before, after = versions(unchanged()), versions(expanded_with(change))
    assert [function for function in RELEASED if before[function] == after[function]] == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"RefundWindowDays": "30"},
        {"StripePublishableKey": "pk_test_2"},
        {"SecondWebOrigin": "https://b.example"},
        {"StackId": "other"},
        {"MemorySize": "2048"},
    ],
    ids=str,
)
def test_a_changed_parameter_publishes_a_version_of_each_function(parameters: dict[str, str]) -> None:
    """SAM's id of a version has only the parameter's name, so the alias would stay on a version with the old value."""
    before, after = versions(unchanged()), versions(expanded_with(**parameters))
    assert [function for function in RELEASED if before[function] == after[function]] == []


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:oncall"},
        {"ThrottlingRate": "70"},
        {"MemorySize": "1024", "RefundWindowDays": "14"},  # the defaults, as CloudFormation returns them
        {"WebhookConcurrency": "5"},
    ],
    ids=str,
)
def test_a_release_that_changes_no_function_publishes_no_version(parameters: dict[str, str]) -> None:
    """Lambda refuses a second version of the same code and configuration, and the stack would fail."""
    assert versions(unchanged()) == versions(expanded_with(**parameters))


def new_tag(source: dict[str, Any]) -> None:
    source["Globals"]["Function"]["Tags"] = {"Team": "payments"}


def new_bucket(source: dict[str, Any]) -> None:
    source["Globals"]["Function"]["CodeUri"]["Bucket"] = "bucket-2"


@pytest.mark.parametrize("change", [new_tag, new_bucket])
def test_a_release_that_changes_what_no_version_has_publishes_no_version(
    change: Callable[[dict[str, Any]], None],
) -> None:
    assert versions(unchanged()) == versions(expanded_with(change))


def test_a_choice_between_two_literals_counts_only_if_its_condition_changes() -> None:
    def choice(source: dict[str, Any]) -> None:
        variables = source["Globals"]["Function"]["Environment"]["Variables"]
        variables["CHOICE"] = {"Fn::If": ["HasAlarmTopic", "loud", "silent"]}

    topic = {"AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:oncall"}
    other_topic = {"AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:other"}
    silent, loud, still_loud = (versions(expanded_with(choice, **more)) for more in ({}, topic, other_topic))
    assert silent["WebhookFunction"] != loud["WebhookFunction"]
    assert loud == still_loud


def test_a_previous_version_keeps_its_layer(resources: dict[str, Any]) -> None:
    (layer,) = [resource for resource in resources.values() if resource["Type"] == "AWS::Lambda::LayerVersion"]
    assert layer["DeletionPolicy"] == "Retain"


def test_the_check_of_a_release_calls_the_version_that_the_release_publishes(resources: dict[str, Any]) -> None:
    variables = resources["ReleaseCheckFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["WEBHOOK_VERSION"] == {"Ref": versions(resources)["WebhookFunction"]}
    assert versions(unchanged())["WebhookFunction"] in json.dumps(unchanged()["ReleaseCheckFunction"])


def references(value: Any) -> Iterator[str]:
    """Yield the logical ids that a value names, with GetAtt, Ref, Sub and DependsOn."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if key == "Ref":
            yield str(inner)
        elif key == "Fn::GetAtt":
            yield str(inner[0] if isinstance(inner, list) else inner.split(".")[0])
        elif key == "Fn::Sub":
            text = inner[0] if isinstance(inner, list) else inner
            yield from (part.split("}")[0].split(".")[0] for part in text.split("${")[1:])
        elif key == "DependsOn":
            yield from [inner] if isinstance(inner, str) else inner
        else:
            yield from references(inner)


def test_no_resources_depend_on_each_other_in_a_circle(resources: dict[str, Any]) -> None:
    """The update policy of an alias counts: it names the deployment group, whose alarm names the API."""
    graph = {name: set(references(resource)) & set(resources) for name, resource in resources.items()}
    assert "WebhookFunctionDeploymentGroup" in graph["WebhookFunctionAliaslive"]
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the resources
