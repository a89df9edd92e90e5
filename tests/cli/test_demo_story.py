"""The rows of a citizen as the demo tells them, read from a real service."""

from __future__ import annotations

from mdm.cli.demo_story import tell
from mdm_client import CitizenAttributes, Client, EntityKind, Identifier, IdentifierType, SourceKey, SourceRecord
from tests.serving import RunningServer


def test_an_old_number_that_stands_for_the_new_one_is_shown_where_it_is_the_same(server: RunningServer) -> None:
    stated = {
        "household": ((IdentifierType.PERSONAL_ID, "079188004321"), (IdentifierType.OLD_PERSONAL_ID, "023456789")),
        "hospital": ((IdentifierType.PERSONAL_ID, "023456789"),),
    }
    keys = [SourceKey(registry, EntityKind.CITIZEN, "old-number") for registry in stated]
    with Client(server.address) as client:
        for key, numbers in zip(keys, stated.values(), strict=True):
            identifiers = tuple(Identifier(kind, value) for kind, value in numbers)
            client.upsert(SourceRecord(key, CitizenAttributes(full_name="Bùi Thị Diễm", identifiers=identifiers)))
        household, hospital = tell(client, "C-7K3M-9XQ2-4TAB-1", keys).rows
    assert household.cells["old personal ID"].text == hospital.cells["personal ID"].text == "023456789"
    assert hospital.cells["personal ID"].difference == "an old card number"
    assert (hospital.cells["old personal ID"].text, household.cells["personal ID"].text) == ("", "079188004321")
