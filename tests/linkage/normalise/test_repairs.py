"""Lines in legacy fonts are repaired as far as they were typed in one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdm.linkage.normalise.repairs import repaired_line

LINES = [
    ("Nguyễn Văn An, P.5", "Nguyễn Văn An, P.5", "Unicode stays as it is, punctuation too"),
    ("45 Leâ Lôïi, Q.1", "45 lê lợi, Q.1", "only the words of the font change"),
    ("NguyÔn V¨n Dòng", "nguyễn văn dũng", "a line in one font is converted as one, its legal words too"),
    ("Bùi Đức Dòng Buøi", "Bùi Đức Dòng bùi", "a Unicode word shows that its neighbours were meant as they stand"),
    ("José Müller", "José Müller", "foreign words become no syllables"),
    ("", "", "nothing"),
]


@pytest.mark.parametrize(("line", "meant", "reason"), LINES, ids=[case[2] for case in LINES])
def test_a_line_is_repaired(line: str, meant: str, reason: str) -> None:
    assert repaired_line(line) == meant, reason


# The first line waits for tables that the others find in memory.
@settings(deadline=None)
@given(st.text(alphabet=st.characters() | st.sampled_from("ÑñöïùøÃã .,/"), max_size=60))
def test_any_line_is_taken(line: str) -> None:
    assert isinstance(repaired_line(line), str)
