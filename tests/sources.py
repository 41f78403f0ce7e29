"""Reads the sources of the package and the crates: who imports whom, and how long function bodies are.

Python is read with `ast`. Rust is read as tokens, which is enough for `use`, for paths and for braces.
Files are named by their path below the folder that is read, with `/`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

Graph = dict[str, set[str]]
"""The files that each file imports."""


class Body(NamedTuple):
    """A function with a body: where it is, and how many lines of code the body has."""

    file: str
    line: int
    name: str
    lines: int


def circles(graph: Graph) -> list[list[str]]:
    """The groups of files that import each other: each file of a group reaches all of it."""
    reached = {file: _reached(graph, file) for file in graph}
    groups = {tuple(sorted(b for b in reached[a] if a in reached.get(b, ()))) for a in graph}
    return [list(group) for group in sorted(groups) if group]


def shown(graph: Graph, circle: list[str]) -> str:
    """A circle by its files, each with those of the circle that it imports."""
    return "\n".join(f"  {file} -> {', '.join(sorted(graph[file] & set(circle)))}" for file in circle)


def _reached(graph: Graph, start: str) -> set[str]:
    """All that `start` imports, directly or not: itself only if it is in a circle."""
    found: set[str] = set()
    left = [start]
    while left:
        new = graph.get(left.pop(), set()) - found
        found |= new
        left += new
    return found


# --- Python ----------------------------------------------------------------------------------------------


def python_imports(package: Path) -> Graph:
    """The imports within a package, also in functions, under `TYPE_CHECKING`, by `import_module` and `load`.

    A native module is its `.pyi`. `from package import module` imports that module. That Python imports the
    packages above it first is no import of the file: else no `__init__` could import anything.
    """
    modules = _modules(package)
    return {file: _imports(package.parent / file, name, modules) - {file} for name, file in modules.items()}


def _modules(package: Path) -> dict[str, str]:
    """The files of all modules, by their dotted names."""
    root = package.parent
    files = sorted(
        file.relative_to(root) for file in package.rglob("*.py*") if file.suffix in (".py", ".pyi")
    )
    return {".".join(file.with_suffix("").parts).removesuffix(".__init__"): file.as_posix() for file in files}


def _imports(path: Path, name: str, modules: dict[str, str]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        for imported in _imported(node, name, path.stem == "__init__", modules):
            found |= {modules[imported]} if imported in modules else set()
    return found


def _imported(node: ast.AST, name: str, is_package: bool, modules: dict[str, str]) -> Iterable[str]:
    """The dotted names that a statement or a call in the module `name` imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = _base(node, name, is_package)
        inner = [f"{base}.{alias.name}" for alias in node.names]
        return [each if each in modules else base for each in inner]
    if isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__", "load") and node.args:
        return filter(_pattern(node.args[0], name).fullmatch, modules)
    return ()


def _base(node: ast.ImportFrom, name: str, is_package: bool) -> str:
    """What `from ... import` names, absolutely."""
    if not node.level:
        return node.module or ""
    parts = name.split(".")
    parents = parts[: len(parts) - node.level + is_package]
    return ".".join([*parents, *filter(None, [node.module])])


def _called(node: ast.Call) -> str:
    return ast.unparse(node.func).rpartition(".")[2]


def _pattern(given: ast.expr, name: str) -> re.Pattern[str]:
    """What the argument of such a call may be, where it is text or has text in it; else nothing."""
    parts = given.values if isinstance(given, ast.JoinedStr) else [given]
    known = [_text(part, name) for part in parts]
    if not any(known):
        return re.compile(r"(?!)")
    return re.compile("".join("[^.]+" if text is None else re.escape(text) for text in known))


def _text(part: ast.expr, name: str) -> str | None:
    if isinstance(part, ast.FormattedValue) and ast.unparse(part.value) == "__name__":
        return name
    return part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else None


def python_bodies(package: Path) -> list[Body]:
    """The functions and methods of a package that have statements; overloads and stubs have none."""
    root = package.parent
    return [
        body
        for path in sorted(package.rglob("*.py"))
        for body in _bodies_of(path, path.relative_to(root).as_posix())
    ]


