"""An erasure as the student and staff see it."""

from typing import Any

from tuition.core.erasure import Erasure


def for_student(erasure: Erasure) -> dict[str, Any]:
    """Return when an erasure was requested, and when it will be done or was done."""
    return {"erasure": {name: getattr(erasure, name) for name in ("state", "requested_at", "due_at", "erased_at")}}


def for_staff(erasure: Erasure) -> dict[str, Any]:
    """Return the same with who requested it, and why."""
    names = ("state", "requested_at", "due_at", "by", "note", "sign_in_ended_at", "erased_at")
    return {name: getattr(erasure, name) for name in names}
