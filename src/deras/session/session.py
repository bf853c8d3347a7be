"""A session that owns its job: statements are planned, applied and run here."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deras.core.errors import DerasError, PlanError, SqlError
from deras.core.schema import Schema
from deras.core.types import BIGINT, STRING
from deras.runtime.job import Job
from deras.runtime.project import Project
from deras.session.result import Result, Stream, done
from deras.sql.catalog import Catalog, CatalogFunction, CatalogTable, CatalogView
from deras.sql.functions.udf import UserFunction, udf
from deras.sql.planner import Planner
from deras.sql.settings import Settings
from deras.sql.syntax import ast
from deras.sql.syntax.parser import parse_script
from deras.views.query import AdHoc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deras.core.time import Clock
    from deras.engine.dataflow import Dataflow
    from deras.runtime.flow import Attached
    from deras.runtime.targets import Changes
    from deras.sql.planned import Planned


class Session:
    """Runs SQL in this process.

    Args:
        folder: the project's folder, or None: all in memory.
        clock: the time.
        base: where relative paths of tables and Python modules start; default: the working directory.
        restore: go on with what the project ran before. False if a script is about to say what runs.

    Raises:
        ProjectBusyError: another process owns the folder.
        ExternalError: the folder cannot be used.
    """

    def __init__(
        self,
        folder: Path | str | None = None,
        *,
        clock: Clock | None = None,
        base: Path | str | None = None,
        restore: bool = True,
    ) -> None:
        self.project = None if folder is None else Project.open(folder, clock)
        self.base = Path(base) if base is not None else Path.cwd()
        self.catalog = Catalog()
        self.settings = Settings()
        self._lock = threading.RLock()
        self._statements: list[dict[str, str]] = []
        """What made the running dataflows and the catalog, in order: for the manifest."""
        self._replaying = False
        try:
            self.job = Job(clock=clock, project=self.project, base=self.base)
        except BaseException:
            if self.project is not None:
                self.project.close()
            raise
        self.job.plan = self._plan_for_manifest
        self.planner = Planner(self.catalog, self.settings, self.base)
        self.ask = AdHoc(self.job.views)
        """Ad-hoc queries over the views."""
        self._closed = False
        saved = self.job.saved_plan
        self._saved: list[dict[str, str]] = list(saved.get("statements", ())) if saved else []
        if restore:
            self.resume()

    # ---- life

    @property
    def clock(self) -> Clock:
        """The time."""
        return self.job.clock

    @property
    def folder(self) -> Path | None:
        """The project's folder."""
        return None if self.project is None else self.project.folder

    def resume(self, origins: Sequence[str] = ("script", "session")) -> list[str]:
        """Run again what the checkpoint's plan holds and is not there yet; gives sentences about what could not be."""
        notes = []
        known = {s["sql"] for s in self._statements}
        again = [s for s in self._saved if s["sql"] not in known and s.get("origin", "session") in origins]
        self._replaying = True
        try:
            for s in again:
                try:
                    self._run_script(s["sql"], origin=s.get("origin", "session"))
                except DerasError as e:
                    first = s["sql"].strip().splitlines()[0][:80]
                    notes.append(f"could not resume '{first}': {e.message}")
        finally:
            self._replaying = False
            self._saved = []
        self.job.notes.extend(notes)
        return notes

    def close(self, *, drain: bool = True) -> None:
        """End: read no more, make a last checkpoint, free everything. Twice is fine."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        try:
            self.job.stop(drain=drain)
            self.ask.close()
        finally:
            if self.project is not None:
                self.project.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def __del__(self) -> None:
        # A forgotten session must not keep threads and locks; there is nobody to tell of an error.
        if not getattr(self, "_closed", True):
            with contextlib.suppress(Exception):
                self.close(drain=False)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until everything that runs has ended; tells whether it has. Raises the job's error."""
        return self.job.wait(timeout)

    # ---- SQL

    def sql(self, text: str, *, origin: str = "session") -> Result:
        """Run a script; gives the result of its last statement.

        Dataflows of one script (INSERT, CREATE MATERIALIZED VIEW) begin together and share their tables.

        Raises:
            SqlError: wrong SQL, with the place. Statements before it are in effect.
        """
        with self._lock:
            if self._closed:
                raise PlanError("the session is closed", hint="deras.connect() opens another one.")
            return self._run_script(text, origin=origin)

    def run(self, script: Path | str) -> Result:
        """Run a script file, after all of it was found right: nothing happens if one statement is wrong."""
        path = Path(script)
        text = read_script(path)
        self.check(text)
        return self.sql(text, origin="script")

    def check(self, text: str) -> None:
        """Parse and plan a whole script against a copy of the catalog; nothing is changed or run.

        Raises:
            SqlError: the first wrong statement.
        """
        errors = self.check_all(text)
        if errors:
            raise errors[0]

    def check_all(self, text: str) -> list[DerasError]:
        """All errors of a script: one per wrong statement."""
        import copy

        with self._lock:
            catalog = copy.deepcopy(self.catalog)
            settings = self.settings.copy()
        planner = Planner(catalog, settings, self.base)
        errors: list[DerasError] = []
        try:
            statements = parse_script(text)
        except SqlError as e:
            return [e]
        for statement in statements:
            if isinstance(statement, ast.StopJob):
                continue
            try:
                planner.plan(statement, text).apply()
            except DerasError as e:
                errors.append(e)
        return errors

    def explain(self, text: str) -> str:
        """The plan of a query, INSERT or CREATE MATERIALIZED VIEW; of a script: of each of them."""
        import copy

        with self._lock:
            planner = Planner(copy.deepcopy(self.catalog), self.settings.copy(), self.base)
        found = []
        for statement in parse_script(text):
            if isinstance(
                statement, (ast.QueryStatement, ast.Insert, ast.StatementSet, ast.CreateMaterializedView)
            ):
                found.append(planner.explain(statement, text))
            if not isinstance(statement, ast.QueryStatement):
                planned = planner.plan(statement, text)
                if planned.kind == "rows" and planned.action == "explain":
                    found.append(str(planned.rows[0][0]))
                planned.apply()
        return "\n\n".join(found)

    def table(self, name: str) -> Result:
        """All rows of a table or view: ``SELECT * FROM name``."""
        return self.sql("SELECT * FROM " + ".".join(f"`{p.replace('`', '``')}`" for p in name.split(".")))

    def register(self, function: Callable[..., Any] | UserFunction, name: str | None = None) -> UserFunction:
        """Make a Python function known to SQL under its name (or another one)."""
        made: UserFunction = function if isinstance(function, UserFunction) else udf(function)
        if name:
            made = made.named(name)
        with self._lock:
            self.catalog.add_function(CatalogFunction(made.name, udf=made, temporary=True), replace=True)
        return made

    def execute(self, statement: ast.Statement, text: str, origin: str = "session") -> Result:
        """Run one parsed statement; ``text`` is the script of its spans."""
        with self._lock:
            waiting: list[tuple[Planned, str]] = []
            result = self._statement(statement, text, origin, waiting)
            self._begin(waiting)
            return result

    # ---- statements

    def _run_script(self, text: str, origin: str) -> Result:
        waiting: list[tuple[Planned, str]] = []
        result = done()
        statements = parse_script(text)
        try:
            for statement in statements:
                result = self._statement(statement, text, origin, waiting)
        finally:
            self._begin(waiting)
        return result

    def _statement(
        self, statement: ast.Statement, text: str, origin: str, waiting: list[tuple[Planned, str]]
    ) -> Result:
        source = text[statement.span.start : statement.span.end]
        if isinstance(statement, ast.QueryStatement):
            self._begin(waiting)
            return self._query(statement, text, source)
        planned = self.planner.plan(statement, text)
        match planned.kind:
            case "rows":
                assert planned.schema is not None  # noqa: S101
                return Result(planned.schema, rows=planned.rows, warnings=planned.warnings)
            case "set":
                planned.apply()
                self.job.configure(self.settings.texts)
                return done(planned.message or "OK", planned.warnings)
            case "session":
                self._begin(waiting)
                return self._about_jobs(planned)
            case "dataflows":
                planned.apply()
                waiting.append((planned, source))
                self._remember(source, origin)
                name = planned.name or planned.action
                return done(planned.message or f"{planned.action} {name} is running", planned.warnings)
            case _:
                self._begin(waiting)
                if planned.action == "drop materialized view" and planned.view is not None:
                    self._detach_view(planned.view.name)
                planned.apply()
                if planned.action.startswith("drop"):
                    self._forget(planned.name)
                else:
                    self._remember(source, origin)
                return done(planned.message or "OK", planned.warnings)

    def _begin(self, waiting: list[tuple[Planned, str]]) -> None:
        """Attach what was planned, together."""
        if not waiting:
            return
        flows: list[Dataflow] = [f for planned, _ in waiting for f in planned.dataflows]
        made = list(waiting)
        waiting.clear()
        try:
            self.job.attach_all(flows)
        except BaseException:
            for planned, source in made:
                if planned.view is not None:
                    self.catalog.remove((planned.view.name,))
                self._statements = [s for s in self._statements if s["sql"] != source]
            raise
        self.job.start()

    # ---- queries

    def _query(self, statement: ast.QueryStatement, text: str, source: str) -> Result:
        if self._reads_only_views(statement):
            table = self.ask.query(_double_quoted(source))
            return Result(_schema_of(table), table=table)
        planned = self.planner.plan(statement, text)
        (flow,) = planned.dataflows
        target = flow.target
        stream = Stream(patient=self.project is None and not self.job.flows)

        def take(c: Changes) -> None:
            stream.put(c.delta, ended=c.ended, error=c.error)

        attached: Attached = self.job.attach(flow, take)

        def stop() -> None:
            # From whatever thread the reader or the garbage collector is on: never wait for the job there.
            threading.Thread(target=self._detach, args=(attached.id,), daemon=True).start()

        stream.on_close = stop
        self.job.start()
        bounded = flow.limit is not None or self._bounded(attached)
        return Result(
            target.schema,
            stream=stream,
            key=target.identity,
            bounded=bounded,
            final=self.settings.batch,
            warnings=planned.warnings,
        )

    def _detach(self, id_: int) -> None:
        with contextlib.suppress(DerasError):
            self.job.detach(id_)

    @staticmethod
    def _bounded(attached: Attached) -> bool:
        return all(s.source is None or s.source.bounded for s in attached.sources)

    def _reads_only_views(self, statement: ast.QueryStatement) -> bool:
        """Whether a query asks materialized views (or system views) only: then it is answered from their rows now."""
        local = {c.name.name for n in statement.walk() if isinstance(n, ast.Query) for c in n.ctes}
        found = False
        for node in statement.walk():
            if isinstance(node, ast.TableRef):
                names = node.name.names
                if len(names) == 1 and names[0] in local:
                    continue
                relation = self.catalog.find(names)
                if isinstance(relation, (CatalogTable, CatalogView)):
                    return False
                if relation is None and names[-1] not in self.job.views:
                    return False
                found = True
            elif isinstance(node, ast.TableArgument):
                return False
        return found

    # ---- the rest

    def _about_jobs(self, planned: Planned) -> Result:
        if planned.action == "stop job":
            try:
                self.job.detach(int(planned.name))
            except ValueError:
                raise PlanError(f"there is no job '{planned.name}'", hint="SHOW JOBS lists them.") from None
            return done(f"job {planned.name} stopped")
        schema = Schema.of(id=BIGINT, kind=STRING, name=STRING, state=STRING, rows=BIGINT)
        rows = [(f["id"], f["kind"], f["name"], f["state"], f["rows"]) for f in (a.facts() for a in self.job.flows)]
        return Result(schema, rows=rows)

    def _detach_view(self, name: str) -> None:
        flow = self.job.flow(name)
        if flow is not None:
            self.job.detach(flow.id)

    def _remember(self, source: str, origin: str) -> None:
        self._statements.append({"sql": source, "origin": origin})

    def _forget(self, name: str) -> None:
        """Drop from the plan what made a name that is gone."""

        def makes(sql: str) -> bool:
            try:
                statement = parse_script(sql)[0]
            except (SqlError, IndexError):
                return False
            made = getattr(statement, "name", None)
            return type(statement).__name__.startswith("Create") and getattr(made, "names", ("",))[-1] == name

        self._statements = [s for s in self._statements if not makes(s["sql"])]

    def _plan_for_manifest(self) -> dict[str, Any]:
        return {"version": 1, "statements": list(self._statements), "settings": dict(self.settings.texts)}


