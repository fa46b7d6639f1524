"""Notes and tags of staff: bounded, recorded without a word of them, and gone with their student or payment."""

import json
from typing import Any

import pytest

from tests.erasures import running_erasures
from tests.harness import Harness, Response, Student
from tests.tables.test_legal_hold import decide
from tests.tables.test_personal_data import export
from tests.tables.test_purchase_blocks import buy
from tests.tables.test_retention import another_function, bought, listed_and_deleted, run
from tuition.core import archive, audit
from tuition.core import notes as rules
from tuition.core.audit import AuditEntry
from tuition.intake import retention
from tuition.payments import notes as payment_notes
from tuition.storage import ledger, mapping, notes, queries
from tuition.storage.keys import USER_SORT_KEY
from tuition.storage.ledger import CustomerChange
from tuition.storage.notes import NoteTopic

SECRET = "a parent pays, her number is 555 0100"
TAG = "late payer"
"""As the text of the note, no part of an id or a hash."""
PAYMENT = "GET /api/admin/payments/{payment_id}"
USER = "GET /api/admin/users/{user_id}"


def write(tuition: Harness, admin: Student, text: str = SECRET, **topic: str) -> Response:
    return tuition.admin(admin, "POST /api/admin/notes", {"text": text}, query=topic)


def delete(tuition: Harness, admin: Student, note_id: str, **topic: str) -> Response:
    return tuition.admin(admin, "POST /api/admin/notes/delete", {"note_id": note_id}, query=topic)


def tag(tuition: Harness, admin: Student, body: dict[str, Any], **topic: str) -> Response:
    return tuition.admin(admin, "POST /api/admin/tags", body, query=topic)


def problem(response: Response) -> tuple[int, str]:
    return response.status, response.body["type"].rpartition("/")[2]


def stored(student: Student) -> list[str]:
    return [item.text or str(item.tags) for item in notes.read(NoteTopic(student.sub))]


def test_a_payment_s_page_shows_its_notes_and_a_student_s_page_all_of_them(
    tuition: Harness, student: Student, admin: Student
) -> None:
    first, second = buy(tuition, student)["payment_id"], tuition.create(student, "FSD").body["payment_id"]
    tuition.freeze_time()
    written = write(tuition, admin, payment_id=first)
    tuition.advance_time(1)
    write(tuition, admin, "later", payment_id=second)
    tuition.advance_time(1)
    write(tuition, admin, "about the student", user_id=student.sub)
    assert tag(tuition, admin, {"add": ["VIP ", "late"]}, payment_id=first).body["notes"]["tags"] == ["late", "vip"]
    assert tag(tuition, admin, {"add": ["b"], "remove": ["Late"]}, payment_id=first).status == 200
    tag(tuition, admin, {"add": ["alumni"]}, user_id=student.sub)

    shown = tuition.admin(admin, PAYMENT, payment_id=first).body["notes"]
    (note,) = written.body["notes"]["notes"]
    assert (written.status, note["text"], note["by"], note["payment_id"]) == (201, SECRET, admin.sub, first)
    assert shown == {"tags": ["b", "vip"], "notes": [note], "full": False}
    assert tuition.admin(admin, PAYMENT, payment_id=first, query={"version": "1"}).body["notes"] is None
    of_student = tuition.admin(admin, USER, user_id=student.sub).body["notes"]
    assert of_student["tags"] == ["alumni"]
    assert [(one["text"], one["payment_id"]) for one in of_student["notes"]] == [
        ("about the student", None),
        ("later", second),
        (SECRET, first),
    ]
    left = delete(tuition, admin, note["note_id"], payment_id=first).body["notes"]["notes"]
    assert (left, delete(tuition, admin, note["note_id"], payment_id=first).status) == ([], 200)


def test_the_record_says_that_a_note_was_written_and_not_what(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)["payment_id"]
    version = tuition.payment(payment_id).version
    note_id = write(tuition, admin, payment_id=payment_id).body["notes"]["notes"][0]["note_id"]
    tag(tuition, admin, {"add": [TAG]}, user_id=student.sub)
    tag(tuition, admin, {"add": [TAG]}, user_id=student.sub)  # changes nothing
    delete(tuition, admin, note_id, payment_id=payment_id)
    trail = queries.audit_trail(student.sub)
    assert [(record["type"], record["actor"], record["transition"]) for record in trail] == [
        ("note.written", admin.sub, {"note": {"id": note_id, "payment": payment_id}}),
        ("tags.changed", admin.sub, {"tags": {"added": 1, "removed": 0}}),
        ("note.deleted", admin.sub, {"note": {"id": note_id, "payment": payment_id}}),
    ]
    assert TAG not in json.dumps(trail) and SECRET not in json.dumps(trail)
    assert [archive.undeclared(archive.RECORD, record) for record in trail] == [[], [], []]
    head = mapping.chain_head(queries.user_items(student.sub)[USER_SORT_KEY])
    assert audit.verify(student.sub, trail, *head) is None
    assert tuition.payment(payment_id).version == version, "a note competes with no webhook"


