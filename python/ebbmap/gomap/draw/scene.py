"""What a picture of a map shows, independent of how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ebbmap.gomap.hmap import EMPTY_ONE, EMPTY_REST, EVACUATED_EMPTY, MIN_TOP_HASH, Bucket, HMap
from ebbmap.gomap.model import GoMap
from ebbmap.gomap.plan.report import human
from ebbmap.gomap.swiss import DELETED, EMPTY, SwissMap, Table

SHOWN = 32  # buckets or groups of one array
TABLES = 4  # tables of a Swiss map

AnyMap = GoMap[Any, Any]

# The state of a slot.
FULL, FREE, GONE, MOVED = "full", "empty", "deleted", "moved"
_LEGEND = ((FULL, "full"), (FREE, "empty"), (GONE, "deleted"))


@dataclass(frozen=True)
class Column:
    """A bucket with its overflow buckets, or a group: for each the states of its eight slots."""

    label: str
    blocks: list[list[str]]
    opened: bool = False


@dataclass(frozen=True)
class Row:
    """An array of buckets or the groups of a table; `more` aren't shown."""

    title: str
    columns: list[Column]
    more: int = 0


@dataclass(frozen=True)
class Slot:
    """One slot of the opened bucket, as text."""

    number: str
    mark: str
    key: str
    elem: str
    state: str


@dataclass(frozen=True)
class Scene:
    """A map at one moment."""

    title: str
    facts: list[tuple[str, str]]
    rows: list[Row]
    opened_title: str
    mark_title: str
    opened: list[list[Slot]] = field(default_factory=list)
    directory: list[str] = field(default_factory=list)
    legend: tuple[tuple[str, str], ...] = ()
    """The states that slots may have, and what each means."""


def scene(made: AnyMap, focus: object = None) -> Scene:
    """The map as it is now, opened at the key `focus` (default: where most slots are or were in use)."""
    return _classic(made, focus) if isinstance(made, HMap) else _swiss(made, focus)


def _title(made: AnyMap) -> str:
    return f"{made.kind}, Go {made.version}"


def _heap(made: AnyMap) -> list[tuple[str, str]]:
    return [("live", human(made.heap_bytes)), ("garbage", human(made.garbage_bytes))]


# The classic map.
def _classic(made: HMap[Any, Any], focus: object) -> Scene:
    opened = made.index_of(focus) if focus is not None else _fullest_chain(made)
    chain = made.chain(opened)
    return Scene(
        _title(made),
        _classic_facts(made),
        _arrays(made, opened),
        f"bucket {opened}" + (f" and {len(chain) - 1} overflow" if len(chain) > 1 else ""),
        "tophash",
        [[_slot(bucket, i) for i in range(8)] for bucket in chain],
        legend=(*_LEGEND, (MOVED, "moved to the new array")),
    )


def _classic_facts(made: HMap[Any, Any]) -> list[tuple[str, str]]:
    facts = [("entries", f"{len(made):,}"), ("B", str(made.B)), ("buckets", f"{1 << made.B:,}")]
    facts.append(("overflow buckets", f"{made.overflow_buckets:,}"))
    if made.growing:
        old = 1 << (made.B - (not made.same_size_grow))
        facts.append(("evacuated up to", f"{made.nevacuate:,} of {old:,}"))
    return facts + _heap(made)


def _fullest_chain(made: HMap[Any, Any]) -> int:
    """Of those shown; of several the one with the most overflow buckets."""
    return max(range(min(SHOWN, 1 << made.B)), key=lambda i: (_told(made.chain(i)), len(made.chain(i))))


def _told(chain: list[Bucket]) -> tuple[int, int]:
    return _use([_state(top) for bucket in chain for top in bucket.tophash])


def _use(states: list[str]) -> tuple[int, int]:
    """How many slots tell of an entry that is or was there, and how many of one that is."""
    live = states.count(FULL)
    return live + states.count(GONE), live


def _old_buckets(made: HMap[Any, Any]) -> Row:
    old = 1 << (made.B - (not made.same_size_grow))
    columns = [_column(str(i), made.old_chain(i)) for i in range(min(SHOWN, old))]
    return Row("old buckets, being evacuated", columns, max(0, old - SHOWN))


