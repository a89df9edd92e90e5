"""What taking a load back would do, beside what it does."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mdm.resolve.configuring import configuration_in_force
from mdm.resolve.engines import active_engines
from mdm.resolve.load_outline import outline
from mdm.resolve.reading import Reading
from mdm.resolve.survivorship import rules_in_force
from tests.resolve.cities import city_records
from tests.resolve.loads import entry_of, load, revert, swapped
from tests.resolve.office import Office


@pytest.mark.parametrize("seed", [3, 6])
def test_a_dry_run_foresees_all_that_a_revert_does(office: Office, seed: int) -> None:
    records = city_records(120, seed)
    mine = [record for record in records if record.key.registry == "hospital"]
    random.Random(seed).shuffle(mine)
    new, known = mine[::5], [record for index, record in enumerate(mine) if index % 5]
    office.put_all([record for record in records if record not in new])
    # Of what it issues, some IDs redirect in the end: they are retired too.
    load_id = load(office, "night", [*swapped(known[:50]), *new, *(record.key for record in known[-15:])], group=3)
    writer = office.writer

    @contextmanager
    def reading() -> Iterator[Reading]:
        with writer._index.read() as view:
            configuration = configuration_in_force(view, writer._journal)
            rules = rules_in_force(view, writer._journal, configuration)
            yield Reading(view, active_engines(view, writer._journal.artefact), configuration, writer._journal, rules)

    foreseen = outline(entry_of(office, load_id), reading, lambda: None).outcomes
    assert {effect.value: count for effect, count in foreseen.items()} == revert(office, load_id)
