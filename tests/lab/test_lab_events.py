"""Logs as people have them: forms of times, rows that do not fit, stray files, lines without end."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab_helpers import is_refused

from ebbmap.cli import main
from ebbmap.lab.course import SECOND
from ebbmap.lab.errors import LabError
from ebbmap.lab.traffic import folders, log, rates, times
from ebbmap.lab.traffic.files import LONGEST_LINE, Lines
from ebbmap.lab.traffic.tables import LONGEST_ROW, SEPARATORS, Table
from ebbmap.lab.traffic.times import Asked, Form, Reader, check_format

MOMENT = 1548972000 * SECOND
"""2019-01-31 22:00 in UTC."""
DAY = 86_400 * SECOND


def _read(*paths: Path, asked: Asked = times.UNASKED, columns: tuple[str, ...] = ()) -> log.Log:
    return log.read(paths, log.Columns("when", "who", columns), asked)


def _file(folder: Path, *rows: str, header: str = "when,who", name: str = "log.csv") -> Path:
    file = folder / name
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


def _refused(*paths: Path, asked: Asked = times.UNASKED, columns: tuple[str, ...] = ()) -> str:
    with pytest.raises(LabError) as caught:
        _read(*paths, asked=asked, columns=columns)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "2019-01-31 22:00:00 UTC",
        "2019-01-31 22:00:00 GMT",
        "2019-01-31 23:00:00 +0100",
        "2019-01-31T22:00Z",
        "2019/01/31 22:00",
        "2019-01-31 10:00 PM",
        "2019-01-31 10:00:00.000000000 p.m.",
        "[31/Jan/2019:18:00:00 -0400]",
        "31/Jan/2019:22:00:00",
        "Thu, 31 Jan 2019 18:00:00 -0400",
        "Thu, 31 Jan 2019 18:00:00 -0400 (EDT)",
        "31 Jan 2019 22:00:00 GMT",
        "31-JAN-2019 22:00",
        "Thu, 31 Jan 2019 17:00:00 EST",
        "Thu Jan 31 22:00:00 2019",
        "Thu Jan 31 22:00:00 UTC 2019",
        "January 31, 2019 10:00 PM",
    ],
)
def test_the_usual_forms_of_a_time(text: str) -> None:
    form, moment = Reader().text(text)
    assert moment == MOMENT
    assert form in (Form.ISO, Form.NAMED)


def test_a_fraction_is_kept_to_the_nanosecond() -> None:
    assert Reader().text("31/Jan/2019:22:00:00.123456789")[1] == MOMENT + 123_456_789
    assert Reader().text("1/31/2019 12:00 AM")[1] == MOMENT - 22 * 3600 * SECOND
    assert Reader().text("1/31/2019 12:00 PM")[1] == MOMENT - 10 * 3600 * SECOND


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (["20190131", "20190201", "20190202"], "numbers as yyyymmdd or yyyymmddHHMMSS"),
        (["2019013100", "2019020100", "2019020200"], "numbers as yyyymmdd or yyyymmddHHMMSS"),
        (["201901310000", "201902010000", "201902020000"], "numbers as yyyymmdd or yyyymmddHHMMSS"),
        (["20190131000000", "20190201000000", "20190202000000"], "numbers as yyyymmdd or yyyymmddHHMMSS"),
        (["43496", "43497", "43498.0"], "serial days of a spreadsheet"),
        (["1548892800", "1548979200", "1549065600"], "seconds since 1970"),
        (["1548892800000", "1548979200000", "1.5490656e12"], "milliseconds since 1970"),
    ],
)
def test_numbers_are_what_is_plausible(tmp_path: Path, numbers: list[str], said: str) -> None:
    found = _read(_file(tmp_path, *(f"{number},a" for number in numbers)))
    assert [moment - (MOMENT - MOMENT % DAY) for moment in found.moments] == [0, DAY, 2 * DAY]
    assert found.read_as == {said: 3}
    assert f"2019-01-31 00:00 to 2019-02-02 00:00, in 3 rows of 1 files. Times read as: {said} (3)." in (
        found.said()
    )


def test_days_to_come_are_days_too(tmp_path: Path) -> None:
    found = _read(_file(tmp_path, "20450131,a", "20450201,b"))
    assert (found.facts()["first"], found.facts()["last"]) == ("2045-01-31 00:00", "2045-02-01 00:00")


def test_serial_days_have_a_time_of_day(tmp_path: Path) -> None:
    found = _read(_file(tmp_path, "43496.9166666667,a", "43496.5,b"))
    assert [moment - MOMENT for moment in found.moments] == [0, -10 * 3600 * SECOND]


def test_numbers_from_0_are_seconds(tmp_path: Path) -> None:
    """A trace whose clock begins with itself, a day long: some of it could be a spreadsheet's days."""
    found = _read(_file(tmp_path, *(f"{second},{second % 9}" for second in range(0, 86_400, 60))))
    assert (found.moments[0], found.moments[-1]) == (0, 86_340 * SECOND)
    assert found.read_as == {"seconds from a start of their own": 1440}


