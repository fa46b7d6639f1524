"""The hourly digests: what they cover, their signature, runs that were missed, interrupted or doubled."""

import base64
import gzip
import hashlib
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import moto.s3.models
import pytest
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from moto import mock_aws

from tests.archive_copies import Copy, new_key, pack
from tests.in_memory_s3 import InMemoryS3
from tuition import aws_client, clock, metrics
from tuition.core import digests
from tuition.outbox import archive, digest
from tuition.outbox.digest import DigestConflict
from tuition.settings import settings
from verifier import tuition_verify

START = datetime(2026, 11, 27, 21, tzinfo=UTC)
ARCHIVE, DIGESTS = "archive", "digests"


@dataclass
class System:
    """Both buckets and the key in memory, with a clock that a test sets, and chains of records to archive."""

    s3: Any
    keys_of_kms: dict[str, ec.EllipticCurvePrivateKey]
    chains: Copy
    ages: list[float]
    now: datetime = START

    def put(self, name: str, subject: str, *, named: datetime | None = None) -> str:
        """Archive the next record of a subject now. `named` is the hour in the object's name."""
        key = f"records/dt={(named or self.now):%Y-%m-%d/%H}-{name}.jsonl.gz"
        self.s3.put_object(Bucket=ARCHIVE, Key=key, Body=pack([self.chains.next_record(subject)]))
        return key

    def run(self, *, at: str, seconds: float = 900) -> dict[str, Any]:
        """Run the function at a time, and return its report."""
        self.now = datetime.fromisoformat(f"{at}+00:00")
        return digest.make(lambda: seconds)

    def names(self, prefix: str = "") -> list[str]:
        page = self.s3.list_objects_v2(Bucket=DIGESTS, Prefix=prefix)
        return [entry["Key"] for entry in page.get("Contents", [])]

    def has_one_version_of_each(self) -> bool:
        """Whether nothing in the digest bucket was written twice."""
        versions = self.s3.list_object_versions(Bucket=DIGESTS)["Versions"]
        return len({version["Key"] for version in versions}) == len(versions)

    def get(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=DIGESTS, Key=key)["Body"].read())

    def digest(self, hour: str) -> dict[str, Any]:
        return dict(json.loads(self.get(digests.digest_key(hour))))

    def delete(self, key: str) -> None:
        """Delete all versions of an object."""
        for version in self.s3.list_object_versions(Bucket=DIGESTS, Prefix=key)["Versions"]:
            self.s3.delete_object(Bucket=DIGESTS, Key=key, VersionId=version["VersionId"])

    def copy(self, folder: Path) -> Path:
        """Copy both buckets into a folder, as an auditor does."""
        for bucket in (ARCHIVE, DIGESTS):
            for entry in self.s3.list_objects_v2(Bucket=bucket).get("Contents", []):
                path = folder / bucket / entry["Key"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())
        return folder

    def verify(self, folder: Path, until: str, *arguments: str) -> int:
        """Verify a new copy with the auditor's program."""
        return self.verify_copy(self.copy(folder), until, *arguments)

    def verify_copy(self, copy: Path, until: str, *arguments: str) -> int:
        """Verify a copy with the auditor's program."""
        keys = [part for path in (copy / DIGESTS / "keys").glob("*") for part in ("--key", str(path))]
        where = ["--archive", str(copy / ARCHIVE), "--digests", str(copy / DIGESTS), "--until", until]
        return tuition_verify.main([*where, *keys, *arguments])


class Kms:
    """KMS as its reference describes it. moto hashes a digest once more before it signs it."""

    def __init__(self, keys: dict[str, ec.EllipticCurvePrivateKey]) -> None:
        self._keys = keys

    def get_public_key(self, KeyId: str) -> dict[str, bytes]:
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        return {"PublicKey": self._keys[KeyId].public_key().public_bytes(encoding, form)}

    def sign(self, KeyId: str, Message: bytes, MessageType: str, SigningAlgorithm: str) -> dict[str, bytes]:
        assert (MessageType, SigningAlgorithm, len(Message)) == ("DIGEST", "ECDSA_SHA_256", 32)
        return {"Signature": self._keys[KeyId].sign(Message, ec.ECDSA(Prehashed(hashes.SHA256())))}


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> System:
    system = System(None, {}, Copy(tmp_path / "chains", new_key()), [])
    use_s3(monkeypatch, system, InMemoryS3(lambda: system.now))
    monkeypatch.setattr(digest, "_kms", lambda: Kms(system.keys_of_kms))
    monkeypatch.setattr(clock, "now", lambda: system.now.timestamp())
    monkeypatch.setattr(metrics, "age", lambda name, seconds: system.ages.append(seconds))
    use_new_key(monkeypatch, system)
    return system


def use_s3(monkeypatch: pytest.MonkeyPatch, system: System, s3: Any) -> None:
    system.s3 = s3
    monkeypatch.setattr(digest, "_s3", lambda: s3)


@contextmanager
def moto_s3(monkeypatch: pytest.MonkeyPatch, now: Callable[[], datetime]) -> Iterator[Any]:
    """Yield a client of moto's S3 with both buckets. `now` is the time at which an object is stored."""
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local")
        monkeypatch.setattr(moto.s3.models, "utcnow", lambda: now().replace(tzinfo=None))
        for bucket in (ARCHIVE, DIGESTS):
            s3.create_bucket(Bucket=bucket)
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        yield s3


