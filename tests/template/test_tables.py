"""Keys, indexes and protection of the tables, which the local stack ignores in part."""

from __future__ import annotations

from typing import Any

import pytest

from local import audit_policy
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
            "by_refund_request": ["refund_requested", "refund_requested_at"],
            "by_plan": ["plan", "listed_at"],
        },
    ),
    "PlansTable": (
        ["plan_id"],
        {
            "by_user": ["user_id", "listed_at"],
            "by_status": ["plan_status", "due_at"],
            "by_collect": ["collect_due", "collect_at"],
            "by_attention": ["attention_open", "listed_at"],
        },
    ),
    "StripeObjectsTable": (["stripe_id"], {}),
    "CustomersTable": (["user_id"], {}),
    "EnrollmentsTable": (["user_id", "sort_key"], {}),
    "AuditTable": (["subject", "sort_key"], {"by_recorded_day": ["recorded_day", "recorded_position"]}),
    "AnalyticsTable": (["period", "measure"], {}),
    "CursorsTable": (["name"], {}),
    "LimitsTable": (["user_id"], {}),
    "EffectsTable": (["consumer_subject", "sort_key"], {}),
    "NotesTable": (["user_id", "sort_key"], {}),
    "SearchTable": (["word", "listed_at"], {}),
    "ActivityTable": (["actor", "sort_key"], {}),
    "QuarantineTable": (["event_id"], {"by_first_at": ["kept", "listed_at"], "by_last_at": ["kept", "last_at"]}),
}
EXPIRING = {"LimitsTable", "CursorsTable", "QuarantineTable", "ActivityTable"}
LISTED = ["reason", "first_at", "last_at", "tries"]
INCLUDED = {"by_first_at": {"ProjectionType": "INCLUDE", "NonKeyAttributes": LISTED}}
"""The list of quarantined events is read from the index alone, because an event may have 400 KB."""
ENVIRONMENT = {
    "PAYMENTS_TABLE": "PaymentsTable",
    "STRIPE_OBJECTS_TABLE": "StripeObjectsTable",
    "CUSTOMERS_TABLE": "CustomersTable",
    "ENROLLMENTS_TABLE": "EnrollmentsTable",
    "AUDIT_TABLE": "AuditTable",
    "ANALYTICS_TABLE": "AnalyticsTable",
    "CURSORS_TABLE": "CursorsTable",
    "QUARANTINE_TABLE": "QuarantineTable",
    "LIMITS_TABLE": "LimitsTable",
    "EFFECTS_TABLE": "EffectsTable",
    "NOTES_TABLE": "NotesTable",
    "PLANS_TABLE": "PlansTable",
    "SEARCH_TABLE": "SearchTable",
    "ACTIVITY_TABLE": "ActivityTable",
}
ANY_TABLE = {"Fn::Sub": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/*"}


def keys(schema: list[dict[str, str]]) -> list[str]:
    assert [key["KeyType"] for key in schema] == ["HASH", "RANGE"][: len(schema)]
    return [key["AttributeName"] for key in schema]


def test_the_template_has_exactly_these_tables(resources: dict[str, Any]) -> None:
    assert set(of_type(resources, "AWS::DynamoDB::Table")) == set(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_its_keys_and_indexes(resources: dict[str, Any], table: str) -> None:
    properties = resources[table]["Properties"]
    hash_and_range, indexes = TABLES[table]
    assert keys(properties["KeySchema"]) == hash_and_range
    index_keys = {i["IndexName"]: keys(i["KeySchema"]) for i in properties.get("GlobalSecondaryIndexes", [])}
    assert index_keys == indexes
    for index in properties.get("GlobalSecondaryIndexes", []):
        assert index["Projection"] == INCLUDED.get(index["IndexName"], {"ProjectionType": "KEYS_ONLY"})
    assert {a["AttributeType"] for a in properties["AttributeDefinitions"]} == {"S"}
    attributes = set(hash_and_range).union(*indexes.values())
    assert {a["AttributeName"] for a in properties["AttributeDefinitions"]} == attributes


@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_encrypted_restorable_protected_and_outlives_the_stack(
    resources: dict[str, Any], table: str
) -> None:
    properties = resources[table]["Properties"]
    assert properties["SSESpecification"] == {"SSEEnabled": True}
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["DeletionProtectionEnabled"] is True
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert resources[table]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert resources[table]["UpdateReplacePolicy"] == "Retain"
    assert "TableName" not in properties
    time_to_live = {"AttributeName": "expires_at", "Enabled": True} if table in EXPIRING else None
    assert properties.get("TimeToLiveSpecification") == time_to_live


def test_tables_with_indexes_are_created_one_after_another(resources: dict[str, Any]) -> None:
    indexed = [name for name in TABLES if TABLES[name][1]]
    after = {name: resources[name].get("DependsOn") for name in TABLES}
    assert after["AuditTable"] == "PaymentsTable"
    assert after["QuarantineTable"] == "AuditTable"
    assert after["PlansTable"] == "QuarantineTable"
    assert set(indexed) <= {"PaymentsTable", "AuditTable", "QuarantineTable", "PlansTable"}


def test_only_non_production_environments_can_disable_deletion_protection(
    expand: Any, template: dict[str, Any]
) -> None:
    unprotected = expand(DeletionProtection="false")["Resources"]
    assert unprotected["PaymentsTable"]["Properties"]["DeletionProtectionEnabled"] is False
    rule = template["Rules"]["ProductionIsProtected"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "Environment"}, "production"]}
    assertions = [a["Assert"] for a in rule["Assertions"]]
    protected, first = ({"Fn::Equals": [{"Ref": name}, "true"]} for name in ("DeletionProtection", "FirstDeployment"))
    assert {"Fn::Or": [protected, first]} in assertions
    assert template["Parameters"]["FirstDeployment"]["Default"] == "false"
    assert {"Fn::Not": [{"Fn::Equals": [{"Ref": "BreakGlassRoleArn"}, ""]}]} in assertions
    assert {"Fn::Not": [{"Fn::Equals": [{"Ref": "StackId"}, ""]}]} in assertions
    assert {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmTopicArn"}, ""]}]} in assertions
    assert {"Fn::Not": [{"Fn::Equals": [{"Ref": "WebOrigin"}, "http://localhost:8000"]}]} in assertions
    assert {"Fn::Equals": [{"Ref": "StripeApiBase"}, "https://api.stripe.com"]} in assertions
    assert template["Parameters"]["WebOrigin"]["Default"] == "http://localhost:8000"


def test_only_the_audit_table_has_a_stream_with_both_images(resources: dict[str, Any]) -> None:
    streams = {
        name: p["StreamSpecification"]
        for name, p in of_type(resources, "AWS::DynamoDB::Table").items()
        if "StreamSpecification" in p
    }
    assert streams == {"AuditTable": {"StreamViewType": "NEW_AND_OLD_IMAGES"}}


def audit_statements(resources: dict[str, Any]) -> dict[str, Any]:
    policy = resources["AuditTable"]["Properties"]["ResourcePolicy"]["PolicyDocument"]
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def test_no_principal_can_change_an_audit_record(resources: dict[str, Any]) -> None:
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


def test_audit_records_are_written_only_in_transactions(resources: dict[str, Any]) -> None:
    statement = audit_statements(resources)["DenyPutOutsideTransaction"]
    assert statement["Effect"] == "Deny"
    assert statement["Principal"] == "*"
    assert statement["Action"] == "dynamodb:PutItem"
    assert statement["Resource"] == ANY_TABLE
    # StringNotEquals is also true when the key is absent, as in a put outside of a transaction.
    assert statement["Condition"] == {"StringNotEquals": {"dynamodb:EnclosingOperation": "TransactWriteItems"}}


def test_the_template_locks_no_one_out_of_the_policy(resources: dict[str, Any], production: dict[str, Any]) -> None:
    """CloudFormation could not deploy the statement that does: `local.audit_policy` sets it afterwards."""
    assert set(audit_statements(production)) == set(audit_statements(resources)) == audit_policy.TEMPLATE_STATEMENTS
    for statement in audit_statements(production).values():
        assert not {action for action in statement["Action"] if action.endswith(("Policy", "Table"))}


def test_a_change_of_a_tables_protection_notifies_the_topic(expand: Any) -> None:
    topic = "arn:aws:sns:us-east-1:123456789012:oncall"
    rule = expand(AlarmTopicArn=topic)["Resources"]["TableProtectionChanged"]["Properties"]
    assert [target["Arn"] for target in rule["Targets"]] == [topic]
    detail = rule["EventPattern"]["detail"]
    denied = {action.partition(":")[2] for action in audit_policy.statement("table", "role")["Action"]}
    assert set(detail["eventName"]) == denied
    assert detail["eventSource"] == ["dynamodb.amazonaws.com"]
    fields = {name for alternative in detail["$or"] for name in alternative["requestParameters"]}
    assert fields == {"tableName", "resourceArn"}
    assert "TableProtectionChanged" not in expand()["Resources"]


def test_outputs_name_the_table_and_the_role_of_the_third_statement(template: dict[str, Any]) -> None:
    assert template["Outputs"]["AuditTableName"]["Value"] == {"Ref": "AuditTable"}
    assert template["Outputs"]["BreakGlassRole"]["Value"] == {"Ref": "BreakGlassRoleArn"}


def test_every_function_has_the_table_names(resources: dict[str, Any]) -> None:
    for properties in of_type(resources, "AWS::Lambda::Function").values():
        variables = properties["Environment"]["Variables"]
        assert {name: variables[name] for name in ENVIRONMENT} == {
            name: {"Ref": table} for name, table in ENVIRONMENT.items()
        }


WARMED = {
    "PaymentsTable": ["by_user", "by_email", "by_day", "by_status", "by_check"],
    "StripeObjectsTable": [],
    "CustomersTable": [],
    "EnrollmentsTable": [],
    "AuditTable": ["by_recorded_day"],
}
"""The tables and indexes that every purchase writes."""


def warm_throughput(resources: dict[str, Any]) -> dict[str, Any]:
    """Return the warm throughput of each table, and of each index as `table/index`."""
    throughput = {}
    for name, properties in of_type(resources, "AWS::DynamoDB::Table").items():
        indexes = properties.get("GlobalSecondaryIndexes", [])
        owners = {name: properties, **{f"{name}/{index['IndexName']}": index for index in indexes}}
        throughput |= {owner: one["WarmThroughput"] for owner, one in owners.items() if "WarmThroughput" in one}
    return throughput


def test_the_tables_and_indexes_of_a_purchase_are_warmed_by_parameter_only(
    resources: dict[str, Any], expand: Any
) -> None:
    assert warm_throughput(resources) == {}
    warmed = warm_throughput(expand(WarmWriteUnits="8000", WarmReadUnits="24000")["Resources"])
    owners = {name for table, indexes in WARMED.items() for name in (table, *(f"{table}/{one}" for one in indexes))}
    assert set(warmed) == owners
    assert all(one == {"ReadUnitsPerSecond": "24000", "WriteUnitsPerSecond": "8000"} for one in warmed.values())
