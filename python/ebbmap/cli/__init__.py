"""The `ebbmap` command: `lab`, `plan` and `draw`."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from ebbmap import __version__
from ebbmap.cli.errors import UserError
from ebbmap.lab.printable import printable

# Each is a module of this package with `HELP: str`, `add_arguments(parser)` and `run(args) -> int`; only the
# one that was asked for is imported, so that no command pays for another's dependencies.
COMMANDS = ("lab", "plan", "draw")
ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line and exits with 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {printable(message)}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own); returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        args = _parser(words).parse_args(words)
        with _cleaning_up():
            result: int = args.run(args)
    except UserError as error:
        print(f"ebbmap: {printable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ebbmap: interrupted", file=sys.stderr)
        return 130
    except MemoryError:
        print("ebbmap: out of memory", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `ebbmap ... | head`
        return 141
    return result


@contextmanager
def _cleaning_up() -> Iterator[None]:
    """End by an exception when told to terminate, so that processes and folders go."""
    if threading.current_thread() is not threading.main_thread():  # only this one may ask for signals
        yield
        return
    # One that is ignored stays so: that is what `nohup` is for.
    ours = [number for number in ENDINGS if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, frame: object) -> NoReturn:
    for each in ENDINGS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def _import(command: str) -> ModuleType:
    try:
        return import_module(f"ebbmap.cli.{command}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("ebbmap"):
            raise
        raise UserError(f"`ebbmap {command}` needs {error.name}: pip install 'ebbmap[lab]'") from None


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="ebbmap", description=__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"ebbmap {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    asked = [name for name in COMMANDS if name in words[:1]] or COMMANDS
    for name in asked:
        module = _import(name)
        command = commands.add_parser(name, help=module.HELP, description=module.HELP, allow_abbrev=False)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser
