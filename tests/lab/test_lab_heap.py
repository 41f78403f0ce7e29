"""What the allocators say they have given out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ebbmap.lab import heap

needs_books = pytest.mark.skipif(
    not heap.readable(), reason="this interpreter's allocators keep no books to read"
)

MEASURE = """
import sys
from ebbmap.lab import heap
meter = getattr(heap, sys.argv[1])()
held = {key: bytes(128) + b"." for key in range(100_000)}
full = meter()
held.clear()
print(full, meter())
"""


def _measured(meter: str) -> tuple[int, int]:
    """Bytes held by a dict of 100,000 entries, full and cleared, in a process of its own."""
    words = [sys.executable, "-c", MEASURE, meter]
    answer = subprocess.run(words, check=True, capture_output=True, text=True)
    assert answer.stderr == ""  # the interpreter's statistics do not leak out
    full, cleared = answer.stdout.split()
    return int(full), int(cleared)


@needs_books
def test_books_and_tracemalloc_agree() -> None:
    books, traced = _measured("books"), _measured("traced")
    assert 0 <= books[0] / traced[0] - 1 < 0.12  # books count in the allocator's own size classes
    assert max(books[1], traced[1]) < 64 * 1024


@needs_books
def test_books_count_small_and_large() -> None:
    meter = heap.books()
    small = [bytes(99) for _ in range(10_000)]
    assert 1.3e6 < meter() < 1.7e6
    large = bytearray(30_000_000)
    assert 31e6 < meter() < 32e6
    del small, large
    assert meter() < 200_000
