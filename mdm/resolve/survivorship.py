"""The values of golden records under the rules in force, what other rules would change, and putting those in force."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from importlib import resources

import msgspec

from mdm.config import Configuration
from mdm.domain import events as ev
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber
from mdm.domain.records import SourceRecord
from mdm.domain.state import IdentityView
from mdm.domain.survivorship import GoldenValue, Member, Pin, golden_values
from mdm.domain.survivorship_rules import Criterion, SurvivorshipRules
from mdm.errors import WriterUnavailableError
from mdm.limits import SURVIVORSHIP_EXAMPLES_MAX
from mdm.linkage.completeness import completeness, number_of
from mdm.resolve.group import Group
from mdm.resolve.model_comparison import golden_sample
from mdm.resolve.payloads import decode_payload, updated_at_us
from mdm.store.index import Index
from mdm.store.journal import JournalReader, artefact_digest
from mdm.store.view import IndexView

PART = "survivorship"
"""Setting and kind of artefact."""


class RulesInForce(msgspec.Struct, frozen=True):
    """Rules with all that a golden record's values depend on besides its records."""

    digest: str
    rules: SurvivorshipRules
    configuration: Configuration

    def with_rules(self, body: bytes) -> RulesInForce:
        """Return the same registries with the rules of a file.

        Raises:
            ConfigurationError: The file breaks a rule, or names a registry that is not declared.
        """
        rules = SurvivorshipRules.parse(body)
        rules.check(self.configuration)
        return RulesInForce(artefact_digest(body), rules, self.configuration)


class RulesActivation(msgspec.Struct, frozen=True):
    """The last time that rules were put in force."""

    digest: str
    body: bytes
    """The file as it was given."""
    at_us: int
    cause: ev.Cause
    reason: str


class ValueChange(msgspec.Struct, frozen=True):
    """One value that other rules would change."""

    golden_id: GoldenId
    field: str
    before: GoldenValue
    after: GoldenValue


class FieldChanges(msgspec.Struct, frozen=True):
    """What other rules would change in one field."""

    field: str
    golden_record_count: int
    """Golden records of the sample whose first value of this field would be another."""
    criteria: dict[Criterion, int]
    """What would put the new value first → golden records."""
    examples: tuple[ValueChange, ...]


class RulesComparison(msgspec.Struct, frozen=True):
    """What rules would change against those in force, for one entity kind, on a sample of its golden records."""

    kind: EntityKind
    golden_record_count: int
    """Live golden records of the kind; an estimate unless all were sampled."""
    sampled_count: int
    changed_count: int
    """Of the sampled ones, those with at least one other value."""
    fields: tuple[FieldChanges, ...]
    """In the order in which golden records show them; fields without a change are left out."""


def shipped_rules() -> bytes:
    """Return the file that ships."""
    return (resources.files("mdm") / "survivorship.toml").read_bytes()


def rules_in_force(view: IdentityView, journal: JournalReader, configuration: Configuration) -> RulesInForce:
    """Return the journalled rules.

    Raises:
        WriterUnavailableError: The writer has not journalled any yet.
    """
    digest = view.setting(PART) or ""
    body = journal.artefact(digest)
    if body is None:
        raise WriterUnavailableError("the writer has not journalled rules of survivorship yet")
    return RulesInForce(digest, SurvivorshipRules.parse(body), configuration)


def last_activation(view: IdentityView, journal: JournalReader) -> RulesActivation:
    """Return the rules in force with who put them in force, when and why."""
    seq = int((view.setting(f"{PART}s") or "0").split()[-1])
    for event in journal.events(seq - 1, seq):
        fact = event.fact
        if isinstance(fact, ev.ConfigurationChanged):
            body = journal.artefact(fact.digest) or b""
            return RulesActivation(fact.digest, body, event.at_us, event.cause, fact.reason)
    raise WriterUnavailableError("the writer has not journalled rules of survivorship yet")


def activate_rules(group: Group, cause: ev.Cause, body: bytes, configuration: Configuration, reason: str = "") -> str:
    """Put the rules of a file in force and return their digest; no event if they are already.

    Raises:
        ConfigurationError: The file breaks a rule, or names a registry that is not declared.
    """
    SurvivorshipRules.parse(body).check(configuration)
    return _put_in_force(group, cause, body, reason)


def activate_shipped_rules(group: Group, cause: ev.Cause) -> None:
    """Put the shipped rules in force where none are yet; a registry of theirs that is not declared states nothing."""
    if group.index.setting(PART) is None:
        _put_in_force(group, cause, shipped_rules(), "")


