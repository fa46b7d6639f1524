"""Every statement of every policy is needed, and no policy allows more: requests judged on the expanded template.

`EXPECTED` says what the policies of resources must allow and deny, `tests.permissions.ALLOWED` what each function may
do. The last tests change each statement, and expect that one of these requests is then judged otherwise.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import botocore.session
import pytest

from local import deploy
from local.build import ROOT
from tests.iam import Principal, applies, concerns
from tests.permissions import ALLOWED, DELETIONS
from tests.template.conftest import Resources, of_type
from tests.template.policies import (
    ACCOUNT,
    ADMINISTRATOR,
    BREAK_GLASS,
    NOBODY,
    REGION,
    ROOT_USER,
    STRANGER,
    Statement,
    World,
    weakened,
    world_of,
)

IN_TRANSACTION = {"dynamodb:EnclosingOperation": "TransactWriteItems"}
TLS, NO_TLS = {"aws:SecureTransport": "true"}, {"aws:SecureTransport": "false"}
NEW_OBJECT = {**TLS, "s3:if-none-match": "*"}
PERMISSIONS_WITHOUT_OPERATION = {
    "dynamodb": {"ConditionCheckItem", "PartiQLSelect", "PartiQLInsert", "PartiQLUpdate", "PartiQLDelete"}
    | {"DescribeStream", "GetRecords", "GetShardIterator", "ListStreams", "PurchaseReservedCapacityOfferings"}
    | {"CreateTableReplica", "DeleteTableReplica", "StartAwsBackupJob", "RestoreTableFromAwsBackup"},
    "s3": {"ListBucketVersions", "ListAllMyBuckets", "GetObjectVersion", "DeleteObjectVersion"}
    | {
        "BypassGovernanceRetention",
        "PutObjectVersionAcl",
        "PutObjectVersionTagging",
        "PutLifecycleConfiguration",
        "PutBucketObjectLockConfiguration",
    }
    | {"ReplicateObject", "ReplicateDelete", "ObjectOwnerOverrideToBucketOwner", "ListBucket"},
    "lambda": {"InvokeFunction"},
}
"""Actions that policies name, but no operation of an API. See the Service Authorization Reference."""
NEVER = {
    "dynamodb": {"BatchWriteItem", "DeleteTable", "UpdateTable", "PartiQLUpdate", "PutResourcePolicy"},
    "s3": {"DeleteObject", "DeleteObjectVersion", "BypassGovernanceRetention", "PutBucketPolicy"},
    "sqs": {"PurgeQueue"},
    "secretsmanager": {"PutSecretValue"},
    "lambda": {"UpdateFunctionCode", "GetAlias", "UpdateAlias", "GetProvisionedConcurrencyConfig"},
    "kms": {"ScheduleKeyDeletion", "CreateGrant"},
    "events": {"PutRule"},
    "ses": {"CreateEmailIdentity"},
    "cognito-idp": {"AdminAddUserToGroup"},
    "codedeploy": {"CreateDeployment"},
    "cloudwatch": {"DescribeAlarms", "DeleteAlarms"},
    "iam": {"PutRolePolicy"},
}
"""Actions of each service that no function needs: CodeDeploy's role has those that shift aliases."""
CLIENTS = {"ses": "sesv2", "cloudwatch": "cloudwatch", "cognito-idp": "cognito-idp"}
SERVICES = {
    "AWS::DynamoDB::Table": "dynamodb",
    "AWS::S3::Bucket": "s3",
    "AWS::SQS::Queue": "sqs",
    "AWS::KMS::Key": "kms",
    "AWS::SecretsManager::Secret": "secretsmanager",
    "AWS::Lambda::Function": "lambda",
    "AWS::Events::EventBus": "events",
    "AWS::SES::ConfigurationSet": "ses",
    "AWS::Cognito::UserPool": "cognito-idp",
}


@pytest.fixture(scope="module")
def world(production: Resources) -> World:
    """The policies of both templates."""
    kinds = ("AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::CloudFront::Distribution")
    pages = deploy.read_template(ROOT / "web.yaml")["Resources"]
    web = {name: resource for name, resource in pages.items() if resource["Type"] in kinds}
    assert not web.keys() & production.keys()
    return world_of({**production, **web})


# --- the roles ---

Call = tuple[str, str, dict[str, str]]
"""An action with its service, a target, and the context with which our code makes the call."""


@cache
def actions_of(service: str) -> frozenset[str]:
    """Return every action of a service: the operations of its API, and the permissions without one."""
    model = botocore.session.get_session().get_service_model(CLIENTS.get(service, service))
    return frozenset(model.operation_names) | PERMISSIONS_WITHOUT_OPERATION.get(service, set())


@cache
def needed_actions(service: str) -> frozenset[str]:
    """Return the actions of a service that some function needs, and a few that none may ever have."""
    needed = {action for granted in ALLOWED.values() for actions in granted.values() for action in actions}
    return frozenset((needed & actions_of(service)) | NEVER.get(service, set()))


def targets(resources: Resources) -> Iterator[tuple[str, str]]:
    """Yield every resource that a role could reach, with its parts, and its service."""
    for name, resource in resources.items():
        service = SERVICES.get(resource["Type"])
        if service is None:
            continue
        yield name, service
        if service == "dynamodb":
            indexes = resource["Properties"].get("GlobalSecondaryIndexes", ())
            yield from ((f"{name}/index/{index['IndexName']}", service) for index in indexes)
            yield from ([(f"{name}/stream", service)] if "StreamSpecification" in resource["Properties"] else [])
        if service == "s3":
            folders = ("records/x", "final/x", "exports/x", "personal/x", "due/x", "done/x", "position", "hours/x")
            folders += ("aws/lambda/x",)
            yield from ((f"{name}/{folder}", service) for folder in folders)
        if service == "lambda":
            yield from ((f"{name}:{version}", service) for version in ("live", "7"))
    yield from ELSEWHERE


@pytest.fixture(scope="module")
def every_call(world: World) -> list[Call]:
    """Every action on every resource."""
    return calls(world.resources, actions_of)


@pytest.fixture(scope="module")
def needed_calls(world: World) -> list[Call]:
    """The actions that functions need, and some that none may have, on every resource."""
    return calls(world.resources, needed_actions)


def calls(resources: Resources, actions: Callable[[str], frozenset[str]]) -> list[Call]:
    """Return the calls with which roles are tried."""
    return [
        (f"{service}:{action}", target, context_of(target, action))
        for target, service in targets(resources)
        for action in sorted(actions(service))
    ]


def context_of(target: str, action: str) -> dict[str, str]:
    """Return the context with which our code makes a call."""
    if action == "PutItem":
        return IN_TRANSACTION
    return NEW_OBJECT if "Bucket" in target else {}


def listed_calls(world: World, role: str) -> dict[str, set[str]]:
    """Return what a role must be able to do, as `ALLOWED` lists it: targets or patterns of them, and actions."""
    if role.removesuffix("Role") in ALLOWED:
        return ALLOWED[role.removesuffix("Role")]
    if role == "BreakGlassRole":
        actions = {"GetResourcePolicy", "PutResourcePolicy", "DeleteResourcePolicy"}
        return {"*Table": actions, "*Table/*": actions, "arn:aws:dynamodb:*": actions}
    assert role == "ReleaseRole"
    groups = of_type(world.resources, "AWS::CodeDeploy::DeploymentGroup")
    shift = {"GetAlias", "UpdateAlias", "GetProvisionedConcurrencyConfig"}
    shifted = {group.removesuffix("DeploymentGroup"): shift for group in groups}
    shifted |= {f"{name}:live": shift for name in shifted}
    return shifted | {"ReleaseCheckFunction": {"InvokeFunction"}, "arn:aws:cloudwatch:*": {"DescribeAlarms"}}


