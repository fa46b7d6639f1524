"""Run MiniStack and write down each call that a role makes: who, which action, on which resource, and whether it may.

This is a program of `.venv-ministack`, started instead of `python -m ministack` with the path of the file to write. A
call with the rights of the account's root user has no role and is not written. Each different call is one line of JSON,
so a run writes a few hundred lines, and a call costs one look into a set.

MiniStack 1.5 decides every call in `iam_evaluator.enforce`, which evaluates the policies of the caller first.

Its `lambda_runtime` unpacks the layer of 2,500 files for every worker. Here the workers share one unpacked layer.
"""

import contextvars
import hashlib
import json
import os
import sys
import threading
import types
import zipfile
from pathlib import Path

from ministack.app import main
from ministack.core import iam_evaluator, lambda_runtime

_contexts = contextvars.ContextVar("contexts", default=None)
"""The evaluations of the call that is being decided: the first one is about the caller's own policies."""


def record_calls(path):
    """Make MiniStack write every call that it decides."""
    evaluate, enforce = iam_evaluator.evaluate, iam_evaluator.enforce
    written = set()
    output = path.open("a", buffering=1)

    def evaluate_and_remember(context, policies, *limits):
        contexts = _contexts.get()
        if contexts is not None:
            contexts.append(context)
        return evaluate(context, policies, *limits)

    def enforce_and_write(*args, **options):
        token = _contexts.set([])
        try:
            denial = enforce(*args, **options)
            contexts = _contexts.get()
        finally:
            _contexts.reset(token)
        if contexts:
            call = (contexts[0].principal_arn, contexts[0].action, contexts[0].resource_arn, denial is None)
            if call not in written:
                written.add(call)
                output.write(json.dumps(call) + "\n")
        return denial

    iam_evaluator.evaluate, iam_evaluator.enforce = evaluate_and_remember, enforce_and_write


class SharedLayer:
    """A layer's archive that is unpacked once. Like Lambda's /opt, no function may write to it."""

    _lock = threading.Lock()

    def __init__(self, file):
        self._file = Path(file)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def namelist(self):
        """Return no name to check: `ZipFile.extractall` lets none out of its folder."""
        return []

    def extractall(self, folder):
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
        os.rmdir(folder)
        os.symlink(shared, folder)


def share_layers():
    """Make the workers share unpacked layers. Their own code is small, and unpacked for each of them."""

    def open_archive(file):
        return SharedLayer(file) if Path(file).name.startswith("layer_") else zipfile.ZipFile(file)

    lambda_runtime.zipfile = types.SimpleNamespace(**{**vars(zipfile), "ZipFile": open_archive})


if __name__ == "__main__":
    share_layers()
    record_calls(Path(sys.argv.pop()))
    main()
