"""The memory of the installer between runs: the answers, ids that it chose, and the step that it reached.

The file is outside git (`.install/`) and contains no secrets. It is a convenience: a run without it reads the
parameters of the deployed stack. Each change replaces the file whole, so a stop leaves the old or the new one.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

from installer.world import Stop


class State:
    """The state of one installation. Every change is written at once."""

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            self._values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
            if not isinstance(self._values, dict):
                raise ValueError("it is not an object")
        except ValueError as error:
            raise Stop(f"{file} cannot be read: {error}. Remove it and run this again; no secret is in it.") from error

    def get(self, name: str, default: Any = None) -> Any:
        """Return a copy of a value."""
        return copy.deepcopy(self._values.get(name, default))

    def put(self, name: str, value: Any) -> None:
        """Keep a value, and write the file if it is new."""
        if self._values.get(name) == value and name in self._values:
            return
        self._values[name] = json.loads(json.dumps(value))  # a copy, so that the caller's later changes count
        self.file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.file.with_suffix(".new")
        temporary.write_text(json.dumps(self._values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(temporary, self.file)

    def remove(self) -> None:
        """Forget everything."""
        self._values = {}
        self.file.unlink(missing_ok=True)
