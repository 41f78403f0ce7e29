"""The HTML page: what is in it, and what a real browser makes of it."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from lab_helpers import made_day, made_days, made_report, made_run

from ebbmap.lab.model import Skipped, Traffic
from ebbmap.lab.report.page import page

COMMAND = "ebbmap lab fill-drain --n 771000 --value-bytes 128"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# A window can't be as narrow as a phone, a frame in it can.
FRAME = (
    '<body style="margin:0"><iframe srcdoc="{page}" style="width:{width}px;height:900px;border:0"></iframe>'
)
# Runs in the page; what it finds is read from the document it leaves behind.
INSPECT = """<script>addEventListener("load", () => {
  const root = document.documentElement, box = each => each.getBoundingClientRect();
  const all = what => [...document.querySelectorAll(what)], plots = all(".plot svg").map(box);
  top.document.documentElement.dataset.seen = JSON.stringify({
    width: innerWidth,
    sideways: root.scrollWidth > innerWidth,
    ground: getComputedStyle(document.body).backgroundColor,
    drawn: plots.every(each => each.width > 100 && each.height > 50) ? plots.length : 0,
    lines: all("polyline.curve").filter(each => each.getTotalLength() > 500).length,
    unnamed: all("svg[role=img]:not([aria-label]), table:not(:has(caption))").length,
    outside: performance.getEntriesByType("resource").length,
    cut: all("h1, h2, h3, p, li, figcaption, .axis, footer")
      .filter(each => box(each).right > innerWidth + 1 || box(each).left < 0).length,
    overlapping: all(".x").filter(each => box(each).width).map(box)
      .filter((each, place, boxes) => place && each.left < boxes[place - 1].right).length,
    small: all("p, td, th, figcaption, .axis")
      .filter(each => parseFloat(getComputedStyle(each).fontSize) < 11).length,
  });
});</script>"""


def _made() -> str:
    runs = (
        made_run("go:inline", 461, 293, "go1.23.9"),
        made_run("dict", 240, 42),
        made_run("cachetools.LRUCache", 240, 42),
        made_run("ebbmap:inline", 106, 0),
    )
    return page(made_report(*runs, skipped=(Skipped("theine.Cache", "<theine> is not installed"),)), COMMAND)


def _day() -> str:
    runs = (
        made_day("go:inline", 290, 280),
        made_day("dict", 240, 42, wrong=3),
        made_day("cachetools.TTLCache", 400, 300),
        made_day("cachebox.TTLCache:sweep", 230, 20, late=1.5),
        made_day("ebbmap:cache", 110, 0),
        made_day("ebbmap:cache:object", 210, 0),
    )
    return page(made_days(*runs, skipped=(Skipped("theine.Cache", "it is not"),)), "ebbmap lab blackfriday")


def _log() -> str:
    """A log that was replayed, with dates along the curves."""
    runs = made_day("go:inline", 290, 280), made_day("ebbmap:cache:object", 110, 0)
    report = made_days(*runs)
    report.traffic = Traffic("visits", {}, origin=1_291_192_000)
    return page(report, "ebbmap lab blackfriday --events " + "a/long/path/without/a/space/" * 9)


def test_the_page_of_a_day_says_what_happens_when() -> None:
    text = _day()
    assert "40 to 64 s: silence, nobody asks the caches for anything" in text
    assert "Shaded: silence" in text
    assert text.count('<rect class="silence"') == 1 + 6
    assert '<td class="keeps">280</td>' in text
    assert (
        "cachebox.TTLCache:sweep: customers came up to 1.5 s late (a slow operation, or a busy machine)"
        in text
    )
    assert "dict: customers came" not in text


@pytest.mark.parametrize("late_first", [True, False])
def test_curves_share_one_axis(late_first: bool) -> None:
    """A run that fell behind is drawn longer, and the silence where it was for all."""
    punctual, late = made_day("dict", 240, 42), made_day("ebbmap:cache", 110, 0)
    assert late.outcome is not None
    later = [replace(sample, t=sample.t * 1.25) for sample in late.outcome.samples]
    late.outcome = replace(late.outcome, samples=later)
    text = page(made_days(*((late, punctual) if late_first else (punctual, late))), "ebbmap lab blackfriday")
    ends = re.findall(r'<polyline class="curve[^"]*"[^>]* points="[^"]*?([\d.]+),[\d.]+"', text)
    assert sorted(ends) == ["1000.0"] * 2 + ["800.0"] * 2
    silence = re.findall(r'<rect class="silence" x="([\d.]+)"', text)
    assert {round(float(x)) for x in silence} == {444}  # 40 of the 90 s that the later one took


def test_the_page_holds_the_figures_and_what_made_them() -> None:
    text = _made()
    assert '<td class="keeps">293</td>' in text
    assert '<td class="follows">106</td>' in text
    assert COMMAND in text
    assert "a &lt;cpu&gt; &amp; more" in text
    assert "&lt;theine&gt; is not installed" in text
    assert (
        "go:inline 1.23.9: RSS over the start in MiB: empty 0.0, filled 461, collected 461, drained 293"
        in text
    )


def test_the_page_needs_nothing_else() -> None:
    assert not re.search(r"(src|href)\s*=|url\(|@import|https?://", _made())


def test_a_page_without_runs() -> None:
    text = page(made_report(skipped=(Skipped("dict", "gone"),)), COMMAND)
    assert "dict skipped: gone" in text
    assert "<svg" not in text


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (360, True)])
@pytest.mark.parametrize(("made", "lines", "panels"), [(_made, 4, 4), (_day, 5, 6), (_log, 2, 2)])
def test_in_a_real_browser(
    tmp_path: Path, made: Callable[[], str], lines: int, panels: int, width: int, dark: bool
) -> None:
    file = tmp_path / "page.html"
    inspected = made().replace("</head>", INSPECT + "</head>")
    file.write_text(FRAME.format(page=html.escape(inspected), width=width))
    assert CHROMIUM is not None
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    where = ("--window-size=1300,900", f"--user-data-dir={tmp_path / 'profile'}", scheme)
    words = [CHROMIUM, *FLAGS, *where, "--dump-dom", file.as_uri()]
    answer = subprocess.run(words, check=True, capture_output=True, text=True, timeout=120)
    seen = _seen(answer.stdout)
    assert seen["width"] == width
    assert seen["sideways"] is False
    assert seen["ground"] == ("rgb(25, 25, 24)" if dark else "rgb(252, 252, 251)")
    assert seen["drawn"] == 1 + panels  # some on one, and a panel each
    assert seen["lines"] == lines + panels
    assert seen["unnamed"] == seen["outside"] == seen["small"] == seen["cut"] == seen["overlapping"] == 0


def _seen(dom: str) -> dict[str, object]:
    found = re.search(r'data-seen="([^"]*)"', dom)
    assert found, "the page's script did not run"
    seen: dict[str, object] = json.loads(html.unescape(found[1]))
    return seen


def test_what_comes_from_outside_is_shown_and_not_obeyed() -> None:
    evil = "\x1b]0;owned\x07\x9b2J\u202e<script>alert(1)</script>\udcff"
    report = made_days(made_day("ebbmap:cache", 110, 0), skipped=(Skipped("dict", evil),))
    assert report.traffic is not None
    report.traffic = replace(report.traffic, said=evil)
    run = made_day("go:inline", 290, 280)
    run.version = evil
    report.runs.append(run)
    text = page(report, f"ebbmap lab --time '{evil}'")
    shown = "\\x1b]0;owned\\x07\\x9b2J\\u202e&lt;script&gt;alert(1)&lt;/script&gt;\\xff"
    assert text.count(shown) >= 4
    assert all(each.isprintable() or each == "\n" for each in text) and "<script>" not in text


def test_the_page_begins_with_the_conclusion() -> None:
    said = (
        "In the end 0 entries are left, 0.0 MiB of payload. MiB of RSS still held: ebbmap:inline 0.0 "
        "(peak 106), dict 42 (peak 240), cachetools.LRUCache 42 (peak 240), go:inline 1.23.9 293 (peak 461)."
    )
    text = _made()
    assert f'</h1>\n<p class="conclusion">{said}</p>' in text


def test_nothing_is_drawn_as_nothing() -> None:
    text = page(made_report(made_run("dict", 0, 0)), COMMAND)
    assert '<polyline class="curve k0" points="0.0,1000.0 ' in text
