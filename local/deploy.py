"""Expand the built template, and deploy it to MiniStack by change set, as the installer does on AWS.

SAM's transform (``aws-sam-translator``) runs here for both, so AWS gets the template that was tested here.
:func:`for_ministack` is the only difference. SAM puts an HTTP API's routes into an
OpenAPI ``Body``, which MiniStack ignores. :func:`routes_as_resources` therefore turns the body into the resources that
API Gateway would make from it, so the local routes are exactly the template's.
"""

from __future__ import annotations

import copy
import hashlib
import json
import platform
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from local import change_set, table_names
from local.change_set import DeployedStack
from local.ministack import REGION, MiniStack

STACK = "tuition"
BUCKET = "tuition-artifacts"
DELAY_S = 0.1
OTHER_DYNAMODB_S = 10
"""The limit for one call to a DynamoDB that is not the stack's own."""
BASIC_EXECUTION = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"

COMPOSITE_ALARM = "AWS::CloudWatch::CompositeAlarm"
SEND_EMAIL = "ses:SendEmail"
SEND_MESSAGE = "sqs:SendMessage"

Template = dict[str, Any]


class _ManagedPolicies:
    """The only managed policy that SAM adds, so that the transform need not list all of IAM's."""

    def load(self) -> dict[str, str]:
        """Return ARNs by policy name, as the transform expects."""
        return {"AWSLambdaBasicExecutionRole": BASIC_EXECUTION}


def expand(template: Template, parameters: Mapping[str, str]) -> Template:
    """Return the CloudFormation template that SAM's transform makes, with parameters for restored tables.

    Raises ValueError if a route's path ends in a slash.
    """
    import os

    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)  # the only variable that the transform reads
    from samtranslator.translator.transform import transform

    refuse_slash_paths(template)
    expanded = refuse_slash_paths(table_names.add(transform(template, dict(parameters), _ManagedPolicies())))
    defaults = {name: rule["Default"] for name, rule in expanded["Parameters"].items() if "Default" in rule}
    return versions_of_settings(expanded, defaults | dict(parameters))


NOT_OF_A_VERSION = {"ReservedConcurrentExecutions", "Tags"}
"""The properties of a function that its versions do not have."""


def versions_of_settings(expanded: Template, parameters: Mapping[str, Any]) -> Template:
    """Return the template with logical ids of function versions that change exactly with the code and the settings.

    SAM makes the id from the function's properties, in which a parameter is only a name. Without this, a release that
    changes nothing but a parameter would leave the alias on a version with the old value. The id must not change
    otherwise: Lambda publishes no second version of the same code and configuration, and the stack would fail. So a
    default that the template writes as a number counts as its text, which CloudFormation has; what no version has does
    not count; and the code is what its object key names, in whichever bucket. For the same reason a version goes with
    the failed release that published it, because the next attempt publishes the same again.
    https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-function.html
    https://github.com/aws/serverless-application-model/issues/3281
    """
    from samtranslator.intrinsics.resolver import IntrinsicsResolver

    conditions = expanded.get("Conditions", {})
    texts = {name: str(value) for name, value in parameters.items()}
    versions = {name: r for name, r in expanded["Resources"].items() if r["Type"] == "AWS::Lambda::Version"}
    retained = {name: resource | {"DeletionPolicy": "RetainExceptOnCreate"} for name, resource in versions.items()}
    text = json.dumps({**expanded, "Resources": {**expanded["Resources"], **retained}})
    for version_id, resource in versions.items():
        function = expanded["Resources"][resource["Properties"]["FunctionName"]["Ref"]]["Properties"]
        properties = {name: value for name, value in function.items() if name not in NOT_OF_A_VERSION}
        properties["Code"] = function["Code"]["S3Key"]
        branches = {name: is_true({"Condition": name}, conditions, texts) for name in _conditions_in(properties)}
        values = IntrinsicsResolver(texts).resolve_parameter_refs(copy.deepcopy(properties))
        digest = hashlib.sha256(json.dumps([values, branches], sort_keys=True, default=str).encode())
        text = text.replace(f'"{version_id}"', f'"{version_id[:-10]}{digest.hexdigest()[:10]}"')
    result: Template = json.loads(text)
    return result


def _conditions_in(value: Any) -> set[str]:
    """Return the names of the conditions on which a value depends."""
    if isinstance(value, list):
        return set().union(*map(_conditions_in, value))
    if not isinstance(value, dict):
        return set()
    named = {value["Fn::If"][0]} if "Fn::If" in value else set()
    return named.union(*map(_conditions_in, value.values()))


