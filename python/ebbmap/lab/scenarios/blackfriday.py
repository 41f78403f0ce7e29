"""The last hour of customers, through a peak and back; or a real log of customers."""

from __future__ import annotations

from collections.abc import Callable

from ebbmap.lab.bench import Bench
from ebbmap.lab.clock import LogClock, WallClock
from ebbmap.lab.model import Settings
from ebbmap.lab.replay import Replay
from ebbmap.lab.scenarios.base import Drive, Scenario
from ebbmap.lab.subjects import CACHES, GO, TIMED, caches
from ebbmap.lab.subjects.caches import Cache
from ebbmap.lab.traffic import visits
from ebbmap.lab.truth import Truth


def prepare(settings: Settings) -> Drive:
    """Read the visits; what is driven then is the course of the settings, phase by phase."""
    course = caches.course(settings)
    coming = visits.read(course)
    truth = Truth(course, coming.customers)

    def drive(bench: Bench, make: Callable[[], Cache]) -> None:
        clock = LogClock() if course.replayed else WallClock()
        cache = make()
        cache.start(clock)
        Replay(bench, course, coming, truth).run(cache, clock)

    return drive


USUAL = (
    "go:inline",
    "go:recreate",
    "dict",
    "dict:recreate",
    "cachetools.TTLCache",
    "cachebox.TTLCache",
    "cachebox.TTLCache:sweep",
    "theine.Cache",
    "moka_py.Moka",
    "ebbmap:cache:object",
    "ebbmap:cache",
)
SCENARIO = Scenario(
    "blackfriday",
    "the last hour of customers, scaled down: a day with a peak, a silence in which nobody asks the caches "
    "for anything, and a few customers again; or a log of real ones (--events)",
    prepare,
    CACHES,
    GO,
    USUAL,
    timed=TIMED,
)
