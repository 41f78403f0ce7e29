"""What an experiment found, in the terminal."""

from __future__ import annotations

import textwrap

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ebbmap.lab.model import Report
from ebbmap.lab.report import words
from ebbmap.lab.report.cells import Cell, Sheet
from ebbmap.lab.report.chart import chart, key
from ebbmap.lab.report.conclusion import conclusion
from ebbmap.lab.report.curves import leading, what
from ebbmap.lab.report.sheets import remarks, sheets

COLOURS = {"follows": "green", "between": "", "keeps": "red", None: ""}
WIDEST_CHART, WIDEST_TABLE = 100, 1000


def show(report: Report, console: Console) -> None:
    """Print the tables, the chart and what has to be said of subjects; fits 80 columns."""
    console.print(f"\n{words.heading(report)}", style="bold", highlight=False, markup=False)
    console.print(conclusion(report), highlight=False, markup=False)
    if words.story(report):
        console.print(words.story(report), highlight=False, markup=False)
    console.print(words.machine(report), style="dim", highlight=False, markup=False)
    for sheet in sheets(report):
        console.print()
        _print_whole(_table(sheet), console)
    if report.runs:
        _chart(report, console)
    said = "\n".join(remarks(report))
    if said:
        console.print(f"\n{said}", style="yellow", highlight=False, markup=False)


def _print_whole(table: Table, console: Console) -> None:
    """Print it with every figure in full, if need be in lines that are longer than the terminal is wide."""
    room = console.options.update_width(WIDEST_TABLE)
    wide = Measurement.get(console, room, table).maximum
    if wide > console.width:
        table.width = wide
    console.print(table, crop=False)


def _table(sheet: Sheet) -> Table:
    table = Table(title=sheet.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.padding = (0, 1, 0, 0)
    for place, name in enumerate(sheet.columns):
        table.add_column(name, justify="left" if place < sheet.words else "right", no_wrap=True)
    if sheet.reference:
        table.add_row(*map(_text, sheet.reference), style="dim", end_section=True)
    for row in sheet.rows:
        table.add_row(*map(_text, row))
    return table


def _text(cell: Cell) -> Text:
    return Text(cell.text, COLOURS[cell.verdict])


def _chart(report: Report, console: Console) -> None:
    size = words.unit(report.settings)
    runs = leading(report.runs)
    console.print(f"\n{what(report.settings)}, over {words.along(report)}", style="bold", highlight=False)
    colour = console.color_system is not None
    drawn = chart(report, runs, size, min(console.width, WIDEST_CHART), 18, colour)
    console.print(Text.from_ansi(drawn), soft_wrap=True)
    console.print(textwrap.fill(key(runs), console.width), highlight=False)
