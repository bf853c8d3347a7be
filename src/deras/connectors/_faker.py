"""Expressions of the faker connector, and columns made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from deras.connectors import _faker_providers as providers
from deras.connectors._faker_draw import Draw
from deras.connectors._generate import Field, Generator, Rows
from deras.core.column import Column
from deras.core.errors import OptionError
from deras.core.types import Kind, Layout, SqlType, polars_type

if TYPE_CHECKING:
    from collections.abc import Callable

_TRIED = 8
"""Rows that are made when a table is opened, so that a wrong expression is known then."""
_QUOTED = re.compile(r"'([^']*)'")
_BARE = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    """One ``#{…}`` of an expression."""

    name: str
    maker: Callable[..., pl.Series]
    arguments: tuple[str, ...]


def parse(text: str) -> list[str | Part]:
    """An expression as plain texts and parts.

    Raises:
        ValueError: it is not written as it should be.
        LookupError: an unknown provider; its second argument is a hint.
    """
    found: list[str | Part] = []
    at = 0
    while (begin := text.find("#{", at)) >= 0:
        if begin > at:
            found.append(text[at:begin])
        end = begin + 2
        quoted = False
        while end < len(text) and (quoted or text[end] != "}"):
            quoted ^= text[end] == "'"
            end += 1
        if end >= len(text):
            raise ValueError(f"'{text[begin:]}' has no end; '}}' is expected" + (" after a quote" if quoted else ""))
        found.append(_part(text[begin + 2 : end]))
        at = end + 1
    if at < len(text) or not found:
        found.append(text[at:])
    return found


def _part(inner: str) -> Part:
    m = _BARE.fullmatch(inner)
    if m is None:
        raise ValueError(f"'#{{{inner}}}' names no provider; write for example #{{Name.fullName}}")
    name, rest = m[1], m[2].strip()
    arguments = _QUOTED.findall(rest)
    # The closing bracket stands in flink-faker's own example.
    if _QUOTED.sub("", rest).strip(" ,)"):
        raise ValueError(f"'#{{{inner}}}': arguments stand in quotes, as in #{{number.numberBetween '0','10'}}")
    maker = providers.find(name)
    providers.check(maker, name, arguments)
    return Part(name, maker, tuple(arguments))


def series(parts: list[str | Part], d: Draw) -> pl.Series:
    """The values of an expression; of a single part as it makes them, else texts."""
    if len(parts) == 1 and isinstance(parts[0], Part):
        return parts[0].maker(d, *parts[0].arguments)
    texts: list[pl.Series | str] = []
    for i, p in enumerate(parts):
        texts.append(p if isinstance(p, str) else text_of(p.maker(d.sub(str(i)), *p.arguments)))
    made = d.join(*texts)
    return made if len(made) == len(d) else made.new_from_index(0, len(d))


def text_of(s: pl.Series) -> pl.Series:
    """Values as texts; moments as java.sql.Timestamp writes them."""
    if s.dtype == pl.Datetime:
        found = s.dt.strftime("%Y-%m-%d %H:%M:%S%.6f").str.strip_chars_end("0")
        return pl.select(pl.when(found.str.ends_with(".")).then(found + "0").otherwise(found)).to_series().alias("")
    return s.cast(pl.String)


def convert(s: pl.Series, t: SqlType) -> Column:
    """Values as a column of a SQL type; ``ValueError`` with the first value that is none of it."""
    s = s.alias("")
    if t.is_text:
        s = text_of(s)
        if t.precision < 2**31 - 1:
            s = s.str.head(t.precision)
        if t.kind is Kind.CHAR:
            s = s.str.pad_end(t.precision, " ")
        return Column.of_series(t, s)
    if t.kind is Kind.BOOLEAN:
        return Column.of_series(t, text_of(s).str.to_lowercase() == "true")
    if t.is_timestamp or t.kind in (Kind.DATE, Kind.TIME):
        return Column.of_series(t, _temporal(s, t))
    target = polars_type(t)
    if t.layout is Layout.WORDS and t.kind is Kind.DECIMAL and s.dtype == pl.Float64:
        words = np.floor(s.to_numpy() * 10.0**t.scale + 0.5)
        if (np.abs(words) >= 10**t.precision).any():
            raise ValueError(f"it gives '{s.filter(pl.Series(np.abs(words) >= 10**t.precision))[0]}', which is no {t}")
        return Column.of_words(t, words.astype(np.int64))
    if t.is_integer and s.dtype not in (pl.Int64, pl.String):
        s = text_of(s)
    if t.kind is Kind.DECIMAL and s.dtype != pl.Int64:
        s = _decimals(s, t)
    made = s.cast(target, strict=False)
    _all_there(s, made, t)
    return Column.of_series(t, made)


