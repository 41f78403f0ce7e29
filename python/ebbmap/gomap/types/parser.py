"""Reads the syntax of Go's types."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from ebbmap.gomap.constants import constant
from ebbmap.gomap.tokens import Stream, Token, UnknownTypeError
from ebbmap.gomap.types.kinds import WORD, GoType, Held, MapType, array_of, pointer_to, reference, struct_of
from ebbmap.gomap.types.named import INTERFACE, NAMED

KEYWORDS = frozenset({"map", "chan", "func", "struct", "interface"})
STAND_IN = NAMED["int"]
"""For a type parameter, to find mistakes before there is an argument."""
_MAX_SIZE = 1 << 40  # of a type: far above what a heap can hold, far below overflow
_MAX_INSTANCES = 1000  # of generic types in one text: each may refer to several others

Known = TypeVar("Known", GoType, GoType | None)


@dataclass(frozen=True, slots=True)
class Generic:
    """A type with type parameters: its text is read anew for each list of arguments."""

    parameters: tuple[str, ...]
    text: str


class Parser(Stream):
    """Recursive descent over one type; every mistake is raised at its position.

    `find` tells what a name is defined as, and `arguments` what stands for type parameters.
    """

    def __init__(
        self,
        text: str,
        find: Callable[[str], GoType | Generic | None],
        arguments: Mapping[str, GoType] | None = None,
        inside: tuple[str, ...] = (),
    ) -> None:
        super().__init__(text)
        self._outer = find
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
        return self._arguments.get(name) or self._outer(name)

    def _named(self, token: Token) -> GoType:
        if token.text in KEYWORDS:
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
        return STAND_IN

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
        return STAND_IN

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
            kind = self._expanded(Parser(generic.text, self._outer, given, (*self._inside, token.text)))
        return self._sized(replace(kind, text=self.since(token)), token)

    def _expanded(self, definition: Parser) -> GoType:
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
        return self._slice(token) if self.accept("]") else self._array()

    def _slice(self, token: Token) -> GoType:
        element = self._known_type()
        text = self.since(token)
        beyond = (text,) if element is None or element.pointers else ()
        return GoType(text, 24, 8, pointers=True, comparable=False, held=Held(strings=1, beyond=beyond))

    def _array(self) -> GoType:
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
        return replace(INTERFACE, text=self.since(token))

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
        if token.kind != "name" or token.text in KEYWORDS or "." in token.text:
            raise self.fail(f"expected a field's name, found {self.found()}")
        return self.advance().text


def _signature(token: Token, generic: Generic) -> str:
    return f"{token.text}[{', '.join(generic.parameters)}]"
