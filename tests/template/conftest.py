"""The template as CloudFormation sees it, with its parameters and conditions resolved."""

from __future__ import annotations

import json
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
    """The unexpanded template.yaml."""
    return deploy.read_template(ROOT / "template.yaml")


@pytest.fixture(scope="session")
def expand() -> Callable[..., dict[str, Any]]:
    """Return a function that expands the template and resolves its parameters and conditions.

    An expansion takes a second, so each set of parameters is expanded once. Every caller gets its own copy, which JSON
    makes faster than `deepcopy`.
    """
    expansions: dict[frozenset[tuple[str, str]], str] = {}

    def expand_with(**parameters: str) -> dict[str, Any]:
        source = deploy.read_template(ROOT / "template.yaml")
        for resource in source["Resources"].values():
            for field in ("CodeUri", "ContentUri"):
                if field in resource["Properties"]:
                    resource["Properties"][field] = {"Bucket": "bucket", "Key": "key"}
        source["Globals"]["Function"]["CodeUri"] = {"Bucket": "bucket", "Key": "key"}
        values = {name: p.get("Default", "") for name, p in source["Parameters"].items()} | parameters
        result = deploy.expand(source, values)
        values = {name: p.get("Default", "") for name, p in result["Parameters"].items()} | values
        conditions = {
            name: _condition(rule, values, result["Conditions"]) for name, rule in result["Conditions"].items()
        }
        resolved: dict[str, Any] = _resolve(result, values, conditions)
        resolved["Resources"] = {
            name: resource
            for name, resource in resolved["Resources"].items()
            if conditions.get(resource.get("Condition", ""), True)
        }
        return resolved

    def expand_once(**parameters: str) -> dict[str, Any]:
        key = frozenset(parameters.items())
        if key not in expansions:
            expansions[key] = json.dumps(expand_with(**parameters))
        result: dict[str, Any] = json.loads(expansions[key])
        return result

    return expand_once


@pytest.fixture(scope="session")
def resources(expand: Callable[..., dict[str, Any]]) -> Resources:
    """The resources of a test environment."""
    resources: Resources = expand()["Resources"]
    return resources


@pytest.fixture(scope="session")
def production(expand: Callable[..., dict[str, Any]]) -> Resources:
    """The resources of production."""
    resources: Resources = expand(**PRODUCTION)["Resources"]
    return resources


class _NoValue:
    """The pseudo parameter AWS::NoValue."""


def _condition(rule: Any, values: Mapping[str, Any], rules: Mapping[str, Any]) -> bool:
    """Evaluate one condition."""
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
    """Substitute parameters and choose the branches of conditions. References to resources stay."""
    if isinstance(value, list):
        items = [_resolve(item, values, conditions) for item in value]
        return [item for item in items if item is not _NoValue]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Ref"}:
        return _NoValue if value["Ref"] == "AWS::NoValue" else values.get(value["Ref"], value)
    if set(value) == {"Fn::If"}:
        condition, yes, no = value["Fn::If"]
        return _resolve(yes if conditions[condition] else no, values, conditions)
    pairs = {key: _resolve(item, values, conditions) for key, item in value.items()}
    return {key: item for key, item in pairs.items() if item is not _NoValue}


def of_type(resources: Resources, kind: str) -> Resources:
    """Return the properties of every resource of a type by logical id."""
    return {name: r.get("Properties", {}) for name, r in resources.items() if r["Type"] == kind}
