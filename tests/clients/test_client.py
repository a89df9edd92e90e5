from __future__ import annotations

import asyncio
import inspect
import random
import socket

import pytest

from mdm_client import (
    Assurance,
    AsyncClient,
    BusinessAttributes,
    CitizenAttributes,
    ClerkChoice,
    Client,
    DeadlineExceededError,
    EntityKind,
    FailedPreconditionError,
    GoldenIdStatus,
    Identifier,
    IdentifierType,
    InvalidArgumentError,
    KeyBatch,
    MatchGrade,
    NoHolderError,
    NotFoundError,
    RecordStatus,
    ResolveOutcome,
    SeveralHoldersError,
    SourceKey,
    SourceRecord,
    UnavailableError,
    WriteOutcome,
)
from mdm_client.calls import KEYS_MAX
from mdm_client.changes import AsyncChanges, Changes
from mdm_client.erasures import AsyncErasures, Erasures
from mdm_client.models import AsyncModels, Models
from mdm_client.relink import AsyncRelink, Relink
from mdm_client.results import GoldenIdChangeType, WriteResult
from mdm_client.survivorship import AsyncSurvivorship, Survivorship
from tests.serving import RunningServer

CITIZEN = EntityKind.CITIZEN


def record(record_id: str, registry: str = "hospital", full_name: str = "") -> SourceRecord:
    """Return a record of a person whom no other record id describes."""
    dice = random.Random(record_id)
    drawn_name = " ".join(dice.choices("Trần Lý Bùi Sơn Hải Yến Quỳnh Phúc Khang Diễm Thảo Vĩnh".split(), k=4))
    birth_date = f"19{dice.randrange(50, 99)}-{dice.randrange(1, 13):02}-{dice.randrange(1, 28):02}"
    sex = dice.choice("MF")
    # A personal ID that contradicts sex or birth year is no evidence: province, sex, year, serial.
    number = f"079{int(sex == 'F')}{birth_date[2:4]}{dice.randrange(10**6):06}"
    personal_id = Identifier(IdentifierType.PERSONAL_ID, number)
    attributes = CitizenAttributes(
        full_name=full_name or drawn_name,
        birth_date=birth_date,
        sex=sex,
        identifiers=(personal_id,),
        phones=(f"09{dice.randrange(10**8):08}",),
    )
    return SourceRecord(SourceKey(registry, CITIZEN, record_id), attributes, "2026-01-01")


def test_a_write_is_seen_by_a_read_that_carries_its_token(client: Client) -> None:
    written = client.upsert(record("seen"))
    assert written.outcome is WriteOutcome.CREATED
    found = client.lookup("hospital", CITIZEN, "seen", fresh=written.token)
    assert (found.status, found.golden_id) == (RecordStatus.FOUND, written.golden_id)


def test_a_record_comes_back_as_it_was_handed_over(client: Client) -> None:
    written = client.upsert(record("back"))
    stored = client.get_record(SourceKey("hospital", CITIZEN, "back"), fresh=written.token)
    assert stored.record == record("back")
    assert stored.golden_id == written.golden_id


def test_a_repeated_request_id_gets_the_first_answer_and_other_content_an_error(client: Client) -> None:
    first = client.upsert(record("repeated"), request_id="repeated-1")
    assert client.upsert(record("repeated"), request_id="repeated-1") == first
    with pytest.raises(FailedPreconditionError) as caught:
        client.upsert(record("repeated", full_name="Other"), request_id="repeated-1")
    assert caught.value.reason == "REQUEST_ID_REUSED"


def test_an_empty_request_id_is_refused_before_anything_is_sent(client: Client) -> None:
    with pytest.raises(ValueError, match="request_id"):
        client.upsert(record("never"), request_id="")


