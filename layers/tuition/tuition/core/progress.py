"""What an enrollment means for the projects of its track.

The ledger locks and unlocks; `done` of a step is the curriculum's to write and is never touched here.
"""

from dataclasses import dataclass
from typing import Literal

from tuition.core.catalog import Track
from tuition.core.enrollment import Enrollment

Change = Literal["unlock", "restore", "lock"]


@dataclass(frozen=True)
class ProjectChange:
    """`unlock`: open it. `restore`: as it was before it was locked, or locked. `lock`: remember, and lock."""

    project: str
    steps: tuple[str, ...]
    change: Change


def changes(track: Track, before: Enrollment, after: Enrollment) -> list[ProjectChange]:
    """What happens to each project when the enrollment goes from `before` to `after`: often nothing.

    Entering unlocks the first project and restores the others; leaving locks all. A user whose purchase and
    its end are learned in one step gets the entries too, locked.
    """
    entered = after.status == "ENROLLED"
    if (before.status == "ENROLLED") == entered and before.granted == after.granted:
        return []
    found: list[ProjectChange] = []
    for position, project in enumerate(track.projects):
        change: Change = "lock" if not entered else "unlock" if position == 0 else "restore"
        found.append(ProjectChange(project.project, tuple(step.step for step in project.steps), change))
    return found
