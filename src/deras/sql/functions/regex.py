"""Regular expressions: on Polars' engine where it can, else on Python's, once for each distinct text."""

from __future__ import annotations

import functools
import re

import numpy as np
import polars as pl

from deras.sql.functions.hosts import each
from deras.sql.functions.registry import CallContext, scalar
from deras.sql.kernels import plans

_JAVA_ONLY = re.compile(r"\(\?[=!<>]|\\[1-9]|[*+?}]\+")


@functools.lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str] | None:
    """A Java pattern on Python's engine, or None if it is wrong."""
    try:
        return re.compile(re.sub(r"\(\?<([A-Za-z])", r"(?P<\1", pattern))
    except re.error:
        return None


@functools.lru_cache(maxsize=256)
def simple(pattern: str) -> bool:
    """Whether Polars' engine takes the pattern, with the same meaning."""
    if _JAVA_ONLY.search(pattern):
        return False
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.PolarsError:
        return False
    return True


@scalar("REGEXP(text, text) -> BOOLEAN", "REGEXP_LIKE(text, text) -> BOOLEAN", kind="host")
def regexp(c: CallContext, x: pl.Series, pattern: pl.Series) -> pl.Series:
    """Whether a part of the text matches; an empty pattern matches nothing, as in Flink.

    Example:
        >>> REGEXP('foobar', 'o+b')
        TRUE
    """
    if c.literal[1] and len(x) and pattern[0] and simple(pattern[0]):
        return x.str.contains(pattern[0])
    out: list[bool | None] = []
    for v, p in zip(x, pattern, strict=True):
        found = None if v is None or p is None else compiled(p)
        out.append(None if v is None or p is None else found is not None and p != "" and found.search(v) is not None)
    return pl.Series("", out, dtype=pl.Boolean)


@scalar("REGEXP_EXTRACT(text, text[, integer]) -> STRING", kind="host", nullable=True, kernel=plans.regexp_extract)
def regexp_extract(c: CallContext, x: pl.Series, pattern: pl.Series, *group: pl.Series) -> pl.Series:
    """The part of the text that matches, or one of its groups; NULL if none does.

    Example:
        >>> REGEXP_EXTRACT('foothebar', 'foo(.*?)(bar)', 2)
        bar
    """
    constant = c.literal[1] and (not group or c.literal[2])
    number = 0 if not group else group[0][0] if len(x) else 0
    if constant and len(x) and pattern[0] is not None and number is not None and simple(pattern[0]):
        found = compiled(pattern[0])
        if found is None or not 0 <= number <= found.groups:
            return pl.Series("", [None] * len(x), dtype=pl.String)
        return x.str.extract(pattern[0], number)
    numbers = group[0].to_list() if group else [0] * len(x)
    out: list[str | None] = []
    for v, p, g in zip(x, pattern, numbers, strict=True):
        made = None if v is None or p is None or g is None else compiled(p)
        m = made.search(v) if made is not None else None
        out.append(m[g] if m is not None and 0 <= g <= m.re.groups else None)
    return pl.Series("", out, dtype=pl.String)


@scalar("REGEXP_REPLACE(text, text, text) -> STRING", kind="host")
def regexp_replace(c: CallContext, x: pl.Series, pattern: pl.Series, new: pl.Series) -> object:
    """The text with all matches replaced by a text, which is taken as it is.

    Example:
        >>> REGEXP_REPLACE('foobar', 'oo|ar', '')
        fb
    """
    out: list[str | None] = []
    failed = np.zeros(len(x), np.bool_)
    if all(c.literal[1:]) and len(x) and None not in (pattern[0], new[0]) and simple(pattern[0]):
        return x.str.replace_all(pattern[0], new[0].replace("$", "$$"))
    for i, (v, p, r) in enumerate(zip(x, pattern, new, strict=True)):
        if v is None or p is None or r is None:
            out.append(None)
            continue
        made = compiled(p)
        if made is None:
            failed[i] = True
            out.append(None)
            continue
        out.append(made.sub(r.replace("\\", r"\\"), v))
    return pl.Series("", out, dtype=pl.String), failed if failed.any() else None


@scalar("REGEXP_COUNT(text, text) -> INT", kind="host", nullable=True)
@each
def regexp_count(x: str, pattern: str) -> int | None:
    """The number of places where the pattern matches.

    Example:
        >>> REGEXP_COUNT('abcabc', 'b.')
        2
    """
    made = compiled(pattern)
    return None if made is None else sum(1 for _ in made.finditer(x))


@scalar("REGEXP_INSTR(text, text) -> INT", kind="host", nullable=True)
@each
def regexp_instr(x: str, pattern: str) -> int | None:
    """The first place where the pattern matches, from 1; 0 if there is none.

    Example:
        >>> REGEXP_INSTR('abc', 'c')
        3
    """
    made = compiled(pattern)
    if made is None:
        return None
    m = made.search(x)
    return 0 if m is None else m.start() + 1


@scalar("REGEXP_SUBSTR(text, text) -> STRING", kind="host", nullable=True)
@each
def regexp_substr(x: str, pattern: str) -> str | None:
    """The first part of the text that matches; NULL if none does.

    Example:
        >>> REGEXP_SUBSTR('abc', 'b.')
        bc
    """
    made = compiled(pattern)
    m = None if made is None else made.search(x)
    return None if m is None else m[0]


@scalar("REGEXP_EXTRACT_ALL(text, text[, integer]) -> ARRAY<STRING>", kind="host", nullable=True)
@each
def regexp_extract_all(x: str, pattern: str, group: int = 1) -> list[str | None] | None:
    """Of all parts of the text that match: their group (by default the first; 0 is the whole).

    Example:
        >>> REGEXP_EXTRACT_ALL('a1 b2', '([a-z])([0-9])', 2)
        [1, 2]
    """
    made = compiled(pattern)
    if made is None or not 0 <= group <= made.groups:
        return None
    return [m[group] for m in made.finditer(x)]