def test_a_deleted_record_says_so_and_its_golden_id_is_retired(client: Client) -> None:
    written = client.upsert(record("deleted"))
    deleted = client.delete(SourceKey("hospital", CITIZEN, "deleted"))
    assert deleted.outcome is WriteOutcome.DELETED
    assert client.lookup("hospital", CITIZEN, "deleted", fresh=deleted.token).status is RecordStatus.DELETED
    assert client.golden_record(written.golden_id, fresh=deleted.token).status is GoldenIdStatus.RETIRED


def test_a_key_that_was_never_stored_is_an_answer_to_a_lookup_and_an_error_to_a_delete(client: Client) -> None:
    assert client.lookup("hospital", CITIZEN, "unknown").status is RecordStatus.NOT_FOUND
    with pytest.raises(NotFoundError) as caught:
        client.delete(SourceKey("hospital", CITIZEN, "unknown"))
    assert caught.value.reason == "RECORD_NOT_FOUND"
    missing = client.delete(SourceKey("hospital", CITIZEN, "unknown"), allow_missing=True)
    assert missing.outcome is WriteOutcome.ABSENT


def test_more_keys_than_one_call_takes_are_answered_as_one_column(client: Client) -> None:
    written = client.upsert(record("last"))
    keys = [f"none-{number}" for number in range(2 * KEYS_MAX + 1)] + ["last"]
    found = client.batch_lookup("hospital", CITIZEN, keys, fresh=written.token)
    assert found.golden_ids == [""] * (len(keys) - 1) + [written.golden_id]
    assert found.statuses == [RecordStatus.NOT_FOUND] * (len(keys) - 1) + [RecordStatus.FOUND]


def test_no_keys_are_answered_without_a_call(server: RunningServer) -> None:
    with Client(closed_address()) as unreachable:
        assert unreachable.batch_lookup("hospital", CITIZEN, []).golden_ids == []


def test_batches_are_answered_in_order(client: Client) -> None:
    written = client.upsert(record("streamed"))
    batches = [KeyBatch("hospital", CITIZEN, [f"none-{number}", "streamed"]) for number in range(5)]
    found = list(client.stream_lookup(batches))
    assert [answer.ordinal for answer in found] == [0, 1, 2, 3, 4]
    assert {answer.golden_ids[1] for answer in found} == {written.golden_id}


def test_one_holder_is_insisted_on(client: Client) -> None:
    kind = IdentifierType.PERSONAL_ID
    first, second = record("holder-1"), record("holder-2")
    shared = Identifier(IdentifierType.HEALTH_CARD, "GD4797923948170")
    written = client.upsert(first)
    both = [client.upsert(with_identifier(item, shared)) for item in (first, second)]
    own = first.attributes.identifiers[0].value
    assert client.lookup_by_identifier(kind, own, fresh=both[1].token).one().golden_id == written.golden_id
    with pytest.raises(SeveralHoldersError) as caught:
        client.lookup_by_identifier(IdentifierType.HEALTH_CARD, shared.value).one()
    assert sorted(caught.value.golden_ids) == sorted(item.golden_id for item in both)
    with pytest.raises(NoHolderError):
        client.lookup_by_identifier(kind, "079000000000").one()
    columns = client.batch_lookup_by_identifier(kind, [own, "079000000000"])
    assert [[holder.golden_id for holder in one.holders] for one in columns] == [[written.golden_id], []]


def with_identifier(item: SourceRecord, identifier: Identifier) -> SourceRecord:
    assert isinstance(item.attributes, CitizenAttributes)
    identifiers = (*item.attributes.identifiers, identifier)
    attributes = CitizenAttributes(
        full_name=item.attributes.full_name,
        birth_date=item.attributes.birth_date,
        sex=item.attributes.sex,
        identifiers=identifiers,
    )
    return SourceRecord(item.key, attributes, "2026-02-01")


def test_keys_are_translated_between_registries(client: Client) -> None:
    there = client.upsert(record("person", "household"))
    twin = record("person")
    here = client.upsert(SourceRecord(SourceKey("hospital", CITIZEN, "patient"), twin.attributes, "2026-01-01"))
    assert here.golden_id == there.golden_id
    found = client.translate_keys("household", CITIZEN, ["nobody", "person"], "hospital", fresh=here.token)
    assert found.target_record_ids == [(), ("patient",)]
    assert found.statuses == [RecordStatus.NOT_FOUND, RecordStatus.FOUND]


