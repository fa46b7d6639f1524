"""The removal of an environment deletes locked objects too, and says which object S3 keeps."""

from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from installer import removal
from installer.world import Stop
from local import deploy
from local.build import ROOT
from tuition.core.archive import locked_until

BUCKET = "tuition-archive"


class S3:
    """A bucket with one object. `locked` says that Object Lock keeps it, `for_good` that no bypass helps."""

    def __init__(self, *, locked: bool, for_good: bool = False) -> None:
        self.locked, self.for_good = locked, for_good
        self.versions = [{"Key": "records/1", "VersionId": "v1"}]

    def get_object_lock_configuration(self, Bucket: str) -> dict[str, Any]:
        if not self.locked:
            raise ClientError({"Error": {"Code": removal.NO_OBJECT_LOCK, "Message": ""}}, "GetObjectLockConfiguration")
        return {}

    def list_object_versions(self, Bucket: str, MaxKeys: int) -> dict[str, Any]:
        return {"Versions": self.versions[:MaxKeys]}

    def delete_objects(self, Bucket: str, Delete: Any, **more: Any) -> dict[str, Any]:
        assert bool(more.get("BypassGovernanceRetention")) is self.locked
        if self.for_good:
            return {"Errors": [{"Key": "records/1", "Code": "AccessDenied", "Message": "protected by object lock"}]}
        self.versions.clear()
        return {}

    def delete_bucket(self, Bucket: str) -> None:
        assert not self.versions


def run_with(s3: Any) -> Any:
    return SimpleNamespace(world=SimpleNamespace(client=lambda service: s3))


@pytest.mark.parametrize("locked", [True, False])
def test_a_bucket_is_emptied_and_only_one_with_object_lock_by_a_bypass(locked: bool) -> None:
    s3 = S3(locked=locked)
    removal._delete_bucket(run_with(s3), BUCKET)
    assert s3.versions == []


def test_an_object_that_s3_keeps_ends_the_removal_with_its_name() -> None:
    with pytest.raises(Stop, match=r"records/1.*protected by object lock"):
        removal._delete_bucket(run_with(S3(locked=True, for_good=True)), BUCKET)


@pytest.mark.parametrize("has_object_lock", [True, False])
def test_s3_says_whether_a_bucket_has_object_lock(monkeypatch: pytest.MonkeyPatch, has_object_lock: bool) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        s3: Any = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=has_object_lock)
        lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": locked_until(LATE, 8, for_years=True)}
        s3.put_object(Bucket=BUCKET, Key="records/1", ChecksumAlgorithm="SHA256", **(lock if has_object_lock else {}))
        removal._delete_bucket(run_with(s3), BUCKET)
        assert s3.list_buckets()["Buckets"] == []


def test_a_versioned_bucket_is_emptied_of_old_versions_and_markers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the list of erasures is: entries of `due/` are deleted, and their versions stay for a month."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        s3: Any = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket=BUCKET)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        for key in ("due/ada", "due/ada", "done/ada"):
            s3.put_object(Bucket=BUCKET, Key=key, Body=b"{}")
        s3.delete_object(Bucket=BUCKET, Key="due/ada")
        removal._delete_bucket(run_with(s3), BUCKET)
        assert s3.list_buckets()["Buckets"] == []


def test_a_queue_is_deleted_and_one_that_an_earlier_attempt_deleted_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        sqs: Any = boto3.client("sqs", region_name="us-east-1")
        urls = [sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("failed-runs", "emails", "other")]
        sqs.delete_queue(QueueUrl=urls[0])
        for url in urls[:2]:
            removal._ignoring_missing(removal.DELETE["AWS::SQS::Queue"], run_with(sqs), url)
        assert sqs.list_queues()["QueueUrls"] == urls[2:]


@pytest.mark.parametrize("name", ["template.yaml", "web.yaml"])
def test_every_type_that_a_deleted_stack_leaves_behind_is_removed(name: str) -> None:
    resources = deploy.read_template(ROOT / name)["Resources"]
    kept = {one["Type"] for one in resources.values() if one.get("DeletionPolicy", "Delete") != "Delete"}
    assert kept
    assert kept - removal.DELETE.keys() == set()


LATE = "2126-11-28T13:00:00.000Z"
