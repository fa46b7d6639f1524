"""`make verify` finds each way to alter the tables: by the tables alone, or by the signed heads of a copy."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import verify
from local.build import ROOT
from local.deployed_function import CommandFailed
from tests.archive_copies import UNTIL, Copy, new_key, pack
from tests.harness import NAMES, Harness, Student
from tests.tables.test_purchase_blocks import lose_dispute
from tuition.core import audit
from tuition.storage import keys, mapping
from tuition.storage.items import AuditItem
from verifier import tuition_verify

Item = dict[str, Any]
Items = dict[str, list[Item]]
KEYS = {
    "payments": ("payment_id",),
    "enrollments": ("user_id", "sort_key"),
    "customers": ("user_id",),
    "audit": ("subject", "sort_key"),
    "cursors": ("name",),
}
ADA, BOB = Student("ada"), Student("bob")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "PAUSE_S", 0)


@dataclass
class School:
    """A school with two purchases, one of them refunded, and a copy of the archive that an auditor has verified."""

    tuition: Harness
    copy: Copy
    before_refund: Items
    payment_id: str

    def items(self, table: str) -> list[Item]:
        items: list[Item] = self.tuition.tables.scan(TableName=table)["Items"]
        return items

    def chain(self) -> list[Item]:
        """Return the items of the payment's records, in their order."""
        items = [item for item in self.items("audit") if item["subject"]["S"] == self.payment_id]
        return sorted(items, key=lambda item: int(item["seq"]["N"]))

    def put(self, table: str, item: Item) -> None:
        self.tuition.tables.put_item(TableName=table, Item=item)

    def remove(self, table: str, item: Item) -> None:
        self.tuition.tables.delete_item(TableName=table, Key={name: item[name] for name in KEYS[table]})

    def item(self, table: str, **key: str) -> Item:
        (item,) = [one for one in self.items(table) if all(one[name]["S"] == value for name, value in key.items())]
        return item

    def payment(self) -> Item:
        return self.item("payments", payment_id=self.payment_id)

    def run(self, *, copy: bool = False) -> int:
        tables = verify.Tables(self.tuition.tables, {name: NAMES[name] for name in verify.TABLES})
        return verify.verify(tables, self.copy.root if copy else None)


@pytest.fixture
def school(tuition: Harness, tmp_path: Path) -> School:
    for table, key in KEYS.items():
        tuition.empty_table(table, *key)
    payment_id = _bought(tuition, ADA)
    _bought(tuition, BOB)
    school = School(tuition, Copy(tmp_path / "copy", new_key()), {}, payment_id)
    school.before_refund = {table: school.items(table) for table in KEYS}
    assert tuition.refund(ADA, payment_id).status == 200
    tuition.advance_time(5)
    tuition.deliver_all()
    lose_dispute(tuition, Student("eve"))
    allow = {"decision": "allow", "note": "talked to them"}
    staff = Student("staff", groups=("admin",))
    assert tuition.admin(staff, "POST /api/admin/users/{user_id}/purchases", allow, user_id="eve").status == 200
    records = [mapping.record_to_json(AuditItem.from_raw_data(item)) for item in school.items("audit")]
    school.copy.put("2026-11-27T21", "all", pack(sorted(records, key=lambda one: (one["subject"], one["seq"]))))
    school.copy.sign()
    return school


def _bought(tuition: Harness, student: Student) -> str:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.advance_time(5)
    tuition.deliver_all()
    return str(purchase["payment_id"])


def rehashed(items: list[Item], **changes: Any) -> str:
    """Hash a chain again after its first record got another attribute. Return the hash of the newest record."""
    previous = ""
    for item in items:
        for name, value in changes.items():
            item[name] = {"S": value}
        changes = {}
        item["previous"] = {"S": previous}
        body = mapping.record_to_json(AuditItem.from_raw_data(item))
        previous = audit.digest({name: value for name, value in body.items() if name != "hash"})
        item["hash"] = {"S": previous}
    return previous


