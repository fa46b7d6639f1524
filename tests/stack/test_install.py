"""The installer against MiniStack and the simulator: whole, again, from a clean clone, interrupted, and removed.

`--record` writes what AWS and Stripe answered to `tests/install_recording.json`. `tests/unit/test_install_resume.py`
replays it.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from installer import live_aws, rights
from installer.__main__ import main
from installer.steps import BEFORE_LOCK, STEPS
from local import audit_policy, build, deploy
from local.dynamodb_local import free_port
from local.ministack import MiniStack
from local.stack import ROOT, Simulator
from tests.install_recording import RecordingWorld
from tests.seeds import first_seed
from tuition.intake.stripe_events import API_VERSION, SUBSCRIBED

KEYS = {"secret-key": "sk_test_recorded", "publishable-key": "pk_test_recorded", "webhook-secret": "whsec_recorded"}
INTERRUPTED = ("topic", "stack", "webhook", "payment")
"""The steps at which a real run is interrupted with Ctrl-C: in `make test` one of them, which the seed chooses.

`tests/unit/test_install_resume.py` stops a recorded run before each call.
"""


class Place:
    """A MiniStack, a simulator, and the installer's files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        keys = folder / "keys.json"
        keys.write_text(json.dumps(KEYS))
        self.aws = MiniStack(free_port(), None, folder / "ministack.log")
        self.simulator = Simulator(free_port(), "http://127.0.0.1:9/unused", keys, None)
        self.ready = self.simulator.wait()
        self.aws.wait()
        self.worlds: list[RecordingWorld] = []

    def arguments(self, environment: str, keep: str) -> list[str]:
        answers = {
            "environment": environment,
            "region": "us-east-1",
            "keep": keep,
            "domain": f"{environment}.example.org",
            "alert_email": "owner@example.org",
            "publishable_key": self.ready["publishable_key"],
            "secret_key": self.ready["secret_key"],
            "sign_in_sender": "School <no-reply@example.org>",
            "RefundWindowDays": "30",
            "VisitorLogRetentionDays": "7",
        }
        self.aws.client("sesv2").create_email_identity(EmailIdentity="example.org")
        file = self.folder / f"answers-{environment}.json"
        file.write_text(json.dumps(answers))
        addresses = ["--aws-endpoint-url", self.aws.url, "--stripe-api-base", self.ready["url"]]
        return ["--answers", str(file), "--defaults", "--yes", "--state", str(self.folder / "state"), *addresses]

    def run(self, arguments: list[str]) -> int:
        def record(*values: Any) -> RecordingWorld:
            self.worlds.append(RecordingWorld(*values))
            return self.worlds[-1]

        return main(arguments, record)

    def files(self) -> str:
        """Everything that the installer has written on this machine."""
        return "".join(file.read_text() for file in (self.folder / "state").rglob("*") if file.is_file())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3, "DEFAULT_SESSION", None)  # it would keep the credentials of earlier tests
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "local")
        build.build()
        place = Place(tmp_path_factory.mktemp("install"))
        yield place
        place.simulator.stop()
        place.aws.stop()


