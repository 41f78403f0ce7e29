"""Instructions that the lanes past PyO3's trampolines save, an operation: `python benches/lanes.py`.

Counts those of every operation with the native module of the package and with one that was built without the
feature `lanes`, by callgrind. So another busy process does not matter. Each figure is of the operation and of
the interpreter's instructions for it, without those of the loop. Needs valgrind, and Linux. First:

    cargo build --release -p ebb-python --no-default-features --target-dir target/no-lanes
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from _common import Figures, arguments, progress, save
from _lane_work import LOOP, LOOP_OF_PAIRS
from ebbmap import _core

WORK = Path(__file__).with_name("_lane_work.py")
NO_LANES = "target/no-lanes/release/lib_core.so"
TOTAL = re.compile(rb"^totals: (\d+)", re.MULTILINE)


def counts(core: str, n: int) -> dict[str, float]:
    """Instructions of each operation with the native module of this file, counted in a fresh process."""
    with TemporaryDirectory() as folder:
        out = Path(folder, "part")
        callgrind = [
            "valgrind",
            "--tool=callgrind",
            "--dump-before=getloadavg",
            f"--callgrind-out-file={out}",
        ]
        done = subprocess.run(
            ["setarch", "-R", *callgrind, sys.executable, WORK, core, str(n)],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        parts: list[tuple[str, int]] = json.loads(done.stdout)
        # A number after the name tells the parts; every second one is of work.
        found = {int(path.suffix[1:]): path for path in Path(folder).glob("part.*")}
        totals = [_total(found[2 * i + 2]) for i in range(len(parts))]
    measured: dict[str, list[tuple[int, int]]] = {}
    for (name, times), total in zip(parts, totals, strict=True):
        measured.setdefault(name, []).append((total, times))
    each = {
        name: (long - short) / (more - fewer) for name, ((short, fewer), (long, more)) in measured.items()
    }
    loop, loop_of_pairs = each.pop(LOOP), each.pop(LOOP_OF_PAIRS)
    return {name: found - (loop_of_pairs if " = " in name else loop) for name, found in each.items()}


def _total(part: Path) -> int:
    found = TOTAL.search(part.read_bytes())
    assert found is not None, part
    return int(found[1])


def main() -> None:
    args = arguments(__doc__, n=4_000, rounds=3, without=NO_LANES)
    figures = Figures()
    found: dict[str, list[dict[str, float]]] = {"with": [], "without": []}
    for i in range(args.rounds):
        for which, core in (("with", str(_core.__file__)), ("without", args.without)):
            progress(f"{which} lanes, round {i + 1} of {args.rounds}")
            found[which].append(counts(core, args.n))
    for name in found["with"][0]:
        lane, pyo3 = (median(each[name] for each in found[which]) for which in ("with", "without"))
        figures.add(f"{name}", lane, "instr.")
        figures.add(f"{name}, without lanes", pyo3, "instr.")
        figures.add(f"{name}, saved", 100 * (1 - lane / pyo3), "%")
    save(args, "lanes", figures.results)


if __name__ == "__main__":
    main()
