"""What tables are made of."""

from __future__ import annotations

from dataclasses import dataclass

from ebbmap.lab.report.words import MIB, Unit, Verdict, verdict


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure as it is written, and for bytes held whether they follow the contents."""

    text: str
    verdict: Verdict | None = None


def held(size: int, payload: int, unit: Unit, partial: bool = False) -> Cell:
    """Bytes held for so many bytes of payload; if `partial`, they are only some of them."""
    if partial:
        return Cell(f"≥ {unit.write(size)}")
    # A few KiB more or less say nothing.
    return Cell(unit.write(size), verdict(size, payload) if unit.size == MIB else None)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table: the first `words` columns hold words, the rest figures; a row of `reference` comes first."""

    title: str
    columns: tuple[str, ...]
    words: int
    reference: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
