"""Row patterns as automata: what may match a row next, in the order in which it is tried.

Two sets of rules. *Flink's* hold for the patterns that Flink runs: a greedy quantifier keeps every row that it can take
and gives none back; a match is complete as soon as any of its ways is, and of ways that end in the same row the one
that went round a loop more often wins. *SQL's* (ISO 9075-2: preferment) hold for all others: a way counts only when
every way before it has failed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from deras.core.errors import PlanError

MAX_STATES = 10_000
MAX_VARIABLES = 60

# What a state is, once its row has been taken.
OPEN, DONE, MAYBE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Var:
    """One row: the number of its variable. ``hidden``: the row is not among ALL ROWS PER MATCH."""

    index: int
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Seq:
    """One after the other."""

    items: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Alt:
    """One of these, the first that can."""

    items: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Again and again: at least ``low`` times, at most ``high`` times (None: no bound)."""

    item: Pattern
    low: int
    high: int | None
    greedy: bool = True


Pattern = Var | Seq | Alt | Repeat


@dataclass(frozen=True, slots=True)
class Automaton:
    """A compiled pattern.

    Args:
        edges: int64[m, 4]: variable that takes the row, state that follows, variables that must *not* be able to take
            it (bits), and 1 where the row is hidden.
        first: int64[states + 1]: the edges of state s are ``first[s]:first[s + 1]``, best first. State 0 is the start.
        ends: int64[states]: OPEN; DONE: the match is complete, nothing better can come; MAYBE: it is complete if
            nothing better comes.
        eager: a complete way ends all others of its match.
    """

    edges: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    eager: bool

    @property
    def width(self) -> int:
        """The greatest number of edges of a state."""
        return int(np.diff(self.first).max())


def variables(p: Pattern) -> list[int]:
    """The variables of a pattern, in order, as often as they stand there."""
    match p:
        case Var():
            return [p.index]
        case Repeat():
            return variables(p.item)
        case _:
            return [v for x in p.items for v in variables(x)]


def nullable(p: Pattern) -> bool:
    """Whether the pattern matches no row at all."""
    match p:
        case Var():
            return False
        case Repeat():
            return p.low == 0 or nullable(p.item)
        case Seq():
            return all(nullable(x) for x in p.items)
    return any(nullable(x) for x in p.items)


def linear(p: Pattern) -> list[Repeat] | None:
    """The pattern as a row of quantified variables; None if it is not one."""
    found = []
    for x in p.items if isinstance(p, Seq) else (p,):
        if isinstance(x, Var):
            x = Repeat(x, 1, 1)
        if not isinstance(x, Repeat) or not isinstance(x.item, Var) or x.item.hidden:
            return None
        found.append(x)
    return found


def beyond_flink(p: Pattern) -> str:
    """Why Flink refuses a pattern; "" if it runs it."""
    items = linear(p)
    if items is None:
        return "a pattern with groups, alternation, PERMUTE or exclusion"
    names = variables(p)
    if len(set(names)) < len(names):
        return "a variable that stands in the pattern twice"
    before = False
    for x in items:
        optional = x.low == 0
        if optional and before:
            return "an optional variable after a greedy one"
        if optional and x.high is not None and (x.high != 1 or not x.greedy):
            return "a reluctant optional variable" if x.high == 1 else "a quantifier {0,n}"
        before = _possessive(x)
    if before:
        return "a greedy quantifier at the end"
    return ""


def _possessive(x: Repeat) -> bool:
    return x.greedy and x.low != x.high and (x.low, x.high) != (0, 1)


def compile_pattern(p: Pattern) -> Automaton:
    """The automaton of a pattern: by Flink's rules where Flink runs it, else by SQL's.

    Raises:
        PlanError: it can match no row at all, or is too large.
    """
    if nullable(p):
        raise PlanError(
            "this pattern can match no row at all",
            hint="At least one variable must not be optional: use + in place of *, or add a variable.",
        )
    items = linear(p)
    if items is not None and not beyond_flink(p):
        return _Flink().build(items)
    return _Preferred().build(p)


def _packed(states: list[list[tuple[int, int, int, int]]], ends: list[int], *, eager: bool) -> Automaton:
    edges = np.array([edge for s in states for edge in s], np.int64).reshape(-1, 4)
    first = np.concatenate([[0], np.cumsum([len(s) for s in states])]).astype(np.int64)
    return Automaton(edges, first, np.array(ends, np.int64), eager)


def _too_large() -> PlanError:
    return PlanError(
        f"the pattern unfolds to more than {MAX_STATES} states", hint="Use smaller numbers in its quantifiers."
    )


# ---------------------------------------------------------------- Flink's rules


@dataclass(slots=True)
class _State:
    greedy: bool
    # (variable or None for a step without a row, state that follows, guard or -1)
    moves: list[tuple[int | None, int, int]] = field(default_factory=list)


