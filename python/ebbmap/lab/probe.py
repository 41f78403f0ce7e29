"""The memory of another process, from outside: the same ruler for every language, nothing added inside."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import psutil


class Probe(Protocol):
    """Reads one process's resident memory, in bytes."""

    def rss(self) -> int:
        """Resident memory now, exactly."""

    def quick_rss(self) -> int:
        """Resident memory now, cheap enough to ask often: it does not stop the process."""

    def reset_peak(self) -> None:
        """Forget the high-water mark."""

    def peak(self) -> int:
        """The high-water mark since `reset_peak`."""

    def close(self) -> None:
        """Stop watching."""


def watch(pid: int) -> Probe:
    """The best probe for this system: the kernel's own high-water mark if it can be reset, else samples."""
    kernel = KernelProbe(pid)
    try:
        kernel.reset_peak()
        kernel.peak()
    except (OSError, KeyError):
        return SamplingProbe(pid)
    return kernel


class KernelProbe:
    """Linux: `smaps_rollup` (exact) and `VmHWM`, which writing 5 to `clear_refs` sets back."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        self._process = psutil.Process(pid)

    def rss(self) -> int:
        return self._kilobytes("smaps_rollup", "Rss:")

    def quick_rss(self) -> int:
        return int(self._process.memory_info().rss)

    def reset_peak(self) -> None:
        (self._folder / "clear_refs").write_text("5")

    def peak(self) -> int:
        # The kernel counts pages in batches per core, so its mark may lie a little under the exact figure.
        return max(self._kilobytes("status", "VmHWM:"), self.rss())

    def close(self) -> None:
        """Nothing to stop."""

    def _kilobytes(self, file: str, name: str) -> int:
        for line in (self._folder / file).read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
        raise KeyError(name)


class SamplingProbe:
    """Every other system: RSS is read every `interval` seconds and the largest is kept."""

    def __init__(self, pid: int, interval: float = 0.005) -> None:
        self._process = psutil.Process(pid)
        self._interval = interval
        self._peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="ebbmap-lab-probe", daemon=True)
        self._thread.start()

    def rss(self) -> int:
        # Each reading counts for the peak. It is read first, so that none is lost to another thread.
        now = int(self._process.memory_info().rss)
        self._peak = max(self._peak, now)
        return now

    quick_rss = rss

    def reset_peak(self) -> None:
        self._peak = 0
        self.rss()

    def peak(self) -> int:
        self.rss()
        return self._peak

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        with suppress(psutil.Error):
            while not self._stop.wait(self._interval):
                self.rss()
