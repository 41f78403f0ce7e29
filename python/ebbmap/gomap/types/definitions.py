"""Named types: those of Go, of its standard library, and a user's own; and texts that refer to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from ebbmap.gomap.library import GENERIC, LIBRARY
from ebbmap.gomap.tokens import Stream
from ebbmap.gomap.types.kinds import GoType, MapType
from ebbmap.gomap.types.named import NAMED
from ebbmap.gomap.types.parser import KEYWORDS, STAND_IN, Generic, Parser

_RESERVED = KEYWORDS | {name for name in NAMED if "." not in name}


class Types:
    """Named types that Go itself doesn't have: `Types("ID=[16]byte", "Pair[K, V any]=struct{A K; B V}")`.

    A definition may refer to those before it, and, behind a pointer, slice, map, channel or function, to
    itself.

    Raises:
        ValueError: for what is no definition, and for a name that is defined twice or is one of Go's own.
        GoTypeError: for a mistake in the type.
    """

    def __init__(self, *definitions: str) -> None:
        self._known: dict[str, GoType | Generic] = {}
        self._used: set[str] = set()
        for text in definitions:
            self.define(text)

    def define(self, text: str) -> None:
        """Add `Name=TYPE` or `Name[T any]=TYPE`."""
        head, _, body = text.partition("=")
        if not head.strip() or not body.strip():
            raise ValueError(f"not a definition: {text!r}; taken is Name=TYPE, such as 'ID=[16]byte'")
        name, parameters = _head(head)
        if name in self._known:
            raise ValueError(f"{name!r} is defined twice")
        known = Parser(body.strip(), self.find, dict.fromkeys(parameters, STAND_IN), (name,)).whole()
        self._known[name] = Generic(parameters, body.strip()) if parameters else replace(known, text=name)

    def find(self, name: str) -> GoType | Generic | None:
        """What a name is defined as: here, in Go, or in its standard library; else None."""
        if name in self._known:
            self._used.add(name)
            return self._known[name]
        return _standard(name)

    @property
    def unused(self) -> tuple[str, ...]:
        """The names defined here that nothing has referred to."""
        return tuple(name for name in self._known if name not in self._used)


def _head(text: str) -> tuple[str, tuple[str, ...]]:
    """The name and the type parameters of a definition."""
    stream = Stream(text)
    token = stream.advance()
    if token.kind != "name":
        raise stream.fail("expected a type's name", token)
    if token.text in _RESERVED:
        raise stream.fail(f"{token.text!r} is Go's own and can't be defined", token)
    parameters = tuple(_parameters(stream))
    stream.end()
    return token.text, parameters


def _parameters(stream: Stream) -> Iterator[str]:
    if stream.accept("["):
        yield _parameter(stream)
        while not stream.accept("]"):
            yield _parameter(stream)


def _parameter(stream: Stream) -> str:
    """The name of one type parameter."""
    token = stream.advance()
    if token.kind != "name" or token.text in _RESERVED or "." in token.text:
        raise stream.fail(f"expected a type parameter's name such as T, found {token.text!r}", token)
    _skip_constraint(stream)
    stream.accept(",")
    return token.text


def _skip_constraint(stream: Stream) -> None:
    """Take what a type parameter is constrained to, which doesn't matter."""
    brackets = {"{": "}", "[": "]", "(": ")"}
    while stream.token.text not in (",", "]"):
        if stream.token.kind == "end":
            raise stream.fail("expected ']', found the end")
        if (closing := brackets.get(stream.token.text)) is not None:
            stream.skip_balanced(stream.token.text, closing)
        else:
            stream.advance()


def _standard(name: str) -> GoType | Generic | None:
    """What Go and its standard library define a name as; else None."""
    return NAMED.get(name) or _library(name)


@cache
def _library(name: str) -> GoType | Generic | None:
    if name in GENERIC:
        return Generic(*GENERIC[name])
    return replace(Parser(LIBRARY[name], _standard).whole(), text=name) if name in LIBRARY else None


def _parser(text: str, types: Types | None) -> Parser:
    return Parser(text, types.find if types else _standard)


def parse(text: str, types: Types | None = None) -> GoType:
    """The Go type written in `text`, which may refer to `types`.

    Raises:
        GoTypeError: with the position of the mistake.
    """
    return _parser(text, types).whole()


def parse_map(text: str, types: Types | None = None) -> MapType:
    """The Go map type written in `text`, such as `map[int][128]byte`, or a name of such a type.

    Raises:
        GoTypeError: with the position of the mistake.
    """
    return _parser(text, types).map_type()
