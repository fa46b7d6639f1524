"""No release changes what a table cannot change, nor adds more indexes to it than one update can."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.template import released_tables
from tuition.storage import keys
from tuition.views import counts

Edit = Callable[[dict[str, Any]], Any]
NEW = {"key": ["HASH new_day S"], "projection": {"ProjectionType": "KEYS_ONLY"}}


def test_the_template_changes_no_key_index_or_shard_of_the_last_release() -> None:
    assert released_tables.problems(released_tables.released(), released_tables.present()) == []


def index(tables: dict[str, Any], table: str, name: str) -> Any:
    return tables["tables"][table]["indexes"][name]


PLANTED: dict[str, tuple[Edit, list[str]]] = {
    "a table is removed": (lambda t: t["tables"].pop("LimitsTable"), ["LimitsTable was removed"]),
    "a table has another key": (
        lambda t: t["tables"]["AuditTable"].update(key=["HASH subject S", "RANGE seq S"]),
        ["the key of AuditTable was changed"],
    ),
    "a key has another type": (
        lambda t: t["tables"]["CursorsTable"].update(key=["HASH name N"]),
        ["the key of CursorsTable was changed"],
    ),
    "an index is removed": (
        lambda t: t["tables"]["PaymentsTable"]["indexes"].pop("by_day"),
        ["by_day of PaymentsTable was removed"],
    ),
    "an index has another key": (
        lambda t: index(t, "PaymentsTable", "by_status").update(key=["HASH status S", "RANGE listed_at S"]),
        ["the key or projection of by_status of PaymentsTable was changed"],
    ),
    "an index has another projection": (
        lambda t: index(t, "AuditTable", "by_recorded_day").update(projection={"ProjectionType": "ALL"}),
        ["the key or projection of by_recorded_day of AuditTable was changed"],
    ),
    "an index is renamed": (
        lambda t: t["tables"]["QuarantineTable"]["indexes"].update(
            by_time=t["tables"]["QuarantineTable"]["indexes"].pop("by_last_at")
        ),
        ["by_last_at of QuarantineTable was removed"],
    ),
    "a table has two new indexes": (
        lambda t: t["tables"]["CustomersTable"]["indexes"].update(by_a=NEW, by_b=NEW),
        ["CustomersTable has 2 new indexes: by_a, by_b"],
    ),
    "fewer shards are read": (
        lambda t: t["shards"]["check_due"].update(to_write=4, to_read=4),
        ["check_due: shards were dropped in which items may be"],
    ),
    "a number of shards is raised in one release": (
        lambda t: t["shards"]["status_track"].update(to_write=4, to_read=4),
        ["status_track: the last release does not read every shard that is written"],
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_change_that_would_lose_data_is_refused(name: str) -> None:
    edit, expected = PLANTED[name]
    changed = deepcopy(released_tables.released())
    edit(changed)
    assert released_tables.problems(released_tables.released(), changed) == expected


@pytest.mark.parametrize(
    "edit",
    [
        lambda t: t["tables"].update(NewTable={"key": ["HASH id S"], "indexes": {"by_a": NEW, "by_b": NEW}}),
        lambda t: [table["indexes"].update(by_new=NEW) for table in t["tables"].values()],
        lambda t: t["shards"]["status_track"].update(to_read=4),
        lambda t: t["shards"]["check_due"].update(to_write=4),
        lambda t: t["shards"].update(new_day={"to_write": 4, "to_read": 4}),
    ],
    ids=["a new table", "one new index per table", "more shards to read", "fewer shards to write", "a new sharded key"],
)
def test_a_change_that_one_release_can_make_is_accepted(edit: Edit) -> None:
    changed = deepcopy(released_tables.released())
    edit(changed)
    assert released_tables.problems(released_tables.released(), changed) == []


# --- shards ---


def test_every_sharded_attribute_is_the_hash_key_of_an_index_or_a_table() -> None:
    tables = released_tables.present()["tables"].values()
    owners = [*tables, *(one for table in tables for one in table["indexes"].values())]
    assert {f"HASH {attribute} S" for attribute in keys.SHARDS} <= {one["key"][0] for one in owners}


def test_an_index_that_the_console_reads_has_one_shard() -> None:
    """A page of a list stays one query per status and track."""
    sharded = {name for name, shards in keys.SHARDS.items() if shards.to_read > 1}
    assert sharded == {"check_due", "recorded_day", "collect_due"}


def test_every_shard_that_is_written_is_read() -> None:
    assert all(1 <= shards.to_write <= shards.to_read for shards in keys.SHARDS.values())


def test_one_request_can_count_on_in_every_shard_of_a_month() -> None:
    assert 2 * keys.SHARDS["created_month"].to_read < counts.MAX_QUERIES


def test_the_shard_of_an_id_never_changes() -> None:
    """A hash that depended on the process, as Python's own, would scatter the versions of one item."""
    ids = ("pay_1", "evt_1", "pay_00000000000000000000000a")
    assert [keys.sharded("check_due", "due", one) for one in ids] == ["due#2", "due#5", "due#7"]


def test_ids_are_spread_evenly_over_the_shards() -> None:
    count = 8_000
    shards = [keys.sharded("recorded_day", "2026-11-23", f"pay_{number:024x}") for number in range(count)]
    assert set(shards) == set(keys.shards("recorded_day", "2026-11-23"))
    assert all(abs(shards.count(one) - count / 8) < count / 80 for one in set(shards))
