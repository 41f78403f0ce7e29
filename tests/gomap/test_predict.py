"""The closed form: known points of real toolchains, its own consistency, and its speed."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebbmap.gomap import GoVersion, Outside, parse_map, predictor
from ebbmap.gomap.chance import binomial, binomial_tail, expected_excess
from ebbmap.gomap.predict import MAX_ENTRIES, ClassicShape, Predictor, SwissShape
from ebbmap.gomap.predict.classic import least_b, load_limit
from ebbmap.gomap.predict.swiss import expected_tables, hinted
from ebbmap.gomap.types import most_entries

MIB = 1 << 20


def make(kind: str, version: str, key: float = 0, elem: float = 0) -> Predictor:
    return predictor(parse_map(kind), GoVersion.parse(version), Outside(key, elem))


@pytest.mark.parametrize(
    ("kind", "version", "entries", "per_entry"),
    [  # as MemStats.Alloc gave them
        ("map[int][128]byte", "1.23", 1_000_000, 307.544224),
        ("map[int][128]byte", "1.27", 1_000_000, 301.484144),
        ("map[int64]int64", "1.23", 851_968, 27.04),
        ("map[int64]int64", "1.23", 851_969, 74.11),
        ("map[int64]int64", "1.27", 851_968, 22.50),
        ("map[int64]int64", "1.27", 851_969, 22.52),
        ("map[int64][200]byte", "1.23", 100_000, 235.5),
        ("map[int64][200]byte", "1.27", 100_000, 231.6),
    ],
)
def test_known_points(kind: str, version: str, entries: int, per_entry: float) -> None:
    assert make(kind, version).filled(entries).bytes / entries == pytest.approx(per_entry, rel=1e-3)


@pytest.mark.parametrize(("version", "per_entry"), [("1.23", 68.1), ("1.27", 68.5)])
def test_strings_lie_outside(version: str, per_entry: float) -> None:
    prediction = make("map[string]string", version, key=16).filled(100_000)
    assert prediction.bytes / 100_000 == pytest.approx(per_entry, rel=1e-3)
    assert prediction.outside_bytes == 16 * 100_000


@pytest.mark.parametrize(("version", "left"), [("1.23", 27.5), ("1.27", 23.6)])
def test_deleting_frees_only_what_lies_outside(version: str, left: float) -> None:
    make_one = make("map[int64][200]byte", version)
    assert make_one.drained(100_000, 0).bytes / 100_000 == pytest.approx(left, rel=3e-3)
    assert make_one.drained(100_000, 40_000).table_bytes == make_one.filled(100_000).table_bytes


@pytest.mark.parametrize(
    ("kind", "uncollected", "filled", "drained"),
    [("map[int][128]byte", 461, 293, 293), ("map[int]*[128]byte", 182, 160, 38)],
)
@pytest.mark.parametrize("version", ["1.19", "1.23"])
def test_the_documents_figures(kind: str, version: str, uncollected: int, filled: int, drained: int) -> None:
    made = make(kind, version)
    figures = (made.uncollected(1_000_000), made.filled(1_000_000).bytes, made.drained(1_000_000, 0).bytes)
    assert [math.floor(figure / MIB) for figure in figures] == [uncollected, filled, drained]


def test_b_is_the_least_that_is_not_over_load() -> None:
    for entries in [*range(1, 3000), 851_968, 851_969, 10**10]:
        for version in (GoVersion(21), GoVersion(23)):
            b = least_b(entries, version)
            assert entries <= load_limit(b, version)
            assert b == 0 or entries > load_limit(b - 1, version)


def test_only_go_1_21_grows_at_six_a_bucket() -> None:
    limits = {minor: load_limit(17, GoVersion(minor)) for minor in (19, 20, 21, 22, 23)}
    assert limits == {19: 851_968, 20: 851_968, 21: 786_432, 22: 851_968, 23: 851_968}


def test_a_map_just_grown_holds_both_arrays() -> None:
    made = make("map[int64]int64", "1.23")
    before, after = made.filled(851_968), made.filled(851_969)
    done = made.filled(851_968 + math.ceil(131_072 * math.log(2)))
    assert isinstance(after.shape, ClassicShape) and after.shape.growing
    assert after.bytes > 2.7 * before.bytes
    assert isinstance(done.shape, ClassicShape) and not done.shape.growing
    assert done.bytes < 0.7 * after.bytes


def test_a_hint_saves_growth_not_memory() -> None:
    for version in ("1.23", "1.27"):
        made = make("map[int][128]byte", version)
        assert made.filled(1_000_000, 1_000_000).bytes == pytest.approx(
            made.filled(1_000_000).bytes, rel=0.01
        )
        assert made.uncollected(1_000_000, 1_000_000) == made.filled(1_000_000, 1_000_000).bytes
        assert made.filled(10, 1_000_000).bytes == pytest.approx(made.filled(1_000_000).bytes, rel=0.01)


@pytest.mark.parametrize(
    ("hint", "depth", "slots"),
    [(9, 0, 16), (14, 0, 16), (896, 0, 1024), (897, 1, 512), (1_000_000, 11, 1024)],
)
def test_hints_of_swiss_maps(hint: int, depth: int, slots: int) -> None:
    assert hinted(hint) == (depth, slots)


@pytest.mark.parametrize(("entries", "groups"), [(1, 1), (8, 1), (9, 2), (14, 2), (15, 4), (896, 128)])
def test_small_swiss_maps_are_exact(entries: int, groups: int) -> None:
    shape = make("map[int]int", "1.27").filled(entries).shape
    assert isinstance(shape, SwissShape)
    assert shape.groups == groups


def test_tables_are_as_many_as_splits_and_one() -> None:
    assert expected_tables(896) == 1
    assert expected_tables(897) == pytest.approx(2)
    assert 2040 < expected_tables(1_000_000) < 2048


def test_tails_against_exact_sums() -> None:
    for n, p, k in [(1000, 0.5, 520), (4000, 0.25, 897), (7000, 0.125, 897), (100_000, 0.01, 950)]:
        exact = math.fsum(
            math.exp(math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1))
            * math.exp(i * math.log(p) + (n - i) * math.log1p(-p))
            if n < 1000
            else math.exp(
                math.lgamma(n + 1)
                - math.lgamma(i + 1)
                - math.lgamma(n - i + 1)
                + i * math.log(p)
                + (n - i) * math.log1p(-p)
            )
            for i in range(k, n + 1)
        )
        assert binomial_tail(n, p, k) == pytest.approx(exact, abs=2e-4)


def test_binomial_sums_to_one() -> None:
    for n, p in [(1, 1.0), (8, 1.0), (9, 0.5), (1000, 1 / 256), (10**10, 1 / (1 << 31))]:
        chances = list(binomial(n, p))
        assert sum(chances) == pytest.approx(1)
        assert sum(k * chance for k, chance in enumerate(chances)) == pytest.approx(n * p)


def test_excess_over_a_limit() -> None:
    assert expected_excess(10, 0, 4) == 6
    assert expected_excess(10, 4, 10) == pytest.approx(2 / math.sqrt(2 * math.pi))
    assert expected_excess(10, 4, 100) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("version", ["1.23", "1.27"])
def test_any_number_of_entries_takes_microseconds(version: str) -> None:
    made = make("map[int][128]byte", version)
    started = time.perf_counter()
    for i in range(100):
        assert made.filled(MAX_ENTRIES - i).bytes > 2 << 40
    assert (time.perf_counter() - started) / 100 < 2e-3


def test_more_than_there_was_cannot_be_left() -> None:
    with pytest.raises(ValueError, match="can't be left"):
        make("map[int]int", "1.23").drained(10, 11)
    with pytest.raises(ValueError, match="no number of entries"):
        make("map[int]int", "1.23").filled(MAX_ENTRIES + 1)


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(
        [
            "map[int][128]byte",
            "map[string]string",
            "map[int8]struct{}",
            "map[[200]byte]*[40]*int",
            "map[any][129]byte",
        ]
    ),
    version=st.sampled_from(["1.18", "1.21", "1.22", "1.23", "1.24", "1.25", "1.27", "1.25-noswissmap"]),
    peak=st.one_of(st.integers(0, 3000), st.integers(0, MAX_ENTRIES)),
    share=st.floats(0, 1),
    hint=st.one_of(st.just(0), st.integers(0, 3000), st.integers(0, MAX_ENTRIES)),
    turnovers=st.floats(0, 3),
)
def test_figures_of_any_map_make_sense(
    kind: str, version: str, peak: int, share: float, hint: int, turnovers: float
) -> None:
    made = make(kind, version, key=20, elem=3.5)
    peak = min(peak, most_entries(made.kind))
    filled = made.filled(peak, hint)
    drained = made.drained(peak, int(peak * share), hint)
    assert 48 <= drained.bytes <= filled.bytes * 1.05  # deletes move buckets on, which may need overflow
    assert filled.bytes * (1 - 1e-9) <= made.uncollected(peak, hint)
    assert made.churned(peak, turnovers, hint).bytes >= 0.6 * filled.bytes
    assert made.churned(peak, 0.0, hint).bytes <= filled.bytes * 1.01
