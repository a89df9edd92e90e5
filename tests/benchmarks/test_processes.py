"""What /proc tells of processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.environment import environment
from benchmarks.processes import children, cpu_s, machine_cpu_s, memory, peak_bytes, resident_bytes

MIB = 2**20


def test_work_of_this_process_is_counted_as_its_and_the_machines() -> None:
    before_s, machine_before_s, began_s = cpu_s(os.getpid()), machine_cpu_s(), time.process_time()
    while time.process_time() - began_s < 0.3:
        pass
    # Counted in ticks of 10 ms.
    assert cpu_s(os.getpid()) - before_s >= 0.27
    assert machine_cpu_s() - machine_before_s >= 0.25


def test_a_process_that_is_gone_used_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert cpu_s(process.pid) == 0
    assert children(process.pid) == []


def test_memory_of_its_own_is_told_from_that_of_files() -> None:
    before = memory(os.getpid()).own_bytes
    held = bytearray(os.urandom(64 * MIB))
    assert 60 * MIB < memory(os.getpid()).own_bytes - before < 140 * MIB
    assert peak_bytes(os.getpid()) > 64 * MIB
    del held


def test_memory_of_processes_side_by_side_is_added_up() -> None:
    command = [sys.executable, "-c", "import sys; held = b'x' * (64 << 20); print(); sys.stdin.read()"]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    with start() as first, start() as second:
        for each in (first, second):
            assert each.stdout is not None
            each.stdout.readline()
        alone = resident_bytes([first.pid])
        assert 64 * MIB < alone < 100 * MIB
        assert resident_bytes([first.pid, second.pid]) > 128 * MIB
    assert resident_bytes([first.pid]) == 0


def test_a_child_is_found() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert process.pid in children(os.getpid())


def test_the_disk_of_a_directory_is_named(tmp_path: Path) -> None:
    disk = environment(tmp_path)["disk"]
    assert disk["file_system"]
    assert disk["size_gib"] >= disk["free_gib"] >= 0
    assert "disk" not in environment()
