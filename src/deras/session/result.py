"""What ``sql()`` gives back: an answer, or the changes of a running query."""

from __future__ import annotations

import collections
import threading
from typing import TYPE_CHECKING, Any

from deras.core.errors import DerasError, PlanError
from deras.core.schema import Schema
from deras.session.changelog import Change, Fold, changes, python_rows, unique_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd  # type: ignore[import-untyped,unused-ignore]
    import polars as pl
    import pyarrow as pa

    from deras.core.delta import Delta

HELD = 256
"""Steps that a private query may be ahead of its reader before it waits."""
MOST = 4_000_000
"""Rows that a query on a shared job may be ahead of its reader before it is cut off."""


class Stream:
    """The changes of a query between the job's thread and its reader.

    Args:
        patient: the job belongs to this reader alone, so a slow reader slows it down. Else the reader is cut off when
            he falls behind too far: others must not wait for him.
    """

    def __init__(self, *, patient: bool) -> None:
        self._patient = patient
        self._deltas: collections.deque[Delta] = collections.deque()
        self._pending = 0
        self._wake = threading.Condition()
        self._ended = False
        self._closed = False
        self.error: DerasError | None = None
        self.on_close: Callable[[], None] | None = None

    def put(self, delta: Delta | None, *, ended: bool = False, error: DerasError | None = None) -> None:
        """From the job: changes, or the end."""
        with self._wake:
            if self._closed:
                return
            if delta is not None and delta.length:
                while self._patient and len(self._deltas) >= HELD and not self._closed:
                    self._wake.wait()
                self._deltas.append(delta)
                self._pending += delta.length
                if not self._patient and self._pending > MOST:
                    self._deltas.clear()
                    ended = True
                    error = PlanError(
                        f"the reader of this query fell {MOST:,} rows behind and was cut off",
                        hint="Aggregate more, or keep the result in a materialized view.",
                    )
            if ended:
                self._ended = True
                self.error = error
            self._wake.notify_all()

    def take(self, timeout: float | None = None) -> Delta | None:
        """The next changes; None at the end. ``TimeoutError`` if nothing came in time.

        Raises:
            DerasError: the query failed.
        """
        with self._wake:
            if not self._wake.wait_for(lambda: self._deltas or self._ended or self._closed, timeout):
                raise TimeoutError
            if self._deltas:
                found = self._deltas.popleft()
                self._pending -= found.length
                self._wake.notify_all()
                return found
            if self.error is not None:
                raise self.error
            return None

    def close(self) -> None:
        """The reader wants no more. Twice is fine."""
        with self._wake:
            if self._closed:
                return
            self._closed = True
            self._deltas.clear()
            self._wake.notify_all()
            over = self._ended
        if self.on_close is not None and not over:
            self.on_close()


