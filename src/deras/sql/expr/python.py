"""Calls of users' Python functions over columns: a row that raises fails alone, with its traceback."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from deras.core.types import Kind, SqlType, polars_type
from deras.sql.expr import decimals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.sql.functions.udf import UserFunction

Result = tuple[pl.Series, "npt.NDArray[np.bool_] | None", dict[int, str] | None]


def logical(s: pl.Series, t: SqlType) -> pl.Series:
    """A frame's series in the dtype of ``polars_type`` (DECIMAL from its scaled integers)."""
    if t.kind is not Kind.DECIMAL:
        return s
    from decimal import Decimal

    # Python's Decimal is exact; Polars' cast of a scaled integer multiplies by the scale.
    return pl.Series(
        "", [None if v is None else Decimal(v).scaleb(-t.scale) for v in s], dtype=pl.Decimal(t.precision, t.scale)
    )


def physical(s: pl.Series, t: SqlType) -> pl.Series:
    """A series in the frame's dtype: DECIMAL as scaled integers."""
    if t.kind is not Kind.DECIMAL:
        return s
    return s.to_physical().cast(pl.Int64 if t.precision <= 18 else pl.Int128)


def call_udf(udf: UserFunction, types: Sequence[SqlType], type_: SqlType, args: list[pl.Series], rows: int) -> Result:
    """Call the function on every row (or on whole columns)."""
    given = [logical(a, t) for a, t in zip(args, types, strict=True)]
    if udf.func_type == "general":
        return _per_value(udf, types, type_, given, rows)
    return _vectorised(udf, type_, given, rows)


def python_values(s: pl.Series, t: SqlType) -> list[Any]:
    """Values as a user's function gets them: a MAP as a dict."""
    values = s.to_list()
    if t.kind is Kind.MAP:
        return [None if v is None else {x["key"]: x["value"] for x in v} for v in values]
    return values


def _per_value(udf: UserFunction, types: Sequence[SqlType], type_: SqlType, args: list[pl.Series], rows: int) -> Result:
    f = udf.function
    if udf.waiting is not None:
        return _awaited(udf, types, type_, args, rows)
    columns = [python_values(a, t) for a, t in zip(args, types, strict=True)]
    out: list[Any] = [None] * rows
    messages: dict[int, str] = {}
    arguments = zip(*columns, strict=True) if columns else (() for _ in range(rows))
    for i, values in enumerate(arguments):
        try:
            out[i] = f(*values)
        except Exception as e:  # noqa: BLE001 (a user's function may raise anything)
            messages[i] = trace(e)
    return _result(udf, type_, out, messages)


def _awaited(udf: UserFunction, types: Sequence[SqlType], type_: SqlType, args: list[pl.Series], rows: int) -> Result:
    """Where no operator of its own can wait (in the condition of a join, for example): all calls of a step at once."""
    from deras.sql.expr.async_calls import Caller

    caller = Caller(udf)
    columns = [python_values(a, t) for a, t in zip(args, types, strict=True)]
    begun = [caller.call(values) for values in (zip(*columns, strict=True) if columns else (() for _ in range(rows)))]
    messages = {i: trace(e) for i, f in enumerate(begun) if (e := f.exception()) is not None}
    return _result(udf, type_, [None if i in messages else f.result() for i, f in enumerate(begun)], messages)


def trace(e: BaseException) -> str:
    """An exception with the user's own frames."""
    # The first frame is ours.
    frames = traceback.extract_tb(e.__traceback__)[1:]
    where = "".join(traceback.format_list(frames))
    return f"{type(e).__name__}: {e}\n{where}".rstrip()


def series_of(out: list[Any], type_: SqlType, who: str) -> tuple[pl.Series, dict[int, str]]:
    """Python values as a frame's series, and messages for those that are not of the type (NULL in the series)."""
    messages: dict[int, str] = {}
    try:
        return _series(out, type_), messages
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        kept: list[Any] = []
        for i, v in enumerate(out):
            try:
                kept.append(_series([v], type_)[0])
            except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
                kept.append(None)
                messages[i] = f"{who} gave {repr(v)[:80]}, which is no {type_.with_nullable(True)}"
        return pl.Series("", kept, dtype=_frame(type_)), messages


def _result(udf: UserFunction, type_: SqlType, out: list[Any], messages: dict[int, str]) -> Result:
    made, wrong = series_of(out, type_, f"function {udf.name}")
    messages |= wrong
    if not messages:
        return made, None, None
    failed = np.zeros(len(made), np.bool_)
    failed[list(messages)] = True
    return made, failed, messages


def _frame(t: SqlType) -> Any:
    if t.kind is Kind.DECIMAL:
        return pl.Int64 if t.precision <= 18 else pl.Int128
    return polars_type(t)


def _series(values: list[Any], t: SqlType) -> pl.Series:
    if t.kind is Kind.DECIMAL:
        from decimal import Decimal

        scaled = []
        for v in values:
            if v is not None and not isinstance(v, (int, Decimal)):
                raise TypeError("no exact number")
            scaled.append(None if v is None else decimals.to_scaled(Decimal(v), t))
        return decimals.series(scaled, t)
    if t.kind is Kind.MAP:
        values = [None if v is None else [{"key": k, "value": x} for k, x in v.items()] for v in values]
    if t.is_approximate:
        values = [float(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in values]
    values = [v.item() if isinstance(v, np.generic) else v for v in values]
    return pl.Series("", values, dtype=polars_type(t), strict=True)


def _vectorised(udf: UserFunction, type_: SqlType, args: list[pl.Series], rows: int) -> Result:
    given: list[Any] = list(args)
    if udf.func_type == "numpy":
        given = [a.to_numpy() for a in args]
    elif udf.func_type == "pandas":
        given = [a.to_pandas() for a in args]
    try:
        out = udf.function(*given)
        s = out if isinstance(out, pl.Series) else pl.Series("", out if isinstance(out, np.ndarray) else list(out))
        if len(s) != rows:
            raise ValueError(f"gave {len(s)} values for {rows} rows")
        if type_.kind is Kind.DECIMAL:
            return _result(udf, type_, s.to_list(), {})
        if s.dtype.is_float() and udf.func_type == "pandas":
            s = s.fill_nan(None)
        return s.alias("").cast(polars_type(type_)), None, None
    except Exception as e:  # noqa: BLE001 (a user's function may raise anything)
        if rows > 1:  # find the rows that it fails on by halving
            half = rows // 2
            low = _vectorised(udf, type_, [a.slice(0, half) for a in args], half)
            high = _vectorised(udf, type_, [a.slice(half) for a in args], rows - half)
            made = pl.concat([low[0], high[0]])
            failed = np.concatenate([np.zeros(len(r[0]), np.bool_) if r[1] is None else r[1] for r in (low, high)])
            messages = dict(low[2] or {}) | {half + k: v for k, v in (high[2] or {}).items()}
            return made, failed if failed.any() else None, messages or None
        return pl.Series("", [None] * rows, dtype=_frame(type_)), np.ones(rows, np.bool_), {0: trace(e)}
