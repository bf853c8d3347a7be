"""DSPOT: drift and extreme values, one model per key, in a row of float64 cells.

The method is that of Siffer, Fouque, Termier, Largouët: "Anomaly Detection in Streams with Extreme Value Theory",
KDD 2017 (DSPOT, both tails). Where this differs from the paper: the generalised Pareto distribution is fitted by the
method of moments (Hosking and Wallis, Technometrics 29, 1987) in place of Grimshaw's maximum likelihood, which costs a
root search per peak; only the newest peaks are kept; after an alarm the model keeps quiet for ``rearm`` rows.

Cells of a key (float64)::

    0 rows learned   1 sum of the ring   2, 3 threshold up, down   4, 5 peaks seen up, down   6 residuals seen
    7 rows until armed again   8 newest time (ms)   9, 10 shape and scale up   11, 12 shape and scale down   13 spare
    14 ...  ring[depth]  calibration[calibrate]  peaks up[peaks]  peaks down[peaks]
"""

from __future__ import annotations

import numpy as np

from deras.core.jit import helper, kernel

HEAD = 14


@helper
def _fit(cells, at, n):  # type: ignore[no-untyped-def]
    """Shape and scale of the peaks at cells[at : at + n], by moments."""
    mean = 0.0
    for i in range(n):
        mean += cells[at + i]
    mean /= n
    variance = 0.0
    for i in range(n):
        d = cells[at + i] - mean
        variance += d * d
    variance /= n
    if mean <= 0.0 or variance <= 0.0:
        return 0.0, max(mean, 1e-300)
    ratio = mean * mean / variance
    # Above, the moments are no longer finite; below, the tail would end, and a value beyond be called impossible.
    shape = min(0.45, max(0.0, 0.5 * (1.0 - ratio)))
    return shape, mean * (1.0 - shape)


@helper
def _surprise(excess, shape, scale, peaks, seen, cells, at, kept):  # type: ignore[no-untyped-def]
    """-log10 of the chance of an excess at least as large."""
    if kept < 10:
        # Too few peaks for a tail: the rule of succession.
        larger = 1.0
        for i in range(kept):
            if cells[at + i] >= excess:
                larger += 1.0
        return np.log10((seen + 1.0) / larger)
    y = excess / scale
    if abs(shape) < 1e-9:
        exponent = y
    else:
        base = 1.0 + shape * y
        if base <= 0.0:
            return 300.0
        exponent = np.log(base) / shape
    return min(300.0, exponent / 2.302585092994046 + np.log10(seen / peaks))


@helper
def _bound(threshold, shape, scale, peaks, seen, kept, risk):  # type: ignore[no-untyped-def]
    """The residual that is passed with a chance of ``risk``."""
    if kept < 10:
        return np.nan
    r = risk * seen / peaks
    if abs(shape) < 1e-9:
        return threshold - scale * np.log(r)
    return threshold + scale / shape * (r ** (-shape) - 1.0)


@helper
def _learn(cells, count_at, fit_at, at, size, excess):  # type: ignore[no-untyped-def]
    n = np.int64(cells[count_at])
    cells[at + n % size] = excess
    cells[count_at] = n + 1
    shape, scale = _fit(cells, at, min(n + 1, size))
    cells[fit_at] = shape
    cells[fit_at + 1] = scale


@kernel(
    "void(float64[:, ::1], int64, int64[::1], float64[::1], uint8[::1], int64[::1],"
    " int64, int64, int64, float64, float64, int64, uint8[::1], float64[:, ::1], uint8[::1])"
)
def dspot(  # type: ignore[no-untyped-def]
    table, cell0, ids, values, valid, times, depth, calibrate, peaks, level, risk, rearm, anomaly, out, known
):
    """Judge and learn rows in order.

    Args:
        table: float64[capacity, width], changed in place; the model's cells begin at ``cell0``.
        ids: int64[n], the key's row in ``table``; a fresh row is all zero.
        values: float64[n]; valid: uint8[n] (0: NULL, passed over).
        times: int64[n], event time in ms: a row older than the newest of its key is judged, but not learned.
        depth: rows of the moving mean. calibrate: residuals before the first judgement. peaks: kept per tail.
        level: quantile of the initial thresholds. risk: the chance below which a row is an anomaly.
        rearm: rows after an anomaly in which no other is raised.
        anomaly: uint8[n] out. out: float64[4, n] out: score, expected, lower bound, upper bound.
        known: uint8[n] out: bit 0: score and expected are known, bit 1: both bounds are.
    """
    ring = HEAD
    calibration = ring + depth
    ups = calibration + calibrate
    downs = ups + peaks
    limit = -np.log10(risk)
    for k in range(len(ids)):
        anomaly[k] = 0
        known[k] = 0
        for j in range(4):
            out[j, k] = 0.0
        x = values[k]
        if valid[k] == 0 or not np.isfinite(x):
            continue
        cells = table[ids[k], cell0:]
        n = np.int64(cells[0])
        learning = n == 0 or np.float64(times[k]) >= cells[8]
        filled = min(n, depth)
        mean = x if filled == 0 else cells[1] / filled
        residual = x - mean
        seen = cells[6]
        if n >= depth:
            if seen < calibrate:
                if learning:
                    c = np.int64(seen)
                    cells[calibration + c] = residual
                    cells[6] = seen + 1.0
                    if c + 1 == calibrate:
                        ordered = np.sort(cells[calibration : calibration + calibrate])
                        place = np.int64(level * (calibrate - 1))
                        cells[2] = ordered[place]
                        cells[3] = -ordered[calibrate - 1 - place]
                        for i in range(calibrate):
                            r = cells[calibration + i]
                            if r > cells[2]:
                                _learn(cells, 4, 9, ups, peaks, r - cells[2])
                            elif -r > cells[3]:
                                _learn(cells, 5, 11, downs, peaks, -r - cells[3])
            else:
                kept_up = min(np.int64(cells[4]), peaks)
                kept_down = min(np.int64(cells[5]), peaks)
                score = 0.0
                if residual > cells[2]:
                    score = _surprise(residual - cells[2], cells[9], cells[10], cells[4], seen, cells, ups, kept_up)
                elif -residual > cells[3]:
                    score = _surprise(
                        -residual - cells[3], cells[11], cells[12], cells[5], seen, cells, downs, kept_down
                    )
                out[0, k] = score
                out[1, k] = mean
                known[k] = 1
                up = _bound(cells[2], cells[9], cells[10], cells[4], seen, kept_up, risk)
                down = _bound(cells[3], cells[11], cells[12], cells[5], seen, kept_down, risk)
                if np.isfinite(up) and np.isfinite(down):
                    out[2, k] = mean - down
                    out[3, k] = mean + up
                    known[k] = 3
                if score >= limit and cells[7] == 0.0:
                    anomaly[k] = 1
                    cells[7] = rearm
                elif cells[7] > 0.0 and learning:
                    cells[7] -= 1.0
                if learning:
                    cells[6] = seen + 1.0
                    if score < limit:
                        if residual > cells[2]:
                            _learn(cells, 4, 9, ups, peaks, residual - cells[2])
                        elif -residual > cells[3]:
                            _learn(cells, 5, 11, downs, peaks, -residual - cells[3])
        if learning:
            place = n % depth
            if n >= depth:
                cells[1] -= cells[ring + place]
            cells[ring + place] = x
            cells[1] += x
            if place == depth - 1:
                # The running sum is made anew once a round, so that rounding errors never add up.
                total = 0.0
                for i in range(depth):
                    total += cells[ring + i]
                cells[1] = total
            cells[0] = n + 1
            cells[8] = times[k]
