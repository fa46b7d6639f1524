"""The catalog's offers and memberships as anyone sees them, and the regions in which they are listed."""

import pytest

from tests.harness import Harness
from tests.unit.test_catalog import FOUR_TIMES, MEMBERSHIP, TRACK
from tuition import settings
from tuition.core import catalog


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog with two offers of a membership."""
    whole = catalog.parse(TRACK + FOUR_TIMES + MEMBERSHIP)
    monkeypatch.setattr(catalog, "tracks", lambda: whole.tracks)
    monkeypatch.setattr(catalog, "memberships", lambda: whole.memberships)


@pytest.mark.usefixtures("offered")
def test_an_offer_has_its_amounts_and_the_text_to_agree_to(tuition: Harness) -> None:
    body = tuition.tracks().body
    (offer,) = body["tracks"][0]["offers"]
    consent = offer.pop("consent")
    assert offer == {
        "offer": "4x",
        "kind": "installments",
        "amounts": [12475, 12475, 12475, 12475],
        "total": 49900,
        "currency": "usd",
        "every": "month",
    }
    assert (
        "499.00 USD for X in 4 payments: 124.75 USD now, then 3 times 124.75 USD, one every month." in consent["text"]
    )
    (membership,) = body["memberships"]
    assert (membership["membership"], membership["title"]) == ("ALL", "Membership")
    assert [(one["offer"], one["kind"], one["total"], one["every"]) for one in membership["offers"]] == [
        ("monthly", "membership", 4900, "month"),
        ("yearly", "membership", 49000, "year"),
    ]
    versions = {consent["version"], *(one["consent"]["version"] for one in membership["offers"])}
    assert len(versions) == 3


@pytest.mark.usefixtures("offered")
@pytest.mark.parametrize(
    ("region", "regions", "listed"),
    [("US", "US", True), ("EU", "US", False), ("EU", "US,EU", True), ("US", "EU", False)],
)
def test_offers_are_listed_only_in_the_regions_for_plans(
    tuition: Harness, monkeypatch: pytest.MonkeyPatch, region: str, regions: str, listed: bool
) -> None:
    monkeypatch.setenv("CONSUMER_REGION", region)
    monkeypatch.setenv("PLAN_REGIONS", regions)
    settings.settings.cache_clear()
    body = tuition.tracks().body
    assert [bool(track["offers"]) for track in body["tracks"]] == [listed]
    assert bool(body["memberships"]) == listed