def role_violations(world: World, role: str, tried: Sequence[Call]) -> Iterator[str]:
    """Yield the calls that a role may make although they are not listed, or may not although they are."""
    listed = listed_calls(world, role)
    on = {target: (world.role(role, target), _listed(listed, target)) for target in {call[1] for call in tried}}
    for action, target, context in tried:
        principal, actions = on[target]
        must = action.partition(":")[2] in actions
        if world.allows(principal, action, target, context) != must:
            yield f"{role} {'may not' if must else 'may'} {action} {target}"


def _listed(listed: dict[str, set[str]], target: str) -> set[str]:
    name = "CodeDeploy/group" if target == DEPLOYMENT_GROUP else target
    return {action for pattern, actions in listed.items() if fnmatch.fnmatchcase(name, pattern) for action in actions}


PLACE = f"{REGION}:{ACCOUNT}"
DEPLOYMENT_GROUP = f"arn:aws:codedeploy:{PLACE}:deploymentgroup:tuition-app/tuition-group"
ELSEWHERE = [
    (DEPLOYMENT_GROUP, "codedeploy"),
    (f"arn:aws:codedeploy:{PLACE}:deploymentgroup:another", "codedeploy"),
    (f"arn:aws:cloudwatch:{PLACE}:alarm:another", "cloudwatch"),
    (f"arn:aws:dynamodb:{PLACE}:table/another", "dynamodb"),
    (f"arn:aws:dynamodb:{PLACE}:table/another/index/by_user", "dynamodb"),
    ("arn:aws:s3:::another", "s3"),
    ("arn:aws:s3:::another/records/x", "s3"),
    ("arn:aws:s3:::another/exports/x", "s3"),
    (f"arn:aws:sqs:{PLACE}:another", "sqs"),
    (f"arn:aws:lambda:{PLACE}:function:another:live", "lambda"),
    (f"arn:aws:secretsmanager:{PLACE}:secret:another", "secretsmanager"),
    (f"arn:aws:events:{PLACE}:event-bus/another", "events"),
    (f"arn:aws:kms:{PLACE}:key/another", "kms"),
    (f"arn:aws:ses:{PLACE}:configuration-set/another", "ses"),
    (f"arn:aws:cognito-idp:{PLACE}:userpool/another", "cognito-idp"),
    (f"arn:aws:iam::{ACCOUNT}:role/another", "iam"),
]
"""Resources of other stacks in the same account, and the deployment groups that CodeDeploy makes for this one."""


@pytest.mark.parametrize("role", [*(f"{function}Role" for function in ALLOWED), "ReleaseRole", "BreakGlassRole"])
def test_a_role_may_do_what_is_listed_and_nothing_else_to_any_resource(
    world: World, every_call: list[Call], role: str
) -> None:
    assert list(role_violations(world, role, every_call)) == []


WRITES = {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "PartiQLInsert", "PartiQLUpdate", "PartiQLDelete"}
"""The actions that change items. A transaction needs those of its parts."""
WRITERS = {
    "AuditTable": {"PutItem"},
    "PaymentsTable": {"PutItem"},
    "PlansTable": {"PutItem"},
    "StripeObjectsTable": {"PutItem"},
    "CustomersTable": {"UpdateItem"},
    "EnrollmentsTable": {"PutItem", "UpdateItem"},
}
"""How functions write the tables of the ledger. No function updates a payment, or changes a record."""


@pytest.mark.parametrize("table", WRITERS)
def test_functions_write_a_table_of_the_ledger_only_in_the_ledgers_way(world: World, table: str) -> None:
    for function in ALLOWED:
        role = world.role(f"{function}Role")
        done = {a for a in WRITES if world.allows(role, f"dynamodb:{a}", table, IN_TRANSACTION)}
        assert done <= WRITERS[table] | ({"DeleteItem"} if (function, table) in DELETIONS else set())


# --- the policies of resources ---