def use_new_key(monkeypatch: pytest.MonkeyPatch, system: System) -> None:
    key = f"key-{len(system.keys_of_kms)}"
    system.keys_of_kms[key] = new_key()
    for name, value in (("ARCHIVE_BUCKET", ARCHIVE), ("DIGEST_BUCKET", DIGESTS), ("DIGEST_KEY", key)):
        monkeypatch.setenv(name, value)
    settings.cache_clear()


def fill(system: System) -> None:
    """Archive records in the hours 21 and 23, and none in 22."""
    system.put("a", "pay_1")
    system.put("b", "pay_2")
    system.now = START + timedelta(hours=2, minutes=30)
    system.put("c", "pay_1")


# --- the buckets in memory ---


def answers(s3: Any, set_time: Callable[[datetime], None]) -> list[Any]:
    """Return the answers to a fixed sequence of calls, with each version id replaced by its number."""
    numbers: dict[str, int] = {}
    results: list[Any] = []

    def call(name: str, **params: Any) -> dict[str, Any]:
        try:
            response = getattr(s3, name)(Bucket=ARCHIVE, **params)
        except ClientError as error:
            results.append((name, error.response["Error"]["Code"]))
            return {}
        if name == "put_object":
            numbers[response["VersionId"]] = len(numbers)
        results.append((name, comparable(response, numbers)))
        return dict(response)

    def pages(name: str, markers: dict[str, str], **params: Any) -> None:
        for _ in range(10):
            page = call(name, **params)
            if not page["IsTruncated"]:
                return
            params |= {param: page[field] for param, field in markers.items()}
        raise AssertionError("the list does not end")

    first = call("put_object", Key="a/1", Body=b"first")
    for number, key in enumerate(("a/2", "a/1", "b/1", "a/1", "a/10")):
        set_time(START + timedelta(minutes=number, microseconds=5))
        call("put_object", Key=key, Body=b"x" * number)
    digest_of = base64.b64encode(hashlib.sha256(b"once").digest()).decode()
    once = {"Body": b"once", "IfNoneMatch": "*", "ChecksumAlgorithm": "SHA256", "ChecksumSHA256": digest_of}
    call("put_object", Key="c", **once)
    call("put_object", Key="c", **once)
    call("get_object", Key="a/1")
    call("get_object", Key="a/1", VersionId=first["VersionId"])
    call("get_object", Key="missing")
    for prefix in ("", "a/", "a/1", "missing"):
        for size in (1, 2, 4, 100):
            pages("list_objects_v2", {"ContinuationToken": "NextContinuationToken"}, Prefix=prefix, MaxKeys=size)
            markers = {"KeyMarker": "NextKeyMarker", "VersionIdMarker": "NextVersionIdMarker"}
            pages("list_object_versions", markers, Prefix=prefix, MaxKeys=size)
    for key in ("a/1", "missing"):
        s3.delete_object(Bucket=ARCHIVE, Key=key, VersionId=first["VersionId"])
    call("get_object", Key="a/1", VersionId=first["VersionId"])
    call("list_object_versions", Prefix="a/")
    return results


def comparable(response: dict[str, Any], numbers: dict[str, int]) -> dict[str, Any]:
    """Return the parts of an answer that the digests read."""
    parts: dict[str, Any] = {"IsTruncated": response.get("IsTruncated"), "marker": response.get("NextKeyMarker")}
    if "Body" in response:
        parts["content"] = response["Body"].read()
    parts["keys"] = [entry["Key"] for entry in response.get("Contents", [])]
    parts["versions"] = [
        (numbers[entry["VersionId"]], entry["Key"], entry["Size"], entry["LastModified"].timestamp())
        for entry in response.get("Versions", [])
    ]
    parts["version"] = numbers.get(response.get("VersionId", ""))
    return parts


