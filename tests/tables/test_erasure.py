"""Erasure: what is refused, what goes and what stays, and that it is done after every kill and every restore."""

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.erasures import Erasures, running_erasures
from tests.harness import Harness, Response, Student
from tests.permissions import TABLES
from tests.tables.test_legal_hold import decide
from tests.tables.test_purchase_blocks import buy
from tuition.core import archive, audit
from tuition.core.errors import StripeRefused
from tuition.core.refs import PaymentRef
from tuition.payments import customers, erasure, erasure_list, legal_hold
from tuition.settings import settings
from tuition.storage import dynamodb, effects, ledger, mapping, queries
from tuition.storage.keys import USER_SORT_KEY
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import resolve

STAFF = "POST /api/admin/users/{user_id}/erasure"
USER = "GET /api/admin/users/{user_id}"


@pytest.fixture
def erasures(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> Iterator[Erasures]:
    with running_erasures(tuition, monkeypatch) as running:
        yield running


def problem(response: Response) -> tuple[int, str, Any]:
    return response.status, response.body["type"].rpartition("/")[2], response.body.get("reason")


def everything_of(tuition: Harness, student: Student) -> str:
    """Return every item of every table that names the user or one of the payments, as text."""
    payment_ids = [payment.payment_id for payment in queries.payments_of_user(student.sub)]
    items = [item for table in TABLES for item in tuition.tables.scan(TableName=table)["Items"]]
    texts = [json.dumps(item) for item in items]
    return "\n".join(text for text in texts if student.sub in text or any(one in text for one in payment_ids))


def customer_of(tuition: Harness, student: Student) -> str:
    return str(next(iter(queries.payments_of_user(student.sub))).customer)


def assert_erased(tuition: Harness, student: Student, customer: str) -> None:
    """No table has what leads to the person, and Stripe has deleted the customer."""
    text = everything_of(tuition, student)
    assert not re.search(r"last4\W+4242", text)
    personal = (
        f"{student.sub}@",
        customer,
        "visa",
        "receipts",
        "changed my mind",
        "a secret note",
        "email_key",
    )
    assert [one for one in personal if one in text] == []
    assert effects.delivery_problem(f"{student.sub}@example.org") is None
    if customer != "None":
        assert tuition.at_stripe("GET", f"/v1/customers/{customer}").get("deleted") is True
    for payment in queries.payments_of_user(student.sub):
        assert payment.facts.erased
        assert tuition.chain_problem(payment.payment_id) is None
    head = mapping.chain_head(queries.user_items(student.sub)[USER_SORT_KEY])
    trail = queries.audit_trail(student.sub)
    assert audit.verify(student.sub, trail, *head) is None
    assert not [one for record in trail for one in archive.undeclared(archive.RECORD, record)]


# --- requesting ---


def test_an_erasure_is_scheduled_for_the_end_of_the_last_token_and_repeating_answers_the_same(
    tuition: Harness, student: Student, erasures: Erasures
) -> None:
    tuition.freeze_time()
    buy(tuition, student)
    first = erasures.request(student)
    assert (first.status, first.body["erasure"]["state"]) == (202, "scheduled")
    assert erasures.request(student).body == first.body
    assert erasures.entries("due") == [f"due/{student.sub}"]
    assert erasures.run() == {"erased": 0, "waiting": 1, "held": 0, "failed": 0, "done": True}
    assert erasures.pool == [("admin_disable_user", student.sub), ("admin_user_global_sign_out", student.sub)]
    tuition.advance_time(4000)
    assert erasures.run()["waiting"] == 1
    tuition.advance_time(300)
    assert erasures.run()["erased"] == 1
    assert erasures.pool[-1] == ("admin_delete_user", student.sub)
    again = erasures.request(student).body["erasure"]
    assert (again["state"], again["requested_at"]) == ("erased", first.body["erasure"]["requested_at"])
    assert (erasures.entries("due"), erasures.entries("done")) == ([], [f"done/{student.sub}"])


def test_a_payment_that_was_never_paid_is_closed_first(tuition: Harness, student: Student, erasures: Erasures) -> None:
    opened = tuition.create(student).body
    assert erasures.request(student).status == 202
    intent = tuition.at_stripe("GET", f"/v1/payment_intents/{opened['payment_intent_id']}")
    assert (intent["status"], tuition.payment(opened["payment_id"]).status) == ("canceled", "CANCELED")


def test_nothing_is_erased_while_money_is_open_and_nothing_is_stored(
    tuition: Harness, student: Student, erasures: Erasures
) -> None:
    opened = tuition.create(student, "FSD").body
    purchase = buy(tuition, student)
    dispute = tuition.at_stripe(
        "POST", "/_sim/disputes", payment_intent=purchase["payment_intent_id"], status="needs_response"
    )
    tuition.deliver_all()
    refused = erasures.request(student)
    assert problem(refused) == (409, "money-open", "dispute_open")
    assert refused.body["until"]
    assert erasures.request(student).body == refused.body
    assert (erasures.entries("due"), tuition.payment(opened["payment_id"]).status) == ([], "CREATED")
    tuition.at_stripe("POST", "/_sim/disputes", dispute=dispute["id"], status="won")
    tuition.deliver_all()
    assert erasures.request(student).status == 202


def test_a_bank_debit_under_way_is_open_money_also_before_its_webhook(
    tuition: Harness, student: Student, erasures: Erasures
) -> None:
    opened = tuition.create(student).body
    tuition.pay(opened["payment_intent_id"], "pm_usBankAccount")
    assert tuition.payment(opened["payment_id"]).status == "CREATED"
    assert problem(erasures.request(student)) == (409, "money-open", "payment_processing")


def test_a_refund_that_awaits_approval_is_open_money(
    tuition: Harness, student: Student, erasures: Erasures, admin: Student
) -> None:
    purchase = buy(tuition, student)
    tuition.advance_time(40 * 86_400)
    assert tuition.refund(student, purchase["payment_id"]).status == 202
    assert problem(erasures.request(student)) == (409, "money-open", "refund_undecided")
    order = {"note": "a secret note"}
    assert problem(tuition.admin(admin, STAFF, order, user_id=student.sub)) == (409, "money-open", "refund_undecided")


def test_staff_erase_a_user_with_a_note_that_goes_with_the_data(
    tuition: Harness, student: Student, erasures: Erasures, admin: Student
) -> None:
    buy(tuition, student)
    customer = customer_of(tuition, student)
    ordered = tuition.admin(admin, STAFF, {"note": "a secret note"}, user_id=student.sub)
    assert (ordered.status, ordered.body["erasure"]["by"]) == (202, admin.sub)
    shown = tuition.admin(admin, USER, user_id=student.sub).body["user"]["erasure"]
    assert shown == ordered.body["erasure"]
    assert shown["note"] == "a secret note"
    erasures.finish(student)
    assert tuition.admin(admin, USER, user_id=student.sub).body["user"]["erasure"]["note"] is None
    types = [(record["type"], record["actor"]) for record in queries.audit_trail(student.sub)]
    names = ("requested", "sign_in_ended", "begun", "done")
    assert types == [(f"erasure.{name}", admin.sub) for name in names]
    assert_erased(tuition, student, customer)


def test_an_erasure_is_refused_while_a_hold_stands_and_one_that_is_scheduled_waits(
    tuition: Harness, student: Student, erasures: Erasures, admin: Student
) -> None:
    buy(tuition, student)
    decide(tuition, admin, student, "set")
    assert problem(erasures.request(student)) == (409, "legal-hold", None)
    decide(tuition, admin, student, "lift")
    assert erasures.request(student).status == 202
    decide(tuition, admin, student, "set")
    tuition.advance_time(7200)
    assert erasures.run()["held"] == 1
    assert erasures.pool == []
    assert not next(iter(queries.payments_of_user(student.sub))).facts.erased
    decide(tuition, admin, student, "lift")
    erasures.run()
    tuition.advance_time(3700)
    assert erasures.run()["erased"] == 1
    assert problem(decide(tuition, admin, student, "set")) == (409, "user-erased", None)
    assert not legal_hold.is_held(student.sub)


def test_an_erasure_that_continues_after_a_hold_ends_the_sign_in_that_staff_may_have_enabled_again(
    tuition: Harness, student: Student, erasures: Erasures, admin: Student
) -> None:
    buy(tuition, student)
    assert erasures.request(student).status == 202
    erasures.run()
    tuition.advance_time(60)
    decide(tuition, admin, student, "set")
    tuition.advance_time(7200)
    assert erasures.run()["held"] == 1
    ended = [("admin_disable_user", student.sub), ("admin_user_global_sign_out", student.sub)]
    assert erasures.pool == ended
    decide(tuition, admin, student, "lift")
    tuition.advance_time(60)
    assert erasures.run()["waiting"] == 1
    assert erasures.pool == ended * 2
    tuition.advance_time(3000)
    assert erasures.run()["waiting"] == 1
    tuition.advance_time(700)
    assert erasures.run()["erased"] == 1
    assert erasures.pool == [*ended * 2, ("admin_delete_user", student.sub)]


def test_a_dispute_that_opens_after_the_request_delays_the_erasure(
    tuition: Harness, student: Student, erasures: Erasures
) -> None:
    purchase = buy(tuition, student)
    assert erasures.request(student).status == 202
    erasures.run()
    intent = purchase["payment_intent_id"]
    dispute = tuition.at_stripe("POST", "/_sim/disputes", payment_intent=intent, status="needs_response")
    tuition.deliver_all()
    tuition.advance_time(7200)
    assert erasures.run()["waiting"] == 1
    tuition.at_stripe("POST", "/_sim/disputes", dispute=dispute["id"], status="won")
    tuition.deliver_all()
    assert erasures.run()["erased"] == 1


def test_an_erased_user_id_buys_nothing(tuition: Harness, student: Student, erasures: Erasures) -> None:
    buy(tuition, student)
    assert erasures.request(student).status == 202
    assert problem(tuition.create(student, "FSD")) == (409, "user-erased", None)
    erasures.run()
    tuition.advance_time(7200)
    erasures.run()
    assert problem(tuition.create(student, "FSD")) == (409, "user-erased", None)


def test_a_user_who_never_bought_is_erased_too(tuition: Harness, student: Student, erasures: Erasures) -> None:
    erasures.finish(student)
    assert erasures.pool[-1] == ("admin_delete_user", student.sub)


# --- erasing ---


def bought_everything(tuition: Harness, student: Student, admin: Student) -> str:
    """Buy two tracks, with a refund and notes of staff, and return the Stripe customer."""
    first = buy(tuition, student)
    second = buy(tuition, student, "FSD")
    assert tuition.refund(student, first["payment_id"]).status == 200
    tuition.deliver_all()
    body = {"decision": "revoke", "note": "a secret note"}
    access = "POST /api/admin/payments/{payment_id}/access"
    assert tuition.admin(admin, access, body, payment_id=second["payment_id"]).status == 200
    purchases = "POST /api/admin/users/{user_id}/purchases"
    body = {"decision": "block", "note": "a secret note"}
    assert tuition.admin(admin, purchases, body, user_id=student.sub).status == 200
    written = {"text": "a secret note"}
    assert tuition.admin(admin, "POST /api/admin/notes", written, query={"user_id": student.sub}).status == 201
    effects.note_undeliverable(f"{student.sub}@example.org", "bounced")
    return customer_of(tuition, student)


def test_an_erased_user_s_data_is_nowhere_but_where_the_law_keeps_it(
    tuition: Harness, student: Student, erasures: Erasures, admin: Student
) -> None:
    customer = bought_everything(tuition, student, admin)
    before = {payment.payment_id: payment for payment in queries.payments_of_user(student.sub)}
    assert all(one in everything_of(tuition, student) for one in (customer, "changed my mind", "a secret note"))
    erasures.finish(student)
    assert_erased(tuition, student, customer)
    for payment in queries.payments_of_user(student.sub):
        old = before[payment.payment_id]
        assert (payment.status, payment.money, payment.intent) == (old.status, old.money, old.intent)
    body = erasures.s3.get_object(Bucket="erasures", Key=f"done/{student.sub}")["Body"].read().decode()
    assert sorted(json.loads(body)) == ["by", "due_at", "erased_at", "requested_at", "user_id"]


def test_late_events_find_the_payment_of_an_erased_user_and_bring_nothing_back(
    tuition: Harness, student: Student, erasures: Erasures, admin: Student
) -> None:
    customer = bought_everything(tuition, student, admin)
    erasures.finish(student)
    (paid,) = [one for one in queries.payments_of_user(student.sub) if one.track == "FSD"]
    tuition.at_stripe("POST", "/_sim/disputes", payment_intent=paid.intent, status="lost")
    tuition.deliver_all()
    tuition.reconcile()
    assert [one.status for one in tuition.payment(paid.payment_id).facts.disputes.values()] == ["lost"]
    assert_erased(tuition, student, customer)


CALLS = 35
"""Calls of the erasure below to a table, to the list, or to find or delete the customer at Stripe."""


@pytest.mark.parametrize("step", range(1, CALLS + 1))
def test_an_erasure_that_is_killed_after_any_call_is_completed_by_the_next_run(
    tuition: Harness, student: Student, erasures: Erasures, admin: Student, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    customer = bought_everything(tuition, student, admin)
    assert erasures.request(student).status == 202
    erasures.run()
    tuition.advance_time(7200)
    calls = Killer(monkeypatch, step)
    with contextlib.suppress(Killed):
        erasures.run()
    calls.stop()
    assert calls.number == step
    erasures.run()
    assert (erasures.entries("due"), erasures.entries("done")) == ([], [f"done/{student.sub}"])
    assert_erased(tuition, student, customer)
    done = [record for record in queries.audit_trail(student.sub) if record["type"] == "erasure.done"]
    assert len(done) == 1


def test_the_kills_reach_every_call(
    tuition: Harness, student: Student, erasures: Erasures, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought_everything(tuition, student, admin)
    erasures.request(student)
    erasures.run()
    tuition.advance_time(7200)
    calls = Killer(monkeypatch, 0)
    erasures.run()
    assert calls.number == CALLS


class Killed(BaseException):
    """The end of an invocation at any point."""


class Killer:
    """Ends the invocation after the effect of the call with this number, which is also before the next call."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, last: int) -> None:
        self.number, self._last = 0, last
        self._patch = monkeypatch
        self._active = True
        for owner, name in (
            (dynamodb, "call"),
            (stripe_client, "delete_customer"),
            (stripe_client, "search_customers"),
            (erasure_list, "put"),
            (erasure_list, "read"),
            (erasure_list, "remove_due"),
        ):
            self._wrap(owner, name)

    def _wrap(self, owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if not self._active:
                return original(*args, **kwargs)
            self.number += 1
            result = original(*args, **kwargs)
            if self.number == self._last:
                raise Killed
            return result

        self._patch.setattr(owner, name, call)

    def stop(self) -> None:
        self._active = False


def test_a_run_without_time_for_all_payments_is_continued_by_the_next(
    tuition: Harness, student: Student, erasures: Erasures, admin: Student
) -> None:
    customer = bought_everything(tuition, student, admin)
    erasures.request(student)
    erasures.run()
    tuition.advance_time(7200)
    assert erasures.run(seconds=10) == {"erased": 0, "waiting": 0, "held": 0, "failed": 0, "done": False}
    assert erasures.run()["erased"] == 1
    assert_erased(tuition, student, customer)


def test_stripe_out_of_reach_delays_an_erasure(tuition: Harness, student: Student, erasures: Erasures) -> None:
    buy(tuition, student)
    customer = customer_of(tuition, student)
    erasures.request(student)
    erasures.run()
    tuition.advance_time(7200)
    tuition.stripe_blocked = True
    report = erasures.run()
    assert (report["failed"], report["erased"]) == (1, 0)
    tuition.stripe_blocked = False
    assert erasures.run()["erased"] == 1
    assert_erased(tuition, student, customer)


def test_an_erasure_whose_search_stripe_refuses_is_tried_again_and_holds_up_no_other(
    tuition: Harness, student: Student, erasures: Erasures, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Student(f"{student.sub}-other")
    buy(tuition, student)
    customer = customer_of(tuition, student)
    for user in (student, other):
        erasures.request(user)
    erasures.run()
    tuition.advance_time(7200)
    search = stripe_client.search_customers

    def refuse(query: str, page: str | None) -> Any:
        if other.sub in query:
            return search(query, page)
        raise StripeRefused("no permission", 403, "invalid_request_error", None)

    with monkeypatch.context() as patch:
        patch.setattr(stripe_client, "search_customers", refuse)
        report = erasures.run()
    assert (report["failed"], report["erased"]) == (1, 1)
    assert erasures.entries("due") == [f"due/{student.sub}"]
    assert erasures.run()["erased"] == 1
    assert_erased(tuition, student, customer)


# --- customers that no table names ---


def create_killed_before_its_commit(tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch) -> str:
    """Begin a purchase that ends after its customer was created at Stripe, and return the customer."""

    def kill(*_args: object, **_kwargs: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(stripe_client, "create_intent", kill)
        tuition.create(student)
    (customer,) = customers_at_stripe(tuition, student)
    return customer


def create_customer(tuition: Harness, metadata: dict[str, str]) -> str:
    params = {f"metadata[{name}]": value for name, value in metadata.items()}
    return str(tuition.at_stripe("POST", "/v1/customers", **params)["id"])


def customers_at_stripe(tuition: Harness, student: Student) -> list[str]:
    query = f"metadata['user_id']:'{student.sub}'"
    return [one["id"] for one in tuition.at_stripe("GET", "/v1/customers/search", query=query)["data"]]


def test_the_customer_of_a_create_that_was_killed_before_its_commit_is_deleted(
    tuition: Harness, student: Student, erasures: Erasures, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = create_killed_before_its_commit(tuition, student, monkeypatch)
    assert customer not in everything_of(tuition, student)
    erasures.finish(student)
    assert tuition.at_stripe("GET", f"/v1/customers/{customer}") == {
        "id": customer,
        "object": "customer",
        "deleted": True,
    }


def test_only_the_customers_of_the_user_and_of_this_environment_are_deleted(
    tuition: Harness, student: Student, erasures: Erasures
) -> None:
    ours = {**resolve.owner_metadata(), "user_id": student.sub}
    others = [
        ours | {"user_id": student.sub.upper() + "-X"},
        ours | {"user_id": student.sub.swapcase()},
        ours | {"environment": "another"},
        ours | {"app": "another"},
        {"user_id": student.sub},
    ]
    kept = [create_customer(tuition, metadata) for metadata in others]
    erased = create_customer(tuition, ours)
    erasures.finish(student)
    assert tuition.at_stripe("GET", f"/v1/customers/{erased}")["deleted"] is True
    assert [one for one in kept if tuition.at_stripe("GET", f"/v1/customers/{one}").get("deleted")] == []


def test_customers_beyond_what_one_run_searches_are_deleted_by_the_next(
    tuition: Harness, student: Student, erasures: Erasures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(customers, "MAX_SEARCH_PAGES", 1)
    metadata = {**resolve.owner_metadata(), "user_id": student.sub}
    for _ in range(101):
        create_customer(tuition, metadata)
    assert erasures.request(student).status == 202
    erasures.run()
    tuition.advance_time(7200)
    assert erasures.run() == {"erased": 0, "waiting": 0, "held": 0, "failed": 0, "done": False}
    assert len(customers_at_stripe(tuition, student)) == 1
    assert erasures.run()["erased"] == 1
    assert customers_at_stripe(tuition, student) == []


def test_a_customer_of_another_user_is_kept_though_its_metadata_name_the_erased_one(
    tuition: Harness, student: Student, erasures: Erasures
) -> None:
    other = Student(f"{student.sub}-other")
    buy(tuition, student)
    buy(tuition, other)
    erased, kept = customer_of(tuition, student), customer_of(tuition, other)
    tuition.at_stripe("POST", f"/v1/customers/{kept}", **{"metadata[user_id]": student.sub})
    erasures.finish(student)
    assert tuition.at_stripe("GET", f"/v1/customers/{erased}")["deleted"] is True
    assert "deleted" not in tuition.at_stripe("GET", f"/v1/customers/{kept}")


def test_any_number_of_foreign_customers_with_the_same_user_id_delay_no_erasure(
    tuition: Harness, student: Student, erasures: Erasures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(customers, "MAX_SEARCH_PAGES", 1)
    ours = {**resolve.owner_metadata(), "user_id": student.sub}
    erased = create_customer(tuition, ours)
    for number in range(102):
        create_customer(tuition, ours | {"app" if number % 2 else "environment": "another"})
    erasures.finish(student)
    assert tuition.at_stripe("GET", f"/v1/customers/{erased}")["deleted"] is True
    assert erased not in customers_at_stripe(tuition, student)


def test_a_repetition_leaves_a_customer_that_was_created_after_the_erasure(
    tuition: Harness, student: Student, erasures: Erasures
) -> None:
    erasures.finish(student)
    tuition.advance_time(60)
    metadata = {**resolve.owner_metadata(), "user_id": student.sub}
    later = create_customer(tuition, metadata)
    erasures.run(again=True)
    assert customers_at_stripe(tuition, student) == [later]


def test_an_erasure_waits_until_stripe_s_search_is_complete_even_if_tokens_live_minutes(
    tuition: Harness, student: Student, erasures: Erasures, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuition.freeze_time()
    monkeypatch.setenv("TOKEN_MINUTES", "5")
    settings.cache_clear()
    assert erasures.request(student).status == 202
    erasures.run()
    tuition.advance_time(erasure.SEARCH_DELAY_S - 1)
    assert erasures.run()["waiting"] == 1
    tuition.advance_time(601)
    assert erasures.run()["erased"] == 1


# --- after a restore ---


def test_after_a_restore_the_erasures_on_the_list_are_done_again(
    tuition: Harness, student: Student, erasures: Erasures, admin: Student
) -> None:
    customer = bought_everything(tuition, student, admin)
    backup = {table: tuition.tables.scan(TableName=table)["Items"] for table in TABLES}
    erasures.finish(student)
    first = queries.audit_trail(student.sub)[-1]
    restore(tuition, backup)
    assert customer in everything_of(tuition, student)
    assert erasures.run(again=True)["erased"] == 1
    assert_erased(tuition, student, customer)
    assert erasures.run() == {"erased": 0, "waiting": 0, "held": 0, "failed": 0, "done": True}
    entry = erasure_list.read("done", student.sub)
    assert entry["erased_at"] <= first["at"]
    assert problem(tuition.create(student, "FSD")) == (409, "user-erased", None)


def test_a_request_that_a_restore_lost_is_still_performed(
    tuition: Harness, student: Student, erasures: Erasures, admin: Student
) -> None:
    customer = bought_everything(tuition, student, admin)
    backup = {table: tuition.tables.scan(TableName=table)["Items"] for table in TABLES}
    erasures.request(student)
    restore(tuition, backup)
    erasures.run()
    tuition.advance_time(7200)
    assert erasures.run()["erased"] == 1
    assert_erased(tuition, student, customer)


def test_a_payment_that_was_created_after_the_erasure_is_not_erased_by_a_repetition(
    tuition: Harness, student: Student, erasures: Erasures
) -> None:
    erasures.finish(student)
    key = {"user_id": {"S": student.sub}}
    tuition.tables.delete_item(TableName="customers", Key=key)
    tuition.advance_time(60)
    later = buy(tuition, student)
    erasures.run(again=True)
    state = ledger.load(PaymentRef(later["payment_id"], student.sub, "DP"))
    assert not state.existing.facts.erased
    assert erasure.run(lambda: 240).waiting == 0


def restore(tuition: Harness, backup: dict[str, list[Any]]) -> None:
    """Bring every table back to the backup."""
    keys = {
        table: [one["AttributeName"] for one in tuition.tables.describe_table(TableName=table)["Table"]["KeySchema"]]
        for table in TABLES
    }
    for table, names in keys.items():
        tuition.empty_table(table, *names)
        for item in backup[table]:
            tuition.tables.put_item(TableName=table, Item=item)
