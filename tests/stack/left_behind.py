"""Everything that the running stack has stored, logged, sent and archived, compared with the declaration of all data.

The end of the `running` stack checks it, so it covers every test that has used the stack.
"""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from local.outbox import Outbox
from local.stack import Stack
from tests import stored_data
from tests.harness import NAMES
from tuition.core import archive

BUCKETS = ("ExportsBucket", "ArchiveBucket", "DigestBucket", "ErasuresBucket", "FailedRecordsBucket")
LOG_ATTEMPTS = 5
OF_ACCESS_LOG = "request_id"
"""The field that only lines of the API's access log have."""


def problems(stack: Stack) -> list[str]:
    """Return what is wrong with what the stack has left behind."""
    assert stack.deployed is not None
    tables = {name: list(items(stack, stack.deployed.resources[logical])) for logical, name in NAMES.items()}
    wrong = stored_data.problems_of_tables(tables)
    for name, entries in [*_logs(stack), *_files(stack), ("email", _emails(stack))]:
        wrong += stored_data.problems(name, entries)
    return wrong


def _client(stack: Stack, name: str) -> Any:
    assert stack.aws is not None
    return stack.aws.client(name)


def items(stack: Stack, table: str) -> Iterator[dict[str, Any]]:
    """Yield every item of a table."""
    for page in _client(stack, "dynamodb").get_paginator("scan").paginate(TableName=table):
        yield from page["Items"]


def _emails(stack: Stack) -> list[dict[str, Any]]:
    assert stack.aws is not None
    assert stack.deployed is not None
    emails = Outbox(stack.aws, stack.deployed).emails()
    return [{name: value for name, value in email.items() if name != "sent_at"} for email in emails]


def log_lines(stack: Stack, term: str = "", group: str = "") -> Iterator[str]:
    """Yield the log lines with a term, from the log groups whose name contains a text.

    MiniStack answers 500 if a log group appears while it reads them. It returns the oldest lines, without a token for
    more.
    """
    assert stack.aws is not None
    logs = stack.aws.client("logs", attempts=LOG_ATTEMPTS)
    pages = logs.get_paginator("describe_log_groups").paginate()
    names = [one["logGroupName"] for page in pages for one in page["logGroups"]]
    for name in filter(lambda name: group in name, names):
        events: list[Any] = [{"timestamp": 0}]
        while events:
            start = events[-1]["timestamp"] + 1
            events = logs.filter_log_events(logGroupName=name, startTime=start, filterPattern=term)["events"]
            yield from (event["message"] for event in events if term in event["message"])


def _logs(stack: Stack) -> list[tuple[str, list[Any]]]:
    """Return the lines by the log that declares them. A line of Lambda itself is a message of the log."""
    lines = defaultdict[str, list[Any]](list)
    for line in log_lines(stack):
        fields = json.loads(line) if line.startswith("{") else {"message": line}
        lines["access_log" if OF_ACCESS_LOG in fields else "log"].append(fields)
    return list(lines.items())


def _files(stack: Stack) -> Iterator[tuple[str, list[Any]]]:
    """Yield the content of every file in a bucket, with the store that declares it."""
    assert stack.deployed is not None
    s3 = _client(stack, "s3")
    for logical in BUCKETS:
        bucket = stack.deployed.resources[logical]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                body = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
                yield _content(entry["Key"], body)


def _content(key: str, body: bytes) -> tuple[str, list[Any]]:
    folder, name = key.partition("/")[0], key.rpartition("/")[2]
    if folder == "records":
        return "archive_records", archive.lines(body)
    if folder == "final":
        return "archive_final", archive.lines(body)
    if folder == "heads":
        return "heads", archive.lines(body)
    if folder == "hours" and name.endswith(".json"):
        return "digests", [json.loads(body)]
    if folder in ("due", "done", "position"):
        return "erasures", [json.loads(body)]
    if folder == "personal":
        return "personal_files", [json.loads(body)]
    if name == "state.json":
        return "exports", [json.loads(body)]
    if name.endswith(".csv") and name != "rest.csv":
        rows = csv.DictReader(io.StringIO(body.decode("utf-8-sig")))
        stores = {"payments.csv": "export_files", "plans.csv": "plan_files"}
        return stores.get(name, "statement_files"), list(rows)
    if folder in ("hours", "keys", "roots"):  # signatures, public keys, and a hash of each day
        return "digests", []
    return "failed_records", [{"record": body.decode("utf-8", "replace")}]
