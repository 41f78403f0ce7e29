"""A plan, for people: what to do and why, how much, the remedies side by side, and a chart."""

from __future__ import annotations

from collections.abc import Iterator

from ebbmap.gomap.paths import prunes
from ebbmap.gomap.plan import LONG_RUN, WORTH, Churn, Plan
from ebbmap.gomap.plan.chart import bars
from ebbmap.gomap.plan.lines import wrap
from ebbmap.gomap.predict import ClassicShape, Predictor, SwissShape, predictor
from ebbmap.gomap.predict.classic import load_limit

_LABEL = 32  # columns, at least
_FIGURE = 10
_TRANSIENT = "transient: the most for a moment, with an old table or garbage beside the new one"
_GROWN = 1.1  # times what it was: so little goes without a word
_COLUMNS = 46  # of the chart's filling half; draining takes half as many


def human(size: float) -> str:
    """Bytes in the unit that leaves one to four digits before the point."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"


def report(plan: Plan, chart: bool = True) -> Iterator[str]:
    """The lines of one plan, of 80 columns at most; the conclusion comes first."""
    yield from wrap(
        f"{plan.kind}, Go {plan.version}: {_entries(plan.peak)} at the peak, {plan.steady:,} afterwards"
    )
    yield ""
    yield from wrap(recommendation(plan), first="-> ", others="   ")
    yield ""
    yield from _figures(plan)
    yield ""
    yield from _table(plan)
    if chart:
        yield ""
        yield from _chart(plan)


def _entries(count: int) -> str:
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


def _figures(plan: Plan) -> Iterator[str]:
    yield from wrap(_shape(plan), first="   ", others="     ")
    figures = [
        ("at the peak, collected", plan.at_peak.bytes, ""),
        ("with the garbage of growth", plan.uncollected, "old tables, until a collection"),
        *_afterwards(plan),
        (f"a map made for {plan.steady:,}", plan.right_sized.bytes, ""),
    ]
    label = max(_LABEL, *(len(what) + 1 for what, *_ in figures))
    for what, size, note in figures:
        line = f"   {what:<{label}}{human(size):>{_FIGURE}}   "
        yield from wrap(note, first=line, others=" " * len(line)) or [line.rstrip()]
    for text in (_counted(plan), _not_counted(plan)):
        yield from wrap(text, first="   ", others="     ")


def _counted(plan: Plan) -> str:
    """The sizes that the type doesn't tell, each with the option that sets it."""
    held, outside = plan.kind.held, plan.outside
    counted = [
        (held.strings, f"{_strings(plan)} (--heap-string)"),
        (held.boxes, f"{_plain(outside.box)} bytes for each value in an interface (--heap-any)"),
        (
            held.maps and outside.entries is not None,
            f"{outside.entries or 0:,} entries in each inner map (--heap-map)",
        ),
        (
            held.unknown and outside.pointee is not None,
            f"{_plain(outside.pointee or 0)} bytes behind each unknown pointer (--heap-pointer)",
        ),
    ]
    parts = [text for present, text in counted if present]
    return f"counted with it: {', '.join(parts)}" if parts else ""


def _strings(plan: Plan) -> str:
    pairs = ((plan.kind.key, plan.outside.key), (plan.kind.elem, plan.outside.elem))
    sides = {size for kind, size in pairs if kind.held.everything().strings}
    if len(sides) == 2:
        key, elem = _plain(plan.outside.key), _plain(plan.outside.elem)
        return f"{key} bytes for each string or slice in keys, {elem} in values"
    return f"{_plain(next(iter(sides), 0))} bytes for each string or slice"


def _plain(size: float) -> str:
    return f"{size:,.0f}" if size == int(size) else f"{size:,.2f}"


def _not_counted(plan: Plan) -> str:
    unknown, beyond = plan.not_counted
    parts = []
    if unknown:
        parts.append(f"what {', '.join(unknown)} {_refers(unknown)} to (--heap-pointer BYTES)")
    if beyond:
        parts.append(f"what the elements of {', '.join(beyond)} refer to")
    return f"not counted: {'; '.join(parts)}" if parts else ""


def _refers(names: tuple[str, ...]) -> str:
    return "refers" if len(names) == 1 else "refer"


def _afterwards(plan: Plan) -> Iterator[tuple[str, float, str]]:
    churn = plan.churn
    if churn is None:
        yield f"after {plan.peak - plan.steady:,} deletes", plan.drained.bytes, ""
        return
    yield f"in {_turnovers(churn.turnovers)}, at most", churn.most.bytes, "each replaces every entry once"
    if churn.compacting is not None:
        yield "while it is made compact", churn.compacting, "for a moment: old and new table"
    if churn.turnovers < LONG_RUN:
        yield f"in {LONG_RUN:,}, at most", churn.long_run.bytes, ""


def _turnovers(count: int) -> str:
    return f"{count:,} turnover{'' if count == 1 else 's'}"


def _shape(plan: Plan) -> str:
    shape = plan.at_peak.shape
    return _classic_shape(shape) if isinstance(shape, ClassicShape) else _swiss_shape(shape)


def _classic_shape(shape: ClassicShape) -> str:
    growing = ", still moving from the old array" if shape.growing else ""
    return (
        f"B = {shape.B}: the table has 2^B = {shape.buckets:,} "
        f"{'bucket' if shape.buckets == 1 else 'buckets'} of {shape.bucket_bytes:,} bytes, "
        f"about {shape.overflow_buckets:,.0f} overflow buckets{growing}"
    )


