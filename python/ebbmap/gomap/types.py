"""Go's type syntax, and the sizes its compiler gives to types (64-bit).

`parse_map("map[int][128]byte")` tells all that a model of Go's maps needs: sizes, alignment, where
pointers are, and which parts lie outside the map's own memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property

WORD = 8
INLINE_LIMIT = 128  # a key or element of more bytes is kept as a pointer


class GoTypeError(ValueError):
    """A mistake in a Go type: `position` is its offset in `text`; the message is one line."""

    def __init__(self, text: str, position: int, problem: str) -> None:
        super().__init__(f"{problem} (column {position + 1} of {text!r})")
        self.text = text
        self.position = position
        self.problem = problem


class Alg(Enum):
    """How the compiler compares and hashes a type (`cmd/compile/internal/types`, AlgKind)."""

    MEM = "its memory, as it is"
    STRING = "one string"
    SPECIAL = "a function of its own: floats, interfaces, padding, blank fields, several strings"


@dataclass(frozen=True, slots=True)
class Held:
    """What a value refers to outside itself, each with how many there are.

    The type doesn't tell the sizes of `strings` (and slices), of the `boxes` behind interfaces and of what is
    `unknown` (pointers to types that aren't known, channels, functions), nor the lengths of inner `maps`.
    `beyond` names slices whose elements refer to something in turn.
    """

    strings: int = 0
    boxes: int = 0
    pointees: tuple[tuple[GoType, int], ...] = ()
    unknown: tuple[tuple[str, int], ...] = ()
    maps: tuple[tuple[MapType, int], ...] = ()
    beyond: tuple[str, ...] = ()

    def __mul__(self, length: int) -> Held:
        """Those of `length` such values."""
        if length == 0:
            return Held()
        return Held(
            self.strings * length,
            self.boxes * length,
            tuple((kind, count * length) for kind, count in self.pointees),
            tuple((text, count * length) for text, count in self.unknown),
            tuple((kind, count * length) for kind, count in self.maps),
            self.beyond,
        )

    def __add__(self, other: Held) -> Held:
        """Those of two values."""
        return Held(
            self.strings + other.strings,
            self.boxes + other.boxes,
            self.pointees + other.pointees,
            self.unknown + other.unknown,
            self.maps + other.maps,
            self.beyond + other.beyond,
        )

    def everything(self) -> Held:
        """The same, with what pointees and inner maps refer to in turn."""
        inner = [kind.held for kind, _ in self.pointees]
        inner += [part.held for kind, _ in self.maps for part in (kind.key, kind.elem)]
        return sum((held.everything() for held in inner), start=self)


@dataclass(frozen=True, slots=True)
class GoType:
    """A Go type: `size` and `align` in bytes, whether it holds `pointers`, and what it refers to: `held`.

    `alg` is how a comparable type is hashed.
    """

    text: str
    size: int
    align: int
    pointers: bool = False
    comparable: bool = True
    held: Held = Held()
    alg: Alg = Alg.MEM

    def __str__(self) -> str:
        return self.text


def pointer_to(target: GoType) -> GoType:
    """`*target`."""
    return GoType(f"*{target}", WORD, WORD, pointers=True, held=Held(pointees=((target, 1),)))


def reference(text: str, comparable: bool = True) -> GoType:
    """One word that refers to what isn't known: `*Customer`, a channel, a function."""
    return GoType(text, WORD, WORD, True, comparable, Held(unknown=((text, 1),)))


def array_of(length: int, element: GoType) -> GoType:
    """`[length]element`."""
    return GoType(
        f"[{length}]{element}",
        length * element.size,
        element.align,
        element.pointers and length > 0,
        element.comparable,
        element.held * length,
        _array_alg(length, element.alg),
    )


def _array_alg(length: int, alg: Alg) -> Alg:
    if length == 0 or alg is Alg.MEM:
        return Alg.MEM
    return alg if length == 1 else Alg.SPECIAL


def struct_of(fields: Iterable[tuple[str, GoType]]) -> GoType:
    """`struct{...}` with Go's padding: a last field of no size takes a byte to have an address inside."""
    members = list(fields)
    types = [kind for _, kind in members]
    align = max((kind.align for kind in types), default=1)
    return GoType(
        "struct{" + "; ".join(f"{name} {kind}".strip() for name, kind in members) + "}",
        _padded(types, align),
        align,
        any(kind.pointers for kind in types),
        all(kind.comparable for kind in types),
        sum((kind.held for kind in types), start=Held()),
        _struct_alg(members, align),
    )


def _padded(types: list[GoType], align: int) -> int:
    offset = 0
    for kind in types:
        offset = _align(offset, kind.align) + kind.size
    if types and types[-1].size == 0 and offset > 0:
        offset += 1
    return _align(offset, align)


def _struct_alg(members: list[tuple[str, GoType]], align: int) -> Alg:
    """One field alone is hashed as such; several as memory, if nothing between them may differ."""
    if len(members) == 1 and members[0][0] != _BLANK:
        return members[0][1].alg
    plain = all(name != _BLANK and kind.alg is Alg.MEM for name, kind in members)
    types = [kind for _, kind in members]
    gapless = sum(kind.size for kind in types) == _padded(types, align)
    return Alg.MEM if plain and gapless else Alg.SPECIAL


def _align(offset: int, align: int) -> int:
    return -(-offset // align) * align


def _basic(name: str, size: int, alg: Alg = Alg.MEM) -> GoType:
    return GoType(name, size, size, alg=alg)


_BLANK = "_"
_COMPLEX64 = GoType("complex64", 8, 4, alg=Alg.SPECIAL)
_COMPLEX128 = GoType("complex128", 16, 8, alg=Alg.SPECIAL)
_STRING = GoType("string", 16, 8, pointers=True, held=Held(strings=1), alg=Alg.STRING)
_INTERFACE = GoType("any", 16, 8, pointers=True, held=Held(boxes=1), alg=Alg.SPECIAL)
_TIME = GoType("time.Time", 24, 8, pointers=True)  # wall, ext, *Location (which is shared)

# The basic types, and the few named ones that are common as keys and elements of maps.
NAMED: dict[str, GoType] = {
    **{name: _basic(name, 1) for name in ("bool", "byte", "int8", "uint8")},
    **{name: _basic(name, 2) for name in ("int16", "uint16")},
    **{name: _basic(name, 4) for name in ("int32", "uint32", "rune")},
    **{name: _basic(name, 8) for name in ("int", "uint", "int64", "uint64", "uintptr")},
    "float32": _basic("float32", 4, Alg.SPECIAL),
    "float64": _basic("float64", 8, Alg.SPECIAL),
    "complex64": _COMPLEX64,
    "complex128": _COMPLEX128,
    "string": _STRING,
    "any": _INTERFACE,
    "error": replace(_INTERFACE, text="error"),
    "unsafe.Pointer": reference("unsafe.Pointer"),
    "time.Time": _TIME,
    "time.Duration": _basic("time.Duration", 8),
    "netip.Addr": GoType("netip.Addr", 24, 8, pointers=True),
    "uuid.UUID": GoType("uuid.UUID", 16, 1),
}

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)?)
      | (?P<number>0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+(?![\d.])|\d[\d_]*)
      | (?P<tag>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
      | (?P<sign><-|\.\.\.|[][{}()*;,])
      | (?P<other>\S)
    )""",
    re.VERBOSE,
)
_KEYWORDS = frozenset({"map", "chan", "func", "struct", "interface"})
_MAX_SIZE = 1 << 40  # of an array: far above what a heap can hold, far below overflow
_MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def _tokens(text: str) -> Iterator[_Token]:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        assert match is not None and match.lastgroup is not None
        yield _Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup))
        position = match.end()
    yield _Token("end", "", end)


class _Parser:
    """Recursive descent over one type; every mistake is raised at its position."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(_tokens(text))
        self.index = 0
        self.depth = 0

    # The stream of tokens.
    @property
    def token(self) -> _Token:
        return self.tokens[self.index]

    def fail(self, problem: str, at: _Token | None = None) -> GoTypeError:
        return GoTypeError(self.text, (at or self.token).position, problem)

    def accept(self, text: str) -> bool:
        if self.token.text != text or self.token.kind == "tag":
            return False
        self.index += 1
        return True

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise self.fail(f"expected {text!r}, found {self.found()}")

    def found(self) -> str:
        return "the end" if self.token.kind == "end" else repr(self.token.text)

    def end(self) -> None:
        if self.token.kind != "end":
            raise self.fail(f"expected the end of the type, found {self.found()}")

    # The grammar.
    def type(self) -> GoType:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise self.fail(f"types nested more than {_MAX_DEPTH} deep")
        try:
            return self._type()
        finally:
            self.depth -= 1

    def _type(self) -> GoType:
        token = self.token
        if token.kind == "name":
            return self._named(token)
        for sign, parse in self._composites().items():
            if self.accept(sign):
                return parse(token)
        raise self.fail(f"expected a type, found {self.found()}")

    def _composites(self) -> dict[str, Callable[[_Token], GoType]]:
        return {"[": self._bracket, "*": self._pointer, "(": self._parenthesis, "<-": self._channel}

    def _named(self, token: _Token) -> GoType:
        self.index += 1
        if token.text in _KEYWORDS:
            return self._keyword(token)
        if (known := NAMED.get(token.text)) is None:
            raise self.fail(
                f"unknown type {token.text!r}: write out what it is, such as struct{{...}}", token
            )
        return known

    def _keyword(self, token: _Token) -> GoType:
        parsers = {
            "map": self._map_reference,
            "chan": self._channel,
            "func": self._function,
            "struct": self._struct,
            "interface": self._interface,
        }
        return parsers[token.text](token)

    def _text(self, start: _Token) -> str:
        last = self.tokens[self.index - 1]
        return self.text[start.position : last.position + len(last.text)]

    def _pointer(self, token: _Token) -> GoType:
        target = self._known_type()
        return replace(pointer_to(target), text=self._text(token)) if target else reference(self._text(token))

    def _foreign(self) -> bool:
        """Skip a name whose type isn't known: behind a pointer its size doesn't matter to the map."""
        token = self.token
        foreign = token.kind == "name" and token.text not in NAMED and token.text not in _KEYWORDS
        self.index += foreign
        return foreign

    def _known_type(self) -> GoType | None:
        """A type, or None for a name that isn't known."""
        return None if self._foreign() else self.type()

    def _parenthesis(self, token: _Token) -> GoType:
        inner = self.type()
        self.expect(")")
        return inner

    def _bracket(self, token: _Token) -> GoType:
        if self.accept("]"):
            element = self._known_type()
            text = self._text(token)
            beyond = (text,) if element is None or element.pointers else ()
            return GoType(text, 24, 8, pointers=True, comparable=False, held=Held(strings=1, beyond=beyond))
        length_token = self.token
        length = self._length()
        self.expect("]")
        element = self.type()
        if length * element.size > _MAX_SIZE:
            raise self.fail(f"an array of {length * element.size:,} bytes is too large", length_token)
        return array_of(length, element)

    def _length(self) -> int:
        token = self.token
        if token.kind != "number":
            raise self.fail(f"expected an array length or ']', found {self.found()}")
        self.index += 1
        try:
            return int(token.text, 8 if re.fullmatch(r"0[0-7_]+", token.text) else 0)
        except ValueError:
            raise self.fail(f"not a number: {token.text!r}", token) from None

    def key_and_element(self) -> tuple[GoType, GoType]:
        self.expect("[")
        start = self.token
        key = self.type()
        if not key.comparable:
            raise self.fail(f"{key} can't be a map's key: it has no ==", start)
        self.expect("]")
        return key, self.type()

    def _map_reference(self, token: _Token) -> GoType:
        self.expect("[")
        key = self._known_type()
        self.expect("]")
        elem = self._known_type()
        text = self._text(token)
        if key is None or elem is None:
            return reference(text, comparable=False)
        held = Held(maps=((MapType(key, elem, text), 1),))
        return GoType(text, WORD, WORD, pointers=True, comparable=False, held=held)

    def _channel(self, token: _Token) -> GoType:
        if token.text == "<-":
            self.expect("chan")
        else:
            self.accept("<-")
        self._known_type()
        return reference(self._text(token))

    def _function(self, token: _Token) -> GoType:
        self._balanced("(", ")")
        if self.token.text == "(":
            self._balanced("(", ")")
        elif self.token.kind == "name" or self.token.text in ("*", "[", "<-"):
            self._known_type()
        return reference(self._text(token), comparable=False)

    def _interface(self, token: _Token) -> GoType:
        self._balanced("{", "}")
        return replace(_INTERFACE, text=self._text(token))

    def _balanced(self, opening: str, closing: str) -> None:
        self.expect(opening)
        depth = 1
        while depth:
            if self.token.kind == "end":
                raise self.fail(f"expected {closing!r}, found the end")
            depth += (self.token.text == opening) - (self.token.text == closing)
            self.index += 1

    def _struct(self, token: _Token) -> GoType:
        self.expect("{")
        fields: list[tuple[str, GoType]] = []
        while not self.accept("}"):
            fields += self._fields()
            if not self.accept(";") and self.token.text != "}":
                raise self.fail(f"expected ';' or '}}' after a field, found {self.found()}")
        return struct_of(fields)

    def _fields(self) -> list[tuple[str, GoType]]:
        """One line of a struct: `A, B int "tag"`, or an embedded type."""
        following = self.tokens[min(self.index + 1, len(self.tokens) - 1)]
        embedded = self.token.text == "*" or following.text in (";", "}") or following.kind == "tag"
        names = [""] if embedded else self._names()
        kind = self.type()
        if self.token.kind == "tag":
            self.index += 1
        return [(name, kind) for name in names]

    def _names(self) -> list[str]:
        names = [self._name()]
        while self.accept(","):
            names.append(self._name())
        return names

    def _name(self) -> str:
        token = self.token
        if token.kind != "name" or token.text in _KEYWORDS or "." in token.text:
            raise self.fail(f"expected a field's name, found {self.found()}")
        self.index += 1
        return token.text


