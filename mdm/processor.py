"""What numpy is not to use of the processor it runs on: said before it is loaded, to all processes started then."""

from __future__ import annotations

import os

_DISABLED = "NPY_DISABLE_CPU_FEATURES"
_ASKED_FOR = frozenset({_DISABLED, "NPY_ENABLE_CPU_FEATURES"})
"""Of which numpy takes one or the other."""
_CPU_INFO_BYTES = 8192
"""More than what Linux says of the first core; to describe hundreds takes it a while."""


def avoid_slow_instructions() -> None:
    """Have numpy sort without AVX-512 on AMD's Zen 4: 10 ns a number instead of 50. What the operator set stays.

    To sort it stores vectors compressed, which that generation does in microcode (x86-simd-sort, issue 6; OpenJDK sorts
    there without it as well). Nearly all of linking that is not DuckDB's or Python's own is sorting.
    """
    if not _ASKED_FOR.isdisjoint(os.environ):
        return
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:  # noqa: PTH123  (pathlib takes 5 ms)
            text = file.read(_CPU_INFO_BYTES)
    except OSError:
        return
    if is_zen_4(text):
        os.environ[_DISABLED] = "X86_V4"


def is_zen_4(cpu_info: str) -> bool:
    """Say whether the first core that Linux describes is of this generation: Zen 3 has the family, but no AVX-512."""
    lines = (line.split(":", 1) for line in cpu_info.split("\n\n", 1)[0].splitlines() if ":" in line)
    said = {name.strip(): value.split() for name, value in lines}
    return (
        said.get("vendor_id") == ["AuthenticAMD"]
        and said.get("cpu family") == ["25"]
        and "avx512f" in said.get("flags", ())
    )
