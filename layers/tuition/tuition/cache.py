"""A cache in the memory of one Lambda container."""

from tuition import clock

MAX_VALUES = 1000


class Cache[T]:
    """Values by name, each until it expires."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[float, T]] = {}

    def get(self, name: str) -> T | None:
        """Return the value, or None if there is none or it has expired."""
        expires_at, value = self._values.get(name, (0.0, None))
        return value if clock.now() < expires_at else None

    def keep(self, name: str, value: T, seconds: float) -> T:
        """Store a value for this many seconds and return it. A full cache is cleared first."""
        if len(self._values) > MAX_VALUES:
            self._values.clear()
        self._values[name] = clock.now() + seconds, value
        return value

    def clear(self) -> None:
        """Remove every value."""
        self._values.clear()
