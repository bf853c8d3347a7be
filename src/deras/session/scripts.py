"""Scripts: from a file or a text, with messages that a person can act on."""

from __future__ import annotations

from pathlib import Path

from deras.core.errors import ConfigError, ExternalError


def read_script(path: Path) -> str:
    """The text of a script.

    Raises:
        ConfigError: there is no such file, it is a folder, or it is not UTF-8.
        ExternalError: it cannot be read.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"there is no file '{path}'", hint="Give the path of a SQL script.") from None
    except IsADirectoryError:
        raise ConfigError(f"'{path}' is a folder, not a SQL script", hint="Give the path of a file in it.") from None
    except OSError as e:
        raise ExternalError(f"cannot read '{path}': {(e.strerror or str(e)).lower()}", retry="never") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = raw.count(b"\n", 0, e.start) + 1
        raise ConfigError(
            f"'{path}' is not UTF-8 (byte {e.start + 1}, line {line})", hint="Save the script as UTF-8."
        ) from None


def script_text(script: Path | str) -> str:
    """The text of a script given as path or text: a string is a path if it ends in ``.sql`` on one line."""
    if isinstance(script, Path):
        return read_script(script)
    one = script.strip()
    return read_script(Path(one)) if one.endswith(".sql") and "\n" not in one and ";" not in one else script
