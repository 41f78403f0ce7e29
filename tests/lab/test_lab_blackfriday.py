"""`ebbmap lab blackfriday` and `last-n` as they are typed: real processes, small windows, a real log."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_helpers import is_refused, shared_data

from ebbmap.cli import main
from ebbmap.lab import experiment, toolchains
from ebbmap.lab.scenarios import SCENARIOS
from ebbmap.lab.subjects import CACHES, TIMED
from ebbmap.lab.traffic import log

KIB = 1024
OUTCOME_KEYS = {
    "subject",
    "version",
    "peak_alive",
    "peak_bytes",
    "rest_bytes",
    "wrong_answers",
    "answers",
    "slowest_op_ns",
    "settle_seconds",
    "late_seconds",
    "samples",
}
SAMPLE_KEYS = {"t": float, "alive": int, "held": int, "heap_bytes": int, "rss_bytes": int}


def _lab(out: Path, *words: str) -> dict[str, Any]:
    assert main(["lab", *words, "--json", str(out)]) == 0
    said: dict[str, Any] = json.loads(out.read_text())
    return said


def _by_subject(said: dict[str, Any]) -> dict[str, Any]:
    return {run["subject"]: run for run in said["runs"]}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A small day of all who take part, the hour being a second; with one Go at most."""
    chains, _ = toolchains.at_hand()
    out = tmp_path_factory.mktemp("day") / "day.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toolchains, "at_hand", lambda: (chains[:1], []))
        yield _lab(out, "blackfriday", "--window", "1s", "--peak", "20000", "--base", "2000")


def test_json_of_blackfriday_has_the_agreed_form(day: dict[str, Any]) -> None:
    assert (day["scenario"], day["n"], day["value_bytes"], day["window"]) == ("blackfriday", 20_000, 128, 1.0)
    assert [phase["phase"] for phase in day["phases"]] == ["day", "silence", "back"]
    assert [phase["touched"] for phase in day["phases"]] == [True, False, True]
    assert day["traffic"]["base"] == 2000
    assert day["runs"]
    for run in day["runs"]:
        assert set(run) == OUTCOME_KEYS
        assert 3.6 <= run["samples"][-1]["t"] <= 3.6 + run["late_seconds"] + 0.1
        assert run["rest_bytes"] == run["samples"][-1]["rss_bytes"] <= run["peak_bytes"]
        assert run["peak_alive"] < 20_000
        if run["late_seconds"] < 0.1:  # else the machine was busy, and customers came late
            assert run["peak_alive"] > 15_000
        for sample in run["samples"]:
            assert {name: type(value) for name, value in sample.items()} == SAMPLE_KEYS


def test_every_subject_runs_or_is_named(day: dict[str, Any]) -> None:
    ran, skipped = _by_subject(day), {skipped["subject"]: skipped["why"] for skipped in day["skipped"]}
    assert set(ran) | set(skipped) == set(SCENARIOS["blackfriday"].subjects)
    for subject, why in skipped.items():
        assert subject.startswith("go:") or "is not installed" in why, why
    assert {"ebbmap:cache", "ebbmap:cache:object", "dict", "dict:recreate"} <= set(ran)


def test_no_wrong_answers_of_ours_and_of_those_by_hand(day: dict[str, Any]) -> None:
    for subject, run in _by_subject(day).items():
        if subject.startswith(("ebbmap:", "dict", "go:")):
            assert run["wrong_answers"] == 0, subject
            assert run["answers"]["asked"] > 500


def _silent(run: dict[str, Any], phases: list[dict[str, Any]]) -> dict[str, Any]:
    """The last sample of the silence; where customers came late it ended later, but nobody was left then."""
    end = phases[1]["end"] + 0.02
    last: dict[str, Any] = next(
        (each for each in reversed(run["samples"]) if each["t"] > 2 and each["alive"] == 0),
        [sample for sample in run["samples"] if sample["t"] < end][-1],
    )
    return last


def test_in_the_silence_ours_empties_itself(day: dict[str, Any]) -> None:
    runs = _by_subject(day)
    for subject in ("ebbmap:cache", "ebbmap:cache:object"):
        after = _silent(runs[subject], day["phases"])
        assert after["alive"] == after["held"] == 0
        assert after["heap_bytes"] < 700 * KIB, subject
        assert runs[subject]["settle_seconds"] is not None
    if "cachetools.TTLCache" in runs:
        assert _silent(runs["cachetools.TTLCache"], day["phases"])["held"] > 5000


def test_a_new_map_gives_back_what_a_swept_one_keeps(day: dict[str, Any]) -> None:
    runs = _by_subject(day)
    kept, fresh = (_silent(runs[name], day["phases"])["heap_bytes"] for name in ("dict", "dict:recreate"))
    assert fresh < kept / 3
    if "go:inline" in runs:
        kept, fresh = (
            _silent(runs[name], day["phases"])["heap_bytes"] for name in ("go:inline", "go:recreate")
        )
        assert fresh < kept / 3


