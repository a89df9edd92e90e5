from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import pytest

from mdm.config import Configuration
from mdm.declarations import sections
from mdm.domain.keys import EntityKind
from mdm.domain.records import (
    AddressKind,
    Assurance,
    BusinessAttributes,
    CitizenAttributes,
    IdentifierType,
    RelationType,
)
from mdm.errors import ConfigurationError, UnknownRegistryError
from mdm.synth import feeds

SMALL = """
[registries.land]
title = "Land owners"
trust_rank = 5
[[registries.land.feeds.owners.records]]
kind = "citizen"
fields = { full_name = "owner" }
"""


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "registries.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_shipped_registries_are_ranked_as_trusted() -> None:
    registries = Configuration.load().registries
    assert sorted(registries, key=lambda name: registries[name].trust_rank) == [
        "household",
        "social_security",
        "company",
        "hospital",
    ]


@pytest.mark.parametrize("feed", sorted(feeds.COLUMNS))
def test_the_shipped_feeds_read_every_column_and_no_other(feed: str) -> None:
    assert Configuration.load().feed(feed).columns - {"operation"} == set(feeds.COLUMNS[feed])


@pytest.mark.parametrize("feed", sorted(feeds.COLUMNS))
def test_the_shipped_feeds_yield_the_kinds_that_they_describe(feed: str) -> None:
    assert Configuration.load().feed(feed).kinds == set(feeds.KINDS[feed])


@pytest.mark.parametrize(
    ("names", "members"),
    [
        (sections.KindName, EntityKind),
        (sections.AssuranceName, Assurance),
        (sections.AddressKindName, AddressKind),
        (sections.IdentifierTypeName, IdentifierType),
        (sections.RelationTypeName, RelationType),
    ],
)
def test_the_names_of_the_file_are_those_of_the_domain(names: object, members: type[EntityKind]) -> None:
    assert set(get_args(names)) == {member.value for member in members}


@pytest.mark.parametrize(("kind", "attributes"), [("citizen", CitizenAttributes), ("business", BusinessAttributes)])
def test_the_fields_of_a_kind_are_its_single_valued_attributes(
    kind: sections.KindName, attributes: type[CitizenAttributes]
) -> None:
    texts = {field.name for field in msgspec.structs.fields(attributes) if field.type is str}
    assert sections.FIELDS[kind] == texts


def test_a_configuration_survives_its_stored_form(tmp_path: Path) -> None:
    loaded = Configuration.load(written(tmp_path, SMALL))
    assert Configuration.decode(loaded.encode()) == loaded
    assert Configuration.decode(loaded.encode()).digest == loaded.digest


def test_equal_configurations_have_equal_digests_and_others_do_not(tmp_path: Path) -> None:
    reordered = SMALL.replace('title = "Land owners"\ntrust_rank = 5', 'trust_rank = 5\ntitle = "Land owners"')
    first = Configuration.load(written(tmp_path, SMALL)).digest
    assert Configuration.load(written(tmp_path, reordered)).digest == first
    assert Configuration.load(written(tmp_path, SMALL.replace("= 5", "= 6"))).digest != first


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (SMALL.replace("trust_rank", "trust_rnk"), "trust_rnk"),
        (SMALL.replace("kind =", "kinds ="), "kinds"),
        (SMALL.replace('"citizen"', '"person"'), "registries.land.feeds.owners"),
        (SMALL.replace("full_name", "fullname"), "fields.fullname"),
        (SMALL.replace("registries.land", "registries.Land"), "registries.Land"),
        (SMALL.replace("trust_rank = 5", "trust_rank = 0"), "registries.land"),
        (SMALL.replace("trust_rank = 5", ""), "trust_rank"),
        (SMALL + "[other]\n", "other"),
        (SMALL + "[registries.land]\n", "TOML"),
        ("", "registries"),
        (SMALL.encode("utf-16"), "UTF-8"),
        (SMALL + SMALL[SMALL.index("[[") :], "records"),
        (SMALL + 'former_names = ["old_owner"]\n', "former_names"),
        (SMALL + '\nidentifiers = [{ type = "tax_code", column = "t", pattern = "(" }]\n', "pattern"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str | bytes, named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Configuration.load(written(tmp_path, text))
    assert named in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml: cannot be read"):
        Configuration.load(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(("registry", "kind"), [("hospitals", "citizen"), ("hospital", "business"), ("", "citizen")])
def test_an_undeclared_registry_or_kind_is_refused(registry: str, kind: str) -> None:
    with pytest.raises(UnknownRegistryError):
        Configuration.load().check(registry, kind)


def test_a_declared_registry_and_kind_pass() -> None:
    Configuration.load().check("company", EntityKind.CITIZEN)


@pytest.mark.parametrize("feed", ["hospital.patient", "hospital", "clinic.patients", ""])
def test_an_unknown_feed_lists_those_that_there_are(feed: str) -> None:
    with pytest.raises(UnknownRegistryError, match=r"hospital\.patients"):
        Configuration.load().feed(feed)
