"""CREATE, DROP and ALTER."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from deras.sql.syntax.lexer import Kind
from deras.sql.syntax.parse_query import QueryParser
from deras.sql.syntax.statements import (
    ColumnDef,
    ComputedColumn,
    CreateCatalog,
    CreateDatabase,
    CreateFunction,
    CreateMaterializedView,
    CreateTable,
    CreateView,
    Distribution,
    LikeClause,
    LikeOption,
    MetadataColumn,
    NamedColumn,
    PartitionSpec,
    PhysicalColumn,
    PrimaryKey,
    Statement,
    Watermark,
)

if TYPE_CHECKING:
    from deras.sql.syntax.expressions import Expr
    from deras.sql.syntax.nodes import DataType, Identifier, Property
    from deras.sql.syntax.queries import Query

_FEATURES = ("ALL", "CONSTRAINTS", "DISTRIBUTION", "GENERATED", "METADATA", "OPTIONS", "PARTITIONS", "WATERMARKS")
_ONLY_INCLUDE = ("ALL", "CONSTRAINTS", "DISTRIBUTION", "PARTITIONS")
_KINDS = ("TABLE", "VIEW", "MATERIALIZED", "FUNCTION", "CATALOG", "DATABASE")
Language = Literal["JAVA", "SCALA", "PYTHON"]


class CreateParser(QueryParser):
    """Reads CREATE statements and the parts of tables."""

    def create(self) -> Statement:
        """Any CREATE."""
        start = self.expect("CREATE").start
        replace = False
        if self.accept("OR"):
            self.expect("REPLACE")
            replace = True
        temporary = self.accept("TEMPORARY")
        system = temporary and self.accept("SYSTEM")
        token = self.token
        if system:
            self.expect("FUNCTION")
            word = "FUNCTION"
        else:
            if token.key in ("MODEL", "CONNECTION"):
                raise self.error(f"CREATE {token.key} is not supported", token.span)
            word = self.accept_any(*_KINDS)
        if not word:
            self.fail()
        refused = {"TABLE": "", "VIEW": "", "MATERIALIZED": "TEMPORARY" if temporary else ""}.get(
            word, "OR REPLACE" if replace else "TEMPORARY" if temporary and word != "FUNCTION" else ""
        )
        if refused:
            kind = "MATERIALIZED VIEW" if word == "MATERIALIZED" else word
            raise self.error(f"{refused} does not go with {kind}", token.span, hint=f"Write CREATE {kind} ….")
        if word == "TABLE":
            return self._create_table(start, temporary=temporary, replace=replace)
        if word == "VIEW":
            return self._create_view(start, temporary=temporary, replace=replace)
        if word == "MATERIALIZED":
            return self._create_materialized(start, replace=replace)
        if word == "FUNCTION":
            return self._create_function(start, temporary=temporary, system=system)
        lenient = self._if_not_exists()
        name = self.object_name("a name", 1 if word == "CATALOG" else 2)
        comment = self.string() if self.accept("COMMENT") else None
        options = self._with()
        if word == "CATALOG":
            return CreateCatalog(name.parts[0], options, comment, lenient, span=self.since(start))
        return CreateDatabase(name, options, comment, lenient, span=self.since(start))

    def _if_not_exists(self) -> bool:
        if self.at_words("IF", "NOT"):
            self.expect("IF", "NOT", "EXISTS")
            return True
        if self.at_words("IF", "EXISTS"):
            raise self.error(
                "expected IF NOT EXISTS, found IF EXISTS", self.peek().span, hint="CREATE takes IF NOT EXISTS."
            )
        self.tried.append("IF NOT EXISTS")
        return False

    def _with(self) -> tuple[Property, ...]:
        if not self.accept("WITH"):
            return ()
        return self.properties()

    def properties(self) -> tuple[Property, ...]:
        """``('k' = 'v', …)``."""
        self.expect("(")
        if self.accept(")"):
            return ()
        found = self.comma_list(self.property)
        self.expect(")")
        seen: set[str] = set()
        for one in found:
            if one.key in seen:
                raise self.error(f"option '{one.key}' is given twice", one.key_span, hint="Keep one of them.")
            seen.add(one.key)
        return found

    # ------------------------------------------------------------ tables

    def _create_table(self, start: int, *, temporary: bool, replace: bool) -> Statement:
        lenient = self._if_not_exists()
        name = self.object_name("a name of a table")
        columns: list[ColumnDef] = []
        watermarks: list[Watermark] = []
        constraints: list[PrimaryKey] = []
        if self.token.key == "(":
            self.advance()
            if not self.accept(")"):
                self._element(columns, watermarks, constraints)
                while self.accept(","):
                    self._element(columns, watermarks, constraints)
                self.expect(")")
        comment = self.string() if self.accept("COMMENT") else None
        distribution = self.distribution()
        partitioned: tuple[Identifier, ...] = ()
        if self.accept("PARTITIONED"):
            self.expect("BY")
            partitioned = self.names()
        options = self._with()
        like: LikeClause | None = None
        query: Query | None = None
        if self.accept("LIKE"):
            like = self._like()
        elif self.accept("AS"):
            query = self.query()
        return CreateTable(
            name, tuple(columns), tuple(watermarks), tuple(constraints), comment, distribution, partitioned,
            options, like, query, temporary, lenient, replace, span=self.since(start),
        )  # fmt: skip

    def _element(self, columns: list[ColumnDef], watermarks: list[Watermark], keys: list[PrimaryKey]) -> None:
        key = self.token.key
        if self.token.kind is Kind.WORD and key == "WATERMARK":
            watermarks.append(self.watermark())
            return
        if self.token.kind is Kind.WORD and key in ("PRIMARY", "UNIQUE", "CONSTRAINT"):
            keys.append(self.constraint())
            return
        if self.token.kind is Kind.WORD and key in ("KEY", "INDEX") and self.peek().key == "(":
            raise self.error(f"{key} is not Flink SQL", self.token.span, hint="Write PRIMARY KEY (…) NOT ENFORCED.")
        columns.append(self.column(bare=True))

    def watermark(self) -> Watermark:
        """``WATERMARK FOR column AS expr``."""
        start = self.expect("WATERMARK").start
        self.expect("FOR")
        column = self.object_name("a name of a column", 3).parts
        self.expect("AS")
        return Watermark(column, self.expression(), span=self.since(start))

    def constraint(self) -> PrimaryKey:
        """``[CONSTRAINT name] PRIMARY KEY (…) [NOT] ENFORCED``."""
        start = self.token.start
        name = self.identifier() if self.accept("CONSTRAINT") else None
        unique = self.expect_any("PRIMARY", "UNIQUE") == "UNIQUE"
        if not unique:
            self.expect("KEY")
        columns = self.names()
        return PrimaryKey(columns, self._enforced(), name, unique, span=self.since(start))

    def _enforced(self) -> bool | None:
        if self.accept("NOT"):
            self.expect("ENFORCED")
            return False
        return True if self.accept("ENFORCED") else None

    def column(self, *, bare: bool = False) -> ColumnDef:
        """One column of any kind; ``bare`` allows a name alone."""
        start = self.token.start
        name = self.identifier("a name of a column")
        if bare and self.token.key in (",", ")"):
            return NamedColumn(name, span=self.since(start))
        if self.accept("AS"):
            expr = self.expression()
            return ComputedColumn(name, expr, self._comment(), span=self.since(start))
        found: DataType = self.data_type()
        if self.accept("METADATA"):
            key = self.string() if self.accept("FROM") else None
            virtual = self.accept("VIRTUAL")
            return MetadataColumn(name, found, key, virtual, self._comment(), span=self.since(start))
        if self.token.key in ("DEFAULT", "AUTO_INCREMENT", "REFERENCES", "CHECK", "GENERATED"):
            raise self.error(
                f"{self.token.key} is not Flink SQL",
                self.token.span,
                hint="A computed column is written: name AS expression.",
            )
        primary = False
        enforced: bool | None = None
        constraint_start = self.token
        if self.accept("CONSTRAINT"):
            self.identifier()
        if self.accept("PRIMARY"):
            self.expect("KEY")
            primary, enforced = True, self._enforced()
        elif constraint_start.key == "CONSTRAINT" or self.token.key == "UNIQUE":
            self.tried = [*self.tried[:-1], "PRIMARY KEY"]
            self.fail("UNIQUE is not supported; use PRIMARY KEY NOT ENFORCED." if self.token.key == "UNIQUE" else "")
        return PhysicalColumn(name, found, primary, enforced, self._comment(), span=self.since(start))

    def _comment(self) -> str | None:
        return self.string() if self.accept("COMMENT") else None

    def distribution(self) -> Distribution | None:
        """``DISTRIBUTED [BY [HASH|RANGE](…)] [INTO n BUCKETS]``."""
        start = self.token.start
        if not self.accept("DISTRIBUTED"):
            return None
        kind: Literal["HASH", "RANGE"] | None = None
        columns: tuple[Identifier, ...] = ()
        buckets: int | None = None
        if self.accept("BY"):
            word = self.accept_any("HASH", "RANGE")
            kind = "HASH" if word == "HASH" else "RANGE" if word else None
            columns = self.names()
            if self.accept("INTO"):
                buckets = self.integer()
                self.expect("BUCKETS")
        else:
            self.expect("INTO")
            buckets = self.integer()
            self.expect("BUCKETS")
        return Distribution(kind, columns, buckets, span=self.since(start))

    def _like(self) -> LikeClause:
        start = self.tokens[self.at - 1].start
        source = self.object_name("a name of a table")
        options: list[LikeOption] = []
        if self.accept("("):
            while not self.accept(")"):
                here = self.token.start
                word = self.expect_any("INCLUDING", "EXCLUDING", "OVERWRITING")
                token = self.token
                feature = self.expect_any(*_FEATURES)
                merge: Literal["INCLUDING", "EXCLUDING", "OVERWRITING"] = (
                    "INCLUDING" if word == "INCLUDING" else "EXCLUDING" if word == "EXCLUDING" else "OVERWRITING"
                )
                if merge == "OVERWRITING" and feature in _ONLY_INCLUDE:
                    raise self.error(
                        f"OVERWRITING does not go with {feature}",
                        token.span,
                        hint="It goes with GENERATED, METADATA, OPTIONS and WATERMARKS.",
                    )
                options.append(LikeOption(merge, feature, span=self.since(here)))
        return LikeClause(source, tuple(options), span=self.since(start))

    # ------------------------------------------------------------ views and functions

    def _create_view(self, start: int, *, temporary: bool, replace: bool) -> Statement:
        lenient = self._if_not_exists()
        name = self.object_name("a name of a view")
        columns = self.names() if self.token.key == "(" else ()
        comment = self._comment()
        self.expect("AS")
        query = self.query()
        return CreateView(name, query, columns, comment, temporary, lenient, replace, span=self.since(start))

    def _create_materialized(self, start: int, *, replace: bool) -> Statement:
        if self.token.key == "TABLE":
            raise self.error(
                "MATERIALIZED TABLE is not supported",
                self.token.span,
                hint="Write CREATE MATERIALIZED VIEW name AS query; it is kept up to date at every step.",
            )
        self.expect("VIEW")
        lenient = self._if_not_exists()
        name = self.object_name("a name of a view")
        columns = self.names() if self.token.key == "(" else ()
        key: PrimaryKey | None = None
        if self.token.key in ("PRIMARY", "CONSTRAINT"):
            key = self.constraint()
        else:
            self.tried.append("PRIMARY KEY")
        comment = self._comment()
        options = self._with()
        self.expect("AS")
        query = self.query()
        return CreateMaterializedView(
            name, query, columns, key, comment, options, lenient, replace, span=self.since(start)
        )  # fmt: skip

    def _create_function(self, start: int, *, temporary: bool, system: bool) -> Statement:
        lenient = self._if_not_exists()
        name = self.object_name("a name of a function")
        self.expect("AS")
        identifier = self.string()
        language = self.language()
        resources: list[tuple[str, str]] = []
        if self.accept("USING"):
            resources.append(self._resource())
            while self.accept(","):
                resources.append(self._resource())
        options = self._with()
        return CreateFunction(
            name, identifier, language, tuple(resources), options, temporary, system, lenient, span=self.since(start)
        )  # fmt: skip

    def language(self) -> Language | None:
        """``LANGUAGE JAVA|SCALA|PYTHON``."""
        if not self.accept("LANGUAGE"):
            return None
        word = self.expect_any("PYTHON", "JAVA", "SCALA")
        return "PYTHON" if word == "PYTHON" else "JAVA" if word == "JAVA" else "SCALA"

    def _resource(self) -> tuple[str, str]:
        kind = self.expect_any("JAR", "FILE", "ARCHIVE")
        return kind, self.string()

    def partition_spec(self) -> PartitionSpec:
        """``PARTITION (a = 1, b)``."""
        start = self.expect("PARTITION").start
        items = self.bracket_list(self._partition_item)
        return PartitionSpec(items, span=self.since(start))

    def _partition_item(self) -> tuple[Identifier, Expr | None]:
        name = self.identifier("a name of a column")
        return name, (self.expression() if self.accept("=") else None)
