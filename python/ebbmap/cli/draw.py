"""`ebbmap draw`: the inside of a Go map, as a picture or as a page to step through."""

from __future__ import annotations

import argparse
from pathlib import Path

from ebbmap.cli.counts import count
from ebbmap.cli.errors import UserError
from ebbmap.cli.files import write, writing
from ebbmap.gomap.types import MapType, parse_map
from ebbmap.gomap.version import GoVersion

HELP = "draw the inside of a Go map: SVG, or an HTML page to step through"
MAX_ENTRIES = 5_000_000  # the model keeps them all in memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `ebbmap draw` takes."""
    parser.add_argument("type", metavar="TYPE", help="the map's Go type, such as 'map[int][128]byte'")
    parser.add_argument("--n", default="40", metavar="N", help="entries to insert (default: 40)")
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
    entries = count("--n", args.n, 0, MAX_ENTRIES)
    kind, version = _parsed(args)
    as_page = _is_page(args.output)
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


def _parsed(args: argparse.Namespace) -> tuple[MapType, GoVersion]:
    try:
        return parse_map(args.type), GoVersion.parse(args.go)
    except ValueError as error:
        raise UserError(str(error)) from None


def _is_page(output: str | None) -> bool:
    suffix = Path(output).suffix.lower() if output else ".svg"
    if suffix not in (".svg", ".html"):
        raise UserError(f"-o takes a file ending in .svg or .html, not {output!r}")
    return suffix == ".html"
