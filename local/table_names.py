"""Table names by parameter, so that a stack can work on tables that a restore has made.

A restore from a backup makes new tables, and a CloudFormation template can refer only to its own. :func:`add` therefore
gives an expanded template one parameter per table, such as ``PaymentsTableName``. If it is empty, everything is as
before. Otherwise the functions' variables and every policy name that table, while the stack keeps its own. It runs as a
part of the expansion, because the choice would otherwise be repeated at each of the policies' many lines.
"""

from __future__ import annotations

import re
from typing import Any

PARAMETER = "{table}Name"
CONDITION = "Owns{table}"
ARN = "arn:${{AWS::Partition}}:dynamodb:${{AWS::Region}}:${{AWS::AccountId}}:table/${{{parameter}}}"
STREAM = "AuditStreamArn"
TOGETHER = ("PaymentsTable", "StripeObjectsTable", "CustomersTable", "EnrollmentsTable", "AuditTable")
"""The ledger's transactions write these tables, so they are restored to the same moment or not at all."""

Template = dict[str, Any]


def add(expanded: Template) -> Template:
    """Return the template with a parameter for the name of each table, and every reference by that name."""
    tables = [name for name, item in expanded["Resources"].items() if item["Type"] == "AWS::DynamoDB::Table"]
    parameters: Template = {
        PARAMETER.format(table=table): {
            "Type": "String",
            "Default": "",
            "AllowedPattern": "[A-Za-z0-9_.-]{0,255}",
            "Description": f"The name of a restored table that takes the place of {table}. Empty: the stack's own.",
        }
        for table in tables
    }
    parameters[STREAM] = {
        "Type": "String",
        "Default": "",
        "AllowedPattern": "(arn:aws[a-z-]*:dynamodb:.+/stream/.+)?",
        "Description": "The stream of the table that AuditTableName names.",
    }
    conditions = {
        CONDITION.format(table=table): {"Fn::Equals": [{"Ref": PARAMETER.format(table=table)}, ""]} for table in tables
    }
    restored = {table: _is_set(PARAMETER.format(table=table)) for table in TOGETHER}
    rule = {
        "RuleCondition": {"Fn::Or": list(restored.values())},
        "Assertions": [
            *(
                {
                    "Assert": is_set,
                    "AssertDescription": f"The ledger's tables are restored together: {table}Name is empty.",
                }
                for table, is_set in restored.items()
            ),
            {"Assert": _is_set(STREAM), "AssertDescription": f"AuditTableName requires {STREAM}."},
        ],
    }
    return {
        **expanded,
        "Parameters": {**expanded.get("Parameters", {}), **parameters},
        "Conditions": {**expanded.get("Conditions", {}), **conditions},
        "Rules": {**expanded.get("Rules", {}), "LedgerTablesAreRestoredTogether": rule},
        "Resources": {name: _renamed(item, set(tables)) for name, item in expanded["Resources"].items()},
        "Outputs": _renamed(expanded.get("Outputs", {}), set(tables)),
    }


def _is_set(parameter: str) -> Template:
    return {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, ""]}]}


def _renamed(value: Any, tables: set[str]) -> Any:
    """Return the value with a choice in place of each reference to one of the tables."""
    if isinstance(value, list):
        return [_renamed(item, tables) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Ref": str(table)} if table in tables:
            return _choice(table, value, {"Ref": PARAMETER.format(table=table)})
        case {"Fn::GetAtt": [str(table), "Arn"]} if table in tables:
            return _choice(table, value, {"Fn::Sub": ARN.format(parameter=PARAMETER.format(table=table))})
        case {"Fn::GetAtt": [str(table), "StreamArn"]} if table in tables:
            return _choice(table, value, {"Ref": STREAM})
        case {"Fn::GetAtt": [str(table), str(attribute)]} if table in tables:
            raise ValueError(f"a restored table has no {attribute}, which the template takes from {table}")
        case {"Fn::Sub": str(text)}:
            return _chosen(value, text, tables)
    return {name: _renamed(item, tables) for name, item in value.items()}


def _chosen(value: Template, text: str, tables: set[str]) -> Template:
    """Return a choice between a text with the stack's own table and the same text with the restored one."""
    table = next((name for name in re.findall(r"\$\{(\w+)(?:\.Arn)?\}", text) if name in tables), None)
    if table is None:
        return value
    parameter = PARAMETER.format(table=table)
    restored = text.replace(f"${{{table}.Arn}}", ARN.format(parameter=parameter))
    restored = restored.replace(f"${{{table}}}", f"${{{parameter}}}")
    others = tables - {table}
    return _choice(table, _chosen(value, text, others), _chosen({"Fn::Sub": restored}, restored, others))


def _choice(table: str, own: Template, restored: Template) -> Template:
    return {"Fn::If": [CONDITION.format(table=table), own, restored]}
