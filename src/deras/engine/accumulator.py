"""Groups of rows and their aggregates, kept up to date: the heart of GROUP BY and of window aggregation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.column import Column, Views
from deras.core.errors import InternalError
from deras.core.later import source_of
from deras.core.types import Kind, Layout, SqlType
from deras.engine import runs
from deras.engine.aggregates import AggregateCall, Final, Layouts, Op
from deras.engine.kernels import agg as k
from deras.engine.kernels import agg_final as f
from deras.engine.kernels import agg_values as v
from deras.engine.lists import ValueLists, changed_lists
from deras.engine.state.rowset import LIST
from deras.engine.user_aggregates import UserGroups
from deras.engine.value_sets import NO_BITS as _NO_BITS
from deras.engine.value_sets import NO_WORDS as _NO_WORDS
from deras.engine.value_sets import Hits, ValueIndex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.delta import Delta
    from deras.core.schema import Schema
    from deras.engine.operator import RowErrors
    from deras.engine.state import Index, State

Words = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint8]


@dataclass(slots=True)
class Touched:
    """The groups that a step touched, in order of first touch.

    Args:
        ids: int64[m].
        first: int64[m]: the first row of each in the step.
        old: int64[m, cells] as they were before, if asked for.
        best: by number of an aggregate over a tree of values: the id of its value before, or -1.
        lists: by number of an aggregate over a list: its result before.
        results: by group the results of users' aggregates before.
        errors: rows that a user's aggregate did not take; they count nowhere.
    """

    ids: Words
    first: Words
    old: Words
    best: dict[int, Words] = field(default_factory=dict)
    lists: dict[int, Column] = field(default_factory=dict)
    results: dict[int, list[Any]] = field(default_factory=dict)
    errors: Sequence[RowErrors] = ()


class Accumulator:
    """Groups with cells.

    Args:
        name: prefix of the parts of the state.
        key_types: of a group's key.
        calls: the aggregates.
        input: schema of the rows.
        updating: rows may go again.
        released: groups may be released.
        extra: cells of the caller in each group.
        shared: sets of values are shared (see :class:`Layouts`).
    """

    def __init__(
        self,
        key_types: Sequence[SqlType],
        calls: Sequence[AggregateCall],
        input: Schema,  # noqa: A002
        *,
        updating: bool,
        released: bool,
        extra: int = 0,
        shared: bool = True,
    ) -> None:
        self.key_types = tuple(key_types)
        self.layouts = Layouts(calls, input, updating=updating, released=released, shared=shared)
        self.extra = self.layouts.cells
        """First of the caller's own cells."""
        self.width = self.layouts.cells + extra
        ops = self.layouts.ops
        self.ops = np.array([(op.code, op.cell) for op in ops], np.int64).reshape(-1, 2)
        self._plain = [op for op in ops if op.values is None]
        self._plain_ops = np.array([(op.code, op.cell) for op in self._plain], np.int64).reshape(-1, 2)
        finals = self.layouts.finals
        self._word_finals = [i for i, final in enumerate(finals) if final.how == "words"]
        plan = [(finals[i].cell, finals[i].kind, finals[i].up if finals[i].kind else 64) for i in self._word_finals]
        self._word_plan = np.array(plan, np.int64).reshape(-1, 3)
        self.groups: Index
        self.sets: list[ValueIndex] = []
        self.lists: list[ValueLists] = []
        self.users = UserGroups(self.layouts.users, key_types) if self.layouts.users else None
        self._values: dict[str, Any] = {}

    @property
    def mergeable(self) -> bool:
        """Whether cells alone make the results, so that groups can be merged."""
        return not self.layouts.sets and not self.layouts.lists and self.users is None

    def open(self, state: State) -> None:
        """Ask for the parts of the state."""
        init = [0] * self.width if self.layouts.lists else []
        for s in self.layouts.lists:
            init[s.cell : s.cell + 3] = LIST
        self.groups = state.index("groups", self.key_types, self.width, init)
        keyed, updating = bool(self.key_types), self.layouts.updating
        self.sets = [
            ValueIndex(state, f"values{i}", s, keyed=keyed, updating=updating) for i, s in enumerate(self.layouts.sets)
        ]
        self.lists = [
            ValueLists(state, f"list{i}", self.key_types, s, self.groups, updating=self.layouts.updating)
            for i, s in enumerate(self.layouts.lists)
        ]
        self._values = state.values("counters")
        if self.sets or self.lists:
            state.on_restore(self._relink)
        if self.users is not None:
            self.users.open(state, self.groups)

    def _relink(self) -> None:
        groups = self.groups
        live = groups.ids()
        for made in self.lists:
            made.relink(live)
        for index in self.sets:
            index.relink(groups, live, groups.cell0 + self.layouts.number)

    # ---- taking rows

    def update(self, delta: Delta, keys: Sequence[Column], *, keep_old: bool, ids: Words | None = None) -> Touched:
        """Take the rows of a delta.

        Args:
            delta: the rows (arguments and filters by position).
            keys: the group keys of the rows.
            keep_old: copy the cells of touched groups before they change.
            ids: the group of each row, where the caller knows it (then ``keys`` matter only to values).
        """
        n = delta.length
        groups = self.groups
        begins: Words | None = None
        owners = _NO_WORDS
        if ids is not None:
            groups.touch(ids)
        elif source_of(keys) is not None or (begins := runs.starts(keys, n)) is None:
            ids = groups.lookup(keys, length=n)
        else:
            heads = begins[:-1]
            owners = groups.lookup([c.take(heads) for c in keys], length=len(heads))
            ids = runs.spread(begins, owners)
        results: dict[int, list[Any]] = {}
        if self.users is not None:
            masks = [None if c.filter is None else self._mask({}, delta, None, c.filter) for c in self.users.calls]
            results, errors = self.users.take(delta, ids, masks, keep_old=keep_old)
            if errors is not None:
                return self._without(delta, keys, ids, results, errors, keep_old=keep_old)
        return self._update(delta, keys, ids, results, keep_old=keep_old, begins=begins, owners=owners)

    def _without(
        self,
        delta: Delta,
        keys: Sequence[Column],
        ids: Words,
        results: dict[int, list[Any]],
        errors: RowErrors,
        *,
        keep_old: bool,
    ) -> Touched:
        """Take the rows that a user's aggregate took."""
        rows = np.setdiff1d(np.arange(delta.length), errors.rows)
        left = np.ascontiguousarray(ids[rows])
        empty = np.setdiff1d(ids[errors.rows], left)
        self.release(empty[self.groups.tab[empty, self.groups.cell0 + 1] == 0])
        step = self._update(delta.take(rows), [c.take(rows) for c in keys], left, results, keep_old=keep_old)
        step.first = rows[step.first]
        step.errors = [errors]
        return step

    def _update(
        self,
        delta: Delta,
        keys: Sequence[Column],
        ids: Words,
        results: dict[int, list[Any]],
        *,
        keep_old: bool,
        begins: Words | None = None,
        owners: Words = _NO_WORDS,
    ) -> Touched:
        n, groups = delta.length, self.groups
        weights = _NO_WORDS if delta.weights is None else np.ascontiguousarray(delta.weights)
        stamp = int(self._values.get("stamp", 0)) + 1
        arrival = int(self._values.get("arrival", 0))
        self._values["stamp"], self._values["arrival"] = stamp, arrival + n
        # Where there are runs, each is touched as one row of their weights' sum.
        heads, sums = ids, weights
        if begins is not None:
            heads = owners
            sums = np.diff(begins) if delta.weights is None else np.add.reduceat(weights, begins[:-1])
        room = len(heads)
        touched, first = np.empty(room, np.int64), np.empty(room, np.int64)
        old = np.empty((room if keep_old else 0, self.width), np.int64)
        m = k.touch(heads, sums, groups.tab, groups.cell0, self.width, stamp, touched, first, old)
        first = first[:m] if begins is None else begins[first[:m]]
        step = Touched(touched[:m], first, old[:m], results=results)
        if self.sets and keep_old:
            step.best = self._best(step.ids)
        if self.lists and keep_old:
            step.lists = self._listed(step.ids)
        masks: dict[tuple[int | None, int | None], Bits | None] = {}
        hits: dict[int, Hits] = {}
        if self.sets:
            self._number(step.ids)
            numbers = groups, groups.cell0 + self.layouts.number
            for i, index in enumerate(self.sets):
                s = index.plan
                passed = [self._mask(masks, delta, None if s.nulls else s.arg, f) for f in s.filters]
                if s.keep is None:
                    hits[i] = index.take(delta.columns[s.arg], passed, weights, numbers, ids)
                else:
                    index.keep(s.keep, delta.columns[s.arg], passed[0], numbers, ids, step.ids)
        for made, chosen in zip(self.lists, self.layouts.lists, strict=True):
            mask = self._mask(masks, delta, None if chosen.nulls else chosen.arg, chosen.filter)
            gate = None if chosen.values is None else hits[chosen.values].gate(n, chosen.bit)
            made.take(delta, keys, ids, mask, gate)
        held: list[Any] = []  # arrays stay alive while a kernel has their addresses
        if self._plain:
            addresses = np.array([self._addresses(op, masks, delta, held) for op in self._plain], np.int64)
            if begins is None:
                k.accumulate(ids, weights, groups.tab, groups.cell0, self._plain_ops, addresses, arrival)
            else:
                k.accumulate_runs(
                    begins, owners, weights, groups.tab, groups.cell0, self._plain_ops, addresses, arrival
                )  # fmt: skip
        for i, found in hits.items():
            gated = [op for op in self.layouts.ops if op.values == i]
            if not gated or not len(found.rows):
                continue
            plan = np.array([(op.code, op.cell, op.bit) for op in gated], np.int64)
            words = np.array([self._address(op, delta, held) for op in gated], np.int64)
            k.accumulate_hits(
                found.rows, found.came, found.went, ids, groups.tab, groups.cell0, plan, words, arrival
            )  # fmt: skip
        return step

    def _number(self, ids: Words) -> None:
        """Groups that are new get a number of their own."""
        tab, cell = self.groups.tab, self.groups.cell0 + self.layouts.number
        fresh = ids[tab[ids, cell] == 0]
        if len(fresh):
            last = int(self._values.get("groups", 0))
            tab[fresh, cell] = np.arange(last + 1, last + 1 + len(fresh))
            self._values["groups"] = last + len(fresh)

    @staticmethod
    def _mask(
        known: dict[tuple[int | None, int | None], Bits | None], delta: Delta, arg: int | None, filter_: int | None
    ) -> Bits | None:
        """1 where a row counts, None where all do; ``known``: those of the step so far."""
        bits = None if arg is None else delta.columns[arg].valid()
        if bits is None:
            arg = None
        if (arg, filter_) in known:
            return known[arg, filter_]
        if filter_ is not None:
            column = delta.columns[filter_]
            passed = (column.words() != 0).view(np.uint8)
            for other in (column.valid(), bits):
                if other is not None:
                    passed = passed & other
            bits = passed
        bits = None if bits is None else np.ascontiguousarray(bits, np.uint8)
        known[arg, filter_] = bits
        return bits

    @staticmethod
    def _address(op: Op, delta: Delta, held: list[Any]) -> int:
        if op.arg is None or op.code == k.COUNT:
            return 0
        array = _words(delta.columns[op.arg], as_float=op.as_float)
        held.append(array)
        return int(array.ctypes.data)

    def _addresses(
        self, op: Op, masks: dict[tuple[int | None, int | None], Bits | None], delta: Delta, held: list[Any]
    ) -> tuple[int, int]:
        bits = self._mask(masks, delta, op.arg, op.filter)
        return self._address(op, delta, held), 0 if bits is None else bits.ctypes.data

    def tidy(self) -> None:
        """After the results of a step are out: let go of values that no row has."""
        for index in self.sets:
            index.tidy()
        for made in self.lists:
            made.tidy()

    def release(self, ids: Words) -> None:
        """The groups go, with all their values."""
        if not len(ids):
            return
        groups = self.groups
        for index in self.sets:
            index.release(ids, groups)
        for made in self.lists:
            made.release(ids)
        if self.users is not None:
            self.users.release(ids)
        groups.release(ids)

    # ---- results

    def cells(self, ids: Words) -> Words:
        """The cells of groups: int64[n, width]."""
        out = np.empty((len(ids), self.width), np.int64)
        k.copy_cells(np.ascontiguousarray(ids), self.groups.tab, self.groups.cell0, self.width, out)
        return out

    def _best(self, ids: Words) -> dict[int, Words]:
        found: dict[int, Words] = {}
        groups = self.groups
        for i, final in enumerate(self.layouts.finals):
            if final.how != "value" or (s := self.layouts.sets[final.values]).keep is not None:
                continue
            index = self.sets[final.values].index
            out = np.empty(len(ids), np.int64)
            cell = groups.cell0 + s.cell
            v.extremes(ids, groups.tab, cell, index.tab, index.cell0 + 1, final.kind == 1, out)
            found[i] = out
        return found

    def _listed(self, ids: Words) -> dict[int, Column]:
        return {
            i: self.lists[final.values].result(final.call.type, final.kind, ids)
            for i, final in enumerate(self.layouts.finals)
            if final.how == "list"
        }

    def changes(self, step: Touched, *, always: bool) -> tuple[Words, Words, list[Column]]:
        """What the touched groups' results were and are, where that is not the same.

        Args:
            step: what ``update(keep_old=True)`` gave.
            always: also where nothing changed.

        Returns:
            Place in ``step`` of each change, its weight, and one column per aggregate.
        """
        m, groups, finals = len(step.ids), self.groups, self.layouts.finals
        results: dict[int, tuple[Any, Bits, Index | Column | None]] = {}
        changed = _NO_BITS
        if len(self._word_finals) < len(finals):
            cells = np.empty((2 * m, self.width), np.int64)
            cells[:m] = step.old
            k.copy_cells(step.ids, groups.tab, groups.cell0, self.width, cells[m:])
            best = {i: np.concatenate([step.best[i], new]) for i, new in self._best(step.ids).items()}
            lists = self._listed(step.ids)
            results = {
                i: changed_lists(step.lists[i], lists[i])
                if i in lists
                else self._compared(step, final)
                if final.how == "user"
                else self._result(i, final, cells, best)
                for i, final in enumerate(finals)
                if final.how != "words"
            }
            changed = np.zeros(m, np.uint8)
            for words, valid, _ in results.values():
                f.differ(words.view(np.int64).reshape(2 * m, -1), valid, m, changed)
        places, rows, weights = np.empty(2 * m, np.int64), np.empty(2 * m, np.int64), np.empty(2 * m, np.int64)
        number = len(self._word_finals)
        out, bits = np.empty((number, 2 * m), np.int64), np.empty((number, 2 * m), np.uint8)
        nulls = np.zeros(number, np.int64)
        n = f.emit(
            step.ids, step.old, groups.tab, groups.cell0, self._word_plan, changed, always, places, rows, weights, out,
            bits, nulls,
        )  # fmt: skip
        rows = rows[:n]
        made = {
            i: _plain_column(finals[i].call.type, out[j, :n], bits[j, :n] if nulls[j] else None)
            for j, i in enumerate(self._word_finals)
        }
        for i, (words, valid, from_) in results.items():
            made[i] = (
                from_.take(rows)
                if isinstance(from_, Column)
                else self._column(finals[i], words[rows], valid[rows], from_)
            )
        return places[:n], weights[:n], [made[i] for i in range(len(finals))]

    def _words(self, cells: Words, rows: Words) -> dict[int, Column]:
        """The results of words of these rows of cells, by number of the aggregate."""
        numbers = self._word_finals
        out = np.empty((len(numbers), len(rows)), np.int64)
        valid = np.empty((len(numbers), len(rows)), np.uint8)
        nulls = np.zeros(len(numbers), np.int64)
        if len(numbers):
            f.final_words(cells, rows, self._word_plan, out, valid, nulls)
        finals = self.layouts.finals
        return {
            i: _plain_column(finals[i].call.type, out[j], valid[j] if nulls[j] else None) for j, i in enumerate(numbers)
        }

    def of_cells(self, cells: Words) -> list[Column]:
        """The results that cells alone make; one column per aggregate."""
        plain = self._words(cells, np.arange(len(cells)))
        return [
            plain[i] if i in plain else self._column(final, *self._result(i, final, cells, {}))
            for i, final in enumerate(self.layouts.finals)
        ]

    def results(self, cells: Words, ids: Words) -> list[Column]:
        """The results of groups with these cells; one column per aggregate."""
        best, lists = self._best(ids), self._listed(ids)
        plain = self._words(cells, np.arange(len(cells)))
        out = []
        for i, final in enumerate(self.layouts.finals):
            if i in plain:
                out.append(plain[i])
                continue
            if i in lists:
                out.append(lists[i])
                continue
            if final.how == "user":
                out.append(self._user_column(final, [self._user(g, final) for g in ids.tolist()]))
                continue
            words, valid, from_ = self._result(i, final, cells, best)
            out.append(self._column(final, words, valid, from_))
        return out

    def _user(self, group: int, final: Final) -> Any:
        return None if self.users is None else self.users.results(group)[final.cell]

    def _user_column(self, final: Final, values: list[Any]) -> Column:
        if self.users is None:
            raise InternalError(f"{final.call} has no program")
        return self.users.programs[final.cell].column(values)

    def _compared(self, step: Touched, final: Final) -> tuple[Words, Bits, Column]:
        """Old and new results of a user's aggregate; equal ones have equal words."""
        ids = step.ids.tolist()
        old = [step.results[g][final.cell] if g in step.results else None for g in ids]
        new = [self._user(g, final) for g in ids]
        other = np.array([not _same(a, b) for a, b in zip(old, new, strict=True)], np.int64)
        words = np.concatenate([np.zeros(len(ids), np.int64), other])
        return words, np.ones(2 * len(ids), np.uint8), self._user_column(final, [*old, *new])

    def _result(
        self, i: int, final: Final, cells: Words, best: dict[int, Words]
    ) -> tuple[Any, Bits, Index | Column | None]:
        n = len(cells)
        valid = np.empty(n, np.uint8)
        words: Any
        if final.how == "value":
            s = self.layouts.sets[final.values]
            held = cells[:, s.cell] - 1 if s.keep is not None else best[i]
            return held, (held >= 0).view(np.uint8), self.sets[final.values].index
        if final.how == "floats":
            words = np.empty(n, np.float64)
            f.final_floats(cells, final.cell, final.kind, words, valid)
            if final.call.type.kind is Kind.FLOAT:
                words = words.astype(np.float32).astype(np.float64)
        else:
            words = np.empty((n, 2), np.int64)
            if final.how == "wide":
                f.final_limbs(cells, final.cell, final.kind == 2, final.up, words, valid)
            else:
                f.final_pair(cells, final.cell, words, valid)
        return words, valid, None

    def _column(self, final: Final, words: Any, valid: Bits, index: Index | Column | None) -> Column:
        t = final.call.type
        bits = None if valid.all() else np.ascontiguousarray(valid)
        if isinstance(index, Column):
            return index
        if index is not None:
            return self._value_column(t, words, bits, index)
        if final.decimal_scale is not None:
            return _decimals(t, words, bits)
        return _plain_column(t, words, bits)

    def _value_column(self, t: SqlType, held: Words, bits: Bits | None, index: Index) -> Column:
        if t.layout is not Layout.VIEWS:
            out = np.empty((len(held), 2 if t.layout is Layout.LIMBS else 1), np.int64)
            valid = np.empty(len(held), np.uint8)
            first = int(index.shape.columns[-1, 1])
            v.words_of(np.ascontiguousarray(held), index.tab, first, out.shape[1], out, valid)
            if t.layout is Layout.LIMBS:
                return Column.of_limbs(t, out, bits)
            flat = out.reshape(-1)
            return (
                Column.of_floats(t, flat.view(np.float64), bits) if t.is_approximate else Column.of_words(t, flat, bits)
            )
        if bits is None:
            return index.key_columns(held)[-1].with_type(t)
        some = np.flatnonzero(bits)
        if not len(some):
            return Column.nulls(t, len(held))
        texts = index.key_columns(held[some])[-1].views()
        views = np.zeros((len(held), 2), np.uint64)
        views[some] = texts.views
        return Column.of_views(t, Views(views, texts.buffers), bits)


