"""Sending the names of tasks: a fault of the queue never ends the run that planned them."""

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tuition.intake import task_queue
from tuition.settings import settings

NAMES = [f"window:reconcile:{number}" for number in range(25)]


class Queue(BaseHTTPRequestHandler):
    """SQS as far as `send` calls it. `answers` has the status of each response; after them, all are 200."""

    answers: list[int]
    received: list[list[str]]
    refused: str = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.received.append(re.findall(r'"MessageBody": ?"([^"]*)"', body))
        status = self.answers.pop(0) if self.answers else 200
        if status == 0:
            self.close_connection = True  # it has taken the messages, and the answer is lost
            return
        failed = f'{{"Id": "0", "Code": "{self.refused}", "SenderFault": false}}' if self.refused else ""
        content = f'{{"Successful": [], "Failed": [{failed}]}}' if status == 200 else '{"__type": "InternalError"}'
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Queue]]:
    handler = type("OwnQueue", (Queue,), {"answers": [], "received": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    values = {"AWS_ENDPOINT_URL_SQS": url, "AWS_DEFAULT_REGION": "eu-central-1"}
    for name, value in {**values, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}.items():
        monkeypatch.setenv(name, value)
    with_queue = replace(settings(), reconcile_queue_url=f"{url}/1/tasks")
    monkeypatch.setattr(task_queue, "settings", lambda: with_queue)
    task_queue._client.cache_clear()
    yield handler
    task_queue._client.cache_clear()
    server.shutdown()
    server.server_close()


def test_without_a_queue_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    without = replace(settings(), reconcile_queue_url="")
    monkeypatch.setattr(task_queue, "settings", lambda: without)
    monkeypatch.setattr(task_queue, "_client", lambda: pytest.fail("there is no queue to call"))
    assert not task_queue.send(NAMES)


def test_every_name_is_sent_once(queue: type[Queue]) -> None:
    assert task_queue.send(NAMES)
    assert [len(batch) for batch in queue.received] == [10, 10, 5]
    assert [name for batch in queue.received for name in batch] == NAMES


@pytest.mark.parametrize("answer", [500, 0], ids=["before its effect", "after its effect"])
def test_a_call_that_fails_once_is_sent_again(queue: type[Queue], answer: int) -> None:
    queue.answers = [answer]
    assert task_queue.send(NAMES)
    assert {name for batch in queue.received for name in batch} == set(NAMES)


def test_a_queue_that_fails_is_asked_no_further(queue: type[Queue]) -> None:
    queue.answers = [200, 500, 500, 500]
    assert not task_queue.send(NAMES)
    assert len(queue.received) == 4


def test_a_message_that_the_queue_refuses_does_not_stop_the_others(queue: type[Queue]) -> None:
    queue.refused = "InternalError"
    assert not task_queue.send(NAMES)
    assert len(queue.received) == 3