# --- the ways ---


def edit_a_record(school: School) -> None:
    record = school.chain()[1]
    school.put("audit", {**record, "type": {"S": "another"}})


def edit_a_record_and_its_hash(school: School) -> None:
    chain = school.chain()
    chain[0]["type"] = {"S": "another"}
    rehashed(chain[:1])
    school.put("audit", chain[0])


def delete_a_record(school: School) -> None:
    school.remove("audit", school.chain()[1])


def delete_the_newest_record(school: School) -> None:
    school.remove("audit", school.chain()[-1])


def delete_a_chain(school: School) -> None:
    for record in school.chain():
        school.remove("audit", record)


def insert_a_record(school: School) -> None:
    forged = {**school.chain()[-1], "sort_key": {"S": "2026-12-01#evt_forged"}}
    rehashed([forged])
    school.put("audit", forged)


def insert_a_record_of_no_payment(school: School) -> None:
    forged = {**school.chain()[0], "subject": {"S": "pay_forged"}}
    rehashed([forged])
    school.put("audit", forged)


def reorder_records(school: School) -> None:
    _, first, second, *_ = school.chain()
    first["seq"], second["seq"] = second["seq"], first["seq"]
    school.put("audit", first)
    school.put("audit", second)


def replace_a_record_with_something_else(school: School) -> None:
    record = school.chain()[1]
    school.put("audit", {name: record[name] for name in KEYS["audit"]})


def edit_the_facts(school: School) -> None:
    item = school.payment()
    facts = json.loads(item["facts"]["S"])
    facts["settled"]["amount"] += 1
    school.put("payments", {**item, "facts": {"S": json.dumps(facts)}})


def delete_a_payment(school: School) -> None:
    school.remove("payments", school.payment())


def break_a_payment(school: School) -> None:
    school.put("payments", {**school.payment(), "facts": {"S": "{"}})


def roll_back_a_payment(school: School) -> None:
    """Only the item, as it was before the refund."""
    (old,) = [item for item in school.before_refund["payments"] if item["payment_id"]["S"] == school.payment_id]
    school.put("payments", old)


def grant_access(school: School) -> None:
    item = school.item("enrollments", user_id="ada", sort_key="DP")
    standing = json.loads(item["standings"]["S"]) if "S" in item["standings"] else item["standings"]["M"]
    if "S" in item["standings"]:
        standing[school.payment_id]["grants"] = True
        item["standings"] = {"S": json.dumps(standing)}
    else:
        standing[school.payment_id]["M"]["grants"] = {"BOOL": True}
    school.put("enrollments", item)


def change_the_status_of_an_enrollment(school: School) -> None:
    school.put("enrollments", {**school.item("enrollments", user_id="ada", sort_key="DP"), "status": {"S": "ENROLLED"}})


def unlock_a_project(school: School) -> None:
    for item in school.items("enrollments"):
        if item["user_id"]["S"] == "ada" and keys.project_of(item["sort_key"]["S"]):
            school.put("enrollments", {**item, "unlocked": {"BOOL": True}})


def delete_an_enrollment(school: School) -> None:
    school.remove("enrollments", school.item("enrollments", user_id="bob", sort_key="DP"))


def delete_every_item_of_a_user(school: School) -> None:
    for item in school.items("enrollments"):
        if item["user_id"]["S"] == "bob":
            school.remove("enrollments", item)


def forget_a_lost_dispute(school: School) -> None:
    item = school.item("customers", user_id="eve")
    del item["lost_disputes"]
    school.put("customers", item)


def delete_a_customer_who_lost_a_dispute(school: School) -> None:
    school.remove("customers", school.item("customers", user_id="eve"))


def delete_a_record_of_staff(school: School) -> None:
    school.remove("audit", school.item("audit", subject="eve"))


def forge_the_switch(school: School) -> None:
    school.put("cursors", {"name": {"S": "selling"}, "selling": {"S": json.dumps({"on": False})}})


