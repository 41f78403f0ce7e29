"""`ebbmap lab` as it is typed: the tables, the JSON, and mistakes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lab_helpers import fake_go, is_refused, made_day, made_days, made_report, made_run
from rich.console import Console

from ebbmap.cli import main
from ebbmap.lab.model import Skipped
from ebbmap.lab.report.curves import leading, ticks
from ebbmap.lab.report.progress import watching
from ebbmap.lab.report.terminal import show
from ebbmap.lab.report.words import duration

STEP_KEYS = {
    "step": str,
    "entries": int,
    "payload_bytes": int,
    "heap_bytes": int,
    "rss_bytes": int,
    "peak_rss_bytes": int,
    "seconds": float,
    "slowest_op_ns": int,
}


def _lab(*words: str) -> int:
    return main(["lab", *words, "--n", "2000"])


def test_json_has_the_agreed_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    assert _lab("--subject", "dict", "--value-bytes", "16", "--json", str(out)) == 0
    said = json.loads(out.read_text())
    assert set(said) == {"scenario", "n", "value_bytes", "machine", "runs", "skipped"}
    assert (said["scenario"], said["n"], said["value_bytes"]) == ("fill-drain", 2000, 16)
    assert {name: type(value) for name, value in said["machine"].items()} == {
        "cpu": str,
        "cores": int,
        "os": str,
        "python": str,
    }
    (run,) = said["runs"]
    assert set(run) == {"subject", "version", "steps"}
    assert [step["step"] for step in run["steps"]] == ["empty", "filled", "collected", "drained"]
    for step in run["steps"]:
        assert {name: type(value) for name, value in step.items()} == STEP_KEYS
    assert run["steps"][1]["payload_bytes"] == 2000 * 24
    captured = capsys.readouterr()
    assert "[1/1] dict: " in captured.err  # progress, on standard error only
    assert "[1/1]" not in captured.out


def test_churn_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    assert _lab("churn", "--subject", "dict", "--subject", "dict:recreate", "--json", str(out)) == 0
    runs = json.loads(out.read_text())["runs"]
    assert [run["subject"] for run in runs] == ["dict", "dict:recreate"]
    assert [step["step"] for step in runs[0]["steps"]][2:] == [
        "collected",
        "turned-1",
        "turned-2",
        "turned-3",
    ]
    assert {step["entries"] for step in runs[0]["steps"][1:]} == {2000}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--subject", "hashmap"], "unknown subject 'hashmap'; known: go:inline, "),
        (["fill-up"], "SCENARIO is one of fill-drain, churn, last-n, blackfriday, not 'fill-up'"),
        (["--n", "0"], "--n takes a whole number from 1 to 1,000,000,000 (as 1000, 1_000 or 1e3), not '0'"),
        (["--n", "-5"], "--n takes a whole number from 1 to 1,000,000,000"),
        (["--n", "many"], "--n takes a whole number from 1 to 1,000,000,000"),
        (["--n", "1" + "0" * 29, "--subject", "ebbmap:inline"], "not '100000000000000000000000000000'"),
        (["--value-bytes", "-1"], "--value-bytes takes a whole number from 0 to 16,777,216"),
        (["--value-bytes", "1000000000000"], "--value-bytes takes a whole number from 0 to 16,777,216"),
        (["blackfriday", "--peak", "1e10"], "--peak takes a whole number from 1 to 1,000,000,000"),
        (["--json", "same", "--html", "./same"], "--json and --html are the same file, same: give each its"),
        (["--html", "-"], "--html takes a file, not standard output"),
        (["--json", "/nonexistent/out.json"], "can't write /nonexistent/out.json: No such file or directory"),
        (["--html", "/"], "can't write /: Is a directory"),
        (["--go", "1.23", "--subject", "dict"], "--go is for Go's maps: add --subject go:inline or another"),
        (["--go", "0.1"], "no Go toolchain '0.1' here; found: "),
        (["--go", "/nonexistent/go"], "no Go toolchain at /nonexistent/go"),
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["--bogus", "3"], "unrecognized arguments: --bogus"),
    ],
)
def test_a_mistake_is_one_line_and_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    is_refused(["lab", *words], said, capsys, monkeypatch)


def test_nothing_that_runs_is_a_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ebbmap.lab.experiment.measure", lambda launch, *_: Skipped(launch.subject, "it died")
    )
    assert _lab("--subject", "dict", "--subject", "dict:recreate") == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == "ebbmap: no subject could run: it died"
    assert "dict skipped: it died" in captured.out


def test_figures_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "--n", "1e3", "--subject", "dict", "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["n"] == 1000
    assert "payload alone" in captured.err
    assert not Path("-").exists()


def test_a_toolchain_that_does_not_build_is_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    go = fake_go(tmp_path, "go1.99.9", "echo compiler lost >&2; exit 1")
    assert _lab("--go", str(go), "--subject", "go:inline") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == f"ebbmap: go1.99.9 ({go}) does not build: compiler lost"


def test_checking_a_file_leaves_it_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, fresh = tmp_path / "kept", tmp_path / "fresh"
    kept.write_text("old results")
    assert _lab("--json", str(kept), "--html", str(fresh), "--subject", "nobody") == 2
    assert kept.read_text() == "old results"
    assert not fresh.exists()


def test_tables_and_chart_fit_80_columns_and_tell_who_keeps_memory() -> None:
    report = made_report(
        made_run("go:inline", 461, 293, "go1.23.9"),
        made_run("cachetools.LRUCache", 240, 42, "8.0.1"),
        made_run("ebbmap:inline", 106, 0),
        skipped=(Skipped("theine.Cache", "theine is not installed"),),
    )
    out = io.StringIO()
    show(report, Console(file=out, width=80, force_terminal=False))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines]
    assert ["go:inline", "1.23.9", "0.0", "461", "461", "293"] in rows
    assert ["ebbmap:inline", "1.0", "0.0", "106", "106", "0.0"] in rows
    assert ["cachetools.LRUCache", "0.0", "240", "240", "42", "240"] in rows  # RSS and its peak
    assert ["payload", "alone", "0.0", "100", "100", "0.0"] in rows
    assert "theine.Cache skipped: theine is not installed" in lines
    chart = [line for line in lines if "┤" in line or "│" in line]
    assert any("c" in line for line in chart)
    assert chart[0].startswith("500")


def test_a_day_fits_80_columns_too() -> None:
    report = made_days(
        made_day("cachebox.TTLCache:sweep", 230, 20, wrong=3),
        made_day("cachetools.TTLCache", 400, 300),
        made_day("ebbmap:cache", 110, 0),
    )
    out = io.StringIO()
    show(report, Console(file=out, width=80, force_terminal=False))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines]
    assert ["cachetools.TTLCache", "400", "300", "300", "400", "12.3", "s"] in rows
    assert ["payload", "alone", "100", "0.0", "0.0"] in rows
    assert ["cachebox.TTLCache:sweep", "2,000", "3", "0", "2.5", "ms"] in rows
    assert "silence, nobody asks the caches for anything" in " ".join(lines)
    chart = [line for line in lines if "┤" in line or "│" in line]
    assert any("·" in line for line in chart)  # what is alive
    assert any("silence to 64 s" in line for line in lines)


@pytest.mark.parametrize("width", [20, 40])
def test_figures_are_whole_in_a_narrow_terminal(width: int) -> None:
    out = io.StringIO()
    report = made_report(made_run("go:inline", 46_123, 29_345, "go1.23.9"), made_run("ebbmap:inline", 106, 0))
    show(report, Console(file=out, width=width, force_terminal=False))
    assert "…" not in out.getvalue()
    rows = [line.split() for line in out.getvalue().splitlines()]
    assert ["go:inline", "1.23.9", "0.0", "46,123", "46,123", "29,345"] in rows
    assert ["subject", "version", "empty", "filled", "collected", "drained"] in rows


def test_the_largest_sample_is_not_called_the_most() -> None:
    out = io.StringIO()
    show(made_days(made_day("dict", 230, 20)), Console(file=out, width=100, force_terminal=False))
    assert "top sample" in out.getvalue() and "most alive" not in out.getvalue()


def test_colours_say_who_keeps_memory() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system="standard", no_color=False)
    show(made_report(made_run("dict", 240, 42), made_run("ebbmap:inline", 106, 0)), console)
    assert "\x1b[31m     42\x1b[0m" in out.getvalue()
    assert "\x1b[32m   106\x1b[0m" in out.getvalue()


def test_nothing_ran_is_shown_too() -> None:
    out = io.StringIO()
    show(made_report(skipped=(Skipped("dict", "gone"),)), Console(file=out, width=80))
    assert "dict skipped: gone" in out.getvalue()


def test_the_chart_takes_the_newest_of_each_subject_the_story_first() -> None:
    names = ["go:inline", "go:pointer", "go:inline", "dict", "lru.LRU", "cachebox.Cache", "ebbmap:inline"]
    runs = [made_run(name, 1, 1, version=f"go1.{8 + place}.{place}") for place, name in enumerate(names)]
    assert [(run.subject, run.version) for run in leading(runs)] == [
        ("go:pointer", "go1.9.1"),
        ("go:inline", "go1.10.2"),
        ("dict", "go1.11.3"),
        ("cachebox.Cache", "go1.13.5"),
        ("ebbmap:inline", "go1.14.6"),
    ]


@pytest.mark.parametrize(
    ("top", "marks"),
    [
        (461, [0, 100, 200, 300, 400, 500]),
        (0, [0]),
        (1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (100, [0, 20, 40, 60, 80, 100]),
    ],
)
def test_ticks_are_round_and_reach_the_top(top: float, marks: list[float]) -> None:
    assert ticks(top)[: len(marks)] == pytest.approx(marks)
    assert ticks(top)[-1] >= top
    assert 2 <= len(ticks(top)) <= 7


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (66_420_212, "66.4 ms"),
        (1.43e9, "1.43 s"),
        (9.996e8, "1,000 ms"),
        (2e12, "2,000 s"),
    ],
)
def test_durations(nanoseconds: float, text: str) -> None:
    assert duration(nanoseconds) == text


def test_an_ascii_terminal_loses_characters_not_results() -> None:
    words = [
        sys.executable,
        "-c",
        "from ebbmap.cli import main; main()",
        "lab",
        "--n",
        "1000",
        "--subject",
        "dict",
    ]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    answer = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
    assert "CPython" in answer.stdout
    assert "?" in answer.stdout


def test_the_report_begins_with_the_conclusion() -> None:
    out = io.StringIO()
    report = made_report(made_run("dict", 240, 42), made_run("ebbmap:inline", 106, 0))
    show(report, Console(file=out, width=80))
    heading, *lines = out.getvalue().split("\n")[1:]
    assert heading.startswith("fill-drain: 771,000 integers")
    said = " ".join(" ".join(lines).split())
    assert said.startswith("In the end 0 entries are left, 0.0 MiB of payload. MiB of RSS still held:")
    assert "ebbmap:inline 0.0 (peak 106), dict 42 (peak 240)." in said


def test_progress_shows_control_characters_as_escapes() -> None:
    out = io.StringIO()
    with watching(Console(file=out, width=80)) as watcher:
        watcher.ends(None, Skipped("dict", "\x1b[2J\u202e"))
    assert out.getvalue() == "dict skipped: \\x1b[2J\\u202e\n"


@pytest.mark.parametrize("columns", ["0", "-1", "1", "abc", "", "80", "99999999"])
def test_any_width_will_do(columns: str) -> None:
    words = [
        sys.executable,
        "-c",
        "from ebbmap.cli import main; main()",
        "lab",
        "--n",
        "9",
        "--subject",
        "dict",
    ]
    environment = {**os.environ, "COLUMNS": columns}
    answer = subprocess.run(words, check=False, capture_output=True, text=True, env=environment)
    assert answer.returncode == 0 and "Traceback" not in answer.stderr
    assert "payload alone" in answer.stdout
