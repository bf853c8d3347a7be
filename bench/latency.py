"""How long it takes: from start to the first row, and from a row *sent* over HTTP to the same row *seen* by a viewer.

``deras run`` serves a pipeline in a process of its own, in a project folder (intake log and checkpoints with fsync).
This process posts at a fixed pace, whatever the answers take (a late post counts from when it was due), and reads the
view's server-sent events over another connection; both ends use one monotonic clock.

Run: ``python bench/latency.py [--seconds S]``.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import queue
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

import machine

if TYPE_CHECKING:
    from collections.abc import Iterator

PIPELINE = """
CREATE TABLE readings (post BIGINT NOT NULL, sensor STRING, v DOUBLE) WITH ('connector' = 'http', 'format' = 'json');
{function}CREATE MATERIALIZED VIEW seen AS SELECT post, sensor, {expression} AS v FROM readings WHERE v >= 0;
"""
UDF = "CREATE FUNCTION warmer AS 'latency_udf.warmer' LANGUAGE PYTHON;\n"
UDF_FILE = """import deras

@deras.udf
def warmer(v: float) -> float:
    return v * 1.8 + 32
"""
FIRST = """
CREATE TABLE t (a BIGINT, b STRING) WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'json');
SELECT a, b FROM t WHERE a > 1
"""
SENDERS = 8


def deras(*arguments: str) -> list[str]:
    """The command line of this environment's ``deras``."""
    return [sys.executable, "-c", "import sys; from deras.cli.main import main; sys.exit(main())", *arguments]


# ---- start-up


def first_row(folder: Path, runs: int) -> None:
    """Seconds from starting ``deras sql -c`` to its first row, and from ``deras run`` to its end."""
    path = folder / "small.json"
    path.write_text("".join(f'{{"a":{i},"b":"x{i}"}}\n' for i in range(1000)), encoding="ascii")
    script = folder / "first.sql"
    script.write_text(
        "CREATE TABLE t (a BIGINT, b STRING) WITH ('connector' = 'filesystem', "
        f"'path' = '{path}', 'format' = 'json');\n"
        "CREATE TABLE o (a BIGINT, b STRING) WITH ('connector' = 'blackhole');\nINSERT INTO o SELECT a, b FROM t;\n",
        encoding="ascii",
    )
    shown, ended, imported = [], [], []
    for _ in range(runs + 1):
        begin = time.perf_counter()
        with subprocess.Popen(
            deras("sql", "--output", "csv", "-c", FIRST.format(path=path)), stdout=subprocess.PIPE, text=True
        ) as p:
            assert p.stdout is not None
            p.stdout.readline()
            if not p.stdout.readline():
                sys.exit("deras sql gave no row")
            shown.append(time.perf_counter() - begin)
            p.stdout.read()
        begin = time.perf_counter()
        subprocess.run(deras("run", "--no-serve", str(script)), check=True, stderr=subprocess.DEVNULL)
        ended.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import deras"], check=True)
        imported.append(time.perf_counter() - begin)
    # The first of each fills the caches.
    print(f"  deras sql -c, to the first row      {statistics.median(shown[1:]):6.2f} s  (target 1)")
    print(f"  deras run, small file, to its end   {statistics.median(ended[1:]):6.2f} s")
    print(f"  python -c 'import deras'            {statistics.median(imported[1:]):6.2f} s")


# ---- from sent to seen


class Platform:
    """``deras run`` of a pipeline, ready to be posted to."""

    def __init__(self, folder: Path, udf: bool) -> None:
        folder.mkdir()
        (folder / "latency_udf.py").write_text(UDF_FILE, encoding="ascii")
        script = folder / "pipeline.sql"
        function, expression = (UDF, "warmer(v)") if udf else ("", "v")
        script.write_text(PIPELINE.format(function=function, expression=expression), encoding="ascii")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.log = folder / "log"
        self._process = subprocess.Popen(
            deras("run", "--project", str(folder / "project"), "--port", str(self.port), str(script)),
            stderr=self.log.open("wb"),
            stdout=subprocess.DEVNULL,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder)},
        )
        for _ in range(600):
            with contextlib.suppress(OSError):
                c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                c.request("GET", "/v1/views/seen")
                if c.getresponse().status == 200:
                    return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        sys.exit(f"deras run did not start:\n{self.log.read_text(encoding='utf-8')}")

    def memory(self, key: str = "VmRSS") -> float:
        """Of the process, MiB."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))

    def seconds(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)


def read_events(s: socket.socket, found: list[tuple[int, bytes]]) -> None:
    """Note when every piece of the stream comes; it is read later, so that reading it delays nothing."""
    with contextlib.suppress(OSError):
        while piece := s.recv(1 << 20):
            found.append((time.monotonic_ns(), piece))


def posts_of(found: list[tuple[int, bytes]]) -> Iterator[tuple[int, list[int]]]:
    """When each event was complete, and the numbers of the posts in it."""
    rest, event = b"", b""
    for at, piece in found:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            line = line.rstrip(b"\r")
            if line.startswith(b"event: "):
                event = line[7:]
            elif line.startswith(b"data: ") and event == b"change":
                yield at, [values[0] for kind, values in json.loads(line[6:])["changes"]]


def sender(port: int, due: queue.SimpleQueue[tuple[int, int] | None], rows: int, bad: list[int]) -> None:
    """Post what is due; numbers of posts that were not taken go to ``bad``."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    c.connect()
    c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while (task := due.get()) is not None:
        number, _ = task
        body = "".join(f'{{"post":{number},"sensor":"machine-{i}","v":{i}.25}}\n' for i in range(rows))
        c.request("POST", "/ingest/readings", body, {"content-type": "application/x-ndjson"})
        answer = c.getresponse()
        answer.read()
        if answer.status != 202:
            bad.append(number)


