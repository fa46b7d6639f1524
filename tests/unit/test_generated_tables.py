"""`make verify` on generated tables, which the benchmark has in a million records: it holds, and memory is bounded."""

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from local import verify
from tests import generated_tables
from tests.generated_tables import Client
from tuition.storage import mapping
from tuition.storage.items import AuditItem


def verified(client: Client, folder: Path) -> verify.Verification:
    tables = verify.Tables(client, {table: table for table in verify.TABLES})
    run = verify.Verification(tables, str(folder))
    run.run()
    run.close()
    return run


def altered(monkeypatch: pytest.MonkeyPatch, name: str, value: dict[str, Any]) -> Client:
    """Return tables of three payments, in which one record has another value."""
    monkeypatch.setattr(verify, "PAUSE_S", 0)
    client = Client(3)
    real = client.scan

    def scan(**params: Any) -> dict[str, Any]:
        page = real(**params)
        if params["TableName"] == "AuditTable":
            page["Items"][7][name] = value
        return page

    monkeypatch.setattr(client, "scan", scan)
    return client


def test_generated_tables_hold(tmp_path: Path) -> None:
    run = verified(Client(250), tmp_path)
    assert (run.records, run.payments, run.users, run.findings) == (1250, 250, 250, 0)


def test_an_altered_record_of_generated_tables_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = altered(monkeypatch, "type", {"S": "charge.captured"})

    def get_item(**params: Any) -> dict[str, Any]:
        payments = [
            item for item in client.scan(TableName="PaymentsTable")["Items"] if item.items() >= params["Key"].items()
        ]
        return {"Item": payments[0]} if payments else {}

    def query(**params: Any) -> dict[str, Any]:
        subject = params["ExpressionAttributeValues"][":key"]
        return {"Items": [item for item in client.scan(TableName="AuditTable")["Items"] if item["subject"] == subject]}

    monkeypatch.setattr(client, "get_item", get_item)
    monkeypatch.setattr(client, "query", query)
    assert verified(client, tmp_path).findings == 1
    assert "0000000001: record 3: its content was changed" in capsys.readouterr().out


def test_memory_does_not_grow_with_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own memory is limited by `CACHE_KB`. This is everything else, with pages and batches of tests' size."""
    monkeypatch.setattr(generated_tables, "PAGE_PAYMENTS", 10)
    monkeypatch.setattr(verify, "ROWS_PER_INSERT", 20)
    peaks = {}
    tracemalloc.start()
    try:
        for payments in (30, 30, 240):  # the first also loads what stays in memory, such as modules
            folder = tmp_path / str(len(peaks))
            folder.mkdir(exist_ok=True)
            (folder / "tables.sqlite").unlink(missing_ok=True)
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            verified(Client(payments), folder)
            peaks[payments] = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peaks[240] < peaks[30] * 1.5, peaks


def test_a_record_is_read_as_its_model_reads_it() -> None:
    """`make verify` does not use pynamodb's model for records, because that takes most of the time."""
    for item in Client(2).scan(TableName="AuditTable")["Items"]:
        assert verify._record(item) == mapping.record_to_json(AuditItem.from_raw_data(item))
        for name in (*verify.TEXTS, "seq", "schema_version", "transition"):
            with pytest.raises(verify.UNREADABLE):
                verify._record({key: value for key, value in item.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("seq", {"N": text}) for text in ("1E+2", "1.5", "-1", "0", "9" * 38)),
        *(("seq", value) for value in ({"S": "1"}, {"NULL": True}, {"B": b"1"})),
        *(("schema_version", value) for value in ({"N": "1E+2"}, {"NULL": True})),
        *(("transition", value) for value in ({"S": "[" * 100_000}, {"S": "[]"}, {"S": ""}, {"NULL": True}, {"M": {}})),
        *(("hash", value) for value in ({"B": b"hash"}, {"NULL": True}, {"N": "1"})),
        *(("actor", value) for value in ({"NULL": True}, {"B": b"staff"})),
        *(("facts", value) for value in ({"NULL": True}, {"S": "[" * 100_000})),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_record_of_another_type_is_a_finding_and_no_crash(
    name: str,
    value: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    client = altered(monkeypatch, name, value)
    monkeypatch.setattr(client, "get_item", lambda **params: {})
    monkeypatch.setattr(client, "query", lambda **params: {"Items": []})
    assert verified(client, tmp_path).findings >= 1
    assert "is no record (" in capsys.readouterr().out
