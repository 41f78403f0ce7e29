"""Sizes at which the engine may change what it does: read from its constants, and around each of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

ENGINE = Path(__file__).parents[2] / "crates" / "ebb" / "src"
NUMBER = r"(\d[\d_]*)(?:\s*<<\s*(\d+))?"
CONSTANT = re.compile(rf"\bconst\s+[A-Z][A-Z0-9_]*\s*:\s*usize\s*=\s*{NUMBER}\s*;")
RANGE = re.compile(rf"\bconst\s+[A-Z][A-Z0-9_]*\s*:\s*Range<usize>\s*=\s*{NUMBER}\s*\.\.=?\s*{NUMBER}\s*;")

LARGEST_ENTRY = 64 << 20
"""The promise is for entries up to this size."""
PAGES = [4 << 10, 16 << 10, 64 << 10, 2 << 20]
"""Pages of systems and processors."""
BETWEEN = [300_000, 500_000, 700_000, 1_000_000, 1_400_000, 2_000_000, 2_500_000, 3_000_000, 4_000_000]
"""Sizes far from any power of two, of which pages once fitted badly."""


def _value(number: str, shift: str) -> int:
    return int(number.replace("_", "")) << int(shift or 0)


def constants(source: str) -> set[int]:
    """The sizes that Rust source has as constants: plain numbers, shifted ones, and the ends of ranges."""
    found = {_value(*match) for match in CONSTANT.findall(source)}
    for match in RANGE.findall(source):
        found |= {_value(*match[:2]), _value(*match[2:])}
    return found


def of_engine() -> set[int]:
    """Those of the engine that may be the size of an entry."""
    found: set[int] = set()
    for path in ENGINE.rglob("*.rs"):
        found |= constants(path.read_text("utf-8"))
    return {size for size in found if 1 < size <= LARGEST_ENTRY}


def around(sizes: Iterable[int]) -> set[int]:
    """Each size, its neighbours, and what fits a bit more than once, or three times, into it."""
    found: set[int] = set()
    for size in sizes:
        found |= {size - 1, size, size + 1, size // 2 + 1, size // 3 + 1, size + size // 2}
    return {size for size in found if 0 < size <= LARGEST_ENTRY}


def entry_sizes() -> list[int]:
    """Sizes of entries worth a try, from 1 byte to 64 MiB."""
    powers = {1 << bits for bits in range(LARGEST_ENTRY.bit_length())}
    return sorted(around(of_engine() | powers | set(PAGES)) | set(BETWEEN))
