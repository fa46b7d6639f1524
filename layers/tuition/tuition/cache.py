"""Values that one container keeps for a while."""

from tuition import clock


class Cache[T]:
    """Values by name that this container keeps a while."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[float, T]] = {}

    def get(self, name: str) -> T | None:
        """The value, while it is kept."""
        until, value = self._values.get(name, (0.0, None))
        return value if clock.now() < until else None

    def keep(self, name: str, value: T, seconds: float) -> T:
        """Keep a value, and answer it. Beyond a thousand of them all others are forgotten."""
        if len(self._values) > 1000:
            self._values.clear()
        self._values[name] = clock.now() + seconds, value
        return value

    def clear(self) -> None:
        """Forget every value."""
        self._values.clear()
