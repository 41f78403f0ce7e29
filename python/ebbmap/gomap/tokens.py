"""Go's tokens, as far as types need them, and the mistakes that are made in types."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

_MAX_DEPTH = 100
_SHOWN = 80  # characters of a text that an error shows whole
_EXCERPT = 24  # characters of a longer one

_SKIPPED = re.compile(r"(?:\s++|//[^\n]*+|/\*.*?\*/)*+", re.DOTALL)
_TOKEN = re.compile(
    r"""
        (?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)?)
      | (?P<number>
            0[xX][0-9a-fA-F_]+ | 0[bB][01_]+ | 0[oO]?[0-7_]+(?![0-9.])
          | [0-9][0-9_]*[eE]\+?[0-9]+ | [0-9][0-9_]*
        )
      | (?P<tag>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
      | (?P<other>/\*)
      | (?P<sign><-|<<|>>|&\^|\.\.\.|[][{}()*;,+/%&|^~=.-])
      | (?P<unknown>.)
    """,
    re.VERBOSE | re.DOTALL,
)


class GoTypeError(ValueError):
    """A mistake in a Go type: `position` is its offset in `text`; the message is one line."""

    def __init__(self, text: str, position: int, problem: str) -> None:
        super().__init__(f"{problem} ({_where(text, position)})")
        self.text = text
        self.position = position
        self.problem = problem


class UnknownTypeError(GoTypeError):
    """A type whose definition is not known: `name`."""

    def __init__(self, text: str, position: int, name: str) -> None:
        problem = f"unknown type {name!r}: write out what it is, such as struct{{...}}"
        super().__init__(text, position, problem)
        self.name = name


def _where(text: str, position: int) -> str:
    if len(text) <= _SHOWN:
        return f"column {position + 1} of {text!r}"
    return f"character {position + 1}, at {text[position : position + _EXCERPT]!r}"


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `spaced`: something stands between it and the one before; `first`: a line's end does."""

    kind: str
    text: str
    position: int
    spaced: bool = False
    first: bool = False


def _tokens(text: str) -> Iterator[Token]:
    position = end = 0
    while True:
        skipped = _SKIPPED.match(text, position)
        assert skipped is not None
        match = _TOKEN.match(text, skipped.end())
        if match is None:
            break
        assert match.lastgroup is not None
        first = "\n" in skipped[0]
        yield Token(match.lastgroup, match[0], match.start(), bool(skipped[0]), first)
        position = end = match.end()
    yield Token("end", "", end, first=True)


class Stream:
    """The tokens of one text, read from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = list(_tokens(text))
        self._index = 0
        self._depth = 0

    @property
    def token(self) -> Token:
        """The next one."""
        return self._tokens[self._index]

    def ahead(self, count: int) -> Token:
        """The one `count` after the next."""
        return self._tokens[min(self._index + count, len(self._tokens) - 1)]

    def advance(self) -> Token:
        """Take the next one."""
        token = self.token
        self._index += token.kind != "end"
        return token

    def accept(self, text: str) -> bool:
        """Take the next one if it is this sign or word."""
        if self.token.text != text or self.token.kind == "tag":
            return False
        self.advance()
        return True

    def expect(self, text: str) -> None:
        """Take this sign or word; else `GoTypeError`."""
        if not self.accept(text):
            raise self.fail(f"expected {text!r}, found {self.found()}")

    def end(self) -> None:
        """Nothing may follow; else `GoTypeError`."""
        if self.token.kind != "end":
            raise self.fail(f"expected the end of the type, found {self.found()}")

    def found(self) -> str:
        """The next one, as errors name it."""
        return "the end" if self.token.kind == "end" else repr(self.token.text)

    def fail(self, problem: str, at: Token | None = None) -> GoTypeError:
        """A mistake at this token: by default the next one."""
        return GoTypeError(self.text, (at or self.token).position, problem)

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Go one level deeper; `GoTypeError` if these are too many."""
        if self._depth == _MAX_DEPTH:
            raise self.fail(f"types nested more than {_MAX_DEPTH} deep")
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def skip_balanced(self, opening: str, closing: str) -> None:
        """Take all from this bracket to the one that closes it."""
        self.expect(opening)
        depth = 1
        while depth:
            if self.token.kind == "end":
                raise self.fail(f"expected {closing!r}, found the end")
            token = self.advance()
            depth += (token.text == opening) - (token.text == closing)

    def after_brackets(self, count: int) -> Token:
        """The token behind the brackets `[...]` that open `count` after the next one."""
        depth = 0
        while (token := self.ahead(count)).kind != "end":
            count += 1
            depth += (token.text == "[") - (token.text == "]")
            if not depth:
                break
        return self.ahead(count)

    def since(self, start: Token) -> str:
        """The text from `start` to the last one taken: printable, in one line, without comments."""
        begin = bisect_left(self._tokens, start.position, key=attrgetter("position"))
        said = _shown(start)
        for before, token in pairwise(self._tokens[begin : self._index]):
            said += _between(before, token) + _shown(token)
        return said


def _shown(token: Token) -> str:
    """The token, with escapes for what is not printable in a field's tag."""
    return token.text if token.text.isprintable() else token.text.encode("unicode_escape").decode("ascii")


def _between(before: Token, token: Token) -> str:
    """What stands between two tokens on one line: a line's end between two fields is a semicolon."""
    if token.first and before.text not in ("{", "(", "[", ",", ";") and token.text not in ("}", ")", "]"):
        return "; "
    return " " if token.spaced else ""
