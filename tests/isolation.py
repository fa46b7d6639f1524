"""The state of a test process: every test starts with the same state, and leaves it as it was.

Tests run in any order and any selection of them runs in one process. So a test may not need what another has left, and
may not leave anything behind. `tests/conftest.py` calls `reset` before each test and compares `state` around it.
"""

from __future__ import annotations

import functools
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import boto3

ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "TUITION_ENVIRONMENT": "test",
    "STRIPE_SECRET_ARN": "stripe",
    "STRIPE_WEBHOOK_SECRET_ARN": "webhook",
    "POWERTOOLS_LOG_LEVEL": "CRITICAL",
    "POWERTOOLS_SERVICE_NAME": "tuition",
}
"""The variables of every test that the environment of the run does not set. Some modules read them when imported."""
PACKAGE = "tuition"
OF_THE_CODE = frozenset(
    {
        "tuition.core.catalog._catalog",
        "tuition.core.stored._names",
        "tuition.core.timestamps.zone_info",
        "tuition.outbox.rendering._layout",
        "tuition.outbox.rendering._zone",
        "tuition.outbox.rendering.messages",
    }
)
"""The caches that stay: what they keep follows from the code alone. Every other cache is emptied before each test."""

_modules: set[str] = set()
_caches: dict[int, Any] = {}


def caches() -> list[Any]:
    """Return every cache of the package's modules that are imported by now: of functions, and of values by name."""
    for name in [name for name in sys.modules if name.startswith(PACKAGE) and name not in _modules]:
        module = sys.modules[name]
        if name.partition(".")[0] == PACKAGE and not getattr(module.__spec__, "_initializing", False):
            _modules.add(name)
            _caches.update((id(value), value) for value in vars(module).values() if _is_cache(value))
    return list(_caches.values())


def _is_cache(value: Any) -> bool:
    if isinstance(value, functools._lru_cache_wrapper):
        return f"{value.__module__}.{value.__qualname__}" not in OF_THE_CODE
    kind = type(value)
    return (kind.__module__, kind.__name__) == (f"{PACKAGE}.cache", "Cache")


def reset() -> None:
    """Empty the caches, and forget the deadline of the last invocation."""
    for cache in caches():
        (cache.cache_clear if hasattr(cache, "cache_clear") else cache.clear)()
    clock = sys.modules.get(f"{PACKAGE}.clock")
    if clock is not None:
        clock._ends.set(None)


def state() -> dict[str, Any]:
    """Return the parts of the process that a test may change, but must restore."""
    return {
        "environment": {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "folder": Path.cwd(),
        "time zone": time.tzname,
        "clock": time.time,
        "sleep": time.sleep,
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "socket timeout": socket.getdefaulttimeout(),
        "import path": list(sys.path),
    }


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the names of the parts that differ. A variable is named without its value, which may be a secret."""
    variables = sorted({name for name, _ in before["environment"].items() ^ after["environment"].items()})
    parts = [name for name in before if name != "environment" and before[name] != after[name]]
    return [*(f"the variable {name}" for name in variables), *parts]


def restore_session(session: boto3.Session | None) -> None:
    """Restore boto3's default session: it keeps the credentials and the region of the test that made it."""
    boto3.DEFAULT_SESSION = session
