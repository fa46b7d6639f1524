"""The verifier for outsiders: an honest copy holds, and every way to tamper with a copy is found and located."""

import gzip
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import archive_copies
from tests.archive_copies import EMPTY_HOUR, HOURS, UNTIL, Copy, honest, new_key, pack, rehash, unpack
from verifier import tuition_verify
from verifier.tuition_verify import DOES_NOT_HOLD, HOLDS, NOT_CHECKED

KEY = new_key()
VERIFIER = Path(tuition_verify.__file__)
ATTACKED = HOURS[1]


@dataclass(frozen=True)
class Result:
    """The answer of the verifier."""

    code: int
    out: str


Verify = Callable[..., Result]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return honest(tmp_path_factory.mktemp("honest"), KEY)


@pytest.fixture
def copy(original: Copy, tmp_path: Path) -> Copy:
    shutil.copytree(original.root, tmp_path, dirs_exist_ok=True)
    return Copy(tmp_path, KEY, {subject: list(records) for subject, records in original.chains.items()})


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str]) -> Verify:
    def run(copy: Copy, *arguments: str, key: Path | None = None) -> Result:
        return verified(copy, *arguments, key=key, capsys=capsys)

    return run


def verified(copy: Copy, *arguments: str, capsys: pytest.CaptureFixture[str], key: Path | None = None) -> Result:
    until = () if "--until" in arguments else ("--until", UNTIL)
    where = ("--archive", str(copy.archive), "--digests", str(copy.digests), "--key", str(key or copy.root / "key.pem"))
    code = tuition_verify.main([*where, *until, *arguments])
    return Result(code, capsys.readouterr().out)


# --- an honest archive ---


def test_an_honest_archive_holds_with_an_empty_hour_a_second_delivery_and_a_second_version(
    copy: Copy, verify: Verify
) -> None:
    result = verify(copy)
    assert result.code == HOLDS, result.out
    assert "2026-11-27T21 to 2026-11-28T03: 7 digests, 15 objects, 54 records of 10 subjects" in result.out
    assert json.loads(copy.digest(EMPTY_HOUR).read_bytes())["objects"] == []


def test_without_a_root_the_verifier_says_what_it_cannot_show(copy: Copy, verify: Verify) -> None:
    assert "No --root was given" in verify(copy).out
    result = verify(copy, "--root", copy.root_of("2026-11-27T23"))
    assert result.code == HOLDS
    assert "No --root" not in result.out
    assert "2026-11-27T23: its digest is the root" in result.out


def test_the_line_of_a_published_root_is_accepted_as_a_whole(copy: Copy, verify: Verify) -> None:
    assert verify(copy, "--root", f"2026-11-27 {copy.root_of('2026-11-27T23')}").code == HOLDS


def test_objects_after_the_last_digest_are_counted_and_not_verified(copy: Copy, verify: Verify) -> None:
    copy.put("2026-11-28T04", "new", pack([copy.next_record("pay_new")]))
    result = verify(copy)
    assert result.code == HOLDS
    assert "1 objects are newer than the last digest (2026-11-28T03)" in result.out


def test_a_copy_may_lack_an_older_version_with_the_same_bytes(copy: Copy, verify: Verify) -> None:
    shutil.rmtree(copy.archive / "older")
    assert verify(copy).code == HOLDS


def test_digests_may_be_signed_by_several_keys(copy: Copy, verify: Verify) -> None:
    second = copy.write_key(new_key(), "second")
    assert verify(copy, "--key", str(second)).code == HOLDS


def test_since_verifies_only_what_has_not_expired(copy: Copy, verify: Verify) -> None:
    for hour in HOURS[:3]:
        copy.digest(hour).unlink()
        copy.digest(hour).with_suffix(".json.sig").unlink()
        for path in copy.objects(hour):
            path.unlink()
    assert verify(copy).code == DOES_NOT_HOLD
    result = verify(copy, "--since", HOURS[3])
    assert result.code == HOLDS, result.out
    assert f"Nothing before {HOURS[3]} was verified" in result.out


# --- tampering without the signing key ---


def edit_a_field(copy: Copy) -> str:
    path = copy.objects(ATTACKED)[0]
    records = unpack(path)
    records[1]["user_id"] = "mallory"
    path.write_bytes(pack(records))
    return rf"FINDING {name(copy, path)}.* line 2: {at(records[1])}: the record was changed"


