"""The HTTP server: a thin shell around `Stripe`, with one thread per connection."""

import contextlib
import logging
import selectors
import socket
import threading
import time
from http import HTTPStatus
from pathlib import Path

from stripe_simulator import addresses, callers, listen, state_file
from stripe_simulator.account import Account
from stripe_simulator.api import Stripe
from stripe_simulator.errors import NoAnswer
from stripe_simulator.pages import dispatch
from stripe_simulator.response import Response
from stripe_simulator.store import Store
from stripe_simulator.webhooks import Sender

HANG_S = 60.0
"""How long a `hang` fault lasts."""
LINGER_S = 5.0
"""How long a `hang` fault lasts after the client has disconnected."""
LOG = logging.getLogger("stripe_simulator")
TICK_S = 0.25
"""How often due tasks are run and due deliveries are sent while no requests arrive."""
MAX_BODY_BYTES = 4 * 1024 * 1024
PREFLIGHT = (
    b"HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: GET, POST, DELETE"
    b"\r\nAccess-Control-Allow-Headers: authorization, content-type, stripe-version, idempotency-key"
    b"\r\nAccess-Control-Max-Age: 300\r\nContent-Length: 0\r\n\r\n"
)
PLAIN_TEXT = {"Content-Type": "text/plain; charset=utf-8"}
FORBIDDEN = Response(403, PLAIN_TEXT, callers.REFUSAL.encode())
NO_ACCOUNT = Response(404, PLAIN_TEXT, b"No such account. Run `stripe listen` again.")


