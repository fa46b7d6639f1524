"""The third statement of the audit table's policy, which is set after the first deploy."""

import json
from typing import Any

import pytest

from local import audit_policy

TABLE = "arn:aws:dynamodb:eu-central-1:123456789012:table/tuition-AuditTable-1"
ROLE = "arn:aws:iam::123456789012:role/break-glass"
LARGEST_POLICY = 20 * 1024
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-considerations.html"""
SIDS = ["DenyRecordChanges", "DenyPutOutsideTransaction"]


def deployed(*more: dict[str, Any]) -> dict[str, Any]:
    statements = [{"Sid": sid, "Effect": "Deny", "Principal": "*", "Action": "dynamodb:PutItem"} for sid in SIDS]
    return {"Version": "2012-10-17", "Statement": [*statements, *more]}


class Client:
    """A DynamoDB that has one table with a policy."""

    def __init__(self, policy: dict[str, Any]) -> None:
        self.policy = json.dumps(policy)
        self.puts: list[dict[str, Any]] = []

    def get_resource_policy(self, ResourceArn: str) -> dict[str, str]:
        assert ResourceArn == TABLE
        return {"Policy": self.policy, "RevisionId": f"revision-{len(self.puts)}"}

    def put_resource_policy(self, **params: Any) -> None:
        assert params.pop("ExpectedRevisionId") == f"revision-{len(self.puts)}"
        self.puts.append(params)
        self.policy = params["Policy"]

    def describe_table(self, TableName: str) -> dict[str, Any]:
        return {"Table": {"TableArn": TABLE}} if TableName == "tuition-AuditTable-1" else {}


def test_only_the_break_glass_role_may_change_the_table_its_backups_or_its_policy() -> None:
    added = audit_policy.protected(deployed(), TABLE, ROLE)["Statement"][-1]
    assert added == {
        "Sid": "DenyChangesExceptBreakGlass",
        "Effect": "Deny",
        "Principal": "*",
        "Action": [
            "dynamodb:DeleteTable",
            "dynamodb:DeleteResourcePolicy",
            "dynamodb:PutResourcePolicy",
            "dynamodb:UpdateTable",
            "dynamodb:UpdateContinuousBackups",
        ],
        "Resource": TABLE,
        "Condition": {"ArnNotEquals": {"aws:PrincipalArn": ROLE}},
    }


def test_the_statements_of_the_template_stay() -> None:
    statements = audit_policy.protected(deployed(), TABLE, ROLE)["Statement"]
    assert statements[:2] == deployed()["Statement"]


def test_the_call_confirms_that_its_author_is_locked_out_and_is_made_once() -> None:
    client = Client(deployed())
    assert audit_policy.protect(client, TABLE, ROLE)
    (put,) = client.puts
    assert put["ConfirmRemoveSelfResourceAccess"] is True
    assert put["ResourceArn"] == TABLE
    assert len(put["Policy"]) < LARGEST_POLICY
    assert not audit_policy.protect(client, TABLE, ROLE)
    assert len(client.puts) == 1


def test_another_break_glass_role_replaces_the_statement() -> None:
    client = Client(audit_policy.protected(deployed(), TABLE, f"{ROLE}-old"))
    assert audit_policy.protect(client, TABLE, ROLE)
    statements = json.loads(client.policy)["Statement"]
    assert [item["Sid"] for item in statements] == [*SIDS, "DenyChangesExceptBreakGlass"]
    assert statements[-1]["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": ROLE}}


def test_a_policy_without_the_statements_of_the_template_is_reported_and_not_replaced() -> None:
    client = Client({"Version": "2012-10-17", "Statement": deployed()["Statement"][:1]})
    with pytest.raises(ValueError, match="no DenyPutOutsideTransaction"):
        audit_policy.protect(client, TABLE, ROLE)
    assert client.puts == []


def test_the_command_protects_the_table_of_that_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Client(deployed())
    monkeypatch.setattr("boto3.client", lambda *_args, **_kwargs: client)
    audit_policy.main(["--table", "tuition-AuditTable-1", "--role", ROLE])
    assert len(client.puts) == 1
    assert capsys.readouterr().out.startswith(f"{TABLE}: now left to {ROLE}")