def edit_and_rehash_a_record(copy: Copy) -> str:
    path = copy.objects(ATTACKED)[0]
    records = unpack(path)
    records[1] = rehash(records[1], user_id="mallory")
    path.write_bytes(pack(records))
    following = f"{records[1]['subject']} position {records[1]['seq'] + 1}"
    return rf"FINDING {name(copy, path)}.*content was changed(.|\n)*{following}: it does not continue"


def rehash_the_whole_chain(copy: Copy) -> str:
    rewrite_history(copy)
    return rf"FINDING {name(copy, copy.objects(HOURS[0])[0])}.*content was changed"


def delete_a_record(copy: Copy) -> str:
    path = copy.objects(ATTACKED)[0]
    records = unpack(path)
    path.write_bytes(pack(records[:1] + records[2:]))
    return rf"it has 3 records(.|\n)*FINDING {at(records[1])}: missing"


def delete_the_last_record_of_a_subject(copy: Copy) -> str:
    path = copy.objects(HOURS[-1])[1]
    records = unpack(path)
    path.write_bytes(pack(records[:-1]))
    return rf"FINDING {name(copy, path)}.* it has {len(records) - 1} records"


def delete_an_object(copy: Copy) -> str:
    path = copy.objects(ATTACKED)[0]
    records = unpack(path)
    path.unlink()
    return rf"FINDING {name(copy, path)}.*missing; its digest lists 4 records, {at(records[0])} to {at(records[-1])}"


def delete_an_older_version_with_other_bytes(copy: Copy) -> str:
    path = copy.put(HOURS[-1], "b0", b"", older="v0")
    path.write_bytes(pack([copy.chains["user_1"][-1]]))
    copy.sign()
    shutil.rmtree(copy.archive / "older")
    return r"FINDING records/dt=2026-11-28/03-b0.*version v0.*: this version of the object is missing"


def delete_the_final_form(copy: Copy) -> str:
    path = next(copy.archive.glob("final/*/*"))
    path.unlink()
    return rf"FINDING {name(copy, path)}.*the object is missing"


def delete_a_digest(copy: Copy) -> str:
    copy.digest(ATTACKED).unlink()
    copy.digest(ATTACKED).with_suffix(".json.sig").unlink()
    return rf"FINDING {ATTACKED}: the digest is missing"


def delete_a_digest_and_its_objects(copy: Copy) -> str:
    for path in copy.objects(ATTACKED):
        path.unlink()
    return delete_a_digest(copy)


def delete_digests_of_several_hours(copy: Copy) -> str:
    for hour in HOURS[2:5]:
        copy.digest(hour).unlink()
        copy.digest(hour).with_suffix(".json.sig").unlink()
    return rf"FINDING {HOURS[2]} to {HOURS[4]}: the digests are missing"


def delete_the_first_digest(copy: Copy) -> str:
    copy.digest(HOURS[0]).unlink()
    copy.digest(HOURS[0]).with_suffix(".json.sig").unlink()
    for path in copy.objects(HOURS[0]):
        path.unlink()
    return rf"the digests before it are missing: it continues {HOURS[0]}"


def delete_the_tail(copy: Copy) -> str:
    for hour in HOURS[-2:]:
        copy.digest(hour).unlink()
        copy.digest(hour).with_suffix(".json.sig").unlink()
        for path in copy.objects(hour):
            path.unlink()
    shutil.rmtree(copy.archive / "final")
    return rf"FINDING {HOURS[-2]} to {HOURS[-1]}: the digests are missing"


def delete_a_signature(copy: Copy) -> str:
    copy.digest(ATTACKED).with_suffix(".json.sig").unlink()
    return r"hours/dt=2026-11-27/22.json.sig: the digest has no signature"


def delete_the_heads(copy: Copy) -> str:
    (copy.digests / "heads/dt=2026-11-27/22.jsonl.gz").unlink()
    return r"FINDING heads/dt=2026-11-27/22.jsonl.gz: the heads are missing"


def change_the_heads(copy: Copy) -> str:
    (copy.digests / "heads/dt=2026-11-27/22.jsonl.gz").write_bytes(gzip.compress(b""))
    return r"FINDING heads/dt=2026-11-27/22.jsonl.gz: the heads were changed"


