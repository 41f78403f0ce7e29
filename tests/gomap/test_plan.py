"""`ebbmap plan`: its figures, its document, its advice, its errors, and how quick it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ebbmap.cli import main
from ebbmap.gomap import GoVersion, Outside, parse_map, predictor
from ebbmap.gomap.plan import Plan, make_plan
from ebbmap.gomap.plan.lines import wrap
from ebbmap.gomap.plan.python import dict_resizing_bytes, dict_table_bytes, ebbmap_bytes
from ebbmap.gomap.plan.report import human, recommendation, report

MIB = 1 << 20
REMEDIES = ["none", "recreate", "pointers", "both", "go1.24+", "dict", "ebbmap"]


def plan(
    peak: int, steady: int, version: str = "1.23", kind: str = "map[int][128]byte", turnovers: int = 100
) -> Plan:
    return make_plan(parse_map(kind), peak, steady, GoVersion.parse(version), turnovers=turnovers)


def documented(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["plan", *words, "--json", "-"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_the_document_of_a_classic_map(capsys: pytest.CaptureFixture[str]) -> None:
    document = documented(
        capsys, "map[int][128]byte", "--peak", "1_000_000", "--steady", "1_000", "--go", "1.23"
    )
    assert list(document) == ["type", "peak", "steady", "outside", "plans"]
    assert (document["type"], document["peak"], document["steady"]) == ("map[int][128]byte", 1_000_000, 1_000)
    (one,) = document["plans"]
    assert list(one) == [
        *("go", "B", "buckets", "bucket_bytes", "overflow_buckets"),
        *("bytes_at_peak", "bytes_at_peak_uncollected", "bytes_after_delete", "churn", "remedies"),
    ]
    assert (one["go"], one["B"], one["buckets"], one["bucket_bytes"]) == ("1.23", 18, 262_144, 1_104)
    assert one["bytes_at_peak"] == pytest.approx(307_544_224, rel=1e-4)
    assert one["bytes_at_peak_uncollected"] // MIB == 461
    assert one["bytes_after_delete"] // MIB == 293
    assert [remedy["name"] for remedy in one["remedies"]] == REMEDIES
    assert all(list(remedy) == ["name", "steady_bytes", "transient_bytes"] for remedy in one["remedies"])


def test_the_document_of_a_swiss_map(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("map[int]*[128]byte", "--peak", "1e6", "--steady", "0", "--go", "1.24", "--go", "go1.27.3")
    document = documented(capsys, *words)
    assert [one["go"] for one in document["plans"]] == ["1.24", "1.27"]
    for one in document["plans"]:
        assert "B" not in one
        assert (one["tables"], one["directory_depth"]) == (2043, 11)
        assert one["bytes_at_peak"] // MIB == 158
        assert one["bytes_after_delete"] // MIB in (35, 36)


def test_remedies_are_ordered_as_they_help() -> None:
    made = plan(1_000_000, 1_000)
    steady = {remedy.name: remedy.steady_bytes for remedy in made.remedies}
    assert steady["none"] > steady["pointers"] > steady["dict"] * 0.9 > steady["recreate"] > steady["both"]
    assert steady["go1.24+"] == pytest.approx(steady["none"], rel=0.05)
    assert steady["ebbmap"] < MIB
    assert made.remedy("recreate").transient_bytes == pytest.approx(
        steady["none"] + steady["recreate"], rel=1e-3
    )


def test_strings_outside_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    def at_peak(*more: str) -> int:
        document = documented(capsys, "map[string]string", "--peak", "100_000", "--go", "1.23", *more)
        size: int = document["plans"][0]["bytes_at_peak"]
        return size

    bare = at_peak("--heap-string", "0")
    assert at_peak() == at_peak("--heap-string", "16") == bare + 100_000 * 32
    assert at_peak("--heap-string", "key=16,value=200") - bare == 100_000 * (16 + 208)
    assert at_peak("--heap-string", "key=0") - bare == 100_000 * 16  # who isn't named keeps the default


@pytest.mark.parametrize(
    ("kind", "options", "more"),
    [
        ("map[int]*Customer", ["--heap-pointer", "0"], 0),
        ("map[int]*Customer", ["--heap-pointer", "72"], 80),
        ("map[int]chan int", ["--heap-pointer", "96"], 96),
        ("map[any]any", ["--heap-any", "0"], -16),
        ("map[any]any", ["--heap-any", "16"], 16),
        ("map[int]map[int]int", ["--heap-map", "0"], -144),
        ("map[int]map[int]int", ["--heap-map", "9"], 48 + 32 + 288 + 8 - 192),
        ("map[int]map[int]string", ["--heap-string", "32"], 8 * 16),
    ],
)
def test_what_the_type_does_not_tell_is_an_option(
    kind: str, options: list[str], more: int, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (kind, "--peak", "100_000", "--go", "1.27")
    before, after = (
        documented(capsys, *words, *options)["plans"][0]["bytes_at_peak"] for options in ([], options)
    )
    assert after - before == more * 100_000


@pytest.mark.parametrize("version", ["1.23", "1.27"])
@pytest.mark.parametrize(
    ("keyed", "valued", "side"),
    [
        ("map[int]map[string]int", "map[int]map[int]string", "value"),
        ("map[int]*map[string]int", "map[int]*map[int]string", "value"),
        ("map[int]map[int]map[string]int", "map[int]map[int]map[int]string", "value"),
        ("map[*map[int]string]int", "map[*map[string]int]int", "key"),
    ],
)
def test_strings_in_inner_maps_are_those_of_their_side(
    keyed: str, valued: str, side: str, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def planned(kind: str, *more: str) -> dict[str, Any]:
        document = documented(capsys, kind, "--peak", "896", "--heap-map", "20", "--go", version, *more)
        plan: dict[str, Any] = document["plans"][0]
        return plan

    of_keys = planned(keyed, "--heap-string", f"{side}=200")
    assert of_keys == planned(keyed, "--heap-string", "200")
    assert of_keys["remedies"] == planned(valued, "--heap-string", f"{side}=200")["remedies"]
    assert of_keys["bytes_at_peak"] > planned(keyed)["bytes_at_peak"] + 896 * 20 * (208 - 16) - 1
    other = {"key": "value", "value": "key"}[side]
    assert main(["plan", keyed, "--peak", "896", "--heap-string", f"{other}=200"]) == 2
    assert f"--heap-string {other}=... has no meaning for {keyed}" in capsys.readouterr().err


def test_inner_maps_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Go 1.27.3 holds 36.9 MiB, keys included."""
    words = ("map[string]map[string]int", "--peak", "1e5", "--go", "1.27", "--heap-map", "5")
    document = documented(capsys, *words)
    assert document["plans"][0]["bytes_at_peak"] == pytest.approx(36.9 * MIB, rel=3e-3)
    assert document["outside"] == {
        **{"key_string_bytes": 16, "value_string_bytes": 16, "pointee_bytes": None},
        **{"box_bytes": 8, "inner_map_entries": 5, "not_counted": []},
    }


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("map[int]int", []),
        ("map[string]int", ["counted with it: 16 bytes for each string or slice (--heap-string)"]),
        ("map[any]int", ["counted with it: 8 bytes for each value in an interface (--heap-any)"]),
        ("map[int]map[int]int", ["counted with it: 8 entries in each inner map (--heap-map)"]),
        ("map[int]*T", ["not counted: what *T refers to (--heap-pointer BYTES)"]),
        (
            "map[*T]struct{A []*U; B *T}",
            [
                "counted with it: 16 bytes for each string or slice (--heap-string)",
                "not counted: what *T refers to (--heap-pointer BYTES); what the elements of",
                "  []*U refer to",
            ],
        ),
    ],
)
def test_the_report_says_what_is_assumed_and_what_is_left_out(kind: str, lines: list[str]) -> None:
    _, *body = report(plan(1_000, 0, "1.27", kind), chart=False)
    assert [line[3:] for line in body if "counted" in line or "[]" in line] == lines


