"""The systemd units: systemd takes them, their commands exist, and the service runs under what they forbid it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_settings import effective
from tests.deploy.commands import VARIABLES, faults

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
STRANGER = 65534
"""The user `nobody`."""

# As mdm.service has it: nothing can be written but the state directory, /proc shows as much as the unit says, and the
# user owns nothing else. Reading stays allowed everywhere, because the interpreter of a test may lie below a closed
# directory.
CONFINED = f"""
set -e
mount --bind "$1" "$1"
mount -o remount,ro,bind /
mount -t proc -o "$2" proc /proc
shift 2
exec setpriv --reuid={STRANGER} --regid={STRANGER} --clear-groups --no-new-privs \
  --bounding-set=-all,+dac_read_search --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search "$@"
"""


def lines(unit: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)


def services() -> list[Path]:
    found = sorted(UNITS.glob("*.service"))
    assert len(found) >= 3
    return found


def test_every_command_of_a_unit_exists() -> None:
    found = {unit.name: [fault for line in lines(unit, "ExecStart") for fault in faults(line)] for unit in services()}
    assert {name: each for name, each in found.items() if each} == {}
    assert all(lines(unit, "ExecStart") for unit in services())


def test_every_timer_has_its_service() -> None:
    timers = list(UNITS.glob("*.timer"))
    assert timers
    assert all(timer.with_suffix(".service").exists() for timer in timers)


def test_the_settings_and_variables_that_ship_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    found = effective("--config", str(UNITS / "serve.toml"))
    assert str(found["data"]) == f"/var/lib/{lines(UNITS / 'mdm.service', 'StateDirectory')[0]}"
    assert found["tls_client_ca"] is not None
    variables = re.findall(r"^([A-Z_]+)=", (UNITS / "client.env").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(variables) - VARIABLES == set()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_no_fault_with_the_units(tmp_path: Path) -> None:
    program = tmp_path / "mdm"
    program.symlink_to(sys.executable)
    for unit in UNITS.iterdir():
        text = unit.read_text(encoding="utf-8").replace("/opt/hcm-mdm/bin/mdm", str(program))
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    units = [tmp_path / unit.name for unit in UNITS.iterdir() if unit.suffix in {".service", ".timer"}]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    # systemd also speaks of this machine's own units.
    assert [line for line in done.stderr.splitlines() if "mdm" in line] == []
    exposed = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", tmp_path / "mdm.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert exposed.returncode == 0, exposed.stdout[-200:]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine reaches, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="mdm-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def can_confine() -> bool:
    tools = ("unshare", "setpriv", "mount")
    if os.geteuid() != 0 or not all(map(shutil.which, tools)):
        return False
    tried = ["unshare", "--mount", "--propagation", "private", "mount", "-o", "remount,ro,bind", "/"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


def view_of_proc() -> str:
    """Return what systemd mounts /proc with for mdm.service."""
    names = {"ProtectProc": "hidepid", "ProcSubset": "subset"}
    said = [f"{option}={value}" for key, option in names.items() for value in lines(UNITS / "mdm.service", key)]
    return ",".join(["nosuid", *said])


@pytest.mark.skipif(not can_confine(), reason="only root can take the right to write away from a process's file system")
def test_the_service_runs_as_anybody_with_all_but_its_state_read_only(open_folder: Path, project_root: Path) -> None:
    state = open_folder / "state"
    state.mkdir()
    os.chown(state, STRANGER, STRANGER)
    config = open_folder / "serve.toml"
    config.write_text(
        'data = "state"\nlisten = "127.0.0.1:0"\nmetrics = "127.0.0.1:0"\nworkers = 1\nready_file = "state/ready"\n',
        encoding="utf-8",
    )
    (start,) = lines(UNITS / "mdm.service", "ExecStart")
    _, *arguments = start.replace("/etc/mdm/serve.toml", str(config)).split()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{project_root}:{project_root / 'clients' / 'python'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": "/nowhere",
    }
    confined = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "bash",
        "-c",
        CONFINED,
        "-",
        str(state),
        view_of_proc(),
    ]
    mdm = [sys.executable, "-m", "mdm"]
    with subprocess.Popen(
        [*confined, *mdm, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as service:
        until_s = time.monotonic() + 60
        while not (state / "ready").exists() and service.poll() is None and time.monotonic() < until_s:
            time.sleep(0.05)
        assert service.poll() is None, service.communicate()
        address = json.loads((state / "ready").read_text(encoding="utf-8"))["address"]
        feed = open_folder / "hospital.patients.csv"
        feed.write_text("record_id,full_name,birth_date\nBV1,Lê Văn Tám,1971-05-06\n", encoding="utf-8")
        for command in (["health"], ["load", "hospital.patients", feed, "--resolve", "later"], ["relink"]):
            done = subprocess.run(
                [*mdm, *map(str, command), "--server", address],
                cwd=open_folder,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        assert Path(f"/proc/{service.pid}").stat().st_uid == STRANGER
        service.send_signal(signal.SIGTERM)
        assert service.wait(60) == 0
