"""What both executable models share: a mapping that knows its Go type, its hash and its heap."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Hashable, ItemsView, Iterator, MutableMapping, ValuesView
from hashlib import blake2b
from random import Random
from typing import Any, Self, TypeVar, cast

from ebbmap.gomap.heap import Heap, Outside
from ebbmap.gomap.predict import predictor
from ebbmap.gomap.predict.base import ClassicShape, SwissShape
from ebbmap.gomap.types import MapType, most_entries, parse_map
from ebbmap.gomap.version import GoVersion

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_MASK = (1 << 64) - 1


def _stable(key: object) -> object:
    """Stands for a key: equal for equal keys, and of the same hash in every process."""
    if isinstance(key, str):
        return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest())
    if isinstance(key, (bytes, memoryview)):
        return int.from_bytes(blake2b(key, digest_size=8, person=b"bytes").digest())
    return tuple(map(_stable, key)) if isinstance(key, tuple) else key


def equals_itself(key: object) -> bool:
    """Whether Go's == finds the key equal to itself: a nan isn't, nor what contains one."""
    if isinstance(key, tuple):  # whose own == takes an element that is the same object for equal
        return all(map(equals_itself, key))
    return type(key) is int or type(key) is str or bool(key == key)


def hash64(key: object, seed: int) -> int:
    """A 64-bit hash of `key`, the same in every process: a tuple's hash, twice, as once is too regular."""
    x = hash((key if type(key) is int else _stable(key), seed))
    return hash((x ^ x >> 29, seed)) & _MASK


class GoMap(MutableMapping[K, V]):
    """A Go map, executed: a `MutableMapping` that lays its entries out as the runtime does.

    `kind` is Go's type, as text or parsed; it gives the sizes (keys and elements may be any Python objects).
    `outside` tells the sizes of strings and of whatever else the type doesn't. A `seed` decides all hashes.
    `paced=False` lets garbage pile up until `collect()`. Each operation takes time as in Go: amortized O(1).

    As in Go, a key that contains a nan equals no key. Each insert adds an entry, which no lookup and no
    delete finds; iteration shows it, and only `clear` removes it. A map has no more entries than its key type
    has values: `map[bool]int` takes two, and a third raises ValueError.
    """

    def __init__(
        self,
        kind: MapType | str = "map[int][128]byte",
        version: GoVersion | str = "1.23",
        *,
        outside: Outside | None = None,
        seed: int = 0,
        paced: bool = True,
    ) -> None:
        self.kind = parse_map(kind) if isinstance(kind, str) else kind
        self.version = GoVersion.parse(version) if isinstance(version, str) else version
        self.heap = Heap(paced)
        self._entry_bytes = predictor(self.kind, self.version, outside).entry_outside
        self._random = Random(seed)
        self._seed = self._random.getrandbits(64)
        self._count = 0
        self._most = most_entries(self.kind)
        self._changes = 0  # of the set of keys: an iterator that sees one stops

    def __copy__(self) -> Self:
        """A map of its own with the same keys and elements. O(n)."""
        shared = {id(given): given for item in self.items() for given in item}
        return copy.deepcopy(self, shared)

    @property
    @abstractmethod
    def shape(self) -> ClassicShape | SwissShape:
        """What the map is made of now."""

    @property
    def heap_bytes(self) -> float:
        """Reachable bytes: the map and what its entries keep outside."""
        return self.heap.live

    @property
    def garbage_bytes(self) -> float:
        """Bytes that growth and deletes have left and no collection has taken yet."""
        return self.heap.garbage

    def collect(self) -> None:
        """Run the garbage collector."""
        self.heap.collect()

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: object) -> bool:
        return self._find(cast(K, key)) is not None

    def __getitem__(self, key: K) -> V:
        place = self._find(key)
        if place is None:
            raise KeyError(key)
        elems, slot = place
        return cast(V, elems[slot])

    def __iter__(self) -> Iterator[K]:
        """Bucket by bucket (Go starts at a random one); RuntimeError when keys come or go meanwhile."""
        return (key for key, _ in self.entries())

    def items(self) -> ItemsView[K, V]:
        """A view of the entries, those that no lookup finds included."""
        return _Items(self)

    def values(self) -> ValuesView[V]:
        """A view of the elements, those that no lookup finds included."""
        return _Values(self)

    def entries(self) -> Iterator[tuple[K, V]]:
        """Each key and its element, in the order of iteration."""
        changes = self._changes
        for keys, elems, slot in self._slots():
            if changes != self._changes:
                raise RuntimeError(f"{type(self).__name__} changed during iteration")
            yield cast(K, keys[slot]), cast(V, elems[slot])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.kind} of {len(self)} entries, {round(self.heap_bytes):,} bytes>"

    @abstractmethod
    def _find(self, key: K) -> tuple[list[object], int] | None:
        """The list of elements and the slot in it that belong to `key`."""

    @abstractmethod
    def _slots(self) -> Iterator[tuple[list[object], list[object], int]]:
        """Of each entry the lists of keys and elements, and the slot in both."""

    def _hash(self, key: object) -> int:
        """The key's hash in this map; another one at each call for a key that doesn't equal itself."""
        return hash64(key, self._seed) if equals_itself(key) else self._random.getrandbits(64)

    def _check_room(self) -> None:
        if self._count >= self._most:
            raise ValueError(f"{self.kind} has at most {self._most:,} entries: its key has no more values")

    def _added(self) -> None:
        self._count += 1
        self._changes += 1
        if self._entry_bytes:
            self.heap.allocate(self._entry_bytes)

    def _removed(self) -> None:
        self._count -= 1
        self._changes += 1
        if self._entry_bytes:
            self.heap.drop(self._entry_bytes)
        if self._count == 0:
            self._reseed()

    def _reseed(self) -> None:
        """An empty map gets a new seed, as a defence against crafted keys (go.dev/issue/25237)."""
        self._seed = self._random.getrandbits(64)


class _Items(ItemsView[K, V]):
    _mapping: GoMap[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return self._mapping.entries()


class _Values(ValuesView[V]):
    _mapping: GoMap[Any, V]

    def __iter__(self) -> Iterator[V]:
        return (elem for _, elem in self._mapping.entries())
