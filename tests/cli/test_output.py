"""What commands say where there is no terminal."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from mdm.cli.output import progress


def test_each_stage_ends_with_a_line_of_its_own_and_few_stand_between(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as say:
        for stage in ("reading", "sending"):
            for done in range(101):
                say(stage, done, 100)
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["stage"], line["done"]) for line in said] == [("reading", 0), ("reading", 100), ("sending", 100)]


def test_a_stage_that_breaks_off_ends_with_how_far_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(RuntimeError), progress() as say:
        say("sending", 0, 10)
        say("sending", 4, 10)
        raise RuntimeError("away")
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["done"] == 4