def _swiss_shape(shape: SwissShape) -> str:
    if shape.tables == 0:
        return f"one group of {shape.group_bytes:,} bytes"
    tables = "table" if round(shape.tables) == 1 else "tables"
    return (
        f"about {shape.tables:,.0f} {tables} of up to 1,024 slots, in a directory of "
        f"{1 << shape.directory_depth:,}; 8 slots are a group of {shape.group_bytes:,} bytes"
    )


def _table(plan: Plan) -> Iterator[str]:
    yield from wrap(_TRANSIENT, first="   ", others="   ")
    yield f"   {'remedy':<10}{'at the peak':>12}{'afterwards':>12}{'transient':>12}"
    for remedy in plan.remedies:
        sizes = (remedy.peak_bytes, remedy.steady_bytes, remedy.transient_bytes)
        line = f"   {remedy.name:<10}{''.join(f'{human(size):>12}' for size in sizes)}   "
        yield from wrap(remedy.note, first=line, others=" " * len(line))


def _chart(plan: Plan) -> Iterator[str]:
    """Live bytes over entries, filling from the left and draining to the right."""
    made = predictor(plan.kind, plan.version, plan.outside)
    filling = [_most(made, *_span(plan.peak, column)) for column in range(_COLUMNS)]
    draining = [
        made.drained(plan.peak, plan.peak - (plan.peak - plan.steady) * column * 2 // _COLUMNS).bytes
        for column in range(1, _COLUMNS // 2 + 1)
    ]
    yield from bars(filling + draining, human)
    half = _COLUMNS // 2
    yield f"{'0 entries':<{half}}{f'{plan.peak:,}':>{half}}{f'{plan.steady:,}':>{half}}"


def _span(peak: int, column: int) -> tuple[int, int]:
    return peak * column // _COLUMNS, peak * (column + 1) // _COLUMNS


def _most(made: Predictor, low: int, high: int) -> float:
    """The most live bytes between two sizes: at the end, or where a classic map has just grown."""
    grown = [] if made.version.swiss else [load_limit(b, made.version) + 1 for b in range(34)]
    return max(made.filled(n).bytes for n in [high, *(n for n in grown if low < n <= high)])


def recommendation(plan: Plan) -> str:
    """What to do, and why; "nothing" where nothing is needed."""
    if not plan.needed:
        return _nothing(plan)
    recreate = plan.remedy("recreate")
    words = [
        f"Re-create the map once it has fallen below {plan.pays_below:,} entries: {human(plan.kept)} of "
        f"{human(plan.drained.bytes)} stay only because no delete makes a table smaller.",
        f"A new one takes {human(recreate.steady_bytes)}, both together {human(recreate.transient_bytes)}.",
    ]
    pointers = next((remedy for remedy in plan.remedies if remedy.name == "pointers"), None)
    if pointers and pointers.steady_bytes < 0.5 * plan.drained.bytes:
        words.append(
            f"If the peak comes back often, pointers spare the copying: {human(pointers.steady_bytes)} stay."
        )
    if not plan.version.swiss:
        words.append("Upgrading to Go 1.24+ alone changes little: Swiss maps don't shrink either.")
    return " ".join(words)


def _nothing(plan: Plan) -> str:
    if plan.churn is not None:
        return _constant(plan, plan.churn)
    return (
        f"Do nothing: {human(plan.drained.bytes)} stay; a map made for {plan.steady:,} entries would spare "
        f"{human(max(0.0, plan.kept))}, and beside the old one take "
        f"{human(plan.remedy('recreate').transient_bytes)} in all."
    )


def _constant(plan: Plan, churn: Churn) -> str:
    """A cache of constant size: safe, but for the overflow buckets or tombstones of its turnover."""
    filled, most, long_run = plan.at_peak.bytes, churn.most.bytes, churn.long_run.bytes
    later = f"in {LONG_RUN:,} it may come to {human(long_run)}" if long_run > _GROWN * most else ""
    if most < _GROWN * filled:
        if not later:
            return "Do nothing: a map of constant size stays at its size."
        turnovers = _explained(churn.turnovers)
        stays = f"A map of constant size stays at its size for {turnovers}; {later}, as {_why(plan)}"
        return f"Do nothing. {stays}." if long_run < filled + WORTH else f"{stays}. {_afresh(plan)}"
    grows = f"grows from {human(filled)} to {human(most)} within {_explained(churn.turnovers)}"
    if max(most, long_run) < filled + WORTH:
        return f"Do nothing. At a constant size the map {grows}, as {_why(plan)}; but that is little."
    further = f" I{later[1:]}." if later else ""
    return (
        f"Nothing needs to be freed at a constant size, but allow for {human(most)}: as new entries replace "
        f"the oldest, {_why(plan)}, and the map {grows}.{further} {_afresh(plan)}"
    )


def _explained(turnovers: int) -> str:
    return f"{_turnovers(turnovers)} ({'this' if turnovers == 1 else 'each'} replaces every entry once)"


def _why(plan: Plan) -> str:
    if not plan.version.swiss:
        return "overflow buckets pile up"
    if prunes(plan.kind, plan.version):
        return "tombstones split tables"
    return f"tombstones split tables: Go {plan.version} doesn't prune those of such a type"


def _afresh(plan: Plan) -> str:
    return f"A new one in its place would begin at {human(plan.right_sized.bytes)} again."
