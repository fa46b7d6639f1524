"""MiniStack's workers share one unpacked layer, and are forked from a process that has imported its packages."""

import asyncio
import json
import os
import queue
import subprocess
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import ministack_program
from local.ministack_program import END_OF_LOG, LAYERS, WORKER_SCRIPT, Parents, Worker, lines_until

SCRIPT = """
import json, os, sys
import stripe

def answer(text):
    sys.stdout.write(text + "\\n")
    sys.stdout.flush()

answer(json.dumps([sys.argv, os.getcwd(), dict(os.environ), stripe.PROCESS, os.getpid()]))
for line in sys.stdin:
    if line.startswith("import "):
        sys.path.insert(0, os.environ["_LAMBDA_LAYERS_DIRS"] + "/python")
        exec(line)
        answer(str(sys.modules[line.split()[1]].PROCESS))
    else:
        print(line.strip(), "on", "standard error", file=sys.stderr)
        answer(line.strip())
"""
REMEMBER_PROCESS = "import os\nPROCESS = os.getpid()\n"
WAIT_S = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A worker script, and a layer whose modules remember in which process they were imported."""
    folder = tmp_path_factory.mktemp("workers")
    package = folder / "layer" / "python" / "stripe"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(REMEMBER_PROCESS)
    core = package.parent / "tuition" / "core"
    core.mkdir(parents=True)
    for file in (core / "__init__.py", core.parent / "__init__.py", core / "rules.py", core.parent / "settings.py"):
        file.write_text(REMEMBER_PROCESS)
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


def test_a_worker_imports_all_but_the_core_itself(parents: Parents, folder: Path) -> None:
    worker = start(parents, folder)
    imported_in = json.loads(worker.stdout.readline())[3]
    worker.stdin.write("import tuition.core.rules\nimport tuition.settings\n")
    assert [int(worker.stdout.readline()) for _ in range(2)] == [imported_in, worker.pid]
    worker.kill()


def test_a_worker_marks_the_end_of_the_log_of_each_invocation(parents: Parents, folder: Path) -> None:
    worker = start(parents, folder)
    worker.stdout.readline()
    for text in ("one", "two"):
        worker.stdin.write(f"{text}\n")
        assert worker.stdout.readline() == f"{text}\n"
        assert worker.stderr.readline() == f"{text} on standard error\n"
        assert worker.stderr.readline() == f"{worker.next_mark()}\n"
    worker.kill()


def test_a_log_ends_with_its_own_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mark of an earlier invocation may come late, and a function that closed its log writes none."""
    lines: queue.Queue[str] = queue.Queue()
    for line in (f"{END_OF_LOG}1", "a line", f"{END_OF_LOG}2", "of the next invocation"):
        lines.put(line)
    assert lines_until(f"{END_OF_LOG}2", lines) == ["a line"]
    monkeypatch.setattr(ministack_program, "LOG_SECONDS", 0.01)
    assert lines_until(f"{END_OF_LOG}3", lines) == ["of the next invocation"]


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


@pytest.mark.parametrize("name", ["layer_0", "code"])
def test_workers_share_unpacked_code(tmp_path: Path, name: str) -> None:
    links = []
    for number in range(2):
        archive, folder = tmp_path / f"worker-{number}" / f"{name}.zip", tmp_path / f"worker-{number}" / name
        folder.mkdir(parents=True)
        with zipfile.ZipFile(archive, "w") as content:
            content.writestr("python/module.py", "VALUE = 1\n")
        with ministack_program._open_archive(str(archive)) as shared:
            assert shared.namelist() == []
            shared.extractall(str(folder))
        assert (folder / "python" / "module.py").read_text() == "VALUE = 1\n"
        assert not archive.exists()
        links.append(folder.resolve())
    assert links[0] == links[1]


@pytest.mark.parametrize(
    ("operation", "seconds", "answers"),
    [
        ("GetRecords", 60.0, ['{"Records": []}', '{"Records": []}', '{"Records": [1]}']),
        ("GetRecords", 0.0, ['{"Records": []}']),
        ("DescribeStream", 60.0, ['{"StreamDescription": {}}']),
    ],
    ids=["records", "limit", "another operation"],
)
def test_a_read_of_a_stream_waits_for_records(
    monkeypatch: pytest.MonkeyPatch, operation: str, seconds: float, answers: list[str]
) -> None:
    coming = iter(answers)

    async def handle(*_: object) -> tuple[int, dict[str, str], bytes]:
        return 200, {}, next(coming).encode()

    streams, services = types.SimpleNamespace(handle_request=handle), types.ModuleType("ministack.services")
    monkeypatch.setattr(services, "dynamodb_streams", streams, raising=False)
    monkeypatch.setitem(sys.modules, "ministack", types.ModuleType("ministack"))
    monkeypatch.setitem(sys.modules, "ministack.services", services)
    monkeypatch.setattr(ministack_program, "LONG_POLL_SECONDS", seconds)
    monkeypatch.setattr(ministack_program, "LOOK_SECONDS", 0)
    ministack_program.wait_for_stream_records()
    headers = {"x-amz-target": f"DynamoDBStreams_20120810.{operation}"}
    status, _, body = asyncio.run(streams.handle_request("POST", "/", headers, b"", {}))
    assert (status, body.decode()) == (200, answers[-1])
    assert list(coming) == []