def _plain_column(t: SqlType, words: Any, bits: Bits | None) -> Column:
    """Words, doubles or limbs as a column."""
    if t.layout is Layout.FLOATS:
        return Column.of_floats(t, words.view(np.float64), bits)
    if t.layout is Layout.LIMBS:
        return Column.of_limbs(t, words, bits)
    if words.ndim == 2:
        words = np.ascontiguousarray(words[:, 0])
    return Column.of_words(t, words, bits)


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and bool(a == b))


def _words(column: Column, *, as_float: bool) -> Any:
    """The column's values as kernels read them."""
    t = column.type
    match t.layout:
        case Layout.FLOATS:
            return np.ascontiguousarray(column.floats())
        case Layout.LIMBS:
            limbs = np.ascontiguousarray(column.limbs())
            if as_float:
                high = limbs[:, 1].astype(np.float64) * 2.0**64
                return (high + limbs[:, 0].view(np.uint64).astype(np.float64)) / 10.0**t.scale
            return limbs
        case Layout.WORDS:
            words = np.ascontiguousarray(column.words())
            return words / 10.0**t.scale if as_float else words
        case _:
            return _NO_WORDS


def _decimals(t: SqlType, floats: Any, bits: Bits | None) -> Column:
    """Doubles as DECIMAL, HALF_UP at its scale."""
    scaled = floats * 10.0**t.scale
    rounded = np.where(np.isfinite(scaled), np.copysign(np.floor(np.abs(scaled) + 0.5), scaled), 0.0)
    whole = [int(x) for x in rounded.tolist()]
    fits = np.array([abs(x) < 10**t.precision for x in whole], np.uint8) & np.isfinite(scaled).view(np.uint8)
    valid = fits if bits is None else fits & bits
    mask = (1 << 64) - 1
    pairs = [((x & mask), (x >> 64) & mask) if ok else (0, 0) for x, ok in zip(whole, fits.tolist(), strict=True)]
    limbs: Words = np.array(pairs, np.uint64).reshape(-1, 2).view(np.int64)
    checked = None if valid.all() else valid
    if t.layout is Layout.LIMBS:
        return Column.of_limbs(t, limbs, checked)
    return Column.of_words(t, np.ascontiguousarray(limbs[:, 0]), checked)
