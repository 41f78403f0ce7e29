"""The guide's examples run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

GUIDE = Path(__file__).parent.parent / "docs" / "guide.md"


def test_memoizing_and_metrics() -> None:
    pytest.importorskip("prometheus_client")
    _, _, memoizing = GUIDE.read_text().partition("# Memoizing with a `Cache`\n")
    blocks = re.findall(r"```python\n(.*?)```", memoizing, re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, Any] = {"__name__": "guide"}
    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), names)
    assert names["load"](7) == "customer 7"
    assert names["load"].cache is names["cache"]