def _arrays(made: HMap[Any, Any], opened: int) -> list[Row]:
    rows = [_old_buckets(made)] if made.growing else []
    first = 0 if opened < SHOWN else opened // SHOWN * SHOWN
    columns = [
        _column(str(i), made.chain(i), i == opened) for i in range(first, min(first + SHOWN, 1 << made.B))
    ]
    rows.append(Row("buckets", columns, max(0, (1 << made.B) - SHOWN)))
    return rows


def _column(label: str, chain: list[Bucket], opened: bool = False) -> Column:
    return Column(
        label, [[_state(top) for top in bucket.tophash] for bucket in chain] or [[FREE] * 8], opened
    )


def _state(top: int) -> str:
    if top >= MIN_TOP_HASH:
        return FULL
    return {EMPTY_REST: FREE, EMPTY_ONE: GONE, EVACUATED_EMPTY: MOVED}.get(top, MOVED)


def _slot(bucket: Bucket, i: int) -> Slot:
    state = _state(bucket.tophash[i])
    shown = state == FULL
    key, elem = (_text(bucket.keys[i]), _text(bucket.elems[i])) if shown else ("", "")
    return Slot(str(i), f"{bucket.tophash[i]:02x}", key, elem, state)


def _text(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 18 else text[:17] + "…"


# The Swiss map.
def _swiss(made: AnyMap, focus: object) -> Scene:
    assert isinstance(made, SwissMap)
    tables = made.tables() or [made.small or Table(8)]
    table, group = made.group_of(focus) if focus is not None else _fullest_group(tables)
    return Scene(
        _title(made),
        _swiss_facts(made),
        _tables(tables, table, group),
        f"group {group} of table {table}" if made.directory else "the single group",
        "control",
        [[_swiss_slot(tables[table], group * 8 + i) for i in range(8)]],
        [str(tables.index(found)) for found in made.directory[:64]],
        legend=_LEGEND,
    )


def _fullest_group(tables: list[Table]) -> tuple[int, int]:
    """Of those shown: which table, and which of its groups."""
    shown = [
        (place, group)
        for place, table in enumerate(tables[:TABLES])
        for group in range(min(SHOWN, table.capacity // 8))
    ]
    return max(shown, key=lambda at: _use(_group_states(tables[at[0]], at[1])))


def _group_states(table: Table, group: int) -> list[str]:
    return [_ctrl_state(ctrl) for ctrl in table.ctrl[group * 8 : group * 8 + 8]]


def _swiss_facts(made: SwissMap[Any, Any]) -> list[tuple[str, str]]:
    shape = made.shape
    tombstones = sum(table.ctrl.count(DELETED) for table in made.tables())
    return [
        ("entries", f"{len(made):,}"),
        ("tables", f"{shape.tables:,}"),
        ("directory depth", str(shape.directory_depth)),
        ("groups", f"{shape.groups:,}"),
        ("tombstones", f"{tombstones:,}"),
        *_heap(made),
    ]


def _tables(tables: list[Table], opened: int, group: int) -> list[Row]:
    first = max(0, min(opened, len(tables) - TABLES))
    return [
        _table_row(tables[i], i, group if i == opened else -1, len(tables))
        for i in range(first, min(first + TABLES, len(tables)))
    ]


def _table_row(table: Table, number: int, opened: int, count: int) -> Row:
    groups = table.capacity // 8
    first = max(0, opened // SHOWN * SHOWN)
    columns = [
        Column(str(i), [_group_states(table, i)], i == opened)
        for i in range(first, min(first + SHOWN, groups))
    ]
    title = (
        f"table {number} of {count} ({table.used} of {table.capacity} slots used, {table.growth_left} free): "
        "groups"
    )
    return Row(title, columns, max(0, groups - SHOWN))


def _ctrl_state(ctrl: int) -> str:
    return {EMPTY: FREE, DELETED: GONE}.get(ctrl, FULL)


def _swiss_slot(table: Table, slot: int) -> Slot:
    ctrl = table.ctrl[slot]
    shown = ctrl < EMPTY
    key, elem = (_text(table.keys[slot]), _text(table.elems[slot])) if shown else ("", "")
    return Slot(str(slot % 8), f"{ctrl:02x}", key, elem, _ctrl_state(ctrl))
