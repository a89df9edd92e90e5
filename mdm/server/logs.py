"""Structured logs: one JSON object a line on standard error, never with personal data.

What is logged is chosen field by field: names of calls, codes, reasons, counts, durations and error ids.
An exception is logged as its type and the places it passed, without its text, which may quote a value.
"""

from __future__ import annotations

import contextlib
import logging
import re
import secrets
import sys
from collections.abc import Iterable
from pathlib import Path
from traceback import walk_tb
from typing import TextIO, cast

import structlog

REQUEST_ID_KEY = "x-request-id"
"""Metadata by which a caller finds its call in the log."""

_ERROR_ID_BYTES = 6
# Longer than any number of a person or firm, and nothing but hexadecimal digits and hyphens.
_REQUEST_ID = re.compile(r"[0-9a-fA-F-]{20,40}")


def configure_logs(process: str) -> None:
    """Send this process's log lines to standard error as JSON, `process` on each."""
    structlog.configure(
        processors=[
            _named(process),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _UnfailingStream(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    # grpcio logs the text of exceptions that it catches itself; those texts may quote a request.
    logging.getLogger("grpc").addHandler(_TextlessHandler())
    logging.getLogger("grpc").propagate = False


class _UnfailingStream:
    """Loses what cannot be written: a full disk or a reader of the log that is gone must not end what is logged of."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def _named(process: str) -> structlog.typing.Processor:
    def name(_logger: object, _level: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["process"] = process
        return event

    return name


def logger() -> structlog.typing.FilteringBoundLogger:
    """Return the logger of this process."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return bound


def new_error_id() -> str:
    """Return an id that ties a caller's error to the log line of its cause."""
    return secrets.token_hex(_ERROR_ID_BYTES)


def loggable_request_id(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """Return the caller's `x-request-id` if it can hold no personal data: a UUID or a trace id; else an empty text."""
    for key, value in metadata:
        if key == REQUEST_ID_KEY:
            return value if isinstance(value, str) and _REQUEST_ID.fullmatch(value) else ""
    return ""


def places(error: BaseException) -> list[str]:
    """Return where an exception passed, innermost last, as `file:line function`; at most the last twelve."""
    found = [
        f"{Path(frame.f_code.co_filename).name}:{line} {frame.f_code.co_name}"
        for frame, line in walk_tb(error.__traceback__)
    ]
    return found[-12:]


def log_failure(event: str, error: BaseException, **facts: object) -> str:
    """Log an error that is not one of ours, without its text, and return its error id."""
    error_id = new_error_id()
    logger().error(event, error_id=error_id, error_type=type(error).__name__, places=places(error), **facts)
    return error_id


class _TextlessHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            log_failure("grpc_failed", error, function=record.funcName)
        else:
            logger().warning("grpc_reported", function=record.funcName, level=record.levelname)
