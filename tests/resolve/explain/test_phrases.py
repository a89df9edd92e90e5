"""Every level, rule and obstacle that this release knows has its phrase in both languages, and no other one."""

from __future__ import annotations

import ast
import importlib
import inspect
import string
import tomllib
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest

from mdm.domain.changes import ChangeKind
from mdm.domain.decision import Band
from mdm.domain.events import MatchReason, ReviewAnswer, Verdict
from mdm.domain.keys import EntityKind
from mdm.domain.reviews import ReviewKind
from mdm.linkage import evidence
from mdm.linkage.rules import SOLE
from mdm.linkage.specification import specification_of
from mdm.resolve.explain.counterfactuals import COUNTERFACTUALS
from mdm.resolve.explain.history import Ground
from mdm.resolve.explain.obstacles import ObstacleKind
from mdm.resolve.explain.pairs import question_sentence
from mdm.resolve.explain.phrases import Sentence, either_of, measured, phrase, summed, weighed, with_detail

TABLE: dict[str, Any] = tomllib.loads(
    (resources.files("mdm.resolve.explain") / "phrases.toml").read_text(encoding="utf-8")
)
PERSONS = {"steward_same", "clerk_chosen", "inherited"}
"""Details by which people let a pair link."""
SETTLING = {"accept", "approve", "reject"}
"""Answers that end a review without a judgement."""
PERSONS_VETOES = {"steward_different", "clerk_rejected"}
"""Details by which people forbid it."""


def returned(function: ast.FunctionDef, module: object) -> Iterator[str]:
    """Yield every text that the return statements of a function can give."""
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            yield from _texts(node.value, module)


def _texts(node: ast.expr, module: object) -> Iterator[str]:
    match node:
        case ast.Constant(value=str() as text):
            yield text
        case ast.Name(id=name) if isinstance(getattr(module, name, None), str):
            yield getattr(module, name)
        case ast.IfExp(body=body, orelse=orelse):
            yield from _texts(body, module)
            yield from _texts(orelse, module)
        case _:
            pass


def names(kind: EntityKind, rule: str) -> set[str]:
    """Return every name that a rule of evidence of this kind, or a helper of its, can return."""
    specification = specification_of(kind)
    function = getattr(specification.rules, rule)
    module = importlib.import_module(function.__module__)
    functions = {
        node.name: node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.FunctionDef)
    }
    found: set[str] = set()
    waiting, seen = [function.__name__], set()
    while waiting:
        name = waiting.pop()
        if name in functions and name not in seen:
            seen.add(name)
            found.update(returned(functions[name], module))
            for each in ast.walk(functions[name]):
                match each:
                    case ast.Call(func=ast.Name(id=called)):
                        waiting.append(called)
                    case _:
                        pass
    return found


def beside_coincidence() -> set[str]:
    """Return what a link lacks that hangs on how rare a name is."""
    tree = ast.parse(inspect.getsource(evidence.missing_beside_coincidence))
    return {name for node in tree.body if isinstance(node, ast.FunctionDef) for name in returned(node, evidence)}


def test_the_search_for_names_finds_constants_and_helpers() -> None:
    told_apart = {"verified_ids_differ", "twin_order", "mother_of_newborn", "mothers_differ", "named_apart"}
    assert told_apart == names(EntityKind.CITIZEN, "veto")
    assert {"strangers", "number_without_name", "sex"} < names(EntityKind.CITIZEN, "lack")
    assert beside_coincidence() == {"sole_bearer", "name_and_birth_date_only"}
    assert names(EntityKind.BUSINESS, "veto") == {"other_branch", "verified_tax_codes_differ"}


@pytest.mark.parametrize("kind", EntityKind)
def test_every_comparison_level_has_its_phrase(kind: EntityKind) -> None:
    expected = {
        comparison.name: {level.label for level in comparison.levels}
        for comparison in specification_of(kind).comparisons
    }
    assert {name: set(labels) for name, labels in TABLE["level"][kind].items()} == expected


def test_every_veto_has_its_phrase() -> None:
    vetoes = {name for kind in EntityKind for rule in ("veto", "excess") for name in names(kind, rule)}
    assert set(TABLE["veto"]) == vetoes | PERSONS_VETOES | {evidence.veto(_citizen(), _business())}


