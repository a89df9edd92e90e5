"""docs/registries.md explains every key of the file, and none that there is not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from mdm.declarations import sections

SECTIONS: list[tuple[str, type[msgspec.Struct]]] = [
    ("Registry", sections.Registry),
    ("Feed", sections.Feed),
    ("Record", sections.RecordMapping),
    ("Identifier", sections.IdentifierColumn),
    ("Address", sections.AddressColumns),
    ("Relation", sections.RelationColumns),
    ("Condition", sections.Condition),
    ("Settings beside registries", sections.Stewardship),
]


def section(document: Path, heading: str) -> str:
    text = document.read_text(encoding="utf-8")
    return text.partition(f"\n### {heading}\n")[2].partition("\n#")[0]


@pytest.mark.parametrize(("heading", "struct"), SECTIONS, ids=[heading for heading, _ in SECTIONS])
def test_the_document_explains_each_key_and_no_other(
    project_root: Path, heading: str, struct: type[msgspec.Struct]
) -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section(project_root / "docs" / "registries.md", heading), re.MULTILINE)
    assert sorted(rows) == sorted(field.name for field in msgspec.structs.fields(struct))


def test_the_document_says_which_keys_are_required(project_root: Path) -> None:
    for heading, struct in SECTIONS:
        text = section(project_root / "docs" / "registries.md", heading)
        required = {
            name for name, rest in re.findall(r"^\| `(\w+)` \|(.*)\|$", text, re.MULTILINE) if "required" in rest
        }
        known = {field.name for field in msgspec.structs.fields(struct) if field.required} - {"feeds", "records"}
        assert required == known, heading


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Identifier", sections.IdentifierTypeName),
        ("Identifier", sections.AssuranceName),
        ("Address", sections.AddressKindName),
        ("Relation", sections.RelationTypeName),
        ("Record", sections.KindName),
    ],
)
def test_the_document_names_each_value(project_root: Path, heading: str, names: object) -> None:
    text = section(project_root / "docs" / "registries.md", heading)
    assert [name for name in get_args(names) if f"`{name}`" not in text] == []


def test_the_document_names_each_attribute(project_root: Path) -> None:
    text = section(project_root / "docs" / "registries.md", "Record")
    assert [name for names in sections.FIELDS.values() for name in names if f"`{name}`" not in text] == []
