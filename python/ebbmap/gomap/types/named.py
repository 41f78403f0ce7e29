"""The basic types, and those named ones of which `library` can't tell what they share."""

from __future__ import annotations

from dataclasses import replace

from ebbmap.gomap.types.kinds import Alg, GoType, Held, few, reference


def _basic(name: str, size: int, alg: Alg = Alg.MEM) -> GoType:
    return GoType(name, size, size, alg=alg, basic=name)


def _integer(name: str, size: int) -> GoType:
    return replace(_basic(name, size), values=few(1 << 8 * size))


_COMPLEX64 = GoType("complex64", 8, 4, alg=Alg.SPECIAL, basic="complex64")
_COMPLEX128 = GoType("complex128", 16, 8, alg=Alg.SPECIAL, basic="complex128")
_STRING = GoType("string", 16, 8, pointers=True, held=Held(strings=1), alg=Alg.STRING, basic="string")
INTERFACE = GoType("any", 16, 8, pointers=True, held=Held(boxes=1), alg=Alg.SPECIAL)
_TIME = GoType("time.Time", 24, 8, pointers=True)  # wall, ext, *Location (which is shared)
_ADDR = GoType("netip.Addr", 24, 8, pointers=True)  # the address, and the zone, which is shared

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
    "any": INTERFACE,
    "error": replace(INTERFACE, text="error"),
    "unsafe.Pointer": reference("unsafe.Pointer"),
    "time.Time": _TIME,
    "netip.Addr": _ADDR,
    "reflect.Type": GoType("reflect.Type", 16, 8, pointers=True, alg=Alg.SPECIAL),
    "reflect.Value": GoType("reflect.Value", 24, 8, pointers=True),
}
