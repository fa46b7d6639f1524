"""Print the repository's rooms, the import arrows between them, and all import cycles: ``python -m tools.structure``.

A room is a folder that contains modules, of Python or JavaScript. The rules for an import:

- An import inside a function counts, and so does one for type checking.
- ``from package import name`` counts as an import of the package, unless ``name`` is a module of it.
- In JavaScript, static and dynamic imports of relative paths count, and so do re-exports.

Only modules of the repository count. Modules are named by their path from the root, with slashes.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMPORT_ROOTS = ("", "functions", "layers/tuition")
"""The folders on Python's path, relative to the root."""
SKIPPED = frozenset({"node_modules", "vendor"})
"""Folders with the code of others. Folders whose names begin with a dot are skipped too."""
JS_IMPORT = re.compile(
    r"""^\s*(?:import|export)\b[^"';]*?\bfrom\s*["'](?P<static>\.[^"']+)["']"""
    r"""|^\s*import\s*["'](?P<effect>\.[^"']+)["']"""
    r"""|\bimport\(\s*["'](?P<dynamic>\.[^"']+)["']""",
    re.MULTILINE,
)

Graph = Mapping[str, frozenset[str]]


def modules(root: Path = ROOT) -> list[str]:
    """Return every Python and JavaScript module under the root, sorted."""
    return sorted(_walk(root, root))


def _walk(root: Path, folder: Path) -> Iterator[str]:
    for path in folder.iterdir():
        if path.is_dir():
            if not path.name.startswith(".") and path.name not in SKIPPED:
                yield from _walk(root, path)
        elif path.suffix in (".py", ".js"):
            yield path.relative_to(root).as_posix()


# --- imports ---


def imports(path: Path, root: Path = ROOT) -> set[str]:
    """Return the modules of the repository that a file imports."""
    return _js_imports(path, root) if path.suffix == ".js" else _python_imports(path, root)


def _js_imports(path: Path, root: Path) -> set[str]:
    targets = [next(filter(None, match.groups())) for match in JS_IMPORT.finditer(path.read_text(encoding="utf-8"))]
    files = [(path.parent / target).resolve() for target in targets]
    return {file.relative_to(root.resolve()).as_posix() for file in files if file.is_relative_to(root.resolve())}


def _python_imports(path: Path, root: Path) -> set[str]:
    resolved = (_resolve(name, root) for name in imported_names(path, root))
    return {module for module in resolved if module is not None}


def imported_names(path: Path, root: Path = ROOT) -> Iterator[str]:
    """Yield the dotted name of each module that a Python file imports, the repository's and all others.

    ``from package import name`` yields ``package.name`` if that is a module of the repository, otherwise ``package``.
    """
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(filter(None, [_parent(path, root, node.level), node.module]))
            for alias in node.names:
                name = f"{package}.{alias.name}"
                yield name if _resolve(name, root) else package
        elif isinstance(node, ast.Call) and _is_import_call(node.func):
            yield from (str(name.value) for name in node.args[:1] if isinstance(name, ast.Constant))


