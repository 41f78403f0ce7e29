"""How the sources are built: no circles, imports one way between layers, short files and functions.

The lines of a function's body are those with code between its signature and its end. Docstring, comments and
blank lines do not count. A function without statements (an overload, a stub, `fn f();`, `fn f() {}`) has no
body. Rust that is compiled for tests only counts in the length of files, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from pathlib import Path
from statistics import median
from textwrap import dedent

import pytest

from sources import (
    Body,
    Graph,
    allows_unsafe,
    circles,
    python_bodies,
    python_imports,
    rust_bodies,
    rust_imports,
    rust_tokens,
    shown,
    text_literals,
)

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "python" / "ebbmap"
CRATES = {name: ROOT / "crates" / name / "src" for name in ("ebb", "ebb-python")}

LAYERS: dict[str, set[str]] = {
    "cli": {"lab", "gomap", "__init__"},
    "lab": {"gomap", "__init__", "_convert"},
    "gomap": {"__init__"},
    "metrics": {"__init__"},
    "__init__": {"_internal", "_core", "_convert"},
    "_internal": {"_core", "_convert"},
    "_core": {"_convert"},
    "_convert": set(),
}
"""The parts of the package, from the top down, and which others each may import."""

MOST_LINES = 500
MOST_UNSAFE = 18
MEDIAN, NINETIETH = 3, 10


def _package() -> Graph:
    """The imports of the package, with those of the native module, which names Python modules as text."""
    graph = python_imports(PACKAGE)
    named = {text for path in CRATES["ebb-python"].rglob("*.rs") for text in text_literals(path)}
    files = {file.removesuffix(".py").replace("/", "."): file for file in graph}
    graph["ebbmap/_core.pyi"] |= {files[name] for name in named & files.keys()}
    return graph


def _fail_for_circles(graph: Graph) -> None:
    found = "\n\n".join(shown(graph, circle) for circle in circles(graph))
    if found:
        pytest.fail(f"imports in a circle:\n{found}", pytrace=False)


def _part(file: str) -> str:
    return file.split("/")[1].partition(".")[0]


def _against(graph: Graph, layers: dict[str, set[str]]) -> list[str]:
    """The imports that no layer allows."""
    pairs = ((one, other) for one in sorted(graph) for other in sorted(graph[one]))
    return [
        f"{one} imports {other}"
        for one, other in pairs
        if _part(one) != _part(other) and _part(other) not in layers[_part(one)]
    ]


def _too_long(files: Iterable[Path]) -> list[str]:
    counts = {file: len(file.read_text("utf-8").splitlines()) for file in files}
    return [f"{file.name}: {count} lines" for file, count in sorted(counts.items()) if count > MOST_LINES]


def _figures(bodies: list[Body]) -> tuple[float, int]:
    """The median and the 90th percentile (nearest rank) of the lines of bodies."""
    lines = sorted(body.lines for body in bodies)
    return median(lines), lines[ceil(0.9 * len(lines)) - 1]


def _fail_for_long_bodies(bodies: list[Body]) -> None:
    middle, ninetieth = _figures(bodies)
    if middle > MEDIAN or ninetieth > NINETIETH:
        longest = sorted(bodies, key=lambda body: -body.lines)[: len(bodies) // 10]
        listed = "\n".join(f"  {body.file}:{body.line} {body.name}: {body.lines}" for body in longest)
        figures = f"median {middle}, 90th percentile {ninetieth} of {len(bodies)} bodies"
        pytest.fail(f"{figures}; the longest tenth:\n{listed}", pytrace=False)


# --- the sources -----------------------------------------------------------------------------------------


def test_the_package_has_no_circle_of_imports() -> None:
    _fail_for_circles(_package())


@pytest.mark.parametrize("crate", CRATES)
def test_a_crate_has_no_circle_of_imports(crate: str) -> None:
    _fail_for_circles(rust_imports(CRATES[crate]))


@pytest.mark.parametrize("crate", CRATES)
def test_every_file_of_a_crate_is_read(crate: str) -> None:
    src = CRATES[crate]
    files = {
        path.relative_to(src) for path in src.rglob("*.rs") if "tests" not in (path.stem, path.parent.name)
    }
    assert files == set(map(Path, rust_imports(src)))


def test_the_package_imports_one_way() -> None:
    graph = _package()
    assert {_part(file) for file in graph} == LAYERS.keys()
    assert _against(graph, LAYERS) == []


def test_the_engine_knows_no_python() -> None:
    names = {token.text for path in CRATES["ebb"].rglob("*.rs") for token in rust_tokens(path)}
    assert not names & {"pyo3", "ebb_python"}


def test_files_of_the_package_are_short() -> None:
    assert _too_long(file for file in PACKAGE.rglob("*.py*") if file.suffix in (".py", ".pyi")) == []


@pytest.mark.parametrize("crate", CRATES)
def test_files_of_a_crate_are_short(crate: str) -> None:
    assert _too_long(CRATES[crate].rglob("*.rs")) == []


def test_few_files_have_unsafe_code() -> None:
    found = [
        path.name for src in CRATES.values() for path in sorted(src.rglob("*.rs")) if allows_unsafe(path)
    ]
    assert len(found) <= MOST_UNSAFE, found


def test_functions_of_the_package_are_short() -> None:
    _fail_for_long_bodies(python_bodies(PACKAGE))


@pytest.mark.parametrize("crate", CRATES)
def test_functions_of_a_crate_are_short(crate: str) -> None:
    _fail_for_long_bodies(rust_bodies(CRATES[crate]))


# --- the checks themselves -------------------------------------------------------------------------------


def _written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return folder


@pytest.mark.parametrize(
    "back",
    [
        "import pack.a",
        "from pack.a import A",
        "from pack import a",
        "from . import a",
        "from .a import A",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pack.a import A",
        "def f():\n    from pack.a import A",
        "from importlib import import_module\nimport_module('pack.a')",
        "from elsewhere import load\nload('pack.a')",
    ],
)
def test_a_circle_in_python_is_found(tmp_path: Path, back: str) -> None:
    files = {"__init__.py": "", "a.py": "from pack import b", "b.py": back, "c.py": "import pack.a"}
    graph = python_imports(_written(tmp_path / "pack", files))
    assert circles(graph) == [["pack/a.py", "pack/b.py"]]
    assert shown(graph, circles(graph)[0]) == "  pack/a.py -> pack/b.py\n  pack/b.py -> pack/a.py"
    with pytest.raises(pytest.fail.Exception, match="in a circle:\n  pack/a"):
        _fail_for_circles(graph)


@pytest.mark.parametrize("name", ["f'pack.{name}'", "f'{__name__}.{name}'"])
def test_an_import_by_a_name_that_is_made_is_one_of_all_that_fit(tmp_path: Path, name: str) -> None:
    lazy = f"from importlib import import_module\ndef f(name): return import_module({name})"
    files = {
        "__init__.py": lazy,
        "a.py": "",
        "b.py": "import pack",
        "inner/__init__.py": "",
        "inner/c.py": "",
    }
    graph = python_imports(_written(tmp_path / "pack", files))
    assert graph["pack/__init__.py"] == {"pack/a.py", "pack/b.py", "pack/inner/__init__.py"}
    assert circles(graph) == [["pack/__init__.py", "pack/b.py"]]


@pytest.mark.parametrize("back", ["from pack import A", "import pack", "from . import A"])
def test_a_package_that_a_module_imports_back_is_a_circle(tmp_path: Path, back: str) -> None:
    files = {"__init__.py": "from pack.a import A", "a.py": back, "b.py": "import pack"}
    assert circles(python_imports(_written(tmp_path / "pack", files))) == [["pack/__init__.py", "pack/a.py"]]


def test_imports_down_are_no_circle(tmp_path: Path) -> None:
    files = {
        "__init__.py": "from pack import _core\nfrom pack.inner.a import A",
        "inner/__init__.py": "",
        "inner/a.py": "from pack import _core\nfrom .b import B\nfrom ..low import C\n__import__(B.name)",
        "inner/b.py": "from pack._core import C",
        "low.py": "import packed.inner.a",
        "_core.pyi": "from typing import Any",
    }
    graph = python_imports(_written(tmp_path / "pack", files))
    assert circles(graph) == []
    assert graph["pack/inner/a.py"] == {"pack/_core.pyi", "pack/inner/b.py", "pack/low.py"}
    assert graph["pack/__init__.py"] == {"pack/_core.pyi", "pack/inner/a.py"}
    assert graph["pack/low.py"] == set()


def test_an_import_upwards_is_found(tmp_path: Path) -> None:
    files = {
        "__init__.py": "from ebbmap._internal.map import Map",
        "_core.pyi": "",
        "_internal/__init__.py": "",
        "_internal/map.py": "from ebbmap import _core",
        "gomap/__init__.py": "def f():\n    from ebbmap._internal import map",
        "lab/__init__.py": "from ebbmap import Map, _core",
        "cli/__init__.py": "import ebbmap.lab",
        "metrics.py": "from ebbmap.cli import main",
    }
    graph = python_imports(_written(tmp_path / "ebbmap", files))
    assert _against(graph, LAYERS) == [
        "ebbmap/gomap/__init__.py imports ebbmap/_internal/map.py",
        "ebbmap/lab/__init__.py imports ebbmap/_core.pyi",
        "ebbmap/metrics.py imports ebbmap/cli/__init__.py",
    ]


@pytest.mark.parametrize(
    "back",
    [
        "use crate::a;",
        "use crate::a::A;",
        "pub(crate) use super::a::{A, inner::B};",
        "use crate::{std::X, a::{self, A}};",
        "use std::io;\nfn f() { crate::a::f(1) }",
        "fn f() { let x = super::a::A::new(); }",
        "fn f() { for x in crate::a::all() {} }",
        "mod inner { use super::super::a; }",
        "fn f<'a>(x: &'a str) -> char { g('{'); crate::a::A }",
        '/* { */ fn f() -> &\'static str { "{ use"; r#"a "{" "# ; crate::a::A }',
    ],
)
def test_a_circle_in_rust_is_found(tmp_path: Path, back: str) -> None:
    files = {
        "lib.rs": "mod a;\nmod b;\nmod c;",
        "a.rs": "use crate::b::{self, B};\nmod inner { pub struct B; }",
        "b.rs": back,
        "c.rs": "use crate::a::A;",
    }
    assert circles(rust_imports(_written(tmp_path, files))) == [["a.rs", "b.rs"]]


@pytest.mark.parametrize("parent", ["a.rs", "a/mod.rs"])
def test_a_parent_that_its_child_imports_back_is_a_circle(tmp_path: Path, parent: str) -> None:
    files = {"lib.rs": "mod a;", "a/child.rs": "use super::Y;"}
    for i, text in enumerate(("mod child;\npub(crate) use child::X;", "mod child;\nfn f() { child::g() }")):
        graph = rust_imports(_written(tmp_path / str(i), {**files, parent: text}))
        assert circles(graph) == [sorted([parent, "a/child.rs"])]
    graph = rust_imports(_written(tmp_path / "none", {**files, parent: "mod child; pub(crate) struct Y;"}))
    assert circles(graph) == []


def test_what_is_no_import_in_rust(tmp_path: Path) -> None:
    files = {
        "lib.rs": "mod a; mod b;",
        "a.rs": "use crate::b::B;",
        "b.rs": """
            //! Not `crate::a`.
            // use crate::a;
            use other::crate_::a as crate_a;
            pub(in crate::a) struct S;
            fn f() { "use crate::a;"; a::g(); }
            #[cfg(test)]
            use crate::a::A;
            #[cfg(all(test, unix))]
            mod more { use crate::a; }
            struct T { #[cfg(test)] x: crate::a::A, y: u8 }
            #[cfg(test)]
            #[allow(dead_code)]
            mod tests { use crate::a::A; fn g() { let x = { 1 }; } }
        """,
    }
    graph = rust_imports(_written(tmp_path, files))
    assert graph == {"lib.rs": set(), "a.rs": {"b.rs"}, "b.rs": set()}


def test_a_long_file_is_found(tmp_path: Path) -> None:
    _written(tmp_path, {"long.py": "x = 1\n" * (MOST_LINES + 1), "short.py": "x = 1\n" * MOST_LINES})
    assert _too_long(tmp_path.iterdir()) == ["long.py: 501 lines"]


def test_unsafe_code_is_found(tmp_path: Path) -> None:
    files = {
        "all.rs": "#![allow(unsafe_code)] // a reason",
        "one.rs": "fn f() {}\n#[allow(dead_code, unsafe_code)]\nfn g() {}",
        "none.rs": "// #![allow(unsafe_code)]\n#![deny(unsafe_code)]\n#[allow(dead_code)]\nfn f() {}",
    }
    _written(tmp_path, files)
    assert {name: allows_unsafe(tmp_path / name) for name in files} == {
        "all.rs": True,
        "one.rs": True,
        "none.rs": False,
    }


def test_lines_of_bodies_in_python(tmp_path: Path) -> None:
    text = '''
        def one(a,
                b): return a

        async def three():
            """Says
            something."""
            # a comment

            x = [
                1,
            ]

        class C:
            @overload
            def stub(self): ...
            def documented(self):
                """Says what."""
            def nested(self):
                @cache
                def inner():
                    return 1
                return inner
    '''
    found = python_bodies(_written(tmp_path / "pack", {"a.py": text}))
    assert {body.name: body.lines for body in found} == {"one": 1, "three": 3, "nested": 4, "inner": 1}


def test_lines_of_bodies_in_rust(tmp_path: Path) -> None:
    text = """
        fn one(a: [u8; 2]) -> u8 { a[0] }
        fn none() {}
        trait T { fn declared(&self); }
        const fn four<T>(f: fn(u8) -> u8) -> u8
        where
            T: Fn(u8) -> u8,
        {
            // a comment {
            let x = match f(1) {

                b'{' => 2, // {
                _ => 1 };
            x
        }
        #[cfg(test)]
        mod tests { fn left_out() { 1 } }
    """
    found = rust_bodies(_written(tmp_path, {"lib.rs": text}))
    assert {body.name: body.lines for body in found} == {"one": 1, "four": 4}


def test_long_bodies_are_found() -> None:
    short = [Body("a.py", line, "f", 3) for line in range(90)]
    long = [Body("a.py", 100 + line, "g", 11) for line in range(10)]
    _fail_for_long_bodies(short + long)
    with pytest.raises(pytest.fail.Exception, match="90th percentile 11"):
        _fail_for_long_bodies([*short[1:], *long])
    with pytest.raises(pytest.fail.Exception, match="median 4"):
        _fail_for_long_bodies([Body("a.py", 1, "f", 4)])
