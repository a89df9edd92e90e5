"""What the change feed tells, read from a real index."""

from __future__ import annotations

from mdm.domain.changes import ChangeKind
from mdm.domain.keys import GoldenId, SourceKey
from mdm.limits import FEED_EVENTS_MAX
from mdm.resolve.commands import Erase, Request
from mdm.resolve.export_rows import ExportFilter, lineage_chunks
from mdm.resolve.feed import FeedEvent, FeedFilter, FeedPage, read_page
from mdm.resolve.views import GoldenState
from mdm.store.view import IndexView
from tests.resolve.office import BUSINESS, CITIZEN, Office, business, citizen

ALL = FeedFilter()


def pages(office: Office, after_seq: int = 0, wanted: FeedFilter = ALL) -> list[FeedPage]:
    """Every page up to the end."""
    found: list[FeedPage] = []
    while not found or not found[-1].is_at_end:
        with office.writer._index.read() as view:
            found.append(read_page(view, found[-1].seq if found else after_seq, wanted))
    return found


def events(office: Office, after_seq: int = 0, wanted: FeedFilter = ALL) -> list[FeedEvent]:
    return [event for page in pages(office, after_seq, wanted) for event in page.events]


def crosswalk(view: IndexView) -> dict[SourceKey, GoldenId]:
    return {key: entry.golden_id for key, entry in view.iter_crosswalk() if entry.golden_id is not None}


def a_day(office: Office) -> None:
    """A link, a merge of two golden records by a third record, a move, a delete and a firm."""
    office.put(citizen("H1", personal_id="079187000123"))
    office.put(citizen("S1", registry="social_security", personal_id="079187000123"))
    office.put(citizen("H2", "Lê Quốc Hùng", "1955-11-30", sex="M", personal_id="079055004444", phone="0911222333"))
    office.put(
        citizen("S1", "Lê Quốc Hùng", "1955-11-30", registry="social_security", sex="M", personal_id="079055004444")
    )
    office.put(business("C1", "Công ty TNHH Cơ khí Minh Phát", tax_code="0312345678"))
    office.drop(citizen("H1").key)


def test_the_moves_alone_give_the_crosswalk_from_any_position_on(office: Office) -> None:
    copy: dict[SourceKey, GoldenId] = {}
    copies = {0: dict(copy)}
    a_day(office)
    for event in events(office):
        for move in event.moves:
            assert move.key is not None
            assert copy.get(move.key) == move.before
            if move.after is None:
                del copy[move.key]
            else:
                copy[move.key] = move.after
        copies[event.seq] = dict(copy)
    with office.writer._index.read() as view:
        expected = crosswalk(view)
    assert copy == expected
    assert len(copies) > 5
    for seq, then in copies.items():
        for event in events(office, seq):
            for move in event.moves:
                assert move.key is not None
                then.pop(move.key, None)
                if move.after is not None:
                    then[move.key] = move.after
        assert then == expected, seq


def test_filters_take_events_of_registries_kinds_and_changes(office: Office) -> None:
    a_day(office)
    hospital = events(office, wanted=FeedFilter(registries=frozenset({"hospital"})))
    assert {move.key.registry for event in hospital for move in event.moves if move.key} == {"hospital"}
    kinds = [golden.kind for event in hospital for golden in event.goldens]
    assert ChangeKind.RETIRED in kinds, "the ID that the hospital's record was the last of"
    assert kinds.count(ChangeKind.CREATED) == 2

    firms = events(office, wanted=FeedFilter(kind=BUSINESS))
    assert [golden.golden_id[0] for event in firms for golden in event.goldens] == ["B"]
    assert len(firms) + len(events(office, wanted=FeedFilter(kind=CITIZEN))) == len(events(office))

    joined = events(office, wanted=FeedFilter(change_kinds=frozenset({ChangeKind.JOINED})))
    assert {golden.kind for event in joined for golden in event.goldens} == {ChangeKind.JOINED}
    assert all(event.moves for event in joined)

    nothing = pages(office, wanted=FeedFilter(registries=frozenset({"household"})))
    assert [page.events for page in nothing] == [()]
    assert nothing[0].seq == office.writer._journal.last_seq, "what filters drop is behind the subscriber, too"


