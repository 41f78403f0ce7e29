"""The classic map (to Go 1.23, `runtime/map.go`) in closed form."""

from __future__ import annotations

import math
from functools import cached_property, lru_cache

from ebbmap.gomap.chance import binomial, expected_excess
from ebbmap.gomap.predict.base import HEADER, MAX_ENTRIES, SLOTS, ClassicShape, Predictor
from ebbmap.gomap.predict.churn import compacts, most_overflow_share, overflow_share
from ebbmap.gomap.sizeclasses import appended_bytes, object_bytes, round_up
from ebbmap.gomap.types import MapType
from ebbmap.gomap.version import GoVersion

_PREALLOCATES = 4  # the least B whose array comes with spare overflow buckets
MAP_EXTRA = 24  # of a map with overflow buckets of its own: where they are
SLICE_HEADER = 24


def least_b(entries: int, version: GoVersion) -> int:
    """The least B whose 2^B buckets aren't over load (6.5 each) with `entries`."""
    return 0 if entries <= SLOTS else (-(-2 * entries // version.pair_load) - 1).bit_length()


def load_limit(b: int, version: GoVersion) -> int:
    """How many entries 2^b buckets take before the next insert makes them grow."""
    return SLOTS if b == 0 else version.pair_load * (1 << b) // 2


def bucket_array(kind: MapType, version: GoVersion, b: int) -> int:
    """Buckets in the array for `b`: 2^b, from b = 4 a sixteenth more and what rounding leaves room for."""
    buckets = 1 << b
    if b < _PREALLOCATES:
        return buckets
    size = kind.bucket_bytes * (buckets + (buckets >> 4))
    return round_up(size, kind.pointers, version) // kind.bucket_bytes


def bucket_array_bytes(kind: MapType, version: GoVersion, b: int) -> int:
    """Heap bytes of the bucket array for `b`."""
    return object_bytes(bucket_array(kind, version, b) * kind.bucket_bytes, kind.pointers, version)


class ClassicPredictor(Predictor):
    """Buckets of eight with overflow chains, doubled when over load."""

    def _b(self, entries: int, hint: int) -> int:
        return max(least_b(entries, self.version), least_b(hint, self.version))

    def _filled(self, entries: int, hint: int, deletes: int) -> tuple[float, ClassicShape]:
        b = self._b(entries, hint)
        mean, variance = _overflow(entries, b)
        moved = self._moved(entries + deletes, b, hint)
        mean, variance = mean * moved, variance * moved
        if entries == b == 0:
            return HEADER, ClassicShape(0, 1, self.kind.bucket_bytes, 0.0, False)
        total = (
            HEADER + bucket_array_bytes(self.kind, self.version, b) + self._overflow_bytes(mean, variance, b)
        )
        if moved < 1:
            total += self._old_bytes(b - 1, moved)
        return total, ClassicShape(b, 1 << b, self.kind.bucket_bytes, mean, moved < 1)

    def _moved(self, writes: int, b: int, hint: int) -> float:
        """The share of old buckets that has been moved after `writes` inserts and deletes.

        Each write moves the old bucket of its own hash and the next in order. With N old buckets, after t*N
        writes e^-t of those ahead are still there, and the order is at N*(e^t - 1): all is done at t = ln 2.
        """
        if b <= least_b(hint, self.version):
            return 1.0
        t = (writes - load_limit(b - 1, self.version)) / (1 << (b - 1))
        return 1.0 if t >= math.log(2) else 1.0 - (2 - math.exp(t)) * math.exp(-t)

    def _overflow_bytes(self, mean: float, variance: float, b: int) -> float:
        """Bytes of overflow buckets beyond the preallocated, and of the list that keeps them alive."""
        spare = bucket_array(self.kind, self.version, b) - (1 << b)
        beyond = expected_excess(mean, variance, spare)
        bucket = object_bytes(self.kind.bucket_bytes, self.kind.pointers, self.version)
        listed = 0.0 if self.kind.pointers else self._list_bytes(mean)
        return beyond * bucket + listed + (MAP_EXTRA if spare else 0)

    def _list_bytes(self, overflow: float) -> float:
        present = min(1.0, overflow)
        return present * (SLICE_HEADER + appended_bytes(round(overflow), self.version))

    def _old_bytes(self, b: int, moved: float) -> float:
        """Bytes of the old array and its overflow buckets; maps without pointers keep those to the end."""
        mean, variance = _overflow(load_limit(b, self.version), b)
        overflow = self._overflow_bytes(mean, variance, b) - (MAP_EXTRA if b >= _PREALLOCATES else 0)
        left = 1 - moved if self.kind.pointers else 1.0
        return bucket_array_bytes(self.kind, self.version, b) + overflow * left

    @cached_property
    def _whole_old_bytes(self) -> list[float]:
        """What each B leaves behind when it is outgrown."""
        return [self._old_bytes(b, 0.0) for b in range(least_b(MAX_ENTRIES, self.version))]

    def _dropped(self, entries: int, hint: int) -> float:
        b = self._b(entries, hint)
        past = b if self._moved(entries, b, hint) == 1 else b - 1
        return sum(self._whole_old_bytes[least_b(hint, self.version) : past])

    def _churned(self, entries: int, turnovers: float, hint: int, most: bool) -> tuple[float, ClassicShape]:
        b = self._b(entries, hint)
        if entries == b == 0:
            return self._filled(0, 0, 0)
        share = (most_overflow_share if most else overflow_share)(entries, b, turnovers)
        mean = share * (1 << b)
        total = HEADER + bucket_array_bytes(self.kind, self.version, b) + self._overflow_bytes(mean, mean, b)
        return total, ClassicShape(b, 1 << b, self.kind.bucket_bytes, mean, False)

    def compacting(self, entries: int, turnovers: float, hint: int = 0) -> float | None:
        if not compacts(entries, self._b(entries, hint), turnovers):
            return None
        new, _ = self._filled(entries, hint, entries)
        return self.most_churned(entries, turnovers, hint).bytes + new - HEADER


@lru_cache(maxsize=4096)
def _overflow(entries: int, b: int) -> tuple[float, float]:
    """Mean and variance of the overflow buckets that `entries` in 2^b buckets need."""
    buckets = 1 << b
    mean = square = 0.0
    for k, chance in enumerate(binomial(entries, 1 / buckets)):
        more = max(0, -(-k // SLOTS) - 1)
        mean += chance * more
        square += chance * more * more
    return buckets * mean, buckets * max(0.0, square - mean * mean)
