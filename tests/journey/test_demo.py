"""The demo, as a newcomer runs it, on a small city."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

# The demo promises two minutes on two busy cores; each run takes a third of that when nothing else runs.
pytestmark = pytest.mark.timeout(240)

DEMO = [sys.executable, "-m", "mdm", "demo", "--citizens", "300"]
COUNTS = re.compile(
    r"✓ ([\d,]+) golden IDs before, ([\d,]+) answer now; ([\d,]+) records before, 0 with another golden ID or none\."
)


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of the processes that work on a folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if process.name.isdecimal() and str(folder) in command:
            found.append(command)
    return found


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo puts its temporary data."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def printed(temporary: Path) -> str:
    """What the demo prints, without a terminal."""
    result = subprocess.run(
        DEMO,
        cwd=temporary,
        env=os.environ | {"TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result.stdout


def test_every_golden_id_answers_after_the_service_was_killed(printed: str) -> None:
    found = COUNTS.search(" ".join(printed.split()))
    assert found, printed
    before, after, records = (int(number.replace(",", "")) for number in found.groups())
    assert before == after > 300
    assert records > before


def test_the_demo_finds_the_admitted_citizen_and_creates_the_new_one(printed: str) -> None:
    golden_id = re.search(r"✓ One golden ID: (C-[0-9A-Z-]{16})", printed)
    assert golden_id, printed
    assert re.search(rf"✓ Found in \d+ ms: {golden_id[1]}, the same golden ID", printed), printed
    assert re.search(r"✓ Created in \d+ ms: C-", printed), printed
    assert "✗" not in printed


def test_the_scores_name_both_kinds_before_and_after(printed: str) -> None:
    scores = re.findall(r"(citizens|businesses) +[\d,]+ +[\d,]+ +(\d\.\d{4}) +(\d\.\d{4}) +(\d\.\d{4})", printed)
    assert [kind for kind, *_ in scores] == ["citizens", "businesses"] * 2
    # A city this small has some twenty pairs of business records: one alone moves a score by four points.
    assert all(float(precision) >= 0.99 for kind, precision, _, _ in scores if kind == "citizens"), scores


def test_output_that_is_no_terminal_is_plain(printed: str) -> None:
    assert "\x1b" not in printed
    assert "progress" not in printed


def test_the_demo_leaves_nothing_behind(printed: str, temporary: Path) -> None:
    assert "The temporary data is removed." in printed
    assert list(temporary.iterdir()) == []
    assert processes_of(temporary) == []


def test_a_demo_that_is_told_to_stop_ends_its_service_and_removes_its_data(tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        DEMO, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        until_s = time.monotonic() + 60
        while not list(tmp_path.glob("mdm-demo-*/service.ready.json")) and time.monotonic() < until_s:
            time.sleep(0.05)
        assert processes_of(tmp_path)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []


def test_on_a_terminal_the_service_stays_and_the_printed_calls_work(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        DEMO,
        cwd=tmp_path,
        env=environment,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        os.close(terminal)
        assert process.stdout is not None
        printed = "".join(_until(process.stdout, "until you press Ctrl-C"))
        golden_id = re.search(r"✓ One golden ID: (C-[0-9A-Z-]{16})", printed)
        assert golden_id, printed
        shell = "\n".join(re.findall(r"^  (buf curl .*\\\n.*\\\n.*)$", printed, re.MULTILINE))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        answers = subprocess.run(
            ["bash", "-ec", shell], env=environment | {"PATH": path}, capture_output=True, text=True, check=False
        )
        assert answers.returncode == 0, answers.stderr
        assert answers.stdout.count(f'"goldenId": "{golden_id[1]}"') == 2
        block = re.search(r"In Python:\n(.*?)In a shell", printed, re.DOTALL)
        assert block, printed
        python = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(block[1])], capture_output=True, text=True, check=False
        )
        assert python.stdout.startswith(golden_id[1]), python.stderr
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 0
    os.close(controller)
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []


def _until(lines: IO[str], text: str) -> Iterator[str]:
    """Yield lines up to the one that holds a text."""
    for line in lines:
        yield line
        if text in line:
            return


def test_a_directory_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("keep me", encoding="utf-8")
    result = subprocess.run([*DEMO, "--data", str(tmp_path)], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 2
    assert "must be new or an empty directory" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
