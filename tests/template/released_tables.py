"""The keys and indexes of the tables as the last release made them, and what a later template may change.

DynamoDB cannot change a key: CloudFormation would replace the table, and the functions would silently get an empty one.
One update of a table may add or remove one index, and a query of a new index fails until DynamoDB has filled it. So a
release adds at most one index to a table, and the code that reads it comes with the next.

`python -m tests.template.released_tables 0.2.0` writes the file at a release.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local import deploy
from local.build import ROOT
from tuition.storage import keys

FILE = Path(__file__).with_name("released_tables.json")
MAX_NEW_INDEXES = 1
"""Per table and release: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html"""
Tables = Mapping[str, Any]


def released() -> dict[str, Any]:
    """Return the tables and shards of the last release, with its version."""
    return dict(json.loads(FILE.read_text(encoding="utf-8")))


def present() -> dict[str, Any]:
    """Return the tables of the template, and the shards of the code."""
    resources = deploy.read_template(ROOT / "template.yaml")["Resources"]
    tables = {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::DynamoDB::Table"}
    shards = {name: {"to_write": one.to_write, "to_read": one.to_read} for name, one in keys.SHARDS.items()}
    return {"tables": {name: _table(properties) for name, properties in tables.items()}, "shards": shards}


def _table(properties: Mapping[str, Any]) -> dict[str, Any]:
    types = {one["AttributeName"]: one["AttributeType"] for one in properties["AttributeDefinitions"]}

    def key(schema: list[dict[str, str]]) -> list[str]:
        return [f"{one['KeyType']} {one['AttributeName']} {types[one['AttributeName']]}" for one in schema]

    indexes = {
        index["IndexName"]: {"key": key(index["KeySchema"]), "projection": index["Projection"]}
        for index in properties.get("GlobalSecondaryIndexes", [])
    }
    return {"key": key(properties["KeySchema"]), "indexes": indexes}


def problems(before: Tables, after: Tables) -> list[str]:
    """Return what the template and the code must not change since the last release."""
    refused = []
    for name, table in before["tables"].items():
        if name not in after["tables"]:
            refused.append(f"{name} was removed")
            continue
        new = after["tables"][name]
        if new["key"] != table["key"]:
            refused.append(f"the key of {name} was changed")
        for index, one in table["indexes"].items():
            if index not in new["indexes"]:
                refused.append(f"{index} of {name} was removed")
            elif new["indexes"][index] != one:
                refused.append(f"the key or projection of {index} of {name} was changed")
        added = sorted(new["indexes"].keys() - table["indexes"].keys())
        if len(added) > MAX_NEW_INDEXES:
            refused.append(f"{name} has {len(added)} new indexes: {', '.join(added)}")
    for attribute, shards in before["shards"].items():
        new = after["shards"].get(attribute, {"to_write": 0, "to_read": 0})
        if new["to_read"] < shards["to_read"]:
            refused.append(f"{attribute}: shards were dropped in which items may be")
        if new["to_write"] > shards["to_read"]:
            refused.append(f"{attribute}: the last release does not read every shard that is written")
    return refused


if __name__ == "__main__":
    FILE.write_text(json.dumps({"version": sys.argv[1], **present()}, indent=2) + "\n", encoding="utf-8")
