"""A compiled filter and projection: one Polars call over a delta, identity columns passed through untouched."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.time import MIN_WATERMARK
from deras.core.types import BIGINT, Kind, SqlType, decimal, polars_type
from deras.engine.operator import RowErrors
from deras.sql.expr.compile import Compiler, HostStep, Value
from deras.sql.expr.conditions import passing
from deras.sql.expr.nodes import Call, Expr, InputRef, transform
from deras.sql.functions.times import shift_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.schema import Schema
    from deras.core.time import Tick

# Up to so many rows, filter and projections are one call: a second one costs more than the rows that it saves.
SMALL = 256


class Run:
    """One evaluation: the rows and the step's values, for functions on the host."""

    __slots__ = ("marks", "now", "rng", "rows")

    def __init__(self, rows: int, now: int, marks: npt.NDArray[np.int64] | int, rng: np.random.Generator) -> None:
        self.rows = rows
        self.now = now
        self.marks = marks
        self.rng = rng

    def context(self, kind: str, type_: SqlType) -> pl.Series:
        """Processing time or the watermark that each row saw, as a column."""
        dtype = polars_type(type_)
        if kind != "watermark":
            return pl.Series("", [self.now * 1000], dtype=pl.Int64).cast(dtype).new_from_index(0, self.rows)
        marks = self.marks if isinstance(self.marks, np.ndarray) else np.full(self.rows, self.marks, np.int64)
        none = marks == MIN_WATERMARK
        bounded = np.clip(marks, -(1 << 52), 1 << 52) * 1000
        s = pl.Series("", bounded, dtype=pl.Int64)
        if none.any():
            s = s.zip_with(pl.Series(~none), pl.Series("", [None], dtype=pl.Int64).new_from_index(0, self.rows))
        return s.cast(dtype)


def frame_series(c: Column) -> pl.Series:
    """A column in the frame's dtype."""
    if c.type.kind is not Kind.DECIMAL:
        return c.series()
    if c.type.precision <= 18:
        return Column.of_words(BIGINT, c.words(), c.valid()).series()
    return Column.of_limbs(decimal(38, 0), c.limbs(), c.valid()).series().to_physical()


def column_of(s: pl.Series, t: SqlType) -> Column:
    """A frame's series as a column."""
    if t.kind is not Kind.DECIMAL:
        return Column.of_series(t, s)
    if t.precision <= 18:
        whole = Column.of_series(BIGINT, s)
        return Column.of_words(t, whole.words(), whole.valid())
    wide = Column.of_series(decimal(38, 0), s.cast(pl.Decimal(38, 0)))
    return Column.of_limbs(t, wide.limbs(), wide.valid())


class _Stage:
    """What one call of Polars computes: expressions over named columns. Nothing where all of them are columns."""

    def __init__(self, values: Sequence[Value]) -> None:
        self.exprs = [v.expr.alias(str(k)) for k, v in enumerate(values) if not v.name]
        self.names = [v.name for v in values]
        self.roots = list(dict.fromkeys(r for x in self.exprs for r in x.meta.root_names()))

    def run(self, known: _Known) -> list[pl.Series | None]:
        """The values; None for those that are columns."""
        if not self.exprs:
            return [None] * len(self.names)
        frame = pl.DataFrame([known.series(r).alias(r) for r in self.roots])
        found = iter(frame.select(self.exprs).get_columns())
        return [None if name else _full(next(found), known.rows) for name in self.names]


class _Known:
    """The columns of one evaluation by name, as columns, as series, or as both."""

    __slots__ = ("_columns", "_series", "rows")

    def __init__(self, columns: dict[str, Column], rows: int) -> None:
        self._columns = columns
        self._series: dict[str, pl.Series] = {}
        self.rows = rows

    def add(self, name: str, value: Column | pl.Series) -> None:
        """A value of a step."""
        if isinstance(value, Column):
            self._columns[name] = value
        else:
            self._series[name] = value

    def series(self, name: str) -> pl.Series:
        """In the frame's dtype."""
        found = self._series.get(name)
        if found is None:
            found = self._series[name] = frame_series(self._columns[name])
        return found

    def column(self, name: str, t: SqlType) -> Column:
        """Of a type."""
        found = self._columns.get(name)
        return column_of(self._series[name], t) if found is None else found