@pytest.fixture(scope="module")
def retail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder with the log, which is read once for all."""
    archive = shared_data("online-retail-by-day.tar.xz")
    if archive is None:
        pytest.skip("the Online Retail log is not here (EBBMAP_DATA, or ../shared/data)")
    folder = tmp_path_factory.mktemp("retail")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "read", functools.cache(log.read))
        yield folder


@pytest.mark.parametrize(("window", "alive"), [("24h", 171), ("1h", 34)])
def test_the_online_retail_log(retail: Path, tmp_path: Path, window: str, alive: int) -> None:
    names = ["ebbmap:cache", *(["dict", "go:inline", "theine.Cache"] if window == "24h" else [])]
    words = ["--events", str(retail), "--time", "InvoiceDate", "--key", "CustomerID", "--window", window]
    said = _lab(
        tmp_path / "out.json", "blackfriday", *words, *(w for name in names for w in ("--subject", name))
    )
    facts = said["traffic"]
    assert (facts["files"], facts["rows"], facts["without_key"], facts["bad_time"]) == (
        305,
        541_909,
        135_080,
        0,
    )
    assert (facts["visits"], facts["customers"], facts["first"]) == (406_829, 4372, "2010-12-01 08:26")
    runs = _by_subject(said)
    assert "ebbmap:cache" in runs
    assert set(runs) <= TIMED
    for run in runs.values():
        assert run["peak_alive"] == alive
        assert run["wrong_answers"] == 0
        assert run["answers"]["asked"] > 10_000
        assert [run["samples"][-1][name] for name in ("alive", "held")] == [0, 0]
    if window == "24h":
        (why,) = [skipped["why"] for skipped in said["skipped"] if skipped["subject"] == "theine.Cache"]
        assert why == "only knows the wall clock, so it can't replay a log at the log's own"


@pytest.mark.parametrize("name", sorted(TIMED & set(CACHES)))
def test_who_takes_a_timer_replays_a_log(name: str, tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    rows = [f"{minute % 7},{minute * 60}" for minute in range(2000)]
    file.write_text("\n".join(["who,when", *reversed(rows)]))
    words = ["--events", str(file), "--time", "when", "--key", "who", "--window", "3m", "--subject", name]
    said = _lab(tmp_path / "out.json", "blackfriday", *words)
    if said["skipped"]:
        pytest.skip(said["skipped"][0]["why"])
    (run,) = said["runs"]
    assert (run["peak_alive"], run["wrong_answers"]) == (3, 0)
    assert run["samples"][-1]["held"] == 0


def test_last_n(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = _lab(tmp_path / "out.json", "last-n", "--n", "500")
    assert (said["scenario"], said["n"]) == ("last-n", 500)
    runs = _by_subject(said)
    assert {"dict", "ebbmap:inline", "ebbmap:cache", "ebbmap:cache:object"} <= set(runs)
    for subject, run in runs.items():
        assert set(run) == OUTCOME_KEYS
        assert (run["peak_alive"], run["settle_seconds"]) == (500, None)
        if subject not in ("theine.Cache", "moka_py.Moka"):  # that keep others, or more for a while
            assert run["wrong_answers"] == 0, subject
            assert {sample["held"] for sample in run["samples"][1:]} == {500}
    if toolchains.everywhere():
        assert {"go:inline", "go:recreate"} <= set(runs)
    assert "last-n: 500 newest customers" in capsys.readouterr().out


EVENTS = ("--events", "log.csv", "--time", "when", "--key", "who")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--window", "soon"], "--window must be seconds or text such as '90s' or '1h', not 'soon'"),
        (["--window", "0s"], "--window must be above 0 seconds, not '0s'"),
        (["--window", "-5s"], "argument --window: expected one argument"),
        (["--peak", "0"], "--peak takes a whole number from 1 to 1,000,000,000"),
        (["--peak", "10", "--base", "20"], "--base 20 is more than --peak 10"),
        (["--peak", "10", "--n", "10"], "--n and --peak both say how many customers come: give one of them"),
        (["--events", "log.csv"], "--events needs --time COL and --key COL"),
        (["--events", "log.csv", "--time", "when"], "--events needs --time COL and --key COL"),
        (["--time", "when"], "--time needs --events"),
        ([*EVENTS, "--rate-file", "rates.csv"], "--rate-file can't be used with --events"),
        ([*EVENTS, "--peak", "5"], "--peak can't be used with --events"),
        ([*EVENTS, "--n", "5"], "--n can't be used with --events"),
        (EVENTS, "can't read log.csv: No such file or directory"),
        (["--rate-file", "absent.csv"], "can't read absent.csv: No such file or directory"),
        (["--subject", "lru.LRU"], "lru.LRU takes no part in blackfriday; those that do: go:inline, "),
        (["--subject", "hashmap"], "unknown subject 'hashmap'; known: go:inline, "),
    ],
)
def test_a_mistake_is_one_line_and_2(
    words: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    is_refused(["lab", "blackfriday", *words], said, capsys, monkeypatch)


@pytest.mark.parametrize("scenario", ["fill-drain", "churn", "last-n"])
def test_flags_of_blackfriday_are_refused_elsewhere(
    scenario: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lab", scenario, "--window", "2s"]) == 2
    assert f"--window is for blackfriday, not for {scenario}" in capsys.readouterr().err


def test_an_interrupt_ends_those_that_run(tmp_path: Path) -> None:
    """Two subjects run at a time; neither outlives the command."""
    words = [
        sys.executable,
        "-c",
        # A job in a shell's background has interrupts ignored, and hands that down.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from ebbmap.cli import main; raise SystemExit(main())",
        "lab",
        "blackfriday",
    ]
    words += ["--peak", "5000", "--subject", "dict", "--subject", "dict:recreate"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True) as process:
        children = _children(process.pid, 2)
        process.send_signal(2)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "ebbmap: interrupted"
    assert not [child for child in children if child.is_running() and child.status() != "zombie"]


def _children(pid: int, many: int) -> list[Any]:
    psutil = pytest.importorskip("psutil")
    for _ in range(2000):
        found: list[Any] = psutil.Process(pid).children()
        if len(found) == many or (found and experiment.MOST_ABREAST == 1):
            return found
        subprocess.run([sys.executable, "-c", ""], check=True)
    raise AssertionError("they did not start")
