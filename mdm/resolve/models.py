"""Models as the journal keeps them: which were in force since when and by whom, and putting another one in force.

An activation by an operator *pins* the model: re-linkages use it as it is. A re-linkage that is asked to learn starts
from the shipped model, as every learning one does, and its commit takes the pin away. So a re-linkage stays a function
of the records, the judgements and, if there is one, the pin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from mdm.domain import events as ev
from mdm.domain.keys import EntityKind
from mdm.domain.state import IdentityView
from mdm.errors import ConfigurationError, ModelOutdatedError, ModelRefusedError, UnknownModelError
from mdm.linkage.gates import failures_of_model
from mdm.linkage.model import Model, Provenance, Thresholds
from mdm.linkage.specification import SPECIFICATION_VERSION
from mdm.resolve.commands import SwitchModel
from mdm.resolve.group import Group
from mdm.store.journal import JournalReader


class Activation(msgspec.Struct, frozen=True):
    """One time that a model was put in force."""

    seq: int
    at_us: int
    digest: str
    cause: ev.Cause
    is_pinned: bool
    is_rollback: bool
    reason: str


class ModelOutline(msgspec.Struct, frozen=True):
    """What can be said of any model, also of one that this release cannot use."""

    specification_version: int
    thresholds: Thresholds
    provenance: Provenance

    @property
    def is_usable(self) -> bool:
        """Whether its comparison levels are those of this release."""
        return self.specification_version == SPECIFICATION_VERSION


class ModelVersion(msgspec.Struct, frozen=True):
    """An activation and what the model says of itself."""

    activation: Activation
    outline: ModelOutline


_outline = msgspec.json.Decoder(ModelOutline).decode


def activations(state: IdentityView, journal: JournalReader, kind: EntityKind) -> list[Activation]:
    """Return every activation of a kind, oldest first. Cost: a read of the journal for each."""
    found = []
    for seq in map(int, (state.setting(f"models:{kind}") or "").split()):
        for event in journal.events(seq - 1, seq):
            fact = event.fact
            if isinstance(fact, ev.ModelActivated):
                found.append(
                    Activation(
                        seq, event.at_us, fact.digest, event.cause, fact.is_pinned, fact.is_rollback, fact.reason
                    )
                )
    return found


def model_versions(state: IdentityView, journal: JournalReader, kind: EntityKind) -> list[ModelVersion]:
    """Return every activation of a kind with what its model says of itself, oldest first."""
    return [
        ModelVersion(each, _outline(journal.artefact(each.digest) or b"")) for each in activations(state, journal, kind)
    ]


def model_body(state: IdentityView, journal: JournalReader, digest: str) -> bytes:
    """Return a model file that is or was in force.

    Raises:
        UnknownModelError: None of this digest was ever in force here.
    """
    known = {each.digest for kind in EntityKind for each in activations(state, journal, kind)}
    body = journal.artefact(digest) if digest in known else None
    if body is None:
        raise UnknownModelError("no model of this digest was ever in force here")
    return body


def body_before(state: IdentityView, journal: JournalReader, kind: EntityKind) -> bytes:
    """Return the model file that a roll-back puts in force.

    Raises:
        UnknownModelError: There is none to go back to.
    """
    versions = model_versions(state, journal, kind)
    usable = {each.activation.digest for each in versions if each.outline.is_usable}
    digest = model_before([each.activation for each in versions], usable.__contains__)
    if digest is None:
        raise UnknownModelError("no earlier model that this release can use was in force")
    return model_body(state, journal, digest)


def model_before(history: Sequence[Activation], is_usable: Callable[[str], bool]) -> str | None:
    """Return the digest that a roll-back puts in force, None if nothing is left to go back to.

    Each roll-back takes back one activation more, so that two in a row go back two steps and not to and fro.

    Args:
        history: All activations, oldest first.
        is_usable: Whether this release can use the model of a digest.
    """
    standing: list[str] = []
    for each in history:
        if each.is_rollback:
            while len(standing) > 1 and standing[-1] != each.digest:
                standing.pop()
        else:
            standing.append(each.digest)
    in_force = history[-1].digest if history else None
    return next((digest for digest in reversed(standing) if digest != in_force and is_usable(digest)), None)


def pinned_model(state: IdentityView, kind: EntityKind, artefact: Callable[[str], bytes | None]) -> Model | None:
    """Return the model that an operator chose for a kind; None if there is none that this release can use."""
    digest = state.setting(f"pin:{kind}")
    body = artefact(digest) if digest else None
    try:
        return Model.from_bytes(body) if body else None
    except ConfigurationError:
        return None


def is_pinned_behind(state: IdentityView, kind: EntityKind, seq: int) -> bool:
    """Return whether an operator's model is in force that was activated behind `seq`."""
    last = (state.setting(f"models:{kind}") or "0").rpartition(" ")[2]
    return bool(state.setting(f"pin:{kind}")) and int(last) > seq


def checked_model(body: bytes) -> tuple[EntityKind, Model]:
    """Read a model that somebody wants to put in force.

    Raises:
        ConfigurationError: Not a model of this release, or of a kind that the service does not keep.
        ModelRefusedError: Its values fail a sanity gate; names gate, comparison and level.
    """
    model = Model.from_bytes(body)
    if model.kind not in set(EntityKind):
        raise ConfigurationError("model.kind", "must be an entity kind")
    failures = failures_of_model(model, Model.default(model.kind))
    if failures:
        said = "; ".join(f"{comparison} {failure}" for comparison, failure in sorted(failures.items()))
        raise ModelRefusedError(f"the model fails its sanity gates: {said}")
    return EntityKind(model.kind), model


def activate(group: Group, journal: JournalReader, command: SwitchModel) -> str:
    """Draft the activation of a model and return its digest; nothing is drafted if it is in force and pinned already.

    Raises:
        ConfigurationError: Not a model of this release.
        UnknownModelError: A roll-back with nothing to go back to.
        ModelOutdatedError: Another model is in force than the one that it was compared with.
    """
    body = body_before(group.index, journal, command.kind) if command.is_rollback else command.body
    Model.from_bytes(body)
    in_force = group.index.setting(f"model:{command.kind}")
    if in_force != command.compared_with:
        raise ModelOutdatedError("another model was activated meanwhile; compare with it first")
    digest = group.batch.put_artefact("model", body)
    if digest != in_force or group.index.setting(f"pin:{command.kind}") != digest:
        fact = ev.ModelActivated(
            command.kind, digest, is_pinned=True, is_rollback=command.is_rollback, reason=command.reason
        )
        group.add(command.request.cause, fact)
    return digest
