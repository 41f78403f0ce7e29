"""Text in lines of 80 columns, broken between words."""

from __future__ import annotations

import re
import textwrap

WIDTH = 80
_PARTS = re.compile(r"[^,;{[(]+[,;{[(]*|[,;{[(]+")  # of a Go type that has no space in it
_UNIT = re.compile(r"(?<=\d) (?=(?:B|KiB|MiB|GiB|TiB)\b)")
_NO_BREAK = "\N{NO-BREAK SPACE}"


def wrap(text: str, first: str = "", others: str = "", width: int = WIDTH) -> list[str]:
    """The lines of `text`, the first and all others each behind its indent; none for no text.

    A figure stays beside its unit. A word that is longer than a line is broken behind punctuation; only if it
    has none, anywhere.
    """
    room = width - max(len(first), len(others))
    words = _UNIT.sub(_NO_BREAK, text).split(" ")
    parts = " ".join(part for word in words for part in _pieces(word, room))
    lines = textwrap.wrap(
        parts, width, initial_indent=first, subsequent_indent=others, break_on_hyphens=False
    )
    return [line.replace(_NO_BREAK, " ") for line in lines]


def _pieces(word: str, room: int) -> list[str]:
    if len(word) <= room:
        return [word]
    pieces = [""]
    for part in _PARTS.findall(word):
        if len(pieces[-1]) + len(part) > room and pieces[-1]:
            pieces.append("")
        pieces[-1] += part
    return pieces
