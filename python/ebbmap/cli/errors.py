"""What the command line says of a user's mistake."""

from __future__ import annotations


class UserError(Exception):
    """A mistake of the user's: its text is one line that names what was given and what is taken."""
