"""Record what AWS and Stripe answer to the installer, and replay it as a small model of both.

A recording is a list of versions of the world. Each write makes a new version, and so does a read whose answer changed
without one (a deployment that progresses, a webhook that arrives). After each version the recorder repeats every read
that it knows, so that the replay can answer a run that was stopped anywhere. A replayed write must be the next recorded
one: a resumed run that writes twice, or something else, fails. Objects in S3 are kept as they are put.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import stripe
from botocore.exceptions import ClientError

from installer.world import World

READS = ("describe_", "get_", "list_", "head_", "admin_list_")
REPLACED = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"\b([0-9a-f]{64}|[0-9a-f]{32})\b"), "<hash>"),
    (re.compile(r"whsec_\w+"), "whsec_recorded"),
    (re.compile(r"\btuition-[0-9a-f]{16}\b"), "<change set>"),
)
OBJECTS = {"put_object", "head_object", "get_object", "delete_object", "delete_objects", "list_objects_v2"}
UPLOADED_AT = datetime(2026, 11, 29, tzinfo=UTC)
REPEATABLE = (
    *("lambda invoke", "sns create_topic", "iam create_role", "s3 create_bucket", "cloudformation create_change_set"),
    *("cloudformation update_termination_protection",),
)
"""Writes that a resumed run may repeat at once, because the service or the installer makes them idempotent."""
FILE = Path(__file__).parent / "install_recording.json"


class Stopped(Exception):
    """The process was stopped before a call."""


class Unseen(Exception):
    """The recorded run made this read only after a later write, so that its answer here is unknown."""


def is_read(operation: str) -> bool:
    return operation.startswith((*READS, "get"))


def key_of(*parts: Any) -> str:
    """Return the name of a call, without what is chosen at random."""
    text = json.dumps(
        parts, sort_keys=True, default=lambda value: "<bytes>" if isinstance(value, bytes) else str(value)
    )
    for pattern, replacement in REPLACED:
        text = pattern.sub(replacement, text)
    return " ".join(map(str, parts[:2])) + " " + text


def plain(value: Any) -> Any:
    """Return a response as JSON."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items() if k != "ResponseMetadata"}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return {"bytes": value.decode()}
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def lively(value: Any) -> Any:
    """Return the response that :func:`plain` made JSON of."""
    if isinstance(value, dict):
        return value["bytes"].encode() if set(value) == {"bytes"} else {k: lively(v) for k, v in value.items()}
    return [lively(item) for item in value] if isinstance(value, list) else value


