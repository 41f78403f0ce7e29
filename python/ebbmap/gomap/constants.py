"""Constant expressions, as lengths of arrays: `[1<<10]byte`, `[2*sha256.Size]byte`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

from ebbmap.gomap.tokens import Stream, Token

KNOWN = {
    "md5.Size": 16,
    "sha1.Size": 20,
    "sha256.Size224": 28,
    "sha256.Size": 32,
    "sha512.Size384": 48,
    "sha512.Size": 64,
    "aes.BlockSize": 16,
    "ed25519.PublicKeySize": 32,
    "ed25519.SignatureSize": 64,
    "net.IPv4len": 4,
    "net.IPv6len": 16,
}
"""The standard library's constants that are common as lengths."""


def _quotient(a: int, b: int) -> int:
    """Go rounds towards 0."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


_BITS = 512  # of a constant: what the compiler takes, too
_PRODUCTS = frozenset({"*", "/", "%", "<<", ">>", "&", "&^"})
_SUMS = frozenset({"+", "-", "|", "^"})
_UNARY: dict[str, Callable[[int], int]] = {"+": operator.pos, "-": operator.neg, "^": operator.invert}
_BINARY: dict[str, Callable[[int, int], int]] = {
    "*": operator.mul,
    "<<": operator.lshift,
    ">>": operator.rshift,
    "&": operator.and_,
    "&^": lambda a, b: a & ~b,
    "+": operator.add,
    "-": operator.sub,
    "|": operator.or_,
    "^": operator.xor,
    "/": _quotient,
    "%": lambda a, b: a - b * _quotient(a, b),
}


def constant(stream: Stream) -> int:
    """Read an integer constant expression; `GoTypeError` at a mistake."""
    with stream.nested():
        return _chain(stream, _SUMS, lambda: _chain(stream, _PRODUCTS, lambda: _operand(stream)))


def _chain(stream: Stream, signs: frozenset[str], operand: Callable[[], int]) -> int:
    """Operands with operators of one precedence between them, from left to right."""
    value = operand()
    while (token := stream.token).text in signs:
        stream.advance()
        value = _apply(stream, token, value, operand())
    return value


def _apply(stream: Stream, sign: Token, left: int, right: int) -> int:
    if sign.text in ("/", "%") and right == 0:
        raise stream.fail("division by zero", sign)
    if sign.text in ("<<", ">>") and not 0 <= right <= _BITS:
        raise stream.fail(f"a shift by {right} is not between 0 and {_BITS}", sign)
    value = _BINARY[sign.text](left, right)
    if value.bit_length() > _BITS:
        raise stream.fail(f"a constant of more than {_BITS} bits", sign)
    return value


def _operand(stream: Stream) -> int:
    token = stream.token
    if (unary := _UNARY.get(token.text)) is not None:
        stream.advance()
        with stream.nested():
            return unary(_operand(stream))
    if stream.accept("("):
        value = constant(stream)
        stream.expect(")")
        return value
    if token.kind == "name":
        return _named(stream, stream.advance())
    if token.kind == "number":
        return _number(stream, stream.advance())
    raise stream.fail(f"expected an array length or ']', found {stream.found()}")


def _named(stream: Stream, token: Token) -> int:
    if token.text not in KNOWN:
        raise stream.fail(f"unknown constant {token.text!r}: write its value", token)
    return KNOWN[token.text]


def _number(stream: Stream, token: Token) -> int:
    try:
        value = _value(token.text)
    except ValueError:
        raise stream.fail(f"not a number: {token.text!r}", token) from None
    if value is None or value.bit_length() > _BITS:
        raise stream.fail(f"a constant of more than {_BITS} bits", token)
    return value


def _value(text: str) -> int | None:
    """A literal's value, `ValueError` if it has none; None if it is far too large."""
    if re.fullmatch(r"0[0-7_]+", text):
        return int(text, 8)
    mantissa, scientific, power = text.lower().partition("e")
    if not scientific or text[:2] in ("0x", "0X"):
        return int(text, 0)
    return None if int(power) > _BITS else int(mantissa) * int(10 ** int(power))
