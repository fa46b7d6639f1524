"""The web server on port 8000: the API, the web pages, and the paths under ``/_local``.

It forwards ``/api/...`` to the emulated gateway as CloudFront does: without the path's final slash, which no route of
the gateway has, and with the body unchanged. The OpenAPI document is a file of the pages. ``POST /_local/token`` issues
a token for any person, so the server listens on loopback only and accepts only requests whose Host header names this
machine, which stops DNS rebinding. Browsers report violations of the content security policy to ``POST /_local/csp``;
``GET`` lists them. ``GET /_local/outbox`` shows the emails that
were sent, as JSON for a client that accepts it.

Pages are compressed and cached as CloudFront does it, so that a measured load is like one in production.
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

from local import outbox
from local.outbox import Outbox
from local.pages import Site
from local.web_files import ASSETS, WebFile, modification_times

BODY_LIMIT = 6 * 1024 * 1024
"""The most bytes that a synchronous Lambda invocation accepts. MiniStack would accept more."""
DISCARD_LIMIT = 10 * BODY_LIMIT
GATEWAY_SECONDS = 60
"""The real gateway's limit is 30 s. MiniStack needs longer: each worker unpacks the layer at its first call."""
OPENAPI = "/api/openapi.json"
"""A file of the pages, as in web.yaml. Everything else under ``/api/`` is the gateway's."""
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "host", "expect"}
)
OWN_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})

IssueToken = Callable[[Any], str]
"""Turns the body of ``POST /_local/token`` into a token."""


def without_final_slash(target: str) -> str:
    """Return a request's path and query as web.yaml's function ``ApiPaths`` leaves them."""
    path, mark, query = target.partition("?")
    return path.removesuffix("/") + mark + query


class TooLarge(Exception):
    """A body over :data:`BODY_LIMIT`."""


