"""The command line: answers, exit codes, sentences instead of tracebacks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from deras.cli.main import main
from deras.core.time import SystemClock

NUMBERS = """CREATE TABLE numbers (id BIGINT) WITH (
  'connector' = 'datagen', 'number-of-rows' = '20',
  'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '20');
"""
COUNT = "SELECT id % 2 AS odd, COUNT(*) AS n FROM numbers GROUP BY id % 2"
DOOR = """CREATE TABLE readings (v BIGINT) WITH ('connector' = 'http', 'format' = 'json');
CREATE MATERIALIZED VIEW total AS SELECT SUM(v) AS total FROM readings;
"""


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    monkeypatch.delenv("DERAS_PROJECT", raising=False)


@pytest.fixture
def script(tmp_path):
    def make(text: str | bytes, name: str = "p.sql"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return make


def test_version_loads_nothing(capsys):
    code = "import sys; from deras.cli.main import main; main(['--version']); print('numpy' in sys.modules, 'polars' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == ["deras 0.1.0", "False False"]


def test_table_csv_json(capsys):
    assert main(["sql", "-c", NUMBERS + COUNT]) == 0
    out = capsys.readouterr().out
    assert "│ odd │  n │" in out
    assert "│   1 │ 10 │" in out
    assert main(["sql", "-c", NUMBERS + COUNT, "--output", "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "odd,n"
    assert sorted(lines[1:]) == ["0,10", "1,10"]
    assert main(["sql", "-c", NUMBERS + COUNT, "--output", "json"]) == 0
    first, *rest = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {"columns": [{"name": "odd", "type": "BIGINT"}, {"name": "n", "type": "BIGINT NOT NULL"}]}
    assert rest[0]["op"] == "+I"
    last = {r["row"][0]: r["row"][1] for r in rest if r["op"] in ("+I", "+U")}
    assert last == {0: 10, 1: 10}


def test_limit_and_changelog(capsys):
    assert (
        main(["sql", "-c", NUMBERS + "SELECT id FROM numbers", "--changelog", "--output", "csv", "--limit", "2"]) == 0
    )
    assert capsys.readouterr().out == "op,id\n+I,1\n+I,2\n"


def test_endless_updates_need_a_choice(capsys):
    text = "CREATE TABLE e (id BIGINT) WITH ('connector' = 'datagen'); SELECT COUNT(*) AS n FROM e"
    assert main(["sql", "-c", text]) == 1
    assert "--changelog" in capsys.readouterr().err
    assert main(["sql", "-c", text, "--timeout", "0.3"]) == 0


def test_error_has_the_right_line(capsys):
    assert main(["sql", "-c", NUMBERS + "SELECT idd FROM numbers"]) == 1
    err = capsys.readouterr().err
    assert "line 4, column 8" in err
    assert "Did you mean 'id'?" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["rnu"], 2, "Did you mean 'run'?"),
        ([], 2, "error:"),
        (["run", "absent.sql"], 2, "there is no file"),
        (["run", "."], 2, "is a folder"),
        (["sql", "-c", " "], 2, "there is no SQL"),
        (["sql", "--limit", "x", "-c", "SELECT 1"], 2, "no number of rows"),
        (["status"], 2, "which project?"),
        (["status", "--project", "absent"], 2, "no project folder"),
        (["demo", "factry"], 2, "Did you mean 'factory'?"),
        (["explain"], 2, "what is to be explained?"),
    ],
)
def test_wrong_use(arguments, code, words, capsys):
    assert main(arguments) == code
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err


def test_bad_scripts(script, capsys):
    assert main(["run", script(b"SELECT '\xff'")]) == 2
    assert "not UTF-8" in capsys.readouterr().err
    assert main(["run", script("-- nothing\n")]) == 1
    assert "no statement" in capsys.readouterr().err
    assert main(["run", script(NUMBERS + "SELECT a FROM numbers; SELECT b FROM numbers;")]) == 1
    err = capsys.readouterr().err
    assert "2 errors; nothing was run" in err


def test_run_bounded_pipeline(script, tmp_path, capsys):
    sink = tmp_path / "out"
    text = (
        NUMBERS
        + f"""CREATE TABLE files (id BIGINT) WITH ('connector' = 'filesystem', 'path' = '{sink}', 'format' = 'csv');
INSERT INTO files SELECT id FROM numbers WHERE id > 17;"""
    )
    assert main(["run", script(text)]) == 0
    rows = [
        line
        for p in sorted(sink.rglob("*"))
        if p.is_file() and not p.name.startswith((".", "_"))
        for line in p.read_text().split()
    ]
    assert rows == ["18", "19", "20"]
    assert capsys.readouterr().out == ""


def test_project_that_is_a_file(script, capsys):
    path = script(NUMBERS)
    assert main(["sql", "--project", path, "-c", "SELECT 1"]) == 2
    assert "is a file, not a folder" in capsys.readouterr().err


def test_check(script, capsys):
    good = script(NUMBERS + COUNT)
    assert main(["check", good]) == 0
    assert "2 statements, nothing wrong" in capsys.readouterr().out
    assert main(["check", script("SELECT x FROM y;\nSELECT 1 +;")]) == 1
    assert "^" in capsys.readouterr().err


def test_explain(capsys):
    assert main(["explain", "-c", NUMBERS + COUNT]) == 0
    assert "Aggregate" in capsys.readouterr().out


def test_demo_lists(capsys):
    assert main(["demo"]) == 0
    assert capsys.readouterr().out.startswith("factory")


def test_port_taken(script, capsys):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        assert main(["run", script(DOOR), "--port", str(port)]) == 1
    assert f"port {port} is taken" in capsys.readouterr().err


def _deras(*arguments: str, **more) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen([sys.executable, "-m", "deras.cli.main", *arguments], text=True, **pipes)


def test_broken_pipe():
    text = "CREATE TABLE e (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000'); SELECT id FROM e"
    p = _deras("sql", "-c", text, "--output", "csv")
    assert p.stdout is not None
    assert p.stderr is not None
    assert p.stdout.readline() == "id\n"
    p.stdout.close()
    err = p.stderr.read()
    p.stderr.close()
    assert p.wait(30) == 0
    assert err == ""


def test_running_project(script, tmp_path, capsys):
    project = str(tmp_path / "project")
    path = script(DOOR)

    def start() -> tuple[subprocess.Popen[str], str]:
        p = _deras("run", path, "--project", project, "--port", "0")
        assert p.stderr is not None
        line = p.stderr.readline()
        assert line.startswith("serving http://"), line + p.stderr.read()
        return p, line.split()[1]

    def post(url: str, v: int) -> None:
        request = urllib.request.Request(
            url + "ingest/readings", json.dumps({"v": v}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 202

    def total() -> str:
        assert main(["sql", "--project", project, "-c", "SELECT total FROM total", "--output", "csv"]) == 0
        return capsys.readouterr().out

    def becomes(value: int) -> None:
        for _ in range(200):
            if total() == f"total\n{value}\n":
                return
            SystemClock().sleep(0.02)
        assert total() == f"total\n{value}\n"

    p, url = start()
    try:
        post(url, 5)
        post(url, 7)
        becomes(12)
        assert main(["run", path, "--project", project]) == 1
        assert f"process {p.pid} runs the project" in capsys.readouterr().err
        assert main(["jobs", "--project", project]) == 0
        assert "total" in capsys.readouterr().out
        assert main(["status", "--project", project, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["pid"] == p.pid
        assert main(["check", "--live", path, "--project", project]) == 1  # all is there already
        capsys.readouterr()
        assert main(["stop", "--project", project]) == 0
        assert p.wait(30) == 0
        p.communicate()
        p, url = start()
        becomes(12)
        post(url, 1)
        becomes(13)
        os.kill(p.pid, signal.SIGKILL)
        p.communicate()
        assert main(["status", "--project", project]) == 1
        assert "nobody runs the project" in capsys.readouterr().err
        p, url = start()
        becomes(13)
        p.send_signal(signal.SIGTERM)
        assert p.wait(30) == 0
    finally:
        p.kill()
        p.communicate()
