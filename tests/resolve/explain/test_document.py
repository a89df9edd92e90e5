"""The examples of docs/explanations.md are what the service says, and its tables name all that there is."""

from __future__ import annotations

import re
from pathlib import Path

from mdm.limits import CANDIDATES_PER_KEY_MAX, GOLDEN_MEMBERS_EXPLAINED_MAX, MEMBER_PAIRS_COMPARED_MAX
from mdm.resolve.explain.history import Ground
from mdm.resolve.explain.obstacles import ObstacleKind
from tests.resolve.explain.explaining import explaining
from tests.resolve.office import Office, citizen

DOCUMENT = (Path(__file__).parents[3] / "docs" / "explanations.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"^```text\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_the_examples_are_what_is_said(office: Office) -> None:
    visit = citizen("BV1", "NGUYỄN THỊ HOA", "05/03/1987", phone="0938417265", address="")
    resident = citizen("DC1", "Nguyễn Thị Hoa", registry="household", personal_id="079187000123", phone="")
    office.put_all([resident, visit])
    with explaining(office) as explainer:
        found = explainer.why_not(visit.key, resident.key)
    compared = found.pair.comparison
    assert compared is not None
    said = [compared.prior_sentence, *(part.sentence for part in compared.parts), compared.summary]
    said += [each.sentence for each in found.pair.rulings]
    said += [each.sentence for each in found.obstacles] + [each.sentence for each in found.enough]
    spoken = {each.en for each in said} | {each.vi for each in said}
    lines = [line for example in EXAMPLE.findall(DOCUMENT) for line in example.splitlines()]
    assert len(lines) > 10
    assert [line for line in lines if line not in spoken] == []


def test_every_obstacle_and_ground_is_in_the_document() -> None:
    rows = set(re.findall(r"`([a-z_]+)`", DOCUMENT))
    assert {str(kind) for kind in ObstacleKind} <= rows
    assert {str(ground) for ground in Ground} <= rows


def test_the_bounds_are_those_in_force() -> None:
    assert f"at most {GOLDEN_MEMBERS_EXPLAINED_MAX} members" in DOCUMENT
    assert f"more than {MEMBER_PAIRS_COMPARED_MAX:,} pairs of members" in DOCUMENT
    assert f"more than {CANDIDATES_PER_KEY_MAX} holders" in DOCUMENT
