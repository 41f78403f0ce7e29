"""`ebbmap draw`: what the picture says, and the page, clicked in headless Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from browser import CHROMIUM, DRIVER, Browser

from ebbmap.cli import main
from ebbmap.gomap import GoVersion, parse_map
from ebbmap.gomap.draw import new_map, picture
from ebbmap.gomap.draw.scene import FULL, GONE, MOVED, scene
from ebbmap.gomap.draw.svg import describe

KIND = parse_map("map[int][128]byte")
SVG = "{http://www.w3.org/2000/svg}"


def filled(version: str, entries: int, deleted: int) -> Any:
    """The scene of a map with so many added, and then so many removed."""
    made = new_map(KIND, GoVersion.parse(version))
    for key in range(entries):
        made[key] = key
    for key in range(deleted):
        del made[key]
    return scene(made)


def slots(version: str, entries: int, deleted: int = 0) -> list[str]:
    """The states of all slots shown."""
    shown = filled(version, entries, deleted)
    return [
        state for row in shown.rows for column in row.columns for block in column.blocks for state in block
    ]


@pytest.mark.parametrize("version", ["1.19", "1.23", "1.24", "1.27"])
@pytest.mark.parametrize(
    ("entries", "deleted"), [(0, 0), (5, 0), (8, 8), (9, 0), (40, 35), (130, 100), (2000, 0)]
)
def test_a_picture_is_xml_that_says_what_it_shows(version: str, entries: int, deleted: int) -> None:
    root = ElementTree.fromstring(picture(KIND, GoVersion.parse(version), entries, deleted))
    assert root.get("role") == "img"
    description = root.findtext(f"{SVG}desc") or ""
    assert f"entries {entries - deleted:,}" in description
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert f"map[int][128]byte, Go {version}" in texts
    assert {"slot", "key", "element", "state", "full", "empty", "deleted"} <= set(texts)


def test_a_long_type_is_shown_whole() -> None:
    kind = parse_map("map[string]struct{" + "; ".join(f"Field{i} map[int]any" for i in range(9)) + "}")
    root = ElementTree.fromstring(picture(kind, GoVersion(27), 40, 0))
    title = [text.text or "" for text in root.iter(f"{SVG}text") if text.get("class") == "title"]
    assert " ".join(title) == f"{kind}, Go 1.27" and len(title) == 3
    assert max(map(len, title)) * 10.3 < 960 - 2 * 16  # pixels, in a monospaced font of 17


def test_the_picture_shows_each_entry_once() -> None:
    for version in ("1.23", "1.27"):
        for entries in (0, 1, 8, 9, 28, 100):
            assert slots(version, entries).count(FULL) == entries


def test_deleted_and_moved_slots_are_told_apart() -> None:
    assert GONE in slots("1.23", 40, 20)
    assert MOVED in slots("1.23", 209)  # it has just grown
    assert slots("1.23", 40, 40).count(FULL) == 0
    assert GONE in slots("1.27", 800, 400)


def test_states_differ_in_form_not_only_in_colour() -> None:
    root = ElementTree.fromstring(picture(KIND, GoVersion(23), 10, 5))
    forms = {
        group.get("id"): re.sub(r'class="\w+"', "", ElementTree.tostring(group, encoding="unicode"))
        for group in root.iter(f"{SVG}g")
        if str(group.get("id")).startswith("s-")
    }
    assert len(set(forms.values())) == len(forms) == 8


def test_every_symbol_used_is_defined() -> None:
    for version in ("1.23", "1.27"):
        root = ElementTree.fromstring(picture(KIND, GoVersion.parse(version), 250, 100))
        defined = {f"#{group.get('id')}" for group in root.iter(f"{SVG}g")}
        assert {use.get("href") for use in root.iter(f"{SVG}use")} <= defined


def test_a_chain_is_opened_with_its_overflow_bucket() -> None:
    made = new_map(KIND, GoVersion(23))
    for key in range(104):
        made[key] = key
    shown = scene(made)
    assert len(shown.opened) == 2 and "1 overflow" in shown.opened_title
    assert "Opened: bucket" in describe(shown)


def _used(version: str, entries: int, deleted: int) -> tuple[int, int]:
    """Full and deleted slots: of what is opened, and of the column that has most."""
    shown = filled(version, entries, deleted)
    columns = [column for row in shown.rows if "old" not in row.title for column in row.columns]
    most = max(sum(state in (FULL, GONE) for block in column.blocks for state in block) for column in columns)
    return sum(slot.state in (FULL, GONE) for block in shown.opened for slot in block), most


@pytest.mark.parametrize("version", ["1.23", "1.27"])
@pytest.mark.parametrize(
    ("entries", "deleted"), [(0, 0), (40, 35), (40, 20), (130, 100), (2000, 1990), (2000, 2000)]
)
def test_what_is_opened_has_most_to_show(version: str, entries: int, deleted: int) -> None:
    opened, most = _used(version, entries, deleted)
    assert opened == most
    assert opened or entries == deleted


def test_the_legend_is_of_the_kind() -> None:
    classic, swiss = (scene(new_map(KIND, version)).legend for version in (GoVersion(23), GoVersion(27)))
    assert [state for state, _ in classic] == ["full", "empty", "deleted", "moved"]
    assert [state for state, _ in swiss] == ["full", "empty", "deleted"]
    assert "moved to the new array" not in picture(KIND, GoVersion(27), 40, 35)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["map[int", "--n", "3"], "column 8"),
        (["map[int]int", "--n", "x"], "--n takes a whole number from 0 to 5,000,000 (as"),
        (["map[int]int", "--n", "3", "--delete", "4"], "--delete takes a whole number from 0 to 3 (as"),
        (["map[int]int", "-o", "map.pdf"], "-o takes a file ending in .svg or .html, not 'map.pdf'"),
        (["map[int]int", "-o", "/nowhere/map.svg"], "can't write /nowhere/map.svg"),
        (["map[int]int", "--go", "0.9"], "not a Go version"),
        (["map[bool]int", "--n", "3"], "--n 3 is more than map[bool]int can have: its key bool has 2 values"),
        (["map[int]int", "--go", "1.28"], "--go: Go 1.28 is newer than this model"),
        (["map[int]Order"], "or give it: --type 'Order=struct{...}'"),
        (
            ["map[int][999999999999]byte", "-o", "page.html"],
            "a page takes up to 1.0 GiB of entries, not 40 of 1,000,000,000,007 bytes",
        ),
    ],
)
def test_a_mistake_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", *words]) == 2
    output = capsys.readouterr()
    assert message in output.err and output.err.count("\n") == 1 and output.out == ""


def test_a_picture_goes_through_any_encoding(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", "map[int][128]byte", "--n", "1e2"]) == 0
    drawn = capsys.readouterr().out
    assert drawn.isascii() and "overflow &#8595;" in drawn
    texts = [text.text for text in ElementTree.fromstring(drawn).iter(f"{SVG}text")]
    assert "overflow ↓" in texts


def test_without_a_file_the_picture_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", "map[string]int", "--n", "3"]) == 0
    assert capsys.readouterr().out.startswith("<svg")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not CHROMIUM or not DRIVER:
        pytest.skip("needs Chromium and its chromedriver")
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("page") / "map.html"
    assert main(["draw", "map[int][128]byte", "--n", "40", "-o", str(target)]) == 0
    return target


def bytes_held(browser: Browser) -> tuple[int, int]:
    """What Go's map and ebbmap's hold at the step shown."""
    go, ebb = browser.run("[frames[at].liveBytes, frames[at].heldBytes]")
    return go, ebb


def test_the_page_is_alone(page: Path) -> None:
    text = page.read_text()
    assert not re.findall(r"(?:src|href)=[\"'](?!#|data:)", text.replace('"http://www.w3.org/2000/svg"', ""))
    assert "import(" not in text and "fetch(" not in text


def test_stepping_by_clicks(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.text("#caption") == "An empty map."
    assert browser.run("document.getElementById('back').disabled")
    for _ in range(9):
        browser.click("#next")
    assert browser.text("#number") == "9" and browser.text("#entries") == "9"
    assert "B grows to 1" in browser.text("#caption")
    assert "buckets" in browser.text("#picture")
    browser.click("#back")
    assert browser.text("#entries") == "8"
    assert browser.problems() == []


def test_an_overflow_bucket_and_an_evacuation_are_shown(browser: Browser, page: Path) -> None:
    browser.open(page)
    captions = browser.run("frames.map(frame => frame.caption)")
    assert any("overflow bucket was chained" in caption for caption in captions)
    assert any("old buckets are evacuated" in caption for caption in captions)
    growing = browser.run("frames.findIndex(frame => frame.picture.includes('being evacuated'))")
    assert growing > 0
    browser.click("#landmarks li:nth-child(1) button")
    assert int(browser.text("#number")) > 0


def test_gos_bytes_stay_and_ebbmaps_pages_go(browser: Browser, page: Path) -> None:
    browser.open(page)
    filled = browser.run("(show(40), at)")
    assert filled == 40 and browser.text("#entries") == "40"
    go_full, ebb_full = bytes_held(browser)
    pages = int(browser.text("#pageCount"))
    assert browser.run("document.querySelectorAll('#pages i').length") == pages > 0
    browser.click("#end")
    assert browser.text("#entries") == "0"
    go_empty, ebb_empty = bytes_held(browser)
    assert go_empty == go_full
    assert ebb_empty < ebb_full / 2
    assert int(browser.text("#pageCount")) < pages / 2
    assert "stay" in browser.text("#caption")


def test_the_keyboard_suffices(browser: Browser, page: Path) -> None:
    browser.open(page)
    right, home, end = "\ue014", "\ue011", "\ue010"
    browser.press("body", right + right)
    assert browser.text("#number") == "2"
    browser.press("body", end)
    assert browser.run("at === last")
    browser.press("body", home)
    assert browser.text("#number") == "0"
    browser.press("#step", right)
    assert browser.text("#number") == "1"


def test_it_plays_and_pauses(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.click("#play")
    assert browser.text("#play") == "Pause"
    browser.click("#play")
    assert browser.text("#play") == "Play" and browser.run("timer === null")


def test_it_fits_a_phone(browser: Browser, page: Path) -> None:
    browser.resize(500, 800)
    browser.open(page)
    assert browser.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_entries_of_any_size_are_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", "map[int][999999999999]byte"]) == 0
    assert "40" in capsys.readouterr().out


def test_by_default_there_are_no_more_entries_than_keys(tmp_path: Path) -> None:
    target = tmp_path / "map.svg"
    assert main(["draw", "map[Yes]int", "--type", "Yes=bool", "-o", str(target)]) == 0
    assert "entries 2," in (ElementTree.parse(target).getroot().findtext(f"{SVG}desc") or "")
