"""The search by words: four digits, amounts and words of an address, kept from events in any order."""

import itertools
import json
from types import SimpleNamespace
from typing import Any

import pytest

import console_tables as function
from tests import permissions
from tests.erasures import running_erasures
from tests.harness import Harness, Student
from tests.tables.test_admin import search as search_ids
from tests.tables.test_personal_data import export
from tests.tables.test_purchase_blocks import buy
from tests.tables.test_retention import bought, listed_and_deleted
from tuition.core.errors import Contended
from tuition.core.published_events import FOR_CONSOLE, PAYMENT_CHANGED, of_record
from tuition.outbox import console_tables
from tuition.storage import mapping, queries, search
from tuition.storage.items import SearchItem

_names = itertools.count()


@pytest.fixture
def surname() -> str:
    """A word that no other test uses."""
    return f"okafor{next(_names)}x"


def person(student: Student, address: str) -> Student:
    return Student(student.sub, email=address)


def messages(payment_id: str) -> list[dict[str, str]]:
    """Return the messages of the queue about a payment, as the rule puts them there."""
    stored = [mapping.stored_record(item) for item in queries.audit_items(payment_id)]
    events = [event for record in stored for event in of_record(record) if event.type in FOR_CONSOLE]
    bodies = [json.dumps({"detail-type": event.type, "detail": dict(event.detail)}) for event in events]
    return [{"messageId": str(number), "body": body} for number, body in enumerate(bodies)]


def deliver(*batches: list[dict[str, str]]) -> None:
    for batch in batches:
        with permissions.acting_as(function.handler):
            assert function.handler({"Records": batch}, None) == {"batchItemFailures": []}


def rebuild(seconds: float = 240, **event: Any) -> dict[str, Any]:
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: seconds * 1000)
    with permissions.acting_as(function.handler):
        return function.handler({"rebuild": True, **event}, context)


def stored_words(tuition: Harness, payment_id: str) -> set[str]:
    """Return the words under which the table leads to a payment, without their shard."""
    items = [SearchItem.from_raw_data(raw) for raw in tuition.tables.scan(TableName="search")["Items"]]
    own = [item.word for item in items if item.listed_at.endswith(f"#{payment_id}")]
    return {word.removeprefix("word#").rpartition("#")[0] for word in own}


def test_staff_find_a_payment_by_four_digits_an_amount_and_any_word_of_its_address(
    tuition: Harness, student: Student, admin: Student, surname: str
) -> None:
    ada = person(student, f"Ada-Grace.{surname}+school@Mail_Server.example")
    payment_id = buy(tuition, ada)["payment_id"]
    deliver(messages(payment_id))
    words = {"ada", "grace", surname, "school", "mail", "server", "example"}
    assert stored_words(tuition, payment_id) == {*words, "4242", "499"}
    for text in (
        *(surname, surname.upper(), f"grace {surname}", f"{surname} 4242", f"$499.00 {surname}", f"499 {surname}"),
        *(f"{surname}+school", f"{surname} server.example", f"{surname} 499.00"),
        *(f"499.00 USD {surname}", f"{surname} EUR\u00a0499"),  # as pages and emails write amounts
    ):
        assert search_ids(tuition, admin, q=text) == [payment_id], text
    for text in (surname[:-1], f"{surname} 4243", f"{surname} 49900", f"{surname} 499.5", f"{surname} a b c d e f"):
        assert search_ids(tuition, admin, q=text) == [], text
    assert search_ids(tuition, admin, q=surname, track="FSD") == []
    assert payment_id in search_ids(tuition, admin, q="4242", limit="100")