def test_support_reads_notes_and_writes_none(tuition: Harness, student: Student, admin: Student) -> None:
    payment_id = buy(tuition, student)["payment_id"]
    support = Student("helper", groups=("support",))
    note_id = write(tuition, admin, payment_id=payment_id).body["notes"]["notes"][0]["note_id"]
    assert tuition.admin(support, PAYMENT, payment_id=payment_id).body["notes"]["notes"][0]["text"] == SECRET
    assert write(tuition, support, payment_id=payment_id).status == 403
    assert delete(tuition, support, note_id, payment_id=payment_id).status == 403
    assert tag(tuition, support, {"add": ["x"]}, payment_id=payment_id).status == 403


def test_the_numbers_of_notes_and_tags_are_bounded(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = buy(tuition, student)["payment_id"]
    monkeypatch.setattr(rules, "MAX_NOTES", 2)
    write(tuition, admin, "one", payment_id=payment_id)
    write(tuition, admin, "two", user_id=student.sub)
    assert problem(write(tuition, admin, "three", payment_id=payment_id)) == (409, "conflict")
    many = [f"tag {number}" for number in range(rules.MAX_TAGS)]
    assert tag(tuition, admin, {"add": many}, user_id=student.sub).status == 200
    assert problem(tag(tuition, admin, {"add": ["one more"]}, user_id=student.sub)) == (409, "conflict")
    exchanged = tag(tuition, admin, {"add": ["one more"], "remove": many[:1]}, user_id=student.sub)
    assert len(exchanged.body["notes"]["tags"]) == rules.MAX_TAGS
    assert len(tag(tuition, admin, {"remove": exchanged.body["notes"]["tags"]}, user_id=student.sub).body) == 1
    assert stored(student) == ["one", "two"]


@pytest.mark.parametrize(
    ("body", "topic", "status"),
    [
        ({"text": ""}, {"user_id": "u"}, 422),
        ({"text": "x" * (rules.MAX_NOTE_LENGTH + 1)}, {"user_id": "u"}, 422),
        ({"text": "x"}, {}, 422),
        ({"text": "x"}, {"user_id": "nobody-knows-me", "payment_id": "pay_1"}, 422),
        ({"text": "x"}, {"user_id": "nobody-knows-me"}, 404),
        ({"text": "x"}, {"user_id": "ada@example.org"}, 404),
        ({"text": "x"}, {"payment_id": "pay_1"}, 404),
    ],
)
def test_a_note_needs_a_text_and_one_known_topic(
    tuition: Harness, admin: Student, body: dict[str, Any], topic: dict[str, str], status: int
) -> None:
    assert tuition.admin(admin, "POST /api/admin/notes", body, query=topic).status == status


def test_a_tag_that_is_no_short_plain_text_is_refused(tuition: Harness, student: Student, admin: Student) -> None:
    response = tag(tuition, admin, {"remove": ["<b>"]}, user_id=student.sub)
    assert (response.status, response.body["field"]) == (422, "remove")


def test_a_copy_of_a_person_s_data_has_the_notes_but_not_who_wrote_them(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)["payment_id"]
    write(tuition, admin, payment_id=payment_id)
    tag(tuition, admin, {"add": ["vip"]}, user_id=student.sub)
    exported = export(tuition, student).body
    note, tags = exported["person"]["notes"]
    assert (note["text"], note["actor"], note["sort_key"].partition("#")[0]) == (SECRET, "staff", payment_id)
    assert (tags["tags"], tags["sort_key"]) == (["vip"], "user#tags")
    assert admin.sub not in json.dumps(exported)


# --- the end of a note ---


def test_an_erasure_deletes_the_notes_and_a_later_one_is_refused(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = buy(tuition, student)["payment_id"]
    with running_erasures(tuition, monkeypatch) as erasures:
        erasures.request(student)
        write(tuition, admin, payment_id=payment_id)
        tag(tuition, admin, {"add": ["vip"]}, user_id=student.sub)
        before = notes.read(NoteTopic(student.sub))
        assert (erasures.run()["waiting"], len(before)) == (1, 2)
        tuition.advance_time(5_000)
        assert erasures.run()["erased"] == 1
        assert stored(student) == []
        assert problem(write(tuition, admin, payment_id=payment_id)) == (409, "user-erased")
        assert problem(tag(tuition, admin, {"add": ["vip"]}, user_id=student.sub)) == (409, "user-erased")
        for item in before:  # as a restore of the table brings them back
            tuition.tables.put_item(TableName="notes", Item=item.serialize())
        assert erasures.run(again=True)["erased"] == 1
        assert stored(student) == []


def test_a_note_that_loses_against_the_begin_of_an_erasure_is_not_stored(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The erasure commits between the note's decision and its transaction."""
    buy(tuition, student)
    steps: list[bool] = []

    def begin_first(topic: NoteTopic) -> list[Any]:
        if not steps:
            steps.append(True)
            erasing = {"state": "erasing", "requested_at": "2026-11-29T00:00:00.000Z", "by": student.sub}
            value = {"S": json.dumps(erasing | {"due_at": "2026-11-29T00:00:00.000Z"})}
            entry = AuditEntry("2026-11-29T00:00:00.000Z", "erasure:1", "erasure.begun", "reconcile")
            transition = {"erasure": {"from": "scheduled", "to": "erasing"}}
            ledger.update_customer(student.sub, lambda _, __: CustomerChange(entry, transition, {"erasure": value}))
        return read(topic)

    read = notes.read
    monkeypatch.setattr(payment_notes.notes, "read", begin_first)
    assert problem(write(tuition, admin, user_id=student.sub)) == (409, "user-erased")
    assert (steps, read(NoteTopic(student.sub))) == ([True], [])


def test_nothing_is_deleted_while_the_student_s_data_are_on_hold(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)["payment_id"]
    note_id = write(tuition, admin, payment_id=payment_id).body["notes"]["notes"][0]["note_id"]
    tag(tuition, admin, {"add": ["vip"]}, user_id=student.sub)
    decide(tuition, admin, student, "set")
    assert problem(delete(tuition, admin, note_id, payment_id=payment_id)) == (409, "legal-hold")
    assert problem(tag(tuition, admin, {"remove": ["vip"]}, user_id=student.sub)) == (409, "legal-hold")
    assert write(tuition, admin, "the claim", payment_id=payment_id).status == 201
    assert len(stored(student)) == 3


@pytest.mark.parametrize("killed", [False, True])
def test_the_notes_of_a_payment_are_deleted_with_it_also_after_a_kill_in_between(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    tuition.freeze_time(1_795_435_200)
    for table, key in (("payments", "payment_id"), ("cursors", "name")):
        tuition.empty_table(table, key)
    payment_id = bought(tuition, student)["payment_id"]
    with another_function():
        write(tuition, admin, payment_id=payment_id)
        write(tuition, admin, "about the student", user_id=student.sub)
    if killed:

        def kill(_: str) -> None:
            raise RuntimeError("killed")

        with monkeypatch.context() as patch:
            patch.setattr(retention, "_delete_what_follows", kill)
            with pytest.raises(RuntimeError):
                listed_and_deleted(tuition)
        assert SECRET in stored(student)
        assert run(delete=True)["missing"] == 1
    else:
        assert listed_and_deleted(tuition)["deleted"] == 1
    assert tuition.payment(payment_id) is None
    assert stored(student) == ["about the student"]
    assert problem(write(tuition, admin, payment_id=payment_id)) == (404, "not-found")


def test_a_note_that_loses_against_the_deletion_of_its_payment_is_not_stored(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = buy(tuition, student)["payment_id"]
    expired: list[bool] = []

    def expire_first(topic: NoteTopic) -> list[Any]:
        if not expired:
            expired.append(True)
            with another_function():
                ledger.expire(tuition.payment(payment_id))
        return read(topic)

    read = notes.read
    monkeypatch.setattr(payment_notes.notes, "read", expire_first)
    assert problem(write(tuition, admin, payment_id=payment_id)) == (404, "not-found")
    assert (expired, read(NoteTopic(student.sub))) == ([True], [])
