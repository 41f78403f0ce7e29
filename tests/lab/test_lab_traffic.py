"""Who comes when: durations, times, made curves, curves from files, and real logs."""

from __future__ import annotations

import bz2
import gzip
import lzma
from array import array
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebbmap._convert.units import seconds
from ebbmap.lab import durations
from ebbmap.lab.course import SECOND
from ebbmap.lab.errors import LabError
from ebbmap.lab.traffic import curve, log, rates, times, visits
from ebbmap.lab.traffic.request import Request, prepared
from ebbmap.lab.traffic.times import Asked, Form

HOUR = 3600 * SECOND


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("20s", 20),
        ("10m", 600),
        ("24h", 86_400),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("500ms", 0.5),
        ("7d", 604_800),
        ("90", 90),
        (" 2s ", 2),
        ("1w", 604_800),
        ("1h 30m", 5400),
        ("1m500ms", 60.5),
        ("0.000000001s", 1e-9),
    ],
)
def test_durations(text: str, found: float) -> None:
    assert durations.nanoseconds(text, "--window") == round(found * SECOND)


NO_DURATION = "must be seconds or text such as '90s' or '1h'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, NO_DURATION) for text in ("", "s", "-1s", "1x", "1e3s", "nan", "2S", "30m1h", "1.5h1m")),
        ("0s", "must be above 0 seconds"),
        ("0", "must be above 0 seconds"),
        ("0.0000000001s", "must be at least a nanosecond"),
    ],
)
def test_what_is_no_duration(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^--window {message}, not {text!r}$"):
        durations.nanoseconds(text, "--window")


@pytest.mark.parametrize("text", ["1w", "1h30m", "90s", "500ms", "1.5h", " 90 s ", "1w1d1h1m1s"])
def test_durations_are_read_as_the_library_reads_them(text: str) -> None:
    assert durations.nanoseconds(text, "--window") == round(seconds(text, "ttl") * SECOND)


@pytest.mark.parametrize("text", ["20000d", "300000d", "9" * 400, f"1{'0' * 400}d", f"{'9' * 308}w1d"])
def test_a_duration_has_an_end(text: str) -> None:
    with pytest.raises(ValueError, match=r"^--window must be below 20,000d, not") as caught:
        durations.nanoseconds(text, "--window")
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize("text", ["20s", "1h30m", "24h", "7d", "2.5s", "1m500ms", "1h1s", "60.0005s"])
def test_durations_are_written_as_they_are_typed(text: str) -> None:
    assert durations.write(durations.nanoseconds(text, "--window")) == text


@given(st.integers(1, durations.LONGEST // 2))
def test_what_is_written_can_be_read(duration: int) -> None:
    read = durations.nanoseconds(durations.write(duration), "--window")
    assert read == pytest.approx(duration, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2010-12-01 08:26:00", 1291191960.0),
        ("2010-12-01T08:26:00Z", 1291191960.0),
        ("2010-12-01T09:26:00.5+01:00", 1291191960.5),
        ("2010-12-01", 1291161600.0),
        ("1291191960", 1291191960.0),
        (" 1291191960.25 ", 1291191960.25),
        ("1969-12-31 23:59:59", -1.0),
    ],
)
def test_times(text: str, moment: float) -> None:
    assert times.Reader().text(text)[1] == round(moment * SECOND)


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "nan", "inf", "2010-13-01", "08:26", "0x10", "1_000", "\N{SUPERSCRIPT TWO}"),
        *("31/31/2019", "2019-02-30 10:00 PM", "1/31/2019 13:00 PM", "1/31/2019 24:01", "31/Foo/2019"),
        *("2019-01-31 24:00 PM", "2019-01-31T24:00:01Z", "2019-01-31 25:00", "2019-01-31 22:00:61"),
        *("1/2/03", "2019-01-31 10:00 XST", "2019-01-31 10:00 +25:00", "2019-01-31 10:61 UTC"),
    ],
)
def test_what_is_no_time(text: str) -> None:
    assert times.Reader().text(text) == times.NO_TIME


