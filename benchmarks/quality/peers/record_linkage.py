"""The recordlinkage toolkit: blocking, its stock string measures, and its unsupervised classifier (ECM)."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import recordlinkage

from benchmarks.quality.datasets import Numbers
from benchmarks.quality.peers.process import PeerResult
from mdm.domain.keys import EntityKind

NAME_SIMILARITY_MIN = 0.92
ADDRESS_SIMILARITY_MIN = 0.88

_BLOCKS: dict[str, tuple[list[str], ...]] = {
    EntityKind.CITIZEN: (
        ["personal_id"],
        ["insurance_number"],
        ["full_name", "birth_year"],
        ["given_name", "birth_date"],
        ["phone", "given_name"],
    ),
    EntityKind.BUSINESS: (["tax_code"], ["phone"], ["legal_name"], ["address"]),
    "historical": (["first_name", "surname"], ["surname", "dob"], ["postcode_fake"], ["dob", "birth_place"]),
    "febrl4": (["given_name", "surname"], ["date_of_birth"], ["postcode", "surname"], ["postcode", "given_name"]),
    "uganda": (["given_name", "surname"], ["date_of_birth"], ["phone_number"]),
}
_EXACT: dict[str, tuple[str, ...]] = {
    EntityKind.CITIZEN: ("birth_date", "birth_year", "sex", "personal_id", "insurance_number", "phone"),
    EntityKind.BUSINESS: ("tax_code", "phone", "ward_code"),
    "historical": ("dob", "postcode_fake", "gender", "occupation"),
    "febrl4": ("date_of_birth", "street_number", "postcode", "state"),
    "uganda": ("date_of_birth", "sex", "phone_number"),
}
_SIMILAR: dict[str, dict[str, float]] = {
    EntityKind.CITIZEN: {"full_name": NAME_SIMILARITY_MIN, "address": ADDRESS_SIMILARITY_MIN},
    EntityKind.BUSINESS: {"legal_name": NAME_SIMILARITY_MIN, "address": ADDRESS_SIMILARITY_MIN},
    "historical": dict.fromkeys(("first_name", "surname", "birth_place"), NAME_SIMILARITY_MIN),
    "febrl4": dict.fromkeys(("given_name", "surname", "address_1", "suburb"), NAME_SIMILARITY_MIN),
    "uganda": dict.fromkeys(("given_name", "surname"), NAME_SIMILARITY_MIN),
}


def link(kind: str, rows: Path, seed: int) -> PeerResult:
    """Compare blocked pairs, let the classifier learn and decide, and join what it links."""
    np.random.seed(seed)  # noqa: NPY002 - the toolkit draws from the global generator
    frame = pq.read_table(rows).to_pandas().set_index("row")
    began = time.monotonic()
    pairs = pd.MultiIndex.from_arrays([[], []])
    for columns in _BLOCKS[kind]:
        stated = frame.dropna(subset=columns)
        indexer = recordlinkage.Index()
        indexer.block(columns)
        pairs = pairs.union(indexer.index(stated)) if len(pairs) else indexer.index(stated)
    compare = recordlinkage.Compare()
    for column, similarity_min in _SIMILAR[kind].items():
        compare.string(column, column, method="jarowinkler", threshold=similarity_min, label=column)
    for column in _EXACT[kind]:
        compare.exact(column, column, label=column)
    vectors = compare.compute(pairs, frame)
    compared = time.monotonic()
    links = recordlinkage.ECMClassifier(binarize=0.5).fit_predict(vectors)
    codes = _components(len(frame), links)
    ended = time.monotonic()
    seconds = {"compare": compared - began, "classify_and_cluster": ended - compared}
    seconds["predict_and_cluster"] = ended - began
    return PeerResult({"classifier": codes}, seconds, {"pairs": str(len(pairs)), "links": str(len(links))})


def _components(count: int, links: pd.MultiIndex) -> Numbers:
    """Return the connected components of the links."""
    from scipy.sparse import coo_array  # noqa: PLC0415 - comes with the toolkit
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    left, right = links.get_level_values(0).to_numpy(), links.get_level_values(1).to_numpy()
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)
