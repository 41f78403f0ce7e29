"""What all commands share: counts, standard output that is full, closed or left, and being told to end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ebbmap.cli.counts import count
from ebbmap.cli.errors import UserError
from ebbmap.cli.files import write

START = [sys.executable, "-c", "import sys; from ebbmap.cli import main; sys.exit(main())"]
COMMANDS = {
    "plan": ["plan", "map[int]int", "--peak", "1e6"],
    "draw": ["draw", "map[int]int"],
    "lab": ["lab", "--n", "1e3", "--subject", "dict"],
}
commands = pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("1000", 1000), ("1_000", 1000), ("1e3", 1000), ("1.5E3", 1500)]
)
def test_counts(text: str, number: int) -> None:
    assert count("--n", text, 0, 1500) == number


@pytest.mark.parametrize("text", ["", "-1", "1501", "1.5", "15e-1", "1e999", "nan", "inf", "e", "9" * 5000])
def test_what_is_no_count(text: str) -> None:
    with pytest.raises(UserError, match=r"^--n takes a whole number from 0 to 1,500 ") as caught:
        count("--n", text, 0, 1500)
    assert len(str(caught.value)) < 130


def test_what_is_no_unicode_is_written_all_the_same(tmp_path: Path) -> None:
    """Names of files may be any bytes, and come in as lone surrogates."""
    write(tmp_path / "page", "J\udcfcrgen.csv")
    assert (tmp_path / "page").read_text() == "J?rgen.csv\n"


def _through_a_shell(words: list[str], where: str) -> subprocess.CompletedProcess[str]:
    shell = ["sh", "-c", f'exec "$@" {where}', "sh", *START, *words]
    return subprocess.run(shell, capture_output=True, text=True, check=False)


@commands
@pytest.mark.parametrize(
    ("where", "why"),
    [
        pytest.param(
            ">/dev/full",
            "No space left on device",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full"),
        ),
        (">&-", "it is closed"),
    ],
)
def test_standard_output_that_takes_nothing(words: list[str], where: str, why: str) -> None:
    answer = _through_a_shell(words, where)
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1] == f"ebbmap: can't write to standard output: {why}"
    assert "Traceback" not in answer.stderr and "Exception ignored" not in answer.stderr


@commands
def test_nobody_reads_any_more(words: list[str]) -> None:
    with subprocess.Popen([*START, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 141
    assert b"Traceback" not in errors and b"Exception ignored" not in errors


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_told_to_end_the_lab_leaves_nothing(name: str, tmp_path: Path) -> None:
    number = signal.Signals[name]
    words = ["lab", "blackfriday", "--peak", "1000", "--subject", "dict"]
    environment = {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    # A job in a shell's background may have signals ignored, and hands that down.
    begin = [sys.executable, "-c", f"import signal; signal.signal({int(number)}, signal.SIG_DFL)\n{START[2]}"]
    with subprocess.Popen([*begin, *words], stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        assert "1 subjects, about" in process.stderr.readline()
        assert list(tmp_path.glob("ebbmap-lab-*"))
        process.send_signal(number)
        assert process.wait(20) == 128 + number
    assert not list(tmp_path.iterdir())
