"""Every request that Tuition sends to Stripe while the tests run, held against the typed parameters of `stripe`.

What stands in for the network in each folder notes what passes it. `tests/conftest.py` brings the notes of all workers
together when the run ends, and fails it for whatever `faults` says: a request that the types do not allow, a folder
in which nothing was noted, an operation of `stripe_client` that no test sent.
"""

import ast
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import stripe

from tests.stripe import make_params, typed_params
from tests.stripe.typed_responses import operation_of

CLIENT = Path(__file__).parent.parent / "layers/tuition/tuition/stripe_client.py"
MANY = 20
"""With so many tests passed, a folder of these has sent something."""
LONG = re.compile(r"\w{12,}")


class Notes:
    """What was sent, by folder, and what was wrong with it."""

    def __init__(self) -> None:
        self.sent: dict[str, Counter[str]] = {"tables": Counter(), "model": Counter(), "stack": Counter()}
        self.wrong: set[str] = set()
        self._known: dict[str, str] = {}

    def note(self, folder: str, method: str, path: str, body: Any) -> None:
        """One request as the package encoded it."""
        text = body.decode() if isinstance(body, bytes) else body or ""
        shape = LONG.sub("*", f"{method} {path} {text}")  # the same but for ids: looked at once
        operation = self._known.get(shape)
        if operation is None:
            bare, _, query = path.partition("?")
            operation = self._known[shape] = self.check(method, bare, typed_params.tree(text or query))
        self.sent[folder][operation] += 1

    def check(self, method: str, path: str, params: Mapping[str, Any]) -> str:
        """Hold it against the types; its operation."""
        self.wrong.update(typed_params.problems(method, path, params))
        return operation_of(method, path) or f"{method} {path}"

    def take_log(self, folder: str, requests: list[dict[str, Any]]) -> None:
        """What `/_sim/requests` has of the package's own requests."""
        for one in requests:
            if "PythonBindings" in (one["user_agent"] or ""):
                self.sent[folder][self.check(one["method"], one["path"], one["params"])] += 1

    def report(self) -> dict[str, Any]:
        """For the process that brings all together."""
        return {"sent": {folder: dict(counts) for folder, counts in self.sent.items()}, "wrong": sorted(self.wrong)}

    def add(self, report: Mapping[str, Any]) -> None:
        """What another process noted."""
        for folder, counts in report["sent"].items():
            self.sent[folder].update(counts)
        self.wrong.update(report["wrong"])

    def faults(self, passed: Mapping[str, int]) -> list[str]:
        """Why the run must fail, given how many tests passed in each folder."""
        found = sorted(self.wrong)
        for folder, counts in self.sent.items():
            if passed.get(folder, 0) >= MANY and not counts:
                found.append(f"tests/{folder}: {passed[folder]} tests passed and no request to Stripe was noted")
        if all(passed.get(folder, 0) >= MANY for folder in self.sent):  # the whole run
            sent = {operation for counts in self.sent.values() for operation in counts}
            found += [f"{operation}: stripe_client has it, and no test sent it" for operation in sorted(ours() - sent)]
        return found


def ours() -> set[str]:
    """Every operation that `stripe_client` can send, read from its calls `c.v1.….method(…)`."""
    found = set()
    for node in ast.walk(ast.parse(CLIENT.read_text())):
        if not isinstance(node, ast.Lambda):
            continue
        called = isinstance(node.body, ast.Call)  # else a service whose `list` is called elsewhere
        text = ast.unparse(node.body.func if isinstance(node.body, ast.Call) else node.body)
        match = re.fullmatch(r"c\.v1\.([a-z_.]+?)(?:\.([a-z]+))?" if called else r"c\.v1\.([a-z_.]+)()", text)
        if match is not None:
            service: Any = stripe.StripeClient("sk_test_none").v1
            for step in match[1].split("."):
                service = getattr(service, step)
            found.add(_operation(service, match[2] or "list"))
    return found


def _operation(service: Any, method: str) -> str:
    """The operation of a service's method, from its source."""
    source = Path(__import__(type(service).__module__, fromlist=["x"]).__file__ or "").read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == method:
            call = make_params.OPERATION.search(ast.unparse(node).replace("'", '"'))
            assert call is not None, f"{type(service).__name__}.{method} sends nothing"
            return f"{call[1].upper()} " + re.sub(r"\{[^}]*\}", "*", call[2])
    raise AssertionError(f"{type(service).__name__} has no {method}")


notes = Notes()
