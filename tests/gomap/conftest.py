"""Go toolchains and their probes, built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebbmap.gomap.probe import Toolchain, find_toolchains

TOOLCHAINS = find_toolchains()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `toolchain` runs with each that was found, or is skipped with the reason."""
    if "toolchain" in metafunc.fixturenames:
        absent = pytest.param(None, marks=pytest.mark.skip(reason="no Go toolchain found"), id="none")
        metafunc.parametrize(
            "toolchain",
            [pytest.param(found, id=found.release) for found in TOOLCHAINS] or [absent],
            scope="session",
        )


@pytest.fixture(scope="session")
def probe(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The probe, built by `toolchain`."""
    return toolchain.build(tmp_path_factory.mktemp("probe") / toolchain.release)


@pytest.fixture(scope="session")
def classic_and_swiss() -> tuple[Toolchain, Toolchain]:
    """One toolchain of each kind."""
    classic = [found for found in TOOLCHAINS if not found.version.swiss]
    swiss = [found for found in TOOLCHAINS if found.version.swiss]
    if not classic or not swiss:
        pytest.skip("needs a Go toolchain up to 1.23 and one from 1.24")
    return classic[-1], swiss[-1]
