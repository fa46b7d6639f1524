"""Take the groups of staff out of a token of the template's pool, unless the user has set up a second factor.

Cognito calls it before it issues a token. Source:
https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-pre-token-generation.html
"""

from collections.abc import Mapping
from typing import Any

from tuition import staff_mfa
from tuition.log import logger
from tuition.settings import settings


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    groups = (event["request"].get("groupConfiguration") or {}).get("groupsToOverride") or []
    staff = {settings().admin_group, settings().support_group}
    if staff.isdisjoint(groups) or staff_mfa.is_set_up(event["userPoolId"], event["userName"]):
        return dict(event)
    logger.warning("staff without a second factor", user_id=event["userName"])
    others = [group for group in groups if group not in staff]
    overrides = {"groupOverrideDetails": {"groupsToOverride": others}}
    return {**event, "response": {"claimsOverrideDetails": overrides}}
