"""What the allocators say they have given out: the `heap_bytes` of subjects that keep no books themselves.

Books: CPython's small-object allocator and the C library's `malloc` both count what they have handed out.
Their sum is complete (a C or Rust extension's tables are in it), costs nothing while the subject works, and
is read in the process that is timed. Where one of them can't be read, `tracemalloc` stands in, in a second
process, as it is slow and takes memory itself; it sees only what goes through Python's allocator.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import tracemalloc
from collections.abc import Callable

import psutil

HeapMeter = Callable[[], int]
"""Bytes given out now, over those when the meter was made."""

_SMALL = re.compile(rb"^# bytes in allocated blocks\s*=\s*([\d,]+)", re.MULTILINE)


def books() -> HeapMeter:
    """A meter that reads the allocators' own books; raises one of `UNREADABLE` where they can't be read."""
    meter = _Books()
    start = meter.given_out()
    return lambda: meter.given_out() - start


UNREADABLE = (AttributeError, LookupError, OSError, psutil.Error)


def readable() -> bool:
    """Whether `books` works here; so it does, or not, in every process of this interpreter."""
    try:
        books()
    except UNREADABLE:
        return False
    return True


def traced() -> HeapMeter:
    """A meter that counts Python's allocations from now on; slows the process several times."""
    tracemalloc.start()
    return lambda: tracemalloc.get_traced_memory()[0]


def none() -> HeapMeter:
    """No meter: for the process that is timed where `traced` counts in another."""
    return lambda: 0


class _Books:
    def given_out(self) -> int:
        return self._small() + self._large()

    def _large(self) -> int:
        info = psutil.heap_info()
        return int(info.heap_used) + int(info.mmap_used)

    def _small(self) -> int:
        if (found := _SMALL.search(self._interpreter_statistics())) is None:
            raise LookupError("this interpreter does not use the small-object allocator")
        return int(found[1].replace(b",", b""))

    def _interpreter_statistics(self) -> bytes:
        """What CPython can only print to its standard error."""
        with tempfile.TemporaryFile() as page:
            stderr = os.dup(2)
            os.dup2(page.fileno(), 2)
            try:
                sys._debugmallocstats()
            finally:
                os.dup2(stderr, 2)
                os.close(stderr)
            page.seek(0)
            return page.read()
