"""What all tables of a process hold together, over what they may: `python benches/process_memory.py`.

Runs the programs of tests/process, each in a process of its own, and sets what is resident over the start
against the promise for a process (tests/process/bound.py). Each case has `--gib` GiB of contents at most, the
random load over `--tables` tables a quarter. Linux.

* Cases: equal tables are filled, go in one of the ways there are, and are filled again.
* Load: tables of all kinds and sizes come, grow, shrink and go at random; looked at `--checkpoints` times.
* Fixed values: one map of values of one size; `nbytes`, less 256 KiB, at every step of filling and draining.
* Small: bytes a table, of 10,000 equal ones.

For comparison, dicts in place of the maps of the first case.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from _common import Figures, arguments, fresh, progress, resident, save

PROGRAMS = Path(__file__).parent.parent / "tests" / "process"
MIB = 1 << 20
Line = dict[str, Any]

SIZES = [300_000, 500_000, 700_000, 1_000_000, 1_400_000, 2_000_000, 2_500_000, 4_000_000]
SMALL = {"10 ints": 700, "cache of one": 2048, "60 blobs": 1.35 * 60 * 108}


def run(name: str, *args: object) -> list[Line]:
    """The lines that a program prints; an error where it does not end well."""
    progress(f"{name} {' '.join(map(str, args))}")
    command = [sys.executable, str(PROGRAMS / f"{name}.py"), *map(str, args)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def report_cases(figures: Figures, gib: float) -> None:
    (listed,) = run("cases")
    for case in listed["names"]:
        (line,) = run("cases", case, "--gib", gib)
        for when in ("filled", "left", "refilled", "dropped"):
            if when in line:
                report_look(figures, f"{case}: {when}", line[when])
        looks = [look for look in line.values() if isinstance(look, dict)]
        worst = max(looks, key=lambda look: int(look["mappings"] - look["mappings_bound"]))
        figures.add(f"{case}: mappings", worst["mappings"], at_most=worst["mappings_bound"])
        failed = [what for what in ("no threads", "no refill") if line[what]]
        figures.add(f"{case}: errors", len(failed), at_most=0)


def report_look(figures: Figures, name: str, look: Line) -> None:
    figures.add(name, look["resident"] / MIB, "MiB", at_most=look["bound"] / MIB)


def report_dicts(figures: Figures, gib: float) -> None:
    tables = min(100_000, int(gib * 1024 * MIB / (60 * 108)))
    filled, left = fresh(dicts, tables)
    figures.add(f"{tables:,} dicts of 60 x 100 B: filled", filled / MIB, "MiB")
    figures.add(f"{tables:,} dicts of 60 x 100 B: dropped", left / MIB, "MiB")


def dicts(tables: int) -> tuple[int, int]:
    """What dicts of such values have resident, and what stays when they are dropped."""
    held: list[Any] = [None] * tables
    start = resident()
    for t in range(tables):
        held[t] = {i: b"%100d" % i for i in range(60)}
    filled = resident() - start
    for t in range(tables):
        held[t] = None
    return filled, resident() - start


def report_load(figures: Figures, tables: int, checkpoints: int, mib: int, seed: int) -> None:
    size = ("--tables", tables, "--checkpoints", checkpoints, "--mib", mib, "--seed", seed)
    *lines, emptied, dropped = run("load", *size)
    within = sum(line["resident"] <= line["bound"] for line in lines)
    figures.add(f"load: checkpoints of {checkpoints} within the promise", within, at_least=checkpoints)
    worst = max(lines, key=lambda line: float(line["resident"] / line["bound"]))
    figures.add("load: worst resident over what may be", worst["resident"] / worst["bound"], "x", at_most=1)
    report_look(figures, "load: resident then", worst)
    mappings = max(lines, key=lambda line: int(line["mappings"] - line["mappings_bound"]))
    figures.add("load: mappings", mappings["mappings"], at_most=mappings["mappings_bound"])
    report_look(figures, "load: emptied", emptied)
    report_look(figures, "load: dropped", dropped)
    figures.results["load: curve"] = [
        [line[name] for name in ("payload", "resident", "bound", "mappings")] for line in lines
    ]


def report_fixed(figures: Figures, gib: float) -> None:
    for line in run("scan", "dtype", "--band", f"1:1:{gib * 1024}", "--sizes", *SIZES):
        name = f"fixed values of {line['entry']:,} B"
        figures.add(f"{name}: worst nbytes over contents", line["ratio"], "x", at_most=1.10)
        report_look(figures, f"{name}: resident when filled", line["top"])


def report_small(figures: Figures) -> None:
    for line in run("small"):
        for measure in ("resident", "nbytes"):
            at_most = SMALL.get(line["name"])
            figures.add(f"small, {line['name']}: {measure} a table", line[measure], "B", at_most=at_most)


def main() -> None:
    args = arguments(__doc__, gib=1.0, tables=10_000, checkpoints=200, seed=1)
    figures = Figures()
    report_cases(figures, args.gib)
    report_dicts(figures, args.gib)
    report_fixed(figures, args.gib)
    report_small(figures)
    report_load(figures, args.tables, args.checkpoints, min(256, int(args.gib * 1024)), args.seed)
    save(args, "process_memory", figures.results)


if __name__ == "__main__":
    main()
