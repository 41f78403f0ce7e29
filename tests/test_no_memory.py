"""Without memory nothing aborts: each native allocation fails in turn, and processes are at their limits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from map_helpers import run_to_done

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that refuses allocations."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux, for its C library, and a C compiler")
    made = tmp_path_factory.mktemp("shim") / "fail_alloc.so"
    subprocess.run([compiler, "-O1", "-fPIC", "-shared", "-o", made, HERE / "fail_alloc.c"], check=True)
    return made


@pytest.mark.parametrize("entries", [7, 60])
def test_each_allocation_of_each_operation_may_fail(shim: Path, entries: int) -> None:
    ran = subprocess.run(
        [sys.executable, HERE / "fail_alloc.py", str(entries)],
        env={**os.environ, "LD_PRELOAD": str(shim)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout.split()[0]) > 1000


@pytest.mark.parametrize("spare", [1, 4, 9, 10, 16])
def test_a_process_at_its_limit_is_swept(spare: int) -> None:
    pytest.importorskip("resource")
    run_to_done(f"""
        import resource, time
        from ebbmap import Cache
        caches = [Cache(ttl=0.3, key=int, value=bytes) for _ in range(50)]
        for c in caches:
            for i in range(300):
                c[i] = b"x" * 100
        with open("/proc/self/statm") as statm:
            used = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + ({spare} << 20), -1))
        end = time.monotonic() + 5
        while any(c.nbytes > 50_000 for c in caches) and time.monotonic() < end:
            time.sleep(0.05)
        assert all(len(c) == 0 for c in caches)
        for c in caches:
            c._check()
        print("done")
    """)
