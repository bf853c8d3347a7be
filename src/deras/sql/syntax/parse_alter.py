"""DROP and ALTER."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from deras.sql.syntax.parse_ddl import CreateParser
from deras.sql.syntax.statements import (
    Alter,
    AlterAction,
    ChangeColumns,
    ChangePartitions,
    ColumnChange,
    Distribution,
    Drop,
    DropParts,
    ObjectKind,
    PartitionSpec,
    PrimaryKey,
    RenameColumn,
    RenameTo,
    ResetOptions,
    SetComment,
    SetFunction,
    SetOptions,
    SetQuery,
    Statement,
    Watermark,
)

if TYPE_CHECKING:
    from deras.sql.syntax.nodes import Identifier, Property

_PARTS: dict[ObjectKind, int] = {"CATALOG": 1, "DATABASE": 2}


class AlterParser(CreateParser):
    """Reads DROP and ALTER."""

    def drop(self) -> Statement:
        """Any DROP."""
        start = self.expect("DROP").start
        temporary = self.accept("TEMPORARY")
        system = temporary and self.accept("SYSTEM")
        kind = self._kind()
        if temporary and kind not in ("TABLE", "VIEW", "FUNCTION"):
            raise self.error(f"TEMPORARY does not go with {kind}", self.since(start))
        if_exists = self._if_exists()
        name = self.object_name("a name", _PARTS.get(kind, 3))
        cascade: bool | None = None
        if kind == "DATABASE" and (word := self.accept_any("RESTRICT", "CASCADE")):
            cascade = word == "CASCADE"
        return Drop(kind, name, if_exists, temporary, system, cascade, span=self.since(start))

    def _kind(self) -> ObjectKind:
        token = self.token
        if token.key in ("MODEL", "CONNECTION"):
            raise self.error(f"{token.key} is not supported", token.span)
        word = self.expect_any("TABLE", "VIEW", "MATERIALIZED", "FUNCTION", "CATALOG", "DATABASE")
        if word == "MATERIALIZED":
            self.expect("VIEW")
            return "MATERIALIZED VIEW"
        kinds: dict[str, ObjectKind] = {"TABLE": "TABLE", "VIEW": "VIEW", "FUNCTION": "FUNCTION", "CATALOG": "CATALOG"}
        return kinds.get(word, "DATABASE")

    def _if_exists(self) -> bool:
        if self.at_words("IF", "EXISTS"):
            self.expect("IF", "EXISTS")
            return True
        if self.at_words("IF", "NOT"):
            raise self.error("expected IF EXISTS, found IF NOT", self.peek().span, hint="Here it is IF EXISTS.")
        self.tried.append("IF EXISTS")
        return False

    def alter(self) -> Statement:
        """Any ALTER."""
        start = self.expect("ALTER").start
        temporary = self.accept("TEMPORARY")
        system = temporary and self.accept("SYSTEM")
        kind = self._kind()
        if_exists = self._if_exists()
        name = self.object_name("a name", _PARTS.get(kind, 3))
        action = self._action(kind)
        return Alter(kind, name, action, if_exists, temporary, system, span=self.since(start))

    def _action(self, kind: ObjectKind) -> AlterAction:
        start = self.token.start
        if kind == "FUNCTION":
            self.expect("AS")
            identifier = self.string()
            return SetFunction(identifier, self.language(), span=self.since(start))
        if kind in ("VIEW", "MATERIALIZED VIEW"):
            if self.accept("RENAME"):
                self.expect("TO")
                return RenameTo(self.object_name(), span=self.since(start))
            self.expect("AS")
            return SetQuery(self.query(), span=self.since(start))
        if self.accept("SET"):
            return SetOptions(self.properties(), span=self.since(start))
        if kind == "DATABASE":
            self.fail()
        if self.accept("RESET"):
            return ResetOptions(self.bracket_list(self.string), span=self.since(start))
        if kind == "CATALOG":
            self.expect("COMMENT")
            return SetComment(self.string(), span=self.since(start))
        return self._table_action(start)

    def _table_action(self, start: int) -> AlterAction:
        word = self.expect_any("RENAME", "ADD", "MODIFY", "DROP")
        if word == "RENAME":
            if self.accept("TO"):
                return RenameTo(self.object_name(), span=self.since(start))
            old = self.identifier("a name of a column")
            self.expect("TO")
            return RenameColumn(old, self.identifier("a name of a column"), span=self.since(start))
        if word == "DROP":
            return self._drop_parts(start)
        if word == "ADD" and (self.token.key == "PARTITION" or self.at_words("IF", "NOT", "EXISTS", "PARTITION")):
            return self._add_partitions(start)
        return self._change("ADD" if word == "ADD" else "MODIFY", start)

    def _drop_parts(self, start: int) -> AlterAction:
        lenient = self.at_words("IF", "EXISTS", "PARTITION")
        if lenient:
            self.expect("IF", "EXISTS")
        if lenient or self.token.key == "PARTITION":
            specs = self.comma_list(self.partition_spec)
            return ChangePartitions("DROP", specs, (), lenient, span=self.since(start))
        if self.accept("PRIMARY"):
            self.expect("KEY")
            return DropParts("PRIMARY KEY", span=self.since(start))
        if self.accept("CONSTRAINT"):
            return DropParts("CONSTRAINT", (self.identifier(),), span=self.since(start))
        if self.accept("WATERMARK"):
            return DropParts("WATERMARK", span=self.since(start))
        if self.accept("DISTRIBUTION"):
            return DropParts("DISTRIBUTION", span=self.since(start))
        if self.token.key == "(":
            return DropParts("COLUMNS", self.names(), span=self.since(start))
        return DropParts("COLUMNS", (self.identifier("a name of a column"),), span=self.since(start))

    def _add_partitions(self, start: int) -> AlterAction:
        lenient = self.accept("IF")
        if lenient:
            self.expect("NOT", "EXISTS")
        specs: list[PartitionSpec] = []
        options: list[tuple[Property, ...]] = []
        while not specs or self.token.key == "PARTITION":
            specs.append(self.partition_spec())
            options.append(self.properties() if self.accept("WITH") else ())
        return ChangePartitions("ADD", tuple(specs), tuple(options), lenient, span=self.since(start))

    def _change(self, action: Literal["ADD", "MODIFY"], start: int) -> AlterAction:
        columns: list[ColumnChange] = []
        keys: list[PrimaryKey] = []
        marks: list[Watermark] = []
        distribution: Distribution | None = None
        if self.token.key == "DISTRIBUTION":
            raise self.error(
                "expected DISTRIBUTED, found DISTRIBUTION", self.token.span, hint="Write DISTRIBUTED BY (…)."
            )
        if self.token.key == "DISTRIBUTED":
            distribution = self.distribution()
        elif self.accept("("):
            self._changed(columns, keys, marks)
            while self.accept(","):
                self._changed(columns, keys, marks)
            self.expect(")")
        else:
            self._changed(columns, keys, marks)
        return ChangeColumns(
            action, tuple(columns), tuple(keys), tuple(marks), distribution, span=self.since(start)
        )  # fmt: skip

    def _changed(self, columns: list[ColumnChange], keys: list[PrimaryKey], marks: list[Watermark]) -> None:
        start = self.token.start
        key = self.token.key
        if key == "WATERMARK":
            marks.append(self.watermark())
        elif key in ("PRIMARY", "UNIQUE", "CONSTRAINT"):
            keys.append(self.constraint())
        else:
            self.accept_silently("COLUMN")
            column = self.column()
            first = self.accept("FIRST")
            after: Identifier | None = None
            if not first and self.accept("AFTER"):
                after = self.identifier("a name of a column")
            columns.append(ColumnChange(column, first, after, span=self.since(start)))
