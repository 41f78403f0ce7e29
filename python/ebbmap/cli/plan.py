"""`ebbmap plan`: what a Go map will cost, what stays, and what each remedy would cost."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TextIO

from ebbmap.cli.counts import count
from ebbmap.cli.errors import UserError
from ebbmap.cli.files import STDOUT, write, writing
from ebbmap.gomap.heap import Outside
from ebbmap.gomap.plan import DEFAULT_VERSIONS, TURNOVERS, Plan, as_json, make_plan
from ebbmap.gomap.plan.report import report
from ebbmap.gomap.predict import MAX_ENTRIES
from ebbmap.gomap.types import parse_map
from ebbmap.gomap.version import GoVersion

MAX_TURNOVERS = 10**9
HELP = "what a Go map will cost at its peak, what stays afterwards, and what each remedy costs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `ebbmap plan` takes."""
    parser.add_argument("type", metavar="TYPE", help="the map's Go type, such as 'map[int][128]byte'")
    parser.add_argument("--peak", required=True, metavar="N", help="entries at the peak, such as 1_000_000")
    parser.add_argument("--steady", metavar="N", help="entries afterwards (default: as at the peak)")
    parser.add_argument(
        "--go", action="append", metavar="VERSION", help="Go release (default: 1.23 and 1.27)"
    )
    parser.add_argument(
        "--heap-string",
        metavar="BYTES",
        default="0",
        help="mean bytes of each string or slice, which lie outside the map: 20, or key=20,value=200",
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
    peak = count("--peak", args.peak, 0, MAX_ENTRIES)
    steady = peak if args.steady is None else count("--steady", args.steady, 0, MAX_ENTRIES)
    if steady > peak:
        raise UserError(
            f"--steady {steady:,} is more than --peak {peak:,}: the peak is the most there will be"
        )
    turnovers = _turnovers(args.turnovers, peak == steady)
    outside = outside_of(args.heap_string)
    try:
        kind = parse_map(args.type)
        versions = [GoVersion.parse(text) for text in args.go or []] or list(DEFAULT_VERSIONS)
    except ValueError as error:
        raise UserError(str(error)) from None
    return [make_plan(kind, peak, steady, version, outside, turnovers) for version in dict.fromkeys(versions)]


def _turnovers(text: str | None, constant: bool) -> int:
    if text is None:
        return TURNOVERS
    if not constant:
        raise UserError("--turnovers is for a map of constant size: leave out --steady, or give it as --peak")
    return count("--turnovers", text, 1, MAX_TURNOVERS)


def outside_of(text: str) -> Outside:
    """`20` for keys and values alike, or `key=20,value=200`."""
    parts = (
        dict(part.partition("=")[::2] for part in text.split(","))
        if "=" in text
        else {"key": text, "value": text}
    )
    if not parts.keys() <= {"key", "value"}:
        raise UserError(f"--heap-string takes bytes, or key=BYTES,value=BYTES, not {text!r}")
    return Outside(*(_size(parts.get(name, "0"), text) for name in ("key", "value")))


def _size(number: str, text: str) -> float:
    try:
        size = float(number)
    except ValueError:
        size = -1.0
    if not 0 <= size < 1 << 40:
        raise UserError(f"--heap-string takes bytes such as 20 or key=20,value=200, not {text!r}")
    return size


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
