"""Digests and an auditor's copy of the running stack, verified by the auditor's program alone, then tampered with."""

import json
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local import auditor_copy
from local import digest as digest_command
from local import verify as verify_command
from local.running import running_file
from tests.archive_copies import pack, rehash, unpack
from tests.stack.conftest import Running
from tests.stack.test_archive import objects, of_payment
from tests.stack.test_events import buy
from tuition import clock, metrics
from tuition.outbox import digest
from tuition.settings import settings
from verifier.tuition_verify import DOES_NOT_HOLD, HOLDS

HOUR_S = 3_600
FORGED = re.compile(r"\bpay_(1|poison|overwritten)\b")
"""The subjects of records that other tests forge, by hand or with a sample of `events/`: their chains are broken."""


def test_an_auditors_copy_of_the_stack_holds_and_a_change_in_it_is_found(
    running: Running, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The deployed function signs the hours before this one. This hour is signed here, as if it had ended."""
    start = datetime.now(UTC)
    payment_id = buy(running, token)
    running.until(lambda: bool(of_payment(running, payment_id, start)), "a record in the archive")
    port = ["--api-port", running.ready["api"].rpartition(":")[2]]
    with running_file(running.ready):
        assert digest_command.main(port) == 0
    assert "the newest digest is that of" in capsys.readouterr().out
    archived = {name for name, _ in objects(running, "records", start)}
    _sign_this_hour(running, monkeypatch)
    folder = tmp_path / "copy"
    with running_file(running.ready):
        assert auditor_copy.main([str(folder), *port]) == 0
    _remove_what_the_next_digest_lists(folder, archived)
    command = capsys.readouterr().out.splitlines()[-1].split()
    assert command[:2] == ["python", "tuition_verify.py"]
    assert len(list((folder / "keys").iterdir())) == 2
    with running_file(running.ready):  # other tests of this stack tamper with records of their own
        assert verify_command.main(["--copy", str(folder), *port]) != verify_command.NOT_VERIFIED
    text = capsys.readouterr().out
    assert "subjects compared with the heads" in text
    assert payment_id not in text

    def verify() -> tuple[int, str]:
        run = subprocess.run(
            [sys.executable, "-I", *command[1:]], cwd=folder, capture_output=True, text=True, check=False, timeout=120
        )
        return run.returncode, run.stdout

    code, text = verify()
    findings = [line for line in text.splitlines() if line.startswith("FINDING ")]
    assert all(FORGED.search(line) for line in findings), text
    assert code == (DOES_NOT_HOLD if findings else HOLDS), text
    copies = ((path, unpack(path)) for path in sorted((folder / "archive").glob("records/*/*")))
    path, records = next(one for one in copies if any(record["subject"] == payment_id for record in one[1]))
    assert not any(path.name in line for line in findings)
    position = next(number for number, record in enumerate(records) if record["subject"] == payment_id)
    records[position] = rehash(records[position], user_id="mallory")
    path.write_bytes(pack(records))
    code, text = verify()
    assert code == DOES_NOT_HOLD
    assert f"FINDING {path.relative_to(folder / 'archive').as_posix()} " in text


def _remove_what_the_next_digest_lists(folder: Path, archived: set[str]) -> None:
    """Remove the objects that other tests' records made after the signing, as if that had been the end of the hour."""
    files = (folder / "digests" / "hours").rglob("*.json")
    listed = {one["key"] for file in files for one in json.loads(file.read_text())["objects"]}
    for path in (folder / "archive").rglob("*.gz"):
        if path.relative_to(folder / "archive").as_posix() not in listed | archived:
            path.unlink()


def _sign_this_hour(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sign the hour in progress with a key of its own: only the role of the function may use the key of the stack."""
    kms, s3 = running.client("kms"), running.client("s3")
    key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    environment: dict[str, Any] = {
        "ARCHIVE_BUCKET": running.resource("ArchiveBucket"),
        "DIGEST_BUCKET": running.resource("DigestBucket"),
        "DIGEST_KEY": key,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    end = time.time() // HOUR_S * HOUR_S + HOUR_S
    monkeypatch.setattr(clock, "now", lambda: end + digest.SETTLE_S)
    monkeypatch.setattr(metrics, "age", lambda name, seconds: None)
    monkeypatch.setattr(digest, "_s3", lambda: s3)
    monkeypatch.setattr(digest, "_kms", lambda: kms)
    try:
        assert digest.make(lambda: 900.0)["done"] is True
    finally:
        settings.cache_clear()