@pytest.mark.parametrize("text", ["9999-12-31", "0001-01-01", "1676-01-01", "2263-01-01"])
def test_what_64_bits_do_not_hold_is_told_apart(text: str) -> None:
    assert times.Reader().text(text) == (Form.BEYOND, 0)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2016-12-31 23:59:60.5", "2017-01-01 00:00:00.5"),
        ("31/Dec/2016:18:59:60 -0500", "2017-01-01T00:00:00Z"),
        ("2019-01-31T24:00:00Z", "2019-02-01T00:00:00Z"),
        ("2019-12-31 24:00", "2020-01-01"),
    ],
)
def test_leap_seconds_and_the_end_of_a_day(text: str, same: str) -> None:
    assert times.Reader().text(text)[1] == times.Reader().text(same)[1] != 0


@pytest.mark.parametrize(
    ("written", "asked", "forms"),
    [
        ("%Y-%m-%dT%H:%M:%SZ", Asked(), "ISO 8601 (2019-01-31 22:00:00 UTC), "),
        ("%d.%m.%Y", Asked(format="%d.%m.%Y"), "what --time-format says, %d.%m.%Y"),
    ],
    ids=["iso", "format"],
)
@pytest.mark.parametrize("day", [datetime(9999, 12, 31), datetime(1677, 9, 21)])
def test_times_that_are_all_out_of_range_are_refused_as_such(
    written: str, asked: Asked, forms: str, day: datetime, tmp_path: Path
) -> None:
    text = day.strftime(written)
    file = _log(tmp_path, f"{text},a", f"{text},b")
    with pytest.raises(LabError) as caught:
        log.read([file], log.Columns("when", "who"), asked)
    said = "'when' takes times between 1677-09-21 00:12:43 and 2262-04-11 23:47:16: "
    assert f"2 with a bad time (such as '{text}'); {said}{forms}" in str(caught.value)


@pytest.mark.parametrize("text", ["1677-09-21 00:12:44", "2262-04-11 23:47:16"])
def test_times_just_within_the_range_are_taken(text: str) -> None:
    assert times.Reader().text(text)[0] is Form.ISO


@pytest.mark.parametrize("value", ["1e300", "-1e300", "9" * 30, 10**400, float("inf")])
def test_numbers_that_are_no_time(value: object) -> None:
    assert times.Reader().value(value) == times.NO_TIME


def test_a_number_that_is_no_time_in_seconds() -> None:
    assert times.Reader().value(253402300799000) == (Form.HUGE, 0)
    assert times.Reader(Asked(unit="seconds")).value(253402300799000) == (Form.BEYOND, 0)
    assert times.Reader(Asked(unit="nanoseconds")).value(253402300799000) == (Form.ASKED, 253402300799000)


def test_typed_times() -> None:
    reader, moment = times.Reader(), 1291191960 * SECOND
    assert reader.value(1291191960) == (Form.SECONDS, moment)
    assert reader.value(1291191960.0) == reader.value(Decimal(1291191960)) == (Form.SECONDS, moment)
    assert reader.value("2010-12-01 08:26") == (Form.ISO, moment)
    assert reader.typed(moment) == (Form.TYPED, moment)
    for value in (None, True, float("nan"), b"2010-12-01"):
        assert reader.value(value) == times.NO_TIME


