"""Go types on the command line: the map's, and those that it refers to."""

from __future__ import annotations

import argparse

from ebbmap.cli.errors import UserError
from ebbmap.gomap.types import MapType, Types, UnknownTypeError, parse_map
from ebbmap.gomap.version import GoVersion


def add_type(parser: argparse.ArgumentParser) -> None:
    """Declare the map's type, and `--type` for what it refers to."""
    parser.add_argument("type", metavar="TYPE", help="the map's Go type, such as 'map[int][128]byte'")
    parser.add_argument(
        "--type",
        dest="types",
        action="append",
        default=[],
        metavar="NAME=TYPE",
        help="a type of your own that TYPE refers to, such as 'Order=struct{ID [16]byte; Sum int}' or "
        "'Pair[K comparable, V any]=struct{Key K; Value V}'; may be repeated, and refer to earlier ones",
    )


def map_type(args: argparse.Namespace) -> MapType:
    """The map's type; `UserError` for a mistake in it or in a definition, and for one that isn't used."""
    types = _types(args.types)
    try:
        kind = parse_map(args.type, types)
    except UnknownTypeError as error:
        raise UserError(f"{error}, or give it: {_example(error.name)}") from None
    except ValueError as error:
        raise UserError(str(error)) from None
    if types.unused:
        raise UserError(f"--type {types.unused[0]} has no meaning for {kind}: it does not refer to it")
    return kind


def _types(definitions: list[str]) -> Types:
    types = Types()
    for text in definitions:
        try:
            types.define(text)
        except UnknownTypeError as error:
            raise UserError(f"--type: {error}, or give it before this one: {_example(error.name)}") from None
        except ValueError as error:
            raise UserError(f"--type: {error}") from None
    return types


def _example(name: str) -> str:
    return f"--type '{name}=struct{{...}}'"


def go_version(text: str) -> GoVersion:
    """The release that `--go` names; `UserError` if it is none that is modelled."""
    try:
        return GoVersion.parse(text)
    except ValueError as error:
        raise UserError(f"--go: {error}") from None


def count_of_entries(option: str, entries: int, kind: MapType) -> int:
    """`entries`, if such a map can have so many; else `UserError`."""
    most = kind.key.values
    if most is not None and entries > most:
        raise UserError(
            f"{option} {entries:,} is more than {kind} can have: its key {kind.key} has "
            f"{most:,} value{'s' if most > 1 else ''}"
        )
    return entries
