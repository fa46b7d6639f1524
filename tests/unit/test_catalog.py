"""The catalog of tracks."""

import tomllib
from pathlib import Path

import pytest

from tuition.core import catalog, money
from tuition.core.errors import UnknownTrack
from tuition.core.money import Money
from tuition.core.offers import PlanOffer


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
    assert catalog.parse(TRACK).tracks["X"].sold
    assert not catalog.parse(f"{TRACK}sold = false").tracks["X"].sold
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
        assert [track.price for track in catalog.parse(both).tracks.values()] == [price, price]
    with pytest.raises(ValueError, match="prices in eur and usd, and it must have one currency"):
        catalog.parse(TRACK + priced(49_900, "eur").replace("[X]", "[Y]"))


def priced(amount: int, currency: str) -> str:
    return TRACK.replace("49900", str(amount)).replace('"usd"', f'"{currency}"')


def test_a_step_has_an_address_if_the_catalog_says_where_the_course_is() -> None:
    assert catalog.parse(TRACK).tracks["X"].step_url("x-1", "load") is None
    course = 'course_url = "https://learn.example.org/x/{project}#{step}"'
    assert (
        catalog.parse(f"{TRACK}{course}").tracks["X"].step_url("x-1", "load") == "https://learn.example.org/x/x-1#load"
    )


# --- offers and memberships ---

FOUR_TIMES = """
[[X.offers]]
offer = "4x"
amounts = [12475, 12475, 12475, 12475]
every = "month"
"""
MONTHLY = '12475]\nevery = "month"\n'
MEMBERSHIP = """
[memberships.ALL]
title = "Membership"
summary = "Begin any track."
currency = "usd"

[[memberships.ALL.offers]]
offer = "monthly"
amounts = [4900]
every = "month"

[[memberships.ALL.offers]]
offer = "yearly"
amounts = [49000]
every = "year"
"""


def test_the_shipped_catalog_offers_four_monthly_payments_of_each_track_and_a_membership() -> None:
    offers = {code: track.offers for code, track in catalog.tracks().items()}
    assert offers == {
        "DP": (PlanOffer("4x", (12475,) * 4, "usd", "month"),),
        "FSD": (PlanOffer("4x", (14975,) * 4, "usd", "month"),),
    }
    (membership,) = catalog.memberships().values()
    assert membership.offers == (PlanOffer("monthly", (4900,), "usd", "month", endless=True),)


def test_a_track_has_offers_and_a_membership_is_beside_the_tracks() -> None:
    whole = catalog.parse(TRACK + FOUR_TIMES + MEMBERSHIP)
    assert list(whole.tracks) == ["X"]
    assert whole.tracks["X"].offers == (PlanOffer("4x", (12475,) * 4, "usd", "month"),)
    assert [(one.kind, one.total) for one in whole.tracks["X"].offers] == [("installments", Money(49_900, "usd"))]
    membership = whole.memberships["ALL"]
    assert (membership.title, membership.summary, membership.sold) == ("Membership", "Begin any track.", True)
    assert [(one.offer, one.kind, one.total, one.every) for one in membership.offers] == [
        ("monthly", "membership", Money(4_900, "usd"), "month"),
        ("yearly", "membership", Money(49_000, "usd"), "year"),
    ]
    assert catalog.parse(TRACK).tracks["X"].offers == ()


@pytest.mark.parametrize(
    ("correct", "wrong", "problem"),
    [
        ("12475]", "12474]", "the amounts of the offer 4x of X add up to 498.99 USD, and not to 499.00 USD"),
        ("[12475, 12475, 12475, 12475]", "[49900]", "the offer 4x of X must have 2 to 4 amounts, not 1"),
        ("[12475, 12475, 12475, 12475]", "[9980, 9980, 9980, 9980, 9980]", "must have 2 to 4 amounts, not 5"),
        ("[12475, 12475, 12475, 12475]", "[]", "must have 2 to 4 amounts, not 0"),
        ("[12475, 12475, 12475, 12475]", "[49900, 0]", "amount 2 of the offer 4x of X, 0.00 USD, is less than the"),
        ("[12475, 12475, 12475, 12475]", "[49, 49851]", "0.49 USD, is less than the least charge, 0.50 USD"),
        ("[12475, 12475, 12475, 12475]", "[50000, -100]", "-1.00 USD, is less than the least charge, 0.50 USD"),
        ("[12475, 12475, 12475, 12475]", "[24950.0, 24950.0]", "amount must be an int in minor units"),
        ("[12475, 12475, 12475, 12475]", "12475", "the amounts of the offer 4x of X must be a list"),
        (
            MONTHLY,
            MONTHLY.replace("month", "day"),
            "every of the offer 4x of X must be week or 2 weeks or month, and not 'day'",
        ),
        (MONTHLY, MONTHLY.replace("month", "year"), "must be week or 2 weeks or month, and not 'year'"),
        (MONTHLY, f"{MONTHLY}fee = 100\n", "an offer of X has the field fee, which is unknown"),
        ('"4x"', '"full"', "an offer of X cannot have the name 'full'"),
        ('"4x"', '"4 x"', "an offer of X cannot have the name '4 x'"),
        ('"4x"', "4", "an offer of X cannot have the name 4"),
        (FOUR_TIMES, FOUR_TIMES * 2, "X has two offers with the name 4x"),
        (FOUR_TIMES, "offers = 4", "the offers of X must be a list of tables"),
        ("[4900]", "[4900, 4900]", "the offer monthly of ALL must have one amount, that of every month"),
        ("[4900]", "[10]", "amount 1 of the offer monthly of ALL, 0.10 USD, is less than the least charge, 0.50 USD"),
        ('"year"', '"week"', "every of the offer yearly of ALL must be month or year, and not 'week'"),
        ('"yearly"', '"monthly"', "ALL has two offers with the name monthly"),
        ('currency = "usd"\n\n[[', 'currency = "eur"\n\n[[', "prices in eur and usd, and it must have one currency"),
        ("memberships.ALL", "memberships.X", "a track and a membership have the code X"),
    ],
)
def test_a_wrong_offer_does_not_load_and_the_error_names_it(correct: str, wrong: str, problem: str) -> None:
    whole = TRACK + FOUR_TIMES + MEMBERSHIP
    assert correct in whole
    with pytest.raises((TypeError, ValueError)) as error:
        catalog.parse(whole.replace(correct, wrong))
    assert problem in str(error.value)


def test_installments_load_in_every_currency_on_its_step() -> None:
    for currency in money.CURRENCIES:
        part = money.least_charge(currency).amount
        amounts = FOUR_TIMES.replace("12475", str(part)).replace("[X", "[Y")
        offers = catalog.parse(priced(4 * part, currency).replace("[X", "[Y") + amounts).tracks["Y"].offers
        assert offers[0].payments == [Money(part, currency)] * 4


def test_the_documented_offers_are_those_of_the_shipped_catalog() -> None:
    root = Path(__file__).parents[2]
    operations = (root / "docs" / "operations.md").read_text(encoding="utf-8")
    documented = tomllib.loads(operations.partition("```toml\n")[2].partition("```")[0])
    shipped = tomllib.loads((Path(catalog.__file__).parent / "catalog.toml").read_text(encoding="utf-8"))
    assert documented["DP"]["offers"] == shipped["DP"]["offers"]
    assert documented["memberships"] == shipped["memberships"]