def is_true(rule: Any, conditions: Template, parameters: Mapping[str, Any]) -> bool:
    """Evaluate a condition. Raises ValueError for a function that this template does not use."""
    ((name, operands),) = rule.items()
    match name:
        case "Condition":
            return is_true(conditions[operands], conditions, parameters)
        case "Fn::Equals":
            first, second = (str(parameters[o["Ref"]] if isinstance(o, dict) else o) for o in operands)
            return first == second
        case "Fn::Contains":
            return str(parameters[operands[1]["Ref"]]) in operands[0]
        case "Fn::Not":
            return not is_true(operands[0], conditions, parameters)
        case "Fn::And":
            return all(is_true(operand, conditions, parameters) for operand in operands)
        case "Fn::Or":
            return any(is_true(operand, conditions, parameters) for operand in operands)
    raise ValueError(f"cannot evaluate the condition {name}")


def read_template(path: Path) -> Template:
    """Read a SAM template as a dictionary, with CloudFormation's short forms (``!Ref``) expanded."""
    return copy.deepcopy(_parse(path.read_text(encoding="utf-8")))


@cache
def _parse(text: str) -> Template:
    """Parse a template with SAM's reading of the short forms.

    SAM's own parser is written in Python and takes 0.7 s for our template. The one of libyaml takes a tenth of that.
    """
    import yaml
    from samtranslator.yaml_helper import intrinsics_multi_constructor

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # without libyaml the slow one
        """A loader of the short forms."""

    Loader.add_multi_constructor("!", intrinsics_multi_constructor)
    template: Template = yaml.load(text, Loader)  # noqa: S506  # a safe loader
    return template


def slash_paths(template: Any, *, below: str = "") -> list[str]:
    """Return the paths of routes that end in a slash, anywhere in a template, raw or expanded.

    An HTTP API has no such route: its import drops the route with a warning, and a warning fails the stack. Neither
    MiniStack nor a linter refuses it. https://github.com/aws/serverless-application-model/issues/1949
    """
    paths: list[str] = []
    if isinstance(template, list):
        for item in template:
            paths += slash_paths(item, below=below)
    if not isinstance(template, dict):
        return paths
    for key, value in template.items():
        names: list[Any] = []
        if below in ("paths", "RouteSettings"):
            names.append(key)
        if key in ("Path", "RouteKey"):
            names.append(value)
        paths += [name for name in names if isinstance(name, str) and _ends_in_slash(name)]
        paths += slash_paths(value, below=key)
    return paths


def _ends_in_slash(route: str) -> bool:
    """Return whether a path, or a route key such as ``GET /x/``, ends in a slash. The root path may."""
    path = route.rpartition(" ")[2]
    return path.endswith("/") and path != "/"


def refuse_slash_paths(template: Template) -> Template:
    """Return the template. Raises ValueError if a route's path ends in a slash."""
    if paths := slash_paths(template):
        raise ValueError(f"an HTTP API has no route that ends in a slash. Remove the slash from {', '.join(paths)}")
    return template


def for_ministack(expanded: Template) -> Template:
    """Return the template without what MiniStack refuses: the only difference between its deployments and AWS's."""
    return without_unsupported(routes_as_resources(expanded))


def routes_as_resources(expanded: Template) -> Template:
    """Return the template with each HTTP API's ``Body`` turned into authorizers, integrations, and routes."""
    resources: dict[str, Any] = {}
    for api_id, resource in expanded["Resources"].items():
        if resource["Type"] != "AWS::ApiGatewayV2::Api":
            resources[api_id] = resource
            continue
        body = resource["Properties"]["Body"]
        properties = {"Name": api_id, "ProtocolType": "HTTP"}
        if cors := body.get("x-amazon-apigateway-cors"):
            properties["CorsConfiguration"] = cors
        resources[api_id] = {"Type": resource["Type"], "Properties": properties}
        resources |= _authorizers(api_id, body)
        for path, methods in body["paths"].items():
            for method, operation in methods.items():
                resources |= _route(api_id, path, method, operation, body)
    return {**expanded, "Resources": resources}


def _authorizers(api_id: str, body: Template) -> Template:
    """Return a JWT authorizer for each security scheme."""
    resources = {}
    for name, scheme in body.get("components", {}).get("securitySchemes", {}).items():
        settings = scheme["x-amazon-apigateway-authorizer"]
        resources[f"{api_id}Authorizer{name}"] = {
            "Type": "AWS::ApiGatewayV2::Authorizer",
            "Properties": {
                "ApiId": {"Ref": api_id},
                "Name": name,
                "AuthorizerType": "JWT",
                "IdentitySource": [settings["identitySource"]],
                "JwtConfiguration": {
                    "Audience": settings["jwtConfiguration"]["audience"],
                    "Issuer": settings["jwtConfiguration"]["issuer"],
                },
            },
        }
    return resources