def test_a_translation_names_every_key_of_the_bearer_and_why_there_is_none(client: Client) -> None:
    def put(registry: str, record_id: str, like: str, *, later: bool = False) -> WriteResult:
        attributes = record(like).attributes
        key = SourceKey(registry, CITIZEN, record_id)
        return client.upsert(SourceRecord(key, attributes, "2026-01-01"), is_resolved_later=later)

    first = put("hospital", "visit-1", "often")
    again = put("hospital", "visit-2", "often")
    home = put("household", "home", "often")
    assert first.golden_id == again.golden_id == home.golden_id
    put("hospital", "waiting", "waiting", later=True)
    put("hospital", "left", "left")
    gone = client.delete(SourceKey("hospital", CITIZEN, "left"))

    found = client.translate_keys("household", CITIZEN, ["home"], "hospital", fresh=gone.token)
    assert found.target_record_ids == [("visit-1", "visit-2")]
    duplicates = client.translate_keys("hospital", CITIZEN, ["visit-1"], "hospital")
    assert duplicates.target_record_ids == [("visit-1", "visit-2")]
    none = client.translate_keys("hospital", CITIZEN, ["waiting", "left", "visit-1"], "social_security")
    assert none.statuses == [RecordStatus.PENDING, RecordStatus.DELETED, RecordStatus.FOUND]
    assert none.target_record_ids == [(), (), ()]


def test_keys_of_records_whose_golden_ids_were_merged_are_translated(client: Client) -> None:
    # Two golden records that only a third record, with both numbers, shows to be one bearer.
    def identified(registry: str, record_id: str, name: str, *identifiers: Identifier) -> SourceRecord:
        attributes = CitizenAttributes(full_name=name, birth_date="1966-02-03", sex="F", identifiers=identifiers)
        return SourceRecord(SourceKey(registry, CITIZEN, record_id), attributes)

    personal = Identifier(IdentifierType.PERSONAL_ID, "079166007654", Assurance.SIGHTED)
    insurance = Identifier(IdentifierType.SOCIAL_INSURANCE_NUMBER, "7912345678", Assurance.SIGHTED)
    apart = [
        client.upsert(identified("household", "resident", "Huỳnh Ngọc Bảo Sen", personal)).golden_id,
        client.upsert(identified("social_security", "insured", "H. N. B. Sen", insurance)).golden_id,
    ]
    bridge = client.upsert(identified("hospital", "bridge", "Huỳnh Ngọc Bảo Sen", personal, insurance))
    assert len(set(apart)) == 2
    assert {change.type for change in bridge.changes} >= {GoldenIdChangeType.MERGED}
    found = client.translate_keys("household", CITIZEN, ["resident"], "social_security", fresh=bridge.token)
    assert found.target_record_ids == [("insured",)]


def test_a_known_bearer_is_found_and_a_new_one_created_with_a_key_only(client: Client) -> None:
    written = client.upsert(record("known"))
    found = client.resolve(record("known").attributes, fresh=written.token)
    assert (found.outcome, found.golden_id, found.grade) == (
        ResolveOutcome.LINKED,
        written.golden_id,
        MatchGrade.CERTAIN,
    )
    assert client.resolve(record("stranger").attributes).outcome is ResolveOutcome.NONE
    created = client.resolve(record("stranger").attributes, key=SourceKey("hospital", CITIZEN, "stranger"))
    assert created.outcome is ResolveOutcome.CREATED
    assert client.lookup("hospital", CITIZEN, "stranger", fresh=created.token).golden_id == created.golden_id


def test_a_clerks_choice_travels_with_the_record(client: Client) -> None:
    written = client.upsert(record("chosen"))
    choice = ClerkChoice("", (written.golden_id,))
    made = client.resolve(
        record("chosen").attributes, key=SourceKey("social_security", CITIZEN, "not chosen"), choice=choice
    )
    assert made.golden_id != written.golden_id


