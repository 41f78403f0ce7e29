"""Calls of a `go` command that are interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from ebbmap.gomap import toolchains


class ToldError(Exception):
    """What the handler raises."""


def _handler(*_: object) -> None:
    raise ToldError


@pytest.fixture
def handled() -> Any:
    before = signal.signal(signal.SIGTERM, _handler)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("handled")
def test_a_signal_while_a_command_starts_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[str]] = []

    class Popen(subprocess.Popen[str]):
        def __init__(self, *words: Any, **options: Any) -> None:
            super().__init__(*words, **options)
            started.append(self)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\nsleep 60\n")
    go.chmod(0o755)
    with pytest.raises(ToldError):
        toolchains.call(go)
    (process,) = started
    assert process.returncode == -signal.SIGKILL
    assert signal.getsignal(signal.SIGTERM) is _handler


def test_a_command_may_be_called_in_any_thread(tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho out; echo err >&2; exit 3\n")
    go.chmod(0o755)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(toolchains.call(go)))
    thread.start()
    thread.join(20)
    answers.append(toolchains.call(go))
    assert [(each.returncode, each.stdout, each.stderr) for each in answers] == [(3, "out\n", "err\n")] * 2
