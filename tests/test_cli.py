"""What all commands share: counts, standard output that is full, closed or left, and being told to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ebbmap import __version__
from ebbmap.cli import main
from ebbmap.cli.counts import count
from ebbmap.cli.errors import UserError
from ebbmap.cli.files import Target, write

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


@pytest.mark.parametrize(
    "text", ["", "-1", "1501", "1.5", "15e-1", "1e999", "nan", "inf", "e", "9" * 5000, "\u0661"]
)
def test_what_is_no_count(text: str) -> None:
    with pytest.raises(UserError, match=r"^--n takes a whole number from 0 to 1,500 ") as caught:
        count("--n", text, 0, 1500)
    assert len(str(caught.value)) < 130


def test_what_is_no_unicode_is_written_all_the_same(tmp_path: Path) -> None:
    """Names of files may be any bytes, and come in as lone surrogates."""
    write(tmp_path / "page", "J\udcfcrgen.csv")
    assert (tmp_path / "page").read_text() == "J?rgen.csv\n"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to(file)  # which dangles
    with Target(link) as target:
        assert not file.exists()
        target.write("figures")
    assert link.is_symlink() and file.read_text() == "figures\n"
    file.chmod(0o640)
    write(link, "others")
    assert file.read_text() == "others\n" and file.stat().st_mode & 0o777 == 0o640
    assert sorted(tmp_path.iterdir()) == [file, link]


@pytest.mark.parametrize("old", [None, "old results"])
def test_what_fails_leaves_the_old_file(
    old: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    if old is not None:
        file.write_text(old)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with Target(file) as target:
        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(UserError, match=r"can't write .*file: No space left on device"):
            target.write("new")
    assert [each.read_text() for each in tmp_path.iterdir()] == ([] if old is None else [old])


def test_a_folder_that_takes_no_files_may_hold_one_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, opened = tmp_path / "file", os.open

    def refuses(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_EXCL:
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", refuses)
    with pytest.raises(UserError, match="Permission denied"):
        write(file, "new")
    file.write_text("old")
    write(file, "new")
    assert file.read_text() == "new\n"


def test_a_link_to_itself_is_no_file(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(link)
    with pytest.raises(UserError, match=r"can't write .*link: Too many levels of symbolic links"):
        write(link, "")


@pytest.mark.parametrize(
    "words",
    [["plan", "map[int]int", "--peak", "9", "--json"], ["draw", "map[int]int", "-o"], ["lab", "--html"]],
    ids=["plan", "draw", "lab"],
)
def test_a_pipe_that_nobody_reads_is_a_mistake(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe.svg"
    os.mkfifo(pipe)
    assert main([*words, str(pipe)]) == 2
    assert capsys.readouterr().err == f"ebbmap: can't write {pipe}: nobody reads from it\n"


def test_a_pipe_is_written_whole(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = tmp_path / "read"
    with read.open("w") as out, subprocess.Popen(["cat", pipe], stdout=out) as reader:
        with _open_when_read(pipe) as target:
            target.write("x" * 1_000_000)
        assert reader.wait(20) == 0
    assert read.read_text() == "x" * 1_000_000 + "\n"


def _open_when_read(pipe: Path) -> Target:
    for _ in range(1_000):
        try:
            return Target(pipe)
        except UserError:
            time.sleep(0.01)
    raise AssertionError("cat does not open the pipe")


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
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGQUIT"])
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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGINT"])
def test_told_to_end_a_build_leaves_nothing(name: str, tmp_path: Path) -> None:
    number = signal.Signals[name]
    folder, told = tmp_path / "tmp", tmp_path / "told"
    folder.mkdir()
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    os.mkfifo(told)
    answer = f"if [ $1 = env ]; then echo go1.23.1; echo {tmp_path}; exit; fi"
    build = f'mkdir "${{GOTMPDIR:-$TMPDIR}}/go-build1"; sleep 60 & echo $! >{told}; wait'
    go.write_text(f"#!/bin/sh\n{answer}\n{build}\n")
    go.chmod(0o755)
    default = "default_int_handler" if name == "SIGINT" else "SIG_DFL"
    begin = [
        sys.executable,
        "-c",
        f"import signal; signal.signal({int(number)}, signal.{default})\n{START[2]}",
    ]
    words = ["lab", "--subject", "go:inline", "--go", str(go)]
    environment = {"TMPDIR": str(folder), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen([*begin, *words], stderr=subprocess.DEVNULL, env=environment) as process:
        child = int(told.read_text())
        process.send_signal(number)
        assert process.wait(20) == (130 if name == "SIGINT" else 128 + number)
    assert not list(folder.iterdir())
    for _ in range(500):  # a signal takes its time on a busy machine
        if not _runs(child):
            break
        time.sleep(0.01)
    assert not _runs(child)


def _runs(process: int) -> bool:
    """Whether it is there, and no zombie that nobody has waited for."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["--version"])
    assert capsys.readouterr().out == f"ebbmap {__version__}\n"


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("through", [False, True], ids=["file", "pipe"])
def test_standard_output_by_its_name(name: str, through: bool, tmp_path: Path) -> None:
    file = tmp_path / "out"
    words = [*COMMANDS["plan"], "--json", name, "--no-chart"]
    answer = _piped(words, file) if through else _through_a_shell(words, f">{file}")
    assert answer.returncode == 0, answer.stderr
    text = file.read_text()
    assert text.startswith("{\n") and "-> Do nothing" in text.partition("\n}\n")[2]


def _piped(words: list[str], file: Path) -> subprocess.CompletedProcess[str]:
    shell = ["sh", "-c", f'"$@" | cat >{file}', "sh", *START, *words]
    return subprocess.run(shell, capture_output=True, text=True, check=False)
