"""The queries of `docs/queries` read what the archive function has written, with DuckDB."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from local.build import ROOT
from tests import archive_bucket
from tests.archive_bucket import ArchiveBucket
from tests.unit.test_archive import EVERYTHING, REQUEST, item_of, payment, record
from tuition import clock
from tuition.core import archive as core
from tuition.core.audit import Record
from tuition.core.timestamps import epoch
from tuition.outbox import archive

QUERIES = ROOT / "docs" / "queries"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> ArchiveBucket:
    return archive_bucket.connect(monkeypatch)


def write(monkeypatch: pytest.MonkeyPatch, at: str, *items: dict[str, Any]) -> None:
    monkeypatch.setattr(clock, "now", lambda: epoch(at))
    assert archive.write({str(number): item for number, item in enumerate(items)}) == []


def run(bucket: ArchiveBucket, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Copy the bucket into a folder, and run a query there as its comment says."""
    for put in bucket.puts:
        file = folder / put["Key"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(put["Body"])
    monkeypatch.chdir(folder)
    with duckdb.connect() as database:
        database.execute((QUERIES / "tables.sql").read_text(encoding="utf-8"))
        return list(database.execute((QUERIES / f"{name}.sql").read_text(encoding="utf-8")).fetchall())


def closed_at_once() -> dict[str, Any]:
    """Return the item of a payment that moved no money. DuckDB refuses a folder without any file."""
    return item_of(record(1, transition={}), core.final_form(payment(version=1)))


def paid(seq: int, **transition: Any) -> Record:
    return record(seq, "pay_paid", transition={"currency": "usd", **transition})


def test_the_money_of_a_month_counts_a_record_that_is_in_two_objects_once(
    bucket: ArchiveBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = item_of(paid(1, settled=20_000)), item_of(paid(2, refunded=5_000))
    write(monkeypatch, "2026-11-23T18:00:00.000Z", first, second, closed_at_once())
    write(monkeypatch, "2026-11-24T00:00:00.000Z", second)  # a retry on the next day
    late = paid(3, refunded=-5_000, lost=20_000)
    write(monkeypatch, "2026-12-01T00:00:00.000Z", item_of(replace(late, entry=replace(late.entry, at="2026-12-01"))))
    assert run(bucket, tmp_path, "money_by_month", monkeypatch) == [
        ("2026-11", "usd", 20_000, 5_000, 0),
        ("2026-12", "usd", 0, -5_000, 20_000),
    ]


def test_a_gap_and_a_second_record_of_one_position_are_shown(
    bucket: ArchiveBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [item_of(record(seq, "pay_whole")) for seq in (1, 2, 3)]
    write(monkeypatch, "2026-11-23T18:00:00.000Z", *whole, item_of(record(1, "pay_gap")), item_of(record(3, "pay_gap")))
    write(monkeypatch, "2026-11-24T18:00:00.000Z", whole[2], item_of(record(2, "pay_whole", user_id="eve")))
    write(monkeypatch, "2026-11-24T18:00:00.000Z", item_of(record(2, "pay_late")), closed_at_once())
    assert run(bucket, tmp_path, "missing_records", monkeypatch) == [("pay_gap", 3, 2), ("pay_late", 2, 1)]
    assert run(bucket, tmp_path, "two_records_of_one_position", monkeypatch) == [("pay_whole", 2, 2)]


def test_the_last_final_form_of_each_payment_is_shown_with_all_its_columns(
    bucket: ArchiveBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = core.final_form(payment(EVERYTHING, REQUEST))
    again = core.final_form(payment(EVERYTHING, REQUEST, version=5))
    write(monkeypatch, "2026-11-23T18:00:00.000Z", item_of(record(3), closed), item_of(record(5), again))
    ((payment_id, version, *_, closed_at),) = run(bucket, tmp_path, "last_final_forms", monkeypatch)
    assert (payment_id, version, closed_at) == ("pay_1", 5, "2026-12-31T23:59:58.000Z")
    with duckdb.connect() as database:
        database.execute((QUERIES / "tables.sql").read_text(encoding="utf-8"))
        columns = {view: {row[0] for row in database.execute(f"DESCRIBE {view}").fetchall()} for view in VIEWS}
        rows = database.execute("SELECT * FROM final_forms WHERE version = 3")
        row = dict(zip((column[0] for column in rows.description or ()), *rows.fetchall(), strict=True))
    assert columns == {view: {*shape, "dt"} for view, shape in VIEWS.items()}
    assert {name for name, value in row.items() if value is None} == set(core.FINAL_FORM) - set(closed)


VIEWS = {"records": core.RECORD, "final_forms": core.FINAL_FORM}


def test_every_query_is_run_by_a_test() -> None:
    names = {path.stem for path in QUERIES.glob("*.sql")}
    text = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in names if f'"{name}"' not in text and name != "tables"] == []
