"""MiniStack with workers that start in a tenth of the time: the program that :mod:`local.ministack` runs.

For every worker, MiniStack unpacks the layer of 2,500 files and starts a Python, which imports the layer's packages:
together a second of a processor. Here the workers share one unpacked layer, and are forked from a process that has
imported the packages once. A worker still imports Tuition's own modules itself, with its own settings. On a system
without process file descriptors (macOS), workers start as MiniStack starts them.

This file runs in ``.venv-ministack``. It is also the program of the parent process, which needs the standard library
only. ``tests/runtime`` runs the functions in Lambda's own runtime, where they import everything themselves.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    del sys.path[0]  # our own folder: a module of it could hide one that MiniStack imports

import contextlib
import gc
import hashlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import threading
import types
import weakref
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

PACKAGES = (
    *("botocore.handlers", "botocore.session", "pynamodb.attributes", "pynamodb.models", "requests", "stripe"),
    *("aws_lambda_powertools.logging", "aws_lambda_powertools.metrics"),
)
"""The modules of the layer's packages that our code imports. An absent one is left to the workers."""
LAYERS = "_LAMBDA_LAYERS_DIRS"
"""MiniStack's variable with the folders of a worker's unpacked layers."""
WORKER_SCRIPT = "_worker.py"
FORK_SECONDS = 30
"""The limit for one answer of the parent. The first one waits until it has imported the packages."""
MAX_REQUEST_BYTES = 64 * 1024
"""The limit of a request to the parent: a worker's environment variables, which Lambda limits to 4 KB."""


# --- one unpacked layer ---


class SharedLayer:
    """A layer's archive that is unpacked once. Like Lambda's /opt, no function may write to it."""

    _lock = threading.Lock()

    def __init__(self, file: str) -> None:
        self._file = Path(file)

    def __enter__(self) -> SharedLayer:
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
        shared = self._file.parent.parent / f"layer-{digest}"
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
    return SharedLayer(file) if Path(file).name.startswith("layer_") else zipfile.ZipFile(file)


# --- workers that are forked ---


class Worker:
    """A forked worker, with what MiniStack uses of `subprocess.Popen`."""

    def __init__(self, pid: int, process: int, stdin: IO[str], stdout: IO[str], stderr: IO[str]) -> None:
        self.pid = pid
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self._process = process
        self._ended = select.poll()
        self._ended.register(process, select.POLLIN)
        weakref.finalize(self, os.close, process)

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


def share_layers_and_fork_workers() -> None:
    """Replace how MiniStack unpacks a layer and starts a worker."""
    from ministack.core import lambda_runtime

    archives = types.SimpleNamespace(**{**vars(zipfile), "ZipFile": _open_archive})
    processes = types.SimpleNamespace(**{**vars(subprocess), "Popen": Parents().start})
    lambda_runtime.zipfile, lambda_runtime.subprocess = archives, processes


# --- the parent process ---


def serve(connection: socket.socket, layers: Sequence[str]) -> None:
    """Import the packages of the layers, and fork a worker per request until MiniStack ends. Returns in no worker."""
    path = list(sys.path)
    sys.path[:0] = [str(Path(layer) / "python") for layer in layers]
    for name in PACKAGES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
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
    runpy.run_path(request["script"], run_name="__main__")
    sys.exit()


def main() -> None:
    """Run MiniStack, or with ``--parent`` the process from which its workers are forked."""
    if sys.argv[1:2] == ["--parent"]:
        serve(socket.socket(fileno=int(sys.argv[2])), sys.argv[3:])
        return
    from ministack.app import main as run_ministack

    share_layers_and_fork_workers()
    run_ministack()


if __name__ == "__main__":
    main()
