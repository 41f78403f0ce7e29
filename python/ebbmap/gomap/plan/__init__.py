"""What a map will cost, what will stay, and what each remedy would cost: `ebbmap plan`.

`make_plan()` computes; `ebbmap.gomap.plan.report` writes it for people, `as_json()` for programs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ebbmap.gomap.heap import ASSUMED, Outside, copied_bytes
from ebbmap.gomap.plan.python import dict_bytes, dict_resizing_bytes, ebbmap_bytes
from ebbmap.gomap.predict import ClassicShape, Footprint, Predictor, SwissShape, predictor
from ebbmap.gomap.types import WORD, MapType
from ebbmap.gomap.version import GoVersion

DEFAULT_VERSIONS = (GoVersion(23), GoVersion(27))  # the last classic one, and Swiss
TURNOVERS = 100  # of a map of constant size, unless asked for others
LONG_RUN = 1_000_000  # turnovers: a cache whose entries live for ten seconds takes them in four months
WORTH = 1 << 20  # bytes below which nothing is worth doing


@dataclass(frozen=True, slots=True)
class Remedy:
    """What one remedy costs: bytes at the peak, afterwards, and for a moment.

    That moment is where old and new map exist, or else the filling with the garbage that growth leaves.
    """

    name: str
    peak_bytes: float
    steady_bytes: float
    transient_bytes: float
    note: str


@dataclass(frozen=True, slots=True)
class Churn:
    """What a map of constant size comes to while new entries replace all of its entries `turnovers` times.

    `most` and `long_run` (after `LONG_RUN` turnovers) are bounds that 99 maps in 100 keep. `compacting` is
    what a classic map holds while a growth of the same size makes it compact; None if that doesn't happen.
    """

    turnovers: int
    most: Footprint
    compacting: float | None
    long_run: Footprint


@dataclass(frozen=True, slots=True)
class Plan:
    """One map type under one Go release."""

    kind: MapType
    version: GoVersion
    peak: int
    steady: int
    outside: Outside
    at_peak: Footprint
    uncollected: float
    drained: Footprint
    right_sized: Footprint
    churn: Churn | None  # only of a map of constant size
    pays_below: int
    remedies: tuple[Remedy, ...]

    @property
    def kept(self) -> float:
        """Bytes that stay after the peak beyond what the steady entries need."""
        return self.drained.bytes - self.right_sized.bytes

    @property
    def needed(self) -> bool:
        """Whether anything should be done at all: a new map would be at most half of what stays."""
        return self.kept > WORTH and self.steady <= self.pays_below

    @property
    def not_counted(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Types that refer to what is in no figure: pointers and other references, and slices of such."""
        held = self.kind.held
        unknown = () if self.outside.pointee is not None else (text for text, _ in held.unknown)
        return tuple(dict.fromkeys(unknown)), tuple(dict.fromkeys(held.beyond))

    def remedy(self, name: str) -> Remedy:
        """The remedy of that name; KeyError if this type has none such."""
        return {remedy.name: remedy for remedy in self.remedies}[name]


def make_plan(
    kind: MapType,
    peak: int,
    steady: int,
    version: GoVersion,
    outside: Outside | None = None,
    turnovers: int = TURNOVERS,
) -> Plan:
    """Everything `ebbmap plan` says of one map type under one release; by default with `ASSUMED`.

    Raises:
        ValueError: steady is more than the peak, or the peak more than 10^10.
    """
    outside = outside or ASSUMED
    made = predictor(kind, version, outside)
    drained = made.drained(peak, steady)
    return Plan(
        kind=kind,
        version=version,
        peak=peak,
        steady=steady,
        outside=outside,
        at_peak=made.filled(peak),
        uncollected=made.uncollected(peak),
        drained=drained,
        right_sized=made.filled(steady, steady),
        churn=_churn(made, peak, turnovers) if peak == steady else None,
        pays_below=_pays_below(made, peak),
        remedies=_remedies(made, peak, steady),
    )


def _churn(made: Predictor, entries: int, turnovers: int) -> Churn:
    most = made.most_churned(entries, turnovers)
    long_run = made.most_churned(entries, max(turnovers, LONG_RUN))
    return Churn(turnovers, most, made.compacting(entries, turnovers), long_run)


def _pays_below(made: Predictor, peak: int) -> int:
    """The most entries for which a new map takes at most half of what the drained one does."""
    low, high = 0, peak
    while low < high:
        middle = (low + high + 1) // 2
        pays = 2 * made.filled(middle, middle).bytes <= made.drained(peak, middle).bytes
        low, high = (middle, high) if pays else (low, middle - 1)
    return low


def _remedies(made: Predictor, peak: int, steady: int) -> tuple[Remedy, ...]:
    return (
        _nothing("none", made, peak, steady, "the table stays as it is"),
        _recreate("recreate", made, peak, steady),
        *_pointers(made, peak, steady),
        _upgrade(made, peak, steady),
        _dict(made, peak, steady),
        _ebbmap(made, peak, steady),
    )


