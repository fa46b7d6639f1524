"""Deploy an expanded template by change set: the one path, for the local stack and for AWS.

The artifact's archives go to a bucket under the hash of their content. A change set is created, shown by its caller,
executed, and awaited. Nothing is created when nothing has changed.
Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-changesets.html
"""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

ALIAS = "live"
"""The alias that a release shifts to its new version. The gateway, the schedules and the tools invoke it."""
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
WAIT_SECONDS = 3600
"""The longest wait for one deployment. A distribution of CloudFront takes up to half an hour."""
PAGES = 50
"""The most pages of one list of CloudFormation's, of 100 entries each. A stack has at most 500 resources."""
NEVER_CREATED = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"})
"""The states of a stack whose creation failed, or whose deletion did. It can only be deleted."""
READY = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"})

Template = dict[str, Any]


class DeployFailed(Exception):
    """CloudFormation refused or rolled back a deployment. The message has its reasons."""


class NeedsDeletion(DeployFailed):
    """The stack's creation failed earlier, so that it must be deleted before another attempt."""


@dataclass(frozen=True)
class DeployedStack:
    """The physical ids of a deployed stack's resources by logical id, its outputs, and its parameters."""

    resources: Mapping[str, str]
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]

    @property
    def api_path(self) -> str:
        """The path prefix under which MiniStack serves the API."""
        return f"/_aws/execute-api/{self.resources['HttpApi']}/$default"

    def tables(self) -> dict[str, str]:
        """Table names by logical id."""
        return {name: value for name, value in self.resources.items() if name.endswith("Table")}


@dataclass(frozen=True)
class Change:
    """One resource that a change set adds, changes, replaces or removes."""

    action: str
    logical_id: str
    type: str
    replacement: str

    def __str__(self) -> str:
        note = {"True": ", replaced", "Conditional": ", may be replaced"}.get(self.replacement, "")
        return f"{self.action.lower()} {self.logical_id} ({self.type}{note})"


@dataclass(frozen=True)
class ChangeSet:
    """A change set that can be executed."""

    stack: str
    name: str
    changes: Sequence[Change]


def archive(folder: Path) -> bytes:
    """Zip a folder with the date 1980 on every file, so that the same files give the same archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                info = zipfile.ZipInfo(file.relative_to(folder).as_posix(), ZIP_DATE)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                target.writestr(info, file.read_bytes(), compresslevel=1)
    return buffer.getvalue()


def built_archive(folder: Path) -> bytes:
    """Return the archive that the build made of a folder; without one, the archive that it would make."""
    file = folder.with_name(f"{folder.name}.zip")
    return file.read_bytes() if file.exists() else archive(folder)


def point_at_bucket(template: Template, build: Path, bucket: str) -> dict[str, bytes]:
    """Point each function and layer of a SAM template at an archive in the bucket. Return the archives by key."""
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
            content = built_archive(build / folder)
            object_keys[folder] = f"{hashlib.sha256(content).hexdigest()}.zip"
            contents[object_keys[folder]] = content
        resource["Properties"][field] = {"Bucket": bucket, "Key": object_keys[folder]}
    return contents


def upload(s3: Any, bucket: str, contents: Mapping[str, bytes]) -> None:
    """Upload the objects that are missing. An object key is the hash of its content."""
    for object_key, content in contents.items():
        try:
            s3.head_object(Bucket=bucket, Key=object_key)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("404", "NoSuchKey", "NotFound"):
                raise
            s3.put_object(Bucket=bucket, Key=object_key, Body=content)


def template_key(expanded: Template) -> tuple[str, bytes]:
    """Return the object key and the content under which an expanded template is uploaded."""
    content = json.dumps(expanded, sort_keys=True).encode()
    return f"{hashlib.sha256(content).hexdigest()}.json", content


def status(cloudformation: Any, stack: str) -> str | None:
    """Return the status of a stack, or None if there is none."""
    described = describe_stack(cloudformation, stack)
    return None if described is None else str(described["StackStatus"])


def describe_stack(cloudformation: Any, stack: str) -> Mapping[str, Any] | None:
    """Return CloudFormation's description of a stack, or None if there is none."""
    try:
        stacks = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError" and "does not exist" in str(error):
            return None
        raise
    return stacks[0] if stacks and stacks[0]["StackStatus"] != "DELETE_COMPLETE" else None