def test_what_is_given_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--peak", "9", "--go", "1.27", "--heap-string", "value=30", "--heap-pointer", "64")
    assert main(["plan", "map[string]struct{A string; B *T}", *words]) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "16 bytes for each string or slice in keys, 30 in values (--heap-string)" in output
    assert "64 bytes behind each unknown pointer (--heap-pointer)" in output and "not counted" not in output


@pytest.mark.parametrize(
    "kind", ["map[string]*Customer", "map[int]int", "map[int][]int", "map[int][129]byte"]
)
def test_pointers_are_no_remedy_for_pointers(kind: str) -> None:
    names = [remedy.name for remedy in plan(1_000_000, 1_000, kind=kind).remedies]
    assert ("pointers" in names) == ("both" in names) == (kind == "map[int][]int")
    assert "pointers" in recommendation(plan(1_000_000, 1_000, kind="map[int][128]byte"))
    assert "pointers spare" not in recommendation(plan(1_000_000, 1_000, kind="map[string]*Customer"))


def test_advice_after_a_peak() -> None:
    text = recommendation(plan(1_000_000, 1_000))
    assert text.startswith("Re-create the map once it has fallen below 5")
    assert "293 MiB of 293 MiB stay" in text and "pointers spare the copying" in text
    assert "Go 1.24+" not in recommendation(plan(1_000_000, 1_000, "1.27"))