FOUND_BY_THE_TABLES: dict[Callable[[School], None], str] = {
    edit_a_record: "record 2: its content was changed",
    edit_a_record_and_its_hash: "record 2: it does not continue the record before it",
    delete_a_record: "record 2 is missing, 3 follows",
    delete_the_newest_record: "the log ends at",
    delete_a_chain: "the log ends at 0",
    insert_a_record: "record",
    insert_a_record_of_no_payment: "pay_forged: it has records, but the payment does not exist",
    reorder_records: "it does not continue the record before it",
    replace_a_record_with_something_else: "is no record",
    edit_the_facts: "the records lead to status REFUNDED, settled 49900, but the payment has",
    delete_a_payment: "it has records, but the payment does not exist",
    break_a_payment: "the payment cannot be read",
    roll_back_a_payment: "but its subject is at version",
    grant_access: "ada: DP: the enrollment has",
    change_the_status_of_an_enrollment: "ada: DP: its status is ENROLLED, but its payments lead to WITHDRAWN",
    unlock_a_project: "is unlocked without an enrollment",
    delete_an_enrollment: "bob: DP: payments exist, but no enrollment",
    delete_every_item_of_a_user: "bob: DP: payments exist, but no enrollment",
    forget_a_lost_dispute: "customer eve: the payments have lost",
    delete_a_customer_who_lost_a_dispute: "customer eve: the payments have lost",
    delete_a_record_of_staff: "eve: record 0: the log ends at 0, but its subject is at version 1",
    forge_the_switch: "selling switch: ",
}


def hash_a_chain_again(school: School) -> None:
    """Another time of purchase, with new hashes in all records and in the payment."""
    chain, payment = school.chain(), school.payment()
    payment["audit_head"] = {"S": rehashed(chain, type="another")}
    for record in chain:
        school.put("audit", record)
    school.put("payments", payment)


def roll_back_everything(school: School) -> None:
    """The payment with its chain, its enrollment and its customer as before the refund, as if it had never been."""
    for record in school.chain():
        if record not in school.before_refund["audit"]:
            school.remove("audit", record)
    for table in ("payments", "enrollments", "customers"):
        for item in school.before_refund[table]:
            if item.get("user_id", {}).get("S") == "ada":
                school.put(table, item)


def delete_a_payment_with_its_chain(school: School) -> None:
    for table in ("payments", "enrollments", "customers"):
        for item in school.items(table):
            if item["user_id"]["S"] == "ada":
                school.remove(table, item)
    delete_a_chain(school)


FOUND_BY_THE_DIGESTS = {
    hash_a_chain_again: "the record there has",
    roll_back_everything: "the tables have no record there",
    delete_a_payment_with_its_chain: "the tables have no record there",
}


@pytest.mark.parametrize("tamper", FOUND_BY_THE_TABLES, ids=lambda tamper: tamper.__name__)
def test_the_tables_alone_show_it(
    tamper: Callable[[School], None], school: School, capsys: pytest.CaptureFixture[str]
) -> None:
    tamper(school)
    assert school.run() == verify.DOES_NOT_HOLD
    assert FOUND_BY_THE_TABLES[tamper] in capsys.readouterr().out


@pytest.mark.parametrize("tamper", FOUND_BY_THE_DIGESTS, ids=lambda tamper: tamper.__name__)
def test_only_the_signed_heads_show_it(
    tamper: Callable[[School], None], school: School, capsys: pytest.CaptureFixture[str]
) -> None:
    tamper(school)
    assert school.run() == verify.HOLDS
    assert "Pass --copy" in capsys.readouterr().out
    assert school.run(copy=True) == verify.DOES_NOT_HOLD
    out = capsys.readouterr().out
    assert f"FINDING {school.payment_id}: the digests have" in out
    assert FOUND_BY_THE_DIGESTS[tamper] in out


