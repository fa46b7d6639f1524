"""The deployed artifact: bytecode for Lambda, only the required botocore models, and no native code."""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local import build, change_set
from local.build import ROOT
from local.deploy import read_template


@pytest.fixture(scope="module")
def layer() -> Path:
    build.build()
    return ROOT / ".aws-sam" / "build" / "TuitionLayer" / "python"


def test_every_module_has_unchecked_hash_based_bytecode(layer: Path) -> None:
    modules = [file for file in layer.parent.parent.rglob("*.py") if "__pycache__" not in file.parts]
    assert len(modules) > 500
    for module in modules:
        compiled = module.parent / "__pycache__" / f"{module.stem}.cpython-313.pyc"
        # PEP 552: bit 0 hash-based, bit 1 checked against the source.
        assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 1, module


def test_only_the_models_of_the_required_services_are_shipped(layer: Path) -> None:
    shipped = {entry.name for entry in (layer / "botocore" / "data").iterdir() if entry.is_dir()}
    assert shipped == build.SERVICES


def test_the_required_services_are_those_for_which_the_code_creates_clients() -> None:
    services = set()
    for folder in ("functions", "layers/tuition/tuition"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if not isinstance(node, ast.Call) or file.name == "aws_client.py":
                    continue
                is_client = getattr(node.func, "attr", "") == "create_client"
                if is_client or ast.unparse(node.func) == "aws_client.create":
                    services.add(node.args[0].value if isinstance(node.args[0], ast.Constant) else file.name)
    assert services == build.SERVICES


def test_the_shipped_packages_are_exactly_the_pinned_ones(layer: Path) -> None:
    text = (ROOT / "layers" / "tuition" / "requirements.txt").read_text()
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", text, re.MULTILINE))
    shipped = importlib.metadata.distributions(path=[str(layer)])
    assert {package.name.lower().replace("_", "-"): package.version for package in shipped} == pinned


def test_each_function_has_a_folder_with_all_handlers_and_the_template_names_it(layer: Path) -> None:
    """The layout of `sam build`, which `sam local invoke` and the local stack read."""
    built = layer.parent.parent
    template = read_template(built / "template.yaml")
    handlers = {file.name for file in (ROOT / "functions").glob("*.py")}
    source = read_template(ROOT / "template.yaml")
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            assert resource["Properties"]["CodeUri"] == name
            assert {file.name for file in (built / name).glob("*.py")} == handlers
        elif resource["Type"] == "AWS::Serverless::LayerVersion":
            assert resource["Properties"]["ContentUri"] == "TuitionLayer"
        else:
            assert resource == source["Resources"][name]
    assert {**template, "Resources": None} == {**source, "Resources": None}


def test_commands_of_packages_are_not_shipped(layer: Path) -> None:
    assert not (layer / "bin").exists()


def test_nothing_in_the_artifact_names_this_machine(layer: Path) -> None:
    """Otherwise a set-up from another machine would deploy a layer that differs in nothing else."""
    for note in build.NOTES_OF_PIP:
        assert list(layer.glob(f"*.dist-info/{note}")) == []
    here = str(ROOT).encode()
    assert [file for file in layer.parent.parent.rglob("*") if file.is_file() and here in file.read_bytes()] == []


def test_each_folder_of_the_build_has_its_archive(layer: Path) -> None:
    built = layer.parent.parent
    folders = {entry.name for entry in built.iterdir() if entry.is_dir()}
    assert {file.stem for file in built.glob("*.zip")} == folders > {"TuitionLayer", "WebhookFunction"}
    for name in folders - {"TuitionLayer"}:
        assert change_set.built_archive(built / name) == change_set.archive(built / name)


def test_a_package_without_a_wheel_fails_the_build_with_the_reason(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("tuition-has-no-such-package==1\n")
    with pytest.raises(RuntimeError, match="tuition-has-no-such-package"):
        build._install_packages(requirements, tmp_path / "target")


def test_a_build_with_another_python_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "PYTHON", (3, 12))
    with pytest.raises(RuntimeError, match=r"needs Python 3\.12"):
        build.build(ROOT, always=True)


def test_the_build_runs_neither_docker_nor_the_sam_command_line() -> None:
    commands = [node for node in ast.walk(ast.parse(Path(build.__file__).read_text())) if isinstance(node, ast.List)]
    words = {constant.value for node in commands for constant in ast.walk(node) if isinstance(constant, ast.Constant)}
    assert {"pip", "compileall"} <= words
    assert not words & {"sam", "samcli", "docker"}


def test_the_artifact_contains_no_native_code(layer: Path) -> None:
    assert list(layer.rglob("*.so")) == []


FUNCTIONS = sorted(file.stem for file in (ROOT / "functions").glob("*.py"))
IMPORTS = """
import sys; sys.path[:] = [folder for folder in sys.path if "site-packages" not in folder] + sys.argv[1:3]
import importlib, json, os, traceback
import aws_lambda_powertools.logging, botocore.session, pynamodb.models, stripe
for name in sys.argv[3:]:
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            assert callable(importlib.import_module(name).handler)
        except BaseException:
            os.write(writer, traceback.format_exc()[-4000:].encode())
        os._exit(0)
    os.close(writer)
    print(json.dumps([name, os.fdopen(reader).read()]))
    os.wait()
"""
"""Imports each function in a process of its own. They are forked from one that has imported the layer's packages."""


@pytest.fixture(scope="module")
def import_errors(layer: Path) -> dict[str, str]:
    """Return the error of each function's import, if any. Python runs isolated (`-I`) and without site-packages."""
    command = [sys.executable, "-I", "-c", IMPORTS, str(ROOT / "functions"), str(layer), *FUNCTIONS, "no_such_function"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return dict(json.loads(line) for line in result.stdout.splitlines())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_can_be_imported_from_the_artifact_alone(import_errors: dict[str, str], function: str) -> None:
    assert import_errors[function] == ""


def test_a_function_that_cannot_be_imported_is_found(import_errors: dict[str, str]) -> None:
    assert "No module named 'no_such_function'" in import_errors["no_such_function"]


REGIONS = ("us-east-1", "eu-central-1", "us-gov-west-1", "cn-north-1")
ENDPOINTS = """
import sys, botocore.session
session = botocore.session.get_session()
for service in sys.argv[1].split(","):
    for region in sys.argv[2].split(","):
        client = session.create_client(service, region, aws_access_key_id="x", aws_secret_access_key="x")
        print(service, region, client.meta.endpoint_url, client.meta.config.signature_version)
"""


def test_each_service_has_the_endpoints_of_the_whole_package(layer: Path) -> None:
    def endpoints(path: str) -> str:
        command = [sys.executable, "-c", ENDPOINTS, ",".join(sorted(build.SERVICES)), ",".join(REGIONS)]
        env = {"PYTHONPATH": path}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    assert (layer / "botocore" / "data" / "endpoints.json").stat().st_size < 100_000
    shipped = endpoints(str(layer))
    assert len(shipped.splitlines()) == len(build.SERVICES) * len(REGIONS)
    assert shipped == endpoints("")