@pytest.mark.parametrize(("peak", "steady"), [(1_000, 1_000), (1_000_000, 900_000), (0, 0), (1_000, 0)])
@pytest.mark.parametrize("version", ["1.23", "1.27"])
def test_nothing_is_advised_where_nothing_is_needed(peak: int, steady: int, version: str) -> None:
    assert recommendation(plan(peak, steady, version)).startswith("Do nothing")


def test_a_constant_size_may_still_grow() -> None:
    made = plan(700_000, 700_000, "1.24")
    assert made.churn is not None and made.churn.most.bytes > 1.9 * made.at_peak.bytes
    assert "allow for" in recommendation(made)


@pytest.mark.parametrize(
    ("kind", "peak", "version", "turnovers", "most"),
    [
        ("map[int][128]byte", 1_000, "1.19", 100, 566 << 10),
        ("map[int][128]byte", 62_500, "1.19", 100, 35.3 * MIB),
        ("map[int][128]byte", 1_000, "1.24", 100, 576 << 10),
        ("map[int][128]byte", 1_000_000, "1.24", 20, 576 * MIB),
        ("map[int][128]byte", 700_000, "1.27", 100, 288 * MIB),
        ("map[[16]byte]int", 100_000, "1.27", 50, 13.3 * MIB),
        ("map[[20]byte]bool", 1_537, "1.25", 100, 192 << 10),
        ("map[int]int", 1_000, "1.24", 1_000, 144 << 10),
        ("map[int]int", 10_000, "1.27", 2_000, 577 << 10),
    ],
)
def test_a_constant_size_is_no_all_clear(
    kind: str, peak: int, version: str, turnovers: int, most: float
) -> None:
    """What real Go came to hold within so many turnovers, by the probe."""
    made = plan(peak, peak, version, kind, turnovers)
    assert made.churn is not None and 0.98 * most < made.churn.most.bytes < 1.06 * most
    advice = recommendation(made)
    grows = f"from {human(made.at_peak.bytes)} to {human(made.churn.most.bytes)}"
    assert f"{grows} within {turnovers:,} turnovers" in advice
    assert "stays at its size" not in advice
    assert any(line.startswith(f"   in {turnovers:,} turnovers, at most") for line in report(made))


def test_the_long_run_of_a_constant_size_is_told() -> None:
    """After 100 turnovers Go 1.24 holds 72 KiB, after 1,000 it is 144."""
    made = plan(1_000, 1_000, "1.24", "map[int]int")
    assert made.churn is not None and made.churn.long_run.bytes > 2 * made.churn.most.bytes
    assert any(line.startswith("   in 1,000,000, at most") for line in report(made))
    large = recommendation(plan(100_000, 100_000, "1.27", "map[[16]byte]int"))
    assert "In 1,000,000 it may come to" in large and "MiB. A new one" in large
    assert "Go 1.27 doesn't prune those of such a type" in large


def test_a_classic_map_is_for_a_moment_there_twice() -> None:
    """Go 1.23, 565 entries: 284 KiB, but 436 for a moment, by the probe."""
    made = plan(565, 565, "1.23")
    assert made.churn is not None and made.churn.compacting == pytest.approx(436 << 10, rel=0.02)
    assert any(line.startswith("   while it is made compact") for line in report(made))
    assert not any("compact" in line for line in report(plan(565, 565, "1.27")))


def test_turnovers_are_in_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("map[int]int", "--peak", "10_000", "--go", "1.27", "--go", "1.23")
    swiss, classic = (one["churn"] for one in documented(capsys, *words, "--turnovers", "2e3")["plans"])
    assert swiss["turnovers"] == classic["turnovers"] == 2_000
    assert 562 << 10 <= swiss["most_bytes"] <= swiss["long_run_most_bytes"]
    assert swiss["compacting_bytes"] is None and classic["compacting_bytes"] > classic["most_bytes"]
    (drained,) = documented(capsys, "map[int]int", "--peak", "9", "--steady", "3", "--go", "1.27")["plans"]
    assert drained["churn"] is None


