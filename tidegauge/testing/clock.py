"""A clock that is set by hand."""

from tidegauge.domain import Micros


class ManualClock:
    """Stands still until it is told otherwise. Microseconds since the epoch, UTC."""

    def __init__(self, now: Micros = 1_767_225_600_000_000) -> None:
        """`now`: 2026-01-01T00:00:00Z unless given."""
        self._now = now

    def now(self) -> Micros:
        return self._now

    def set(self, now: Micros) -> None:
        self._now = now

    def advance(self, by: Micros) -> Micros:
        """Moves on, or back where negative; the new time."""
        self._now += by
        return self._now
