"""What a dry run says of a file: counts and shapes, and never a value."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mdm.config import Configuration
from mdm.domain.records import SourceRecord
from mdm.feeds.mapping import Operation, RowMapper
from mdm.feeds.profile import FeedProfile, Profiler, shape_of
from mdm.feeds.reading import open_feed
from mdm.feeds.rejects import RejectsFile
from mdm.limits import PROFILE_SAMPLE_ROWS


def profiled(tmp_path: Path, text: str, seen: list[Operation] | None = None) -> FeedProfile:
    path = tmp_path / "feed.csv"
    path.write_text(text, encoding="utf-8")
    opened = open_feed(path)
    mapper = RowMapper(Configuration.load(), "hospital.patients", opened.columns)

    def issues(record: SourceRecord) -> list[tuple[str, str]]:
        return [("birth_date", "is no date")] if record.key.record_id == "1" else []

    with RejectsFile(tmp_path / "rejects.csv") as rejects:
        found = Profiler(opened, mapper, rejects, issues).run(seen.extend if seen is not None else None)
        assert rejects.count == found.rejected_count
    return found


def test_a_profile_counts_what_a_file_holds(tmp_path: Path) -> None:
    seen: list[Operation] = []
    text = "record_id,full_name,operation,MA_KHOA\n1,Lan,,K1\n1,Lan,,K1\n2,,delete,K1\n,An,,K2\n3\n"
    found = profiled(tmp_path, text, seen)
    assert (found.row_count, found.upsert_count, found.delete_count, found.rejected_count) == (5, 1, 1, 3)
    assert found.rejected_by_rule["record_id: stands in an earlier row of this file too"] == 1
    assert found.filled_share_by_column == {"record_id": 0.75, "full_name": 0.75, "operation": 0.25, "MA_KHOA": 1.0}
    assert found.unknown_columns == ("MA_KHOA",)
    assert {"birth_date", "personal_id", "updated_at"} <= set(found.missing_columns)
    assert "operation" not in found.missing_columns
    assert found.invalid_values == {"birth_date": {"is no date": 1}}
    assert found.columns["MA_KHOA"].distinct_count == 2
    assert len(seen) == 2


def test_a_profile_shows_shapes_and_no_value(tmp_path: Path) -> None:
    rows = "".join(
        f"P{number},Nguyễn Thị Bí Mật,0791870{number:05},19{number % 90 + 10}-03-05\n" for number in range(300)
    )
    found = profiled(tmp_path, "record_id,full_name,personal_id,birth_date\n" + rows)
    assert found.columns["personal_id"].shapes == {"9(12)": 1.0}
    assert found.columns["birth_date"].shapes == {"9(4)-9(2)-9(2)": 1.0}
    assert found.columns["full_name"].shapes == {"A A A A": 1.0}
    assert (found.columns["full_name"].length_min, found.columns["full_name"].length_max) == (17, 17)
    said = msgspec.json.encode(found).decode()
    assert not any(value in said for value in ("Bí", "079187", "1987"))


def test_distinct_values_of_a_long_column_are_estimated(tmp_path: Path) -> None:
    count = 2 * PROFILE_SAMPLE_ROWS
    found = profiled(tmp_path, "record_id,full_name\n" + "".join(f"P{n},Lan {n % 3000}\n" for n in range(count)))
    assert found.columns["record_id"].distinct_count == pytest.approx(count, rel=0.1)
    assert found.columns["full_name"].distinct_count == pytest.approx(3000, rel=0.1)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("079187000123", "9(12)"),
        ("05/03/1987", "9(2)/9(2)/9(4)"),
        ("Trần  Thị\tLê", "A A A"),
        ("B1234567", "A9(7)"),
        ("a@b.vn", "A@A.A"),
        ("12/5 Lê Lợi, Phường Bến Thành, Quận 1, TP", "longer text"),
        ("Le\u0302\u200b – 7", "A** * 9(1)"),
        ("٣٤", "9(2)"),
    ],
)
def test_a_shape_holds_no_letter_and_no_digit_of_the_value(text: str, shape: str) -> None:
    assert shape_of(text) == shape
