"""Types as written in columns and CAST."""

from __future__ import annotations

from deras.core.errors import Span, did_you_mean
from deras.sql.syntax.cursor import Cursor
from deras.sql.syntax.lexer import Kind
from deras.sql.syntax.nodes import DataType, TypeField

_SYNONYMS = {
    "INTEGER": "INT",
    "DEC": "DECIMAL",
    "NUMERIC": "DECIMAL",
    "CHARACTER": "CHAR",
    "REAL": "FLOAT",
}
# how many arguments a type may have
_ARGUMENTS = {
    "BOOLEAN": 0, "TINYINT": 0, "SMALLINT": 0, "INT": 0, "BIGINT": 0, "FLOAT": 0, "DOUBLE": 0, "DATE": 0, "STRING": 0,
    "BYTES": 0, "VARIANT": 0, "CHAR": 1, "VARCHAR": 1, "BINARY": 1, "VARBINARY": 1, "DECIMAL": 2, "TIME": 1,
    "TIMESTAMP": 1, "TIMESTAMP_LTZ": 1,
}  # fmt: skip
_FOREIGN = {
    "TEXT": "STRING", "NVARCHAR": "STRING", "LONG": "BIGINT", "INT64": "BIGINT", "INT32": "INT", "INT2": "SMALLINT",
    "INT4": "INT", "INT8": "BIGINT", "BOOL": "BOOLEAN", "DATETIME": "TIMESTAMP(3)", "TIMESTAMPTZ": "TIMESTAMP_LTZ(3)",
    "FLOAT8": "DOUBLE", "FLOAT4": "FLOAT", "FLOAT64": "DOUBLE", "NUMBER": "DECIMAL(38, 18)", "BLOB": "BYTES",
    "STRUCT": "ROW<name type, ...>", "JSON": "STRING", "UUID": "STRING", "SERIAL": "BIGINT",
    "MEDIUMINT": "INT", "INTERGER": "INT",
}  # fmt: skip
UNITS = {
    "YEAR": "YEAR", "YEARS": "YEAR", "QUARTER": "QUARTER", "QUARTERS": "QUARTER", "MONTH": "MONTH", "MONTHS": "MONTH",
    "WEEK": "WEEK", "WEEKS": "WEEK", "DAY": "DAY", "DAYS": "DAY", "HOUR": "HOUR", "HOURS": "HOUR", "MINUTE": "MINUTE",
    "MINUTES": "MINUTE", "SECOND": "SECOND", "SECONDS": "SECOND",
}  # fmt: skip
_UNIT_NAMES = ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")
_RANGES = {
    "YEAR": ("MONTH",),
    "DAY": ("HOUR", "MINUTE", "SECOND"),
    "HOUR": ("MINUTE", "SECOND"),
    "MINUTE": ("SECOND",),
}


