"""The list of erasures in a bucket, a user pool, and the runs of the erase function, for tests of erasures."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

import erase
import me
from tests import permissions
from tests.harness import Harness, Response, Student
from tuition import user_pool
from tuition.payments import erasure_list

BUCKET = "erasures"


@cache
def s3_client() -> Any:
    """Return one client for all tests, because creating it reads the model of all of S3. Only `mock_aws` answers it."""
    return boto3.client("s3", region_name="us-east-1")


@dataclass
class Erasures:
    """The requests of users and staff, the runs, and what the user pool was asked."""

    tuition: Harness
    s3: Any
    pool: list[tuple[str, str]] = field(default_factory=list)

    def request(self, user: Student) -> Response:
        return self.tuition.call(me.handler, user, route="DELETE /api/me")

    def run(self, *, seconds: float = 240, **event: Any) -> dict[str, Any]:
        """Invoke the erase function with this many seconds left, and return its report."""
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: seconds * 1000)
        with permissions.acting_as(erase.handler):
            return erase.handler(event, context)

    def finish(self, user: Student) -> None:
        """Request an erasure, and run until it is done, two hours later."""
        assert self.request(user).status == 202
        self.run()
        self.tuition.advance_time(7200)
        self.run()
        assert self.entries("done") == [f"done/{user.sub}"]

    def entries(self, folder: str) -> list[str]:
        page = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{folder}/")
        return [entry["Key"] for entry in page.get("Contents", [])]


@contextmanager
def running_erasures(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> Iterator[Erasures]:
    """Provide an empty list of erasures, and a pool that remembers its calls."""
    with mock_aws():
        s3 = s3_client()
        s3.create_bucket(Bucket=BUCKET)
        erasures = Erasures(tuition, s3)
        monkeypatch.setattr(erasure_list, "_s3", lambda: s3)
        monkeypatch.setattr(user_pool, "_call", lambda operation, user_id: erasures.pool.append((operation, user_id)))
        yield erasures
        for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
        s3.delete_bucket(Bucket=BUCKET)
