"""Tokens that a running service can't serve, to provoke what clients must handle."""

from __future__ import annotations

from uuid import UUID

import msgspec

from mdm.store.token import parse_token
from mdm_client import Client, EntityKind

FAR_AHEAD = 10**9


def unserved_tokens(address: str) -> tuple[str, str]:
    """Return a token of the service's journal that lies far ahead of it, and one of another journal."""
    with Client(address) as client:
        token = parse_token(client.batch_lookup("hospital", EntityKind.CITIZEN, ["nobody"]).read_at)
    ahead = msgspec.structs.replace(token, seq=token.seq + FAR_AHEAD)
    return str(ahead), str(msgspec.structs.replace(token, journal_id=UUID(int=1)))
