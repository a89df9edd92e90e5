"""What the public sets of persons share: folding, sounds, keys, and files read with their truth apart."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.quality.datasets import SkippedError
from benchmarks.quality.people import folded, read_rows, soundex, squeezed, unordered, year_and_day


@pytest.mark.parametrize(
    ("word", "code", "reason"),
    [
        ("robert", "r163", "the textbook's example"),
        ("rupert", "r163", "sounds alike"),
        ("ashcraft", "a261", "h does not part letters of one digit"),
        ("tymczak", "t522", "a vowel does"),
        ("pfister", "p236", "the first letter's digit counts for its neighbour"),
        ("lee", "l000", "filled up"),
        ("o", "o000", "one letter"),
        ("1st", None, "no letter to begin with"),
        ("", None, "nothing"),
        (None, None, "not stated"),
    ],
)
def test_soundex(word: str | None, code: str | None, reason: str) -> None:
    assert soundex(word) == code, reason


@pytest.mark.parametrize(
    ("text", "words", "letters"),
    [
        ("Ever  lyn", "ever lyn", "everlyn"),
        ("O'Brien-Müller", "o brien muller", "obrienmuller"),
        ("772 261378", "772 261378", "772261378"),
        (" - ", None, None),
        (None, None, None),
    ],
)
def test_text_is_folded_and_squeezed(text: str | None, words: str | None, letters: str | None) -> None:
    assert folded(text) == words
    assert squeezed(text) == letters


@pytest.mark.parametrize(
    ("date", "parts"),
    [
        ("19240212", ("1924", "0212")),
        ("19105412", ("1910", "5412")),
        ("1924021", (None, None)),
        ("192402122", (None, None)),
        (None, (None, None)),
    ],
    ids=["a date", "one that no calendar has", "a digit lost", "a digit too many", "not stated"],
)
def test_a_compact_date_has_parts_if_it_is_whole(date: str | None, parts: tuple[str | None, str | None]) -> None:
    assert year_and_day(date) == parts


def test_exchanged_values_make_one_key_and_a_missing_one_makes_none() -> None:
    assert list(unordered("roles", "jack")) == list(unordered("jack", "roles"))
    assert list(unordered("roles", "jack")) != list(unordered("roles", "kierra"))
    assert not list(unordered("roles", None))
    assert not list(unordered(None, "jack"))


def test_rows_stand_in_the_order_of_their_ids_and_keep_their_bearers(tmp_path: Path) -> None:
    for name, ids in (("a", ["c", "a"]), ("b", ["b"])):
        pq.write_table(
            pa.table({"record_id": ids, "value": [f"of {id_}" for id_ in ids]}), tmp_path / f"{name}.parquet"
        )
        truth = pa.table({"record_id": ids, "true_id": [f"bearer of {id_}" for id_ in ids]})
        pq.write_table(truth, tmp_path / f"{name}.truth.parquet")
    rows, bearers = read_rows(tmp_path, ["value"], "a", "b")
    assert rows == [
        {"value": "of a", "file": "a"},
        {"value": "of b", "file": "b"},
        {"value": "of c", "file": "a"},
    ]
    assert bearers == ["bearer of a", "bearer of b", "bearer of c"]
    with pytest.raises(SkippedError, match="no persons/d"):
        read_rows(tmp_path, ["value"], "a", "d")