def test_a_constant_size_that_stays() -> None:
    assert "stays at its size" in recommendation(plan(1_000, 1_000, "1.27"))
    assert "stays at its size" in recommendation(plan(8, 8))


def test_pays_below_is_where_a_new_map_is_half_of_the_old() -> None:
    made = plan(1_000_000, 1_000)
    assert plan(1_000_000, made.pays_below).kept >= 0.49 * made.drained.bytes
    assert plan(1_000_000, made.pays_below + 40_000).kept < 0.5 * made.drained.bytes


def test_the_report_shows_cliffs() -> None:
    lines = list(report(plan(1_000_000, 1_000)))
    chart = [line for line in lines if "█" in line]
    assert len(chart) == 8
    assert chart[0].strip().startswith("████ ") and "461 MiB" in chart[0]  # only while both arrays were there
    assert any("B = 18" in line for line in lines)


def test_dict_tables_are_as_large_as_cpythons() -> None:
    grown: dict[int, None] = {}
    for entries in range(1, 100_000):
        grown[entries] = None
        if entries < 3000 or entries % 1000 == 0:
            assert dict_table_bytes(entries) == sys.getsizeof(grown)


def test_a_dict_resizes_beside_its_old_table() -> None:
    kind = parse_map("map[int][128]byte")
    assert dict_resizing_bytes(kind, Outside(), 1_000_000) > dict_table_bytes(1_000_000) * 1.5


