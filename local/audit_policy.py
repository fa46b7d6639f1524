"""Leave the audit table and its policy to the break-glass role, after the first deploy of production.

The template's policy has two statements, which deny changes of records to every principal. ``audit_policy.json`` is the
third. CloudFormation cannot set it: DynamoDB refuses a policy that locks out its author unless the call says
``ConfirmRemoveSelfResourceAccess``. Sources:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutResourcePolicy.html,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-considerations.html
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STATEMENT = Path(__file__).with_name("audit_policy.json")
TEMPLATE_STATEMENTS = {"DenyRecordChanges", "DenyPutOutsideTransaction"}

Policy = dict[str, Any]


def statement(table_arn: str, role_arn: str) -> dict[str, Any]:
    """Return the statement that denies changes of this table and its policy to every role but one."""
    text = STATEMENT.read_text(encoding="utf-8")
    result: dict[str, Any] = json.loads(
        text.replace("${TableArn}", table_arn).replace("${BreakGlassRoleArn}", role_arn)
    )
    return result


def protected(policy: Mapping[str, Any], table_arn: str, role_arn: str) -> Policy:
    """Return the policy with the statement, in place of one for another role.

    Raises ``ValueError`` if a statement of the template is missing: then someone has changed the policy.
    """
    missing = TEMPLATE_STATEMENTS - {item.get("Sid") for item in policy["Statement"]}
    if missing:
        raise ValueError(
            f"The policy of {table_arn} has no {' and no '.join(sorted(missing))}. Deploy the template first."
        )
    added = statement(table_arn, role_arn)
    others = [item for item in policy["Statement"] if item.get("Sid") != added["Sid"]]
    return {**policy, "Statement": [*others, added]}


def protect(dynamodb: Any, table_arn: str, role_arn: str) -> bool:
    """Set the statement on the table. Return whether the policy had to change.

    ``dynamodb`` is a boto3 client. The call fails if someone else changes the policy at the same time.
    """
    response = dynamodb.get_resource_policy(ResourceArn=table_arn)
    current = json.loads(response["Policy"])
    updated = protected(current, table_arn, role_arn)
    if updated == current:
        return False
    dynamodb.put_resource_policy(
        ResourceArn=table_arn,
        Policy=json.dumps(updated),
        ExpectedRevisionId=response["RevisionId"],
        ConfirmRemoveSelfResourceAccess=True,
    )
    return True


def main(arguments: list[str] | None = None) -> None:
    """Protect the audit table of a deployed stack."""
    import boto3

    parser = argparse.ArgumentParser(prog="python -m local.audit_policy", description=__doc__)
    parser.add_argument("--table", required=True, help="the stack's output AuditTableName")
    parser.add_argument("--role", required=True, help="the ARN of the break-glass role")
    parser.add_argument("--endpoint-url", help="another DynamoDB than the region's")
    options = parser.parse_args(arguments)
    dynamodb = boto3.client("dynamodb", endpoint_url=options.endpoint_url)
    arn = dynamodb.describe_table(TableName=options.table)["Table"]["TableArn"]
    changed = protect(dynamodb, arn, options.role)
    print(f"{arn}: {'now' if changed else 'already'} left to {options.role}; it takes effect within five minutes")


if __name__ == "__main__":
    main()
