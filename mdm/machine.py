"""What the machine gives to the service: memory, and of the processor all but what it does badly."""

from __future__ import annotations

import os

_DISABLED = "NPY_DISABLE_CPU_FEATURES"
_ASKED_FOR = frozenset({_DISABLED, "NPY_ENABLE_CPU_FEATURES"})
"""Of which numpy takes one or the other."""
_FILE_BYTES = 8192
"""More than what Linux says of the first core; to describe hundreds takes it a while."""

_MEMORY_LIMITS = {
    "": ("/sys/fs/cgroup", "memory.max"),
    "memory": ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
}
"""Controller of a control group, as Linux names it in the second version and in the first → where its limit is."""


def memory_bytes(root: str = "") -> int:
    """Return the memory that this process may use: the machine's, or less where a control group around it allows less.

    A container is such a group, and so is a systemd unit with MemoryMax.

    Args:
        root: Directory that holds the /proc and /sys to look at.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for line in _text_of(f"{root}/proc/self/cgroup").splitlines():
        controllers, _, group = line.partition(":")[2].partition(":")
        for controller in _MEMORY_LIMITS.keys() & controllers.split(","):
            mount, name = _MEMORY_LIMITS[controller]
            parts = group.split("/")
            for depth in range(1, len(parts) + 1):
                limit = _text_of("/".join((root + mount, *parts[1:depth], name))).strip()
                if limit.isdigit():
                    limits.append(int(limit))
    return min(limits)


def _text_of(path: str) -> str:
    """Return how a file begins; nothing if it cannot be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123  (pathlib takes 5 ms)
            return file.read(_FILE_BYTES)
    except OSError:
        return ""


def avoid_slow_instructions() -> None:
    """Have numpy sort without AVX-512 on AMD's Zen 4: 10 ns a number instead of 50. What the operator set stays.

    To be called before numpy is loaded; it holds for all processes started from then on.

    To sort it stores vectors compressed, which that generation does in microcode (x86-simd-sort, issue 6; OpenJDK sorts
    there without it as well). Nearly all of linking that is not DuckDB's or Python's own is sorting.
    """
    if not _ASKED_FOR.isdisjoint(os.environ):
        return
    if is_zen_4(_text_of("/proc/cpuinfo")):
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
