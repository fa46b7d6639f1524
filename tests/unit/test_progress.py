"""What an enrollment means for its projects."""

from tests.unit.test_enrollment import ENDED, GRANTS, OPEN, enrollment
from tuition.core import catalog
from tuition.core.enrollment import Enrollment
from tuition.core.progress import changes

DP = catalog.find("DP")


def what(before: Enrollment, after: Enrollment) -> list[str]:
    return [change.change for change in changes(DP, before, after)]


def test_entering_unlocks_the_first_project_and_leaves_the_others_as_they_were() -> None:
    assert what(enrollment(a=OPEN), enrollment(a=GRANTS)) == ["unlock", "restore", "restore", "restore"]


def test_leaving_locks_every_project() -> None:
    assert what(enrollment(a=GRANTS), enrollment(a=ENDED)) == ["lock"] * 4


def test_a_purchase_and_its_end_learned_in_one_step_leave_locked_entries() -> None:
    assert what(enrollment(a=OPEN), enrollment(a=ENDED)) == ["lock"] * 4


def test_what_changes_nothing_for_the_student_touches_no_project() -> None:
    assert what(enrollment(), enrollment(a=OPEN)) == []
    assert what(enrollment(a=GRANTS), enrollment(a=GRANTS, b=OPEN)) == []
    assert what(enrollment(a=ENDED), enrollment(a=ENDED, b=OPEN)) == []


def test_who_buys_again_finds_their_projects_restored() -> None:
    assert what(enrollment(a=ENDED), enrollment(a=ENDED, b=GRANTS)) == ["unlock", "restore", "restore", "restore"]


def test_a_change_names_the_project_and_its_steps() -> None:
    first = changes(DP, enrollment(), enrollment(a=GRANTS))[0]
    assert (first.project, first.steps) == ("dp-1", ("load", "clean", "describe", "present"))
