"""Keys of the domain as the client's values: the same fields under the same names."""

from __future__ import annotations

import mdm_client as client
from mdm.domain.keys import SourceKey


def client_key(key: SourceKey) -> client.SourceKey:
    """Return a source key as the client has it."""
    return client.SourceKey(key.registry, client.EntityKind(key.kind), key.record_id)