def insert_a_record(copy: Copy) -> str:
    path = copy.objects(ATTACKED)[0]
    records = unpack(path)
    path.write_bytes(pack([*records, copy.next_record("pay_new")]))
    return rf"FINDING {name(copy, path)}.* it has 5 records, .* to pay_new position 1"


def insert_an_object(copy: Copy) -> str:
    path = copy.put(ATTACKED, "new", pack([copy.next_record("pay_new")]))
    return rf"FINDING {name(copy, path)}: no digest lists this object"


def insert_a_final_form(copy: Copy) -> str:
    path = copy.put(ATTACKED, "pay_00-v2", gzip.compress(b"{}"), folder="final")
    return rf"FINDING {name(copy, path)}: no digest lists this object"


def insert_a_file_without_a_valid_name(copy: Copy) -> str:
    (copy.archive / "records" / "surplus.jsonl.gz").write_bytes(b"")
    return r"FINDING records/surplus.jsonl.gz: no digest lists this object"


def insert_an_older_version(copy: Copy) -> str:
    path = copy.put(ATTACKED, "b0", pack([copy.next_record("pay_new")]), older="v00")
    return rf"FINDING {name(copy, path)}: no digest lists this object"


def put_a_new_version_over_an_object(copy: Copy) -> str:
    path = copy.objects(HOURS[3])[0]
    copy.put(HOURS[3], "b0", path.read_bytes(), older=archive_copies.VERSION)
    path.write_bytes(pack([copy.next_record("pay_new")]))
    return rf"FINDING {name(copy, path)}: no digest lists this object"


def swap_the_order_of_two_records(copy: Copy) -> str:
    path = copy.objects(ATTACKED)[0]
    records = unpack(path)
    path.write_bytes(pack([records[0], records[2], records[1], records[3]]))
    return rf"FINDING {name(copy, path)}.*content was changed"


def swap_two_objects(copy: Copy) -> str:
    first, second = copy.objects(HOURS[3])
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])
    return rf"FINDING {name(copy, first)}.*content was changed(.|\n)*FINDING {name(copy, second)}"


def swap_two_subjects(copy: Copy) -> str:
    path = copy.objects(ATTACKED)[0]
    records = unpack(path)
    names = records[0]["subject"], records[1]["subject"]
    records[0] = rehash(records[0], subject=names[1])
    records[1] = rehash(records[1], subject=names[0])
    path.write_bytes(pack(records))
    return rf"FINDING {name(copy, path)}.*content was changed(.|\n)*{names[0]} position \d: it does not continue"


def swap_two_digests(copy: Copy) -> str:
    for suffix in (".json", ".json.sig"):
        first, second = (copy.digest(hour).with_suffix(suffix) for hour in HOURS[3:5])
        contents = first.read_bytes(), second.read_bytes()
        second.write_bytes(contents[0])
        first.write_bytes(contents[1])
    return rf"FINDING hours/dt=2026-11-28/00.json: the digest is of another hour, {HOURS[4]}"


def edit_a_digest(copy: Copy) -> str:
    path = copy.objects(ATTACKED)[0]
    digest = json.loads(copy.digest(ATTACKED).read_bytes())
    digest["objects"] = [entry for entry in digest["objects"] if entry["key"] != name(copy, path, pattern=False)]
    copy.digest(ATTACKED).write_text(json.dumps(digest, sort_keys=True, separators=(",", ":")))
    path.unlink()
    return r"FINDING hours/dt=2026-11-27/22.json: the signature does not fit"


def replace_a_digest_by_nonsense(copy: Copy) -> str:
    copy.digest(ATTACKED).write_text("{}")
    return r"FINDING hours/dt=2026-11-27/22.json: the digest was changed: it is no digest"


def replace_a_signature(copy: Copy) -> str:
    shutil.copy(copy.digest(HOURS[2]).with_suffix(".json.sig"), copy.digest(ATTACKED).with_suffix(".json.sig"))
    return r"FINDING hours/dt=2026-11-27/22.json: the signature does not fit"


def sign_everything_with_another_key(copy: Copy) -> str:
    rewrite_history(copy)
    copy.sign(new_key())
    return r"FINDING hours/dt=2026-11-27/21.json: it names the key [0-9a-f]{64}, which is not among the keys given"


