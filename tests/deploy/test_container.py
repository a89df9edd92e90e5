"""The Containerfile: no engine is needed to see that it holds to its rules, and its steps are carried out for real."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.deploy.commands import VARIABLES, faults

CONTAINERFILE = Path("deploy/container/Containerfile")
REACHES_OUT = re.compile(r"\b(pip|apt|apt-get|curl|wget|git)\b")


class Step(NamedTuple):
    """One instruction."""

    stage: int
    """0-based."""
    name: str
    text: str


def steps_of(text: str) -> list[Step]:
    joined = re.sub(r"\\\n", "", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    stage, found = -1, []
    for line in filter(None, map(str.strip, joined.splitlines())):
        name, _, rest = line.partition(" ")
        stage += name == "FROM"
        found.append(Step(stage, name, rest.strip()))
    return found


def container_faults(text: str, root: Path) -> list[str]:
    """Return what breaks our rules: pinned base, own user, sources that exist, commands that exist, no network."""
    steps = steps_of(text)
    last = steps[-1].stage
    bases = [step.text.split(" AS ")[0] for step in steps if step.name == "FROM"]
    stages = {step.text.split(" AS ")[1] for step in steps if step.name == "FROM" and " AS " in step.text}
    found = [f"base {base} is not pinned" for base in bases if not re.fullmatch(r"[a-z]+:\d+\.\d+(-[a-z]+)?", base)]
    users = [step.text for step in steps if step.stage == last and step.name == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]):
        found.append("the last stage has no user by number")
    for step in steps:
        match step.name:
            case "ADD":
                found.append("ADD may fetch from elsewhere")
            case "COPY":
                *sources, _ = step.text.split()
                if sources[0].startswith("--from="):
                    found += [] if sources[0].removeprefix("--from=") in stages else [f"no stage {sources[0]}"]
                else:
                    found += [f"{source} is not there" for source in sources if not (root / source).exists()]
            case "RUN" if step.stage == last and REACHES_OUT.search(step.text):
                found.append("the last stage fetches")
            case "HEALTHCHECK":
                found += faults(shlex.join(json.loads(step.text.partition("CMD ")[2])))
            case "ENV":
                names = re.findall(r"\b(MDM_\w+)=", step.text)
                found += [f"{name} is no setting" for name in names if name not in VARIABLES]
            case _:
                pass
    ends = {step.name: json.loads(step.text) for step in steps if step.name in {"ENTRYPOINT", "CMD"}}
    found += faults(shlex.join([*ends["ENTRYPOINT"], *ends["CMD"]]))
    return found


def test_the_file_holds_to_its_rules(project_root: Path) -> None:
    assert container_faults((project_root / CONTAINERFILE).read_text(encoding="utf-8"), project_root) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("USER 10001:10001", "USER mdm", "the last stage has no user by number"),
        ("USER 10001:10001", "USER 0:0", "the last stage has no user by number"),
        ("FROM python:3.11-slim\n", "FROM python:latest\n", "base python:latest is not pinned"),
        ("COPY mdm mdm", "COPY mdn mdm", "mdn is not there"),
        ("COPY mdm mdm", "ADD mdm mdm", "ADD may fetch from elsewhere"),
        ("--from=build", "--from=built", "no stage --from=built"),
        ("RUN groupadd", "RUN apt-get update && groupadd", "the last stage fetches"),
        ('"health"]', '"helth"]', "mdm has no command helth"),
        ("MDM_SERVE_DATA", "MDM_SERVE_DATE", "MDM_SERVE_DATE is no setting"),
        ('CMD ["serve"]', 'CMD ["serve", "--dat", "/data"]', "mdm serve has no option --dat"),
    ],
)
def test_the_check_finds_what_breaks_them(old: str, new: str, fault: str, project_root: Path) -> None:
    text = (project_root / CONTAINERFILE).read_text(encoding="utf-8")
    assert text.count(old) == 1
    assert container_faults(text.replace(old, new), project_root) == [fault]


def test_what_is_copied_is_not_ignored(project_root: Path) -> None:
    kept = {
        line[1:]
        for line in (project_root / ".containerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    copied = {
        source
        for step in steps_of((project_root / CONTAINERFILE).read_text(encoding="utf-8"))
        if step.name == "COPY" and "--from" not in step.text
        for source in step.text.split()[:-1]
    }
    assert copied == kept
    # A link is copied as a link: what it leads to has to come too.
    whole = [(project_root / source).resolve() for source in copied]
    links = [path for folder in whole for path in folder.rglob("*") if path.is_symlink()]
    assert [link for link in links if not any(link.resolve().is_relative_to(each) for each in whole)] == []


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_steps_of_the_build_give_a_service_that_stands_alone(tmp_path: Path, project_root: Path) -> None:
    """The build stage as it stands, in a folder instead of an image: only its two paths are others."""
    source, environment = tmp_path / "src", tmp_path / "opt"
    source.mkdir()
    for step in steps_of((project_root / CONTAINERFILE).read_text(encoding="utf-8")):
        if step.stage == 0 and step.name == "COPY":
            *paths, target = step.text.split()
            for path in paths:
                origin, place = project_root / path, source / (path if target == "./" else target)
                place.parent.mkdir(exist_ok=True)
                if origin.is_dir():
                    shutil.copytree(origin, place, symlinks=True)
                else:
                    shutil.copy(origin, place)
        elif step.stage == 0 and step.name == "RUN":
            command = step.text.replace("/opt/hcm-mdm", str(environment))
            fresh = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            subprocess.run(["sh", "-ec", command], cwd=source, env=fresh, check=True)
    mdm = environment / "bin" / "mdm"
    alone = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    shutil.rmtree(source)
    data = tmp_path / "data"
    with subprocess.Popen(
        [mdm, "serve", "--data", data, "--listen", "127.0.0.1:0", "--metrics", "off"],
        env=alone,
        cwd="/",
        stdout=subprocess.PIPE,
        text=True,
    ) as service:
        assert service.stdout is not None
        address = service.stdout.readline().split()[-1]
        done = subprocess.run([mdm, "health", "--server", address], env=alone, cwd="/", check=False)
        service.terminate()
        assert (done.returncode, service.wait(60)) == (0, 0)
    assert not (environment / "bin" / "pytest").exists()
    assert os.access(mdm, os.X_OK)
