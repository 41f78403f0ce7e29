"""Bars in a terminal, one column a value.

plotext, which draws the lab's charts, takes as long to import as a plan may take in all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_ROWS = 8


def bars(values: Sequence[float], label: Callable[[float], str]) -> Iterator[str]:
    """Lines of a bar chart, `label` on its scale to the right."""
    top = max(values, default=0) or 1
    for row in reversed(range(_ROWS)):
        cells = "".join(_cell(value / top * _ROWS - row) for value in values)
        scale = f" {label(top * (row + 1) / _ROWS)}" if row in (_ROWS - 1, _ROWS // 2 - 1) else ""
        yield (cells + scale).rstrip()


def _cell(height: float) -> str:
    return _EIGHTHS[max(0, min(8, round(height * 8)))]
