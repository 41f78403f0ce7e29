"""How the tests of this folder run its programs: each in a process of its own, in a short form or a long one.

`EBBMAP_MEMORY_GIB=4` asks for the long form, in which a case may have 4 GiB of contents. It takes many
minutes, and half as much memory again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
MIB = 1 << 20
GIB = float(os.environ.get("EBBMAP_MEMORY_GIB", "0"))
"""Contents of a case in the long form; 0: the short form."""
MOST_PARTED = 4
"""Pages of 2 MiB of which a part is given back: those of other programs."""
Line = dict[str, Any]

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@cache
def run(name: str, *args: str) -> list[Line]:
    """The lines that a program prints; it is run once, however many tests look at them.

    Fails, with what it wrote, where the program does not end well.
    """
    command = [sys.executable, "-X", "faulthandler", str(HERE / f"{name}.py"), *args]
    timeout = 3600 if GIB else 120
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        pytest.fail(f"exit code {done.returncode}\n{done.stdout[-4000:]}{done.stderr}", pytrace=False)
    return [json.loads(line) for line in done.stdout.splitlines()]


SLACK = 0 if GIB else MIB
"""The short form is a tenth of the long one, and what malloc keeps of Python's objects is not."""


def fails_today(reason: str, *, short: bool = True, long: bool = True) -> list[pytest.MarkDecorator]:
    """The mark of a promise that is not kept yet, in these forms. A program that crashes fails anyway."""
    fails = long if GIB else short
    # In the short form some figures are so near the bound that the machine decides.
    mark = pytest.mark.xfail(strict=bool(GIB), raises=AssertionError, reason=reason)
    return [mark] if fails else []


def over(look: Line) -> int:
    """By how many bytes more are resident than may be."""
    return int(look["resident"] - look["bound"]) - SLACK


def shown(look: Line) -> str:
    """A look at the process, in MiB."""
    sizes = ("resident", "bound", "payload", "huge", "system")
    parts = [f"{name} {look[name] / MIB:.1f}" for name in sizes]
    return f"MiB: {', '.join(parts)}; tables {look['tables']}, mappings {look['mappings']}"


def assert_within(*looks: Line) -> None:
    """Assert that no more is resident than may be."""
    bad = [look for look in looks if over(look) > 0]
    listed = "\n".join(shown(look) for look in sorted(bad, key=over, reverse=True)[:5])
    assert not bad, f"{len(bad)} of {len(looks)} looks, the worst first:\n{listed}"


def assert_few_mappings(*looks: Line) -> None:
    """Assert that there are no more mappings than may be."""
    bad = [look for look in looks if look["mappings"] > look["mappings_bound"]]
    listed = "\n".join(shown(look) for look in sorted(bad, key=lambda look: -int(look["mappings"]))[:5])
    assert not bad, f"{len(bad)} of {len(looks)} looks, the worst first:\n{listed}"
