"""The part of a text that a pattern matches, over string views."""

from __future__ import annotations

import numpy as np

from deras.core.jit import kernel, load8_at, routine
from deras.sql.kernels.views import ask, fetch8, find_text, put_part, region

DEPTH = 256
_HIGH = np.uint64(0x8080808080808080)
_SMALL_STEPS, _STEPS_A_BYTE = 4096, 64
# Entries of the stack that are no instruction: a slot's former value, the ends that a run may still have.
_SLOT, _SHORTER, _LONGER = -1, -2, -3


@routine
def match_at(code, sets, begin, end, at, slots, stack, budget):  # type: ignore[no-untyped-def]
    """Try a match from an address on; gives 1, 0, or -1 where it took too long, and the steps that are left."""
    pc = np.int64(0)
    depth = np.int64(0)
    for k in range(len(slots)):
        slots[k] = np.int64(-1)
    slots[0] = at
    while True:
        budget -= np.int64(1)
        if budget < np.int64(0) or depth + np.int64(2) > np.int64(DEPTH):
            return np.int64(-1), budget
        what, a = code[pc, 0], code[pc, 1]
        good = True
        if what == np.int64(1):  # BYTE
            if at < end and np.int64(load8_at(at)) == a:
                at += np.int64(1)
                pc += np.int64(1)
            else:
                good = False
        elif what == np.int64(2):  # SET
            if at < end and sets[a, load8_at(at)] != 0:
                at += np.int64(1)
                pc += np.int64(1)
            else:
                good = False
        elif what == np.int64(3):  # SPLIT
            stack[depth, 0] = code[pc, 2]
            stack[depth, 1] = at
            depth += np.int64(1)
            pc = a
        elif what == np.int64(4):  # JUMP
            pc = a
        elif what == np.int64(5):  # SAVE
            stack[depth, 0] = np.int64(_SLOT)
            stack[depth, 1] = a
            stack[depth, 2] = slots[a]
            depth += np.int64(1)
            slots[a] = at
            pc += np.int64(1)
        elif what == np.int64(6):  # BEGIN
            good = at == begin
            pc += np.int64(1)
        elif what == np.int64(7):  # END
            good = at == end
            pc += np.int64(1)
        elif what == np.int64(0):  # MATCH
            slots[1] = at
            return np.int64(1), budget
        else:
            least, most = code[pc, 2], code[pc, 3]
            lazy = what == np.int64(10)
            wanted = min(least if lazy else most, end - at)
            stop = at
            while stop - at < wanted and sets[a, load8_at(stop)] != 0:
                stop += np.int64(1)
            budget -= (stop - at) >> np.int64(3)
            if stop - at < least:
                good = False
            else:
                pc += np.int64(1)
                if lazy:
                    if most > least:
                        stack[depth, 0] = np.int64(_LONGER)
                        stack[depth, 1] = pc
                        stack[depth, 2] = stop
                        stack[depth, 3] = most - least
                        depth += np.int64(1)
                elif what == np.int64(8) and stop > at + least:
                    stack[depth, 0] = np.int64(_SHORTER)
                    stack[depth, 1] = pc
                    stack[depth, 2] = stop
                    stack[depth, 3] = at + least
                    depth += np.int64(1)
                at = stop
        if good:
            continue
        back = False
        while depth > np.int64(0) and not back:
            depth -= np.int64(1)
            entry = stack[depth, 0]
            if entry == np.int64(_SLOT):
                slots[stack[depth, 1]] = stack[depth, 2]
            elif entry == np.int64(_SHORTER):
                pc = stack[depth, 1]
                at = stack[depth, 2] - np.int64(1)
                if at > stack[depth, 3]:
                    stack[depth, 2] = at
                    depth += np.int64(1)
                back = True
            elif entry == np.int64(_LONGER):
                pc = stack[depth, 1]
                at = stack[depth, 2]
                # The set is that of the run's instruction, before the one that follows it.
                if at < end and sets[code[pc - np.int64(1), 1], load8_at(at)] != 0:
                    at += np.int64(1)
                    stack[depth, 2] = at
                    stack[depth, 3] -= np.int64(1)
                    if stack[depth, 3] > np.int64(0):
                        depth += np.int64(1)
                    back = True
            else:
                pc = entry
                at = stack[depth, 1]
                back = True
        if not back:
            return np.int64(0), budget


@kernel(
    "Tuple((int64, int64))(uint64[:, ::1], int64[::1], uint8[::1], int64[:, ::1], uint8[:, ::1], uint8[::1],"
    " int64, int64, uint64[::1], int64, int64, int64, int64[::1], int64[:, ::1], int64, uint64[:, ::1], uint8[::1])",
)
def extract_parts(  # type: ignore[no-untyped-def]
    views, bases, valid, code, sets, first, empty, anchored, literal, size, rare, before, slots, stack, group, out, said
):
    """A group of the first match in each text; gives the number of NULLs and of undecided rows.

    ``slots``: int64[2 * groups], ``stack``: int64[256, 4]; the rest as in ``Program``.
    """
    here = np.int64(views.ctypes.data)
    nulls, undecided = np.int64(0), np.int64(0)
    for i in range(len(views)):
        ask(views, i, bases)
        out[i, 0] = np.uint64(0)
        out[i, 1] = np.uint64(0)
        if len(valid) and valid[i] == 0:
            said[i] = 0
            nulls += np.int64(1)
            continue
        start, length, limit = region(views, here, i, bases)
        end = start + length
        at = start
        if size > np.int64(0):
            place = find_text(start, end, limit, literal, size, rare)
            if place < np.int64(0):
                said[i] = 0
                nulls += np.int64(1)
                continue
            if before >= np.int64(0):
                at = max(start, place - before)
        seen = np.uint64(0)
        for k in range(0, length, 8):
            seen |= fetch8(start + np.int64(k), end if length > np.int64(12) else limit)
        found = np.int64(0)
        if seen & _HIGH:
            found = np.int64(-1)
        else:
            budget = np.int64(_SMALL_STEPS) + np.int64(_STEPS_A_BYTE) * length
            while at <= end:
                if anchored != np.int64(0) and at > start:
                    break
                if empty == np.int64(0):
                    while at < end and first[load8_at(at)] == 0:
                        at += np.int64(1)
                    if at == end or (anchored != np.int64(0) and at > start):
                        break
                found, budget = match_at(code, sets, start, end, at, slots, stack, budget)
                if found != np.int64(0):
                    break
                at += np.int64(1)
        if found < np.int64(0):
            said[i] = 2
            undecided += np.int64(1)
        elif found == np.int64(0) or slots[2 * group] < np.int64(0) or slots[2 * group + 1] < np.int64(0):
            said[i] = 0
            nulls += np.int64(1)
        else:
            said[i] = 1
            put_part(out, i, views, i, start, slots[2 * group], slots[2 * group + 1] - slots[2 * group], limit)
    return nulls, undecided
