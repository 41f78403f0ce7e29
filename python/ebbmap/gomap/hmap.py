"""The classic map, executed: `runtime/map.go` of Go 1.18 to 1.23 in Python.

Names follow the runtime's: B, noverflow, tophash, evacuate. The heap is counted as Go would take it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from ebbmap.gomap.heap import Outside
from ebbmap.gomap.model import GoMap, K, V, equals_itself
from ebbmap.gomap.predict.base import HEADER, SLOTS, ClassicShape
from ebbmap.gomap.predict.classic import (
    MAP_EXTRA,
    SLICE_HEADER,
    bucket_array,
    bucket_array_bytes,
    least_b,
    load_limit,
)
from ebbmap.gomap.sizeclasses import appended_capacity, object_bytes
from ebbmap.gomap.types import MapType
from ebbmap.gomap.version import GoVersion

# States of a slot in its tophash; 5 and above: a full one.
EMPTY_REST, EMPTY_ONE, EVACUATED_X, EVACUATED_Y, EVACUATED_EMPTY, MIN_TOP_HASH = range(6)
_EMPTY = bytes(SLOTS)


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket as it is now: its number in the array, its slots, and whether the array came with it."""

    number: int
    tophash: bytes
    keys: tuple[object, ...]
    elems: tuple[object, ...]
    preallocated: bool

    @property
    def evacuated(self) -> bool:
        """Whether its entries have been moved to the new array."""
        return EMPTY_ONE < self.tophash[0] < MIN_TOP_HASH


class _Array:
    """An array of buckets and their overflow buckets; slot s belongs to bucket s // 8."""

    __slots__ = (
        "b",
        "bytes",
        "elems",
        "keys",
        "list_bytes",
        "mask",
        "overflow",
        "preallocated",
        "tophash",
        "used",
    )

    def __init__(self, b: int, preallocated: int, size: int) -> None:
        self.b = b
        self.mask = (1 << b) - 1
        self.preallocated = preallocated  # buckets in all, spare ones for overflow included
        self.used = 1 << b  # buckets in all that are in use
        self.tophash = bytearray(SLOTS * preallocated)
        self.keys: list[object] = [None] * (SLOTS * preallocated)
        self.elems: list[object] = [None] * (SLOTS * preallocated)
        self.overflow: dict[int, int] = {}  # bucket -> the next of its chain
        self.bytes: float = size  # reachable: the array, further overflow buckets and their list
        self.list_bytes = 0

    def find(self, bucket: int, top: int, key: object) -> int:
        """The slot of `key` in the chain of `bucket`, or -1."""
        tophash, keys = self.tophash, self.keys
        while True:
            end = (bucket + 1) * SLOTS
            slot = tophash.find(top, end - SLOTS, end)
            while slot >= 0:
                known = keys[slot]
                if known is key or known == key:
                    return slot
                slot = tophash.find(top, slot + 1, end)
            if tophash[end - 1] == EMPTY_REST or bucket not in self.overflow:
                return -1
            bucket = self.overflow[bucket]

    def free(self, bucket: int) -> int:
        """The first empty slot of one bucket, or -1."""
        start = bucket * SLOTS
        rest = self.tophash.find(EMPTY_REST, start, start + SLOTS)
        one = self.tophash.find(EMPTY_ONE, start, start + SLOTS)
        return rest if one < 0 or 0 <= rest < one else one

    def put(self, slot: int, top: int, key: object, elem: object) -> None:
        """Fill a slot."""
        self.tophash[slot] = top
        self.keys[slot] = key
        self.elems[slot] = elem

    def chain(self, bucket: int) -> list[int]:
        """The bucket and its overflow buckets."""
        chain = [bucket]
        while chain[-1] in self.overflow:
            chain.append(self.overflow[chain[-1]])
        return chain

    def evacuated(self, bucket: int) -> bool:
        """Whether the bucket's entries have been moved to the new array."""
        return EMPTY_ONE < self.tophash[bucket * SLOTS] < MIN_TOP_HASH

    def add_bucket(self, last: int) -> bool:
        """Append an overflow bucket to the chain that ends in `last`; True if it wasn't preallocated."""
        self.overflow[last] = self.used
        self.used += 1
        beyond = self.used > self.preallocated
        if beyond:
            self.tophash += _EMPTY
            self.keys += [None] * SLOTS
            self.elems += [None] * SLOTS
        return beyond

    def bucket(self, number: int) -> Bucket:
        """A picture of one bucket."""
        part = slice(number * SLOTS, (number + 1) * SLOTS)
        keys, elems = tuple(self.keys[part]), tuple(self.elems[part])
        return Bucket(number, bytes(self.tophash[part]), keys, elems, number < self.preallocated)


def top_hash(hash_: int) -> int:
    """The byte of a hash that a full slot shows."""
    top = hash_ >> 56
    return top if top >= MIN_TOP_HASH else top + MIN_TOP_HASH


