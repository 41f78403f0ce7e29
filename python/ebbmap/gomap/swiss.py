"""The Swiss map, executed: `internal/runtime/maps` of Go 1.24 and later in Python.

Names follow the runtime's: table, group, control byte, growth left, directory. The heap is counted as Go
would take it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ebbmap.gomap.heap import Outside
from ebbmap.gomap.model import GoMap, K, V, equals_itself
from ebbmap.gomap.paths import prunes
from ebbmap.gomap.predict.base import HEADER, SLOTS, SwissShape
from ebbmap.gomap.predict.swiss import MAX_TABLE, directory_bytes, hinted, table_bytes, table_limit
from ebbmap.gomap.sizeclasses import object_bytes
from ebbmap.gomap.types import MapType
from ebbmap.gomap.version import GoVersion

EMPTY, DELETED = 0x80, 0xFE  # control bytes; below 0x80: a full slot, with 7 bits of its hash
_HASH_BITS = 64


@dataclass(frozen=True, slots=True)
class Group:
    """One group as it is now: its control bytes and its slots."""

    number: int
    ctrl: bytes
    keys: tuple[object, ...]
    elems: tuple[object, ...]


class Table:
    """A complete hash table of `capacity` slots in groups of eight."""

    __slots__ = ("capacity", "ctrl", "elems", "growth_left", "index", "keys", "local_depth", "mask", "used")

    def __init__(self, capacity: int, index: int = 0, local_depth: int = 0) -> None:
        self.capacity = capacity
        self.index = index  # of the first directory entry that points here
        self.local_depth = local_depth
        self.mask = capacity // SLOTS - 1
        self.used = 0
        self.growth_left = table_limit(capacity)
        self.ctrl = bytearray([EMPTY]) * capacity
        self.keys: list[object] = [None] * capacity
        self.elems: list[object] = [None] * capacity

    def find(self, hash_: int, key: object) -> int:
        """The slot of `key`, or -1."""
        h2, offset, step, ctrl = hash_ & 0x7F, hash_ >> 7 & self.mask, 0, self.ctrl
        while True:
            start = offset * SLOTS
            slot = ctrl.find(h2, start, start + SLOTS)
            while slot >= 0:
                known = self.keys[slot]
                if known is key or known == key:
                    return slot
                slot = ctrl.find(h2, slot + 1, start + SLOTS)
            if ctrl.find(EMPTY, start, start + SLOTS) >= 0 or step > self.mask:
                return -1
            step += 1
            offset = offset + step & self.mask

    def free(self, hash_: int) -> int:
        """The slot for a new key of this hash: the first deleted one on its way, else the first empty one."""
        offset, step, deleted = hash_ >> 7 & self.mask, 0, -1
        while True:
            start = offset * SLOTS
            slot = self.ctrl.find(EMPTY, start, start + SLOTS)
            if slot >= 0:
                return slot if deleted < 0 else deleted
            if deleted < 0:
                deleted = self.ctrl.find(DELETED, start, start + SLOTS)
            step += 1
            offset = offset + step & self.mask

    def fill(self, slot: int, hash_: int, key: object, elem: object) -> None:
        """Put an entry into a free slot; one that was deleted costs no growth."""
        self.growth_left -= self.ctrl[slot] == EMPTY
        self.used += 1
        self.ctrl[slot] = hash_ & 0x7F
        self.keys[slot] = key
        self.elems[slot] = elem

    def put_all(self, other: Table, hash_of: Callable[[object], int]) -> None:
        """Put the entries of a table of another size into this one."""
        for slot in other.full_slots():
            key = other.keys[slot]
            hash_ = hash_of(key)
            self.fill(self.free(hash_), hash_, key, other.elems[slot])

    def delete(self, slot: int) -> None:
        """Empty a slot; in a full group it becomes a tombstone, for a search must not stop there."""
        start = slot // SLOTS * SLOTS
        if self.ctrl.find(EMPTY, start, start + SLOTS) >= 0:
            self.ctrl[slot] = EMPTY
            self.growth_left += 1
        else:
            self.ctrl[slot] = DELETED
        self.keys[slot] = self.elems[slot] = None
        self.used -= 1

    def full_slots(self) -> list[int]:
        """The slots that hold entries."""
        return [slot for slot, state in enumerate(self.ctrl) if state < EMPTY]

    @property
    def tombstones(self) -> int:
        """Deleted slots that still count as taken."""
        return table_limit(self.capacity) - self.used - self.growth_left

    def prune(self, hash_of: Callable[[object], int]) -> None:
        """Make tombstones empty where no search has to pass them, if that frees a tenth of the table."""
        if self.tombstones * 10 < self.capacity:
            return
        needed = self._needed_groups(hash_of)
        slots = [
            slot for slot, state in enumerate(self.ctrl) if state == DELETED and slot // SLOTS not in needed
        ]
        if len(slots) * 10 < self.capacity:
            return
        for slot in slots:
            self.ctrl[slot] = EMPTY
        self.growth_left += len(slots)

    def _needed_groups(self, hash_of: Callable[[object], int]) -> set[int]:
        """The groups that the search for some entry passes; nothing is searched that doesn't equal itself."""
        needed: set[int] = set()
        for slot in self.full_slots():
            key = self.keys[slot]
            if not equals_itself(key):
                continue
            offset, step = hash_of(key) >> 7 & self.mask, 0
            while offset != slot // SLOTS:
                needed.add(offset)
                step += 1
                offset = offset + step & self.mask
        return needed

    def group(self, number: int) -> Group:
        """A picture of one group."""
        part = slice(number * SLOTS, (number + 1) * SLOTS)
        return Group(number, bytes(self.ctrl[part]), tuple(self.keys[part]), tuple(self.elems[part]))


