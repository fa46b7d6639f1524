"""The activity of staff: each act on record once, for their own eyes and the admins'."""

from typing import Any

import pytest

from tests.harness import Harness, Response, Student
from tests.tables.test_access import DECIDE
from tests.tables.test_purchase_blocks import buy
from tests.tables.test_search import deliver, messages
from tuition.core import timestamps
from tuition.storage import activity, queries

ACTIVITY = "GET /api/admin/activity"
STAFF = "GET /api/admin/activity/staff"


def of(tuition: Harness, user: Student, **query: str) -> Response:
    return tuition.admin(user, ACTIVITY, query=query)


def kinds(response: Response) -> list[str]:
    return [action["type"] for action in response.body["actions"]]


def work(tuition: Harness, admin: Student, student: Student) -> str:
    """Look at two payments, then decide about one of them, and write a note. Return its payment."""
    tuition.freeze_time()
    payment_id = str(buy(tuition, student)["payment_id"])
    for step in (
        lambda: tuition.admin(admin, "GET /api/admin/payments/{payment_id}", payment_id=payment_id),
        lambda: tuition.admin(admin, DECIDE, {"decision": "revoke", "note": "shared"}, payment_id=payment_id),
        lambda: tuition.admin(admin, "POST /api/admin/notes", {"text": "a note"}, query={"user_id": student.sub}),
        lambda: tuition.admin(
            admin, "POST /api/admin/selling", {"selling": True, "note": "it sells already", "expected_version": 0}
        ),
    ):
        tuition.advance_time(1)
        step()
    return payment_id


def test_staff_see_what_they_did_today_newest_first_and_once_whatever_the_events(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = work(tuition, admin, student)
    batches = [messages(subject) for subject in (payment_id, student.sub, admin.sub)]
    deliver(*batches, *reversed(batches), [one for batch in batches for one in batch][::-1])
    response = of(tuition, admin)
    actions = response.body["actions"]
    assert kinds(response) == ["note.written", "decision.revoke", "data.read"]
    assert [action["at"] for action in actions] == sorted((action["at"] for action in actions), reverse=True)
    assert [(action["payment_id"], action["user_id"], action["people"]) for action in actions] == [
        (None, student.sub, None),
        (payment_id, student.sub, None),
        (None, None, 1),
    ]
    assert (response.body["staff"], response.body["day"]) == (admin.sub, actions[0]["at"][:10])
    assert kinds(of(tuition, admin, day="2026-01-01")) == []
    pages: list[str] = []
    cursor: dict[str, str] = {}
    while not pages or cursor:
        page = of(tuition, admin, limit="1", **cursor)
        pages += kinds(page)
        cursor = {"cursor": page.body["next_cursor"]} if page.body["next_cursor"] else {}
    assert pages == kinds(response)


def test_support_sees_its_own_activity_and_an_admin_everybody_s(
    tuition: Harness, student: Student, admin: Student
) -> None:
    support = Student(f"{admin.sub}-helper", groups=("support",))
    payment_id = work(tuition, admin, student)
    tuition.advance_time(5)
    tuition.admin(support, "GET /api/admin/payments/{payment_id}", payment_id=payment_id)
    deliver(messages(payment_id), messages(admin.sub), messages(support.sub))
    assert kinds(of(tuition, support)) == ["data.read"]
    assert of(tuition, support, staff=admin.sub).status == 403
    assert tuition.admin(support, STAFF).status == 403
    assert kinds(of(tuition, admin, staff=support.sub)) == ["data.read"]
    listed = [one["staff"] for one in tuition.admin(admin, STAFF).body["staff"]]
    assert listed.index(support.sub) < listed.index(admin.sub), "the most recent first"
    assert student.sub not in listed


@pytest.mark.parametrize(
    "query",
    [
        *({"day": day} for day in ("yesterday", "2026-13-01", "20261123", "2026-W48-1", "")),
        *({"staff": staff} for staff in ("", "all staff", "ada@school.example", "x" * 2_049)),
        *({"cursor": "x"}, {"limit": "0"}, {"who": "me"}),
    ],
)
def test_a_request_for_activity_that_cannot_be_read_is_refused(
    tuition: Harness, admin: Student, query: dict[str, Any]
) -> None:
    assert of(tuition, admin, **query).status == 422


def test_a_cursor_of_another_member_is_refused(tuition: Harness, student: Student, admin: Student) -> None:
    payment_id = work(tuition, admin, student)
    deliver(messages(payment_id), messages(student.sub))
    cursor = of(tuition, admin, limit="1").body["next_cursor"]
    assert cursor
    assert of(tuition, admin, staff="somebody", cursor=cursor).status == 422


def test_an_action_ends_after_its_time_and_a_replay_stores_no_older_one(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = work(tuition, admin, student)
    deliver(messages(payment_id))
    day = timestamps.iso(tuition.time_source() + tuition.offset_s)[:10]
    (item,) = tuition.tables.query(
        TableName="activity", KeyConditionExpression="actor = :a", ExpressionAttributeValues={":a": {"S": admin.sub}}
    )["Items"]
    recorded_at = queries.recorded_trail(payment_id)[-1]["recorded_at"]
    assert int(item["expires_at"]["N"]) == int(timestamps.epoch(recorded_at)) + activity.KEPT_S
    key = {name: item[name] for name in ("actor", "sort_key")}
    tuition.tables.delete_item(TableName="activity", Key=key)  # as its time to live does
    tuition.offset_s += activity.KEPT_S + 1
    deliver(messages(payment_id))
    assert kinds(of(tuition, admin, day=day)) == []
    assert admin.sub not in [one["staff"] for one in tuition.admin(admin, STAFF).body["staff"]]