def integration_of(operation: Template, body: Template) -> Template:
    """Return an operation's integration, which is in the operation or among the components of the body.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-extensions-integrations.html
    """
    integration: Template = operation["x-amazon-apigateway-integration"]
    if "$ref" in integration:
        name = integration["$ref"].removeprefix("#/components/x-amazon-apigateway-integrations/")
        integration = body["components"]["x-amazon-apigateway-integrations"][name]
    return integration


def _route(api_id: str, path: str, method: str, operation: Template, body: Template) -> Template:
    """Return the route of one operation, and the integration that it calls."""
    integration = integration_of(operation, body)
    if integration["type"] != "aws_proxy":
        raise ValueError(
            f"{method} {path}: the local stack supports Lambda integrations only, not {integration['type']}"
        )
    uri = integration["uri"]
    integration_id = f"{api_id}Integration{hashlib.sha256(json.dumps(uri).encode()).hexdigest()[:8]}"
    route_key = path if path == "$default" else f"{'ANY' if method.startswith('x-') else method.upper()} {path}"
    route: Template = {
        "ApiId": {"Ref": api_id},
        "RouteKey": route_key,
        "Target": {"Fn::Sub": f"integrations/${{{integration_id}}}"},
        "AuthorizationType": "NONE",
    }
    schemes = [name for rule in operation.get("security", []) for name in rule if name != "NONE"]
    if schemes:
        route |= {"AuthorizationType": "JWT", "AuthorizerId": {"Ref": f"{api_id}Authorizer{schemes[0]}"}}
    return {
        integration_id: {
            "Type": "AWS::ApiGatewayV2::Integration",
            "Properties": {
                "ApiId": {"Ref": api_id},
                "IntegrationType": "AWS_PROXY",
                "IntegrationUri": uri,
                "PayloadFormatVersion": integration["payloadFormatVersion"],
            },
        },
        f"{api_id}Route{hashlib.sha256(route_key.encode()).hexdigest()[:8]}": {
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": route,
        },
    }


def without_unsupported(expanded: Template) -> Template:
    """Return the template without the resources that MiniStack cannot handle.

    MiniStack rejects a stack that has CodeDeploy resources, update policies or metric-math alarms, so an alias moves to
    its new version at once. It rejects composite alarms too, which :func:`put_composite_alarms` makes. It enforces
    bucket policies that require TLS, which the local stack does not have. The local sign-in has no second factor, so
    the pool does not call the function that asks for one. MiniStack ignores partial batch responses of a stream, so
    :mod:`local.stream` reads the stream instead of a mapping. A queue's mapping has no ``MaximumConcurrency``, because
    MiniStack would compare the text of its parameter with a number. Five workers run then, the template's default.
    MiniStack asks for ``ses:SendEmail`` on every resource, and for ``sqs:SendMessageBatch``, which AWS does not have,
    so roles get these.
    """
    resources = {}
    for name, resource in expanded["Resources"].items():
        metric_math = resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]
        tls_only = resource["Type"] == "AWS::S3::BucketPolicy" and "aws:SecureTransport" in json.dumps(resource)
        mapping = resource["Type"] == "AWS::Lambda::EventSourceMapping"
        stream = mapping and "StartingPosition" in resource["Properties"]  # a mapping of a queue has none
        if resource["Type"] == COMPOSITE_ALARM or metric_math or tls_only or stream:
            continue
        if resource["Type"].startswith("AWS::CodeDeploy::"):
            continue
        resources[name] = {key: value for key, value in resource.items() if key != "UpdatePolicy"}
        if resource["Type"] == "AWS::Cognito::UserPool":
            properties = {key: value for key, value in resource["Properties"].items() if key != "LambdaConfig"}
            resources[name] |= {"Properties": properties}
        if mapping:
            properties = {key: value for key, value in resource["Properties"].items() if key != "ScalingConfig"}
            resources[name] |= {"Properties": properties}
        if resource["Type"] == "AWS::IAM::Role":
            resources[name] = _as_ministack_decides(resources[name])
    return {**expanded, "Resources": resources}


def _as_ministack_decides(role: Template) -> Template:
    """Return a role that may send emails as any identity, and batches of messages, if it may send them at all."""
    role = copy.deepcopy(role)
    for policy in role["Properties"].get("Policies", []):
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Action"] == SEND_EMAIL:
                statement["Resource"] = "*"
            if statement["Action"] == SEND_MESSAGE:
                statement["Action"] = [SEND_MESSAGE, f"{SEND_MESSAGE}Batch"]
    return role


