"""The texts that staff may write: tags, and the evidence for a dispute."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.test_payment import PAID, payment
from tuition.core import catalog, evidence, notes
from tuition.core.errors import Unprocessable
from tuition.core.refund_request import STATES


@pytest.mark.parametrize(
    "tags",
    [
        *("vip", ["<b>"], [""], [1], ["x" * 31], [str(number) for number in range(11)]),
        *(["a\x00"], ["\ud800"], ["\u202evip"], ["vi\u200bp"], ["\u0301vip"]),
    ],
)
def test_a_tag_is_a_short_plain_text(tags: Any) -> None:
    with pytest.raises(Unprocessable) as refused:
        notes.tags(tags, "add")
    assert refused.value.field == "add"


def test_a_tag_can_have_letters_of_every_script_and_two_spellings_of_it_are_one() -> None:
    hindi = "\u0939\u093f\u0928\u094d\u0926\u0940"
    assert notes.tags(["Cafe\u0301 ", "caf\xe9", hindi], "add") == {"caf\xe9", hindi}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"receipt": "file_1"}, "fields"),
        ({"service_date": 1}, "service_date"),
        ({"service_date": "\ud800"}, "service_date"),
        ({"service_date": "\x00"}, "service_date"),
        ({"service_date": "paid \u202e000,1\u202c"}, "service_date"),
        ({"service_date": "x" * (evidence.MAX_FIELD_LENGTH + 1)}, "service_date"),
        (dict.fromkeys(evidence.FIELDS, "x" * evidence.MAX_FIELD_LENGTH), "fields"),
        ([], "fields"),
    ],
)
def test_evidence_that_stripe_does_not_take_is_refused(fields: Any, field: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        evidence.checked(fields)
    assert refused.value.field == field


def test_our_records_give_evidence_that_can_be_sent_whatever_the_student_s_address_has() -> None:
    paid = replace(payment(PAID), email="a\u202eb@example.org")
    draft = evidence.assembled(paid, catalog.tracks()["DP"], [], [], [])
    assert draft["customer_email_address"] == "ab@example.org"


def test_evidence_has_words_for_each_state_of_a_refund_request() -> None:
    assert set(evidence.REQUEST_STATES) == set(STATES)