def _bodies_of(path: Path, file: str) -> Iterator[Body]:
    text = path.read_text("utf-8")
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (body := _statements(node)):
            yield Body(file, node.lineno, node.name, _code_lines(lines, body))


def _statements(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    """The statements of a body: no docstring, and none of a body that is only `...`."""
    body = node.body[ast.get_docstring(node, clean=False) is not None :]
    return [] if all(ast.unparse(each) == "..." for each in body) else body


def _code_lines(lines: list[str], body: list[ast.stmt]) -> int:
    """The lines of statements, without comments and blank lines."""
    first = min([body[0].lineno, *(each.lineno for each in getattr(body[0], "decorator_list", ()))])
    stripped = (line.strip() for line in lines[first - 1 : body[-1].end_lineno])
    return sum(bool(line) and not line.startswith("#") for line in stripped)


# --- Rust ------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""
        (?P<blank>\s+|//[^\n]*|/\*.*?\*/)
      | (?P<text>
            [bc]?r(?P<hashes>\#*)".*?"(?P=hashes) | [bc]?"(?:\\.|[^"\\])*"
          | b?'(?:\\(?:u\{[0-9a-fA-F_]+\}|[^u][0-9a-fA-F]{0,2})|[^\\'\n])'
        )
      | (?P<name>(?:r\#)?[^\W\d]\w*)
      | (?P<sign>::|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENING, _CLOSING = "([{", ")]}"
_ITEMS = {"pub", "mod", "use", "fn", "struct", "enum", "union", "impl", "static", "const", "type", "trait"}
_ITEMS |= {"unsafe", "extern", "async", "macro_rules"}


class Token(NamedTuple):
    """A word, a sign or a literal: its text, its kind, and its first and last line."""

    text: str
    kind: str
    line: int
    last: int


class Written(NamedTuple):
    """A path as it is written, such as `crate::a::b`, and the module that it is in."""

    parts: tuple[str, ...]
    module: tuple[str, ...]


@cache
def rust_tokens(path: Path) -> list[Token]:
    """The tokens of a file, without comments and without what is compiled for tests only."""
    return _without_tests(list(_tokens(path.read_text("utf-8"))))


def _tokens(text: str) -> Iterator[Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        last = line + match[0].count("\n")
        if match.lastgroup != "blank":
            kind = "text" if match["text"] is not None else "name" if match["name"] is not None else "sign"
            yield Token(match[0], kind, line, last)
        line = last


def _without_tests(tokens: list[Token]) -> list[Token]:
    kept: list[Token] = []
    at = 0
    while at < len(tokens):
        end = _end_of_attribute(tokens, at)
        if _is_for_tests(tokens[at:end]):
            at = _end_of_item(tokens, end)
        else:
            kept += tokens[at : max(end, at + 1)]
            at = max(end, at + 1)
    return kept


def _end_of_attribute(tokens: list[Token], at: int) -> int:
    """Behind the attribute `#[...]` that begins here; `at` if none does."""
    if [token.text for token in tokens[at : at + 2]] != ["#", "["]:
        return at
    return _behind(tokens, at + 1)


def _is_for_tests(attribute: list[Token]) -> bool:
    words = [token.text for token in attribute if token.kind == "name"]
    return words[:2] == ["cfg", "test"] or words[:3] == ["cfg", "all", "test"]


def _behind(tokens: list[Token], at: int) -> int:
    """Behind the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(tokens)):
        depth += (tokens[i].text in _OPENING) - (tokens[i].text in _CLOSING)
        if depth == 0:
            return i + 1
    return len(tokens)


def _end_of_item(tokens: list[Token], at: int) -> int:
    """Behind the item, field or statement that begins here, with its other attributes."""
    while (end := _end_of_attribute(tokens, at)) > at:
        at = end
    is_item = tokens[at].text in _ITEMS
    while at < len(tokens) and tokens[at].text not in _CLOSING:
        if tokens[at].text == ";" or (tokens[at].text == "," and not is_item):
            return at + 1
        is_block = tokens[at].text == "{"
        at = _behind(tokens, at) if tokens[at].text in _OPENING else at + 1
        if is_block and is_item and (at == len(tokens) or tokens[at].text != ";"):
            return at
    return at


class _Crate:
    """The modules of a crate, by their paths, and the file of each."""

    def __init__(self, src: Path) -> None:
        self.src = src
        self.modules: dict[tuple[str, ...], Path] = {}
        self.files: list[Path] = []
        self._add((), src / "lib.rs", src)

    def _add(self, module: tuple[str, ...], file: Path, folder: Path) -> None:
        """Enter the module of a file, and those below it, whose files are in `folder`."""
        self.modules[module] = file
        self.files.append(file)
        for token, inner, is_inline in _declared(rust_tokens(file), module):
            below = folder.joinpath(*inner[len(module) : -1])
            if is_inline:
                self.modules[inner] = file
            else:
                self._add(inner, _file_of(below, token), below / token)

    def file_of(self, path: Written) -> Path | None:
        """The file of the innermost module that a path names; None for what is of another crate."""
        base, rest = self._start(path)
        if base is None:
            return None
        while rest and (*base, rest[0]) in self.modules:
            base, rest = (*base, rest[0]), rest[1:]
        return self.modules[base]

    def _start(self, path: Written) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
        """The module that a path begins in, and the rest of the path."""
        (first, *others), module = path.parts, path.module
        if first == "crate":
            return (), tuple(others)
        if first == "super":
            ups = next((i for i, part in enumerate(path.parts) if part != "super"), len(path.parts))
            return module[: len(module) - ups], path.parts[ups:]
        if first == "self":
            return (
                self._start(Written(tuple(others), module))
                if others[:1] == ["super"]
                else (module, tuple(others))
            )
        return (module, path.parts) if (*module, first) in self.modules else (None, ())


def _file_of(folder: Path, name: str) -> Path:
    flat = folder / f"{name}.rs"
    return flat if flat.exists() else folder / name / "mod.rs"


def _in_modules(tokens: list[Token], module: tuple[str, ...] = ()) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Each token's place, and the module that it is in: the file's, or one inside it."""
    inside: list[tuple[int, tuple[str, ...]]] = [(len(tokens), module)]
    for i in range(len(tokens)):
        while i >= inside[-1][0] and len(inside) > 1:
            inside.pop()
        yield i, inside[-1][1]
        if _declares(tokens, i) and tokens[i + 2].text == "{":
            inside.append((_behind(tokens, i + 2), (*inside[-1][1], tokens[i + 1].text)))


def _declared(tokens: list[Token], module: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """The modules that a file declares: name, path, and whether the body stands right there."""
    for i, inside in _in_modules(tokens, module):
        if _declares(tokens, i):
            name = tokens[i + 1].text
            yield name, (*inside, name), tokens[i + 2].text == "{"


def _declares(tokens: list[Token], at: int) -> bool:
    """Whether a module is declared here."""
    return at + 2 < len(tokens) and tokens[at].text == "mod" and tokens[at + 2].text in (";", "{")


def rust_imports(src: Path) -> Graph:
    """The imports within a crate, by `use` and by paths; `mod child;` is none, `use child::X` is one."""
    crate = _Crate(src)
    graph: Graph = {file.relative_to(src).as_posix(): set() for file in crate.files}
    modules = {file: module for module, file in reversed(crate.modules.items())}
    for file in crate.files:
        found = {crate.file_of(path) for path in _paths(rust_tokens(file), modules[file])}
        graph[file.relative_to(src).as_posix()] = {
            each.relative_to(src).as_posix() for each in found - {None, file} if each is not None
        }
    return graph


def _paths(tokens: list[Token], module: tuple[str, ...]) -> Iterator[Written]:
    end = 0
    for i, inside in _in_modules(tokens, module):
        if i < end:
            continue
        if tokens[i].text == "use" and tokens[i + 1].text != "<":  # `use<'a>` names no path
            end, parts = _use_tree(tokens, i + 1)
            yield from (Written(each, inside) for each in parts)
        elif _begins_a_path(tokens, i):
            end, one = _inline(tokens, i)
            yield Written(one, inside)


def _use_tree(tokens: list[Token], at: int) -> tuple[int, list[tuple[str, ...]]]:
    """The paths of a tree of imports, such as `a::{b, c::d}`, and where it ends."""
    prefix: tuple[str, ...] = ()
    while tokens[at].text not in (",", "}", ";"):
        if tokens[at].text == "as":
            at += 1  # the new name is none of the path
        elif tokens[at].text == "{":
            at, inner = _use_group(tokens, at + 1)
            return at, [(*prefix, *each) for each in inner]
        elif tokens[at].kind == "name" and not (tokens[at].text == "self" and prefix):
            prefix = (*prefix, tokens[at].text)
        at += 1
    return at, [prefix]


def _use_group(tokens: list[Token], at: int) -> tuple[int, list[tuple[str, ...]]]:
    found: list[tuple[str, ...]] = []
    while tokens[at].text != "}":
        at, inner = _use_tree(tokens, at)
        found += inner
        at += tokens[at].text == ","
    return at + 1, found


def _begins_a_path(tokens: list[Token], at: int) -> bool:
    """Whether a path such as `crate::a` begins here; that of `pub(in crate::a)` is only a scope."""
    before = [token.text for token in tokens[max(at - 2, 0) : at]]
    is_rest = before[-1:] == ["::"] or before == ["(", "in"]
    return tokens[at].kind == "name" and not is_rest and _goes_on(tokens, at + 1)


def _goes_on(tokens: list[Token], at: int) -> bool:
    return at + 1 < len(tokens) and tokens[at].text == "::" and tokens[at + 1].kind == "name"


def _inline(tokens: list[Token], at: int) -> tuple[int, tuple[str, ...]]:
    parts = [tokens[at].text]
    while _goes_on(tokens, at + 1):
        at += 2
        parts.append(tokens[at].text)
    return at + 1, tuple(parts)


def rust_bodies(src: Path) -> list[Body]:
    """The functions of a crate that have statements, without those that are compiled for tests only."""
    return [
        body
        for path in sorted(src.rglob("*.rs"))
        if "tests" not in (path.stem, path.parent.name)  # `#[cfg(test)] mod tests;`
        for body in _rust_bodies(path, path.relative_to(src).as_posix())
    ]


def _rust_bodies(path: Path, file: str) -> Iterator[Body]:
    tokens = rust_tokens(path)
    for i in range(len(tokens) - 1):
        if tokens[i].text == "fn" and tokens[i + 1].kind == "name":
            start = _end_of_signature(tokens, i)
            body = tokens[start + 1 : _behind(tokens, start) - 1] if tokens[start].text == "{" else []
            if body:
                yield Body(file, tokens[i].line, tokens[i + 1].text, len(_lines(body)))


def _end_of_signature(tokens: list[Token], at: int) -> int:
    """Where the body opens, or the semicolon of a function without one."""
    while tokens[at].text not in ("{", ";"):
        at = _behind(tokens, at) if tokens[at].text in _OPENING else at + 1
    return at


def _lines(tokens: list[Token]) -> set[int]:
    return {line for token in tokens for line in range(token.line, token.last + 1)}


def allows_unsafe(path: Path) -> bool:
    """Whether a file allows unsafe code, anywhere in it."""
    tokens = [token.text for token in rust_tokens(path)]
    starts = (
        i for i, text in enumerate(tokens) if text in ("allow", "expect") and tokens[i + 1 : i + 2] == ["("]
    )
    return any("unsafe_code" in tokens[i : tokens.index(")", i)] for i in starts)


def text_literals(path: Path) -> Iterator[str]:
    """The plain text literals of a Rust file, without quotes."""
    for token in rust_tokens(path):
        if token.kind == "text" and token.text.endswith('"'):
            yield token.text.partition('"')[2][:-1]
