"""The local AWS: MiniStack in its own environment, on loopback only, enforcing the roles' policies.

Functions that it runs inherit its environment and its packages, so it gets a small environment and a venv of
its own (``.venv-ministack``), and a folder for temporary files that goes when it goes.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import tempfile
import time
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
PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "HTTPS_PROXY", "https_proxy", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""What of the caller's environment a function may see; the rest would make it behave unlike on AWS."""


class MiniStack:
    """A running MiniStack. :meth:`stop` ends it with every worker that it started."""

    def __init__(self, port: int, data: Path | None, log: Path | None) -> None:
        if not PYTHON.exists():
            raise RuntimeError(".venv-ministack is missing: `make venv` makes it")
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._temporary = Path(tempfile.mkdtemp(prefix="tuition-aws-", dir=_roomy_memory()))
        self._log_path = log or self._temporary / "ministack.log"
        with self._log_path.open("ab") as output:
            self._process = subprocess.Popen(
                [str(PYTHON), "-m", "ministack"],
                env=self._environment(data),
                cwd=self._temporary,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _environment(self, data: Path | None) -> dict[str, str]:
        """What MiniStack and so the functions see."""
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
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
            # MiniStack tidies up containers of its own; this machine's Docker is none of its business.
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
        """Return when it answers; raise with its last words when it does not."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
                connection.request("GET", "/_ministack/health")
                answer = connection.getresponse().status
                connection.close()
                if answer == 200:
                    return
            time.sleep(0.05)
        last_words = self._log_path.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"MiniStack did not start on port {self.port}:\n{last_words}")

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process.poll() is None

    def client(self, service: Any) -> Any:
        """A boto3 client of one of its services, as the account's root."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def stop(self) -> None:
        """End it as Ctrl-C would (that is when it saves its state), then whatever is left of its workers."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._group_is_gone(number):
                break
        self._process.wait()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _group_is_gone(self, number: signal.Signals) -> bool:
        """Send a signal to its process group and see for 2 s whether that was the end of it."""
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
    """A file system in memory for the temporary files, if there is one with room; None for the usual place.

    MiniStack unpacks the layer anew for every worker: thousands of small files each, which a disk is slow to
    write and slower to remove.
    """
    memory = Path("/dev/shm")  # noqa: S108  # mkdtemp makes a folder of our own in it
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM_BYTES:
        return str(memory)
    return None