def test_candidates_and_previews_write_nothing(client: Client) -> None:
    written = client.upsert(record("matched"))
    one, other = client.batch_match([record("matched").attributes, BusinessAttributes(legal_name="Công ty X")])
    assert one.candidates[0].golden_id == written.golden_id
    assert one.candidates[0].comparisons
    assert other.candidates == ()
    assert client.match(record("matched").attributes).candidates[0].golden_id == written.golden_id
    preview = client.preview(record("previewed"))
    assert preview.outcome is WriteOutcome.CREATED
    assert preview.features
    assert client.lookup("hospital", CITIZEN, "previewed").status is RecordStatus.NOT_FOUND


def test_a_golden_record_says_where_its_values_come_from(client: Client) -> None:
    written = client.upsert(record("golden"))
    found = client.golden_record(written.golden_id.lower().replace("-", ""), fresh=written.token)
    assert found.golden_id == written.golden_id
    assert {value.source.record_id for value in found.values} == {"golden"}
    assert [member.key.record_id for member in client.list_members(written.golden_id)] == ["golden"]
    assert client.batch_get([written.golden_id])[0].values == found.values


def test_stored_golden_ids_are_brought_up_to_date(client: Client) -> None:
    written = client.upsert(record("current"))
    found = client.current_golden_ids(["nonsense", written.golden_id], fresh=written.token)
    assert found.surviving_golden_ids == ["", written.golden_id]
    assert found.statuses == [GoldenIdStatus.INVALID, GoldenIdStatus.ACTIVE]


def test_members_are_paged_through(client: Client) -> None:
    twin = record("paged").attributes
    keys = [f"paged-{number}" for number in range(7)]
    written = [client.upsert(SourceRecord(SourceKey("hospital", CITIZEN, key), twin, "2026-01-01")) for key in keys]
    members = client.list_members(written[0].golden_id, page_size=2, fresh=written[-1].token)
    assert [member.key.record_id for member in members] == keys


def test_an_export_holds_every_record_at_one_position(client: Client) -> None:
    earlier = client.export_crosswalk(["hospital"], CITIZEN)
    assert sum(len(chunk.record_ids) for chunk in earlier) == earlier.row_count
    written = client.upsert(record("exported"))
    later = client.upsert(record("exported later"), is_resolved_later=True)
    exported = client.export_crosswalk(["hospital"], CITIZEN, fresh=later.token)
    rows = {
        record_id: golden_id
        for chunk in exported
        for record_id, golden_id in zip(chunk.record_ids, chunk.golden_ids, strict=True)
    }
    assert rows["exported"] == written.golden_id
    assert "exported later" not in rows
    assert exported.row_count == len(rows) == earlier.row_count + 1
    assert exported.pending_record_count == earlier.pending_record_count + 1


@pytest.mark.parametrize(
    ("call", "error", "reason"),
    [
        (lambda client: client.golden_record("C-1"), InvalidArgumentError, "INVALID_GOLDEN_ID"),
        (lambda client: client.upsert(record("x", "clinic")), InvalidArgumentError, "UNKNOWN_REGISTRY"),
        (lambda client: client.lookup("Hospital", CITIZEN, "x"), InvalidArgumentError, "INVALID_FIELD"),
        (lambda client: client.lookup("hospital", CITIZEN, "x" * 129), InvalidArgumentError, "INVALID_FIELD"),
        (lambda client: client.lookup("hospital", CITIZEN, "x", fresh="?"), InvalidArgumentError, "INVALID_TOKEN"),
        (lambda client: client.relink.get("nope"), NotFoundError, "RELINK_RUN_NOT_FOUND"),
        (lambda client: client.models.get("0" * 32), NotFoundError, "MODEL_NOT_FOUND"),
        (lambda client: client.models.rollback(CITIZEN, "none before"), NotFoundError, "MODEL_NOT_FOUND"),
        (lambda client: client.models.compare(b"{}"), InvalidArgumentError, "INVALID_CONFIGURATION"),
        (lambda client: client.models.activate("", is_forced=True), InvalidArgumentError, "INVALID_FIELD"),
        (
            lambda client: client.lookup("hospital", CITIZEN, "x", timeout_s=99),
            InvalidArgumentError,
            "DEADLINE_TOO_LONG",
        ),
    ],
)
def test_an_error_carries_its_reason(client: Client, call: object, error: type[Exception], reason: str) -> None:
    with pytest.raises(error) as caught:
        call(client)  # type: ignore[operator]
    assert caught.value.reason == reason  # type: ignore[attr-defined]


