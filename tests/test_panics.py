"""A panic in the engine, which would be a fault of the engine, spoils one table and nothing else."""

from __future__ import annotations

import gc
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from ebbmap import Cache, Map
from map_helpers import run_to_done

Table = Map[Any, Any] | Cache[Any, Any]

PANIC = 1 << 63
"""Added to an allowance: the allocation after it panics."""

OPERATIONS: dict[str, Callable[[Any], object]] = {
    "len": len,
    "iter": list,
    "items": lambda m: list(m.items()),
    "get": lambda m: m[1],
    "get()": lambda m: m.get(1),
    "in": lambda m: 1 in m,
    "set": lambda m: m.__setitem__(1, 1),
    "del": lambda m: m.__delitem__(1),
    "pop": lambda m: m.pop(1),
    "popitem": lambda m: m.popitem(),
    "setdefault": lambda m: m.setdefault(1, 1),
    "update": lambda m: m.update({1: 1}),
    "get_many": lambda m: m.get_many([1, 2]),
    "set_many": lambda m: m.set_many([1, 2], [1, 2]),
    "delete_many": lambda m: m.delete_many([1, 2]),
    "copy": lambda m: m.copy(),
    "clear": lambda m: m.clear(),
    "nbytes": lambda m: m.nbytes,
    "stats": lambda m: m.stats(),
}


def tables() -> list[Callable[[], Table]]:
    return [
        lambda: Map(int, int),
        Map,
        lambda: Map(int, object),
        lambda: Cache(max_items=10_000, key=int, value=int),
        lambda: Cache(ttl=100, on_remove=lambda *_: None),
        lambda: Cache(max_items=300),
    ]


class Reaching:
    """Its end uses the table that it was in."""

    ended = 0

    def __init__(self, table: Table) -> None:
        self.table = table

    def __del__(self) -> None:
        Reaching.ended += 1
        try:
            self.table.get(1)
        except BaseException as error:
            assert "can't be used any more" in str(error)


def fill(table: Table, allowance: int, value: Callable[[], object]) -> BaseException:
    """Set and delete until an allocation panics."""
    table._set_allowance(PANIC | allowance)
    for key in range(100_000):
        try:
            table[key] = value()
            if key % 3 == 0:
                del table[key]
        except BaseException as error:
            return error
    raise AssertionError


def is_panic(error: BaseException) -> bool:
    return type(error).__name__ == "PanicException"


@pytest.mark.parametrize("make", tables())
@pytest.mark.parametrize("allowance", [0, 1, 2, 5, 17])
def test_a_table_that_panicked_says_so_and_is_left_alone(make: Callable[[], Table], allowance: int) -> None:
    table, other = make(), make()
    other[1] = 2
    error = fill(table, allowance, lambda: 7)
    assert is_panic(error), error
    for name, operation in OPERATIONS.items():
        with pytest.raises(BaseException, match="half changed: it can't be used any more") as caught:
            operation(table)
        assert is_panic(caught.value), name
    gc.collect()
    del table, error, caught
    gc.collect()
    assert other[1] == 2
    other._check()


@pytest.mark.parametrize(
    "make", [Map, lambda: Map(int, object), lambda: Cache(ttl=100), lambda: Cache(max_items=900)]
)
@pytest.mark.parametrize("allowance", range(12))
def test_objects_of_a_table_that_panicked_do_not_wait_for_it(
    make: Callable[[], Table], allowance: int
) -> None:
    table = make()
    error = fill(table, allowance, lambda: Reaching(table))
    assert is_panic(error), error
    del error
    gc.collect()


def test_the_sweeper_leaves_a_cache_that_panicked_and_goes_on() -> None:
    program = textwrap.dedent(
        """
        import time
        from ebbmap import Cache
        spoilt = [Cache(ttl=0.2, on_remove=on_remove, key=key) for on_remove in (None, lambda *_: None)
                  for key in (int, object)]
        for cache in spoilt:
            cache.update({i: i for i in range(20_000)})
            cache._set_allowance(1 << 63)  # to merge and to shrink takes memory
        after = Cache(ttl=0.3)
        after.update({i: i for i in range(5_000)})
        end = time.monotonic() + 20
        while len(after) and time.monotonic() < end:
            time.sleep(0.02)
        assert (len(after), after.stats()["expired"]) == (0, 5_000)
        for cache in spoilt:
            try:
                len(cache)
                raise SystemExit("nothing happened")
            except BaseException as error:
                assert type(error).__name__ == "PanicException", error  # the sweeper's, or this thread's own
        before = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - before < 0.1  # nobody is at it any more
        print("done")
        """
    )
    run_to_done(program)
