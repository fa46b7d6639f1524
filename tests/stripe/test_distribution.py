"""The simulator as a package: built from this repository, installed without it, and started on Python 3.11.

`uv` finds Python 3.11 or downloads it: https://docs.astral.sh/uv/concepts/python-versions/
"""

import email.message
import email.parser
import json
import os
import re
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "stripe_simulator"
UV = ROOT / ".uv" / "bin" / "uv"
OLDEST_PYTHON = "3.11"
TIMEOUT_S = 150
NEVER_INSTALLED = {"pyproject.toml", "LICENSE", "Dockerfile"}
"""Files of the folder that only a build needs. The license is among the metadata."""
IMPORT_ALL = """
import importlib, pkgutil, stripe_simulator
for module in pkgutil.walk_packages(stripe_simulator.__path__, "stripe_simulator."):
    if not module.name.endswith(("__main__", ".pytest_plugin")):  # pytest imports the plugin
        importlib.import_module(module.name)
print(stripe_simulator.__file__)
"""


def run(*command: object, folder: Path) -> str:
    """Run a program in a folder, without the settings of this test run, and return its output."""
    settings = ("PYTHON", "PYTEST_", "VIRTUAL_ENV", "UV_PYTHON")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(settings)}
    words = [str(word) for word in command]
    process = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert process.returncode == 0, f"{words}\n{process.stdout}\n{process.stderr}"
    return process.stdout


def files_of_the_repository() -> list[str]:
    """Return the files of the simulator that git has, relative to its folder."""
    return run("git", "ls-files", ".", folder=SOURCE).splitlines()


@dataclass
class Package:
    """The files of one build, and the metadata in them."""

    wheel: Path
    sdist: Path
    metadata: email.message.Message
    """https://packaging.python.org/en/latest/specifications/core-metadata/"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The package, built from a copy of the files that git has: the sdist, and the wheel from the sdist."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("package")
    for name in files_of_the_repository():
        copy = source / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((SOURCE / name).read_bytes())
    options = ("--no-build-isolation", "--python", sys.executable, "--out-dir", target)  # the pinned build backend
    run(UV, "build", *options, source, folder=target)
    (wheel,), (sdist,) = target.glob("*.whl"), target.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.parser.BytesParser().parsebytes(archive.read(name))
    return Package(wheel, sdist, metadata)


@pytest.fixture(scope="module")
def environment(package: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment of the oldest Python, with the wheel and nothing else; no index is asked for a dependency."""
    folder = tmp_path_factory.mktemp("environment")
    run(UV, "venv", "--quiet", "--no-project", "--python", OLDEST_PYTHON, folder / "venv", folder=folder)
    python = folder / "venv" / "bin" / "python"
    run(UV, "pip", "install", "--quiet", "--no-index", "--python", python, package.wheel, folder=folder)
    return folder / "venv" / "bin"


def test_the_metadata_says_what_a_user_must_know(package: Package) -> None:
    assert package.metadata["Name"] == "simulator-for-stripe"
    assert package.metadata["License-Expression"] == "MIT"
    assert package.metadata["Requires-Python"] == f">={OLDEST_PYTHON}"
    assert package.metadata.get_all("Requires-Dist") is None
    assert package.metadata.get_payload(decode=True) == (SOURCE / "README.md").read_bytes()
    assert package.wheel.name.endswith("-py3-none-any.whl")


def test_the_wheel_and_the_sdist_have_every_file(package: Package) -> None:
    files = set(files_of_the_repository())
    with zipfile.ZipFile(package.wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        licenses = [name for name in archive.namelist() if name.endswith("/LICENSE")]
    assert names == {f"stripe_simulator/{name}" for name in files - NEVER_INSTALLED}
    assert len(licenses) == 1
    with tarfile.open(package.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names == files | {"PKG-INFO"}


def test_the_package_activates_its_pytest_plugin(environment: Path, tmp_path: Path) -> None:
    code = "import importlib.metadata as m; print([e.value for e in m.entry_points(group='pytest11')])"
    assert run(environment / "python", "-c", code, folder=tmp_path) == "['stripe_simulator.pytest_plugin']\n"


def test_the_license_is_the_repositorys() -> None:
    holder = r"Copyright .*"
    texts = [re.sub(holder, "", path.read_text()) for path in (ROOT / "LICENSE", SOURCE / "LICENSE")]
    assert texts[0] == texts[1]
    assert texts[0].startswith("MIT License")


def test_nothing_in_the_package_names_the_system_beside_it() -> None:
    for name in files_of_the_repository():
        assert "tuition" not in (SOURCE / name).read_text().lower(), name


def test_every_module_is_imported_on_the_oldest_python(environment: Path, tmp_path: Path) -> None:
    assert run(environment / "python", "--version", folder=tmp_path).startswith(f"Python {OLDEST_PYTHON}.")
    printed = run(environment / "python", "-W", "error", "-c", IMPORT_ALL, folder=tmp_path)
    assert Path(printed.strip()).is_relative_to(environment.parent)


@pytest.mark.parametrize(
    "command", [("stripe_simulator",), ("stripe-simulator",), ("python", "-m", "stripe_simulator")], ids=" ".join
)
def test_the_installed_program_answers(environment: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    words = [str(environment / command[0]), *command[1:], "--port", "0"]
    with (tmp_path / "errors").open("w") as errors:
        process = subprocess.Popen(words, cwd=tmp_path, env={}, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line.startswith("ready "), (tmp_path / "errors").read_text()
            ready = json.loads(line.removeprefix("ready "))
            assert {"url", "secret_key", "publishable_key", "webhook_secret"} <= ready.keys()
            headers = {"Authorization": f"Bearer {ready['secret_key']}"}
            body = b"amount=500&currency=usd&confirm=true&payment_method=pm_card_visa&return_url=https://example.com"
            request = urllib.request.Request(f"{ready['url']}/v1/payment_intents", body, headers)
            with urllib.request.urlopen(request, timeout=30) as response:
                assert json.load(response)["status"] == "succeeded"
            for path in ("/", "/endive/stripe.js", "/_js/page.css", "/_js/element.html"):
                with urllib.request.urlopen(ready["url"] + path, timeout=30) as response:
                    assert response.status == 200
        finally:
            process.terminate()
            status = process.wait(timeout=30)
            process.stdout.close()
    assert (status, (tmp_path / "errors").read_text()) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["errors"]
