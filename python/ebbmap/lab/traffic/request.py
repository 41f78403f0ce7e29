"""What was asked for: made arrivals, a curve from a file, or a log; and the settings that come of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ebbmap.lab import durations
from ebbmap.lab.course import SECOND, Course
from ebbmap.lab.errors import LabError
from ebbmap.lab.model import Settings, Traffic
from ebbmap.lab.printable import printable
from ebbmap.lab.traffic import curve, log, rates
from ebbmap.lab.traffic.times import UNASKED, Asked
from ebbmap.lab.traffic.visits import Visits

WINDOW = 20 * SECOND
"""How long the hour is with made arrivals."""
HOUR = 3600 * SECOND
PEAK = 1_000_000
CALM = 40
"""The top is so many times what comes when it is calm."""


@dataclass(frozen=True, slots=True)
class Request:
    """The questions of `blackfriday`; what is `None` or empty was not asked."""

    window: int | None = None
    peak: int | None = None
    base: int | None = None
    rate_file: Path | None = None
    events: tuple[Path, ...] = ()
    time: str = ""
    key: str = ""
    columns: tuple[str, ...] = ()
    """All columns of logs whose first line does not name them."""
    asked: Asked = UNASKED
    """What was said about the times of logs."""


@contextmanager
def prepared(request: Request, value_bytes: int) -> Iterator[tuple[Settings, Traffic]]:
    """Who comes, in a file that is there as long as the block lasts; `LabError` if that can't be."""
    with tempfile.TemporaryDirectory(prefix="ebbmap-lab-") as folder:
        file = Path(folder, "visits")
        ask = _replayed if request.events else _made
        n, course, visits, traffic = ask(request, str(file))
        try:
            visits.write(file)
        except OSError as error:
            raise LabError(f"can't write the visits: {error}") from None
        yield Settings("blackfriday", n, value_bytes, course), traffic


def _made(request: Request, file: str) -> tuple[int, Course, Visits, Traffic]:
    window = request.window or WINDOW
    asked = _rates(request)
    visits = curve.arrivals(window, asked)
    if not visits.times:
        raise LabError("nobody comes: --peak is too small")
    facts = {
        "peak": asked.peak,
        "base": asked.base,
        "rate_file": request.rate_file and request.rate_file.name,
        "visits": len(visits.times),
        "customers": visits.distinct,
    }
    source = (
        f"the busiest day of {printable(request.rate_file.name)}" if request.rate_file else "a day's curve"
    )
    said = (
        f"{len(visits.times):,} visits of {visits.distinct:,} customers, by {source}: up to {asked.peak:,} "
        f"new ones in a window of {durations.write(window)}, {asked.base:,} when it is calm"
    )
    return asked.peak, curve.plan(window, file, visits), visits, Traffic(said, facts)


def _rates(request: Request) -> curve.Rates:
    peak = request.peak or PEAK
    base = request.base if request.base is not None else max(1, peak // CALM)
    if base > peak:
        raise LabError(f"--base {base} is more than --peak {peak}")
    if request.rate_file is None:
        return curve.bell(peak, base)
    return curve.Rates(peak, base, rates.read(request.rate_file))


def _replayed(request: Request, file: str) -> tuple[int, Course, Visits, Traffic]:
    found = log.read(request.events, log.Columns(request.time, request.key, request.columns), request.asked)
    visits = found.visits()
    course = log.plan(request.window or HOUR, file, visits)
    origin = min(found.moments) / SECOND
    return visits.distinct, course, visits, Traffic(found.said(), found.facts(), origin)