def create(
    cloudformation: Any,
    stack: str,
    template_url: str,
    parameters: Mapping[str, str],
    *,
    tags: Mapping[str, str] | None = None,
    delay_s: float = 5,
) -> ChangeSet | None:
    """Create a change set; None if nothing would change. Waits for a deployment that is under way.

    Raises:
        NeedsDeletion: The stack's creation failed earlier.
        DeployFailed: CloudFormation refuses the template or its parameters, or cannot update the stack.
    """
    current = wait(cloudformation, stack, delay_s=delay_s)
    if current in NEVER_CREATED:
        raise NeedsDeletion(f"the stack {stack} is {current}:\n{reasons(cloudformation, stack)}")
    is_new = current in (None, "REVIEW_IN_PROGRESS")
    if not is_new and current not in READY:
        raise DeployFailed(
            f"the stack {stack} is {current}. Repair it in CloudFormation's console (for UPDATE_ROLLBACK_FAILED: "
            f"'Continue update rollback'), then run this again.\n{reasons(cloudformation, stack)}"
        )
    digest = hashlib.sha256(json.dumps([template_url, *sorted(parameters.items())]).encode()).hexdigest()[:16]
    name = f"tuition-{digest}"
    if not is_new or current:
        _delete(cloudformation, stack, name)  # of an attempt that stopped before its execution
    try:
        cloudformation.create_change_set(
            StackName=stack,
            ChangeSetName=name,
            ChangeSetType="CREATE" if is_new else "UPDATE",
            TemplateURL=template_url,
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
            Tags=[{"Key": key, "Value": value} for key, value in (tags or {}).items()],
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        raise DeployFailed(f"CloudFormation refuses the template: {error.response['Error']['Message']}") from error
    return _await_change_set(cloudformation, stack, name, delay_s)


def _await_change_set(cloudformation: Any, stack: str, name: str, delay_s: float) -> ChangeSet | None:
    """Wait until a change set can be executed, and return it; None if it has no changes."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        described = cloudformation.describe_change_set(StackName=stack, ChangeSetName=name)
        if described["Status"] == "FAILED":
            reason = described.get("StatusReason", "")
            _delete(cloudformation, stack, name)
            if "didn't contain changes" in reason or "No updates" in reason:
                return None
            raise DeployFailed(f"CloudFormation refuses the change set: {reason}")
        if described["Status"] == "CREATE_COMPLETE":
            return ChangeSet(stack, name, _changes(cloudformation, stack, name, described))
        time.sleep(delay_s)
    raise DeployFailed(f"the change set {name} was not ready after {WAIT_SECONDS} s")


def _changes(cloudformation: Any, stack: str, name: str, described: Mapping[str, Any]) -> list[Change]:
    """Return all changes of a change set whose first page is ``described``."""
    changes = list(described.get("Changes", []))
    for _ in range(PAGES):
        if not (token := described.get("NextToken")):
            break
        described = cloudformation.describe_change_set(StackName=stack, ChangeSetName=name, NextToken=token)
        changes += described.get("Changes", [])
    resources = [change["ResourceChange"] for change in changes if "ResourceChange" in change]
    return [
        Change(r["Action"], r["LogicalResourceId"], r.get("ResourceType", ""), r.get("Replacement", ""))
        for r in resources
    ]


def _delete(cloudformation: Any, stack: str, name: str) -> None:
    """Delete a change set, if there is one."""
    try:
        cloudformation.delete_change_set(StackName=stack, ChangeSetName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("ChangeSetNotFound", "ChangeSetNotFoundException"):
            raise


def execute(cloudformation: Any, change_set: ChangeSet, *, delay_s: float = 5) -> None:
    """Execute a change set and wait. Raises `DeployFailed` with the reasons if the stack does not become ready."""
    cloudformation.execute_change_set(StackName=change_set.stack, ChangeSetName=change_set.name)
    result = wait(cloudformation, change_set.stack, delay_s=delay_s)
    if result not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise DeployFailed(f"the stack {change_set.stack} is {result}:\n{reasons(cloudformation, change_set.stack)}")


def wait(cloudformation: Any, stack: str, *, delay_s: float = 5) -> str | None:
    """Wait while CloudFormation works on a stack, and return its status; None if there is no stack."""
    deadline = time.monotonic() + WAIT_SECONDS
    current = status(cloudformation, stack)
    while current and current.endswith("_IN_PROGRESS") and current != "REVIEW_IN_PROGRESS":
        if time.monotonic() > deadline:
            raise DeployFailed(f"the stack {stack} is still {current} after {WAIT_SECONDS} s; run this again later")
        time.sleep(delay_s)
        current = status(cloudformation, stack)
    return current


def reasons(cloudformation: Any, stack: str) -> str:
    """Return why resources of the stack failed, oldest failure first."""
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    failed = [event for event in reversed(events) if event["ResourceStatus"].endswith("FAILED")]
    return "\n".join(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}" for event in failed)


def describe(cloudformation: Any, stack: str) -> DeployedStack:
    """Return the physical ids, outputs and parameters of the deployed stack."""
    resources: dict[str, str] = {}
    token: dict[str, str] = {}
    for _ in range(PAGES):
        page = cloudformation.list_stack_resources(StackName=stack, **token)
        for summary in page["StackResourceSummaries"]:
            if summary.get("PhysicalResourceId"):
                resources[summary["LogicalResourceId"]] = summary["PhysicalResourceId"]
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    outputs = {item["OutputKey"]: item["OutputValue"] for item in described.get("Outputs", [])}
    parameters = {item["ParameterKey"]: item["ParameterValue"] for item in described.get("Parameters", [])}
    return DeployedStack(resources, outputs, parameters)
