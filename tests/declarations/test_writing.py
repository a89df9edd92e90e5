"""What `show` prints is the configuration again."""

from __future__ import annotations

import msgspec
import pytest

from mdm.config import Configuration, parse_declaration
from mdm.declarations.sections import Stewardship
from mdm.declarations.writing import toml_of
from tests.declarations.examples import LAND

ODD = LAND.replace('nam = "M"', '"nam \\"1\\"" = "M\\\\\\u007f"').replace("trust_rank = 5", "trust_rank = 7")


def written(configuration: Configuration) -> str:
    return toml_of(msgspec.json.decode(configuration.encode()))


@pytest.mark.parametrize(
    "configuration",
    [
        Configuration.load(),
        Configuration.of(parse_declaration(LAND.encode())),
        Configuration.of(parse_declaration(ODD.encode())),
        Configuration(Configuration.load().registries, Stewardship(two_person_records_min=3)),
    ],
)
def test_a_configuration_that_is_written_is_read_as_the_same(configuration: Configuration) -> None:
    assert Configuration.of(parse_declaration(written(configuration).encode())) == configuration


def test_keys_of_a_feed_are_written() -> None:
    declared = parse_declaration(LAND.encode())
    feed = msgspec.structs.replace(declared.registries["land"].feeds["holders"], record_id="MA", updated_at="NGAY")
    land = msgspec.structs.replace(declared.registries["land"], feeds={"holders": feed})
    configuration = Configuration({"land": land})
    assert 'record_id = "MA"' in written(configuration)
    assert Configuration.of(parse_declaration(written(configuration).encode())) == configuration
