"""An event bus in memory, in place of EventBridge."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tuition.outbox import analytics_queue, publish

THROTTLED = {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}


class EventBus:
    """It keeps every entry that it takes. `refuses` says which it does not, `down` that it answers no call."""

    def __init__(self) -> None:
        self.calls: list[list[dict[str, Any]]] = []
        self.entries: list[dict[str, Any]] = []
        self.refuses: Callable[[dict[str, Any]], bool] = lambda detail: False
        self.down = False
        self.loses_answer = False

    @property
    def details(self) -> list[dict[str, Any]]:
        """The details of the entries, in the order in which they came."""
        return [json.loads(entry["Detail"]) for entry in self.entries]

    @property
    def ids(self) -> list[str]:
        """The ids of the events, in the order in which they came."""
        return [detail["id"] for detail in self.details]

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        if self.down:
            raise ClientError(THROTTLED, "PutEvents")  # type: ignore[arg-type]
        self.calls.append(Entries)
        refused = [self.refuses(json.loads(entry["Detail"])) for entry in Entries]
        self.entries += [entry for entry, is_refused in zip(Entries, refused, strict=True) if not is_refused]
        if self.loses_answer:
            raise ClientError(THROTTLED, "PutEvents")  # type: ignore[arg-type]
        results = [{"ErrorCode": "ThrottlingException"} if one else {"EventId": "1"} for one in refused]
        return {"FailedEntryCount": sum(refused), "Entries": results}


class Queue:
    """The queue of analytics in memory. `refuses` names the subjects of which it takes no message."""

    def __init__(self) -> None:
        self.calls: list[list[dict[str, Any]]] = []
        self.messages: list[dict[str, Any]] = []
        self.refuses: set[str] = set()
        self.down = False

    @property
    def subjects(self) -> list[str]:
        """The subjects of the messages, in the order in which they came."""
        return [json.loads(message["MessageBody"])["subject"] for message in self.messages]

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        if self.down:
            raise ClientError(THROTTLED, "SendMessageBatch")  # type: ignore[arg-type]
        self.calls.append(Entries)
        refused = [one for one in Entries if json.loads(one["MessageBody"])["subject"] in self.refuses]
        self.messages += [one for one in Entries if one not in refused]
        return {"Failed": [{"Id": one["Id"], "Code": "InternalError"} for one in refused]}


def connect(monkeypatch: pytest.MonkeyPatch) -> EventBus:
    """Return a bus that gets what is published from now on. `connect_queue` replaces the queue beside it."""
    bus = EventBus()
    monkeypatch.setattr(publish, "_client", lambda: bus)
    connect_queue(monkeypatch)
    return bus


def connect_queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    """Return a queue of analytics that gets the records that are published from now on."""
    queue = Queue()
    monkeypatch.setattr(analytics_queue, "_client", lambda: queue)
    return queue
