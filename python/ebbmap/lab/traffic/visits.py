"""Visits: times and customers, side by side in a file that a measured process of any language maps.

The file holds `visits` times and then as many customers, all 64-bit integers in the machine's own order.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path

from ebbmap.lab.course import Course


@dataclass(frozen=True, slots=True)
class Visits:
    """Times in nanoseconds from the start, in order, and who came."""

    times: array[int]
    customers: array[int]
    distinct: int
    """Customers are numbers below this."""

    def write(self, file: Path) -> None:
        """Write the file; `OSError` if that can't be done."""
        with file.open("wb") as sink:
            self.times.tofile(sink)
            self.customers.tofile(sink)


def read(course: Course) -> Visits:
    """What `write` wrote."""
    times, customers = array("q"), array("q")
    with Path(course.file).open("rb") as source:
        times.fromfile(source, course.visits)
        customers.fromfile(source, course.visits)
    return Visits(times, customers, course.customers)
