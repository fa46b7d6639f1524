"""Each function may do what its code does and nothing else; nobody can delete or rewrite history."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from tests.permissions import ALLOWED


def names(resource: Any) -> str:
    """The logical id of what a policy's Resource is about, with the rest of its ARN."""
    if "Fn::GetAtt" in resource:
        logical_id, attribute = resource["Fn::GetAtt"]
        assert attribute in ("Arn", "Id")
        return str(logical_id)
    return str(resource["Fn::Sub"]).replace("${", "").replace(".Arn}", "")


def policies(resources: dict[str, Any], role: dict[str, Any]) -> list[dict[str, Any]]:
    """The documents of a role: those inside it, and the template's own managed ones."""
    found = [policy["PolicyDocument"] for policy in role.get("Policies", [])]
    for managed in role.get("ManagedPolicyArns", []):
        if isinstance(managed, dict):
            found.append(resources[managed["Ref"]]["Properties"]["PolicyDocument"])
        else:
            assert managed.endswith("/AWSLambdaBasicExecutionRole")
    return found


def allowed(resources: dict[str, Any], function: str) -> dict[str, set[str]]:
    role = resources[resources[function]["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]
    granted: dict[str, set[str]] = defaultdict(set)
    for document in policies(resources, role):
        for statement in document["Statement"]:
            assert statement["Effect"] == "Allow"
            # DynamoDB's own condition belongs in the table's policy; in a role it would refuse every write locally.
            assert "Condition" not in statement
            actions = statement["Action"]
            targets = statement["Resource"]
            for target in targets if isinstance(targets, list) else [targets]:
                for action in actions if isinstance(actions, list) else [actions]:
                    granted[names(target)].add(action.partition(":")[2])
    return dict(granted)


def test_every_function_is_listed(resources: dict[str, Any]) -> None:
    functions = {name for name, r in resources.items() if r["Type"] == "AWS::Lambda::Function"}
    assert functions == set(ALLOWED)


@pytest.mark.parametrize("function", ALLOWED)
def test_a_function_may_do_exactly_what_it_does(resources: dict[str, Any], function: str) -> None:
    assert allowed(resources, function) == ALLOWED[function]


@pytest.mark.parametrize("function", ALLOWED)
def test_no_function_deletes_or_rewrites_a_payment_or_a_record(resources: dict[str, Any], function: str) -> None:
    granted = allowed(resources, function)
    for table in ("PaymentsTable", "IntentsTable", "CustomersTable", "EnrollmentsTable", "AuditTable"):
        assert not {a for a in granted.get(table, set()) if a.startswith(("Delete", "BatchWrite", "PartiQL"))}
    for table in ("PaymentsTable", "AuditTable"):
        assert "UpdateItem" not in granted.get(table, set())


def test_no_policy_has_a_wildcard(resources: dict[str, Any]) -> None:
    for function in ALLOWED:
        for target, actions in allowed(resources, function).items():
            assert not any("*" in action for action in actions)
            assert "*" not in target.removesuffix("/index/*").removesuffix("/exports/*")
