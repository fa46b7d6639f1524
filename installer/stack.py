"""The stack of template.yaml: build, expand, show the change set, deploy; and what CloudFormation cannot set."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from installer import choices
from installer.questions import is_production
from installer.run import Run
from installer.world import Stop, error_code, is_missing
from local import audit_policy, build, change_set, deploy
from local.change_set import Template

SHOWN_CHANGES = 15
"""The most changes that are listed one by one before the person confirms. Replacements and removals always are."""
BREAK_GLASS_POLICY = "audit-table-policy"
BREAK_GLASS_RIGHTS = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "dynamodb:*ResourcePolicy", "Resource": "*"}],
}
STACK_POLICY = {
    "Statement": [
        {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"},
        {
            "Effect": "Deny",
            "Action": ["Update:Replace", "Update:Delete"],
            "Principal": "*",
            "Resource": "*",
            "Condition": {
                "StringEquals": {
                    "ResourceType": [
                        "AWS::DynamoDB::Table",
                        "AWS::Cognito::UserPool",
                        "AWS::SecretsManager::Secret",
                        "AWS::S3::Bucket",
                    ]
                }
            },
        },
    ]
}
"""No update may replace or delete what holds data: a changed key would silently give the functions an empty table.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/protect-stack-resources.html"""


def expanded(run: Run, template_file: Path, parameters: Mapping[str, str]) -> tuple[Template, dict[str, bytes]]:
    """Return a template as it is deployed, and the archives that it names. MiniStack gets what it accepts of it."""
    template = deploy.read_template(template_file)
    archives = change_set.point_at_bucket(template, template_file.parent, run.bucket)
    if "Transform" in template:
        try:
            template = deploy.expand(template, parameters)
        except ValueError as error:
            raise Stop(f"{template_file.name} cannot be deployed: {error}.") from error
    return (deploy.for_ministack(template) if run.is_local else template), archives


def look_at_build(run: Run) -> Sequence[str]:
    """Build what is deployed. It stays in this folder, so this is part of looking."""
    if build.build(build.ROOT):
        run.world.say("  built .aws-sam/build")
    return []


def parameters(run: Run) -> dict[str, str]:
    """Return the parameters of the stack. Those that protect it change only in :func:`protect`."""
    answers = run.answers
    try:
        before: Mapping[str, str] = run.deployed().parameters
    except Stop:
        before = {}
    if not before.get("StackId") and not run.state.get("stack_id"):
        run.state.put("stack_id", str(uuid.uuid4()))
    first = run.is_kept and before.get("DeletionProtection") != "true"
    derived = {"Architecture": deploy.architecture() if run.is_local else "arm64"}
    if answers["domain"]:
        derived |= {"WebOrigin": f"https://{answers['domain']}", "CallbackUrls": f"https://{answers['domain']}/"}
    chosen = choices.of(run, choices.API, run.stack_name)
    stack_id = before.get("StackId") or chosen.get("StackId") or str(run.state.get("stack_id"))
    if chosen.get("StackId", stack_id) not in ("", stack_id):
        raise Stop(f"StackId is {stack_id} and cannot become {chosen['StackId']}: objects at Stripe carry it.")
    return {
        **derived,
        **chosen,
        "Environment": answers["environment"],
        "StackId": stack_id,
        "DeletionProtection": before.get("DeletionProtection", "false"),
        "FirstDeployment": "true" if first else "false",
        "StripeApiBase": run.world.stripe_api_base,
        "StripePublishableKey": answers["publishable_key"],
        "StripeLivemode": "true" if is_production(answers) else "false",
        "HostedUiDomainPrefix": answers["sign_in_prefix"],
        "SignInSender": answers["sign_in_sender"],
        "SignInSenderArn": str(run.state.get("sender", "")) if answers["sign_in_sender"] else "",
        "SchoolName": answers["school_name"],
        "SupportContact": answers["support_contact"],
        "TermsVersion": answers["terms_version"],
        "TermsUrl": answers["terms_url"],
        "PrivacyUrl": answers["privacy_url"],
        "EmailReplyTo": answers["reply_to"],
        "SchoolTimeZone": answers["time_zone"],
        "ConsumerRegion": answers["consumer_region"],
        "StaffEmails": answers["staff_emails"],
        "AlarmTopicArn": str(run.state.get("topic", "")),
        "BreakGlassRoleArn": str(run.state.get("break_glass_role", "")),
    }


def look_at_stack(run: Run) -> Sequence[str]:
    """Compare the deployed template and its parameters with ours."""
    cloudformation = run.world.client("cloudformation")
    described = change_set.describe_stack(cloudformation, run.stack_name)
    if described is None or described["StackStatus"] not in change_set.READY:
        state = "not deployed" if described is None else described["StackStatus"]
        return [f"The stack {run.stack_name} is {state}. Run python install.py."]
    run.forget_stack(run.stack_name)
    run.state.put("deployed", True)
    values = parameters(run)
    ours, _ = expanded(run, build.BUILT / "template.yaml", values)
    before = run.deployed().parameters
    differences = [
        f"The parameter {name} is {before.get(name)!r}, not {value!r}."
        for name, value in values.items()
        if before.get(name) != value
    ]
    if not is_same_template(run, run.stack_name, ours):
        differences.append("The deployed template or code is not that of this folder. Run python install.py --upgrade.")
    return differences


def is_same_template(run: Run, stack: str, ours: Template) -> bool:
    """Return whether a stack has this template."""
    body = run.world.client("cloudformation").get_template(StackName=stack)["TemplateBody"]
    theirs = json.loads(body) if isinstance(body, str) else body
    return json.dumps(theirs, sort_keys=True) == json.dumps(ours, sort_keys=True)


def deploy_stack(run: Run) -> None:
    """Deploy the stack after the person has seen its changes."""
    values = parameters(run)
    if broken := choices.broken_rules(values):
        raise Stop("\n".join(broken))
    template, archives = expanded(run, build.BUILT / "template.yaml", values)
    apply(run, run.stack_name, template, archives, values)
    run.state.put("deployed", True)


def apply(run: Run, stack: str, template: Template, archives: dict[str, bytes], values: Mapping[str, str]) -> None:
    """Upload, create a change set, show it, and execute it if the person agrees."""
    cloudformation = run.world.client("cloudformation")
    object_key, content = change_set.template_key(template)
    change_set.upload(run.world.client("s3"), run.bucket, archives | {object_key: content})
    url = run.world.object_url(run.bucket, object_key)
    for attempt in (1, 2):
        try:
            changes = change_set.create(cloudformation, stack, url, values, tags=run.tags, delay_s=run.delay_s)
            break
        except change_set.NeedsDeletion as error:
            if attempt == 2:
                raise
            run.world.say(f"  {error}")
            if not run.confirm(
                f"  {stack} was never created whole, and nothing was sold with it. Delete what is left?"
            ):
                raise Stop(f"Delete the stack {stack} in CloudFormation, then run this again.") from error
            cloudformation.delete_stack(StackName=stack)
            change_set.wait(cloudformation, stack, delay_s=run.delay_s)
    if changes is None:
        return
    _show(run, changes)
    if not run.confirm(f"  Deploy these {len(changes.changes)} changes to {stack}?"):
        raise Stop("Nothing was deployed. The change set stays; the next run shows it again.")
    run.world.say("  deploying, which takes some minutes")
    change_set.execute(cloudformation, changes, delay_s=run.delay_s)
    run.forget_stack(stack)


def _show(run: Run, changes: change_set.ChangeSet) -> None:
    """Print the changes: those that lose something first, and the rest up to a number."""
    grave = [change for change in changes.changes if change.action == "Remove" or change.replacement == "True"]
    others = [change for change in changes.changes if change not in grave]
    for change in [*grave, *others[:SHOWN_CHANGES]]:
        run.world.say(f"  {change}")
    if len(others) > SHOWN_CHANGES:
        run.world.say(f"  and {len(others) - SHOWN_CHANGES} more")


# --- before the stack ---


def break_glass_name(run: Run) -> str:
    """Return the name of the role for emergencies."""
    return f"{run.stack_name}-break-glass"


def look_at_break_glass_role(run: Run) -> Sequence[str]:
    """Check that the role for emergencies exists."""
    iam = run.world.client("iam")
    try:
        role = iam.get_role(RoleName=break_glass_name(run))["Role"]
        iam.get_role_policy(RoleName=break_glass_name(run), PolicyName=BREAK_GLASS_POLICY)
    except ClientError as error:
        if not is_missing(error):
            raise
        return [f"The role {break_glass_name(run)} or its policy is missing. Run python install.py."]
    run.state.put("break_glass_role", role["Arn"])
    return []


def make_break_glass_role(run: Run) -> None:
    """Create the role that alone may delete the audit table or change its policy. It needs a second factor."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:{partition(run)}:iam::{run.account}:root"},
                "Action": "sts:AssumeRole",
                "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
            }
        ],
    }
    iam = run.world.client("iam")
    name = break_glass_name(run)
    boundary = run.state.get("parameters", {}).get("PermissionsBoundaryArn")
    try:
        iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps(trust),
            Description="For emergencies: the only role that may change the policy of Tuition's audit table.",
            **({"PermissionsBoundary": boundary} if boundary else {}),
        )
    except ClientError as error:
        if error_code(error) != "EntityAlreadyExists":
            raise
    iam.put_role_policy(RoleName=name, PolicyName=BREAK_GLASS_POLICY, PolicyDocument=json.dumps(BREAK_GLASS_RIGHTS))


