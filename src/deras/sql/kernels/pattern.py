"""Regular expressions as programs for a kernel; those that have the same meaning to all engines on ASCII text.

A program is int64[n, 4] of instructions (what, a, b, c): it tries the first choice first and goes back, as Java does.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

MATCH, BYTE, SET, SPLIT, JUMP, SAVE, BEGIN, END, RUN, RUN_ALL, RUN_LAZY = range(11)
"""BYTE a · SET set · SPLIT first second · JUMP a · SAVE slot · RUN set least most: bytes of a set, as many as possible;
RUN_ALL: none of them is given back; RUN_LAZY: as few as possible."""

MANY = 1 << 40
_LONGEST = 512
_WORD = [*range(48, 58), *range(65, 91), 95, *range(97, 123)]
_CATEGORIES = {
    "CATEGORY_DIGIT": [*range(48, 58)],
    "CATEGORY_WORD": _WORD,
    "CATEGORY_SPACE": [9, 10, 11, 12, 13, 32],
}

_Set = frozenset[int]


class _Other(Exception):
    """The pattern has something that only the general engine knows."""


@dataclass
class Program:
    """A compiled pattern.

    Args:
        code: int64[n, 4].
        sets: bool[k, 256] as uint8.
        first: uint8[256]: bytes that a match can begin with; all 1 if it can be empty.
        empty: whether a match can be empty.
        anchored: whether a match begins at the text's beginning only.
        literal: bytes that every match contains.
        before: so many bytes at most are before them in a match; -1: no bound.
        groups: their number.
    """

    code: npt.NDArray[np.int64]
    sets: npt.NDArray[np.uint8]
    first: npt.NDArray[np.uint8]
    empty: bool
    anchored: bool
    literal: bytes
    before: int
    groups: int


@dataclass
class _Maker:
    state: Any
    code: list[list[int]] = field(default_factory=list)
    sets: dict[_Set, int] = field(default_factory=dict)

    def add(self, *what: int) -> int:
        if len(self.code) >= _LONGEST:
            raise _Other
        self.code.append([*what, *([0] * (4 - len(what)))])
        return len(self.code) - 1

    def number(self, s: _Set) -> int:
        return self.sets.setdefault(s, len(self.sets))

    def sequence(self, items: Any) -> None:
        for op, av in items:
            self.item(str(op), av)

    def item(self, op: str, av: Any) -> None:
        match op:
            case "LITERAL":
                self.add(BYTE, _ascii(av))
            case "NOT_LITERAL" | "ANY" | "IN":
                self.add(SET, self.number(_bytes(op, av)))
            case "AT" if str(av) == "AT_BEGINNING":
                self.add(BEGIN)
            case "AT" if str(av) == "AT_END":
                self.add(END)
            case "BRANCH":
                self.branch(av[1])
            case "SUBPATTERN":
                group, add_flags, del_flags, items = av
                if add_flags or del_flags:
                    raise _Other
                if group is not None:
                    self.add(SAVE, 2 * group)
                self.sequence(items)
                if group is not None:
                    self.add(SAVE, 2 * group + 1)
            case "MAX_REPEAT" | "MIN_REPEAT":
                self.repeat(*av, lazy=op == "MIN_REPEAT")
            case _:
                raise _Other

    def branch(self, alternatives: Any) -> None:
        jumps = []
        for k, items in enumerate(alternatives):
            last = k == len(alternatives) - 1
            fork = -1 if last else self.add(SPLIT, len(self.code) + 1)
            self.sequence(items)
            if not last:
                jumps.append(self.add(JUMP))
                self.code[fork][2] = len(self.code)
        for j in jumps:
            self.code[j][1] = len(self.code)

    def repeat(self, least: int, most: Any, items: Any, *, lazy: bool) -> None:
        endless = str(most) == "MAXREPEAT"
        if len(items) == 1 and str(items[0][0]) in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
            op, av = items[0]
            chosen = frozenset([_ascii(av)]) if str(op) == "LITERAL" else _bytes(str(op), av)
            self.add(RUN_LAZY if lazy else RUN, self.number(chosen), least, MANY if endless else int(most))
            return
        if items.getwidth()[0] == 0:
            # Engines differ in what a group holds after an empty round.
            raise _Other
        for _ in range(least):
            self.sequence(items)
        if endless:
            fork = self.add(SPLIT)
            self.sequence(items)
            self.add(JUMP, fork)
            self.fork(fork, len(self.code), lazy=lazy)
            return
        forks = []
        for _ in range(int(most) - least):
            forks.append(self.add(SPLIT))
            self.sequence(items)
        for fork in forks:
            self.fork(fork, len(self.code), lazy=lazy)

    def fork(self, at: int, out: int, *, lazy: bool) -> None:
        self.code[at][1:3] = (out, at + 1) if lazy else (at + 1, out)

    # ---- what can come next

    def starts(self, at: int) -> tuple[set[int], bool]:
        """Bytes that can come at an instruction, and whether the match can end there."""
        found: set[int] = set()
        ends = False
        todo, seen = [at], set()
        members = {k: s for s, k in self.sets.items()}
        while todo:
            pc = todo.pop()
            if pc in seen:
                continue
            seen.add(pc)
            what, a, b, _ = self.code[pc]
            if what == MATCH:
                ends = True
            elif what == BYTE:
                found.add(a)
            elif what == SET:
                found |= members[a]
            elif what == SPLIT:
                todo += [a, b]
            elif what == JUMP:
                todo.append(a)
            elif what in (RUN, RUN_ALL, RUN_LAZY):
                found |= members[a]
                if b == 0:
                    todo.append(pc + 1)
            else:
                todo.append(pc + 1)
        return found, ends

    def tighten(self) -> None:
        """Runs that never have to give back: what follows them is none of their bytes, or it is the match's end."""
        members = {k: s for s, k in self.sets.items()}
        for pc, (what, a, _, most) in enumerate(self.code):
            if what == RUN and most == MANY:
                next_ = pc + 1
                while self.code[next_][0] == SAVE:
                    next_ += 1
                following, ends = self.starts(pc + 1)
                if self.code[next_][0] == MATCH or (not ends and not following & members[a]):
                    self.code[pc][0] = RUN_ALL