def sign_one_hour_with_another_key(copy: Copy) -> str:
    digest = json.loads(copy.digest(ATTACKED).read_bytes())
    copy.sign(new_key(), [ATTACKED])
    forged = json.loads(copy.digest(ATTACKED).read_bytes())
    forged["key_id"] = digest["key_id"]
    copy.digest(ATTACKED).write_text(json.dumps(forged, sort_keys=True, separators=(",", ":")))
    return r"FINDING hours/dt=2026-11-27/22.json: the signature does not fit"


def insert_an_object_with_digits_of_another_script(copy: Copy) -> str:
    path = copy.archive / "records" / "dt=\N{ARABIC-INDIC DIGIT TWO}026-11-27" / "22-new.jsonl.gz"
    path.parent.mkdir()
    path.write_bytes(pack([copy.next_record("pay_new")]))
    return r"FINDING records/dt=.026-11-27/22-new.jsonl.gz: no digest lists this object"


def insert_an_object_of_the_future(copy: Copy) -> str:
    path = copy.put("2999-11-28T04", "new", pack([copy.next_record("pay_new")]))
    return rf"FINDING {name(copy, path)}: no digest lists this object, and its name has a time in the future"


def insert_a_file_beside_the_folders(copy: Copy) -> str:
    (copy.archive / "Records").mkdir()
    (copy.archive / "Records" / "new.jsonl.gz").write_bytes(pack([copy.next_record("pay_new")]))
    return r"FINDING Records/new.jsonl.gz: no digest lists this object"


def replace_an_object_by_a_pipe(copy: Copy) -> str:
    path = copy.objects(ATTACKED)[0]
    path.unlink()
    os.mkfifo(path)
    return rf"FINDING {name(copy, path)}.*it is no file, but a folder, pipe or device"


def replace_the_heads_by_an_endless_device(copy: Copy) -> str:
    path = copy.digests / "heads/dt=2026-11-27/22.jsonl.gz"
    path.unlink()
    path.symlink_to("/dev/zero")
    return r"FINDING heads/dt=2026-11-27/22.jsonl.gz: it is no file"


def replace_a_digest_by_an_endless_device(copy: Copy) -> str:
    copy.digest(ATTACKED).unlink()
    copy.digest(ATTACKED).symlink_to("/dev/zero")
    return r"FINDING hours/dt=2026-11-27/22.json: it is no file"


def change_the_daily_root_of_the_copy(copy: Copy) -> str:
    path = copy.digests / "roots" / "2026-11-27.txt"
    path.parent.mkdir()
    path.write_text(f"2026-11-27 {'0' * 64}\n", encoding="utf-8")
    return r"FINDING roots/2026-11-27.txt: it is not the hash of the digest of 2026-11-27T23"


TAMPERING: list[Callable[[Copy], str]] = [
    insert_an_object_with_digits_of_another_script,
    insert_an_object_of_the_future,
    insert_a_file_beside_the_folders,
    replace_an_object_by_a_pipe,
    replace_the_heads_by_an_endless_device,
    replace_a_digest_by_an_endless_device,
    change_the_daily_root_of_the_copy,
    edit_a_field,
    edit_and_rehash_a_record,
    rehash_the_whole_chain,
    delete_a_record,
    delete_the_last_record_of_a_subject,
    delete_an_object,
    delete_an_older_version_with_other_bytes,
    delete_the_final_form,
    delete_a_digest,
    delete_a_digest_and_its_objects,
    delete_digests_of_several_hours,
    delete_the_first_digest,
    delete_the_tail,
    delete_a_signature,
    delete_the_heads,
    change_the_heads,
    insert_a_record,
    insert_an_object,
    insert_a_final_form,
    insert_a_file_without_a_valid_name,
    insert_an_older_version,
    put_a_new_version_over_an_object,
    swap_the_order_of_two_records,
    swap_two_objects,
    swap_two_subjects,
    swap_two_digests,
    edit_a_digest,
    replace_a_digest_by_nonsense,
    replace_a_signature,
    sign_everything_with_another_key,
    sign_one_hour_with_another_key,
]


@pytest.mark.parametrize("tamper", TAMPERING, ids=lambda tamper: tamper.__name__)
def test_tampering_is_found_and_located(tamper: Callable[[Copy], str], copy: Copy, verify: Verify) -> None:
    expected = tamper(copy)
    result = verify(copy)
    assert result.code == DOES_NOT_HOLD, result.out
    assert re.search(expected, result.out), f"{expected}\n{result.out}"