@pytest.mark.parametrize("zero", ["0", "-1", "0.0", "1970-01-01 00:00:00", "1900-01-01", "2099-12-31", "12"])
@pytest.mark.parametrize("form", ["number", "date"])
def test_a_placeholder_is_no_time(tmp_path: Path, zero: str, form: str) -> None:
    first = 1_548_972_000
    said = [str(first + 60 * minute) for minute in range(1000)]
    if form == "date":
        said = [times.write(int(second)) for second in said]
    rows = [f"{zero if place % 50 == 0 else text},{place}" for place, text in enumerate(said)]
    found = _read(_file(tmp_path, *rows))
    assert (len(found.moments), found.implausible, found.visits().distinct) == (980, 20, 980)
    assert min(found.moments) == (first + 60) * SECOND
    assert "20 with an implausible time (such as " in found.said()
    assert sorted(found.customers) == list(range(980))


def test_a_log_of_long_ago_is_taken_whole(tmp_path: Path) -> None:
    found = _read(_file(tmp_path, "1900-01-01,a", "1850-06-01,b", "1920-01-01,c"))
    assert (len(found.moments), found.implausible) == (3, 0)


def test_numbers_that_fit_no_unit_together_are_not_guessed(tmp_path: Path) -> None:
    file = _file(tmp_path, *(f"{1_548_972_000 + n},a\n{n + 5},b" for n in range(20)))
    assert _refused(file) == (
        "the times are numbers that fit no unit together, such as '1548972000' and '5': "
        "say which by --time-unit"
    )
    found = _read(file, asked=Asked(unit="seconds"))
    assert found.read_as == {"--time-unit seconds": 20}
    assert found.implausible == 20  # the small ones, beside real times


@pytest.mark.parametrize(
    ("unit", "number"),
    [
        ("seconds", "1548972000"),
        ("milliseconds", "1548972000000"),
        ("microseconds", "1548972000000000"),
        ("nanoseconds", "1548972000000000000"),
        ("excel", "43496.916666666667"),
    ],
)
def test_a_unit_that_was_given_is_taken(tmp_path: Path, unit: str, number: str) -> None:
    found = _read(_file(tmp_path, f"{number},a"), asked=Asked(unit=unit))
    assert abs(found.moments[0] - MOMENT) < 1_000_000
    assert found.read_as == {f"--time-unit {unit}": 1}


def test_a_unit_settles_a_clock_that_starts_with_the_log(tmp_path: Path) -> None:
    file = _file(tmp_path, *(f"{n * 60_000},a" for n in range(100)))
    assert _read(file, asked=Asked(unit="milliseconds")).moments[-1] == 99 * 60 * SECOND


def test_a_format_that_was_given_is_taken(tmp_path: Path) -> None:
    file = _file(tmp_path, "31.01.2019 22.00;a", "soon;b", "8/1/2019;c", header="when;who")
    found = _read(file, asked=Asked(format="%d.%m.%Y %H.%M"))
    assert list(found.moments) == [MOMENT]
    assert (found.bad_time, found.refused) == (2, "soon")
    assert found.read_as == {"--time-format %d.%m.%Y %H.%M": 1}
    said = _refused(file, asked=Asked(format="%Y/%m/%d"))
    assert said.endswith("(such as '31.01.2019 22.00'); 'when' takes what --time-format says, %Y/%m/%d")


@pytest.mark.parametrize("text", ["%H:%M", "%b %d %H:%M:%S", "%Q", "%", "%Y", "soon", "%s"])
def test_what_is_no_format_with_a_day(text: str) -> None:
    with pytest.raises(ValueError, match="is not a format of strptime with year, month and day"):
        check_format(text)