def test_ebbmap_is_planned_by_its_promise() -> None:
    assert ebbmap_bytes(parse_map("map[int][128]byte"), Outside(), 1_000_000) == pytest.approx(
        1.1 * 136e6 + 262144
    )
    assert ebbmap_bytes(parse_map("map[int]int"), Outside(), 1_000_000) == pytest.approx(28e6 + 262144)
    assert ebbmap_bytes(parse_map("map[string]*[100]byte"), Outside(20), 10) == pytest.approx(
        10 * 132 + 262144
    )


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (293.3 * MIB, "293 MiB"), (2**50, "1024 TiB")],
)
def test_human(size: float, text: str) -> None:
    assert human(size) == text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["map[int", "--peak", "3"], "expected ']', found the end (column 8 of 'map[int')"),
        (
            ["map[int]int", "--peak", "x"],
            "--peak takes a whole number from 0 to 10,000,000,000 (as 1000, 1_000 or 1e3), not 'x'",
        ),
        (["map[int]int", "--peak", "-1"], "--peak takes a whole number from 0 to 10,000"),
        (["map[int]int", "--peak", "1.5e0"], "--peak takes a whole number"),
        (["map[int]int", "--peak", "inf"], "--peak takes a whole number"),
        (["map[int]int", "--peak", "3", "--steady", "4"], "--steady 4 is more than --peak 3"),
        (
            ["map[int]int", "--peak", "3", "--turnovers", "0"],
            "--turnovers takes a whole number from 1 to 1,000",
        ),
        (
            ["map[int]int", "--peak", "3", "--steady", "2", "--turnovers", "9"],
            "--turnovers is for a map of constant",
        ),
        (["map[int]int", "--peak", "3", "--go", "python"], "not a Go version: 'python'"),
        (
            ["map[int]int", "--peak", "3", "--go", "1.99"],
            "--go: Go 1.99 is newer than this model: Go 1.18 to 1.27 are modelled",
        ),
        (["map[int]int", "--peak", "3", "--go", "1.17"], "--go: Go 1.17 is older than this model"),
        (
            ["map[bool]int", "--peak", "100_000"],
            "--peak 100,000 is more than map[bool]int can have: its key bool has 2 values",
        ),
        (["map[struct{}]int", "--peak", "2"], "its key struct{} has 1 value\n"),
        (["map[uint16]int", "--peak", "65_537"], "its key uint16 has 65,536 values"),
        (["map[int8]int", "--peak", "257", "--steady", "9"], "--peak 257 is more than map[int8]int can have"),
        (
            ["map[int]map[bool]int", "--peak", "3", "--heap-map", "3"],
            "--heap-map 3 is more than map[bool]int",
        ),
        (
            ["map[string]string", "--peak", "3", "--heap-string", "key=5,key=6"],
            "--heap-string takes each of key and value once, not 'key=5,key=6'",
        ),
        (
            ["map[string]string", "--peak", "3", "--heap-string", "value=5,key=6,value=5"],
            "--heap-string takes each of key and value once",
        ),
        (["map[string]string", "--peak", "3", "--heap-string", "5,6"], "--heap-string takes bytes"),
        (
            ["map[int]Order", "--peak", "3"],
            "unknown type 'Order': write out what it is, such as struct{...} (column 9 of 'map[int]Order'), "
            "or give it: --type 'Order=struct{...}'",
        ),
        (["map[int]A", "--peak", "3", "--type", "A=B"], "--type: unknown type 'B'"),
        (["map[int]A", "--peak", "3", "--type", "A"], "--type: not a definition: 'A'; taken is Name=TYPE"),
        (
            ["map[int]int", "--peak", "3", "--type", "A=int"],
            "--type A has no meaning for map[int]int: it does not refer to it",
        ),
        (["map[string]int", "--peak", "3", "--heap-string", "-2"], "--heap-string takes bytes"),
        (["map[string]int", "--peak", "3", "--heap-string", "a=2"], "--heap-string takes bytes"),
        (
            ["map[int]*T", "--peak", "3", "--heap-pointer", "x"],
            "--heap-pointer takes bytes such as 20, not 'x'",
        ),
        (["map[int]any", "--peak", "3", "--heap-any", "nan"], "--heap-any takes bytes such as 20, not 'nan'"),
        (["map[int]map[int]int", "--peak", "3", "--heap-map", "x"], "--heap-map takes a whole number"),
        (
            ["map[int]int", "--peak", "3", "--heap-string", "9"],
            "--heap-string has no meaning for map[int]int",
        ),
        (
            ["map[int]string", "--peak", "3", "--heap-string", "key=9,value=4"],
            "--heap-string key=... has no meaning for map[int]string: no string or slice is in its keys",
        ),
        (
            ["map[string]int", "--peak", "3", "--heap-string", "value=4"],
            "no string or slice is in its values",
        ),
        (["map[int]*int", "--peak", "3", "--heap-pointer", "9"], "no pointer to an unknown type in it"),
        (["map[int]int", "--peak", "3", "--heap-any", "9"], "there is no interface in it"),
        (["map[int]int", "--peak", "3", "--heap-map", "9"], "there is no inner map in it"),
        (["sync.Map", "--peak", "3"], "sync.Map is not modelled"),
        (["map[int]int", "--peak", "3", "--json", "/nowhere/plan.json"], "can't write /nowhere/plan.json"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *words]) == 2
    output = capsys.readouterr()
    assert message in output.err and output.err.count("\n") == 1 and output.out == ""


def test_the_report_makes_room_for_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "map[int]int", "--peak", "10", "--json", "-"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["peak"] == 10
    assert "map[int]int, Go 1.23" in output.err


def test_json_goes_to_a_file_beside_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "plan.json"
    assert main(["plan", "map[int]int", "--peak", "10", "--json", str(target), "--no-chart"]) == 0
    assert json.loads(target.read_text())["peak"] == 10
    assert "map[int]int, Go 1.23" in capsys.readouterr().out


@pytest.mark.parametrize("steady", ["1_000", "1_000_000"])
def test_a_plan_takes_less_than_a_third_of_a_second(steady: str) -> None:
    """Start-up included; the CPU's time, as the machine may be busy."""
    start = "import sys; from ebbmap.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", start, "plan", "map[int][128]byte", "--peak", "1_000_000"]
    spent = []
    for _ in range(3):
        before = os.times()
        subprocess.run([*command, "--steady", steady], check=True, capture_output=True)
        after = os.times()
        spent.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    assert min(spent) < 0.3


def test_planning_imports_no_library_and_no_model() -> None:
    code = (
        "import sys, ebbmap.cli.plan; loaded = set(sys.modules);"
        "print(sorted(loaded & {'rich', 'plotext', 'jinja2', 'psutil', 'ebbmap.gomap.hmap', 'numpy'}))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        == "[]\n"
    )


def test_any_peak_is_planned_at_once() -> None:
    started = time.process_time()
    assert plan(10**10, 10**9).at_peak.bytes > 1 << 40
    assert time.process_time() - started < 2


