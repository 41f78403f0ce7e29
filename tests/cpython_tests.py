"""CPython's own tests of hash maps, for any class."""

from __future__ import annotations

import unittest
from typing import Any

import pytest

REASON = "CPython's `test` package is not installed"
mapping_tests: Any = pytest.importorskip("test.mapping_tests", reason=REASON)
# Looked up here, so that pytest does not collect the class itself.
PROTOCOL_TESTS = [name for name in dir(mapping_tests.TestHashMappingProtocol) if name.startswith("test_")]


def passes(name: str, cls: type[Any]) -> None:
    """Assert that a class passes the test of this name."""
    case = type("Case", (mapping_tests.TestHashMappingProtocol,), {"type2test": cls})(name)
    result = unittest.TestResult()
    case.run(result)
    assert result.testsRun == 1
    assert not result.errors and not result.failures and not result.skipped, result
