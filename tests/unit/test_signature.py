"""Our own check of Stripe's signature says what `stripe`'s says, of valid and of damaged headers."""

import time

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from stripe_simulator.webhooks import signature as signed
from tuition.core import signature
from tuition.core.errors import SignatureRefused

SECRET = "whsec_test"
BODY = b'{"id":"evt_1"}'


def ours(body: bytes, header: str | None, now: float) -> bool:
    try:
        signature.verify(body, header, [SECRET], now)
    except SignatureRefused:
        return False
    return True


def theirs(body: bytes, header: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body.decode(), header, SECRET, signature.TOLERANCE_S)
    except (stripe.SignatureVerificationError, ValueError):
        return False
    return True


searched = settings(max_examples=200, deadline=None, derandomize=True)


@pytest.mark.property
@searched
@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-290, 290))
def test_what_stripe_signed_passes_both(body: str, age: int) -> None:
    at = int(time.time()) - age
    header = signed(SECRET, body.encode(), at)
    assert ours(body.encode(), header, time.time())
    assert age < 0 or theirs(body.encode(), header)


@pytest.mark.property
@searched
@given(st.integers(0, 400), st.sampled_from("0123456789abcdef,=vt "), st.sampled_from(["put", "drop", "cut"]))
def test_a_damaged_header_passes_ours_only_if_it_passes_theirs(at: int, letter: str, how: str) -> None:
    now = int(time.time())
    header = signed(SECRET, BODY, now)
    at %= len(header)
    tail = {"put": letter + header[at + 1 :], "drop": header[at + 1 :], "cut": ""}[how]
    damaged = header[:at] + tail
    assert not ours(BODY, damaged, now) or theirs(BODY, damaged)


@pytest.mark.property
@searched
@given(st.binary(max_size=40))
def test_any_other_body_is_refused(body: bytes) -> None:
    now = int(time.time())
    assert ours(body, signed(SECRET, BODY, now), now) is (body == BODY)


@pytest.mark.property
@searched
@given(st.text(max_size=60))
def test_a_header_of_anything_is_refused_and_never_breaks(header: str) -> None:
    assert not ours(BODY, header, time.time())


@pytest.mark.parametrize("age", [301, -301, 10**6])
def test_a_signature_of_another_time_is_a_replay(age: int) -> None:
    now = int(time.time())
    header = signed(SECRET, BODY, now - age)
    assert not ours(BODY, header, now)
    assert age < 0 or not theirs(BODY, header)


def test_the_time_is_part_of_what_is_signed() -> None:
    now = int(time.time())
    header = signed(SECRET, BODY, now - 1000).replace(f"t={now - 1000}", f"t={now}")
    assert not ours(BODY, header, now) and not theirs(BODY, header)


def test_while_a_secret_is_rolled_either_passes() -> None:
    now = int(time.time())
    first, second = (signed(secret, BODY, now) for secret in ("whsec_old", SECRET))
    signature.verify(BODY, first, [SECRET, "whsec_old"], now)
    both = f"{first},{second.partition(',')[2]}"
    assert ours(BODY, both, now) and theirs(BODY, both)


def test_no_secret_is_closed_and_never_unsigned_is_fine() -> None:
    with pytest.raises(SignatureRefused, match="no webhook secret"):
        signature.verify(BODY, signed("", BODY, 1), [], 1)


@pytest.mark.parametrize("header", [None, "", "t=1", "v1=ab", "t=x,v1=ab", "t=1,v0=ab", "t=-1,v1=ab", "t=²,v1=ab"])
def test_a_header_that_is_not_stripes_form_is_refused(header: str | None) -> None:
    assert not ours(BODY, header, 1)


def test_an_old_scheme_alone_does_not_pass() -> None:
    now = int(time.time())
    assert not ours(BODY, signed(SECRET, BODY, now).replace("v1=", "v0="), now)
