"""`import ebbmap` costs nothing but itself."""

from __future__ import annotations

import importlib.metadata

import ebbmap
from map_helpers import run


def test_import_needs_only_the_standard_library() -> None:
    foreign = run("""
        import sys
        before = set(sys.modules)
        import ebbmap
        ebbmap.Map(int, bytes, {1: b"a"}).set_many([2], [b"b"])
        new = {name.partition(".")[0] for name in set(sys.modules) - before}
        print(sorted(new - set(sys.stdlib_module_names)))
    """)
    assert foreign.strip() == "['ebbmap']"


def test_subinterpreters_are_turned_away_and_harm_nobody() -> None:
    said = run(
        """
        import sys, time
        try:
            import _xxsubinterpreters as interpreters
        except ImportError:
            import _interpreters as interpreters
        if sys.argv[1] == "first": from ebbmap import Cache
        other = interpreters.create()
        try:
            said = interpreters.run_string(other, "import ebbmap")
        except interpreters.RunFailedError as error:
            said = error
        assert "subinterpreter" in str(said), said
        if sys.argv[1] != "first": sys.exit()
        interpreters.destroy(other)
        c = Cache(ttl=0.05, key=int, value=bytes)
        for i in range(10_000): c[i] = b"x"
        end = time.monotonic() + 10
        while c.nbytes > 20_000 and time.monotonic() < end: time.sleep(0.01)
        print(c.nbytes <= 20_000)
    """,
        "first",
    )
    assert said.strip() == "True"


def test_import_leaves_the_command_line_out() -> None:
    modules = run("""
        import sys, ebbmap
        modules = {name: module for name, module in sys.modules.items() if name.startswith("ebbmap")}
        print(*sorted(name for name, module in modules.items() if module.__spec__))
    """)
    inner = "", ".absent", ".bulk", ".cache", ".former", ".map", ".memory", ".owners", ".recursion", ".views"
    expected = [
        "ebbmap",
        "ebbmap._convert",
        "ebbmap._convert.imports",
        "ebbmap._convert.units",
        "ebbmap._core",
    ]
    assert modules.split() == expected + [f"ebbmap._internal{name}" for name in inner]


def test_import_leaves_no_numpy_behind_until_a_dtype_is_used() -> None:
    seen = run("""
        import sys
        from ebbmap import Map
        m = Map(int, int, {1: 1}); m.get_many([1]); m.delete_many([1])
        print("numpy" in sys.modules)
        Map(int, "f4")
        print("numpy" in sys.modules)
    """)
    assert seen.split() == ["False", "True"]


def test_arrays_wait_for_numpy_to_be_imported() -> None:
    """Another thread may be importing NumPy: there are no arrays before that is done."""
    run("""
        import sys
        from importlib.machinery import ModuleSpec
        from types import ModuleType
        from ebbmap import Map
        numpy = sys.modules["numpy"] = ModuleType("numpy")
        numpy.__spec__ = ModuleSpec("numpy", None)
        numpy.__spec__._initializing = True
        m = Map(int, int, {1: 2})
        m.set_many([3], [4])
        assert m.get_many([1, 3, 5], 0) == [2, 4, 0] and m.delete_many([1]) == 1
    """)


def test_version_and_names() -> None:
    assert ebbmap.__version__ == importlib.metadata.version("ebbmap")
    assert all(hasattr(ebbmap, name) for name in ebbmap.__all__)


def test_public_classes_are_of_the_public_module() -> None:
    public = [getattr(ebbmap, name) for name in ebbmap.__all__]
    found = {cls.__name__: cls.__module__ for cls in public if isinstance(cls, type)}
    assert found == dict.fromkeys(("Cache", "ItemsView", "KeysView", "Map", "ValuesView"), "ebbmap")
