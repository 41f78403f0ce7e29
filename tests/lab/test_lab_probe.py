"""The memory of another process, from outside."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from lab_helpers import MIB

from ebbmap.lab.probe import KernelProbe, Probe, SamplingProbe, watch

# Obeys lines: touches so many MiB of fresh memory, and with 0 gives it all back.
CHILD = """
import mmap, sys
held = []
for line in sys.stdin:
    if int(line) == 0:
        held.clear()
    else:
        held.append(mmap.mmap(-1, int(line) << 20))
        for page in range(0, len(held[-1]), 4096):
            held[-1][page] = 1
    print("done", flush=True)
"""


class Child:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.pid = process.pid
        self._process = process

    def hold(self, mib: int) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{mib}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"


@pytest.fixture
def child() -> Iterator[Child]:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", CHILD], stdin=pipe, stdout=pipe, text=True) as process:
        yield Child(process)
        process.kill()


def _kernel(pid: int) -> Probe:
    probe = watch(pid)
    if not isinstance(probe, KernelProbe):
        pytest.skip("this kernel's high-water mark can't be set back")
    return probe


@pytest.mark.parametrize("make", [_kernel, lambda pid: SamplingProbe(pid, interval=0.001)])
def test_rss_and_peak(child: Child, make: type[SamplingProbe]) -> None:
    child.hold(1)
    probe = make(child.pid)
    start = probe.rss()
    child.hold(40)
    assert 39 * MIB < probe.rss() - start < 42 * MIB
    assert abs(probe.quick_rss() - probe.rss()) < 2 * MIB
    child.hold(0)
    assert probe.rss() - start < 2 * MIB
    assert probe.peak() - start > 39 * MIB
    probe.reset_peak()
    assert probe.peak() - start < 2 * MIB
    probe.close()


def test_sampling_stands_a_process_that_ends(child: Child) -> None:
    probe = SamplingProbe(child.pid, interval=0.001)
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    probe.close()
    assert not probe._thread.is_alive()
