"""What a program of this folder reads about its own process, and the limits it sets itself. Linux."""

from __future__ import annotations

import ctypes
import gc
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bound import Contents, most_mappings, most_resident

ROLLUP, MAPS = Path("/proc/self/smaps_rollup"), Path("/proc/self/maps")
MEMINFO, VMSTAT = Path("/proc/meminfo"), Path("/proc/vmstat")

M_MMAP_THRESHOLD = -3  # of malloc.h


class Reading(NamedTuple):
    """Bytes, but for `mappings` and `parted`."""

    resident: int
    """`Rss`: pages that the process has mapped."""
    proportional: int
    """`Pss`: the same, with pages that others map too counted in part."""
    huge: int
    """`AnonHugePages`: the part of `resident` that is in pages of 2 MiB."""
    system: int
    """What all processes and the kernel have in use, without caches of files. Others change it too. It counts
    what `resident` does not: a page of 2 MiB that was partly given back, and is still held as a whole."""
    parted: int
    """How many pages of 2 MiB were partly given back, ever, by any process: the kernel's own count."""
    mappings: int

    def over(self, start: Reading) -> Reading:
        """What there is more than at the start."""
        return Reading(*(now - then for now, then in zip(self, start, strict=True)))


def _fields(path: Path) -> dict[str, int]:
    """The bytes that lines such as `Rss:   100 kB` tell of."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) << 10 for words in lines if words[-1] == "kB"}


def read() -> Reading:
    """How things are now."""
    own, all_of_it = _fields(ROLLUP), _fields(MEMINFO)
    cached = sum(all_of_it[name] for name in ("MemFree", "Buffers", "Cached", "SReclaimable"))
    counts = dict(line.split() for line in VMSTAT.read_text().splitlines())
    parted = int(counts.get("thp_deferred_split_page", 0))
    with MAPS.open("rb") as lines:
        mappings = sum(1 for _ in lines)
    in_use = all_of_it["MemTotal"] - cached + all_of_it["Shmem"]
    return Reading(own["Rss"], own["Pss"], own["AnonHugePages"], in_use, parted, mappings)


class Meter:
    """Readings over the start, which is when this is made."""

    def __init__(self) -> None:
        gc.collect()
        read()  # what reading takes is there from the start
        self.start = read()

    def look(self, contents: Contents) -> dict[str, int]:
        """What is resident over the start, and what may be."""
        now = read().over(self.start)
        bound = most_resident(contents)
        return {
            **now._asdict(),
            **contents._asdict(),
            "bound": bound,
            "mappings_bound": most_mappings(bound),
        }

    def settled(self, contents: Contents, seconds: float = 1.0) -> dict[str, int]:
        """As `look`, as soon as it is within the bound; after `seconds`, as it is then."""
        gc.collect()
        deadline = time.monotonic() + seconds
        while (found := self.look(contents))["resident"] > found["bound"] and time.monotonic() < deadline:
            time.sleep(0.02)
        return found


def limit(address_space: int) -> None:
    """Let the process have no more addresses than this, so that a fault of it harms nobody else."""
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))


def return_large_objects() -> None:
    """Let glibc map each block of 128 KiB and more by itself, and unmap it when it is freed.

    That is how it begins. But once a large block is freed it keeps others of that size, and values that a
    program makes and drops would be resident for good.
    """
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, 128 << 10)


def tell(**found: Any) -> None:
    """One line of results, for whoever started the program."""
    print(json.dumps(found), flush=True)


def raised_by(work: Callable[[], object]) -> str:
    """The name of the exception that `work()` raises, or nothing."""
    try:
        work()
    except (MemoryError, RuntimeError, OSError) as error:
        return type(error).__name__
    return ""