class HMap(GoMap[K, V]):
    """The map of Go up to 1.23: 2^B buckets of eight slots, overflow chains, growth by doubling.

    Raises:
        ValueError: `version` has Swiss maps; or it, or `kind`, can't be parsed.
    """

    def __init__(
        self,
        kind: MapType | str = "map[int][128]byte",
        version: GoVersion | str = "1.23",
        *,
        hint: int = 0,
        outside: Outside | None = None,
        seed: int = 0,
        paced: bool = True,
    ) -> None:
        super().__init__(kind, version, outside=outside, seed=seed, paced=paced)
        if self.version.swiss:
            raise ValueError(f"Go {self.version} has Swiss maps: see SwissMap")
        self.B = least_b(hint, self.version)
        self.noverflow = 0  # the runtime's own count, a sample from B = 16 on
        self.nevacuate = 0  # old buckets below this have been moved
        self.same_size_grow = False
        self._bucket_bytes = object_bytes(self.kind.bucket_bytes, self.kind.pointers, self.version)
        self._extra = False
        self._old: _Array | None = None
        self.heap.allocate(HEADER)
        self._now: _Array | None = self._make_array(self.B) if self.B else None
        self._set_limits()

    # What it holds.
    @property
    def growing(self) -> bool:
        """Whether an old array is still being evacuated."""
        return self._old is not None

    @property
    def overflow_buckets(self) -> int:
        """Overflow buckets in use by the current array."""
        return len(self._now.overflow) if self._now else 0

    @property
    def shape(self) -> ClassicShape:
        return ClassicShape(self.B, 1 << self.B, self.kind.bucket_bytes, self.overflow_buckets, self.growing)

    def index_of(self, key: object) -> int:
        """The index of the bucket that `key` belongs to in the current array."""
        return self._hash(key) & ((1 << self.B) - 1)

    def chain(self, index: int) -> list[Bucket]:
        """Bucket `index` of the current array and its overflow buckets."""
        return _pictures(self._now, index)

    def old_chain(self, index: int) -> list[Bucket]:
        """Bucket `index` of the array that is being evacuated, and its overflow buckets."""
        return _pictures(self._old, index)

    # Access.
    def _find(self, key: K) -> tuple[list[object], int] | None:
        if self._count == 0 or not equals_itself(key):
            hash(key)
            return None
        hash_ = self._hash(key)
        array = self._home(hash_)
        slot = array.find(hash_ & array.mask, top_hash(hash_), key)
        return (array.elems, slot) if slot >= 0 else None

    def _home(self, hash_: int) -> _Array:
        """The array that has the entries of this hash: the old one until its bucket has been evacuated."""
        old = self._old
        return old if old and not old.evacuated(hash_ & old.mask) else cast(_Array, self._now)

    def _slots(self) -> Iterator[tuple[list[object], list[object], int]]:
        for array in (self._old, self._now):
            for slot, top in enumerate(array.tophash if array else b""):
                if array and top >= MIN_TOP_HASH:
                    yield array.keys, array.elems, slot

    # Insertion.
    def __setitem__(self, key: K, elem: V) -> None:
        hash_ = self._hash(key)
        top = top_hash(hash_)
        now = self._writable(hash_)
        slot = now.find(hash_ & now.mask, top, key) if equals_itself(key) else -1
        if slot >= 0:
            now.elems[slot] = elem
            return
        self._check_room()
        if self._old is None and (self._count >= self._limit or self.noverflow >= self._crowded):
            self._grow()
            now = self._writable(hash_)
        now.put(self._free_slot(now, hash_ & now.mask), top, key, elem)
        self._added()

    def _writable(self, hash_: int) -> _Array:
        """The current array, with the bucket of this hash evacuated into it."""
        if self._now is None:
            self._now = self._make_array(0)
        if self._old is not None:
            self._grow_work(self._old, hash_)
        return self._now

    def _free_slot(self, now: _Array, bucket: int) -> int:
        while (slot := now.free(bucket)) < 0:
            following = now.overflow.get(bucket)
            bucket = self._new_overflow(now, bucket) if following is None else following
        return slot

    def _new_overflow(self, now: _Array, last: int) -> int:
        if now.add_bucket(last):
            self._take(now, self._bucket_bytes)
        self._count_overflow()
        if not self.kind.pointers:
            self._list_overflow(now)
        return now.overflow[last]

    def _count_overflow(self) -> None:
        """`incrnoverflow`: exact below B = 16, else one in 2^(B-15)."""
        if self.B < 16 or self._random.getrandbits(self.B - 15) == 0:
            self.noverflow += 1

    def _list_overflow(self, now: _Array) -> None:
        """A map without pointers keeps its overflow buckets alive through a slice of pointers."""
        self._need_extra()
        if len(now.overflow) == 1:
            self._take(now, SLICE_HEADER)
        capacity = appended_capacity(len(now.overflow), self.version)
        size = object_bytes(8 * capacity, True, self.version)
        if size != now.list_bytes:
            self._take(now, size)
            self._give(now, now.list_bytes)
            now.list_bytes = size

    def _need_extra(self) -> None:
        if not self._extra:
            self._extra = True
            self.heap.allocate(MAP_EXTRA)

    def _take(self, array: _Array, size: float) -> None:
        array.bytes += size
        self.heap.allocate(size)

    def _give(self, array: _Array, size: float) -> None:
        array.bytes -= size
        self.heap.drop(size)

    # Growth.
    def _make_array(self, b: int) -> _Array:
        """`makeBucketArray`."""
        buckets = bucket_array(self.kind, self.version, b)
        size = bucket_array_bytes(self.kind, self.version, b)
        if buckets > 1 << b:
            self._need_extra()
        self.heap.allocate(size)
        return _Array(b, buckets, size)

    def _set_limits(self) -> None:
        self._limit = load_limit(self.B, self.version)
        self._crowded = 1 << min(self.B, 15)

    def _grow(self) -> None:
        """`hashGrow`: a new array, twice the size or, to get rid of sparse overflow chains, the same."""
        self.same_size_grow = self._count < self._limit
        self._old = self._now
        self.B += not self.same_size_grow
        self._now = self._make_array(self.B)
        self._set_limits()
        self.nevacuate = 0
        self.noverflow = 0

    def _grow_work(self, old: _Array, hash_: int) -> None:
        """Evacuate the bucket that is about to be used, and one more."""
        self._evacuate(old, hash_ & old.mask)
        if self._old is not None:
            self._evacuate(old, self.nevacuate)

    def _evacuate(self, old: _Array, bucket: int) -> None:
        if not old.evacuated(bucket):
            self._move_chain(old, bucket)
        if bucket == self.nevacuate:
            self._advance(old)

    def _move_chain(self, old: _Array, head: int) -> None:
        now, states = cast(_Array, self._now), old.tophash
        bit = 0 if self.same_size_grow else 1 << old.b
        free = {0: head * SLOTS, bit: (head | bit) * SLOTS}  # where the next entry goes, low and high
        chain, hash_ = old.chain(head), self._hash
        for bucket in chain:
            for slot in range(bucket * SLOTS, bucket * SLOTS + SLOTS):
                top = states[slot]
                if top <= EMPTY_ONE:
                    states[slot] = EVACUATED_EMPTY
                    continue
                key = old.keys[slot]
                side = hash_(key) & bit
                states[slot] = EVACUATED_Y if side else EVACUATED_X
                target = free[side]
                if target < 0:
                    target = self._new_overflow(now, ~target) * SLOTS
                now.tophash[target] = top
                now.keys[target] = key
                now.elems[target] = old.elems[slot]
                free[side] = target + 1 if (target + 1) % SLOTS else ~(target // SLOTS)  # ~bucket: it is full
        if self.kind.pointers:
            self._unlink(old, chain)

    def _unlink(self, old: _Array, chain: list[int]) -> None:
        """Buckets with pointers are cleared once evacuated, which lets go of their overflow buckets."""
        if allocated := sum(bucket >= old.preallocated for bucket in chain):
            self._give(old, allocated * self._bucket_bytes)
        old.overflow.pop(chain[0], None)

    def _advance(self, old: _Array) -> None:
        """Move `nevacuate` past what is done; let go of the old array at its end."""
        self.nevacuate += 1
        end = old.mask + 1
        stop = min(self.nevacuate + 1024, end)
        while self.nevacuate != stop and old.evacuated(self.nevacuate):
            self.nevacuate += 1
        if self.nevacuate == end:
            self._let_go(old)

    def _let_go(self, old: _Array) -> None:
        self._old = None
        self.same_size_grow = False
        self.heap.drop(old.bytes)

    # Deletion.
    def __delitem__(self, key: K) -> None:
        hash_ = self._hash(key)
        if self._count == 0 or not equals_itself(key):
            raise KeyError(key)
        now = self._writable(hash_)
        slot = now.find(hash_ & now.mask, top_hash(hash_), key)
        if slot < 0:
            raise KeyError(key)
        now.put(slot, EMPTY_ONE, None, None)
        _mark_rest(now, hash_ & now.mask)
        self._removed()

    def clear(self) -> None:
        """`clear(m)`: all entries go, the array stays."""
        if self._count == 0:
            return
        self.heap.drop(self._count * self._entry_bytes)
        if self._old is not None:
            self._let_go(self._old)
        self._now = self._emptied(cast(_Array, self._now))
        self.nevacuate = self.noverflow = self._count = 0
        self._changes += 1
        self._reseed()

    def _emptied(self, now: _Array) -> _Array:
        size = bucket_array_bytes(self.kind, self.version, self.B)
        self.heap.drop(now.bytes - size)
        return _Array(self.B, now.preallocated, size)


def _pictures(array: _Array | None, index: int) -> list[Bucket]:
    return [array.bucket(number) for number in array.chain(index)] if array else []


def _mark_rest(array: _Array, head: int) -> None:
    """Turn the empty slots at the end of a chain from emptyOne to emptyRest, which ends a search."""
    for bucket in reversed(array.chain(head)):
        end = bucket * SLOTS + SLOTS
        full = len(array.tophash[end - SLOTS : end].rstrip(b"\0\1"))
        array.tophash[end - SLOTS + full : end] = bytes(SLOTS - full)
        if full:
            return
