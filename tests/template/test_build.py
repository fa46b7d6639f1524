"""What is shipped: bytecode that Lambda can use, only the models in use, nothing tied to one processor."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local import build
from local.build import ROOT


@pytest.fixture(scope="module")
def layer() -> Path:
    build.build()
    return ROOT / ".aws-sam" / "build" / "TuitionLayer" / "python"


def test_every_module_has_bytecode_that_is_never_checked(layer: Path) -> None:
    modules = [file for file in layer.parent.parent.rglob("*.py") if "__pycache__" not in file.parts]
    assert len(modules) > 500
    for module in modules:
        compiled = module.parent / "__pycache__" / f"{module.stem}.cpython-313.pyc"
        # PEP 552: bit 0 hash-based, bit 1 checked against the source.
        assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 1, module


def test_only_the_models_of_services_in_use_are_shipped(layer: Path) -> None:
    shipped = {entry.name for entry in (layer / "botocore" / "data").iterdir() if entry.is_dir()}
    assert shipped == build.SERVICES


def test_the_services_in_use_are_those_that_the_code_makes_clients_of() -> None:
    made = set()
    for folder in ("functions", "layers/tuition/tuition"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "create_client":
                    made.add(node.args[0].value if isinstance(node.args[0], ast.Constant) else file.name)
    assert made == build.SERVICES


def test_what_ships_is_what_is_pinned_down_to_the_last_package(layer: Path) -> None:
    text = (ROOT / "layers" / "tuition" / "requirements.txt").read_text()
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", text, re.MULTILINE))
    found = importlib.metadata.distributions(path=[str(layer)])
    assert {each.name.lower().replace("_", "-"): each.version for each in found} == pinned


def test_nothing_is_compiled_for_one_processor_without_a_twin_in_python(layer: Path) -> None:
    assert list(layer.rglob("*.so")) == []


@pytest.mark.parametrize("function", sorted(file.stem for file in (ROOT / "functions").glob("*.py")))
def test_a_function_imports_from_what_is_shipped_alone(layer: Path, function: str) -> None:
    """`-I`: no environment, no site of this folder; what it imports must be in the artifact."""
    code = ROOT / "functions"
    script = (
        "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]\n"
        f"sys.path += [{str(code)!r}, {str(layer)!r}]\n"
        f"import {function}; assert callable({function}.handler)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
