"""`ebbmap draw`: the inside of a Go map, as a picture or as a page to step through."""

from __future__ import annotations

import argparse
from pathlib import Path

from ebbmap.cli.counts import count
from ebbmap.cli.errors import UserError
from ebbmap.cli.files import write, writing
from ebbmap.cli.gotypes import add_type, count_of_entries, go_version, map_type
from ebbmap.gomap.heap import ASSUMED
from ebbmap.gomap.plan.python import payload_bytes
from ebbmap.gomap.plan.report import human
from ebbmap.gomap.types import MapType, most_entries
from ebbmap.gomap.version import GoVersion

HELP = "draw the inside of a Go map: SVG, or an HTML page to step through"
ENTRIES = 40  # unless asked for others
MAX_ENTRIES = 5_000_000  # the model keeps them all in memory
MAX_BYTES = 1 << 30  # of the entries of a page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `ebbmap draw` takes."""
    add_type(parser)
    parser.add_argument("--n", metavar="N", help=f"entries to insert (default: {ENTRIES})")
    parser.add_argument(
        "--delete", metavar="N", help="how many to delete, the oldest first (default: 0; all, for a page)"
    )
    parser.add_argument("--go", default="1.23", metavar="VERSION", help="Go release (default: 1.23)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the hash (default: 0)")
    parser.add_argument(
        "-o", dest="output", metavar="FILE", help="FILE.svg or FILE.html (default: SVG to stdout)"
    )


def run(args: argparse.Namespace) -> int:
    """Draw."""
    kind, version = map_type(args), go_version(args.go)
    entries = _entries(args.n, kind)
    as_page = _is_page(args.output)
    if as_page:
        _check_page(entries, kind)
    default = entries if as_page else 0
    deleted = default if args.delete is None else count("--delete", args.delete, 0, entries)
    drawn = _drawn(as_page, kind, version, entries, deleted, args.seed)
    if args.output is None:
        with writing() as out:  # in any encoding: what is not ASCII is named by number
            print(drawn.encode("ascii", "xmlcharrefreplace").decode(), file=out)
    else:
        write(args.output, drawn)
    return 0


def _drawn(as_page: bool, kind: MapType, version: GoVersion, entries: int, deleted: int, seed: int) -> str:
    if as_page:
        from ebbmap.gomap.draw.page import page  # the engine is needed for pages alone

        return page(kind, version, entries, deleted, seed)
    from ebbmap.gomap.draw import picture

    return picture(kind, version, entries, deleted, seed)


def _check_page(entries: int, kind: MapType) -> None:
    """A page fills an `ebbmap.Map` with the same entries, whose bytes are real."""
    payload = payload_bytes(kind, ASSUMED)
    if entries * payload > MAX_BYTES:
        raise UserError(
            f"a page takes up to {human(MAX_BYTES)} of entries, not {entries:,} of {payload:,.0f} bytes: "
            "give a smaller --n, or draw an .svg"
        )


def _entries(text: str | None, kind: MapType) -> int:
    if text is None:
        return min(ENTRIES, most_entries(kind))
    return count_of_entries("--n", count("--n", text, 0, MAX_ENTRIES), kind)


def _is_page(output: str | None) -> bool:
    suffix = Path(output).suffix.lower() if output else ".svg"
    if suffix not in (".svg", ".html"):
        raise UserError(f"-o takes a file ending in .svg or .html, not {output!r}")
    return suffix == ".html"
