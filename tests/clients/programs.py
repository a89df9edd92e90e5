"""What client programs of every language must do against a real service, however they are built."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

AWAY = 75

Run = Callable[..., subprocess.CompletedProcess[str]]
"""Runs an admission desk with its arguments behind the service config: address, record id, name, birth date, phone."""

CHECKS = [
    "a read that carries the token of a write sees it",
    "a batch is answered as columns in the order asked",
    "a bearer is found by what a clerk types",
    "a search before a creation names him",
    "a golden record shows where its values come from",
    "a repeated request id gets the first answer",
    "and other content an error",
    "a deleted record says so",
    "each field that is wrong is named with its rule",
    "what does not exist has a reason",
    "a call that takes too long ends by its deadline",
    "a deadline that the service would refuse is cut",
    "a token of another journal says begin anew",
    "the feed tells a record that got its golden ID",
    "and goes on behind its token",
    "an error says after which time it pays to try again",
    "a service that is not there is unavailable",
]
"""The sentences that a client's own test holds true and tells, in order."""


def check_a_desk_admits_once(desk: Run, address: str) -> None:
    """Check that a patient who is admitted again is known and stays who he is."""
    patient = (address, "D1", "Trần Thị Bích", "02/03/1961", "0903765432")
    first = desk(*patient)
    assert first.returncode == 0, first.stderr
    golden_id = first.stdout.split()[1]
    assert first.stdout.splitlines()[0] == f"admitted {golden_id} WRITE_OUTCOME_CREATED"
    again = desk(*patient).stdout.splitlines()
    assert re.fullmatch(rf"candidate {golden_id} MATCH_GRADE_CERTAIN \d+[.,]\d bits", again[0])
    assert again[1:] == [
        f"admitted {golden_id} WRITE_OUTCOME_UNCHANGED",
        f"looked up {golden_id} RECORD_STATUS_FOUND",
    ]


def check_a_desk_says_what_is_wrong(desk: Run, address: str) -> None:
    """Check what a desk says of a field that is wrong, of a service that is away, and of its own usage."""
    refused = desk(address, "", "Trần Thị Bích", "1961")
    assert refused.returncode == 1
    assert refused.stderr.startswith("refused INVALID_FIELD\n  record.key.record_id: ")
    away = desk("127.0.0.1:1", "D2", "Trần Thị Bích", "1961")
    assert (away.returncode, away.stderr) == (AWAY, "unanswered UNAVAILABLE\n")
    assert desk().returncode == 2
