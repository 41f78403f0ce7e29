"""Files that a command writes."""

from __future__ import annotations

from pathlib import Path

from ebbmap.cli.errors import UserError


def write(target: str | Path, text: str) -> None:
    """Write `text` and a line's end, as UTF-8; `UserError` if it can't be."""
    try:
        Path(target).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"can't write {target}: {error.strerror}") from None
