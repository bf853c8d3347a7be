"""What a statement set saves by sharing: three INSERTs over one HOP aggregate of bids, with and without.

CPU time (user and system) of whole jobs over an NDJSON file, each in a fresh process that has run the same script on a
small file first; runs with and without sharing alternate, medians are printed.

Run: ``python bench/shared.py [--rows N] [--runs N]``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import data
from queries import BIDS

HOP = "TABLE(HOP(TABLE bids, DESCRIPTOR(`dateTime`), INTERVAL '2' SECOND, INTERVAL '10' SECOND))"
SCRIPT = """
CREATE TABLE counts (auction BIGINT, n BIGINT, e TIMESTAMP(3)) WITH ('connector' = 'blackhole');
CREATE TABLE busy (auction BIGINT, n BIGINT, e TIMESTAMP(3)) WITH ('connector' = 'blackhole');
CREATE TABLE tops (e TIMESTAMP(3), n BIGINT) WITH ('connector' = 'blackhole');
CREATE VIEW w AS SELECT auction, COUNT(*) AS n, window_start AS s, window_end AS e
  FROM {hop} GROUP BY auction, window_start, window_end;
EXECUTE STATEMENT SET BEGIN
  INSERT INTO counts SELECT auction, n, e FROM w;
  INSERT INTO busy SELECT auction, n, e FROM w WHERE n > 100;
  INSERT INTO tops SELECT e, MAX(n) FROM w GROUP BY s, e;
END;
"""


def run(path: Path, share: bool) -> float:
    """CPU seconds of the job over a file."""
    from deras.session.session import Session

    with tempfile.TemporaryDirectory() as project, Session(Path(project), restore=False) as session:
        session.sql(f"SET 'table.optimizer.reuse-sub-plan-enabled' = '{str(share).lower()}'")
        before = resource.getrusage(resource.RUSAGE_SELF)
        session.sql(BIDS.format(path=path) + SCRIPT.format(hop=HOP))
        session.wait(600)
        after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, default=1_000_000)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--child", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.child:
        task = json.loads(args.child)
        run(Path(task["small"]), task["share"])
        print(run(Path(task["path"]), task["share"]))
        return
    folder = Path(os.environ.get("DERAS_BENCH_DATA", Path(tempfile.gettempdir()) / "deras-bench-data"))
    folder.mkdir(exist_ok=True)
    files = {n: folder / f"bids-shared-{n}.json" for n in (5000, args.rows)}
    for n, path in files.items():
        if not path.exists():
            data.bids(path, n)
    taken: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(args.runs):
        for share in taken:
            task = {"path": str(files[args.rows]), "small": str(files[5000]), "share": share}
            command = [sys.executable, __file__, "--child", json.dumps(task)]
            taken[share].append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    for share, seconds in taken.items():
        ns = statistics.median(seconds) / args.rows * 1e9
        print(f"{'shared' if share else 'each its own':>12}: {ns:.0f} ns of CPU a row")


if __name__ == "__main__":
    main()
