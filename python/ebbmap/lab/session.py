"""Runs one subject in a process of its own and measures that process between and during the steps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import IO, Any

from ebbmap.lab.course import SECOND
from ebbmap.lab.model import Answers, Outcome, Point, Run, Sample, Settings, Skipped, Step
from ebbmap.lab.probe import Probe, watch
from ebbmap.lab.settle import settle_seconds

Progress = Callable[[str, float], None]
"""Told the step under way and the part of it that is done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A subject and the command that runs it; with `heap_argv`, a second one that only counts its heap."""

    subject: str
    argv: tuple[str, ...]
    heap_argv: tuple[str, ...] | None = None
    toolchain: str = ""


def measure(launch: Launch, settings: Settings, progress: Progress) -> Run | Skipped:
    """Take the subject through its scenario; one that can't run, or dies, is skipped with the reason."""
    run = _run(launch.subject, launch.argv, settings, progress)
    if launch.heap_argv is None or isinstance(run, Skipped):
        return run
    counted = _run(launch.subject, launch.heap_argv, settings, progress)
    if isinstance(counted, Skipped):
        return counted
    steps = zip(run.steps, counted.steps, strict=True)
    run.steps = [replace(timed, heap_bytes=other.heap_bytes) for timed, other in steps]
    if run.outcome and counted.outcome:
        samples = zip(run.outcome.samples, counted.outcome.samples, strict=True)
        counts = [replace(timed, heap_bytes=other.heap_bytes) for timed, other in samples]
        run.outcome = replace(run.outcome, samples=counts)
    return run


def _run(subject: str, argv: tuple[str, ...], settings: Settings, progress: Progress) -> Run | Skipped:
    with tempfile.TemporaryFile() as errors:
        pipe = subprocess.PIPE
        try:
            process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=errors, start_new_session=True)
        except OSError as error:
            return Skipped(subject, f"does not start: {error}")
        with process:
            try:
                return _Session(process, subject, settings, progress).follow(errors)
            finally:
                process.kill()


class _Session:
    def __init__(
        self, process: subprocess.Popen[bytes], subject: str, settings: Settings, progress: Progress
    ) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process = process
        self._input, self._output = process.stdin, process.stdout
        self._settings = settings
        self._progress = progress
        self._run = Run(subject, "")
        self._step = ""
        self._base = 0
        self._peak = 0
        self._samples: list[Sample] = []
        self._ends: dict[str, int] = {}

    def follow(self, errors: IO[bytes]) -> Run | Skipped:
        probe = watch(self._process.pid)
        try:
            return self._listen(probe) or Skipped(self._run.subject, self._last_words(errors))
        except BrokenPipeError:
            return Skipped(self._run.subject, self._last_words(errors))
        finally:
            probe.close()

    def _listen(self, probe: Probe) -> Run | Skipped | None:
        """What came out; `None` if the process ended before it was through."""
        for line in self._output:
            if not line.startswith(b'{"event"'):
                continue  # a library's own chatter
            event: dict[str, Any] = json.loads(line)
            match event["event"]:
                case "ready":
                    self._ready(probe, event)
                case "begin":
                    self._begin(probe, event)
                case "progress":
                    self._tick(probe, event["done"])
                case "end":
                    self._end(probe, event)
                case "sample":
                    self._sample(probe, event)
                case "outcome":
                    self._run.outcome = self._outcome(probe, event)
                    self._answer()
                case "skip":
                    return Skipped(self._run.subject, event["why"])
                case "done":
                    return self._run
        return None

    def _ready(self, probe: Probe, event: dict[str, Any]) -> None:
        self._run.version = event["version"]
        self._run.note = event.get("note", "")
        self._run.partial = event.get("partial", False)
        self._base = probe.rss()
        self._answer()

    def _begin(self, probe: Probe, event: dict[str, Any]) -> None:
        if self._samples:  # a phase ends, not a step
            self._peak = max(self._peak, self._over(probe.peak()))
        self._step = event["step"]
        self._tick(probe, 0.0)
        probe.reset_peak()
        self._answer()

    def _tick(self, probe: Probe, done: float) -> None:
        self._mark(done, self._over(probe.quick_rss()))
        self._progress(self._step, done)

    def _end(self, probe: Probe, event: dict[str, Any]) -> None:
        rss = self._over(probe.rss())
        self._run.steps.append(
            Step(
                step=self._step,
                entries=event["entries"],
                payload_bytes=self._settings.payload_bytes(event["entries"]),
                heap_bytes=event["heap_bytes"],
                rss_bytes=rss,
                peak_rss_bytes=max(rss, self._over(probe.peak())),
                seconds=event["seconds"],
                slowest_op_ns=event["slowest_op_ns"],
            )
        )
        self._mark(1.0, rss)
        self._progress(self._step, 1.0)
        self._answer()

    def _sample(self, probe: Probe, event: dict[str, Any]) -> None:
        rss = self._over(probe.rss())
        t, alive, held, heap = (event[name] for name in ("t", "alive", "held", "heap_bytes"))
        self._ends[self._step] = len(self._samples)
        self._samples.append(Sample(t, alive, held, heap, rss))
        self._progress(self._step, event["done"])
        self._answer()

    def _outcome(self, probe: Probe, event: dict[str, Any]) -> Outcome:
        return Outcome(
            peak_alive=event["peak_alive"],
            peak_bytes=max(self._peak, self._over(probe.peak()), *(each.rss_bytes for each in self._samples)),
            answers=Answers(event["asked"], event["expired_returned"], event["live_lost"]),
            slowest_op_ns=event["slowest_op_ns"],
            late_seconds=event["late_ns"] / SECOND,
            samples=self._samples,
            ends=self._ends,
            settle_seconds=settle_seconds(self._samples, self._settings) if self._settings.course else None,
        )

    def _mark(self, done: float, rss: int) -> None:
        self._run.curve.append(Point(self._step, done, rss))

    def _over(self, rss: int) -> int:
        return max(0, rss - self._base)

    def _answer(self) -> None:
        self._input.write(b"\n")
        self._input.flush()

    def _last_words(self, errors: IO[bytes]) -> str:
        """Why the process ended: the last line it wrote, and how it went."""
        code = self._process.wait()
        size = os.fstat(errors.fileno()).st_size
        lines = (
            os.pread(errors.fileno(), 4096, max(0, size - 4096)).decode(errors="replace").strip().splitlines()
        )
        where = f"in step {self._step}" if self._step else "before the first step"
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"its process {how} {where}" + (f": {lines[-1].strip()}" if lines else "")