class Evaluation:
    """Some expressions over one input, compiled: stages of at most one Polars call each, kernels between them.

    Args:
        types: of the input's columns.
        exprs: what is wanted.
        zone: the session's time zone.
        operations: False: expressions of Polars also where operations on columns would do.
    """

    def __init__(self, types: Sequence[SqlType], exprs: Sequence[Expr], zone: str, *, operations: bool = True) -> None:
        compiler = Compiler(types, zone, operations=operations)
        values: list[Value] = [compiler.root(e) for e in exprs]
        self.types = [e.type for e in exprs]
        self.used = sorted(compiler.used)
        self.steps: list[list[HostStep]] = compiler.steps
        self.messages = compiler.messages
        self.udf_codes = compiler.udf_codes
        error = Compiler._first([v.error for v in values])
        self.fallible = error is not None
        self.outputs = _Stage(values if error is None else [*values, Value(error)])
        self.stages = [_Stage([a for s in steps for a in s.args]) for steps in self.steps]

    def run(
        self, columns: Sequence[Column | None], run: Run
    ) -> tuple[list[Column | pl.Series], pl.Series | None, dict[tuple[int, int], str]]:
        """The values, the error codes (None: no row failed) and messages of single rows by (code, row)."""
        n = run.rows
        known = _Known({f"c{i}": columns[i] for i in self.used}, n)  # type: ignore[misc]
        told: dict[tuple[int, int], str] = {}
        for steps, stage in zip(self.steps, self.stages, strict=True):
            got = iter(stage.run(known))
            for s in steps:
                if s.kernel is not None:
                    taken = [
                        known.column(arg.name, t) if (x := next(got)) is None else column_of(x, t)
                        for arg, t in zip(s.args, s.types, strict=True)
                    ]
                    known.add(s.out, s.kernel(*taken) if n else Column.of_values(s.type, []))
                    continue
                assert s.run is not None  # noqa: S101 (for the type checker)
                computed = [next(got) for _ in s.args]
                given = [known.series(a.name) if x is None else x for a, x in zip(s.args, computed, strict=True)]
                value, failed, messages = s.run(run, given)
                known.add(s.out, _full(value, n))
                if s.error:
                    if failed is None:
                        known.add(s.error, pl.Series("", [None], dtype=pl.Int32).new_from_index(0, n))
                    else:
                        codes = pl.Series("", np.where(failed, s.code, 0).astype(np.int32))
                        known.add(s.error, codes.replace(0, None))
                for row, text in (messages or {}).items():
                    told[s.code, row] = text
        out = self.outputs.run(known)
        error = out.pop() if self.fallible else None
        if error is not None and error.null_count() == n:
            error = None
        made = zip(out, self.types, self.outputs.names[: len(out)], strict=True)
        return [known.column(name, t) if x is None else x for x, t, name in made], error, told

    def errors(
        self,
        codes: pl.Series,
        rows: npt.NDArray[np.int64],
        told: dict[tuple[int, int], str],
        place: npt.NDArray[np.int64] | None,
    ) -> list[RowErrors]:
        """Failed rows by reason; ``rows``: which rows of the evaluation, ``place``: their positions in the delta."""
        found: dict[str, tuple[list[int], list[str]]] = {}
        values = codes.gather(pl.Series(rows)).to_list()
        for row, code in zip(rows.tolist(), values, strict=True):
            message = self.messages[code - 1]
            own = told.get((code, row))
            if own:
                message = f"{message}: {own}"
            reason = "udf" if code in self.udf_codes else "expression"
            at, texts = found.setdefault(reason, ([], []))
            at.append(row if place is None else int(place[row]))
            texts.append(message)
        return [RowErrors(np.array(at, np.int64), texts, reason) for reason, (at, texts) in found.items()]  # type: ignore[arg-type]


def _full(s: pl.Series, n: int) -> pl.Series:
    """Constants come as one value."""
    return s if len(s) == n else s.new_from_index(0, n)


