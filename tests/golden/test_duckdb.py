"""Random plans over random rows: what is left of the changelog is what DuckDB gives for all rows at once.

Both texts are written by the same generator, within the subset where the dialects agree. Every plan runs four ways.
"""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deras.testing.engine import _alike, _difference
from deras.testing.text import Arrival, Block, Case, four_ways

DDL = """
CREATE TABLE a (k STRING, n BIGINT, x DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' HOUR)
  WITH ('connector' = 'filesystem', 'path' = 'a', 'format' = 'json');
CREATE TABLE b (k STRING, m BIGINT) WITH ('connector' = 'filesystem', 'path' = 'b', 'format' = 'json');
"""
DUCK_DDL = "CREATE TABLE a (k VARCHAR, n BIGINT, x DOUBLE, ts TIMESTAMP); CREATE TABLE b (k VARCHAR, m BIGINT)"
START = dt.datetime(2024, 2, 28, 23, 50)
_numbers = itertools.count()


@dataclass(frozen=True)
class Rel:
    """A relation in both dialects.

    Args:
        flink: text for FROM, in parentheses.
        columns: (name, type) with types int, double, text, time.
    """

    flink: str
    duck: str
    columns: tuple[tuple[str, str], ...]

    def of(self, *types: str) -> list[str]:
        return [n for n, t in self.columns if t in types]


A = Rel("(SELECT k, n, x FROM a)", "(SELECT k, n, x FROM a)", (("k", "text"), ("n", "int"), ("x", "double")))
B = Rel("(SELECT k, m FROM b)", "(SELECT k, m FROM b)", (("k", "text"), ("m", "int")))
small = st.integers(-3, 5)


def ints(rel: Rel, prefix: str = "") -> st.SearchStrategy[str]:
    names = rel.of("int")
    leaf = small.map(str) if not names else st.sampled_from([prefix + n for n in names]) | small.map(lambda c: f"({c})")
    return st.recursive(
        leaf,
        lambda e: st.one_of(
            st.builds("({} + {})".format, e, e),
            st.builds("({} - {})".format, e, e),
            st.builds("COALESCE({}, {})".format, e, small),
            st.builds("ABS({})".format, e),
            st.builds("CASE WHEN {} > {} THEN {} ELSE {} END".format, e, small, e, e),
        ),
        max_leaves=4,
    )


def predicates(rel: Rel, prefix: str = "") -> st.SearchStrategy[str]:
    comparisons = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
    options = [st.builds("{} {} {}".format, ints(rel, prefix), comparisons, small)]
    every = [prefix + n for n, _ in rel.columns]
    options.append(st.builds("{} IS {}NULL".format, st.sampled_from(every), st.sampled_from(["", "NOT "])))
    if texts := rel.of("text"):
        text = st.sampled_from([prefix + n for n in texts])
        options.append(st.builds("{} {} '{}'".format, text, comparisons, st.sampled_from("pqr")))
        options.append(st.builds("{} {}IN ('p', 'r')".format, text, st.sampled_from(["", "NOT "])))
    if doubles := rel.of("double"):
        options.append(st.builds("{} < {}".format, st.sampled_from([prefix + n for n in doubles]), small))
    return st.recursive(
        st.one_of(options),
        lambda p: st.one_of(
            st.builds("({} AND {})".format, p, p), st.builds("({} OR {})".format, p, p), st.builds("(NOT {})".format, p)
        ),
        max_leaves=3,
    )


@st.composite
def expressions(draw: st.DrawFn, rel: Rel, prefix: str = "") -> tuple[str, str]:
    """(text, type); the same text in both dialects."""
    kinds = [t for t in ("int", "text", "double", "time") if rel.of(t)]
    kind = draw(st.sampled_from(kinds or ["int"]))
    if kind == "int":
        return draw(ints(rel, prefix)), kind
    name = prefix + draw(st.sampled_from(rel.of(kind)))
    if kind == "text":
        return draw(st.sampled_from([name, f"UPPER({name})", f"({name} || 'p')", f"COALESCE({name}, 'q')"])), kind
    if kind == "double":
        return draw(st.sampled_from([name, f"({name} * 0.5e0)", f"({name} + 1)", f"COALESCE({name}, 0.25e0)"])), kind
    return name, kind


def name() -> str:
    return f"c{next(_numbers)}"


def both(flink: str, duck: str, columns: list[tuple[str, str]]) -> Rel:
    return Rel(f"({flink})", f"({duck})", tuple(columns))


