"""An archive bucket in memory, in place of S3."""

import base64
import hashlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tuition.core import archive as core_archive
from tuition.outbox import archive

UNAVAILABLE = {"Error": {"Code": "ServiceUnavailable", "Message": "try again"}}


class ArchiveBucket:
    """It keeps every put with its parameters. `refuses` says which objects it does not take.

    With `loses_answer` it takes an object, and the caller learns nothing of it.
    """

    def __init__(self) -> None:
        self.puts: list[dict[str, Any]] = []
        self.refuses: Callable[[str], bool] = lambda object_key: False
        self.loses_answer = False

    def put_object(self, **params: Any) -> dict[str, Any]:
        if self.refuses(params["Key"]):
            raise ClientError(UNAVAILABLE, "PutObject")  # type: ignore[arg-type]
        assert params["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(params["Body"]).digest()).decode()
        self.puts.append(params)
        if self.loses_answer:
            raise ClientError(UNAVAILABLE, "PutObject")  # type: ignore[arg-type]
        return {"VersionId": str(len(self.puts))}

    def list_objects_v2(
        self, Bucket: str, Prefix: str, ContinuationToken: str = "0", MaxKeys: int = 2
    ) -> dict[str, Any]:
        """Return pages of two objects."""
        names = sorted({put["Key"] for put in self.puts if put["Key"].startswith(Prefix)})
        first = int(ContinuationToken)
        page = {"Contents": [{"Key": name} for name in names[first : first + 2]], "IsTruncated": first + 2 < len(names)}
        return page | {"NextContinuationToken": str(first + 2)}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        """Return the newest version of an object."""
        (*_, newest) = (put["Body"] for put in self.puts if put["Key"] == Key)
        return {"Body": BytesIO(newest)}

    def lines(self, folder: str) -> list[dict[str, Any]]:
        """Return the lines of the objects of a folder, in the order in which they were written."""
        return [line for put in self.puts if put["Key"].startswith(folder) for line in core_archive.lines(put["Body"])]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The audit records of all objects."""
        return self.lines("records/")

    @property
    def final_forms(self) -> list[dict[str, Any]]:
        """The final forms of all objects."""
        return self.lines("final/")


def connect(monkeypatch: pytest.MonkeyPatch) -> ArchiveBucket:
    """Return a new bucket to which the archive is written from now on."""
    bucket = ArchiveBucket()
    monkeypatch.setattr(archive, "_client", lambda: bucket)
    return bucket
