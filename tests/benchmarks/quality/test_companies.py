"""Company names alone: how links are told from look-alikes, and what the public list must give at least."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.companies import (
    FILE,
    KIND,
    SPECIFICATION,
    Names,
    Scores,
    company_name,
    learned_model,
    links_of,
    read_names,
    score_all,
)
from mdm.linkage.businesses import NAME
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.scorer import compile_scorer
from mdm.linkage.specification import declare

LEVELS = {level.label: value for level, value in zip(NAME.levels, NAME.level_values(), strict=True)}
SAME, CONTAINED, SIMILAR, DIFFERENT = (LEVELS[name] for name in ("same", "contained", "similar", "different"))


@pytest.mark.parametrize(
    ("reason", "levels", "bits", "links"),
    [
        ("each prefers the other", [[SAME, DIFFERENT], [DIFFERENT, CONTAINED]], [[0, -9], [-9, -4]], {(0, 0), (1, 1)}),
        ("two full names lie too close", [[SAME, CONTAINED], [DIFFERENT, DIFFERENT]], [[0, -2], [-9, -9]], set()),
        ("two short names lie too close", [[SAME, DIFFERENT], [CONTAINED, DIFFERENT]], [[0, -9], [-2, -9]], set()),
        ("two short names bear one full name", [[SAME, DIFFERENT], [SAME, DIFFERENT]], [[0, -9], [0, -9]], set()),
        ("the weight is too low", [[CONTAINED, DIFFERENT], [DIFFERENT, DIFFERENT]], [[-6, -20], [-20, -20]], set()),
        ("the level says too little", [[SIMILAR, DIFFERENT], [DIFFERENT, DIFFERENT]], [[0, -9], [-9, -9]], set()),
    ],
)
def test_names_link_by_their_lead_on_both_sides(
    reason: str, levels: list[list[int]], bits: list[list[int]], links: set[tuple[int, int]]
) -> None:
    found = links_of(Scores(np.array(levels, np.int8), np.array(bits, np.float64)), link_bits=-5.0)
    assert {(int(row), int(column)) for row, column in np.argwhere(found)} == links, reason


def test_the_threshold_is_chosen_on_the_learning_half_alone() -> None:
    declare(SPECIFICATION)
    short = ["XD Minh Khang", "TM Phước Lộc", "Nhựa Rạng Tây", "Thép Bắc Á"]
    full = [
        "Công ty Cổ phần Xây dựng Minh Khang",
        "Công ty TNHH Thương mại Phước Lộc",
        "Công ty Cổ phần Rạng Tây",
        "Tổng Công ty Hàng hải Đại Dương",
    ]
    names = Names(
        [company_name(text) for text in short],
        [company_name(text) for text in full],
        np.array([True, True, True, False]),
    )
    epoch = StatisticsEpoch.from_records(KIND, [*names.short, *names.full], len(short))
    model = learned_model(names, epoch)
    found = links_of(score_all(compile_scorer(model, epoch), names), model.thresholds.link_bits)
    assert np.argwhere(found).tolist() == [[0, 0], [1, 1], [2, 2]]


@pytest.mark.quality
@pytest.mark.timeout(600)
def test_short_and_full_names_of_listed_firms_keep_their_floor(shared_data: Path) -> None:
    declare(SPECIFICATION)
    names = read_names(shared_data / FILE)
    epoch = StatisticsEpoch.from_records(KIND, [*names.short, *names.full], len(names.short))
    model = learned_model(names, epoch)
    found = links_of(score_all(compile_scorer(model, epoch), names), model.thresholds.link_bits)
    for half, is_of_half in (("learned on", names.is_for_learning), ("held back", ~names.is_for_learning)):
        links = found[is_of_half]
        right = int(np.diagonal(found)[is_of_half].sum())
        recall, precision = right / int(is_of_half.sum()), right / int(links.sum())
        print(f"\n{half}: recall {recall:.4f} precision {precision:.4f} of {int(links.sum())} links")  # noqa: T201
        assert recall >= 0.82
        assert precision >= 0.995
