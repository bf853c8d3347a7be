"""INSERTs of a statement set, and views of a script, share what they have alike; their results are their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import deras
from deras.session.session import Session

if TYPE_CHECKING:
    from pathlib import Path

HOP = "TABLE(HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '6' SECOND))"
OFF = "SET 'table.optimizer.reuse-sub-plan-enabled' = 'false';"
INSERTS = (
    "INSERT INTO totals SELECT k, n, e FROM w;",
    "INSERT INTO busy SELECT k, n, e FROM w WHERE n > 3;",
    "INSERT INTO tops SELECT e, MAX(n) AS top FROM w GROUP BY e;",
)


def tables(folder: Path) -> str:
    rows = [{"k": i % 7 % 3, "ts": f"2024-01-01 00:00:{i // 5:02}.000"} for i in range(290)]
    (folder / "in.json").write_text("".join(json.dumps(r) + "\n" for r in rows))

    def sink(name: str, columns: str) -> str:
        return (
            f"CREATE TABLE {name} ({columns}) WITH ('connector' = 'filesystem', 'format' = 'json', "
            f"'path' = '{folder / name}');"
        )

    return (
        f"CREATE TABLE t (k INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'filesystem', "
        f"'format' = 'json', 'path' = '{folder / 'in.json'}');"
        + sink("totals", "k INT, n BIGINT, e TIMESTAMP(3)")
        + sink("busy", "k INT, n BIGINT, e TIMESTAMP(3)")
        + "CREATE TABLE tops (e TIMESTAMP(3), top BIGINT, PRIMARY KEY (e) NOT ENFORCED) WITH ('connector' = 'print');"
        + f"CREATE VIEW w AS SELECT k, COUNT(*) AS n, window_end AS e FROM {HOP} GROUP BY k, window_start, window_end;"
    )


def lines(folder: Path) -> list[str]:
    return sorted(
        x
        for p in folder.rglob("*")
        if p.is_file() and not p.name.startswith((".", "_"))
        for x in p.read_text().splitlines()
    )


def windows(session: Session) -> int:
    return sum(n.label.startswith("WindowAggregate") for n in session.job._run.graph.nodes.values())


def run(project: Path | None, sql: str) -> int:
    """Runs a script to its end; gives the number of its window aggregates."""
    with Session(project, restore=False) as session:
        session.sql(sql, origin="script")
        assert session.wait(60)
        return windows(session)


def results(folder: Path, sql: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, list[str], list[str], list[str]]:
    folder.mkdir()
    capfd.readouterr()
    n = run(None, tables(folder) + sql)
    return n, lines(folder / "totals"), lines(folder / "busy"), sorted(capfd.readouterr().out.splitlines())


def test_one_window_for_all(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    together = f"EXECUTE STATEMENT SET BEGIN {' '.join(INSERTS)} END;"
    shared, *rows = results(tmp_path / "a", together, capfd)
    alone, *same = results(tmp_path / "b", OFF + together, capfd)
    apart, *too = results(tmp_path / "c", "".join(INSERTS), capfd)
    assert rows == same == too
    assert all(rows)
    assert (shared, alone, apart) == (1, 3, 1)


def test_the_others_go_on_when_one_is_gone_or_edited(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    both = tables(folder) + "EXECUTE STATEMENT SET BEGIN " + "".join(INSERTS[:2]) + "END;"
    run(tmp_path / "p", both)
    totals, busy = lines(folder / "totals"), lines(folder / "busy")
    run(tmp_path / "p", both)
    run(tmp_path / "p", tables(folder) + INSERTS[1])  # the node came with the other
    assert (lines(folder / "totals"), lines(folder / "busy")) == (totals, busy)
    edited = both.replace("n > 3", "n > 4")
    for _ in range(2):
        run(tmp_path / "p", edited)
        assert lines(folder / "totals") == sorted(2 * totals)  # it was gone, so it came anew
        some = [x for x in busy if json.loads(x)["n"] > 4]
        assert lines(folder / "busy") == sorted(busy + some)  # the edited one is another
    assert 0 < len(some) < len(busy)


def test_views_of_a_script(tmp_path: Path) -> None:
    views = [f"CREATE MATERIALIZED VIEW v{i} AS SELECT k, n, e FROM w WHERE n > {4 * i};" for i in range(3)]
    with deras.connect() as session:
        session.sql(tables(tmp_path) + "".join(views))
        assert session.wait(60)
        assert windows(session) == 1
        found = [sorted(session.table(f"v{i}").rows()) for i in range(3)]
    with deras.connect() as session:
        session.sql(OFF + tables(tmp_path) + "".join(views))
        assert session.wait(60)
        assert windows(session) == 3
        assert found == [sorted(session.table(f"v{i}").rows()) for i in range(3)]
    assert len(found[0]) > len(found[2]) > 0


def test_functions_of_one_name_are_not_one(tmp_path: Path) -> None:
    def view(name: str) -> str:
        return f"CREATE MATERIALIZED VIEW {name} AS SELECT f(k) AS x, COUNT(*) AS n FROM t GROUP BY f(k);"

    with deras.connect() as session:
        session.sql(tables(tmp_path))
        planner = session.planner
        flows = []
        for plus in (1, 10):
            session.register(deras.udf(lambda k, plus=plus: k + plus, result_type="INT"), "f")
            flows.append(planner.plan(deras_statement(view(f"v{plus}")), view(f"v{plus}")).dataflows[0])
        first, second = session.job.attach_all(flows)
        session.job.start()
        assert session.wait(60)
        rows = [sorted(session.job.views[f.name].snapshot().frame().to_series(0).to_list()) for f in (first, second)]
    assert rows == [[1, 2, 3], [10, 11, 12]]


def deras_statement(text: str):
    from deras.sql.syntax.parser import parse_script

    (statement,) = parse_script(text)
    return statement


def test_explain_shows_it_once(tmp_path: Path) -> None:
    with deras.connect() as session:
        session.sql(tables(tmp_path))
        text = f"EXPLAIN STATEMENT SET BEGIN {' '.join(INSERTS)} END"
        plan = session.sql(text).rows()[0][0]
        assert plan.count("Sink(table:") == 3
        assert plan.count("HOP(") == 1
        assert plan.count("(reuse_id=[1])") == 1
        assert plan.count("Reused(reference_id=[1])") == 2
        session.sql(OFF)
        assert session.sql(text).rows()[0][0].count("HOP(") == 3
