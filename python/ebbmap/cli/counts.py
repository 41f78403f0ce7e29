"""Numbers as they are typed."""

from __future__ import annotations

from ebbmap.cli.errors import UserError


def count(option: str, text: str, least: int, most: int) -> int:
    """A whole number from `least` to `most`: `1000000`, `1_000_000` or `1e6`; else `UserError`."""
    try:
        number = -1 if not text.isascii() else float(text) if "e" in text.lower() else int(text)
    except ValueError:
        number = -1
    if not least <= number <= most or number != int(number):
        given = text if len(text) <= 40 else f"{text[:37]}..."
        raise UserError(
            f"{option} takes a whole number from {least:,} to {most:,} (as 1000, 1_000 or 1e3), not {given!r}"
        )
    return int(number)
