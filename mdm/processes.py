"""What each process does at its start: load quickly, and tie its life to its parent's, so that nothing outlives it."""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_COLLECTED_EVERY = 10_000


def command(module: str, argument: str) -> list[str]:
    """Return the command of a process that loads a module of ours and calls its `main` with the argument."""
    return [sys.executable, "-m", "mdm.processes", module, argument]


def _run(module: str, argument: str) -> None:
    # What modules make stays: to search it for dead cycles as they load took a tenth of a service's start.
    gc.disable()
    main = importlib.import_module(module).main
    gc.freeze()
    gc.enable()
    sys.exit(main(argument))


def spare_the_collector() -> None:
    """Have Python search for dead cycles seldom, and never among what has been loaded so far; call it after the start.

    Records are trees, so the search finds nothing; it took 5 to 15 % of a write's processor time.
    """
    gc.collect()
    gc.freeze()
    # The second and third generation as seldom in proportion as by default.
    gc.set_threshold(_COLLECTED_EVERY)


def give_back_memory() -> None:
    """Return to the kernel what the C library keeps of memory that is no longer in use. Takes some ms."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        # Not every C library has it.
        trim(0)


def die_with(parent_pid: int) -> None:
    """Have the kernel kill this process when the thread that started it ends; called first in a child.

    Raises:
        OSError: The kernel refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:
        # The parent ended before the line above took effect.
        os._exit(1)


if __name__ == "__main__":
    _run(*sys.argv[1:])
