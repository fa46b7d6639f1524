"""Print code that nothing uses: ``python -m tools.dead_code``.

vulture (https://github.com/jendrikseipp/vulture) finds it. A use in a test does not count as a use of other code. These
count, although vulture does not see them:

- a string constant that equals the name, as in ``getattr(item, "refunded_at")``;
- the name in a web page's script or in ``template.yaml``, which read the API's and the tables' fields;
- a decorator that registers its function, which is any decorator but :data:`PLAIN_DECORATORS`.

:data:`ALLOWED` lists the rest, each with its reason.
"""

from __future__ import annotations

import ast
import gc
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tools import structure

ROOT = structure.ROOT
THIS_FILE = "tools/dead_code.py"
MIN_CONFIDENCE = 60
PLAIN_DECORATORS = frozenset(
    {"abstractmethod", "cache", "cached_property", "classmethod", "contextmanager", "dataclass", "lru_cache"}
    | {"override", "property", "setter", "staticmethod", "wraps"}
)
"""Decorators that do not register what they decorate."""

ALLOWED = {
    "MODELS": "the list of all table models, over which the house rules run",
    "fmt": "botocore reads it",
    "compress_type": "zipfile reads it",
    "external_attr": "zipfile reads it",
    "namelist": "MiniStack calls it",
    "daemon_threads": "socketserver reads it",
    "request_queue_size": "socketserver reads it",
    "disable_nagle_algorithm": "socketserver reads it",
    "wbufsize": "socketserver reads it",
    "protocol_version": "http.server reads it",
    "server_version": "http.server reads it",
    "sys_version": "http.server reads it",
    "do_[A-Z]*": "http.server calls it",
    "from_": "the query parameter `from`, which Python cannot name; tools/openapi.py reads the dataclass",
    "log_message": "http.server calls it",
    "prepared": "the flows and checks of stripe_simulator/testing/fault_runs.py read it",
    "pytest_*": "pytest calls its hooks",
}
"""Unused names, as patterns, that stay."""
ALLOWED_IN_TESTS = {
    "pytest_*": "pytest calls its hooks",
    "pytestmark": "pytest reads it",
    "handle_*": "html.parser calls it",
    "_split_scope": "xdist calls it",
    "redirect_request": "urllib calls it",
    "get_call_kwargs": "schemathesis calls it",
    "positive_data_acceptance": "schemathesis reads it",
    "request_signer": "a parameter that botocore's event prescribes",
}
"""The same for tests."""


class Unused(NamedTuple):
    """A definition that nothing uses."""

    path: str
    line: int
    kind: str
    name: str


def unused(root: Path = ROOT) -> list[Unused]:
    """Return what nothing uses and :data:`ALLOWED` does not list."""
    code, tests = _candidates(root)
    return [*_without(ALLOWED, code), *_without(ALLOWED | ALLOWED_IN_TESTS, tests)]


def stale_entries(root: Path = ROOT) -> list[str]:
    """Return the patterns of the allow-lists that match no unused name."""
    code, tests = _candidates(root)
    return [*_unmatched(ALLOWED, code), *_unmatched(ALLOWED_IN_TESTS, tests)]


def _unmatched(allowed: Iterable[str], items: Iterable[Unused]) -> list[str]:
    names = {item.name for item in items}
    return [pattern for pattern in allowed if not any(fnmatch(name, pattern) for name in names)]


def _without(allowed: Iterable[str], items: Iterable[Unused]) -> list[Unused]:
    return [item for item in items if not any(fnmatch(item.name, pattern) for pattern in allowed)]


@cache
def _candidates(root: Path) -> tuple[list[Unused], list[Unused]]:
    """Return what nothing uses outside tests, and what nothing uses of the tests' own code."""
    python = [module for module in structure.modules(root) if module.endswith(".py")]
    gc.disable()  # it would visit the millions of nodes of the syntax trees again and again
    try:
        code, uses = _scan(root, [path for path in python if not path.startswith("tests/")], _other_names(root))
        tests, _ = _scan(root, [path for path in python if path.startswith("tests/")], uses)
    finally:
        gc.enable()
    return code, tests


def _scan(root: Path, paths: list[str], uses: set[str]) -> tuple[list[Unused], set[str]]:
    """Return what neither these files nor ``uses`` use, and all uses."""
    from vulture.core import Vulture

    finder = Vulture()
    finder.scavenge([str(root / path) for path in paths])
    finder.used_names.update(uses)
    registered = set()
    for path in paths:
        nodes = structure.nodes(root / path)
        finder.used_names.update(_string_constants(nodes) if path != THIS_FILE else ())
        registered |= {(path, line) for line in _registered_lines(nodes)}
    items = []
    for item in finder.get_unused_code(min_confidence=MIN_CONFIDENCE):
        path = Path(item.filename).resolve().relative_to(root.resolve()).as_posix()
        if (path, item.first_lineno) not in registered:
            items.append(Unused(path, item.first_lineno, item.typ, item.name))
    return items, set(finder.used_names)


def _string_constants(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value


def _other_names(root: Path) -> set[str]:
    """Return the words of the web pages' scripts and of the template."""
    files = [root / module for module in structure.modules(root) if module.endswith(".js")]
    files += [file for file in [root / "template.yaml"] if file.exists()]
    return {word for file in files for word in re.findall(r"\w+", file.read_text(encoding="utf-8"))}


def _registered_lines(nodes: Iterable[ast.AST]) -> Iterator[int]:
    """Yield the first line, with decorators, of each definition that a decorator registers."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.decorator_list:
            names = {_decorator_name(decorator) for decorator in node.decorator_list}
            if names - PLAIN_DECORATORS:
                yield node.lineno
                yield min(decorator.lineno for decorator in node.decorator_list)


def _decorator_name(decorator: ast.expr) -> str:
    expression = decorator.func if isinstance(decorator, ast.Call) else decorator
    return expression.attr if isinstance(expression, ast.Attribute) else ast.unparse(expression)


def main() -> int:
    """Print each unused definition and each stale entry of the allow-lists. Return 1 if there is one."""
    lines = [f"{item.path}:{item.line}: unused {item.kind} {item.name}" for item in unused()]
    lines += [f"{THIS_FILE}: {pattern} matches no unused name" for pattern in stale_entries()]
    for line in lines:
        print(line)
    return 1 if lines else 0


if __name__ == "__main__":
    raise SystemExit(main())
