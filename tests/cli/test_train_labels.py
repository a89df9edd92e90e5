"""Labels of training pairs: read, refused, and outranked."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from mdm.cli.train_labels import LABEL_COLUMNS, judged_labels, pair_labels, read_labels, read_truth, truth_labels
from mdm.domain.events import Verdict
from mdm.domain.keys import EntityKind, SourceKey
from mdm.resolve.commands import ClerkChoice
from tests.resolve.office import Office, citizen

KIND = EntityKind.CITIZEN
KEYS = [SourceKey("hospital", KIND, "A"), SourceKey("hospital", KIND, "B"), SourceKey("household", KIND, "C")]
HEADER = ",".join(LABEL_COLUMNS) + "\n"


def labels(tmp_path: Path, text: str) -> dict[tuple[int, int], int]:
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return read_labels(path, KIND, KEYS)


def test_labels_are_read_whatever_side_comes_first(tmp_path: Path) -> None:
    text = "\ufeff" + HEADER + "hospital,B,hospital,A,same\nhospital,A,household,C, Different \n"
    found = labels(tmp_path, text)
    assert found == {(1, 2): 1, (1, 3): 0}
    label_of = pair_labels(found)
    assert (label_of(2, 1), label_of(1, 3), label_of(2, 3)) == (1, 0, -1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("left,right\n", "lacks the columns left_registry"),
        (HEADER, "holds no labels"),
        (HEADER + "hospital,A,hospital,B,maybe\n", "line 2: label must be same or different"),
        (HEADER + "hospital,A,hospital,X,same\n", "line 2: must name two citizen records"),
        (HEADER + "hospital,A,hospital,A,same\n", "line 2: must name two citizen records"),
        (HEADER + "hospital,A,hospital,B,same\nhospital,B,hospital,A,different\n", "line 3: this pair was labelled"),
    ],
)
def test_a_wrong_file_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    with pytest.raises(typer.Exit) as caught:
        labels(tmp_path, text)
    assert caught.value.exit_code == 2
    assert said in capsys.readouterr().err


def test_the_truth_labels_only_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(
        "registry,entity_kind,record_id,entity_id\nhospital,citizen,A,P1\nhospital,citizen,B,P1\n", encoding="utf-8"
    )
    label_of = truth_labels(read_truth(path, KEYS))
    assert (label_of(1, 2), label_of(1, 3)) == (1, -1)


def test_a_steward_outranks_a_clerk(tmp_path: Path) -> None:
    office = Office(tmp_path / "data")
    records = [citizen(name, "Nguyễn Thị Thúy", phone="", address="") for name in ("A", "B", "C")]
    office.put_all(records[:2])
    one, other = (office.id_of(record) for record in records[:2])
    assert one is not None
    assert other is not None
    office.put(records[2], choice=ClerkChoice(one, (one, other)))
    numbers = [office.number(record.key) for record in records]
    with office.writer._index.read() as view:
        by_clerk = judged_labels(view, {number: place for place, number in enumerate(numbers, start=1)})
    assert by_clerk == {(1, 3): 1, (2, 3): 0}
    office.judge(records[0].key, records[2].key, Verdict.DIFFERENT)
    with office.writer._index.read() as view:
        assert judged_labels(view, {numbers[2]: 1, numbers[0]: 2}) == {(1, 2): 0}
    office.close()
