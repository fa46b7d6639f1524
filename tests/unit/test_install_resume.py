"""A run of the installer that is stopped before any of its calls, and resumed, against recorded answers.

`tests/stack/test_install.py --record` makes the recording: see `tests/install_recording.py`.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from installer import stack, web
from installer.__main__ import main
from installer.steps import BEFORE_LOCK, STEPS
from local import build, deploy
from local.web_files import REVALIDATE, WebFile
from tests.install_recording import FILE, Account, ReplayWorld, Stopped, Unseen

RECORDING: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
UNSEEN_AFTER = {
    "s3 create_bucket",
    "iam create_role",
    "sns create_topic",
    "sns set_topic_attributes",
    "cloudformation execute_change_set",
    "cognito-idp admin_create_user",
}
"""The writes of several, after which a stop makes a read that the recorded run made only after the last.

`test_install.py` covers them, and the stop right after an endpoint was created, which loses the endpoint's secret: the
next run replaces the endpoint. The interrupted run of `tests/stack/test_install.py` covers the deployment.
"""


@pytest.fixture(autouse=True)
def _what_is_deployed_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the build, the expanded templates and the pages, which the stack's test covers."""

    def expanded(_run: Any, _file: Path, parameters: Any) -> Any:
        return {"Description": parameters.get("DeletionProtection", "pages")}, {}

    monkeypatch.setattr(stack, "expanded", expanded)
    monkeypatch.setattr(web, "expanded", expanded)
    monkeypatch.setattr(web, "files", lambda _run: {"index.html": WebFile(b"page", "text/html", REVALIDATE)})
    monkeypatch.setattr(build, "build", lambda _root: False)
    monkeypatch.setattr(deploy, "architecture", lambda: RECORDING["architecture"])


def take(account: Account, folder: Path, *options: str, stop_before: int | None = None) -> ReplayWorld:
    """Run the installer, and check that it succeeds unless it is stopped."""
    file = folder / "answers.json"
    file.write_text(json.dumps(RECORDING["answers"]))
    world = ReplayWorld(account, stop_before)
    arguments = ["--answers", str(file), "--defaults", "--yes", "--state", str(folder / "state"), *options]
    assert main(arguments, lambda *_: world) == 0, world.lines
    return world


def final_version() -> int:
    """The number of the last write of the recorded run."""
    return max(position for position, (kind, _) in enumerate(RECORDING["transitions"], 1) if kind == "write")


def test_the_recorded_run_is_replayed_and_a_second_one_writes_nothing(tmp_path: Path) -> None:
    account = Account(RECORDING)
    world = take(account, tmp_path)
    titles = [line[2:] for line in world.lines if line.startswith(("= ", "+ "))]
    assert titles == [step.title for step in [*BEFORE_LOCK, *STEPS]]
    assert account.version >= final_version()
    account.last_write = ""
    again = take(account, tmp_path)
    assert not [line for line in again.lines if line.startswith("+ ")]


def test_a_run_stopped_before_any_call_is_resumed_and_writes_nothing_twice(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    calls = take(Account(RECORDING), whole).call_count
    assert calls > 80
    reached, unseen = set(), set()
    for number in range(calls):
        folder = tmp_path / str(number)
        folder.mkdir()
        account = Account(RECORDING)
        with pytest.raises(Stopped):
            take(account, folder, stop_before=number)
        state = folder / "state" / f"{RECORDING['answers']['environment']}.json"
        reached.add(json.loads(state.read_text())["step"])
        if account.last_write.startswith("stripe post") and "webhook_endpoints" in account.last_write:
            continue
        try:
            take(account, folder, "--take-over")
        except Unseen:
            unseen.add(account.last_write.partition(" [")[0])
            continue
        assert account.version >= final_version(), f"stopped before call {number}"
    assert unseen <= UNSEEN_AFTER
    assert reached >= {step.name for step in [*BEFORE_LOCK, *STEPS] if step.name != "build"}
