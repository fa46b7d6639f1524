"""Deploy the built template to MiniStack with CloudFormation, as on AWS.

The template goes through the same transform as on AWS (``aws-sam-translator``). SAM puts an HTTP API's routes into an
OpenAPI ``Body``, which MiniStack ignores. :func:`routes_as_resources` therefore turns the body into the resources that
API Gateway would make from it, so the local routes are exactly the template's.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.ministack import REGION, MiniStack

STACK = "tuition"
BUCKET = "tuition-artifacts"
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
BASIC_EXECUTION = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"

Template = dict[str, Any]


@dataclass(frozen=True)
class DeployedStack:
    """The physical ids of a deployed stack's resources by logical id, and its outputs."""

    resources: Mapping[str, str]
    outputs: Mapping[str, str]

    @property
    def api_path(self) -> str:
        """The path prefix under which MiniStack serves the API."""
        return f"/_aws/execute-api/{self.resources['HttpApi']}/$default"

    def tables(self) -> dict[str, str]:
        """Table names by logical id."""
        return {name: value for name, value in self.resources.items() if name.endswith("Table")}


class _ManagedPolicies:
    """The only managed policy that SAM adds, so that the transform need not list all of IAM's."""

    def load(self) -> dict[str, str]:
        """Return ARNs by policy name, as the transform expects."""
        return {"AWSLambdaBasicExecutionRole": BASIC_EXECUTION}


def expand(template: Template, parameters: Mapping[str, str]) -> Template:
    """Return the CloudFormation template that SAM's transform makes from a SAM template."""
    import os

    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)  # the only variable that the transform reads
    from samtranslator.translator.transform import transform

    expanded: Template = transform(template, dict(parameters), _ManagedPolicies())
    return expanded


def read_template(path: Path) -> Template:
    """Read a SAM template as a dictionary, with CloudFormation's short forms (``!Ref``) expanded."""
    from samtranslator.yaml_helper import yaml_parse

    template: Template = yaml_parse(path.read_text())
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

    MiniStack rejects a stack that has CodeDeploy resources or metric-math alarms. It enforces bucket policies that
    require TLS, which the local stack does not have. The local sign-in has no second factor, so the pool does not call
    the function that asks for one. MiniStack ignores partial batch responses of a stream, so
    :mod:`local.stream` reads the stream instead of a mapping.
    """
    resources = {}
    for name, resource in expanded["Resources"].items():
        metric_math = resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]
        tls_only = resource["Type"] == "AWS::S3::BucketPolicy" and "aws:SecureTransport" in json.dumps(resource)
        stream = resource["Type"] == "AWS::Lambda::EventSourceMapping"
        if metric_math or tls_only or stream or resource["Type"].startswith("AWS::CodeDeploy::"):
            continue
        resources[name] = {key: value for key, value in resource.items() if key != "UpdatePolicy"}
        if resource["Type"] == "AWS::Cognito::UserPool":
            properties = {key: value for key, value in resource["Properties"].items() if key != "LambdaConfig"}
            resources[name] |= {"Properties": properties}
    return {**expanded, "Resources": resources}


def archive(folder: Path) -> bytes:
    """Zip a folder as SAM does, with the date 1980 on every file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                info = zipfile.ZipInfo(str(file.relative_to(folder)), ZIP_DATE)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                target.writestr(info, file.read_bytes(), compresslevel=1)
    return buffer.getvalue()


def _artifacts(template: Template, build: Path) -> dict[str, bytes]:
    """Point each function and layer at an object in the bucket. Return the objects' contents by object key."""
    contents: dict[str, bytes] = {}
    object_keys: dict[str, str] = {}
    for resource in template["Resources"].values():
        field = {
            "AWS::Serverless::Function": "CodeUri",
            "AWS::Serverless::LayerVersion": "ContentUri",
        }.get(resource["Type"])
        if field is None:
            continue
        folder = resource["Properties"][field]
        if folder not in object_keys:
            content = archive(build / folder)
            object_keys[folder] = f"{hashlib.sha256(content).hexdigest()}.zip"
            contents[object_keys[folder]] = content
        resource["Properties"][field] = {"Bucket": BUCKET, "Key": object_keys[folder]}
    return contents


