"""Opening the intake log after a stop of any kind."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deras.core.errors import CorruptError
from deras.runtime import intake_segment as seg
from deras.runtime.intake_segment import BadFrameError, Segment

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger("deras.intake")


@dataclass(slots=True)
class Stream:
    """A table's stream: its number, the first sequence that is stored, and the next to be written."""

    id: int
    first: int
    next: int


@dataclass(slots=True)
class Found:
    """What lies in a folder: segments in order, streams by table, and the valid bytes of the last segment."""

    segments: list[Segment] = field(default_factory=list)
    streams: dict[str, Stream] = field(default_factory=dict)
    size: int = 0


def recover(folder: Path) -> Found:
    """Read the begin of every segment and all of the last one; cut a torn end off.

    Raises:
        CorruptError: something that had been acknowledged is damaged or missing; names file and byte.
        OSError: a file cannot be read.
    """
    found = Found()
    paths = sorted(folder.glob("intake-*.log"), key=segment_number)
    for i, path in enumerate(paths):
        number = segment_number(path)
        if i and number != segment_number(paths[i - 1]) + 1:
            raise CorruptError(
                f"intake log is damaged: a file before {path} is missing",
                hint="Restore it from a backup, or move the older files away to go on without their rows.",
            )
        try:
            found.segments.append(seg.read_begin(path, number))
        except BadFrameError as e:
            if i < len(paths) - 1 or seg.was_durable(path, 0) is not None:
                raise seg.corrupt(path, e) from None
            # A crash while this file was begun: nothing in it was ever promised.
            _log.warning("%s was not finished when Deras stopped: removed", path)
            path.unlink()
    for s in found.segments:
        for name, (id_, sequence) in s.begins.items():
            stream = found.streams.get(name)
            if stream is None:
                # A table that came in an earlier segment began there at 0.
                first = 0 if found.segments[0] is not s else sequence
                found.streams[name] = Stream(id_, first, sequence)
            else:
                stream.next = sequence
    if found.segments:
        _read_last(found)
    return found


def _read_last(found: Found) -> None:
    s = found.segments[-1]
    names = {stream.id: name for name, stream in found.streams.items()}
    try:
        for frame in seg.frames(s.path):
            if frame.kind == seg.TABLE:
                names[frame.table] = frame.payload.decode()
                found.streams.setdefault(names[frame.table], Stream(frame.table, 0, 0))
            elif frame.kind == seg.DATA:
                stream = found.streams[names[frame.table]]
                if frame.sequence != stream.next:
                    raise BadFrameError(frame.at, f"sequence {frame.sequence} where {stream.next} was expected")
                stream.next = frame.sequence + len(frame.payload)
            found.size = frame.end
    except BadFrameError as e:
        if seg.was_durable(s.path, e.at) is not None:
            raise seg.corrupt(s.path, e) from None
        _cut_torn(s.path, e)
        found.size = e.at


def _cut_torn(path: Path, bad: BadFrameError) -> None:
    """Cut the end of a write that a crash tore; its bytes are set aside, as nothing is thrown away in silence."""
    with path.open("r+b") as f:
        f.seek(bad.at)
        rest = f.read()
        if rest.strip(b"\0"):
            path.with_suffix(f".torn-{bad.at}").write_bytes(rest)
        f.truncate(bad.at)
        f.flush()
        os.fsync(f.fileno())
    _log.warning(
        "%s: %d bytes of a write that a crash cut off were set aside (%s); their sender got no receipt",
        path,
        len(rest),
        bad.why,
    )


def segment_number(path: Path) -> int:
    """The number in a segment's file name."""
    return int(path.stem.rpartition("-")[2])