def test_an_error_names_the_fields_that_are_wrong(client: Client) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        client.lookup("Hospital", CITIZEN, "x")
    assert [violation.field for violation in caught.value.field_violations] == ["key.registry"]


def test_a_deadline_that_passes_is_an_error_of_its_own(client: Client) -> None:
    with pytest.raises(DeadlineExceededError):
        client.lookup("hospital", CITIZEN, "x", timeout_s=0.0001)


def closed_address() -> str:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{held.getsockname()[1]}"


def test_a_service_that_is_not_there_is_unavailable() -> None:
    with Client(closed_address()) as unreachable, pytest.raises(UnavailableError):
        unreachable.wait_until_ready(0.3)
    with Client(closed_address()) as unreachable, pytest.raises(UnavailableError):
        unreachable.lookup("hospital", CITIZEN, "x")


def test_both_clients_offer_the_same_calls() -> None:
    def calls(offered: type) -> dict[str, list[str]]:
        members = inspect.getmembers(offered, inspect.isfunction)
        return {name: list(inspect.signature(call).parameters) for name, call in members if not name.startswith("_")}

    assert calls(AsyncClient) == calls(Client)
    assert calls(AsyncChanges) == calls(Changes)
    assert calls(AsyncRelink) == calls(Relink)
    assert calls(AsyncModels) == calls(Models)
    assert calls(AsyncSurvivorship) == calls(Survivorship)
    assert calls(AsyncErasures) == calls(Erasures)


def test_the_asyncio_client_speaks_to_the_same_service(server: RunningServer) -> None:
    async def run() -> None:
        async with AsyncClient(server.address) as client:
            written = await client.upsert(record("async"))
            found = await client.lookup("hospital", CITIZEN, "async", fresh=written.token)
            models = await client.models.list(CITIZEN)
            in_force = models.in_force(CITIZEN)
            assert (await client.models.get(in_force.digest)).digest == in_force.digest
            unchanged = await client.models.compare("", sample_golden_record_count=10)
            assert (unchanged.candidate_digest, unchanged.band_change_fraction) == (in_force.digest, 0.0)
            assert found.golden_id == written.golden_id
            columns = await client.batch_lookup("hospital", CITIZEN, ["async", "none"])
            assert columns.golden_ids == [written.golden_id, ""]
            assert [member.key.record_id async for member in client.list_members(found.golden_id)] == ["async"]
            exported = client.export_crosswalk()
            assert sum([len(chunk.record_ids) async for chunk in exported]) == exported.row_count
            streamed = client.stream_lookup([KeyBatch("hospital", CITIZEN, ["async"])])
            assert [answer.golden_ids async for answer in streamed] == [[written.golden_id]]
            with pytest.raises(NotFoundError):
                await client.get_record(SourceKey("hospital", CITIZEN, "nobody"))

    asyncio.run(run())


def test_no_value_of_a_record_stands_in_the_text_of_an_answer(client: Client) -> None:
    written = client.upsert(record("redacted"))
    stored = client.get_record(SourceKey("hospital", CITIZEN, "redacted"), fresh=written.token)
    golden = client.golden_record(written.golden_id)
    name = record("redacted").attributes
    assert isinstance(name, CitizenAttributes)
    assert name.full_name not in repr(stored) + repr(golden) + repr(written)
