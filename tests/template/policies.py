"""The policies of the expanded template with real names, as a world in which requests can be judged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from installer.stack import BREAK_GLASS_RIGHTS
from local import audit_policy
from tests.iam import Principal, Request, concerns, is_allowed, many, root
from tests.template.conftest import PRODUCTION, Resources, of_type

ACCOUNT, STRANGERS_ACCOUNT = "123456789012", "210987654321"
REGION, STACK = "eu-central-1", "tuition"
PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::StackName": STACK,
    "AWS::URLSuffix": "amazonaws.com",
}
_ARNS = {
    "AWS::DynamoDB::Table": "dynamodb:{place}:table/{stack}-{name}-1A2B",
    "AWS::S3::Bucket": "s3:::{stack}-{lower}-1a2b",
    "AWS::IAM::Role": "iam::{account}:role/{stack}-{name}-1A2B",
    "AWS::IAM::ManagedPolicy": "iam::{account}:policy/{stack}-{name}-1A2B",
    "AWS::Lambda::Function": "lambda:{place}:function:{stack}-{name}-1A2B",
    "AWS::SQS::Queue": "sqs:{place}:{stack}-{name}-1A2B",
    "AWS::KMS::Key": "kms:{place}:key/{lower}",
    "AWS::SecretsManager::Secret": "secretsmanager:{place}:secret:{name}-1A2B-aBcDeF",
    "AWS::Events::EventBus": "events:{place}:event-bus/{stack}-events",
    "AWS::Events::Rule": "events:{place}:rule/{stack}-{name}-1A2B",
    "AWS::Cognito::UserPool": "cognito-idp:{place}:userpool/{lower}",
    "AWS::SES::ConfigurationSet": "ses:{place}:configuration-set/{name}",
    "AWS::CloudFront::Distribution": "cloudfront::{account}:distribution/{name}",
    "AWS::SNS::Topic": "sns:{place}:{stack}-{name}",
}
STREAM = "/stream/2026-11-01T00:00:00.000"
_POLICIES = {"AWS::S3::BucketPolicy": "Bucket", "AWS::SQS::QueuePolicy": "Queues"}
"""The resource types that are policies, and the property that names their resources."""


def arn(resources: Resources, name: str) -> str:
    """Return the ARN of a resource, with a physical name as CloudFormation makes one."""
    pattern = _ARNS[resources[name]["Type"]]
    place = f"{REGION}:{ACCOUNT}"
    return "arn:aws:" + pattern.format(place=place, account=ACCOUNT, stack=STACK, name=name, lower=name.lower())


def concrete(resources: Resources, value: Any) -> Any:
    """Return a part of the template with the references to resources replaced by names and ARNs."""
    if isinstance(value, list):
        return [concrete(resources, one) for one in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Ref"}:
        return _ref(resources, value["Ref"])
    if set(value) == {"Fn::GetAtt"}:
        name, attribute = value["Fn::GetAtt"]
        assert attribute in ("Arn", "Id", "StreamArn")
        return arn(resources, name) + (STREAM if attribute == "StreamArn" else "")
    if set(value) == {"Fn::Sub"}:
        return re.sub(r"\$\{([^}]+)\}", lambda match: _ref(resources, match[1]), value["Fn::Sub"])
    return {key: concrete(resources, one) for key, one in value.items()}


def _ref(resources: Resources, name: str) -> str:
    if name in PSEUDO:
        return PSEUDO[name]
    if name.endswith(".Arn"):
        return arn(resources, name.removesuffix(".Arn"))
    if resources[name]["Type"] == "AWS::Lambda::Alias":
        alias = resources[name]["Properties"]
        return f"{arn(resources, alias['FunctionName']['Ref'])}:{alias['Name']}"
    return re.split("[:/]", arn(resources, name))[-1]


KEY_OF_ANOTHER_STACK = {
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": root(ACCOUNT)}, "Action": "kms:*", "Resource": "*"}]
}
"""The policy that KMS gives a key without one: it leaves everything to IAM."""


@dataclass(frozen=True)
class Statement:
    """Where a statement is: the role or resource that has it, the policy's number there, and its own."""

    owner: str
    policy: int
    number: int


