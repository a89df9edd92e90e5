"""The command line as the base install has it: without the engines."""

from __future__ import annotations

import subprocess
import sys


def test_the_base_install_says_what_the_commands_need() -> None:
    without = "import sys; sys.modules['typer'] = None; from mdm.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "mdm: typer is not installed; the commands need: pip install 'hcm-mdm[server]'\n"