def measure(folder: Path, name: str, rate: int, rows: int, seconds: float, udf: bool) -> None:
    """One pace: prints the delays of whole posts (a post counts when its last row was seen)."""
    platform = Platform(folder, udf)
    with socket.create_connection(("127.0.0.1", platform.port)) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.sendall(
            f"GET /v1/views/seen/changes?snapshot=false HTTP/1.1\r\nHost: 127.0.0.1:{platform.port}\r\n\r\n".encode()
        )
        found: list[tuple[int, bytes]] = []
        reader = threading.Thread(target=read_events, args=(stream, found), daemon=True)
        reader.start()
        due: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
        bad: list[int] = []
        threads = [threading.Thread(target=sender, args=(platform.port, due, rows, bad)) for _ in range(SENDERS)]
        for t in threads:
            t.start()
        due.put((-1, 0))  # kernels are compiled now if they are not in the cache
        deadline = time.monotonic() + 120
        while not any(b"event: change" in piece for _, piece in found):
            if time.monotonic() > deadline:
                sys.exit(f"{name}: the first row was not seen within 120 s")
            time.sleep(0.05)
        time.sleep(1)
        idle, busy = platform.memory(), platform.seconds()
        sent: list[int] = []
        warm = rate  # the first second is not counted
        begin = time.monotonic_ns() + 100_000_000
        for number in range(int(rate * seconds) + warm):
            at = begin + number * 1_000_000_000 // rate
            while (left := at - time.monotonic_ns()) > 0:
                time.sleep(left / 1e9)
            sent.append(at)
            due.put((number, at))
        for _ in threads:
            due.put(None)
        for t in threads:
            t.join()
        busy = (platform.seconds() - busy) / (time.monotonic_ns() - begin) * 1e9
        time.sleep(1)
        peak = platform.memory("VmHWM")
        stream.shutdown(socket.SHUT_RDWR)
        reader.join()
    platform.stop()
    last: dict[int, int] = {}
    count: dict[int, int] = {}
    for at, numbers in posts_of(found):
        for n in numbers:
            last[n] = at
            count[n] = count.get(n, 0) + 1
    lost = [n for n in range(len(sent)) if count.get(n, 0) != rows]
    if bad or lost:
        log = platform.log.read_text(encoding="utf-8")
        sys.exit(f"{name}: {len(bad)} posts were refused, {len(lost)} were not seen whole\n{log}")
    delays = sorted((last[n] - sent[n]) / 1e6 for n in range(warm, len(sent)))

    def part(p: float) -> float:
        return delays[min(len(delays) - 1, int(p * len(delays)))]

    print(
        f"  {name:46} {part(0.5):7.1f} {part(0.9):7.1f} {part(0.99):7.1f} {delays[-1]:7.1f}   "
        f"{busy * 100:4.0f} % {idle:7.0f} {peak - idle:+7.0f} {machine.load():6.1f}",
        flush=True,
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each pace")
    parser.add_argument("--runs", type=int, default=3, help="measurements of start-up")
    parser.add_argument("--only", choices=("start", "delay"), help="one half")
    args = parser.parse_args()
    print(f"{machine.facts()}; load {machine.load():.1f}\n")
    with tempfile.TemporaryDirectory(prefix="deras-latency-") as name:
        folder = Path(name)
        if args.only != "delay":
            print("start-up, warm")
            first_row(folder, args.runs)
        if args.only == "start":
            return
        print("\nfrom sent to seen, ms (targets: p50 5, p99 20)")
        print(
            f"  {'':46} {'p50':>7} {'p90':>7} {'p99':>7} {'max':>7}   {'cpu':>6} {'idle MB':>7} {'peak':>7} {'load':>6}"
        )
        measure(folder / "a", "100 posts/s of 100 rows", 100, 100, args.seconds, False)
        measure(folder / "b", "500 posts/s of one row", 500, 1, args.seconds, False)
        measure(folder / "c", "100 posts/s of 100 rows, Python UDF", 100, 100, args.seconds, True)


if __name__ == "__main__":
    main()
