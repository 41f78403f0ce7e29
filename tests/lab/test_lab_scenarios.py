"""The scenarios, driven with a subject that writes down what it is asked."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_helpers import Paper

from ebbmap.lab.bench import Bench
from ebbmap.lab.model import Settings
from ebbmap.lab.scenarios import SCENARIOS
from ebbmap.lab.subjects import PYTHON, UnavailableError
from ebbmap.lab.subjects.base import MapSubject
from ebbmap.lab.wire import Wire

STEPPED = [scenario.name for scenario in SCENARIOS.values() if scenario.steps]


class Recorder(MapSubject):
    """A dict that keeps a diary and notes the most entries it ever held."""

    def __init__(self) -> None:
        self.held: dict[int, bytes] = {}
        self.diary: list[str] = []
        self.most = 0
        super().__init__(self.held, self.set, self.held.__delitem__)

    def set(self, key: int, value: bytes) -> None:
        self.held[key] = value
        self.most = max(self.most, len(self.held))

    def maintain(self) -> None:
        self.diary.append("maintain")

    def collect(self) -> None:
        self.diary.append("collect")


def _drive(name: str, n: int, value_bytes: int = 16) -> tuple[Recorder, Paper]:
    subject, paper = Recorder(), Paper()
    bench = Bench(paper, lambda: lambda: len(subject.held), value_bytes)
    SCENARIOS[name].prepare(Settings(name, n, value_bytes))(bench, lambda: subject)
    return subject, paper


@pytest.mark.parametrize("name", STEPPED)
@pytest.mark.parametrize("n", [1, 49, 50, 51, 1000])
def test_steps_come_in_order_each_begun_and_ended(name: str, n: int) -> None:
    _, paper = _drive(name, n)
    begun = [sent["step"] for sent in paper.of("begin")]
    assert begun == list(SCENARIOS[name].steps)
    assert len(paper.of("end")) == len(begun)
    assert set(SCENARIOS[name].told) <= set(begun)
    assert max(sent["done"] for sent in paper.of("progress")) == 1.0


def test_fill_drain() -> None:
    subject, paper = _drive("fill-drain", 1000)
    assert [end["entries"] for end in paper.of("end")] == [0, 1000, 1000, 0]
    assert [end["heap_bytes"] for end in paper.of("end")] == [0, 1000, 1000, 0]
    assert subject.diary == ["collect", "collect", "maintain", "collect"]
    slowest = [end["slowest_op_ns"] for end in paper.of("end")]
    assert [bool(each) for each in slowest] == [False, True, False, True]
    for end in paper.of("end"):
        assert 0 <= end["slowest_op_ns"] <= end["seconds"] * 1e9


def test_churn_keeps_its_size_and_renews_every_entry() -> None:
    subject, paper = _drive("churn", 1000)
    assert [end["entries"] for end in paper.of("end")] == [0, *[1000] * 5]
    assert sorted(subject.held) == list(range(3000, 4000))
    assert subject.most == 1000
    assert subject.diary.count("maintain") == 3


@pytest.mark.parametrize("value_bytes", [0, 1, 128, 10_000])
def test_values_are_distinct_objects_of_the_size_asked(value_bytes: int) -> None:
    subject, paper = Recorder(), Paper()
    bench = Bench(paper, lambda: lambda: 0, value_bytes)
    held = bench.start(lambda: subject)
    with bench.step("filled", held) as step:
        step.fill(held, range(100))
    values = list(subject.held.values())
    assert {len(value) for value in values} == {value_bytes}
    if value_bytes > 1:  # CPython shares shorter ones
        assert len({id(value) for value in values}) == 100


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    os.close(ends[0])


def test_a_worker_whose_lab_is_gone_ends(pipe: tuple[int, int]) -> None:
    source, sink = pipe
    wire = Wire(source, sink)
    wire.send("progress", done=0.5)
    os.close(sink)
    assert json.loads(os.read(source, 100)) == {"event": "progress", "done": 0.5}
    with Path(os.devnull).open("wb") as nowhere, pytest.raises(SystemExit):
        Wire(source, nowhere.fileno()).ask("ready")


@pytest.mark.parametrize("name", PYTHON)
def test_each_subject_sets_and_removes(name: str) -> None:
    try:
        kind = PYTHON[name]()
    except UnavailableError as error:
        pytest.skip(str(error))
    subject = kind.make(Settings("fill-drain", 100, 20))
    for key in range(100):
        subject.put(key, b"x" * 20)
    counted = subject.entries()
    for key in range(100):
        subject.remove(key)
    subject.maintain()
    subject.collect()
    assert kind.version
    assert subject.heap_bytes(lambda: 0) >= 0
    if not kind.partial:  # else it counts what is pending too
        assert (counted, subject.entries()) == (100, 0)
    subject.put(1, b"again")  # also after maintain
