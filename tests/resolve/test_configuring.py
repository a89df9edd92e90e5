"""Registries in force: what an operator puts there stays, what records need can't go, a named file comes once."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mdm.config import Configuration, parse_declaration
from mdm.declarations.sections import Declaration
from mdm.domain import events as ev
from mdm.domain.keys import EntityKind, SourceKey
from mdm.errors import RegistryInUseError
from mdm.resolve.commands import Answer, Refusal, Request, RevertLoad, SwitchAnswer, SwitchConfiguration, WriteAnswer
from mdm.resolve.configuring import ChangeType, changes_between, last_activation
from mdm.resolve.writer import Writer
from mdm.store.data_directory import DataDirectory
from tests.declarations.examples import LAND
from tests.resolve.loads import follow, load, revert
from tests.resolve.office import CONFIGURATION, Office, citizen

LAND_OFFICE = parse_declaration(LAND.encode())
OPERATOR = ev.Cause(actor="an-operator", method="Test")


def switch(office: Office, declared: Declaration, *, whole: bool = False, request_id: str = "") -> Answer:
    request = Request(OPERATOR, request_id, b"content")
    (answer,) = office.execute(SwitchConfiguration(request, msgspec.json.encode(declared), whole, "decree 12"))
    return answer


def in_force(office: Office) -> Configuration:
    with office.writer._index.read() as view:
        return last_activation(view, office.writer._journal).configuration


def restart(office: Office, named: Configuration | None = None) -> None:
    office.writer.close()
    office.directory.close()
    office.directory = DataDirectory.open(office.path, exclusive=True)
    office.writer = Writer.open(office.directory, named)


def land_citizen(office: Office) -> WriteAnswer:
    record = citizen("L1", registry="land")
    return office.put(record)


def test_a_fifth_registry_takes_records_from_its_activation_on(office: Office) -> None:
    before = office.writer._journal.last_seq
    assert isinstance(switch(office, LAND_OFFICE), SwitchAnswer)
    assert land_citizen(office).golden_id
    assert in_force(office).registries.keys() == CONFIGURATION.registries.keys() | {"land"}
    changed = [
        (each.cause.actor, each.fact.reason)
        for each in office.writer._journal.events(before)
        if isinstance(each.fact, ev.ConfigurationChanged)
    ]
    assert set(changed) == {("an-operator", "decree 12")}


def test_what_is_in_force_already_writes_nothing(office: Office) -> None:
    switch(office, LAND_OFFICE)
    before = office.writer._journal.last_seq
    assert isinstance(switch(office, LAND_OFFICE), SwitchAnswer)
    assert office.writer._journal.last_seq == before


def test_a_repetition_gets_the_first_answer(office: Office) -> None:
    first = switch(office, LAND_OFFICE, request_id="once")
    again = switch(office, LAND_OFFICE, request_id="once")
    assert isinstance(first, SwitchAnswer)
    assert again == msgspec.structs.replace(first, is_repeated=True)


@pytest.mark.parametrize("gone", ["registry", "kind"])
def test_what_stored_records_need_cannot_be_taken_away(office: Office, gone: str) -> None:
    switch(office, LAND_OFFICE)
    land_citizen(office)
    if gone == "registry":
        answer = switch(office, Declaration(CONFIGURATION.registries), whole=True)
    else:
        feed = LAND_OFFICE.registries["land"].feeds["holders"]
        firms = msgspec.structs.replace(feed, records=feed.records[2:])
        answer = switch(
            office,
            Declaration({"land": msgspec.structs.replace(LAND_OFFICE.registries["land"], feeds={"holders": firms})}),
        )
    assert answer == Refusal(
        "RegistryInUseError", ("registry land has 1 citizen records, which would be left without it",)
    )
    assert "citizen" in in_force(office).registries["land"].kinds


def test_a_registry_whose_records_are_deleted_can_go(office: Office) -> None:
    switch(office, LAND_OFFICE)
    land_citizen(office)
    office.drop(SourceKey("land", EntityKind.CITIZEN, "L1"))
    assert isinstance(switch(office, Declaration(CONFIGURATION.registries), whole=True), SwitchAnswer)
    assert in_force(office) == CONFIGURATION


def test_a_load_is_not_taken_back_into_a_registry_that_is_gone(office: Office) -> None:
    switch(office, LAND_OFFICE)
    land_citizen(office)
    load_id = load(office, "gone", [SourceKey("land", EntityKind.CITIZEN, "L1")], feed="land.holders")
    assert isinstance(switch(office, Declaration(CONFIGURATION.registries), whole=True), SwitchAnswer)
    assert office.refused(RevertLoad(Request(OPERATOR), load_id)) == "UnknownRegistryError"
    switch(office, LAND_OFFICE)
    assert revert(office, load_id)["returned"] == 1


def test_a_registry_cannot_go_while_a_load_of_it_is_taken_back(office: Office) -> None:
    switch(office, LAND_OFFICE)
    land_citizen(office)
    load_id = load(office, "gone", [SourceKey("land", EntityKind.CITIZEN, "L1")], feed="land.holders")
    office.execute(RevertLoad(Request(OPERATOR), load_id))
    assert switch(office, Declaration(CONFIGURATION.registries), whole=True) == Refusal(
        "RegistryInUseError", ("a load of registry land is being taken back: try again when that is over",)
    )
    assert follow(office, load_id)["returned"] == 1
    assert "land" in in_force(office).registries


def test_a_registry_that_the_rules_of_survivorship_name_cannot_go(office: Office) -> None:
    others = {name: each for name, each in CONFIGURATION.registries.items() if name != "company"}
    answer = switch(office, Declaration(others), whole=True)
    assert isinstance(answer, Refusal)
    assert answer.arguments[0] == "registries.company"
    assert "business.trust.legal_name" in answer.arguments[1]


def test_what_an_operator_put_in_force_stays_across_starts(office: Office) -> None:
    switch(office, LAND_OFFICE)
    land_citizen(office)
    # The file that the service was begun with, and none at all: neither is news.
    for named in (CONFIGURATION, None):
        restart(office, named)
        assert "land" in in_force(office).registries
    with office.writer._index.read() as view:
        found = last_activation(view, office.writer._journal)
    assert (found.cause.actor, found.reason) == ("an-operator", "decree 12")


def test_a_file_that_changed_since_the_last_start_is_put_in_force_once(office: Office) -> None:
    switch(office, LAND_OFFICE)
    other = CONFIGURATION.with_declaration(parse_declaration(LAND.replace("trust_rank = 5", "trust_rank = 6").encode()))
    restart(office, other)
    assert in_force(office) == other
    # An operator's change after it stays, though the next start names the file again.
    switch(office, LAND_OFFICE)
    restart(office, other)
    assert in_force(office).registries["land"].trust_rank == 5


def test_a_named_file_that_would_orphan_records_ends_the_start(tmp_path: Path) -> None:
    office = Office(tmp_path / "data")
    switch(office, LAND_OFFICE)
    land_citizen(office)
    with pytest.raises(RegistryInUseError):
        restart(office, CONFIGURATION.with_declaration(parse_declaration(b"[stewardship]\ntwo_person_records_min = 9")))
    office.writer = Writer.open(office.directory, None)
    office.close()


def test_the_difference_is_told_by_registry_with_the_records_that_it_concerns(office: Office) -> None:
    switch(office, LAND_OFFICE)
    land_citizen(office)
    text = LAND.replace("trust_rank = 5", "trust_rank = 2").replace('column = "agent_id"', 'column = "agent_no"')
    after = CONFIGURATION.with_declaration(parse_declaration(text.encode()))
    with office.writer._index.read() as view:
        (changed,) = changes_between(view, in_force(office), after)
        (removed,) = changes_between(view, in_force(office), CONFIGURATION)
        (added,) = changes_between(view, CONFIGURATION, after)
    assert changed.record_counts == {EntityKind.CITIZEN: 1, EntityKind.BUSINESS: 0}
    assert (changed.is_trust_changed, changed.is_mapping_changed) == (True, True)
    assert [each[1:] for each in changed.differences] == [('"agent_id"', '"agent_no"'), ("5", "2")]
    assert (removed.type, added.type) == (ChangeType.REMOVED, ChangeType.ADDED)
    assert changed.differences[0].path == "registries.land.feeds.holders.records[1].identifiers[0].column"