@dataclass
class World:
    """The policies of a deployed stack: of each role by logical id, and of each resource by logical id."""

    resources: Resources
    roles: dict[str, list[dict[str, Any]]]
    of_resource: dict[str, dict[str, Any]]
    _arns: dict[str, str] = field(default_factory=dict)

    def arn(self, name: str) -> str:
        """Return the ARN of a resource with what follows it: `PaymentsTable/index/by_user`, `WebhookFunction:live`.

        A target outside of the stack is an ARN already.
        """
        if name not in self._arns:
            logical, separator, rest = re.fullmatch(r"(\w+)([:/]?)(.*)", name).groups()  # type: ignore[union-attr]
            is_ours = logical in self.resources
            rest = STREAM if rest == "stream" else separator + rest
            self._arns[name] = arn(self.resources, logical) + rest if is_ours else name
        return self._arns[name]

    def request(self, principal: Principal, action: str, target: str, context: Mapping[str, Any] = {}) -> Request:
        """Return the request of a principal on a target, such as `AuditTable` or `ArchiveBucket/records/x`."""
        return Request(principal, action, self.arn(target), ACCOUNT, context)

    def role(self, name: str, target: str | None = None) -> Principal:
        """Return a role of the stack, by its logical id. With a target, it has only the statements about that."""
        statements = [statement for policy in self.roles[name] for statement in policy["Statement"]]
        if target is not None:
            statements = [statement for statement in statements if concerns(statement, self.arn(target))]
        role_arn = BREAK_GLASS.arn if name == "BreakGlassRole" else arn(self.resources, name)
        return Principal(role_arn, ({"Statement": statements},))

    def allows(self, principal: Principal, action: str, target: str, context: Mapping[str, Any] = {}) -> bool:
        """Whether a principal may do something to a target."""
        owner = target.partition(":")[0].partition("/")[0]
        # a statement of a table is about the table and its indexes; a stream has a policy of its own
        policy = None if target.endswith("/stream") else self.of_resource.get(owner)
        if policy is None and action.startswith("kms:"):
            policy = KEY_OF_ANOTHER_STACK
        return is_allowed(self.request(principal, action, target, context), policy)

    def statements(self) -> Iterator[Statement]:
        """Yield the place of every statement. One of a policy that several roles share has its place at the first."""
        judged: list[dict[str, Any]] = []
        for owner, policies in self._owners():
            for number, policy in enumerate(policies):
                if policy not in judged:
                    judged += [policy] if owner in self.roles else []
                    yield from (Statement(owner, number, one) for one in range(len(policy["Statement"])))

    def _owners(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        yield from self.roles.items()
        yield from ((f"policy of {name}", [policy]) for name, policy in self.of_resource.items())

    def read(self, at: Statement) -> dict[str, Any]:
        """Return a statement."""
        statement: dict[str, Any] = dict(self._owners())[at.owner][at.policy]["Statement"][at.number]
        return statement

    def with_statement(self, at: Statement, statement: dict[str, Any] | None) -> World:
        """Return a world in which a statement is another one, or is missing."""
        world = World(self.resources, dict(self.roles), dict(self.of_resource), self._arns)
        policies = [{**policy, "Statement": [*policy["Statement"]]} for policy in dict(self._owners())[at.owner]]
        policies[at.policy]["Statement"][at.number : at.number + 1] = [statement] if statement else []
        if at.owner in world.roles:
            world.roles[at.owner] = policies
        else:
            (world.of_resource[at.owner.removeprefix("policy of ")],) = policies
        return world


ADMINISTRATOR = Principal(
    f"arn:aws:iam::{ACCOUNT}:role/administrator",
    ({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]},),
)
ROOT_USER = Principal(root(ACCOUNT), ADMINISTRATOR.policies)
BREAK_GLASS = Principal(PRODUCTION["BreakGlassRoleArn"], ADMINISTRATOR.policies)
"""The role for emergencies, after it was given every right: what the stack's policies leave to it."""
STRANGER = Principal(f"arn:aws:iam::{STRANGERS_ACCOUNT}:role/administrator", ADMINISTRATOR.policies)
NOBODY = Principal()


