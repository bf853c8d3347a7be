"""Statements other than DDL, and the choice between all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from deras.sql.syntax.cursor import NAME
from deras.sql.syntax.lexer import Kind
from deras.sql.syntax.parse_alter import AlterParser
from deras.sql.syntax.parse_expr import QUERY_START
from deras.sql.syntax.statements import (
    Analyze,
    Delete,
    Describe,
    Execute,
    Explain,
    Insert,
    Jar,
    Module,
    PartitionSpec,
    QueryStatement,
    ResetOption,
    SetOption,
    Show,
    ShowLike,
    Statement,
    StatementSet,
    StopJob,
    Truncate,
    Update,
    Use,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.sql.syntax.expressions import Expr
    from deras.sql.syntax.nodes import Identifier, ObjectName, Property

_DETAILS = ("ESTIMATED_COST", "CHANGELOG_MODE", "JSON_EXECUTION_PLAN", "PLAN_ADVICE")
_LISTS = ("TABLES", "VIEWS", "FUNCTIONS", "CATALOGS", "DATABASES", "COLUMNS", "PARTITIONS", "MODULES", "JARS", "JOBS",
          "PROCEDURES", "MODELS")  # fmt: skip
_FOREIGN = {
    "BEGIN": "A statement set starts with BEGIN STATEMENT SET; and ends with END;.",
    "COPY": "Write INSERT INTO a table with 'connector' = 'filesystem'.",
    "MERGE": "Write INSERT INTO a table with a PRIMARY KEY: rows with the same key replace each other.",
    "UPSERT": "Write INSERT INTO a table with a PRIMARY KEY: rows with the same key replace each other.",
    "REPLACE": "Write CREATE OR REPLACE TABLE, or INSERT INTO a table with a PRIMARY KEY.",
    "COMMIT": "There are no transactions: results are exact at every checkpoint.",
    "ROLLBACK": "There are no transactions: results are exact at every checkpoint.",
    "CALL": "Procedures are not supported.",
    "COMPILE": "Compiled plans are not supported; keep the script itself.",
    "REFRESH": "A materialized view is always up to date.",
    "FROM": "A query starts with SELECT.",
}


class StatementParser(AlterParser):
    """Reads statements."""

    def script(self) -> list[Statement]:
        """Statements with semicolons between them, to the end of the text."""
        found: list[Statement] = []
        while True:
            while self.accept_silently(";"):
                pass
            if self._at_end():
                return found
            found.append(self.statement())
            if not self._at_end():
                self.expect(";")

    def _at_end(self) -> bool:
        return self.token.kind is Kind.END

    def statement(self) -> Statement:
        """One statement; stops before its semicolon."""
        key = self.token.key
        start = self.token.start
        if self.token.kind is Kind.WORD:
            if key in QUERY_START:
                return QueryStatement(self.query(), span=self.since(start))
            method = self._STATEMENTS.get(key)
            if method is not None:
                return method(self)
            if key in _FOREIGN:
                raise self.error(f"{key} is not a statement here", self.token.span, hint=_FOREIGN[key])
        elif key == "(":
            return QueryStatement(self.query(), span=self.since(start))
        self.tried = [*QUERY_START, *self._STATEMENTS]
        if self.token.kind is Kind.BAD:
            self.fail()
        near = self._near(self.token, self.tried)
        found = self.describe(self.token)
        hint = f"Did you mean {near}?" if near else "A statement starts with a word such as SELECT, CREATE or INSERT."
        raise self.error(f"expected a statement, found {found}", self.token.span, hint=hint)

    # ------------------------------------------------------------ rows

    def _insert(self) -> Insert:
        start = self.expect("INSERT").start
        overwrite = self.expect_any("INTO", "OVERWRITE") == "OVERWRITE"
        self.accept_silently("TABLE")
        table = self.object_name("a name of a table")
        options: list[Property] = []
        for hint in self.hints():
            if hint.name != "OPTIONS":
                raise self.error(f"hint {hint.name} does not go with INSERT", hint.span, hint="Here goes OPTIONS.")
            options += hint.options
        partition: PartitionSpec | None = self.partition_spec() if self.token.key == "PARTITION" else None
        columns: tuple[tuple[Identifier, ...], ...] = ()
        if self.token.key == "(" and self.peek().key not in (*QUERY_START, "("):
            columns = self.bracket_list(self._column_path)
        if self.token.key not in (*QUERY_START, "("):
            self.tried.extend(("PARTITION", "(", *QUERY_START))
            self.fail()
        query = self.query()
        return Insert(table, query, columns, partition, overwrite, tuple(options), span=self.since(start))

    def _column_path(self) -> tuple[Identifier, ...]:
        return self.object_name("a name of a column", 9 if self.peek().key == "." else 1).parts

    def _delete(self) -> Statement:
        start = self.expect("DELETE").start
        self.expect("FROM")
        table = self.object_name("a name of a table")
        alias = self._optional_alias()
        where = self.expression() if self.accept("WHERE") else None
        return Delete(table, where, alias, span=self.since(start))

    def _update(self) -> Statement:
        start = self.expect("UPDATE").start
        table = self.object_name("a name of a table")
        alias = self._optional_alias()
        self.expect("SET")
        assignments = self.comma_list(self._assignment)
        where = self.expression() if self.accept("WHERE") else None
        return Update(table, assignments, where, alias, span=self.since(start))

    def _optional_alias(self) -> Identifier | None:
        return self.identifier() if self.accept("AS") or self.is_name() else None

    def _assignment(self) -> tuple[Identifier, Expr]:
        name = self.identifier("a name of a column")
        self.expect("=")
        return name, self.expression()

    def _truncate(self) -> Statement:
        start = self.expect("TRUNCATE").start
        self.expect("TABLE")
        return Truncate(self.object_name("a name of a table"), span=self.since(start))

    def _analyze(self) -> Statement:
        start = self.expect("ANALYZE").start
        self.expect("TABLE")
        table = self.object_name("a name of a table")
        partition = self.partition_spec() if self.token.key == "PARTITION" else None
        self.expect("COMPUTE", "STATISTICS")
        columns: tuple[Identifier, ...] = ()
        every = False
        if self.accept("FOR"):
            if self.accept("ALL"):
                every = True
                self.expect("COLUMNS")
            else:
                self.expect("COLUMNS")
                columns = self.comma_list(self.identifier)
        return Analyze(table, partition, columns, every, span=self.since(start))

    # ------------------------------------------------------------ statement sets, EXECUTE, EXPLAIN

    def _begin(self) -> Statement:
        start = self.token.start
        if self.peek().key != "STATEMENT":
            raise self.error("BEGIN is not a statement here", self.token.span, hint=_FOREIGN["BEGIN"])
        self.expect("BEGIN", "STATEMENT", "SET", ";")
        inserts = self._inserts()
        return StatementSet(inserts, span=self.since(start))

    def _inserts(self) -> tuple[Insert, ...]:
        found: list[Insert] = []
        while True:
            while self.accept_silently(";"):
                pass
            if self.accept("END"):
                if not found:
                    raise self.error(
                        "the statement set is empty",
                        self.tokens[self.at - 1].span,
                        hint="Put at least one INSERT INTO into it.",
                    )
                return tuple(found)
            if self.token.key != "INSERT":
                self.tried.append("INSERT")
                only = "A statement set holds INSERT statements only, and closes with END."
                self.fail("" if self._near(self.token, ["INSERT", "END"]) else only)
            found.append(self._insert())
            if self._at_end():
                self.tried = [";"]
                self.fail("Close the statement set with ; END;.")
            self.expect(";")

    def _execute(self) -> Statement:
        start = self.expect("EXECUTE").start
        if self.accept("STATEMENT"):
            self.expect("SET", "BEGIN")
            return StatementSet(self._inserts(), execute=True, span=self.since(start))
        if self.token.key == "PLAN":
            raise self.error("compiled plans are not supported", self.token.span, hint=_FOREIGN["COMPILE"])
        return Execute(self._insert_or_query(), span=self.since(start))

    def _insert_or_query(self) -> Statement:
        start = self.token.start
        if self.token.key == "INSERT":
            return self._insert()
        if self.token.key not in (*QUERY_START, "("):
            self.tried.extend(("INSERT", *QUERY_START))
            self.fail()
        return QueryStatement(self.query(), span=self.since(start))

    def _explain(self) -> Statement:
        start = self.expect("EXPLAIN").start
        details: list[str] = []
        plan_for = False
        if self.accept("PLAN"):
            self.expect("FOR")
            plan_for = True
        elif word := self.accept_any(*_DETAILS):
            details.append(word)
            while self.accept(","):
                details.append(self.expect_any(*_DETAILS))
        key = self.token.key
        if key in ("EXECUTE", "BEGIN") or (key == "STATEMENT" and self.peek().key == "SET"):
            return Explain(self._explained_set(key), tuple(details), plan_for, span=self.since(start))
        if key == "CREATE":
            return Explain(self.create(), tuple(details), plan_for, span=self.since(start))
        return Explain(self._insert_or_query(), tuple(details), plan_for, span=self.since(start))

    def _explained_set(self, key: str) -> Statement:
        if key == "STATEMENT":
            start = self.expect("STATEMENT").start
            self.expect("SET", "BEGIN")
            return StatementSet(self._inserts(), execute=True, span=self.since(start))
        return self._begin() if key == "BEGIN" else self._execute()

    # ------------------------------------------------------------ session

    def _describe(self) -> Statement:
        start = self.token.start
        self.expect_any("DESCRIBE", "DESC")
        if self.token.key == "JOB" and self.peek().kind is Kind.STRING:
            self.advance()
            return Describe("JOB", None, job=self.string(), span=self.since(start))
        kind: Literal["TABLE", "CATALOG", "DATABASE", "FUNCTION"] = "TABLE"
        if self.token.key in ("TABLE", "CATALOG", "DATABASE", "FUNCTION") and self._object_follows():
            word = self.advance().key
            kind = "CATALOG" if word == "CATALOG" else "DATABASE" if word == "DATABASE" else "TABLE"
            if word == "FUNCTION":
                kind = "FUNCTION"
        extended = self.accept("EXTENDED")
        name = self.object_name("a name of a table" if kind == "TABLE" else NAME)
        return Describe(kind, name, extended, span=self.since(start))

    def _object_follows(self) -> bool:
        return self.peek().kind in (Kind.WORD, Kind.QUOTED)

    def _show(self) -> Statement:
        start = self.expect("SHOW").start
        if self.accept("CREATE"):
            kind = self.expect_any("TABLE", "VIEW", "MATERIALIZED", "CATALOG")
            if kind == "MATERIALIZED":
                self.expect("VIEW")
                kind = "MATERIALIZED VIEW"
            return Show(f"CREATE {kind}", self.object_name(), span=self.since(start))
        if self.accept("CURRENT"):
            return Show(f"CURRENT {self.expect_any('CATALOG', 'DATABASE')}", span=self.since(start))
        if self.accept("USER"):
            self.expect("FUNCTIONS")
            what = "USER FUNCTIONS"
        elif self.accept("MATERIALIZED"):
            self.expect("VIEWS")
            what = "MATERIALIZED VIEWS"
        elif self.accept("FULL"):
            self.expect("MODULES")
            what = "FULL MODULES"
        else:
            what = self.expect_any(*_LISTS)
        name: ObjectName | None = None
        partition: PartitionSpec | None = None
        if what == "PARTITIONS":
            name = self.object_name("a name of a table")
            partition = self.partition_spec() if self.token.key == "PARTITION" else None
            return Show(what, name, None, partition, span=self.since(start))
        if what == "COLUMNS":
            self.expect_any("FROM", "IN")
            name = self.object_name("a name of a table")
        elif what not in ("MODULES", "FULL MODULES", "JARS", "JOBS", "CATALOGS") and self.accept_any("FROM", "IN"):
            name = self.object_name(NAME, 2)
        if what in ("MODULES", "FULL MODULES", "JARS", "JOBS"):
            return Show(what, span=self.since(start))
        return Show(what, name, self._show_like(), span=self.since(start))

    def _show_like(self) -> ShowLike | None:
        start = self.token.start
        negated = self.accept("NOT")
        word = self.accept_any("LIKE", "ILIKE")
        if not word:
            if negated:
                self.fail()
            return None
        return ShowLike(self.string(), negated, word == "ILIKE", span=self.since(start))

    def _set(self) -> Statement:
        start = self.expect("SET").start
        if self.token.kind is Kind.END or self.token.key == ";":
            return SetOption(span=self.since(start))
        return SetOption(self.property(), span=self.since(start))

    def _reset(self) -> Statement:
        start = self.expect("RESET").start
        if self.token.kind is Kind.END or self.token.key == ";":
            return ResetOption(span=self.since(start))
        return ResetOption(self._quoted("key"), span=self.since(start))

    def _use(self) -> Statement:
        start = self.expect("USE").start
        if self.accept("CATALOG"):
            return Use("CATALOG", (self.object_name(NAME, 1),), span=self.since(start))
        if self.accept("MODULES"):
            return Use("MODULES", self.comma_list(lambda: self.object_name(NAME, 1)), span=self.since(start))
        if self.token.key == "DATABASE" and self._object_follows():
            self.advance()
        return Use("DATABASE", (self.object_name(NAME, 2),), span=self.since(start))

    def _load(self) -> Statement:
        start = self.token.start
        load = self.expect_any("LOAD", "UNLOAD") == "LOAD"
        self.expect("MODULE")
        name = self.identifier()
        options = self.properties() if load and self.accept("WITH") else ()
        return Module("LOAD" if load else "UNLOAD", name, options, span=self.since(start))

    def _jar(self) -> Statement:
        start = self.token.start
        add = self.expect_any("ADD", "REMOVE") == "ADD"
        self.expect("JAR")
        return Jar("ADD" if add else "REMOVE", self.string(), span=self.since(start))

    def _stop(self) -> Statement:
        start = self.expect("STOP").start
        self.expect("JOB")
        job = self.string()
        savepoint = drain = False
        while self.accept("WITH"):
            if self.expect_any("SAVEPOINT", "DRAIN") == "SAVEPOINT":
                savepoint = True
            else:
                drain = True
        return StopJob(job, savepoint, drain, span=self.since(start))

    _STATEMENTS: dict[str, Callable[[StatementParser], Statement]] = {
        "CREATE": AlterParser.create,
        "INSERT": _insert,
        "DROP": AlterParser.drop,
        "ALTER": AlterParser.alter,
        "EXPLAIN": _explain,
        "DESCRIBE": _describe,
        "DESC": _describe,
        "SHOW": _show,
        "SET": _set,
        "RESET": _reset,
        "USE": _use,
        "BEGIN": _begin,
        "EXECUTE": _execute,
        "LOAD": _load,
        "UNLOAD": _load,
        "ADD": _jar,
        "REMOVE": _jar,
        "STOP": _stop,
        "TRUNCATE": _truncate,
        "ANALYZE": _analyze,
        "DELETE": _delete,
        "UPDATE": _update,
    }
