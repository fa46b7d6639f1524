"""The payments list, a payment's page and the attention queue, and who may see them."""

import unicodedata
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from tests.harness import Harness, Student
from tuition.storage import dynamodb, mapping, queries

LIST = "GET /api/admin/payments"
ONE = "GET /api/admin/payments/{payment_id}"
REFUNDS = "POST /api/admin/payments/{payment_id}/refunds"
QUEUE = "GET /api/admin/attention"


def search(tuition: Harness, user: Student, **query: str) -> list[str]:
    """Return the ids of all payments that match a filter, over all pages."""
    ids: list[str] = []
    while True:
        page = tuition.admin(user, LIST, query=query).body
        ids += [p["payment_id"] for p in page["payments"]]
        if not page["next_cursor"]:
            return ids
        query["cursor"] = page["next_cursor"]


def buy_track(tuition: Harness, student: Student, track: str = "DP") -> dict[str, str]:
    purchase = tuition.create(student, track).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    return dict(purchase)


def test_a_payment_is_found_by_each_of_its_identifiers(tuition: Harness, student: Student, admin: Student) -> None:
    purchase = buy_track(tuition, student)
    payment = tuition.admin(admin, ONE, payment_id=purchase["payment_id"]).body["payment"]
    assert payment["user_id"] == student.sub
    for query in (
        purchase["payment_id"],
        purchase["payment_intent_id"],
        payment["stripe_charge_id"],
        payment["stripe_customer_id"],
        student.sub,
        f"{student.sub}@EXAMPLE.org",
        student.sub + "@",
    ):
        assert search(tuition, admin, q=query) == [purchase["payment_id"]], query
    assert search(tuition, admin, q="nobody-at-all") == []


def test_a_payment_is_found_by_its_refund_dispute_and_declined_charge(
    tuition: Harness, student: Student, admin: Student
) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_card_chargeDeclined")
    tuition.deliver_all()
    tuition.pay(purchase["payment_intent_id"], "pm_card_createDispute")
    refund = {"amount": 100, "reason": "a part was missing"}
    tuition.advance_stripe(5)
    tuition.deliver_all()
    other = buy_track(tuition, student, "FSD")
    tuition.admin(admin, REFUNDS, refund, payment_id=other["payment_id"])
    tuition.deliver_all()
    disputed, refunded = tuition.payment(purchase["payment_id"]), tuition.payment(other["payment_id"])
    assert sorted(charge.status for charge in disputed.facts.charges.values()) == ["failed", "succeeded"]
    assert disputed.facts.disputes and refunded.facts.refunds
    for stripe_id in (*disputed.facts.charges, *disputed.facts.disputes):
        assert search(tuition, admin, q=stripe_id) == [purchase["payment_id"]], stripe_id
    for stripe_id in (*refunded.facts.charges, *refunded.facts.refunds):
        assert search(tuition, admin, q=f" {stripe_id}, ") == [other["payment_id"]], stripe_id


def test_an_address_is_found_as_it_was_pasted(tuition: Harness, student: Student, admin: Student) -> None:
    user = Student(student.sub, email=f"Zoe\u0308-{student.sub}+a@exa\u0308mple.org")
    payment_id = buy_track(tuition, user)["payment_id"]
    address = f"zoë-{student.sub}+a@exämple.org"
    for pasted in (
        address,
        address.upper(),
        unicodedata.normalize("NFD", address),
        f"<{address}>",
        f"Zoë Müller <{address}>;",
        f"mailto:{address}",
        f"MAILTO:{address}?subject=hello",
        f"mailto:{quote(address)}",
        f"{address}.",
        f"({address}),",
        f'"{address}"',
        f"\u200b{address}\u200b",
        f"{address}\n",
        f"\xa0{address}\xa0",
        f"zoë-{student.sub} + a @ exämple.org",
        f"zoë-{student.sub}",
    ):
        assert search(tuition, admin, q=pasted) == [payment_id], pasted


@pytest.mark.parametrize("q", ["<>", "mailto:", "<", '"', ".", ",;", "<mailto:>", "\u200b", "( )"])
def test_a_search_for_punctuation_answers(tuition: Harness, admin: Student, q: str) -> None:
    assert tuition.admin(admin, LIST, query={"q": q}).status == 200


def test_filters_combine_and_paging_skips_no_payment(tuition: Harness, student: Student, admin: Student) -> None:
    first, second = buy_track(tuition, student, "DP"), buy_track(tuition, student, "FSD")
    open_purchase = tuition.create(Student(student.sub + "-b"), "DP").body
    own_ids = {first["payment_id"], second["payment_id"], open_purchase["payment_id"]}
    today = datetime.now(UTC).date().isoformat()

    def search_own(**query: str) -> set[str]:
        return set(search(tuition, admin, limit="1", **query)) & own_ids

    assert search_own() == own_ids
    assert search_own(status="SUCCEEDED") == {first["payment_id"], second["payment_id"]}
    assert search_own(track="DP") == {first["payment_id"], open_purchase["payment_id"]}
    assert search_own(status="SUCCEEDED", track="FSD") == {second["payment_id"]}
    assert search_own(refunded="true") == set()
    assert search_own(**{"from": today, "to": today}) == own_ids
    assert search_own(to="2020-01-02") == set()


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
def test_an_invalid_filter_is_refused(tuition: Harness, admin: Student, query: dict[str, str]) -> None:
    assert tuition.admin(admin, LIST, query=query).status == 422