def test_the_tail_is_wanted_until_now_without_until(copy: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--archive", str(copy.archive), "--digests", str(copy.digests), "--key", str(copy.root / "key.pem")]
    assert tuition_verify.main(where) == DOES_NOT_HOLD
    assert re.search(r"FINDING 2026-11-28T04 to .*the digests are missing", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("until", "last_hour"),
    [
        ("2026-11-28T13", "2026-11-28T12"),
        ("2026-11-28T13:59", "2026-11-28T12"),
        ("2026-11-28T00+01:00", "2026-11-27T22"),
    ],
)
def test_the_last_full_hour_before_until_needs_a_digest(until: str, last_hour: str) -> None:
    assert tuition_verify.last_full_hour(until) == last_hour


def test_a_link_to_a_folder_that_can_hide_objects_could_not_be_checked(copy: Copy, verify: Verify) -> None:
    folder = copy.archive / "records" / "dt=2026-11-27"
    elsewhere = folder.rename(copy.root / "elsewhere")
    folder.symlink_to(elsewhere)
    (elsewhere / "22-new.jsonl.gz").write_bytes(pack([copy.next_record("pay_new")]))
    result = verify(copy)
    assert result.code == NOT_CHECKED
    assert "NOT CHECKED records/dt=2026-11-27: it is a link to a folder" in result.out


def test_the_right_daily_root_in_the_copy_is_no_finding(copy: Copy, verify: Verify) -> None:
    path = copy.digests / "roots" / "2026-11-27.txt"
    path.parent.mkdir()
    path.write_text(f"2026-11-27 {copy.root_of('2026-11-27T23')}\n", encoding="utf-8")
    assert verify(copy).code == HOLDS


# --- tampering by a role that can write archive objects, which the digests then list ---


@pytest.mark.parametrize("change", ["an attribute twice", "spaces", "a byte order mark"])
def test_a_line_that_can_be_read_in_two_ways_is_found(change: str, copy: Copy, verify: Verify) -> None:
    """Python reads the last of two equal names, and another program the first."""
    line = archive_copies.line_of(copy.chains["pay_00"][0])
    changed = {
        "an attribute twice": b'{"user_id":"mallory",' + line[1:],
        "spaces": line.replace(b'":', b'": '),
        "a byte order mark": b"\xef\xbb\xbf" + line,
    }[change]
    copy.put(HOURS[-1], "twice", gzip.compress(changed))
    copy.sign()
    result = verify(copy)
    assert result.code == DOES_NOT_HOLD, result.out
    assert re.search(r"FINDING .*03-twice.* line 1: pay_00 position 1: the line is not in the documented", result.out)


def test_two_different_final_forms_of_one_version_are_found(copy: Copy, verify: Verify) -> None:
    last = copy.chains["pay_00"][-1]
    state = {"payment_id": "pay_00", "version": last["seq"], "audit_head": last["hash"], "status": "PAID"}
    copy.put(HOURS[-1], f"pay_00-v{last['seq']}", pack([state]), folder="final", older="v0")
    copy.sign()
    result = verify(copy)
    assert result.code == DOES_NOT_HOLD, result.out
    assert f"there are two different final forms of pay_00 position {last['seq']}" in result.out


def test_a_final_form_delivered_twice_is_no_finding(copy: Copy, verify: Verify) -> None:
    path = next(copy.archive.glob("final/*/*"))
    copy.put(HOURS[-2], path.name[3:].partition(".")[0], path.read_bytes(), folder="final")
    copy.sign()
    assert verify(copy).code == HOLDS


def test_a_final_form_without_its_names_could_not_be_checked(copy: Copy, verify: Verify) -> None:
    copy.put(ATTACKED, "pay_00-v2", pack([{}]), folder="final")
    copy.sign()
    result = verify(copy)
    assert result.code == NOT_CHECKED
    assert re.search(r"NOT CHECKED final/dt=2026-11-27/22-pay_00-v2.json.gz .*it has no 'payment_id'", result.out)


def test_a_record_of_a_wrong_type_stops_no_verification(copy: Copy, verify: Verify) -> None:
    copy.put(HOURS[-1], "typed", pack([rehash(copy.next_record("pay_new"), previous=[])]))
    copy.sign()
    result = verify(copy)
    assert result.code != HOLDS
    assert re.search(r"NOT CHECKED records/.*03-typed.*\[\] is no str", result.out)
    assert "7 digests" in result.out


# --- tampering with the signing key ---


def rewrite_history(copy: Copy) -> None:
    """Change a record, and hash every later record of its subject again."""
    hashes: dict[str, str] = {}
    for path in copy.objects():
        records = unpack(path)
        for number, record in enumerate(records):
            if record["subject"] == "pay_00":
                changes = {"user_id": "mallory"} if record["seq"] == 1 else {}
                previous = hashes.get(f"{record['seq'] - 1}", "")
                records[number] = rehash(record, previous=previous, **changes)
                hashes[f"{record['seq']}"] = records[number]["hash"]
        path.write_bytes(pack(records))
    shutil.rmtree(copy.archive / "older")
    shutil.rmtree(copy.archive / "final")


@pytest.mark.parametrize("records", ["", [], {}, 0.0, False])
def test_a_digest_with_a_number_of_another_type_was_changed(records: Any, copy: Copy, verify: Verify) -> None:
    """It must not end the verification as an error of the program, which is no finding."""
    path = copy.digest(ATTACKED)
    body = json.loads(path.read_bytes())
    body["objects"][0]["records"] = records
    path.write_text(json.dumps(body))
    (copy.archive / body["objects"][0]["key"]).unlink()
    result = verify(copy)
    assert result.code == DOES_NOT_HOLD
    assert re.search(rf"FINDING hours/.*{ATTACKED[11:]}.json: the digest was changed", result.out), result.out


def test_a_history_that_the_key_holder_signed_again_is_found_by_a_root_alone(copy: Copy, verify: Verify) -> None:
    root = copy.root_of("2026-11-27T23")
    rewrite_history(copy)
    copy.sign()
    without = verify(copy)
    assert without.code == HOLDS
    assert "cannot show that the holder of the signing key did not rewrite and sign" in without.out
    result = verify(copy, "--root", root)
    assert result.code == DOES_NOT_HOLD
    assert f"FINDING root {root}: no digest has this hash" in result.out


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"transition": {"settled": -1}}, r"FINDING {at}: two different records; one is in {name} line 1"),
        ({"seq": 99}, r"FINDING {subject} positions \d+ to 98: missing; the record at 99 is in {name} line 1"),
        ({"previous": "0" * 64}, r"FINDING {at}: two different records"),
    ],
)
def test_records_that_do_not_fit_are_found_although_they_are_signed(
    change: dict[str, object], expected: str, copy: Copy, verify: Verify
) -> None:
    record = copy.chains["pay_00"][1]
    path = copy.put(HOURS[-1], "zz", pack([rehash(record, **change)]))
    copy.sign()
    result = verify(copy)
    assert result.code == DOES_NOT_HOLD
    pattern = expected.format(at=at(record), subject=record["subject"], name=name(copy, path))
    assert re.search(pattern, result.out), result.out