class _Flink:
    """Each state is a place before a row; END is the place after the last one."""

    END = 0

    def __init__(self) -> None:
        self.states = [_State(greedy=False)]

    def _new(self, x: Repeat) -> int:
        if len(self.states) > MAX_STATES:
            raise _too_large()
        self.states.append(_State(_possessive(x)))
        return len(self.states) - 1

    def build(self, items: list[Repeat]) -> Automaton:
        """From the last variable to the first."""
        after = self.END
        for x in reversed(items):
            after = self._item(x, after)
        # The start is state 0 of the result, so that everything else moves up by one; END is dropped.
        number = {after: 0}
        for i in range(1, len(self.states)):
            if i != after:
                number[i] = len(number)
        number[self.END] = len(number)
        order = sorted(number, key=lambda s: number[s])
        edges = [self._edges(s, number) for s in order]
        ends = [OPEN] + [DONE if self._ends(s) else OPEN for s in order[1:]]
        return _packed(edges, ends, eager=True)

    def _item(self, x: Repeat, after: int) -> int:
        variable = x.item.index if isinstance(x.item, Var) else 0
        guard = variable if _possessive(x) else -1

        def single(to: int, skip: int | None) -> int:
            s = self._new(x)
            self.states[s].moves.append((variable, to, -1))
            if skip is not None:
                self.states[s].moves.append((None, skip, guard))
            return s

        optional = x.low == 0
        sink = after
        if x.high is None:
            loop = self._new(x)
            self.states[loop].moves += [(None, after, guard), (variable, loop, -1)]
            sink = loop
        elif (x.low, x.high) != (0, 1):
            for _ in range(max(x.low, 1), x.high):
                sink = single(sink, after)
        for _ in range(x.low - 1):
            sink = single(sink, None)
        return single(sink, after if optional else None)

    def _edges(self, state: int, number: dict[int, int]) -> list[tuple[int, int, int, int]]:
        found = []
        stack = [(state, 0)]
        while stack:
            s, guards = stack.pop()
            for variable, to, guard in self.states[s].moves:
                if variable is None:
                    stack.append((to, guards if guard < 0 else guards | 1 << guard))
                else:
                    found.append((variable, number[to], guards, 0))
        return found

    def _ends(self, state: int) -> bool:
        stack = [state]
        while stack:
            s = stack.pop()
            if s == self.END:
                return True
            if not self.states[s].greedy:
                stack += [to for variable, to, _ in self.states[s].moves if variable is None]
        return False


# ---------------------------------------------------------------- SQL's rules


class _Preferred:
    """A program of takes and choices, then its takes as states."""

    def __init__(self) -> None:
        # ("take", variable, hidden, next) or ("choose", [places, best first]) or ("end",)
        self.code: list[tuple[object, ...]] = []

    def _add(self, *instruction: object) -> int:
        if len(self.code) > 2 * MAX_STATES:
            raise _too_large()
        self.code.append(instruction)
        return len(self.code) - 1

    def build(self, p: Pattern) -> Automaton:
        """The automaton of a pattern."""
        start = self._emit(p, self._add("end"))
        takes = [i for i, x in enumerate(self.code) if x[0] == "take"]
        number = {pc: n + 1 for n, pc in enumerate(takes)}
        edges, end = self._closure(start, number)
        states, ends = [edges], [end]
        for pc in takes:
            edges, end = self._closure(int(self.code[pc][3]), number)  # type: ignore[call-overload]
            states.append(edges)
            ends.append(end)
        return _packed(states, ends, eager=False)

    def _emit(self, p: Pattern, after: int) -> int:
        match p:
            case Var():
                return self._add("take", p.index, p.hidden, after)
            case Seq():
                for x in reversed(p.items):
                    after = self._emit(x, after)
                return after
            case Alt():
                return self._add("choose", [self._emit(x, after) for x in p.items])
        to = after
        if p.high is None:
            loop = self._add("choose", [])
            body = self._emit(p.item, loop)
            self.code[loop] = ("choose", [body, after] if p.greedy else [after, body])
            to = loop
        else:
            for _ in range(p.high - p.low):
                body = self._emit(p.item, to)
                to = self._add("choose", [body, after] if p.greedy else [after, body])
        for _ in range(p.low):
            to = self._emit(p.item, to)
        return to

    def _closure(self, start: int, number: dict[int, int]) -> tuple[list[tuple[int, int, int, int]], int]:
        found: list[tuple[int, int, int, int]] = []
        seen = set()
        stack = [start]
        while stack:
            pc = stack.pop()
            if pc in seen:
                continue
            seen.add(pc)
            kind, *rest = self.code[pc]
            if kind == "end":
                # Whatever stands behind the end is never tried: it could only be worse.
                return found, MAYBE if found else DONE
            if kind == "take":
                found.append((int(rest[0]), number[pc], 0, int(rest[1])))  # type: ignore[call-overload]
            else:
                stack.extend(reversed(rest[0]))  # type: ignore[call-overload]
        return found, OPEN
