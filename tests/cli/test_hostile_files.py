"""Files as strangers hand them over: each ends with the exit code and the records that docs/nightly-files.md states."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mdm_client import Client, EntityKind, RecordStatus
from tests.serving import RunningServer, running_server

DONE, FAILED, USAGE, REJECTS, STOPPED = 0, 1, 2, 3, 4
FEED = "hospital.patients"
HEADER = "record_id,full_name,birth_date,address,operation,updated_at\n"

_RUN_EACH = """
import contextlib, io, json, sys

from mdm.cli.application import run
for arguments in json.loads(sys.stdin.read()):
    said, noted, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(noted):
        sys.argv = ["mdm", *arguments]
        try:
            run()
        except SystemExit as ended:
            code = ended.code or 0
    print(json.dumps([code, said.getvalue(), noted.getvalue()]))
"""
"""One process for all commands, for interpreters take long to start."""


class Case(NamedTuple):
    """One file. Records are named by the case, so that no case meets another's."""

    why: str
    body: str | bytes | pa.Table
    """`{}` stands for the case's own prefix of record ids."""
    code: int
    live: str = ""
    """Numbers of the records that are stored afterwards."""
    summary: Mapping[str, Any] = MappingProxyType({})
    """What the summary must hold."""
    said: str = ""
    """What is said on standard error."""
    options: tuple[str, ...] = ()
    before: str = ""
    """Rows loaded first; with their header where it is another one."""

    @property
    def feed(self) -> str:
        return next((option for option in self.options if "." in option), FEED)


def rows(*several: str) -> str:
    return HEADER + "".join(f"{row}\n" for row in several)


def typed() -> pa.Table:
    return pa.table(
        {
            "record_id": pa.array([101, 102], pa.int64()),
            "full_name": pa.array(["Lê Văn Ba", None]).dictionary_encode(),
            "birth_date": pa.array([dt.date(1980, 1, 2), dt.date(1990, 3, 4)]),
            "personal_id": pa.array([79187000123, 79187000124], pa.int64()),
            "updated_at": pa.array([dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)] * 2),
        }
    )


GOOD = "{}1,Lê Văn Ba,1980-01-02,,,"
LATER = "{}2,Hà Thị Tư,1970-05-06,,,"
NEWER = "{}1,Lê Văn Ba,1980-01-02,,,2021-01-01"
OLDER = "{}1,Lê Văn Ba,1980-01-02,12 Lê Lợi,,2020-01-01"
OLDER_DELETE = "{}1,,,,delete,2020-01-01"
BOTH = rows(GOOD, LATER)
COMPANY = "company.businesses"
FIRMS = "record_id,legal_name,representative_name,updated_at\n"
LED = "".join(f"{{}}{number},Công ty {number},Lê Văn {number},2021-01-01\n" for number in range(1, 25))
"""More than a file may withdraw by the way."""
UNLED = "".join(f"{{}}{number},Công ty {number},,2022-01-01\n" for number in range(1, 25))

