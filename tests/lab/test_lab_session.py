"""One subject in a process of its own: real ones, and processes that misbehave."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from lab_helpers import MIB, Quiet

from ebbmap.lab import heap
from ebbmap.lab.experiment import experiment
from ebbmap.lab.lineup import lineup
from ebbmap.lab.model import Report, Run, Settings, Skipped
from ebbmap.lab.session import Launch, measure
from ebbmap.lab.subjects.base import UnavailableError, installed

SMALL = Settings("fill-drain", 2000, 16)
BEGIN = """
def say(line):
    print(line, flush=True)
say('{"event":"ready","version":"9"}'); input()
say('{"event":"begin","step":"empty"}'); input()
"""


def _scripted(script: str) -> Run | Skipped:
    launch = Launch("made-up", (sys.executable, "-c", script))
    return measure(launch, SMALL, lambda step, done: None)


def _experiment(*names: str, n: int = 2000) -> tuple[Report, Quiet]:
    watcher = Quiet()
    return experiment(Settings("fill-drain", n, 128), names, [], watcher), watcher


def test_dict_keeps_its_table() -> None:
    report, watcher = _experiment("dict", "dict:recreate", n=200_000)
    left, recreated = report.runs
    assert [step.step for step in left.steps] == ["empty", "filled", "collected", "drained"]
    assert [step.entries for step in left.steps] == [0, 200_000, 200_000, 0]
    filled, drained = left.at("filled"), left.at("drained")
    assert filled.payload_bytes == 200_000 * 136
    assert filled.heap_bytes > filled.payload_bytes
    assert abs(filled.rss_bytes - filled.heap_bytes) < 4 * MIB
    assert drained.heap_bytes > 10 * MIB > MIB > recreated.at("drained").heap_bytes
    assert drained.rss_bytes > recreated.at("drained").rss_bytes + 5 * MIB
    assert drained.peak_rss_bytes > 40 * MIB
    assert all(step.peak_rss_bytes >= step.rss_bytes for step in left.steps)
    assert ("filled", 0.5) in watcher.steps
    assert left.curve[0].rss_bytes < left.curve[-1].rss_bytes


def test_a_second_process_counts_where_the_books_are_shut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "readable", lambda: False)
    report, _ = _experiment("dict")
    (run,) = report.runs
    assert [step.step for step in run.steps] == ["empty", "filled", "collected", "drained"]
    assert 2000 * (28 + 161) < run.at("filled").heap_bytes < 2000 * 400
    with lineup(SMALL, ["dict"], [], lambda chain: None) as who:
        assert who.launches[0].heap_argv is not None


def test_one_that_says_it_cannot() -> None:
    assert _scripted("""print('{"event":"skip","why":"no reason"}')""") == Skipped("made-up", "no reason")


def test_one_that_fails_is_skipped_with_its_last_words() -> None:
    outcome = _scripted(BEGIN + "raise ValueError('so it is')")
    why = "its process ended with exit code 1 in step empty: ValueError: so it is"
    assert outcome == Skipped("made-up", why)


def test_one_that_is_killed_is_skipped() -> None:
    outcome = _scripted(BEGIN + "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert outcome == Skipped("made-up", "its process was killed by SIGKILL in step empty")


def test_one_that_ends_early_is_skipped() -> None:
    assert _scripted("") == Skipped("made-up", "its process ended with exit code 0 before the first step")


def test_one_that_does_not_start_is_skipped() -> None:
    outcome = measure(Launch("none", ("/nonexistent/program",)), SMALL, lambda step, done: None)
    assert isinstance(outcome, Skipped)
    assert outcome.why.startswith("does not start: ")


def test_chatter_is_passed_over() -> None:
    end = '{"event":"end","entries":3,"heap_bytes":5,"seconds":0.5,"slowest_op_ns":7}'
    outcome = _scripted(
        BEGIN + f"""say("I am a library"); say('{end}'); input(); say('{{"event":"done"}}')"""
    )
    assert isinstance(outcome, Run)
    (step,) = outcome.steps
    assert (outcome.version, step.step, step.entries, step.payload_bytes) == ("9", "empty", 3, 3 * 24)
    assert (step.heap_bytes, step.seconds, step.slowest_op_ns) == (5, 0.5, 7)


def test_a_library_that_does_not_load_is_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "theine.py").write_text("import broken_core\n")
    report, watcher = _experiment("theine.Cache", "dict")
    skipped = Skipped("theine.Cache", "theine does not load: No module named 'broken_core'")
    assert report.skipped == [skipped]
    assert [run.subject for run in report.runs] == ["dict"]
    assert watcher.outcomes[0] == skipped


def test_a_library_that_is_not_there_is_named() -> None:
    with pytest.raises(UnavailableError, match=r"^no-such-package is not installed$"):
        installed("no_such_module", "no-such-package")


def test_ebbmap_follows_its_contents() -> None:
    report, _ = _experiment("ebbmap:inline", "ebbmap:object", n=200_000)
    inline, objects = report.runs
    for step in inline.steps:
        assert step.heap_bytes <= 1.10 * step.payload_bytes + 256 * 1024
        assert step.rss_bytes <= 1.10 * step.payload_bytes + 2 * MIB
    assert inline.at("drained").entries == 0
    assert objects.at("filled").heap_bytes > 200_000 * (28 + 161)  # the objects count, not only the table
    assert objects.at("drained").heap_bytes < MIB
    for step in objects.steps:  # CPython keeps up to some arenas, of 1 MiB, in which anything lives on
        assert abs(step.heap_bytes - step.rss_bytes) < 8 * MIB