@pytest.mark.timeout(420)
def test_a_whole_run_ends_with_a_paid_and_refunded_payment_and_a_second_run_changes_nothing(
    place: Place, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    arguments = place.arguments("staging", "yes")
    status = place.run(arguments)
    first = place.worlds[-1]
    output = capsys.readouterr().out
    assert status == 0, output
    assert "paid: pay_" in output
    assert "refunded" in output
    for secret in (KEYS["secret-key"], "whsec_"):
        assert secret not in output + place.files()

    cloudformation = place.aws.client("cloudformation")
    (stack,) = cloudformation.describe_stacks(StackName="tuition-staging")["Stacks"]
    assert stack["EnableTerminationProtection"] is True
    parameters = {item["ParameterKey"]: item["ParameterValue"] for item in stack["Parameters"]}
    assert (parameters["DeletionProtection"], parameters["FirstDeployment"]) == ("true", "false")
    assert (parameters["RefundWindowDays"], parameters["SignInSender"]) == ("30", "School <no-reply@example.org>")
    assert (parameters["SchoolName"], parameters["StaffEmails"]) == ("School", "owner@example.org")
    assert parameters["SignInSenderArn"].endswith(":identity/example.org")
    assert {tag["Key"]: tag["Value"] for tag in stack["Tags"]} == {"project": "tuition", "stage": "staging"}
    _assert_the_audit_table_is_protected(place, stack)
    _assert_the_webhook_is_ours(place, stack)

    assert place.run(arguments) == 0
    assert [key for kind, key in place.worlds[-1].transitions if kind == "write"] == []
    assert place.run([*arguments, "--check"]) == 0
    assert "Everything is as it must be." in capsys.readouterr().out

    calls = set().union(*(world.calls for world in place.worlds))
    assert {call for call in calls if call[1] not in rights.CALLS[call[0]]} == set()
    if request.config.getoption("--record"):
        first.save(json.loads((place.folder / "answers-staging.json").read_text()), deploy.architecture())


def _assert_the_audit_table_is_protected(place: Place, stack: Any) -> None:
    arn = f"arn:aws:dynamodb:us-east-1:{stack['StackId'].split(':')[4]}:table/"
    names = place.aws.client("dynamodb").list_tables()["TableNames"]
    (table,) = [name for name in names if "AuditTable" in name]
    policy = json.loads(place.aws.client("dynamodb").get_resource_policy(ResourceArn=arn + table)["Policy"])
    (statement,) = [entry for entry in policy["Statement"] if entry["Sid"] == "DenyChangesExceptBreakGlass"]
    assert statement == audit_policy.statement(arn + table, statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"])
    assert len(policy["Statement"]) == 3
    assert statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"].endswith(":role/tuition-staging-break-glass")


def _assert_the_webhook_is_ours(place: Place, stack: Any) -> None:
    listed = httpx.get(f"{place.ready['url']}/v1/webhook_endpoints", auth=(KEYS["secret-key"], "")).json()["data"]
    (ours,) = [endpoint for endpoint in listed if endpoint["url"].startswith(place.aws.url)]
    assert ours["url"].endswith("/api/payments/webhook")
    assert set(ours["enabled_events"]) == set(SUBSCRIBED)
    assert ours["api_version"] == API_VERSION


INTERRUPTION = """
import os, signal
from installer import state

put = state.State.put
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs without it

def put_and_interrupt(self, name, value):
    put(self, name, value)
    if (name, value) == ("step", os.environ.get("INTERRUPTED_STEP")):
        os.killpg(os.getpgrp(), signal.SIGINT)

state.State.put = put_and_interrupt
"""
"""A sitecustomize.py that presses Ctrl-C when the installer begins a step. A timer could miss a short step.

As from a terminal, install.py and the installer both get the signal.
"""
RUN_S = 300


class Clone:
    """A clone of this repository in a folder of its own: no environment, no build, nothing remembered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
        for name in filter(None, listed.stdout.split("\0")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
        (folder / "sitecustomize.py").write_text(INTERRUPTION)

    def install(self, arguments: list[str], interrupted_step: str = "") -> subprocess.CompletedProcess[str]:
        """Run `python install.py` as a user does."""
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        environment["INTERRUPTED_STEP"] = interrupted_step
        command = [sys.executable, "install.py", *arguments]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
            start_new_session=True,
        )


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "interrupted",
    [INTERRUPTED[first_seed() % 4 :: 4], pytest.param(INTERRUPTED, marks=pytest.mark.soak)],
    ids=["one step", "each step"],
)
def test_install_py_of_a_clean_clone_is_interrupted_resumed_and_removes_the_environment(
    place: Place, tmp_path: Path, interrupted: tuple[str, ...]
) -> None:
    clone = Clone(tmp_path)
    arguments = place.arguments("thrown", "no")
    position = arguments.index("--state")
    del arguments[position : position + 2]
    state = clone.folder / ".install" / "thrown.json"
    for step in interrupted:
        run = clone.install(arguments, step)
        assert run.returncode == 1, run.stdout + run.stderr
        assert "the next run continues from here" in run.stdout
        assert json.loads(state.read_text())["step"] == step
        assert ("Making .venv-install" in run.stderr) == (step == interrupted[0]), run.stderr
    resumed = clone.install(arguments)
    assert (resumed.returncode, resumed.stderr) == (0, ""), resumed.stdout
    assert "refunded" in resumed.stdout
    removed = clone.install([*arguments, "--remove"])
    assert removed.returncode == 0, removed.stdout + removed.stderr
    assert not state.exists()
    left = {
        "stacks": [s["StackName"] for s in place.aws.client("cloudformation").describe_stacks()["Stacks"]],
        "tables": place.aws.client("dynamodb").list_tables()["TableNames"],
        "buckets": [b["Name"] for b in place.aws.client("s3").list_buckets()["Buckets"]],
        "queues": place.aws.client("sqs").list_queues(QueueNamePrefix="tuition-thrown").get("QueueUrls", []),
    }
    assert not [name for names in left.values() for name in names if "thrown" in name], left


@pytest.mark.timeout(420)
def test_live_aws_sets_up_buys_refunds_prints_and_removes_everything(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = {
        "AWS_REGION": "us-east-1",
        "STRIPE_SECRET_KEY": KEYS["secret-key"],
        "STRIPE_PUBLISHABLE_KEY": KEYS["publishable-key"],
        "ALERT_EMAIL": "owner@example.org",
        "AWS_ENDPOINT_URL": place.aws.url,
        "STRIPE_API_BASE": place.ready["url"],
    }
    status = live_aws.main(variables)
    output = capsys.readouterr().out
    assert status == 0, output
    assert "refunded" in output
    assert "AuditTable: " in output
    assert "Removed tuition-live-" in output
    assert not [name for name in place.aws.client("dynamodb").list_tables()["TableNames"] if "tuition-live" in name]


def test_the_interrupted_steps_exist() -> None:
    assert set(INTERRUPTED) <= {step.name for step in [*BEFORE_LOCK, *STEPS]}
