"""The clock that a run goes by: the wall's, or that of the log that is replayed."""

from __future__ import annotations

from time import monotonic_ns, sleep

from ebbmap.lab.course import SECOND


class Clock:
    """Nanoseconds from the start of the run."""

    def now(self) -> int:
        raise NotImplementedError

    def seconds(self) -> float:
        """The same as caches want it from a `timer`."""
        return self.now() / SECOND

    def wait(self, until: int) -> None:
        """Come back when it is `until`, or later."""
        raise NotImplementedError

    def visit(self, at: int) -> None:
        """A visit that the log has at `at` is about to happen."""


class WallClock(Clock):
    """Time goes by, whatever anybody does."""

    def __init__(self) -> None:
        self._start = monotonic_ns()

    def now(self) -> int:
        return monotonic_ns() - self._start

    def wait(self, until: int) -> None:
        early = until - self.now()
        if early > 0:
            sleep(early / SECOND)


class LogClock(Clock):
    """Time is what the log says, and goes by as fast as it is read."""

    def __init__(self) -> None:
        self._now = 0

    def now(self) -> int:
        return self._now

    def wait(self, until: int) -> None:
        self._now = until

    def visit(self, at: int) -> None:
        self._now = at
