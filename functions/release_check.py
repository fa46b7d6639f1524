"""Check the webhook's new version before a release shifts requests to it, and tell CodeDeploy the result.

CodeDeploy passes `{"DeploymentId", "LifecycleEventHookExecutionId"}`. Without them, as from a person, the check only
returns its result.
"""

from collections.abc import Mapping
from typing import Any

from tuition import clock
from tuition.intake import release_check
from tuition.log import logger

DEADLINE_S = 100.0
"""Below the function's timeout, so that CodeDeploy always learns the result."""


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    clock.start_deadline(DEADLINE_S)
    problem: str | None = "the check failed"
    try:
        problem = release_check.problem_of_new_version()
    finally:
        if "DeploymentId" in event:
            report = (event["DeploymentId"], event["LifecycleEventHookExecutionId"])
            release_check.report(*report, passed=problem is None)
    logger.info("release check", passed=problem is None, problem=problem)
    return {"passed": problem is None, "problem": problem}