def deploy(
    aws: MiniStack, build: Path, parameters: Mapping[str, str], function_environment: Mapping[str, str]
) -> DeployedStack:
    """Create or update the stack from the output of :mod:`local.build`, and wait until it is deployed.

    ``function_environment`` is added to each function's environment variables. The stack is never deleted: MiniStack
    would recreate its retained tables empty.
    """
    template = read_template(build / "template.yaml")
    template["Globals"]["Function"]["Environment"]["Variables"] |= function_environment
    contents = change_set.point_at_bucket(template, build, BUCKET)
    complete = expand(template, parameters)
    expanded = for_ministack(complete)
    s3, cloudformation = aws.client("s3"), aws.client("cloudformation")
    if BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=BUCKET)
    object_key, content = change_set.template_key(expanded)
    change_set.upload(s3, BUCKET, contents | {object_key: content})
    url = f"{aws.url}/{BUCKET}/{object_key}"
    try:
        changes = change_set.create(cloudformation, STACK, url, parameters, delay_s=DELAY_S)
        if changes is not None:
            change_set.execute(cloudformation, changes, delay_s=DELAY_S)
    except change_set.DeployFailed as error:
        raise RuntimeError(f"the local deploy failed:\n{error}") from error
    deployed = change_set.describe(cloudformation, STACK)
    put_composite_alarms(aws.client("cloudwatch"), complete, deployed)
    lock_objects(aws, deployed, expanded)
    return deployed


def put_composite_alarms(cloudwatch: Any, expanded: Template, deployed: DeployedStack) -> None:
    """Make the composite alarms by API, without their actions, which need a topic.

    Raises KeyError if a rule names an alarm that is not deployed.
    """
    for name, resource in expanded["Resources"].items():
        if resource["Type"] == COMPOSITE_ALARM:
            rule = resource["Properties"]["AlarmRule"]["Fn::Sub"]
            cloudwatch.put_composite_alarm(
                AlarmName=f"{STACK}-{name}",
                AlarmRule=re.sub(r"\$\{(\w+)\}", lambda match: deployed.resources[match[1]], rule),
                AlarmDescription=resource["Properties"]["AlarmDescription"],
            )


def lock_objects(aws: MiniStack, deployed: DeployedStack, expanded: Template) -> None:
    """Set the Object Lock of the buckets that have one. MiniStack does not read it from a template."""
    for name, resource in expanded["Resources"].items():
        lock = resource.get("Properties", {}).get("ObjectLockConfiguration")
        if resource["Type"] == "AWS::S3::Bucket" and lock:
            s3, bucket = aws.client("s3"), deployed.resources[name]
            s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=outside_production(lock))


def outside_production(value: Any) -> Any:
    """Return a value with the second branch of each choice by ``IsProduction``: the local stack never is."""
    if not isinstance(value, dict):
        return value
    if value.get("Fn::If", [""])[0] == "IsProduction":
        return value["Fn::If"][2]
    return {name: outside_production(part) for name, part in value.items()}


def put_secret(aws: MiniStack, arn: str, value: Mapping[str, Any]) -> None:
    """Set the value of a secret, which the template creates empty. On AWS the set-up does this."""
    aws.client("secretsmanager").put_secret_value(SecretId=arn, SecretString=json.dumps(value))


def other_dynamodb(endpoint_url: str) -> Any:
    """Return a boto3 client of another DynamoDB (DynamoDB Local), which answers within seconds or not at all."""
    import boto3
    from botocore.config import Config

    limits = Config(connect_timeout=OTHER_DYNAMODB_S, read_timeout=OTHER_DYNAMODB_S, retries={"total_max_attempts": 2})
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106
        config=limits,
    )


def copy_tables(aws: MiniStack, deployed: DeployedStack, target: Any) -> None:
    """Create the deployed tables in another DynamoDB too, given its client, with the same names and indexes."""
    source = aws.client("dynamodb")
    existing = set(target.list_tables()["TableNames"])
    for name in deployed.tables().values():
        if name in existing:
            continue
        table = source.describe_table(TableName=name)["Table"]
        request: dict[str, Any] = {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": table["KeySchema"],
            "AttributeDefinitions": table["AttributeDefinitions"],
        }
        if indexes := table.get("GlobalSecondaryIndexes"):
            request["GlobalSecondaryIndexes"] = [
                {key: index[key] for key in ("IndexName", "KeySchema", "Projection")} for index in indexes
            ]
        if table.get("StreamSpecification", {}).get("StreamEnabled"):
            request["StreamSpecification"] = table["StreamSpecification"]
        target.create_table(**request)


def architecture() -> str:
    """Return Lambda's name for this machine's processor architecture."""
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