@pytest.mark.parametrize(
    "text", ["%d/%m/%Y %H:%M", "%d/%b/%Y:%H:%M:%S %z", "%y%m%d", "%Y-%j", "%a %b %d %H:%M:%S %Y"]
)
def test_a_format(text: str) -> None:
    check_format(text)


@pytest.mark.parametrize(
    ("dates", "first", "order"),
    [
        (["8/1/1995 10:00 PM", "8/13/1995 1:00 AM"], "1995-08-01 22:00", "month/day/year"),
        (["8/1/1995 22:00", "13/1/1995 1:00"], "1995-01-08 22:00", "day/month/year"),
        (["01.08.1995", "13.08.1995"], "1995-08-01 00:00", "day/month/year"),
        (["8/8/1995", "9/9/1995"], "1995-08-08 00:00", "month/day/year"),
    ],
)
def test_one_date_tells_the_order_of_all(tmp_path: Path, dates: list[str], first: str, order: str) -> None:
    found = _read(_file(tmp_path, *(f"{date},a" for date in dates)))
    assert found.facts()["first"] == first
    assert found.read_as == {order: 2}


def test_an_order_that_nothing_tells_is_not_guessed(tmp_path: Path) -> None:
    file = _file(tmp_path, "8/1/1995,a", "8/8/1995,b")
    said = _refused(file)
    assert said.startswith(
        "the times are dates such as '8/1/1995', and none tells whether the day or the month"
    )
    assert "say which by --time-format, such as '%d/%m/%Y %H:%M'" in said
    assert _read(file, asked=Asked(format="%d/%m/%Y")).facts()["first"] == "1995-01-08 00:00"
    both = _file(tmp_path, "13/1/1995,a", "1/13/1995,b", name="both.csv")
    assert _refused(both).startswith("the times are dates of both orders, '13/1/1995' and '1/13/1995'")


def test_a_row_that_does_not_fit_the_header_takes_no_other_key(tmp_path: Path) -> None:
    file = _file(
        tmp_path,
        "1,Smith, John,anna",  # a comma that should be quoted
        "2,Jones,bert",
        "3,carl",
        "4,Brown,dora,,",  # nothing beyond: that fits
        '5,"Smith, John",emil',
        header="when,name,who",
    )
    found = _read(file)
    assert list(found.numbers) == ["bert", "dora", "emil"]
    assert (found.rows, found.misfits, found.first_misfit) == (5, 2, f"line 2 of {file}")
    assert f"2 that do not fit the header (such as line 2 of {file})" in found.said()


def test_a_lone_quotation_mark_swallows_nothing(tmp_path: Path) -> None:
    rows = [f'{place},{place},"' if place in (10, 4000) else f"{place},{place},x" for place in range(5000)]
    found = _read(_file(tmp_path, *rows, header="when,who,note"))
    assert (found.rows, found.misfits, len(found.moments)) == (5000, 2, 4998)


def test_lone_quotation_marks_close_together(tmp_path: Path) -> None:
    rows = [f'{place},{place},"' if place in (10, 12) else f"{place},{place},x" for place in range(20)]
    found = _read(_file(tmp_path, *rows, header="when,who,note"))
    assert (found.rows, found.misfits, len(found.moments)) == (20, 2, 18)


def test_a_quoted_field_may_go_on_in_the_next_lines(tmp_path: Path) -> None:
    rows = ['1,a,"two\nlines, and ""more"""', '2,b,5" of it', '3,"c\nd",x', "4,e,x"]
    found = _read(_file(tmp_path, *rows, header="when,who,note"))
    assert list(found.numbers) == ["a", "b", "c\nd", "e"]
    assert found.misfits == 0
    long = "x\n" * (LONGEST_ROW + 10)
    found = _read(_file(tmp_path, f'1,a,"{long}"', "2,b,x", header="when,who,note"))
    assert list(found.numbers) == ["b"]


