"""Go types: their sizes (64-bit), how they are hashed, where pointers are, and what lies outside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from math import prod
from typing import TypeVar

WORD = 8
INLINE_LIMIT = 128  # a key or element of more bytes is kept as a pointer
_MANY = 1 << 64  # values of one type: more than any map can have as keys
_BLANK = "_"


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
    return None if values is None or length > _MANY.bit_length() else few(values**length)


def few(values: int) -> int | None:
    """So many values; None if no map reaches the bound."""
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
    return few(prod(known)) if len(known) == len(values) else None


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


_CONTROL = GoType("uint64", 8, 8)  # of a Swiss map's group


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
        return struct_of([("ctrl", _CONTROL), ("slots", array_of(8, slot))]).size

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
