"""Which projects of a track are locked and unlocked when an enrollment changes.

The ledger locks and unlocks projects. The curriculum system marks steps as `done`, which is never changed here.
"""

from dataclasses import dataclass
from typing import Literal

from tuition.core.catalog import Track
from tuition.core.enrollment import Enrollment

Change = Literal["unlock", "restore", "lock"]


@dataclass(frozen=True)
class ProjectChange:
    """The change of one project.

    `unlock` opens it, `restore` undoes its last `lock`, and `lock` remembers whether it was unlocked, then locks it.
    """

    project: str
    steps: tuple[str, ...]
    change: Change


def changes(track: Track, before: Enrollment, after: Enrollment) -> list[ProjectChange]:
    """Return what happens to each project when an enrollment changes from `before` to `after`; often nothing.

    Enrolling unlocks the first project and restores the others; withdrawing locks them all. If the purchase and its
    end become known in one step, the entries are created locked.
    """
    entered = after.status == "ENROLLED"
    if (before.status == "ENROLLED") == entered and before.granted == after.granted:
        return []
    changes: list[ProjectChange] = []
    for position, project in enumerate(track.projects):
        change: Change = "lock" if not entered else "unlock" if position == 0 else "restore"
        changes.append(ProjectChange(project.project, tuple(step.step for step in project.steps), change))
    return changes
