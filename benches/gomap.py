"""Inserts a second into the executable models of Go's map, by processor time: `python benches/gomap.py`.

`map[int][128]byte` of each of Go's implementations, filled from empty to `--n`; the figure is the median over
the rounds.
"""

from __future__ import annotations

import gc
from statistics import median
from time import process_time

from _common import Figures, arguments, save
from ebbmap.gomap import GoVersion, HMap, SwissMap
from ebbmap.gomap.model import GoMap

VERSIONS = ("1.21", "1.23", "1.24", "1.27")
KIND = "map[int][128]byte"
TARGET = 150_000


def inserts_a_second(version: str, n: int) -> float:
    model: type[GoMap[int, int]] = SwissMap if GoVersion.parse(version).swiss else HMap
    m = model(KIND, version)
    gc.collect()
    start = process_time()
    for key in range(n):
        m[key] = key
    return n / (process_time() - start)


def main() -> None:
    args = arguments(__doc__, n=60_000, rounds=5)
    figures = Figures()
    times = {version: [inserts_a_second(version, args.n) for _ in range(args.rounds)] for version in VERSIONS}
    for version, found in times.items():
        figures.add(f"Go {version}: inserts", median(found), "a second", at_least=TARGET)
    save(args, "gomap", figures.results)


if __name__ == "__main__":
    main()
