"""The catalog of tracks."""

import pytest

from tuition.core import catalog, money
from tuition.core.errors import UnknownTrack
from tuition.core.money import Money


def test_the_catalog_has_two_tracks_with_their_prices() -> None:
    tracks = {track.track: (track.title, track.price) for track in catalog.tracks().values()}
    assert tracks == {
        "DP": ("Data Professional", Money(49900, "usd")),
        "FSD": ("Full-Stack Developer", Money(59900, "usd")),
    }


def test_ids_are_unique_and_every_project_has_steps() -> None:
    projects = [project for track in catalog.tracks().values() for project in track.projects]
    assert len({project.project for project in projects}) == len(projects)
    for project in projects:
        assert project.steps and len({step.step for step in project.steps}) == len(project.steps)


@pytest.mark.parametrize("code", [None, "", "dp", "DP ", 5, [], {"DP": 1}, "x" * 10_000])
def test_any_other_code_is_an_unknown_track(code: object) -> None:
    with pytest.raises(UnknownTrack) as error:
        catalog.find(code)
    assert "DP, FSD" in str(error.value) and len(str(error.value)) < 120


def test_the_catalog_is_immutable() -> None:
    with pytest.raises(TypeError):
        catalog.tracks()["DP"] = catalog.find("FSD")  # type: ignore[index]


TRACK = """
[X]
title = "X"
amount = 49900
currency = "usd"
summary = "A track."
level = "Beginner"
duration = "A week"
outcomes = ["One thing"]
projects = []
"""


@pytest.mark.parametrize(
    ("correct", "wrong"),
    [
        ("amount = 49900", "amount = 499.5"),
        ('currency = "usd"', ""),
        ('summary = "A track."', ""),
        ('summary = "A track."', 'summary = " "'),
        ('outcomes = ["One thing"]', 'outcomes = "One thing"'),
        ('outcomes = ["One thing"]', "outcomes = [1]"),
        ("projects = []", 'projects = []\nquestions = [{question = "Why?"}]'),
        ("projects = []", 'projects = []\ncourse_url = "http://learn.example.org"'),
        ("projects = []", 'projects = []\ncourse_url = "https://learn.example.org/{user}"'),
        ("projects = []", "projects = []\ncourse_url = 1"),
    ],
)
def test_a_malformed_catalog_is_rejected(correct: str, wrong: str) -> None:
    assert correct in TRACK
    with pytest.raises((KeyError, TypeError)):
        catalog.parse(TRACK.replace(correct, wrong))


def test_a_track_is_sold_unless_the_file_says_otherwise() -> None:
    assert catalog.parse(TRACK)["X"].sold
    assert not catalog.parse(f"{TRACK}sold = false")["X"].sold
    with pytest.raises(TypeError):
        catalog.parse(f'{TRACK}sold = "no"')


@pytest.mark.parametrize(
    ("price", "problem"),
    [
        ((0, "usd"), "the price of X, 0.00 USD, is less than the least charge, 0.50 USD"),
        ((49, "usd"), "the price of X, 0.49 USD, is less than the least charge, 0.50 USD"),
        ((49, "jpy"), "the price of X, 49 JPY, is less than the least charge, 50 JPY"),
        ((17_499, "huf"), "the price of X, 174.99 HUF, is less than the least charge, 175.00 HUF"),
        ((-49_900, "usd"), "the price of X, -499.00 USD, is less than the least charge, 0.50 USD"),
        ((499_995, "kwd"), "the price of X, 499.995 KWD, is not a multiple of 0.010 KWD"),
        ((49_950, "isk"), "the price of X, 499.50 ISK, is not a multiple of 1.00 ISK"),
        ((49_900, "usa"), "the price of X, 499.00 USA, is in 'usa', which is no currency of Stripe's"),
        ((49_900, "USD"), "currency must be in lower case, not 'USD'"),
    ],
)
def test_a_price_that_stripe_cannot_charge_does_not_load(price: tuple[int, str], problem: str) -> None:
    with pytest.raises(ValueError) as error:
        catalog.parse(priced(*price))
    assert str(error.value) == problem


def test_a_catalog_has_one_currency_and_it_can_be_any_of_stripes() -> None:
    for currency in money.CURRENCIES:
        price = money.least_charge(currency)
        both = priced(price.amount, currency) + priced(price.amount, currency).replace("[X]", "[Y]")
        assert [track.price for track in catalog.parse(both).values()] == [price, price]
    with pytest.raises(ValueError, match="prices in eur and usd, and it must have one currency"):
        catalog.parse(TRACK + priced(49_900, "eur").replace("[X]", "[Y]"))


def priced(amount: int, currency: str) -> str:
    return TRACK.replace("49900", str(amount)).replace('"usd"', f'"{currency}"')


def test_a_step_has_an_address_if_the_catalog_says_where_the_course_is() -> None:
    assert catalog.parse(TRACK)["X"].step_url("x-1", "load") is None
    course = 'course_url = "https://learn.example.org/x/{project}#{step}"'
    assert catalog.parse(f"{TRACK}{course}")["X"].step_url("x-1", "load") == "https://learn.example.org/x/x-1#load"
