"""Deployments by change set, against a CloudFormation that answers as written down."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import change_set

URL = "https://s3.eu-central-1.amazonaws.com/bucket/template.json"
CHANGES = [
    {"ResourceChange": {"Action": "Add", "LogicalResourceId": "Topic", "ResourceType": "AWS::SNS::Topic"}},
    {
        "ResourceChange": {
            "Action": "Modify",
            "LogicalResourceId": "Table",
            "ResourceType": "AWS::DynamoDB::Table",
            "Replacement": "True",
        }
    },
]


class CloudFormation:
    """One stack that goes through the given statuses, one per call of describe_stacks; the last one stays."""

    def __init__(self, *statuses: str, reason: str = "", failed: str = "") -> None:
        self.statuses = list(statuses)
        self.reason = reason
        self.failed = failed
        self.calls: list[str] = []
        self.request: dict[str, Any] = {}

    def describe_stacks(self, StackName: str) -> Any:
        self.calls.append("describe_stacks")
        if not self.statuses:
            raise ClientError(
                {"Error": {"Code": "ValidationError", "Message": f"Stack with id {StackName} does not exist"}},
                "DescribeStacks",
            )
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {
            "Stacks": [
                {
                    "StackStatus": status,
                    "Outputs": [{"OutputKey": "ApiUrl", "OutputValue": "https://api"}],
                    "Parameters": [{"ParameterKey": "Environment", "ParameterValue": "test"}],
                }
            ]
        }

    def create_change_set(self, **params: Any) -> None:
        self.calls.append("create_change_set")
        if self.failed:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": self.failed}}, "CreateChangeSet")
        self.request = params

    def delete_change_set(self, **_: Any) -> None:
        self.calls.append("delete_change_set")
        raise ClientError({"Error": {"Code": "ChangeSetNotFound", "Message": "none"}}, "DeleteChangeSet")

    def describe_change_set(self, NextToken: str = "", **_: Any) -> Any:
        self.calls.append("describe_change_set")
        if self.reason:
            return {"Status": "FAILED", "StatusReason": self.reason}
        if NextToken:
            return {"Status": "CREATE_COMPLETE", "Changes": CHANGES[1:]}
        return {"Status": "CREATE_COMPLETE", "Changes": CHANGES[:1], "NextToken": "2"}

    def execute_change_set(self, **_: Any) -> None:
        self.calls.append("execute_change_set")

    def describe_stack_events(self, **_: Any) -> Any:
        self.calls.append("describe_stack_events")
        events = [
            {"LogicalResourceId": "HttpApi", "ResourceStatus": "CREATE_FAILED", "ResourceStatusReason": "taken"},
            {"LogicalResourceId": "Topic", "ResourceStatus": "CREATE_COMPLETE"},
        ]
        return {"StackEvents": events}

    def list_stack_resources(self, NextToken: str = "", **_: Any) -> Any:
        self.calls.append("list_stack_resources")
        if NextToken:
            return {"StackResourceSummaries": [{"LogicalResourceId": "UserTable", "PhysicalResourceId": "t-1"}]}
        summaries = [{"LogicalResourceId": "HttpApi", "PhysicalResourceId": "a1"}, {"LogicalResourceId": "Half"}]
        return {"StackResourceSummaries": summaries, "NextToken": "2"}


def create(cloudformation: CloudFormation) -> change_set.ChangeSet | None:
    return change_set.create(cloudformation, "tuition", URL, {"Environment": "test"}, delay_s=0)


def test_a_new_stack_is_created_by_a_change_set_that_lists_every_change() -> None:
    cloudformation = CloudFormation()
    changes = create(cloudformation)
    assert changes is not None
    assert [str(change) for change in changes.changes] == [
        "add Topic (AWS::SNS::Topic)",
        "modify Table (AWS::DynamoDB::Table, replaced)",
    ]
    assert cloudformation.request["ChangeSetType"] == "CREATE"
    assert cloudformation.request["TemplateURL"] == URL
    assert "execute_change_set" not in cloudformation.calls


@pytest.mark.parametrize("status", ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"])
def test_an_existing_stack_is_updated(status: str) -> None:
    cloudformation = CloudFormation(status)
    assert create(cloudformation) is not None
    assert cloudformation.request["ChangeSetType"] == "UPDATE"


def test_a_stack_whose_first_change_set_was_never_executed_is_created() -> None:
    cloudformation = CloudFormation("REVIEW_IN_PROGRESS")
    assert create(cloudformation) is not None
    assert cloudformation.request["ChangeSetType"] == "CREATE"


def test_a_deployment_under_way_is_awaited() -> None:
    cloudformation = CloudFormation("UPDATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE")
    assert create(cloudformation) is not None
    assert cloudformation.calls[:4] == [*["describe_stacks"] * 3, "delete_change_set"]


@pytest.mark.parametrize("status", sorted(change_set.NEVER_CREATED))
def test_a_stack_that_was_never_created_must_be_deleted(status: str) -> None:
    with pytest.raises(change_set.NeedsDeletion, match="HttpApi: taken"):
        create(CloudFormation(status))


def test_a_stack_that_cannot_be_updated_is_reported_with_what_to_do() -> None:
    with pytest.raises(change_set.DeployFailed, match="Continue update rollback"):
        create(CloudFormation("UPDATE_ROLLBACK_FAILED"))


@pytest.mark.parametrize(
    "reason",
    [
        "The submitted information didn't contain changes. Submit different information.",
        "No updates are to be performed.",
    ],
)
def test_no_change_set_remains_when_nothing_would_change(reason: str) -> None:
    cloudformation = CloudFormation("CREATE_COMPLETE", reason=reason)
    assert create(cloudformation) is None
    assert cloudformation.calls[-1] == "delete_change_set"


def test_a_refused_change_set_is_reported_with_its_reason() -> None:
    with pytest.raises(change_set.DeployFailed, match="Parameter X is wrong"):
        create(CloudFormation("CREATE_COMPLETE", reason="Parameter X is wrong"))


def test_a_refused_template_is_reported_with_its_reason() -> None:
    with pytest.raises(change_set.DeployFailed, match="Production requires StackId"):
        create(CloudFormation(failed="Production requires StackId"))


def test_an_execution_that_is_rolled_back_is_reported_with_the_resources_that_failed() -> None:
    cloudformation = CloudFormation("CREATE_IN_PROGRESS", "ROLLBACK_COMPLETE")
    with pytest.raises(change_set.DeployFailed, match="HttpApi: taken"):
        change_set.execute(cloudformation, change_set.ChangeSet("tuition", "c", []), delay_s=0)


def test_a_deployed_stack_is_described_with_all_pages_of_its_resources() -> None:
    deployed = change_set.describe(CloudFormation("CREATE_COMPLETE"), "tuition")
    assert deployed.resources == {"HttpApi": "a1", "UserTable": "t-1"}
    assert deployed.outputs == {"ApiUrl": "https://api"}
    assert deployed.parameters == {"Environment": "test"}
    assert deployed.tables() == {"UserTable": "t-1"}


def test_an_archive_of_the_same_files_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.py").write_text("x = 1\n")
    first = change_set.archive(tmp_path)
    (tmp_path / "sub" / "a.py").touch()
    assert change_set.archive(tmp_path) == first
    assert zipfile.ZipFile(io.BytesIO(first)).namelist() == ["sub/a.py"]
