"""MiniStack with workers that start in a tenth of the time: the program that :mod:`local.ministack` runs.

For every worker, MiniStack unpacks the layer of 2,500 files and starts a Python, which imports the layer's packages:
together a second of a processor. Here the workers share the unpacked code, and are forked from a process that has
imported the packages and the pure core once. A worker still imports Tuition's other modules itself, with its own
settings. On a system without process file descriptors (macOS), workers start as MiniStack starts them.

After each answer of a worker, MiniStack looks for lines of its log once per millisecond, for 5 to 50 ms. A forked
worker marks where the log of an invocation ends, so that nothing is waited for. A read of a stream is answered when
there are records, so that its readers need not ask again and again. Consumers of queues get messages in batches.

Half of the time that hypercorn takes for a request is its own, so that uvicorn serves MiniStack here.

This file runs in ``.venv-ministack``. It is also the program of the parent process, which needs the standard library
only. ``tests/runtime`` runs the functions in Lambda's own runtime, where they import everything themselves.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    del sys.path[0]  # our own folder: a module of it could hide one that MiniStack imports

import asyncio
import contextlib
import functools
import gc
import hashlib
import importlib
import json
import os
import queue
import runpy
import select
import signal
import socket
import subprocess
import threading
import time
import types
import weakref
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TextIO, cast

PACKAGES = (
    *("botocore.handlers", "botocore.session", "pynamodb.attributes", "pynamodb.models", "requests", "stripe"),
    *("aws_lambda_powertools.logging", "aws_lambda_powertools.metrics"),
)
"""The modules of the layer's packages that our code imports. An absent one is left to the workers."""
CORE = "tuition.core"
"""The package of the layer whose modules read no setting, so that they are the same in every function."""
SERVICES = ("dynamodb", "secretsmanager")
"""The services of which most functions create a client."""
LAYERS = "_LAMBDA_LAYERS_DIRS"
"""MiniStack's variable with the folders of a worker's unpacked layers."""
WORKER_SCRIPT = "_worker.py"
FORK_SECONDS = 30
"""The limit for one answer of the parent. The first one waits until it has imported the packages."""
MAX_REQUEST_BYTES = 64 * 1024
"""The limit of a request to the parent: a worker's environment variables, which Lambda limits to 4 KB."""
END_OF_LOG = "end of the log of invocation "
"""Begins the line that a worker writes behind the log of an invocation. It is no part of the log."""
LOG_SECONDS = 5
"""The limit for that line, which a worker has written before its answer."""
LONG_POLL_SECONDS = 2.0
"""The longest wait of a read for records. A reader that is stopped may wait for it."""
LOOK_SECONDS = 0.1
GATHER_SECONDS = 0.2
"""How long the consumers of queues wait after the first message. Their windows in the template are of a second."""
SHUTDOWN_SECONDS = 1
"""How long a request may still take when MiniStack stops: a reader of a stream may wait for records."""

# --- code that is unpacked once ---


class SharedArchive:
    """The archive of a layer or a function that is unpacked once. As in Lambda, no function may write to its code."""

    _lock = threading.Lock()

    def __init__(self, file: str) -> None:
        self._file = Path(file)

    def __enter__(self) -> SharedArchive:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def namelist(self) -> list[str]:
        """Return no name to check: `ZipFile.extractall` lets none out of its folder."""
        return []

    def extractall(self, folder: str) -> None:
        """Replace the worker's folder by a link to the shared one, in the temporary folder of MiniStack."""
        with self._file.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        shared = self._file.parent.parent / f"code-{digest}"
        with self._lock:
            if not shared.exists():
                unfinished = shared.with_suffix(".unfinished")
                with zipfile.ZipFile(self._file) as archive:
                    archive.extractall(unfinished)
                unfinished.rename(shared)
        Path(folder).rmdir()
        Path(folder).symlink_to(shared)
        self._file.unlink()  # MiniStack would keep one copy per worker


def _open_archive(file: str) -> Any:
    name = Path(file).name
    return SharedArchive(file) if name == "code.zip" or name.startswith("layer_") else zipfile.ZipFile(file)


# --- workers that are forked ---


class Worker:
    """A forked worker, with what MiniStack uses of `subprocess.Popen`."""

    def __init__(self, pid: int, process: int, stdin: IO[str], stdout: IO[str], stderr: IO[str]) -> None:
        self.pid = pid
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self._process = process
        self._answers = 0
        self._ended = select.poll()
        self._ended.register(process, select.POLLIN)
        weakref.finalize(self, os.close, process)

    def next_mark(self) -> str:
        """Return the line that ends the log of the next invocation."""
        self._answers += 1
        return f"{END_OF_LOG}{self._answers}"

    def poll(self) -> int | None:
        """Return None while the process runs, then 0: MiniStack does not use the status, which its parent has."""
        return 0 if self._ended.poll(0) else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the process has ended. Raises `subprocess.TimeoutExpired`."""
        if not self._ended.poll(None if timeout is None else timeout * 1000):
            raise subprocess.TimeoutExpired(WORKER_SCRIPT, timeout or 0)
        return 0

    def terminate(self) -> None:
        """Ask the process to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End the process."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, number)