@pytest.mark.parametrize("key", ["bool", "int8", "[2]bool", "struct{}", "struct{A bool; B int8}"])
def test_a_map_of_all_its_keys_is_planned(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    kind = parse_map(f"map[{key}]int")
    assert kind.key.values is not None
    assert main(["plan", str(kind), "--peak", str(kind.key.values)]) == 0
    assert f"{kind.key.values:,} afterwards" in capsys.readouterr().out
    with pytest.raises(ValueError, match="more than"):
        predictor(kind, GoVersion(27)).filled(kind.key.values + 1)


def test_an_inner_map_has_no_more_entries_than_keys(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--peak", "1000", "--go", "1.27")
    unasked, two = (
        documented(capsys, "map[int]map[bool]int", *words, *more)["plans"]
        for more in ([], ["--heap-map", "2"])
    )
    assert unasked == two


def test_types_of_ones_own_are_given_by_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    written = documented(capsys, "map[[16]byte]struct{A [16]byte; N *int}", "--peak", "1000")
    named = documented(
        capsys,
        "map[ID]Order",
        "--type",
        "ID=[16]byte",
        "--type",
        "Order=struct{A ID\nN *int}",
        "--peak",
        "1000",
    )
    assert named["type"] == "map[ID]Order"
    assert named["plans"] == written["plans"]


LONG = "map[string]struct{" + "; ".join(f"Field{i} map[int]any" for i in range(30)) + "}"
UNBROKEN = "map[[9]byte]struct{A,B,C,D,E,F,G,H,I,J,K,L,M,N,O,P,Q,R,S,T,U,V,W,X,Y,Z,A1,A2,A3,A4,A5,A6,A7,A8*T}"


@pytest.mark.parametrize(
    "definition",
    [
        "List[T any]=struct{Next *List[T]; Val T}",
        "List[T any]=struct{Kids []List[T]; Val T}",
        "List[T any]=struct{m map[string]List[T]}",
    ],
)
def test_a_generic_type_that_refers_to_itself_is_planned(
    definition: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "map[int]List[int]", "--peak", "10", "--type", definition]) == 0
    assert "map[int]List[int]" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["map[int][128]byte", "map[string]map[any]*T", LONG, UNBROKEN])
@pytest.mark.parametrize(
    ("peak", "steady"), [(0, 0), (1, 1), (100_000, 100_000), (10**10, 1), (10**10, 10**10)]
)
@pytest.mark.parametrize("version", ["1.18", "1.23", "1.24", "1.27"])
def test_a_report_fits_80_columns(kind: str, peak: int, steady: int, version: str) -> None:
    made = plan(peak, steady, version, kind, turnovers=10**9)
    lines = list(report(made))
    assert max(map(len, lines)) <= 80
    assert not any(line.endswith(" ") for line in lines)
    said = "".join("".join(lines).split())
    assert "".join(recommendation(made).split()) in said and "".join(kind.split()) in said
    words = set(recommendation(made).split()) | set(kind.split())
    whole = "\n".join(lines)
    assert all(word in whole for word in words if len(word) < 70), "a word was broken"


def test_a_report_starts_with_its_conclusion() -> None:
    for made in (plan(1_000_000, 1_000), plan(1_000, 1_000, "1.24")):
        title, blank, conclusion, *_ = report(made)
        assert title.startswith("map[int][128]byte, Go 1.2") and blank == ""
        assert conclusion.startswith("-> " + recommendation(made)[:40])


def test_a_report_explains_its_words_where_they_first_appear() -> None:
    def first(word: str, made: Plan) -> str:
        text = " ".join(" ".join(report(made)).split())
        return text[text.index(word) :][:80]

    classic, constant = plan(1_000_000, 1_000), plan(1_000, 1_000)
    assert first("B = ", classic).startswith("B = 18: the table has 2^B = 262,144 buckets")
    assert "old tables, until a collection" in first("garbage of growth", classic)
    assert first("transient", classic).startswith("transient: the most for a moment")
    assert first("turnovers", constant).startswith("turnovers (each replaces every entry once)")
    stays = plan(8, 8)
    assert "each replaces every entry once" in first("turnovers", stays)


def test_a_figure_stays_beside_its_unit() -> None:
    for size in range(40, 80):
        assert any("12.5 MiB" in line for line in wrap("x" * size + " 12.5 MiB stay"))
