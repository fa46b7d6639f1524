"""The command `make replay`: which pages it asks for, at which pace, and how it is resumed."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from local import replay
from local.deployed_function import CommandFailed


class Function:
    """The function that publishes: two pages on each day. It fails at the calls of these numbers."""

    def __init__(self, *fails: int, since: datetime | None = None) -> None:
        self.fails = fails
        self.since = since
        self.requests: list[dict[str, Any]] = []

    def forgotten_since(self) -> datetime | None:
        return self.since

    def replay(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        if len(self.requests) in self.fails:
            raise CommandFailed("the function failed")
        ends = "after" in request or "subject" in request
        after = None if ends else f"{request['day']}T12:00:00.000Z#pay_1#1"
        return {"records": 100, "events": 300, "failed": [], "after": after}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    monkeypatch.setattr(replay.time, "sleep", waits.append)
    return waits


def run(monkeypatch: pytest.MonkeyPatch, function: Function, *arguments: str) -> int:
    monkeypatch.setattr(replay, "Replayer", lambda **_: function)
    return replay.main(list(arguments))


def test_it_reads_each_day_page_by_page(monkeypatch: pytest.MonkeyPatch, pauses: list[float], capsys: Any) -> None:
    function = Function()
    assert run(monkeypatch, function, "--from", "2026-11-01", "--to", "2026-11-02") == 0
    assert [(request["day"], request.get("after", "")[:10]) for request in function.requests] == [
        ("2026-11-01", ""),
        ("2026-11-01", "2026-11-01"),
        ("2026-11-02", ""),
        ("2026-11-02", "2026-11-02"),
    ]
    assert "400 records, 1200 events" in capsys.readouterr().out


def test_it_keeps_the_rate(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    run(monkeypatch, Function(), "--day", "2026-11-01", "--rate", "50")
    assert len(pauses) == 2 and all(1.5 < pause <= 2 for pause in pauses)


def test_without_days_it_reads_every_day_until_today(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    function = Function()
    assert run(monkeypatch, function) == 0
    days = list(dict.fromkeys(request["day"] for request in function.requests))
    assert days[0] == replay.FIRST_DAY.isoformat() and days[-1] >= datetime.now(UTC).date().isoformat()
    assert len(days) == (date.fromisoformat(days[-1]) - replay.FIRST_DAY).days + 1


def test_it_says_how_to_resume_and_continues_there(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], capsys: Any
) -> None:
    failing = Function(2)
    assert run(monkeypatch, failing, "--from", "2026-11-01", "--to", "2026-11-02") == 2
    printed = capsys.readouterr().out
    arguments = printed.partition("Resume with: ")[2].split()
    resumed = Function()
    assert run(monkeypatch, resumed, *arguments) == 0
    assert resumed.requests[0] == failing.requests[1]
    assert len(resumed.requests) == 3


NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
RESTORED = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("created", "is_restored", "since"),
    [
        (NOW - timedelta(hours=1), True, RESTORED),
        (NOW - timedelta(days=3, hours=23), True, RESTORED),
        (NOW - timedelta(days=4), True, None),
        (NOW - timedelta(hours=1), False, None),
    ],
)
def test_a_table_of_effects_that_was_restored_lately_lacks_emails(
    created: datetime, is_restored: bool, since: datetime | None
) -> None:
    local = RESTORED.astimezone(timezone(timedelta(hours=-8)))
    summary = {"RestoreSummary": {"RestoreDateTime": local, "RestoreInProgress": False}} if is_restored else {}
    assert replay.forgotten_since({"CreationDateTime": created, **summary}, NOW) == since


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 2),
        (("--day", "2026-11-27"), 2),
        (("--from", "2026-11-01", "--to", "2026-11-28"), 2),
        (("--payment", "pay_1"), 2),
        (("--from", "2026-11-01", "--to", "2026-11-26"), 0),
        (("--day", "2026-11-27", "--emails-may-repeat"), 0),
    ],
)
def test_a_replay_that_would_send_emails_twice_after_a_restore_is_refused(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], capsys: Any, arguments: tuple[str, ...], code: int
) -> None:
    function = Function(since=RESTORED)
    assert run(monkeypatch, function, *arguments) == code
    assert bool(function.requests) == (code == 0)
    if code:
        assert "was restored to 2026-11-27T09:30Z" in capsys.readouterr().err


def test_one_payment_is_one_page(monkeypatch: pytest.MonkeyPatch) -> None:
    function = Function()
    assert run(monkeypatch, function, "--payment", "pay_1") == 0
    assert function.requests == [{"subject": "pay_1"}]


def test_a_record_that_was_not_published_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    function = Function()
    report = {"records": 1, "events": 0, "failed": ["pay_1 2026-11-01T12:00:00.000Z#evt_1"], "after": None}
    monkeypatch.setattr(function, "replay", lambda request: report)
    assert run(monkeypatch, function, "--payment", "pay_1") == 1
    assert "not published pay_1 2026-11-01T12:00:00.000Z#evt_1" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--payment", "pay_1", "--day", "2026-11-01"],
        ["--day", "2026-11-01", "--from", "2026-11-01"],
        ["--from", "2026-11-02", "--to", "2026-11-01"],
        ["--rate", "0"],
        ["--rate", "5000"],
    ],
)
def test_arguments_that_contradict_each_other_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        replay.parse(arguments)
