"""Go's type syntax and sizes. What the compiler itself says of them is compared in test_probe.py."""

from __future__ import annotations

import re

import pytest

from ebbmap.gomap.types import GoTypeError, Types, UnknownTypeError, most_entries, parse, parse_map


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
        ('struct{\n\tA int8\n\tB int64\n\n\tC, D int8 `json:"c"`\n}', 24, 8),
        ("struct{ // an order\n\tID [16]byte // its number\n\t/* when; first */ At int64\n}", 24, 8),
        ("struct{\n\t*Order\n\tint32\n\tF func(a int) error\n\tG func()\n\tC <-chan int\n}", 40, 8),
        ("map /* by name */ [string] // to\n int", 8, 8),
        ("*List[int]", 8, 8),
        ("*atomic.Pointer[Order]", 8, 8),
        ("*[5]struct{A Order; B *[2]Line}", 8, 8),
        ("map[ID]map[string]Order", 8, 8),
        ("chan Pair[Order]", 8, 8),
        ("[]List[map[string]int]", 24, 8),
        ("struct{A *Pair[string, [2]int]; List[*int, int] `tag`}".replace("List", "*List"), 16, 8),
        ("atomic.Pointer[Order]".replace("Order", "int"), 8, 8),
        ("struct{ atomic.Pointer[int]; sync.Mutex; N [2]int8 }", 24, 8),
        ("[1<<10]byte", 1024, 1),
        ("[4*1024 - 1]byte", 4095, 1),
        ("[(1 + 2) * 3 % 5 << 2]byte", 16, 1),
        ("[-7/2 + 10]byte", 7, 1),
        ("[0xff &^ 0x0f | 1]byte", 241, 1),
        ("[1e3]byte", 1000, 1),
        ("[sha256.Size + net.IPv6len]byte", 48, 1),
        ("netip.Prefix", 32, 8),
        ("net.IP", 24, 8),
        ("json.RawMessage", 24, 8),
        ("sync.Mutex", 8, 4),
        ("atomic.Int64", 8, 8),
        ("fmt.Stringer", 16, 8),
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
        ("map[int][n]byte", 9, "unknown constant 'n': write its value"),
        ("map[int][...]byte", 9, "expected an array length"),
        ("map[int][2-3]byte", 9, "an array's length can't be -1"),
        ("map[int][1/0]byte", 10, "division by zero"),
        ("map[int][1<<600]byte", 10, "a shift by 600 is not between 0 and 512"),
        ("map[int][1e999999999]byte", 9, "a constant of more than 512 bits"),
        ("map[int][(1]byte", 11, "expected ')'"),
        ("map[int]struct{A [1<<40]byte; B [1<<40]byte}", 8, "too large"),
        ("map[int]List[int]", 8, "unknown type 'List[int]'"),
        ("map[int]atomic.Pointer[[2]Order]", 26, "unknown type 'Order'"),
        ("map[int]struct{A *Order; B Order}", 27, "unknown type 'Order'"),
        ("map[int]*struct{A Order; B [1/0]int}", 29, "division by zero"),
        ("map[int][1<<500]int", 9, "an array of more than 1,099,511,627,776 bytes is too large"),
        ("map[int]int[string]", 11, "int takes no type arguments"),
        ("map[int]atomic.Pointer", 8, "takes type arguments: atomic.Pointer[T]"),
        ("map[int]atomic.Pointer[int, int]", 8, "does not take 2 type arguments"),
        ("map[int]struct{A int /* open", 21, "expected ';' or '}' after a field, found '/*'"),
        ("int", 0, "expected a map type"),
        ("map[net.IP]int", 4, "no =="),
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
        ("*struct{A Order; B *int}", 0, 0, (("*struct{A Order; B *int}", 1),), (), ()),
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


def test_a_mistake_in_a_long_type_is_shown_by_what_is_there() -> None:
    with pytest.raises(GoTypeError) as caught:
        parse_map("map[int]struct{" + "A int; " * 100 + "B strnig; C int}")
    assert "character 718, at 'strnig; C int}'" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("map[int]struct {\n\tA int // one\n\n\tB  string\n}", "map[int]struct { A int; B string }"),
        ("map[int]struct{\n\tA, // one\n\tB int }", "map[int]struct{ A, B int }"),
        ("map[string]*Pair[ int,\n string ]", "map[string]*Pair[ int, string ]"),
        ("map[int]struct{A int `a\n\x1b`}", r"map[int]struct{A int `a\n\x1b`}"),
    ],
)
def test_a_type_of_many_lines_is_shown_in_one(text: str, shown: str) -> None:
    assert str(parse_map(text)) == shown


def test_types_of_ones_own() -> None:
    types = Types(
        "ID=[16]byte",
        "shop.Order=struct{ID ID; Next *shop.Order; Of *Customer}",
        "Pair[K comparable, V interface{ ~int | ~[]int }]=struct{Key K; Value V}",
        "Orders=map[ID]shop.Order",
        "Empty=struct{}",
    )
    kind = parse_map("map[ID]Pair[ID, shop.Order]", types)
    assert (kind.key.size, kind.elem.size, str(kind.elem)) == (16, 48, "Pair[ID, shop.Order]")
    assert kind.elem.held.unknown == (("*shop.Order", 1), ("*Customer", 1))
    orders = parse_map("Orders", types)
    assert (str(orders), str(orders.key), orders.elem.size) == ("Orders", "ID", 32)
    assert types.unused == ("Empty",)  # what is only referred to by others is used
    assert parse("*ID", types).held.pointees == ((parse("ID", types), 1),)