def test_honest_tables_hold_with_and_without_a_copy_that_the_auditors_program_accepts(
    school: School, capsys: pytest.CaptureFixture[str]
) -> None:
    assert school.run() == school.run(copy=True) == verify.HOLDS
    assert "the tables hold" in capsys.readouterr().out
    folders = ["--archive", str(school.copy.archive), "--digests", str(school.copy.digests)]
    key = str(school.copy.write_key(school.copy.key))
    assert tuition_verify.main([*folders, "--key", key, "--until", UNTIL]) == 0


def test_a_commit_during_the_run_is_no_finding(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bob's refund is committed after the records were read, and before the payments are."""
    bob = school.item("payments", user_id="bob")["payment_id"]["S"]
    scan = verify.Tables.scan

    def slow(tables: verify.Tables, table: str) -> Any:
        if table == "PaymentsTable":
            assert school.tuition.refund(BOB, bob).status == 200
        return scan(tables, table)

    monkeypatch.setattr(verify.Tables, "scan", slow)
    assert school.run() == verify.HOLDS


def test_empty_tables_and_a_copy_without_heads_could_not_be_verified(school: School, tmp_path: Path) -> None:
    tables = verify.Tables(school.tuition.tables, {name: NAMES[name] for name in verify.TABLES})
    with pytest.raises(verify.NotVerified, match="no heads"):
        verify.verify(tables, tmp_path)
    for table, key in KEYS.items():
        school.tuition.empty_table(table, *key)
    with pytest.raises(verify.NotVerified, match="no record and no payment"):
        school.run()


# --- the command ---


def command(school: School, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    tables = verify.Tables(school.tuition.tables, {name: NAMES[name] for name in verify.TABLES})
    monkeypatch.setattr(verify, "connect", lambda **_: tables)
    return verify.main([*arguments])


def test_the_exit_codes_say_whether_the_tables_hold_or_could_not_be_verified(
    school: School, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command(school, monkeypatch, "--copy", str(school.copy.root)) == verify.HOLDS
    delete_a_record(school)
    assert command(school, monkeypatch, "--copy", str(school.copy.root)) == verify.DOES_NOT_HOLD
    assert command(school, monkeypatch, "--copy", str(tmp_path / "absent")) == verify.NOT_VERIFIED
    assert "has no heads" in capsys.readouterr().err

    def fail(**_: Any) -> Any:
        raise CommandFailed("no local stack responds")

    monkeypatch.setattr(verify, "connect", fail)
    assert verify.main([]) == verify.NOT_VERIFIED
    assert "error: no local stack responds" in capsys.readouterr().err


def test_a_table_that_does_not_answer_could_not_be_verified(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {name: f"absent-{name}" for name in verify.TABLES}
    monkeypatch.setattr(verify, "connect", lambda **_: verify.Tables(school.tuition.tables, names))
    assert verify.main([]) == verify.NOT_VERIFIED


def test_findings_beyond_a_limit_are_counted_and_progress_is_shown(
    school: School, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify, "MAX_PRINTED", 1)
    monkeypatch.setattr(verify, "PROGRESS_S", 0)
    for payment in school.items("payments"):
        school.remove("payments", payment)
    assert school.run() == verify.DOES_NOT_HOLD
    printed = capsys.readouterr()
    assert len([line for line in printed.out.splitlines() if line.startswith("FINDING ")]) == 1
    assert "further ones are counted" in printed.out
    assert "records read" in printed.err
    assert "users verified" in printed.err


def test_the_documented_rights_are_those_that_it_uses(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    manual = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").partition("### Verify the tables")[2]
    policy = json.loads(manual.partition("```json")[2].partition("```")[0])
    tables, stacks = policy["Statement"]
    calls = set[str]()
    events = school.tuition.tables.meta.events
    delete_a_record(school)
    events.register("before-call.dynamodb", lambda model, **_: calls.add(f"dynamodb:{model.name}"), unique_id="calls")
    assert school.run() == verify.DOES_NOT_HOLD
    events.unregister("before-call.dynamodb", unique_id="calls")
    assert calls == set(tables["Action"])
    assert stacks["Action"] == "cloudformation:DescribeStackResource"
