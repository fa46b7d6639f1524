"""The HTTP/1.1 of the tests' own DynamoDB client: one connection per thread to a server on loopback.

urllib3 and http.client take half of the processor time of a call to DynamoDB Local, most of it for what a server on
loopback does not need: pools, proxies, redirects, decoding, and headers parsed as an email. botocore still validates
and serializes each request, parses each response, and retries. Tuition's own client uses urllib3 in the tests of
`tests/chaos`, `tests/runtime` and `tests/stack`, and in `tests/unit/test_dynamodb_client.py`.
"""

import select
import socket
import threading
from types import SimpleNamespace
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

TIMEOUT_S = 60
"""The read timeout that botocore has by default."""


class LocalHTTP:
    """Sends botocore's requests to one address, as a handler of its event `before-send`."""

    def __init__(self, url: str) -> None:
        self._url = url
        address = urlsplit(url)
        self._address = (address.hostname or "127.0.0.1", address.port or 80)
        self._kept = threading.local()

    def send(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        """Send a request and return its response. botocore retries these errors as it retries those of urllib3."""
        connection: socket.socket | None = None
        try:
            connection, reader = self._connection()
            connection.sendall(self._encode(request))
            status, headers, body = _read_response(reader)
        except TimeoutError as error:
            self._close(connection)
            raise ReadTimeoutError(endpoint_url=self._url, error=error) from error
        except OSError as error:
            self._close(connection)
            failure = ConnectionClosedError if connection else EndpointConnectionError
            raise failure(endpoint_url=self._url, error=error) from error
        if headers.get("connection", "").lower() == "close":
            self._close(connection)
        raw: Any = SimpleNamespace(stream=lambda *_, **__: [body])
        return AWSResponse(request.url, status, headers, raw)

    def _connection(self) -> tuple[socket.socket, BinaryIO]:
        """Return this thread's connection, or a new one if it has none or the server has closed it."""
        kept: tuple[socket.socket, BinaryIO, select.poll] | None = getattr(self._kept, "connection", None)
        if kept is not None:
            if not kept[2].poll(0):
                return kept[:2]
            self._close(kept[0])
        connection = socket.create_connection(self._address, TIMEOUT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        readable = select.poll()
        readable.register(connection, select.POLLIN)
        self._kept.connection = connection, connection.makefile("rb"), readable
        return self._kept.connection[:2]  # type: ignore[no-any-return]

    def _close(self, connection: socket.socket | None) -> None:
        if connection is not None:
            connection.close()
        self._kept.connection = None

    def _encode(self, request: AWSPreparedRequest) -> bytes:
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        lines = [f"{request.method} / HTTP/1.1", f"Host: {self._address[0]}:{self._address[1]}"]
        for name, value in request.headers.items():
            if name.lower() != "content-length":
                lines.append(f"{name}: {value.decode() if isinstance(value, bytes) else value}")
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode("latin-1") + body


def _read_response(reader: BinaryIO) -> tuple[int, dict[str, str], bytes]:
    """Read one response with its length or in chunks. Raises ConnectionError if it ends early."""
    status = int(_read_line(reader).split(b" ", 2)[1])
    headers: dict[str, str] = {}
    while line := _read_line(reader):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        chunks = []
        while size := int(_read_line(reader).partition(b";")[0], 16):
            chunks.append(_read_exactly(reader, size))
            _read_line(reader)
        _read_line(reader)  # no trailers are sent
        return status, headers, b"".join(chunks)
    return status, headers, _read_exactly(reader, int(headers["content-length"]))


def _read_line(reader: BinaryIO) -> bytes:
    line = reader.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the response ended early")
    return line[:-2]


def _read_exactly(reader: BinaryIO, size: int) -> bytes:
    body = reader.read(size)
    if len(body) < size:
        raise ConnectionError("the response ended early")
    return body