@pytest.mark.parametrize(
    ("field", "size", "unknown", "beyond"),
    [
        ("*L[T]", 8, ("*L[T]",), ()),
        ("*L[*T]", 8, ("*L[*T]",), ()),
        ("[2]*L[L[T]]", 16, ("*L[L[T]]",), ()),
        ("*struct{at L[T]}", 8, ("*struct{at L[T]}",), ()),
        ("[]L[T]", 24, (), ("[]L[T]",)),
        ("map[string]L[T]", 8, ("map[string]L[T]",), ()),
        ("chan L[T]", 8, ("chan L[T]",), ()),
        ("func(L[T]) L[T]", 8, ("func(L[T]) L[T]",), ()),
    ],
)
def test_a_generic_type_may_refer_to_itself(
    field: str, size: int, unknown: tuple[str, ...], beyond: tuple[str, ...]
) -> None:
    elem = parse("L[string]", Types(f"L[T any]=struct{{next {field}; value T}}"))
    assert elem.size == size + 16
    assert tuple(text for text, _ in elem.held.unknown) == unknown
    assert elem.held.beyond == beyond


def test_generic_types_may_refer_to_each_other() -> None:
    types = Types("A[T any]=struct{b *B[T]}", "B[T any]=struct{a A[T]; value T}")
    assert (parse("A[int]", types).size, parse("B[int]", types).size) == (8, 16)


def test_arguments_within_a_definition_are_not_the_type_itself() -> None:
    kind = parse("L[L[int]]", Types("Of=int", "L[T any]=struct{next *L[Of]; value T}"))
    assert kind.size == 24


def test_generic_types_that_lead_too_deep_are_a_mistake() -> None:
    chain = (f"T{i}[T any]=struct{{next *T{i - 1}[T]}}" for i in range(1, 500))
    with pytest.raises(GoTypeError, match=r"^types nested more than 100 deep"):
        Types("T0[T any]=T", *chain)


def test_generic_types_that_lead_to_too_many_are_a_mistake() -> None:
    """Each refers to the one before it twice: 2^40 instances."""
    chain = (f"T{i}[T any]=struct{{a *T{i - 1}[T]; b *T{i - 1}[*T]}}" for i in range(1, 41))
    with pytest.raises(GoTypeError, match=r"^a type of more than 1,000 instances of generic types"):
        Types("T0[T any]=T", *chain)


@pytest.mark.parametrize(
    ("definitions", "message"),
    [
        (["ID"], "not a definition: 'ID'; taken is Name=TYPE"),
        (["=int"], "not a definition"),
        (["ID="], "not a definition"),
        (["int=[2]int"], "'int' is Go's own and can't be defined"),
        (["map=[2]int"], "'map' is Go's own"),
        (["[]int=int"], "expected a type's name"),
        (["A B=int"], "expected the end"),
        (["A=int", "A=string"], "'A' is defined twice"),
        (["A=B"], "unknown type 'B'"),
        (
            ["A=struct{next A}"],
            "invalid recursive type: only behind a pointer, slice, map, channel or function ",
        ),
        (["A[T any]=struct{next A[T]}"], "invalid recursive type"),
        (["A[T any]=struct{next [2]A[*T]}"], "invalid recursive type"),
        (["A[int]=int"], "expected a type parameter's name such as T, found 'int'"),
        (["A[T=int"], "expected ']', found the end"),
        (["A[]=int"], "expected a type parameter's name such as T, found ']'"),
        (["A[T any]=struct{T, B T C}"], "expected ';' or '}' after a field"),
    ],
)
def test_a_mistake_in_a_definition(definitions: list[str], message: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        Types(*definitions)


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(UnknownTypeError) as caught:
        parse_map("map[string]struct{A List[ int ]}")
    assert (caught.value.name, caught.value.position) == ("List[ int ]", 20)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("struct{}", 1),
        ("bool", 2),
        ("int8", 256),
        ("uint8", 256),
        ("int16", 65_536),
        ("rune", 1 << 32),
        ("[3]bool", 8),
        ("[0]string", 1),
        ("[1000]struct{}", 1),
        ("[4]int16", 1 << 64),
        ("struct{A bool; B int8}", 512),
        ("struct{A bool; _ int8}", 2),
        ("struct{A bool; B string}", 1 << 64),
        ("time.Duration", 1 << 64),
        ("string", 1 << 64),
        ("float32", 1 << 64),  # a nan equals nothing, so that each is another key
        ("any", 1 << 64),
    ],
)
def test_a_map_has_no_more_entries_than_its_key_has_values(key: str, values: int) -> None:
    assert most_entries(parse_map(f"map[{key}]int")) == values


def test_what_types_refer_to_grows_with_their_number() -> None:
    """Each refers to the one before it twice: 2^40 paths."""
    types = Types("T0=struct{S string}", *(f"T{i}=struct{{A, B *T{i - 1}}}" for i in range(1, 41)))
    held = parse("T40", types).held
    assert [(str(kind), count) for kind, count in held.pointees] == [("T39", 2)]
    assert held.everything().strings == 1
