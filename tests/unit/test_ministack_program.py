"""MiniStack's workers share one unpacked layer, and are forked from a process that has imported its packages."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.ministack_program import LAYERS, WORKER_SCRIPT, Parents, SharedLayer, Worker

SCRIPT = """
import json, os, sys
import stripe
print(json.dumps([sys.argv, os.getcwd(), dict(os.environ), stripe.PROCESS, os.getpid()]), flush=True)
for line in sys.stdin:
    print(line.strip(), "on", "standard error", file=sys.stderr)
    print(line.strip(), flush=True)
"""
WAIT_S = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A worker script, and a layer with a package that remembers in which process it was imported."""
    folder = tmp_path_factory.mktemp("workers")
    package = folder / "layer" / "python" / "stripe"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import os\nPROCESS = os.getpid()\n")
    (folder / WORKER_SCRIPT).write_text(SCRIPT)
    return folder


@pytest.fixture(scope="module")
def parents() -> Iterator[Parents]:
    parents = Parents()
    yield parents
    for parent in parents._parents.values():
        parent.stop()


def start(parents: Parents, folder: Path, **variables: str) -> Any:
    environment = {"PATH": os.environ["PATH"], LAYERS: str(folder / "layer"), **variables}
    if not variables.get(LAYERS, "layer"):
        environment["PYTHONPATH"] = str(folder / "layer" / "python")
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [sys.executable, str(folder / WORKER_SCRIPT)]
    return parents.start(command, cwd=str(folder), env=environment, text=True, bufsize=1, **pipes)


def test_workers_have_their_own_settings_and_the_packages_of_their_parent(parents: Parents, folder: Path) -> None:
    workers = [start(parents, folder, NAME=name) for name in ("one", "two")]
    answers = [json.loads(worker.stdout.readline()) for worker in workers]
    assert [environment["NAME"] for _, _, environment, _, _ in answers] == ["one", "two"]
    assert all(set(environment) == {"PATH", LAYERS, "NAME"} for _, _, environment, _, _ in answers)
    assert all((argv, cwd) == ([str(folder / WORKER_SCRIPT)], str(folder)) for argv, cwd, _, _, _ in answers)
    imported_in = {process for _, _, _, process, _ in answers}
    assert len(imported_in) == 1
    assert [pid for _, _, _, _, pid in answers] == [worker.pid for worker in workers]
    assert not imported_in & {worker.pid for worker in workers}
    for worker in workers:
        worker.kill()


def test_a_worker_reads_and_writes_its_own_streams_and_ends_with_its_input(parents: Parents, folder: Path) -> None:
    first, later = start(parents, folder), start(parents, folder)
    for worker in (first, later):
        worker.stdout.readline()
    first.stdin.write("a line\n")
    assert (first.stdout.readline(), first.stderr.readline()) == ("a line\n", "a line on standard error\n")
    first.stdin.close()
    assert first.wait(WAIT_S) == 0, "another worker holds its input open"
    assert (first.poll(), later.poll()) == (0, None)
    later.kill()


def test_a_worker_is_ended_by_either_signal(parents: Parents, folder: Path) -> None:
    for end in ("terminate", "kill"):
        worker = start(parents, folder)
        with pytest.raises(subprocess.TimeoutExpired):
            worker.wait(0.01)
        getattr(worker, end)()
        assert worker.wait(WAIT_S) == 0
        getattr(worker, end)()  # as MiniStack may, of a worker that has ended


def test_a_worker_of_a_dead_parent_starts_as_usual_and_the_next_one_has_a_new_parent(
    parents: Parents, folder: Path
) -> None:
    start(parents, folder).kill()
    (parent,) = parents._parents.values()
    parent._process.kill()
    parent._process.wait()
    worker = start(parents, folder, PYTHONPATH=str(folder / "layer" / "python"))
    assert isinstance(worker, subprocess.Popen)
    _, _, _, imported_in, pid = json.loads(worker.stdout.readline())
    assert imported_in == pid == worker.pid
    worker.kill()
    worker.wait()
    later = start(parents, folder)
    assert isinstance(later, Worker)
    later.kill()


def test_a_worker_without_layers_starts_as_usual(parents: Parents, folder: Path) -> None:
    with start(parents, folder, **{LAYERS: ""}) as worker:
        assert isinstance(worker, subprocess.Popen)
        worker.kill()


def test_workers_share_one_unpacked_layer(tmp_path: Path) -> None:
    links = []
    for number in range(2):
        archive, folder = tmp_path / f"worker-{number}" / "layer_0.zip", tmp_path / f"worker-{number}" / "layer_0"
        folder.mkdir(parents=True)
        with zipfile.ZipFile(archive, "w") as content:
            content.writestr("python/module.py", "VALUE = 1\n")
        with SharedLayer(str(archive)) as layer:
            assert layer.namelist() == []
            layer.extractall(str(folder))
        assert (folder / "python" / "module.py").read_text() == "VALUE = 1\n"
        assert not archive.exists()
        links.append(folder.resolve())
    assert links[0] == links[1]