def _is_import_call(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return function.attr == "import_module"
    return isinstance(function, ast.Name) and function.id in ("import_module", "__import__")


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a Python file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Return every node of a Python file. Walking a tree costs more than most checks of its nodes."""
    return list(ast.walk(tree(path)))


def _parent(path: Path, root: Path, level: int) -> str:
    """Return the package that a relative import of this level starts from; empty for an absolute import."""
    if level == 0:
        return ""
    folder = path.parents[level - 1].relative_to(root).as_posix()
    import_roots = [r for r in IMPORT_ROOTS if r and folder.startswith(f"{r}/")]
    return folder.removeprefix(f"{import_roots[0]}/" if import_roots else "").replace("/", ".")


@cache
def _resolve(name: str, root: Path) -> str | None:
    """Return the repository's module with this dotted name, or None if there is no such module."""
    for import_root in IMPORT_ROOTS:
        base = root / import_root / name.replace(".", "/")
        for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
            if path.is_file():
                return path.relative_to(root).as_posix()
    return None


@cache
def graph(root: Path = ROOT) -> Graph:
    """Return the imports of every module."""
    return {module: frozenset(imports(root / module, root)) for module in modules(root)}


# --- cycles ---


def cycles(root: Path = ROOT) -> list[list[str]]:
    """Return each group of modules that import each other in a circle."""
    return cyclic_groups(graph(root))


def folder_cycles(root: Path = ROOT) -> list[list[str]]:
    """Return each group of top-level folders that import each other in a circle."""
    return cyclic_groups(fold(graph(root), lambda module: module.split("/")[0]))


def cyclic_groups(edges: Graph) -> list[list[str]]:
    """Return the strongly connected components of more than one node, and the nodes that point at themselves.

    Tarjan's algorithm: https://en.wikipedia.org/wiki/Tarjan%27s_strongly_connected_components_algorithm
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(edges.get(node, ())):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1 or node in edges.get(node, ()):
                groups.append(sorted(group))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return sorted(groups)


# --- rooms ---


def room(module: str) -> str:
    """Return the room of a module: its folder."""
    return module.rpartition("/")[0] or "."


def rooms(root: Path = ROOT) -> dict[str, int]:
    """Return the number of modules in each room."""
    return dict(sorted(Counter(room(module) for module in modules(root)).items()))


def arrows(root: Path = ROOT) -> dict[tuple[str, str], int]:
    """Return the number of imports from one room into another."""
    pairs = ((room(module), room(target)) for module, targets in graph(root).items() for target in targets)
    return dict(sorted(Counter(pair for pair in pairs if pair[0] != pair[1]).items()))


def fold(edges: Graph, name_of: Callable[[str], str]) -> dict[str, frozenset[str]]:
    """Return the graph between groups of modules, without a group's imports of itself."""
    folded: dict[str, set[str]] = {}
    for module, targets in edges.items():
        source = name_of(module)
        folded.setdefault(source, set()).update(name_of(target) for target in targets)
    return {source: frozenset(targets - {source}) for source, targets in folded.items()}


# --- rules about single modules ---


def packages_with_imports(root: Path = ROOT) -> list[str]:
    """Return the package ``__init__`` files that import something."""
    packages = [module for module in modules(root) if module.endswith("__init__.py")]
    return [module for module in packages if any(imported_names(root / module, root))]


def stdlib_names(root: Path = ROOT) -> list[str]:
    """Return the Python modules and packages whose name hides a module of the standard library."""
    names = {module: Path(module).stem for module in modules(root) if module.endswith(".py")}
    names |= {room(module): Path(module).parent.name for module in names if module.endswith("/__init__.py")}
    return sorted(path for path, name in names.items() if name in sys.stdlib_module_names)


# --- printing ---


def report(root: Path = ROOT) -> str:
    """Describe the structure as text."""
    counts, between = rooms(root), arrows(root)
    module_cycles, between_folders = cycles(root), folder_cycles(root)
    lines = [f"rooms: {len(counts)}, with {sum(counts.values())} modules"]
    lines += [f"{count:5}  {name}" for name, count in counts.items()]
    lines += ["", f"arrows: {len(between)}, with {sum(between.values())} imports"]
    lines += [f"{count:5}  {source} -> {target}" for (source, target), count in between.items()]
    lines += ["", f"cycles of modules: {len(module_cycles)}", *_listed(module_cycles)]
    lines += ["", f"cycles of top-level folders: {len(between_folders)}", *_listed(between_folders)]
    init_files, hiding = packages_with_imports(root), stdlib_names(root)
    lines += ["", f"package files with imports: {len(init_files)}", *_listed([name] for name in init_files)]
    lines += ["", f"names of the standard library: {len(hiding)}", *_listed([name] for name in hiding)]
    return "\n".join(lines)


def _listed(groups: Iterable[list[str]]) -> list[str]:
    return [f"       {', '.join(group)}" for group in groups]


def main() -> int:
    """Print the report. Return 1 if there is a cycle."""
    print(report())
    return 1 if cycles() or folder_cycles() else 0


if __name__ == "__main__":
    raise SystemExit(main())