class RecordingWorld(World):
    """The real world, with a record of everything that it answered. It also lists the AWS calls for the rights."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.transitions: list[tuple[str, str]] = []
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        self.readers: dict[str, Any] = {}
        self.calls: set[tuple[str, str]] = set()

    def call(self, service: str, region: str, operation: str, params: Mapping[str, Any]) -> Any:
        self.calls.add((service, operation))
        if operation in OBJECTS or operation in ("get_template", "delete_change_set"):
            return super().call(service, region, operation, params)
        perform = super().call
        return self._record(
            is_read(operation), key_of(service, operation, params), lambda: perform(service, region, operation, params)
        )

    def stripe(self, key: str, method: str, path: str, **params: Any) -> dict[str, Any]:
        perform = super().stripe
        name = key_of("stripe", method, path, params)
        return self._record(method == "get", name, lambda: perform(key, method, path, **params))

    def get(self, url: str) -> int:
        perform = super().get
        return int(self._record(True, key_of("http", "get", url), lambda: perform(url)))

    def _record(self, read: bool, key: str, perform: Any) -> Any:
        result, error = self._perform(perform)
        if read:
            self.readers[key] = perform
            entries = self.answers.get(key)
            if entries and entries[-1][1] != self._entry(result, error):
                self._next("poll", key)
            self._note(key, self._entry(result, error))
        elif error is None:
            self._next("write", key)
            self.answers.setdefault(key, []).append((len(self.transitions), self._entry(result, None)))
        if error is not None:
            raise error
        return result

    def _next(self, kind: str, key: str) -> None:
        self.transitions.append((kind, key))
        for name, reader in list(self.readers.items()):
            self._note(name, self._entry(*self._perform(reader)))

    def _note(self, key: str, entry: Any) -> None:
        entries = self.answers.setdefault(key, [])
        if not entries or entries[-1][1] != entry:
            entries.append((len(self.transitions), entry))

    @staticmethod
    def _perform(perform: Any) -> tuple[Any, Exception | None]:
        try:
            return perform(), None
        except (ClientError, stripe.StripeError) as error:
            return None, error

    @staticmethod
    def _entry(result: Any, error: Exception | None) -> Any:
        if isinstance(error, ClientError):
            return {"error": error.response["Error"], "operation": error.operation_name}
        if error is not None:
            return {"stripe_error": type(error).__name__}
        return {"result": plain(result)}

    def save(self, answers: Mapping[str, str], architecture: str, file: Path = FILE) -> None:
        recording = {"answers": answers, "transitions": self.transitions, "calls": self.answers}
        recording |= {"aws": self.aws_endpoint_url, "stripe": self.stripe_api_base, "architecture": architecture}
        text = re.sub(r"whsec_\w+", "whsec_recorded", json.dumps(recording, indent=0, sort_keys=True))
        file.write_text(text + "\n", encoding="utf-8")


class Account:
    """The replayed account, which outlives the runs of the installer."""

    def __init__(self, recording: Mapping[str, Any]) -> None:
        self.transitions = recording["transitions"]
        self.calls = recording["calls"]
        self.aws, self.stripe = recording["aws"], recording["stripe"]
        self.version = 0
        self.objects: dict[tuple[str, str], bytes] = {}
        self.pending: dict[str, str] = {}
        self.templates: dict[str, str] = {}
        self.last_write = ""

    def answer(self, read: bool, key: str) -> Any:
        entries = self.calls.get(key)
        if not read:
            self._write(key)
        assert entries is not None, f"the recording has no {key}"
        before = [entry for version, entry in entries if version <= self.version]
        if not before:
            raise Unseen(key)
        entry = before[-1]
        if read and self.version < len(self.transitions) and self.transitions[self.version] == ["poll", key]:
            self.version += 1
        if "error" in entry:
            raise ClientError({"Error": entry["error"]}, entry["operation"])
        if "stripe_error" in entry:
            raise getattr(stripe, entry["stripe_error"])("recorded", None)
        return lively(entry["result"])

    def _write(self, key: str) -> None:
        if key == self.last_write and key.startswith(REPEATABLE):
            return
        position = self.version
        while position < len(self.transitions) and self.transitions[position][0] == "poll":
            position += 1
        expected = self.transitions[position][1] if position < len(self.transitions) else "nothing more"
        assert expected == key, f"wrote {key}, and the recorded run wrote {expected}"
        self.version = position + 1
        self.last_write = key


class ReplayWorld(World):
    """The world of one run against a replayed account. It stops before the call with the number `stop_before`."""

    def __init__(self, account: Account, stop_before: int | None = None) -> None:
        super().__init__("", account.aws, account.stripe)
        self.account = account
        self.stop_before = stop_before
        self.call_count = 0
        self.lines: list[str] = []

    def _count(self) -> None:
        if self.call_count == self.stop_before:
            raise Stopped
        self.call_count += 1

    def call(self, service: str, region: str, operation: str, params: Mapping[str, Any]) -> Any:
        self._count()
        if operation in OBJECTS:
            return self._object(operation, params)
        if operation == "delete_change_set":
            raise ClientError({"Error": {"Code": "ChangeSetNotFound"}}, "DeleteChangeSet")
        if operation == "get_template":
            return {"TemplateBody": self.account.templates[params["StackName"]]}
        result = self.account.answer(is_read(operation), key_of(service, operation, params))
        if operation == "create_change_set":
            self.account.pending[params["StackName"]] = params["TemplateURL"].rpartition("/")[2]
        elif operation == "execute_change_set":
            stack = params["StackName"]
            bodies = {key: body for (_, key), body in self.account.objects.items()}
            self.account.templates[stack] = bodies[self.account.pending[stack]].decode()
        return result

    def _object(self, operation: str, params: Mapping[str, Any]) -> Any:
        objects = self.account.objects
        place = (params["Bucket"], params.get("Key", ""))
        if operation == "put_object":
            if params.get("IfNoneMatch") == "*" and place in objects:
                raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")
            objects[place] = params["Body"]
        elif operation in ("head_object", "get_object"):
            if place not in objects:
                raise ClientError({"Error": {"Code": "404"}}, operation)
            return {"Body": objects[place]}
        elif operation == "delete_object":
            objects.pop(place, None)
        elif operation == "list_objects_v2":
            listed = [
                {"Key": key, "ETag": hashlib.md5(body, usedforsecurity=False).hexdigest(), "LastModified": UPLOADED_AT}
                for (bucket, key), body in objects.items()
                if bucket == params["Bucket"]
            ]
            return {"Contents": listed}
        return {}

    def stripe(self, key: str, method: str, path: str, **params: Any) -> dict[str, Any]:
        self._count()
        return dict(self.account.answer(method == "get", key_of("stripe", method, path, params)))

    def get(self, url: str) -> int:
        self._count()
        return int(self.account.answer(True, key_of("http", "get", url)))

    def sleep(self, seconds: float) -> None:
        pass

    def say(self, text: str) -> None:
        self.lines.append(text)

    def ask(self, text: str, *, secret: bool = False) -> str:
        raise AssertionError(f"the run asks: {text}")