def test_made_arrivals_follow_the_curve_and_some_come_again() -> None:
    window = 2 * SECOND
    made = curve.arrivals(window, curve.bell(peak=20_000, base=500))
    day, silence, back = curve.course(window)
    assert list(made.times) == sorted(made.times)
    assert not [at for at in made.times if silence.start < at < silence.end]
    slices = Counter(at * 20 // window for at in made.times)
    busiest = max(slices.values()) * 20
    assert 0.97 * 20_000 * 1.25 < busiest < 1.01 * 20_000 * 1.25  # every fifth visit is of a known customer
    assert slices[10] < slices[19] > slices[30]
    calm = len([at for at in made.times if at >= back.start]) * window / (back.end - back.start)
    assert calm == pytest.approx(500 * 1.25, rel=0.05)
    assert set(made.customers) == set(range(made.distinct))
    assert len(made.customers) == pytest.approx(1.25 * made.distinct, rel=0.001)
    again = curve.arrivals(window, curve.bell(20_000, 500))
    assert (again.times, again.customers) == (made.times, made.customers)
    assert day.end == silence.start


def test_visits_come_back_from_their_file(tmp_path: Path) -> None:
    made = visits.Visits(array("q", [0, 5, 9]), array("q", [0, 1, 0]), 2)
    made.write(tmp_path / "visits")
    assert visits.read(curve.plan(SECOND, str(tmp_path / "visits"), made)) == made


def _rates(folder: Path, lines: list[str]) -> list[float]:
    file = folder / "rates.csv"
    file.write_text("\n".join(["period,count", *lines]))
    return rates.read(file)


def test_a_short_curve_is_taken_whole(tmp_path: Path) -> None:
    assert _rates(tmp_path, ["0,5", "1,10", "2,0"]) == [0.5, 1.0, 0.0]
    assert _rates(tmp_path, ["2020-01-01 00:00,1", "2020-01-01 00:01,2"]) == [0.5, 1.0]
    assert _rates(tmp_path, ["Monday,1", "Tuesday,4"]) == [0.25, 1.0]


def test_of_a_long_curve_the_day_around_its_top_is_taken(tmp_path: Path) -> None:
    start = datetime(2020, 1, 1)
    counts = {start + timedelta(hours=hour): 1 for hour in range(24 * 10) if hour != 110}
    counts[start + timedelta(hours=100)] = 50
    found = _rates(tmp_path, [f"{moment},{count}" for moment, count in counts.items()])
    assert len(found) == 24
    assert found[12] == 1.0
    assert found[22] == 0.0  # the hour that is not in the file
    assert Counter(found) == {1 / 50: 22, 1.0: 1, 0.0: 1}


def test_periods_may_be_numbers_of_milliseconds(tmp_path: Path) -> None:
    start = 1_700_000_000
    found = _rates(tmp_path, [f"{start + hour * 3600}000,{hour % 24}" for hour in range(72)])
    assert len(found) == 24


def test_periods_of_one_moment_add_up(tmp_path: Path) -> None:
    days = [f"2020-01-{day:02},{count}" for day in range(1, 9) for count in (1, day)]
    assert _rates(tmp_path, days) == [1.0]
    hours = [f"2020-01-0{day} {hour:02}:00,1" for day in (1, 2, 3) for hour in range(24)]
    assert Counter(_rates(tmp_path, [*hours, "2020-01-02 12:00,2"])) == {1.0: 1, 1 / 3: 23}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("period,count\n2020-01-01,5\nsoon,1\n", "has periods that are times, and one that is none: 'soon'"),
        ("period,count\n0,5\n1,1e300\n", "has a row that is not period,count: '1,1e300'"),
        ("when,count\n1,2\n", "has no column 'period'; it has: when, count"),
        ("", "has no column 'period'; it has: none"),
        ("period,count\n", "has no period with a count above 0"),
        ("period,count\n1,0\n", "has no period with a count above 0"),
        ("period,count\n1,many\n", "has a row that is not period,count: '1,many'"),
        ("period,count\n1,-1\n", "has a row that is not period,count: '1,-1'"),
        ("period,count\n1\n", "has a row that does not fit its header: line 2"),
    ],
)
def test_a_bad_curve(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "rates.csv"
    file.write_text(text)
    with pytest.raises(LabError) as caught:
        rates.read(file)
    assert str(caught.value) == f"{file} {said}"


LOG = "id,when,who\n1,1970-01-01 00:01:40,anna\n2,30,bert\n3,30,\n4,soon,carl\n5,100,bert\n6,40, anna \n7\n\n"


def _read(*paths: Path, time: str = "when", key: str = "who") -> log.Log:
    return log.read(paths, log.Columns(time, key))


def test_rows_are_sorted_and_those_left_out_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text(LOG)
    found = _read(file)
    coming = found.visits()
    assert [at // SECOND for at in coming.times] == [0, 10, 70, 70]
    names = {number: name for name, number in found.numbers.items()}
    assert [names[customer] for customer in coming.customers] == ["bert", "anna", "anna", "bert"]
    assert (found.rows, found.without_key, found.bad_time, found.misfits) == (7, {"": 1}, 1, 1)
    assert coming.distinct == 2
    assert (
        "Left out: 1 rows without a key, 1 with a bad time (such as 'soon'), 1 that do not fit the header "
        f"(such as line 8 of {file})" in found.said()
    )
    assert found.facts()["first"] == "1970-01-01 00:00"


def _log(folder: Path, *rows: str) -> Path:
    file = folder / "log.csv"
    file.write_text("\n".join(["when,who", *rows]))
    return file


def test_a_time_out_of_range_is_bad_not_fatal(tmp_path: Path) -> None:
    file = _log(tmp_path, "9999-12-31,a", "2020-01-01,b", "0001-01-01,c", "1e300,d", "2020-01-02,e")
    found = _read(file)
    assert (found.rows, found.bad_time, len(found.moments)) == (5, 3, 2)


@pytest.mark.parametrize(
    ("zeros", "unit"), [(0, "seconds"), (3, "milliseconds"), (6, "microseconds"), (9, "nanoseconds")]
)
def test_numbers_are_of_the_unit_that_fits(tmp_path: Path, zeros: int, unit: str) -> None:
    rows = [f"{1700000000 + second}{'0' * zeros},{second % 7}" for second in range(40)]
    found = _read(_log(tmp_path, *rows, "9999-12-31,never", f"253402300799{'0' * zeros},never"))
    assert found.read_as == {f"{unit} since 1970": 40}
    assert (len(found.moments), found.bad_time) == (40, 2)
    assert found.facts()["first"] == "2023-11-14 22:13"
    assert f"Times read as: {unit} since 1970 (40)." in found.said()


def test_a_log_spans_200_years_at_most(tmp_path: Path) -> None:
    file = _log(tmp_path, "1700-01-01,a", "2250-01-01,b")
    with pytest.raises(LabError, match="the log goes from 1700-01-01 00:00 to 2250-01-01 00:00: a log of up"):
        _read(file)


def test_a_long_log_and_a_long_window_are_replayed(tmp_path: Path) -> None:
    file = _log(tmp_path, "1850-01-01,a", "2049-01-01,b")
    longest = durations.nanoseconds("19999d", "--window")
    request = Request(window=longest, events=(file,), time="when", key="who")
    with prepared(request, 16) as (settings, _):
        assert settings.course is not None and settings.course.end + longest // 100 < 1 << 63


def test_names_that_are_not_utf8_stay_apart(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_bytes("when,who\n1,Jürgen\n2,Jörgen\n3,Jürgen\n4,anna\n".encode("latin-1"))
    found = _read(file)
    assert found.facts()["customers"] == 3
    assert ". Keys not in UTF-8, told apart by their bytes: 2" in found.said()
    assert "UTF-8" not in _read(_log(tmp_path, "1,Jürgen")).said()


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".gz", gzip.compress),
        (".xz", lzma.compress),
        (".bz2", bz2.compress),
        ("", lambda data: b"\xef\xbb\xbf" + data),
    ],
)
def test_files_may_be_packed_or_marked(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    file = tmp_path / f"log.csv{suffix}"
    file.write_bytes(pack(LOG.encode()))
    assert len(_read(file).moments) == 4


def test_folders_and_files_in_any_number(tmp_path: Path) -> None:
    inside = tmp_path / "logs" / "2020"
    inside.mkdir(parents=True)
    for name in ("b.csv", "a.CSV", "notes.md"):
        (inside / name).write_text("who,when\nanna,5\n")
    other = tmp_path / "other"
    other.write_text("when,who\n1,bert\n")
    found = _read(tmp_path / "logs", other)
    assert found.files == 3
    assert found.facts()["visits"] == 3
    assert found.facts()["customers"] == 2


def _broken(folder: Path) -> list[tuple[Path, str]]:
    folder.mkdir()
    files = {
        "columns.csv": (b"time,customer\n1,2\n", "has no column 'when'; it has: time, customer"),
        "empty.csv": (b"", "has no column 'when'; it has: none"),
        "bad.csv.gz": (b"no gzip at all", "can't read"),
        "cut.csv.xz": (lzma.compress(LOG.encode() * 99)[:60], "can't read"),
        "all.tar.xz": (b"", "is an archive: unpack it and give the folder"),
        "rows.csv": (b"when,who\n", "no row has both a time and a key: 0 rows"),
        "useless.csv": (
            b"when,who\nsoon,anna\n1,\n",
            "no row has both a time and a key: 2 rows, 1 rows without a key, 1 with a bad time (such as "
            "'soon'); 'when' takes ISO 8601 (2019-01-31 22:00:00 UTC), 1/31/2019 10:00 PM, ",
        ),
    }
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    (folder / "nothing").mkdir()
    return [
        *((folder / name, said) for name, (_, said) in files.items()),
        (folder / "absent.csv", "can't read"),
        (folder / "nothing", "holds no file that ends in .csv, .tsv"),
    ]


def test_a_bad_log_is_named(tmp_path: Path) -> None:
    for path, said in _broken(tmp_path / "broken"):
        with pytest.raises(LabError) as caught:
            _read(path)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)


