"""A message as it may stand in a log: every field that carries a person's data is left out.

Python prints `debug_redact` fields all the same, so whatever logs a message goes through here.
"""

from __future__ import annotations

from google.protobuf.message import Message

HIDDEN = "[redacted]"


def redacted(message: Message) -> dict[str, object]:
    """Return the message's set fields by name; redacted ones as `[redacted]`, repeated ones with their count."""
    shown: dict[str, object] = {}
    for field, value in message.ListFields():
        if field.GetOptions().debug_redact:
            shown[field.name] = f"{HIDDEN} x{len(value)}" if field.is_repeated else HIDDEN
        elif field.is_repeated:
            shown[field.name] = [_shown(each) for each in value]
        else:
            shown[field.name] = _shown(value)
    return shown


def _shown(value: object) -> object:
    return redacted(value) if isinstance(value, Message) else value
