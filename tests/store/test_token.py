from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm.errors import DataRestoredError, InvalidTokenError
from mdm.store.token import JournalToken, parse_token

JOURNAL = UUID("4c3d6c3e-5d0e-4a55-9f5c-1f6c52f6b6a1")
TOKEN = JournalToken(JOURNAL, 1, 77)


@given(st.uuids(), st.integers(0, 2**32 - 1), st.integers(0, 2**63 - 1))
def test_a_token_survives_its_text_form(journal_id: UUID, epoch: int, seq: int) -> None:
    token = JournalToken(journal_id, epoch, seq)

    assert parse_token(str(token)) == token
    assert len(str(token)) == 44


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("77", "a bare position"),
        (str(TOKEN)[:-4], "cut"),
        (str(TOKEN) + "AAAA", "longer"),
        ("B" + str(TOKEN)[1:], "one character changed"),
        (str(TOKEN).swapcase(), "case lost on the way"),
        (str(TOKEN)[:-1] + "ễ", "not ASCII"),
        ("!" * 44, "not base 64"),
    ],
)
def test_a_changed_token_is_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidTokenError, match="unchanged"):
        parse_token(text)


@given(st.integers(0, 43), st.sampled_from("ABCXYZabcxyz019-_"))
def test_no_single_changed_character_passes(position: int, character: str) -> None:
    text = str(TOKEN)
    changed = text[:position] + character + text[position + 1 :]

    if changed != text:
        with pytest.raises(InvalidTokenError):
            parse_token(changed)


def test_a_token_of_another_journal_or_epoch_is_refused_with_its_own_rule() -> None:
    assert TOKEN.require(JOURNAL, 1) is TOKEN
    with pytest.raises(InvalidTokenError, match="another journal"):
        TOKEN.require(UUID(int=1), 1)
    with pytest.raises(DataRestoredError, match="before the data was restored"):
        TOKEN.require(JOURNAL, 2)
