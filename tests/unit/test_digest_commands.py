"""The commands `make digest` and `make auditor-copy`: their exit codes, and what a copy has."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local import auditor_copy, digest
from local.deployed_function import CommandFailed

THROUGH = {"hour": "2026-11-28T13", "sha256": "ab" * 32}


def sign(monkeypatch: pytest.MonkeyPatch, reports: list[dict[str, Any] | CommandFailed]) -> int:
    """Run `make digest` against a function with these answers."""
    remaining = iter(reports)

    class Function:
        def __init__(self, **options: Any) -> None:
            assert (options["function"], options["qualifier"]) == ("DigestFunction", None)

        def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
            assert event == {}
            answer = next(remaining)
            if isinstance(answer, CommandFailed):
                raise answer
            return answer

    monkeypatch.setattr(digest, "DeployedFunction", Function)
    code = digest.main(["--aws"])
    assert list(remaining) == []
    return code


def test_it_signs_until_every_full_hour_has_a_digest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = {"hours": ["2026-11-28T12"], "through": {"hour": "2026-11-28T12", "sha256": "cd" * 32}, "done": False}
    last = {"hours": ["2026-11-28T13"], "through": THROUGH, "done": True}
    assert sign(monkeypatch, [first, last]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[:2] == ["signed 2026-11-28T12", "signed 2026-11-28T13"]
    assert THROUGH["sha256"] in out


def test_a_run_that_signs_nothing_and_is_not_finished_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sign(monkeypatch, [{"hours": [], "through": None, "done": False}]) == 1


def test_a_function_that_fails_ends_with_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert sign(monkeypatch, [CommandFailed("see its log")]) == 2
    assert "see its log" in capsys.readouterr().err


class Buckets:
    """Both buckets: a digest of 13:00, two versions of an object, and one that was stored after the digest's hour."""

    archive, digests = "archive", "digests"

    def __init__(self, **_options: Any) -> None:
        pass

    def versions(self, bucket: str) -> list[dict[str, Any]]:
        def version(key: str, version_id: str, minute: int, *, hour: int = 13, latest: bool = True) -> dict[str, Any]:
            stored = datetime(2026, 11, 28, hour, minute, tzinfo=UTC)
            return {"Key": key, "VersionId": version_id, "LastModified": stored, "IsLatest": latest}

        if bucket == "digests":
            names = ["hours/dt=2026-11-28/13.json", "hours/dt=2026-11-28/13.json.sig", "keys/ab.pem"]
            names += ["heads/dt=2026-11-28/14.jsonl.gz", "hours/dt=2026-11-28/14.json", "hours/dt=x/9.json.sig"]
            return [version(name, "d", 0, hour=14) for name in self.digest_names(names)]
        return [
            version("records/dt=2026-11-28/13-a.jsonl.gz", "v1", 10, latest=False),
            version("records/dt=2026-11-28/13-a.jsonl.gz", "v2", 20),
            version("records/dt=2026-11-28/14-b.jsonl.gz", "v3", 5, hour=14),
        ]

    def digest_names(self, names: list[str]) -> list[str]:
        return names

    def copy(self, bucket: str, version: dict[str, Any], path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(version["VersionId"])


def test_a_copy_has_every_version_that_a_digest_covers_with_keys_and_verifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(auditor_copy, "Source", Buckets)
    folder = tmp_path / "copy"
    assert auditor_copy.main([str(folder), "--aws"]) == 0
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "archive/older/v1/records/dt=2026-11-28/13-a.jsonl.gz",
        "archive/records/dt=2026-11-28/13-a.jsonl.gz",
        "digests/hours/dt=2026-11-28/13.json",
        "digests/hours/dt=2026-11-28/13.json.sig",
        "digests/keys/ab.pem",
        "keys/ab.pem",
        "tuition_verify.py",
        "README.md",
    }
    command = "python tuition_verify.py --archive archive --digests digests --key keys/ab.pem --until 2026-11-28T14"
    assert capsys.readouterr().out.splitlines()[-1] == command


@pytest.mark.parametrize(
    "key",
    ["../outside", "records/../../outside", "/outside", "records/", "records//a", "records/./a", "a\\\\b", "a\0b"],
)
def test_a_key_that_is_no_path_in_the_folder_is_named_and_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    """A role that writes to the archive may choose any key."""
    real = Buckets.versions

    def with_key(self: Buckets, bucket: str) -> list[dict[str, Any]]:
        versions = real(self, bucket)
        return [*versions, {**versions[0], "Key": key, "IsLatest": True}] if bucket == "archive" else versions

    monkeypatch.setattr(auditor_copy, "Source", Buckets)
    monkeypatch.setattr(Buckets, "versions", with_key)
    folder = tmp_path / "copy"
    assert auditor_copy.main([str(folder), "--aws"]) == 1
    assert repr(key) in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    assert (folder / "archive/records/dt=2026-11-28/13-a.jsonl.gz").is_file()


def test_without_a_digest_there_is_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(auditor_copy, "Source", Buckets)
    monkeypatch.setattr(Buckets, "digest_names", lambda self, names: [])
    assert auditor_copy.main([str(tmp_path), "--aws"]) == 1
    assert "there is no digest yet" in capsys.readouterr().err


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as stopped:
        auditor_copy.main([str(tmp_path)])
    assert stopped.value.code == 2


def test_a_bucket_that_cannot_be_read_ends_with_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Buckets, bucket: str) -> list[dict[str, Any]]:
        raise OSError("no answer")

    monkeypatch.setattr(auditor_copy, "Source", Buckets)
    monkeypatch.setattr(Buckets, "versions", fail)
    assert auditor_copy.main([str(tmp_path), "--aws"]) == 2
