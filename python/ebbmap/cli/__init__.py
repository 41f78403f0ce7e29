"""The `ebbmap` command: `lab`, `plan` and `draw`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from ebbmap.cli.errors import UserError

# Each is a module of this package with `HELP: str`, `add_arguments(parser)` and `run(args) -> int`; only the
# one that was asked for is imported, so that no command pays for another's dependencies.
COMMANDS = ("lab", "plan", "draw")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line and exits with 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own); returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        args = _parser(words).parse_args(words)
        result: int = args.run(args)
    except UserError as error:
        print(f"ebbmap: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ebbmap: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `ebbmap ... | head`
        sys.stderr.close()
        return 141
    return result


def _import(command: str) -> ModuleType:
    try:
        return import_module(f"ebbmap.cli.{command}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("ebbmap"):
            raise
        raise UserError(f"`ebbmap {command}` needs {error.name}: pip install 'ebbmap[lab]'") from None


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="ebbmap", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    asked = [name for name in COMMANDS if name in words[:1]] or COMMANDS
    for name in asked:
        module = _import(name)
        command = commands.add_parser(name, help=module.HELP, description=module.HELP, allow_abbrev=False)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser
