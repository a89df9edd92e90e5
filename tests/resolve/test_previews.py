from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from mdm import stages
from mdm.domain.events import Verdict
from mdm.domain.keys import GoldenId
from mdm.domain.records import SourceRecord
from mdm.resolve import searching
from mdm.resolve.commands import Delete, Request, Upsert, WriteAnswer, WriteOutcome
from mdm.resolve.previews import preview_write
from mdm.resolve.reader import Reader
from mdm.resolve.views import Grade, MatchResult, Preview
from tests.resolve.cities import city_records
from tests.resolve.office import Office, business, citizen


def previewed(office: Office, record: SourceRecord) -> Preview:
    with office.writer._index.read() as view:
        engine = office.writer._engines[record.key.kind]
        return preview_write(view, engine, record, 10, view.number_of(record.key))


def promised(preview: Preview) -> tuple[str, GoldenId | None]:
    return preview.outcome, preview.golden_id


def kept(answer: WriteAnswer, minted: bool) -> tuple[str, GoldenId | None]:  # noqa: FBT001
    return answer.outcome.value, None if minted else answer.golden_id


def written(office: Office, record: SourceRecord) -> tuple[str, GoldenId | None]:
    answer = office.put(record)
    minted = {change.golden_id for change in answer.changes if change.kind == "created"}
    return kept(answer, minted=answer.golden_id in minted)


@pytest.mark.parametrize("seed", [3, 4])
def test_a_write_does_what_its_preview_said(office: Office, seed: int) -> None:
    records = [*city_records(400, 7)]
    rng = random.Random(seed)
    rng.shuffle(records)
    records = records[:500]
    for record in records:
        assert promised(previewed(office, record)) == written(office, record)
    by_kind: dict[str, list[SourceRecord]] = {}
    for record in records:
        by_kind.setdefault(record.key.kind, []).append(record)
    for _ in range(250):
        record = rng.choice(records)
        # Some keys get the values of another record, as a recycled number does; the others only lose what repeats.
        other = rng.choice(by_kind[record.key.kind])
        thinner = msgspec.structs.replace(record.attributes, phones=())
        attributes = rng.choice([other.attributes, thinner, record.attributes])
        changed = SourceRecord(record.key, attributes, record.updated_at)
        assert promised(previewed(office, changed)) == written(office, changed)


def test_a_preview_says_what_would_not_be_written(office: Office) -> None:
    record = citizen("H1", updated_at="2025-02-01")
    office.put(record)
    assert previewed(office, record).outcome == WriteOutcome.UNCHANGED
    assert previewed(office, citizen("H1", phone="", updated_at="2025-01-01")).outcome == WriteOutcome.STALE
    office.execute(Delete(Request(office.cause), record.key, updated_at="2025-03-01"))
    late = citizen("H1", phone="", updated_at="2025-02-15")
    assert promised(previewed(office, late)) == written(office, late) == (WriteOutcome.STALE, None)


def test_a_preview_hears_the_steward(office: Office) -> None:
    office.put(citizen("A"))
    office.put(citizen("B", "Lý Quốc Cường", "1950-01-02", phone="", address=""))
    office.judge(citizen("A").key, citizen("B").key, Verdict.SAME)
    again = citizen("B", "Lý Quốc Cường", "1950-01-02", phone="0987654321", address="")
    assert promised(previewed(office, again)) == written(office, again)


def test_a_candidate_is_certain_only_if_a_write_would_link_it(office: Office) -> None:
    office.put(citizen("A"))
    sure = previewed(office, citizen("B"))
    assert [candidate.grade for candidate in sure.match.candidates] == [Grade.CERTAIN]
    office.put(citizen("C", "Nguyễn Thị Thúy", phone="", address=""))
    doubtful = previewed(office, citizen("D", "Nguyễn Thị Thúy", phone="", address=""))
    assert [candidate.grade for candidate in doubtful.match.candidates] == [Grade.LIKELY]
    assert doubtful.match.candidates[0].held_back


def test_a_reader_follows_what_the_writer_activates_and_answers_as_it_decides(tmp_path: Path) -> None:
    office = Office(tmp_path / "data")
    first = office.put(citizen("A", personal_id="079187000123"))
    office.close()
    reader = Reader.open(tmp_path / "data")
    preview = reader.searches.preview(citizen("B"))
    assert (preview.outcome, preview.golden_id) == ("linked", first.golden_id)
    assert _searched(reader, citizen("A")).candidates[0].golden_id == first.golden_id
    before = reader._opened
    reader.refresh()
    assert reader._opened is before
    # As after a re-linkage: other settings in the same generation.
    reader._opened = msgspec.structs.replace(before, settings=())
    reader.refresh()
    assert reader._opened.index is before.index
    assert reader._opened.settings == before.settings
    assert reader.searches.preview(citizen("B")) == preview
    reader.close()


def test_an_outdated_proposal_decides_as_no_proposal_does(tmp_path: Path) -> None:
    records = city_records(100, 5)
    helped = Office(tmp_path / "helped")
    helped.put_all(records[::2])
    helped.close()
    reader = Reader.open(tmp_path / "helped")
    proposals = {record.key: reader.searches.propose(record) for record in records}
    reader.close()
    helped.reopen()
    # Half of the records were not there when the proposals were made, and what the proposals name changes meanwhile.
    for record in records:
        helped.execute(Upsert(Request(helped.cause), record, proposal=proposals[record.key]))
    plain = Office(tmp_path / "plain")
    plain.put_all(records[::2])
    plain.put_all(records)
    assert helped.partition() == plain.partition()
    assert helped.differences(tmp_path / "scratch") == []
    for office in (helped, plain):
        office.close()


@contextmanager
def reading(path: Path, *written: Sequence[SourceRecord]) -> Iterator[Reader]:
    """A reader of an office that wrote these records, one part after the other, and closed."""
    office = Office(path)
    for records in written:
        office.put_all(records)
    office.close()
    reader = Reader.open(path)
    yield reader
    reader.close()


def test_a_preview_proposes_what_a_reader_proposes(tmp_path: Path) -> None:
    records = city_records(100, 5)
    with reading(tmp_path / "data", records) as reader:
        for record in records[::7]:
            by_preview, alone = reader.searches.preview(record).proposal, reader.searches.propose(record)
            assert by_preview is not None
            # A preview also looks at the record's present company, whether blocking finds it or not.
            known = {each.number: each for each in by_preview.candidates}
            assert all(known[each.number] == each for each in alone.candidates)
            assert msgspec.structs.replace(by_preview, candidates=()) == msgspec.structs.replace(alone, candidates=())


def test_a_preview_that_adds_former_names_proposes_nothing(tmp_path: Path) -> None:
    code = "0301464830"
    before = business("A", "Công ty TNHH Hoàng Minh Phát", tax_code=code)
    renamed = business("A", "Công ty TNHH Sao Biển Xanh", tax_code=code)
    with reading(tmp_path / "data", [before]) as reader:
        assert reader.searches.preview(renamed).proposal is None
        assert reader.searches.preview(before).proposal is not None


def test_one_state_answers_a_batch_as_each_alone(tmp_path: Path) -> None:
    records = city_records(100, 5)
    with reading(tmp_path / "data", records) as reader:
        searched = [each.match for each in reader.searches.find(records[::3])]
        assert searched == [_searched(reader, record) for record in records[::3]]


def test_a_search_on_the_polling_thread_answers_alike_or_leaves_it_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "SHORT_MATCH_RECORDS_MAX", 64)
    records = city_records(100, 5)
    namesakes = [citizen(f"N{number}", phone="", address="") for number in range(65)]
    with reading(tmp_path / "data", records, namesakes) as reader:
        for record in records[::7]:
            found = reader.searches.find_at_once(record, 10)
            assert found is not None
            assert found.match == _searched(reader, record)
        assert _searched(reader, namesakes[0]).scored_count == len(namesakes)
        assert reader.searches.find_at_once(namesakes[0], 10) is None


class _Rush(threading.Event):
    """Searches at once that never end; notes how long others let them go first, and how many did at a time."""

    def __init__(self, lasts_s: float = 0.0) -> None:
        super().__init__()
        self.waits_s: list[float | None] = []
        self.waiting_counts: list[int] = []
        self._lasts_s = lasts_s
        self._waiting: list[int] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits_s.append(timeout)
        self._waiting.append(1)
        self.waiting_counts.append(len(self._waiting))
        time.sleep(self._lasts_s)
        self._waiting.pop()
        return False


def test_each_search_of_a_batch_lets_those_at_once_go_first_for_a_bounded_time(tmp_path: Path) -> None:
    records = city_records(100, 5)
    with reading(tmp_path / "data", records) as reader:
        expected = [_searched(reader, record) for record in records[:3]]
        rush = _Rush()
        reader.searches.give_way_to(rush)
        stages.take()
        assert [each.match for each in reader.searches.find(records[:3])] == expected
        assert len(rush.waits_s) == 3
        assert all(wait_s is not None and 0 < wait_s <= 0.01 for wait_s in rush.waits_s)
        assert Counter(stage for stage, _ in stages.take()) == {stages.TURN: 4, stages.MATCH: 3}
        # Nobody waits for one search alone to give way: a desk's, a preview, a write's, or one of those that go first.
        reader.searches.preview(records[0])
        reader.searches.propose(records[0])
        assert reader.searches.find_at_once(records[0], 10) is not None
        assert len(list(reader.searches.find(records[:1]))) == 1
        assert len(rush.waits_s) == 3


def test_a_batch_keeps_nobody_waiting_while_it_gives_way(tmp_path: Path) -> None:
    with reading(tmp_path / "data", city_records(100, 5)) as reader:

        class Rush(_Rush):
            def wait(self, timeout: float | None = None) -> bool:
                assert not reader.searches._turn.locked()
                return super().wait(timeout)

        rush = Rush()
        reader.searches.give_way_to(rush)
        assert len(list(reader.searches.find(city_records(100, 5)[:2]))) == len(rush.waits_s) == 2


def test_batches_give_way_one_at_a_time(tmp_path: Path) -> None:
    # If each waited for itself, one of many would always be searching, and nobody would have been let go first.
    records = city_records(100, 5)[:5]
    with reading(tmp_path / "data", records) as reader, ThreadPoolExecutor(4) as batches:
        rush = _Rush(0.01)
        reader.searches.give_way_to(rush)
        assert len(list(batches.map(lambda _: list(reader.searches.find(records)), range(4)))) == 4
        assert rush.waiting_counts == [1] * 20


def _searched(reader: Reader, record: SourceRecord) -> MatchResult:
    (found,) = reader.searches.find((record,))
    return found.match
