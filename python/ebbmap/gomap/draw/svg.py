"""A scene as SVG: crisp, with text that can be selected and read aloud, in light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ebbmap.gomap.draw.scene import FREE, FULL, GONE, MOVED, Column, Row, Scene, Slot
from ebbmap.gomap.plan.lines import wrap

WIDTH = 960
_MARGIN = 16
_CELL = 14  # a slot
_PITCH = 29  # from one column to the next
_LINE = 20
_TITLE = 88  # characters that fit into a line of the title, also in a wide font

STYLE = """
:root, svg { --ink: #1b1f24; --soft: #57606a; --paper: #ffffff; --line: #8c959f; --live: #0b62c4;
  --gone: #b35900; --moved: #57606a; --open: #fff3c4; }
@media (prefers-color-scheme: dark) { :root, svg { --ink: #e6edf3; --soft: #9da7b1; --paper: #0d1117;
  --line: #6e7681; --live: #6cb2ff; --gone: #ffab5e; --moved: #9da7b1; --open: #3d3212; } }
svg { background: var(--paper); font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
text { fill: var(--ink); } .soft { fill: var(--soft); } .title { font-size: 17px; font-weight: 600; }
.head { font-weight: 600; } .small { font-size: 10px; }
.box { fill: none; stroke: var(--line); } .opened { fill: var(--open); stroke: var(--ink); stroke-width: 2; }
.full { fill: var(--live); } .empty { fill: none; stroke: var(--line); }
.deleted { fill: none; stroke: var(--gone); stroke-width: 1.6; }
.moved { fill: none; stroke: var(--moved); stroke-dasharray: 2 2; } .arrow { stroke: var(--ink); fill: none; }
"""

# Each state has a form of its own, not only a colour.
_SHAPES = {
    FULL: '<g id="s-full"><rect class="full" width="12" height="12" rx="2"/></g>',
    FREE: '<g id="s-empty"><rect class="empty" x=".5" y=".5" width="11" height="11" rx="2"/></g>',
    GONE: '<g id="s-deleted"><path class="deleted" d="M1 1H11V11H1ZM1 1L11 11M11 1L1 11"/></g>',
    MOVED: '<g id="s-moved"><rect class="moved" x=".5" y=".5" width="11" height="11"/>'
    '<path class="moved" d="M3 6H9"/></g>',
}
_EIGHTS = (
    f'<g id="s-{state}-8">' + "".join(f'<use href="#s-{state}" y="{i * _CELL}"/>' for i in range(8)) + "</g>"
    for state in _SHAPES
)
DEFINITIONS = "<defs>" + "".join(_SHAPES.values()) + "".join(_EIGHTS) + "</defs>"


class _Canvas:
    """Elements, and how far down the picture has come."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.y = _MARGIN

    def text(self, x: float, y: float, text: str, style: str = "", anchor: str = "") -> None:
        classes = f' class="{style}"' if style else ""
        middle = f' text-anchor="{anchor}"' if anchor else ""
        self.parts.append(f'<text x="{x}" y="{y}"{classes}{middle}>{escape(text)}</text>')

    def rect(self, x: float, y: float, width: float, height: float, style: str) -> None:
        self.parts.append(f'<rect class="{style}" x="{x}" y="{y}" width="{width}" height="{height}" rx="3"/>')

    def use(self, state: str, x: float, y: float) -> None:
        self.parts.append(f'<use href="#s-{state}" x="{x}" y="{y}"/>')

    def path(self, data: str) -> None:
        self.parts.append(f'<path class="arrow" d="{data}"/>')


def to_svg(scene: Scene, alone: bool = True) -> str:
    """The picture; `alone` it brings its own style and symbols, which a page has already."""
    canvas = _Canvas()
    _head(canvas, scene)
    if scene.directory:
        _directory(canvas, scene.directory)
    for row in scene.rows:
        _row(canvas, row)
    _opened(canvas, scene)
    _legend(canvas, scene)
    height = canvas.y + _MARGIN
    before = f"<style>{STYLE}</style>{DEFINITIONS}" if alone else ""
    title, described = escape(scene.title), escape(describe(scene))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img"><title>{title}</title><desc>{described}</desc>{before}'
        + "".join(canvas.parts)
        + "</svg>"
    )


def describe(scene: Scene) -> str:
    """The picture in words."""
    facts = ", ".join(f"{name} {value}" for name, value in scene.facts)
    return f"{scene.title}: {facts}. Opened: {scene.opened_title}."


def _head(canvas: _Canvas, scene: Scene) -> None:
    for line in wrap(scene.title, width=_TITLE):
        canvas.text(_MARGIN, canvas.y + 14, line, "title")
        canvas.y += _LINE
    canvas.y += 16
    x = float(_MARGIN)
    for name, value in scene.facts:
        canvas.text(x, canvas.y, name, "soft small")
        canvas.text(x, canvas.y + 17, value, "head")
        x += max(len(name) * 6.4, len(value) * 8.2) + 22
    canvas.y += 36


def _directory(canvas: _Canvas, directory: list[str]) -> None:
    canvas.text(_MARGIN, canvas.y + 12, "directory (entry -> table)", "head")
    canvas.y += 20
    for i, table in enumerate(directory):
        x, y = _MARGIN + i % 32 * _PITCH, canvas.y + i // 32 * 26
        canvas.rect(x, y, _PITCH - 3, 20, "box")
        canvas.text(x + (_PITCH - 3) / 2, y + 14, table, "small", "middle")
    canvas.y += -(-len(directory) // 32) * 26 + 8


def _row(canvas: _Canvas, row: Row) -> None:
    more = f" ({row.more:,} more not shown)" if row.more else ""
    canvas.text(_MARGIN, canvas.y + 12, row.title + more, "head")
    canvas.y += 22
    deepest = max(len(column.blocks) for column in row.columns)
    for i, column in enumerate(row.columns):
        _draw_column(canvas, _MARGIN + i * _PITCH, column)
    canvas.y += deepest * (8 * _CELL + 18) + 20


def _draw_column(canvas: _Canvas, x: float, column: Column) -> None:
    canvas.text(x + 9, canvas.y + 8, column.label, "soft small", "middle")
    y = canvas.y + 14
    for depth, block in enumerate(column.blocks):
        if depth:
            canvas.path(f"M{x + 9} {y - 14}v10m-3 -4l3 4l3 -4")
        canvas.rect(x, y, 18, 8 * _CELL + 4, "opened" if column.opened else "box")
        _draw_block(canvas, x + 3, y + 3, block)
        y += 8 * _CELL + 18


_COLUMNS = (("slot", 0), ("mark", 44), ("key", 116), ("element", 270), ("state", 424))


def _draw_block(canvas: _Canvas, x: float, y: float, block: Sequence[str]) -> None:
    if len(set(block)) == 1:
        canvas.use(f"{block[0]}-8", x, y)
        return
    for i, state in enumerate(block):
        canvas.use(state, x, y + i * _CELL)


def _opened(canvas: _Canvas, scene: Scene) -> None:
    canvas.text(_MARGIN, canvas.y + 12, scene.opened_title, "head")
    canvas.y += 30
    for name, x in _COLUMNS:
        canvas.text(_MARGIN + x, canvas.y, scene.mark_title if name == "mark" else name, "soft")
    canvas.y += 8
    for depth, block in enumerate(scene.opened):
        if depth:
            canvas.text(_MARGIN, canvas.y + 14, "overflow ↓", "soft")
            canvas.y += _LINE
        for slot in block:
            _draw_slot(canvas, slot)
    canvas.y += 14


def _draw_slot(canvas: _Canvas, slot: Slot) -> None:
    for (_, x), text in zip(_COLUMNS, (slot.number, slot.mark, slot.key, slot.elem, slot.state), strict=True):
        if text:
            canvas.text(_MARGIN + x + (18 if x == _COLUMNS[-1][1] else 0), canvas.y + 14, text)
    canvas.use(slot.state, _MARGIN + _COLUMNS[-1][1], canvas.y + 3)
    canvas.y += _LINE


def _legend(canvas: _Canvas, scene: Scene) -> None:
    x = float(_MARGIN)
    for state, meaning in scene.legend:
        canvas.use(state, x, canvas.y)
        canvas.text(x + 18, canvas.y + 11, meaning, "soft")
        x += len(meaning) * 8.2 + 44
    canvas.y += 16
