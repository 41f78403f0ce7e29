"""What the benchmarks share: their arguments, and results that say how they were made."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def arguments(description: str | None, **defaults: Any) -> argparse.Namespace:
    """Arguments with these defaults, and `--save`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    for name, default in defaults.items():
        kind: Any = {"type": type(default)}
        if isinstance(default, list):
            kind = {"type": type(default[0]), "nargs": "+"}
        parser.add_argument(f"--{name.replace('_', '-')}", default=default, **kind)
    parser.add_argument("--save", action="store_true", help="write the results to benches/results/")
    return parser.parse_args()


def machine() -> dict[str, Any]:
    """The machine that the figures are of."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "os": platform.platform(aliased=True, terse=True),
        "python": platform.python_version(),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def save(args: argparse.Namespace, name: str, results: Any) -> None:
    """Keep the results with the command that made them, where `--save` asks for it."""
    if not args.save:
        return
    RESULTS.mkdir(exist_ok=True)
    command = shlex.join(["python", f"benches/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    document = {"command": command, "machine": machine(), "results": results}
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    print(f"saved {shown}", file=sys.stderr)
