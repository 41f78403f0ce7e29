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


def subclasses(base: Any) -> list[Any]:
    """Classes that a program might derive: with nothing of its own, with a hook, slots, and own methods."""

    class Plain(base):  # type: ignore[misc]
        pass

    class WithMissing(base):  # type: ignore[misc]
        """Makes up no value, but has the hook."""

        def __missing__(self, key: object) -> Any:
            raise KeyError(key)

    class WithSlots(base):  # type: ignore[misc]
        __slots__ = ("extra",)

    class OwnMethods(base):  # type: ignore[misc]
        """Goes through Python on every access, as a logging or validating map does."""

        def __getitem__(self, key: Any) -> Any:
            return super().__getitem__(key)

        def __setitem__(self, key: Any, value: Any) -> None:
            super().__setitem__(key, value)

        def __delitem__(self, key: Any) -> None:
            super().__delitem__(key)

    return [Plain, WithMissing, WithSlots, OwnMethods]