def partition(run: Run) -> str:
    """Return the partition of the region: aws, or China's."""
    return "aws-cn" if run.world.region.startswith("cn-") else "aws"


def look_at_topic(run: Run) -> Sequence[str]:
    """Check that alarms reach a person."""
    sns = run.world.client("sns")
    topic = f"arn:{partition(run)}:sns:{run.world.region}:{run.account}:{run.stack_name}-alarms"
    try:
        subscriptions = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    except ClientError as error:
        if not is_missing(error):
            raise
        return ["No topic carries the alarms."]
    run.state.put("topic", topic)
    policy = sns.get_topic_attributes(TopicArn=topic)["Attributes"].get("Policy", "{}")
    if json.loads(policy) != topic_policy(run, topic):
        return ["The topic does not accept messages of alarms and of changes to a table's protection."]
    own = [entry for entry in subscriptions if entry["Endpoint"] == run.answers["alert_email"]]
    if not own:
        return [f"Alarms do not reach {run.answers['alert_email']}."]
    if own[0]["SubscriptionArn"] == "PendingConfirmation":
        run.world.say(f"  note: confirm the subscription in the email to {run.answers['alert_email']}")
    return []


def topic_policy(run: Run, topic: str) -> dict[str, Any]:
    """Return the policy of the topic: alarms publish to it, and EventBridge, whose statement may have no condition.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
    """
    publish = {"Effect": "Allow", "Action": "sns:Publish", "Resource": topic}
    own = {"StringEquals": {"aws:SourceAccount": run.account}}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "Alarms", "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Condition": own, **publish},
            {"Sid": "ProtectionChanges", "Principal": {"Service": "events.amazonaws.com"}, **publish},
        ],
    }