def test_an_erased_record_is_told_by_its_golden_ids_alone(office: Office) -> None:
    office.put(citizen("H1", personal_id="079187000123"))
    number = office.number(citizen("H1").key)
    whole = events(office)
    batch = office.writer._journal.begin(0)
    batch.erase([number])
    office.writer._journal.commit(batch)
    with office.writer._index.write() as txn:
        txn.purge(number)
    erased = events(office, wanted=FeedFilter(registries=frozenset({"hospital"})))
    assert [move.key for event in erased for move in event.moves] == [None]
    assert [move.after for event in erased for move in event.moves] == [
        move.after for event in whole for move in event.moves
    ]


def test_an_erasure_is_told_to_those_who_follow_the_registry_although_its_record_left_before(office: Office) -> None:
    office.put(citizen("H1", personal_id="079187000123"))
    golden_id = office.id_of(citizen("H1"))
    office.drop(citizen("H1").key)
    seq = office.seq
    office.execute(Erase(Request(office.cause), golden_id, None, "asked for"))
    wanted = FeedFilter(frozenset({"hospital"}), CITIZEN, frozenset({ChangeKind.ERASED}))
    (told,) = events(office, seq, wanted)
    assert [(each.golden_id, each.kind) for each in told.goldens] == [(golden_id, ChangeKind.ERASED)]
    assert told.moves == ()
    assert events(office, seq, FeedFilter(frozenset({"household"}))) == []


def test_an_erasure_of_a_former_bearer_is_told_and_moves_nobody(office: Office) -> None:
    office.put(citizen("C1", personal_id="079187000123", registry="company"))
    former = office.id_of(citizen("C1", registry="company"))
    present = citizen("C1", "Lê Quốc Hùng", "1955-11-30", registry="company", sex="M", personal_id="079055004444")
    assert office.put(present).is_new_bearer
    seq = office.seq
    office.execute(Erase(Request(office.cause), former, None, "asked for"))
    (told,) = events(office, seq, FeedFilter(registries=frozenset({"company"})))
    assert [(each.golden_id, each.kind) for each in told.goldens] == [(former, ChangeKind.ERASED)]
    assert told.moves == ()


def test_a_page_holds_a_bounded_number_of_events_and_the_next_goes_on_behind_it(office: Office) -> None:
    count = FEED_EVENTS_MAX + 20
    days = [f"{1900 + n // 9}-0{n % 9 + 1}-{n % 27 + 1:02}" for n in range(count)]
    office.put_all([citizen(f"H{day}", "Trần Văn Ba", day, phone="") for day in days])
    found = pages(office)
    assert len(found) > 1
    assert len(found[0].events) == FEED_EVENTS_MAX
    assert not found[0].is_current
    assert found[-1].is_current
    seqs = [event.seq for page in found for event in page.events]
    assert seqs == sorted(set(seqs))
    assert found[0].seq == found[0].events[-1].seq


def test_a_subscriber_who_is_ahead_of_this_index_waits(office: Office) -> None:
    with office.writer._index.read() as view:
        ahead = read_page(view, view.applied_seq + 5, ALL)
        assert (ahead.events, ahead.seq, ahead.is_at_end, ahead.is_current) == ((), view.applied_seq + 5, True, False)


def test_lineage_names_every_id_ever_issued(office: Office) -> None:
    a_day(office)
    with office.writer._index.read() as view:
        rows = {row.golden_id: row for row in (row for chunk in lineage_chunks(view, ExportFilter()) for row in chunk)}
        assert rows.keys() == {golden_id for golden_id, _ in view.iter_goldens()}
        firms = [row for chunk in lineage_chunks(view, ExportFilter(kinds=frozenset({BUSINESS}))) for row in chunk]
    assert [row.golden_id[0] for row in firms] == ["B"]
    assert {row.state for row in rows.values()} >= {GoldenState.ACTIVE, GoldenState.RETIRED}
    for row in rows.values():
        assert (row.surviving is None) is (row.state is GoldenState.RETIRED)
        assert row.minted_at_us > 0
