"""What staff find, and who may look."""

from datetime import UTC, datetime

import pytest

from tests.world import Student, World
from tuition.storage import dynamodb, mapping, queries

LIST = "GET /api/admin/payments"
ONE = "GET /api/admin/payments/{payment_id}"
QUEUE = "GET /api/admin/attention"


def found(tuition: World, who: Student, **query: str) -> list[str]:
    """Every payment that a filter finds, over all its pages."""
    ids: list[str] = []
    while True:
        page = tuition.admin(who, LIST, query=query).body
        ids += [p["payment_id"] for p in page["payments"]]
        if not page["next_cursor"]:
            return ids
        query["cursor"] = page["next_cursor"]


def paid(tuition: World, student: Student, track: str = "DP") -> dict[str, str]:
    made = tuition.create(student, track).body
    tuition.pay(made["payment_intent_id"])
    tuition.deliver_all()
    return dict(made)


def test_a_payment_is_found_by_everything_that_names_it(tuition: World, student: Student, admin: Student) -> None:
    made = paid(tuition, student)
    shown = tuition.admin(admin, ONE, payment_id=made["payment_id"]).body["payment"]
    assert shown["user_id"] == student.sub
    for q in (
        made["payment_id"],
        made["payment_intent_id"],
        shown["stripe_charge_id"],
        shown["stripe_customer_id"],
        student.sub,
        f"{student.sub}@EXAMPLE.org",
        student.sub + "@",
    ):
        assert found(tuition, admin, q=q) == [made["payment_id"]], q
    assert found(tuition, admin, q="nobody-at-all") == []


def test_filters_combine_and_pages_leave_nothing_out(tuition: World, student: Student, admin: Student) -> None:
    one, two = paid(tuition, student, "DP"), paid(tuition, student, "FSD")
    open_one = tuition.create(Student(student.sub + "-b"), "DP").body
    mine = {one["payment_id"], two["payment_id"], open_one["payment_id"]}
    today = datetime.now(UTC).date().isoformat()

    def ours(**query: str) -> set[str]:
        return set(found(tuition, admin, limit="1", **query)) & mine

    assert ours() == mine
    assert ours(status="SUCCEEDED") == {one["payment_id"], two["payment_id"]}
    assert ours(track="DP") == {one["payment_id"], open_one["payment_id"]}
    assert ours(status="SUCCEEDED", track="FSD") == {two["payment_id"]}
    assert ours(refunded="true") == set()
    assert ours(**{"from": today, "to": today}) == mine
    assert ours(to="2020-01-02") == set()


@pytest.mark.parametrize(
    "query",
    [
        {"status": "PAID"},
        {"track": "X"},
        {"from": "yesterday"},
        {"limit": "101"},
        {"colour": "red"},
        {"refunded": "yes"},
    ],
)
def test_a_filter_that_no_payment_can_have_is_refused(tuition: World, admin: Student, query: dict[str, str]) -> None:
    assert tuition.admin(admin, LIST, query=query).status == 422


def test_the_trail_of_a_payment_is_shown_with_its_chain_verified(
    tuition: World, student: Student, admin: Student
) -> None:
    made = paid(tuition, student)
    shown = tuition.admin(admin, ONE, payment_id=made["payment_id"]).body
    assert shown["chain"] == {"verified": True, "problem": None}
    assert [r["seq"] for r in shown["audit"]] == list(range(1, len(shown["audit"]) + 1))
    record = shown["audit"][1]
    tuition.tables.update_item(
        TableName="audit",
        Key={"subject": {"S": made["payment_id"]}, "sort_key": {"S": f"{record['at']}#{record['event_id']}"}},
        UpdateExpression="SET #t = :t",
        ExpressionAttributeNames={"#t": "type"},
        ExpressionAttributeValues={":t": {"S": "nothing.happened"}},
    )
    altered = tuition.admin(admin, ONE, payment_id=made["payment_id"]).body["chain"]
    assert (altered["verified"], altered["problem"][:8]) == (False, "record 2")


def test_only_staff_may_look(tuition: World, student: Student) -> None:
    made = paid(tuition, student)
    for who in (student, Student("liar", groups=("administrators",)), Student("liar", groups=("not-admin",))):
        assert tuition.admin(who, LIST).status == 403
        assert tuition.admin(who, ONE, payment_id=made["payment_id"]).status == 403
    for name in ("x,admin", "admin,x", "[admin]", "admin]"):
        assert tuition.admin(Student("liar", groups=(name,)), LIST).status == 403
    assert tuition.admin(Student("s", groups=("staff", "support")), LIST).status == 200
    assert tuition.admin(Student("s", groups=("support",)), ONE, payment_id="pay_unknown").status == 404


def test_a_track_paid_twice_marks_the_higher_attempt_in_either_order(
    tuition: World, student: Student, admin: Student
) -> None:
    first = tuition.create(student).body
    tuition.at_stripe("POST", "/_sim/webhooks", deliver="drop")
    _forget_open(tuition, student, first["payment_id"])
    second = tuition.create(student).body
    assert second["payment_intent_id"] != first["payment_intent_id"]
    tuition.pay(second["payment_intent_id"])
    tuition.deliver_all()
    tuition.pay(first["payment_intent_id"])
    tuition.deliver_all()
    queue = [p for p in tuition.admin(admin, QUEUE).body["payments"] if p["user_id"] == student.sub]
    assert [p["payment_id"] for p in queue] == [second["payment_id"]]
    assert [c["name"] for c in queue[0]["attention"]] == ["double"]
    assert any("double" in r["transition"].get("attention", []) for r in tuition.trail(first["payment_id"]))
    tuition.refund(student, first["payment_id"])
    tuition.deliver_all()
    assert [p for p in tuition.admin(admin, QUEUE).body["payments"] if p["user_id"] == student.sub] == []
    assert tuition.enrolled(student)["status"] == "ENROLLED"


def _forget_open(tuition: World, student: Student, payment_id: str) -> None:
    """Two open payments cannot be had by the API: make the enrollment forget the first, as a restore might."""
    from tuition.core.enrollment import Enrollment

    forgotten = Enrollment(user_id=student.sub, track="DP", attempt=1, version=1)
    tuition.tables.put_item(TableName="enrollments", Item=dynamodb.to_raw(mapping.enrollment_to_item(forgotten)))


@pytest.mark.parametrize(
    "query", [{"to": "9999-12-31"}, {"to": "0001-01-01"}, {"from": "9999-12-31"}, {"q": "pay_" + "x" * 3000}]
)
def test_days_and_words_beyond_all_reason_are_refused(tuition: World, admin: Student, query: dict[str, str]) -> None:
    assert tuition.admin(admin, LIST, query=query).status == 422


def test_an_event_that_lands_while_staff_look_does_not_look_like_tampering(
    tuition: World, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the checkers of the running stack: the payment was read before a commit, its trail after it."""

    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    events = iter(event for event in tuition.new_events() if event["type"] == "payment_intent.succeeded")
    real = queries.audit_trail

    def between(subject: str) -> list[dict[str, object]]:
        if event := next(events, None):
            tuition.deliver(event)
        return real(subject)

    monkeypatch.setattr(queries, "audit_trail", between)
    shown = tuition.admin(admin, ONE, payment_id=made["payment_id"]).body
    assert shown["chain"] == {"verified": True, "problem": None}
    assert (shown["payment"]["status"], len(shown["audit"])) == ("SUCCEEDED", shown["payment"]["version"])