class Result:
    """An answer of SQL.

    ``changes()`` gives row kinds and values as they come; ``pl()``, ``arrow()``, ``df()`` and ``rows()`` the final
    table (they wait until a bounded query ends). A result can be read once as changes; the final table can be asked for
    again.

    Args:
        schema: names and types of the columns.
        rows: the rows of an answer that is complete.
        table: the same as an Arrow table.
        stream: the changes of a query.
        key: positions that make two rows an update: the query's upsert key; None if nothing does (then all changes are
            +I and -D).
        bounded: whether the query ends by itself.
        message: a sentence for statements without rows.
        final: give final rows only (batch mode).
        append_only: rows only come.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        rows: Sequence[tuple[Any, ...]] | None = None,
        table: pa.Table | None = None,
        stream: Stream | None = None,
        key: Sequence[int] | None = None,
        bounded: bool = True,
        message: str = "",
        final: bool = False,
        append_only: bool = False,
        warnings: Sequence[str] = (),
    ) -> None:
        self.schema = schema
        self.key = None if key is None else tuple(key)
        self.bounded = bounded
        self.message = message
        self.warnings = list(warnings)
        self._rows = rows
        self._table = table
        self._stream = stream
        self._final = final
        self.append_only = append_only
        self._folded: pl.DataFrame | None = None

    @property
    def final(self) -> bool:
        """Whether only final rows are given (batch mode)."""
        return self._final

    @property
    def table(self) -> pa.Table | None:
        """The Arrow table of an answer that is complete, where it came as one."""
        return self._table

    @property
    def streaming(self) -> bool:
        """Whether rows still come."""
        return self._stream is not None and self._folded is None

    # ---- changes

    def changes(self, timeout: float | None = None) -> Iterator[Change]:
        """(row kind, values) in order, as they come; ends when the query ends.

        Args:
            timeout: seconds to wait for the next change; ``TimeoutError`` after it.
        """
        if self._stream is None or self._folded is not None or self._final:
            for row in self.rows():
                yield "+I", row
            return
        for delta in self.deltas(timeout):
            yield from changes(delta, self.key)

    def deltas(self, timeout: float | None = None) -> Iterator[Delta]:
        """The same as batches with weights, a step each."""
        stream = self._stream
        if stream is None:
            return
        while (delta := stream.take(timeout)) is not None:
            yield delta

    def take(self, timeout: float | None = None) -> Delta | None:
        """The next batch of changes; None at the end. ``TimeoutError`` if none came within ``timeout`` seconds."""
        return None if self._stream is None else self._stream.take(timeout)

    def __iter__(self) -> Iterator[Change]:
        return self.changes()

    # ---- the final table

    def pl(self, *, limit: int | None = None, timeout: float | None = None) -> pl.DataFrame:
        """The final table as a Polars frame.

        Args:
            limit: stop after so many changes.
            timeout: stop when nothing came for so many seconds.

        Raises:
            PlanError: the query never ends, and neither ``limit`` nor ``timeout`` is given.
        """
        import polars as pl

        if self._folded is not None:
            return self._folded
        if self._stream is not None:
            if not self.bounded and limit is None and timeout is None:
                raise PlanError(
                    "this query never ends, so it has no final table",
                    hint="Read .changes(), or give limit= or timeout=, or make it a materialized view.",
                )
            fold = Fold(self.schema, self.schema.key or self.key)
            try:
                for delta in self.deltas(timeout):
                    room = None if limit is None else limit - fold.rows
                    fold.add(delta if room is None or delta.length <= room else delta.slice(0, room))
                    if limit is not None and fold.rows >= limit:
                        break
            except TimeoutError:
                pass
            self.close()
            self._folded = fold.frame()
        elif self._table is not None:
            names = unique_names(self._table.column_names)
            found = pl.from_arrow(self._table.rename_columns(names))
            self._folded = found if isinstance(found, pl.DataFrame) else found.to_frame()
        else:
            from deras.core.delta import Delta

            delta = Delta.of(self.schema, list(self._rows or []))
            fold = Fold(self.schema, None)
            fold.add(delta)
            self._folded = fold.frame()
        return self._folded

    def arrow(self, *, limit: int | None = None, timeout: float | None = None) -> pa.Table:
        """The final table as an Arrow table."""
        if self._table is not None:
            return self._table
        return self.pl(limit=limit, timeout=timeout).to_arrow()

    def df(self, *, limit: int | None = None, timeout: float | None = None) -> pd.DataFrame:
        """The final table as a pandas frame (needs pandas)."""
        try:
            return self.pl(limit=limit, timeout=timeout).to_pandas()
        except ModuleNotFoundError as e:
            raise DerasError(
                f"df() needs the package '{e.name}'", hint="pip install 'deras[notebook]', or use .pl() or .arrow()."
            ) from None

    def rows(self, *, limit: int | None = None, timeout: float | None = None) -> list[tuple[Any, ...]]:
        """The final table as Python tuples."""
        if self._rows is not None:
            return list(self._rows)
        return python_rows(frame_delta(self.schema, self.pl(limit=limit, timeout=timeout)))

    def close(self) -> None:
        """Stop the query. Twice is fine."""
        if self._stream is not None:
            self._stream.close()

    def __enter__(self) -> Result:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def __del__(self) -> None:
        stream = getattr(self, "_stream", None)
        if stream is not None and self._folded is None:
            stream.close()

    # ---- showing

    def _repr_html_(self) -> str:
        """A table in a notebook."""
        if self._stream is not None and not self.bounded and self._folded is None:
            columns = "".join(f"<li><code>{f.name}</code> {f.type}</li>" for f in self.schema)
            return f"<p>A query that never ends; read <code>.changes()</code>.</p><ul>{columns}</ul>"
        if not len(self.schema):
            return f"<p>{self.message or 'OK'}</p>"
        return str(self.pl()._repr_html_())

    def __repr__(self) -> str:
        if not len(self.schema):
            return self.message or "OK"
        what = "streaming" if self.streaming else "complete"
        return f"<Result {what}: " + ", ".join(f"{f.name} {f.type}" for f in self.schema) + ">"


def frame_delta(schema: Schema, frame: pl.DataFrame) -> Delta:
    """A frame of a schema's columns as rows of +1."""
    from deras.core.column import Column
    from deras.core.delta import Delta

    columns = [Column.of_series(f.type, s) for f, s in zip(schema, frame.get_columns(), strict=True)]
    return Delta(schema, columns, length=frame.height)


def done(message: str = "OK", warnings: Sequence[str] = ()) -> Result:
    """The result of a statement without rows."""
    return Result(Schema(()), rows=[], message=message, warnings=warnings)