def test_a_signed_record_with_a_wrong_hash_or_predecessor_is_found(copy: Copy, verify: Verify) -> None:
    record = copy.next_record("pay_new")
    wrong = rehash(copy.next_record("pay_new"), previous="0" * 64)
    path = copy.put(HOURS[-1], "zz", pack([{**record, "user_id": "mallory"}, wrong]))
    copy.sign()
    out = verify(copy).out
    assert re.search(rf"FINDING {name(copy, path)} .* line 1: pay_new position 1: the record was changed", out)
    assert re.search(r"FINDING pay_new position 2: it does not continue the record before it", out)


def test_a_final_form_must_rest_on_the_record_of_its_version(copy: Copy, verify: Verify) -> None:
    for version, head in ((2, "0" * 64), (77, "0" * 64)):
        form = {"payment_id": "pay_00", "version": version, "audit_head": head}
        content = gzip.compress(json.dumps(form).encode())
        copy.put(HOURS[-1], f"pay_00-v{version}", content, folder="final")
    copy.put(HOURS[-1], "pay_01-v2", content, folder="final")
    copy.sign()
    out = verify(copy).out
    assert "it does not rest on the record at position 2 of pay_00" in out
    assert "no record of pay_00 has position 77" in out
    assert re.search(r"03-pay_01-v2.json.gz .*: it is the final form of pay_00 position 77", out)


