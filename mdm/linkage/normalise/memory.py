"""How much the normaliser remembers of what it has read: a reader that serves for weeks must not grow by it."""

from __future__ import annotations

REMEMBERED_MAX = 2048
"""Results of each parser: full within minutes at a desk's pace. Of names and dates one in ten comes again, of words and
fixed parts of addresses 49 in 50."""
