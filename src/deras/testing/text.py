"""Tests as texts: SQL beside drawn rows and what comes out of it, row by row; run four ways that must agree.

A file is a list of blocks; each begins with a line that starts with one of the words below, at the start of the file
or after an empty line or a comment. ``#`` at the start of a line begins a comment.

``ddl``
    Statements that later blocks build on (CREATE TABLE, CREATE VIEW, CREATE FUNCTION, SET …).
``input <table>``
    Rows that arrive, in order: cells between commas, ``NULL``, ``'quoted'`` where a text has commas. ``@ time`` sets
    the processing time. Rows of a table that gives changes (``'connector' = 'values', 'changelog-mode' = 'I,UB,UA,D'``)
    begin with ``+I``, ``-U``, ``+U`` or ``-D``; a ``-U`` arrives together with the ``+U`` behind it.
    Several input blocks follow one another; the first one after a query begins anew.
``query [title]``
    A query (or INSERT, a statement set, CREATE MATERIALIZED VIEW …; several statements if need be) and, below
    ``----``, its changelog at one row a step as Flink prints it. ``---- folded`` is the table that is left, where rows
    were taken back, ``---- rejected`` what left the flow: reason, message, row. With several targets each has its
    ``---- target name``. ``[steps]`` at the end of the title: the result depends on the steps (processing time, values
    in between that fail): every way takes one row a step. ``[folded]``: which changes there are depends on what is not
    in our hands (answers that are waited for): only the table that is left is written.
``error [title]``
    A statement and, below ``----``, the message that a user reads.
``reset``
    Forget everything.

With ``DERAS_BLESS=1`` the parts below ``----`` are rewritten; the diff is the review.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import re
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deras.core.delta import Delta
from deras.core.errors import DerasError
from deras.core.types import Kind, SqlType
from deras.sql.catalog import Catalog
from deras.sql.planner import Planner
from deras.sql.settings import Settings
from deras.sql.syntax.parser import parse_script
from deras.testing.engine import _alike, _difference
from deras.testing.stage import Saved, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deras.engine.dataflow import Dataflow

_HEAD = re.compile(r"(ddl|input|query|error|reset)\b[ \t]*(.*)")
_NOW = 1_700_000_000_000


@dataclass(slots=True)
class Block:
    """A block of a file.

    Args:
        kind: ``ddl``, ``input``, ``query``, ``error`` or ``reset``.
        title: the rest of its first line.
        line: of its first line, from 1.
        body: the text above ``----``.
        expected: the lines from ``----`` on, comments and empty lines at the end left out.
        span: first and last line (exclusive, from 0) of ``expected``.
    """

    kind: str
    title: str
    line: int
    body: str
    expected: list[str]
    span: tuple[int, int]

    @property
    def steps_only(self) -> bool:
        """Whether the result depends on the steps."""
        return self.title.endswith("[steps]")

    @property
    def folded_only(self) -> bool:
        """Whether only the table that is left is told."""
        return self.title.endswith("[folded]")


@dataclass(slots=True)
class Arrival:
    """One thing that happens: a row of a table, or the processing time set."""

    table: str = ""
    cells: list[str | None] = field(default_factory=list)
    now: int | None = None
    kind: str = ""


@dataclass(slots=True)
class Case:
    """A query or error block with everything that it builds on."""

    path: Path
    block: Block
    ddl: str
    arrivals: list[Arrival]

    @property
    def id(self) -> str:
        """For pytest."""
        title = re.sub(r"[^\w]+", "-", self.block.title.removesuffix("[steps]").removesuffix("[folded]")).strip("-")
        return f"{self.path.stem}:{self.block.line}{'-' + title if title else ''}"


# ---- reading files


def blocks(text: str) -> list[Block]:
    """The blocks of a file."""
    lines = text.splitlines()
    heads = [i for i, t in enumerate(lines) if _HEAD.match(t) and (i == 0 or lines[i - 1][:1] in ("", "#"))]
    found = []
    for at, begin in enumerate(heads):
        end = heads[at + 1] if at + 1 < len(heads) else len(lines)
        while end > begin + 1 and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
            end -= 1
        head = _HEAD.match(lines[begin])
        assert head is not None  # noqa: S101
        cut = next((i for i in range(begin + 1, end) if lines[i].startswith("----")), end)
        body = "\n".join(t for t in lines[begin + 1 : cut] if not t.startswith("#"))
        found.append(Block(head[1], head[2].strip(), begin + 1, body.strip("\n"), lines[cut:end], (cut, end)))
    return found


def cases(path: Path) -> Iterator[Case]:
    """All query and error blocks of a file."""
    ddl: list[str] = []
    arrivals: list[Arrival] = []
    used = False
    for block in blocks(path.read_text()):
        match block.kind:
            case "reset":
                ddl, arrivals, used = [], [], False
            case "ddl":
                ddl.append(block.body.rstrip().rstrip(";") + ";")
            case "input":
                if used:
                    arrivals, used = [], False
                arrivals = arrivals + list(_arrivals(block))
            case _:
                used = True
                yield Case(path, block, "\n".join(ddl), arrivals)


def _arrivals(block: Block) -> Iterator[Arrival]:
    for line in block.body.splitlines():
        if line.startswith("@"):
            moment = dt.datetime.fromisoformat(line[1:].strip()).replace(tzinfo=dt.UTC)
            yield Arrival(now=round(moment.timestamp() * 1000))
        elif line.strip():
            kind = re.match(r"(\+I|-U|\+U|-D)\s+", line)
            yield Arrival(block.title, _cells(line[kind.end() :] if kind else line), kind=kind[1] if kind else "")


def _cells(line: str) -> list[str | None]:
    found: list[str | None] = []
    for quoted, plain in re.findall(r"\s*(?:'((?:[^']|'')*)'|([^,]*?))\s*(?:,|$)", line + ("" if line else " ")):
        found.append(None if plain == "NULL" else plain or quoted.replace("''", "'"))
    # The pattern also matches the empty end of a line.
    return found[:-1] if not line.rstrip().endswith(",") else found


def value(text: str | None, t: SqlType) -> Any:
    """A drawn cell as a Python value of a SQL type."""
    if text is None:
        return None
    match t.kind:
        case Kind.BOOLEAN:
            return {"true": True, "false": False}[text.lower()]
        case Kind.FLOAT | Kind.DOUBLE:
            return float(text)
        case Kind.DECIMAL:
            return Decimal(text)
        case Kind.TIMESTAMP:
            return dt.datetime.fromisoformat(text)
        case Kind.TIMESTAMP_LTZ:
            return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
        case Kind.DATE:
            return dt.date.fromisoformat(text)
        case Kind.TIME:
            return dt.time.fromisoformat(text)
        case Kind.BINARY | Kind.VARBINARY:
            return bytes.fromhex(text)
        case Kind.ARRAY | Kind.MAP | Kind.ROW | Kind.MULTISET:
            return json.loads(text)
        case Kind.CHAR | Kind.VARCHAR:
            return text
        case _:
            return int(text)


# ---- planning


class Script:
    """The statements of a case, planned against a new catalog."""

    def __init__(self, case: Case) -> None:
        self.folder = case.path.parent
        self.catalog = Catalog()
        self.settings = Settings({"table.local-time-zone": "UTC"})
        self.planner = Planner(self.catalog, self.settings, self.folder)
        self.flows: list[Dataflow] = []
        self.run(case.ddl)

    def run(self, text: str) -> None:
        """Plan and apply statements; dataflows are collected."""
        for statement in parse_script(text):
            planned = self.planner.plan(statement, text)
            planned.apply()
            self.flows.extend(planned.dataflows)


# ---- running


@dataclass(slots=True)
class _Event:
    """A row by source table (or an update's two), or constant rows by node, or the time set."""

    table: str = ""
    rows: list[tuple[int, tuple[Any, ...]]] = field(default_factory=list)
    node: str = ""
    delta: Delta | None = None
    now: int | None = None


class Runner:
    """Runs a case's statements in the ways there are."""

    def __init__(self, case: Case) -> None:
        self.case = case
        stage = self.stage()
        schemas = {s.table: s.schema for s in stage.specs.values()}
        self.events: list[_Event] = []
        for node, delta in stage.constants():
            self.events += [_Event(node=node, delta=delta.slice(i, i + 1)) for i in range(delta.length)]
        for a, before in zip(case.arrivals, ["", *(a.kind for a in case.arrivals)], strict=False):
            if a.now is not None:
                self.events.append(_Event(now=a.now))
            elif a.table in schemas:
                schema = schemas[a.table]
                if len(a.cells) != len(schema):
                    raise ValueError(
                        f"{case.path.name}: a row of '{a.table}' has {len(a.cells)} cells for {schema.names}"
                    )
                row = tuple(value(c, f.type) for c, f in zip(a.cells, schema, strict=True))
                if a.kind == "+U" and before == "-U" and self.events[-1].table == a.table:
                    self.events[-1].rows.append((1, row))
                else:
                    self.events.append(_Event(a.table, [(-1 if a.kind in ("-U", "-D") else 1, row)]))
            elif a.table not in self.tables:
                raise ValueError(f"{case.path.name}: there is no table '{a.table}'")

    def stage(self) -> Stage:
        """The statements, planned and put into a graph once more."""
        script = Script(self.case)
        script.run(self.case.block.body)
        self.tables = {r.name for r in script.catalog.relations()}
        if not script.flows:
            raise ValueError(f"{self.case.id}: no statement of the block makes a dataflow")
        return Stage(script.flows, self.case.path.parent)

    def _steps(self, sizes: Iterator[int]) -> list[tuple[list[_Event], int]]:
        """Groups of events and the time of each; a change of time ends a group."""
        found: list[tuple[list[_Event], int]] = []
        now, room = _NOW, 0
        for e in self.events:
            if e.now is not None:
                now, room = e.now, 0
                found.append(([], now))
                continue
            if room <= 0:
                found.append(([], now))
                room = next(sizes)
            found[-1][0].append(e)
            room -= 1
        return found

    def _do(self, stage: Stage, events: list[_Event], now: int) -> None:
        rows: dict[str, Delta] = {}
        for name, spec in stage.specs.items():
            drawn = [r for e in events if e.table == spec.table and not e.node for r in e.rows]
            given = [e.delta for e in events if e.node == name and e.delta is not None]
            if drawn:
                weights = [w for w, _ in drawn]
                rows[name] = Delta.of(spec.schema, [r for _, r in drawn], weights if min(weights) < 0 else None)
            elif given:
                rows[name] = Delta.concat(given)
        if rows:
            stage.step(rows, now)
        else:
            stage.idle(now)

    def straight(self, size: int) -> Stage:
        """Steps of so many rows, to the end."""
        stage = self.stage()
        now = _NOW
        for events, now in self._steps(_repeat(size)):
            self._do(stage, events, now)
        stage.step({}, now, end=True)
        stage.check_ended()
        return stage

    def crashing(self, seed: int, disk: Path | None = None, *, one: bool = False) -> Stage:
        """Random steps, checkpoints and crashes: what came since the last checkpoint is forgotten and done again.

        Args:
            seed: of the choices.
            disk: a folder through which every checkpoint goes, or None: memory.
            one: one row a step.
        """
        rnd = random.Random(seed)  # noqa: S311 (not for secrets)
        steps = self._steps(_repeat(1) if one else _random(rnd))
        steps.append(([], steps[-1][1] if steps else _NOW))
        stage = self.stage()
        saved, at, kept, dropped, limits = Saved(), 0, [0] * len(stage.outputs), 0, list(stage._limits)
        i = crashes = epoch = 0
        # At least one checkpoint, one step after it that is forgotten, and one crash.
        sure: int | None = rnd.randrange(max(1, len(steps) - 1))
        while i < len(steps):
            choice = rnd.random()
            if sure is not None and i == sure:
                choice = 0.0
            elif sure is not None and i == sure + 1 and at == sure:
                choice, sure = 0.5, None
            if choice < 0.35:
                epoch += 1
                saved = stage.save(saved, epoch)
                if rnd.random() < 0.3:
                    saved = saved.compacted(epoch)
                at, kept, dropped = i, [len(o.deltas) for o in stage.outputs], len(stage.dropped)
                limits = list(stage._limits)
            elif choice < 0.6 and crashes < 2 * len(steps) + 2:
                crashes += 1
                old, stage = stage, self.stage()
                if disk is not None and saved.marks:
                    stage.restore(saved.through_disk(disk, epoch))
                else:
                    stage.restore(saved)
                for o, before, n in zip(stage.outputs, old.outputs, kept, strict=True):
                    o.deltas = before.deltas[:n]
                stage.dropped = old.dropped[:dropped]
                stage._limits = list(limits)
                i = at
                continue
            events, now = steps[i]
            if i + 1 < len(steps):
                self._do(stage, events, now)
            else:
                stage.step({}, now, end=True)
            i += 1
        stage.check_ended()
        return stage


def _repeat(n: int) -> Iterator[int]:
    while True:
        yield n


def _random(rnd: random.Random) -> Iterator[int]:
    while True:
        yield rnd.randint(1, 4)


def four_ways(case: Case, *, seed: int = 0) -> Stage:
    """Run a query one row a step, in one batch, with crashes, and restored from disk; compare.

    Returns:
        The run at one row a step.

    Raises:
        AssertionError: a changelog is not legal, or two ways give other rows in the end.
    """
    runner = Runner(case)
    first = runner.straight(1)
    one = case.block.steps_only
    runs = {"one row a step, with crashes": runner.crashing(seed, one=True)}
    if not one:
        runs |= {"one batch": runner.straight(1 << 30), "with crashes": runner.crashing(seed + 1)}
    with tempfile.TemporaryDirectory(prefix="deras-test-") as folder:
        runs["restored from disk"] = runner.crashing(seed + 2, Path(folder) / "checkpoints", one=one)
    for o in first.outputs:
        o.check_legal()
    for name, run in runs.items():
        for o, want in zip(run.outputs, first.outputs, strict=True):
            try:
                o.check_legal()
            except AssertionError as e:
                raise AssertionError(f"{name}: {e}") from None
            if not _alike(o.rows(), want.rows()):
                raise AssertionError(f"{name}: {o.name or 'query'}: {_difference(o.rows(), want.rows())}")
        if Counter((r, raw) for r, _, raw in run.dropped) != Counter((r, raw) for r, _, raw in first.dropped):
            raise AssertionError(f"{name}: other rows were rejected: {run.dropped} instead of {first.dropped}")
    return first


# ---- expectations


def observed(case: Case, *, seed: int = 0) -> list[str]:
    """What a case gives, in the form of its expectation."""
    if case.block.kind == "error":
        return ["----", *_error(case).splitlines()]
    stage = four_ways(case, seed=seed)
    lines: list[str] = []
    many = len(stage.outputs) > 1
    for o in stage.outputs:
        lines.append(f"---- target {o.name}" if many else "----")
        if case.block.folded_only:
            lines += o.folded()
            continue
        lines += o.texts()
        if o.updating:
            lines += ["---- folded", *o.folded()]
    if stage.dropped:
        lines.append("---- rejected")
        lines += [
            f"{reason}: {_first_line(message)}: {raw.decode(errors='replace')}"
            for reason, message, raw in stage.dropped
        ]
    return lines


def _first_line(message: str) -> str:
    return message.splitlines()[0] if message else ""


def _error(case: Case) -> str:
    script = Script(case)
    try:
        script.run(case.block.body)
        for flow in script.flows:
            Stage([flow], script.folder)
    except DerasError as e:
        return e.render()
    raise AssertionError(f"{case.id}: no error, although one is expected")


def check(case: Case, *, seed: int = 0) -> None:
    """Run a case and compare; with ``DERAS_BLESS=1`` rewrite its expectation instead.

    Raises:
        AssertionError: it gives something else.
    """
    got = observed(case, seed=seed)
    if got == case.block.expected:
        return
    if os.environ.get("DERAS_BLESS"):
        bless(case, got)
        return
    import difflib

    diff = "\n".join(difflib.unified_diff(case.block.expected, got, "expected", "got", lineterm="", n=2))
    raise AssertionError(f"{case.path}:{case.block.line}\n{diff}")


def bless(case: Case, got: list[str]) -> None:
    """Put a new expectation into the file."""
    text = case.path.read_text()
    lines = text.splitlines()
    # Blocks above may have been rewritten meanwhile: find it by its place among the blocks.
    place = [(b.kind, b.title, b.body) for b in blocks(text)].index(
        (case.block.kind, case.block.title, case.block.body)
    )
    start, end = blocks(text)[place].span
    lines[start:end] = got
    case.path.write_text("\n".join(lines) + "\n")