def test_heads_that_do_not_follow_from_the_objects_are_found(copy: Copy, verify: Verify) -> None:
    path = copy.objects(ATTACKED)[-1]
    content = path.read_bytes()
    path.write_bytes(pack(unpack(path)[:-1]))
    copy.sign()
    path.write_bytes(content)
    assert "FINDING heads/dt=2026-11-27/22.jsonl.gz" in verify(copy).out


# --- parts that cannot be checked ---


def test_an_empty_folder_could_not_be_checked(tmp_path: Path, verify: Verify) -> None:
    copy = Copy(tmp_path, KEY)
    for folder in (copy.archive, copy.digests):
        folder.mkdir()
    result = verify(copy)
    assert (result.code, "contains no digest" in result.out) == (NOT_CHECKED, True)


def test_an_empty_archive_could_not_be_checked(copy: Copy, verify: Verify) -> None:
    shutil.rmtree(copy.archive)
    assert verify(copy).code == NOT_CHECKED
    copy.archive.mkdir()
    assert verify(copy).code == NOT_CHECKED


@pytest.mark.parametrize("content", [b"", b"not a key", archive_copies.public_pem(KEY)[:-40]])
def test_a_file_that_is_no_key_could_not_be_checked(content: bytes, copy: Copy, verify: Verify) -> None:
    path = copy.root / "other.pem"
    path.write_bytes(content)
    assert verify(copy, key=path).code == NOT_CHECKED
    assert verify(copy, key=copy.root / "absent.pem").code == NOT_CHECKED


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"no json\n", mtime=0), gzip.compress(b'{"subject": 1}\n', mtime=0)],
    ids=["no gzip", "no json", "no record"],
)
def test_an_object_that_was_unreadable_when_it_was_digested_could_not_be_checked(
    content: bytes, copy: Copy, verify: Verify
) -> None:
    path = copy.put(ATTACKED, "zz", content)
    copy.sign()
    result = verify(copy)
    assert result.code == NOT_CHECKED, result.out
    assert re.search(rf"NOT CHECKED {name(copy, path)} ", result.out)


