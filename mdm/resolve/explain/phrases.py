"""What explanations say, in Vietnamese and in English: one table, `phrases.toml`, complete by test.

No sentence holds a value of a person: values stand beside it, in fields of their own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from mdm.domain.decision import Band


class Sentence(msgspec.Struct, frozen=True):
    """One sentence in both languages."""

    vi: str
    en: str


def phrase(*path: str) -> Sentence:
    """Return the phrase of a rule: a table of `phrases.toml` and its key, `level` with kind, comparison and label.

    Raises:
        KeyError: The table has none; a test keeps that from happening for what this release knows.
    """
    found: Any = _table()
    for key in path:
        found = found[key]
    return Sentence(found["vi"], found["en"])


def named(detail: str) -> Sentence | None:
    """Return the phrase of a veto, of what a link lacks, what a person said, or why one is asked; else None."""
    for table in ("veto", "lack", "person", "reason", "review"):
        if detail in _table()[table]:
            return phrase(table, detail)
    return None


def by_ground(found: Sentence, ground: Sentence) -> Sentence:
    """Return what happened and who or what brought it about."""
    return _filled("by_ground", found, ground)


def with_detail(outer: Sentence, detail: Sentence) -> Sentence:
    """Return `outer: detail`."""
    return _filled("with_detail", outer, _lowered(detail))


def weighed(found: Sentence, bits: float, term_frequency_bits: float = 0.0, *, is_missing: bool = False) -> Sentence:
    """Return a phrase with what it adds, in bits to one decimal, and the part that a value's rarity has in it."""
    template = "nothing" if is_missing else "adds"
    if abs(term_frequency_bits) >= _SHOWN_BITS_MIN:
        template = "adds_rare" if term_frequency_bits > 0 else "adds_common"
    signed, part = f"{bits:+.1f}", f"{term_frequency_bits:+.1f}"
    return _filled(template, found, bits=signed, part=part)


def summed(band: Band, bits: float, probability: float, link_bits: float, review_bits: float) -> Sentence:
    """Return what a match weight leads to, beside the threshold that it reaches or misses."""
    if probability > 1 - _SHOWN_PROBABILITY_MIN:
        share = f"> {100 * (1 - _SHOWN_PROBABILITY_MIN):.2f} %"
    elif probability < _SHOWN_PROBABILITY_MIN:
        share = f"< {100 * _SHOWN_PROBABILITY_MIN:.2f} %"
    else:
        share = f"{100 * probability:.2f} %"
    place = "below_review"
    if bits >= review_bits:
        place = "above_review" if bits < link_bits else "above_link"
    threshold = review_bits if place == "below_review" else link_bits
    found = phrase("summary", f"{place}_{band}" if place == "above_link" else place)
    return _filled("plain", found, bits=f"{bits:+.1f}", share=share, threshold=f"{threshold:.1f}")


def measured(template: str, found: Sentence, bits: float) -> Sentence:
    """Return a template of the table about a phrase and an amount without a sign, in bits."""
    return _filled(template, found, bits=f"{bits:.1f}")


def either_of(template: str, found: Sentence, choices: Sequence[Sentence]) -> Sentence:
    """Return a template of the table about a phrase and a list of alternatives."""
    detail = Sentence(" hoặc ".join(each.vi for each in choices), " or ".join(each.en for each in choices))
    return _filled(template, found, detail)


_SHOWN_BITS_MIN = 0.05
"""Rounds to a tenth of a bit."""

_SHOWN_PROBABILITY_MIN = 1e-4
"""Below it, and as near to 1, digits would only look exact."""


def _filled(template: str, found: Sentence, detail: Sentence | None = None, **numbers: str) -> Sentence:
    """Fill a template; numbers come with a decimal point, which Vietnamese writes as a comma."""
    form = phrase("template", template)
    detail = detail or Sentence("", "")
    vietnamese = {name: text.replace(".", ",") for name, text in numbers.items()}
    return Sentence(
        form.vi.format(phrase=found.vi.format(**vietnamese), detail=detail.vi, **vietnamese),
        form.en.format(phrase=found.en.format(**numbers), detail=detail.en, **numbers),
    )


def _lowered(sentence: Sentence) -> Sentence:
    return Sentence(sentence.vi[:1].lower() + sentence.vi[1:], sentence.en[:1].lower() + sentence.en[1:])


@cache
def _table() -> dict[str, Any]:
    text = (resources.files("mdm.resolve.explain") / "phrases.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
