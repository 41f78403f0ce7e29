"""Writes the committed results into docs/performance.md: `python benches/tables.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from _common import RESULTS

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
START, END = "<!-- results: written by benches/tables.py -->\n", "<!-- end of results -->"


def table(document: dict[str, Any]) -> str:
    """One result file as a section: its command, its machine, a row a figure."""
    machine = document["machine"]
    where = f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}"
    head = f"`{document['command']}` ({where})\n\n"
    figures = {name: found for name, found in document["results"].items() if isinstance(found, dict)}
    rows = "".join(row(name, figure) for name, figure in figures.items())
    return f"{head}| figure | measured | target | |\n|---|---:|---:|---|\n{rows}"


def row(name: str, figure: dict[str, Any]) -> str:
    """One figure, its target where it has one, and whether that is reached."""
    target = figure.get("target") or ""
    verdict = ("reached" if figure["reached"] else "**missed**") if target else ""
    return f"| {name} | {shown(figure['value'])} {figure['unit']} | {target} | {verdict} |\n"


def shown(value: float) -> str:
    """Four significant digits, and no power of ten."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def main() -> None:
    documents = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    sections = "\n".join(
        f"### {name}\n\n{table(found)}" for name, found in documents.items() if "results" in found
    )
    before, rest = PAGE.read_text().split(START)
    PAGE.write_text(f"{before}{START}\n{sections}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
