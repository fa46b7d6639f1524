"""The local AWS: MiniStack, on loopback only, which enforces the roles' policies.

MiniStack's functions inherit its environment variables and packages. It therefore runs in its own venv
(``.venv-ministack``) with few variables, and in a temporary folder that is removed when it stops.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv-ministack" / "bin" / "python"
REGION = "us-east-1"
ACCESS_KEY = "local"
SECRET_KEY = "local"  # noqa: S105  # of an AWS that exists only on this machine
START_SECONDS = 30
STOP_SECONDS = 8
ROOM_BYTES = 4 << 30
PROGRAM = (str(ROOT / "local" / "ministack_program.py"),)
"""The arguments of its Python."""
INHERITED = ("PATH", "HOME", "LANG", "TZ", "HTTPS_PROXY", "https_proxy", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""The caller's variables that functions may see. Others could make them behave differently than on AWS."""


class MiniStack:
    """A running MiniStack. :meth:`stop` stops it and every worker that it started."""

    def __init__(self, port: int, data: Path | None, log: Path | None, program: Sequence[str] = PROGRAM) -> None:
        if not PYTHON.exists():
            raise RuntimeError(".venv-ministack is missing: run `make venv`")
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._clients: dict[tuple[str, int], Any] = {}
        self._clients_lock = threading.Lock()
        self._temporary = Path(tempfile.mkdtemp(prefix="tuition-aws-", dir=_roomy_memory()))
        self._log_path = log or self._temporary / "ministack.log"
        with self._log_path.open("ab") as output:
            self._process = subprocess.Popen(
                [str(PYTHON), *program],
                env=self._environment(data),
                cwd=self._temporary,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _environment(self, data: Path | None) -> dict[str, str]:
        """Return the environment variables of MiniStack, and so of the functions."""
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment |= {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AUTH": "true",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LOG_LEVEL": os.environ.get("MINISTACK_LOG_LEVEL", "WARNING"),
            "TMPDIR": str(self._temporary),
            # MiniStack removes its leftover containers at start. This address keeps it away from the machine's Docker.
            "DOCKER_HOST": f"unix://{self._temporary}/no-docker.sock",
        }
        if data is not None:
            environment |= {
                "PERSIST_STATE": "1",
                "STATE_DIR": str(data / "aws"),
                "S3_PERSIST": "1",
                "S3_DATA_DIR": str(data / "s3"),
            }
        return environment

    def wait(self) -> None:
        """Wait until it responds. Raises RuntimeError with the end of its log if it does not."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
                connection.request("GET", "/_ministack/health")
                status = connection.getresponse().status
                connection.close()
                if status == 200:
                    return
            time.sleep(0.05)
        log_end = self._log_path.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"MiniStack did not start on port {self.port}:\n{log_end}")

    @property
    def running(self) -> bool:
        """Whether its process is running."""
        return self._process.poll() is None

    def client(self, service: Any, attempts: int = 1) -> Any:
        """Return the boto3 client of one of its services, with the rights of the account's root user.

        There is one client per service and number of attempts. Threads may share a client, but may not create two at
        the same time.
        """
        import boto3
        from botocore.config import Config

        retries: Any = {"mode": "standard", "total_max_attempts": attempts}
        with self._clients_lock:
            if (service, attempts) not in self._clients:
                self._clients[service, attempts] = boto3.client(
                    service,
                    endpoint_url=self.url,
                    region_name=REGION,
                    aws_access_key_id=ACCESS_KEY,
                    aws_secret_access_key=SECRET_KEY,
                    config=Config(retries=retries, s3={"addressing_style": "path"}),
                )
            return self._clients[service, attempts]

    def stop(self) -> None:
        """Interrupt it, so that it saves its state, then end its remaining workers."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._end_group(number):
                break
        self._process.wait()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _end_group(self, number: signal.Signals) -> bool:
        """Send a signal to its process group. Return whether the group ended within 2 s."""
        deadline = time.monotonic() + 2
        try:
            os.killpg(self._process.pid, number)
            while time.monotonic() < deadline:
                self._process.poll()
                os.killpg(self._process.pid, 0)
                time.sleep(0.05)
        except ProcessLookupError:
            return True
        return False


def _roomy_memory() -> str | None:
    """Return an in-memory file system with room for the temporary files; None if there is none.

    The unpacked layer and the workers' folders are thousands of small files, slow to write to a disk and slower to
    remove.
    """
    memory = Path("/dev/shm")  # noqa: S108  # mkdtemp makes a private folder in it
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM_BYTES:
        return str(memory)
    return None
