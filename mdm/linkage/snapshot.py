"""The Parquet snapshot of all records' features: what training and batch prediction read."""

from __future__ import annotations

import types
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mdm.linkage.blocking import posting_keys
from mdm.linkage.features import AnyFeatures
from mdm.linkage.specification import specification_of

SNAPSHOT_ROW_GROUP = 10_000
"""Rows written at a time: about 40 MB of Python objects, and still well compressed columns."""

_TRAITS = "traits"
_POSTING_KEYS = "posting_keys"

_SCALARS = {str: pa.string(), int: pa.int32(), bool: pa.bool_()}


def snapshot_schema(kind: str) -> pa.Schema:
    """Return the columns: number, registry, one for each feature, the traits, and the posting keys."""
    hints = get_type_hints(specification_of(kind).features_type)
    fields = [pa.field("number", pa.int64(), nullable=False), pa.field("registry", pa.string(), nullable=False)]
    fields += [pa.field(name, _arrow_type(hint)) for name, hint in hints.items()]
    fields.append(pa.field(_TRAITS, pa.int32(), nullable=False))
    # One behind the other, as the index stores them: to split and to list them takes 4 µs a record more.
    fields.append(pa.field(_POSTING_KEYS, pa.binary()))
    # Typed beforehand: a column without any value would else turn into DOUBLE on its way to DuckDB.
    return pa.schema(fields)


def _arrow_type(hint: Any) -> pa.DataType:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        return pa.list_(_SCALARS[arguments[0]])
    if origin in {Union, types.UnionType}:
        (hint,) = (argument for argument in arguments if argument is not type(None))
    return _SCALARS[hint]


Row = tuple[int, str, AnyFeatures] | tuple[int, str, AnyFeatures, bytes]
"""Record number, registry, features, and where they are known already the posting keys, one behind the other."""


def write_snapshot(path: Path, kind: str, rows: Iterable[Row]) -> int:
    """Write the features of one entity kind, about 40,000 records a second.

    Args:
        path: Of the Parquet file.
        kind: Of every row.
        rows: By number, ascending, each once.

    Returns:
        The rows written.
    """
    schema = snapshot_schema(kind)
    traits = specification_of(kind).rules.traits or _no_traits
    iterator, count = iter(rows), 0
    # Hashes hardly shrink: to try took half of the time of writing, and more of reading.
    hashes, *rest = map(_column_path, sorted(schema, key=lambda field: field.name != _POSTING_KEYS))
    codecs = {hashes: "none"} | dict.fromkeys(rest, "zstd")
    with pq.ParquetWriter(path, schema, compression=codecs, use_dictionary=rest) as writer:
        while batch := list(islice(iterator, SNAPSHOT_ROW_GROUP)):
            values = [
                (
                    number,
                    registry,
                    *msgspec.structs.astuple(features),
                    traits(features),
                    (keys[0] if keys else b"".join(posting_keys(features))) or None,
                )
                for number, registry, features, *keys in batch
            ]
            columns = zip(*values, strict=True)
            arrays = [
                # An empty tuple is "not stated", and NULL is cheaper to carry.
                pa.array([None if value == () else value for value in column], field.type)
                for column, field in zip(columns, schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            count += len(batch)
    return count


def _column_path(field: pa.Field) -> str:
    """Return how Parquet calls the column that holds a field's values."""
    return f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name


def _no_traits(_features: AnyFeatures) -> int:
    return 0


class RuleColumns(NamedTuple):
    """What the rules of evidence ask of each record of a snapshot, by number; None where a kind's rules ask nothing."""

    traits: NDArray[np.int64] | None
    values: NDArray[np.int64] | None
    """Of the column that `excess` counts: a number for each text, 0 where none is stated."""


def read_rule_columns(path: Path, kind: str) -> RuleColumns:
    """Read traits and counted values of a snapshot's records."""
    rules = specification_of(kind).rules
    traits = values = None
    if rules.traits is not None:
        traits = _by_number(path, _TRAITS)
    if rules.excess_column is not None:
        values = _by_number(path, rules.excess_column)
    return RuleColumns(traits, values)


def _by_number(path: Path, name: str) -> NDArray[np.int64]:
    is_text = pa.types.is_string(pq.read_schema(path).field(name).type)
    # Not `pq.read_table`, which loads Arrow's data sets first and takes the interpreter from whoever works beside.
    with pq.ParquetFile(path, read_dictionary=[name] if is_text else None) as file:
        table = file.read(["number", name], use_threads=False)
    if is_text:
        table = table.unify_dictionaries()
    numbers, column = table.column("number").to_numpy(), table.column(name).combine_chunks()
    if is_text:
        column = pc.add(pc.fill_null(column.indices, -1), 1)
    found = np.zeros(int(numbers.max(initial=0)) + 1, np.int64)
    found[numbers] = column.to_numpy()
    return found