def _decimals(s: pl.Series, t: SqlType) -> pl.Series:
    unit = Decimal(1).scaleb(-t.scale)
    found: list[Decimal | None] = []
    for v in s.to_list():
        try:
            found.append(Decimal(str(v)).quantize(unit, rounding="ROUND_HALF_UP"))
        except ArithmeticError:
            found.append(None)
    made = pl.Series("", found, dtype=polars_type(t), strict=False)
    _all_there(s, made, t)
    return made


def _temporal(s: pl.Series, t: SqlType) -> pl.Series:
    given = s
    if s.dtype == pl.Time:
        if t.kind is not Kind.TIME:
            raise ValueError(f"a time of day is no {t}")
    elif t.kind is Kind.TIME and s.dtype in (pl.Int64, pl.String):
        # Of time.past and the like flink-faker reads nanoseconds of the day.
        s = s.cast(pl.Int64, strict=False).cast(pl.Time)
    elif s.dtype != pl.Datetime:
        s = text_of(s).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
    _all_there(given, s, t)
    if t.kind is Kind.DATE:
        return s.dt.date()
    if t.kind is Kind.TIME:
        ns = (s if s.dtype == pl.Time else s.dt.time()).cast(pl.Int64)
        unit = 10 ** (9 - t.precision)
        times: pl.Series = (ns // unit * unit).cast(pl.Time)
        return times
    unit = 10 ** max(6 - t.precision, 0)
    made: pl.Series = (s.cast(pl.Int64) // unit * unit).cast(pl.Datetime("us"))
    if t.kind is Kind.TIMESTAMP_LTZ:
        made = made.dt.replace_time_zone("UTC")
    return made.cast(polars_type(t))


def _all_there(given: pl.Series, made: pl.Series, t: SqlType) -> None:
    if made.null_count():
        wrong = given.filter(made.is_null())[0]
        raise ValueError(f"it gives '{wrong}', which is no {t}")


class _Scalar(Generator):
    def __init__(self, field: Field) -> None:
        super().__init__(field)
        text = field.get("expression")
        if text is None:
            raise OptionError(
                f"field '{field.path}' has no expression",
                hint=f"Add 'fields.{field.path}.expression' = '#{{…}}'.",
            )
        try:
            self.parts = parse(str(text))
            self.values(np.arange(_TRIED, dtype=np.uint64), 10**15)
        except LookupError as e:
            if len(e.args) != 2:
                raise
            error = field.wrong("expression", f"there is no provider '{e.args[0]}'")
            raise OptionError(error.message, hint=e.args[1]) from None
        except ValueError as e:
            raise field.wrong("expression", str(e)) from None

    def values(self, rows: Rows, now_us: int) -> Column:
        try:
            return convert(series(self.parts, Draw(rows, self.key, now_us)), self.type)
        except ValueError as e:
            raise self.field.wrong("expression", str(e)) from None


def _length(field: Field) -> int:
    length = int(field.get("length") or 1)
    if length < 1:
        raise field.wrong("length", "it must be greater than 0")
    return length


def _inner(rows: Rows, length: int) -> Rows:
    numbers = rows[:, None] * np.uint64(length) + np.arange(length, dtype=np.uint64)
    return numbers.ravel().astype(np.uint64, copy=False)


def _same_path(field: Field, t: SqlType) -> Field:
    """A field whose expression stands at the path of what holds it; rate and length are the holder's."""
    mine = {f"{field.path}.null-rate", f"{field.path}.length"}
    return Field(field.path, t, {k: v for k, v in field.options.items() if k not in mine}, field.seed)


class _Array(Generator):
    """ARRAY: the expression is its elements'."""

    def __init__(self, field: Field) -> None:
        super().__init__(field)
        self.length = _length(field)
        self.element = generator(_same_path(field, field.type.children[0]))

    def values(self, rows: Rows, now_us: int) -> Column:
        inner = self.element.column(_inner(rows, self.length), now_us).series()
        offsets = pa.array(np.arange(len(rows) + 1, dtype=np.int64) * self.length)
        lists = pl.Series("", pa.LargeListArray.from_arrays(offsets, inner.to_arrow()))
        return Column.of_series(self.type, lists.cast(polars_type(self.type)))


class _Map(Generator):
    """MAP of key and value expressions; MULTISET as a map of counts. Equal keys leave fewer entries."""

    def __init__(self, field: Field) -> None:
        super().__init__(field)
        self.length = _length(field)
        if field.type.kind is Kind.MULTISET:
            self.keys, self.items = generator(_same_path(field, field.type.children[0])), None
        else:
            self.keys = generator(field.below("key", field.type.children[0]))
            self.items = generator(field.below("value", field.type.children[1]))

    def values(self, rows: Rows, now_us: int) -> Column:
        inner = _inner(rows, self.length)
        row = np.repeat(np.arange(len(rows)), self.length)
        frame = pl.DataFrame({"row": row, "key": self.keys.column(inner, now_us).series()})
        if self.items is None:
            frame = frame.group_by("row", "key", maintain_order=True).agg(pl.len().cast(pl.Int32).alias("value"))
        else:
            values = self.items.column(inner, now_us).series().alias("value")
            frame = frame.with_columns(values).unique(["row", "key"], keep="last", maintain_order=True)
        lists = frame.group_by("row", maintain_order=True).agg(pl.struct("key", "value").alias("entries"))
        return Column.of_series(self.type, lists["entries"].alias("").cast(polars_type(self.type)))


class _Row(Generator):
    def __init__(self, field: Field) -> None:
        super().__init__(field)
        t = field.type
        self.fields = [generator(field.below(n, c)) for n, c in zip(t.names, t.children, strict=True)]

    def values(self, rows: Rows, now_us: int) -> Column:
        parts = [g.column(rows, now_us).series().alias(n) for g, n in zip(self.fields, self.type.names, strict=True)]
        return Column.of_series(self.type, pl.DataFrame(parts).to_struct("").alias(""))


def generator(field: Field) -> Generator:
    """The generator of a field.

    Raises:
        OptionError: no expression, an unknown provider, or values that are not of the field's type.
    """
    t = field.type
    if field.get("length") is not None and t.kind not in (Kind.ARRAY, Kind.MAP, Kind.MULTISET):
        raise field.wrong("length", f"it is for ARRAY, MAP and MULTISET, not for {t}")
    match t.kind:
        case Kind.ARRAY:
            return _Array(_checked(field))
        case Kind.MAP | Kind.MULTISET:
            return _Map(_checked(field))
        case Kind.ROW:
            return _Row(field)
        case _:
            if t.is_bytes or t.is_interval or t.kind is Kind.NULL:
                raise OptionError(f"faker cannot make values of type {t} (field '{field.path}')")
            return _Scalar(field)


def _checked(field: Field) -> Field:
    inner = field.type.children[0] if field.type.kind is not Kind.MAP else None
    if inner is not None and inner.kind in (Kind.ARRAY, Kind.MULTISET):
        raise OptionError(f"faker cannot make {field.type} (field '{field.path}')", hint="Nest a ROW in between.")
    return field


def paths(name: str, t: SqlType) -> list[str]:
    """The option paths of a column: its own and those of what it holds."""
    found = [name]
    if t.kind is Kind.MAP:
        found += [*paths(f"{name}.key", t.children[0]), *paths(f"{name}.value", t.children[1])]
    elif t.kind is Kind.ROW:
        for n, c in zip(t.names, t.children, strict=True):
            found += paths(f"{name}.{n}", c)
    elif t.kind in (Kind.ARRAY, Kind.MULTISET):
        found += paths(name, t.children[0])[1:]
    return found
