"""The model: which customers are alive, by the rules alone and without a cache."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from ebbmap.lab.course import Course


class Truth:
    """Who came when, and who is alive: those who came less than a window ago.

    Its arrays are made in full at the start, so that it takes no memory while a cache is measured. Each visit
    costs O(1), amortized.
    """

    def __init__(self, course: Course, customers: Sequence[int]) -> None:
        self._window = course.window
        self._margin = course.margin
        self._replayed = course.replayed
        self._customers = customers
        self._at = array("q", bytes(8 * course.visits))
        self._last = array("q", [-1]) * course.customers
        self._first = 0  # visits before this one are a window or longer ago
        self.visits = 0
        self.alive = 0
        self.peak = 0

    def visit(self, now: int) -> None:
        """The next customer comes."""
        self.advance(now)
        visit, last = self.visits, self._last
        customer = self._customers[visit]
        if last[customer] < self._first:
            self.alive += 1
            if self.alive > self.peak:
                self.peak = self.alive
        last[customer] = visit
        self._at[visit] = now
        self.visits = visit + 1

    def advance(self, now: int) -> None:
        """Time goes by."""
        first, over = self._first, now - self._window
        while first < self.visits and self._at[first] <= over:
            if self._last[self._customers[first]] == first:
                self.alive -= 1
            first += 1
        self._first = first

    def known(self, most: int) -> list[int]:
        """Up to `most` customers spread over those of the last window."""
        return self._spread(self._first, self.visits, most)

    def gone(self, most: int) -> list[int]:
        """Up to `most` customers spread over as many visits before the last window."""
        many = max(self.visits - self._first, 10 * most)
        return self._spread(max(0, self._first - many), self._first, most)

    def must_be_there(self, customer: int, asked: int) -> bool:
        """Whether the customer was alive for sure when the answer came, at `asked`."""
        at = self._at[self._last[customer]]
        return asked < at + self._window - self._margin

    def must_be_gone(self, customer: int, asking: int) -> bool:
        """Whether the customer had expired for sure when the question was put, at `asking`."""
        after = self._last[customer] + (0 if self._replayed else 1)
        # Where nobody came since, it is not known when that visit was over.
        return after != self.visits and asking > self._at[after] + self._window + self._margin

    def _spread(self, start: int, end: int, most: int) -> list[int]:
        step = max(1, (end - start) // most)
        return [self._customers[place] for place in range(start, end, step)][:most]
