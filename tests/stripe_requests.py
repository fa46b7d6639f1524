"""Check every request that Tuition sends to Stripe during the tests against the typed parameters of `stripe`.

In each folder, the stand-in for the network records the requests that pass through it. `tests/conftest.py` merges the
records of all workers at the end of the run, and fails the run if `problems` returns any: a request that the types do
not allow, a folder that recorded no request, or an operation of `stripe_client` that no test sent.
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

CLIENT = Path(__file__).parent.parent / "layers/tuition/tuition/stripe_gateway/client.py"
MIN_TESTS = 20
"""If this many tests passed in a folder, it must have recorded a request; if in every folder, each operation too."""
LONG = re.compile(r"(?=[a-z_]*\d)\w{12,}", re.IGNORECASE)  # an id has a digit, the name of a resource has none


class RequestLog:
    """The requests that were sent, counted by folder and operation, and the problems with them."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {"tables": Counter(), "model": Counter(), "stack": Counter()}
        self.violations: set[str] = set()
        self._operations: dict[str, str] = {}

    def record(self, folder: str, method: str, path: str, body: Any) -> None:
        """Record one request as `stripe` encoded it."""
        text = body.decode() if isinstance(body, bytes) else body or ""
        shape = LONG.sub("*", f"{method} {path} {text}")  # requests that differ only in their ids are checked once
        operation = self._operations.get(shape)
        if operation is None:
            bare, _, query = path.partition("?")
            operation = self._operations[shape] = self.check(method, bare, typed_params.tree(text or query))
        self.counts[folder][operation] += 1

    def check(self, method: str, path: str, params: Mapping[str, Any]) -> str:
        """Check the request against the types and return its operation."""
        self.violations.update(typed_params.problems(method, path, params))
        return operation_of(method, path) or f"{method} {path}"

    def add_simulator_log(self, folder: str, requests: list[dict[str, Any]]) -> None:
        """Record the requests in the simulator's `/_sim/requests` that `stripe` sent."""
        for request in requests:
            if "PythonBindings" in (request["user_agent"] or ""):
                self.counts[folder][self.check(request["method"], request["path"], request["params"])] += 1

    def report(self) -> dict[str, Any]:
        """Return this log as plain values, for the process that merges all logs."""
        return {
            "counts": {folder: dict(counts) for folder, counts in self.counts.items()},
            "violations": sorted(self.violations),
        }

    def merge(self, report: Mapping[str, Any]) -> None:
        """Add the report of another process."""
        for folder, counts in report["counts"].items():
            self.counts[folder].update(counts)
        self.violations.update(report["violations"])

    def problems(self, passed: Mapping[str, int]) -> list[str]:
        """Return the reasons why the run must fail, given the number of passed tests in each folder."""
        problems = sorted(self.violations)
        for folder, counts in self.counts.items():
            if passed.get(folder, 0) >= MIN_TESTS and not counts:
                problems.append(f"tests/{folder}: {passed[folder]} tests passed and no request to Stripe was recorded")
        if all(passed.get(folder, 0) >= MIN_TESTS for folder in self.counts):  # the whole suite ran
            sent = {operation for counts in self.counts.values() for operation in counts}
            missing = sorted(client_operations() - sent)
            problems += [f"{operation}: stripe_client can send it, but no test did" for operation in missing]
        return problems


def client_operations() -> set[str]:
    """Return every operation that `stripe_client` can send, read from its calls `c.v1.….method(…)`."""
    operations = set()
    for node in ast.walk(ast.parse(CLIENT.read_text())):
        if not isinstance(node, ast.Lambda):
            continue
        is_call = isinstance(node.body, ast.Call)  # otherwise a service whose `list` is called elsewhere
        text = ast.unparse(node.body.func if isinstance(node.body, ast.Call) else node.body)
        match = re.fullmatch(r"c\.v1\.([a-z_.]+?)(?:\.([a-z]+))?" if is_call else r"c\.v1\.([a-z_.]+)()", text)
        if match is not None:
            service: Any = stripe.StripeClient("sk_test_none").v1
            for step in match[1].split("."):
                service = getattr(service, step)
            operations.add(_operation(service, match[2] or "list"))
    return operations


def _operation(service: Any, method: str) -> str:
    """Read the operation of a service's method from the method's source."""
    source = Path(__import__(type(service).__module__, fromlist=["x"]).__file__ or "").read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == method:
            call = make_params.OPERATION.search(ast.unparse(node).replace("'", '"'))
            assert call is not None, f"{type(service).__name__}.{method} sends nothing"
            return f"{call[1].upper()} " + re.sub(r"\{[^}]*\}", "*", call[2])
    raise AssertionError(f"{type(service).__name__} has no {method}")


request_log = RequestLog()
