"""Ad-hoc SELECT over views: DuckDB reads immutable snapshots in place; nothing is written and no file is opened."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

from deras.core.errors import DerasError, SqlError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb
    import pyarrow as pa

    from deras.views.registry import Views


class QueryError(SqlError):
    """The query is wrong; the message is DuckDB's."""

    code = "query"


class QueryCancelledError(DerasError):
    """The query took too long or was cancelled."""

    code = "cancelled"


class AdHoc:
    """Asks views in SQL (DuckDB's dialect, near to PostgreSQL's).

    All views that a query names are taken as of one moment between two steps. Every query has a connection of its own,
    so they run beside each other; none can write, open files, load extensions or change settings.

    Args:
        views: what can be asked.
        memory: most memory of all queries together, as DuckDB writes it.
        threads: threads of DuckDB; default: the cores.
    """

    def __init__(self, views: Views, memory: str = "2GB", threads: int | None = None) -> None:
        self._views = views
        self._lock = threading.Lock()
        self._database: duckdb.DuckDBPyConnection | None = None
        self._config: dict[str, Any] = {"memory_limit": memory, "temp_directory": ""}
        if threads is not None:
            self._config["threads"] = threads

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._database is None:
                import duckdb  # with the first question: many sessions never ask one

                made = duckdb.connect(":memory:", config=self._config)
                made.execute("SET GLOBAL TimeZone = 'UTC'")
                made.execute("SET python_enable_replacements = false")
                made.execute("SET enable_external_access = false")
                made.execute("SET lock_configuration = true")
                self._database = made
            return self._database.cursor()

    def query(
        self,
        sql: str,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        timeout: float | None = 30.0,
        cancel: threading.Event | None = None,
    ) -> pa.Table:
        """Run one SELECT.

        Args:
            sql: the text; ``?`` or ``$name`` stand for parameters.
            params: their values.
            timeout: seconds after which it is cancelled; None: never.
            cancel: set by another thread to cancel it.

        Raises:
            QueryError: wrong SQL, or not one SELECT.
            QueryCancelledError: too long, or cancelled.
        """
        cursor = self._cursor()
        try:
            self._check(cursor, sql)
            self._register(cursor, sql)
            return self._run(cursor, sql, params, timeout, cancel)
        finally:
            cursor.close()

    def tables(self, sql: str) -> list[str]:
        """The views that a query reads."""
        import duckdb

        try:
            names = duckdb.get_table_names(sql)
        except duckdb.Error:
            # Parameters cannot be parsed there: every view whose name occurs in the text, at worst one too many.
            return [n for n in self._views if n.lower() in sql.lower()]
        folded = {n.lower(): n for n in self._views}
        return sorted({n if n in self._views else folded.get(n.lower(), n) for n in names})

    def _check(self, cursor: duckdb.DuckDBPyConnection, sql: str) -> None:
        import duckdb

        try:
            statements = cursor.extract_statements(sql)
        except duckdb.Error as e:
            raise _error(e) from None
        if len(statements) != 1:
            raise QueryError("one SELECT is expected", text=sql, hint="Send one statement at a time.")
        if statements[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
            hint = "Views are read-only here; run pipelines with 'deras sql' or session.sql()."
            raise QueryError("only SELECT can be run on views", text=sql, hint=hint)

    def _register(self, cursor: duckdb.DuckDBPyConnection, sql: str) -> None:
        names = [n for n in self.tables(sql) if n in self._views]
        for name, snapshot in self._views.snapshots(names).items():
            scan = getattr(snapshot, "dataset", None)
            cursor.register(name, snapshot.arrow() if scan is None else scan())

    def _run(
        self, cursor: duckdb.DuckDBPyConnection, sql: str, params: Any, timeout: float | None, cancel: Any
    ) -> pa.Table:
        import duckdb

        done = threading.Event()
        why: list[str] = []

        def watch() -> None:
            left = timeout
            while not done.is_set() and (left is None or left > 0):
                step = min(0.05, left) if left is not None else 0.05
                done.wait(step if cancel is not None else left)
                if cancel is not None and cancel.is_set():
                    why.append("the query was cancelled")
                    break
                left = None if left is None else left - (step if cancel is not None else left)
            if not done.is_set():
                if not why:
                    why.append(f"the query took longer than {timeout:g} s")
                cursor.interrupt()

        watcher = None
        if timeout is not None or cancel is not None:
            watcher = threading.Thread(target=watch, name="deras-query-watch", daemon=True)
            watcher.start()
        try:
            relation = cursor.sql(sql, params=params) if params else cursor.sql(sql)
            return relation.to_arrow_table()
        except duckdb.InterruptException:
            hint = "Ask for fewer rows, or allow more time."
            raise QueryCancelledError(why[0] if why else "the query was cancelled", hint=hint) from None
        except duckdb.Error as e:
            raise _error(e, self._views) from None
        finally:
            done.set()
            if watcher is not None:
                watcher.join()

    def close(self) -> None:
        """Free the database. Twice is fine."""
        with self._lock:
            database, self._database = self._database, None
        if database is not None:
            database.close()


_KIND = re.compile(r"^[A-Z][A-Za-z ]*Error: ")
_ABSENT = re.compile(r"Table with name (\S+) does not exist")


def _error(e: duckdb.Error, views: Views | None = None) -> QueryError:
    text = str(e)
    first, _, rest = text.partition("\n")
    message = _KIND.sub("", first).rstrip("!. ")
    message = message[:1].lower() + message[1:]
    hint = ""
    absent = _ABSENT.search(first)
    if absent is not None:
        name = absent[1].strip('"')
        known = [] if views is None else list(views)
        message = f"there is no view '{name}'"
        hint = did_you_mean(name, known) or (f"There are: {', '.join(known)}." if known else "")
        rest = ""
    lines = [x for x in rest.splitlines() if x.strip() and not x.startswith("Did you mean")]
    found = re.search(r"^Did you mean (.*)$", rest, re.MULTILINE)
    if not hint and found:
        hint = found[0].strip()
    return QueryError(message, text="", detail="\n".join(lines), hint=hint)
