"""`python -m ebbmap.gomap.probe`: how far the predictor is from every toolchain found."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from statistics import mean, median

from ebbmap.gomap.probe import Measurement, Toolchain, find_toolchains, kinds, measure

PLAIN = (1_000, 5_000, 25_000, 50_000)
CLIFFS = (1_664, 1_665, 13_312, 13_313, 14_000, 106_496, 106_497)  # where maps grow
LARGE = (851_968, 851_969, 1_000_000, 2_000_000)
LARGE_KINDS = ("map[int64]int64", "map[int64][128]byte", "map[int64]*[128]byte", "map[string]string")


def errors(toolchain: Toolchain, program: Path) -> Iterator[tuple[float, Measurement]]:
    """The relative error of each point, live bytes filled and drained; means, where hashes matter."""
    runs = [(kinds(program), n, 3) for n in PLAIN] + [(list(LARGE_KINDS), n, 1) for n in LARGE]
    runs += [_cliff(toolchain, program, n) for n in CLIFFS]
    for names, n, repeat in runs:
        wanted = [name for name in names if n <= 60_000 or "uint16" not in name]
        for _, group in groupby(sorted(measure(program, wanted, [n], repeat=repeat), key=_point), key=_point):
            points = list(group)
            if points[0].step != "empty":
                expected = points[0].predicted().bytes
                measured = (mean if toolchain.version.swiss else median)(point.alloc for point in points)
                yield measured / expected - 1, points[0]


def _cliff(toolchain: Toolchain, program: Path, n: int) -> tuple[list[str], int, int]:
    """While Swiss tables split each map differs: fewer types, of which more maps are taken the mean of."""
    if toolchain.version.swiss:
        return list(LARGE_KINDS), n, min(200, 2_000_000 // n)
    return kinds(program), n, max(1, min(5, 20_000 // n))


def _point(measurement: Measurement) -> tuple[str, str]:
    return measurement.type, measurement.step


def _compare(toolchain: Toolchain, program: Path) -> None:
    rated = sorted(errors(toolchain, program), key=lambda pair: -abs(pair[0]))
    middle = median(abs(error) for error, _ in rated)
    print(f"{toolchain.release}: {len(rated)} points, median {middle:.3%}, worst {abs(rated[0][0]):.2%}")
    for error, point in rated[:3]:
        print(f"    {error:+.2%} {point.type} n={point.n} {point.step}")


def main() -> int:
    """Print one line for each toolchain, and its worst points."""
    found = find_toolchains()
    with tempfile.TemporaryDirectory() as directory:
        for toolchain in found:
            _compare(toolchain, toolchain.build(Path(directory, toolchain.release)))
    if not found:
        print("no Go toolchain found", file=sys.stderr)
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
