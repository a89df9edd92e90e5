"""`mdm status` as a shell sees it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from mdm_client import AsyncClient, Client
from mdm_client.admin_results import ServiceMode
from tests.cli.conftest import Run
from tests.serving import RunningServer


def test_the_status_is_a_table_for_people_and_json_for_scripts(mdm: Run, server: RunningServer) -> None:
    shown = mdm("status", "--server", server.address)
    assert shown.returncode == 0
    assert shown.stdout.startswith("service    serving\n")
    for name in (
        "journal    seq ",
        "index      0 events behind",
        "reviews    none",
        "backup     none",
        "process    reader-0: pid ",
    ):
        assert name in shown.stdout
    found = json.loads(mdm("status", "--server", server.address, "--json").stdout)
    assert found["mode"] == "serving"
    assert found["journal"]["seq"] == found["index"]["applied_seq"] > 0


def test_without_a_service_the_status_is_exit_code_1(mdm: Run) -> None:
    shown = mdm("status", "--server", "127.0.0.1:1")
    assert shown.returncode == 1
    assert "no service answers" in shown.stderr


async def _mode(address: str) -> ServiceMode:
    async with AsyncClient(address) as client:
        return (await client.admin.status()).mode


def test_both_clients_answer_alike(server: RunningServer) -> None:

    with Client(server.address) as client:
        found = client.admin.status()
    assert found.mode is ServiceMode.SERVING
    assert asyncio.run(_mode(server.address)) is found.mode
    assert {process.name for process in found.processes} == {"supervisor", "writer", "reader-0"}
    assert Path(found.index.generation).name == found.index.generation if found.index else False