@pytest.mark.parametrize("file", ["object", "digest", "heads"])
def test_a_file_that_cannot_be_read_could_not_be_checked(
    file: str, copy: Copy, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = copy.digests / "heads" / "dt=2026-11-27" / "22.jsonl.gz"
    unreadable = {"object": copy.objects(ATTACKED)[-1], "digest": copy.digest(ATTACKED), "heads": heads}[file]
    opened = Path.open

    def refuse(path: Path, *arguments: Any, **named: Any) -> Any:
        if path == unreadable:
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", refuse)
    result = verify(copy)
    assert re.search(rf"NOT CHECKED \S*{re.escape(unreadable.name)}.*cannot be read .*Permission denied", result.out)
    assert result.code == NOT_CHECKED, result.out


def test_a_folder_that_cannot_be_listed_could_not_be_checked(
    copy: Copy, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("dt=2026-11-28"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "listdir", lambda path: [entry.name for entry in os.scandir(path)])
    result = verify(copy)
    assert result.code == NOT_CHECKED
    assert re.search(r"NOT CHECKED verification: .*Permission denied", result.out)


def test_a_digest_of_a_later_format_could_not_be_checked(
    copy: Copy, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuition.core.digests.FORMAT", 3)
    copy.sign()
    result = verify(copy)
    assert result.code == NOT_CHECKED, result.out
    assert "its signature is right, but its format is 3; this program reads the formats 1 and 2" in result.out


def test_wrong_arguments_could_not_be_checked(copy: Copy) -> None:
    for arguments in (
        ["--until", "yesterday"],
        ["--until", "0001-01-01"],
        ["--root", "abc"],
        ["--root", ""],
        ["--since", "2026"],
    ):
        with pytest.raises(SystemExit) as stopped:
            tuition_verify.main(["--archive", ".", "--digests", ".", "--key", "k", *arguments])
        assert stopped.value.code == NOT_CHECKED


def test_a_finding_outweighs_what_could_not_be_checked(copy: Copy, verify: Verify) -> None:
    copy.put(ATTACKED, "zz", b"no gzip")
    copy.sign()
    insert_an_object(copy)
    assert verify(copy).code == DOES_NOT_HOLD


def test_an_object_key_cannot_lead_out_of_the_archive() -> None:
    entry = {"key": "records/dt=2026-11-27/22-../../x.jsonl.gz", "version_id": "v", "sha256": "", "records": 0}
    with pytest.raises(tuition_verify.UnusableError):
        tuition_verify.parse_entry({**entry, "first": None, "last": None})


def test_control_characters_of_a_manipulated_file_do_not_reach_the_terminal() -> None:
    assert tuition_verify.printable("a\x1b[2Kb\ud800") == "a\\u001b[2Kb\\ud800"


# --- any change of bytes ---


@pytest.mark.property
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_a_change_of_any_bytes_is_found(
    original: Copy, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str], source: random.Random
) -> None:
    copy = Copy(tmp_path_factory.mktemp("mutated"), KEY)
    shutil.copytree(original.root, copy.root, dirs_exist_ok=True)
    files = sorted(p for p in copy.root.rglob("*") if p.is_file() and p.suffix != ".pem")
    path = source.choice(files)
    content = bytearray(path.read_bytes())
    position = source.randrange(len(content))
    match source.choice(["flip", "cut", "insert", "delete"]):
        case "flip":
            content[position] ^= 1 << source.randrange(8)
        case "cut":
            del content[position:]
        case "insert":
            content[position:position] = source.randbytes(source.randint(1, 8))
        case _:
            del content[position : position + source.randint(1, 8)]
    path.write_bytes(content)
    result = verified(copy, capsys=capsys)
    shutil.rmtree(copy.root)
    assert result.code == DOES_NOT_HOLD, f"{path}\n{result.out}"
    assert "Traceback" not in result.out


# --- the program ---


def test_the_program_runs_alone_outside_of_the_repository(copy: Copy, tmp_path: Path) -> None:
    program = tmp_path / "tuition_verify.py"
    shutil.copy(VERIFIER, program)
    command = [sys.executable, "-I", program.name, "--archive", "archive", "--digests", "digests", "--key", "key.pem"]
    run = subprocess.run(
        [*command, "--until", UNTIL], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == HOLDS, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1] == "HOLDS: 0 findings, 0 parts that could not be checked"


def test_without_its_package_the_program_could_not_check() -> None:
    command = [sys.executable, "-I", "-S", str(VERIFIER)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == NOT_CHECKED
    assert "pip install cryptography" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError("planted")])
def test_a_run_that_is_interrupted_or_fails_is_no_finding(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> int:
        raise error

    monkeypatch.setattr(tuition_verify, "main", fail)
    assert tuition_verify.program() == NOT_CHECKED
    assert "the archive was not checked" in capsys.readouterr().err


def test_a_reader_that_stops_early_is_no_finding(copy: Copy) -> None:
    where = ["--archive", str(copy.archive), "--digests", str(copy.digests), "--key", str(copy.root / "key.pem")]
    reading, writing = os.pipe()
    os.close(reading)
    run = subprocess.run(
        [sys.executable, str(VERIFIER), *where], stdout=writing, stderr=subprocess.PIPE, check=False, timeout=60
    )
    os.close(writing)
    assert run.returncode == NOT_CHECKED
    assert run.stderr == b""


def test_the_program_imports_only_the_standard_library_and_cryptography() -> None:
    names = re.findall(r"^ *(?:import|from) (\w+)", VERIFIER.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(names) <= sys.stdlib_module_names | {"cryptography"}
    assert "cryptography" in names


def test_progress_is_shown_on_stderr(
    copy: Copy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuition_verify, "PROGRESS_S", 0.0)
    where = ["--archive", str(copy.archive), "--digests", str(copy.digests), "--key", str(copy.root / "key.pem")]
    tuition_verify.main([*where, "--until", UNTIL])
    progress = capsys.readouterr().err
    assert "2026-11-28T03: 7 of 7 digests, 54 records" in progress
    assert "chains: " in progress


def test_openssl_verifies_a_digest_as_the_manual_says(copy: Copy) -> None:
    digest = copy.digest(ATTACKED)
    key = str(copy.root / "key.pem")
    command = ["openssl", "dgst", "-sha256", "-verify", key, "-signature", f"{digest}.sig", str(digest)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "Verified OK\n"


def name(copy: Copy, path: Path, *, pattern: bool = True) -> str:
    """Return the key of an archive object, as a pattern."""
    key = path.relative_to(copy.archive).as_posix()
    return re.escape(key) if pattern else key


def at(record: dict[str, object]) -> str:
    return f"{record['subject']} position {record['seq']}"
