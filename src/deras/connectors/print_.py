"""``'connector' = 'print'``: each change as a line of text, as Flink writes it."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, ClassVar

from deras.connectors._flink_text import row_texts
from deras.core import contracts
from deras.core.changelog import row_kinds
from deras.core.contracts import Sink, TableContext, Writer
from deras.core.errors import ExternalError
from deras.core.options import Option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.contracts import Accepts
    from deras.core.delta import Delta
    from deras.core.schema import Schema
    from deras.core.time import Tick

_lock = threading.Lock()


class PrintWriter(Writer):
    """Writes lines to standard output or standard error.

    Args:
        schema: the table's columns; its key tells updates from inserts and deletes.
        identifier: a prefix, or "".
        error: whether to write to standard error.
    """

    def __init__(self, schema: Schema, identifier: str, error: bool) -> None:
        self._key: tuple[int, ...] | None = schema.key or None
        self._prefix = f"{identifier}> " if identifier else ""
        self._error = error

    def identify(self, key: tuple[int, ...] | None) -> None:
        """The query's own key decides what is an update, whether the table declares one or not."""
        self._key = key

    def write(self, delta: Delta, tick: Tick) -> None:
        """One line a change, flushed; a change of weight n is n lines."""
        if not delta.length:
            return
        texts = row_texts(delta, row_kinds(delta, self._key))
        if delta.weights is not None and (abs(delta.weights) != 1).any():
            texts = [t for t, w in zip(texts, delta.weights.tolist(), strict=True) for _ in range(abs(w))]
        if not texts:
            return
        lines = "".join(f"{self._prefix}{t}\n" for t in texts)
        stream = sys.stderr if self._error else sys.stdout
        with _lock:
            try:
                stream.write(lines)
                stream.flush()
            except (OSError, ValueError) as e:
                name = "standard error" if self._error else "standard output"
                raise ExternalError(f"cannot print to {name}: {e}", hint="Was the pipe closed?", retry="never") from e


class PrintSink(Sink):
    """Takes any changelog."""

    accepts: Accepts = "all"

    def __init__(self, table: TableContext) -> None:
        self._table = table

    def open(self, schema: Schema, state: dict[str, Any] | None = None) -> Writer:
        """Begin to print."""
        o = self._table.options
        return PrintWriter(schema, o["print-identifier"] or "", o["standard-error"])


class Connector(contracts.Connector):
    """Prints each change, for looking at a query: ``+I[1, abc]``."""

    name: ClassVar[str] = "print"
    options: ClassVar[Sequence[Option]] = (
        Option("print-identifier", help="Text before each line."),
        Option("standard-error", "bool", "Write to standard error, not standard output.", default=False),
        Option("sink.parallelism", "int", "Accepted for Flink's sake; one writer is used."),
    )

    def sink(self, table: TableContext) -> Sink:
        """A printer."""
        return PrintSink(table)
