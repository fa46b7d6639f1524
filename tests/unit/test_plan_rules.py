"""The rules of plans that begin now: settings of the school, which are refused together if a plan cannot have them."""

import re

import pytest

from tests.unit.test_catalog import FOUR_TIMES, MEMBERSHIP, TRACK
from tuition import settings
from tuition.core import catalog
from tuition.core.errors import NotConfigured
from tuition.core.plan_rules import PlanRules
from tuition.payments import offers

WEEKLY = FOUR_TIMES.replace('"4x"', '"weekly"').replace('"month"', '"week"')


@pytest.fixture(autouse=True)
def _weekly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog with an offer of weekly payments."""
    whole = catalog.parse(TRACK + FOUR_TIMES + WEEKLY + MEMBERSHIP)
    monkeypatch.setattr(catalog, "tracks", lambda: whole.tracks)
    monkeypatch.setattr(catalog, "memberships", lambda: whole.memberships)


def rules(monkeypatch: pytest.MonkeyPatch, **variables: str) -> PlanRules:
    with monkeypatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(f"PLAN_{name}", value)
        settings.settings.cache_clear()
        try:
            return offers.rules()
        finally:
            settings.settings.cache_clear()


def test_the_rules_of_the_settings_are_those_of_a_plan_that_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rules(monkeypatch) == PlanRules() == PlanRules(14, (0, 3, 7, 12), 60, 7)
    shortest = rules(monkeypatch, GRACE_DAYS="4", RETRY_DAYS="0", GIVE_UP_DAYS="5", NOTICE_DAYS="1")
    assert shortest == PlanRules(grace_days=4, retry_days=(0,), give_up_days=5, notice_days=1)
    longest = rules(monkeypatch, GRACE_DAYS="999", RETRY_DAYS="0, 1,2,3,4,5,6,7,8,998", GIVE_UP_DAYS="1000")
    assert longest == PlanRules(grace_days=999, retry_days=(*range(9), 998), give_up_days=1000)


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"RETRY_DAYS": "3,7"}, "PLAN_RETRY_DAYS is 3,7, and it must begin with 0, the day of the charge."),
        ({"RETRY_DAYS": "0,3,3"}, "PLAN_RETRY_DAYS is 0,3,3, and it must name later and later days"),
        ({"RETRY_DAYS": "0,7,3"}, "PLAN_RETRY_DAYS is 0,7,3, and it must name later and later days"),
        ({"RETRY_DAYS": "0,1,2,3,4,5,6,7,8,9,10"}, "and it must name at most 10 days."),
        ({"RETRY_DAYS": "0,14"}, "PLAN_RETRY_DAYS is 0,14, and it must end before the grace of 14 days does."),
        ({"GRACE_DAYS": "12"}, "PLAN_RETRY_DAYS is 0,3,7,12, and it must end before the grace of 12 days does."),
        ({"GRACE_DAYS": "3", "RETRY_DAYS": "0"}, "PLAN_GRACE_DAYS is 3, and it must be at least 4."),
        ({"GIVE_UP_DAYS": "14"}, "PLAN_GIVE_UP_DAYS is 14, and it must be more than the grace of 14 days"),
        ({"GIVE_UP_DAYS": "1001"}, "PLAN_GIVE_UP_DAYS is 1001, and it must be more than the grace of 14 days, and at"),
        ({"NOTICE_DAYS": "0"}, "PLAN_NOTICE_DAYS is 0, and it must be 1 to 1000."),
        ({"NOTICE_DAYS": "8"}, "PLAN_NOTICE_DAYS is 8, and it must be at most 7, for the offer weekly of every week."),
        ({"NOTICE_DAYS": "seven"}, "PLAN_NOTICE_DAYS is 'seven'"),
        ({"RETRY_DAYS": "0;3"}, "PLAN_RETRY_DAYS is '0;3'"),
    ],
)
def test_rules_that_no_plan_can_have_are_refused_with_what_to_change(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], problem: str
) -> None:
    with pytest.raises(NotConfigured, match=re.escape(problem)):
        rules(monkeypatch, **variables)
