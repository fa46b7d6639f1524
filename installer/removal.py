"""Remove an environment that is thrown away: both stacks, what they retain, and what the installer made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import stripe
from botocore.exceptions import ClientError

from installer import people, stack, stripe_account
from installer.account import LOCK
from installer.questions import is_production
from installer.run import Run
from installer.world import GLOBAL_REGION, Stop, error_code, is_missing
from local import change_set

BATCH = 1000
"""The most objects that S3 deletes in one call."""
BATCHES = 100
"""The most batches of one bucket, so that a mistaken bucket of millions is not emptied."""
NO_OBJECT_LOCK = "ObjectLockConfigurationNotFoundError"
"""https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectLockConfiguration.html"""


def refuse_if_kept(run: Run) -> None:
    """Raise `Stop` for an environment that must not be thrown away."""
    if is_production(run.answers) or run.is_kept:
        raise Stop(
            f"The environment {run.answers['environment']} is kept, so this does not remove it. "
            "Payments and their audit records would be lost. See docs/setup.md for how to close a production stack."
        )


def remove(run: Run) -> None:
    """Remove everything. A stopped removal continues where it was, because what to remove is in the state first."""
    refuse_if_kept(run)
    if not run.confirm(f"Remove {run.stack_name} in account {run.account} with all of its data?"):
        raise Stop("Nothing was removed.")
    cloudformation = run.world.client("cloudformation")
    for name in (run.web_stack_name, run.stack_name):
        if change_set.describe_stack(cloudformation, name) is not None:
            _remember(run, name)
    _remove_webhook(run)
    for name in (run.web_stack_name, run.stack_name):
        _remove_stack(run, name)
    _remove_rest(run)
    run.state.remove()
    run.world.say(f"Removed {run.stack_name}.")


def _remember(run: Run, name: str) -> None:
    """Keep the physical ids of a stack's resources that outlive it."""
    cloudformation = run.world.client("cloudformation")
    described = change_set.describe(cloudformation, name)
    kinds = _kinds(run, name)
    doomed = [
        [kinds[logical], physical] for logical, physical in described.resources.items() if kinds[logical] in DELETE
    ]
    before = run.state.get("removing", [])
    run.state.put("removing", [*before, *(entry for entry in doomed if entry not in before)])


def _kinds(run: Run, name: str) -> Mapping[str, str]:
    """Return the type of each resource of a stack by logical id."""
    cloudformation = run.world.client("cloudformation")
    kinds: dict[str, str] = {}
    token: dict[str, str] = {}
    for _ in range(change_set.PAGES):
        page = cloudformation.list_stack_resources(StackName=name, **token)
        kinds |= {entry["LogicalResourceId"]: entry["ResourceType"] for entry in page["StackResourceSummaries"]}
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    return kinds


def _remove_webhook(run: Run) -> None:
    """Delete the endpoint at Stripe, if the stored key may. Otherwise name it."""
    try:
        endpoint = stripe_account.read_secret(run, "StripeWebhookSecretArn").get("endpoint", {})
        key = run.interview.explicit.get("webhook_key") or stripe_account.stored_key(run)
    except (Stop, ClientError) as error:
        if isinstance(error, ClientError) and not is_missing(error):
            raise
        return
    if not endpoint or not key:
        return
    try:
        run.world.stripe(key, "delete", f"/v1/webhook_endpoints/{endpoint['id']}")
    except stripe.PermissionError:
        run.world.say(f"  note: remove the webhook endpoint {endpoint['id']} in Stripe's dashboard")
    except stripe.InvalidRequestError:
        pass  # it was removed at Stripe


def _remove_stack(run: Run, name: str) -> None:
    """Delete a stack. Its buckets are emptied first, because CloudFormation deletes empty ones only."""
    cloudformation = run.world.client("cloudformation")
    if change_set.describe_stack(cloudformation, name) is None:
        return
    run.world.say(f"- {name}")
    for kind, physical in run.state.get("removing", []):
        if kind == "AWS::S3::Bucket":
            _ignoring_missing(_empty_bucket, run, physical)
    cloudformation.delete_stack(StackName=name)
    status = change_set.wait(cloudformation, name, delay_s=run.delay_s)
    if status not in (None, "DELETE_COMPLETE"):
        raise Stop(f"The stack {name} is {status}:\n{change_set.reasons(cloudformation, name)}\nRun this again.")


