"""The front on port 8000: the API as the gateway would serve it, the web pages, and two doors of its own.

``/api/...`` goes to the emulated gateway byte for byte, path and body alike. ``POST /_local/token`` signs
anybody in and ``GET /_local/outbox`` shows the e-mails sent, so it listens on loopback only and answers only
requests that name this machine as their host (a page from elsewhere cannot be rebound to it). Browsers tell
``POST /_local/csp`` what the pages' policy has stopped, and ``GET`` lists it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local.site import Site, content_type

BODY_LIMIT = 6 * 1024 * 1024
"""Bytes that a synchronous call of a Lambda function takes; MiniStack would take more."""
DISCARD_LIMIT = 10 * BODY_LIMIT
GATEWAY_SECONDS = 60
"""The real gateway gives 30; here a function's first call unpacks its layer, one worker after the other."""
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "host", "expect"}
)
OWN_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})

Token = Callable[[Any], str]


class TooLarge(Exception):
    """A body over :data:`BODY_LIMIT`."""


class Front(ThreadingHTTPServer):
    """The server. It accepts at once; what it needs to answer is given to :meth:`open`."""

    daemon_threads = True
    request_queue_size = 256
    aws_port = 0
    api_path = ""
    token: Token | None = None

    site: Site

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.csp_reports: deque[Any] = deque(maxlen=100)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def open(self, aws_port: int, api_path: str, token: Token, site: Site) -> None:
        """Begin to serve: the gateway's port, the API's path on it, who makes tokens, and the web pages."""
        self.site = site
        self.aws_port = aws_port
        self.api_path = api_path
        self.token = token
        self._thread.start()

    def close(self) -> None:
        """Stop listening; requests under way are dropped."""
        if self._thread.is_alive():
            self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Front
    protocol_version = "HTTP/1.1"
    server_version = "tuition-local"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1

    def handle(self) -> None:
        """Every request of a connection; a client that goes away is no error of ours."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def _handle(self) -> None:
        """Every method: by path to the gateway, to one of our own doors, or to the web pages."""
        path = self.path.partition("?")[0]
        try:
            body = self._body()
        except TooLarge:
            self.close_connection = True
            self._answer_json(413, {"message": "Request Entity Too Large"})
            return
        except ValueError:
            self.close_connection = True
            self._answer_json(400, {"message": "Bad Request"})
            return
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host not in OWN_HOSTS:
            self._answer_json(421, {"message": "This server is for this machine only"})
        elif path == "/api" or path.startswith("/api/"):
            self._gateway(body)
        elif path == "/_local/token" and self.command == "POST":
            self._token(body)
        elif path == "/_local/outbox" and self.command == "GET":
            self._upstream("/_ministack/ses/messages", b"", {})
        elif path == "/_local/csp":
            self._csp(body)
        elif self.command in ("GET", "HEAD"):
            self._page(path)
        else:
            self._answer_json(404, {"message": "Not Found"})

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _handle

    def _body(self) -> bytes:
        """The whole body, sent with a length or in chunks."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunks()
        length = int(self.headers.get("Content-Length") or 0)
        if length < 0:
            raise ValueError("negative length")
        if length > BODY_LIMIT:
            self._discard(length)
            raise TooLarge
        return self.rfile.read(length)

    def _discard(self, length: int) -> None:
        """Read on without keeping it, within reason: most clients look for an answer only when they have sent."""
        left = min(length, DISCARD_LIMIT)
        while left > 0 and (part := self.rfile.read(min(left, 1 << 20))):
            left -= len(part)

    def _chunks(self) -> bytes:
        body = bytearray()
        while size := int(self.rfile.readline(1024).partition(b";")[0], 16):
            if len(body) + size > BODY_LIMIT:
                self._discard(size)
                raise TooLarge
            body += self.rfile.read(size)
            self.rfile.readline(3)
        while self.rfile.readline(8192).strip():
            pass  # trailers
        return bytes(body)

    def _gateway(self, body: bytes) -> None:
        """To the API, with the headers that API Gateway adds."""
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        headers |= {
            "X-Forwarded-For": self.client_address[0],
            "X-Forwarded-Port": str(self.server.server_address[1]),
            "X-Forwarded-Proto": "http",
        }
        self._upstream(self.server.api_path + self.path, body, headers)

    def _upstream(self, target: str, body: bytes, headers: dict[str, str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.aws_port, timeout=GATEWAY_SECONDS)
        try:
            connection.putrequest(self.command, target, skip_accept_encoding=True)
            for name, value in headers.items():
                if name.lower() != "content-length":
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._answer_json(503, {"message": "Service Unavailable"})
            return
        finally:
            connection.close()
        dropped = HOP_BY_HOP | {"content-length", "date", "server"}
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in dropped]
        self._answer(answer.status, kept, content)

    def _token(self, body: bytes) -> None:
        if self.server.token is None:
            self._answer_json(503, {"message": "Not started yet"})
            return
        try:
            token = self.server.token(json.loads(body or b"null"))
        except (ValueError, RecursionError) as error:
            self._answer_json(400, {"message": str(error)})
            return
        self._answer_json(200, {"token": token})

    def _csp(self, body: bytes) -> None:
        """What a browser reports that the policy stopped; GET lists it."""
        if self.command == "POST":
            with contextlib.suppress(ValueError, RecursionError):  # a browser hears of nothing anyway
                self.server.csp_reports.append(json.loads(body))
            self._answer(204, [], b"")
        else:
            self._answer_json(200, list(self.server.csp_reports))

    def _page(self, path: str) -> None:
        """A file of the web pages; `config.json` is made for this machine."""
        site = self.server.site
        always = [*site.headers(), ("Cache-Control", "no-store")]
        if path == "/config.json":
            self._answer(200, [*always, ("Content-Type", "application/json")], json.dumps(site.config).encode())
            return
        if site.is_folder(path):
            self._answer(301, [*always, ("Location", f"{path}/")], b"")
            return
        file = site.file(path)
        if file is None:
            self._answer_json(404, {"message": "Not Found"})
            return
        self._answer(200, [*always, ("Content-Type", content_type(file))], file.read_bytes())

    def _answer_json(self, status: int, value: Any) -> None:
        self._answer(status, [("Content-Type", "application/json")], json.dumps(value).encode())

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # the name is the base class's
        """Nothing: the functions' logs say what happened."""
