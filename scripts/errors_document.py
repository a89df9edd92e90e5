#!/usr/bin/env python3
"""Writes docs/errors.md from protos/mdm/v1/error_reason.proto, where each reason is explained once.

Usage: scripts/errors_document.py [--check]. With --check nothing is written; exit code 1 means that the document is out
of date. Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "protos" / "mdm" / "v1" / "error_reason.proto"
DOCUMENT = ROOT / "docs" / "errors.md"

ENUM = re.compile(r"enum ErrorReason \{(.*?)^\}", re.DOTALL | re.MULTILINE)
VALUE = re.compile(r"(?P<comment>(?:^  //[^\n]*\n)+)^  ERROR_REASON_(?P<name>\w+) = (?P<number>\d+);", re.MULTILINE)
PARTS = re.compile(r"^(?P<cause>.+?) Code: (?P<code>[A-Z_]+)\. Example: (?P<example>.+?) To mend it: (?P<remedy>.+)$")

INTRODUCTION = """\
# Errors

<!-- Written by scripts/errors_document.py from protos/mdm/v1/error_reason.proto; `make protos` renews it. -->

Every error of the service is a `google.rpc.Status` with a gRPC code and exactly one `google.rpc.ErrorInfo`, whose
`reason` is one of those below and whose domain is `mdm.hochiminhcity.gov.vn`. Where fields of the request are wrong, a
`google.rpc.BadRequest` names each field and the rule that it breaks; where waiting helps, a `google.rpc.RetryInfo` says
how long.
Handle errors by reason; codes are for proxies and retry rules, and the text is for people and may change.

No error holds a person's data: only names of fields, rules, counts and positions.

| code | retry the same request? |
|---|---|
| `INVALID_ARGUMENT`, `NOT_FOUND`, `UNIMPLEMENTED` | no: nothing changes by waiting |
| `FAILED_PRECONDITION` | no: look at the state first |
| `RESOURCE_EXHAUSTED` | after the delay in `RetryInfo`; without one, send less |
| `UNAVAILABLE`, `DEADLINE_EXCEEDED` | yes, writes with the same `request_id`: a repetition gets the first answer |
| `INTERNAL` | no: report the error id |

## Reasons

| reason | code | cause | example | what to do |
|---|---|---|---|---|
"""


class Reason(NamedTuple):
    """One reason with the four sentences that its comment holds."""

    name: str
    code: str
    cause: str
    example: str
    remedy: str


def reasons(proto: str) -> list[Reason]:
    """Return the reasons in the order of the enum, the unspecified one left out.

    Raises:
        ValueError: The enum is missing, or a comment lacks its cause, code, example or remedy.
    """
    enum = ENUM.search(proto)
    if enum is None:
        raise ValueError("no enum ErrorReason")
    found = []
    for value in VALUE.finditer(enum.group(1)):
        if value["number"] == "0":
            continue
        text = " ".join(line.strip().removeprefix("//").strip() for line in value["comment"].splitlines())
        parts = PARTS.match(text)
        if parts is None:
            raise ValueError(
                f"{value['name']}: the comment must say cause, Code, Example and To mend it, in this order"
            )
        found.append(Reason(value["name"], parts["code"], parts["cause"], parts["example"], parts["remedy"]))
    return found


def document(proto: str) -> str:
    """Return the text of docs/errors.md."""
    rows = []
    for reason in reasons(proto):
        cells = (f"`{reason.name}`", f"`{reason.code}`", reason.cause, capital(reason.example), capital(reason.remedy))
        rows.append(f"| {' | '.join(cells)} |\n")
    return INTRODUCTION + "".join(rows)


def capital(sentence: str) -> str:
    """Return a sentence with its first letter in upper case, code in backticks left alone."""
    return sentence[:1].upper() + sentence[1:]


def main() -> int:
    """Write the document, or with --check compare it."""
    parser = argparse.ArgumentParser(description="Write docs/errors.md from the proto.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the document is out of date")
    is_check = parser.parse_args().check
    text = document(PROTO.read_text(encoding="utf-8"))
    if not is_check:
        DOCUMENT.write_text(text, encoding="utf-8")
    elif not DOCUMENT.is_file() or DOCUMENT.read_text(encoding="utf-8") != text:
        print("docs/errors.md is out of date: run `make protos`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
