"""``DataTypes``: the types of PyFlink's Table API, as SQL texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DataType", "DataTypes"]


class DataType:
    """A type as SQL text.

    Args:
        text: without nullability.
        nullable: whether NULL is one of its values.
    """

    def __init__(self, text: str, nullable: bool = True) -> None:
        self.text = text
        self._nullable = nullable

    def as_sql(self) -> str:
        """The type in SQL."""
        return self.text if self._nullable else f"{self.text} NOT NULL"

    def nullable(self) -> DataType:
        """With NULL."""
        return DataType(self.text)

    def not_null(self) -> DataType:
        """Without NULL."""
        return DataType(self.text, False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DataType) and self.as_sql() == other.as_sql()

    def __hash__(self) -> int:
        return sum(self.as_sql().encode())

    def __repr__(self) -> str:
        return self.as_sql()


def _sql(x: Any) -> str:
    text: str = x.as_sql() if isinstance(x, DataType) else str(x)
    return text


class _Field:
    def __init__(self, name: str, data_type: Any, description: str | None = None) -> None:
        self.name = name
        self.data_type = data_type
        self.description = description


def _field(x: Any) -> str:
    name, type_ = (x.name, x.data_type) if isinstance(x, _Field) else (x[0], x[1])
    escaped = str(name).replace("`", "``")
    return f"`{escaped}` {_sql(type_)}"


class _Unit:
    def __init__(self, text: str) -> None:
        self.text = text


class DataTypes:
    """Makers of types, under PyFlink's names."""

    # ruff: noqa: N802, D102 -- the names are PyFlink's, each is the SQL type of its name

    @staticmethod
    def NULL() -> DataType:
        return DataType("NULL")

    @staticmethod
    def CHAR(length: int, nullable: bool = True) -> DataType:
        return DataType(f"CHAR({length})", nullable)

    @staticmethod
    def VARCHAR(length: int, nullable: bool = True) -> DataType:
        return DataType(f"VARCHAR({length})", nullable)

    @staticmethod
    def STRING(nullable: bool = True) -> DataType:
        return DataType("STRING", nullable)

    @staticmethod
    def BOOLEAN(nullable: bool = True) -> DataType:
        return DataType("BOOLEAN", nullable)

    @staticmethod
    def BINARY(length: int, nullable: bool = True) -> DataType:
        return DataType(f"BINARY({length})", nullable)

    @staticmethod
    def VARBINARY(length: int, nullable: bool = True) -> DataType:
        return DataType(f"VARBINARY({length})", nullable)

    @staticmethod
    def BYTES(nullable: bool = True) -> DataType:
        return DataType("BYTES", nullable)

    @staticmethod
    def DECIMAL(precision: int, scale: int, nullable: bool = True) -> DataType:
        return DataType(f"DECIMAL({precision}, {scale})", nullable)

    @staticmethod
    def TINYINT(nullable: bool = True) -> DataType:
        return DataType("TINYINT", nullable)

    @staticmethod
    def SMALLINT(nullable: bool = True) -> DataType:
        return DataType("SMALLINT", nullable)

    @staticmethod
    def INT(nullable: bool = True) -> DataType:
        return DataType("INT", nullable)

    @staticmethod
    def BIGINT(nullable: bool = True) -> DataType:
        return DataType("BIGINT", nullable)

    @staticmethod
    def FLOAT(nullable: bool = True) -> DataType:
        return DataType("FLOAT", nullable)

    @staticmethod
    def DOUBLE(nullable: bool = True) -> DataType:
        return DataType("DOUBLE", nullable)

    @staticmethod
    def DATE(nullable: bool = True) -> DataType:
        return DataType("DATE", nullable)

    @staticmethod
    def TIME(precision: int = 0, nullable: bool = True) -> DataType:
        return DataType(f"TIME({precision})", nullable)

    @staticmethod
    def TIMESTAMP(precision: int = 6, nullable: bool = True) -> DataType:
        return DataType(f"TIMESTAMP({precision})", nullable)

    @staticmethod
    def TIMESTAMP_LTZ(precision: int = 6, nullable: bool = True) -> DataType:
        return DataType(f"TIMESTAMP_LTZ({precision})", nullable)

    TIMESTAMP_WITH_LOCAL_TIME_ZONE = TIMESTAMP_LTZ

    @staticmethod
    def ARRAY(element_type: Any, nullable: bool = True) -> DataType:
        return DataType(f"ARRAY<{_sql(element_type)}>", nullable)

    @staticmethod
    def MAP(key_type: Any, value_type: Any, nullable: bool = True) -> DataType:
        return DataType(f"MAP<{_sql(key_type)}, {_sql(value_type)}>", nullable)

    @staticmethod
    def MULTISET(element_type: Any, nullable: bool = True) -> DataType:
        return DataType(f"MULTISET<{_sql(element_type)}>", nullable)

    @staticmethod
    def LIST_VIEW(element_type: Any) -> DataType:
        return DataType(f"ARRAY<{_sql(element_type)}>")

    @staticmethod
    def MAP_VIEW(key_type: Any, value_type: Any) -> DataType:
        return DataType(f"MAP<{_sql(key_type)}, {_sql(value_type)}>")

    @staticmethod
    def ROW(row_fields: Sequence[Any] = (), nullable: bool = True) -> DataType:
        fields = [x if isinstance(x, (_Field, tuple, list)) else (f"f{i}", x) for i, x in enumerate(row_fields)]
        return DataType(f"ROW<{', '.join(map(_field, fields))}>", nullable)

    @staticmethod
    def FIELD(name: str, data_type: Any, description: str | None = None) -> _Field:
        return _Field(name, data_type, description)

    @staticmethod
    def SECOND(precision: int = 6) -> _Unit:
        return _Unit(f"SECOND({precision})")

    @staticmethod
    def MINUTE() -> _Unit:
        return _Unit("MINUTE")

    @staticmethod
    def HOUR() -> _Unit:
        return _Unit("HOUR")

    @staticmethod
    def DAY(precision: int = 2) -> _Unit:
        return _Unit(f"DAY({precision})")

    @staticmethod
    def MONTH() -> _Unit:
        return _Unit("MONTH")

    @staticmethod
    def YEAR(precision: int = 2) -> _Unit:
        return _Unit(f"YEAR({precision})")

    @staticmethod
    def INTERVAL(upper_resolution: _Unit, lower_resolution: _Unit | None = None) -> DataType:
        to = f" TO {lower_resolution.text}" if lower_resolution is not None else ""
        return DataType(f"INTERVAL {upper_resolution.text}{to}")
