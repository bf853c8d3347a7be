"""Rows as PyFlink's functions make them."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class RowKind(enum.Enum):
    """The four changes."""

    INSERT = 0
    UPDATE_BEFORE = 1
    UPDATE_AFTER = 2
    DELETE = 3

    def __str__(self) -> str:
        return ("+I", "-U", "+U", "-D")[self.value]


class Row:
    """Values by position, or by name: ``Row(1, 'a')``, ``Row(n=1, word='a')``; ``Row('n', 'word')(1, 'a')`` too."""

    __slots__ = ("_kind", "_names", "_values")

    def __init__(self, *args: Any, **named: Any) -> None:
        if args and named:
            raise ValueError("a Row has values by position or by name, not both")
        object.__setattr__(self, "_values", list(args) if args else list(named.values()))
        object.__setattr__(self, "_names", list(named))
        object.__setattr__(self, "_kind", RowKind.INSERT)

    @staticmethod
    def of_kind(row_kind: RowKind, *args: Any, **named: Any) -> Row:
        """A row of another kind than INSERT."""
        row = Row(*args, **named)
        row.set_row_kind(row_kind)
        return row

    def as_dict(self, recursive: bool = False) -> dict[str, Any]:
        """Values by name."""
        if not self._names:
            raise TypeError("a Row without names has no dict")

        def plain(v: Any) -> Any:
            return v.as_dict(True) if recursive and isinstance(v, Row) and v._names else v

        return {n: plain(v) for n, v in zip(self._names, self._values, strict=True)}

    def get_row_kind(self) -> RowKind:
        """The kind."""
        kind: RowKind = self._kind
        return kind

    def set_row_kind(self, row_kind: RowKind) -> None:
        """Change the kind."""
        object.__setattr__(self, "_kind", row_kind)

    def set_field_names(self, field_names: Sequence[str]) -> None:
        """Give the values names."""
        object.__setattr__(self, "_names", list(field_names))

    def get_fields_by_names(self, names: Sequence[str]) -> list[Any]:
        """Some values by name, in the order asked for."""
        return [self[n] for n in names]

    def __call__(self, *args: Any) -> Row:
        """A row of these values under this row's values as names."""
        if len(args) != len(self._values):
            raise ValueError(f"{len(self._values)} names for {len(args)} values")
        return Row(**dict(zip(self._values, args, strict=True)))

    def _place(self, item: int | str | slice) -> Any:
        if not isinstance(item, str):
            return item
        try:
            return self._names.index(item)
        except ValueError:
            raise KeyError(item) from None

    def __contains__(self, item: Any) -> bool:
        return item in self._values

    def __getitem__(self, item: int | str | slice) -> Any:
        return self._values[self._place(item)]

    def __setitem__(self, key: int | str, value: Any) -> None:
        self._values[self._place(key)] = value

    def __getattr__(self, item: str) -> Any:
        if item.startswith("__"):
            raise AttributeError(item)
        try:
            return self[item]
        except KeyError:
            raise AttributeError(item) from None

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return NotImplemented
        return bool((self._kind, self._values, self._names) == (other._kind, other._values, other._names))

    __hash__ = None  # type: ignore[assignment]  # its values may change

    def __repr__(self) -> str:
        if self._names:
            inner = ", ".join(f"{n}={v!r}" for n, v in zip(self._names, self._values, strict=True))
        else:
            inner = ", ".join(map(repr, self._values))
        return f"Row({inner})"
