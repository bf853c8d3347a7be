"""What every connector must hold to, as functions that raise ``AssertionError`` with the reason.

Call them from your connector's tests::

    check_source(lambda: MyConnector().source(table), decode=format.decoder(schema).decode)
    check_sink(lambda: MyConnector().sink(table), schema, batches, read_back)
"""

# ruff: noqa: S101 (to assert is what this is for)

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deras.core.records import PAD
from deras.core.time import Tick

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deras.core.contracts import Reader, Sink, Source, Writer
    from deras.core.delta import Delta
    from deras.core.records import Block, Decoded, Offset, Records
    from deras.core.schema import Schema

Row = tuple[Any, ...]


def check_source(
    source: Callable[[], Source],
    decode: Callable[[Block], Decoded] | None = None,
    *,
    rows: int | None = None,
    limit: int = 200,
    seed: int = 0,
) -> list[Row]:
    """Hold a source to its contract, on data that stays as it is while this runs.

    Checked: parts have stable, different names; two readings give the same rows; a reading broken off anywhere and
    taken up at the last offset (after a trip through JSON) gives each row, good or rejected, once; ``close`` works
    twice and after an end; an ended reader stays ended.

    Args:
        source: makes the source anew, as after a restart.
        decode: decodes a block, where the source gives blocks.
        rows: rows to read of each part of an unbounded source.
        limit: bytes for each poll: small, so that there are many.
        seed: for the places where reading is broken off.

    Returns:
        All rows, part by part.
    """
    first = source()
    parts = first.parts()
    assert len(set(parts)) == len(parts), f"parts share a name: {parts}"
    assert source().parts() == parts, "parts have other names in the next run"
    assert first.bounded or rows is not None, "give `rows`: the source is unbounded"
    found: list[Row] = []
    for part in parts:
        whole, offsets = _read(source().open(part, None), decode, limit, rows)
        again, _ = _read(source().open(part, None), decode, 1 << 20, rows)
        assert again == whole, f"part {part!r}: other limits give other rows"
        for at, (taken, offset) in _some(offsets, seed):
            rest, _ = _read(source().open(part, offset), decode, limit, None if rows is None else rows - taken.good)
            assert taken.of(whole) + rest == whole, (
                f"part {part!r}: taken up at offset {offset} (after poll {at + 1}), rows are lost, doubled or changed"
            )
        found += whole.good + [("rejected", raw) for raw in whole.bad]
    first.close()
    first.close()
    return found


@dataclass(slots=True)
class _Found:
    """Good rows and the bytes of rejected ones, each in order."""

    good: list[Row] = field(default_factory=list)
    bad: list[bytes] = field(default_factory=list)

    def __add__(self, other: _Found) -> _Found:
        return _Found(self.good + other.good, self.bad + other.bad)


@dataclass(frozen=True, slots=True)
class _Taken:
    """How many rows had come at an offset."""

    good: int
    bad: int

    def of(self, whole: _Found) -> _Found:
        return _Found(whole.good[: self.good], whole.bad[: self.bad])


def _read(
    reader: Reader, decode: Callable[[Block], Decoded] | None, limit: int, rows: int | None
) -> tuple[_Found, list[tuple[_Taken, Offset]]]:
    """All rows of a reader, and after each poll how many there were and the offset."""
    found = _Found()
    offsets: list[tuple[_Taken, Offset]] = []
    silent = 0
    while rows is None or len(found.good) < rows:
        records = reader.poll(limit, 0.05)
        if records is None:
            assert reader.poll(limit, 0) is None, "a reader that has ended gives records again"
            assert rows is None, "a source that says that it is unbounded has ended"
            break
        some = _rows(records, decode)
        silent = 0 if some.good or some.bad else silent + 1
        assert silent < 1000, "poll gives nothing, again and again"
        found += some
        taken = _Taken(len(found.good), len(found.bad))
        if rows is None or taken.good <= rows:
            offsets.append((taken, json.loads(json.dumps(records.resume))))
    reader.close()
    reader.close()
    return found if rows is None else _Found(found.good[:rows]), offsets