def test_every_lack_has_its_phrase() -> None:
    lacks = {name for kind in EntityKind for name in names(kind, "lack")}
    assert set(TABLE["lack"]) == lacks | beside_coincidence()
    assert SOLE in TABLE["lack"]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("history", set(ChangeKind)),
        ("ground", set(Ground)),
        ("judgement", set(Verdict)),
        ("band", set(Band)),
        ("person", PERSONS),
        ("review", {ReviewKind.OVERSIZED, ReviewKind.PROPOSAL} | {ReviewAnswer(each) for each in SETTLING}),
        ("obstacle", set(ObstacleKind)),
        ("block", {f"{kind}.{rule}" for kind in EntityKind for rule, _ in specification_of(kind).blocking_rules}),
        ("enough", {f"{kind}.{name}" for kind, name in COUNTERFACTUALS} | {"judgement", "steward"}),
    ],
)
def test_a_table_names_all_that_there_is_and_no_more(table: str, expected: set[str]) -> None:
    assert set(TABLE[table]) == expected


def test_every_reason_to_ask_has_its_phrase() -> None:
    # Beside those of this release the table may know reasons that a journal of a later one holds.
    assert set(TABLE["reason"]) >= set(MatchReason)


def phrases(table: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, str]]]:
    for name, entry in table.items():
        if "en" in entry:
            yield f"{path}{name}", entry
        else:
            yield from phrases(entry, f"{path}{name}.")


def test_every_phrase_is_said_in_both_languages_with_the_same_parts() -> None:
    found = dict(phrases(TABLE))
    assert len(found) > 150
    for name, entry in found.items():
        assert set(entry) == {"vi", "en"}, name
        parts = [sorted(part for _, part, _, _ in string.Formatter().parse(text) if part) for text in entry.values()]
        assert parts[0] == parts[1], name
        for text in entry.values():
            assert text == text.strip() != "", name
            assert not text.endswith("."), name
        assert entry["vi"] != entry["en"] or name.startswith("template.")


def test_numbers_are_written_as_each_language_does() -> None:
    said = phrase("level", "citizen", "birth", "same")
    assert weighed(said, 14.84) == Sentence("Cùng ngày sinh: +14,8 bit", "The birth dates are the same: +14.8 bits")
    assert weighed(said, -2.0).vi == "Cùng ngày sinh: -2,0 bit"
    rare = weighed(said, 15.7, 1.26)
    assert rare.vi.endswith("+15,7 bit, trong đó +1,3 vì giá trị hiếm")
    assert weighed(said, 9.0, -3.2).en.endswith("+9.0 bits, -3.2 of them because the value is common")
    assert weighed(said, 0.0, is_missing=True).en == "The birth dates are the same: adds nothing"
    assert measured("short_of", said, 0.34).vi == "Cùng ngày sinh: thiếu 0,3 bit"
    assert either_of("keys", said, [Sentence("a", "b"), Sentence("c", "d")]).en.endswith("it takes b or d")
    assert with_detail(said, phrase("judgement", "same")).en.startswith("The birth dates are the same: a steward")


@pytest.mark.parametrize(
    ("band", "bits", "probability", "said"),
    [
        (
            Band.LINK,
            13.6,
            0.99992,
            "In all +13.6 bits (probability > 99.99 %), which reaches the link threshold of 7.0",
        ),
        (Band.REVIEW, 8.4, 0.9970, "In all +8.4 bits (probability 99.70 %), which reaches the link threshold of 7.0"),
        (Band.NONE, 8.4, 0.9970, "In all +8.4 bits (probability 99.70 %), which reaches the link threshold of 7.0"),
        (Band.REVIEW, 6.5, 0.98908, "In all +6.5 bits (probability 98.91 %), below the link threshold of 7.0 bits"),
        (Band.NONE, -43.0, 1e-13, "In all -43.0 bits (probability < 0.01 %), below the review threshold of 6.0 bits"),
    ],
)
def test_a_sum_is_said_beside_the_threshold_that_it_reaches_or_misses(
    band: Band, bits: float, probability: float, said: str
) -> None:
    assert summed(band, bits, probability, 7.0, 6.0).en.startswith(said)


def test_a_question_says_its_reason_and_what_stands_behind_it() -> None:
    assert question_sentence(MatchReason.WEIGHT, "") == phrase("reason", "weight")
    thin = question_sentence(MatchReason.THIN_EVIDENCE, "name_alone")
    assert thin.en.startswith("The weight would link, but the evidence is too thin: the name alone; door, phone or")
    assert "hai số định danh" in question_sentence(MatchReason.VETO, "verified_ids_differ").vi
    assert "clerk" in question_sentence(MatchReason.VETO, "clerk_rejected").en
    # A name that a later release may write is left out, and the reason stands.
    assert question_sentence(MatchReason.VETO, "of_a_later_release") == phrase("reason", "veto")


def _citizen() -> Any:
    return specification_of(EntityKind.CITIZEN).features_type()


def _business() -> Any:
    return specification_of(EntityKind.BUSINESS).features_type()
