"""The drill of docs/backup.md, run as it stands against a small service."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mdm_client import CitizenAttributes, Client, EntityKind, SourceKey, SourceRecord
from tests.serving import running_server

DRILL = re.compile(r"^## The drill$.*?^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
RECORDS = 12


def test_the_drill_runs_as_it_is_written(tmp_path: Path, project_root: Path) -> None:
    if shutil.which("jq") is None:
        pytest.skip("the drill reads a list with jq, which is not installed")
    found = DRILL.search((project_root / "docs/backup.md").read_text(encoding="utf-8"))
    assert found is not None
    script = found[1]
    assert script.count("mdm ") >= 9
    for directory in ("backup", "srv", "bin"):
        (tmp_path / directory).mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        second = f"127.0.0.1:{free.getsockname()[1]}"
    with running_server(tmp_path / "data") as served, Client(served.address) as client:
        golden_ids = [
            client.upsert(
                SourceRecord(
                    SourceKey("hospital", EntityKind.CITIZEN, f"P{number}"),
                    CitizenAttributes(full_name=f"Lý Thị Số {number}", birth_date=f"19{60 + number}-03-04"),
                )
            ).golden_id
            for number in range(RECORDS)
        ]
        client.erasures.erase(golden_ids[0], "asked")
        shim = tmp_path / "bin" / "mdm"
        # Where the document names no server it means the one of the default address.
        shim.write_text(
            "#!/bin/sh\n"
            f'case "$*" in backup*|erase\\ --list*|export*living*) set -- "$@" --server {served.address};; esac\n'
            f'exec {sys.executable} -m mdm "$@"\n'
        )
        shim.chmod(0o700)
        script = script.replace("127.0.0.1:50052", second)
        script = re.sub(r"(?<![\w.])/(backup|srv)/", rf"{tmp_path}/\1/", script)
        environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert "is equal" in done.stdout
    assert sorted(each.name for each in (tmp_path / "backup").iterdir()) == ["erasures.json", "mdm.backup"]
    assert not [*(tmp_path / "srv").iterdir()]