def test_a_payment_is_shown_with_its_audit_trail_and_the_verified_chain(
    tuition: Harness, student: Student, admin: Student
) -> None:
    purchase = buy_track(tuition, student)
    body = tuition.admin(admin, ONE, payment_id=purchase["payment_id"]).body
    assert body["chain"] == {"verified": True, "problem": None}
    assert [r["seq"] for r in body["audit"]] == list(range(1, len(body["audit"]) + 1))
    record = body["audit"][1]
    tuition.tables.update_item(
        TableName="audit",
        Key={"subject": {"S": purchase["payment_id"]}, "sort_key": {"S": f"{record['at']}#{record['event_id']}"}},
        UpdateExpression="SET #t = :t",
        ExpressionAttributeNames={"#t": "type"},
        ExpressionAttributeValues={":t": {"S": "nothing.happened"}},
    )
    altered = tuition.admin(admin, ONE, payment_id=purchase["payment_id"]).body["chain"]
    assert (altered["verified"], altered["problem"][:8]) == (False, "record 2")


def test_only_staff_may_see_payments(tuition: Harness, student: Student) -> None:
    purchase = buy_track(tuition, student)
    for user in (student, Student("liar", groups=("administrators",)), Student("liar", groups=("not-admin",))):
        assert tuition.admin(user, LIST).status == 403
        assert tuition.admin(user, ONE, payment_id=purchase["payment_id"]).status == 403
    for name in ("x,admin", "admin,x", "[admin]", "admin]"):
        assert tuition.admin(Student("liar", groups=(name,)), LIST).status == 403
    assert tuition.admin(Student("s", groups=("staff", "support")), LIST).status == 200
    assert tuition.admin(Student("s", groups=("support",)), ONE, payment_id="pay_unknown").status == 404


def test_a_track_paid_twice_puts_the_later_attempt_in_the_queue_whichever_is_paid_first(
    tuition: Harness, student: Student, admin: Student
) -> None:
    first = tuition.create(student).body
    tuition.at_stripe("POST", "/_sim/webhooks", deliver="drop")
    _lose_open_payment(tuition, student, first["payment_id"])
    second = tuition.create(student).body
    assert second["payment_intent_id"] != first["payment_intent_id"]
    tuition.pay(second["payment_intent_id"])
    tuition.deliver_all()
    tuition.pay(first["payment_intent_id"])
    tuition.deliver_all()
    queue = [p for p in tuition.admin(admin, QUEUE).body["payments"] if p["user_id"] == student.sub]
    assert [p["payment_id"] for p in queue] == [second["payment_id"]]
    assert [c["name"] for c in queue[0]["attention"]] == ["double"]
    assert any("double" in r["transition"].get("attention", []) for r in tuition.audit_trail(first["payment_id"]))
    tuition.refund(student, first["payment_id"])
    tuition.deliver_all()
    assert [p for p in tuition.admin(admin, QUEUE).body["payments"] if p["user_id"] == student.sub] == []
    assert tuition.enrollment(student)["status"] == "ENROLLED"


def _lose_open_payment(tuition: Harness, student: Student, payment_id: str) -> None:
    """Store an enrollment without the open payment, as a restore might: the API never opens two."""
    from tuition.core.enrollment import Enrollment

    restored = Enrollment(user_id=student.sub, track="DP", attempt=1, version=1)
    tuition.tables.put_item(TableName="enrollments", Item=dynamodb.to_raw(mapping.enrollment_to_item(restored)))


@pytest.mark.parametrize(
    "query", [{"to": "9999-12-31"}, {"to": "0001-01-01"}, {"from": "9999-12-31"}, {"q": "pay_" + "x" * 3000}]
)
def test_dates_and_queries_out_of_range_are_refused(tuition: Harness, admin: Student, query: dict[str, str]) -> None:
    assert tuition.admin(admin, LIST, query=query).status == 422


def test_an_event_applied_while_staff_read_does_not_look_like_tampering(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit between reading the payment and reading its audit trail must not break the shown chain."""
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    events = iter(event for event in tuition.new_events() if event["type"] == "payment_intent.succeeded")
    real = queries.audit_trail

    def deliver_before_reading(subject: str) -> list[dict[str, object]]:
        if event := next(events, None):
            tuition.deliver(event)
        return real(subject)

    monkeypatch.setattr(queries, "audit_trail", deliver_before_reading)
    body = tuition.admin(admin, ONE, payment_id=purchase["payment_id"]).body
    assert body["chain"] == {"verified": True, "problem": None}
    assert (body["payment"]["status"], len(body["audit"])) == ("SUCCEEDED", body["payment"]["version"])
