"""Text from files, names and the environment, as a terminal may be given it."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with escapes in place of control characters, line ends and bytes that are not UTF-8."""
    return text if text.isprintable() else "".join(map(_character, text))


def _character(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # a byte that was not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return ascii(character)[1:-1]


def short(text: str, most: int = 60) -> str:
    """The text as a quoted value in an error, cut to `most` characters."""
    kept = printable(text[:most]) + ("..." if len(text) > most else "")
    return f"'{kept}'"
