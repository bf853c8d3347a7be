"""Files and folders: where they are, which count, how they are recognised again."""

from __future__ import annotations

import errno
import os
import re
import zlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deras.core.errors import ExternalError, OptionError

FINGERPRINT = 1024
"""Bytes at the start of a file by which it is recognised after a restart."""

PACKED = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}
"""File name ends that mean compression, and the codec."""


def resolve(text: str, folder: Path) -> Path:
    """The path of option ``path``: ``file:`` addresses are accepted, relative ones start at ``folder``."""
    parts = urlsplit(text)
    if parts.scheme == "file":
        text = unquote(parts.path)
    elif "://" in text:
        raise OptionError(
            f"option 'path': cannot read or write '{parts.scheme}://' addresses",
            hint="Give a local path or a file: address.",
        )
    if not text.strip():
        raise OptionError("option 'path' is empty", hint="Give a file or a folder.")
    path = Path(text).expanduser()
    return path if path.is_absolute() else folder.absolute() / path


def hidden(name: str) -> bool:
    """Whether a file or folder is left out, as in Flink."""
    return name.startswith((".", "_"))


def list_files(root: Path, pattern: str | None = None) -> list[str]:
    """Files below a folder (or those that a glob finds), by sorted path relative to it; a file gives ``[""]``.

    Args:
        root: a file, a folder or a glob.
        pattern: a regular expression that the whole absolute path must match.

    Raises:
        ExternalError: a folder cannot be read, or nothing is there.
    """
    if root.is_dir():
        found: list[str] = []
        _walk(root, "", found)
    elif root.exists():
        return [""]
    elif glob_base(root) is not None:
        base = glob_base(root)
        assert base is not None  # noqa: S101
        found = []
        for p in base.glob(str(root.relative_to(base))):
            inner = p.relative_to(base)
            if p.is_file() and not any(hidden(part) for part in inner.parts):
                found.append(str(inner))
    else:
        raise ExternalError(f"no such file or folder: {root}", hint="Check option 'path' of the table.", retry="never")
    if pattern is not None:
        base = glob_base(root) or root
        matches = re.compile(pattern).fullmatch
        found = [f for f in found if matches(str(base / f))]
    return sorted(found)


def glob_base(root: Path) -> Path | None:
    """The folder below which a glob searches, or None if the path is no glob."""
    if root.exists() or not any(c in str(root) for c in "*?["):
        return None
    base = Path(root.anchor)
    for part in root.parts[1:]:
        if any(c in part for c in "*?["):
            return base
        base /= part
    return base


def _walk(folder: Path, below: str, found: list[str]) -> None:
    try:
        with os.scandir(folder) as entries:
            for e in entries:
                if hidden(e.name):
                    continue
                name = f"{below}{e.name}"
                if e.is_dir():
                    _walk(folder / e.name, f"{name}/", found)
                elif e.is_file():
                    found.append(name)
    except FileNotFoundError:
        if not below:
            raise external(FileNotFoundError(errno.ENOENT, "No such file or directory"), folder, "list") from None
    except OSError as e:
        raise external(e, folder, "list") from e


def fingerprint(fd: int, span: int) -> int | None:
    """CRC-32 of the first ``span`` bytes, or None if the file is shorter."""
    head = os.pread(fd, span, 0)
    return zlib.crc32(head) if len(head) == span else None


def packed(path: Path) -> str | None:
    """The codec of a compressed file by its name, or None."""
    return PACKED.get(path.suffix.lower())


def external(e: OSError, path: Path | str, doing: str) -> ExternalError:
    """An operating system's error as ours: what was tried, on which file, what helps."""
    hints = {
        errno.EACCES: "Give the user who runs Deras the permission, or choose another path.",
        errno.EPERM: "Give the user who runs Deras the permission, or choose another path.",
        errno.ENOENT: "Check that the path exists and that nothing removes it while it is in use.",
        errno.ENOSPC: "Free space on this disk; the act is tried again.",
        errno.EDQUOT: "Raise the quota or free space; the act is tried again.",
        errno.EROFS: "The file system is read-only: choose another path.",
        errno.EMFILE: "Raise the limit of open files (ulimit -n).",
        errno.EISDIR: "A file was expected here and a folder was found.",
    }
    transient = e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EAGAIN)
    made = ExternalError(
        f"cannot {doing} {path}: {e.strerror or e}",
        hint=hints.get(e.errno or 0, ""),
        retry="backoff" if transient else "never",
    )
    made.__cause__ = e
    return made
