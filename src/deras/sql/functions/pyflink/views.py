"""``ListView`` and ``MapView``: collections in the accumulators of PyFlink's aggregate functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["ListView", "MapView"]


class ListView:
    """A list."""

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self._values = list(values)

    def get(self) -> Iterator[Any]:
        """The elements."""
        return iter(self._values)

    def add(self, value: Any) -> None:
        """Append an element."""
        self._values.append(value)

    def add_all(self, values: Iterable[Any]) -> None:
        """Append elements."""
        self._values.extend(values)

    def clear(self) -> None:
        """Remove all."""
        self._values.clear()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ListView) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]  # it changes


class MapView:
    """A map."""

    def __init__(self, values: Mapping[Any, Any] | None = None) -> None:
        self._values = dict(values or {})

    def get(self, key: Any) -> Any:
        """The value of a key, or None."""
        return self._values.get(key)

    def put(self, key: Any, value: Any) -> None:
        """Set the value of a key."""
        self._values[key] = value

    def put_all(self, values: Mapping[Any, Any]) -> None:
        """Set values."""
        self._values.update(values)

    def remove(self, key: Any) -> None:
        """Remove a key, if it is there."""
        self._values.pop(key, None)

    def contains(self, key: Any) -> bool:
        """Whether a key is there."""
        return key in self._values

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Keys and values."""
        return self._values.items()

    def keys(self) -> Iterable[Any]:
        """The keys."""
        return self._values.keys()

    def values(self) -> Iterable[Any]:
        """The values."""
        return self._values.values()

    def is_empty(self) -> bool:
        """Whether there is nothing."""
        return not self._values

    def clear(self) -> None:
        """Remove all."""
        self._values.clear()

    __contains__ = contains

    def __getitem__(self, key: Any) -> Any:
        return self._values[key]

    __setitem__ = put

    def __delitem__(self, key: Any) -> None:
        del self._values[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MapView) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]  # it changes
