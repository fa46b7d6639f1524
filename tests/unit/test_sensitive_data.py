"""The scanners find each kind of sensitive data, and nothing else."""

import hashlib
import random
import uuid

import pytest

from tests.sensitive_data import card_numbers, find_personal, find_sensitive, passes_luhn
from tests.stored_data import problems, problems_of_items, problems_of_tables
from tuition.core.audit import AuditEntry, Record
from tuition.storage import mapping


def number(prefix: str, length: int) -> str:
    """Return a number of a network, made here so that no file has one."""
    body = prefix.ljust(length - 1, "7")
    return next(f"{body}{digit}" for digit in range(10) if passes_luhn(f"{body}{digit}"))


NUMBERS = [
    number(prefix, length)
    for prefix, length in (
        *(("4", 13), ("4", 16), ("4", 19), ("51", 16), ("55", 16), ("2223", 16), ("34", 15), ("37", 15)),
        *(("305", 14), ("36", 14), ("3528", 16), ("6011", 16), ("65", 16), ("62", 16), ("62", 19)),
    )
]


@pytest.mark.parametrize("card", NUMBERS)
@pytest.mark.parametrize("form", ["{}", '"number": "{}"', "card{}", "paid with {}, thanks", "x_{}_y"])
def test_a_card_number_of_each_network_is_found(card: str, form: str) -> None:
    assert card_numbers(form.format(card)) == [card]


@pytest.mark.parametrize("separator", [" ", "-"])
def test_a_card_number_in_groups_is_found(separator: str) -> None:
    card = number("4", 16)
    groups = separator.join(card[start : start + 4] for start in range(0, 16, 4))
    assert card_numbers(f"my card is {groups}.") == [groups]
    assert card_numbers(f"paid 12 {card} 34-{card}-5") == [card, card]
    amex = number("37", 15)
    groups = separator.join((amex[:4], amex[4:10], amex[10:]))
    assert card_numbers(groups) == [groups]


def test_digits_that_are_no_card_number_are_not_found() -> None:
    card = number("4", 16)
    wrong = card[:-1] + str((int(card[-1]) + 1) % 10)
    times = "1795458600000 2026-11-28T13:00:00.000Z 1795458600 2026-11-28 2026-11-29"
    for text in (wrong, times, "4" * 12, number("4", 19) + "12", "pay_qhz2k4v7t3m5xw6c2d4b7a3e"):
        assert card_numbers(text) == [], text


def test_the_digits_of_hashes_and_uuids_are_not_found() -> None:
    choose = random.Random(1)
    for one in range(5_000):
        hashed = hashlib.sha256(str(one).encode()).hexdigest()
        id_ = uuid.UUID(int=choose.getrandbits(128), version=4)
        assert card_numbers(f"{hashed} {id_} {id_.hex} key#{hashed} rr_{hashed[:20]}#") == []
    for fingerprint in ("343450847651307f", "34345084765130700f0a"):
        assert card_numbers(f'{{"fingerprint": "{fingerprint}"}} user#{fingerprint}') == []


def test_an_address_is_found_unless_it_is_the_endpoint_of_an_aws_service() -> None:
    assert find_personal("paid at https://pay.stripe.com/receipts/1") == ["a URL: https://"]
    for quote in ('"', '\\"'):
        assert find_personal(f"Read timeout on endpoint URL: {quote}http://127.0.0.1:4566/{quote}") == []


def test_a_card_number_beside_a_hash_is_found() -> None:
    card = number("4", 16)
    assert card_numbers(f"{hashlib.sha256(b'').hexdigest()} {card}") == [card]


@pytest.mark.parametrize(
    "text",
    [
        '{"email": "ada@example.org"}',
        "pi_3_secret_abc",
        "Invalid API Key provided: sk_test_12",
        "rk_live_12",
        "whsec_abc",
        "AKIA" + "Q" * 16,
        "-----BEGIN EC PRIVATE KEY-----",
        "Bearer eyJhbGciOiAiUlMyNTYi",
        "https://pay.stripe.com/receipts/x",
    ],
)
def test_each_kind_of_sensitive_data_is_found(text: str) -> None:
    assert len(find_sensitive(f"INFO {text} and more")) == 1


def test_other_texts_are_not_sensitive() -> None:
    texts = "the task_secretary asked", "a risk_test", "arn:aws:iam::000000000000:role/x", "AKIA", "eyJ"
    assert [find_sensitive(text) for text in texts] == [[]] * len(texts)


# --- where they may be ---


def test_an_address_is_found_where_none_may_be_and_accepted_where_it_may() -> None:
    assert problems("payments", [{"email": "ada@example.org", "receipt_url": "https://pay.stripe.com/x"}]) == []
    assert problems("payments", [{"track": "ada@example.org"}]) == [
        "payments.track has an email address: ada@example.org"
    ]
    entry = {"facts": {"charges": {"ada@example.org": {"receipt_url": "https://pay.stripe.com/x"}}}}
    assert problems("payments", [entry]) == ["payments.facts.charges.* has an email address: ada@example.org"]
    assert problems("log", [{"error": "no such ada@example.org"}]) != []
    assert problems("archive_records", [{"event_id": "https://example.org"}]) != []


def test_an_event_in_quarantine_may_have_urls_but_no_address_of_a_person() -> None:
    assert problems("quarantine", [{"event": '{"success_url": "https://learn.school.example/"}'}]) == []
    assert problems("quarantine", [{"event": '{"custom": "ada@example.org"}'}]) != []


def test_a_means_to_pay_is_found_in_every_attribute() -> None:
    card = number("4", 16)
    assert problems("email", [{"text": f"card {card}"}]) == [f"email.text has a card number: {card}"]
    assert problems("payments", [{"refund_requests": [{"reason": "sk_live_abc"}]}]) != []
    assert problems("event", [{"transition": {"failure": "pi_1_secret_2"}}]) != []


def test_an_undeclared_attribute_of_an_item_is_found_once() -> None:
    item = {"payment_id": {"S": "pay_1"}, "shoe_size": {"N": "44"}}
    (problem,) = problems_of_items("payments", [item, item])
    assert problem.startswith("payments.shoe_size is not declared: declare it in its model")


def test_data_planted_in_a_record_are_found_in_its_event_too() -> None:
    transition = {
        "status": {"from": None, "to": "CREATED"},
        "currency": "usd",
        "failure": "ada@example.org",
        "mood": "sad",
    }
    entry = AuditEntry("2026-11-23T18:30:00.000Z", "evt_1", "payment.created", "request")
    item = mapping.record_to_item(Record("pay_1", 1, entry, "u", "DP", transition), 1795458600).serialize()
    places = [one.partition(" ")[0] for one in problems_of_tables({"audit": [item], "payments": []})]
    assert places == [
        *("audit.transition.mood", "audit.transition.failure"),
        *("event.transition.mood", "event.transition.failure"),
    ]