def _remove_rest(run: Run) -> None:
    """Delete what the stacks retained, and what the installer made beside them."""
    for kind, physical in run.state.get("removing", []):
        _ignoring_missing(DELETE[kind], run, physical)
    if topic := run.state.get("topic"):
        run.world.client("sns").delete_topic(TopicArn=topic)
    _ignoring_missing(_delete_budget, run, people.budget_name(run))
    _ignoring_missing(_delete_role, run, stack.break_glass_name(run))
    lock = f"{run.stack_name}/{LOCK}"
    run.world.client("s3").delete_object(Bucket=run.bucket, Key=lock)


def _ignoring_missing(delete: Callable[[Run, str], None], run: Run, physical: str) -> None:
    """Delete something that an earlier attempt may have deleted."""
    try:
        delete(run, physical)
    except ClientError as error:
        if not is_missing(error):
            raise


def _empty_bucket(run: Run, bucket: str) -> None:
    """Delete every version of every object, also one that Object Lock keeps in governance mode."""
    s3 = run.world.client("s3")
    bypass: Any = {"BypassGovernanceRetention": True} if _has_object_lock(s3, bucket) else {}
    for _ in range(BATCHES):
        page: Any = s3.list_object_versions(Bucket=bucket, MaxKeys=BATCH)
        entries = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if not entries:
            return
        objects = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]
        response = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}, **bypass)
        if errors := response.get("Errors"):
            raise Stop(f"S3 keeps {errors[0]['Key']} in the bucket {bucket}: {errors[0].get('Message', '')}")
    raise Stop(f"The bucket {bucket} has more than {BATCH * BATCHES} objects. Empty it, then run this again.")


def _has_object_lock(s3: Any, bucket: str) -> bool:
    """Whether objects of the bucket can be locked. S3 answers an error if they cannot."""
    try:
        s3.get_object_lock_configuration(Bucket=bucket)
    except ClientError as error:
        if error_code(error) == NO_OBJECT_LOCK:
            return False
        raise
    return True


def _delete_bucket(run: Run, bucket: str) -> None:
    _empty_bucket(run, bucket)
    run.world.client("s3").delete_bucket(Bucket=bucket)


def _delete_table(run: Run, table: str) -> None:
    run.world.client("dynamodb").delete_table(TableName=table)


def _delete_pool(run: Run, pool: str) -> None:
    cognito = run.world.client("cognito-idp")
    domain = cognito.describe_user_pool(UserPoolId=pool)["UserPool"].get("Domain")
    if domain:
        cognito.delete_user_pool_domain(Domain=domain, UserPoolId=pool)
    cognito.delete_user_pool(UserPoolId=pool)


def _delete_secret(run: Run, secret: str) -> None:
    run.world.client("secretsmanager").delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)


def _delete_log_group(run: Run, group: str) -> None:
    run.world.client("logs").delete_log_group(logGroupName=group)


def _delete_queue(run: Run, queue: str) -> None:
    run.world.client("sqs").delete_queue(QueueUrl=queue)


def _delete_budget(run: Run, name: str) -> None:
    run.world.client("budgets", GLOBAL_REGION).delete_budget(AccountId=run.account, BudgetName=name)


def _delete_role(run: Run, name: str) -> None:
    iam = run.world.client("iam")
    iam.delete_role_policy(RoleName=name, PolicyName=stack.BREAK_GLASS_POLICY)
    iam.delete_role(RoleName=name)


DELETE: Mapping[str, Callable[[Run, str], None]] = {
    "AWS::S3::Bucket": _delete_bucket,
    "AWS::DynamoDB::Table": _delete_table,
    "AWS::Cognito::UserPool": _delete_pool,
    "AWS::SecretsManager::Secret": _delete_secret,
    "AWS::Logs::LogGroup": _delete_log_group,
    "AWS::SQS::Queue": _delete_queue,
}
"""How each type of resource is deleted that a deleted stack leaves behind."""
