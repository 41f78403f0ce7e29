"""The examples in the documents run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def run_examples(name: str) -> dict[str, Any]:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)
    assert blocks
    names: dict[str, Any] = {"__name__": "examples"}
    for block in blocks:
        exec(compile(block, name, "exec"), names)
    return names


def test_readme() -> None:
    names = run_examples("README.md")
    assert names["m"][42] == b"..." and names["c"][42] == b"..."
    assert names["load"](7) == b"..." == names["c"][7]


def test_guide() -> None:
    names = run_examples("docs/guide.md")
    assert names["removed"] == 3 and not names["m"]


def test_cache() -> None:
    pytest.importorskip("prometheus_client")
    names = run_examples("docs/cache.md")
    assert names["c"][42] == b"..." and 0 < names["c"].expires_in(42) <= 3600
    assert names["load"](7) == "customer 7"
    assert names["load"].cache is names["cache"]
