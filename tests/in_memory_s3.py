"""Versioned S3 buckets in memory, in place of moto, which takes about a hundred times as long per call.

`tests/unit/test_digests.py` compares the answers with moto's.
"""

import base64
import hashlib
import uuid
from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from typing import Any, NamedTuple

from botocore.exceptions import ClientError
from botocore.response import StreamingBody

PAGE = 1_000
"""Keys or versions that a list has at most."""


class Version(NamedTuple):
    """A version of an object."""

    version_id: str
    stored_at: datetime
    body: bytes


class InMemoryS3:
    """Every bucket exists, and has versions. `now` is the time at which an object is stored."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._buckets: dict[str, dict[str, list[Version]]] = {}

    def _objects(self, bucket: str) -> dict[str, list[Version]]:
        """Return the versions of each key of a bucket, oldest first."""
        return self._buckets.setdefault(bucket, {})

    def put_object(
        self, Bucket: str, Key: str, Body: bytes, IfNoneMatch: str = "", ChecksumSHA256: str = "", **_: Any
    ) -> dict[str, Any]:
        """Store a version, unless the content is corrupted or `IfNoneMatch` is `*` and the key has one."""
        versions = self._objects(Bucket).get(Key, [])
        if IfNoneMatch and versions:
            raise _error("PreconditionFailed", "PutObject")
        if ChecksumSHA256 and ChecksumSHA256 != base64.b64encode(hashlib.sha256(Body).digest()).decode():
            raise _error("BadDigest", "PutObject")
        version = Version(str(uuid.uuid4()), self._now().replace(microsecond=0), bytes(Body))
        self._objects(Bucket)[Key] = [*versions, version]
        return {"VersionId": version.version_id}

    def get_object(self, Bucket: str, Key: str, VersionId: str = "") -> dict[str, Any]:
        """Return the newest version of an object, or the one with this id."""
        versions = self._objects(Bucket).get(Key, [])
        if not versions and not VersionId:
            raise _error("NoSuchKey", "GetObject")
        chosen = [version for version in versions if VersionId in ("", version.version_id)]
        if not chosen:
            raise _error("NoSuchVersion", "GetObject")
        body = chosen[-1].body
        return {"Body": StreamingBody(BytesIO(body), len(body)), "VersionId": chosen[-1].version_id}

    def delete_object(self, Bucket: str, Key: str, VersionId: str) -> None:
        """Delete a version, if there is one. There are no delete markers, because each test names the version."""
        objects = self._objects(Bucket)
        kept = [version for version in objects.pop(Key, []) if version.version_id != VersionId]
        if kept:
            objects[Key] = kept

    def list_objects_v2(
        self, Bucket: str, Prefix: str = "", ContinuationToken: str = "", MaxKeys: int = PAGE
    ) -> dict[str, Any]:
        """List the keys in their order. A continuation token is the last key of the page before."""
        keys = sorted(key for key in list(self._objects(Bucket)) if key.startswith(Prefix) and key > ContinuationToken)
        page: dict[str, Any] = {"IsTruncated": len(keys) > MaxKeys}
        if keys[:MaxKeys]:
            page["Contents"] = [{"Key": key} for key in keys[:MaxKeys]]
        if page["IsTruncated"]:
            page["NextContinuationToken"] = keys[MaxKeys - 1]
        return page

    def list_object_versions(
        self, Bucket: str, Prefix: str = "", KeyMarker: str = "", VersionIdMarker: str = "", MaxKeys: int = PAGE
    ) -> dict[str, Any]:
        """List the versions in the order of their keys, of each key the newest first."""
        versions = []
        for key, stored in sorted(self._objects(Bucket).items()):
            if not key.startswith(Prefix) or key < KeyMarker or (key == KeyMarker and not VersionIdMarker):
                continue
            entries = [
                {"Key": key, "VersionId": version_id, "Size": len(body), "LastModified": stored_at}
                for version_id, stored_at, body in reversed(stored)
            ]
            if key == KeyMarker:
                ids = [entry["VersionId"] for entry in entries]
                entries = entries[ids.index(VersionIdMarker) + 1 :]
            versions += entries
        page: dict[str, Any] = {"IsTruncated": len(versions) > MaxKeys}
        if versions[:MaxKeys]:
            page["Versions"] = versions[:MaxKeys]
        if page["IsTruncated"]:
            last = versions[MaxKeys - 1]
            page |= {"NextKeyMarker": last["Key"], "NextVersionIdMarker": last["VersionId"]}
        return page


def _error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, operation)
