"""Runs scripts in Apache Flink. Runs in Flink's own environment, with nothing of ours.

Reads ``[[name, [statements]], …]`` as JSON from the file named first and writes ``{name: {"seconds"} or {"failed"}}``
to the file named second; what print sinks say goes to standard output.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment


def environment(settings: dict[str, str]) -> TableEnvironment:
    """A fresh table environment."""
    configuration = Configuration()
    for key, value in {"rest.port": "0", "parallelism.default": "1", **settings}.items():
        configuration.set_string(key, value)
    made = EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(configuration).build()
    return TableEnvironment.create(made)


def run(statements: list[str], settings: dict[str, str]) -> dict[str, Any]:
    """Run a script; its INSERT is waited for and measured."""
    try:
        tables = environment(settings)
        java = tables._j_tenv
        for s in statements:
            begin = time.perf_counter()
            result = java.executeSql(s)
            if re.match(r"\s*INSERT", s):
                getattr(result, "await")()  # a keyword of Python
        return {"seconds": time.perf_counter() - begin}
    except Exception as e:  # noqa: BLE001 (any failure is an answer)
        java_exception = getattr(e, "java_exception", None)
        while java_exception is not None and java_exception.getCause() is not None:
            java_exception = java_exception.getCause()
        text = str(java_exception.getMessage()) if java_exception is not None else str(e)
        return {"failed": text.splitlines()[0][:300] if text else type(e).__name__}


def main() -> None:
    """Run all scripts, one after the other."""
    settings = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {"pipeline.auto-watermark-interval": "0 ms"}
    found: dict[str, Any] = {}
    for name, statements in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        found[name] = run(statements, settings)
        print(time.strftime("%X"), name, found[name], file=sys.stderr, flush=True)
        Path(sys.argv[2]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
