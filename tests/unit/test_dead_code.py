"""Nothing is unused: no code, setting, environment variable, table, or index.

`python -m tools.dead_code` prints unused code. The tests of the tool itself use a small made-up tree.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import aws_lambda_powertools.shared.constants as powertools
import pytest

from local import deploy
from tests.unit.test_structure import write
from tools import dead_code, structure

ROOT = structure.ROOT
SHIPPED = [ROOT / module for module in structure.modules() if module.startswith(("layers/", "functions/"))]
LOCAL_ONLY = {"DYNAMODB_ENDPOINT_URL"}
"""Settings that only the local stack and the tests set."""
LAMBDA_SETS = {"AWS_LAMBDA_FUNCTION_NAME"}
"""https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""

# --- code ---


def test_everything_that_is_defined_is_used() -> None:
    assert dead_code.unused() == []


def test_every_entry_of_the_allow_lists_is_needed() -> None:
    assert dead_code.stale_entries() == []


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write(
        tmp_path,
        {
            "app.py": "import registry\n\n@registry.add\ndef registered(): ...\n\ndef unused(): ...\n\n"
            "def for_a_test(): ...\n\ndef by_name(): ...\n\nclass Item:\n    shown = 1\n    hidden = 1\n\n"
            'print(Item(), "by_name")\n',
            "tests/test_app.py": "import app\n\ndef test_it(): app.for_a_test()\n\ndef unused_helper(): ...\n",
            "web/page.js": "show(item.shown);\n",
        },
    )


def test_unused_code_is_found_and_a_use_in_a_test_keeps_nothing_alive(tree: Path) -> None:
    names = {item.name for item in dead_code.unused(tree)}
    assert names == {"unused", "for_a_test", "hidden", "unused_helper"}


def test_an_unused_definition_is_reported_with_its_place(tree: Path) -> None:
    assert dead_code.Unused("app.py", 6, "function", "unused") in dead_code.unused(tree)


def test_an_entry_that_matches_nothing_is_stale(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_code, "ALLOWED", {"unus*": "", "other": ""})
    monkeypatch.setattr(dead_code, "ALLOWED_IN_TESTS", {"unused_helper": "", "more": ""})
    assert dead_code.stale_entries(tree) == ["other", "more"]
    assert {item.name for item in dead_code.unused(tree)} == {"for_a_test", "hidden"}


# --- settings and environment variables ---


@cache
def template() -> dict[str, Any]:
    return deploy.read_template(ROOT / "template.yaml")


def functions() -> Iterator[dict[str, Any]]:
    for resource in template()["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            yield resource["Properties"]


def variables_set() -> dict[str, Any]:
    """Every environment variable that the template sets, for all functions or for some."""
    variables = dict(template()["Globals"]["Function"]["Environment"]["Variables"])
    for properties in functions():
        variables |= properties.get("Environment", {}).get("Variables", {})
    return variables


@cache
def nodes() -> list[ast.AST]:
    return [node for path in SHIPPED for node in structure.nodes(path)]


def settings_fields() -> set[str]:
    classes = [node for node in nodes() if isinstance(node, ast.ClassDef) and node.name == "Settings"]
    assert len(classes) == 1
    return {n.target.id for n in classes[0].body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}


def attributes_read() -> set[str]:
    return {node.attr for node in nodes() if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}


def variables_read_directly() -> set[str]:
    """The names in `os.environ["NAME"]`, `os.environ.get("NAME")` and `os.getenv("NAME")`."""
    keys: list[ast.expr] = []
    for node in nodes():
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            keys.append(node.slice)
        if isinstance(node, ast.Call) and node.args and isinstance(node.func, ast.Attribute):
            keys += node.args[:1] if ast.unparse(node.func) in ("os.environ.get", "os.getenv") else []
    return {str(key.value) for key in keys if isinstance(key, ast.Constant)}


def test_every_setting_is_read() -> None:
    assert settings_fields() - attributes_read() == set()


def test_every_environment_variable_of_the_template_is_read() -> None:
    by_powertools = {value for value in vars(powertools).values() if isinstance(value, str)}
    read = {field.upper() for field in settings_fields()} | variables_read_directly() | by_powertools
    assert set(variables_set()) - read == set()


def test_every_environment_variable_that_is_read_is_set() -> None:
    read = {field.upper() for field in settings_fields()} | variables_read_directly()
    assert read - set(variables_set()) == LOCAL_ONLY | LAMBDA_SETS


def test_every_parameter_of_the_template_is_used() -> None:
    text = str({key: value for key, value in template().items() if key != "Parameters"})
    used = set(re.findall(r"'Ref': '(\w+)'", text)) | set(re.findall(r"\$\{(\w+)\}", text))
    assert set(template()["Parameters"]) - used == set()


# --- tables and indexes ---

WRITES = {"PutItem", "UpdateItem"}
READS = {"GetItem", "BatchGetItem", "Query"}


def tables() -> dict[str, Any]:
    resources = template()["Resources"].items()
    return {name: r["Properties"] for name, r in resources if r["Type"] == "AWS::DynamoDB::Table"}


def actions_on(table: str) -> set[str]:
    """The DynamoDB actions that some role allows on a table or its indexes."""
    actions: set[str] = set()
    policies = [statement for properties in functions() for p in properties.get("Policies", []) for statement in _in(p)]
    managed = [r for r in template()["Resources"].values() if r["Type"] == "AWS::IAM::ManagedPolicy"]
    policies += [statement for policy in managed for statement in policy["Properties"]["PolicyDocument"]["Statement"]]
    for statement in policies:
        if re.search(rf"\b{table}\b", str(statement["Resource"])):
            allowed = statement["Action"]
            actions |= {action.partition(":")[2] for action in ([allowed] if isinstance(allowed, str) else allowed)}
    return actions


def _in(policy: Any) -> list[dict[str, Any]]:
    return list(policy.get("Statement", []))


@pytest.mark.parametrize("table", sorted(tables()))
def test_every_table_is_named_to_the_functions_written_and_read(table: str) -> None:
    names = [name for name, value in variables_set().items() if value == {"Ref": table}]
    assert len(names) == 1
    assert names[0].lower() in attributes_read()
    assert actions_on(table) & WRITES
    assert actions_on(table) & READS


@pytest.mark.parametrize(
    ("table", "index"),
    [
        (name, index["IndexName"])
        for name, t in sorted(tables().items())
        for index in t.get("GlobalSecondaryIndexes", [])
    ],
)
def test_every_index_is_queried(table: str, index: str) -> None:
    strings = {node.value for node in nodes() if isinstance(node, ast.Constant)}
    assert index in strings, f"no code names {index} of {table}"
