"""What the benchmarks share: arguments, figures beside their targets, and results that say how they came."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter_ns, thread_time_ns
from typing import Any, TypeVar

import psutil

RESULTS = Path(__file__).parent / "results"
T = TypeVar("T")


class Figures:
    """The figures of one benchmark: each is printed as it comes, beside its target."""

    def __init__(self) -> None:
        self.results: dict[str, Any] = {}

    def add(
        self,
        name: str,
        value: float,
        unit: str = "",
        *,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """One figure; without a target it is there for comparison."""
        found = {"value": _significant(value), "unit": unit, **_verdict(value, at_most, at_least)}
        self.results[name] = found
        verdict = ""
        if "target" in found:
            verdict = f"target {found['target']:<9} {'reached' if found['reached'] else 'MISSED'}"
        print(f"{name:<64} {found['value']:>9,} {unit:<7} {verdict}".rstrip(), flush=True)


def _verdict(value: float, at_most: float | None, at_least: float | None) -> dict[str, Any]:
    if at_most is not None:
        return {"target": f"<= {at_most:.4g}", "reached": value <= at_most}
    if at_least is not None:
        return {"target": f">= {at_least:.4g}", "reached": value >= at_least}
    return {}


def _significant(value: float) -> float:
    """Four significant digits, and no digit before the point lost."""
    return round(value) if abs(value) >= 1000 else float(f"{value:.4g}")


def fresh(work: Callable[..., T], *args: Any) -> T:
    """What `work(*args)` returns in a fresh process: a heap, caches of objects and a hash key of its own."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(work, args)


def progress(what: str) -> None:
    """Says, on standard error, what is being measured now: before anything that takes seconds."""
    print(f"  ... {what}", file=sys.stderr, flush=True)


CLOCKS: dict[str, Callable[[], int]] = {"wall": perf_counter_ns, "cpu": thread_time_ns}
"""`--clock`: by processor time, what others do on the same cores is not in it, or less of it."""


def resident() -> int:
    """The bytes of memory that this process has now (its RSS)."""
    rss: int = psutil.Process().memory_info().rss
    return rss


def shared_data(name: str) -> Path | None:
    """A file of the data kept beside the repository, or where EBBMAP_DATA says; None if it is not there."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    path = Path(os.environ.get("EBBMAP_DATA", beside)) / name
    return path if path.is_file() else None


def arguments(description: str | None, **defaults: Any) -> argparse.Namespace:
    """Arguments with these defaults, and `--save`; a tuple has the choices, the default first."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    for name, default in defaults.items():
        kind: Any = {"type": type(default)}
        if isinstance(default, list):
            kind = {"type": type(default[0]), "nargs": "+"}
        if isinstance(default, tuple):
            kind = {"choices": default}
        first = default[0] if isinstance(default, tuple) else default
        parser.add_argument(f"--{name.replace('_', '-')}", default=first, **kind)
    parser.add_argument("--save", action="store_true", help="write the results to benches/results/")
    return parser.parse_args()


def save(args: argparse.Namespace, name: str, results: Any) -> None:
    """Keep the results with the command that made them, where `--save` asks for it."""
    if not args.save:
        return
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(document(results), indent=1) + "\n")
    print(f"saved {path}", file=sys.stderr)


def document(results: Any) -> dict[str, Any]:
    """Results with the command and the machine that they are of."""
    from ebbmap.lab import machine  # here, as a peer's process is to be without ebbmap

    command = shlex.join(["python", f"benches/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    return {"command": command, "machine": machine.describe(), "results": results}
