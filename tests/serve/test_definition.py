from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from serve_fake import DASHBOARD

from deras.core.errors import ConfigError
from deras.core.schema import Schema
from deras.core.types import BIGINT
from deras.serve.definition import Dashboards, parse_dashboard
from deras.serve.platform import ViewInfo

if TYPE_CHECKING:
    from pathlib import Path


def test_reads_everything() -> None:
    found = parse_dashboard(DASHBOARD)
    assert (found.title, found.refresh, len(found.tiles), len(found.panels)) == ("Factory floor", 100.0, 4, 5)
    first = found.panels[0]
    assert first.query.where == (("sensor", ("spindle",)),)
    assert first.window == 300_000
    assert first.used_columns() == ["ts", "value", "lower", "upper", "expected", "anomaly", "score"]
    assert first.thresholds is not None
    assert (first.thresholds.alarm, first.thresholds.label) == (96.0, "shut down")
    assert "sql" not in str(found.to_json())


HEAD = "title: T\npanels:\n  - title: A\n    "


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "dashboard.yaml is empty", "Write at least 'title:' and one panel."),
        ("title: T", "dashboard.yaml, line 1: the dashboard has neither tiles nor panels", "Add a list 'panels:' with one entry."),
        ("titel: T\n", "dashboard.yaml, line 1: unknown key 'titel'", "Did you mean 'title' or 'tiles'?"),
        ("title: T\npanels:\n  - {titel: A}", "dashboard.yaml, line 3: unknown key 'titel' in panels[1]", "Did you mean 'title' or 'subtitle'?"),
        (HEAD + "vew: a", "dashboard.yaml, line 4: unknown key 'vew' in panels[1]", "Did you mean 'view'?"),
        (HEAD + "mark: lines", "dashboard.yaml, line 4: panels[1].mark cannot be 'lines'", "Did you mean 'line'?"),
        (HEAD + "view: v", "dashboard.yaml, line 3: panels[1] is a line chart and needs 'x'", "Name a column of its rows."),
        (HEAD + "mark: table", "dashboard.yaml, line 3: panels[1] needs either 'sql' or 'view'", "Give exactly one of the two."),
        (HEAD + "mark: table\n    view: v\n    y: b", "dashboard.yaml, line 6: 'y' goes with charts, not with 'mark: table'", ""),
        (HEAD + "width: 13\n    mark: table\n    view: v", "dashboard.yaml, line 4: panels[1].width must be a whole number from 1 to 12, not 13", ""),
        (HEAD + "title: B", "dashboard.yaml, line 4: key 'title' stands twice in panels[1]", "Keep one of them."),
        ("title: T\nrefresh: 1 parsec\ntiles: []", "dashboard.yaml, line 2: refresh: '1 parsec' is no duration; write for example '10 s', '5 min' or '200 ms'", ""),
        ("title: T\nrefresh: 1\ntiles: []", "dashboard.yaml, line 2: refresh is shorter than a screen can show", "Use '20 ms' or more."),
        ("title: T\ntime_zone: Asia/Jakrata\n", "dashboard.yaml, line 2: there is no time zone 'Asia/Jakrata'", "Did you mean 'Asia/Jakarta' or 'Asia/Kolkata' or 'Asia/Qatar'?"),
        ("title: [T\n", "dashboard.yaml, line 2: expected ',' or ']', but got '<stream end>'", "Check the indentation, and quote texts that hold ': ' or begin with a sign."),
    ],
)  # fmt: skip
def test_wrong_files_say_where_and_what(text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as e:
        parse_dashboard(text)
    assert e.value.message == message
    assert e.value.hint == hint


def test_numbers_and_lists_are_taken_as_written() -> None:
    text = "title: 5\npanels: [{title: A, view: v, x: t, y: [a, b], threshold: 5, where: {n: [1, 2], s: x}}]"
    panel = parse_dashboard(text).panels[0]
    assert panel.y == ("a", "b")
    assert panel.query.where == (("n", (1, 2)), ("s", ("x",)))
    assert panel.thresholds is not None
    assert panel.thresholds.alarm == 5


def test_a_folder_has_several(tmp_path: Path) -> None:
    (tmp_path / "dashboard.yaml").write_text("title: One\ntiles: [{title: A, view: v}]")
    (tmp_path / "dashboards").mkdir()
    (tmp_path / "dashboards" / "two.yaml").write_text("title: Two\ntiles: [{title: A, view: v}]")
    (tmp_path / "dashboards" / "no!.yaml").write_text("")
    boards = Dashboards(tmp_path)
    assert boards.names() == ["main", "two"]
    two = boards.get("two")
    assert two is not None
    assert two.title == "Two"
    assert boards.get("two") is two
    assert boards.get("../two") is None
    (tmp_path / "dashboards" / "two.yaml").write_text("title: Two!\ntiles: [{title: A, view: v}]")
    again = boards.get("two")
    assert again is not None
    assert again.title == "Two!"


def test_without_a_file_every_view_is_a_table() -> None:
    found = Dashboards(None).get("main", [ViewInfo("a", Schema.of(n=BIGINT))])
    assert found is not None
    assert [(p.title, p.mark) for p in found.panels] == [("a", "table")]
