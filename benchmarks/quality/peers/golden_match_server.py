"""GoldenMatch's server, asked one by one: `python -m benchmarks.quality.peers.golden_match_server ROWS CALLS`.

ROWS is a file of citizens as `rows` makes them. `POST /match` of the REST server that comes with the package compares a
record with every row that it holds, by weights for name, birth date and personal ID. It prints the milliseconds of each
call as JSON; what it finds is not judged here.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import os
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow.csv as pc
import pyarrow.parquet as pq

_WEIGHTS = {"full_name": ("jaro_winkler", 0.4), "birth_date": ("exact", 0.3), "personal_id": ("exact", 0.3)}
_THRESHOLD = 0.85
_START_S_MAX = 600.0
_POLL_S = 0.2


def main(rows: Path, calls: int) -> None:
    """Serve the rows, ask about as many of them, and print how long each call took."""
    logging.disable(logging.WARNING)
    os.environ["GOLDENMATCH_AUTOCONFIG_MEMORY"] = "0"
    table = pq.read_table(rows).drop_columns(["row", "registry"])
    step = max(table.num_rows // calls, 1)
    asked = table.take(list(range(0, table.num_rows, step))[:calls]).select(list(_WEIGHTS)).to_pylist()
    with tempfile.TemporaryDirectory(prefix="mdm-peer-") as scratch, contextlib.redirect_stdout(sys.stderr):
        file = Path(scratch) / "rows.csv"
        # It leaves what it found in the directory where it runs.
        os.chdir(scratch)
        pc.write_csv(table, file)
        port = _free_port()
        # It ends with the process.
        threading.Thread(target=_serve, args=(file, port), daemon=True).start()
        _await(port)
        spent_ms = [_asked(port, record) for record in asked]
    print(json.dumps({"rows": table.num_rows, "match_ms": spent_ms}))


def _serve(file: Path, port: int) -> None:
    from goldenmatch.api.server import start_server  # noqa: PLC0415 - after the environment that it reads
    from goldenmatch.config.schemas import GoldenMatchConfig  # noqa: PLC0415
    from goldenmatch.tui.engine import MatchEngine  # noqa: PLC0415

    fields = [{"field": name, "scorer": scorer, "weight": weight} for name, (scorer, weight) in _WEIGHTS.items()]
    config = GoldenMatchConfig.model_validate(
        {
            "matchkeys": [{"name": "person", "type": "weighted", "threshold": _THRESHOLD, "fields": fields}],
            # For the run that it makes as it starts; a match takes no notice of it.
            "blocking": {"strategy": "static", "keys": [{"fields": ["birth_date"]}]},
        }
    )
    start_server(MatchEngine([str(file)]), config, host="127.0.0.1", port=port)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _await(port: int) -> None:
    until_s = time.monotonic() + _START_S_MAX
    while time.monotonic() < until_s:
        with contextlib.suppress(OSError):
            _call(port, "GET", "/health", None)
            return
        time.sleep(_POLL_S)
    raise RuntimeError(f"the server did not answer within {_START_S_MAX:.0f} s")


def _asked(port: int, record: dict[str, Any]) -> float:
    body = json.dumps({"record": record})
    began_s = time.perf_counter()
    _call(port, "POST", "/match", body)
    return (time.perf_counter() - began_s) * 1000


def _call(port: int, method: str, path: str, body: str | None) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    with contextlib.closing(connection):
        connection.request(method, path, body)
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{path} was answered with {answer.status}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
