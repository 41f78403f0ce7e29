"""`ebbmap plan`: what a Go map will cost, what stays, and what each remedy would cost."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from typing import TextIO

from ebbmap.cli.counts import count
from ebbmap.cli.errors import UserError
from ebbmap.cli.files import STDOUT, write, writing
from ebbmap.cli.gotypes import add_type, count_of_entries, go_version, map_type
from ebbmap.gomap.heap import ASSUMED, Outside
from ebbmap.gomap.plan import DEFAULT_VERSIONS, TURNOVERS, Plan, as_json, make_plan
from ebbmap.gomap.plan.report import report
from ebbmap.gomap.predict import MAX_ENTRIES
from ebbmap.gomap.types import MapType, most_entries

MAX_TURNOVERS = 10**9
HELP = "what a Go map will cost at its peak, what stays afterwards, and what each remedy costs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `ebbmap plan` takes."""
    add_type(parser)
    parser.add_argument("--peak", required=True, metavar="N", help="entries at the peak, such as 1_000_000")
    parser.add_argument("--steady", metavar="N", help="entries afterwards (default: as at the peak)")
    parser.add_argument(
        "--go", action="append", metavar="VERSION", help="Go release (default: 1.23 and 1.27)"
    )
    parser.add_argument(
        "--heap-string",
        metavar="BYTES",
        help="mean bytes of each string or slice, which lie outside the map: 20, or key=20,value=200 "
        f"(default: {ASSUMED.key:g})",
    )
    parser.add_argument(
        "--heap-pointer",
        metavar="BYTES",
        help="mean bytes of what each pointer to an unknown type leads to (default: not counted)",
    )
    parser.add_argument(
        "--heap-any",
        metavar="BYTES",
        help=f"mean bytes of the value in each interface (default: {ASSUMED.box:g}, an int)",
    )
    parser.add_argument(
        "--heap-map", metavar="ENTRIES", help=f"mean entries of each inner map (default: {ASSUMED.entries})"
    )
    parser.add_argument(
        "--turnovers",
        metavar="N",
        help=f"how often a map of constant size replaces all its entries by new ones (default: {TURNOVERS})",
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write the figures there (-: to standard output, and the report to standard error)",
    )
    parser.add_argument("--no-chart", action="store_true", help="leave the chart out")


def run(args: argparse.Namespace) -> int:
    """Plan, and report."""
    plans = _plans(args)
    figures = json.dumps(as_json(plans), indent=2)
    if args.json not in (None, STDOUT):
        write(args.json, figures)
    with writing() as out:
        if args.json == STDOUT:
            print(figures, file=out)
        _print(plans, not args.no_chart, sys.stderr if args.json == STDOUT else out)
    return 0


def _plans(args: argparse.Namespace) -> list[Plan]:
    peak, steady = _sizes(args)
    turnovers = _turnovers(args.turnovers, peak == steady)
    kind = map_type(args)
    count_of_entries("--peak", peak, kind)
    versions = [go_version(text) for text in args.go or []] or list(DEFAULT_VERSIONS)
    outside = outside_of(args, kind)
    return [make_plan(kind, peak, steady, version, outside, turnovers) for version in dict.fromkeys(versions)]


def _sizes(args: argparse.Namespace) -> tuple[int, int]:
    """How many entries there are at the peak, and afterwards."""
    peak = count("--peak", args.peak, 0, MAX_ENTRIES)
    steady = peak if args.steady is None else count("--steady", args.steady, 0, MAX_ENTRIES)
    if steady > peak:
        raise UserError(
            f"--steady {steady:,} is more than --peak {peak:,}: the peak is the most there will be"
        )
    return peak, steady


def _turnovers(text: str | None, constant: bool) -> int:
    if text is None:
        return TURNOVERS
    if not constant:
        raise UserError("--turnovers is for a map of constant size: leave out --steady, or give it as --peak")
    return count("--turnovers", text, 1, MAX_TURNOVERS)


def outside_of(args: argparse.Namespace, kind: MapType) -> Outside:
    """What the options say of the sizes that the type doesn't tell."""
    outside, held = ASSUMED, kind.held
    if args.heap_string is not None:
        _applies("--heap-string", "string or slice", held.strings, kind)
        key, elem = _strings(args.heap_string)
        _check_sides(args.heap_string, kind)
        outside = replace(outside, key=key, elem=elem)
    if args.heap_pointer is not None:
        _applies("--heap-pointer", "pointer to an unknown type", held.unknown, kind)
        outside = replace(outside, pointee=_size("--heap-pointer", args.heap_pointer))
    if args.heap_any is not None:
        _applies("--heap-any", "interface", held.boxes, kind)
        outside = replace(outside, box=_size("--heap-any", args.heap_any))
    if args.heap_map is not None:
        _applies("--heap-map", "inner map", held.maps, kind)
        outside = replace(outside, entries=_inner_entries(args.heap_map, kind))
    return outside


def _inner_entries(text: str, kind: MapType) -> int:
    """A number that at least one of the inner maps can have."""
    entries = count("--heap-map", text, 0, MAX_ENTRIES)
    largest = max((inner for inner, _ in kind.held.maps), key=most_entries)
    return count_of_entries("--heap-map", entries, largest)


def _applies(option: str, what: str, present: object, kind: MapType) -> None:
    if not present:
        raise UserError(f"{option} has no meaning for {kind}: there is no {what} in it")


def _strings(text: str) -> tuple[float, float]:
    """`20` for keys and values alike, or `key=20,value=200`; who isn't named keeps the default."""
    given = text if "=" in text else f"key={text},value={text}"
    parts = [part.partition("=")[::2] for part in given.split(",")]
    names = [name for name, _ in parts]
    if not {*names} <= {"key", "value"}:
        raise UserError(f"--heap-string takes bytes, or key=BYTES,value=BYTES, not {text!r}")
    if len({*names}) < len(names):
        raise UserError(f"--heap-string takes each of key and value once, not {text!r}")
    sizes = {name: _bytes(size) for name, size in parts}
    if None in sizes.values():
        raise UserError(f"--heap-string takes bytes such as 20 or key=20,value=200, not {text!r}")
    return _either(sizes.get("key"), ASSUMED.key), _either(sizes.get("value"), ASSUMED.elem)


def _check_sides(text: str, kind: MapType) -> None:
    for side, part in (("key", kind.key), ("value", kind.elem)):
        if f"{side}=" in text and not part.held.everything().strings:
            what = f"no string or slice is in its {side}s"
            raise UserError(f"--heap-string {side}=... has no meaning for {kind}: {what}")


def _either(size: float | None, default: float) -> float:
    return default if size is None else size


def _size(option: str, text: str) -> float:
    if (size := _bytes(text)) is None:
        raise UserError(f"{option} takes bytes such as 20, not {text!r}")
    return size


def _bytes(text: str) -> float | None:
    try:
        size = float(text)
    except ValueError:
        return None
    return size if 0 <= size < 1 << 40 else None


def _print(plans: list[Plan], chart: bool, out: TextIO) -> None:
    for i, plan in enumerate(plans):
        print(*([""] if i else []), *report(plan, chart and _can_draw(out)), sep="\n", file=out)


def _can_draw(out: TextIO) -> bool:
    """Whether it can carry block characters."""
    try:
        "█▁".encode(out.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
