"""A person to erase among others, and the search for what is left of them in any file."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from mdm.domain.keys import GoldenId, SourceKey
from mdm.domain.records import SourceRecord
from mdm.linkage.normalise.text import fold
from mdm.resolve.commands import Erase, EraseAnswer, Request
from tests.resolve.office import Office, citizen

NAME = "Quách Thị Zuyển"
PERSON = [
    citizen("ERASE-H1", NAME, "1984-11-23", phone="0977123321", address="77 Hẻm Bí Mật, Phường Bến Thành, Quận 1"),
    citizen("ERASE-S1", NAME.upper(), "23/11/1984", registry="social_security", phone="0977123321", address=""),
    citizen("ERASE-R1", NAME, "1984-11-23", registry="household", phone="", address="78 Hẻm Bí Mật, Quận 1"),
]
TEXTS = (NAME, NAME.upper(), "1984-11-23", "23/11/1984", "0977123321", "Hẻm Bí Mật", "ERASE-H1", "ERASE-S1", "ERASE-R1")
OTHERS = [citizen(f"O{n}", f"Trần Văn {name}", f"19{60 + n}-02-11", phone="", sex="M") for n, name in
          enumerate(["Ân", "Bình", "Cường", "Dũng", "Giang", "Hiệp", "Khang", "Lâm"])]  # fmt: skip


def needles(texts: tuple[str, ...] = TEXTS) -> list[bytes]:
    """What a copy of a value can look like: as written, folded, in either encoding."""
    written = {form for text in texts for form in (text, text.casefold(), fold(text), fold(text).replace(" ", ""))}
    return [form.encode(code) for form in sorted(written) for code in ("utf-8", "utf-16-le", "utf-16-be")]


SEARCH = """
import json, sys
from pathlib import Path
data, wanted = Path(sys.argv[1]), [bytes.fromhex(each) for each in json.load(sys.stdin)]
contents = ((str(path.relative_to(data)), path.read_bytes()) for path in sorted(data.rglob("*")) if path.is_file())
found = {name: [each.hex() for each in wanted if each in content] for name, content in contents}
print(json.dumps({name: hits for name, hits in found.items() if hits}))
"""


def search(data: Path, wanted: list[bytes]) -> dict[str, list[bytes]]:
    """Every file below a directory that holds one of the byte strings, and which.

    By another process: to close any file of LMDB or SQLite in this one lets go of the locks that it holds on it.
    """
    given = json.dumps([each.hex() for each in wanted])
    said = subprocess.run(
        [sys.executable, "-c", SEARCH, data], input=given, capture_output=True, text=True, check=True
    ).stdout
    return {name: [bytes.fromhex(each) for each in hits] for name, hits in json.loads(said).items()}


def holding(data: Path, texts: tuple[str, ...] = TEXTS) -> dict[str, list[bytes]]:
    """Every file below a directory that holds one of the texts, and which."""
    return search(data, needles(texts))


def loaded(path: Path) -> Office:
    office = Office(path)
    office.put_all([*PERSON, *OTHERS])
    office.put(citizen("ERASE-H1", NAME, "1984-11-23", phone="0977123321", address="79 Hẻm Bí Mật, Quận 1"))
    assert len({office.id_of(record) for record in PERSON}) == 1
    return office


def id_of(office: Office, record: SourceRecord = PERSON[0]) -> GoldenId:
    golden_id = office.id_of(record)
    assert golden_id is not None
    return golden_id


def erased(office: Office, golden_id: GoldenId | None = None, key: SourceKey | None = None) -> EraseAnswer:
    (answer,) = office.execute(Erase(Request(office.cause), golden_id, key, "asked for by the person"))
    assert isinstance(answer, EraseAnswer), answer
    return answer


def finished(office: Office) -> bool:
    with office.writer._index.read() as view:
        return bool(view.setting("erasures")) and not view.setting("erasing")


def purge(office: Office) -> None:
    """Let the writer do what it does between writes, until every copy is gone."""
    until_s = time.monotonic() + 30
    while not finished(office):
        assert time.monotonic() < until_s
        office.writer.background_step()
        time.sleep(0.01)