def make_topic(run: Run) -> None:
    """Create the topic of the alarms, let the two services publish to it, and subscribe the person."""
    sns = run.world.client("sns")
    topic = sns.create_topic(Name=f"{run.stack_name}-alarms")["TopicArn"]
    policy = json.dumps(topic_policy(run, topic))
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=run.answers["alert_email"])


# --- settings that the template cannot make ---


def look_at_protection(run: Run) -> Sequence[str]:
    """Check everything that protects a kept stack: deletion protection, the audit table's policy, the stack's own."""
    differences = []
    stack = run.deployed()
    if stack.parameters.get("DeletionProtection") != "true" or stack.parameters.get("FirstDeployment") == "true":
        differences.append("Deletion protection is off. Run python install.py.")
    differences += _look_at_audit_table(run)
    described: Any = change_set.describe_stack(run.world.client("cloudformation"), run.stack_name)
    if not described.get("EnableTerminationProtection"):
        differences.append("The stack has no termination protection. Run python install.py.")
    body = run.world.client("cloudformation").get_stack_policy(StackName=run.stack_name).get("StackPolicyBody")
    if not body or json.loads(body) != STACK_POLICY:
        differences.append("The stack's policy lets an update replace a table. Run python install.py.")
    return differences


def protect(run: Run) -> None:
    """Protect the stack, after its first success: a failed first deployment would else leave tables behind."""
    cloudformation = run.world.client("cloudformation")
    stack = run.deployed()
    if stack.parameters.get("DeletionProtection") != "true" or stack.parameters.get("FirstDeployment") == "true":
        values = {**parameters(run), "DeletionProtection": "true", "FirstDeployment": "false"}
        template, archives = expanded(run, build.BUILT / "template.yaml", values)
        apply(run, run.stack_name, template, archives, values)
    if run.is_local:
        _put_policy_of_template(run)
    try:
        audit_policy.protect(run.world.client("dynamodb"), _audit_table_arn(run), _break_glass_role(run))
    except ValueError as error:
        raise Stop(f"{error} Run python install.py --upgrade.") from error
    cloudformation.update_termination_protection(StackName=run.stack_name, EnableTerminationProtection=True)
    cloudformation.set_stack_policy(StackName=run.stack_name, StackPolicyBody=json.dumps(STACK_POLICY))