@dataclass(frozen=True)
class MapType:
    """`map[key]elem`, and how its entries lie in memory."""

    key: GoType
    elem: GoType
    text: str = field(default="", compare=False)

    @cached_property
    def indirect_key(self) -> bool:
        """The key has more than 128 bytes: the map holds a pointer to an object of its own."""
        return self.key.size > INLINE_LIMIT

    @cached_property
    def indirect_elem(self) -> bool:
        """The element has more than 128 bytes: the map holds a pointer to an object of its own."""
        return self.elem.size > INLINE_LIMIT

    @cached_property
    def stored_key(self) -> GoType:
        """What a slot holds for the key."""
        return pointer_to(self.key) if self.indirect_key else self.key

    @cached_property
    def stored_elem(self) -> GoType:
        """What a slot holds for the element."""
        return pointer_to(self.elem) if self.indirect_elem else self.elem

    @cached_property
    def pointers(self) -> bool:
        """Whether the slots hold pointers, for the collector to follow."""
        return self.stored_key.pointers or self.stored_elem.pointers

    @cached_property
    def bucket_bytes(self) -> int:
        """A bucket of the classic map: 8 hash bytes, 8 keys, 8 elements, the overflow pointer."""
        return 8 + 8 * (self.stored_key.size + self.stored_elem.size) + WORD

    @cached_property
    def group_bytes(self) -> int:
        """A group of the Swiss map: 8 control bytes and 8 slots of `struct{key; elem}`, padded as such."""
        slot = struct_of([("key", self.stored_key), ("elem", self.stored_elem)])
        return struct_of([("ctrl", NAMED["uint64"]), ("slots", array_of(8, slot))]).size

    @cached_property
    def entry_bytes(self) -> int:
        """Bytes of one key and one element: the payload."""
        return self.key.size + self.elem.size

    @cached_property
    def held(self) -> Held:
        """What a key and an element refer to, and all that this refers to in turn."""
        return (self.key.held + self.elem.held).everything()

    def with_pointers(self) -> MapType:
        """The same map with its elements behind pointers: `map[K]*V`."""
        return MapType(self.key, pointer_to(self.elem), f"map[{self.key}]*{self.elem}")

    def __str__(self) -> str:
        return self.text or f"map[{self.key}]{self.elem}"


def parse(text: str) -> GoType:
    """The Go type written in `text`.

    Raises:
        GoTypeError: with the position of the mistake.
    """
    parser = _Parser(text)
    result = parser.type()
    parser.end()
    return result


def parse_map(text: str) -> MapType:
    """The Go map type written in `text`, such as `map[int][128]byte`.

    Raises:
        GoTypeError: with the position of the mistake.
    """
    parser = _Parser(text)
    if text.strip() == "sync.Map":
        raise parser.fail("sync.Map is not modelled: it is a concurrent map of its own, not a map type")
    if not parser.accept("map"):
        raise parser.fail(f"expected a map type such as 'map[int][128]byte', found {parser.found()}")
    key, elem = parser.key_and_element()
    parser.end()
    return MapType(key, elem, " ".join(text.split()))
