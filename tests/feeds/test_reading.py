from __future__ import annotations

import datetime as dt
import os
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mdm.errors import FeedFileError
from mdm.feeds.reading import Row, open_feed, survey
from mdm.feeds.rejects import Reject
from mdm.limits import FEED_ROW_LINES_MAX


def rows_of(tmp_path: Path, body: bytes) -> list[Row | Reject]:
    path = tmp_path / "feed.csv"
    path.write_bytes(body)
    return list(open_feed(path).rows())


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("record_id,full_name\n1,Hồ Lan\n", id="plain"),
        pytest.param("\ufeffrecord_id,full_name\n1,Hồ Lan\n", id="with a BOM"),
        pytest.param("record_id,full_name\r\n1,Hồ Lan\r\n", id="with CRLF"),
        pytest.param('record_id,full_name\n"1","Hồ Lan"', id="quoted, no line feed at the end"),
        pytest.param("record_id , full_name\n1,Hồ Lan\n\n\n", id="spaces in the header, empty lines at the end"),
    ],
)
def test_the_same_table_is_read_from_every_dialect(tmp_path: Path, body: str) -> None:
    path = tmp_path / "feed.csv"
    path.write_bytes(body.encode())
    opened = open_feed(path)
    assert opened.columns == ("record_id", "full_name")
    assert list(opened.rows()) == [Row(2, ("1", "Hồ Lan"))]


def test_a_quoted_value_may_span_lines_and_later_lines_keep_their_numbers(tmp_path: Path) -> None:
    assert rows_of(tmp_path, b'a,b\n1,"x\ny, ""z"""\n2,w\n') == [Row(2, ("1", 'x\ny, "z"')), Row(4, ("2", "w"))]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"2", "has 1 columns where the header has 2"),
        (b"2,x,y", "has 3 columns where the header has 2"),
        (b"2,H\xf4\xff", "holds bytes that are not UTF-8"),
        (b'2,"x', "its quotes do not pair up"),
        (b'2,"x"y', "its quotes do not pair up"),
    ],
)
def test_a_row_that_cannot_be_read_is_set_aside_and_the_rest_is_read(tmp_path: Path, bad: bytes, reason: str) -> None:
    first, found, *others = rows_of(tmp_path, b"a,b\n1,x\n" + bad + b"\n3,z\n4,w\n")
    assert first == Row(2, ("1", "x"))
    assert isinstance(found, Reject)
    assert (found.line, found.reason) == (3, reason)
    assert others == [Row(4, ("3", "z")), Row(5, ("4", "w"))]


def test_a_value_is_read_however_long_and_whatever_characters_it_holds(tmp_path: Path) -> None:
    value = "x\0\x1b" * 200_000
    assert rows_of(tmp_path, f"a,b\n1,{value}\n2,z\n".encode()) == [Row(2, ("1", value)), Row(3, ("2", "z"))]


def test_a_line_that_is_too_long_costs_itself_and_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    with path.open("wb") as file:
        file.write(b"a,b\n1,x\n2,")
        for _ in range(64):
            file.write(b'y"' * (1 << 19))
        file.write(b"\n3,z\n")
    tracemalloc.start()
    first, cut, last = open_feed(path).rows()
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (first, last) == (Row(2, ("1", "x")), Row(4, ("3", "z")))
    assert isinstance(cut, Reject)
    assert (cut.line, cut.reason, len(cut.row[0])) == (3, "is longer than 1,048,576 characters", 200)
    assert peak_bytes < 16 << 20


def test_a_quote_that_is_never_closed_costs_its_own_line_only(tmp_path: Path) -> None:
    count = 3 * FEED_ROW_LINES_MAX
    body = b'a,b\n0,"open\n' + b"".join(b"%d,x\n" % number for number in range(1, count))
    found = rows_of(tmp_path, body)
    assert [row.line for row in found] == list(range(2, count + 2))
    assert [isinstance(row, Reject) for row in found] == [True] + [False] * (count - 1)


WIDE = "facility,ward,record_id,full_name,birth_date,address,phone"
STRAY = '1,"Lan,1980,12 Lê Lợi,09'