class Simulator:
    """A running simulator. `stop()` ends it and all its threads."""

    def __init__(
        self,
        stripe: Stripe,
        port: int = 0,
        webhook_secret: str | None = None,
        data: Path | None = None,
        public_host: str | None = None,
        host: str = addresses.LOOPBACK,
        public_url: str | None = None,
    ) -> None:
        self.stripe = stripe
        self.public_host = public_host
        self._data = data
        self.webhook_secret = webhook_secret
        self._listener = addresses.listen(host, port)
        self.port: int = self._listener.getsockname()[1]
        self.url = addresses.local_url(host, self.port)
        self.public_url = public_url or self.url
        for account in stripe.accounts.all():
            account.url = self.public_url
        if data is not None:
            try:
                state_file.save(stripe.accounts, data)
            except OSError:
                self._listener.close()
                raise
        self.stopping = threading.Event()
        self._connections: set[socket.socket] = set()
        self._senders: dict[Account, Sender] = {}
        stripe.accounts.on_open, stripe.accounts.on_close = self._open, self._close_account
        for account in stripe.accounts.all():
            self._open(account)
        self._threads = [
            threading.Thread(target=self._accept, name="stripe-accept", daemon=True),
            threading.Thread(target=self._tick, name="stripe-clock", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _open(self, account: Account) -> None:
        """Send the deliveries of an account, whose threads start when there are any."""
        self._senders[account] = Sender(account.webhooks, account.lock, f"webhooks-{account.id}")

    def _close_account(self, account: Account) -> None:
        self._senders.pop(account).stop()

    @property
    def secret_key(self) -> str:
        """The default account's secret key."""
        return self.stripe.secret_key

    @property
    def publishable_key(self) -> str:
        """The default account's publishable key."""
        return self.stripe.publishable_key

    @property
    def admin_key(self) -> str:
        """The key that lists and deletes accounts."""
        return self.stripe.admin_key

    @property
    def hosts(self) -> set[str]:
        """The hosts that may use `/_sim`, besides loopback."""
        hosts = {addresses.host_of(self.url), addresses.host_of(self.public_url)}
        return hosts | ({self.public_host.lower()} if self.public_host else set())

    @property
    def store(self) -> Store:
        """The default account's objects, for the assertions of tests."""
        return self.stripe.account.store

    def stop(self) -> None:
        """Close the port and all connections."""
        self.stopping.set()
        for sender in list(self._senders.values()):
            sender.stop()
        _close(self._listener)
        for connection in list(self._connections):
            _close(connection)
        for thread in self._threads:
            thread.join(timeout=10)
        if self._data is not None:
            self._save(self._data)

    def _tick(self) -> None:
        """Run due tasks, send due deliveries and save the state while no requests arrive."""
        accounts, saved_at = self.stripe.accounts, time.monotonic()
        while not self.stopping.is_set():
            wait = min((self._run_due(account) for account in accounts.all()), default=TICK_S)
            is_save_due = time.monotonic() - saved_at >= state_file.SAVE_INTERVAL_S
            if self._data is not None and is_save_due and accounts.is_unsaved():
                self._save(self._data)
                saved_at = time.monotonic()
            self.stopping.wait(wait)

    def _run_due(self, account: Account) -> float:
        """Run the due tasks of an account, and return the seconds until the next one, at most `TICK_S`.

        A request that executes runs them itself, so an account that is locked can wait for the next tick. A task that
        raises must stop neither the tasks of other accounts nor the saving of the state.
        """
        if not (account.clock.tasks or account.webhooks.waiting) or not account.lock.acquire(blocking=False):
            return TICK_S
        try:
            account.run_due()
            sender = self._senders.get(account)
            if sender is not None:
                sender.start_if_due(TICK_S)
            at = account.clock.next_at()
            return TICK_S if at is None else min(TICK_S, max(0.01, at - account.clock.now()))
        except Exception:
            LOG.exception("a task of the account %s: an error of the simulator", account.id)
            return TICK_S
        finally:
            account.lock.release()

    def _save(self, path: Path) -> None:
        try:
            state_file.save(self.stripe.accounts, path)
        except OSError as error:
            LOG.error("the state could not be saved in %s: %s", path, error)

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rb") as reader:
                while not self.stopping.is_set():
                    request = read_request(reader)
                    if request is not None and request[2].get("upgrade", "").lower() == "websocket":
                        self._listen(connection, reader, request[1], request[2])
                        return
                    if request is None or not self._reply(connection, *request):
                        return
        except (OSError, ValueError):
            return  # the client disconnected, or did not send HTTP
        finally:
            self._connections.discard(connection)
            _close(connection)

    def _listen(self, connection: socket.socket, reader: object, target: str, headers: dict[str, str]) -> None:
        """Serve the websocket of `stripe listen`, whose path names the account."""
        account = self.stripe.accounts.find(target.partition("?")[0].removeprefix(listen.PATH))
        if not callers.is_own(headers, self.hosts):
            connection.sendall(encode_response(FORBIDDEN))
        elif account is None:
            connection.sendall(encode_response(NO_ACCOUNT))
        else:
            listen.serve(account, connection, reader, headers)

    def _reply(self, connection: socket.socket, method: str, target: str, headers: dict[str, str], body: bytes) -> bool:
        """Send the response, and return whether the connection stays open."""
        if callers.is_guarded(target) and not callers.is_own(headers, self.hosts):
            connection.sendall(encode_response(FORBIDDEN, head_only=method == "HEAD"))
            return True
        if method == "OPTIONS":
            connection.sendall(PREFLIGHT)
            return True
        if self._is_foreign_page(headers) and self.stripe.has_made_up_key(method, target, headers, body):
            connection.sendall(encode_response(FORBIDDEN, head_only=method == "HEAD"))
            return True
        try:
            response = self._handle(connection, method, target, headers, body)
        except NoAnswer:
            return False
        except Exception:
            LOG.exception("%s %s: an error of the simulator", method, target.partition("?")[0])
            response = self.stripe.internal_error()
        connection.sendall(encode_response(response, head_only=method == "HEAD"))
        return headers.get("connection", "").lower() != "close"

    def _is_foreign_page(self, headers: dict[str, str]) -> bool:
        """Return whether a page of another origin sends the request. Programs send no `Origin`."""
        return "origin" in headers and not callers.is_own({"origin": headers["origin"]}, self.hosts)

    def _handle(
        self, connection: socket.socket, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> Response:
        page = dispatch.handle(self.stripe.accounts, method, target, headers, body)
        if page is not None:
            return page
        request = self.stripe.begin(method, target, headers, body)
        if isinstance(request, Response):
            return request
        if request.fault == "hang" or request.seconds:
            generation = request.account.generation
            if request.seconds:
                self.stopping.wait(request.seconds)
            else:
                self._hang(connection)
            if self.stopping.is_set() or generation != request.account.generation:
                raise NoAnswer("hang")
        return self.stripe.execute(request)

    def _hang(self, connection: socket.socket) -> None:
        """Wait for HANG_S, or until LINGER_S after the client has disconnected."""
        end = time.monotonic() + HANG_S
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            while not self.stopping.is_set() and time.monotonic() < end:
                if selector.select(0.1):
                    disconnected = not connection.recv(1, socket.MSG_PEEK)
                    self.stopping.wait(min(LINGER_S if disconnected else HANG_S, end - time.monotonic()))
                    return


def read_request(reader: "socket.SocketIO | object") -> tuple[str, str, dict[str, str], bytes] | None:
    """Read one request from a connection. Return None at its end. Raises ValueError if it is not HTTP/1.1."""
    readline = reader.readline  # type: ignore[union-attr]
    line = readline(65537)
    if not line:
        return None
    method, target, _ = line.decode("latin-1").split()
    headers: dict[str, str] = {}
    while True:
        line = readline(65537)
        if line in (b"\r\n", b"\n", b""):
            break
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return method, target, headers, _read_chunks(reader)
    length = int(headers.get("content-length") or 0)
    if length > MAX_BODY_BYTES:
        raise ValueError("the body is too large")
    body = reader.read(length) if length else b""  # type: ignore[union-attr]
    return method, target, headers, body


def _read_chunks(reader: object) -> bytes:
    body = b""
    while True:
        size = int(reader.readline(100).split(b";")[0], 16)  # type: ignore[attr-defined]
        if size == 0:
            reader.readline(100)  # type: ignore[attr-defined]
            return body
        body += reader.read(size)  # type: ignore[attr-defined]
        reader.readline(100)  # type: ignore[attr-defined]
        if len(body) > MAX_BODY_BYTES:
            raise ValueError("the body is too large")


def encode_response(response: Response, *, head_only: bool = False) -> bytes:
    """Return the bytes of a response."""
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {response.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    lines.append(f"Content-Length: {len(response.body)}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head if head_only else head + response.body


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # already closed
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