@given(
    st.lists(st.lists(st.text('ab1,;"\n\r\t ', max_size=6), min_size=3, max_size=3), max_size=8),
    st.sampled_from(SEPARATORS),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_what_the_csv_module_writes_is_read_as_it_was(
    rows: list[list[str]], separator: str, quoting: Any
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, quoting=quoting)
    writer.writerows([["x", *row] for row in rows])
    text.seek(0)
    lines = Lines(io.StringIO(text.read(), newline=""), Path("log"))
    read = list(Table(lines, separator, ["", "a", "b", "c"], lambda _: False))
    trimmed = [["x", *(cell.lstrip(" ") for cell in row)] for row in rows]
    assert [row and ["x", *(cell.lstrip(" ") for cell in row[1:])] for row in read] == trimmed


def test_a_column_that_is_there_twice(tmp_path: Path) -> None:
    file = _file(tmp_path, "a,1,b", header="who,when,who")
    assert _refused(file) == f"{file} has 2 columns 'who': rename those that you do not mean"


def test_a_customer_is_one_whether_his_number_has_a_point_or_not(tmp_path: Path) -> None:
    found = _read(_file(tmp_path, "1,17850.0", "2,17850", "3,17850.00", "4,17850.5", "5,v1.0", "6,1.0.0"))
    assert list(found.numbers) == ["17850", "17850.5", "v1.0", "1.0.0"]
    assert ". Keys such as 17.0 read as 17: 2 rows" in found.said()


@pytest.mark.parametrize("missing", ["NULL", "\\N", "-", "nan", "NaN", "None", "<NA>", ""])
def test_what_stands_for_no_key_is_no_customer(tmp_path: Path, missing: str) -> None:
    found = _read(_file(tmp_path, "1,a", f"2,{missing}", f"3, {missing} "))
    assert list(found.numbers) == ["a"]
    assert found.without_key == {missing: 2}
    if missing:
        assert f"2 rows without a key ({missing}: 2)" in found.said()


@pytest.mark.parametrize("separator", [";", "\t", "|", ","])
def test_separators(tmp_path: Path, separator: str) -> None:
    rows = [separator.join(row) for row in (["1", "a,b;c", "x"], ["2", '"q"', "x"])]
    if separator in ",;":
        rows[0] = separator.join(["1", '"a,b;c"', "x"])
    found = _read(_file(tmp_path, *rows, header=separator.join(["when", "who", "note"])))
    assert list(found.numbers) == ["a,b;c", "q"]


@pytest.mark.parametrize("separator", [";", "\t", ","])
def test_no_header(tmp_path: Path, separator: str) -> None:
    file = _file(tmp_path, separator.join(["b", "2", "x"]), header=separator.join(["a", "1", "x"]))
    found = _read(file, columns=("who", "when", "rest"))
    assert (list(found.numbers), found.rows) == (["a", "b"], 2)
    assert "; if its first line names no columns, give --columns" in _refused(file)
    assert "2 that do not fit the header" in _refused(file, columns=("who", "when"))


def test_a_folder_names_what_it_passes_over(tmp_path: Path) -> None:
    for name in ("a.csv", "b.tsv", "c.CSV.GZ", "README.md", "_SUCCESS", ".hidden.csv", "e.csv"):
        _file(tmp_path, f"1,{name}", name=name)
    (tmp_path / "c.CSV.GZ").write_bytes(gzip.compress(b"when,who\n1,c\n"))
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress(b"when,who\n1,again\n"))
    (tmp_path / ".ipynb_checkpoints").mkdir()
    _file(tmp_path / ".ipynb_checkpoints", "1,again", name="a-checkpoint.csv")
    (tmp_path / "README.txt").write_text("What is when, and who.\n")
    found = _read(tmp_path, tmp_path / "a.csv")
    assert sorted(found.numbers) == ["a.csv", "b.tsv", "c", "e.csv"]
    over = {str(Path(name).relative_to(tmp_path)) for name in found.passed_over}
    assert over == {
        ".hidden.csv",
        ".ipynb_checkpoints/a-checkpoint.csv",
        "README.md",
        "README.txt",
        "_SUCCESS",
        "a.csv (again)",
        "e.csv.gz",
    }
    assert (
        f". Files passed over (7): {tmp_path}/.hidden.csv, " in found.said() and " and 2 more" in found.said()
    )
    assert found.facts()["passed_over"] == found.passed_over


def test_a_folder_passes_over_what_is_no_regular_file(tmp_path: Path) -> None:
    log = _file(tmp_path, "1,a", name="a.csv")
    (tmp_path / "b.csv").symlink_to(tmp_path / "gone.csv")
    (tmp_path / "c.csv").symlink_to(tmp_path / "c.csv")
    os.mkfifo(tmp_path / "d.csv")
    (tmp_path / "e.csv").symlink_to(tmp_path / "d.csv")
    (tmp_path / "f.csv").symlink_to(os.devnull)
    os.mkfifo(tmp_path / "g.txt")
    (tmp_path / "h.csv").symlink_to(_file(tmp_path.parent, "2,b", name=f"{tmp_path.name}.csv"))
    found = folders.find([tmp_path], lambda _: True)  # to read a pipe would never end
    assert found.files == [log, tmp_path / "h.csv"]
    assert found.passed_over == [f"{tmp_path}/{name} (no regular file)" for name in _ODD]
    said = _read(tmp_path)
    assert sorted(said.numbers) == ["a", "b"] and f"{tmp_path}/b.csv (no regular file), " in said.said()


