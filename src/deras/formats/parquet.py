"""Format ``parquet``: columnar files, read and written whole. Columns are found by name and cast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from deras.core.column import Column
from deras.core.contracts import Format as FormatContract
from deras.core.delta import Delta
from deras.core.errors import CorruptError, ExternalError, RowError
from deras.core.options import Option
from deras.core.types import Kind, SqlType, arrow_type, polars_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deras.core.predicates import Filters, Skipped
    from deras.core.schema import Schema


class Format(FormatContract):
    """Parquet files; see the module."""

    name = "parquet"
    extension = ".parquet"
    columnar = True
    prunes = True
    options: ClassVar[Sequence[Option]] = (
        Option(
            "compression",
            "enum",
            "How pages are compressed.",
            "SNAPPY",
            choices=("UNCOMPRESSED", "SNAPPY", "GZIP", "ZSTD", "LZ4"),
        ),
        Option("utc-timezone", "bool", "Accepted for Flink's sake; timestamps are never shifted.", False),
    )

    def _option(self, name: str) -> Any:
        for key in (name, f"{self.name}.{name}"):
            if key in self.options_:
                return self.options_[key]
        return next(o.default for o in self.options if o.name == name)

    def read_file(
        self, path: Path, schema: Schema, wanted: Sequence[int] | None = None, batch_rows: int = 65536
    ) -> Iterator[Delta]:
        """The rows of a file, in order, in deltas of at most ``batch_rows``; see :meth:`read_rows`."""
        return (delta for _, delta in self.read_rows(path, schema, wanted, batch_rows=batch_rows))

    def read_rows(
        self,
        path: Path,
        schema: Schema,
        wanted: Sequence[int] | None = None,
        filters: Filters = (),
        start: int = 0,
        skipped: Skipped | None = None,
        batch_rows: int = 65536,
    ) -> Iterator[tuple[int, Delta]]:
        """The rows of a file from a place on, each delta with the number of the file's rows up to its end.

        Columns that are not in the file are NULL, as in Flink. Row groups without a row that passes are left out.

        Raises:
            ExternalError: the file cannot be opened.
            CorruptError: it is no Parquet file.
            RowError: a column cannot be cast without loss, or a NOT NULL one has NULLs.
        """
        try:
            file = pq.ParquetFile(path)
        except pa.ArrowInvalid as e:
            raise CorruptError(f"{path} is no Parquet file", detail=str(e)) from None
        except OSError as e:
            raise ExternalError(f"cannot read {path}: {e.strerror or e}") from None
        with file:
            present = set(file.schema_arrow.names)
            chosen = range(len(schema)) if wanted is None else sorted(set(wanted))
            names = [schema[i].name for i in chosen if schema[i].name in present]
            try:
                for begin, groups in _runs(file, schema, chosen, filters, start, skipped):
                    at = begin
                    more = {} if groups is None else {"row_groups": groups}
                    for batch in file.iter_batches(batch_rows, columns=names, **more):
                        before, at = at, at + batch.num_rows
                        if at > start:
                            rows = batch.slice(start - before) if start > before else batch
                            yield at, _delta(path, schema, set(chosen), rows)
            except (pa.ArrowInvalid, OSError) as e:
                raise CorruptError(f"{path} is damaged", detail=str(e)) from None

    def file_writer(self, path: Path, schema: Schema) -> Writer:
        """A new file."""
        return Writer(path, schema, self._option("compression"))


def _runs(
    file: pq.ParquetFile, schema: Schema, chosen: Sequence[int], filters: Filters, start: int, skipped: Skipped | None
) -> list[tuple[int, list[int] | None]]:
    """Neighbouring row groups to be read, with the number of rows before them; None: all of the file."""
    if not filters and not start:
        return [(0, None)]
    from deras.formats._parquet_statistics import excluded_groups

    excluded = excluded_groups(file, schema, chosen, filters) if filters else set()
    runs: list[tuple[int, list[int] | None]] = []
    open_run: list[int] | None = None
    end = 0
    for g in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(g).num_rows
        begin, end = end, end + rows
        if end <= start:
            continue
        if g in excluded:
            open_run = None
            if skipped is not None:
                skipped.add(rows)
            continue
        if open_run is None:
            open_run = []
            runs.append((begin, open_run))
        open_run.append(g)
    return runs


def _delta(path: Path, schema: Schema, wanted: set[int], batch: pa.RecordBatch) -> Delta:
    n = batch.num_rows
    names = batch.schema.names
    columns = []
    for i, f in enumerate(schema):
        if i not in wanted or f.name not in names:
            if i in wanted and not f.type.nullable:
                raise RowError(f"column '{f.name}' is NOT NULL, but {path} has no such column")
            columns.append(Column.nulls(f.type, n))
            continue
        columns.append(_column(path, f.name, f.type, batch.column(f.name)))
    return Delta(schema, columns, length=n)


def _column(path: Path, name: str, t: SqlType, array: pa.Array) -> Column:
    wrong = f"column '{name}' of {path} has type {array.type}, which cannot become {t}"
    try:
        if t.is_timestamp and pa.types.is_timestamp(array.type):
            # A time zone is a name for the same instants; nothing is shifted.
            array = array.cast(pa.timestamp(array.type.unit))
        series = pl.Series("", array)
        target = polars_type(t)
        if t.is_timestamp and isinstance(series.dtype, pl.Datetime):
            found = series.cast(pl.Datetime("ns" if t.nanoseconds else "us"))
            if t.kind is Kind.TIMESTAMP_LTZ:
                found = found.dt.replace_time_zone("UTC")
        elif series.dtype == target:
            found = series
        else:
            found = series.cast(target, strict=True)
    except (pl.exceptions.PolarsError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as e:
        raise RowError(wrong, detail=str(e)) from None
    if series.dtype.is_float() and found.dtype.is_integer() and not (found.cast(series.dtype) == series).all():
        raise RowError(wrong, detail="Some values are no whole numbers.")
    if not t.nullable and found.null_count():
        raise RowError(f"column '{name}' is NOT NULL, but {path} has {found.null_count()} NULLs in a batch")
    return Column.of_series(t, found)


class Writer:
    """A Parquet file being written; rows are gathered into row groups of at least 64 k rows."""

    _GROUP = 1 << 16

    def __init__(self, path: Path, schema: Schema, compression: str) -> None:
        self._path = path
        # Text as plain strings: other readers do not all know views.
        fields = [pa.field(f.name, _plain(arrow_type(f.type)), f.type.nullable) for f in schema]
        self._schema = pa.schema(fields)
        self._waiting: list[pa.Table] = []
        self._rows = 0
        try:
            codec = "NONE" if compression == "UNCOMPRESSED" else compression
            self._writer: pq.ParquetWriter | None = pq.ParquetWriter(path, self._schema, compression=codec)
        except OSError as e:
            raise ExternalError(f"cannot write {path}: {e.strerror or e}") from None

    def write(self, delta: Delta) -> None:
        """Add rows."""
        arrays = [_cast(c.to_arrow(), f.type) for c, f in zip(delta.columns, self._schema, strict=True)]
        self._waiting.append(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows += len(delta)
        if self._rows >= self._GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._writer is not None and self._waiting:
            table = pa.concat_tables(self._waiting)
            self._waiting, self._rows = [], 0
            try:
                self._writer.write_table(table)
            except OSError as e:
                raise ExternalError(f"cannot write {self._path}: {e.strerror or e}") from None

    def close(self) -> None:
        """Write what is left and the footer; twice is fine."""
        writer = self._writer
        if writer is None:
            return
        try:
            self._flush()
        finally:
            self._writer = None
            try:
                writer.close()
            except OSError as e:
                raise ExternalError(f"cannot write {self._path}: {e.strerror or e}") from None


def _cast(array: Any, t: Any) -> Any:
    if not pa.types.is_map(t):
        return array.cast(t)
    entry = pa.struct([("key", t.key_type), ("value", t.item_type)])
    lists = array.cast(pa.list_(entry))
    mask = array.is_null() if array.null_count else None
    return pa.MapArray.from_arrays(lists.offsets, lists.values.field(0), lists.values.field(1), mask=mask)


def _plain(t: Any) -> Any:
    if t == pa.string_view():
        return pa.string()
    if t == pa.binary_view():
        return pa.binary()
    if pa.types.is_list(t):
        return pa.list_(_plain(t.value_type))
    if pa.types.is_map(t):
        return pa.map_(_plain(t.key_type), _plain(t.item_type))
    if pa.types.is_struct(t):
        return pa.struct([pa.field(f.name, _plain(f.type)) for f in t])
    return t
