"""How a change of an enrollment locks and unlocks its projects."""

from tests.unit.test_enrollment import ENDED, GRANTS, OPEN, enrollment
from tuition.core import catalog
from tuition.core.enrollment import Enrollment
from tuition.core.progress import changes

DP = catalog.find("DP")


def change_kinds(before: Enrollment, after: Enrollment) -> list[str]:
    return [change.change for change in changes(DP, before, after)]


def test_enrolling_unlocks_the_first_project_and_restores_the_others() -> None:
    assert change_kinds(enrollment(a=OPEN), enrollment(a=GRANTS)) == ["unlock", "restore", "restore", "restore"]


def test_withdrawing_locks_every_project() -> None:
    assert change_kinds(enrollment(a=GRANTS), enrollment(a=ENDED)) == ["lock"] * 4


def test_a_purchase_and_its_refund_in_one_step_lock_every_project() -> None:
    assert change_kinds(enrollment(a=OPEN), enrollment(a=ENDED)) == ["lock"] * 4


def test_no_project_changes_while_the_enrollment_status_stays_the_same() -> None:
    assert change_kinds(enrollment(), enrollment(a=OPEN)) == []
    assert change_kinds(enrollment(a=GRANTS), enrollment(a=GRANTS, b=OPEN)) == []
    assert change_kinds(enrollment(a=ENDED), enrollment(a=ENDED, b=OPEN)) == []


def test_buying_again_restores_the_projects() -> None:
    rebought = enrollment(a=ENDED, b=GRANTS)
    assert change_kinds(enrollment(a=ENDED), rebought) == [
        "unlock",
        "restore",
        "restore",
        "restore",
    ]


def test_a_change_has_the_project_and_its_steps() -> None:
    first = changes(DP, enrollment(), enrollment(a=GRANTS))[0]
    assert (first.project, first.steps) == ("dp-1", ("load", "clean", "describe", "present"))
