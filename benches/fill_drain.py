"""The lab's own experiment, set against its targets: `python benches/fill_drain.py`.

Runs `ebbmap lab fill-drain --json`, each subject in a process of its own, and takes from it: what the
subject's allocator holds when filled, over the payload; the process's peak RSS while filling, over the
payload; and both when all is removed. `--rounds` runs of the lab, and the median over them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from _common import Figures, arguments, save

MIB = 1 << 20
SUBJECTS = ["ebbmap:inline", "ebbmap:object", "dict", "go:inline", "go:pointer"]
# Figure, unit, target; the target is of ebbmap:inline.
FIGURES = [
    ("heap when filled, over payload", "x", 1.065),
    ("peak RSS while filling, over payload", "x", 1.10),
    ("heap when drained", "MiB", 0.3),
    ("RSS when drained", "MiB", 2.0),
]
Lab = dict[str, Any]


def lab(n: int, value_bytes: int, subjects: list[str]) -> Lab:
    """One run of the lab: its JSON."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "lab.json"
        ebbmap = Path(sys.executable).with_name("ebbmap")
        command = [str(ebbmap), "lab", "fill-drain", "--json", str(path)]
        sizes = ["--n", str(n), "--value-bytes", str(value_bytes)]
        chosen = [word for subject in subjects for word in ("--subject", subject)]
        subprocess.run([*command, *sizes, *chosen], check=True, stdout=subprocess.DEVNULL)
        found: Lab = json.loads(path.read_text())
        return found


def values(run: dict[str, Any]) -> list[float]:
    """Those of `FIGURES`, of one subject's run."""
    step = {each["step"]: each for each in run["steps"]}
    filled, drained = step["filled"], step["drained"]
    payload = filled["payload_bytes"]
    return [
        filled["heap_bytes"] / payload,
        filled["peak_rss_bytes"] / payload,
        drained["heap_bytes"] / MIB,
        drained["rss_bytes"] / MIB,
    ]


def by_subject(runs: list[Lab]) -> dict[str, list[list[float]]]:
    found: dict[str, list[list[float]]] = {}
    for each in runs:
        for run in each["runs"]:
            found.setdefault(f"{run['subject']} {run['version']}", []).append(values(run))
    return found


def main() -> None:
    args = arguments(__doc__, n=1_000_000, value_bytes=128, rounds=3, subject=SUBJECTS)
    runs = [lab(args.n, args.value_bytes, args.subject) for _ in range(args.rounds)]
    figures = Figures()
    for subject, found in by_subject(runs).items():
        for (what, unit, target), each in zip(FIGURES, zip(*found, strict=True), strict=True):
            ours = subject.startswith("ebbmap:inline")
            figures.add(f"{subject}: {what}", median(each), unit, at_most=target if ours else None)
    for skipped in runs[0]["skipped"]:
        print(f"{skipped['subject']}: not run, {skipped['why']}")
    save(args, "fill_drain", figures.results)


if __name__ == "__main__":
    main()
