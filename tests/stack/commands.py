"""The commands that staff run against the running stack: `make reconcile`, `audit`, `recount` and the others."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable, Sequence

from local import audit, collect, erase_again, reconcile, recount, replay
from local.build import ROOT
from local.running import running_file
from tests.stack.conftest import Running

MAINS: dict[str, Callable[[list[str]], int]] = {
    "audit": audit.main,
    "collect": collect.main,
    "erase_again": erase_again.main,
    "recount": recount.main,
    "reconcile": reconcile.main,
    "replay": replay.main,
}


def run(running: Running, name: str, *arguments: str, process: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command on the running stack, in a process of its own only if asked: that takes a second to start."""
    values = ["--api-port", running.ready["api"].rpartition(":")[2], *arguments]
    with running_file(running.ready):
        if process:
            command = [sys.executable, "-m", f"local.{name}", *values]
            environment = os.environ | {"PYTHONPATH": "layers/tuition"}  # as in the Makefile
            return subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
            )
        return _call(name, values)


def _call(name: str, values: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Call the command's main function, and return what its process would return."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = MAINS[name](list(values))
        except SystemExit as ended:  # a wrong argument
            code = int(ended.code or 0)
    return subprocess.CompletedProcess([name, *values], code, out.getvalue(), err.getvalue())
