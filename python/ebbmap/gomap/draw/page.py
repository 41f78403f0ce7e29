"""The story as one page: HTML, SVG and a little JavaScript, with nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template

from ebbmap.gomap.draw.engine import Beside
from ebbmap.gomap.draw.story import Frame, story
from ebbmap.gomap.draw.svg import DEFINITIONS, STYLE
from ebbmap.gomap.plan.report import human
from ebbmap.gomap.types import MapType
from ebbmap.gomap.version import GoVersion

_CHART_WIDTH, _CHART_HEIGHT = 960, 150


def page(kind: MapType, version: GoVersion, entries: int, deleted: int, seed: int = 0) -> str:
    """The page for `entries` inserts and `deleted` deletes, with the engine's figures as they are now."""
    beside = Beside.of(kind)
    frames = list(story(kind, version, entries, deleted, seed, beside))
    template = Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(f"{kind}, Go {version}, and ebbmap.{beside.name}"),
        kind=escape(str(kind)),
        version=escape(str(version)),
        beside=escape(f"ebbmap.{beside.name}"),
        style=STYLE,
        definitions=DEFINITIONS,
        chart=_chart(frames),
        last=len(frames) - 1,
        landmarks=_landmarks(frames),
        frames=json.dumps([_fields(frame) for frame in frames]).replace("</", "<\\/"),
    )


def _fields(frame: Frame) -> dict[str, object]:
    held = frame.held
    return {
        "caption": frame.caption,
        "picture": frame.picture,
        "entries": f"{frame.entries:,}",
        "live": human(frame.live),
        "garbage": human(frame.garbage),
        "liveBytes": round(frame.live),
        "heldBytes": held.nbytes,
        "held": human(held.nbytes),
        "payload": human(held.payload_bytes),
        "inPages": human(held.page_bytes),
        "index": human(held.index_bytes),
        "segments": f"{held.segments:,}",
        "pages": held.pages,
        "givenBack": f"{held.pages_given_back:,}",
    }


def _landmarks(frames: Sequence[Frame]) -> str:
    return "".join(
        f'<li><button type="button" data-step="{i}">{i}: {escape(frame.landmark)}</button></li>'
        for i, frame in enumerate(frames)
        if frame.landmark
    )


def _chart(frames: Sequence[Frame]) -> str:
    """Bytes held over the steps: Go's live bytes, with its garbage, and ebbmap's."""
    top = max(max(frame.live + frame.garbage, frame.held.nbytes) for frame in frames)
    lines = (
        ("garbage", [frame.live + frame.garbage for frame in frames]),
        ("golive", [frame.live for frame in frames]),
        ("ebb", [frame.held.nbytes for frame in frames]),
    )
    drawn = "".join(f'<polyline class="{name}" points="{_points(values, top)}"/>' for name, values in lines)
    return (
        f'<svg viewBox="0 0 {_CHART_WIDTH} {_CHART_HEIGHT}" role="img" preserveAspectRatio="none">'
        f"<title>Bytes held after each step, up to {human(top)}</title>{drawn}"
        f'<line id="cursor" x1="0" x2="0" y1="0" y2="{_CHART_HEIGHT}"/></svg>'
        f'<p class="soft">top of the chart: {human(top)}</p>'
    )


def _points(values: Sequence[float], top: float) -> str:
    last = max(1, len(values) - 1)
    return " ".join(
        f"{i * _CHART_WIDTH / last:.1f},{_CHART_HEIGHT - 4 - value / top * (_CHART_HEIGHT - 8):.1f}"
        for i, value in enumerate(values)
    )
