"""`make verify` finds the tables of a stack by their names in the template. The rest: `tests/tables/test_verify.py`."""

from typing import Any

import pytest

from local import verify


def test_it_reads_the_tables_of_the_named_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan reads page after page, strongly consistent, and is retried when it is throttled."""
    scanned: list[dict[str, Any]] = []

    class Client:
        def scan(self, **params: Any) -> dict[str, Any]:
            scanned.append(params)
            more = {"LastEvaluatedKey": {"subject": {"S": "a"}}} if len(scanned) == 1 else {}
            return {"Items": [len(scanned)], **more}

    def client(service: str, **options: Any) -> Client:
        assert service == "dynamodb"
        assert options["endpoint_url"] == "http://127.0.0.1:1"
        assert options["config"].retries["total_max_attempts"] == 10
        return Client()

    monkeypatch.setattr(verify, "local_connection", lambda port: {"endpoint_url": f"http://127.0.0.1:{port}"})
    monkeypatch.setattr(verify, "physical_id", lambda stack, table, connection: f"{stack}-{table}")
    monkeypatch.setattr("boto3.client", client)
    tables = verify.connect(stack="school", aws=False, api_port=1)
    assert list(tables.scan("AuditTable")) == [1, 2]
    assert {params["TableName"] for params in scanned} == {"school-AuditTable"}
    assert scanned[1]["ExclusiveStartKey"] == {"subject": {"S": "a"}}
    assert all(params["ConsistentRead"] for params in scanned)