def _schema_of(table: Any) -> Schema:
    import polars as pl

    from deras.core.schema import Field
    from deras.core.types import from_polars

    frame = pl.from_arrow(table.slice(0, 0))
    series = frame.get_columns() if isinstance(frame, pl.DataFrame) else [frame]
    return Schema(tuple(Field(n, from_polars(s.dtype)) for n, s in zip(table.column_names, series, strict=True)))


def _double_quoted(sql: str) -> str:
    """The same text with backtick names in double quotes, as the engine for questions to views wants them."""
    from deras.sql.syntax.lexer import tokenize

    found, at = [], 0
    for token in tokenize(sql):
        raw = sql[token.start : token.end]
        if raw.startswith("`") and raw.endswith("`"):
            name = raw[1:-1].replace("``", "`").replace('"', '""')
            found += [sql[at : token.start], f'"{name}"']
            at = token.end
    return "".join(found) + sql[at:]


def read_script(path: Path) -> str:
    """The text of a script file; ``ConfigError`` in a sentence if it cannot be read."""
    from deras.core.errors import ConfigError

    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"there is no file '{path}'") from None
    except IsADirectoryError:
        raise ConfigError(f"'{path}' is a folder", hint="Give the path of a .sql file.") from None
    except UnicodeDecodeError as e:
        raise ConfigError(f"'{path}' is not UTF-8 text (byte {e.start})", hint="Save it as UTF-8.") from None
    except OSError as e:
        raise ConfigError(f"cannot read '{path}': {e.strerror}") from None
    return text
