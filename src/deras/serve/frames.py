"""Arrow work of the feeds: choosing columns, filtering, windows, thinning out, folding changes by key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from deras.core.errors import ConfigError, did_you_mean
from deras.serve.values import page_column, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deras.serve.definition import Panel, Query, Tile
    from deras.serve.platform import Change, Platform, ViewInfo


def find_view(platform: Platform, name: str) -> ViewInfo:
    """A view by name; ``ConfigError`` with the nearest names if there is none."""
    views = platform.views()
    for v in views:
        if v.name == name:
            return v
    known = [v.name for v in views]
    hint = did_you_mean(name, known) or (f"Views: {', '.join(known[:10])}." if known else "No view is defined yet.")
    raise ConfigError(f"there is no view '{name}'", hint=hint)


def _missing(column: str, known: Iterable[str], where: str) -> ConfigError:
    names = list(known)
    return ConfigError(
        f"there is no column '{column}' in {where}",
        hint=did_you_mean(column, names) or f"Columns: {', '.join(names[:20])}.",
    )


def check_columns(panel: Panel, info: ViewInfo) -> list[str]:
    """The columns of a view that a panel needs; ``ConfigError`` for an unknown one."""
    names = info.schema.names
    wanted = panel.used_columns() or names
    for column in [*wanted, *(c.name for c in panel.columns), *([panel.sort] if panel.sort else [])]:
        if column not in names:
            raise _missing(column, names, f"view '{info.name}'")
    if not info.append_only and not info.schema.key:
        raise ConfigError(
            f"view '{info.name}' takes rows back and has no key",
            hint=f"Write the panel with 'sql: SELECT … FROM \"{info.name}\"' instead of 'view:'.",  # noqa: S608 (a hint)
        )
    filtered = [c for c, _ in panel.query.where]
    for column in filtered:
        if column not in names:
            raise _missing(column, names, f"view '{info.name}'")
    return list(dict.fromkeys([*wanted, *filtered]))


def only(table: pa.Table, panel: Panel) -> pa.Table:
    """The columns of a query's result that a panel needs."""
    names = table.column_names
    wanted = panel.used_columns()
    for column in [*wanted, *(c.name for c in panel.columns), *([panel.sort] if panel.sort else [])]:
        if column not in names:
            raise _missing(column, names, f"the rows of panel '{panel.title}'")
    return table.select(wanted) if wanted else table


def value_column(table: pa.Table, tile: Tile) -> str:
    """The column of a tile's number: the one named, else the first number, else the first column."""
    if tile.value:
        if tile.value not in table.column_names:
            raise _missing(tile.value, table.column_names, f"the rows of tile '{tile.title}'")
        return tile.value
    for f in table.schema:
        if pa.types.is_integer(f.type) or pa.types.is_floating(f.type) or pa.types.is_decimal(f.type):
            return str(f.name)
    return str(table.column_names[0])


def where(table: pa.Table, query: Query) -> pa.Table:
    """The rows that fit the panel's equalities."""
    for column, values in query.where:
        target = table.schema.field(column).type
        try:
            allowed = pa.array([v if v is None or not pa.types.is_string(target) else str(v) for v in values], target)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as e:
            raise ConfigError(f"'where' of column '{column}' does not fit its type", detail=str(e)) from None
        table = table.filter(pc.is_in(table.column(column), value_set=allowed))
    return table


def _order(table: pa.Table, column: str) -> Any:
    return np.argsort(_floats(table, column), kind="stable")


def _floats(table: pa.Table, column: str) -> Any:
    array = table.column(column)
    if pa.types.is_temporal(array.type) and not pa.types.is_duration(array.type):
        if pa.types.is_date(array.type):
            array = array.cast(pa.int32())
        array = array.cast(pa.int64())
    array = array.cast(pa.float64())
    return array.to_numpy(zero_copy_only=False)