def world_of(resources: Resources) -> World:
    """Return the policies of a stack in production, after `local.audit_policy` has set its statement."""
    roles: dict[str, list[dict[str, Any]]] = {}
    of_resource: dict[str, dict[str, Any]] = {}
    for name, properties in of_type(resources, "AWS::IAM::Role").items():
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", ())]
        managed = [one["Ref"] for one in properties.get("ManagedPolicyArns", ()) if isinstance(one, dict)]
        documents += [resources[one]["Properties"]["PolicyDocument"] for one in managed]
        attached = of_type(resources, "AWS::IAM::Policy").values()
        documents += [policy["PolicyDocument"] for policy in attached if {"Ref": name} in policy["Roles"]]
        roles[name] = concrete(resources, documents)
        of_resource[name] = concrete(resources, properties["AssumeRolePolicyDocument"])
    for kind, named in _POLICIES.items():
        for properties in of_type(resources, kind).values():
            for owner in many(properties[named]):
                assert owner["Ref"] not in of_resource
                of_resource[owner["Ref"]] = concrete(resources, properties["PolicyDocument"])
    for name, properties in of_type(resources, "AWS::KMS::Key").items():
        of_resource[name] = concrete(resources, properties["KeyPolicy"])
    for name, properties in of_type(resources, "AWS::DynamoDB::Table").items():
        if "ResourcePolicy" in properties:
            policy = concrete(resources, properties["ResourcePolicy"]["PolicyDocument"])
            of_resource[name] = audit_policy.protected(policy, arn(resources, name), PRODUCTION["BreakGlassRoleArn"])
    roles["BreakGlassRole"] = [BREAK_GLASS_RIGHTS]
    return World({**resources, "BreakGlassRole": {"Type": "AWS::IAM::Role"}}, roles, of_resource)


# --- weaker and stronger statements ---


def weakened(statement: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Yield the changes of a statement: what was done, and the new statement, None if it is removed."""
    yield "removed", None
    yield "with the opposite effect", {**statement, "Effect": "Deny" if statement["Effect"] == "Allow" else "Allow"}
    for element in ("Action", "Resource"):
        values = list(many(statement.get(element, ())))
        for value in values:
            if len(values) > 1:
                others = [one for one in values if one != value]
                yield f"without {element} {value}", {**statement, element: others}
            narrower = [*_without(values, value), f"{value}-only"]
            yield f"with a narrower {element} {value}", {**statement, element: narrower}
    if statement["Effect"] == "Allow":
        for service in sorted({action.partition(":")[0] for action in many(statement["Action"])}):
            yield f"with {service}:*", {**statement, "Action": f"{service}:*"}
        if "Resource" in statement and "Principal" not in statement:
            yield "for every resource", {**statement, "Resource": "*"}
    if "Principal" in statement:
        yield from _other_principals(statement)
    if "Condition" in statement:
        yield "without its condition", {name: value for name, value in statement.items() if name != "Condition"}
        yield from _other_conditions(statement)
    elif statement["Effect"] == "Deny":
        only = {"StringEquals": {"aws:PrincipalArn": ADMINISTRATOR.arn}}
        yield "if one role asks", {**statement, "Condition": only}
        yield "unless one role asks", {**statement, "Condition": {"StringNotEquals": only["StringEquals"]}}


def _without(values: Iterable[str], value: str) -> list[str]:
    return [one for one in values if one != value]


def _other_principals(statement: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if statement["Effect"] == "Allow":
        yield "for everyone", {**statement, "Principal": "*"}
        yield "for another service", {**statement, "Principal": {"Service": "ec2.amazonaws.com"}}
    else:
        yield "for other accounts only", {**statement, "Principal": {"AWS": root(STRANGERS_ACCOUNT)}}
        yield "for one role only", {**statement, "Principal": {"AWS": ADMINISTRATOR.arn}}


def _other_conditions(statement: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    condition: Mapping[str, Mapping[str, Any]] = statement["Condition"]
    for operator, block in condition.items():
        rest = {name: one for name, one in condition.items() if name != operator}
        if rest:
            yield f"without {operator}", {**statement, "Condition": rest}
        opposite = operator.replace("Not", "") if "Not" in operator else re.sub("(Equals|Like)$", r"Not\1", operator)
        if opposite != operator:
            yield f"with {opposite}", {**statement, "Condition": {**rest, opposite: block}}
        for key, values in block.items():
            yield f"{operator} with another key", {**statement, "Condition": {**rest, operator: {f"{key}x": values}}}
            for value in many(values):
                flipped = {"true": "false", "false": "true"}.get(value, "arn:aws:iam::1:role/another")
                changed = {**block, key: [*_without(many(values), value), flipped]}
                yield f"with another {key} than {value}", {**statement, "Condition": {**rest, operator: changed}}
                if len(list(many(values))) > 1:
                    fewer = {**block, key: _without(many(values), value)}
                    yield f"without {key} {value}", {**statement, "Condition": {**rest, operator: fewer}}
            if "Arn" in operator:
                wide = {**block, key: "arn:*:*:*:*:*"}
                yield f"with any {key}", {**statement, "Condition": {**rest, operator: wide}}
