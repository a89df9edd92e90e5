"""Predicates over two records' features: data, rendered to SQL for Splink and to Python for the online scorer.

Every predicate is symmetric in its two records, and monotone: there is no negation, and a missing value makes
an atom false. SQL's third truth value therefore never changes an outcome, and both renderings agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import assert_never

import msgspec


class _Atom(msgspec.Struct, frozen=True):
    """An atom over one or two feature columns."""


class EitherMissing(_Atom, frozen=True):
    """At least one side does not state the scalar `column`."""

    column: str


class EitherEmpty(_Atom, frozen=True):
    """At least one side has no element in the list `column`."""

    column: str


class EitherTrue(_Atom, frozen=True):
    """At least one side has the flag `column`."""

    column: str


class Equal(_Atom, frozen=True):
    """Both sides state the same scalar."""

    column: str


class Differ(_Atom, frozen=True):
    """Both sides state the scalar, and not the same."""

    column: str


class EqualAcross(_Atom, frozen=True):
    """One side's `column` is the other side's `other`."""

    column: str
    other: str


class MemberAcross(_Atom, frozen=True):
    """One side's scalar `column` is an element of the other side's list `elements`."""

    column: str
    elements: str


class Overlap(_Atom, frozen=True):
    """The two lists share an element."""

    column: str


class Contains(_Atom, frozen=True):
    """One of the two lists holds every element of the other, and neither is empty."""

    column: str


class Covered(_Atom, frozen=True):
    """One side's list `column` is not empty, and all of it is in the other side's list `cover`."""

    column: str
    cover: str


class LengthsDiffer(_Atom, frozen=True):
    """Both sides state the text `column`, in different lengths."""

    column: str


class NumberWithin(_Atom, frozen=True):
    """Both sides state the number, at most `distance` apart."""

    column: str
    distance: int


class DamerauWithin(_Atom, frozen=True):
    """At most `distance` edits (insert, delete, replace, swap neighbours) apart; ASCII text only."""

    column: str
    distance: int


class LevenshteinWithin(_Atom, frozen=True):
    """At most `distance` edits (insert, delete, replace) apart; ASCII text only."""

    column: str
    distance: int


class JaroWinklerAtLeast(_Atom, frozen=True):
    """Jaro-Winkler similarity of at least `threshold`; ASCII text only.

    DuckDB contracts the last step to a fused multiply-add, so that both engines may differ by one unit in the last
    place: choose a threshold that is no rational value of the measure (0.9199, never 0.92).
    """

    column: str
    threshold: float


class And(msgspec.Struct, frozen=True):
    """All parts hold."""

    parts: tuple[Predicate, ...]


class Or(msgspec.Struct, frozen=True):
    """At least one part holds."""

    parts: tuple[Predicate, ...]


Atom = (
    EitherMissing
    | EitherEmpty
    | EitherTrue
    | Equal
    | Differ
    | EqualAcross
    | MemberAcross
    | Overlap
    | Contains
    | Covered
    | LengthsDiffer
    | NumberWithin
    | DamerauWithin
    | LevenshteinWithin
    | JaroWinklerAtLeast
)
Predicate = Atom | And | Or


def all_of(*parts: Predicate) -> And:
    """Return the conjunction of `parts`."""
    return And(parts)


def any_of(*parts: Predicate) -> Or:
    """Return the disjunction of `parts`."""
    return Or(parts)


def sql(predicate: Predicate) -> str:
    """Return DuckDB SQL over `<column>_l` and `<column>_r`; NULL in it means false."""
    return _rendered(predicate, _atom_sql)


def guarded_sql(predicate: Predicate) -> str:
    """Return SQL of the same truth as `sql`, which asks what is cheap before what is dear.

    DuckDB takes 1 to 5 µs for a Damerau-Levenshtein distance, a tenth of it for Levenshtein's, and 30 ns to count the
    places at which texts of one length differ. Most lists hold one element, which is looked for in half of the time
    that two lists take. `Contains` relies on lists without duplicates, as features are: the shorter cannot hold the
    longer.
    """
    return _rendered(predicate, _guarded_atom_sql, _is_measured)


def _rendered(
    predicate: Predicate, atom: Callable[[Atom], str], cost: Callable[[Predicate], bool] | None = None
) -> str:
    match predicate:
        case And(parts) | Or(parts):
            ordered = parts if cost is None else sorted(parts, key=cost)
            word = " AND " if isinstance(predicate, And) else " OR "
            return "(" + word.join(_rendered(part, atom, cost) for part in ordered) + ")"
        case _:
            return atom(predicate)


def _guarded_atom_sql(atom: Atom) -> str:
    left, right = f'"{atom.column}_l"', f'"{atom.column}_r"'
    match atom:
        case DamerauWithin(column, 1):
            # CASE, for only its branches are sure to be evaluated where they apply; `hamming` refuses empty texts.
            # One edit of texts of one length is a letter replaced, or two neighbours swapped; else it is one inserted.
            text = (
                f"CASE WHEN {left} = {right} THEN true"
                f" WHEN strlen({left}) = strlen({right})"
                f" THEN CASE hamming({left}, {right}) WHEN 1 THEN true WHEN 2 THEN {_atom_sql(atom)} ELSE false END"
                f" WHEN abs(strlen({left}) - strlen({right})) = 1 THEN {_atom_sql(LevenshteinWithin(column, 1))}"
                f" ELSE false END"
            )
        case DamerauWithin(column, distance):
            # A swap is two of Levenshtein's edits.
            lengths = f"abs(strlen({left}) - strlen({right})) <= {distance}"
            text = f"({lengths} AND {_atom_sql(LevenshteinWithin(column, 2 * distance))} AND {_atom_sql(atom)})"
        case Overlap():
            single = f"list_contains({left}, {right}[1])"
            text = f"CASE WHEN len({right}) = 1 THEN {single} ELSE {_atom_sql(atom)} END"
        case Contains():
            holds_right = f"len({left}) >= len({right}) AND list_has_all({left}, {right})"
            holds_left = f"len({left}) < len({right}) AND list_has_all({right}, {left})"
            text = f"(len({left}) > 0 AND len({right}) > 0 AND (({holds_right}) OR ({holds_left})))"
        case _:
            text = _atom_sql(atom)
    return text


def _atom_sql(atom: Atom) -> str:
    left, right = f'"{atom.column}_l"', f'"{atom.column}_r"'
    match atom:
        case EitherMissing():
            text = f"({left} IS NULL OR {right} IS NULL)"
        case EitherEmpty():
            text = f"(coalesce(len({left}), 0) = 0 OR coalesce(len({right}), 0) = 0)"
        case EitherTrue():
            text = f"({left} OR {right})"
        case Equal():
            text = f"{left} = {right}"
        case Differ():
            text = f"{left} <> {right}"
        case EqualAcross(_, other):
            text = f'({left} = "{other}_r" OR "{other}_l" = {right})'
        case MemberAcross(_, elements):
            text = f'(list_contains("{elements}_r", {left}) OR list_contains("{elements}_l", {right}))'
        case Overlap():
            text = f"list_has_any({left}, {right})"
        case Contains():
            either = f"(list_has_all({left}, {right}) OR list_has_all({right}, {left}))"
            text = f"(len({left}) > 0 AND len({right}) > 0 AND {either})"
        case Covered(_, cover):
            text = (
                f'((len({left}) > 0 AND list_has_all("{cover}_r", {left}))'
                f' OR (len({right}) > 0 AND list_has_all("{cover}_l", {right})))'
            )
        case LengthsDiffer():
            text = f"len({left}) <> len({right})"
        case NumberWithin(_, distance):
            text = f"abs({left} - {right}) <= {distance}"
        case DamerauWithin(_, distance) | LevenshteinWithin(_, distance):
            measure = "damerau_levenshtein" if isinstance(atom, DamerauWithin) else "levenshtein"
            text = f"{measure}({left}, {right}) <= {distance}"
        case JaroWinklerAtLeast(_, threshold):
            text = f"jaro_winkler_similarity({left}, {right}) >= {threshold}"
        case _:
            assert_never(atom)
    return text


def python(predicate: Predicate) -> str:
    """Return a Python expression over locals `l_<column>` and `r_<column>`, truthy where the predicate holds.

    Lists that `Overlap`, `Contains` and `Covered` read also stand as `s_<column>`, the left side as a frozenset.
    The functions `damerau`, `levenshtein` and `jaro_winkler` are rapidfuzz's. See `left_sets` and `columns` for what to
    bind.
    """
    match predicate:
        case And(parts):
            # Neither order changes the outcome; equality is asked in a tenth of the time that a measure takes.
            return "(" + " and ".join(python(part) for part in sorted(parts, key=_is_measured)) + ")"
        case Or(parts):
            return "(" + " or ".join(python(part) for part in sorted(parts, key=_is_measured)) + ")"
        case _:
            return _atom_python(predicate)


def _is_measured(predicate: Predicate) -> bool:
    """Return whether a string distance has to be computed."""
    match predicate:
        case And(parts) | Or(parts):
            return any(_is_measured(part) for part in parts)
        case _:
            return isinstance(predicate, DamerauWithin | LevenshteinWithin | JaroWinklerAtLeast)


def _atom_python(atom: Atom) -> str:
    left, right = f"l_{atom.column}", f"r_{atom.column}"
    stated = f"{left} is not None and {right} is not None"
    match atom:
        case EitherMissing():
            text = f"({left} is None or {right} is None)"
        case EitherEmpty():
            text = f"(not {left} or not {right})"
        case EitherTrue():
            text = f"({left} or {right})"
        case Equal():
            text = f"({left} is not None and {left} == {right})"
        case Differ():
            text = f"({stated} and {left} != {right})"
        case EqualAcross(_, other):
            text = f"(({left} is not None and {left} == r_{other}) or ({right} is not None and {right} == l_{other}))"
        case MemberAcross(_, elements):
            text = f"({left} in r_{elements} or {right} in l_{elements})"
        case Overlap():
            text = f"(not s_{atom.column}.isdisjoint({right}))"
        case Contains():
            subset = f"s_{atom.column}.issubset({right}) or s_{atom.column}.issuperset({right})"
            text = f"({left} and {right} and ({subset}))"
        case Covered(_, cover):
            # Most pairs fail on the first element, long before the other side's cover has been made a set.
            covers_right = f"({right} and s_{cover}.issuperset({right}))"
            covers_left = f"({left} and {left}[0] in r_{cover} and s_{atom.column}.issubset(r_{cover}))"
            text = f"({covers_right} or {covers_left})"
        case LengthsDiffer():
            text = f"({stated} and len({left}) != len({right}))"
        case NumberWithin(_, distance):
            text = f"({stated} and -{distance} <= {left} - {right} <= {distance})"
        case DamerauWithin(_, distance) | LevenshteinWithin(_, distance):
            measure = "damerau" if isinstance(atom, DamerauWithin) else "levenshtein"
            text = f"({stated} and {measure}({left}, {right}, score_cutoff={distance}) <= {distance})"
        case JaroWinklerAtLeast(_, threshold):
            # DuckDB calls two empty texts wholly unlike, rapidfuzz alike; truthiness sides with DuckDB.
            text = f"({left} and {right} and jaro_winkler({left}, {right}) >= {threshold})"
        case _:
            assert_never(atom)
    return text


def columns(predicate: Predicate) -> tuple[str, ...]:
    """Return the feature columns that the predicate reads, in order of appearance, without repetition."""
    return tuple(dict.fromkeys(column for atom in _atoms(predicate) for column in _columns_of(atom)))


def spelled(predicates: Iterable[Predicate], also: Iterable[str] = ()) -> frozenset[str]:
    """Return the columns of which a predicate reads the letters, and those that it compares with them.

    Of every other text only equality is asked, so that any code that tells texts apart does for it.

    Args:
        predicates: All that are asked of the columns.
        also: Columns whose letters somebody else reads.
    """
    atoms = [atom for predicate in predicates for atom in _atoms(predicate)]
    lettered = DamerauWithin | LevenshteinWithin | JaroWinklerAtLeast | LengthsDiffer
    found = {*also, *(atom.column for atom in atoms if isinstance(atom, lettered))}
    while beside := {
        column for atom in atoms if found.intersection(_columns_of(atom)) for column in _columns_of(atom)
    }.difference(found):
        found |= beside
    return frozenset(found)


def _atoms(predicate: Predicate) -> Iterator[Atom]:
    match predicate:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _atoms(part)
        case _:
            yield predicate


def _columns_of(atom: Atom) -> tuple[str, ...]:
    match atom:
        case EqualAcross(column, other) | MemberAcross(column, other) | Covered(column, other):
            return (column, other)
        case _:
            return (atom.column,)


def left_sets(predicate: Predicate) -> tuple[str, ...]:
    """Return the list columns whose left side the Python rendering wants as a frozenset."""
    match predicate:
        case And(parts) | Or(parts):
            return tuple(dict.fromkeys(column for part in parts for column in left_sets(part)))
        case Overlap(column) | Contains(column):
            return (column,)
        case Covered(column, cover):
            return (column, cover)
        case _:
            return ()
