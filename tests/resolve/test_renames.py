"""A renamed firm keeps the names that its own record bore, and nobody else's."""

from __future__ import annotations

import msgspec

from mdm.domain.records import BusinessAttributes, SourceRecord
from mdm.limits import RECORD_VALUES_MAX
from mdm.resolve.commands import WriteOutcome
from mdm.resolve.payloads import decode_payload
from tests.resolve.office import Office, business, citizen

CODE, OTHER_CODE = "0301464830", "0304132047"
OLD, NEW = "Công ty TNHH Sơn Hải Vân", "Công ty TNHH Đại Dương Xanh"
ELSEWHERE = "7 Hai Bà Trưng, Phường Tân Định, Quận 1, TP Hồ Chí Minh"


def stored_names(office: Office, record: SourceRecord) -> tuple[str, ...]:
    with office.writer._index.read() as view:
        payload = view.raw(office.number(record.key))
    assert payload is not None
    attributes = decode_payload(payload).attributes
    assert isinstance(attributes, BusinessAttributes)
    return attributes.former_names


def with_former(record: SourceRecord, *names: str) -> SourceRecord:
    return msgspec.structs.replace(record, attributes=msgspec.structs.replace(record.attributes, former_names=names))


def test_another_registry_that_still_writes_the_old_name_is_found_after_a_renaming(office: Office) -> None:
    office.put(business("A", OLD, tax_code=CODE))
    renamed = office.put(business("A", NEW, tax_code=CODE))
    assert (renamed.outcome, renamed.is_new_bearer) == (WriteOutcome.UPDATED, False)
    late = office.put(business("B", "CTY TNHH SƠN HẢI VÂN", registry="social_security", phone=""))
    assert late.golden_id == renamed.golden_id


def test_without_a_renaming_the_old_name_would_be_another_firm(office: Office) -> None:
    office.put(business("A", NEW, tax_code=CODE))
    late = office.put(business("B", "CTY TNHH SƠN HẢI VÂN", registry="social_security", phone=""))
    assert late.golden_id != office.id_of(business("A", NEW))


def test_the_row_as_the_registry_repeats_it_changes_nothing(office: Office) -> None:
    office.put(business("A", OLD, tax_code=CODE))
    renamed = business("A", NEW, tax_code=CODE)
    office.put(renamed)
    assert office.put(renamed).outcome is WriteOutcome.UNCHANGED
    assert stored_names(office, renamed) == (OLD,)


def test_a_further_update_keeps_all_names_in_order_and_each_once(office: Office) -> None:
    for name in (OLD, NEW, "Công ty TNHH Minh Khang Tường", OLD):
        last = business("A", name, tax_code=CODE)
        office.put(last)
    assert stored_names(office, last) == (NEW, "Công ty TNHH Minh Khang Tường")
    assert stored_names(office, last) == stored_names(office, business("A", "CÔNG TY TNHH SƠN HẢI VÂN"))


def test_another_spelling_is_no_former_name(office: Office) -> None:
    office.put(business("A", OLD, tax_code=CODE))
    again = business("A", "CTY TNHH SON HAI VAN", tax_code=CODE)
    office.put(again)
    assert stored_names(office, again) == ()


def test_a_new_bearer_does_not_inherit_names(office: Office) -> None:
    first = office.put(business("A", OLD, tax_code=CODE))
    other = business("A", NEW, tax_code=OTHER_CODE, address=ELSEWHERE, phone="")
    second = office.put(other)
    assert second.is_new_bearer
    assert second.golden_id != first.golden_id
    assert stored_names(office, other) == ()


def test_stated_names_come_first_and_the_latest_are_kept(office: Office) -> None:
    stated = tuple(f"Công ty TNHH Sơn Hải {number}" for number in range(RECORD_VALUES_MAX))
    office.put(business("A", OLD, tax_code=CODE))
    renamed = with_former(business("A", NEW, tax_code=CODE), *stated)
    office.put(renamed)
    assert stored_names(office, renamed) == (*stated[1:], OLD)


def test_a_pending_record_keeps_names_and_citizens_are_left_alone(office: Office) -> None:
    office.put(business("A", OLD, tax_code=CODE), later=True)
    renamed = business("A", NEW, tax_code=CODE)
    assert office.put(renamed, later=True).outcome is WriteOutcome.PENDING
    assert stored_names(office, renamed) == (OLD,)
    office.put(citizen("C"))
    assert office.put(citizen("C")).outcome is WriteOutcome.UNCHANGED
