"""Replays on a clock that only moves when it is told: the truth, the silence, and what counts as wrong."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab_helpers import MIB, Paper

from ebbmap.lab.bench import Bench
from ebbmap.lab.clock import Clock, LogClock
from ebbmap.lab.course import SECOND, Course
from ebbmap.lab.heap import HeapMeter
from ebbmap.lab.model import Sample, Settings
from ebbmap.lab.replay import Replay
from ebbmap.lab.scenarios import last_n
from ebbmap.lab.settle import settle_seconds
from ebbmap.lab.subjects.bounded import ByHand
from ebbmap.lab.subjects.caches import Cache, Recreated, Swept
from ebbmap.lab.traffic import curve, log
from ebbmap.lab.traffic.visits import Visits
from ebbmap.lab.truth import Truth


def _visits(came: list[tuple[int, int]]) -> Visits:
    return Visits(array("q", (at for at, _ in came)), array("q", (who for _, who in came)), 5)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4)), min_size=1, max_size=40),
    st.integers(1, 15),
    st.integers(0, 50),
)
def test_the_truth_is_what_counting_finds(steps: list[tuple[int, int]], window: int, later: int) -> None:
    at, came = 0, []
    for gap, who in steps:
        at += gap % 4
        came.append((at, who))
    truth = Truth(log.plan(window, "", _visits(came)), [who for _, who in came])
    most = 0
    for place, (now, _) in enumerate(came):
        truth.visit(now)
        last = {who: then for then, who in came[: place + 1]}
        alive = sum(now < then + window for then in last.values())
        most = max(most, alive)
        assert (truth.alive, truth.peak) == (alive, most)
    truth.advance(at + later)
    last = {who: then for then, who in came}
    assert truth.alive == sum(at + later < then + window for then in last.values())
    alive_ones = {who for who, then in last.items() if at + later < then + window}
    assert set(truth.known(100)) - alive_ones == set()
    for who in truth.gone(100):
        if truth.must_be_gone(who, at + later):
            assert who not in alive_ones


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The collector, which would take its time in a process full of tests, only notes that it ran."""
    ran: list[int] = []
    monkeypatch.setattr("ebbmap.lab.replay.gc.collect", lambda: ran.append(1))
    return ran


class Diary:
    """A cache that writes down when it is asked for what, and does it with another."""

    def __init__(self, cache: Swept) -> None:
        self._cache = cache
        self.touched: list[int] = []
        self.swept: list[int] = []
        self.recreated: list[int] = []

    def start(self, clock: Clock) -> None:
        self._now = clock.now
        self._cache.start(clock)

    def put(self, key: int, value: bytes) -> None:
        self.touched.append(self._now())
        self._cache.put(key, value)

    def get(self, key: int) -> bytes | None:
        self.touched.append(self._now())
        return self._cache.get(key)

    def held(self) -> int:
        return self._cache.held()

    def sweep(self) -> None:
        self.swept.append(self._now())
        self._cache.sweep()

    def recreate(self) -> None:
        self.recreated.append(self._now())
        self._cache.recreate()

    def heap_bytes(self, heap: HeapMeter) -> int:
        return heap()


WINDOW = 10 * SECOND


@contextmanager
def _made() -> Iterator[tuple[Course, Visits]]:
    coming = curve.arrivals(WINDOW, curve.bell(2000, 50))
    yield curve.plan(WINDOW, "", coming), coming


def _replay(cache: Cache, course: Course, coming: Visits) -> Paper:
    paper, clock = Paper(), LogClock()
    cache.start(clock)
    bench = Bench(paper, lambda: lambda: 7, value_bytes=16)
    Replay(bench, course, coming, Truth(course, coming.customers)).run(cache, clock)
    return paper


