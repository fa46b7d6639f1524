"""The exceptions of the linters have reasons, and the policies are smaller than AWS allows.

`make lint` runs the linters. The sizes are tested here, because no linter knows them.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from local import deploy
from local.build import ROOT
from tests.template.conftest import of_type
from tools import lint_templates

LARGEST_MANAGED_POLICY = 6144
LARGEST_INLINE_POLICIES = 10_240
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
LARGEST_RESOURCE_POLICY = 20 * 1024
"""Of a table, a bucket or a function: the bytes that AWS counts are those of the JSON without blanks."""
LONGEST_VALUE = "x" * 120
"""Longer than the ARNs of our tables, buckets and functions."""


def size(document: Any) -> int:
    """Return the size of a policy with every reference filled in."""
    return len(json.dumps(filled(document), separators=(",", ":")))


def filled(value: Any) -> Any:
    if isinstance(value, list):
        return [filled(item) for item in value]
    if isinstance(value, dict):
        if set(value) & {"Ref", "Fn::GetAtt", "Fn::Sub"}:
            return LONGEST_VALUE
        return {name: filled(item) for name, item in value.items()}
    return value


def test_every_policy_is_smaller_than_aws_allows(production: dict[str, Any]) -> None:
    for name, policy in of_type(production, "AWS::IAM::ManagedPolicy").items():
        assert size(policy["PolicyDocument"]) < LARGEST_MANAGED_POLICY * 0.9, name
    for name, role in of_type(production, "AWS::IAM::Role").items():
        documents = [policy["PolicyDocument"] for policy in role.get("Policies", [])]
        assert sum(map(size, documents)) < LARGEST_INLINE_POLICIES * 0.9, name
    for kind, field in (("AWS::S3::BucketPolicy", "PolicyDocument"), ("AWS::DynamoDB::Table", "ResourcePolicy")):
        for name, properties in of_type(production, kind).items():
            assert size(properties.get(field, {})) < LARGEST_RESOURCE_POLICY * 0.9, name


@pytest.mark.parametrize("file", ["template.yaml", "web.yaml", "tools/checkov.yaml"])
def test_every_exception_of_a_linter_has_a_reason(file: str) -> None:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    exceptions = [line for line in lines if "CKV_" in line or "ignore_checks: [" in line or line.strip()[:3] == "- W"]
    assert exceptions
    for line in exceptions:
        assert "# " in line or "comment: " in line, line


def test_a_check_that_is_skipped_everywhere_is_skipped_once() -> None:
    skipped = yaml.safe_load((ROOT / "tools" / "checkov.yaml").read_text(encoding="utf-8"))["skip-check"]
    assert len(set(skipped)) == len(skipped)
    for name in ("template.yaml", "web.yaml"):
        for resource in deploy.read_template(ROOT / name)["Resources"].values():
            own = resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
            assert not {item["id"] for item in own} & set(skipped)


def test_the_linters_read_both_templates_and_the_expanded_one() -> None:
    commands = list(lint_templates.commands())
    names = [command[0].rpartition("/")[2] for command in commands]
    assert names == ["cfn-lint", "checkov", "sam"]
    for name, command in zip(names, commands, strict=True):
        read = {str(template) for template in lint_templates.TEMPLATES} & set(command)
        assert len(read) == (1 if name == "sam" else 3), name
    assert {"cfn_lint_serverless.rules", "us-east-1"} < set(commands[0])
    assert lint_templates.EXPANDED in lint_templates.TEMPLATES


def test_sam_validates_each_template_with_a_transform() -> None:
    with_transform = [
        name for name in ("template.yaml", "web.yaml") if "Transform" in deploy.read_template(ROOT / name)
    ]
    assert [str(ROOT / name) for name in with_transform] == [list(lint_templates.commands())[-1][-1]]


def test_the_expanded_template_is_linted_with_the_parameters_that_the_expansion_adds() -> None:
    template = lint_templates.expanded()
    assert "Transform" not in template or template["Transform"] is None
    assert "PaymentsTableName" in template["Parameters"]
    assert len(template["Resources"]) < 500, "CloudFormation's limit"


def test_a_linter_that_reports_something_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    monkeypatch.setattr(lint_templates, "expanded", dict)
    monkeypatch.setattr(lint_templates, "EXPANDED", tmp_path / "template.json")
    monkeypatch.setattr(lint_templates, "commands", lambda: iter([["true"], ["sh", "-c", "echo W1 bad; exit 4"]]))
    assert lint_templates.main() == 1
    assert "W1 bad" in capsys.readouterr().out
    monkeypatch.setattr(lint_templates, "commands", lambda: iter([["true"]]))
    assert lint_templates.main() == 0