def _break_glass_role(run: Run) -> str:
    return run.deployed().parameters.get("BreakGlassRoleArn") or str(run.state.get("break_glass_role", ""))


def _audit_table_arn(run: Run) -> str:
    table = run.deployed().outputs["AuditTableName"]
    return f"arn:{partition(run)}:dynamodb:{run.world.region}:{run.account}:table/{table}"


def _look_at_audit_table(run: Run) -> Sequence[str]:
    """Check the live policy of the audit table, which drift detection does not cover."""
    arn = _audit_table_arn(run)
    try:
        policy = json.loads(run.world.client("dynamodb").get_resource_policy(ResourceArn=arn)["Policy"])
        is_protected = audit_policy.protected(policy, arn, _break_glass_role(run)) == policy
    except ClientError as error:
        if not is_missing(error):
            raise
        return ["The audit table has no policy. Run python install.py --upgrade."]
    except ValueError as error:
        return [f"{error}"]
    return (
        [] if is_protected else ["The audit table's policy lets every administrator delete it. Run python install.py."]
    )


def _put_policy_of_template(run: Run) -> None:
    """Set the audit table's policy, which MiniStack leaves out when it creates the table."""
    dynamodb = run.world.client("dynamodb")
    try:
        dynamodb.get_resource_policy(ResourceArn=_audit_table_arn(run))
        return
    except ClientError as error:
        if not is_missing(error):
            raise
    text = re.sub(r'\{"Fn::Sub": ("[^"]+")\}', r"\1", _policy_of_template())
    pseudo = {"Partition": partition(run), "Region": run.world.region, "AccountId": run.account}
    for name, value in pseudo.items():
        text = text.replace(f"${{AWS::{name}}}", value)
    dynamodb.put_resource_policy(ResourceArn=_audit_table_arn(run), Policy=text)


@cache
def _policy_of_template() -> str:
    table = deploy.read_template(build.ROOT / "template.yaml")["Resources"]["AuditTable"]
    return json.dumps(table["Properties"]["ResourcePolicy"]["PolicyDocument"])
