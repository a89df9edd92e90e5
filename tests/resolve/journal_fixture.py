"""Makes the journal of a release that every later release has to replay to the same golden IDs.

`python -m tests.resolve.journal_fixture RELEASE` writes `tests/fixtures/journals/RELEASE`: a journal in which every
sort of fact occurs, and the answers of its crosswalk and of every golden ID. Made once for a release, never again.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, get_args

import apsw

from mdm.domain import events as ev
from mdm.domain.events import ReviewAnswer, Verdict
from mdm.domain.keys import EntityKind
from mdm.linkage.model import Model
from mdm.resolve.commands import (
    ClaimReview,
    ClerkChoice,
    Erase,
    Pin,
    ReleaseReview,
    Request,
    SwitchModel,
    Unpin,
    WithdrawJudgement,
)
from mdm.resolve.engines import Engine
from mdm.resolve.group import Group
from mdm.store.journal import Journal
from mdm.store.view import IndexView
from tests.resolve.loads import load, revert
from tests.resolve.office import Office, business, citizen

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "journals"
JOURNAL, EXPECTED = "journal.sqlite", "expected.json"
_ID, _OTHER_ID = "079187000123", "079187004567"
_LONG_RUN = "20260101T000000-abcdef"
_PURGE_S_MAX = 60.0
_EPOCH_BYTES_MAX = 10_000


def answers(view: IndexView) -> dict[str, Any]:
    """Return all that a client could have been told of golden IDs."""
    return {
        "crosswalk": sorted(
            [key.registry, key.kind.value, key.record_id, row.status.name, row.golden_id or ""]
            for key, row in view.iter_crosswalk()
        ),
        "lineage": [
            [
                golden_id,
                "retired" if entry.is_retired else "redirected" if entry.survivor else "active",
                entry.survivor or "",
                entry.minted_seq,
                list(entry.members),
                list(entry.absorbed),
            ]
            for golden_id, entry in view.iter_goldens()
        ],
        "questions": sorted([*pair, match.reason.value] for pair, match in view.iter_potential_matches()),
        "judgements": sorted([*pair, verdict.value] for pair, verdict in view.iter_judgements()),
    }


def facts_of(journal: Path) -> set[str]:
    """Return the sorts of facts that occur in a journal file."""
    with Journal.open_read_only(journal) as opened:
        return {type(event.fact).__name__ for event in opened.events()}


def all_facts() -> set[str]:
    """Return the sorts of facts that this release knows."""
    return {fact.__name__ for fact in get_args(ev.Fact)}


def live(office: Office) -> None:
    """Have every sort of fact happen."""
    _records(office)
    _load_taken_back(office)
    _stewards(office)
    _reviews(office)
    _runs(office)
    _erasure(office)
    missing = sorted(all_facts() - {type(event.fact).__name__ for event in office.events()})
    if missing:
        raise SystemExit(f"no such facts happened: {', '.join(missing)}")


def _records(office: Office) -> None:
    load(office, "load-1", [citizen(f"L{at}", f"Vũ Ngọc {at}", personal_id=f"0791870009{at:02}") for at in range(1, 4)])
    office.put_all(
        [
            business("B1", "Công ty TNHH Sao Mai", tax_code="0301234567"),
            business("B2", "Công ty TNHH Sao Mai", tax_code="0301234567"),
        ]
    )
    anchor = citizen("A1", personal_id=_ID)
    office.put_all([anchor, citizen("A2", personal_id=_ID), citizen("A3", personal_id=_ID)])
    office.drop(anchor.key)
    office.put(citizen("ALONE", "Đặng Hoàng Long", "1969-10-20", sex="M", phone="", address=""))
    office.drop(citizen("ALONE").key)
    shown = office.put(citizen("SHOWN", "Nguyễn Thị Thúy", phone="", address="")).golden_id
    assert shown is not None
    office.put(citizen("CHOSEN", "Nguyễn Thị Thúy", phone="", address=""), choice=ClerkChoice(shown, (shown,)))
    office.put(citizen("CHOSEN", "Phạm Quốc Cường", "1950-01-02", sex="M", personal_id=_OTHER_ID, phone="", address=""))


def _load_taken_back(office: Office) -> None:
    kept, gone = (
        citizen("K1", "Bùi Thanh Tùng", "1958-08-08", sex="M", phone=""),
        citizen("K2", "Âu Dương Phi", phone=""),
    )
    office.put_all([kept, gone])
    poisoned = load(office, "load-2", [citizen("K1", "Tùng Bùi Thanh", "1985-05-05", sex="F"), citizen("K3"), gone.key])
    revert(office, poisoned)
    # As a restore writes it; a step of a revert of many rows.
    _draft(office, ev.JournalRestored(0, 0, 0, 0, office.seq))


def _stewards(office: Office) -> None:
    left, right = citizen("S1", "Huỳnh Bảo Trâm", phone=""), citizen("S2", "Lê Kim Ngân", "1990-02-03", phone="")
    office.put_all([left, right])
    office.same(left, right)
    golden_id = office.id_of(left)
    assert golden_id is not None
    office.steward(Pin(golden_id, "full_name", "HUỲNH BẢO TRÂM"))
    office.steward(Unpin(golden_id, "full_name"))
    office.judge(citizen("L1").key, citizen("L2").key, Verdict.DIFFERENT)
    with office.writer._index.read() as view:
        standing = view.standing(office.pair(citizen("L1"), citizen("L2")))
    assert standing is not None
    office.steward(WithdrawJudgement(standing.seq))


def _reviews(office: Office) -> None:
    asked = [citizen("R1", "Nguyễn Văn An", personal_id="079187001111", phone="", address="", sex="M")]
    asked.append(citizen("R2", "Nguyễn Văn An", phone="", address="", sex="M"))
    office.put_all(asked)
    review = next(iter(office.reviews()))
    hoa = Request(ev.Cause(actor="hoa", method="Test"))
    office.execute(ClaimReview(hoa, review))
    office.execute(ReleaseReview(hoa, review))
    office.execute(ReleaseReview(hoa, review, is_escalated=True, reason="needs the registrar"))
    office.answer_review(review, ReviewAnswer.UNSURE)
    office.answer_review(review, ReviewAnswer.DIFFERENT)
    closing = [
        citizen("R3", "Nguyễn Văn Bình", phone="", address="", sex="M"),
        citizen("R4", "Nguyễn Văn Bình", phone="", address="", sex="M"),
    ]
    office.put_all(closing)
    office.put(citizen("R4", "Trương Mỹ Lan", "1933-01-01", personal_id="079133000001"))
    # What needs hundreds of records or another configuration is drafted as it would be.
    golden_id = office.id_of(citizen("L3"))
    assert golden_id is not None
    pair = office.pair(citizen("L1"), citizen("L3"))
    _draft(office, ev.OversizeFound(golden_id, 50))
    oversized = office.seq
    _draft(office, ev.ReviewSettled(oversized, ReviewAnswer.ACCEPT))
    _draft(office, ev.MergeProposed(ev.Judge(*pair, Verdict.SAME), *pair, 20, 2_000_000_000_000_000))


def _draft(office: Office, fact: ev.Fact) -> None:
    with office.writer._index.write() as txn:
        group = Group(office.writer._journal.begin(time.time_ns() // 1000), txn, {})
        group.add(ev.Cause(actor="service", method="fixture"), fact)
        office.writer._journal.commit(group.batch)


def _runs(office: Office) -> None:
    engine: Engine = office.writer._engines[EntityKind.CITIZEN]
    shipped = Model.default(EntityKind.CITIZEN)
    request = Request(ev.Cause(actor="operator", method="ActivateModel"))
    office.execute(SwitchModel(request, EntityKind.CITIZEN, shipped.to_bytes(), engine.model_digest, "a pinned one"))
    office.put_all(
        [
            citizen("P1", "Mai Thị Hạnh", personal_id="079187002222"),
            citizen("P2", "Mai Thị Hạnh", personal_id="079187002222"),
        ],
        later=True,
    )
    run = office.relink()
    office.revert(run.run_id)
    office.relink()
    # A commit that takes more than one step, as those of a city do.
    for fact in (ev.RelinkCommitStarted(_LONG_RUN, "0" * 32, 2), ev.RelinkProgressed(_LONG_RUN, 1, 0)):
        _draft(office, fact)
    _draft(office, ev.RelinkCommitFinished(_LONG_RUN, 0))


def _erasure(office: Office) -> None:
    office.put(citizen("GONE", "Tô Thị Nga", "1999-09-09", personal_id="079199000009"))
    office.execute(Erase(Request(ev.Cause(actor="operator")), office.id_of(citizen("GONE")), None, "request 2026-1"))
    until_s = time.monotonic() + _PURGE_S_MAX
    while not any(isinstance(event.fact, ev.ErasureFinished) for event in office.events()):
        assert time.monotonic() < until_s
        office.writer.background_step()
        time.sleep(0.05)


def make(release: str) -> Path:
    """Write the fixture of a release that has none yet."""
    target = FIXTURES / release
    with tempfile.TemporaryDirectory() as scratch:
        office = Office(Path(scratch) / "data")
        live(office)
        with office.writer._index.read() as view:
            expected = {"seq": view.applied_seq, **answers(view)}
        office.close()
        target.mkdir(parents=True)
        shutil.copyfile(office.path / JOURNAL, target / JOURNAL)
    journal = apsw.Connection(str(target / JOURNAL))
    journal.execute("PRAGMA journal_mode = DELETE")
    # The shipped statistics are in force no more, need 0.2 MB, and stand in the package.
    journal.execute("DELETE FROM artefacts WHERE kind = 'epoch' AND length(body) > ?", (_EPOCH_BYTES_MAX,))
    journal.execute("VACUUM")
    journal.close()
    (target / EXPECTED).write_text(json.dumps(expected, ensure_ascii=False) + "\n", encoding="utf-8")
    return target


if __name__ == "__main__":
    make(sys.argv[1])
