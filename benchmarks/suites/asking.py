"""Requests from the city's own records, and the calls that carry them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc

from benchmarks.load.generator import Server
from benchmarks.load.spec import Call, read_requests
from benchmarks.session import Session
from mdm.v1 import common_pb2 as common
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import match_service_pb2 as match

REQUESTS = 20_000
"""Distinct requests of a kind: enough that the answers are spread over the index."""

LOOKUP = "/mdm.v1.LookupService/Lookup"
BATCH_LOOKUP = "/mdm.v1.LookupService/BatchLookup"
LOOKUP_BY_IDENTIFIER = "/mdm.v1.LookupService/LookupByIdentifier"
MATCH = "/mdm.v1.MatchService/Match"
BATCH_MATCH = "/mdm.v1.MatchService/BatchMatch"
RESOLVE = "/mdm.v1.MatchService/Resolve"

READY_ANSWER = "an answer of the same size, ready, on our own stack"
"""A ceiling: what a call takes that has nothing to work out."""
ANSWERS_ASKED = 15
"""Answers of which a ceiling gives the one of median length."""

PATIENTS = "hospital.patients"
RESIDENTS = "household.residents"


def answered(server: Server, call: Call) -> bytes:
    """Return an answer of median length to the first requests of a call, for an empty handler to give.

    Raises:
        grpc.RpcError: One was not answered.
    """
    with server.channel() as channel:
        send: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(call.method)
        requests = read_requests(Path(call.requests))[:ANSWERS_ASKED]
        found = sorted((send(request, timeout=call.timeout_s) for request in requests), key=len)
        return found[len(found) // 2]


def lookups(session: Session, *, skew: float = 0.0, share: float = 1.0) -> Call:
    """Return unary lookups of patients."""
    records = session.city.wire_records(PATIENTS, REQUESTS)
    file = session.requests("lookup", (lookup.LookupRequest(key=record.key) for record in records))
    return Call("lookup", LOOKUP, file, skew=skew, share=share)


def batch_lookups(session: Session, keys: int, count: int = 200) -> Call:
    """Return lookups of so many patients in a batch, drawn anew for each of `count` batches."""
    dice = random.Random(session.options.seed)
    record_ids = [record.key.record_id for record in session.city.records(PATIENTS, REQUESTS)]
    requests = (
        lookup.BatchLookupRequest(
            registry="hospital",
            entity_kind=common.ENTITY_KIND_CITIZEN,
            record_ids=dice.choices(record_ids, k=keys),
        )
        for _ in range(count)
    )
    return Call("batch_lookup", BATCH_LOOKUP, session.requests(f"batch_lookup_{keys}", requests))


def identifier_lookups(session: Session, share: float = 1.0) -> Call:
    """Return lookups of residents by their personal ID."""
    records = session.city.wire_records(RESIDENTS, REQUESTS)
    values = (
        each.value
        for record in records
        for each in record.attributes.citizen.identifiers
        if each.type == common.IDENTIFIER_TYPE_PERSONAL_ID
    )
    requests = (
        lookup.LookupByIdentifierRequest(type=common.IDENTIFIER_TYPE_PERSONAL_ID, value=each) for each in values
    )
    return Call("identifier", LOOKUP_BY_IDENTIFIER, session.requests("identifier", requests), share=share)


def matched_attributes(session: Session) -> list[common.Attributes]:
    """Return attributes as somebody at a desk states them: of patients, who mostly are known elsewhere."""
    return [record.attributes for record in session.city.wire_records(PATIENTS, REQUESTS)]


def matches(
    session: Session, attributes: Sequence[common.Attributes], *, name: str = "match", share: float = 1.0
) -> Call:
    """Return unary matches against all records."""
    file = session.requests(name, (match.MatchRequest(attributes=each) for each in attributes))
    return Call(name, MATCH, file, share=share)


def batch_matches(session: Session, attributes: Sequence[common.Attributes], size: int) -> Call:
    """Return matches of so many records in a batch."""
    batches = [attributes[start : start + size] for start in range(0, len(attributes) - size + 1, size)]
    # A city smaller than one batch fills it by asking again.
    batches = batches or [[*attributes] * (size // len(attributes) + 1)]
    requests = (match.BatchMatchRequest(attributes=each[:size]) for each in batches)
    return Call("batch_match", BATCH_MATCH, session.requests("batch_match", requests), timeout_s=60.0)


def arrivals(session: Session, count: int) -> Iterator[common.SourceRecord]:
    """Yield records that a hospital has not stored yet: every other one of somebody known, under a new record id.

    Record ids differ from those of every other call, and of runs with another seed.
    """
    batch = session.batch()
    known = session.city.wire_records(PATIENTS, min(count, REQUESTS))
    dice = random.Random(f"{session.options.seed} {batch}")
    for number in range(count):
        record = common.SourceRecord()
        record.CopyFrom(known[number % len(known)])
        record.key.record_id = f"bench-{session.options.seed}-{batch}-{number}"
        if number % 2:
            make_stranger(record.attributes.citizen, dice)
        yield record


def make_stranger(citizen: common.CitizenAttributes, dice: random.Random) -> None:
    """Make somebody whom no registry knows, of as many words, numbers and addresses."""
    citizen.full_name = (
        f"{citizen.full_name} {dice.choice(('An', 'Bảo', 'Cát', 'Diễm', 'Giang', 'Hân', 'Khuê', 'Lam'))}"
    )
    year, month, day = dice.randint(1940, 2024), dice.randint(1, 12), dice.randint(1, 28)
    citizen.birth_date = f"{year}-{month:02}-{day:02}"
    del citizen.relations[:]
    citizen.phones[:] = [f"09{dice.randint(0, 99_999_999):08}" for _ in citizen.phones]
    century = {18: 0, 19: 0, 20: 2}[year // 100] + dice.randint(0, 1)
    for identifier in citizen.identifiers:
        if identifier.type == common.IDENTIFIER_TYPE_PERSONAL_ID:
            identifier.value = f"079{century}{year % 100:02}{dice.randint(0, 999_999):06}"
        else:
            identifier.value = f"{identifier.value[:-8]}{dice.randint(0, 99_999_999):08}"