_ODD = ("b.csv", "c.csv", "d.csv", "e.csv", "f.csv", "g.txt")


def test_a_folder_without_a_log_says_what_it_holds(tmp_path: Path) -> None:
    _file(tmp_path, "1,a", name="log.txt", header="at,who")
    assert _refused(tmp_path).endswith(".parquet and has the columns; it holds: log.txt")


@pytest.mark.parametrize("columns", [(), ("when", "who")])
def test_texts_in_a_folder_are_read_if_they_have_the_columns(
    columns: tuple[str, ...], tmp_path: Path
) -> None:
    header = "" if columns else "when;who\n"
    texts = {
        "one.txt": f"{header}1;a\n".encode(),
        "two.txt.gz": gzip.compress(f"{header}2;b\n".encode()),
        "three.gz": gzip.compress(f"{header}3;c\n".encode()),
        "data.json.gz": gzip.compress(f"{header}4;d\n".encode()),
        "requirements.txt": b"numpy\npandas\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
    found = _read(tmp_path, columns=columns)
    assert sorted(found.numbers) == ["a", "b", "c"]
    assert {Path(name).name for name in found.passed_over} == {
        "data.json.gz",
        "requirements.txt",
    }


def test_a_log_packed_as_zstandard_is_found_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "log.zst").write_bytes(_zstandard(b"when,who\n1,a\n"))
    (tmp_path / "log2.txt.zst").write_bytes(_zstandard(b"when,who\n1,b\n"))
    assert sorted(_read(tmp_path).numbers) == ["a", "b"]


