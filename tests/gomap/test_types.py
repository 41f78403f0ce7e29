"""Go's type syntax and sizes. What the compiler itself says of them is compared in test_probe.py."""

from __future__ import annotations

import pytest

from ebbmap.gomap.types import GoTypeError, parse, parse_map


@pytest.mark.parametrize(
    ("text", "size", "align"),
    [
        ("bool", 1, 1),
        ("int", 8, 8),
        ("rune", 4, 4),
        ("complex64", 8, 4),
        ("complex128", 16, 8),
        ("string", 16, 8),
        ("[]byte", 24, 8),
        ("any", 16, 8),
        ("interface{ Read(p []byte) (int, error) }", 16, 8),
        ("*Customer", 8, 8),
        ("map[string][]Order", 8, 8),
        ("chan<- Event", 8, 8),
        ("<-chan int", 8, 8),
        ("func(ctx context.Context, ids ...int) (string, error)", 8, 8),
        ("[3]int16", 6, 2),
        ("[0x10]byte", 16, 1),
        ("[1_000]byte", 1000, 1),
        ("[2][3]uint32", 24, 4),
        ("struct{}", 0, 1),
        ("struct{A int8; B int64; C int8}", 24, 8),
        ("struct{A, B int8; C int16; D int32}", 8, 4),
        ("struct{A int64; B struct{}}", 16, 8),
        ("struct{B struct{}; A int64}", 8, 8),
        ('struct { A int32 `json:"a"`; B string "x"; *C; }', 32, 8),
        ("struct{A struct{B int8; C int16}; D int8}", 6, 2),
        ("((int32))", 4, 4),
    ],
)
def test_sizes(text: str, size: int, align: int) -> None:
    kind = parse(text)
    assert (kind.size, kind.align) == (size, align)


@pytest.mark.parametrize(
    ("text", "position", "problem"),
    [
        ("", 0, "expected a map type"),
        ("[]int", 0, "expected a map type"),
        ("map[int", 7, "expected ']', found the end"),
        ("map[int]", 8, "expected a type, found the end"),
        ("map[[]int]int", 4, "no =="),
        ("map[map[int]int]int", 4, "no =="),
        ("map[func()]int", 4, "no =="),
        ("map[struct{A []int}]int", 4, "no =="),
        ("map[Customer]int", 4, "unknown type 'Customer'"),
        ("map[int][n]byte", 9, "expected an array length"),
        ("map[int][09]byte", 9, "not a number"),
        ("map[int][1.5]byte", 10, "expected ']'"),
        ("map[int]int int", 12, "expected the end"),
        ("map[int]struct{A int B int}", 21, "expected ';' or '}'"),
        ("map[int]struct{A}", 15, "unknown type 'A'"),
        ("map[int]struct{A int", 20, "expected ';' or '}'"),
        ("map[int]struct{1 int}", 15, "expected a field's name"),
        ("map[int]$", 8, "expected a type, found '$'"),
        ("map[int][999999999999999]byte", 9, "too large"),
        ("map[int]func(", 13, "expected ')'"),
        ("map[int]" + "*" * 200 + "int", 108, "nested more than"),
    ],
)
def test_a_mistake_is_told_at_its_position(text: str, position: int, problem: str) -> None:
    with pytest.raises(GoTypeError) as caught:
        parse_map(text)
    assert caught.value.position == position
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "bucket", "group", "pointers"),
    [
        ("map[int][128]byte", 1104, 1096, False),
        ("map[int]*[128]byte", 144, 136, True),
        ("map[int64]int8", 88, 136, False),  # the Swiss slot is padded to 16, the classic arrays aren't
        ("map[int64]struct{}", 80, 136, False),
        ("map[string]string", 272, 264, True),
        ("map[[16]byte]struct{A int32; B string; C *T}", 400, 392, True),
        ("map[struct{}]struct{}", 16, 16, False),
    ],
)
def test_buckets_and_groups(text: str, bucket: int, group: int, pointers: bool) -> None:
    kind = parse_map(text)
    assert (kind.bucket_bytes, kind.group_bytes, kind.pointers) == (bucket, group, pointers)


@pytest.mark.parametrize("size", [127, 128, 129])
def test_the_128_byte_rule(size: int) -> None:
    kind = parse_map(f"map[[{size}]byte][{size}]byte")
    stored = 8 if size > 128 else size
    assert kind.indirect_key == kind.indirect_elem == kind.pointers == (size > 128)
    assert kind.bucket_bytes == 16 + 16 * stored


def test_what_lies_outside() -> None:
    kind = parse("struct{A string; B [2]*struct{C []int; D string}; E *Unknown}")
    assert kind.held.strings == 1
    ((pointee, count),) = kind.held.pointees
    assert (pointee.size, pointee.held.strings, count) == (40, 2, 2)
    assert kind.held.unknown == (("*Unknown", 1),)
    assert kind.held.everything().strings == 1 + 2


@pytest.mark.parametrize(
    ("text", "strings", "boxes", "unknown", "maps", "beyond"),
    [
        ("[3]string", 3, 0, (), (), ()),
        ("[0]any", 0, 0, (), (), ()),
        ("[2]any", 0, 2, (), (), ()),
        ("struct{A error; B interface{ Close() error }}", 0, 2, (), (), ()),
        ("[2]*Customer", 0, 0, (("*Customer", 2),), (), ()),
        ("chan int", 0, 0, (("chan int", 1),), (), ()),
        ("func(int) string", 0, 0, (("func(int) string", 1),), (), ()),
        ("map[string]Order", 0, 0, (("map[string]Order", 1),), (), ()),
        ("map[string][2]any", 1, 2, (), ("map[string][2]any",), ()),
        ("*map[string]int", 1, 0, (), ("map[string]int",), ()),
        ("map[int]map[int]*T", 0, 0, (("*T", 1),), ("map[int]map[int]*T", "map[int]*T"), ()),
        ("[]byte", 1, 0, (), (), ()),
        ("[]string", 1, 0, (), (), ("[]string",)),
        ("[]Order", 1, 0, (), (), ("[]Order",)),
        ("time.Time", 0, 0, (), (), ()),
    ],
)
def test_what_a_type_refers_to(
    text: str,
    strings: int,
    boxes: int,
    unknown: tuple[tuple[str, int], ...],
    maps: tuple[str, ...],
    beyond: tuple[str, ...],
) -> None:
    held = parse(text).held.everything()
    assert (held.strings, held.boxes, held.unknown, held.beyond) == (strings, boxes, unknown, beyond)
    assert tuple(str(kind) for kind, _ in held.maps) == maps


def test_the_same_map_with_pointers() -> None:
    assert str(parse_map("map[int][128]byte").with_pointers()) == "map[int]*[128]byte"