def test_matches_of_words_come_last_newest_first_and_no_payment_twice_also_over_pages(
    tuition: Harness, student: Student, admin: Student, surname: str
) -> None:
    tuition.freeze_time()
    payment_ids = []
    for number, address in enumerate((f"a.{surname}@x.org", f"{surname}@x.org", f"b.{surname}@x.org")):
        payment_id = buy(tuition, Student(f"{student.sub}-{number}", email=address))["payment_id"]
        tuition.advance_time(60)
        deliver(messages(payment_id))
        payment_ids.append(payment_id)
    for limit in ("1", "2", "10"):
        ids: list[str] = []
        cursor = {}
        for _ in range(8):
            page = tuition.admin(admin, "GET /api/admin/payments", query={"q": surname, "limit": limit, **cursor}).body
            ids += [payment["payment_id"] for payment in page["payments"]]
            cursor = {"cursor": page["next_cursor"]}
            if not page["next_cursor"]:
                break
        assert ids == [payment_ids[1], payment_ids[2], payment_ids[0]], limit
    assert search_ids(tuition, admin, q=f"{student.sub}-1") == [payment_ids[1]], (
        "a user who is found by id is listed once"
    )


def test_the_order_repetition_and_splitting_of_events_change_nothing(
    tuition: Harness, student: Student, surname: str
) -> None:
    payment_id = buy(tuition, person(student, f"{surname}@example.org"))["payment_id"]
    tuition.refund(student, payment_id)
    tuition.deliver_all()
    batch = messages(payment_id)
    assert len(batch) > 2
    for order in (batch[::-1], batch + batch, [batch[-1]], batch[:1]):
        deliver(*([one] for one in order))
        assert stored_words(tuition, payment_id) == {surname, "example", "org", "4242", "499"}


def test_the_card_is_a_word_also_if_it_becomes_known_after_the_money(
    tuition: Harness, student: Student, surname: str
) -> None:
    """Stripe sends the card in an event of its own. Each record's events arrive before the next one is written."""
    purchase = tuition.create(person(student, f"{surname}@example.org")).body
    tuition.pay(purchase["payment_intent_id"])
    handled = 0
    for event in tuition.new_events():
        tuition.deliver(event)
        batch = messages(purchase["payment_id"])
        deliver(batch[handled:])
        handled = len(batch)
    assert stored_words(tuition, purchase["payment_id"]) == {surname, "example", "org", "4242", "499"}


def test_a_corrected_address_replaces_the_words_of_the_old_one(
    tuition: Harness, student: Student, admin: Student, surname: str
) -> None:
    payment_id = buy(tuition, person(student, f"wrong.{surname}@example.org"))["payment_id"]
    deliver(messages(payment_id))
    route, body = "POST /api/admin/users/{user_id}/email", {"email": f"{surname}@right.example"}
    assert tuition.admin(admin, route, body, user_id=student.sub).status == 200
    assert search_ids(tuition, admin, q=f"wrong {surname}") == [], "the table lags, and the payment decides"
    batch = [one for one in messages(payment_id) if json.loads(one["body"])["detail"]["type"] == "email.corrected"]
    deliver(batch)
    assert stored_words(tuition, payment_id) == {surname, "right", "example", "4242", "499"}


# --- the end of words ---


