"""What a cache takes as `timer`: anything that gives seconds."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ebbmap import Cache


@pytest.mark.parametrize(
    "name", ["monotonic_ns", "perf_counter_ns", "process_time_ns", "thread_time_ns", "time_ns"]
)
def test_a_timer_that_counts_nanoseconds_is_refused(name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"timer must give seconds, and <built-in function {name}> shows .*: use time"
    ):
        Cache(ttl=1, timer=getattr(time, name))


@pytest.mark.parametrize("shown", [1.8e12, 1_800_000_000_000_000_000, -1e13, float("inf")])
def test_a_timer_that_shows_too_much_is_refused(shown: Any) -> None:
    with pytest.raises(ValueError, match="timer must give seconds"):
        Cache(ttl=1, timer=lambda: shown)


@pytest.mark.parametrize("timer", [time.time, time.monotonic, time.perf_counter, lambda: 0, lambda: 9e11])
def test_seconds_of_any_origin_are_taken(timer: Any) -> None:
    c = Cache(ttl=1, timer=timer)
    c[1] = 1
    assert c[1] == 1
