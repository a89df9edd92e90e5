"""Every code block of the documents runs as it stands, in order, against a real service with a small city."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from mdm_client.testing import EphemeralServer, ephemeral_server
from tests.docs.blocks import SHOWN, Block, BlockError, Document, blocks, reasons_left_out, shim
from tests.docs.people import PEOPLE

ROOT = Path(__file__).resolve().parent.parent.parent
# The one that destroys people comes last: others name them.
DOCUMENTS = sorted(
    (path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]),
    key=lambda path: (path.name == "erasure.md", path),
)
FEEDS = ("hospital.patients", "household.residents", "company.businesses")
CITIZENS = 200


class City(NamedTuple):
    """A service with a city, and what its documents need beside it."""

    server: EphemeralServer
    feeds: Path
    store: Path
    """A data directory of the same city on which nothing runs."""
    environment: dict[str, str]


def blocks_of(document: Path) -> list[Block]:
    """Return the blocks of a document of the project."""
    return list(blocks(str(document), (ROOT / document).read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A small city, loaded, with the people whom the documents name."""
    folder = tmp_path_factory.mktemp("documents")
    feeds = folder / "feeds"
    tools = shim(sys.executable, folder / "bin")
    with ephemeral_server() as server:
        synth = [sys.executable, "-m", "mdm", "synth", "--citizens", str(CITIZENS), "--seed", "1", str(feeds)]
        subprocess.run(synth, check=True, capture_output=True)
        for feed in FEEDS:
            add_people(feeds / f"{feed}.csv", PEOPLE.get(feed, ()))
            server.run("load", feed, feeds / f"{feed}.csv")
        server.stop()
        store = folder / "store"
        shutil.copytree(server.data, store, ignore=shutil.ignore_patterns("run"))
        server.start()
        environment = os.environ | {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "MDM_SERVER": server.address,
            "MDM_SERVE_METRICS": "off",
            "MDM_ACTOR": "hoa",
            "COLUMNS": "200",
        }
        yield City(server, feeds, store, environment)


def add_people(feed: Path, people: Sequence[dict[str, str]]) -> None:
    """Append rows to a feed's file."""
    with feed.open(newline="", encoding="utf-8") as file:
        columns = next(csv.reader(file))
    with feed.open("a", newline="", encoding="utf-8") as file:
        csv.DictWriter(file, columns, restval="").writerows(people)


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if blocks_of(path)], ids=str)
@pytest.mark.timeout(300)
def test_every_block_of_a_document_runs(path: Path, city: City, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    shutil.copytree(city.feeds, folder)
    store = tmp_path / "store"
    shutil.copytree(city.store, store)
    document = Document(folder, city.server.address, city.environment, store)
    for block in blocks_of(path):
        document.run(block)


def test_what_is_not_run_is_told() -> None:
    found = [block for path in DOCUMENTS for block in blocks_of(path)]
    left_out = [f"{block.place} ({reason})" for block in found for reason in reasons_left_out(block)]
    shown = sum(block.language in SHOWN for block in found)
    assert len(found) > 3 * len(left_out)
    # A skip's reason is what a test run prints of a test that found nothing wrong.
    pytest.skip(f"of {len(found)} blocks {shown} show output, {len(left_out)} are not run: {'; '.join(left_out)}")


def test_the_client_code_in_the_readme_does_what_the_readme_says(
    city: City, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = [block for block in blocks_of(Path("README.md")) if block.language == "python"]
    code = block.code.replace("BV006.26.106204", "BV006.26.106205")
    Document(tmp_path, city.server.address, city.environment, tmp_path).run(block._replace(code=code))
    written, *found = capsys.readouterr().out.splitlines()
    outcome, golden_id = written.split()
    assert outcome in {"created", "linked"}
    assert re.fullmatch(rf"{golden_id} certain \d+\.\d bits", found[0])


def test_the_rules_of_golden_ids_are_asserted_not_only_run() -> None:
    found = blocks_of(Path("docs/golden-ids.md"))
    assert sum(block.code.count("assert ") for block in found if block.language == "python") >= 30


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("```python\nassert 1 + 1 == 3\n```\n", "AssertionError"),
        ("```sh\ntrue\nfalse | cat\n```\n", "exit code 1"),
        ("```console\n$ echo said\n$ exit 4\nsaid\n```\n", "exit code 4"),
        ("```toml\nkey = \n```\n", "x.md:1"),
        ("```json\n{'key': 1}\n```\n", "x.md:1"),
        ("```yaml\nkey: [1\n```\n", "x.md:1"),
        ("```\nwhat is this\n```\n", "needs a language"),
        ("<!-- where RUN is: echo 7 -->\n```sh\necho 7\n```\n", "has no word RUN"),
        ("<!-- then: test -f rules.toml -->\n```toml\nkey = 1\n```\n", "exit code 1"),
        ("```sh\nmdm no-such-command\n```\n", "exit code 2"),
    ],
)
def test_the_check_finds_a_block_that_does_not_run(text: str, fault: str, tmp_path: Path) -> None:
    tools = shim(sys.executable, tmp_path / "bin")
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    (block,) = blocks("x.md", text)
    with pytest.raises(BlockError, match=re.escape(fault)):
        Document(tmp_path, "", environment, tmp_path).run(block)


def test_notes_say_how_a_block_is_run(tmp_path: Path) -> None:
    text = """\
<!-- file: rules.toml -->
```toml
key = 1
```

<!-- before: echo ready > state -->
<!-- where RUN is: cat state -->
<!-- then: test -f said -->
```console
$ grep -q key rules.toml
$ echo it is RUN \\
    > said
it is …
```

<!-- stop after: 1 s -->
```sh
sleep 60
```

<!-- not run: nobody is there -->
```sh
exit 1
```

```text
Only shown.
```
"""
    document = Document(tmp_path, "", dict(os.environ), tmp_path)
    assert [document.run(block) for block in blocks("x.md", text)] == [True, True, True, False, False]
    assert (tmp_path / "said").read_text(encoding="utf-8") == "it is ready\n"
    with pytest.raises(ValueError, match=r"x\.md:2: unknown note"):
        list(blocks("x.md", "<!-- notrun: typo -->\n```sh\n```\n"))