def _put_in_force(group: Group, cause: ev.Cause, body: bytes, reason: str) -> str:
    digest = group.batch.put_artefact(PART, body)
    if group.index.setting(PART) != digest:
        group.add(cause, ev.ConfigurationChanged(digest, PART, reason))
    return digest


Supposed = tuple[str, str | None]
"""A field and the value that is to be fixed for it; None lets a fixed one go."""


def values_of(
    view: IndexView,
    journal: JournalReader,
    members: Sequence[Member],
    in_force: RulesInForce,
    supposed: Supposed | None = None,
    fields: frozenset[str] = frozenset(),
) -> tuple[GoldenValue, ...]:
    """Return the values of a golden record, none without members; cost and `fields` as of `golden_values`."""
    if not members:
        return ()
    pins = _pins(view, journal, [member.number for member in members])
    if supposed is not None:
        field, value = supposed
        pins = {name: pin for name, pin in pins.items() if name != field}
        if value is not None:
            pins[field] = Pin(value, members[0].number)
    rules = in_force.rules.kinds[members[0].record.key.kind]
    return tuple(golden_values(members, rules, completeness, number_of, pins, fields))


def as_member(configuration: Configuration, number: RecordNumber, record: SourceRecord) -> Member:
    """Return a record as survivorship weighs it; one of a registry that is no longer declared comes last."""
    registry = configuration.registries.get(record.key.registry)
    rank = registry.trust_rank if registry else len(configuration.registries) + 1
    return Member(number, record, rank, updated_at_us(record.updated_at))


def member_of(view: IndexView, configuration: Configuration, number: RecordNumber) -> Member | None:
    """Return a stored record as survivorship weighs it; None when it is deleted or erased."""
    payload = view.raw(number)
    return None if payload is None else as_member(configuration, number, decode_payload(payload))


def members_of(view: IndexView, configuration: Configuration, numbers: Iterable[RecordNumber]) -> list[Member]:
    """Return records as survivorship weighs them, without those that are deleted or erased."""
    return [each for number in numbers if (each := member_of(view, configuration, number)) is not None]


def compare_rules(
    index: Index, journal: JournalReader, in_force: RulesInForce, candidate: RulesInForce, *, sample_count: int
) -> list[RulesComparison]:
    """Say for each kind which values of a sample of its golden records other rules would change.

    The sample is the same as long as no record comes: a corrected file is judged on the same golden records.

    Cost: about 0.8 ms a golden record, most of it reading.
    """
    return [_compare(index, journal, in_force, candidate, kind, sample_count) for kind in EntityKind]


def _compare(
    index: Index,
    journal: JournalReader,
    in_force: RulesInForce,
    candidate: RulesInForce,
    kind: EntityKind,
    sample_count: int,
) -> RulesComparison:
    sampled, golden_count = golden_sample(index, kind, sample_count, seed=1)
    changes: defaultdict[str, list[ValueChange]] = defaultdict(list)
    changed_count = 0
    for golden_id in sampled:
        with index.read() as view:
            golden = view.golden(golden_id)
            numbers = golden.members if golden else ()
            members = members_of(view, in_force.configuration, numbers)
            # One record alone has nothing to choose from.
            if len(members) < 2:  # noqa: PLR2004
                continue
            before, after = (_first_values(values_of(view, journal, members, rules)) for rules in (in_force, candidate))
        moved = [path for path, value in after.items() if value.value != before[path].value]
        changed_count += bool(moved)
        for path in moved:
            changes[path].append(ValueChange(golden_id, path, before[path], after[path]))
    fields = tuple(
        FieldChanges(
            path,
            len(moved),
            dict(Counter(each.after.decided_by for each in moved if each.after.decided_by is not None)),
            tuple(moved[:SURVIVORSHIP_EXAMPLES_MAX]),
        )
        for path, moved in sorted(changes.items())
    )
    return RulesComparison(kind, golden_count, len(sampled), changed_count, fields)


def _first_values(values: Iterable[GoldenValue]) -> dict[str, GoldenValue]:
    """Return by path the value that stands first; both rules have the same paths, for members state the same."""
    first: dict[str, GoldenValue] = {}
    for value in values:
        first.setdefault(value.field, value)
    return first


def _pins(view: IndexView, journal: JournalReader, members: Iterable[RecordNumber]) -> dict[str, Pin]:
    pins: dict[str, Pin] = {}
    for number in members:
        entry = view.record(number)
        for field, payload_id in entry.pins if entry else ():
            value = journal.payload(payload_id)
            if value is not None:
                pins[field] = Pin(value.decode(), number)
    return pins