class WebServer(ThreadingHTTPServer):
    """The server. It binds its port at once, and serves requests from :meth:`open` on."""

    daemon_threads = True
    request_queue_size = 256
    aws_port = 0
    api_path = ""
    issue_token: IssueToken | None = None
    outbox: Outbox | None = None

    site: Site

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.csp_reports: deque[Any] = deque(maxlen=100)
        self._files: tuple[object, dict[str, WebFile]] = (None, {})
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    @property
    def url(self) -> str:
        """The server's base URL."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def open(self, aws_port: int, api_path: str, issue_token: IssueToken, site: Site) -> None:
        """Start serving the API (behind ``aws_port`` and ``api_path``), tokens, and the pages of ``site``."""
        self.site = site
        self.aws_port = aws_port
        self.api_path = api_path
        self.issue_token = issue_token
        self._thread.start()

    def file(self, path: str) -> WebFile | None:
        """Return a file of the pages. An edited file is read again at the next request that is not for an asset."""
        _, files = self._files
        if not path.startswith(ASSETS):
            state = (self.site, modification_times(self.site.root))
            if self._files[0] != state:
                self._files = (state, self.site.files())
            _, files = self._files
        return files.get(path)

    def close(self) -> None:
        """Stop listening, and drop the requests in progress."""
        if self._thread.is_alive():
            self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: WebServer
    protocol_version = "HTTP/1.1"
    server_version = "tuition-local"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1

    def handle(self) -> None:
        """Serve the requests of a connection. Ignore a client that disconnects."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def _handle(self) -> None:
        """Route a request of any method: to the gateway, to ``/_local``, or to the web pages."""
        path = self.path.partition("?")[0]
        try:
            body = self._body()
        except TooLarge:
            self.close_connection = True
            self._send_json(413, {"message": "Request Entity Too Large"})
            return
        except ValueError:
            self.close_connection = True
            self._send_json(400, {"message": "Bad Request"})
            return
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host not in OWN_HOSTS:
            self._send_json(421, {"message": "This server only accepts requests for this machine"})
        elif path == OPENAPI and self.command in ("GET", "HEAD"):
            self._page(path)
        elif path == "/api" or path.startswith("/api/"):
            self._forward(body)
        elif path == "/_local/token" and self.command == "POST":
            self._token(body)
        elif path == "/_local/csp":
            self._csp(body)
        elif path == "/_local/outbox" and self.command in ("GET", "HEAD"):
            self._outbox()
        elif self.command in ("GET", "HEAD"):
            self._page(path)
        else:
            self._send_json(404, {"message": "Not Found"})

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _handle

    def _body(self) -> bytes:
        """Read the whole body, whether sent with a length or in chunks."""
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
        """Read and drop up to :data:`DISCARD_LIMIT` bytes: most clients read no response until they have sent all."""
        remaining = min(length, DISCARD_LIMIT)
        while remaining > 0 and (part := self.rfile.read(min(remaining, 1 << 20))):
            remaining -= len(part)

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

    def _forward(self, body: bytes) -> None:
        """Forward a request to the API, with the headers that API Gateway adds."""
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        headers |= {
            "X-Forwarded-For": self.client_address[0],
            "X-Forwarded-Port": str(self.server.server_address[1]),
            "X-Forwarded-Proto": "http",
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.server.aws_port, timeout=GATEWAY_SECONDS)
        target = self.server.api_path + without_final_slash(self.path)
        try:
            connection.putrequest(self.command, target, skip_accept_encoding=True)
            for name, value in headers.items():
                if name.lower() != "content-length":
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self._send_json(503, {"message": "Service Unavailable"})
            return
        finally:
            connection.close()
        dropped = HOP_BY_HOP | {"content-length", "date", "server"}
        passed = [(name, value) for name, value in response.getheaders() if name.lower() not in dropped]
        self._send(response.status, passed, content)

    def _token(self, body: bytes) -> None:
        if self.server.issue_token is None:
            self._send_json(503, {"message": "Not started yet"})
            return
        try:
            token = self.server.issue_token(json.loads(body or b"null"))
        except (ValueError, RecursionError) as error:
            self._send_json(400, {"message": str(error)})
            return
        self._send_json(200, {"token": token})

    def _csp(self, body: bytes) -> None:
        """Store a browser's report of a policy violation; list the reports on GET."""
        if self.command == "POST":
            with contextlib.suppress(ValueError, RecursionError):  # browsers ignore the response to a report
                self.server.csp_reports.append(json.loads(body))
            self._send(204, [], b"")
        else:
            self._send_json(200, list(self.server.csp_reports))

    def _outbox(self) -> None:
        """Send the emails that were sent: as JSON if the client asks for it, else as a page."""
        if self.server.outbox is None:
            self._send_json(503, {"message": "Not started yet"})
            return
        emails = self.server.outbox.emails()
        if "application/json" in self.headers.get("Accept", ""):
            self._send_json(200, {"emails": emails})
        else:
            self._send(200, outbox.HEADERS, outbox.page(emails).encode())

    def _page(self, path: str) -> None:
        """Send a file of the web pages, compressed and with the cache headers that it has in production."""
        common = self.server.site.headers()
        name = f"{path}index.html".lstrip("/") if path.endswith("/") else path.lstrip("/")
        file = self.server.file(name)
        if file is None and self.server.file(f"{name}/index.html"):
            self._send(301, [*common, ("Location", f"{path}/")], b"")
            return
        if file is None:
            self._send_json(404, {"message": "Not Found"})
            return
        headers = [*common, ("Cache-Control", file.cache_control), ("ETag", file.etag), ("Vary", "Accept-Encoding")]
        if self.headers.get("If-None-Match") == file.etag:
            self._send(304, headers, b"")
            return
        content = file.content
        if file.compressed is not None and "gzip" in self.headers.get("Accept-Encoding", ""):
            headers.append(("Content-Encoding", "gzip"))
            content = file.compressed
        self._send(200, [*headers, ("Content-Type", file.media_type)], content)

    def _send_json(self, status: int, value: Any) -> None:
        self._send(status, [("Content-Type", "application/json")], json.dumps(value).encode())

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            if status != 304:
                self.send_header("Content-Length", str(len(content)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the functions log their requests."""
