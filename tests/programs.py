"""Programs that tests run in a process of their own, where a hang or an abort ends nothing else."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def run_program(program: str, timeout: float = 60) -> None:
    """Run a program, which prints `done` as its last step."""
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert (ran.stdout.strip(), ran.returncode) == ("done", 0), ran.stderr