Case = tuple[str, str, dict[str, Any], set[str]]
"""An action, a target, a context, and who may: names of `PRINCIPALS` or roles. All others of `PRINCIPALS` may not."""
PRINCIPALS = {
    "administrator": ADMINISTRATOR,
    "root": ROOT_USER,
    "break-glass": BREAK_GLASS,
    "stranger": STRANGER,
    "nobody": NOBODY,
}
INSIDE = {"administrator", "root", "break-glass"}
ONLY_BREAK_GLASS = {"break-glass"}
SERVICE_NAMES = ("cloudfront", "lambda", "events", "logging.s3", "codedeploy", "ec2", "cloudtrail")
RECORD_CHANGES = sorted((WRITES - {"PutItem"}) | {"UpdateTimeToLive"})
TABLE_CHANGES = ("DeleteTable", "UpdateTable", "UpdateContinuousBackups", "PutResourcePolicy", "DeleteResourcePolicy")
LOGGED = ("ExportsBucket", "FailedRecordsBucket", "ArchiveBucket", "DigestBucket", "ErasuresBucket")
BUCKETS = (*LOGGED, "BucketAccessLogs", "Pages", "Logs")


def _audit_table() -> Iterator[Case]:
    yield from ((f"dynamodb:{action}", "AuditTable", {}, set[str]()) for action in RECORD_CHANGES)
    yield from ((f"dynamodb:{action}", "AuditTable", IN_TRANSACTION, set[str]()) for action in RECORD_CHANGES)
    yield "dynamodb:PutItem", "AuditTable", {}, set()
    yield "dynamodb:PutItem", "AuditTable", {"dynamodb:EnclosingOperation": "BatchWriteItem"}, set()
    # no policy can refuse this, because records are written so: the stream and the archive detect it
    yield "dynamodb:PutItem", "AuditTable", IN_TRANSACTION, INSIDE
    for action in TABLE_CHANGES:
        root = {"root"} if action.endswith("ResourcePolicy") else set()  # AWS always leaves the policy to the root user
        yield f"dynamodb:{action}", "AuditTable", {}, ONLY_BREAK_GLASS | root
    for action in ("GetItem", "Query", "Scan", "GetResourcePolicy", "DescribeTable"):
        yield f"dynamodb:{action}", "AuditTable", {}, INSIDE
    yield "dynamodb:Query", "AuditTable/index/by_recorded_day", {}, INSIDE


def _buckets() -> Iterator[Case]:
    for bucket in BUCKETS:
        for target in (bucket, f"{bucket}/records/x"):
            action = "s3:ListBucket" if target == bucket else "s3:GetObject"
            yield action, target, TLS, INSIDE
            yield action, target, NO_TLS, set()
    for bucket in ("ArchiveBucket", "DigestBucket"):
        for action in ("s3:DeleteObject", "s3:DeleteObjectVersion"):
            yield action, f"{bucket}/records/x", TLS, ONLY_BREAK_GLASS
        # administrators may remove these policies: docs/security.md says what shows it
        yield "s3:PutBucketPolicy", bucket, TLS, INSIDE
    yield "s3:BypassGovernanceRetention", "ArchiveBucket/records/x", TLS, ONLY_BREAK_GLASS
    for action in ("s3:PutObject", "s3:PutObjectRetention", "s3:PutObjectVersionTagging"):
        yield action, "ArchiveBucket/records/x", TLS, INSIDE
        yield action, "ArchiveBucket/records/x", NO_TLS, set()
    yield "s3:PutObject", "DigestBucket/hours/x", TLS, set()
    yield "s3:PutObject", "DigestBucket/hours/x", NEW_OBJECT, INSIDE


def _digest_key() -> Iterator[Case]:
    for action in ("kms:Sign", "kms:CreateGrant"):
        yield action, "DigestKey", {}, {"DigestFunctionRole"} if action == "kms:Sign" else set()
    for action in ("kms:DisableKey", "kms:ScheduleKeyDeletion"):
        yield action, "DigestKey", {}, ONLY_BREAK_GLASS
    yield "kms:GetPublicKey", "DigestKey", {}, INSIDE | {"DigestFunctionRole"}
    yield "kms:PutKeyPolicy", "DigestKey", {}, INSIDE


