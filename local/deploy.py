"""Deploy the built template to MiniStack, by CloudFormation, as it would be deployed to AWS.

The template goes through the same transform as on AWS (``aws-sam-translator``). MiniStack drops the OpenAPI
``Body`` in which SAM puts an HTTP API's routes, so :func:`routes_as_resources` turns that into the resources
that API Gateway would have made of it; nothing is routed by hand.
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
class Deployed:
    """What a deployed stack consists of, by logical id."""

    resources: Mapping[str, str]
    outputs: Mapping[str, str]

    @property
    def api_path(self) -> str:
        """Where MiniStack answers for the API, without the route's own path."""
        return f"/_aws/execute-api/{self.resources['HttpApi']}/$default"

    def tables(self) -> dict[str, str]:
        """Table names by logical id."""
        return {name: value for name, value in self.resources.items() if name.endswith("Table")}


class _ManagedPolicies:
    """The one managed policy that SAM adds by itself; asking IAM for the list of all is not needed."""

    def load(self) -> dict[str, str]:
        """Names to ARNs, in the shape that the transform asks for."""
        return {"AWSLambdaBasicExecutionRole": BASIC_EXECUTION}


def expand(template: Template, parameters: Mapping[str, str]) -> Template:
    """The CloudFormation template that SAM's transform makes of a SAM template."""
    import os

    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)  # the transform looks it up and nothing else
    from samtranslator.translator.transform import transform

    expanded: Template = transform(template, dict(parameters), _ManagedPolicies())
    return expanded


def read_template(path: Path) -> Template:
    """A SAM template as a dictionary, with CloudFormation's short forms written out."""
    from samtranslator.yaml_helper import yaml_parse

    template: Template = yaml_parse(path.read_text())
    return template


def routes_as_resources(expanded: Template) -> Template:
    """The same template with each HTTP API's ``Body`` as authorizers, integrations and routes."""
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
                resources |= _route(api_id, path, method, operation)
    return {**expanded, "Resources": resources}


def _authorizers(api_id: str, body: Template) -> Template:
    """One JWT authorizer for each security scheme."""
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


def _route(api_id: str, path: str, method: str, operation: Template) -> Template:
    """The route of one operation with the integration that it calls."""
    integration = operation["x-amazon-apigateway-integration"]
    if integration["type"] != "aws_proxy":
        raise ValueError(f"{method} {path}: only Lambda integrations are known here, not {integration['type']}")
    uri = integration["uri"]
    integration_id = f"{api_id}Integration{hashlib.sha256(json.dumps(uri).encode()).hexdigest()[:8]}"
    key = path if path == "$default" else f"{'ANY' if method.startswith('x-') else method.upper()} {path}"
    route: Template = {
        "ApiId": {"Ref": api_id},
        "RouteKey": key,
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
        f"{api_id}Route{hashlib.sha256(key.encode()).hexdigest()[:8]}": {
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": route,
        },
    }


def without_what_fails(expanded: Template) -> Template:
    """The template without what makes MiniStack refuse a whole stack: CodeDeploy and metric-math alarms.

    And without bucket policies that refuse whoever comes without TLS: MiniStack keeps them, and has no TLS here.
    """
    resources = {}
    for name, resource in expanded["Resources"].items():
        metric_math = resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]
        tls_only = resource["Type"] == "AWS::S3::BucketPolicy" and "aws:SecureTransport" in json.dumps(resource)
        if metric_math or tls_only or resource["Type"].startswith("AWS::CodeDeploy::"):
            continue
        resources[name] = {key: value for key, value in resource.items() if key != "UpdatePolicy"}
    return {**expanded, "Resources": resources}


def archive(folder: Path) -> bytes:
    """A folder as SAM would zip it: every file with the date 1980."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                entry = zipfile.ZipInfo(str(file.relative_to(folder)), ZIP_DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                target.writestr(entry, file.read_bytes(), compresslevel=1)
    return buffer.getvalue()


def _artifacts(template: Template, build: Path) -> dict[str, bytes]:
    """Point each function and layer at a key in the bucket; the contents by key."""
    contents: dict[str, bytes] = {}
    zipped: dict[str, str] = {}
    for resource in template["Resources"].values():
        field = {
            "AWS::Serverless::Function": "CodeUri",
            "AWS::Serverless::LayerVersion": "ContentUri",
        }.get(resource["Type"])
        if field is None:
            continue
        folder = resource["Properties"][field]
        if folder not in zipped:
            content = archive(build / folder)
            zipped[folder] = f"{hashlib.sha256(content).hexdigest()}.zip"
            contents[zipped[folder]] = content
        resource["Properties"][field] = {"Bucket": BUCKET, "Key": zipped[folder]}
    return contents


def deploy(
    aws: MiniStack, build: Path, parameters: Mapping[str, str], function_environment: Mapping[str, str]
) -> Deployed:
    """Deploy what ``sam build`` left in ``build``, or update what is there; return when it is done.

    ``function_environment`` is added to each function's own.
    """
    template = read_template(build / "template.yaml")
    contents = _artifacts(template, build)
    expanded = without_what_fails(routes_as_resources(expand(template, parameters)))
    for resource in expanded["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            resource["Properties"]["Environment"]["Variables"] |= function_environment
    _upload(aws, contents | {"template.json": json.dumps(expanded).encode()})
    _apply(aws, parameters)
    return _describe(aws)


def _upload(aws: MiniStack, contents: Mapping[str, bytes]) -> None:
    """Put what is not there yet; keys of archives are hashes of their contents."""
    s3 = aws.client("s3")
    if BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=BUCKET)
    there = {item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])}
    for key, content in contents.items():
        if key not in there or not key.endswith(".zip"):
            s3.put_object(Bucket=BUCKET, Key=key, Body=content)


def _apply(aws: MiniStack, parameters: Mapping[str, str]) -> None:
    """Create the stack, or update it: a stack with data is never deleted, retained tables would come back empty."""
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
    """Why resources of the stack failed, first cause first."""
    events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    failed = [event for event in reversed(events) if event["ResourceStatus"].endswith("FAILED")]
    return "\n".join(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}" for event in failed)


def _describe(aws: MiniStack) -> Deployed:
    """The physical ids and outputs of the deployed stack."""
    cloudformation = aws.client("cloudformation")
    resources: dict[str, str] = {}
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=STACK):
        for summary in page["StackResourceSummaries"]:
            resources[summary["LogicalResourceId"]] = summary["PhysicalResourceId"]
    stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    outputs = {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
    return Deployed(resources, outputs)


def put_secret(aws: MiniStack, arn: str, value: Mapping[str, Any]) -> None:
    """Give a secret its value, as set-up does on AWS: the template makes secrets empty."""
    aws.client("secretsmanager").put_secret_value(SecretId=arn, SecretString=json.dumps(value))


def tables_elsewhere(aws: MiniStack, deployed: Deployed, endpoint_url: str) -> None:
    """Make the deployed tables on another DynamoDB (DynamoDB Local) too, with the same names and indexes."""
    import boto3

    ours = aws.client("dynamodb")
    theirs = boto3.client(
        "dynamodb",
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106
    )
    there = set(theirs.list_tables()["TableNames"])
    for name in deployed.tables().values():
        if name in there:
            continue
        table = ours.describe_table(TableName=name)["Table"]
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
        theirs.create_table(**request)


def architecture() -> str:
    """This machine's processor in Lambda's words."""
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