CASES = [
    Case("a BOM and CRLF", "\ufeff" + BOTH.replace("\n", "\r\n"), DONE, "12"),
    Case("lines that end with CR alone", BOTH.replace("\n", "\r"), DONE, "12"),
    Case("no line feed at the end", BOTH.rstrip("\n"), DONE, "12"),
    Case("a line feed inside quotes", rows('{}1,Lê Văn Ba,1980-01-02,"12 Lê Lợi\nQuận 1",,', LATER), DONE, "12"),
    Case(
        "stray quotes in two rows, and rows between them",
        rows('{}3,"Bùi Văn Năm,1980-01-02,,,', GOOD, LATER, '{}4,Lý Thị Sáu",1990-03-04,,,'),
        REJECTS,
        "124",
        {"rows": 4, "rejected_by_rule": {"row: its quotes do not pair up": 1}},
    ),
    Case("a NUL in a name", rows(GOOD, "{}3,Bùi\0,,,,", LATER), DONE, "123", {"rejected": 0}),
    Case("a NUL in a record id", rows(GOOD, "{}\0003,Bùi,,,,", LATER), REJECTS, "12", {"rejected": 1}),
    Case("a row in Latin-1", BOTH.encode() + "{}3,Th\u00e9r\u00e8se,,,,\n".encode("latin-1"), REJECTS, "12"),
    Case("all in Latin-1", (HEADER + "{}1,Th\u00e9r\u00e8se,,,,\n" * 50).encode("latin-1"), FAILED, said="not UTF-8"),
    Case("UTF-16", BOTH.encode("utf-16"), FAILED, said="UTF-16"),
    Case("no header", "{}1,Lê Văn Ba,1980-01-02\n", FAILED, said="a file without a header"),
    Case("semicolons", BOTH.replace(",", ";"), FAILED, said="commas"),
    Case("no byte at all", b"", FAILED, said="is empty"),
    Case("a header and no row", HEADER, DONE, "", {"rows": 0}),
    Case(
        "a header and no row, as the whole feed", HEADER, STOPPED, "1", {"deleted": 0}, options=("--full",), before=GOOD
    ),
    Case("a ZIP archive", b"PK\x03\x04\x14\x00" + bytes(range(256)) * 4, FAILED, said="UTF-8"),
    Case("a Parquet file that was cut off", b"PAR1" + bytes(100), FAILED, said="cut off"),
    Case("Parquet with other types", typed(), DONE, "", {"rows": 2, "rejected": 0}),
    Case("cut off within a row", rows(GOOD) + "{}2,Hà Thị", REJECTS, "1", {"rejected": 1}),
    Case("cut off within quotes", rows(GOOD) + '{}2,"Hà Thị', REJECTS, "1", {"rejected": 1}),
    Case("a line of three million characters", rows(GOOD, "{}3," + "x" * 3_000_000, LATER), REJECTS, "12"),
    Case("a name of two thousand letters", rows("{}1," + "x" * 2_000 + ",,,,", LATER), DONE, "12", {"rejected": 0}),
    Case(
        "a value of two hundred thousand letters",
        rows(GOOD, "{}3," + "Hoa " * 50_000 + ",,,,", LATER),
        DONE,
        "123",
        {"rejected": 0, "invalid_values": {"full_name": {"is longer than 256 characters: cut": 1}}},
    ),
    Case("a row without a record id", rows(GOOD, ",nobody,,,,"), REJECTS, "1", {"rejected": 1}),
    Case("a record id twice", rows(GOOD, "{}1,Somebody Else,,,,", LATER), REJECTS, "12", {"rejected": 1}),
    Case("stored and deleted in one file", rows(GOOD, "{}1,,,,delete,"), REJECTS, "1", {"rejected": 1}),
    Case("a delete", rows("{}1,,,,delete,"), DONE, "", {"records": {"deleted": 1}}, before=GOOD),
    Case("a delete of what was never stored", rows("{}9,,,,delete,"), DONE, "", {"records": {"absent": 1}}),
    Case("an operation that is none", rows(GOOD, "{}2,,,,replace,"), REJECTS, "1", {"rejected": 1}),
    Case("operations in capitals", rows("{}1,Lê Văn Ba,,,UPSERT,", "{}2,,,,DELETE,"), DONE, "1"),
    Case("rows absent from a delta", rows(LATER), DONE, "12", {"deleted": 0}, before=GOOD),
    Case("the same row again", rows(GOOD), DONE, "1", {"records": {"unchanged": 1}}, before=GOOD),
    Case(
        "an older row",
        rows(OLDER),
        DONE,
        "1",
        {"records": {"stale": 1}},
        before=NEWER,
    ),
    Case(
        "an older row that may replace a newer one",
        rows(OLDER),
        DONE,
        "1",
        {"records": {"updated": 1}},
        options=("--allow-older",),
        before=NEWER,
    ),
    Case("an older delete", rows(OLDER_DELETE), DONE, "1", {"records": {"stale": 1}}, before=NEWER),
    Case(
        "an older delete that may take a newer record away",
        rows(OLDER_DELETE),
        DONE,
        "",
        {"records": {"deleted": 1}},
        options=("--allow-older",),
        before=NEWER,
    ),
    Case(
        "an older delete, before it is loaded",
        rows(OLDER_DELETE, "{}2,,,,delete,2022-01-01"),
        DONE,
        "12",
        {"would_load": {"new": 0, "changed": 0, "unchanged": 0, "deleted": 1, "stale": 1, "absent": 0}},
        options=("--dry-run",),
        before=f"{NEWER}\n{{}}2,Hà Thị Tư,1970-05-06,,,2021-01-01",
    ),
    Case(
        "an older row, with a representative whom the newer one left out",
        f"{FIRMS}{{}}1,Công ty Một,Lê Văn Ba,2020-01-01\n",
        DONE,
        "",
        {"records": {"stale": 2}},
        options=(COMPANY,),
        before=f"{FIRMS}{{}}1,Công ty Một,,2021-01-01\n",
    ),
    Case(
        "rows that withdraw too many records by what they no longer state",
        FIRMS + UNLED,
        STOPPED,
        "123456789",
        {"is_stopped": True},
        "run again with a higher one",
        options=(COMPANY,),
        before=FIRMS + LED,
    ),
    Case(
        "an impossible date",
        rows("{}1,Lê Văn Ba,1980-02-31,,,"),
        DONE,
        "1",
        {"rejected": 0, "invalid_values": {"birth_date": {"is not a possible date": 1}}},
    ),
    Case(
        "a column that nobody declared",
        "record_id,full_name,KHOA\n{}1,Lê Ba,K1\n",
        DONE,
        "1",
        {"unknown_columns": ["KHOA"]},
    ),
    Case("a kind that the feed does not have", "record_id,entity_kind\n{}1,business\n", REJECTS, "", {"rejected": 1}),
    Case("a feed that nobody declared", BOTH, USAGE, said="must be one of", options=("hospital.dentists",)),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("hostile") / "data") as served:
        yield served