@pytest.mark.parametrize(
    ("body", "set_aside", "read"),
    [
        pytest.param([STRAY, '2,Ba",1981,9 Lê Lai,'], [2], "2", id="the next row's quote"),
        pytest.param(
            [STRAY, "2,Ba,1981,,", "3,Tư,1982,,", '4,Năm",1983,,', "5,Sáu,,,"], [2], "2345", id="a later row's"
        ),
        pytest.param([STRAY, "2,Ba,1981,,", '3,Tư,1982,9 Lê Lai",'], [2], "23", id="a quote in another column"),
        pytest.param([STRAY, "2,Ba,1981", '3,Tư",1982,,'], [2, 3], "3", id="a row between is broken, too"),
        pytest.param(['1,"Lan', "2,Ba,,,", "3,Tư,,,", '4,Năm",,,'], [2], "234", id="cut off at the quote"),
        pytest.param([STRAY, '2,Ba",1981,"9 Lê Lai\nQuận 1",'], [2], "2", id="and the later row has several lines"),
        pytest.param(['1,Lan,1980,12 Lê Lợi,"09', '2,Ba,1981,,09"'], [2], "2", id="in the last column"),
        pytest.param([STRAY, "2," + "x" * (1 << 20), '3,Tư",1982,,'], [2, 3], "3", id="a line between is too long"),
        pytest.param([STRAY, "2," + "x" * (1 << 20), "3,Tư,1982,,"], [2, 3], "3", id="too long and never closed"),
    ],
)
def test_a_stray_quote_never_swallows_the_rows_up_to_another_one(
    tmp_path: Path, body: list[str], set_aside: list[int], read: str
) -> None:
    found = rows_of(tmp_path, "\n".join([WIDE, *(f"BV,W1,{row}" for row in body)]).encode())
    assert [row.line for row in found if isinstance(row, Reject)] == set_aside
    assert "".join(row.cells[2] for row in found if isinstance(row, Row)) == read


@pytest.mark.parametrize(
    "value",
    [
        "12 Lê Lợi\nQuận 1",
        "Số 12, hẻm 3, Lê Lợi,\nPhường Bến Nghé, Quận 1",
        "Tầng 2\n12,Lê Lợi\nQ1,TPHCM\n",
        'Chung cư "Sen"\nLô B, ""',
    ],
)
def test_an_address_on_several_lines_is_one_value_wherever_it_stands(tmp_path: Path, value: str) -> None:
    for place in range(1, 7):
        cells = ["BV", "W1", "1", "Lan", "1980", "x", "09"]
        cells[place] = value
        written = ",".join('"{}"'.format(cell.replace('"', '""')) if "\n" in cell else cell for cell in cells)
        assert rows_of(tmp_path, f"{WIDE}\n{written}\n".encode()) == [Row(2, tuple(cells))]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("owner_id,name,address", ("1", "An", "Số 5 Lê Lợi{}Phường 1,Quận 3,TP HCM")),
        ("a,b,address,code,on", ("1", "An", "Số 5,P1,Q3{}Hẻm 2,Khu A,TP HCM", "27000", "2024-01-01")),
        ("id,address", ("1", "Số 5{}Phường 1,Quận 3")),
        ("address", ("Số 5{}Phường 1",)),
    ],
)
def test_an_address_whose_lines_look_like_rows_of_a_narrow_feed_is_one_value(
    tmp_path: Path, header: str, row: tuple[str, ...], ending: str
) -> None:
    cells = tuple(cell.format(ending) for cell in row)
    written = ",".join(f'"{cell}"' for cell in cells)
    body = ending.join([header, written, ",".join("x" for _ in cells), ""])
    assert rows_of(tmp_path, body.encode())[0] == Row(2, cells)


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("record_id,full_name,birth_date,sex,address", ['P2,"Hai,1971-02-03,1,x', 'P3,Ba",1990-05-06,2,y']),
        ("record_id,full_name,birth_date,sex,address,note", ['P2,Hai,1971-02-03,1,x,"n', 'P3,Ba,1990-05-06,2,y,m"']),
        ("address,record_id,full_name", ['12 Lê Lợi,BN-0021,"Hai', '13 Lê Lai,BN-0031,Ba"']),
        (WIDE, ['BV,W2,1,"Hai,1971-02-03,x,', 'BV,W3,1,Ba",1990-05-06, 9 Lê Lai,']),
    ],
)
def test_stray_quotes_of_neighbouring_rows_take_no_row_with_numbers_where_the_other_has_them(
    tmp_path: Path, header: str, body: list[str]
) -> None:
    found = rows_of(tmp_path, "\n".join([header, *body, ""]).encode())
    assert [(type(row), row.line) for row in found] == [(Reject, 2), (Row, 3)]


