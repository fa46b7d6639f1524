"""The catalog of tracks."""

import pytest

from tuition.core import catalog
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
amount = 4
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
        ("amount = 4", "amount = 4.5"),
        ('currency = "usd"', ""),
        ('summary = "A track."', ""),
        ('summary = "A track."', 'summary = " "'),
        ('outcomes = ["One thing"]', 'outcomes = "One thing"'),
        ('outcomes = ["One thing"]', "outcomes = [1]"),
        ("projects = []", 'projects = []\nquestions = [{question = "Why?"}]'),
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