def _shared(predicate: Expr, computed: Sequence[Expr], types: Sequence[SqlType], zone: str) -> list[Expr]:
    """Calls of a filter that a kernel does and projections need, too. Such a call never fails a row."""
    wanted: set[Expr] = set()
    found: dict[Expr, None] = {}
    # A constant that cannot be hashed has no equal.
    with contextlib.suppress(TypeError):
        wanted.update(y for x in computed for y in x.walk() if isinstance(y, Call) and y.function.kernel)
        for x in predicate.walk():
            if isinstance(x, Call) and x.function.kernel and x in wanted and x not in found:
                compiler = Compiler(types, zone)
                value = compiler.compile(x)
                last = compiler.steps[-1] if compiler.steps else []
                if value.error is None and any(s.out == value.name and s.kernel for s in last):
                    found[x] = None
    return list(found)


def _true(mask: Column | pl.Series) -> npt.NDArray[np.bool_]:
    """Where a condition is TRUE."""
    if isinstance(mask, Column):
        valid = mask.valid()
        found: npt.NDArray[np.bool_] = mask.words() != 0
        return found if valid is None else found & valid.view(np.bool_)
    s = mask
    return s.fill_null(value=False).to_numpy() if s.null_count() else s.to_numpy()


class RowProgram:
    """A filter and projections over one input: the ``Program`` of the engine's contract.

    Args:
        input: the input's schema.
        schema: the output's schema.
        exprs: one per output field; None: all input columns as they are.
        predicate: rows where it is not TRUE go; None: all stay.
        zone: the session's time zone.
        seed: for random functions; None takes one from the system.
    """

    def __init__(
        self,
        input: Schema,  # noqa: A002 (the word of all operators)
        schema: Schema,
        exprs: Sequence[Expr] | None = None,
        predicate: Expr | None = None,
        zone: str = "UTC",
        seed: int | None = None,
    ) -> None:
        self.input = input
        self.schema = schema
        self.predicate = predicate
        self.exprs = exprs
        types = input.types
        self._identity = exprs is None
        computed: list[Expr] = []
        # (is an input column, its position, what is added to its words) or (False, place among the computed, 0)
        self._plan: list[tuple[bool, int, int]] = []
        for e in exprs or ():
            shift = shift_of(e)
            if isinstance(e, InputRef):
                self._plan.append((True, e.index, 0))
            elif shift is not None:
                # Every table's watermark is of this form: not worth the way through Polars and back.
                self._plan.append((True, *shift))
            else:
                self._plan.append((False, len(computed), 0))
                computed.append(e)
        self._types = schema.types
        self._both = None
        self._filter = None
        self._words = None if predicate is None else passing(predicate, zone)
        shared: list[Expr] = []
        if predicate is not None and self._words is None:
            shared = _shared(predicate, computed, types, zone)
            self._filter = Evaluation(types, [predicate, *shared], zone)
            if computed:
                # Functions on the host are not run for rows that the filter removes.
                both = Evaluation(types, [predicate, *computed], zone)
                pure = not self._filter.fallible and not both.fallible
                self._both = both if pure and all(s.kernel for steps in both.steps for s in steps) else None
        if shared:
            # What the filter computed with kernels is there already: columns behind those of the input.
            places = {x: InputRef(x.type, len(types) + k) for k, x in enumerate(shared)}
            computed = [transform(e, places.get) for e in computed]
        self._project = Evaluation([*types, *(x.type for x in shared)], computed, zone) if computed else None
        kept = set(self._project.used) if self._project else set()
        kept |= set(range(len(types))) if self._identity else {i for is_input, i, _ in self._plan if is_input}
        self._kept = sorted(kept)
        self._rng = np.random.default_rng(secrets.randbits(64) if seed is None else seed)

    def run(self, delta: Delta, tick: Tick) -> tuple[Delta, Sequence[RowErrors]]:
        """Evaluate on one delta: surviving rows with their new columns, and the failed rows."""
        n = delta.length
        if n == 0:
            return Delta.empty(self.schema), ()
        if self._both is not None and n <= SMALL:
            return self._run_small(delta, tick)
        errors: list[RowErrors] = []
        columns: Sequence[Column | None] = delta.columns
        weights, marks = delta.weights, delta.marks
        place: npt.NDArray[np.int64] | None = None
        if self._words is not None or self._filter is not None:
            if self._words is not None:
                keep = self._words(delta.columns)
            else:
                assert self._filter is not None  # noqa: S101 (for the type checker)
                run = Run(n, tick.now, marks, self._rng)
                (mask, *more), codes, told = self._filter.run(columns, run)
                columns = [*columns, *(x for x in more if isinstance(x, Column))]
                keep = _true(mask)
                if codes is not None:
                    bad = codes.is_not_null().to_numpy()
                    errors += self._filter.errors(codes, np.flatnonzero(bad), told, None)
                    keep = keep & ~bad
            rows = np.flatnonzero(keep)
            if len(rows) == 0:
                return Delta.empty(self.schema), errors
            if len(rows) < n:
                place = rows
                taken: list[Column | None] = [None] * len(columns)
                for i in self._kept:
                    taken[i] = columns[i].take(rows)  # type: ignore[union-attr]
                columns, n = taken, len(rows)
                weights = None if weights is None else weights[rows]
                marks = marks[rows] if isinstance(marks, np.ndarray) else marks
        if self._identity:
            kept = [c for c in columns[: len(self.input)] if c is not None]
            return Delta(self.schema, kept, weights, marks, n), errors
        series: list[Column | pl.Series] = []
        keep_rows: npt.NDArray[np.int64] | None = None
        if self._project is not None:
            series, codes, told = self._project.run(columns, Run(n, tick.now, marks, self._rng))
            if codes is not None:
                bad = codes.is_not_null().to_numpy()
                errors += self._project.errors(codes, np.flatnonzero(bad), told, place)
                keep_rows = np.flatnonzero(~bad)
        out = Delta(self.schema, self._columns(columns, series), weights, marks, n)
        if keep_rows is not None:
            out = out.take(keep_rows)
        return out, errors

    def _columns(self, columns: Sequence[Column | None], series: Sequence[Column | pl.Series]) -> list[Column]:
        made: list[Column] = []
        for (is_input, i, shift), t in zip(self._plan, self._types, strict=True):
            if is_input:
                c: Any = columns[i]
                if shift:
                    made.append(Column.of_words(t, c.words() + shift, c.valid()))
                    continue
                made.append(c if c.type is t or c.type == t else c.with_type(t))
            else:
                x = series[i]
                made.append(x.with_type(t) if isinstance(x, Column) else column_of(x, t))
        return made

    def _run_small(self, delta: Delta, tick: Tick) -> tuple[Delta, Sequence[RowErrors]]:
        assert self._both is not None  # noqa: S101 (for the type checker)
        n = delta.length
        (mask, *series), _, _ = self._both.run(delta.columns, Run(n, tick.now, delta.marks, self._rng))
        keep = _true(mask)
        out = Delta(self.schema, self._columns(delta.columns, series), delta.weights, delta.marks, n)
        if keep.all():
            return out, ()
        rows = np.flatnonzero(keep)
        if len(rows) == 0:
            return Delta.empty(self.schema), ()
        return out.take(rows), ()


def evaluate(e: Expr, zone: str = "UTC") -> Any:
    """The physical value of an expression without columns; raises ``ValueError`` with the message where it fails."""
    evaluation = Evaluation([], [e], zone)
    (value,), codes, told = evaluation.run([], Run(1, 0, MIN_WATERMARK, np.random.default_rng(0)))
    if codes is not None:
        code = codes[0]
        own = told.get((code, 0))
        raise ValueError(evaluation.messages[code - 1] + (f": {own}" if own else ""))
    t = e.type
    series = frame_series(value) if isinstance(value, Column) else value
    if series.null_count():
        return None
    if t.is_timestamp or t.kind in (Kind.TIME, Kind.DATE, Kind.INTERVAL_DAY):
        return series.to_physical()[0]
    return series[0]
