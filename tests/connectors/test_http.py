"""The http source: what is taken, what is refused, and that 202 means durable."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.connectors._http_body import Limits, RefusedError, inflate, read_json
from deras.connectors._http_server import Listener, Routes, is_loopback, parse_address
from deras.connectors._kernels import flatten_array
from deras.connectors.http import Connector, HttpIntake, HttpSource
from deras.core.errors import ExternalError, OptionError
from deras.core.schema import Schema
from deras.core.types import BIGINT

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = Schema.of(a=BIGINT)
LIMITS = Limits(1 << 20)


class FakeLog:
    """An intake log whose disk obeys."""

    def __init__(self, error: Exception | None = None) -> None:
        self.stored: list[bytes] = []
        self.count = 0
        self.waiting = 0
        self.error = error
        self.gate: threading.Event | None = None

    def append(self, table: str, payload: bytes, count: int = 1) -> Future[int]:
        future: Future[int] = Future()
        if self.gate is not None:
            gate = self.gate
            threading.Thread(target=lambda: (gate.wait(30), future.set_result(0))).start()
        elif self.error is not None:
            future.set_exception(self.error)
            return future
        else:
            future.set_result(len(self.stored))
        self.stored.append(payload)
        self.count += count
        return future

    def backlog(self, table: str) -> int:
        return self.waiting


def intake(log: FakeLog, **more: Any) -> HttpIntake:
    made = HttpIntake("t", limits=more.pop("limits", LIMITS), **more)
    made.attach(log)
    return made


def post(app: HttpIntake, body: bytes, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    status, answered, raw = app.handle(named, body)
    assert answered["content-length"] == str(len(raw))
    return status, json.loads(raw), answered


NDJSON = "application/x-ndjson"
JSON = "application/json"


@pytest.mark.parametrize(
    ("body", "type_", "expected"),
    [
        (b'{"a": 1}', JSON, [b'{"a": 1}\n']),
        (b'\xef\xbb\xbf{"a": 1}', JSON, [b'{"a": 1}\n']),
        (b'{\n  "a": 1,\r\n  "b": "x"\n}\n', JSON, [b'{   "a": 1,    "b": "x" }\n']),
        (b'[{"a":1},{"a":2}]', JSON, [b'{"a":1}\n{"a":2}\n']),
        (b' [ {"a":[1,2]} ,\n {"a":"],[\\"{"} ] ', JSON, [b'{"a":[1,2]} \n  {"a":"],[\\"{"}\n']),
        (b'{"a":1}\n{"a":2}\n', NDJSON, [b'{"a":1}\n{"a":2}\n']),
        (b'{"a":1}\n{"a":2}', NDJSON, [b'{"a":1}\n{"a":2}\n']),
        (b'{"a":1}\r\n\r\n{"a":2}\r\n', NDJSON, [b'{"a":1}\r\n{"a":2}\r\n']),
        (b'\n\n{"a":1}\n\n', NDJSON, [b'{"a":1}\n']),
        (b'{"a":1}\n{"a":2}\n', "", [b'{"a":1}\n{"a":2}\n']),
        (b'{"a":1}\n{"a":2}\n', "application/x-www-form-urlencoded", [b'{"a":1}\n{"a":2}\n']),
        (b'{"a":1.10000000000000000001}', "application/vnd.x+json", [b'{"a":1.10000000000000000001}\n']),
        (b'{"a":1}\n', "text/plain; charset=utf-8", [b'{"a":1}\n']),
    ],
)
def test_forms_that_are_taken(body: bytes, type_: str, expected: list[bytes]) -> None:
    log = FakeLog()
    status, answer, _ = post(intake(log), body, content_type=type_)
    assert (status, answer) == (202, {"accepted": expected[0].count(b"\n")})
    assert log.stored == expected
    assert log.count == answer["accepted"]


def test_an_empty_array_is_nothing_to_store() -> None:
    log = FakeLog()
    assert post(intake(log), b"[]")[:2] == (202, {"accepted": 0})
    assert log.stored == []


@pytest.mark.parametrize(
    ("body", "type_", "where"),
    [
        (b"", JSON, "no record"),
        (b" \n ", NDJSON, "no record"),
        (b'{"a": }', JSON, "line 1, column 7"),
        (b'{"a": 1', JSON, "line 1, column"),
        (b'{\n "a": 1,\n "b": oops\n}', JSON, "line 3, column 7"),
        (b'[{"a":1},\n{"a":}]', JSON, "line 2, column 6"),
        (b'[{"a":1},5]', JSON, "element 2: expected an object, found a number"),
        (b"5", JSON, "expected an object, found a number"),
        (b'"x"', JSON, "found a string"),
        (b'{"a":1}\n{"a":x}\n{"a":3}', NDJSON, "line 2, column 6"),
        (b'{"a":1}\n[1]\n', NDJSON, "line 2, column 1: expected an object, found an array"),
        (b'{"a":1},{"a":2}\n', NDJSON, "line 1, column 8"),
        (b'{"a":"\xff"}', JSON, "line 1"),
        (b'{"a":NaN}', JSON, "line 1, column 6"),
    ],
)
def test_bad_json_is_refused_with_its_place(body: bytes, type_: str, where: str) -> None:
    log = FakeLog()
    app = intake(log)
    status, answer, _ = post(app, body, content_type=type_)
    assert status == 400
    assert where in answer["message"]
    assert log.stored == []
    assert app.refused == {400: 1}


def test_all_bad_lines_are_listed() -> None:
    body = b"\n".join(b'{"a":1}' if i % 2 else b"{bad" for i in range(500))
    status, answer, _ = post(intake(FakeLog()), body, content_type=NDJSON)
    assert status == 400
    assert answer["bad"] == 250
    assert len(answer["positions"]) == 100
    assert [p["line"] for p in answer["positions"][:3]] == [1, 3, 5]


def test_too_much() -> None:
    log = FakeLog()
    small = intake(log, limits=Limits(20, 2))
    assert post(small, b'{"a": "%s"}' % (b"x" * 30))[0] == 413
    assert post(small, b'{"a":1}', content_length="9999")[0] == 413
    status, answer, _ = post(small, b'[{"a":1},{},{}]')
    assert (status, answer["code"]) == (413, "too-many")
    assert post(small, b'[{"a":1},{}]')[0] == 202
    log.waiting = (256 << 20) + 1
    status, answer, headers = post(intake(log), b'{"a":1}')
    assert (status, headers["retry-after"], answer["code"]) == (429, "1", "backlog")
    assert len(log.stored) == 1


def test_gzip_and_bombs() -> None:
    log = FakeLog()
    app = intake(log, limits=Limits(10_000))
    body = b'{"a":1}\n' * 100
    assert post(app, gzip.compress(body), content_encoding="gzip")[:2] == (202, {"accepted": 100})
    two = gzip.compress(body[:80]) + gzip.compress(body[80:])
    assert post(app, two, content_encoding="GZIP")[:2] == (202, {"accepted": 100})
    assert post(app, zlib.compress(body), content_encoding="deflate")[0] == 202
    bare = zlib.compressobj(wbits=-15)
    assert inflate(bare.compress(body) + bare.flush(), "deflate", 10_000) == body
    assert log.stored == [body] * 3
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000
    status, answer, _ = post(intake(log, limits=Limits(1 << 20)), bomb, content_encoding="gzip")
    assert (status, answer["code"]) == (413, "too-large")
    assert post(app, gzip.compress(body)[:-4], content_encoding="gzip")[1]["message"] == "the gzip body is cut short"
    assert post(app, b"not packed", content_encoding="gzip")[0] == 400
    status, _, headers = post(app, b"x", content_encoding="br")
    assert (status, headers["accept-encoding"]) == (415, "gzip, deflate")
    assert len(log.stored) == 3


def test_other_refusals() -> None:
    log = FakeLog()
    app = intake(log)
    assert post(app, b"{}", content_type="image/png")[0] == 415
    status, headers, _ = app.handle({}, b"", "GET")
    assert (status, headers["allow"]) == (405, "POST")
    assert post(app, b"{}", origin="https://evil.example")[0] == 403
    assert post(app, b"{}", origin="http://localhost:8080")[0] == 202
    app.attach(None)
    status, _, headers = post(app, b"{}")
    assert (status, headers["retry-after"]) == (503, "5")


def test_the_token() -> None:
    app = intake(FakeLog(), token="s3cret")
    assert app.authenticated
    status, answer, headers = post(app, b"{}")
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert "s3cret" not in json.dumps(answer)
    assert post(app, b"{}", authorization="Bearer wrong")[0] == 401
    assert post(app, b"{}", authorization="Basic s3cret")[0] == 401
    assert post(app, b"{}", authorization="Bearer s3cret", origin="https://a.example")[0] == 202


def test_a_full_disk_is_answered() -> None:
    full = FakeLog(ExternalError("cannot write to the intake log: no space left", hint="Free some space on this disk."))
    status, answer, headers = post(intake(full), b"{}")
    assert (status, headers["retry-after"], answer["domain"]) == (507, "5", "external")
    broken = FakeLog(ExternalError("cannot write to the intake log: input/output error"))
    assert post(intake(broken), b"{}")[0] == 503


def test_lines_of_another_format() -> None:
    log = FakeLog()
    app = intake(log, json=False)
    assert post(app, b"1,x\n\n2,y", content_type="text/csv")[:2] == (202, {"accepted": 2})
    assert log.stored == [b"1,x\n2,y\n"]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(), v, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.dictionaries(st.text(), JSON_VALUES, max_size=4), min_size=1, max_size=6),
    indent=st.none() | st.integers(0, 3),
    ascii_=st.booleans(),
)
def test_arrays_become_the_same_lines(values: list[Any], indent: int | None, ascii_: bool) -> None:
    values = json.loads(json.dumps(values))
    try:
        body = json.dumps(values, indent=indent, ensure_ascii=ascii_).encode()
    except UnicodeEncodeError:
        return
    try:
        records = read_json(body, JSON, LIMITS)
    except RefusedError:
        # orjson is stricter than json: lone surrogates
        assert "\\ud" in body.decode()
        return
    lines = records.payload.split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line) for line in lines] == values
    assert records.count == len(values)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200))
def test_flattening_any_bytes_stays_inside(data: bytes) -> None:
    array = np.frombuffer(b"[" + data, np.uint8).copy()
    flatten_array(array)
    assert len(array) == len(data) + 1


# ---- over the wire


def start(tables: Any, log: FakeLog, **texts: str) -> HttpSource:
    texts = {"listen": "127.0.0.1:0"} | {k.replace("_", "."): v for k, v in texts.items()}
    source = Connector().source(tables.options(Connector, SCHEMA, texts))
    assert isinstance(source, HttpSource)
    source.collect(log)
    return source


def test_over_the_wire(tables: Any) -> None:
    log = FakeLog()
    source = start(tables, log)
    assert source.address is not None
    assert source.address.endswith("/ingest/t")
    with httpx.Client(trust_env=False) as client:
        answer = client.post(source.address, json=[{"a": 1}, {"a": 2}])
        assert (answer.status_code, answer.json()) == (202, {"accepted": 2})
        big = b'{"a":1}\n' * 60_000
        packed = gzip.compress(big, 1)
        headers = {"content-encoding": "gzip", "content-type": NDJSON}
        assert client.post(source.address, content=packed, headers=headers).json() == {"accepted": 60_000}

        def pieces() -> Any:
            yield b'{"a":'
            yield b"3}"

        assert client.post(source.address, content=pieces()).json() == {"accepted": 1}
        assert client.post(source.address, content=b"x" * (17 << 20)).status_code == 413
        assert client.get(source.address).status_code == 405
        elsewhere = client.post(source.address + "x", content=b"{}")
        assert elsewhere.status_code == 404
        assert "nothing is collected at /ingest/tx" in elsewhere.json()["message"]
    assert log.stored == [b'{"a":1}\n{"a":2}\n', big, b'{"a":3}\n']
    source.close()
    source.close()
    assert source.address is None


def test_the_answer_waits_for_the_disk(tables: Any) -> None:
    log = FakeLog()
    log.gate = threading.Event()
    source = start(tables, log)
    assert source.address is not None
    answers: list[int] = []
    address = source.address

    def send() -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            answers.append(client.post(address, content=b"{}").status_code)

    senders = [threading.Thread(target=send) for _ in range(3)]
    for t in senders:
        t.start()
    while len(log.stored) < 3:
        threading.Event().wait(0.005)
    assert answers == []
    log.gate.set()
    for t in senders:
        t.join(30)
    assert answers == [202] * 3
    source.close()


def test_tables_share_an_address(tables: Any) -> None:
    first = start(tables, FakeLog(), path="/one")
    assert first.address is not None
    port = first.address.split(":")[2].split("/")[0]
    # A port that the system chose belongs to one table; a named one is shared.
    first.close()
    one = start(tables, FakeLog(), listen=f"127.0.0.1:{port}", path="/one")
    two = start(tables, FakeLog(), listen=f"127.0.0.1:{port}", path="/two")
    with pytest.raises(OptionError, match="served for another table"):
        start(tables, FakeLog(), listen=f"127.0.0.1:{port}", path="/two")
    one.close()
    assert two.address is not None
    with httpx.Client(trust_env=False) as client:
        assert client.post(two.address, content=b"{}").status_code == 202
    two.close()


def test_a_taken_port_is_told(tables: Any) -> None:
    held = Listener.share("127.0.0.1", 0)
    with pytest.raises(ExternalError, match=rf"cannot listen on 127.0.0.1:{held.port}: address already in use") as e:
        start(tables, FakeLog(), listen=f"127.0.0.1:{held.port}")
    assert "Another program" in e.value.hint
    held.release()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"listen": "0.0.0.0:0"}, "without a token"),
        ({"listen": "nonsense"}, "is no address"),
        ({"path": "no-slash"}, "begin with '/'"),
        ({"max-body": "0"}, "at least 1"),
        ({"auth.token": "${env:DERAS_SURELY_UNSET}"}, "is not set"),
    ],
)
def test_wrong_options(tables: Any, texts: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Connector().source(tables.options(Connector, SCHEMA, texts))


def test_addresses() -> None:
    assert parse_address("[::1]:80") == ("::1", 80)
    assert parse_address(":0") == ("127.0.0.1", 0)
    assert is_loopback("127.8.9.1")
    assert is_loopback("localhost")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("example.org")


def test_routes() -> None:
    routes = Routes()
    app = intake(FakeLog())
    routes.add("/x", app)
    routes.add("/x", app)
    assert routes.paths() == ["/x"]
    with pytest.raises(OptionError):
        routes.add("/x", intake(FakeLog()))
    routes.remove("/x")
    routes.remove("/x")
    assert routes.paths() == []


def test_a_whole_source_with_the_real_log(tables: Any, tmp_path: Path) -> None:
    from deras.runtime.intake_log import IntakeLog, LoggedReader

    log = IntakeLog(tmp_path / "intake")
    source = Connector().source(tables.options(Connector, SCHEMA, {}))
    assert isinstance(source, HttpSource)
    source.collect(log)
    assert post(source.intake_app, b'[{"a":1},{"a":2}]')[0] == 202
    reader = LoggedReader(log, "t")
    records = reader.poll(1 << 20, 1)
    assert records is not None
    assert records.count == 2
    assert tables.format.decoder(SCHEMA).decode(records.blocks[0]).delta.rows() == [(1,), (2,)]
    source.close()
    assert post(source.intake_app, b"{}")[0] == 503
    log.close()
