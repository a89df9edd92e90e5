"""Families of errors, codes and reasons: the table, the documented reasons and the classes say the same."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from mdm import errors
from mdm.resolve.commands import Refusal
from mdm.server.errors import CallRefusedError, InvalidRequestError, code_of, status_of
from mdm.server.writer_link import DefectError, refused
from mdm.v1.error_reason_pb2 import ErrorReason

CANARY = "Nguyễn Thị Bí Mật"


def _subclasses(family: type[errors.MdmError]) -> list[type[errors.MdmError]]:
    return [family, *(found for child in family.__subclasses__() for found in _subclasses(child))]


def _made(family: type[errors.MdmError]) -> errors.MdmError:
    if issubclass(family, InvalidRequestError):
        return family([("field", "rule")])
    if issubclass(family, errors.InvalidInputError):
        return family("field", "rule")
    return family("text")


FAMILIES = [
    family
    for family in _subclasses(errors.MdmError)
    # Bases that nobody raises and one that carries another's reason.
    if family not in {errors.MdmError, CallRefusedError, DefectError} and family.__module__.startswith("mdm.")
]


@pytest.fixture(scope="module")
def documented_codes(project_root: Path) -> dict[str, str]:
    """Reason → code, as the comments of the proto state them."""
    text = (project_root / "protos/mdm/v1/error_reason.proto").read_text(encoding="utf-8")
    found = re.findall(r"Code: (\w+)\.(?:\n\s*//[^\n]*)*\n\s*ERROR_REASON_(\w+) =", text)
    return {reason: code for code, reason in found}


def test_each_reason_of_the_interface_is_documented_with_a_code(documented_codes: dict[str, str]) -> None:
    names = {name.removeprefix("ERROR_REASON_") for name, number in ErrorReason.items() if number}
    assert set(documented_codes) == names
    assert all(hasattr(grpc.StatusCode, code) for code in documented_codes.values())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_an_error_has_the_code_that_its_reason_documents(
    family: type[errors.MdmError], documented_codes: dict[str, str]
) -> None:
    error = _made(family)
    assert code_of(error).name == documented_codes[error.reason]


def test_each_documented_reason_has_a_class_that_carries_it(documented_codes: dict[str, str]) -> None:
    carried = {family.reason for family in FAMILIES}
    assert set(documented_codes) - carried == {"INTERNAL"}


@pytest.mark.parametrize("error", [ValueError(CANARY), KeyError(CANARY), DefectError("abc123"), DefectError("")])
def test_a_foreign_error_reaches_the_caller_as_an_error_id_alone(
    error: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    status = status_of(error, "LookupService/Lookup")
    rich = status_pb2.Status.FromString(dict(status.trailing_metadata)["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert rich.details[0].Unpack(info)
    assert (status.code, info.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert info.metadata["error_id"]
    assert CANARY not in f"{status}{rich}"
    logged = "".join(capfd.readouterr())
    assert CANARY not in logged
    assert info.metadata["error_id"] in logged
    assert "LookupService/Lookup" in logged


def test_a_store_error_keeps_its_text_with_its_paths_to_itself() -> None:
    status = status_of(errors.JournalFailedError("journal.sqlite: disk I/O error"), "x")
    assert status.code is grpc.StatusCode.UNAVAILABLE
    assert "journal.sqlite" not in status.details


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidSourceKeyError("record_id", "must not be empty"),
        errors.InvalidGoldenIdError("its check character does not fit", "clerk_choice.golden_id"),
        errors.UnknownRegistryError("registry", "must be one of a, b: no other"),
        errors.RequestIdReusedError("request_id came before with other content"),
        errors.RelinkRunningError("another run is not finished"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_refusal_of_the_writer_is_raised_again_as_it_was(error: errors.MdmError) -> None:
    again = refused(Refusal.of(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_a_refusal_without_a_reason_is_a_defect() -> None:
    assert isinstance(refused(Refusal("MdmError", ())), DefectError)
