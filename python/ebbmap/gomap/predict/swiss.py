"""The Swiss map (Go 1.24 and later, `internal/runtime/maps`) in closed form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

from ebbmap.gomap.chance import binomial_tail, unusual_share
from ebbmap.gomap.heap import next_collection, phases
from ebbmap.gomap.paths import prunes
from ebbmap.gomap.predict.base import HEADER, SLOTS, Predictor, SwissShape
from ebbmap.gomap.predict.churn import rebuilt_share, turnovers_to_rebuild
from ebbmap.gomap.sizeclasses import object_bytes
from ebbmap.gomap.types import MapType
from ebbmap.gomap.version import GoVersion

TABLE = 32  # the struct of one table
_NEVER = 1e-3  # a share of the tables that doesn't count
_DEEPER = 2  # levels that the deepest of many tables lies below the mean, at most (measured)
MAX_TABLE = 1024  # slots; a full table of that size splits


def table_limit(capacity: int) -> int:
    """How many slots of a table may be filled: 7 of 8, and 7 of a single group."""
    return capacity * 7 // 8


def table_capacity(target: int) -> int:
    """Slots of a table made for `target`: the next power of two, from one group to 1,024."""
    return min(MAX_TABLE, max(SLOTS, 1 << max(0, target - 1).bit_length()))


def hinted(hint: int) -> tuple[int, int]:
    """Directory depth and slots a table, as `make(m, hint)` sets them up for more than eight entries."""
    target = hint * 8 // 7
    directory = 1 << (-(-target // MAX_TABLE) - 1).bit_length()
    return directory.bit_length() - 1, table_capacity(target // directory)


def table_bytes(kind: MapType, version: GoVersion, capacity: int) -> int:
    """Heap bytes of one table of `capacity` slots."""
    groups = object_bytes(capacity // SLOTS * kind.group_bytes, kind.pointers, version)
    return TABLE + groups


def directory_bytes(version: GoVersion, depth: int) -> int:
    """Heap bytes of a directory of 2^depth tables."""
    return object_bytes(8 << depth, True, version)


class SwissPredictor(Predictor):
    """Tables of up to 1,024 slots under a directory; a full one doubles or splits."""

    def _filled(self, entries: int, hint: int, deletes: int) -> tuple[float, SwissShape]:
        if max(entries, hint) <= SLOTS:
            return self._small(entries)
        depth, capacity = hinted(hint) if hint > SLOTS else (0, 2 * SLOTS)
        return self._tables(entries, depth, capacity)

    def _small(self, entries: int) -> tuple[float, SwissShape]:
        group = object_bytes(self.kind.group_bytes, self.kind.pointers, self.version) if entries else 0
        return HEADER + group, SwissShape(0, 0, min(1, entries), self.kind.group_bytes)

    def _tables(self, entries: int, depth: int, capacity: int) -> tuple[float, SwissShape]:
        split = expected_tables(entries, depth) - (1 << depth)
        sizes = expected_sizes(entries, depth, capacity)
        whole = table_bytes(self.kind, self.version, MAX_TABLE)
        total = HEADER + split * whole
        total += sum(count * table_bytes(self.kind, self.version, slots) for slots, count in sizes.items())
        depths = depth_chances(entries, depth)
        total += sum(chance * directory_bytes(self.version, d) for d, chance in depths.items())
        groups = split * MAX_TABLE / SLOTS + sum(slots / SLOTS * count for slots, count in sizes.items())
        shape = SwissShape(split + (1 << depth), _median(depths), groups, self.kind.group_bytes)
        return total, shape

    def _dropped(self, entries: int, hint: int) -> float:
        """A split leaves a full table behind, a doubling a smaller one, a deeper directory the old one."""
        if entries <= SLOTS or entries <= hint:
            return 0.0
        depth, capacity = hinted(hint) if hint > SLOTS else (0, 2 * SLOTS)
        splits = expected_tables(entries, depth) - (1 << depth)
        first = 0.0 if hint > SLOTS else self._small(1)[0] - HEADER
        smaller = sum(
            (1 << depth) * binomial_tail(entries, 0.5**depth, table_limit(slots) + 1) * self._one(slots)
            for slots in _doublings(capacity)
        )
        deeper = sum(
            directory_bytes(self.version, d) for d in range(depth, _median(depth_chances(entries, depth)))
        )
        return first + smaller + splits * self._one(MAX_TABLE) + deeper

    def _collections(self, entries: int) -> list[int]:
        """Growth is smooth, so when the collector last ran is chance; a classic map's jumps bring it on."""
        whole = self.filled(entries).bytes + self._dropped(entries, 0)
        return phases(entries) if whole > next_collection(0) else [0]

    def _one(self, slots: int) -> int:
        return table_bytes(self.kind, self.version, slots)

    def _churned(self, entries: int, turnovers: float, hint: int, most: bool) -> tuple[float, SwissShape]:
        """It holds most in the end: no table becomes smaller."""
        if max(entries, hint) <= SLOTS:
            return self._small(entries)
        depth, capacity = hinted(hint) if hint > SLOTS else (0, 2 * SLOTS)
        tables = groups = size = 0.0
        for (d, slots), count in _leaves(entries, depth, capacity).items():
            held = min(entries / (1 << d), table_limit(slots))  # a fuller one would have split
            for grown, share in self._rebuilt(count, held, slots, d, turnovers, most):
                tables += count * share * max(1, grown // MAX_TABLE)
                groups += count * share * grown / SLOTS
                size += count * share * self._one(min(grown, MAX_TABLE)) * max(1, grown // MAX_TABLE)
        deepest = math.ceil(math.log2(tables)) + (_DEEPER if most else 0)
        size += HEADER + directory_bytes(self.version, deepest)
        return size, SwissShape(tables, deepest, groups, self.kind.group_bytes)

    def _rebuilt(
        self, count: float, held: float, slots: int, depth: int, turnovers: float, most: bool
    ) -> Iterator[tuple[int, float]]:
        """What becomes of `count` tables of `slots` with `held` entries: slots in all, and their share.

        With `most`, the shares that one map in a hundred exceeds.
        """
        pruned, size, share, left = prunes(self.kind, self.version), slots, 1.0, turnovers
        while share > _NEVER:
            load, groups = held / size, size // SLOTS
            deviation = math.sqrt(held * (1 - 0.5**depth)) / size
            further = share * rebuilt_share(load, deviation, groups, left, pruned)
            if most:
                further = min(share, unusual_share(max(1, round(count)), _at_twice_the_odds(further)))
            else:
                left = max(0.0, left - turnovers_to_rebuild(load, turnovers))
            yield slots, share - further
            share, slots = further, 2 * slots
            if size < MAX_TABLE:
                size *= 2
            else:
                held, depth, count = held / 2, depth + 1, 2 * count


def _at_twice_the_odds(share: float) -> float:
    """The share for a bound: the odds in real maps were up to 1.6 times those that are predicted."""
    return 2 * share / (1 + share)


def _leaves(entries: int, depth: int, capacity: int) -> dict[tuple[int, int], float]:
    """How many tables lie at which depth with how many slots, after inserts alone."""
    leaves = {(depth, slots): count for slots, count in expected_sizes(entries, depth, capacity).items()}
    for d, chance in _split_chances(entries, depth):
        leaves[d, MAX_TABLE] = leaves.get((d, MAX_TABLE), 0.0) - (1 << d) * chance
        leaves[d + 1, MAX_TABLE] = leaves.get((d + 1, MAX_TABLE), 0.0) + (2 << d) * chance
    return {place: count for place, count in leaves.items() if count > 1e-6}


def _doublings(capacity: int) -> list[int]:
    """The sizes below 1,024 that a table of `capacity` goes through."""
    sizes = []
    while capacity < MAX_TABLE:
        sizes.append(capacity)
        capacity *= 2
    return sizes


@lru_cache(maxsize=4096)
def _split_chances(entries: int, depth: int) -> tuple[tuple[int, float], ...]:
    """For each depth from `depth` on, the chance that one table there has been overfilled."""
    chances = []
    for d in range(depth, 64):
        chance = binomial_tail(entries, 0.5**d, table_limit(MAX_TABLE) + 1)
        if chance <= 0:
            break
        chances.append((d, chance))
    return tuple(chances)


def expected_tables(entries: int, depth: int = 0) -> float:
    """Expected tables after `entries` inserts into 2^depth of them; a table splits with the 897th entry."""
    return (1 << depth) + sum((1 << d) * chance for d, chance in _split_chances(entries, depth))


def expected_sizes(entries: int, depth: int, capacity: int) -> dict[int, float]:
    """How many of the first 2^depth tables have which size (one that split counts as one of 1,024 slots)."""
    sizes = [*_doublings(capacity), MAX_TABLE]
    outgrown = [binomial_tail(entries, 0.5**depth, table_limit(slots) + 1) for slots in sizes[:-1]]
    at_least = [1.0, *outgrown, 0.0]
    return {
        slots: (1 << depth) * (at_least[i] - at_least[i + 1])
        for i, slots in enumerate(sizes)
        if at_least[i] > at_least[i + 1]
    }


def depth_chances(entries: int, depth: int) -> dict[int, float]:
    """The distribution of the directory's depth: it is one more than that of the deepest split."""
    reached, chances = 1.0, {}
    for d, chance in _split_chances(entries, depth):
        any_split = -math.expm1((1 << d) * math.log1p(-chance)) if chance < 1 else 1.0
        chances[d] = max(0.0, reached - any_split)
        reached = min(reached, any_split)
    chances[max(chances, default=depth - 1) + 1] = reached
    return {d: chance for d, chance in chances.items() if chance > 0}


def _median(chances: dict[int, float]) -> int:
    total = 0.0
    for depth, chance in sorted(chances.items()):
        total += chance
        if total >= 0.5:
            return depth
    return max(chances)
