"""What the lab says when it was asked for something it can't do."""

from __future__ import annotations


class LabError(Exception):
    """A mistake in the question, not in the lab: its text is one line."""