def test_a_header_never_swallows_the_rows_below_it(tmp_path: Path) -> None:
    with pytest.raises(FeedFileError, match="no header"):
        rows_of(tmp_path, b'record_id,"full_name,birth_date\n1,Lan",1980\n')


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "is empty"),
        ("record_id,full_name\n1,Lan\n".encode("utf-16"), "UTF-16"),
        (b"record_id,h\xf4 t\xean\n1,Lan\n", "header that is not UTF-8"),
        (b"record_id,full_name\n" + b"1,H\xf4 Lan\n" * 50, "is not UTF-8: 50 of its first"),
        (b"a,a\n1,2\n", "several columns named a"),
        ("Lê Văn Ba,Lê Văn Ba,1980-01-02\n".encode(), "feed.csv: has several columns of one name, or no header"),
        (b'"a', "no header"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_refused(tmp_path: Path, body: bytes, message: str) -> None:
    path = tmp_path / "feed.csv"
    path.write_bytes(body)
    with pytest.raises(FeedFileError) as caught:
        list(open_feed(path).rows())
    assert str(caught.value).startswith("feed.csv: ")
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeedFileError, match=r"nowhere\.csv: cannot be read"):
        open_feed(tmp_path / "nowhere.csv")


def parquet(tmp_path: Path, table: pa.Table) -> Path:
    path = tmp_path / "feed.parquet"
    pq.write_table(table, path, row_group_size=2)
    return path


def test_a_parquet_file_is_read_as_text_whatever_its_types(tmp_path: Path) -> None:
    path = parquet(tmp_path, pa.table({"record_id": [1, 2, None], "full_name": ["Lan", None, "Hồ"]}))
    opened = open_feed(path)
    assert opened.row_count == 3
    assert list(opened.rows()) == [Row(1, ("1", "Lan")), Row(2, ("2", "")), Row(3, ("", "Hồ"))]


@pytest.mark.parametrize("value", [["0903", "0904"], {"home": "0903"}], ids=["a list", "a struct"])
def test_nested_values_in_parquet_are_refused_by_the_name_of_their_column(tmp_path: Path, value: object) -> None:
    table = pa.table({"record_id": ["1"], "phone": [value], "seen": [dt.timedelta(days=1)]})
    with pytest.raises(FeedFileError, match="nested values in phone:"):
        open_feed(parquet(tmp_path, table))
    assert list(open_feed(parquet(tmp_path, table.drop_columns("phone"))).rows()) == [Row(1, ("1", "86400000000"))]


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "feed.csv")
    with pytest.raises(FeedFileError, match=r"feed\.csv: is a pipe"):
        open_feed(tmp_path / "feed.csv")


def test_bytes_in_parquet_that_are_not_utf8_cost_their_row_only(tmp_path: Path) -> None:
    broken = pa.array([b"Lan", b"H\xf4", b"An"], pa.binary())
    rows = list(open_feed(parquet(tmp_path, pa.table({"full_name": broken}))).rows())
    assert [isinstance(row, Reject) for row in rows] == [False, True, False]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_a_truncated_parquet_file_is_refused(tmp_path: Path, share: float) -> None:
    path = parquet(tmp_path, pa.table({"record_id": [str(number) for number in range(1000)]}))
    body = path.read_bytes()
    path.write_bytes(body[: max(1, int(share * len(body)))])
    with pytest.raises(FeedFileError, match="no whole Parquet file"):
        open_feed(path)


def test_a_parquet_file_damaged_inside_is_refused_while_reading(tmp_path: Path) -> None:
    path = parquet(tmp_path, pa.table({"record_id": [f"{number}-{number * 7919}" for number in range(5000)]}))
    body = bytearray(path.read_bytes())
    body[40:4000] = bytes(3960)
    path.write_bytes(body)
    with pytest.raises(FeedFileError, match="damaged after row"):
        list(open_feed(path).rows())


def test_a_large_file_is_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_text("record_id,full_name\n" + "".join(f"{number},{'x' * 90}\n" for number in range(60_000)))
    tracemalloc.start()
    try:
        count = sum(1 for _ in open_feed(path).rows())
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 60_000
    assert peak_bytes < 3 * 1024 * 1024  # the file is 6 MB


def test_a_survey_counts_lines_and_knows_the_file_again(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_bytes(b"a\n1\n2\n")
    digest, line_count = survey(path)
    assert (len(digest), line_count) == (64, 3)
    path.write_bytes(b"a\n1\n3\n")
    assert survey(path)[0] != digest
