"""A session that owns its job: statements are planned, applied and run here."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deras.core.errors import DerasError, PlanError, SqlError
from deras.core.schema import Schema
from deras.core.types import BIGINT, STRING
from deras.runtime.job import Job
from deras.runtime.project import Project
from deras.session.result import Result, Stream, done
from deras.session.scripts import script_text
from deras.sql.catalog import Catalog, CatalogFunction, CatalogTable, CatalogView
from deras.sql.functions.udf import declared
from deras.sql.planner import Planner
from deras.sql.settings import Settings
from deras.sql.syntax import ast
from deras.sql.syntax.parser import parse_script
from deras.views.query import AdHoc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from deras.core.time import Clock
    from deras.engine.dataflow import Dataflow
    from deras.runtime.flow import Attached
    from deras.runtime.targets import Changes
    from deras.session.attach import Door
    from deras.sql.functions.udf import AnyFunction
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
        self._saved_settings: dict[str, str] = dict(saved.get("settings", {})) if saved else {}
        self._owner = self
        self._door: Door | None = None
        self._asking: threading.Event | None = None
        self.on_stop: Callable[[], None] | None = None
        """Called when an attached process asks the owner to end."""
        if restore:
            self.resume()

    attached = False
    """Whether another process owns the project."""

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
        notes: list[str] = []
        known = {s["sql"] for s in self._statements}
        again = [s for s in self._saved if s["sql"] not in known and s.get("origin", "session") in origins]
        for key, value in self._saved_settings.items():
            if key not in self.settings.texts:
                with contextlib.suppress(DerasError):
                    self.settings.set(key, value)
        self._configure(self.settings.texts)
        waiting: list[tuple[Planned, str]] = []
        for s in again:
            try:
                for statement in parse_script(s["sql"]):
                    self._statement(statement, s["sql"], s.get("origin", "session"), waiting)
            except DerasError as e:
                notes.append(_not_resumed(s["sql"], e))
        try:
            self._begin(list(waiting))  # together, so that they share their tables as before
        except DerasError:
            for one in waiting:
                try:
                    self._again(one)
                except DerasError as e:
                    notes.append(_not_resumed(one[1], e))
        self._saved = []
        self.job.notes.extend(notes)
        return notes

    def _again(self, one: tuple[Planned, str]) -> None:
        planned, source = one
        planned.apply()
        self._statements.append({"sql": source, "origin": "session"})
        self._begin([one])

    def listen(self) -> None:
        """Let other processes attach to this project; twice is fine. Nothing happens without a folder."""
        from deras.session.attach import Door

        if self.project is not None and self._door is None:
            door = Door(self, lambda: None if self.on_stop is None else self.on_stop())
            door.open(self.project)
            self._door = door

    def guest(self) -> Session:
        """A session of an attached process: same job and catalog, own settings. Its ``close`` does nothing."""
        other = object.__new__(Session)
        other.__dict__.update(self.__dict__)
        other.settings = self.settings.copy()
        other.planner = Planner(self.catalog, other.settings, self.base)
        other._door = None
        other._asking = None
        return other

    def close(self, *, drain: bool = True) -> None:
        """End: read no more, make a last checkpoint, free everything. Twice is fine."""
        if self._owner is not self:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._door is not None:
            self._door.close()
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
        if getattr(self, "_owner", None) is self and not self._closed:
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
        return self._run_script(text, origin=origin)

    def run(self, script: Path | str) -> Result:
        """Run a script (its path or text) after all of it was found right: one wrong statement, and nothing happens."""
        text = script_text(script)
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

    def check_flink(self, text: str) -> list[DerasError]:
        """What Deras runs, and Apache Flink would refuse while planning: at most one per statement."""
        import copy

        with self._lock:
            planner = Planner(copy.deepcopy(self.catalog), self.settings.copy(), self.base)
        found: list[DerasError] = []
        for statement in parse_script(text):
            if isinstance(statement, ast.StopJob):
                continue
            strict = Planner(planner.catalog, planner.settings.copy(), self.base)
            strict.settings.set("deras.strict-flink", "true")
            refusal: DerasError | None = None
            try:
                strict.plan(statement, text)
            except DerasError as e:
                refusal = e
            try:
                planned = planner.plan(statement, text)
            except DerasError:
                continue
            if refusal is not None:
                found.append(refusal)
            planned.apply()
        return found

    def explain(self, text: str) -> str:
        """The plan of a query, INSERT or CREATE MATERIALIZED VIEW; of a script: of each of them."""
        import copy

        with self._lock:
            planner = Planner(copy.deepcopy(self.catalog), self.settings.copy(), self.base)
        found = []
        for statement in parse_script(text):
            if isinstance(statement, (ast.QueryStatement, ast.Insert, ast.StatementSet, ast.CreateMaterializedView)):
                found.append(planner.explain(statement, text))
            if not isinstance(statement, ast.QueryStatement):
                planned = planner.plan(statement, text)
                if planned.kind == "rows" and planned.action == "explain":
                    found.append(str(planned.rows[0][0]))
                planned.apply()
        return "\n\n".join(found)

    def table(self, name: str) -> Result:
        """All rows of a table or view: ``SELECT * FROM name``."""
        from deras.session.remote import quoted

        return self.sql("TABLE " + quoted(name))

    def register(self, function: Callable[..., Any] | AnyFunction, name: str | None = None) -> AnyFunction:
        """Make a Python function known to SQL under its name (or another one)."""
        made = declared(function)
        if name:
            made = made.named(name)
        with self._lock:
            self.catalog.add_function(CatalogFunction(made.name, udf=made, temporary=True), replace=True)
        return made

    # ---- about it

    @property
    def zone(self) -> str:
        """The session's time zone by name."""
        return self.settings.zone

    def names(self) -> dict[str, Any]:
        """Tables and views with their columns, and functions: for completion."""
        from deras.sql.functions.aggregates import NAMES
        from deras.sql.functions.registry import functions

        with self._lock:
            tables = {r.name: r.schema.names for r in self.catalog.relations()}
            own = [f.name for f in self.catalog.functions()]
        tables |= {n: v.schema.names for n, v in self.job.views.items() if v.system}
        return {"tables": tables, "functions": sorted({*functions(), *NAMES, *own})}

    def status(self) -> dict[str, Any]:
        """Everything about the running job, as JSON."""
        return self.job.status()

    def checkpoint(self) -> int:
        """Make a checkpoint now; gives its epoch."""
        return self.job.checkpoint()

    def cancel(self) -> None:
        """Stop the question to views that another thread waits for; harmless if there is none."""
        asking = self._asking
        if asking is not None:
            asking.set()

    # ---- statements

    def _run_script(self, text: str, origin: str) -> Result:
        waiting: list[tuple[Planned, str]] = []
        result = done()
        statements = parse_script(text)
        if not statements:
            raise PlanError("there is no statement in the text", hint="Write one, for example SHOW TABLES.")
        with self._lock:
            if self._closed:
                raise PlanError("the session is closed", hint="deras.connect() opens another one.")
        for statement in statements:
            if isinstance(statement, ast.QueryStatement) and self._reads_only_views(statement):
                with self._lock:
                    self._begin(waiting)
                result = self._ask(text[statement.span.start : statement.span.end])
                continue
            with self._lock:
                try:
                    result = self._statement(statement, text, origin, waiting)
                except BaseException:
                    self._begin(waiting)
                    raise
        with self._lock:
            self._begin(waiting)
        return result

    def _ask(self, source: str) -> Result:
        """Ask views, without the lock: others go on meanwhile."""
        self._asking = cancel = threading.Event()
        try:
            table = self.ask.query(_double_quoted(source), timeout=None, cancel=cancel)
        finally:
            self._asking = None
        shown = {f.name: f for v in self.job.views.values() for f in v.schema if f.type.is_timestamp}
        # The engine for questions knows no precision: a view's column keeps its own.
        fields = [
            replace(f, type=shown[f.name].type) if f.name in shown and shown[f.name].type.kind is f.type.kind else f
            for f in _schema_of(table)
        ]
        return Result(Schema(tuple(fields)), table=table)

    def _statement(
        self, statement: ast.Statement, text: str, origin: str, waiting: list[tuple[Planned, str]]
    ) -> Result:
        source = text[statement.span.start : statement.span.end]
        if isinstance(statement, ast.QueryStatement):
            self._begin(waiting)
            return self._query(statement, text)
        planned = self.planner.plan(statement, text)
        match planned.kind:
            case "rows":
                assert planned.schema is not None  # noqa: S101
                return Result(planned.schema, rows=planned.rows, warnings=planned.warnings)
            case "set":
                planned.apply()
                self._configure({k: t for k, t in self.settings.texts.items() if k == planned.name})
                return done(planned.message or "OK", planned.warnings)
            case "session":
                self._begin(waiting)
                return self._about_jobs(planned)
            case "dataflows":
                planned.apply()
                waiting.append((planned, source))
                self._remember(source, origin, planned)
                name = planned.name or planned.action
                return done(planned.message or f"{planned.action} {name} is running", planned.warnings)
            case _:
                if planned.action.startswith("drop"):
                    self._begin(waiting)
                if planned.action == "drop materialized view" and planned.view is not None:
                    self._detach_view(planned.view.name)
                planned.apply()
                if planned.action.startswith("drop"):
                    self._forget(planned)
                else:
                    self._remember(source, origin, planned)
                return done(planned.message or "OK", planned.warnings)

    def _configure(self, texts: Mapping[str, str]) -> None:
        # What failing rows do also depends on strict-flink, and changes with RESET.
        self.job.configure({**texts, "deras.on-error": self.settings.on_error})

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
                self._statements[:] = [s for s in self._statements if s["sql"] != source]
            raise
        self.job.start()

    # ---- queries

    def _query(self, statement: ast.QueryStatement, text: str) -> Result:
        planned = self.planner.plan(statement, text)
        (flow,) = planned.dataflows
        target = flow.target
        stream = Stream(patient=self.project is None and not self.job.flows)

        def take(c: Changes) -> None:
            stream.put(c.delta, ended=c.ended, error=c.error)
            if c.ended and not self._closed:
                stop()

        def stop() -> None:
            # From whatever thread the job, the reader or the garbage collector is on: never wait for the job there.
            threading.Thread(target=self._detach, args=(flow,), name="deras-detach", daemon=True).start()

        attached: Attached = self.job.attach(flow, take)
        stream.on_close = stop
        self.job.start()
        bounded = flow.limit is not None or self._bounded(attached)
        return Result(
            target.schema,
            stream=stream,
            key=target.identity,
            bounded=bounded,
            final=self.settings.batch,
            append_only=flow.append_only,
            warnings=planned.warnings,
        )

    def _detach(self, flow: Dataflow) -> None:
        for attached in self.job.flows:
            if attached.dataflow is flow:
                with contextlib.suppress(DerasError):
                    self.job.detach(attached.id)

    @staticmethod
    def _bounded(attached: Attached) -> bool:
        return all(s.source.bounded for s in attached.sources)

    def _reads_only_views(self, statement: ast.QueryStatement) -> bool:
        """Whether a query asks materialized views (or system views) only: then it is answered from their rows now."""
        local = {c.name.name for n in statement.walk() if isinstance(n, ast.Query) for c in n.ctes}
        found = False
        for node in statement.walk():
            if isinstance(node, (ast.TableRef, ast.TableBody)):
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

    def _remember(self, source: str, origin: str, planned: Planned) -> None:
        if planned.renamed:
            for s in self._statements:
                if s.get("object") == planned.renamed:
                    s["object"] = planned.object
        self._statements.append({"sql": source, "origin": origin, "object": planned.object})

    def _forget(self, planned: Planned) -> None:
        """Drop from the plan what made or changed an object that is gone, and all that was in it."""
        gone, name = planned.object, planned.name

        def concerns(s: dict[str, str]) -> bool:
            if s.get("object") and gone:
                return s["object"] == gone or s["object"].startswith(f"{gone}.")
            try:
                statement = parse_script(s["sql"])[0]
            except (SqlError, IndexError):
                return False
            made = getattr(statement, "name", None)
            names = getattr(made, "names", None) or (getattr(made, "name", ""),)
            return type(statement).__name__.startswith("Create") and names[-1] == name

        self._statements[:] = [s for s in self._statements if not concerns(s)]

    def _plan_for_manifest(self) -> dict[str, Any]:
        return {"version": 1, "statements": list(self._statements), "settings": dict(self.settings.texts)}


def _schema_of(table: Any) -> Schema:
    import polars as pl

    from deras.core.schema import Field
    from deras.core.types import from_polars

    frame = pl.from_arrow(table.slice(0, 0))
    series = frame.get_columns() if isinstance(frame, pl.DataFrame) else [frame]
    return Schema(tuple(Field(n, from_polars(s.dtype)) for n, s in zip(table.column_names, series, strict=True)))


def _not_resumed(sql: str, e: DerasError) -> str:
    return f"could not resume '{sql.strip().splitlines()[0][:80]}': {e.message}"


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
