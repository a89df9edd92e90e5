"""The model and statistics epoch in force for each entity kind, compiled for online scoring."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from mdm.domain.decision import Thresholds
from mdm.domain.events import Cause
from mdm.domain.keys import EntityKind
from mdm.domain.state import IdentityView
from mdm.errors import ConfigurationError
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.model import Model
from mdm.linkage.normalise.record import NORMALISER_VERSION
from mdm.linkage.scorer import Scorer, compile_scorer
from mdm.linkage.specification import SPECIFICATION_VERSION
from mdm.resolve.relation_state import RELATION_STATE_VERSION
from mdm.store.index import IndexVersions
from mdm.store.journal import artefact_digest

MATCH_STATE_VERSIONS = IndexVersions(
    str(NORMALISER_VERSION), str(SPECIFICATION_VERSION), relations=str(RELATION_STATE_VERSION)
)
"""What features, postings and relation keys are a function of, besides the raw values; names the index generation."""


class Engine(msgspec.Struct, frozen=True):
    """One kind's model, epoch and scorer."""

    kind: EntityKind
    model: Model
    epoch: StatisticsEpoch
    scorer: Scorer
    model_digest: str
    """Names the model in the journal."""
    epoch_digest: str
    """Names the epoch in the journal."""

    @property
    def thresholds(self) -> Thresholds:
        """What the decision needs of the model."""
        model = self.model
        return Thresholds(model.thresholds.lead_bits, model.thresholds.link_bits + model.thresholds.move_margin_bits)

    def stamped(self, cause: Cause) -> Cause:
        """Return the cause with the model and epoch that decide."""
        return msgspec.structs.replace(cause, model=self.model_digest, epoch=self.epoch_digest)


Engines = Mapping[EntityKind, Engine]


def engine(kind: EntityKind, model: Model, epoch: StatisticsEpoch) -> Engine:
    """Return the engine of this model and epoch. Cost: milliseconds (the scorer is compiled)."""
    scorer = compile_scorer(model, epoch)
    return Engine(kind, model, epoch, scorer, artefact_digest(model.to_bytes()), artefact_digest(epoch.to_bytes()))


def default_engine(kind: EntityKind) -> Engine:
    """Return the engine of the model and epoch that ship with the package."""
    return engine(kind, Model.default(kind), StatisticsEpoch.default(kind))


def active_engines(state: IdentityView, artefact: Callable[[str], bytes | None]) -> dict[EntityKind, Engine]:
    """Return the engines that the journal activated, or the shipped ones of a kind that has none yet.

    Args:
        state: Names the digests.
        artefact: Returns the body of a digest.
    """
    engines = {}
    for kind in EntityKind:
        model, epoch = usable_model(state, kind, artefact), _usable_epoch(state, kind, artefact)
        if model is None or epoch is None:
            engines[kind] = engine(kind, model or Model.default(kind), epoch or StatisticsEpoch.default(kind))
        else:
            # Their digests are known: to write a city's epoch anew only to hash it takes 0.1 s.
            digests = (state.setting(f"model:{kind}") or "", state.setting(f"epoch:{kind}") or "")
            engines[kind] = Engine(kind, model, epoch, compile_scorer(model, epoch), *digests)
    return engines


def usable_model(state: IdentityView, kind: EntityKind, artefact: Callable[[str], bytes | None]) -> Model | None:
    """Return the active model of this kind; None if there is none or it was made for another specification."""
    digest = state.setting(f"model:{kind}")
    body = artefact(digest) if digest else None
    try:
        return Model.from_bytes(body) if body else None
    except ConfigurationError:
        return None


def _usable_epoch(
    state: IdentityView, kind: EntityKind, artefact: Callable[[str], bytes | None]
) -> StatisticsEpoch | None:
    digest = state.setting(f"epoch:{kind}")
    body = artefact(digest) if digest else None
    try:
        return StatisticsEpoch.from_bytes(body) if body else None
    except ConfigurationError:
        # Written by another release; the shipped one serves, with the real population, until the next re-linkage.
        return None