def test_an_erasure_leaves_the_amount_alone_and_a_late_event_or_replay_brings_no_word_back(
    tuition: Harness, student: Student, surname: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = buy(tuition, person(student, f"{surname}@example.org"))["payment_id"]
    batch = messages(payment_id)
    deliver(batch)
    with running_erasures(tuition, monkeypatch) as erasures:
        erasures.finish(student)
    assert stored_words(tuition, payment_id) == {"499"}
    deliver(batch, batch[::-1])
    assert rebuild()["after"] is None
    assert stored_words(tuition, payment_id) == {"499"}
    assert surname not in json.dumps(tuition.tables.scan(TableName="search")["Items"])


@pytest.mark.parametrize("indexed", [True, False])
def test_an_event_that_was_being_stored_when_the_erasure_began_brings_no_word_back(
    tuition: Harness, student: Student, surname: str, monkeypatch: pytest.MonkeyPatch, indexed: bool
) -> None:
    """Its function has read the payment before the erasure, and writes after it."""
    payment_id = buy(tuition, person(student, f"{surname}@example.org"))["payment_id"]
    if indexed:
        deliver(messages(payment_id))
    erased: list[bool] = []

    def read_then_erase(payment_ids: list[str]) -> Any:
        items = read(payment_ids)
        if not erased:
            erased.append(True)
            token = permissions._acting.set(None)
            with running_erasures(tuition, monkeypatch) as erasures:
                erasures.finish(student)
            permissions._acting.reset(token)
        return items

    read = queries.payments_by_id
    with monkeypatch.context() as patch:
        patch.setattr(search.queries, "payments_by_id", read_then_erase)
        search.refresh(payment_id)
    assert erased
    assert stored_words(tuition, payment_id) == {"499"}


def test_the_words_of_a_payment_are_deleted_with_it_and_a_late_event_brings_none_back(
    tuition: Harness, student: Student, surname: str
) -> None:
    tuition.freeze_time(1_795_435_200)
    for table, key in (("payments", "payment_id"), ("cursors", "name")):
        tuition.empty_table(table, key)
    payment_id = bought(tuition, person(student, f"{surname}@example.org"))["payment_id"]
    batch = messages(payment_id)
    deliver(batch)
    assert surname in stored_words(tuition, payment_id)
    assert listed_and_deleted(tuition)["deleted"] == 1
    assert stored_words(tuition, payment_id) == set()
    deliver(batch)
    assert stored_words(tuition, payment_id) == set()


def test_a_copy_of_a_person_s_data_has_the_words(tuition: Harness, student: Student, surname: str) -> None:
    ada = person(student, f"{surname}@example.org")
    payment_id = buy(tuition, ada)["payment_id"]
    deliver(messages(payment_id))
    (payment,) = export(tuition, ada).body["payments"]
    assert payment["search_words"] == sorted({surname, "example", "org", "4242", "499"})


# --- rebuilds and failures ---


def test_a_rebuild_finds_every_payment_and_forgets_those_that_are_missing(
    tuition: Harness, student: Student, surname: str
) -> None:
    """After a restore of the payments: one of them was never stored in the table, and one is missing."""
    for table, key in (("payments", ("payment_id",)), ("search", ("word", "listed_at"))):
        tuition.empty_table(table, *key)
    kept = buy(tuition, Student(f"{student.sub}-1", email=f"kept.{surname}@x.org"))["payment_id"]
    lost = buy(tuition, Student(f"{student.sub}-2", email=f"lost.{surname}@x.org"))["payment_id"]
    deliver(messages(lost))
    tuition.tables.delete_item(TableName="payments", Key={"payment_id": {"S": lost}})
    report = rebuild(seconds=0)
    assert report["after"]
    for _ in range(100):
        if report["after"] is None:
            break
        report = rebuild(seconds=0, after=report["after"])
    assert report["after"] is None
    assert stored_words(tuition, kept) == {"kept", surname, "x", "org", "4242", "499"}
    assert stored_words(tuition, lost) == set()


def test_a_message_that_cannot_be_stored_is_redelivered_and_holds_up_no_other(
    tuition: Harness, student: Student, surname: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = buy(tuition, person(student, f"{surname}@example.org"))["payment_id"]
    poison = {"messageId": "poison", "body": "not JSON"}
    busy = {"messageId": "busy", "body": json.dumps({"detail-type": PAYMENT_CHANGED, "detail": {"payment_id": "p"}})}

    def refresh(name: str) -> None:
        if name == "p":
            raise Contended("busy")
        real(name)

    real = search.refresh
    monkeypatch.setattr(console_tables.search, "refresh", refresh)
    answer = function.handler({"Records": [poison, busy, *messages(payment_id)]}, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "poison"}, {"itemIdentifier": "busy"}]}
    assert surname in stored_words(tuition, payment_id)
