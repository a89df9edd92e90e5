"""How much the normaliser remembers of what it has read: a reader that serves for weeks must not grow by it."""

from __future__ import annotations

VALUES_REMEMBERED_MAX = 2048
"""Whole values, most of which occur once: enough for a household's rows, and full within minutes at a desk's pace."""

WORDS_REMEMBERED_MAX = 16_384
"""Words and fixed parts of values: a city writes some thousand of them, over and over."""
