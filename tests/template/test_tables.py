"""Keys, indexes and protection of the tables: what the local stack accepts and drops is held here."""

from __future__ import annotations

from typing import Any

import pytest

from tests.template.conftest import of_type

TABLES: dict[str, tuple[list[str], dict[str, list[str]]]] = {
    "PaymentsTable": (
        ["payment_id"],
        {
            "by_user": ["user_id", "listed_at"],
            "by_email": ["email_initial", "email_key"],
            "by_day": ["created_month", "listed_at"],
            "by_status": ["status_track", "listed_at"],
            "by_attention": ["attention_open", "listed_at"],
            "by_check": ["check_due", "check_at"],
            "by_dispute": ["disputed", "listed_at"],
            "by_dispute_due": ["disputed", "dispute_due"],
        },
    ),
    "IntentsTable": (["stripe_id"], {}),
    "CustomersTable": (["user_id"], {}),
    "EnrollmentsTable": (["user_id", "entry"], {}),
    "AuditTable": (["subject", "entry"], {}),
    "AnalyticsTable": (["period", "measure"], {}),
    "CursorsTable": (["name"], {}),
    "QuarantineTable": (["event_id"], {"by_first_at": ["kept", "first_at"], "by_last_at": ["kept", "last_at"]}),
}
CARRIED = {"by_first_at": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["reason", "last_at", "tries"]}}
"""An event's body may be 400 KB: its list is shown from the index alone."""
ENVIRONMENT = {
    "PAYMENTS_TABLE": "PaymentsTable",
    "INTENTS_TABLE": "IntentsTable",
    "CUSTOMERS_TABLE": "CustomersTable",
    "ENROLLMENTS_TABLE": "EnrollmentsTable",
    "AUDIT_TABLE": "AuditTable",
    "ANALYTICS_TABLE": "AnalyticsTable",
    "CURSORS_TABLE": "CursorsTable",
    "QUARANTINE_TABLE": "QuarantineTable",
}
ANY_TABLE = {"Fn::Sub": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/*"}


def keys(schema: list[dict[str, str]]) -> list[str]:
    assert [key["KeyType"] for key in schema] == ["HASH", "RANGE"][: len(schema)]
    return [key["AttributeName"] for key in schema]


def test_there_are_no_other_tables(resources: dict[str, Any]) -> None:
    assert set(of_type(resources, "AWS::DynamoDB::Table")) == set(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_keys_and_indexes(resources: dict[str, Any], table: str) -> None:
    properties = resources[table]["Properties"]
    hash_and_range, indexes = TABLES[table]
    assert keys(properties["KeySchema"]) == hash_and_range
    found = {i["IndexName"]: keys(i["KeySchema"]) for i in properties.get("GlobalSecondaryIndexes", [])}
    assert found == indexes
    for index in properties.get("GlobalSecondaryIndexes", []):
        assert index["Projection"] == CARRIED.get(index["IndexName"], {"ProjectionType": "KEYS_ONLY"})
    assert {a["AttributeType"] for a in properties["AttributeDefinitions"]} == {"S"}
    used = set(hash_and_range).union(*indexes.values())
    assert {a["AttributeName"] for a in properties["AttributeDefinitions"]} == used


@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_encrypted_restorable_protected_and_stays(resources: dict[str, Any], table: str) -> None:
    properties = resources[table]["Properties"]
    assert properties["SSESpecification"] == {"SSEEnabled": True}
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["DeletionProtectionEnabled"] is True
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert resources[table]["DeletionPolicy"] == "Retain"
    assert resources[table]["UpdateReplacePolicy"] == "Retain"
    assert "TableName" not in properties
    assert "TimeToLiveSpecification" not in properties


def test_only_throwaway_environments_can_go_without_protection(expand: Any, template: dict[str, Any]) -> None:
    thrown_away = expand(DeletionProtection="false")["Resources"]
    assert thrown_away["PaymentsTable"]["Properties"]["DeletionProtectionEnabled"] is False
    rule = template["Rules"]["ProductionIsProtected"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "Environment"}, "production"]}
    asserted = [a["Assert"] for a in rule["Assertions"]]
    assert {"Fn::Equals": [{"Ref": "DeletionProtection"}, "true"]} in asserted
    assert {"Fn::Not": [{"Fn::Equals": [{"Ref": "BreakGlassRoleArn"}, ""]}]} in asserted


def test_only_the_audit_table_has_a_stream_and_it_shows_both_images(resources: dict[str, Any]) -> None:
    streams = {
        name: p["StreamSpecification"]
        for name, p in of_type(resources, "AWS::DynamoDB::Table").items()
        if "StreamSpecification" in p
    }
    assert streams == {"AuditTable": {"StreamViewType": "NEW_AND_OLD_IMAGES"}}


def audit_statements(resources: dict[str, Any]) -> dict[str, Any]:
    policy = resources["AuditTable"]["Properties"]["ResourcePolicy"]["PolicyDocument"]
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def test_nobody_changes_a_record(resources: dict[str, Any]) -> None:
    assert audit_statements(resources)["DenyRecordChanges"] == {
        "Sid": "DenyRecordChanges",
        "Effect": "Deny",
        "Principal": "*",
        "Action": [
            "dynamodb:UpdateItem",
            "dynamodb:DeleteItem",
            "dynamodb:BatchWriteItem",
            "dynamodb:PartiQLInsert",
            "dynamodb:PartiQLUpdate",
            "dynamodb:PartiQLDelete",
            "dynamodb:UpdateTimeToLive",
        ],
        "Resource": ANY_TABLE,
    }


def test_records_come_in_transactions_only(resources: dict[str, Any]) -> None:
    statement = audit_statements(resources)["DenyPutOutsideTransaction"]
    assert statement["Effect"] == "Deny"
    assert statement["Principal"] == "*"
    assert statement["Action"] == "dynamodb:PutItem"
    assert statement["Resource"] == ANY_TABLE
    # Plain StringNotEquals is also true where the key is absent; StringNotEqualsIfExists would let a lone put through.
    assert statement["Condition"] == {"StringNotEquals": {"dynamodb:EnclosingOperation": "TransactWriteItems"}}


def test_in_production_only_break_glass_deletes_the_audit_table_or_touches_its_policy(
    resources: dict[str, Any], production: dict[str, Any]
) -> None:
    name = "DenyDeletionExceptBreakGlass"
    assert name not in audit_statements(resources)
    statement = audit_statements(production)[name]
    assert statement["Effect"] == "Deny"
    assert statement["Principal"] == "*"
    assert statement["Resource"] == ANY_TABLE
    assert set(statement["Action"]) == {
        "dynamodb:DeleteTable",
        "dynamodb:DeleteResourcePolicy",
        "dynamodb:PutResourcePolicy",
    }
    assert statement["Condition"] == {
        "ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/break-glass"}
    }


def test_every_function_knows_the_tables(resources: dict[str, Any]) -> None:
    for properties in of_type(resources, "AWS::Lambda::Function").values():
        variables = properties["Environment"]["Variables"]
        assert {name: variables[name] for name in ENVIRONMENT} == {
            name: {"Ref": table} for name, table in ENVIRONMENT.items()
        }