class SwissMap(GoMap[K, V]):
    """The map of Go 1.24 and later: one group, then tables of up to 1,024 slots under a directory.

    Raises:
        ValueError: `version` has classic maps; or it, or `kind`, can't be parsed.
    """

    def __init__(
        self,
        kind: MapType | str = "map[int][128]byte",
        version: GoVersion | str = "1.24",
        *,
        hint: int = 0,
        outside: Outside | None = None,
        seed: int = 0,
        paced: bool = True,
    ) -> None:
        super().__init__(kind, version, outside=outside, seed=seed, paced=paced)
        if not self.version.swiss:
            raise ValueError(f"Go {self.version} has classic maps: see HMap")
        self.directory: list[Table] = []
        self.depth = 0
        self._prunes = prunes(self.kind, self.version)
        self._tables = 0
        self._groups = 0
        self._small: Table | None = None  # at most eight entries, before there is a table
        self.heap.allocate(HEADER)
        if hint > SLOTS:
            self._make_tables(*hinted(hint))

    # What it holds.
    @property
    def shape(self) -> SwissShape:
        return SwissShape(self._tables, self.depth, self._groups, self.kind.group_bytes)

    def tables(self) -> list[Table]:
        """Its tables, in the order of the directory; none while the map never had more than eight entries."""
        return [table for i, table in enumerate(self.directory) if table.index == i]

    @property
    def small(self) -> Table | None:
        """The single group of a map that never had more than eight entries."""
        return self._small

    def group_of(self, key: object) -> tuple[int, int]:
        """Which of `tables()` the key belongs to (0 for a single group), and where a search for it starts."""
        hash_ = self._hash(key)
        table = self._table(hash_)
        index = self.tables().index(table) if table and self.directory else 0
        return index, hash_ >> 7 & table.mask if table else 0

    # Access.
    def _table(self, hash_: int) -> Table | None:
        return self.directory[hash_ >> _HASH_BITS - self.depth] if self.directory else self._small

    def _find(self, key: K) -> tuple[list[object], int] | None:
        hash_ = self._hash(key)
        table = self._table(hash_)
        slot = table.find(hash_, key) if table and equals_itself(key) else -1
        return (table.elems, slot) if table and slot >= 0 else None

    def _slots(self) -> Iterator[tuple[list[object], list[object], int]]:
        for table in [self._small] if self._small else self.tables():
            for slot in table.full_slots():
                yield table.keys, table.elems, slot

    # Insertion.
    def __setitem__(self, key: K, elem: V) -> None:
        hash_ = self._hash(key)
        table = self._table(hash_) or self._first_group()
        if not self.directory and self._grows_first(table):
            table = self._grow_to_table(table)
        slot = table.find(hash_, key) if equals_itself(key) else -1
        if slot >= 0:
            table.elems[slot] = elem
            return
        self._check_room()
        while (slot := self._room(table, hash_)) < 0:
            self._rehash(table)
            table = self.directory[hash_ >> _HASH_BITS - self.depth]
        table.fill(slot, hash_, key, elem)
        self._added()

    def _grows_first(self, table: Table) -> bool:
        """Until 1.26 a full single group grew on any write, even of a key it had."""
        return table.used == SLOTS and self.version.minor < 27

    def _room(self, table: Table, hash_: int) -> int:
        """The slot for a new key, or -1 when the table has to grow first."""
        if not self.directory:
            return table.ctrl.find(EMPTY)
        slot = table.free(hash_)
        if table.growth_left > 0 or table.ctrl[slot] == DELETED:
            return slot
        if self._prunes:
            table.prune(self._hash)
        return slot if table.growth_left > 0 else -1

    def _first_group(self) -> Table:
        self._small = Table(SLOTS)
        self._groups = 1
        self.heap.allocate(self._group_bytes())
        return self._small

    def _group_bytes(self) -> int:
        return object_bytes(self.kind.group_bytes, self.kind.pointers, self.version)

    # Growth.
    def _make_tables(self, depth: int, capacity: int) -> None:
        self.depth = depth
        self.directory = [self._new_table(capacity, i, depth) for i in range(1 << depth)]
        self.heap.allocate(directory_bytes(self.version, depth))

    def _new_table(self, capacity: int, index: int, local_depth: int) -> Table:
        self.heap.allocate(table_bytes(self.kind, self.version, capacity))
        self._tables += 1
        self._groups += capacity // SLOTS
        return Table(capacity, index, local_depth)

    def _drop_table(self, table: Table) -> None:
        self.heap.drop(table_bytes(self.kind, self.version, table.capacity))
        self._tables -= 1
        self._groups -= table.capacity // SLOTS
        table.index = -1

    def _rehash(self, table: Table) -> None:
        """Replace a full table by one of twice the size, or by two."""
        if not self.directory:
            self._grow_to_table(table)
        elif table.capacity < MAX_TABLE:
            self._double(table)
        else:
            self._split(table)

    def _grow_to_table(self, small: Table) -> Table:
        self._small, self._groups = None, 0
        self._make_tables(0, 2 * SLOTS)
        self.directory[0].put_all(small, self._hash)
        self.heap.drop(self._group_bytes())
        return self.directory[0]

    def _double(self, table: Table) -> None:
        larger = self._new_table(2 * table.capacity, table.index, table.local_depth)
        larger.put_all(table, self._hash)
        self._install(larger)
        self._drop_table(table)

    def _split(self, table: Table) -> None:
        depth = table.local_depth + 1
        halves = [self._new_table(MAX_TABLE, -1, depth) for _ in range(2)]
        shift = _HASH_BITS - depth
        for slot in table.full_slots():
            key = table.keys[slot]
            hash_ = self._hash(key)
            half = halves[hash_ >> shift & 1]
            half.fill(half.free(hash_), hash_, key, table.elems[slot])
        self._install_halves(table, *halves)

    def _install_halves(self, table: Table, left: Table, right: Table) -> None:
        if table.local_depth == self.depth:
            self._deepen()
        left.index = table.index
        right.index = table.index + (1 << self.depth - left.local_depth)
        self._install(left)
        self._install(right)
        self._drop_table(table)

    def _deepen(self) -> None:
        """Double the directory."""
        for table in self.tables():
            table.index *= 2
        self.directory = [table for table in self.directory for _ in range(2)]
        self.depth += 1
        self.heap.allocate(directory_bytes(self.version, self.depth))
        self.heap.drop(directory_bytes(self.version, self.depth - 1))

    def _install(self, table: Table) -> None:
        entries = 1 << self.depth - table.local_depth
        self.directory[table.index : table.index + entries] = [table] * entries

    # Deletion.
    def __delitem__(self, key: K) -> None:
        hash_ = self._hash(key)
        table = self._table(hash_)
        slot = table.find(hash_, key) if table and equals_itself(key) else -1
        if table is None or slot < 0:
            raise KeyError(key)
        if self.directory:
            table.delete(slot)
        else:
            self._delete_small(table, slot)
        self._removed()

    def _delete_small(self, table: Table, slot: int) -> None:
        table.ctrl[slot] = EMPTY
        table.keys[slot] = table.elems[slot] = None
        table.used -= 1

    def clear(self) -> None:
        """`clear(m)`: all entries go, the tables stay."""
        self.heap.drop(self._count * self._entry_bytes)
        for table in self.tables():
            self._install(Table(table.capacity, table.index, table.local_depth))
        if self._small is not None:
            self._small = Table(SLOTS)
        self._count = 0
        self._changes += 1
        self._reseed()
