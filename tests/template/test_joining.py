"""The templates of docs/events.md: valid, and every target has retries, a queue for failures and an alarm."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import joining
from tests.template.conftest import of_type
from tools.published_events import TYPES

RETRIES = {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86_400}


def consumer() -> dict[str, Any]:
    return joining.consumer_template({"Bucket": "artifacts", "Key": "a.zip"})


TEMPLATES = {"consumer": consumer, "outside": joining.outside_template}


def test_cfn_lint_has_nothing_to_say(tmp_path: Path) -> None:
    """One run reads all templates, because cfn-lint takes seconds to start."""
    files = []
    for name, text in zip(TEMPLATES, joining.blocks("yaml"), strict=True):
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(text, encoding="utf-8")
    lint = str(Path(sys.executable).parent / "cfn-lint")
    command = [lint, "--template", *map(str, files), "--regions", "eu-central-1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_target_has_retries_a_queue_and_an_alarm(name: str) -> None:
    resources = TEMPLATES[name]()["Resources"]
    rules = of_type(resources, "AWS::Events::Rule")
    targets = [target for rule in rules.values() for target in rule["Targets"]]
    assert targets and all(target["RetryPolicy"] == RETRIES for target in targets)
    queues = [target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0] for target in targets]
    assert sorted(queues) == sorted(of_type(resources, "AWS::SQS::Queue"))
    watched = [alarm["Dimensions"] for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values()]
    assert sorted(dimension["Value"]["Fn::GetAtt"][0] for (dimension,) in watched) == sorted(queues)


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_rule_names_events_that_exist(name: str) -> None:
    for rule in of_type(TEMPLATES[name]()["Resources"], "AWS::Events::Rule").values():
        assert rule["EventPattern"]["source"] == ["tuition"]
        for pattern in rule["EventPattern"]["detail-type"]:
            prefix = pattern["prefix"] if isinstance(pattern, dict) else pattern
            assert [name for name in TYPES if name.startswith(prefix)], pattern


def test_each_destination_limits_its_rate_and_sends_a_key() -> None:
    resources = joining.outside_template()["Resources"]
    for destination in of_type(resources, "AWS::Events::ApiDestination").values():
        assert 0 < destination["InvocationRateLimitPerSecond"] <= 10
        connection = resources[destination["ConnectionArn"]["Fn::GetAtt"][0]]["Properties"]
        assert connection["AuthParameters"]["ApiKeyAuthParameters"]["ApiKeyValue"]["Ref"].endswith("Key")