def _nothing(name: str, made: Predictor, peak: int, steady: int, note: str) -> Remedy:
    at_peak, left = made.filled(peak).bytes, made.drained(peak, steady).bytes
    return Remedy(name, at_peak, left, max(at_peak, made.uncollected(peak)), note)


def _recreate(name: str, made: Predictor, peak: int, steady: int) -> Remedy:
    """Copying shares what lies outside, but for keys and elements of more than 128 bytes."""
    at_peak, left = made.filled(peak).bytes, made.drained(peak, steady).bytes
    new = made.filled(steady, steady)
    copies = steady * copied_bytes(made.kind, made.version)
    return Remedy(name, at_peak, new.bytes, left + new.table_bytes + copies, "copied into a new map")


def _pointers(made: Predictor, peak: int, steady: int) -> Iterator[Remedy]:
    """Elements behind pointers: where a slot holds no more than a pointer already, that is no remedy."""
    if made.kind.stored_elem.size <= WORD:
        return
    behind = predictor(made.kind.with_pointers(), made.version, made.outside)
    yield _nothing("pointers", behind, peak, steady, "the table of pointers stays")
    yield _recreate("both", behind, peak, steady)


def _upgrade(made: Predictor, peak: int, steady: int) -> Remedy:
    if made.version.swiss:
        return _nothing("go1.24+", made, peak, steady, "this is a Swiss map already")
    swiss = predictor(made.kind, DEFAULT_VERSIONS[1], made.outside)
    return _nothing("go1.24+", swiss, peak, steady, "Swiss maps don't shrink")


def _dict(made: Predictor, peak: int, steady: int) -> Remedy:
    kind, outside = made.kind, made.outside
    left = dict_bytes(kind, outside, peak, steady)
    note = "Python: shrinks only if later inserts run out of slots"
    at_peak = dict_bytes(kind, outside, peak, peak)
    return Remedy("dict", at_peak, left, max(at_peak, dict_resizing_bytes(kind, outside, peak)), note)


def _ebbmap(made: Predictor, peak: int, steady: int) -> Remedy:
    at_peak = ebbmap_bytes(made.kind, made.outside, peak)
    left = ebbmap_bytes(made.kind, made.outside, steady)
    return Remedy("ebbmap", at_peak, left, at_peak, "Python: the most, by its promise")


def as_json(plans: list[Plan]) -> dict[str, Any]:
    """The document that `--json` writes: plain numbers, bytes rounded to whole ones."""
    first = plans[0]
    return {
        "type": str(first.kind),
        "peak": first.peak,
        "steady": first.steady,
        "outside": _outside_json(first),
        "plans": [_plan_json(plan) for plan in plans],
    }


def _outside_json(plan: Plan) -> dict[str, Any]:
    """What was counted for each string and so on, and what wasn't."""
    outside = plan.outside
    return {
        "key_string_bytes": outside.key,
        "value_string_bytes": outside.elem,
        "pointee_bytes": outside.pointee,
        "box_bytes": outside.box,
        "inner_map_entries": outside.entries,
        "not_counted": [name for names in plan.not_counted for name in names],
    }


def _plan_json(plan: Plan) -> dict[str, Any]:
    return {
        "go": str(plan.version),
        **_shape_json(plan),
        "bytes_at_peak": round(plan.at_peak.bytes),
        "bytes_at_peak_uncollected": round(plan.uncollected),
        "bytes_after_delete": round(plan.drained.bytes),
        "churn": _churn_json(plan.churn),
        "remedies": [_remedy_json(remedy) for remedy in plan.remedies],
    }


def _remedy_json(remedy: Remedy) -> dict[str, Any]:
    return {
        "name": remedy.name,
        "steady_bytes": round(remedy.steady_bytes),
        "transient_bytes": round(remedy.transient_bytes),
    }


def _churn_json(churn: Churn | None) -> dict[str, Any] | None:
    if churn is None:
        return None
    return {
        "turnovers": churn.turnovers,
        "most_bytes": round(churn.most.bytes),
        "compacting_bytes": None if churn.compacting is None else round(churn.compacting),
        "long_run_turnovers": max(churn.turnovers, LONG_RUN),
        "long_run_most_bytes": round(churn.long_run.bytes),
    }


def _shape_json(plan: Plan) -> dict[str, Any]:
    """B of a classic map; a Swiss one has tables and a directory instead, and groups for buckets."""
    shape = plan.at_peak.shape
    return _classic_json(shape) if isinstance(shape, ClassicShape) else _swiss_json(shape)


def _classic_json(shape: ClassicShape) -> dict[str, Any]:
    return {
        "B": shape.B,
        "buckets": shape.buckets,
        "bucket_bytes": shape.bucket_bytes,
        "overflow_buckets": round(shape.overflow_buckets),
    }


def _swiss_json(shape: SwissShape) -> dict[str, Any]:
    return {
        "tables": round(shape.tables),
        "directory_depth": shape.directory_depth,
        "buckets": round(shape.groups),
        "bucket_bytes": shape.group_bytes,
        "overflow_buckets": 0,
    }
