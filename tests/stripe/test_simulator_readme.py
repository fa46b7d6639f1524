"""The programs in the simulator's README run unchanged, and print what their comments say."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from stripe_simulator.server import start
from tests.stripe import make_typescript_fields

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "stripe_simulator" / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
OUTPUT = re.compile(r"^ *(?:print|console\.log)\(.*\);? +(?:#|//) (.*)$", re.MULTILINE)
TIMEOUT_S = 100


def blocks(*languages: str) -> list[tuple[str, str]]:
    """Return the blocks in these languages: the language and the text."""
    return [(language, text) for language, text in BLOCK.findall(DOCUMENT.read_text()) if language in languages]


def run(*command: str, folder: Path) -> str:
    """Run a program in a folder outside the repository, where `python` can import the simulator; return its output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def outputs(text: str) -> list[str]:
    """Return the lines that a program prints, by the comments of its print statements."""
    return OUTPUT.findall(text)


PROGRAMS = [text for _, text in blocks("python") if "pytest" not in text]
"""`test_pytest_plugin.py` runs the tests of the manual."""


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_python_program_prints_what_its_comments_say(number: int, tmp_path: Path) -> None:
    text = PROGRAMS[number]
    assert outputs(text), "a program that prints nothing shows nothing"
    assert run("python", "-c", text, folder=tmp_path).splitlines() == outputs(text)


def test_the_node_program_prints_what_its_comments_say(tmp_path: Path) -> None:
    ((_, text),) = blocks("js")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "stripe").symlink_to(make_typescript_fields.ensure("stripe"))
    (tmp_path / "pay.mjs").write_text(text)
    assert outputs(text)
    printed = run("python", "-c", make_typescript_fields.NODE, "pay.mjs", folder=tmp_path)
    assert printed.splitlines() == outputs(text)


def test_the_first_request_creates_a_customer(tmp_path: Path) -> None:
    (command,) = [line for _, text in blocks("sh") for line in text.splitlines() if line.startswith("curl ")]
    simulator = start()
    words = shlex.split(command.replace("http://127.0.0.1:12111", simulator.url))
    customer = json.loads(run(*words, folder=tmp_path))
    simulator.stop()
    assert (customer["object"], customer["email"]) == ("customer", "ada@example.com")


def test_the_comment_of_a_print_statement_is_its_output() -> None:
    program = 'print(a, "b")  # one two\n    console.log(x); // three\nrun()  # no output\n'
    assert outputs(program) == ["one two", "three"]
