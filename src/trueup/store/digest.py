# SPDX-License-Identifier: Apache-2.0
"""What a table says, as one digest: the same whatever its chunks, its buffers and its file format.

Parquet bytes change with the writer's version, and Arrow buffers with how a table was made; what
they mean does not. The digest is the SHA-256 of a canonical JSON of the number of rows and, for
each column in order, of its name, its type and the SHA-256 of each of its streams:

| type | streams |
|---|---|
| any | validity, one byte a row |
| boolean, numbers, dates and times, decimals | the values little-endian, zero where null |
| text, binary | lengths as int64 (zero where null), then all bytes |
| list | lengths as int64, then the streams of the items |
| struct | the streams of the fields |

Large and view types count as their plain forms, dictionaries as their values: how a column is
encoded is not what it says. Names of encodings and metadata of the schema are left out.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from trueup.core.errors import ArgumentError
from trueup.core.json import digest as digest_json

VERSION = 1
_ONES = bytes([1]) * (1 << 16)
Source: TypeAlias = "pa.Table | pa.RecordBatch | pa.RecordBatchReader"


def logical_digest(source: Source) -> str:
    """The digest of a table, a record batch, or a stream of them (which it reads to the end).

    Memory: one batch at a time. Raises ArgumentError for maps, unions, intervals and extensions
    without a plain storage.
    """
    whole = LogicalDigest(source.schema)
    for batch in [source] if isinstance(source, pa.RecordBatch) else _batches(source):
        whole.update(batch)
    return whole.hexdigest()


class LogicalDigest:
    """The digest of a stream of record batches of one schema."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.rows = 0
        self._columns = [_Column(field.type) for field in schema]

    def update(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows; raises ArgumentError where the columns differ from the schema's."""
        if batch.schema.names != self.schema.names or batch.schema.types != self.schema.types:
            raise ArgumentError(f"expected the columns {self.schema}, got {batch.schema}")
        self.rows += batch.num_rows
        for column, array in zip(self._columns, batch.columns, strict=True):
            column.update(array)

    def hexdigest(self) -> str:
        """The digest of all rows so far, 64 hexadecimal digits."""
        columns = [
            [name, column.type, *column.streams()]
            for name, column in zip(self.schema.names, self._columns, strict=True)
        ]
        return digest_json({"columns": columns, "rows": self.rows, "version": VERSION})


class _Column:
    """The streams of one column."""

    def __init__(self, kind: pa.DataType) -> None:
        kind = _plain(kind)
        self.type = str(kind) if not pa.types.is_nested(kind) else _nested_name(kind)
        self._kind = kind
        self._validity = hashlib.sha256()
        self._values = hashlib.sha256()
        self._bytes = hashlib.sha256() if _is_bytes(kind) else None
        self._children = [_Column(kind.field(at).type) for at in range(kind.num_fields)]

    def streams(self) -> list[str]:
        found = [self._validity.hexdigest(), self._values.hexdigest()]
        if self._bytes is not None:
            found.append(self._bytes.hexdigest())
        return found + [stream for child in self._children for stream in child.streams()]

    def update(self, array: Any) -> None:
        if len(array) == 0:
            return
        array = _decoded(array, self._kind)
        self._update_validity(array)
        if self._bytes is not None:
            self._update_bytes(array)
        elif pa.types.is_struct(self._kind):
            for child, part in zip(self._children, array.flatten(), strict=True):
                child.update(part)
        elif self._children:
            self._values.update(_fixed(pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64())))
            self._children[0].update(array.flatten())
        elif not pa.types.is_null(self._kind):
            self._values.update(_fixed(_numbers(array)))

    def _update_validity(self, array: Any) -> None:
        if array.null_count == 0:
            left = len(array)
            while left > 0:
                self._validity.update(_ONES[:left])
                left -= len(_ONES)
        else:
            self._validity.update(_fixed(array.is_valid().cast(pa.uint8())))

    def _update_bytes(self, array: Any) -> None:
        assert self._bytes is not None
        if array.null_count:
            lengths: Any = pc.fill_null(pc.binary_length(array), 0)
            array = array.drop_null()  # a null's slot may hold bytes that nobody may see
        else:
            lengths = pc.binary_length(array)
        self._values.update(_fixed(lengths.cast(pa.int64())))
        _, offsets, data = array.buffers()
        if data is not None and len(array):
            edges = memoryview(offsets).cast("q" if _is_large(array.type) else "i")
            self._bytes.update(memoryview(data)[edges[array.offset] : edges[array.offset + len(array)]])


def _batches(source: pa.Table | pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Batches of bounded length, so that no stream is copied whole."""
    if isinstance(source, pa.RecordBatchReader):
        yield from source
    else:
        yield from source.to_batches(max_chunksize=1 << 17)


def _plain(kind: Any) -> Any:
    """The plain form of a type."""
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _plain(field.type)) for field in kind])
    known = (
        pa.types.is_null(kind) or pa.types.is_boolean(kind) or pa.types.is_integer(kind)
        or pa.types.is_floating(kind) or pa.types.is_temporal(kind) or pa.types.is_decimal(kind)
        or _is_bytes(kind)
    )  # fmt: skip
    if not known or pa.types.is_interval(kind):
        raise ArgumentError(
            f"expected columns that a digest can be made of, got type {kind}",
            cure="turn maps into lists of structs, and leave out unions and intervals",
        )
    return kind


def _nested_name(kind: Any) -> str:
    if pa.types.is_struct(kind):
        return "struct<" + ", ".join(f"{field.name}: {_nested_name(field.type)}" for field in kind) + ">"
    return f"list<{_nested_name(kind.value_type)}>" if pa.types.is_list(kind) else str(kind)


def _is_bytes(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def _decoded(array: Any, kind: Any) -> Any:
    """The array in the plain form of its outermost type."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if _is_bytes(kind) and array.type != kind and not _is_large(array.type):
        return array.cast(kind)
    return array


def _is_large(kind: Any) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_large_binary(kind))


def _numbers(array: Any) -> Any:
    """Fixed-width values as integers of their width, zero where null."""
    if pa.types.is_boolean(array.type):
        return pc.fill_null(array, False).cast(pa.uint8())
    if pa.types.is_decimal(array.type):
        return _decimals(array)
    whole = {8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[array.type.bit_width]
    return pc.fill_null(array.view(whole), 0) if array.null_count else array.view(whole)


def _decimals(array: Any) -> Any:
    zero: Any = pa.scalar(Decimal(0), array.type)
    return pc.fill_null(array, zero) if array.null_count else array


def _fixed(array: Any) -> memoryview:
    """The bytes of a fixed-width array without nulls, little-endian, without copying."""
    assert sys.byteorder == "little", "digests are defined on little-endian machines"
    width = array.type.bit_width // 8
    data = array.buffers()[1]
    start = array.offset * width
    return memoryview(data)[start : start + len(array) * width]
