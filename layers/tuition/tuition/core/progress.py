"""How a change of an enrollment changes the projects of its track.

The ledger locks and unlocks projects. Only the curriculum writes whether a step is done.
"""

from typing import Literal, NamedTuple

from tuition.core.catalog import Track
from tuition.core.enrollment import Enrollment

Change = Literal["unlock", "restore", "lock"]


class ProjectChange(NamedTuple):
    """A change of one project.

    `unlock` opens it. `lock` saves its state, then locks it. `restore` brings the saved state back; without one, the
    project is locked.
    """

    project: str
    steps: tuple[str, ...]
    change: Change


def changes(track: Track, before: Enrollment, after: Enrollment) -> list[ProjectChange]:
    """Return how each project changes when the enrollment changes from `before` to `after`. Often empty.

    Gaining access unlocks the first project and restores the others. Losing access locks all of them. If a purchase and
    its end become known at the same time, the projects are created locked.
    """
    entered = after.status == "ENROLLED"
    if (before.status == "ENROLLED") == entered and before.granted == after.granted:
        return []
    result: list[ProjectChange] = []
    for position, project in enumerate(track.projects):
        change: Change = "lock" if not entered else "unlock" if position == 0 else "restore"
        result.append(ProjectChange(project.project, tuple(step.step for step in project.steps), change))
    return result
