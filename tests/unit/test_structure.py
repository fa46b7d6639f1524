"""The structure of the repository: no import cycles, empty packages, and no module that hides the standard library.

`python -m tools.structure` prints the structure. The tests of the tool itself use small made-up trees.
"""

from pathlib import Path

import pytest

from tools import structure


def write(root: Path, files: dict[str, str]) -> Path:
    """Write a made-up repository."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


# --- this repository ---


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert structure.cycles() == []


def test_no_top_level_folders_import_each_other_in_a_circle() -> None:
    assert structure.folder_cycles() == []


def test_package_init_files_import_nothing() -> None:
    assert structure.packages_with_imports() == []


def test_no_module_hides_a_module_of_the_standard_library() -> None:
    assert structure.stdlib_names() == []


def test_the_whole_repository_is_read() -> None:
    rooms = structure.rooms()
    assert {"benchmarks", "functions", "local", "tools", "tests/unit", "web/shared"} <= set(rooms)
    assert "layers/tuition/tuition/core" in rooms
    assert "stripe_simulator/pages/browser" in rooms
    assert len(structure.graph()) == sum(rooms.values()) > 250


# --- the tool ---


def test_a_cycle_through_an_import_inside_a_function_is_found(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "a.py": "import b\n",
            "b.py": "from c import x\n",
            "c.py": "def f():\n    import a\n",
            "d.py": "import a\n",
        },
    )
    assert structure.cycles(root) == [["a.py", "b.py", "c.py"]]


def test_a_cycle_through_an_import_for_type_checking_is_found(tmp_path: Path) -> None:
    later = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\n"
    assert structure.cycles(write(tmp_path, {"a.py": "import b\n", "b.py": later})) == [["a.py", "b.py"]]


@pytest.mark.parametrize(
    "statement",
    [
        'import { x } from "./a.js";',
        'import {\n  x,\n  y,\n} from "./a.js";',
        'import "./a.js";',
        'export { x } from "./a.js";',
        'export * from "./a.js";',
        'const load = () => import("./a.js");',
    ],
)
def test_a_cycle_of_javascript_modules_is_found(tmp_path: Path, statement: str) -> None:
    root = write(tmp_path, {"web/a.js": 'import { b } from "./more/b.js";\n', "web/more/b.js": ""})
    (root / "web/more/b.js").write_text(statement.replace("./a.js", "../a.js") + "\n")
    assert structure.cycles(root) == [["web/a.js", "web/more/b.js"]]


def test_a_name_of_a_package_counts_as_the_package_and_a_module_of_it_does_not(tmp_path: Path) -> None:
    root = write(tmp_path, {"p/__init__.py": "x = 1\n", "p/m.py": "", "a.py": "from p import x\n"})
    write(root, {"b.py": "from p import m\n", "p/n.py": "from . import m\nfrom .m import y\n"})
    assert structure.imports(root / "a.py", root) == {"p/__init__.py"}
    assert structure.imports(root / "b.py", root) == {"p/m.py"}
    assert structure.imports(root / "p/n.py", root) == {"p/m.py"}


def test_packages_on_the_path_of_the_functions_are_found_under_their_folders(tmp_path: Path) -> None:
    root = write(tmp_path, {"layers/tuition/tuition/core/money.py": "", "functions/webhook.py": ""})
    write(root, {"a.py": "from tuition.core import money\nimport webhook, json, botocore\n"})
    assert structure.imports(root / "a.py", root) == {"layers/tuition/tuition/core/money.py", "functions/webhook.py"}
    assert sorted(structure.imported_names(root / "a.py", root)) == [
        *("botocore", "json", "tuition.core.money", "webhook"),
    ]


def test_an_import_by_a_call_counts(tmp_path: Path) -> None:
    root = write(tmp_path, {"a.py": 'import importlib\nimportlib.import_module("b")\n', "b.py": "import a\n"})
    assert structure.cycles(root) == [["a.py", "b.py"]]


def test_a_cycle_of_folders_without_a_cycle_of_modules_is_found(tmp_path: Path) -> None:
    root = write(tmp_path, {"x/a.py": "import y.b\n", "x/c.py": "", "y/b.py": "", "y/d.py": "import x.c\n"})
    assert structure.cycles(root) == []
    assert structure.folder_cycles(root) == [["x", "y"]]


def test_a_module_that_imports_itself_is_a_cycle(tmp_path: Path) -> None:
    assert structure.cycles(write(tmp_path, {"a.py": "import a\n"})) == [["a.py"]]


def test_the_code_of_others_is_skipped(tmp_path: Path) -> None:
    root = write(tmp_path, {"a.py": "", ".venv/b.py": "", "web/vendor/c.js": "", "node_modules/d.js": ""})
    assert structure.modules(root) == ["a.py"]


def test_an_init_file_that_imports_is_found(tmp_path: Path) -> None:
    root = write(tmp_path, {"p/__init__.py": "import json\n", "q/__init__.py": '"""Nothing."""\n'})
    assert structure.packages_with_imports(root) == ["p/__init__.py"]


def test_a_name_of_the_standard_library_is_found_for_modules_and_packages(tmp_path: Path) -> None:
    root = write(tmp_path, {"p/site.py": "", "p/http/__init__.py": "", "p/sites.py": "", "p/json.js": ""})
    assert structure.stdlib_names(root) == ["p/http", "p/site.py"]


def test_the_report_lists_rooms_arrows_and_cycles(tmp_path: Path) -> None:
    root = write(tmp_path, {"x/a.py": "import y.b\n", "y/b.py": "import x.a\n"})
    assert structure.report(root).splitlines() == [
        "rooms: 2, with 2 modules",
        "    1  x",
        "    1  y",
        "",
        "arrows: 2, with 2 imports",
        "    1  x -> y",
        "    1  y -> x",
        "",
        "cycles of modules: 1",
        "       x/a.py, y/b.py",
        "",
        "cycles of top-level folders: 1",
        "       x, y",
        "",
        "package files with imports: 0",
        "",
        "names of the standard library: 0",
    ]
