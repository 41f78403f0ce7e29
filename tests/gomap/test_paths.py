"""Which of the runtime's functions assigns to a map, and which of them prune tombstones."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path as File

import pytest

from ebbmap.gomap import GoVersion, parse_map
from ebbmap.gomap.paths import Path, path, prunes
from ebbmap.gomap.probe import Toolchain

PATHS = {
    "map[int]int": Path.FAST64,
    "map[uint64]string": Path.FAST64,
    "map[int32]int": Path.FAST32,
    "map[rune]bool": Path.FAST32,
    "map[string]int": Path.STRING,
    "map[int64][128]byte": Path.FAST64,
    "map[int64][129]byte": Path.GENERIC,
    "map[string][200]byte": Path.GENERIC,
    "map[bool]int": Path.GENERIC,
    "map[int16]int": Path.GENERIC,
    "map[float32]int": Path.GENERIC,
    "map[float64]int": Path.GENERIC,
    "map[complex64]int": Path.GENERIC,
    "map[any]int": Path.GENERIC,
    "map[[16]byte]int": Path.GENERIC,
    "map[[20]byte]bool": Path.GENERIC,
    "map[[4]byte]int": Path.FAST32,
    "map[[2]int16]int": Path.FAST32,
    "map[[8]bool]int": Path.FAST64,
    "map[[2]float32]int": Path.GENERIC,
    "map[[1]float64]int": Path.GENERIC,
    "map[[1]string]int": Path.STRING,
    "map[[2]string]int": Path.GENERIC,
    "map[[0]string]int": Path.GENERIC,
    "map[*int]int": Path.FAST64_POINTER,
    "map[chan int]int": Path.FAST64_POINTER,
    "map[unsafe.Pointer]int": Path.FAST64_POINTER,
    "map[uintptr]int": Path.FAST64,
    "map[struct{A string}]int": Path.STRING,
    "map[struct{_ string}]int": Path.GENERIC,
    "map[struct{A string; B int}]int": Path.GENERIC,
    "map[struct{A, B int32}]int": Path.FAST64,
    "map[struct{A int32; B int16; C, D int8}]int": Path.FAST64,
    "map[struct{A int32; B int16}]int": Path.GENERIC,
    "map[struct{A int8; B int16}]int": Path.GENERIC,
    "map[struct{A, B int16}]int": Path.FAST32,
    "map[struct{A int32; _ int32}]int": Path.GENERIC,
    "map[struct{A int32; B struct{}}]int": Path.GENERIC,
    "map[struct{B struct{}; A int32}]int": Path.FAST32,
    "map[struct{A *int}]int": Path.FAST64_POINTER,
    "map[struct{A struct{B int64}}]int": Path.FAST64,
    "map[struct{A float32; B int32}]int": Path.GENERIC,
    "map[time.Time]int": Path.GENERIC,
    "map[time.Duration]int": Path.FAST64,
    "map[netip.Addr]int": Path.GENERIC,
}


@pytest.mark.parametrize("kind", PATHS)
def test_the_path_of_a_type(kind: str) -> None:
    assert path(parse_map(kind)) is PATHS[kind]


def test_the_compiler_takes_the_same_path(toolchain: Toolchain, tmp_path: File) -> None:
    """By the calls in what it compiles: the choice is the same for classic maps."""
    functions = [
        f"func F{i}(m {kind}, k {key}, v {elem}) {{ m[k] = v }}"
        for i, (kind, key, elem) in enumerate((kind, *_parts(kind)) for kind in PATHS)
    ]
    imports = 'import ("net/netip"; "time"; "unsafe")\nvar (_ netip.Addr; _ time.Time; _ unsafe.Pointer)\n'
    source = tmp_path / "paths.go"
    source.write_text("package paths\n" + imports + "\n".join(functions) + "\n")
    words = [str(toolchain.go), "build", "-gcflags=-S -N -l", str(source)]
    ran = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path)
    called: dict[str, str] = {}
    for function, body in re.findall(r"\.F(\d+) STEXT(.*?)(?=\n\S)", ran.stderr, re.DOTALL):
        (called[function],) = set(re.findall(r"runtime\.(mapassign\w*)\(SB\)", body))
    assert called == {str(i): expected.value for i, expected in enumerate(PATHS.values())}


def _parts(kind: str) -> tuple[str, str]:
    """The key and the element as they are written."""
    depth = 0
    for i, sign in enumerate(kind):
        depth += (sign == "[") - (sign == "]")
        if sign == "]" and depth == 0:
            return kind[4:i], kind[i + 1 :]
    raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "since"),
    [
        ("map[int]int", 25),
        ("map[int32]int", 25),
        ("map[string]int", 25),
        ("map[*int]int", 27),
        ("map[[16]byte]int", None),
        ("map[float64]int", None),
        ("map[int][129]byte", None),
    ],
)
def test_who_prunes_since_when(kind: str, since: int | None) -> None:
    for minor in range(23, 28):
        assert prunes(parse_map(kind), GoVersion(minor)) == (since is not None and minor >= since)
    assert not prunes(parse_map(kind), GoVersion(25, noswissmap=True))