def _zstandard(data: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard", reason="zstandard is not installed")
    packed: bytes = zstandard.ZstdCompressor().compress(data)
    return packed


def test_zstandard(tmp_path: Path) -> None:
    rows = "".join(f"{place},{place % 1000}\n" for place in range(100_000))
    one, two = _zstandard(b"when,who\n" + rows.encode()), _zstandard(b"100000,last\n")
    file = tmp_path / "log.csv.zst"
    file.write_bytes(one + two)
    found = _read(tmp_path)
    assert (found.rows, len(found.numbers)) == (100_001, 1001)
    file.write_bytes(one[:-20])
    assert _refused(file).startswith(f"can't read {file}: ")
    file.write_bytes(b"no Zstandard at all")
    assert _refused(file).startswith(f"can't read {file}: ")


def test_zstandard_of_the_standard_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python 3.14, whose decompressor has the methods of the package's."""
    packed = _zstandard(b"when,who\n1,a\n")
    zstandard = sys.modules["zstandard"]
    own = SimpleNamespace(
        ZstdDecompressor=zstandard.ZstdDecompressor().decompressobj, ZstdError=zstandard.ZstdError
    )
    monkeypatch.setitem(sys.modules, "compression.zstd", own)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    file = tmp_path / "log.csv.zst"
    file.write_bytes(packed)
    assert list(_read(file).numbers) == ["a"]


def test_zstandard_without_its_library_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    file = tmp_path / "log.csv.zst"
    file.write_bytes(b"")
    assert _refused(file) == f"{file} needs zstandard: pip install 'ebbmap[zstd]'"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", " has no column 'when'; it has: \\x89PNG"),
        (b"when\x1b[31m,who\n1,a\n", " is not a text file: its first line holds \\x1b"),
        (b"PK\x03\x04 when,who\n", " is not a text file: its first line holds \\x03"),
        (b"when,\xc2\x9bwho\n1,a\n", "it has: when, \\x9bwho"),
        ("when,who\n1,a\n".encode("utf-16"), " is in UTF-16: save it as UTF-8"),
        (b"when,who\n\x1b[31msoon\xff,a\n", "(such as '\\x1b[31msoon\\xff')"),
    ],
)
def test_no_raw_bytes_are_shown(
    tmp_path: Path,
    data: bytes,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "log.csv"
    file.write_bytes(data)
    assert said in _refused(file)
    words = ["lab", "blackfriday", "--events", str(file), "--time", "when", "--key", "who"]
    is_refused(words, said, capsys, monkeypatch)
    is_refused([*words, "--columns", "when,\x1bwho"], "\\x1bwho", capsys, monkeypatch)


@pytest.mark.parametrize("read", [_read, rates.read], ids=["events", "rate-file"])
def test_a_line_without_end_takes_no_memory(tmp_path: Path, read: Callable[[Path], object]) -> None:
    file = tmp_path / "log.csv.gz"
    with gzip.open(file, "wb", compresslevel=1) as packed:
        packed.write(b"when,who\n" if read is not rates.read else b"period,count\n")
        for _ in range(64):
            packed.write(b"9" * (1 << 20))
    tracemalloc.start()
    with pytest.raises(LabError, match=rf"can't read .*: line 2 has more than {LONGEST_LINE:,} characters$"):
        read(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
@pytest.mark.parametrize("read", [_read, rates.read], ids=["events", "rate-file"])
def test_a_device_without_end(read: Callable[[Path], object]) -> None:
    with pytest.raises(LabError, match=r"^can't read /dev/zero: line 1 has more than 1,048,576 characters$"):
        read(Path("/dev/zero"))


def test_long_cells_are_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "log.csv.gz"
    with gzip.open(file, "wt", compresslevel=1) as packed:
        packed.write("when,who\n1,a\n")
        for place in range(64):
            packed.write(f"{place}{'x' * 1_000_000},a\n")
    tracemalloc.start()
    assert _read(file).bad_time == 64
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    rows = "".join(f"{1_548_972_000_000 + place},{place}\n" for place in range(50))
    writer = threading.Thread(target=pipe.write_text, args=("when,who\n" + rows,), daemon=True)
    writer.start()
    assert _read(pipe).read_as == {"milliseconds since 1970": 50}
    writer.join(10)


def test_the_flags_settle_it_and_the_json_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "logs[red]"
    folder.mkdir()
    file = _file(
        folder, "8/1/1995 10:00 PM;a;x", "8/2/1995 1:00 AM;b;x", "8/3/1995 1:00 AM;NULL;x", header="soon;c"
    )
    (folder / "notes.txt").write_text("")
    out, page = tmp_path / "out.json", tmp_path / "out.html"
    words = ["--events", str(folder), "--time", "when", "--key", "who", "--columns", "when,who,rest"]
    words += [
        "--time-format",
        "%m/%d/%Y %I:%M %p",
        "--subject",
        "dict",
        "--json",
        str(out),
        "--html",
        str(page),
    ]
    assert main(["lab", "blackfriday", *words]) == 0
    facts = json.loads(out.read_text())["traffic"]
    assert facts == {
        "files": 1,
        "passed_over": [str(folder / "notes.txt")],
        "rows": 4,
        "misfits": 1,
        "first_misfit": f"line 1 of {file}",
        "without_key": 1,
        "missing_keys": {"NULL": 1},
        "whole_number_keys": 0,
        "keys_not_utf8": 0,
        "bad_time": 0,
        "implausible_time": 0,
        "refused_time": None,
        "read_as": {"--time-format %m/%d/%Y %I:%M %p": 2},
        "visits": 2,
        "customers": 2,
        "first": "1995-08-01 22:00",
        "last": "1995-08-02 01:00",
    }
    said = re.sub(r"\s+", "", capsys.readouterr().out)
    assert "logs[red]/notes.txt" in said
    assert "--time-format &#39;%m/%d/%Y %I:%M %p&#39;" in page.read_text()


EVENTS = ("--events", "log.csv", "--time", "when", "--key", "who")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*EVENTS, "--time-unit", "weeks"], "--time-unit is one of seconds, milliseconds, "),
        ([*EVENTS, "--time-format", "%H:%M"], "--time-format: '%H:%M' is not a format of strptime with year"),
        ([*EVENTS, "--time-unit", "ms", "--time-format", "%Y%m%d"], "--time-unit and --time-format both say"),
        ([*EVENTS, "--columns", "when,where"], "--columns must have 'who' once, not 'when,where'"),
        ([*EVENTS, "--columns", "who,when,who"], "--columns must have 'who' once, not 'who,when,who'"),
        (["--time-unit", "ms"], "--time-unit needs --events"),
        (["--columns", "a,b"], "--columns needs --events"),
    ],
)
def test_a_mistake_is_one_line_and_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    is_refused(["lab", "blackfriday", *words], said, capsys, monkeypatch)
