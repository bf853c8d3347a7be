"""Rows on standard output: a table for people, CSV and JSON lines for programs."""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from typing import IO, TYPE_CHECKING, Any, Protocol

from deras.cli.values import clean, is_number, json_of, text_of
from deras.core.types import Kind

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence

    from deras.core.schema import Schema
    from deras.session.changelog import Change

_AT_ONCE = 1000
"""Rows after which a table's columns have their widths; later ones are cut to them."""
_NARROW = 4
_TYPICAL = {
    Kind.BOOLEAN: 5, Kind.TINYINT: 4, Kind.SMALLINT: 6, Kind.INT: 11, Kind.BIGINT: 20, Kind.DOUBLE: 20, Kind.DATE: 10,
    Kind.TIMESTAMP: 23, Kind.TIMESTAMP_LTZ: 23, Kind.VARCHAR: 20,
}  # fmt: skip


class Writer(Protocol):
    """Writes the changes of one query."""

    def begin(self) -> None:
        """Before the first row."""
        ...

    def write(self, changes: Iterable[Change]) -> None:
        """Some rows."""
        ...

    def end(self) -> None:
        """After the last."""
        ...


class JsonWriter:
    """First the columns with their SQL types, then a line a change: ``{"op":"+I","row":[…]}``."""

    def __init__(self, schema: Schema, out: IO[str]) -> None:
        self._schema, self._out = schema, out
        self._types = schema.types

    def begin(self) -> None:
        """The line with the columns."""
        columns = [{"name": f.name, "type": str(f.type)} for f in self._schema]
        self._line({"columns": columns})

    def write(self, changes: Iterable[Change]) -> None:
        """A line a change."""
        types = self._types
        for op, row in changes:
            self._line({"op": op, "row": [json_of(v, t) for v, t in zip(row, types, strict=True)]})
        self._out.flush()

    def _line(self, value: Any) -> None:
        self._out.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")

    def end(self) -> None:
        """Nothing to close."""
        self._out.flush()


class CsvWriter:
    """RFC 4180 with a header; NULL is nothing, empty text is ``""``. With a changelog the first column is ``op``."""

    def __init__(self, schema: Schema, out: IO[str], changelog: bool, zone: dt.tzinfo | None) -> None:
        self._schema, self._out, self._changelog, self._zone = schema, out, changelog, zone

    def begin(self) -> None:
        """The header."""
        names = (["op"] if self._changelog else []) + self._schema.names
        self._out.write(",".join(_cell(n) for n in names) + "\n")

    def write(self, changes: Iterable[Change]) -> None:
        """A line a row."""
        types, zone = self._schema.types, self._zone
        for op, row in changes:
            cells = [
                "" if v is None else _cell(v if isinstance(v, str) else text_of(v, t, zone))
                for v, t in zip(row, types, strict=True)
            ]
            self._out.write(",".join([op, *cells] if self._changelog else cells) + "\n")
        self._out.flush()

    def end(self) -> None:
        """Nothing to close."""
        self._out.flush()


def _cell(text: str) -> str:
    if text == "" or any(c in text for c in ',"\r\n') or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text


class TableWriter:
    """A table that fits the terminal's width. Its columns get their widths from the first rows.

    Args:
        schema: of the rows.
        out: where to.
        changelog: a first column ``op``.
        zone: for instants.
        width: of the terminal; None asks it, or does not limit what goes into a file.
    """

    def __init__(
        self, schema: Schema, out: IO[str], changelog: bool, zone: dt.tzinfo | None, width: int | None = None
    ) -> None:
        self._schema, self._out, self._changelog, self._zone = schema, out, changelog, zone
        self._width = width
        self._waiting: list[list[str]] = []
        self._widths: list[int] = []
        self._right = ([False] if changelog else []) + [is_number(t) for t in schema.types]
        self._names = (["op"] if changelog else []) + [clean(n) for n in schema.names]
        self.rows = 0

    def begin(self) -> None:
        """The head comes with the first rows, whose widths it needs."""

    def write(self, changes: Iterable[Change]) -> None:
        """Some rows."""
        types, zone = self._schema.types, self._zone
        for op, row in changes:
            cells = [clean(text_of(v, t, zone)) for v, t in zip(row, types, strict=True)]
            self._waiting.append([op, *cells] if self._changelog else cells)
            self.rows += 1
        if self._widths or len(self._waiting) >= _AT_ONCE or self._live:
            self._flush()

    _live = False

    def live(self) -> None:
        """Show rows as they come."""
        self._live = True

    def _flush(self) -> None:
        if not self._widths:
            # Rows to come may be wider than the first ones.
            typical = [" " * _TYPICAL.get(t.kind, 12) for t in self._schema.types] if self._live else []
            typical = ["  ", *typical] if typical and self._changelog else typical
            rows = [*self._waiting, typical] if typical else self._waiting
            self._widths = fit(self._names, rows, self._room())
            self._rule("┌┬┐")
            self._line(self._names)
            self._rule("├┼┤")
        for cells in self._waiting:
            self._line(cells)
        self._waiting.clear()
        self._out.flush()

    def _room(self) -> int | None:
        if self._width is not None:
            return self._width
        return shutil.get_terminal_size().columns if self._out.isatty() else None

    def _rule(self, ends: str) -> None:
        self._out.write(ends[0] + ends[1].join("─" * (w + 2) for w in self._widths) + ends[2] + "\n")

    def _line(self, cells: Sequence[str]) -> None:
        made = [pad(c, w, right) for c, w, right in zip(cells, self._widths, self._right, strict=True)]
        self._out.write("│ " + " │ ".join(made) + " │\n")

    def end(self) -> None:
        """The foot."""
        if self._names:
            self._flush()
            self._rule("└┴┘")
        self._out.flush()


def columns_wide(text: str) -> int:
    """How many columns of a terminal a text takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def pad(text: str, width: int, right: bool = False) -> str:
    """A text of exactly this width: filled up, or cut with ``…``."""
    wide = columns_wide(text)
    if wide > width:
        kept, used = [], 0
        for c in text:
            w = columns_wide(c)
            if used + w > width - 1:
                break
            kept.append(c)
            used += w
        text, wide = "".join(kept) + "…", used + 1
    blank = " " * (width - wide)
    return blank + text if right else text + blank


def fit(names: Sequence[str], rows: Sequence[Sequence[str]], room: int | None) -> list[int]:
    """Widths of the columns: as wide as needed, the widest cut until all fit."""
    widths = [
        max(1, columns_wide(n), *(columns_wide(r[i]) for r in rows)) if rows else max(1, columns_wide(n))
        for i, n in enumerate(names)
    ]
    if room is None or not widths:
        return widths
    over = sum(widths) + 3 * len(widths) + 1 - room
    while over > 0:
        i = max(range(len(widths)), key=widths.__getitem__)
        if widths[i] <= _NARROW:
            break
        others = sorted(widths)[-2] if len(widths) > 1 else 0
        cut = min(over, max(1, widths[i] - max(others, _NARROW)))
        widths[i] -= cut
        over -= cut
    return widths


def writer(kind: str, schema: Schema, *, changelog: bool, zone: dt.tzinfo | None, out: IO[str] | None = None) -> Writer:
    """The writer of an output format."""
    to = out or sys.stdout
    if kind == "json":
        return JsonWriter(schema, to)
    if kind == "csv":
        return CsvWriter(schema, to, changelog, zone)
    return TableWriter(schema, to, changelog, zone)