class TypeParser(Cursor):
    """Reads types."""

    def data_type(self) -> DataType:
        """A type with ``[NOT] NULL`` and the ``ARRAY``/``MULTISET`` suffix."""
        self.enter()
        start = self.token.start
        found = self._nullable(self._bare_type(start), start)
        while suffix := self.accept_any("ARRAY", "MULTISET"):
            found = self._nullable(DataType(suffix, elements=(found,), span=self.since(start)), start)
        self.depth -= 1
        return found

    def _nullable(self, found: DataType, start: int) -> DataType:
        nullable: bool | None = None
        if self.accept("NOT", "NULL"):
            nullable = False
        elif self.peek().key != "ON" and self.accept("NULL"):  # JSON_VALUE(… RETURNING INT NULL ON EMPTY)
            nullable = True
        if nullable is None:
            return found
        return DataType(
            found.name, found.args, found.elements, found.fields, nullable, found.unit, span=self.since(start)
        )

    def _bare_type(self, start: int) -> DataType:
        token = self.token
        if token.kind is Kind.QUOTED:
            return self._user_type(start)
        if token.kind is not Kind.WORD:
            self.tried.append("a type")
            self.fail()
        key = token.key
        if key in ("ARRAY", "MULTISET", "MAP"):
            return self._collection(key, start)
        if key == "ROW":
            return self._row(start)
        if key == "INTERVAL":
            return self._interval(start)
        if key == "RAW":
            raise self.error("type RAW is not supported", token.span, hint="RAW holds Java objects; use BYTES.")
        name = _SYNONYMS.get(key, key)
        if name not in _ARGUMENTS:
            if key in _FOREIGN and self.peek().key != ".":
                raise self.error(f"unknown type {token.value!r}", token.span, hint=f"Did you mean {_FOREIGN[key]}?")
            if not self.is_name():
                self.tried.append("a type")
                self.fail()
            if self.peek().key != "." and (self.peek().key == "(" or did_you_mean(key, _ARGUMENTS)):
                hint = did_you_mean(key, _ARGUMENTS)
                raise self.error(f"unknown type {token.value!r}", token.span, hint=hint)
            return self._user_type(start)
        self.advance()
        if name == "DOUBLE":
            self.accept("PRECISION")
        elif name == "CHAR" and self.accept("VARYING"):
            name = "VARCHAR"
        elif name == "BINARY" and self.accept("VARYING"):
            name = "VARBINARY"
        args = self._arguments(name)
        if name in ("TIME", "TIMESTAMP"):
            name = self._zone(name)
        return DataType(name, args, span=self.since(start))

    def _arguments(self, name: str) -> tuple[int, ...]:
        most = _ARGUMENTS[name]
        opening = self.token
        if opening.key != "(":
            return ()
        self.advance()
        found = [self.integer()]
        while self.accept(","):
            found.append(self.integer())
        self.expect(")")
        if len(found) > most:
            takes = ("no argument", "one argument", "at most two arguments")[most]
            raise self.error(f"type {name} takes {takes}", Span(opening.start, self.since(opening.start).end))
        return tuple(found)

    def _zone(self, name: str) -> str:
        if self.accept("WITHOUT"):
            if not self.accept("LOCAL"):
                self.expect("TIME", "ZONE")
                return name
            self.expect("TIME", "ZONE")
            return name
        start = self.token.start
        if self.at_words("WITH", "LOCAL") or self.at_words("WITH", "TIME"):
            self.expect("WITH")
            local = self.accept("LOCAL")
            self.expect("TIME", "ZONE")
            if not local or name == "TIME":
                raise self.error(
                    f"type {name} WITH {'LOCAL ' if local else ''}TIME ZONE is not supported",
                    self.since(start),
                    hint="Use TIMESTAMP_LTZ(3), a point in time.",
                )
            return "TIMESTAMP_LTZ"
        return name

    def _collection(self, kind: str, start: int) -> DataType:
        self.advance()
        if self.token.key == "<>":
            self.tried.append("a type")
            self.fail()
        self.expect("<")
        elements = [self.data_type()]
        if kind == "MAP":
            self.expect(",")
            elements.append(self.data_type())
        self.expect(">")
        return DataType(kind, elements=tuple(elements), span=self.since(start))

    def _row(self, start: int) -> DataType:
        self.advance()
        if self.accept("<>") or self.accept("(", ")"):
            return DataType("ROW", span=self.since(start))
        close = ">" if self.expect_any("<", "(") == "<" else ")"
        fields = self.comma_list(self._field)
        self.expect(close)
        return DataType("ROW", fields=fields, span=self.since(start))

    def _field(self) -> TypeField:
        start = self.token.start
        name = self.identifier("a name of a field")
        found = self.data_type()
        comment = self.string() if self.token.kind is Kind.STRING else None
        return TypeField(name, found, comment, span=self.since(start))

    def _interval(self, start: int) -> DataType:
        self.advance()
        unit, to_unit, precision, fraction = self.interval_qualifier()
        args = () if precision is None and fraction is None else (2 if precision is None else precision,)
        if fraction is not None:
            args = (*args, fraction)
        return DataType("INTERVAL", args, unit=f"{unit} TO {to_unit}" if to_unit else unit, span=self.since(start))

    def _user_type(self, start: int) -> DataType:
        name = self.object_name("a type")
        return DataType(".".join(name.names), span=self.since(start))

    def interval_qualifier(self) -> tuple[str, str | None, int | None, int | None]:
        """``unit[(precision)] [TO unit[(fraction)]]``: unit, to_unit, precision, fraction."""
        unit = self.interval_unit()
        precision: int | None = None
        fraction: int | None = None
        if self.accept("("):
            precision = self.integer()
            if unit == "SECOND" and self.accept(","):
                fraction = self.integer()
            self.expect(")")
        to_unit = None
        if self.accept("TO"):
            token = self.token
            to_unit = self.interval_unit()
            if to_unit not in _RANGES.get(unit, ()):
                raise self.error(
                    f"an interval cannot go from {unit} to {to_unit}",
                    token.span,
                    hint="Possible are YEAR TO MONTH and DAY, HOUR or MINUTE to a smaller unit.",
                )
            if to_unit == "SECOND" and self.accept("("):
                fraction = self.integer()
                self.expect(")")
        return unit, to_unit, precision, fraction

    def interval_unit(self) -> str:
        """One unit of an interval, in the singular."""
        unit = UNITS.get(self.token.key)
        if unit is None:
            self.tried.extend(_UNIT_NAMES)
            after_text = self.at > 1 and self.tokens[self.at - 1].kind is Kind.STRING
            self.fail("The unit stands behind the text: INTERVAL '5' MINUTE." if after_text else "")
        self.advance()
        return unit
