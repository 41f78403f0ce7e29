"""What all maps and caches of the process hold."""

from __future__ import annotations

from ebbmap import _core


def memory() -> dict[str, int]:
    """What all maps and caches of this process hold together, in bytes. O(1).

    All tables share one pool of memory:

    * `held_bytes`: held by tables. The sum of their `nbytes` also has their Python objects.
    * `spare_bytes`: free, and not given back to the system: the next table that grows takes it. At most 1 MiB
      and 1/256 of what is held, and what small tables leave free of pages that they share.
    * `returned_bytes`: given back to the system so far.
    * `reserved_bytes`: addresses. Most may have no memory behind them.
    * `mappings`: ranges of addresses, each a mapping of the process.
    """
    return _core._memory()
