"""Inside the measured process: customers come by the clock, and a cache is asked whether it knows them."""

from __future__ import annotations

import gc
from bisect import bisect_left
from collections.abc import Callable
from time import perf_counter_ns

from ebbmap.lab.bench import Bench
from ebbmap.lab.clock import Clock
from ebbmap.lab.course import PROBES, SECOND, Course, Phase
from ebbmap.lab.subjects.caches import Cache
from ebbmap.lab.traffic.visits import Visits
from ebbmap.lab.truth import Truth

COLLECTIONS = 10
"""How often the collector runs in a window: every six minutes of the hour, whether customers come or not."""


class Replay:
    """One cache's way through a course; `visits` and `truth` are made before the process is measured."""

    def __init__(self, bench: Bench, course: Course, visits: Visits, truth: Truth) -> None:
        self._bench = bench
        self._course = course
        self._visits = visits
        self._truth = truth
        self._slowest = self._late = 0
        self._behind = 0  # a phase that begins late is not cut short: a silence stays one
        self._asked = self._expired_returned = self._live_lost = 0
        self._sample_due = 0
        self._sweep_due = course.sweep
        self._recreate_due = course.window
        self._collect_due = course.window // COLLECTIONS

    def run(self, cache: Cache, clock: Clock) -> None:
        """Go through all phases and report."""
        self._cache, self._clock = cache, clock
        for phase in self._course.phases:
            self._bench.phase(phase.name)
            self._go_through(phase)
        self._bench.finish(
            peak_alive=self._truth.peak,
            slowest_op_ns=self._slowest,
            asked=self._asked,
            expired_returned=self._expired_returned,
            live_lost=self._live_lost,
            late_ns=self._late,
        )

    def _go_through(self, phase: Phase) -> None:
        self._behind = max(self._behind, self._clock.now() - phase.start)
        now = phase.start
        while now < phase.end:
            now = min(now + self._course.beat, phase.end)
            self._serve(now)
            self._clock.wait(now + self._behind)
            self._late = max(self._late, self._clock.now() - now)
            self._keep_house()
            if now >= self._sample_due or now == phase.end:
                self._sample_due += self._course.sample
                self._sample(phase)

    def _serve(self, until: int) -> None:
        """Let all come who are to come before then."""
        times, customers = self._visits.times, self._visits.customers
        truth, visit, now = self._truth, self._clock.visit, self._clock.now
        put, value, slowest = self._cache.put, self._bench.value, 0
        for at in range(truth.visits, bisect_left(times, until, truth.visits)):
            visit(times[at])
            if (moment := now()) >= self._sweep_due:
                self._keep_house()
            customer = customers[at]
            fresh = value(customer)
            truth.visit(moment)
            start = perf_counter_ns()
            put(customer, fresh)
            took = perf_counter_ns() - start
            if took > slowest:
                slowest = took
        self._slowest = max(self._slowest, slowest)

    def _keep_house(self) -> None:
        """What a program does every few minutes of the hour, and every hour; and the collector between."""
        now = self._clock.now()
        if now >= self._sweep_due:
            self._sweep_due = now + self._course.sweep
            self._note(self._cache.sweep)
        if now >= self._recreate_due:
            self._recreate_due = now + self._course.window
            self._note(self._cache.recreate)
        if now >= self._collect_due and not self._course.replayed:
            self._collect_due = now + self._course.window // COLLECTIONS
            gc.collect()

    def _sample(self, phase: Phase) -> None:
        now = self._clock.now()
        self._truth.advance(now)
        if self._course.replayed:  # much time may pass between two rows
            self._note(self._cache.sweep)
            gc.collect()
        done = (now - self._behind - phase.start) / max(1, phase.end - phase.start)
        self._bench.sample(self._cache, now / SECOND, self._truth.alive, min(1.0, done))
        if phase.touched:
            self._probe()

    def _probe(self) -> None:
        """Ask for entries that are there for sure, and for some that can't be."""
        self._probe_known()
        self._probe_gone()

    def _probe_known(self) -> None:
        truth, now = self._truth, self._clock.now
        for customer in truth.known(PROBES):
            found = self._get(customer)
            if truth.must_be_there(customer, asked=now()):
                self._asked += 1
                self._live_lost += found != self._bench.value(customer)

    def _probe_gone(self) -> None:
        truth, now = self._truth, self._clock.now
        for customer in truth.gone(PROBES):
            asking = now()
            found = self._get(customer)
            if truth.must_be_gone(customer, asking):
                self._asked += 1
                self._expired_returned += found is not None

    def _get(self, customer: int) -> bytes | None:
        get, start = self._cache.get, perf_counter_ns()
        found = get(customer)
        self._slowest = max(self._slowest, perf_counter_ns() - start)
        return found

    def _note(self, act: Callable[[], None]) -> None:
        start = perf_counter_ns()
        act()
        self._slowest = max(self._slowest, perf_counter_ns() - start)
