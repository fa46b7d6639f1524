"""Each function has exactly the permissions that its code needs. No function can change or delete history."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from tests.permissions import ALLOWED, DELETIONS

DEPLOYMENT_GROUPS = (
    "arn:${AWS::Partition}:codedeploy:${AWS::Region}:${AWS::AccountId}:deploymentgroup:${AWS::StackName}-*"
)
"""Of this stack's application. A reference to it would close a circle."""
WILDCARDS = (
    *("/index/*", "/exports/*", "/personal/*", "/aws/lambda/*", "ArchiveBucket/records/*", "ArchiveBucket/final/*"),
    *("DigestBucket/*", "ErasuresBucket/due/*", "ErasuresBucket/done/*"),
    *("WebhookFunction:*", "CodeDeploy/*"),
)
"""Parts of a table or bucket, every version of one function, and the deployment groups of this stack."""


def names(resource: Any) -> str:
    """Return the logical id of a policy's Resource, followed by the rest of its ARN."""
    if "Fn::GetAtt" in resource:
        logical_id, attribute = resource["Fn::GetAtt"]
        assert attribute in ("Arn", "Id", "StreamArn")
        return f"{logical_id}/stream" if attribute == "StreamArn" else str(logical_id)
    if "Ref" in resource:
        return str(resource["Ref"]).replace("Aliaslive", ":live")
    if resource["Fn::Sub"] == DEPLOYMENT_GROUPS:
        return "CodeDeploy/*"
    if ":configuration-set/${" in resource["Fn::Sub"]:
        return str(resource["Fn::Sub"]).rpartition("/")[2].strip("${}")
    return str(resource["Fn::Sub"]).replace("${", "").replace(".Arn}", "")


def policies(resources: dict[str, Any], role: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the inline policy documents of a role and the template's managed ones."""
    documents = [policy["PolicyDocument"] for policy in role.get("Policies", [])]
    for managed in role.get("ManagedPolicyArns", []):
        if isinstance(managed, dict):
            documents.append(resources[managed["Ref"]]["Properties"]["PolicyDocument"])
        else:
            assert managed.endswith("/AWSLambdaBasicExecutionRole")
    return documents


def permissions(resources: dict[str, Any], function: str) -> dict[str, set[str]]:
    role_id = resources[function]["Properties"]["Role"]["Fn::GetAtt"][0]
    attached = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::IAM::Policy"]
    documents = [policy["PolicyDocument"] for policy in attached if {"Ref": role_id} in policy["Roles"]]
    granted: dict[str, set[str]] = defaultdict(set)
    for document in [*policies(resources, resources[role_id]["Properties"]), *documents]:
        for statement in document["Statement"]:
            assert statement["Effect"] == "Allow"
            # DynamoDB's condition belongs in the table's policy. In a role, the local stack would reject every write.
            assert "Condition" not in statement
            actions = statement["Action"]
            targets = statement["Resource"]
            for target in targets if isinstance(targets, list) else [targets]:
                for action in actions if isinstance(actions, list) else [actions]:
                    granted[names(target)].add(action.partition(":")[2])
    return dict(granted)


def test_every_function_has_a_list_of_permissions(resources: dict[str, Any]) -> None:
    functions = {name for name, r in resources.items() if r["Type"] == "AWS::Lambda::Function"}
    assert functions == set(ALLOWED)


@pytest.mark.parametrize("function", ALLOWED)
def test_a_function_has_exactly_its_listed_permissions(resources: dict[str, Any], function: str) -> None:
    assert permissions(resources, function) == ALLOWED[function]


@pytest.mark.parametrize("function", ALLOWED)
def test_no_function_can_delete_or_overwrite_a_payment_or_an_audit_record(
    resources: dict[str, Any], function: str
) -> None:
    """But `DELETIONS`. A function that deletes payments can put none."""
    granted = permissions(resources, function)
    for table in ("PaymentsTable", "StripeObjectsTable", "CustomersTable", "EnrollmentsTable", "AuditTable"):
        deletes = {a for a in granted.get(table, set()) if a.startswith(("Delete", "BatchWrite", "PartiQL"))}
        assert deletes == ({"DeleteItem"} if (function, table) in DELETIONS else set())
        assert table != "PaymentsTable" or not deletes or "PutItem" not in granted[table]
    for table in ("PaymentsTable", "AuditTable"):
        assert "UpdateItem" not in granted.get(table, set())


def test_only_the_audit_may_scan_payments_and_enrollments_the_recount_figures_a_rebuild_words_and_an_export_plans(
    resources: dict[str, Any],
) -> None:
    scans = {
        (function, target)
        for function in ALLOWED
        for target, actions in permissions(resources, function).items()
        if "Scan" in actions
    }
    functions, tables = ("AuditFunction", "ReconcileWorkerFunction"), ("EnrollmentsTable", "PaymentsTable")
    rebuilt = {("RecountFunction", "AnalyticsTable"), ("ConsoleTablesFunction", "SearchTable")}
    exported = {("ExportFunction", "PlansTable")}
    assert scans == {(function, table) for function in functions for table in tables} | rebuilt | exported


def test_no_policy_has_a_wildcard(resources: dict[str, Any]) -> None:
    for function in ALLOWED:
        for target, actions in permissions(resources, function).items():
            assert not any("*" in action for action in actions)
            assert "*" not in target or target.endswith(WILDCARDS)


def test_codedeploy_may_shift_the_aliases_of_a_release_and_run_its_check_and_nothing_else(
    resources: dict[str, Any],
) -> None:
    role = resources["ReleaseRole"]["Properties"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "codedeploy.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert "ManagedPolicyArns" not in role
    (policy,) = role["Policies"]
    shift, check, alarms = policy["PolicyDocument"]["Statement"]
    groups = [name for name, r in resources.items() if r["Type"] == "AWS::CodeDeploy::DeploymentGroup"]
    released = {name.removesuffix("DeploymentGroup") for name in groups}
    assert {names(resource).removesuffix(":live") for resource in shift["Resource"]} == released
    assert len(shift["Resource"]) == 2 * len(released)
    assert set(shift["Action"]) == {"lambda:GetAlias", "lambda:UpdateAlias", "lambda:GetProvisionedConcurrencyConfig"}
    assert (check["Action"], names(check["Resource"])) == ("lambda:InvokeFunction", "ReleaseCheckFunction")
    assert (alarms["Action"], alarms["Resource"]) == ("cloudwatch:DescribeAlarms", "*")