def test_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    moments = [datetime(2020, 1, 1, 0, 0, 2), datetime(2020, 1, 1), None, datetime(2020, 1, 1, 0, 0, 1)]
    table = arrow.table(
        {"when": arrow.array(moments, arrow.timestamp("ns")), "who": arrow.array([7.0, 8.0, 9.0, None])}
    )
    parquet.write_table(table, tmp_path / "log.parquet")
    found = _read(tmp_path)
    assert [at // SECOND for at in found.visits().times] == [0, 2]
    assert list(found.numbers) == ["7", "8"]
    assert (found.rows, found.without_key, found.bad_time) == (4, {"": 1}, 1)
    with pytest.raises(LabError, match="has no column 'who_'; it has: when, who"):
        _read(tmp_path, key="who_")
    (tmp_path / "log.parquet").write_bytes(b"no parquet")
    with pytest.raises(LabError, match="can't read"):
        _read(tmp_path)


def test_parquet_of_any_times_and_names(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    moments = arrow.array([2 << 40, None, 100, 1 << 50], arrow.timestamp("s"))
    days = arrow.array([100, 1 << 30, 101, None], arrow.date32())
    columns = {" When": moments, "day": days, "who ": ["a", "b", "a", "c"]}
    parquet.write_table(arrow.table(columns), tmp_path / "log.parquet")
    found = {time: _read(tmp_path, time=time) for time in ("When", "day")}
    assert list(found["When"].moments) == [100 * SECOND]
    assert list(found["day"].moments) == [24 * 100 * HOUR, 24 * 101 * HOUR]
    assert [each.bad_time for each in found.values()] == [3, 2]


def test_parquet_with_two_columns_of_a_name(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = [arrow.array(values) for values in ([1, 2], [3, 4], ["a", "b"])]
    table = arrow.Table.from_arrays(columns, names=["when", "when", "who"])
    parquet.write_table(table, tmp_path / "log.parquet")
    with pytest.raises(
        LabError, match=r"log\.parquet has 2 columns 'when': rename those that you do not mean"
    ):
        _read(tmp_path)


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "log.parquet").write_bytes(b"")
    with pytest.raises(LabError, match=r"needs pyarrow: pip install 'ebbmap\[parquet\]'"):
        _read(tmp_path)


def test_settings_survive_the_way_to_the_process() -> None:
    with prepared(Request(window=SECOND, peak=1000), value_bytes=16) as (settings, traffic):
        assert type(settings).from_json(settings.to_json()) == settings
        assert settings.course is not None
        assert Path(settings.course.file).stat().st_size == 16 * settings.course.visits
        assert traffic.facts["base"] == 25
    assert not Path(settings.course.file).exists()


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Request(peak=10, base=11), "--base 11 is more than --peak 10"),
        (
            Request(events=(Path("/nonexistent.csv"),), time="a", key="b"),
            "can't read /nonexistent.csv: No such file",
        ),
    ],
)
def test_what_can_not_be(request_: Request, said: str) -> None:
    with pytest.raises(LabError, match=said), prepared(request_, 16):
        pass
