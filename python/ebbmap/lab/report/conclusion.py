"""What an experiment comes to, in a sentence or two."""

from __future__ import annotations

from ebbmap.lab.model import Report, Run
from ebbmap.lab.report import words
from ebbmap.lab.report.curves import leading, peak, rest, shows_heap


def conclusion(report: Report) -> str:
    """What the leading subjects hold in the end, the least first, and what they held at most."""
    runs = leading(report.runs)
    if not runs:
        return "No subject ran."
    settings, size = report.settings, words.unit(report.settings)
    kind = "heap" if shows_heap(settings) else "RSS"
    held = ", ".join(
        f"{words.label(run)} {size.write(rest(run, settings))} (peak {size.write(peak(run, settings))})"
        for run in sorted(runs, key=lambda run: rest(run, settings))
    )
    left = _left(runs[0])
    entries = f"{left:,} {'entry is' if left == 1 else 'entries are'} left"
    payload = f"{size.write(settings.payload_bytes(left))} {size.name} of payload"
    return f"In the end {entries}, {payload}. {size.name} of {kind} still held: {held}."


def _left(run: Run) -> int:
    """Entries in the end, in truth."""
    return run.outcome.samples[-1].alive if run.outcome else run.steps[-1].entries
