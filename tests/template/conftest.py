"""The template as CloudFormation gets it, with its parameters and conditions worked out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from local import deploy
from local.build import ROOT

Resources = dict[str, Any]
PRODUCTION = {
    "Environment": "production",
    "BreakGlassRoleArn": "arn:aws:iam::123456789012:role/break-glass",
    "StripeLivemode": "true",
}


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    """template.yaml as it is written."""
    return deploy.read_template(ROOT / "template.yaml")


@pytest.fixture(scope="session")
def expand() -> Callable[..., dict[str, Any]]:
    """Transform the template and work out conditions and parameters, as the transform and CloudFormation do."""

    def expanded(**parameters: str) -> dict[str, Any]:
        source = deploy.read_template(ROOT / "template.yaml")
        for resource in source["Resources"].values():
            for field in ("CodeUri", "ContentUri"):
                if field in resource["Properties"]:
                    resource["Properties"][field] = {"Bucket": "bucket", "Key": "key"}
        source["Globals"]["Function"]["CodeUri"] = {"Bucket": "bucket", "Key": "key"}
        values = {name: p.get("Default", "") for name, p in source["Parameters"].items()} | parameters
        result = deploy.expand(source, values)
        conditions = {
            name: _condition(rule, values, result["Conditions"]) for name, rule in result["Conditions"].items()
        }
        worked_out: dict[str, Any] = _resolve(result, values, conditions)
        worked_out["Resources"] = {
            name: resource
            for name, resource in worked_out["Resources"].items()
            if conditions.get(resource.get("Condition", ""), True)
        }
        return worked_out

    return expanded


@pytest.fixture(scope="session")
def resources(expand: Callable[..., dict[str, Any]]) -> Resources:
    """The resources of a test environment."""
    found: Resources = expand()["Resources"]
    return found


@pytest.fixture(scope="session")
def production(expand: Callable[..., dict[str, Any]]) -> Resources:
    """The resources of production."""
    found: Resources = expand(**PRODUCTION)["Resources"]
    return found


class _Nothing:
    """AWS::NoValue."""


def _condition(rule: Any, values: Mapping[str, Any], rules: Mapping[str, Any]) -> bool:
    """Work out one condition."""
    (name, arguments), *_ = rule.items()
    match name:
        case "Fn::Equals":
            first, second = (values[a["Ref"]] if isinstance(a, dict) else a for a in arguments)
            return bool(str(first) == str(second))
        case "Fn::Not":
            return not _condition(arguments[0], values, rules)
        case "Fn::And":
            return all(_condition(argument, values, rules) for argument in arguments)
        case "Condition":
            return _condition(rules[arguments], values, rules)
    raise ValueError(f"unknown condition {rule}")


def _resolve(value: Any, values: Mapping[str, Any], conditions: Mapping[str, bool]) -> Any:
    """Put in parameters and take the branches of conditions; references to resources stay."""
    if isinstance(value, list):
        items = [_resolve(item, values, conditions) for item in value]
        return [item for item in items if item is not _Nothing]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Ref"}:
        return _Nothing if value["Ref"] == "AWS::NoValue" else values.get(value["Ref"], value)
    if set(value) == {"Fn::If"}:
        condition, yes, no = value["Fn::If"]
        return _resolve(yes if conditions[condition] else no, values, conditions)
    pairs = {key: _resolve(item, values, conditions) for key, item in value.items()}
    return {key: item for key, item in pairs.items() if item is not _Nothing}


def of_type(resources: Resources, kind: str) -> Resources:
    """The properties of every resource of a type, by logical id."""
    return {name: r.get("Properties", {}) for name, r in resources.items() if r["Type"] == kind}