@st.composite
def calcs(draw: st.DrawFn, rel: Rel) -> Rel:
    items = [(*draw(expressions(rel)), name()) for _ in range(draw(st.integers(1, 3)))]
    select = "SELECT " + ", ".join(f"{e} AS {n}" for e, _, n in items)
    where = f" WHERE {draw(predicates(rel))}" if draw(st.booleans()) else ""
    t = name()
    return both(
        f"{select} FROM {rel.flink} AS {t}{where}",
        f"{select} FROM {rel.duck} AS {t}{where}",
        [(n, t) for _, t, n in items],
    )


@st.composite
def calls(draw: st.DrawFn, rel: Rel) -> list[tuple[str, str, str]]:
    """(text, type, name) of aggregate calls."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        options = [("COUNT(*)", "int")]
        for n, t in rel.columns:
            options += [(f"COUNT({n})", "int"), (f"MIN({n})", t), (f"MAX({n})", t)]
            if t in ("int", "text"):
                options.append((f"COUNT(DISTINCT {n})", "int"))
            if t == "int":
                options += [(f"SUM({n})", "int"), (f"SUM(DISTINCT {n})", "int")]
            if t == "double":
                options += [(f"SUM({n})", "double"), (f"AVG({n})", "double")]
        text, kind = draw(st.sampled_from(options))
        if draw(st.integers(0, 3)) == 0:
            text += f" FILTER (WHERE {draw(predicates(rel))})"
        found.append((text, kind, name()))
    return found


@st.composite
def groups(draw: st.DrawFn, rel: Rel) -> Rel:
    keys = (
        draw(st.lists(st.sampled_from(rel.of("int", "text")), max_size=2, unique=True)) if rel.of("int", "text") else []
    )
    made = draw(calls(rel))
    named = [(k, dict(rel.columns)[k], name()) for k in keys]
    select = "SELECT " + ", ".join(f"{e} AS {n}" for e, _, n in [*named, *made])
    by = f" GROUP BY {', '.join(keys)}" if keys else ""
    having = f" HAVING COUNT(*) > {draw(st.integers(0, 2))}" if draw(st.integers(0, 2)) == 0 else ""
    # Of no rows at all a stream without keys gives nothing, DuckDB one row.
    duck_having = having or ("" if keys else " HAVING COUNT(*) > 0")
    t = name()
    columns = [(n, t) for _, t, n in [*named, *made]]
    return both(
        f"{select} FROM {rel.flink} AS {t}{by}{having}", f"{select} FROM {rel.duck} AS {t}{by}{duck_having}", columns
    )


@st.composite
def joins(draw: st.DrawFn, left: Rel, right: Rel) -> Rel:
    one, two = name(), name()
    pairs = [(a, b) for t in ("text", "int") for a in left.of(t) for b in right.of(t)]
    on = (
        "1 = 1"
        if not pairs
        else " AND ".join(
            f"{one}.{a} = {two}.{b}"
            for a, b in draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=2, unique=True))
        )
    )
    if draw(st.integers(0, 2)) == 0 and left.of("int") and right.of("int"):
        on += f" AND {one}.{left.of('int')[0]} <= {two}.{right.of('int')[0]} + {draw(small)}"
    some = [(f"{one}.{n}", t, name()) for n, t in left.columns] + [(f"{two}.{n}", t, name()) for n, t in right.columns]
    some = draw(st.permutations(some))[: draw(st.integers(1, 4))]
    select = "SELECT " + ", ".join(f"{e} AS {n}" for e, _, n in some)
    # DuckDB pads the right for equalities only.
    plain = pairs and " <= " not in on
    kind = draw(st.sampled_from(["", "LEFT ", "RIGHT ", "FULL "] if plain else ["", "LEFT "]))
    return both(
        f"{select} FROM {left.flink} AS {one} {kind}JOIN {right.flink} AS {two} ON {on}",
        f"{select} FROM {left.duck} AS {one} {kind}JOIN {right.duck} AS {two} ON {on}",
        [(n, t) for _, t, n in some],
    )


@st.composite
def unions(draw: st.DrawFn, rel: Rel) -> Rel:
    names = ", ".join(n for n, _ in rel.columns)
    one, two = (f"SELECT {names} FROM {{}} AS {name()} WHERE {draw(predicates(rel))}" for _ in range(2))
    text = f"{one} UNION ALL {two}"
    return both(text.format(rel.flink, rel.flink), text.format(rel.duck, rel.duck), list(rel.columns))


@st.composite
def windows(draw: st.DrawFn) -> Rel:
    seconds = draw(st.sampled_from([60, 600, 3600]))
    made = draw(calls(A))
    keys = draw(st.sampled_from([[], ["k"], ["k", "n"]]))
    named = [(k, dict(A.columns)[k], name()) for k in keys]
    w = name()
    select = "SELECT " + ", ".join(f"{e} AS {n}" for e, _, n in [*named, *made])
    by = "".join(f", {k}" for k in keys)
    return both(
        f"{select}, window_start AS {w} FROM TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '{seconds}' SECOND) "
        f"GROUP BY window_start, window_end{by}",
        f"{select}, time_bucket(INTERVAL {seconds} SECOND, ts, TIMESTAMP '1970-01-01') AS {w} FROM a GROUP BY {w}{by}",
        [*((n, t) for _, t, n in [*named, *made]), (w, "time")],
    )


@st.composite
def plans(draw: st.DrawFn, depth: int = 3) -> Rel:
    if depth == 0:
        return draw(st.sampled_from([A, B]) | windows())
    below = draw(plans(depth=depth - 1))
    kind = draw(st.sampled_from(["calc", "group", "join", "union", "group", "below"]))
    if kind == "calc":
        return draw(calcs(below))
    if kind == "group":
        return draw(groups(below))
    if kind == "join":
        return draw(joins(below, draw(plans(depth=draw(st.integers(0, 1))))))
    if kind == "union":
        return draw(unions(below))
    return below


def _text(v: object) -> str | None:
    return None if v is None else str(v)


keys = st.sampled_from(["p", "q", "r", None])
rows_a = st.tuples(
    keys,
    small | st.none(),
    st.integers(-8, 8).map(lambda i: i / 4) | st.none(),
    st.integers(0, 3500).map(lambda s: START + dt.timedelta(seconds=s)),
)
rows_b = st.tuples(keys, small | st.none())
arrivals = st.lists(
    st.tuples(st.just("a"), rows_a) | st.tuples(st.just("b"), rows_b), max_size=14
)  # in any order: no row is more than an hour late


def compare(plan: Rel, rows: list[tuple[str, tuple]], seed: int = 0) -> None:
    flink = f"SELECT * FROM {plan.flink} AS t"
    case = Case(
        Path(__file__),
        Block("query", "", 1, flink, [], (0, 0)),
        DDL,
        [Arrival(table, [_text(v) for v in row]) for table, row in rows],
    )
    stage = four_ways(case, seed=seed)
    assert not stage.dropped
    got = stage.outputs[0].rows()
    with duckdb.connect() as duck:
        duck.execute(DUCK_DDL)
        for table, row in rows:
            duck.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        found = duck.execute(f"SELECT * FROM {plan.duck} AS t").fetchall()
    want = sorted(found, key=_order)
    assert _alike(sorted(got, key=_order), want), f"{flink}\n{plan.duck}\n{_difference(got, want)}"


def _order(row: tuple) -> str:
    return repr(tuple(f"{v:.6g}" if isinstance(v, float) else v for v in row))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(plans(), arrivals, st.integers(0, 99))
def test_random_plans(plan: Rel, rows: list[tuple[str, tuple]], seed: int) -> None:
    compare(plan, rows, seed)


SOME = [
    ("a", ("p", 1, 0.5, START)),
    ("a", ("q", 2, None, START)),
    ("b", ("p", 3)),
    ("a", ("p", None, -1.25, START + dt.timedelta(seconds=700))),
    ("b", (None, 1)),
    ("a", (None, 1, 2.0, START)),
    ("b", ("p", 1)),
    ("b", ("q", None)),
]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT k, SUM(n), COUNT(*), AVG(x) FROM a GROUP BY k",
        "SELECT a.k, n, m FROM a JOIN b ON a.k = b.k WHERE n < m OR m IS NULL",
        "SELECT c, COUNT(*) FROM (SELECT k, COUNT(*) AS c FROM b GROUP BY k) AS t GROUP BY c",
        "SELECT t.c, b.m FROM (SELECT k, COUNT(n) AS c FROM a GROUP BY k) AS t JOIN b ON b.k = t.k",
        "SELECT DISTINCT n FROM a UNION ALL SELECT m FROM b",
        "SELECT a.k, n, m FROM a LEFT JOIN b ON a.k = b.k AND n < m WHERE m IS NULL OR n > 0",
        "SELECT a.k, b.k AS bk, n, m FROM a FULL JOIN b ON a.k = b.k",
        "SELECT t.c, b.m FROM (SELECT k, COUNT(n) AS c FROM a GROUP BY k) AS t RIGHT JOIN b ON b.k = t.k WHERE c IS NULL OR c > 0",
    ],
)
def test_the_same_text(sql: str) -> None:
    compare(Rel(f"({sql})", f"({sql})", ()), SOME)