def trim(table: pa.Table, panel: Panel) -> pa.Table:
    """A chart: the rows of the window by time, thinned out to ``max_points`` a line. A table: its newest rows."""
    if panel.is_table:
        if table.num_rows <= panel.limit:
            return table
        if panel.query.sql:
            return table.slice(0, panel.limit)
        if panel.sort:
            picked = pc.select_k_unstable(table, k=panel.limit, sort_keys=[(panel.sort, "descending")])
            return table.take(pc.array_take(picked, pc.sort_indices(picked)))
        return table.slice(table.num_rows - panel.limit)
    x = table.schema.field(panel.x).type
    if not pa.types.is_timestamp(x):
        return table.slice(0, panel.max_points)
    table = table.filter(pc.is_valid(table.column(panel.x)))
    if table.num_rows == 0:
        return table
    unit = {"s": 1e-3, "ms": 1.0, "us": 1e3, "ns": 1e6}[x.unit]
    last = pc.max(table.column(panel.x)).cast(pa.int64()).as_py()
    low = pa.scalar(int(last - panel.window * unit), pa.int64()).cast(x)
    table = table.filter(pc.greater_equal(table.column(panel.x), low))
    if not _ascending(table, panel.x):
        table = table.take(pa.array(_order(table, panel.x)))
    return _thin(table, panel)


def _ascending(table: pa.Table, column: str) -> bool:
    v = table.column(column).cast(pa.int64()).to_numpy()
    return bool(len(v) < 2 or (v[1:] >= v[:-1]).all())


def _thin(table: pa.Table, panel: Panel) -> pa.Table:
    names = [c for c in (panel.by, panel.repeat) if c]
    if table.num_rows <= panel.max_points:
        return table
    if names:
        code = np.zeros(table.num_rows, np.int64)
        for name in names:
            encoded = table.column(name).combine_chunks().dictionary_encode()
            code = code * (len(encoded.dictionary) + 1) + encoded.indices.fill_null(len(encoded.dictionary)).to_numpy()
        groups = [np.flatnonzero(code == c) for c in np.unique(code)]
    else:
        groups = [np.arange(table.num_rows)]
    y = _floats(table, panel.y[0])
    marked = np.zeros(table.num_rows, bool)
    if panel.marks is not None:
        flags = table.column(panel.marks.when).cast(pa.bool_()).fill_null(False)
        marked = flags.to_numpy(zero_copy_only=False).astype(bool)
    kept = [thin(g, y, marked, panel.max_points) for g in groups]
    return table.take(pa.array(np.sort(np.concatenate(kept))))


def thin(rows: Any, y: Any, marked: Any, limit: int) -> Any:
    """Positions to keep: least and greatest value of ``limit / 2`` equal stretches, both ends, all marked ones."""
    n = len(rows)
    if n <= limit:
        return rows
    edges = np.linspace(0, n, max(2, limit // 2) + 1).astype(np.int64)
    values = y[rows]
    keep = {0, n - 1}
    for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        part = values[a:b]
        if len(part) and not np.isnan(part).all():
            keep.add(a + int(np.nanargmin(part)))
            keep.add(a + int(np.nanargmax(part)))
    keep |= set(np.flatnonzero(marked[rows]).tolist())
    return rows[np.array(sorted(keep), np.int64)]


def delta_table(change: Change, names: Sequence[str]) -> pa.Table:
    """Some columns of a change as an Arrow table."""
    schema = change.delta.schema
    return plain(pa.table([change.delta.columns[schema.index(n)].to_arrow() for n in names], names=list(names)))


def changes_table(
    changes: Sequence[Change], names: Sequence[str], key: Sequence[str] | None
) -> tuple[pa.Table, list[list[Any]]]:
    """The rows that came, and the keys that went; with a key only each key's last state."""
    table = pa.concat_tables([delta_table(c, names) for c in changes])
    if key is None:
        return table, []
    weights = np.concatenate([c.delta.weight_array() for c in changes])
    columns = [page_column(table.column(k).combine_chunks()) for k in key]
    last: dict[tuple[Any, ...], int] = {}
    for i, row in enumerate(zip(*columns, strict=True)):
        # A before-row may follow the after-row of another source key: only a key whose sum is gone has gone.
        k = tuple(str(v) if isinstance(v, (list, dict)) else v for v in row)
        if weights[i] > 0 or k not in last or _same(table, names, last[k], i):
            last[k] = i
    came = [i for i in last.values() if weights[i] > 0]
    gone = [[c[i] for c in columns] for i in last.values() if weights[i] < 0]
    return table.take(pa.array(sorted(came), pa.int64())), gone


def _same(table: pa.Table, names: Sequence[str], a: int, b: int) -> bool:
    return all(table.column(n)[a].equals(table.column(n)[b]) for n in names)
