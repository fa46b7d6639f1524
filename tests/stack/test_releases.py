"""Releases on the running stack: the check of the webhook's new version, and the aliases to move back."""

import json
from datetime import UTC, datetime

import pytest

from local import rollback
from local.deploy import STACK
from tests.stack.conftest import Running
from tests.template.test_releases import RELEASED


def test_the_check_of_a_release_passes_on_the_deployed_version(running: Running) -> None:
    assert running.stack.aws and running.stack.deployed
    function = running.stack.deployed.resources["ReleaseCheckFunction"]
    response = running.stack.aws.client("lambda").invoke(FunctionName=function, Payload=b"{}")
    assert json.loads(response["Payload"].read()) == {"passed": True, "problem": None}


def test_every_alias_of_the_stack_can_be_rolled_back(running: Running) -> None:
    assert running.stack.aws
    functions, cloudformation = (running.stack.aws.client(service) for service in ("lambda", "cloudformation"))
    aliases = rollback.aliases(cloudformation, STACK)
    assert len(aliases) == len(RELEASED)
    assert rollback.plan(functions, aliases, datetime.now(UTC)) == []
    with pytest.raises(rollback.RollbackError):
        rollback.plan(functions, aliases, datetime(2026, 1, 1, tzinfo=UTC))
