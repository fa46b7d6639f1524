"""Our signature check agrees with the `stripe` library's on valid and on damaged headers."""

import time

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from stripe_simulator.webhooks import signature as sign
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


many_examples = settings(max_examples=200, deadline=None, derandomize=True)


@pytest.mark.property
@many_examples
@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-290, 290))
def test_a_signature_from_stripe_passes_both_checks(body: str, age: int) -> None:
    at = int(time.time()) - age
    header = sign(SECRET, body.encode(), at)
    assert ours(body.encode(), header, time.time())
    assert age < 0 or theirs(body.encode(), header)


@pytest.mark.property
@many_examples
@given(st.integers(0, 400), st.sampled_from("0123456789abcdef,=vt "), st.sampled_from(["replace", "delete", "cut"]))
def test_a_damaged_header_passes_our_check_only_if_it_passes_theirs(at: int, letter: str, damage: str) -> None:
    now = int(time.time())
    header = sign(SECRET, BODY, now)
    at %= len(header)
    tail = {"replace": letter + header[at + 1 :], "delete": header[at + 1 :], "cut": ""}[damage]
    damaged = header[:at] + tail
    assert not ours(BODY, damaged, now) or theirs(BODY, damaged)


@pytest.mark.property
@many_examples
@given(st.binary(max_size=40))
def test_any_other_body_is_rejected(body: bytes) -> None:
    now = int(time.time())
    assert ours(body, sign(SECRET, BODY, now), now) is (body == BODY)


@pytest.mark.property
@many_examples
@given(st.text(max_size=60))
def test_an_arbitrary_header_is_rejected_without_an_error(header: str) -> None:
    assert not ours(BODY, header, time.time())


@pytest.mark.parametrize("age", [301, -301, 10**6])
def test_a_signature_outside_the_tolerance_is_rejected(age: int) -> None:
    now = int(time.time())
    header = sign(SECRET, BODY, now - age)
    assert not ours(BODY, header, now)
    assert age < 0 or not theirs(BODY, header)


def test_the_signature_covers_its_timestamp() -> None:
    now = int(time.time())
    header = sign(SECRET, BODY, now - 1000).replace(f"t={now - 1000}", f"t={now}")
    assert not ours(BODY, header, now) and not theirs(BODY, header)


def test_both_secrets_pass_while_a_secret_is_rolled() -> None:
    now = int(time.time())
    first, second = (sign(secret, BODY, now) for secret in ("whsec_old", SECRET))
    signature.verify(BODY, first, [SECRET, "whsec_old"], now)
    both = f"{first},{second.partition(',')[2]}"
    assert ours(BODY, both, now) and theirs(BODY, both)


def test_every_signature_is_rejected_without_a_secret() -> None:
    with pytest.raises(SignatureRefused, match="No webhook secret"):
        signature.verify(BODY, sign("", BODY, 1), [], 1)


@pytest.mark.parametrize("header", [None, "", "t=1", "v1=ab", "t=x,v1=ab", "t=1,v0=ab", "t=-1,v1=ab", "t=²,v1=ab"])
def test_a_malformed_header_is_rejected(header: str | None) -> None:
    assert not ours(BODY, header, 1)


def test_an_old_scheme_alone_is_rejected() -> None:
    now = int(time.time())
    assert not ours(BODY, sign(SECRET, BODY, now).replace("v1=", "v0="), now)