def test_the_buckets_in_memory_answer_as_those_of_moto(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [START]
    set_time = partial(now.__setitem__, 0)
    in_memory = answers(InMemoryS3(lambda: now[0]), set_time)
    set_time(START)
    with moto_s3(monkeypatch, lambda: now[0]) as s3:
        assert in_memory == answers(s3, set_time)


def test_the_buckets_in_memory_refuse_a_corrupted_upload() -> None:
    """The buckets of moto accept it. S3 does not: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html."""
    s3 = InMemoryS3(lambda: START)
    with pytest.raises(ClientError, match="BadDigest"):
        s3.put_object(Bucket=ARCHIVE, Key="a", Body=b"corrupted", ChecksumSHA256="AAAA")
    assert "Contents" not in s3.list_objects_v2(Bucket=ARCHIVE)


def test_a_list_of_the_buckets_in_memory_begins_behind_its_key_marker() -> None:
    """With a key marker alone, moto skips the first version behind it.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
    """
    s3 = InMemoryS3(lambda: START)
    for key in ("a/1", "a/1", "a/2", "b"):
        s3.put_object(Bucket=ARCHIVE, Key=key, Body=b"")
    for marker, keys in {"a": ["a/1", "a/1", "a/2"], "a/1": ["a/2"], "a/11": ["a/2"], "a/2": [], "z": []}.items():
        page = s3.list_object_versions(Bucket=ARCHIVE, Prefix="a/", KeyMarker=marker)
        assert [entry["Key"] for entry in page.get("Versions", [])] == keys


def test_digests_hold_in_buckets_of_moto(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whole run through botocore: what it sends must be what the operations take."""
    monkeypatch.setattr(digests, "PART_OBJECTS", 1)
    with moto_s3(monkeypatch, lambda: system.now) as s3:
        use_s3(monkeypatch, system, s3)
        fill(system)
        assert system.run(at="2026-11-27T22:10", seconds=900)["parts"] == 2
        assert system.run(at="2026-11-28T00:10")["hours"] == ["2026-11-27T22", "2026-11-27T23"]
        assert system.run(at="2026-11-28T00:20")["hours"] == []
        assert system.has_one_version_of_each()
        assert system.verify(tmp_path / "copy", "2026-11-28T00") == tuition_verify.HOLDS


# --- content ---


def test_each_full_hour_gets_a_digest_which_the_auditor_can_verify(system: System, tmp_path: Path) -> None:
    fill(system)
    report = system.run(at="2026-11-28T00:10")
    assert report["hours"] == ["2026-11-27T21", "2026-11-27T22", "2026-11-27T23"]
    assert report["done"] is True
    assert system.ages == [600.0]
    assert system.digest("2026-11-27T22")["objects"] == []
    assert system.digest("2026-11-27T21")["previous"] is None
    assert system.digest("2026-11-27T23")["previous"]["hour"] == "2026-11-27T22"
    root = system.get("roots/2026-11-27.txt").decode()
    assert root == f"2026-11-27 {report['through']['sha256']}\n"
    assert system.verify(tmp_path / "copy", "2026-11-28T00", "--root", root) == tuition_verify.HOLDS


def test_a_digest_lists_each_version_with_its_hash_count_and_positions(system: System) -> None:
    fill(system)
    system.run(at="2026-11-28T00:10")
    listed = system.digest("2026-11-27T21")
    version = system.s3.list_object_versions(Bucket=ARCHIVE, Prefix="records/dt=2026-11-27/21-a")["Versions"][0]
    body = system.s3.get_object(Bucket=ARCHIVE, Key=version["Key"])["Body"].read()
    assert listed["objects"][0] == {
        "key": "records/dt=2026-11-27/21-a.jsonl.gz",
        "version_id": version["VersionId"],
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "records": 1,
        "first": {"subject": "pay_1", "seq": 1},
        "last": {"subject": "pay_1", "seq": 1},
    }
    assert (listed["archive"], listed["records"], listed["format"]) == (ARCHIVE, 2, 1)
    heads = [json.loads(line) for line in gzip.decompress(system.get(digests.heads_key("2026-11-27T21"))).splitlines()]
    assert [(head["subject"], head["seq"]) for head in heads] == [("pay_1", 1), ("pay_2", 1)]


def test_an_object_belongs_to_the_hour_in_which_it_was_stored(system: System, tmp_path: Path) -> None:
    system.now = START + timedelta(hours=1)
    late = system.put("late", "pay_1", named=START)
    fast = system.put("fast", "pay_2", named=START + timedelta(hours=2))
    system.run(at="2026-11-28T00:10")
    assert [entry["key"] for entry in system.digest("2026-11-27T22")["objects"]] == [late, fast]
    assert system.verify(tmp_path / "copy", "2026-11-28T00") == tuition_verify.HOLDS


def test_the_first_digest_is_that_of_the_first_object_stored_and_not_of_the_first_by_name(
    system: System, tmp_path: Path
) -> None:
    system.put("b", "pay_1")
    system.now = START + timedelta(hours=1)
    system.put("a", "pay_2", named=START)
    assert system.run(at="2026-11-27T23:10")["hours"] == ["2026-11-27T21", "2026-11-27T22"]
    assert system.verify(tmp_path, "2026-11-27T23") == 0


def test_two_versions_of_one_key_are_both_listed(system: System) -> None:
    key = system.put("a", "pay_1")
    system.s3.put_object(Bucket=ARCHIVE, Key=key, Body=pack(system.chains.chains["pay_1"]))
    system.run(at="2026-11-27T22:10")
    assert [entry["key"] for entry in system.digest("2026-11-27T21")["objects"]] == [key, key]


def test_a_list_of_several_pages_is_read_to_its_end(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [system.put(f"{number:03}", "pay_1") for number in range(7)]
    listed = system.s3.list_object_versions

    class Pages:
        def __getattr__(self, name: str) -> Any:
            return getattr(system.s3, name)

        def list_object_versions(self, **params: Any) -> Any:
            return listed(**{"MaxKeys": 3, **params})

    monkeypatch.setattr(digest, "_s3", Pages)
    system.run(at="2026-11-27T22:10")
    assert [entry["key"] for entry in system.digest("2026-11-27T21")["objects"]] == keys


def test_an_object_that_cannot_be_read_is_listed_by_its_hash_and_stops_no_digest(system: System) -> None:
    endless = b'{"subject": "pay_1", "hash": "", "seq": Infinity}'
    for number, body in enumerate((b"no gzip", *map(gzip.compress, (b"no json", b"{}", endless, b"[" * 200_000)))):
        key = f"records/dt=2026-11-27/21-{number}.jsonl.gz"
        system.s3.put_object(Bucket=ARCHIVE, Key=key, Body=body)
    system.s3.put_object(Bucket=ARCHIVE, Key="final/dt=2026-11-27/21-nameless.json.gz", Body=b"")
    system.run(at="2026-11-27T22:10")
    assert [entry["records"] for entry in system.digest("2026-11-27T21")["objects"]] == [None] * 6


# --- when ---


def test_an_hour_gets_no_digest_before_a_minute_after_its_end(system: System) -> None:
    system.put("a", "pay_1")
    assert system.run(at="2026-11-27T21:59")["hours"] == ["2026-11-27T20"]
    assert system.run(at="2026-11-27T22:00:59")["hours"] == []
    assert system.run(at="2026-11-27T22:01")["hours"] == ["2026-11-27T21"]


def test_a_second_run_for_the_same_hours_changes_nothing(system: System) -> None:
    fill(system)
    first = system.run(at="2026-11-28T00:10")
    versions = system.s3.list_object_versions(Bucket=DIGESTS)["Versions"]
    second = system.run(at="2026-11-28T00:20")
    assert second == {**first, "hours": [], "parts": 0}
    assert system.s3.list_object_versions(Bucket=DIGESTS)["Versions"] == versions


def test_missed_hours_are_made_up_for_in_order_as_far_as_a_run_may(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(system)
    monkeypatch.setattr(digest, "HOURS_PER_RUN", 2)
    assert system.run(at="2026-11-28T01:10")["hours"] == ["2026-11-27T21", "2026-11-27T22"]
    assert system.ages == [7800.0]
    assert system.run(at="2026-11-28T01:10", seconds=60)["hours"] == []
    report = system.run(at="2026-11-28T01:10")
    assert (report["hours"], report["done"]) == (["2026-11-27T23", "2026-11-28T00"], True)
    assert system.verify(tmp_path / "copy", "2026-11-28T01") == tuition_verify.HOLDS


def test_digests_continue_after_a_pause_over_midnights(system: System) -> None:
    system.put("a", "pay_1")
    system.run(at="2026-11-27T22:10")
    assert len(system.run(at="2026-11-29T02:10")["hours"]) == 28


def test_a_pause_beyond_the_limit_is_no_new_beginning(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    system.put("a", "pay_1")
    system.run(at="2026-11-27T22:10")
    monkeypatch.setattr(digest, "MAX_DAYS", 3)
    with pytest.raises(DigestConflict, match="older than 3 days"):
        system.run(at="2026-12-10T22:10")


# --- interrupted and doubled runs ---


@contextmanager
def failing_write(system: System, step: int, *, is_done: bool) -> Iterator[None]:
    """Let the write of this number fail: before its effect, or with a lost answer if `is_done`."""
    writes = 0

    class Failing:
        def __getattr__(self, name: str) -> Any:
            return getattr(system.s3, name)

        def put_object(self, **params: Any) -> Any:
            nonlocal writes
            writes += 1
            if writes == step + 1 and not is_done:
                raise ConnectionError
            response = system.s3.put_object(**params)
            if writes == step + 1:
                raise ConnectionError
            return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest, "_s3", Failing)
        yield


@pytest.mark.parametrize("step", range(11))
@pytest.mark.parametrize("is_done", [False, True])
def test_a_run_that_is_killed_at_any_write_is_completed_by_the_next(
    step: int, is_done: bool, system: System, tmp_path: Path
) -> None:
    fill(system)
    with failing_write(system, step, is_done=is_done), pytest.raises(ConnectionError):
        system.run(at="2026-11-28T00:10")
    system.run(at="2026-11-28T00:20")
    assert len(system.names("hours/")) == 6
    assert system.names("roots/") == ["roots/2026-11-27.txt"]
    assert system.has_one_version_of_each()
    assert system.verify(tmp_path / "copy", "2026-11-28T00") == tuition_verify.HOLDS


@pytest.mark.parametrize("step", range(1, 5))
def test_two_runs_at_once_make_one_digest(
    step: int, system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole second run happens just before a write of the first."""
    fill(system)
    writes = 0

    class Interrupted:
        def __getattr__(self, name: str) -> Any:
            return getattr(system.s3, name)

        def put_object(self, **params: Any) -> Any:
            nonlocal writes
            writes += 1
            if writes == step + 1:
                system.run(at="2026-11-28T00:10")
            return system.s3.put_object(**params)

    monkeypatch.setattr(digest, "_s3", Interrupted)
    system.run(at="2026-11-28T00:10")
    assert system.has_one_version_of_each()
    assert system.verify(tmp_path / "copy", "2026-11-28T00") == tuition_verify.HOLDS


def test_a_write_that_meets_another_one_is_tried_again_a_few_times(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(system)
    refusals = 0

    class Busy:
        def __getattr__(self, name: str) -> Any:
            return getattr(system.s3, name)

        def put_object(self, **params: Any) -> Any:
            nonlocal refusals
            refusals += 1
            if refusals <= busy:
                raise ClientError({"Error": {"Code": "ConditionalRequestConflict", "Message": ""}}, "PutObject")
            return system.s3.put_object(**params)

    monkeypatch.setattr(digest, "_s3", Busy)
    busy = digest.WRITES
    with pytest.raises(ClientError):
        system.run(at="2026-11-28T00:10")
    refusals, busy = 0, digest.WRITES - 1
    assert system.run(at="2026-11-28T00:10")["done"] is True


def test_a_failure_of_a_call_is_raised_and_leaves_the_digest_to_the_next_run(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(system)

    class Denied:
        def __getattr__(self, name: str) -> Any:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, name)

    monkeypatch.setattr(digest, "_kms", Denied)
    with pytest.raises(ClientError):
        system.run(at="2026-11-28T00:10")
    assert system.names("hours/") == []


# --- hours with several digests ---


@pytest.fixture
def crowded(system: System, monkeypatch: pytest.MonkeyPatch) -> System:
    """An hour with eight versions of seven objects, in parts of three, between two other hours."""
    monkeypatch.setattr(digests, "PART_OBJECTS", 3)
    system.put("a", "pay_1")
    system.now = START + timedelta(hours=1)
    for number in range(5):
        system.put(f"{number}", f"pay_{number % 3}")
    again = system.s3.get_object(Bucket=ARCHIVE, Key="records/dt=2026-11-27/22-3.jsonl.gz")["Body"].read()
    system.s3.put_object(Bucket=ARCHIVE, Key="records/dt=2026-11-27/22-3.jsonl.gz", Body=again)
    system.put("late", "pay_5", named=START)
    system.s3.put_object(Bucket=ARCHIVE, Key="final/dt=2026-11-27/22-pay_5-v1.json.gz", Body=final_form(system))
    system.now = START + timedelta(hours=2)
    system.put("z", "pay_1")
    return system


def final_form(system: System) -> bytes:
    record = system.chains.chains["pay_5"][-1]
    return pack([{"payment_id": "pay_5", "version": 1, "audit_head": record["hash"]}])


PARTS = ["22-0001.json", "22-0001.json.sig", "22-0002.json", "22-0002.json.sig", "22.json", "22.json.sig"]


def test_an_hour_with_many_objects_has_several_chained_digests_that_the_auditor_can_verify(
    crowded: System, tmp_path: Path
) -> None:
    report = crowded.run(at="2026-11-28T00:10")
    assert (report["hours"], report["parts"]) == (["2026-11-27T21", "2026-11-27T22", "2026-11-27T23"], 5)
    assert [name.rpartition("/")[2] for name in crowded.names("hours/dt=2026-11-27/22")] == PARTS
    assert len(crowded.names("heads/dt=2026-11-27/22")) == 3
    parts = [json.loads(crowded.get(digests.digest_key("2026-11-27T22", part))) for part in (1, 2, 0)]
    assert [(part["format"], part["part"], part["more"]) for part in parts] == [
        (2, 1, True),
        (2, 2, True),
        (2, 3, False),
    ]
    assert [part["previous"].get("part") for part in parts] == [None, 1, 2]
    assert [part["previous"]["hour"] for part in parts] == ["2026-11-27T21", "2026-11-27T22", "2026-11-27T22"]
    listed = [(entry["key"], entry["version_id"]) for part in parts for entry in part["objects"]]
    assert (listed, len(listed)) == (sorted(listed), 8)
    following = crowded.digest("2026-11-27T23")
    assert (following["format"], "part" in following) == (1, False)
    last = hashlib.sha256(crowded.get(digests.digest_key("2026-11-27T22"))).hexdigest()
    assert following["previous"]["sha256"] == last
    assert crowded.verify(tmp_path / "copy", "2026-11-28T00") == tuition_verify.HOLDS


def test_all_versions_of_a_key_are_in_one_part_unless_they_are_more_than_a_part_has(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(digests, "PART_OBJECTS", 2)
    system.put("0", "pay_0")
    for name, number in (("1", 2), ("2", 5)):
        key = system.put(name, f"pay_{name}")
        body = system.s3.get_object(Bucket=ARCHIVE, Key=key)["Body"].read()
        for _ in range(number - 1):
            system.s3.put_object(Bucket=ARCHIVE, Key=key, Body=body)
    system.run(at="2026-11-27T22:10")
    parts = [json.loads(system.get(digests.digest_key("2026-11-27T21", part))) for part in (1, 2, 3, 4, 0)]
    assert [[entry["key"][-10] for entry in part["objects"]] for part in parts] == [
        ["0"],
        ["1", "1"],
        ["2", "2"],
        ["2", "2"],
        ["2"],
    ]
    assert system.verify(tmp_path / "copy", "2026-11-27T22") == tuition_verify.HOLDS


@pytest.mark.parametrize("step", range(14))
@pytest.mark.parametrize("is_done", [False, True])
def test_a_run_that_is_killed_in_an_hour_of_several_parts_is_completed_by_the_next(
    step: int, is_done: bool, crowded: System, tmp_path: Path
) -> None:
    with failing_write(crowded, step, is_done=is_done), pytest.raises(ConnectionError):
        crowded.run(at="2026-11-28T00:10")
    crowded.run(at="2026-11-28T00:20")
    assert [name.rpartition("/")[2] for name in crowded.names("hours/dt=2026-11-27/22")] == PARTS
    assert crowded.has_one_version_of_each()
    assert crowded.verify(tmp_path / "copy", "2026-11-28T00") == tuition_verify.HOLDS


def test_runs_without_time_make_a_part_each_and_an_unfinished_hour_holds_for_the_auditor(
    crowded: System, tmp_path: Path
) -> None:
    reports: list[dict[str, Any]] = []
    while not (reports and reports[-1]["done"]):
        times = iter([900.0])
        crowded.now = datetime.fromisoformat("2026-11-28T00:10+00:00")
        reports.append(digest.make(lambda times=times: next(times, 0.0)))
        assert len(reports) < 10
        if len(reports) > 1:  # the first part has the object that was named before the hour
            until = f"2026-11-27T{22 if len(reports) < 4 else 23}"
            assert crowded.verify(tmp_path / f"copy{len(reports)}", until) == tuition_verify.HOLDS
    assert [report["parts"] for report in reports] == [1] * 5
    assert [len(report["hours"]) for report in reports] == [1, 0, 0, 1, 1]
    assert crowded.verify(tmp_path / "copy", "2026-11-28T00") == tuition_verify.HOLDS


def test_an_hour_that_is_missing_before_an_unfinished_hour_is_found(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The parts of an unfinished hour prove that the hours before it had digests, whatever `--until` says."""
    monkeypatch.setattr(digests, "PART_OBJECTS", 3)
    removed = ""
    for hour in (0, 1, 2):
        system.now = START + timedelta(hours=hour)
        for number in range(5 if hour == 2 else 1):
            key = system.put(f"{number}", f"pay_{hour}_{number}")
            removed = key if hour == 1 else removed
    times = iter([900.0] * 3)
    system.now = datetime.fromisoformat("2026-11-28T00:10+00:00")
    assert len(digest.make(lambda: next(times, 0.0))["hours"]) == 2
    copy = system.copy(tmp_path / "copy")
    assert (copy / DIGESTS / digests.digest_key("2026-11-27T23", 1)).exists()
    assert system.verify_copy(copy, "2026-11-27T22") == tuition_verify.HOLDS
    (copy / ARCHIVE / removed).unlink()
    for name in (digests.digest_key, digests.signature_key, digests.heads_key):
        (copy / DIGESTS / name("2026-11-27T22")).unlink()
    capsys.readouterr()
    assert system.verify_copy(copy, "2026-11-27T22") == tuition_verify.DOES_NOT_HOLD
    assert "FINDING 2026-11-27T22: the digest is missing" in capsys.readouterr().out


def test_an_object_that_was_deleted_between_two_runs_hides_no_other(crowded: System, tmp_path: Path) -> None:
    """Only the break-glass role can. A part begins behind the last object of the part before, not after a number."""
    for _ in range(2):
        times = iter([900.0])
        crowded.now = datetime.fromisoformat("2026-11-28T00:10+00:00")
        digest.make(lambda times=times: next(times, 0.0))
    (first, *_) = json.loads(crowded.get(digests.digest_key("2026-11-27T22", 1)))["objects"]
    crowded.s3.delete_object(Bucket=ARCHIVE, Key=first["key"], VersionId=first["version_id"])
    crowded.run(at="2026-11-28T00:20")
    parts = [json.loads(crowded.get(digests.digest_key("2026-11-27T22", part))) for part in (1, 2, 0)]
    assert sum(len(part["objects"]) for part in parts) == 8
    assert crowded.verify(tmp_path / "copy", "2026-11-28T00") == tuition_verify.DOES_NOT_HOLD


def test_two_runs_at_once_make_the_same_parts(crowded: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = 0

    class Interrupted:
        def __getattr__(self, name: str) -> Any:
            return getattr(crowded.s3, name)

        def put_object(self, **params: Any) -> Any:
            nonlocal writes
            writes += 1
            if writes in (5, 8):
                crowded.run(at="2026-11-28T00:10")
            return crowded.s3.put_object(**params)

    monkeypatch.setattr(digest, "_s3", Interrupted)
    crowded.run(at="2026-11-28T00:10")
    assert crowded.has_one_version_of_each()
    assert crowded.verify(tmp_path / "copy", "2026-11-28T00") == tuition_verify.HOLDS


def remove(name: str) -> Callable[[Path], None]:
    def tamper(digests_of_copy: Path) -> None:
        (digests_of_copy / name).unlink()

    return tamper


def remove_both_parts(digests_of_copy: Path) -> None:
    for part in (1, 2):
        for name in (digests.digest_key(CROWDED, part), digests.signature_key(CROWDED, part)):
            (digests_of_copy / name).unlink()


def exchange_parts(digests_of_copy: Path) -> None:
    for name in (digests.digest_key, digests.signature_key):
        first, second = (digests_of_copy / name(CROWDED, part) for part in (1, 2))
        contents = first.read_bytes(), second.read_bytes()
        second.write_bytes(contents[0])
        first.write_bytes(contents[1])


def change_a_part(digests_of_copy: Path) -> None:
    path = digests_of_copy / digests.digest_key(CROWDED, 2)
    path.write_bytes(path.read_bytes().replace(b'"part":2', b'"part":3'))


def add_a_part(digests_of_copy: Path) -> None:
    for name in (digests.digest_key, digests.signature_key):
        (digests_of_copy / name(CROWDED, 3)).write_bytes((digests_of_copy / name(CROWDED, 2)).read_bytes())


def make_an_hour_end_with_its_first_part(digests_of_copy: Path) -> None:
    """The signed parts behind it are removed with their objects, as if they had never been."""
    for name in (digests.digest_key, digests.signature_key):
        (digests_of_copy / name(CROWDED)).write_bytes((digests_of_copy / name(CROWDED, 1)).read_bytes())
        for part in (1, 2):
            (digests_of_copy / name(CROWDED, part)).unlink()


CROWDED = "2026-11-27T22"


@pytest.mark.parametrize(
    ("tamper", "text"),
    [
        (remove("hours/dt=2026-11-27/22-0001.json"), "22-0001.json: the digest is missing"),
        (remove("hours/dt=2026-11-27/22-0002.json"), "22-0002.json: the digest is missing"),
        (remove("hours/dt=2026-11-27/22-0002.json.sig"), "22-0002.json.sig: the digest has no signature"),
        (remove("hours/dt=2026-11-27/22.json"), "22.json: the digest is missing"),
        (remove("heads/dt=2026-11-27/22-0003.jsonl.gz"), "22-0003.jsonl.gz: the heads are missing"),
        (remove_both_parts, "it is part 3 of its hour, but 0 parts are before it"),
        (exchange_parts, "the digest has another place in its hour: it is that of 2026-11-27T22 part 2"),
        (change_a_part, "the signature does not fit"),
        (add_a_part, "22-0003.json: the digest has another place in its hour"),
        (make_an_hour_end_with_its_first_part, "22.json: the digest has another place in its hour"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else value.__name__,
)
def test_tampering_with_a_part_is_found_and_located(
    crowded: System,
    tmp_path: Path,
    tamper: Callable[[Path], None],
    text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    crowded.run(at="2026-11-28T00:10")
    copy = crowded.copy(tmp_path / "copy")
    assert crowded.verify_copy(copy, "2026-11-28T00") == tuition_verify.HOLDS
    capsys.readouterr()
    tamper(copy / DIGESTS)
    assert crowded.verify_copy(copy, "2026-11-28T00") == tuition_verify.DOES_NOT_HOLD
    assert text in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        b"{}\n" * 2_000_000,
        b'{"hash":"","seq":1,"subject":"a"}\n' * 100_001,
        b"[" + b"{}," * 1_400_000 + b"{}]",
        b'{"hash":"","seq":1,"subject":"a"}\n' + b"{}\n" * 2_000_000,
    ],
    ids=["many lines", "many records", "a long line", "many lines behind a record"],
)
def test_a_small_object_with_a_large_content_takes_little_memory_and_stops_no_digest(content: bytes) -> None:
    """A function that runs out of memory is killed, and would be killed again each hour."""
    body = gzip.compress(content, compresslevel=1)
    heads: dict[str, digests.Head] = {}
    tracemalloc.start()
    try:
        entry = digests.describe("records/dt=2026-11-28/13-x.jsonl.gz", "v", body, heads)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (entry["records"], entry["size"], heads) == (None, len(body), {})
    assert peak < 2 * len(content) + 60_000_000


def test_more_parts_than_the_limit_are_a_conflict(crowded: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "MAX_PARTS", 2)
    with pytest.raises(DigestConflict, match="more than 2 parts"):
        crowded.run(at="2026-11-28T00:10")


def test_the_last_digest_of_a_day_is_its_root_also_in_parts(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "PART_OBJECTS", 1)
    system.now = START + timedelta(hours=2)
    for name in "abc":
        system.put(name, "pay_1")
    system.run(at="2026-11-28T00:10")
    root = system.get("roots/2026-11-27.txt").decode()
    assert root == digests.root_line("2026-11-27", system.get(digests.digest_key("2026-11-27T23")))
    assert system.verify(tmp_path / "copy", "2026-11-28T00", "--root", root) == tuition_verify.HOLDS


def test_an_object_that_is_larger_than_any_of_the_archive_is_hashed_in_blocks(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a forged object is. It stops no digest, and needs no memory."""
    monkeypatch.setattr("tuition.core.archive.MAX_OBJECT_BYTES", 100)
    monkeypatch.setattr(digest, "BLOCK_BYTES", 64)
    key = system.put("a", "pay_1")
    body = system.s3.get_object(Bucket=ARCHIVE, Key=key)["Body"].read()
    system.run(at="2026-11-27T22:10")
    (entry,) = system.digest("2026-11-27T21")["objects"]
    assert entry["size"] == len(body) > 100
    assert (entry["sha256"], entry["records"]) == (hashlib.sha256(body).hexdigest(), None)


class Crowd:
    """S3 with small objects of one hour, which it makes as they are listed, and a digest bucket."""

    BODY = pack([{"subject": "pay_1", "seq": 1, "hash": "ab" * 32}])

    def __init__(self, number: int) -> None:
        self.number = number
        self.stored: dict[str, bytes] = {}

    def list_object_versions(self, Bucket: str, Prefix: str, KeyMarker: str = "", **_: Any) -> dict[str, Any]:
        if Prefix != "records/dt=2026-11-27/":
            return {}
        digits = KeyMarker.rpartition("-")[2] if KeyMarker.endswith(".gz") else ""
        first = int(digits[:8]) + 1 if digits else 0
        numbers = range(first, min(first + 1_000, self.number))
        entry = {"VersionId": "v" * 32, "Size": len(self.BODY), "LastModified": START}
        versions = [{"Key": f"records/dt=2026-11-27/21-{number:08}.jsonl.gz", **entry} for number in numbers]
        is_last = numbers.stop == self.number
        more = {} if is_last else {"NextKeyMarker": versions[-1]["Key"], "NextVersionIdMarker": "v" * 32}
        return {"Versions": versions, "IsTruncated": not is_last, **more}

    def get_object(self, Bucket: str, Key: str, VersionId: str = "") -> dict[str, Any]:
        return {"Body": io.BytesIO(self.BODY if Bucket == ARCHIVE else self.stored[Key])}

    def put_object(self, Bucket: str, Key: str, Body: bytes, **_: Any) -> None:
        assert len(Body) < tuition_verify.MAX_DIGEST_BYTES / 4
        assert self.stored.setdefault(Key, Body) is Body

    def list_objects_v2(self, Bucket: str, Prefix: str) -> dict[str, Any]:
        return {"Contents": [{"Key": key} for key in sorted(self.stored) if key.startswith(Prefix)]}


def test_an_hour_of_any_size_needs_the_same_memory(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one digest, 60,000 objects would have more than the 16 MB that the verifier reads. A part has 5,000."""
    monkeypatch.setattr(digests, "PART_OBJECTS", 500)
    peaks = []
    for number in (2_000, 4_000):
        crowd = Crowd(number)
        monkeypatch.setattr(digest, "_s3", lambda crowd=crowd: crowd)
        key = digest._Key()
        tracemalloc.start()
        try:
            signed, parts = digest._make("2026-11-27T21", None, key, lambda: 900.0)
            peaks.append(tracemalloc.get_traced_memory()[1] - sum(map(len, crowd.stored.values())))
        finally:
            tracemalloc.stop()
        assert (signed.part if signed else None, parts) == (0, number // digests.PART_OBJECTS)
        contents = [json.loads(body) for name, body in crowd.stored.items() if name.endswith(".json")]
        assert sum(len(part["objects"]) for part in contents) == number
    assert peaks[1] < peaks[0] * 1.2 < 20_000_000


class Empty(io.BytesIO):
    """The body of an answer without content, as urllib3 has it."""

    def stream(self) -> Iterator[bytes]:
        """Yield nothing."""
        yield from ()


def test_s3_gets_the_sha_256_of_what_is_written_and_refuses_a_corrupted_upload(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Botocore's own CRC32 is of what it sends. This hash is made of the content before botocore has it.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
    """
    sent: list[Any] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 200, HeadersDict(), Empty())

    for module, name in ((digest, "_s3"), (archive, "_client")):
        client = aws_client.create("s3", read_timeout_s=1)
        client.meta.events.register_first("before-send.s3.PutObject", answer)
        monkeypatch.setattr(module, name, lambda client=client: client)
    assert digest._put_once("hours/x", b"content") == b"content"
    assert archive._put("records/x", b"content", "2034-12-31T23:59:59.000Z")
    expected = base64.b64encode(hashlib.sha256(b"content").digest())
    for request in sent:
        assert request.headers["x-amz-checksum-sha256"] == expected
        assert request.headers["x-amz-sdk-checksum-algorithm"] == b"SHA256"
        assert "x-amz-trailer" not in request.headers
        assert not any("crc" in name.lower() for name in request.headers)
    assert len(sent) == 2


# --- differences and keys ---


def test_a_digest_that_the_archive_contradicts_is_reported_and_not_continued(system: System) -> None:
    fill(system)
    system.run(at="2026-11-27T22:10")
    hour = "2026-11-27T21"
    for key in (digests.digest_key(hour), digests.signature_key(hour), digests.heads_key(hour)):
        system.delete(key)
    system.s3.put_object(Bucket=DIGESTS, Key=digests.digest_key("2026-11-27T20"), Body=b'{"key_id": ""}')
    system.s3.put_object(Bucket=DIGESTS, Key=digests.signature_key("2026-11-27T20"), Body=b"")
    system.s3.put_object(Bucket=DIGESTS, Key=digests.heads_key(hour), Body=gzip.compress(b"{}"))
    with pytest.raises(DigestConflict, match="heads of 2026-11-27T21"):
        system.run(at="2026-11-27T22:20")
    assert system.names("hours/dt=2026-11-27/21") == []


def test_digests_continue_with_a_new_key_and_hold_with_both(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(system)
    system.run(at="2026-11-27T22:10")
    use_new_key(monkeypatch, system)
    system.run(at="2026-11-28T00:10")
    assert len({system.digest(f"2026-11-27T{hour}")["key_id"] for hour in (21, 22, 23)}) == 2
    assert len(system.names("keys/")) == 2
    assert system.verify(tmp_path / "copy", "2026-11-28T00") == tuition_verify.HOLDS


def test_a_digest_of_the_old_key_without_a_signature_is_reported(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(system)
    system.run(at="2026-11-27T22:10")
    system.delete(digests.signature_key("2026-11-27T21"))
    use_new_key(monkeypatch, system)
    with pytest.raises(DigestConflict, match="has no signature, and is of another key"):
        system.run(at="2026-11-27T22:20")


def test_the_stored_public_key_is_that_of_kms(system: System) -> None:
    system.run(at="2026-11-27T22:10")
    (name,) = system.names("keys/")
    (key,) = tuition_verify.load_keys([_write(system, name)]).items()
    assert name == f"keys/{key[0]}.pem"


def _write(system: System, name: str) -> Path:
    path = system.chains.root / "public.pem"
    path.write_bytes(system.get(name))
    return path