@pytest.mark.parametrize("kind", [Swept, Recreated])
def test_in_the_silence_only_the_programs_own_timers_go_on(kind: type[Swept], collected: list[int]) -> None:
    with _made() as (course, coming):
        diary = Diary(kind(course))
        paper = _replay(diary, course, coming)
    _, silence, back = course.phases
    assert [sent["step"] for sent in paper.of("begin")] == ["day", "silence", "back"]
    assert not [at for at in diary.touched if silence.start < at < silence.end]
    assert [at for at in diary.touched if at >= back.start]
    assert len([at for at in diary.swept if silence.start < at <= silence.end]) >= 23
    assert [at // WINDOW for at in diary.recreated] == [1, 2, 3]
    assert len(collected) == 1 + 36  # the first before anything is measured
    samples = paper.of("sample")
    assert len(samples) == pytest.approx(25 * 3.6, abs=4)
    assert [sample["t"] for sample in samples] == sorted(sample["t"] for sample in samples)
    after = next(sample for sample in samples if sample["t"] == silence.end / SECOND)
    assert (after["alive"], after["held"], after["done"]) == (0, 0, 1.0)
    for sample in samples:
        assert sample["alive"] <= sample["held"] <= sample["alive"] + 100  # what expired since the last sweep
    (outcome,) = paper.of("outcome")
    assert 1500 < outcome["peak_alive"] < 2000
    assert outcome["asked"] > 1000
    assert outcome["expired_returned"] == outcome["live_lost"] == 0
    assert outcome["slowest_op_ns"] > 0


class Hoarder(Swept):
    """Returns what has expired."""

    def get(self, key: int) -> bytes | None:
        entry = self._entries.get(key)
        return entry and entry[1]

    def sweep(self) -> None:
        """Keeps all."""


class Sieve(Swept):
    """Loses every third entry, and returns another's value for every third."""

    def put(self, key: int, value: bytes) -> None:
        if key % 3:
            super().put(key, value if key % 3 == 1 else b"another's")


@pytest.mark.usefixtures("collected")
def test_what_is_wrong_is_counted() -> None:
    with _made() as (course, coming):
        (kept,) = _replay(Hoarder(course), course, coming).of("outcome")
        (lost,) = _replay(Sieve(course), course, coming).of("outcome")
    assert kept["live_lost"] == lost["expired_returned"] == 0
    assert kept["expired_returned"] > 0.3 * kept["asked"]
    assert lost["live_lost"] > 0.3 * lost["asked"]


@pytest.mark.usefixtures("collected")
def test_a_log_is_replayed_to_the_end_of_its_last_customer() -> None:
    minute = 60 * SECOND
    came = _visits([(0, 0), (minute, 1), (minute, 0), (10 * minute, 2), (11 * minute, 0)])
    course = log.plan(2 * minute, "", came)
    paper = _replay(Swept(course), course, came)
    samples = paper.of("sample")
    assert samples[-1]["t"] == 13 * 60
    assert [samples[-1][name] for name in ("alive", "held")] == [0, 0]
    (outcome,) = paper.of("outcome")
    assert outcome["peak_alive"] == 2
    assert outcome["expired_returned"] == outcome["live_lost"] == 0


def _settled(held: list[tuple[float, int, int]]) -> float | None:
    samples = [Sample(t, alive, alive, 0, rss * MIB) for t, alive, rss in held]
    return settle_seconds(samples, Settings("blackfriday", 1, MIB - 8))


@pytest.mark.parametrize(
    ("held", "seconds"),
    [
        ([(0, 0, 1), (1, 50, 60), (2, 20, 30), (3, 0, 8)], 0.0),
        ([(0, 0, 1), (1, 50, 109), (2, 20, 49), (3, 0, 8)], 2.0),
        ([(0, 0, 1), (1, 50, 60), (2, 20, 49), (3, 20, 30)], 2.0),
        ([(0, 0, 1), (1, 50, 60), (2, 20, 30), (3, 0, 9)], None),
        ([(0, 0, 99), (1, 50, 60)], 0.0),
    ],
)
def test_settling_is_to_stay_below_twice_the_truth(
    held: list[tuple[float, int, int]], seconds: float | None
) -> None:
    assert _settled(held) == seconds


class Forgetful(ByHand):
    """Keeps one entry fewer than it should, and one from long ago."""

    def __init__(self, n: int) -> None:
        super().__init__({}, n)
        self.has = lambda key: key in self._mapping and key % 2


@pytest.mark.parametrize("n", [1, 10, 40_000])
def test_last_n(n: int) -> None:
    subject, paper = ByHand({}, n), Paper()
    bench = Bench(paper, lambda: lambda: 7, value_bytes=16)
    last_n.prepare(Settings("last-n", n, 16))(bench, lambda: subject)
    samples = paper.of("sample")
    assert [samples[0][name] for name in ("t", "alive", "held")] == [0.0, 0, 0]
    assert {(sample["alive"], sample["held"]) for sample in samples[1:]} == {(n, n)}
    assert samples[1]["t"] == 1.0
    assert samples[-1]["t"] == last_n.customers(n) / n >= 6
    (outcome,) = paper.of("outcome")
    assert outcome["peak_alive"] == n
    assert outcome["asked"] > 50
    assert outcome["expired_returned"] == outcome["live_lost"] == 0


def test_last_n_counts_what_is_wrong() -> None:
    paper = Paper()
    bench = Bench(paper, lambda: lambda: 7, value_bytes=16)
    last_n.prepare(Settings("last-n", 1000, 16))(bench, lambda: Forgetful(1000))
    (outcome,) = paper.of("outcome")
    assert outcome["live_lost"] > 0.2 * outcome["asked"]


class Slow(Swept):
    """Takes its time for one entry: the clock goes on meanwhile."""

    def start(self, clock: Clock) -> None:
        super().start(clock)
        self._clock = clock

    def put(self, key: int, value: bytes) -> None:
        super().put(key, value)
        if key == 1500:
            assert isinstance(self._clock, Paced)
            self._clock.lag(15 * SECOND)


class Paced(Clock):
    """A wall clock on which nothing but waiting takes time, and what lags."""

    def __init__(self) -> None:
        self._now = 0

    def now(self) -> int:
        return self._now

    def wait(self, until: int) -> None:
        self._now = max(self._now, until)

    def lag(self, time: int) -> None:
        self._now += time


@pytest.mark.usefixtures("collected")
def test_who_falls_behind_has_his_silence_all_the_same() -> None:
    with _made() as (course, coming):
        diary, paper, clock = Diary(Slow(course)), Paper(), Paced()
        diary.start(clock)
        bench = Bench(paper, lambda: lambda: 7, value_bytes=16)
        Replay(bench, course, coming, Truth(course, coming.customers)).run(diary, clock)
    (outcome,) = paper.of("outcome")
    assert outcome["late_ns"] > 14 * SECOND
    ends: dict[str, float] = {}
    phase = ""
    for sent in paper.sent:
        phase = sent.get("step", phase)
        ends[phase] = sent.get("t", 0) * SECOND or ends.get(phase, 0)
    begun, over = ends["day"], ends["silence"]
    assert begun > course.phases[0].end + 3 * SECOND
    assert over - begun == pytest.approx(1.2 * WINDOW)
    assert not [at for at in diary.touched if begun < at < over]
    assert [sample["alive"] for sample in paper.of("sample") if sample["t"] * SECOND == over] == [0]
    assert outcome["expired_returned"] == outcome["live_lost"] == 0
