"""Which tables' watermarks go on with the clock while they are idle."""

from __future__ import annotations

import pytest
from harness import Session

from deras.core.errors import OptionError, PlanError
from deras.engine.operators.source import SourceInput

COLUMNS = "(k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)"
OPTIONS = "'connector' = 'filesystem', 'path' = 'x', 'format' = 'json'"
TABLES = f"""
CREATE TABLE t {COLUMNS} WITH ({OPTIONS});
CREATE TABLE s {COLUMNS} WITH ({OPTIONS}, 'scan.watermark.idle-advance' = ' TRUE');
CREATE TABLE n {COLUMNS} WITH ({OPTIONS}, 'scan.watermark.idle-advance' = 'false');
CREATE TABLE p (k STRING) WITH ({OPTIONS});
"""


def advances(table: str, **settings: str) -> bool:
    (flow,) = Session(TABLES, **settings).plan(f"SELECT k FROM {table}").dataflows
    made = flow.sources[0].make()
    assert isinstance(made, SourceInput)
    assert ("idle" in made.explain()) == made.idle_advance
    return made.idle_advance


def test_by_option_and_by_setting() -> None:
    assert [advances(t) for t in "tsnp"] == [False, True, False, False]
    assert [advances(t, **{"deras.idle-advance": "true"}) for t in "tsnp"] == [True, True, False, False]
    assert advances("t /*+ OPTIONS('scan.watermark.idle-advance' = 'true') */")


def test_wrong_use() -> None:
    with pytest.raises(PlanError, match=r"option 'scan.watermark.idle-advance' of table 's' is not Flink's"):
        advances("s", **{"deras.strict-flink": "true"})
    with pytest.raises(OptionError, match="'soon' is neither 'true' nor 'false'"):
        Session(f"CREATE TABLE w {COLUMNS} WITH ({OPTIONS}, 'scan.watermark.idle-advance' = 'soon')")