def written(folder: Path, place: int, body: str | bytes | pa.Table) -> Path:
    prefix = prefix_of(place)
    if isinstance(body, pa.Table):
        pq.write_table(body, folder / f"{place}.parquet")
        return folder / f"{place}.parquet"
    path = folder / f"{place}.csv"
    path.write_bytes((body.encode() if isinstance(body, str) else body).replace(b"{}", prefix.encode()))
    return path


def prefix_of(place: int) -> str:
    return f"H{place:02}-"


def arguments_of(case: Case, path: Path, address: str) -> list[str]:
    options = [option for option in case.options if option != case.feed]
    return ["load", case.feed, str(path), "--json", "--server", address, "--rejects", f"{path}.rejects", *options]


Found = dict[str, tuple[int, str, str, str]]


@pytest.fixture(scope="module")
def found(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Exit code, what was said and noted, and the numbers of the live records, of each case."""
    folder = tmp_path_factory.mktemp("files")
    earlier = {FEED: HEADER, COMPANY: FIRMS}
    for place, case in enumerate(CASES):
        if case.before:
            before = case.before.removeprefix(FIRMS).strip()
            earlier[case.feed] += before.replace("{}", prefix_of(place)) + "\n"
    commands = [
        arguments_of(Case("", "", DONE, options=(feed,)), written(folder, len(CASES) + place, body), server.address)
        for place, (feed, body) in enumerate(earlier.items())
    ]
    commands += [
        arguments_of(case, written(folder, place, case.body), server.address) for place, case in enumerate(CASES)
    ]
    done = subprocess.run(
        [sys.executable, "-c", _RUN_EACH],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        check=True,
        timeout=110,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()][len(earlier) :]
    with Client(server.address) as client:
        ids = {place: [f"{prefix_of(place)}{number}" for number in range(1, 10)] for place in range(len(CASES))}
        statuses = {
            place: client.batch_lookup(CASES[place].feed.partition(".")[0], EntityKind.CITIZEN, names).statuses
            for place, names in ids.items()
        }
    live = {
        place: "".join(str(number) for number, status in enumerate(each, start=1) if status is RecordStatus.FOUND)
        for place, each in statuses.items()
    }
    return {case.why: (*answers[place], live[place]) for place, case in enumerate(CASES)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_a_file_ends_as_the_contract_says(found: Found, case: Case) -> None:
    code, said, noted, live = found[case.why]
    assert (code, live) == (case.code, case.live), noted
    summary = json.loads(said) if said else {}
    assert {name: summary.get(name) for name in case.summary} == case.summary
    assert case.said in noted
    assert "Traceback" not in noted
    assert "unforeseen" not in noted
