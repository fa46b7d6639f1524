"""The rollback of a release: which version each alias names afterwards."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from local import rollback

RELEASE_1, RELEASE_2, RELEASE_3 = "2026-11-01T10:00:00.000+0000", "2026-11-08T10:00:00.000+0000", "2026-11-15T10:00:00Z"
BEFORE_3 = datetime(2026, 11, 15, 9, tzinfo=UTC)


class Functions:
    """Lambda's versions and aliases, two versions per page, as its API returns them."""

    def __init__(self, versions: dict[str, list[str]], **live: str) -> None:
        self.versions = versions
        self.live = live
        self.weights: dict[str, dict[str, float]] = {}

    def get_paginator(self, operation: str) -> "Functions":
        assert operation == "list_versions_by_function"
        return self

    def paginate(self, FunctionName: str) -> Iterator[dict[str, Any]]:
        rows = [{"Version": "$LATEST", "LastModified": RELEASE_1}]
        rows += [{"Version": str(n), "LastModified": at} for n, at in enumerate(self.versions[FunctionName], 1)]
        yield from ({"Versions": rows[start : start + 2]} for start in range(0, len(rows), 2))

    def get_alias(self, FunctionName: str, Name: str) -> dict[str, Any]:
        assert Name == "live"
        alias: dict[str, Any] = {"FunctionVersion": self.live[FunctionName], "RevisionId": "read"}
        if FunctionName in self.weights:
            alias["RoutingConfig"] = {"AdditionalVersionWeights": self.weights[FunctionName]}
        return alias

    def update_alias(self, **params: Any) -> None:
        assert params["RevisionId"] == "read"
        self.live[params["FunctionName"]] = params["FunctionVersion"]
        self.weights[params["FunctionName"]] = params["RoutingConfig"]["AdditionalVersionWeights"]


def test_each_alias_names_the_version_that_was_newest_before_the_release() -> None:
    """The audit did not change in the last release, so its version stays. It must not go one release further back."""
    all_three = [RELEASE_1, RELEASE_2, RELEASE_3]
    functions = Functions({"webhook": all_three, "audit": [RELEASE_1, RELEASE_2]}, webhook="3", audit="2")
    moves = rollback.plan(functions, [("webhook", "live"), ("audit", "live")], BEFORE_3)
    rollback.move(functions, moves)
    assert functions.live == {"webhook": "2", "audit": "2"}
    assert rollback.plan(functions, [("webhook", "live"), ("audit", "live")], BEFORE_3) == []


def test_a_canary_in_progress_gets_no_more_requests() -> None:
    functions = Functions({"webhook": [RELEASE_1, RELEASE_3]}, webhook="1")
    functions.weights = {"webhook": {"2": 0.1}}
    rollback.move(functions, rollback.plan(functions, [("webhook", "live")], BEFORE_3))
    assert (functions.live, functions.weights) == ({"webhook": "1"}, {"webhook": {}})


def test_nothing_moves_if_one_function_has_no_earlier_version() -> None:
    functions = Functions({"webhook": [RELEASE_1, RELEASE_3], "new": [RELEASE_3]}, webhook="2", new="1")
    with pytest.raises(rollback.RollbackError, match="new has no version that was published before"):
        rollback.plan(functions, [("webhook", "live"), ("new", "live")], BEFORE_3)
    assert functions.live == {"webhook": "2", "new": "1"}


def test_the_same_command_moves_forward_again() -> None:
    functions = Functions({"webhook": [RELEASE_1, RELEASE_3]}, webhook="1")
    rollback.move(functions, rollback.plan(functions, [("webhook", "live")], datetime(2026, 12, 1, tzinfo=UTC)))
    assert functions.live == {"webhook": "2"}


class Resources:
    """CloudFormation's list of a stack's resources, in two pages."""

    def get_paginator(self, operation: str) -> "Resources":
        assert operation == "list_stack_resources"
        return self

    def paginate(self, StackName: str) -> Iterator[dict[str, Any]]:
        assert StackName == "tuition"
        arn = "arn:aws:lambda:eu-central-1:123456789012:function:tuition-Webhook-1:live"
        table = {"ResourceType": "AWS::DynamoDB::Table", "PhysicalResourceId": "tuition-Payments"}
        yield {"StackResourceSummaries": [table]}
        yield {"StackResourceSummaries": [{"ResourceType": "AWS::Lambda::Alias", "PhysicalResourceId": arn}]}


def test_the_aliases_are_those_of_the_stack() -> None:
    assert rollback.aliases(Resources(), "tuition") == [("tuition-Webhook-1", "live")]


@pytest.mark.parametrize("time", ["2026-11-28T14:00", "yesterday"])
def test_a_time_without_a_zone_is_refused(time: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        rollback.main(["--before", time])
    assert "--before" in capsys.readouterr().err
