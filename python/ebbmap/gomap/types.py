"""Go's type syntax, and the sizes its compiler gives to types (64-bit).

`parse_map("map[int][128]byte")` tells all that a model of Go's maps needs: sizes, alignment, where
pointers are, and which parts lie outside the map's own memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache, cached_property
from math import prod
from typing import TypeVar

from ebbmap.gomap.constants import constant
from ebbmap.gomap.library import GENERIC, LIBRARY
from ebbmap.gomap.tokens import GoTypeError, Stream, Token, UnknownTypeError

__all__ = [
    "Alg",
    "GoType",
    "GoTypeError",
    "MapType",
    "Types",
    "UnknownTypeError",
    "most_entries",
    "parse",
    "parse_map",
]

WORD = 8
INLINE_LIMIT = 128  # a key or element of more bytes is kept as a pointer
_MAX_SIZE = 1 << 40  # of a type: far above what a heap can hold, far below overflow
_MAX_INSTANCES = 1000  # of generic types in one text: each may refer to several others
_MANY = 1 << 64  # values of one type: more than any map can have as keys


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

    def merged(self) -> Held:
        """The same, each type once."""
        return replace(
            self,
            pointees=_counted(self.pointees),
            unknown=_counted(self.unknown),
            maps=_counted(self.maps),
            beyond=tuple(dict.fromkeys(self.beyond)),
        )

    def everything(self) -> Held:
        """The same, with what pointees and inner maps refer to in turn."""
        inner = [kind.held for kind, _ in self.pointees]
        inner += [part.held for kind, _ in self.maps for part in (kind.key, kind.elem)]
        return sum((held.everything() for held in inner), start=self)


Kind = TypeVar("Kind", "GoType", "MapType", str)


def _counted(pairs: tuple[tuple[Kind, int], ...]) -> tuple[tuple[Kind, int], ...]:
    """The pairs of one type together: two of the same text are the same type."""
    found: dict[str, tuple[Kind, int]] = {}
    for kind, count in pairs:
        before = found.get(str(kind))
        found[str(kind)] = (kind, count if before is None else before[1] + count)
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class GoType:
    """A Go type: `size` and `align` in bytes, whether it holds `pointers`, and what it refers to: `held`.

    `alg` is how a comparable type is hashed. `values`: how many different ones there are, which bounds a map
    that has them as keys; None where no map reaches the bound. `basic` is the basic type that it is or is
    defined as, and `map` the map type; if any.
    """

    text: str
    size: int
    align: int
    pointers: bool = False
    comparable: bool = True
    held: Held = Held()
    alg: Alg = Alg.MEM
    values: int | None = None
    basic: str = ""
    map: MapType | None = field(default=None, compare=False)

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
        _power(element.values, length),
    )


def _power(values: int | None, length: int) -> int | None:
    """How many arrays there are of elements with so many values."""
    if length == 0 or values == 1:
        return 1
    return None if values is None or length > _MANY.bit_length() else _few(values**length)


def _few(values: int) -> int | None:
    return values if values < _MANY else None


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
        sum((kind.held for kind in types), start=Held()).merged(),
        _struct_alg(members, align),
        _combinations([kind.values for name, kind in members if name != _BLANK]),  # == does not look at those
    )


def _combinations(values: list[int | None]) -> int | None:
    """How many structs there are of fields with so many values each."""
    known = [count for count in values if count is not None]
    return _few(prod(known)) if len(known) == len(values) else None


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
    return GoType(name, size, size, alg=alg, basic=name)


def _integer(name: str, size: int) -> GoType:
    return replace(_basic(name, size), values=_few(1 << 8 * size))


_BLANK = "_"
_COMPLEX64 = GoType("complex64", 8, 4, alg=Alg.SPECIAL, basic="complex64")
_COMPLEX128 = GoType("complex128", 16, 8, alg=Alg.SPECIAL, basic="complex128")
_STRING = GoType("string", 16, 8, pointers=True, held=Held(strings=1), alg=Alg.STRING, basic="string")
_INTERFACE = GoType("any", 16, 8, pointers=True, held=Held(boxes=1), alg=Alg.SPECIAL)
_TIME = GoType("time.Time", 24, 8, pointers=True)  # wall, ext, *Location (which is shared)
_ADDR = GoType("netip.Addr", 24, 8, pointers=True)  # the address, and the zone, which is shared

# The basic types, and those named ones of which `library` can't tell what they share.
NAMED: dict[str, GoType] = {
    "bool": replace(_basic("bool", 1), values=2),
    **{name: _integer(name, 1) for name in ("byte", "int8", "uint8")},
    **{name: _integer(name, 2) for name in ("int16", "uint16")},
    **{name: _integer(name, 4) for name in ("int32", "uint32", "rune")},
    **{name: _integer(name, 8) for name in ("int", "uint", "int64", "uint64", "uintptr")},
    "float32": _basic("float32", 4, Alg.SPECIAL),  # as keys without bound: a nan equals nothing
    "float64": _basic("float64", 8, Alg.SPECIAL),
    "complex64": _COMPLEX64,
    "complex128": _COMPLEX128,
    "string": _STRING,
    "any": _INTERFACE,
    "error": replace(_INTERFACE, text="error"),
    "unsafe.Pointer": reference("unsafe.Pointer"),
    "time.Time": _TIME,
    "netip.Addr": _ADDR,
    "reflect.Type": GoType("reflect.Type", 16, 8, pointers=True, alg=Alg.SPECIAL),
    "reflect.Value": GoType("reflect.Value", 24, 8, pointers=True),
}

_KEYWORDS = frozenset({"map", "chan", "func", "struct", "interface"})
_RESERVED = _KEYWORDS | {name for name in NAMED if "." not in name}


@dataclass(frozen=True, slots=True)
class Generic:
    """A type with type parameters: its text is read anew for each list of arguments."""

    parameters: tuple[str, ...]
    text: str


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
        known = _Parser(body.strip(), self, dict.fromkeys(parameters, _STAND_IN), (name,)).whole()
        self._known[name] = Generic(parameters, body.strip()) if parameters else replace(known, text=name)

    def find(self, name: str) -> GoType | Generic | None:
        """What a name is defined as: here, in Go, or in its standard library; else None."""
        if name in self._known:
            self._used.add(name)
            return self._known[name]
        return NAMED.get(name) or _library(name)

    @property
    def unused(self) -> tuple[str, ...]:
        """The names defined here that nothing has referred to."""
        return tuple(name for name in self._known if name not in self._used)


Known = TypeVar("Known", GoType, GoType | None)
_STAND_IN = NAMED["int"]  # for a type parameter, to find mistakes before there is an argument


def _head(text: str) -> tuple[str, tuple[str, ...]]:
    """The name and the type parameters of a definition."""
    stream = Stream(text)
    token = stream.advance()
    if token.kind != "name":
        raise stream.fail("expected a type's name", token)
    if token.text in _RESERVED:
        raise stream.fail(f"{token.text!r} is Go's own and can't be defined", token)
    parameters: list[str] = []
    if stream.accept("["):
        parameters.append(_parameter(stream))
        while not stream.accept("]"):
            parameters.append(_parameter(stream))
    stream.end()
    return token.text, tuple(parameters)


def _parameter(stream: Stream) -> str:
    """The name of one type parameter; what it is constrained to doesn't matter."""
    token = stream.advance()
    if token.kind != "name" or token.text in _RESERVED or "." in token.text:
        raise stream.fail(f"expected a type parameter's name such as T, found {token.text!r}", token)
    while stream.token.text not in (",", "]"):
        if stream.token.kind == "end":
            raise stream.fail("expected ']', found the end")
        brackets = {"{": "}", "[": "]", "(": ")"}
        if (closing := brackets.get(stream.token.text)) is not None:
            stream.skip_balanced(stream.token.text, closing)
        else:
            stream.advance()
    stream.accept(",")
    return token.text


