"""Staff list, read and decide about payment plans, and forecast the cash that they bring in."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import enrollments
from tests.harness import Harness, Response, Student
from tests.plan_calls import FIRST, REST, begin, consent, offer_plans, pay, read, started
from tests.tables.test_plans import problem
from tuition.core import emails, timestamps
from tuition.core.errors import Unprocessable
from tuition.payments import plan_decisions
from tuition.storage import effects, queries
from tuition.storage.dynamodb import Partition
from tuition.storage.effects import Effect
from tuition.storage.items import EMAILS
from tuition.views import exports, payment_list, plan_list

PLANS, PLAN = "GET /api/admin/plans", "GET /api/admin/plans/{plan_id}"
TOTALS = "GET /api/admin/plans/totals"
FORECAST, PAYMENT = "GET /api/admin/plans/forecast", "GET /api/admin/payments/{payment_id}"
DAY = 86_400


@pytest.fixture(autouse=True)
def _offered(monkeypatch: pytest.MonkeyPatch, tuition: Harness) -> None:
    offer_plans(monkeypatch.setattr)
    tuition.empty_table("plans", "plan_id")  # each test has a simulator of its own
    tuition.freeze_time(timestamps.epoch("2026-03-10T12:00:00Z"))


@pytest.fixture
def support(admin: Student) -> Student:
    return Student(f"{admin.sub}-support", groups=("support",))


@pytest.fixture
def details(tuition: Harness, admin: Student) -> Callable[[str], dict[str, Any]]:
    """Return how staff read one plan whole."""

    def read_plan(plan_id: str) -> dict[str, Any]:
        response = tuition.admin(admin, PLAN, plan_id=plan_id)
        assert response.status == 200, response
        assert all(chain["verified"] for chain in response.body["chains"]), response.body["chains"]
        return dict(response.body)

    return read_plan


def decide(w: Harness, admin: Student, plan: dict[str, Any], decision: str, **more: Any) -> Response:
    """Decide about a plan as it was read."""
    body = {"decision": decision, "version": plan["version"], "note": "agreed", **more}
    return w.admin(admin, "POST /api/admin/plans/{plan_id}/decisions", body, plan_id=plan["plan_id"])


def pass_days(w: Harness, days: int) -> None:
    for _ in range(days):
        w.advance_time(DAY)
        w.collect()
        w.advance_stripe(3)
        w.deliver_all()


def ids(w: Harness, admin: Student, **query: str) -> list[str]:
    """Return the ids of all plans of a list, read page by page."""
    listed_ids: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = w.admin(admin, PLANS, query={**query, "limit": "2", **cursor})
        assert page.status == 200, page
        listed_ids += [plan["plan_id"] for plan in page.body["plans"]]
        if page.body["next_cursor"] is None:
            return listed_ids
        cursor = {"cursor": page.body["next_cursor"]}


def test_staff_list_and_add_up_plans_by_status_due_day_kind_and_student(
    tuition: Harness, student: Student, admin: Student, support: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, third = Student(f"b-{student.sub}"), Student(f"c-{student.sub}")
    first = started(tuition, student)["plan_id"]
    tuition.advance_time(DAY)
    member = started(tuition, other, track=None, membership="ALL", offer="monthly", consent=membership(tuition))[
        "plan_id"
    ]
    second = started(tuition, student, track="FSD", consent=consent(tuition, "FSD"))["plan_id"]
    opened = begin(tuition, third).body["plan_id"]

    assert ids(tuition, admin, status="ACTIVE") == [first, *sorted([member, second])]
    assert ids(tuition, admin, status="OPEN") == [opened]
    assert ids(tuition, admin, kind="membership") == [member]
    assert ids(tuition, admin, track="FSD") == [second]
    assert {*ids(tuition, admin)} == {first, member, second, opened}
    assert ids(tuition, admin, due_from="2026-04-11", due_to="2026-04-11") == sorted([member, second])
    assert ids(tuition, admin, due_to="2026-04-10") == [first]
    for q in (student.sub, tuition.admin(admin, PLANS, query={"q": first}).body["plans"][0]["email"]):
        assert ids(tuition, admin, q=q) == [second, first]
    payment_id = read(tuition, student, first)["schedule"][0]["payment_id"]
    assert ids(tuition, admin, q=payment_id) == ids(tuition, admin, q=first) == [first]
    assert ids(tuition, admin, q="nobody@example.org") == ids(tuition, admin, attention="true") == []

    monkeypatch.setattr(plan_list, "TOTALS_BATCH", 1)
    monkeypatch.setattr(plan_list, "MAX_BATCHES_PER_PAGE", 2)
    of_three = {"received": FIRST + 14975 + 4900, "outstanding": REST + 3 * 14975}
    assert totals(tuition, admin, status="ACTIVE") == {"plans": 3, "read": 3, **of_three, "refunded": 0, "lost": 0}
    assert totals(tuition, admin)["plans"] == 4
    assert totals(tuition, admin, kind="membership") == {
        "plans": 1, "read": 4, "received": 4900, "outstanding": 0, "refunded": 0, "lost": 0,
    }  # fmt: skip
    assert totals(tuition, admin, q="nobody@example.org") == {"plans": 0, "read": 0}
    assert totals(tuition, support, q=student.sub)["outstanding"] == REST + 3 * 14975
    assert [one["transition"] for one in queries.audit_trail(support.sub)] == [{"read": {"users": [student.sub]}}]


def test_a_plan_that_ended_unpaid_is_due_on_no_day_and_listed_last(
    tuition: Harness, student: Student, admin: Student, details: Callable[[str], dict[str, Any]]
) -> None:
    ended = started(tuition, student)["plan_id"]
    tuition.advance_time(DAY)
    running = started(tuition, student, track="FSD", consent=consent(tuition, "FSD"))["plan_id"]
    assert ids(tuition, admin) == [ended, running]
    assert decide(tuition, admin, details(ended)["plan"], "close", refund="none").body["plan"]["next"] is None
    assert ids(tuition, admin) == [running, ended]
    assert ids(tuition, admin, due_to="2026-12-31") == [running]
    assert ids(tuition, admin, status="CLOSED") == [ended]


@pytest.mark.parametrize("day", ["2026-04-10", "2026-05-10"])
def test_a_plan_that_changes_while_the_index_is_read_is_listed_and_counted_once(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch, day: str
) -> None:
    plan_id = started(tuition, student)["plan_id"]
    read_index = queries.sort_keys_between

    def read_while_it_changes(partition: Partition, *args: Any, **more: Any) -> Iterator[str]:
        yield from read_index(partition, *args, **more)
        if partition in queries.plans_by_status("LATE"):
            yield f"{day}#{plan_id}"

    monkeypatch.setattr(queries, "sort_keys_between", read_while_it_changes)
    assert ids(tuition, admin) == [plan_id]
    rows = tuition.admin(admin, FORECAST).body["months"]
    assert sum(row["due"] for row in rows) == REST
    for batch in (100, 1):
        monkeypatch.setattr(plan_list, "TOTALS_BATCH", batch)
        assert totals(tuition, admin) == {
            "plans": 1, "read": 1, "received": FIRST, "outstanding": REST, "refunded": 0, "lost": 0,
        }  # fmt: skip


def test_a_student_whose_address_changes_is_found_although_the_index_has_a_payment_twice(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_id = started(tuition, student)["plan_id"]
    search = queries.emails_with_prefix
    monkeypatch.setattr(queries, "emails_with_prefix", lambda *args: (one for one in search(*args) for _ in range(2)))
    assert ids(tuition, admin, q=f"{student.sub}@") == [plan_id]
    assert queries.plans_by_id([plan_id] * 2) == queries.plans_by_id([plan_id])


def test_a_blank_search_is_no_read_of_personal_data(tuition: Harness, student: Student, support: Student) -> None:
    started(tuition, student)
    for route, count in ((PLANS, lambda body: len(body["plans"])), (TOTALS, lambda body: body["plans"])):
        assert count(tuition.admin(support, route, query={"q": " "}).body) == 1
    assert queries.audit_trail(support.sub) == []


def totals(w: Harness, admin: Student, **query: str) -> dict[str, int]:
    """Return the numbers of a list, added up over all answers."""
    sums: Counter[str] = Counter()
    while True:
        answer = w.admin(admin, TOTALS, query=query).body
        assert answer["read"] <= 2
        sums.update({name: answer[name] for name in ("plans", "read")})
        for one in answer["sums"]:
            assert one.pop("currency") == "usd"
            sums.update(one)
        if answer["next_cursor"] is None:
            return dict(sums)
        query["cursor"] = answer["next_cursor"]


def membership(w: Harness) -> str:
    """Return the version of the membership's text."""
    return str(w.tracks().body["memberships"][0]["offers"][0]["consent"]["version"])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"status": "PAID"}, "status"),
        ({"kind": "loan"}, "kind"),
        ({"track": "XX"}, "track"),
        ({"due_from": "tomorrow"}, "due_from"),
        ({"due_from": "2026-03-02", "due_to": "2026-03-01"}, "due_from"),
        ({"attention": "yes"}, "attention"),
    ],
)
def test_a_filter_that_no_plan_can_match_is_refused(query: dict[str, str], field: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        plan_list.parse(query)
    assert refused.value.field == field


def test_one_plan_has_its_payments_records_and_boundaries_ahead(
    tuition: Harness, student: Student, admin: Student, details: Callable[[str], dict[str, Any]]
) -> None:
    beginning = started(tuition, student)
    pass_days(tuition, 26)
    shown = details(beginning["plan_id"])
    assert shown["plan"]["user_id"] == student.sub
    assert [payment["payment_id"] for payment in shown["payments"]] == [beginning["payment_id"]]
    ahead = next((one["name"], one["day"], one["seq"]) for one in shown["boundaries"])
    assert ahead == ("due", "2026-04-10", 2)
    assert [(one["seq"], one["day"]) for one in shown["facts"]["announcements"]] == [(2, "2026-04-10")]
    assert {record["subject"] for record in shown["audit"]} == {beginning["plan_id"], beginning["payment_id"]}
    assert [record["at"] for record in shown["audit"]] == sorted(record["at"] for record in shown["audit"])
    assert shown["sentence"].startswith("The plan gives access: 1 of 4 installments are paid, and the next")
    explained = tuition.admin(admin, f"{PAYMENT}/explain", payment_id=beginning["payment_id"]).body
    assert [(one["subject"], one["from"], one["to"]) for one in explained["plan_changes"]] == [
        (beginning["payment_id"], None, "OPEN"), (beginning["payment_id"], "OPEN", "ACTIVE"),
    ]  # fmt: skip
    effects.skip(
        Effect(EMAILS, beginning["plan_id"], "2026-04-03T12:00:00.000Z#evt_1", "plan_charge_announced"), "no_sender"
    )
    timeline = tuition.admin(admin, "GET /api/admin/users/timeline", query={"user_id": student.sub}).body
    (of_plan,), (of_payment,) = timeline["plans"], timeline["payments"]
    by_subject = {beginning["plan_id"]: of_plan["audit"], beginning["payment_id"]: of_payment["audit"]}
    assert {key: [one["seq"] for one in trail] for key, trail in by_subject.items()} == {
        key: [one["seq"] for one in shown["audit"] if one["subject"] == key] for key in by_subject
    }
    assert (of_plan["plan"]["plan_id"], [one["kind"] for one in of_plan["emails"]]) == (
        beginning["plan_id"],
        ["plan_charge_announced"],
    )
    reads = [r for r in tuition.stored_records() if r["type"] == "data.read" and r["subject"] == admin.sub]
    assert any(student.sub in r["transition"]["read"]["users"] for r in reads)
    actions = tuition.admin(admin, PAYMENT, payment_id=beginning["payment_id"]).body["actions"]
    assert [action["action"] for action in actions] == ["refund"]
    body = {"decision": "revoke", "note": "shared"}
    assert problem(tuition.admin(admin, f"POST{PAYMENT[3:]}/access", body, payment_id=beginning["payment_id"])) == (
        409,
        "conflict",
    )
    statement = tuition.admin(admin, PLAN + "/statement", plan_id=beginning["plan_id"]).body
    assert (statement["received"], statement["balance"]) == (FIRST, FIRST)
    assert tuition.admin(admin, PLAN, plan_id="pln_none").status == 404
    assert tuition.admin(admin, PLAN, plan_id=beginning["payment_id"]).status == 404


def test_a_decision_is_never_older_than_what_it_is_about(
    tuition: Harness, student: Student, admin: Student, details: Callable[[str], dict[str, Any]]
) -> None:
    """Else a pause would not stop a charge that Stripe's clock says was announced after it."""
    plan_id = started(tuition, student)["plan_id"]
    pass_days(tuition, 26)
    announced = details(plan_id)["facts"]["announcements"][0]["at"]
    tuition.freeze_time(timestamps.epoch("2026-03-10T12:00:00Z"))
    paused = decide(tuition, admin, details(plan_id)["plan"], "pause").body
    assert paused["facts"]["decisions"][0]["at"] >= announced
    assert [row["collect"] for row in paused["plan"]["schedule"]] == [None] * 4


def test_each_offered_decision_is_accepted_and_leads_to_its_outcome(
    tuition: Harness, student: Student, admin: Student, details: Callable[[str], dict[str, Any]]
) -> None:
    plan_id = started(tuition, student)["plan_id"]
    for decision, more in (
        ("pause", {}), ("resume", {}), ("waive", {"seq": 2}), ("revoke", {}), ("restore", {}), ("forgive", {}),
        ("close", {"refund": "all"}),
    ):  # fmt: skip
        shown = details(plan_id)
        action = next(
            one for one in shown["actions"]
            if one["decision"] == decision and more.items() <= {"seq": one["seq"], "refund": one["refund"]}.items()
        )  # fmt: skip
        answer = decide(tuition, admin, shown["plan"], decision, **more)
        assert answer.status == 200, answer
        names = ("status", "grants_access", "outstanding")
        assert {name: answer.body["plan"][name] for name in names} == {name: action["after"][name] for name in names}
        tuition.advance_time(60)
    assert action["after"]["refund_amount"] == FIRST
    assert [one["decision"] for one in answer.body["facts"]["decisions"]][-1] == "close"
    assert {one["actor"] for one in answer.body["facts"]["decisions"]} == {admin.sub}
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"


def test_closing_with_all_money_back_is_committed_first_and_the_collector_refunds(
    tuition: Harness, student: Student, admin: Student, details: Callable[[str], dict[str, Any]]
) -> None:
    plan_id = started(tuition, student)["plan_id"]
    opened = pay(tuition, student, plan_id).body
    closed = decide(tuition, admin, details(plan_id)["plan"], "close", refund="all").body["plan"]
    assert (closed["status"], closed["grants_access"], closed["refunded"]) == ("REFUNDED", False, 0)
    tuition.collect()
    tuition.advance_stripe(3)
    tuition.deliver_all()
    assert details(plan_id)["plan"]["refunded"] == FIRST
    assert tuition.at_stripe("GET", f"/v1/payment_intents/{opened['payment_intent_id']}")["status"] == "canceled"


def test_an_installment_is_rescheduled_between_today_and_the_next_one(
    tuition: Harness, student: Student, admin: Student, details: Callable[[str], dict[str, Any]]
) -> None:
    plan_id = started(tuition, student)["plan_id"]
    shown = details(plan_id)
    moves = [one for one in shown["actions"] if one["decision"] == "reschedule"]
    assert [(one["seq"], one["earliest"], one["latest"]) for one in moves] == [
        (2, "2026-03-10", "2026-05-09"), (3, "2026-04-11", "2026-06-09"), (4, "2026-05-11", "2026-08-09"),
    ]  # fmt: skip
    action = moves[0]
    for to, expected in (("2026-03-09", (422, "unprocessable")), ("2026-05-10", (409, "conflict"))):
        assert problem(decide(tuition, admin, shown["plan"], "reschedule", seq=2, to=to)) == expected
    moved = decide(tuition, admin, shown["plan"], "reschedule", seq=2, to=action["latest"]).body
    assert moved["plan"]["schedule"][1]["due"] == action["latest"]
    assert ids(tuition, admin, due_from=action["latest"], due_to=action["latest"]) == [plan_id]


def test_two_members_of_staff_cannot_decide_about_the_same_version(
    tuition: Harness, student: Student, admin: Student, details: Callable[[str], dict[str, Any]]
) -> None:
    plan = details(started(tuition, student)["plan_id"])["plan"]
    second = Student(f"{admin.sub}-b", groups=("admin",))
    first = decide(tuition, admin, plan, "waive", seq=4)
    assert first.status == 200, first
    assert decide(tuition, admin, plan, "waive", seq=4).body["plan"] == first.body["plan"]
    assert problem(decide(tuition, second, plan, "waive", seq=3)) == (409, "conflict")
    assert problem(decide(tuition, second, first.body["plan"], "waive", seq=4)) == (422, "unprocessable")
    assert details(plan["plan_id"])["plan"]["outstanding"] == REST - FIRST


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"decision": "withdraw"}, "decision"),
        ({"decision": "waive"}, "seq"),
        ({"decision": "waive", "seq": 0}, "seq"),
        ({"decision": "waive", "seq": True}, "seq"),
        ({"decision": "pause", "seq": 2}, "seq"),
        ({"decision": "reschedule", "seq": 2}, "to"),
        ({"decision": "reschedule", "seq": 2, "to": "soon"}, "to"),
        ({"decision": "close"}, "refund"),
        ({"decision": "close", "refund": "half"}, "refund"),
        ({"decision": "pause", "access": "no"}, "access"),
        ({"decision": "pause", "note": " "}, "note"),
        ({"decision": "pause", "version": None}, "version"),
    ],
)
def test_an_order_with_a_wrong_value_is_refused(body: dict[str, Any], field: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        plan_decisions.parse({"version": 7, "note": "agreed", **body})
    assert refused.value.field == field


def test_support_reads_and_does_not_decide(tuition: Harness, student: Student, support: Student) -> None:
    plan_id = started(tuition, student)["plan_id"]
    plan = tuition.admin(support, PLAN, plan_id=plan_id).body["plan"]
    assert decide(tuition, support, plan, "pause").status == 403
    for action in ("collect", "attention"):
        route = f"POST /api/admin/plans/{{plan_id}}/{action}"
        assert tuition.admin(support, route, {}, plan_id=plan_id).status == 403


def test_staff_charge_a_late_plan_now_and_acknowledge_that_it_was_given_up(
    tuition: Harness, student: Student, admin: Student, details: Callable[[str], dict[str, Any]]
) -> None:
    plan_id = started(tuition, student)["plan_id"]
    route = "POST /api/admin/plans/{plan_id}/collect"
    assert problem(tuition.admin(admin, route, {}, plan_id=plan_id)) == (409, "conflict")
    assert details(plan_id)["collect_refusal"] == "not_announced"
    method = read(tuition, student, plan_id)["payment_method"]["id"]
    tuition.at_stripe("POST", f"/_sim/payment_methods/{method}", next=["insufficient_funds"] * 6)
    pass_days(tuition, 32)
    assert details(plan_id)["collect_refusal"] is None
    for is_on, refusal in ((False, "stopped"), (True, None)):
        body = {"collecting": is_on, "note": "a bank declines everything"}
        assert tuition.admin(admin, "POST /api/admin/collecting", body).status == 200
        assert details(plan_id)["collect_refusal"] == refusal
    charged = tuition.admin(admin, route, {}, plan_id=plan_id)
    assert charged.status == 200, charged
    newest = charged.body["facts"]["tries"][-1]
    assert (newest["occasion"], newest["answer"]["code"]) == ("now:2026-04-11", "insufficient_funds")
    assert charged.body["collect_refusal"] == "tried_today"
    pass_days(tuition, 60)
    shown = details(plan_id)["plan"]
    assert (shown["status"], [one["name"] for one in shown["attention"]]) == ("CLOSED", ["gave_up"])
    assert ids(tuition, admin, attention="true") == [plan_id]
    email = emails.digest(**queries.what_waits_for_staff(10)._asdict())
    assert email is not None
    assert email.values["plans"] == "1"
    acknowledge = "POST /api/admin/plans/{plan_id}/attention"
    body = {"name": "gave_up", "note": "a parent pays"}
    assert tuition.admin(admin, acknowledge, {**body, "fingerprint": "9"}, plan_id=plan_id).status == 409
    assert tuition.admin(admin, acknowledge, {**body, "name": "other"}, plan_id=plan_id).status == 404
    assert tuition.admin(admin, acknowledge, body, plan_id=plan_id).body["plan"]["attention"] == []
    assert ids(tuition, admin, attention="true") == []


def test_a_plan_continues_after_a_refund_that_staff_accept(
    tuition: Harness, student: Student, admin: Student, details: Callable[[str], dict[str, Any]]
) -> None:
    beginning = started(tuition, student)
    tuition.at_stripe("POST", "/_sim/refunds", payment_intent=beginning["payment_intent_id"], amount=1000)
    tuition.advance_stripe(3)
    tuition.deliver_all()
    stopped = details(beginning["plan_id"])
    assert stopped["collect_refusal"] == "not_charged"
    assert [one["name"] for one in stopped["plan"]["attention"]] == [f"refund:{beginning['payment_id']}"]
    continued = decide(tuition, admin, stopped["plan"], "continue").body
    assert (continued["collect_refusal"], continued["plan"]["attention"]) == ("not_announced", [])
    assert len(continued["facts"]["decisions"][0]["accepts"]) == 1
    assert problem(decide(tuition, admin, continued["plan"], "continue")) == (409, "conflict")


def test_the_forecast_adds_up_what_is_due_and_at_risk(tuition: Harness, student: Student, admin: Student) -> None:
    other = Student(f"b-{student.sub}")
    plan = started(tuition, student)
    started(tuition, other, track=None, membership="ALL", offer="monthly", consent=membership(tuition))
    answer = tuition.admin(admin, FORECAST, query={"months": "4"}).body
    rows = [(one["month"], one["due"], one["at_risk"], one["installments"]) for one in answer["months"]]
    assert rows == [(f"2026-0{month}", FIRST + 4900, 0, 2) for month in (4, 5, 6)]
    version = tuition.admin(admin, PLAN, plan_id=plan["plan_id"]).body["plan"]["version"]
    decide(tuition, admin, {**plan, "version": version}, "pause")
    answer = tuition.admin(admin, FORECAST, query={"months": "3"}).body
    assert [(one["month"], one["due"], one["at_risk"]) for one in answer["months"]] == [
        (f"2026-0{month}", FIRST + 4900, FIRST) for month in (4, 5)
    ]
    for months in ("0", "25", "six"):
        assert tuition.admin(admin, FORECAST, query={"months": months}).status == 422


def test_a_payment_of_a_membership_is_in_every_list_of_payments(
    tuition: Harness, student: Student, admin: Student
) -> None:
    plan = started(tuition, student, track=None, membership="ALL", offer="monthly", consent=membership(tuition))
    payment_id = plan["payment_id"]
    for query in (
        {"status": "SUCCEEDED"}, {"track": "ALL"}, {"order": "oldest"}, {"refunded": "none"}, {"q": plan["plan_id"]},
    ):  # fmt: skip
        day = {} if "q" in query else {"from": "2026-03-10", "to": "2026-03-10"}
        page = tuition.admin(admin, "GET /api/admin/payments", query={**query, **day, "limit": "100"})
        mine = [one for one in page.body["payments"] if one["user_id"] == student.sub]
        assert [one["payment_id"] for one in mine] == [payment_id], query
        assert (mine[0]["track"], mine[0]["membership"], mine[0]["plan_id"]) == (None, "ALL", plan["plan_id"])
    assert tuition.admin(admin, "GET /api/admin/payments", query={"track": "NONE"}).status == 422
    assert ids(tuition, admin, track="ALL") == [plan["plan_id"]]

    view = payment_list.load_views(queries.payments_by_id([payment_id]))[0]
    cells = dict(zip(exports.HEADER, exports.row(view), strict=True))
    assert (cells["track"], cells["membership"], cells["plan_id"], cells["covers"]) == ("", "ALL", plan["plan_id"], "1")
    tuition.at_stripe("POST", "/_sim/disputes", payment_intent=plan["payment_intent_id"])
    tuition.deliver_all()
    disputes = tuition.admin(admin, "GET /api/admin/disputes", query={"state": "open"}).body["disputes"]
    mine = next(one for one in disputes if one["payment_id"] == payment_id)
    assert (mine["track"], mine["membership"], mine["plan_id"]) == (None, "ALL", plan["plan_id"])
    route = "GET /api/admin/payments/{payment_id}/disputes/{dispute_id}/evidence"
    fields = tuition.admin(admin, route, payment_id=payment_id, dispute_id=mine["dispute_id"]).body["fields"]
    assert fields["product_description"] == "Membership: Every track."
    assert "agreed to the payment plan and its charges" in fields["refund_policy_disclosure"]


def test_a_plan_is_shown_where_it_decides_about_an_enrollment(
    tuition: Harness, student: Student, admin: Student
) -> None:
    plan = started(tuition, student)
    enrollment = tuition.enrollment(student)
    assert enrollment is not None
    assert (enrollment["status"], enrollment["payment"]) == ("ENROLLED", None)
    assert enrollment["plan"] == read(tuition, student, plan["plan_id"])
    sentence = "because you pay in installments: 1 of 4 are paid. The next, 124.75 USD, is due on 10 April 2026."
    route = "GET /api/enrollments/{track}/explain"
    explained = tuition.call(enrollments.handler, student, route=route, path={"track": "DP"}).body
    assert (explained["payment_id"], explained["plan_id"]) == (None, plan["plan_id"])
    assert explained["sentence"].endswith(sentence)
    shown = tuition.admin(admin, PAYMENT, payment_id=plan["payment_id"]).body
    assert shown["plan"] == enrollment["plan"]
    shown = tuition.admin(admin, PAYMENT + "/explain", payment_id=plan["payment_id"]).body
    assert shown["plan_id"] == plan["plan_id"]
    assert shown["sentence"].startswith("This payment is for number 1 of a plan. The plan gives access: 1 of 4")
    user = tuition.admin(admin, "GET /api/admin/users", query={"user_id": student.sub}).body
    assert [one["plan_id"] for one in user["plans"]] == [plan["plan_id"]]
    assert user["standings"] == {"verified": True, "problems": []}