def _rows(records: Records, decode: Callable[[Block], Decoded] | None) -> _Found:
    assert records.delta is None or not records.blocks, "Records hold both blocks and a delta"
    if records.delta is not None:
        return _Found([_frozen(r) for r in records.delta.rows()])
    found = _Found()
    for block in records.blocks:
        assert decode is not None, "give `decode`: the source gives blocks"
        assert len(block.data) >= block.end + PAD, "a block lacks padding"
        decoded = decode(block)
        found.good += [_frozen(r) for r in decoded.delta.rows()]
        for rejected in decoded.rejected:
            found.bad += rejected.raw
    return found


def _frozen(row: Row) -> Row:
    return tuple(repr(v) if isinstance(v, (list, dict, float)) else v for v in row)


def _some(offsets: list[tuple[_Taken, Offset]], seed: int, most: int = 12) -> list[tuple[int, tuple[_Taken, Offset]]]:
    numbered = list(enumerate(offsets))
    if len(numbered) <= most:
        return numbered
    picked = random.Random(seed).sample(range(len(numbered)), most - 2)  # noqa: S311
    return [numbered[i] for i in sorted({0, len(numbered) - 1, *picked})]


def check_sink(
    sink: Callable[[], Sink],
    schema: Schema,
    batches: Sequence[Delta],
    read_back: Callable[[], Sequence[Row]],
    crash: Callable[[Writer], None] | None = None,
) -> None:
    """Hold an exactly-once or idempotent sink to its contract. The sink's target must be empty.

    Checked: ``commit`` twice does what once does; a token survives JSON; after a crash between ``prepare`` and
    ``commit`` the rows come with the recovery; rows after the last checkpoint are not visible after a crash, and once
    when they are written again; ``close`` works twice.

    Args:
        sink: makes the sink anew, as after a restart.
        schema: the rows' columns.
        batches: at least three.
        read_back: the rows that somebody else sees now.
        crash: lets go of a writer's resources as the end of its process would; default: nothing.
    """
    assert len(batches) >= 3, "give at least three batches"
    gone = crash or (lambda _: None)

    def expect(upto: int, when: str) -> None:
        want = Counter(r for b in batches[:upto] for r in map(_frozen, b.rows()))
        got = Counter(map(_frozen, read_back()))
        assert got == want, f"{when}: missing {want - got}, too many {got - want}"

    def token(writer: Writer, epoch: int) -> dict[str, Any] | None:
        made = writer.prepare(epoch)
        return None if made is None else json.loads(json.dumps(made))

    s = sink()
    writer = s.open(schema)
    writer.write(batches[0], Tick(epoch=1))
    first = token(writer, 1)
    if first is not None:
        s.commit(first)
        s.commit(first)
    expect(1, "after the first commit, done twice")
    # A crash when the second checkpoint's manifest is written and nothing is committed yet.
    writer.write(batches[1], Tick(epoch=2))
    second = token(writer, 2)
    writer.write(batches[2], Tick(epoch=3))
    gone(writer)
    s = sink()
    if second is not None:
        s.commit(second)
        s.commit(second)
    writer = s.open(schema, second if second is not None else first)
    expect(2, "after a crash between prepare and commit")
    # A crash after prepare, before the manifest: the third checkpoint never was.
    writer.write(batches[2], Tick(epoch=3))
    token(writer, 3)
    gone(writer)
    s = sink()
    if second is not None:
        s.commit(second)
    writer = s.open(schema, second if second is not None else first)
    expect(2, "after a crash before the manifest")
    for i, batch in enumerate(batches[2:]):
        writer.write(batch, Tick(epoch=3 + i))
        made = token(writer, 3 + i)
        if made is not None:
            s.commit(made)
    writer.close()
    writer.close()
    expect(len(batches), "at the end")