def expected(world: World) -> Iterator[Case]:
    """Yield what the policies of resources must allow and deny, with the services that they name."""
    yield from _audit_table()
    yield from _buckets()
    yield from _digest_key()
    rule = {"aws:SourceArn": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/tuition-EmailsToSend"}
    foreign = {"aws:SourceArn": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/another"}
    for queue in ("EmailQueue", "EmailDeadLetters", "ConsoleQueue", "ConsoleDeadLetters", "FailedRuns"):
        yield "sqs:SendMessage", queue, rule, INSIDE | {"events"}
        yield "sqs:SendMessage", queue, foreign, INSIDE
        yield "sqs:SendMessage", queue, {}, INSIDE
        yield "sqs:ReceiveMessage", queue, rule, INSIDE
        yield "sqs:DeleteMessage", queue, rule, INSIDE
    logs = "BucketAccessLogs/records/x"
    for bucket in LOGGED:
        source = {**TLS, "aws:SourceArn": world.arn(bucket), "aws:SourceAccount": ACCOUNT}
        yield "s3:PutObject", logs, source, INSIDE | {"logging.s3"}
        yield "s3:PutObject", logs, {**source, "aws:SourceAccount": "210987654321"}, INSIDE
        yield "s3:GetObject", logs, source, INSIDE
        yield "s3:DeleteObject", logs, source, INSIDE
    ours, other = ({**TLS, "aws:SourceArn": world.arn(name)} for name in ("Distribution", "ArchiveBucket"))
    yield "s3:GetObject", "Pages/index.html", ours, INSIDE | {"cloudfront"}
    yield "s3:GetObject", "Pages/index.html", other, INSIDE
    yield "s3:PutObject", "Pages/index.html", ours, INSIDE
    yield "s3:ListBucket", "Pages", ours, INSIDE
    another = {**TLS, "aws:SourceArn": "arn:aws:s3:::another", "aws:SourceAccount": ACCOUNT}
    yield "s3:PutObject", logs, another, INSIDE
    yield "s3:PutObject", "BucketAccessLogs/records/x", TLS, INSIDE
    for role in of_type(world.resources, "AWS::IAM::Role"):
        service = {"ReleaseRole": "codedeploy", "BreakGlassRole": ""}.get(role, "lambda")
        if service:
            yield "sts:AssumeRole", role, {"aws:SourceAccount": ACCOUNT}, {service}
            yield "sts:TagSession", role, {"aws:SourceAccount": ACCOUNT}, set()
    yield "sts:AssumeRole", "ReleaseRole", {"aws:SourceAccount": "210987654321"}, set()


def resource_violations(world: World, owner: str | None = None) -> Iterator[str]:
    """Yield every request on a resource with a policy, or on one of them, that is judged unlike `expected`."""
    services = {name: Principal(service=f"{name}.amazonaws.com") for name in SERVICE_NAMES}
    for action, target, context, who in expected(world):
        if owner not in (None, re.split("[:/]", target)[0]):
            continue
        roles = {"DigestFunctionRole", "ArchiveFunctionRole"} if target == "DigestKey" else set()
        principals = {**PRINCIPALS, **services, **{role: world.role(role) for role in roles}}
        for name, principal in principals.items():
            if world.allows(principal, action, target, context) != (name in who):
                yield f"{name} {'may not' if name in who else 'may'} {action} {target} {context}"


def test_every_policy_of_a_resource_allows_and_denies_what_it_must(world: World) -> None:
    assert list(resource_violations(world)) == []


def test_only_the_ledgers_transaction_can_put_a_record(world: World) -> None:
    """No function may change a record, and none may put one in another way than the ledger's."""
    for function in ALLOWED:
        role = world.role(f"{function}Role")
        assert not world.allows(role, "dynamodb:PutItem", "AuditTable")
        assert world.allows(role, "dynamodb:PutItem", "AuditTable", IN_TRANSACTION) == (
            "PutItem" in ALLOWED[function].get("AuditTable", ())
        )


def test_the_break_glass_role_may_change_the_policy_and_nothing_else_until_it_has_done_so(world: World) -> None:
    role = Principal(BREAK_GLASS.arn, tuple(world.roles["BreakGlassRole"]))
    allowed = {a for a in actions_of("dynamodb") if world.allows(role, f"dynamodb:{a}", "AuditTable", IN_TRANSACTION)}
    assert allowed == {"PutResourcePolicy", "DeleteResourcePolicy", "GetResourcePolicy"}


# --- every statement is needed ---

EQUIVALENT = {
    ("policy of DigestKey", "assumed-role"): "AWS compares the role; only the local AWS compares its session",
    ("policy of EmailQueue", "EmailDeadLetters"): "both queues have this policy, and each obeys its own part",
    ("policy of EmailDeadLetters", "EmailQueue"): "both queues have this policy, and each obeys its own part",
    ("policy of ConsoleQueue", "ConsoleDeadLetters"): "both queues have this policy, and each obeys its own part",
    ("policy of ConsoleDeadLetters", "ConsoleQueue"): "both queues have this policy, and each obeys its own part",
}
"""Changes of a statement that change nothing on AWS, by owner and a part of what was done."""


def is_noticed(world: World, at: Statement, other: dict[str, Any] | None, tried: Mapping[str, list[Call]]) -> bool:
    """Whether a request is judged otherwise than expected once a statement is another one. `tried` is by target."""
    changed = world.with_statement(at, other)
    if at.owner.startswith("policy of "):
        return next(resource_violations(changed, at.owner.removeprefix("policy of ")), None) is not None
    role, both = world.role(at.owner), [world.read(at), *([other] if other else [])]
    concerned = [
        (action, target, context)
        for on_target in tried
        if any(concerns(one, world.arn(on_target)) for one in both)
        for action, target, context in tried[on_target]
        if any(applies(one, world.request(role, action, target, context)) for one in both)
    ]
    return next(role_violations(changed, at.owner, concerned), None) is not None


def unnoticed(world: World, owners: Iterable[str], tried: Iterable[Call]) -> list[str]:
    """Return the changes of statements of these owners that no expectation notices."""
    by_target: dict[str, list[Call]] = {}
    for call in tried:
        by_target.setdefault(call[1], []).append(call)
    changes = (
        (at, world.read(at), change, other)
        for at in world.statements()
        if at.owner in owners
        for change, other in weakened(world.read(at))
    )
    return [
        f"{at.owner} {statement.get('Sid', at.number)} {change}"
        for at, statement, change, other in changes
        if other != statement
        and not any(at.owner == owner and part in change for owner, part in EQUIVALENT)
        and not is_noticed(world, at, other, by_target)
    ]


def test_each_statement_of_a_resources_policy_is_noticed_if_it_is_removed_or_changed(world: World) -> None:
    owners = {at.owner for at in world.statements() if at.owner.startswith("policy of ")}
    assert {f"policy of {name}" for name in ("AuditTable", "DigestKey", *BUCKETS)} <= owners
    assert unnoticed(world, owners, ()) == []


@pytest.mark.parametrize("function", [*ALLOWED, "Release", "BreakGlass"])
def test_each_statement_of_a_role_is_noticed_if_it_is_removed_or_changed(
    world: World, needed_calls: list[Call], function: str
) -> None:
    assert unnoticed(world, {f"{function}Role"}, needed_calls) == []


def test_every_policy_of_the_templates_is_judged(world: World) -> None:
    """A new kind of policy must be added to `world_of`, or its statements would be untested."""
    texts = ((ROOT / name).read_text(encoding="utf-8") for name in ("template.yaml", "web.yaml"))
    sids = {sid for text in texts for sid in re.findall(r"- Sid: (\w+)", text)}
    judged = {world.read(at).get("Sid") for at in world.statements()}
    assert sids <= judged
