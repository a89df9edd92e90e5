"""Numpy sorts as fast as the processor allows; memory is what the control groups around a process leave it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mdm.machine import is_zen_4, memory_bytes

CORE = """processor\t: 0
vendor_id\t: {vendor}
cpu family\t: {family}
model name\t: Some: Processor
flags\t\t: fpu avx2 {flags}

processor\t: 1
vendor_id\t: AuthenticAMD
"""


@pytest.mark.parametrize(
    ("vendor", "family", "flags", "expected"),
    [
        ("AuthenticAMD", "25", "avx512f avx512bw", True),
        ("AuthenticAMD", "25", "fma", False),
        ("AuthenticAMD", "26", "avx512f", False),
        ("GenuineIntel", "6", "avx512f", False),
    ],
    ids=["Zen 4", "Zen 3", "Zen 5", "Intel"],
)
def test_one_generation_sorts_slowly(vendor: str, family: str, flags: str, expected: bool) -> None:  # noqa: FBT001
    assert is_zen_4(CORE.format(vendor=vendor, family=family, flags=flags)) is expected


@pytest.mark.parametrize("text", ["", "processor: 0", "no colon\n\n"])
def test_what_is_not_known_is_left_alone(text: str) -> None:
    assert not is_zen_4(text)


def used(environment: dict[str, str]) -> bool:
    """Say whether numpy uses AVX-512 in a process that has run a command of ours."""
    code = (
        "import sys; sys.argv = ['mdm', '--help']\n"
        "from mdm.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "from numpy._core._multiarray_umath import __cpu_features__ as features; print(features['X86_V4'])"
    )
    own = {name: value for name, value in os.environ.items() if not name.endswith("_CPU_FEATURES")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=own | environment, capture_output=True, check=True, text=True
    )
    return done.stdout.split()[-1] == "True"


def test_numpy_heeds_it_unless_the_operator_says_otherwise() -> None:
    cpu_info = Path("/proc/cpuinfo")
    text = cpu_info.read_text(encoding="ascii", errors="replace") if cpu_info.exists() else ""
    if not is_zen_4(text):
        pytest.skip("no AMD processor of the generation that sorts slowly")
    assert not used({})
    assert used({"NPY_DISABLE_CPU_FEATURES": ""})
    assert used({"NPY_ENABLE_CPU_FEATURES": "X86_V3 X86_V4"})


def machine(root: Path, groups: str, **limits: str) -> str:
    """Lay out a machine whose files in /sys/fs/cgroup, named with __ for /, hold these limits."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups, encoding="ascii")
    for name, limit in limits.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("0", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(limit + "\n", encoding="ascii")
    return str(root)


def test_memory_is_what_the_control_groups_around_leave(tmp_path: Path) -> None:
    whole = memory_bytes(str(tmp_path / "none"))
    assert whole == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    free = machine(tmp_path / "a", "0::/\n1:name=systemd:/\n", memory0max="max")
    assert memory_bytes(free) == whole
    container = machine(tmp_path / "b", "0::/\n", memory0max="65536")
    assert memory_bytes(container) == 65_536
    unit = machine(
        tmp_path / "c",
        "0::/system/mdm\n",
        system__memory0max="40960",
        system__mdm__memory0max="65536",
        other__memory0max="1",
    )
    assert memory_bytes(unit) == 40_960
    first_version = machine(
        tmp_path / "d", "4:memory:/of/the/host\n3:cpuset:/\n", memory__memory0limit_in_bytes="8192", memory0max="1"
    )
    assert memory_bytes(first_version) == 8_192


@pytest.mark.parametrize("groups", ["", "\n", "odd", "0:", "::", "4:cpuset,memory:/a\n"])
def test_a_file_of_another_form_is_no_error(groups: str, tmp_path: Path) -> None:
    found = memory_bytes(machine(tmp_path, groups, memory__a__memory0limit_in_bytes="4096"))
    assert (found == 4_096) is ("memory" in groups)
