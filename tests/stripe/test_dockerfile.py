"""The simulator's Dockerfile, and the example of its README: read, and run without Docker.

https://docs.docker.com/reference/dockerfile/
"""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "stripe_simulator"


def instructions() -> list[tuple[str, str]]:
    """Return each instruction of the Dockerfile with its arguments."""
    lines = re.sub(r"\\\n", " ", (SOURCE / "Dockerfile").read_text()).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line and line[0] != "#")]


def example() -> list[str]:
    """Return the options that the README's example of Docker Compose starts the simulator with."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```", (SOURCE / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    service = yaml.safe_load(block)["services"]["stripe"]
    assert (ROOT / service["build"] / "Dockerfile").is_file()
    return [str(option) for option in service["command"]]


def test_the_image_has_a_python_that_the_simulator_runs_on_and_no_root() -> None:
    values = dict(instructions())
    version = re.fullmatch(r"python:3\.(\d+)-slim", values["FROM"])
    assert version and int(version[1]) >= 11
    assert values["USER"] == "nobody"
    assert values["EXPOSE"] == "12111"


def test_the_steps_of_the_dockerfile_start_a_simulator_with_the_options_of_the_example(tmp_path: Path) -> None:
    folder, command = tmp_path, list[str]()
    for word, rest in instructions():
        match word:
            case "COPY":
                source, target = rest.split()
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(SOURCE / source, tmp_path / target.lstrip("/"), ignore=ignored)
            case "WORKDIR":
                folder = tmp_path / rest.lstrip("/")
            case "ENTRYPOINT":
                command = json.loads(rest)
            case _:
                assert word in ("FROM", "USER", "EXPOSE"), f"this test does not run {word}"
    environment = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    with (tmp_path / "errors").open("w") as errors:
        process = subprocess.Popen(
            [*command, *example(), "--port", "0"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line.startswith("ready "), (tmp_path / "errors").read_text()
            ready = json.loads(line.removeprefix("ready "))
            request = urllib.request.Request(f"{ready['url']}/_sim/health", headers={"Host": "stripe:12111"})
            with urllib.request.urlopen(request, timeout=30) as response:
                assert json.load(response)["status"] == "ok"
        finally:
            process.terminate()
            status = process.wait(timeout=30)
            process.stdout.close()
    assert (status, ready["webhook_secret"]) == (0, "whsec_compose")
    assert "it listens on 0.0.0.0" in (tmp_path / "errors").read_text()
