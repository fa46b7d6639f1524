"""With a table name as a parameter, functions and policies work on a table that a restore has made."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from local import table_names
from tests.template.conftest import of_type
from tests.template.test_tables import ENVIRONMENT, TABLES

STREAM = "arn:aws:dynamodb:eu-central-1:123456789012:table/tuition-restored-audit/stream/2026-11-28T00:00:00.000"


def restored(expand: Any, *tables: str) -> dict[str, Any]:
    """Return the template for restored tables `tuition-restored-<logical id>`."""
    names = {f"{table}Name": f"tuition-restored-{table}" for table in tables}
    result: dict[str, Any] = expand(**names, AuditStreamArn=STREAM)
    return result


def references(value: Any, table: str) -> list[Any]:
    """Return every reference to the stack's own table."""
    if isinstance(value, list):
        return [reference for item in value for reference in references(item, table)]
    if not isinstance(value, dict):
        return []
    if value in ({"Ref": table}, {"Fn::GetAtt": [table, "Arn"]}, {"Fn::GetAtt": [table, "StreamArn"]}):
        return [value]
    text = value.get("Fn::Sub", "")
    if isinstance(text, str) and re.search(rf"\$\{{{table}(\.\w+)?\}}", text):
        return [value]
    return [reference for item in value.values() for reference in references(item, table)]


def test_without_names_the_stack_works_on_its_own_tables(resources: dict[str, Any]) -> None:
    for table in TABLES:
        assert references(resources, table), table
    assert "Name}" not in json.dumps(resources["LedgerPolicy"])


@pytest.mark.parametrize("half", [0, 1])
def test_no_function_and_no_policy_keeps_an_old_table_and_all_keep_the_other_tables(expand: Any, half: int) -> None:
    """Half of the tables are restored at a time, because an expansion takes a second."""
    resources = restored(expand, *list(TABLES)[half::2])["Resources"]
    for number, table in enumerate(TABLES):
        others = {name: item for name, item in resources.items() if name != table}
        assert (references(others, table) == []) == (number % 2 == half), table
        assert table in resources, "the stack keeps its own table"


def test_functions_name_the_restored_tables(expand: Any) -> None:
    for function in of_type(restored(expand, *TABLES)["Resources"], "AWS::Lambda::Function").values():
        variables = function["Environment"]["Variables"]
        assert {name: variables[name] for name in ENVIRONMENT} == {
            name: f"tuition-restored-{table}" for name, table in ENVIRONMENT.items()
        }


def test_policies_allow_the_restored_tables_and_their_indexes(expand: Any) -> None:
    resources = restored(expand, *TABLES)["Resources"]
    (ledger,) = of_type(resources, "AWS::IAM::ManagedPolicy").values()
    arns = [statement["Resource"] for statement in ledger["PolicyDocument"]["Statement"]]
    prefix = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/"
    assert {"Fn::Sub": prefix + "${PaymentsTableName}"} in arns
    assert {"Fn::Sub": prefix + "${PaymentsTableName}/index/by_user"} in [
        statement["Resource"]
        for role in of_type(resources, "AWS::IAM::Role").values()
        for policy in role.get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
        if isinstance(statement, dict) and "Resource" in statement
    ]


def test_the_archive_function_reads_the_stream_of_the_restored_table(expand: Any) -> None:
    resources = restored(expand, "AuditTable")["Resources"]
    for mapping in ("AuditStream", "PublishedRecords"):
        assert resources[mapping]["Properties"]["EventSourceArn"] == STREAM


def test_the_tables_of_the_ledger_are_restored_together(expand: Any) -> None:
    rule = expand()["Rules"]["LedgerTablesAreRestoredTogether"]
    assert len(rule["RuleCondition"]["Fn::Or"]) == len(table_names.TOGETHER) == 5
    assert len(rule["Assertions"]) == 6


def test_every_added_parameter_is_described(expand: Any) -> None:
    parameters = expand()["Parameters"]
    for table in TABLES:
        parameter = parameters[f"{table}Name"]
        assert parameter["Default"] == ""
        assert parameter["Description"].endswith(".")
    assert parameters["AuditStreamArn"]["Description"]


def test_an_attribute_that_a_restored_table_does_not_have_is_refused() -> None:
    table = {"Type": "AWS::DynamoDB::Table", "Properties": {}}
    other = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::GetAtt": ["PaymentsTable", "TableId"]}}}
    with pytest.raises(ValueError, match="TableId"):
        table_names.add({"Resources": {"PaymentsTable": table, "Queue": other}})


def test_a_text_with_two_tables_names_both() -> None:
    tables = {name: {"Type": "AWS::DynamoDB::Table", "Properties": {}} for name in ("ATable", "BTable")}
    text = {"Fn::Sub": "${ATable}-${BTable.Arn}"}
    expanded = table_names.add({"Resources": tables | {"Queue": {"Type": "AWS::SQS::Queue", "Properties": text}}})
    choice = expanded["Resources"]["Queue"]["Properties"]["Fn::If"]
    assert choice[0] == "OwnsATable"
    assert choice[1]["Fn::If"][:2] == ["OwnsBTable", text]
    assert choice[2]["Fn::If"][2]["Fn::Sub"].startswith("${ATableName}-arn:")
