"""Memoized methods as other libraries and other decorators meet them."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pydantic
import pytest

from ebbmap import Cache
from test_memoize_sent import run

CACHE = Cache()


class Shop:
    @CACHE.memoize
    def load(self, n: int) -> int:
        return n

    @staticmethod
    @CACHE.memoize
    def price(n: int) -> int:
        return n

    @CACHE.memoize
    @staticmethod
    def tax(n: int) -> int:
        return n

    @CACHE.memoize
    @classmethod
    def of(cls, n: int) -> int:
        return n


AnyShop: Any = Shop


@pytest.mark.parametrize("name", ["load", "price", "tax"])
def test_a_method_of_a_class_is_pickled_and_copied_by_its_name(name: str) -> None:
    method = getattr(Shop, name)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(method, protocol)) is method
    assert (
        copy.copy(method) is copy.deepcopy(method) is cloudpickle.loads(cloudpickle.dumps(method)) is method
    )


def test_a_class_method_is_bound_to_the_class_of_an_instance_alone() -> None:
    assert vars(Shop)["of"].__get__(Shop()) == AnyShop.of


def test_a_class_method_is_pickled_and_copied_with_its_class() -> None:
    assert pickle.loads(pickle.dumps(AnyShop.of)) == copy.copy(AnyShop.of) == AnyShop.of
    assert copy.deepcopy(AnyShop.of).cache is CACHE


def test_a_copied_method_still_uses_the_cache() -> None:
    assert AnyShop.price(3) == 3
    assert copy.deepcopy({"price": AnyShop.price})["price"].invalidate(3) is True
    assert AnyShop.price.invalidate(3) is False


def test_a_method_of_main_is_pickled(tmp_path: Path) -> None:
    program = """
        import copy, pickle
        from ebbmap import Cache

        class Shop:
            @staticmethod
            @Cache().memoize
            def price(n): return n
            @Cache().memoize
            def load(self, n): return n
            load.mark = "kept"
            load.__doc__ = "Told."

        for method in Shop.price, Shop.load:
            sent = pickle.loads(pickle.dumps(method))
            print(sent.cache is method.cache, sent.__qualname__, sent.__doc__)
        print(pickle.loads(pickle.dumps(Shop.load)).mark, Shop.price(3), sent(Shop(), 4))
    """
    assert run(program).splitlines() == [
        "True Shop.price None",
        "True Shop.load Told.",
        "kept 3 4",
    ]


def test_a_class_in_a_function_is_sent_by_value_with_its_methods() -> None:
    class Local:
        @Cache().memoize
        def load(self, n: int) -> int:
            return n

    sent = cloudpickle.dumps((Local, Local.load))
    program = f"""
        import pickle
        Local, load = pickle.loads({sent!r})
        print(Local().load(1), load(Local(), 2), load.__qualname__.rpartition(".")[2])
    """
    assert run(program) == "1 2 load"


def test_attributes_of_a_method_are_seen_through_an_instance() -> None:
    def also(method: Any) -> Any:
        method.__dict__["also"] = 1
        return method

    class Admin:
        def load(self) -> None: ...

        load.short_description = "x"  # type: ignore[attr-defined]
        load = also(CACHE.memoize(load))
        load.order = 2  # type: ignore[attr-defined]
        load.__doc__ = "Later."

    admin: Any = Admin()
    admin.__class__.load.later = 3
    assert (admin.load.short_description, admin.load.also, admin.load.order, admin.load.later) == (
        "x",
        1,
        2,
        3,
    )
    assert admin.load.__doc__ == "Later."
    del admin.__class__.load.later
    assert not hasattr(admin.load, "later")


def bare(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


@pytest.mark.parametrize("options", [{}, {"ttl": 60}])
def test_a_method_is_one_whatever_its_name(options: dict[str, Any]) -> None:
    memoize: Any = Cache().memoize(**options) if options else Cache().memoize

    class Shop:
        @memoize  # type: ignore[untyped-decorator]  # a decorator with options or without
        @bare
        def load(self) -> int:
            return 1

        two = memoize(key=lambda self: 2)(lambda self: 2) if not options else memoize(lambda self: 2)

    shop: Any = Shop()
    assert (shop.load(), shop.two()) == (1, 2)
    assert shop.load.invalidate() is True
    assert shop.load.invalidate() is False
    assert shop.load.refresh() == 1
    assert shop.two.invalidate() is True


def test_invalidate_refuses_what_no_call_takes() -> None:
    @Cache().memoize
    def load(self: object, n: int) -> int:
        return n

    with pytest.raises(TypeError, match="missing a required argument"):
        load.invalidate(1)  # type: ignore[call-arg]  # what is tested


@pytest.mark.parametrize(
    "options", [{}, {"ttl": 60}, {"ttl": 60, "stale": 5}, {"key": lambda self, n: (self, n)}]
)
def test_a_function_that_comes_into_a_class_later_is_a_method(options: dict[str, Any]) -> None:
    calls = []

    @Cache().memoize(**options)
    def load(self: object, n: int) -> int:
        calls.append(n)
        return n

    cls: Any = type("Loader", (), {})
    cls.load = load
    later = cls()
    assert later.load(1) == later.load(1) == cls.load(later, 1) == 1
    assert later.load.invalidate(1) is True
    assert later.load.refresh(1) == 1
    assert cls.load.invalidate(later, 1) is True
    assert later.load.invalidate(1) is cls.load.invalidate(later, 1) is False
    assert later.load.cache is load.cache and calls == [1, 1]
    cls.as_class = classmethod(load)
    assert cls.as_class(2) == 2
    # From Python 3.13 on, `classmethod` binds a plain method, whose attributes are the function's own.
    args = (cls, 2) if sys.version_info >= (3, 13) else (2,)
    assert cls.as_class.invalidate(*args) is True and cls.as_class.invalidate(*args) is False
    cls.alone = staticmethod(load)
    assert cls.alone(later, 3) == 3 and later.load.invalidate(3) is True


def test_a_pydantic_model_has_memoized_methods() -> None:
    class Model(pydantic.BaseModel, frozen=True):
        n: int

        @CACHE.memoize
        def load(self) -> int:
            return self.n

        @CACHE.memoize(ttl=60)
        @classmethod
        def of(cls, n: int) -> int:
            return n

    model: Any = Model
    assert set(Model.model_fields) == {"n"}
    assert (model(n=1).load(), model(n=2).load(), model.of(3)) == (1, 2, 3)
    assert model(n=1).load.invalidate() is True
