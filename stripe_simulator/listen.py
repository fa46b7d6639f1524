"""`stripe listen`: events over a websocket to the official CLI, which forwards them.

It implements only what the CLI needs of RFC 6455: text frames, pings and the close. https://docs.stripe.com/cli/listen
"""

import base64
import hashlib
import json
import queue
import socket
import struct
import threading
import time
from typing import Any

from stripe_simulator.account import Account, Call
from stripe_simulator.errors import invalid_request
from stripe_simulator.store import Object
from stripe_simulator.version import API_VERSION
from stripe_simulator.webhooks import signature_header

WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PATH = "/_sim/listen/"
"""The path of the websocket, before the id of the account whose events it forwards."""
PROTOCOL = "stripecli-devproxy-v1"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
UNSUPPORTED_FEATURES = {
    "request_logs": "`stripe logs tail`: see /_sim/requests",
    "v2_events": "thin events (`stripe listen --all-thin`)",
}
"""The commands of the CLI by the value of `websocket_features` that they send."""


def secret(account: Account) -> str:
    """Return the signing secret of everything that `stripe listen` forwards: one per account."""
    return "whsec_" + hashlib.sha256(f"listen{account.id}{account.secret_key}".encode()).hexdigest()


def open_session(call: Call) -> Object:
    """POST /v1/stripecli/sessions.

    Raises StripeError for a command of the CLI that would wait for messages that never come.
    """
    account = call.account
    for feature in call.form.get("websocket_features", []):
        if feature in UNSUPPORTED_FEATURES:
            raise invalid_request(
                f"The simulator does not support {UNSUPPORTED_FEATURES[feature]}. `stripe listen --all-snapshot` works."
            )
    return {
        "websocket_id": f"cliws_{account.store.token(14)}",
        "websocket_url": account.url.replace("http", "ws", 1) + f"{PATH}{account.id}",
        "websocket_authorized_feature": "webhooks",
        "reconnect_delay": 60,
        "secret": secret(account),
        "default_version": API_VERSION,
        "latest_version": API_VERSION,
        "display_connect_filter_warning": False,
    }


def serve(account: Account, connection: socket.socket, reader: Any, headers: dict[str, str]) -> None:
    """Serve a websocket until the CLI disconnects."""
    accept = base64.b64encode(hashlib.sha1(f"{headers['sec-websocket-key']}{WEBSOCKET_GUID}".encode()).digest())  # noqa: S324
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\nSec-WebSocket-Protocol: " + PROTOCOL.encode() + b"\r\n\r\n"
    )
    frames: queue.Queue[tuple[int, bytes] | None] = queue.Queue()

    def forward(event: Object, payload: str) -> None:
        for version in (None, API_VERSION):  # the CLI uses the default version, or with --latest the other one
            frames.put((TEXT, message(account, event, payload, version)))

    writer = threading.Thread(target=_write, args=(connection, frames), daemon=True)
    writer.start()
    with account.lock:
        account.webhooks.listeners.append(forward)
        account.connections.add(connection)
    try:
        while (frame := read_frame(reader)) is not None:
            if frame[0] == PING:
                frames.put((PONG, frame[1]))
            elif frame[0] == CLOSE:
                return
    finally:
        with account.lock:
            account.webhooks.listeners.remove(forward)
            account.connections.discard(connection)
        frames.put(None)


def message(account: Account, event: Object, payload: str, version: str | None) -> bytes:
    """Return the signed message that the CLI expects for one event."""
    text = json.dumps(json.loads(payload), indent=2)
    return json.dumps(
        {
            "type": "webhook_event",
            "event_payload": text,
            "http_headers": {
                "Content-Type": "application/json; charset=utf-8",
                "Stripe-Signature": signature_header([secret(account)], text.encode(), int(time.time())),
                "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            },
            "webhook_id": f"wh_{event['id']}",
            "webhook_conversation_id": f"wc_{event['id']}",
            "endpoint": {"api_version": version},
        }
    ).encode()


def _write(connection: socket.socket, frames: "queue.Queue[tuple[int, bytes] | None]") -> None:
    while (frame := frames.get()) is not None:
        try:
            connection.sendall(encode_frame(*frame))
        except OSError:
            return  # the CLI has disconnected


def encode_frame(opcode: int, data: bytes) -> bytes:
    """Return one unmasked frame, as a server sends it."""
    if len(data) < 126:
        head = struct.pack("!BB", 0x80 | opcode, len(data))
    elif len(data) < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 126, len(data))
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 127, len(data))
    return head + data


def read_frame(reader: Any) -> tuple[int, bytes] | None:
    """Read one frame of a client: its opcode and unmasked data. Return None at the end of the stream."""
    head = reader.read(2)
    if len(head) < 2:
        return None
    length = head[1] & 0x7F
    if length >= 126:
        size = 2 if length == 126 else 8
        length = int.from_bytes(reader.read(size), "big")
    mask = reader.read(4) if head[1] & 0x80 else b"\0\0\0\0"
    data = reader.read(length)
    return head[0] & 0x0F, bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))
