"""MatchService without a connection: what a call does whose caller has gone."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import grpc
import pytest

from mdm.resolve import searching
from mdm.resolve.previews import preview_write
from mdm.resolve.views import Preview
from mdm.server.errors import DeadlineTooShortError
from mdm.server.match_service import MatchService
from mdm.server.writer_link import WriterLink
from mdm.v1 import match_service_pb2 as match
from tests.resolve.cities import city_records
from tests.resolve.test_previews import reading
from tests.server.records import citizen


class _Late:
    """The context of a call whose deadline is over."""

    def time_remaining(self) -> float:
        return 0.0


def test_a_batch_whose_caller_has_gone_searches_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[object] = []

    def counted(*given: object) -> Preview:
        searched.append(given)
        return preview_write(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(searching, "preview_write", counted)
    request = match.BatchMatchRequest(attributes=[citizen("x").attributes] * 5)
    with reading(tmp_path / "data", city_records(100, 5)[:5]) as reader:
        with pytest.raises(DeadlineTooShortError):
            MatchService(reader, cast("WriterLink", None)).BatchMatch(request, cast("grpc.ServicerContext", _Late()))
        assert len(searched) == 1
        assert not reader.searches._batches._gates, "others would wait for ever"
