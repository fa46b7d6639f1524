"""The backends of the proxies: servers over HTTP, and the in-memory DynamoDB in process."""

import http.client
import json
from collections.abc import Mapping
from typing import Any, Protocol

from botocore import xform_name
from botocore.exceptions import ClientError

from tests.in_memory_dynamodb.tables import InMemoryDynamoDB

Response = tuple[int, list[tuple[str, str]], bytes]
SHAPES = "com.amazonaws.dynamodb.v20120810#"


class Upstream(Protocol):
    """Answers the requests of one connection."""

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer one request."""

    def close(self) -> None:
        """Close the connection."""


class OverHTTP:
    """A connection to a server on loopback."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Forward a request."""
        self._connection.request(method, target, body, dict(headers))
        response = self._connection.getresponse()
        content = response.read()
        return response.status, list(response.getheaders()), content

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class InProcess:
    """The in-memory DynamoDB, with the requests and answers of DynamoDB's JSON protocol."""

    def __init__(self, database: InMemoryDynamoDB) -> None:
        self._database = database

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer a call. Raises NotImplementedError for bytes, which JSON has as text."""
        if b'{"B":' in body.replace(b" ", b""):
            raise NotImplementedError("bytes over HTTP")
        operation = xform_name(headers["x-amz-target"].rpartition(".")[2])
        try:
            status, answer = 200, getattr(self._database, operation)(**json.loads(body))
        except ClientError as failure:
            status, answer = 400, _failure(failure)
        return status, [("Content-Type", "application/x-amz-json-1.0")], json.dumps(answer).encode()

    def close(self) -> None:
        """Do nothing: there is no connection."""


def _failure(failure: ClientError) -> dict[str, Any]:
    """Return an error as DynamoDB writes it, that of a canceled transaction with its reasons."""
    response: dict[str, Any] = dict(failure.response)
    error = response.pop("Error")
    response.pop("ResponseMetadata", None)
    return {**response, "__type": SHAPES + error["Code"], "message": error["Message"]}
