"""Named columns with SQL types, the time attribute and the primary key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deras.core.types import SqlType

TimeAttribute = Literal["rowtime", "proctime"]


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a schema.

    Args:
        name: as written in SQL (case-sensitive, like Flink's).
        type: its SQL type.
        time: whether it is a time attribute.
        comment: the user's words for it.
        metadata_key: set where the connector fills the column with its metadata of this key.
    """

    name: str
    type: SqlType
    time: TimeAttribute | None = None
    comment: str = ""
    metadata_key: str | None = None

    def without_time(self) -> Field:
        """The same field as an ordinary column."""
        return self if self.time is None else replace(self, time=None)

    def __str__(self) -> str:
        mark = {None: "", "rowtime": " *ROWTIME*", "proctime": " *PROCTIME*"}[self.time]
        return f"`{self.name}` {self.type}{mark}"


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a table, query or delta, in order. ``key``: positions of a unique (upsert) key, or ()."""

    fields: tuple[Field, ...]
    key: tuple[int, ...] = ()

    @classmethod
    def of(cls, *, key: Sequence[str] = (), **types: SqlType) -> Schema:
        """``Schema.of(a=BIGINT, b=STRING, key=["a"])``."""
        fields = tuple(Field(n, t) for n, t in types.items())
        names = list(types)
        return cls(fields, tuple(names.index(k) for k in key))

    def __len__(self) -> int:
        return len(self.fields)

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __getitem__(self, i: int) -> Field:
        return self.fields[i]

    @property
    def names(self) -> list[str]:
        """The column names."""
        return [f.name for f in self.fields]

    @property
    def types(self) -> list[SqlType]:
        """The column types."""
        return [f.type for f in self.fields]

    def index(self, name: str) -> int:
        """The position of a column; ``KeyError`` where there is none."""
        for i, f in enumerate(self.fields):
            if f.name == name:
                return i
        raise KeyError(name)

    def select(self, positions: Sequence[int]) -> Schema:
        """Some of the columns; the key survives if all of it is kept."""
        place = {p: i for i, p in reversed(list(enumerate(positions)))}
        key = tuple(place[k] for k in self.key) if self.key and all(k in place for k in self.key) else ()
        return Schema(tuple(self.fields[p] for p in positions), key)

    def with_key(self, key: Sequence[int]) -> Schema:
        """The same columns with another key."""
        return replace(self, key=tuple(key))