def deploy(
    aws: MiniStack, build: Path, parameters: Mapping[str, str], function_environment: Mapping[str, str]
) -> DeployedStack:
    """Create or update the stack from the output of ``sam build``, and wait until it is deployed.

    ``function_environment`` is added to each function's environment variables.
    """
    template = refuse_slash_paths(read_template(build / "template.yaml"))
    contents = _artifacts(template, build)
    expanded = refuse_slash_paths(expand(template, parameters))
    expanded = without_unsupported(routes_as_resources(expanded))
    for resource in expanded["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            resource["Properties"]["Environment"]["Variables"] |= function_environment
    _upload(aws, contents | {"template.json": json.dumps(expanded).encode()})
    _apply(aws, parameters)
    return _describe(aws)


def _upload(aws: MiniStack, contents: Mapping[str, bytes]) -> None:
    """Upload the objects. An archive's object key is the hash of its content, so an existing archive is skipped."""
    s3 = aws.client("s3")
    if BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=BUCKET)
    existing = {item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])}
    for object_key, content in contents.items():
        if object_key not in existing or not object_key.endswith(".zip"):
            s3.put_object(Bucket=BUCKET, Key=object_key, Body=content)


def _apply(aws: MiniStack, parameters: Mapping[str, str]) -> None:
    """Create the stack, or update it. It is never deleted: MiniStack would recreate its retained tables empty."""
    from botocore.exceptions import ClientError

    cloudformation = aws.client("cloudformation")
    stacks = {stack["StackName"]: stack["StackStatus"] for stack in cloudformation.describe_stacks()["Stacks"]}
    request = {
        "StackName": STACK,
        "TemplateURL": f"{aws.url}/{BUCKET}/template.json",
        "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
        "Capabilities": ["CAPABILITY_IAM"],
    }
    if STACK not in stacks:
        cloudformation.create_stack(**request)
        waiter = cloudformation.get_waiter("stack_create_complete")
    else:
        try:
            cloudformation.update_stack(**request)
        except ClientError as error:
            if "No updates" not in str(error):
                raise
            return
        waiter = cloudformation.get_waiter("stack_update_complete")
    try:
        waiter.wait(StackName=STACK, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600})
    except Exception as error:
        raise RuntimeError(f"the local deploy failed:\n{_reasons(cloudformation)}") from error


def _reasons(cloudformation: Any) -> str:
    """Return why resources of the stack failed, oldest failure first."""
    events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    failed = [event for event in reversed(events) if event["ResourceStatus"].endswith("FAILED")]
    return "\n".join(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}" for event in failed)


def _describe(aws: MiniStack) -> DeployedStack:
    """Return the physical ids and outputs of the deployed stack."""
    cloudformation = aws.client("cloudformation")
    resources: dict[str, str] = {}
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=STACK):
        for summary in page["StackResourceSummaries"]:
            resources[summary["LogicalResourceId"]] = summary["PhysicalResourceId"]
    stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    outputs = {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
    return DeployedStack(resources, outputs)


def put_secret(aws: MiniStack, arn: str, value: Mapping[str, Any]) -> None:
    """Set the value of a secret, which the template creates empty. On AWS the set-up does this."""
    aws.client("secretsmanager").put_secret_value(SecretId=arn, SecretString=json.dumps(value))


def copy_tables(aws: MiniStack, deployed: DeployedStack, endpoint_url: str) -> None:
    """Create the deployed tables on another DynamoDB (DynamoDB Local) too, with the same names and indexes."""
    import boto3

    source = aws.client("dynamodb")
    target = boto3.client(
        "dynamodb",
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106
    )
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
