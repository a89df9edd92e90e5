"""Comments in the .proto files are the reference that strangers read; buf lint sees to it that none is missing."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest

from mdm.errors import MdmError
from mdm.v1 import error_reason_pb2

PROTOS = sorted((Path(__file__).parents[2] / "protos" / "mdm" / "v1").glob("*.proto"))
COMMENT = re.compile(r"((?:^ *//.*\n)+)", re.MULTILINE)
VALUE = re.compile(r"((?:^ *//.*\n)+) *ERROR_REASON_(\w+) = \d+;", re.MULTILINE)


@pytest.mark.parametrize("path", PROTOS, ids=lambda path: path.stem)
def test_every_comment_ends_as_a_sentence(path: Path) -> None:
    comments = COMMENT.findall(path.read_text())
    assert len(comments) > 1
    assert [comment for comment in comments if not comment.rstrip().endswith(".")] == []


def reasons() -> dict[str, str]:
    text = next(path for path in PROTOS if path.stem == "error_reason").read_text()
    return {name: comment for comment, name in VALUE.findall(text) if name != "UNSPECIFIED"}


def test_every_error_reason_has_a_code_an_example_and_a_remedy() -> None:
    assert {f"ERROR_REASON_{name}" for name in reasons()} == {*error_reason_pb2.ErrorReason.keys()[1:]}
    codes = {code.name for code in grpc.StatusCode}
    for name, comment in reasons().items():
        code = re.search(r"// Code: ([A-Z_]+)\.\n", comment)
        assert code is not None, name
        assert code[1] in codes, name
        assert "// Example: " in comment, name
        assert "// To mend it: " in comment, name


def errors(base: type[MdmError]) -> set[type[MdmError]]:
    return {base}.union(*(errors(child) for child in base.__subclasses__()))


def test_every_error_of_the_house_has_its_reason_on_the_wire() -> None:
    assert {error.reason for error in errors(MdmError)} - reasons().keys() == set()