class Parent:
    """The process from which the workers of some layers are forked."""

    def __init__(self, python: str, layers: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(FORK_SECONDS)
        with other:
            self._process = subprocess.Popen(
                [python, __file__, "--parent", str(other.fileno()), *layers],
                stdin=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
            )

    def start(self, script: str, folder: str, environment: Mapping[str, str]) -> Worker:
        """Start a worker in a folder, with these variables only. Raises OSError if the parent does not answer."""
        request = json.dumps({"script": script, "folder": folder, "environment": dict(environment)}).encode()
        stdin, stdout, stderr = (os.pipe() for _ in range(3))
        theirs, ours = (stdin[0], stdout[1], stderr[1]), (stdin[1], stdout[0], stderr[0])
        try:
            with self._lock:
                socket.send_fds(self._socket, [request], theirs)
                answer, processes, _, _ = socket.recv_fds(self._socket, MAX_REQUEST_BYTES, 1)
            if not processes:
                raise ConnectionError("the parent of the workers has ended")
        except OSError:
            for one in ours:
                os.close(one)
            raise
        finally:
            for one in theirs:
                os.close(one)
        files = open(ours[0], "w", buffering=1), open(ours[1]), open(ours[2])  # noqa: SIM115
        return Worker(int(answer), processes[0], *files)

    def stop(self) -> None:
        """End the parent, but none of its workers."""
        self._socket.close()
        self._process.kill()
        self._process.wait()


class Parents:
    """The parents by layers. It takes the place of `subprocess.Popen` in MiniStack."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parents: dict[tuple[str, ...], Parent] = {}

    def start(self, command: Sequence[str], **options: Any) -> Any:
        """Fork a worker that has layers; start any other process, and a worker whose parent fails, as usual."""
        layers = tuple(os.path.realpath(one) for one in options["env"].get(LAYERS, "").split(os.pathsep) if one)
        if not layers or Path(command[-1]).name != WORKER_SCRIPT or not hasattr(os, "pidfd_open"):
            return subprocess.Popen(command, **options)
        with self._lock:
            parent = self._parents.get(layers)
            if parent is None:
                parent = self._parents[layers] = Parent(command[0], layers)
        try:
            return parent.start(command[-1], options["cwd"], options["env"])
        except OSError:
            with self._lock:
                if self._parents.get(layers) is parent:
                    del self._parents[layers]
                    parent.stop()
            return subprocess.Popen(command, **options)


def lines_until(mark: str, lines: queue.Queue[str]) -> list[str]:
    """Return the lines of a log up to a mark, without earlier marks. A function that closed its log writes no mark."""
    log: list[str] = []
    deadline = time.monotonic() + LOG_SECONDS
    while True:
        try:
            line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return log
        if line == mark:
            return log
        if not line.startswith(END_OF_LOG):
            log.append(line)


def install() -> None:
    """Replace the parts of MiniStack that this module's docstring names."""
    share_code_and_fork_workers()
    wait_for_stream_records()
    gather_messages()
    serve_with_uvicorn()


def serve_with_uvicorn() -> None:
    """Let uvicorn serve MiniStack, on the address and with the limits that MiniStack gives hypercorn."""
    import hypercorn.asyncio
    import uvicorn

    async def serve_app(served: Any, config: Any) -> None:
        host, _, port = config.bind[0].rpartition(":")
        options = uvicorn.Config(
            served,
            host=host,
            port=int(port),
            http="httptools",
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,  # MiniStack sends its own
            timeout_keep_alive=int(config.keep_alive_timeout),
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        await uvicorn.Server(options).serve()

    hypercorn.asyncio.serve = serve_app


def share_code_and_fork_workers() -> None:
    """Replace how MiniStack unpacks code, starts a worker, and reads the log of an invocation."""
    from ministack.core import lambda_runtime

    archives = types.SimpleNamespace(**{**vars(zipfile), "ZipFile": _open_archive})
    processes = types.SimpleNamespace(**{**vars(subprocess), "Popen": Parents().start})
    lambda_runtime.zipfile, lambda_runtime.subprocess = archives, processes
    read_log = lambda_runtime.Worker._drain_stderr_bounded

    def read_marked_log(worker: Any, *limits: float, **named_limits: float) -> str:
        if isinstance(worker._proc, Worker):
            return "\n".join(lines_until(worker._proc.next_mark(), worker._stderr_queue))
        log: str = read_log(worker, *limits, **named_limits)
        return "\n".join(line for line in log.split("\n") if not line.startswith(END_OF_LOG))

    lambda_runtime.Worker._drain_stderr_bounded = read_marked_log


# --- reads of streams and queues ---


def wait_for_stream_records() -> None:
    """Let a read of a stream wait until there are records, for at most `LONG_POLL_SECONDS`."""
    from ministack.services import dynamodb_streams

    answer = dynamodb_streams.handle_request

    async def answer_when_there_are_records(
        method: str, path: str, headers: Mapping[str, str], *more: Any
    ) -> tuple[int, dict[str, str], bytes]:
        deadline = time.monotonic() + LONG_POLL_SECONDS
        while True:
            status, response_headers, body = await answer(method, path, headers, *more)
            is_empty = headers.get("x-amz-target", "").endswith(".GetRecords") and not json.loads(body).get("Records")
            if status != 200 or not is_empty or time.monotonic() >= deadline:
                return status, response_headers, body
            await asyncio.sleep(LOOK_SECONDS)

    dynamodb_streams.handle_request = answer_when_there_are_records


def gather_messages() -> None:
    """Let the consumers of queues wait for more messages after the first one, as Lambda's batching window does."""
    from ministack.services import lambda_svc

    poll = lambda_svc._poll_sqs
    is_busy = False

    def poll_after_gathering() -> bool:
        nonlocal is_busy
        if not is_busy:
            time.sleep(GATHER_SECONDS)
        is_busy = bool(poll())
        return is_busy

    lambda_svc._poll_sqs = poll_after_gathering


# --- the parent process ---


def serve(connection: socket.socket, layers: Sequence[str]) -> None:
    """Import the packages of the layers, and fork a worker per request until MiniStack ends. Returns in no worker."""
    path = list(sys.path)
    folders = [Path(layer) / "python" for layer in layers]
    sys.path[:0] = map(str, folders)
    core = [f"{CORE}.{file.stem}" for folder in folders for file in folder.glob(f"{CORE.replace('.', '/')}/[!_]*.py")]
    for name in (*PACKAGES, *core):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with contextlib.suppress(ImportError):
        _remember_service_models()
    sys.path[:] = path
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel then removes ended workers
    gc.collect()
    gc.freeze()
    while True:
        request, descriptors, _, _ = socket.recv_fds(connection, MAX_REQUEST_BYTES, 3)
        if not request:
            return
        ready, go = os.pipe()
        pid = os.fork()
        if pid == 0:
            connection.close()
            os.close(go)
            os.read(ready, 1)  # the worker must not end before its parent has a descriptor of it
            os.close(ready)
            _run(json.loads(request), descriptors)
        process = os.pidfd_open(pid)
        os.close(go)
        socket.send_fds(connection, [str(pid).encode()], [process])
        for one in (process, ready, *descriptors):
            os.close(one)


def _remember_service_models() -> None:
    """Let botocore parse each of its JSON files once, and those of `SERVICES` now. It changes none of them."""
    import botocore.session
    from botocore import loaders

    files: Any = loaders.JSONFileLoader()
    files.load_file = functools.cache(files.load_file)
    setattr(loaders.Loader, "FILE_LOADER_CLASS", staticmethod(lambda: files))  # noqa: B010  # a type to its stubs
    session = botocore.session.get_session()
    credentials: Any = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    for service in SERVICES:
        session.create_client(service, "us-east-1", **credentials)


class Answers:
    """The output on which a worker answers. Before each answer it ends the log of the invocation with a mark."""

    def __init__(self, output: IO[str], log: IO[str]) -> None:
        self._output, self._log = output, log
        self._count = 0

    def write(self, text: str) -> None:
        """Write an answer. The first one says that the worker is ready: it answers no invocation."""
        if self._count:
            self._log.write(f"{END_OF_LOG}{self._count}\n")
            self._log.flush()
        self._count += 1
        self._output.write(text)

    def flush(self) -> None:
        """Send what was written."""
        self._output.flush()


def _run(request: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    """Become the worker, and end with it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, one in enumerate(descriptors):
        os.dup2(one, number)
        os.close(one)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[:] = [request["script"]]
    sys.path.insert(0, str(Path(request["script"]).parent))
    sys.stdout = cast(TextIO, Answers(sys.stdout, sys.stderr))
    runpy.run_path(request["script"], run_name="__main__")
    sys.exit()


def main() -> None:
    """Run MiniStack, or with ``--parent`` the process from which its workers are forked."""
    if sys.argv[1:2] == ["--parent"]:
        serve(socket.socket(fileno=int(sys.argv[2])), sys.argv[3:])
        return
    from ministack.app import main as run_ministack

    install()
    run_ministack()


if __name__ == "__main__":
    main()