@cache
def _library(name: str) -> GoType | Generic | None:
    if name in GENERIC:
        return Generic(*GENERIC[name])
    return replace(_Parser(LIBRARY[name]).whole(), text=name) if name in LIBRARY else None


class _Parser(Stream):
    """Recursive descent over one type; every mistake is raised at its position."""

    def __init__(
        self,
        text: str,
        types: Types | None = None,
        arguments: Mapping[str, GoType] | None = None,
        inside: tuple[str, ...] = (),
    ) -> None:
        super().__init__(text)
        self._types = types or Types()
        self._arguments = arguments or {}
        self._inside = inside  # the named types of whose definitions this text is a part
        self._instances = itertools.count(1)  # shared with the definitions that this leads to
        self._lenient = False  # a name that isn't known makes the type `_missing`, and is no mistake
        self._missing = False

    def whole(self) -> GoType:
        """One type, and nothing after it."""
        result = self.type()
        self.end()
        return result

    def map_type(self) -> MapType:
        """A map type whose key and element are known, or the name of a map type, and nothing after it."""
        start = self.token
        kind = self._map_literal(start) if self.accept("map") else self._named_map(start)
        self.end()
        return kind

    def _map_literal(self, start: Token) -> MapType:
        self.expect("[")
        key = self._key(self.type)
        self.expect("]")
        elem = self.type()
        return MapType(key, elem, self.since(start))

    def _named_map(self, start: Token) -> MapType:
        if start.text == "sync.Map":
            raise self.fail("sync.Map is not modelled: it is a concurrent map of its own, not a map type")
        known = self.type() if start.kind == "name" and self._find(start.text) else None
        if known is None or known.map is None:
            found = "the end" if start.kind == "end" else repr(start.text)
            raise self.fail(f"expected a map type such as 'map[int][128]byte', found {found}", start)
        return replace(known.map, text=known.text)

    def type(self) -> GoType:
        with self.nested():
            return self._type()

    def _type(self) -> GoType:
        token = self.token
        if token.kind == "name":
            return self._named(self.advance())
        for sign, parse in self._composites().items():
            if self.accept(sign):
                return parse(token)
        raise self.fail(f"expected a type, found {self.found()}")

    def _composites(self) -> dict[str, Callable[[Token], GoType]]:
        return {"[": self._bracket, "*": self._pointer, "(": self._parenthesis, "<-": self._channel}

    def _find(self, name: str) -> GoType | Generic | None:
        return self._arguments.get(name) or self._types.find(name)

    def _named(self, token: Token) -> GoType:
        if token.text in _KEYWORDS:
            return self._keyword(token)
        if token.text in self._inside and token.text not in self._arguments:
            return self._recursion(token)
        known = self._find(token.text)
        if known is None:
            return self._unknown(token)
        if isinstance(known, Generic):
            return self._instance(token, known)
        if self._arguments_follow():
            raise self.fail(f"{token.text} takes no type arguments")
        return known

    def _unknown(self, token: Token) -> GoType:
        name = self._with_arguments(token)
        if not self._lenient:
            raise UnknownTypeError(self.text, token.position, name)
        self._missing = True
        return _STAND_IN

    def _recursion(self, token: Token) -> GoType:
        """A type inside its own definition: not known yet, which is no mistake behind a pointer."""
        if not self._lenient:
            behind = "a pointer, slice, map, channel or function"
            raise self.fail(
                f"invalid recursive type: only behind {behind} may {token.text} name itself", token
            )
        if self._arguments_follow():
            self._type_arguments()
        self._missing = True
        return _STAND_IN

    def _arguments_follow(self) -> bool:
        """A name is followed by a bracket only if that holds type arguments."""
        return self.token.text == "[" and not self.token.first

    def _with_arguments(self, token: Token) -> str:
        """The name and its type arguments, which are skipped."""
        if self._arguments_follow():
            self.skip_balanced("[", "]")
        return self.since(token)

    def _instance(self, token: Token, generic: Generic) -> GoType:
        if self.token.text != "[":
            raise self.fail(f"{token.text} takes type arguments: {_signature(token, generic)}", token)
        arguments = self._type_arguments()
        if len(arguments) != len(generic.parameters):
            signature = _signature(token, generic)
            raise self.fail(f"{signature} does not take {len(arguments)} type arguments", token)
        if next(self._instances) > _MAX_INSTANCES:
            raise self.fail(f"a type of more than {_MAX_INSTANCES:,} instances of generic types", token)
        given = dict(zip(generic.parameters, arguments, strict=True))
        with self.nested():
            kind = self._expanded(_Parser(generic.text, self._types, given, (*self._inside, token.text)))
        return self._sized(replace(kind, text=self.since(token)), token)

    def _expanded(self, definition: _Parser) -> GoType:
        """The type that a definition comes to here: as deep as this is, and as lenient."""
        definition._depth = self._depth
        definition._instances = self._instances
        definition._lenient = self._lenient
        kind = definition.whole()
        self._missing |= definition._missing
        return kind

    def _type_arguments(self) -> list[GoType]:
        self.expect("[")
        arguments = [self.type()]
        while self.accept(","):
            arguments.append(self.type())
        self.expect("]")
        return arguments

    def _sized(self, kind: GoType, at: Token) -> GoType:
        if kind.size > _MAX_SIZE:
            raise self.fail(f"a type of more than {_MAX_SIZE:,} bytes is too large", at)
        return kind

    def _keyword(self, token: Token) -> GoType:
        parsers = {
            "map": self._map,
            "chan": self._channel,
            "func": self._function,
            "struct": self._struct,
            "interface": self._interface,
        }
        return parsers[token.text](token)

    def _pointer(self, token: Token) -> GoType:
        target = self._known_type()
        return replace(pointer_to(target), text=self.since(token)) if target else reference(self.since(token))

    def _known_type(self) -> GoType | None:
        """A type; None if a name in it isn't known: behind a pointer its size doesn't matter to the map."""
        before = self._lenient, self._missing
        self._lenient, self._missing = True, False
        try:
            kind = self.type()
            return None if self._missing else kind
        finally:
            self._lenient, self._missing = before

    def _parenthesis(self, token: Token) -> GoType:
        inner = self.type()
        self.expect(")")
        return inner

    def _bracket(self, token: Token) -> GoType:
        if self.accept("]"):
            element = self._known_type()
            text = self.since(token)
            beyond = (text,) if element is None or element.pointers else ()
            return GoType(text, 24, 8, pointers=True, comparable=False, held=Held(strings=1, beyond=beyond))
        length_token = self.token
        length = constant(self)
        self.expect("]")
        if length < 0:
            raise self.fail(f"an array's length can't be {length}", length_token)
        element = self.type()
        if length * element.size > _MAX_SIZE:
            raise self.fail(f"an array of more than {_MAX_SIZE:,} bytes is too large", length_token)
        return array_of(length, element)

    def _map(self, token: Token) -> GoType:
        self.expect("[")
        key = self._key(self._known_type)
        self.expect("]")
        elem = self._known_type()
        text = self.since(token)
        if key is None or elem is None:
            return reference(text, comparable=False)
        kind = MapType(key, elem, text)
        return GoType(
            text, WORD, WORD, pointers=True, comparable=False, held=Held(maps=((kind, 1),)), map=kind
        )

    def _key(self, read: Callable[[], Known]) -> Known:
        start = self.token
        key = read()
        if key is not None and not key.comparable:
            raise self.fail(f"{key} can't be a map's key: it has no ==", start)
        return key

    def _channel(self, token: Token) -> GoType:
        if token.text == "<-":
            self.expect("chan")
        else:
            self.accept("<-")
        self._known_type()
        return reference(self.since(token))

    def _function(self, token: Token) -> GoType:
        self.skip_balanced("(", ")")
        following = self.token
        if following.first:
            pass  # a result stands on the same line
        elif following.text == "(":
            self.skip_balanced("(", ")")
        elif following.kind == "name" or following.text in ("*", "[", "<-"):
            self._known_type()
        return reference(self.since(token), comparable=False)

    def _interface(self, token: Token) -> GoType:
        self.skip_balanced("{", "}")
        return replace(_INTERFACE, text=self.since(token))

    def _struct(self, token: Token) -> GoType:
        self.expect("{")
        fields: list[tuple[str, GoType]] = []
        while not self.accept("}"):
            fields += self._fields()
            if not self.accept(";") and self.token.text != "}" and not self._line_ends():
                raise self.fail(f"expected ';' or '}}' after a field, found {self.found()}")
        return self._sized(struct_of(fields), token)

    def _line_ends(self) -> bool:
        return self.token.first and self.token.kind != "end"

    def _fields(self) -> list[tuple[str, GoType]]:
        """One line of a struct: `A, B int "tag"`, or an embedded type."""
        names = [""] if self._embedded() else self._names()
        kind = self.type()
        if self.token.kind == "tag":
            self.advance()
        return [(name, kind) for name in names]

    def _embedded(self) -> bool:
        """Whether this line of a struct is a type without a name; `A[int]` is one, `A [3]int` is not."""
        following = self.ahead(1)
        if following.text == "[" and not following.first:
            following = self.after_brackets(1)
        return self.token.text == "*" or self._ends_a_field(following)

    def _ends_a_field(self, token: Token) -> bool:
        return token.text in (";", "}") or token.kind in ("tag", "end") or token.first

    def _names(self) -> list[str]:
        names = [self._name()]
        while self.accept(","):
            names.append(self._name())
        return names

    def _name(self) -> str:
        token = self.token
        if token.kind != "name" or token.text in _KEYWORDS or "." in token.text:
            raise self.fail(f"expected a field's name, found {self.found()}")
        return self.advance().text


def _signature(token: Token, generic: Generic) -> str:
    return f"{token.text}[{', '.join(generic.parameters)}]"


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


def most_entries(kind: MapType) -> int:
    """How many entries such a map can have: as many as there are keys. Those without bound: 2^64."""
    return _MANY if kind.key.values is None else kind.key.values


def parse(text: str, types: Types | None = None) -> GoType:
    """The Go type written in `text`, which may refer to `types`.

    Raises:
        GoTypeError: with the position of the mistake.
    """
    return _Parser(text, types).whole()


def parse_map(text: str, types: Types | None = None) -> MapType:
    """The Go map type written in `text`, such as `map[int][128]byte`, or a name of such a type.

    Raises:
        GoTypeError: with the position of the mistake.
    """
    return _Parser(text, types).map_type()
