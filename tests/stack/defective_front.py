"""A front of the running stack that plants a defect into the answers of one operation.

The checks of the stack tests are pointed at it in place of the stack, and must report the defect.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from tests.stack.conftest import WAIT_S, Running

Answer = tuple[int, str, bytes]
"""A status, a media type, and a body."""
Defect = Callable[[Answer], Answer]
DROPPED = {"content-length", "content-type", "connection", "date", "server", "transfer-encoding"}


class _Front(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, api: str, method: str, path: str, defect: Defect) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.http = httpx.Client(base_url=api, timeout=WAIT_S)
        self.operation = (method, path)
        self.defect = defect
        self.planted = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: _Front

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        response = self.server.http.request(self.command, self.path, headers=headers, content=body)
        answer = (response.status_code, response.headers.get("content-type", ""), response.content)
        if (self.command, self.path.partition("?")[0]) == self.server.operation:
            answer = self.server.defect(answer)
            self.server.planted += 1
        status, media_type, content = answer
        self.send_response(status)
        for name, value in response.headers.items():
            if name.lower() not in DROPPED:
                self.send_header(name, value)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815  # http.server's method names

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


@contextlib.contextmanager
def planted(running: Running, method: str, path: str, defect: Defect) -> Iterator[Running]:
    """Yield the stack behind a front that passes each answer of one operation through `defect`.

    Fails if nothing has called the operation.
    """
    front = _Front(running.ready["api"], method, path, defect)
    thread = threading.Thread(target=front.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    behind = Running(running.stack, {**running.ready, "api": front.url}, running.calls)
    try:
        yield behind
        assert front.planted > 0, f"nothing has called {method} {path}"
    finally:
        front.shutdown()
        thread.join()
        front.server_close()
        front.http.close()
        behind.http.close()
