"""The list of erasures, outside the tables: `due/<user>` until an erasure is done, then `done/<user>` with its time.

It is the queue of the erasures. A restore of the tables does not touch it, so it also says what to erase again then.
A run takes the queue in the order of S3's list. One that runs out of time stores its position, and the next one begins
behind it. So however many erasures wait for open money, each one has its turn.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import quote, unquote

from tuition import aws_client
from tuition.log import logger
from tuition.settings import settings

READ_TIMEOUT_S = 5
MAX_PAGES = 1000
"""Pages of 1,000 objects that one run reads. Its time ends long before."""
POSITION = "position"
"""The key of the object that names the user at whom a run stopped."""
Folder = Literal["due", "done"]


@aws_client.failures_as_unavailable("the list of erasures failed")
def put(folder: Folder, user_id: str, values: Mapping[str, Any]) -> None:
    """Store a user's entry, in place of an earlier one."""
    body = json.dumps({"user_id": user_id, **values}).encode()
    _s3().put_object(Bucket=settings().erasures_bucket, Key=_object_key(folder, user_id), Body=body)


@aws_client.failures_as_unavailable("the list of erasures failed")
def read(folder: Folder, user_id: str) -> dict[str, Any]:
    """Return a user's entry, which exists."""
    answer = _s3().get_object(Bucket=settings().erasures_bucket, Key=_object_key(folder, user_id))
    return dict(json.loads(answer["Body"].read()))


@aws_client.failures_as_unavailable("the list of erasures failed")
def remove_due(user_id: str) -> None:
    """Remove the entry of an erasure that is done."""
    _s3().delete_object(Bucket=settings().erasures_bucket, Key=_object_key("due", user_id))


def users(folder: Folder, after: str | None = None) -> Iterator[str]:
    """Yield the users of all entries in the order of S3's list, or those behind the user `after`."""
    start = {"StartAfter": _object_key(folder, after)} if after else {}
    for _ in range(MAX_PAGES):
        page = _page(folder, start)
        for entry in page.get("Contents", ()):
            yield unquote(entry["Key"].removeprefix(f"{folder}/"))
        if not page.get("IsTruncated"):
            return
        start = {"ContinuationToken": page["NextContinuationToken"]}
    logger.error("the list of erasures is longer than one run reads", folder=folder)


def due_from_position() -> Iterator[str]:
    """Yield the users of the queue: those behind the position, then all from the beginning up to it."""
    position = _position()
    yield from users("due", position)
    if position is None:
        return
    for user_id in users("due"):
        if _object_key("due", user_id) > _object_key("due", position):
            return
        yield user_id


@aws_client.failures_as_unavailable("the list of erasures failed")
def _page(folder: Folder, start: Mapping[str, str]) -> dict[str, Any]:
    return dict(_s3().list_objects_v2(Bucket=settings().erasures_bucket, Prefix=f"{folder}/", **start))


@aws_client.failures_as_unavailable("the list of erasures failed")
def _position() -> str | None:
    """Return the user at whom a run has stopped; None if none has yet, or if the object cannot be read as one of ours.

    It only says where to begin, so a run must not depend on it.
    """
    from botocore.exceptions import ClientError

    try:
        answer = _s3().get_object(Bucket=settings().erasures_bucket, Key=POSITION)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        return None
    try:
        return str(json.loads(answer["Body"].read())["user_id"])
    except (ValueError, KeyError, TypeError):
        logger.exception("the position in the list of erasures is damaged, so the run begins at the front")
        return None


@aws_client.failures_as_unavailable("the list of erasures failed")
def put_position(user_id: str) -> None:
    """Store that the next run begins behind this user."""
    body = json.dumps({"user_id": user_id}).encode()
    _s3().put_object(Bucket=settings().erasures_bucket, Key=POSITION, Body=body)


def _object_key(folder: Folder, user_id: str) -> str:
    return f"{folder}/{quote(user_id, safe='')}"


@functools.cache
def _s3() -> Any:
    return aws_client.create("s3", read_timeout_s=READ_TIMEOUT_S)
