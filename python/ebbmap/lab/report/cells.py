"""What tables are made of."""

from __future__ import annotations

from dataclasses import dataclass

from ebbmap.lab.report.words import Verdict


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure as it is written, and for bytes held whether they follow the contents."""

    text: str
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table: the first `words` columns hold words, the rest figures; a row of `reference` comes first."""

    title: str
    columns: tuple[str, ...]
    words: int
    reference: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