def _ascii(c: int) -> int:
    if c >= 128:
        raise _Other
    return c


def _bytes(op: str, av: Any) -> _Set:
    everything = frozenset(range(128))
    if op == "NOT_LITERAL":
        return everything - {_ascii(av)}
    if op == "ANY":
        return everything - {10}
    chosen: set[int] = set()
    negated = False
    for what, x in av:
        match str(what):
            case "NEGATE":
                negated = True
            case "LITERAL" if x != ord("["):
                chosen.add(_ascii(x))
            case "RANGE":
                chosen |= set(range(_ascii(x[0]), _ascii(x[1]) + 1))
            case "CATEGORY" if str(x) in _CATEGORIES:
                chosen |= set(_CATEGORIES[str(x)])
            case "CATEGORY" if str(x).replace("_NOT_", "_") in _CATEGORIES:
                chosen |= everything - set(_CATEGORIES[str(x).replace("_NOT_", "_")])
            case _:
                raise _Other
    return everything - chosen if negated else frozenset(chosen)


def _literal(items: Any, state: Any) -> tuple[bytes, int]:
    """The longest text that every match has between its parts, and how much can be before it (-1: no bound)."""
    parser = re._parser  # type: ignore[attr-defined]
    best, place = b"", 0
    now, start = b"", 0
    width = 0
    for op, av in [*items, ("END", None)]:
        if str(op) == "LITERAL":
            start = width if not now else start
            now += bytes([av])
            width += 1 if width >= 0 else 0
            continue
        if len(now) > len(best):
            best, place = now, start
        now = b""
        if str(op) not in ("AT", "END"):
            most = parser.SubPattern(state, [(op, av)]).getwidth()[1]
            width = -1 if width < 0 or most >= 1 << 20 else width + most
    return best, place


def program(pattern: str) -> Program | None:
    """The program of a pattern, or None if only the general engine knows it."""
    parser = re._parser  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parsed = parser.parse(re.sub(r"\(\?<([A-Za-z])", r"(?P<\1", pattern))
        if parsed.state.flags & ~re.UNICODE or not pattern.isascii() or "[:" in pattern or "&&" in pattern:
            return None
        maker = _Maker(parsed.state)
        maker.sequence(parsed)
    except (_Other, re.error, Warning, OverflowError, RecursionError):
        return None
    maker.code.append([MATCH, 0, 0, 0])
    maker.tighten()
    found, empty = maker.starts(0)
    first = np.zeros(256, np.uint8)
    first[list(found)] = 1
    sets = np.zeros((max(1, len(maker.sets)), 256), np.uint8)
    for s, k in maker.sets.items():
        sets[k, list(s)] = 1
    literal, before = _literal(parsed, parsed.state)
    anchored = bool(parsed) and str(parsed[0][0]) == "AT" and str(parsed[0][1]) == "AT_BEGINNING"
    code = np.array(maker.code, np.int64)
    return Program(code, sets, first, empty, anchored, literal, before, parsed.state.groups - 1)
