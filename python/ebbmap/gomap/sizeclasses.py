"""What Go's allocator takes for an object: size classes, whole pages, headers and the tiny allocator.

After `runtime/sizeclasses.go` (the table is the same from Go 1.18 to 1.27), `runtime/msize.go` and
`runtime/malloc.go`; 64-bit. What is computed here is what `MemStats.Alloc` counts.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache

from ebbmap.gomap.version import GoVersion

# fmt: off
SIZE_CLASSES = (
    8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 288, 320, 352, 384,
    416, 448, 480, 512, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1408, 1536, 1792, 2048, 2304, 2688,
    3072, 3200, 3456, 4096, 4864, 5376, 6144, 6528, 6784, 6912, 8192, 9472, 9728, 10240, 10880, 12288,
    13568, 14336, 16384, 18432, 19072, 20480, 21760, 24576, 27264, 28672, 32768,
)
# fmt: on
PAGE = 8192
LARGEST_SMALL = SIZE_CLASSES[-1]
TINY = 16
_HEADER = 8
_LARGEST_WITH_BITMAP = 512


def _header(size: int, pointers: bool, version: GoVersion) -> int:
    large = size > LARGEST_SMALL - _HEADER
    return _HEADER if version.malloc_header and pointers and size > _LARGEST_WITH_BITMAP and not large else 0


def object_bytes(size: int, pointers: bool, version: GoVersion) -> int:
    """Bytes the heap takes for one object of `size` bytes; O(1). An object of no size takes none."""
    if size == 0:
        return 0
    size += _header(size, pointers, version)
    if size > LARGEST_SMALL:
        return -(-size // PAGE) * PAGE
    return SIZE_CLASSES[bisect_left(SIZE_CLASSES, size)]


def round_up(size: int, pointers: bool, version: GoVersion) -> int:
    """The runtime's `roundupsize`: bytes that can be used at no more cost than `size`; O(1)."""
    return object_bytes(size, pointers, version) - _header(size, pointers, version)


def small_object_bytes(size: int, pointers: bool, version: GoVersion) -> float:
    """Mean bytes of one of many objects of the same size: tiny ones without pointers share 16-byte blocks."""
    if pointers or not 0 < size < TINY:
        return object_bytes(size, pointers, version)
    alignment = size & -size
    stride = -(-size // min(alignment, 8)) * min(alignment, 8)
    return TINY / (1 + (TINY - size) // stride)


def average_bytes(mean: float, version: GoVersion) -> float:
    """Mean heap bytes of pointer-free objects of `mean` bytes on average.

    A whole mean stands for objects that are all of that size; between two sizes it is interpolated.
    """
    low = int(mean)
    share = mean - low
    floor = small_object_bytes(low, False, version)
    return floor + share * (small_object_bytes(low + 1, False, version) - floor) if share else floor


@lru_cache
def _capacities(version: GoVersion) -> tuple[int, ...]:
    """The capacities a `[]*T` goes through when appended to one by one, up to 2^36."""
    capacities = [1]
    while capacities[-1] < 1 << 36:
        old = capacities[-1]
        wanted = old * 2 if old < 256 else old + (old + 768) // 4
        capacities.append(round_up(wanted * 8, True, version) // 8)
    return tuple(capacities)


def appended_capacity(length: int, version: GoVersion) -> int:
    """The capacity of a `[]*T` appended to one by one from nil to `length`; O(log length)."""
    if length <= 0:
        return 0
    capacities = _capacities(version)
    return capacities[bisect_left(capacities, length)]


def appended_bytes(length: int, version: GoVersion) -> int:
    """Heap bytes of a `[]*T` appended to one by one from nil to `length`; O(log length)."""
    return object_bytes(8 * appended_capacity(length, version), True, version)
