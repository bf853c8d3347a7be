"""SQL functions by name. One decorated ``def`` is one function: its signature, its work, its page and its test.

The docstring's first line says what it does; its ``Example:`` block (``>>> EXPR`` and the result in the next line) is
run as a test.

A signature is ``NAME(arg, arg[, optional][, repeated...]) -> RESULT`` with these argument classes: ``text bytes
integer exact
number double boolean date time timestamp ltz moment datetime interval array map multiset row any same word``. ``same``
arguments take their
common type, ``double`` any number, ``word`` a keyword such as ``DAY``. ``RESULT`` is a type, ``same`` or ``arg0``,
``arg1`` …
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from deras.core import types as t
from deras.core.types import Kind, SqlType
from deras.sql.types import common_type, implicit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl

    from deras.core.column import Column
    from deras.sql.expr.nodes import Expr, Where

    Kernel = Callable[..., Column]
    """A function of columns of at least one row, all else constant; gives a column of as many rows."""

FunctionKind = Literal["expression", "host", "macro"]

_RESULTS = {
    "STRING": t.STRING,
    "BYTES": t.BYTES,
    "BOOLEAN": t.BOOLEAN,
    "TINYINT": t.TINYINT,
    "SMALLINT": t.SMALLINT,
    "INT": t.INT,
    "BIGINT": t.BIGINT,
    "FLOAT": t.FLOAT,
    "DOUBLE": t.DOUBLE,
    "DATE": t.DATE,
    "TIME": t.time(0),
    "TIMESTAMP(3)": t.timestamp(3),
    "TIMESTAMP_LTZ(3)": t.timestamp_ltz(3),
    "TIMESTAMP(0)": t.timestamp(0),
    "TIMESTAMP_LTZ(9)": t.timestamp_ltz(9),
    "CHAR(36)": t.char(36),
    "MAP<STRING, STRING>": t.map_of(t.STRING, t.STRING),
    "ARRAY<STRING>": t.array(t.STRING),
}

_CLASSES: dict[str, Callable[[SqlType], bool]] = {
    "text": lambda x: x.is_text,
    "bytes": lambda x: x.is_bytes,
    "integer": lambda x: x.is_integer,
    "exact": lambda x: x.is_exact,
    "number": lambda x: x.is_numeric,
    "double": lambda x: x.is_numeric,
    "boolean": lambda x: x.kind is Kind.BOOLEAN,
    "date": lambda x: x.kind is Kind.DATE,
    "time": lambda x: x.kind is Kind.TIME,
    "timestamp": lambda x: x.kind is Kind.TIMESTAMP,
    "ltz": lambda x: x.kind is Kind.TIMESTAMP_LTZ,
    "moment": lambda x: x.is_timestamp,
    "datetime": lambda x: x.is_timestamp or x.kind in (Kind.DATE, Kind.TIME),
    "interval": lambda x: x.is_interval,
    "array": lambda x: x.kind is Kind.ARRAY,
    "map": lambda x: x.kind is Kind.MAP,
    "multiset": lambda x: x.kind is Kind.MULTISET,
    "row": lambda x: x.kind is Kind.ROW,
    "any": lambda _: True,
    "same": lambda _: True,
    "word": lambda x: x.is_text,
}
_CASTS = {"text": t.STRING, "bytes": t.BYTES, "double": t.DOUBLE, "boolean": t.BOOLEAN, "date": t.DATE}
_NULLS = {
    "text": t.STRING,
    "bytes": t.BYTES,
    "integer": t.INT,
    "exact": t.INT,
    "number": t.INT,
    "time": t.time(0),
    "timestamp": t.timestamp(3),
    "ltz": t.timestamp_ltz(3),
    "moment": t.timestamp(3),
    "datetime": t.timestamp(3),
    "interval": t.INTERVAL_DAY,
}


@dataclass(slots=True)
class CallContext:
    """What an implementation is told about the call that it makes an expression for.

    Args:
        types: of the arguments.
        type: of the result.
        constants: values of literal arguments (physical form), else None.
        literal: which arguments are literals.
        zone: the session's time zone.
        at: where the call was written.
        seed: of random functions, or None.
    """

    types: tuple[SqlType, ...]
    type: SqlType
    constants: tuple[Any, ...] = ()
    literal: tuple[bool, ...] = ()
    zone: str = "UTC"
    at: Where | None = None
    seed: int | None = None
    fails: list[tuple[pl.Expr, str]] = field(default_factory=list)

    def fail(self, condition: pl.Expr, message: str) -> None:
        """Rows where the condition is true fail with this message, if their value is asked for."""
        self.fails.append((condition, message))


@dataclass(frozen=True, slots=True)
class Signature:
    """Argument classes, how many are required, whether the last repeats, and the result."""

    args: tuple[str, ...]
    required: int
    repeats: bool
    result: str

    def classes(self, n: int) -> list[str] | None:
        """The class of each of n arguments, or None if n does not fit."""
        if n < self.required or (n > len(self.args) and not self.repeats):
            return None
        return [self.args[min(i, len(self.args) - 1)] for i in range(n)]


@dataclass(frozen=True, eq=False, slots=True)
class Function:
    """One SQL function.

    Args:
        name: in upper case.
        signatures: what it takes; the first that fits is taken.
        build: its work, by ``kind``: ``expression`` (context, Polars expressions) -> expression; ``host`` (context,
            Polars series) ->
            series, or (series, failed mask); ``macro`` (bound arguments, place) -> bound expression.
        result: type of the result from the arguments, where the signature's is not enough.
        nullable: None: NULL if an argument is; else fixed.
        deterministic: False: evaluated once for each mention.
        ours: not one of Flink's.
        texts: the signatures as written.
        doc: the docstring.
        rows: a host function that wants the number of rows first.
        kernel: from the context and ``build`` a function that does the same without Polars: of the column of the first
            argument that is no constant (an integer cast to DECIMAL comes as it was). None where it cannot (``build``
            does it then). It never fails a row.
    """

    name: str
    kind: FunctionKind
    signatures: tuple[Signature, ...]
    build: Callable[..., Any]
    result: Callable[[Sequence[Expr]], SqlType] | None = None
    nullable: bool | None = None
    deterministic: bool = True
    ours: bool = False
    texts: tuple[str, ...] = ()
    doc: str = ""
    family: str = ""
    rows: bool = False
    kernel: Callable[[CallContext, Callable[..., Any]], Kernel | None] | None = None

    def __repr__(self) -> str:
        return f"Function({self.name})"


_FUNCTIONS: dict[str, Function] = {}
_FAMILIES = (
    "operators", "arithmetic", "conditional", "strings", "regex", "hashes", "encodings", "times", "zones",
    "collections", "arrays", "maps", "json",
)  # fmt: skip
_loaded = False


def _parse(text: str) -> tuple[str, Signature]:
    head, _, result = text.partition("->")
    m = re.fullmatch(r"\s*([^\s(]+)\((.*)\)\s*", head)
    if m is None:
        raise ValueError(f"{text!r} is no signature")
    inside = m[2]
    repeats = inside.rstrip("] ").endswith("...")
    required = len([a for a in inside.split("[")[0].split(",") if a.strip()])
    args = tuple(a for a in re.split(r"[\s,\[\]]+", inside.replace("...", "")) if a)
    for a in args:
        if a not in _CLASSES:
            raise ValueError(f"{text!r}: unknown argument class {a!r}")
    return m[1], Signature(args, required, repeats, result.strip())


def scalar(
    *signatures: str,
    kind: FunctionKind = "expression",
    result: Callable[[Sequence[Expr]], SqlType] | None = None,
    nullable: bool | None = None,
    deterministic: bool = True,
    ours: bool = False,
    rows: bool = False,
    kernel: Callable[[CallContext, Callable[..., Any]], Kernel | None] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a SQL function; see the module's text. Several signatures may have different names: they are aliases."""

    def add(build: Callable[..., Any]) -> Callable[..., Any]:
        parsed: dict[str, list[Signature]] = {}
        for s in signatures:
            name, signature = _parse(s)
            parsed.setdefault(name, []).append(signature)
        for name, found in parsed.items():
            if name in _FUNCTIONS:
                raise ValueError(f"function {name} is declared twice")
            texts = tuple(s for s in signatures if _parse(s)[0] == name)
            family = build.__module__.rpartition(".")[2]
            _FUNCTIONS[name] = Function(
                name,
                kind,
                tuple(found),
                build,
                result,
                nullable,
                deterministic,
                ours,
                texts,
                build.__doc__ or "",
                family,
                rows,
                kernel,
            )
        return build

    return add


def functions() -> dict[str, Function]:
    """All built-in scalar functions by name; the families are imported at the first call."""
    global _loaded
    if not _loaded:
        for family in _FAMILIES:
            importlib.import_module(f"deras.sql.functions.{family}")
        _loaded = True
    return _FUNCTIONS


def find(name: str) -> Function | None:
    """The built-in function of a name in upper case, or None."""
    return functions().get(name)


class ArgumentError(Exception):
    """Arguments that fit no signature; the binder adds the place."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def call(function: Function, args: Sequence[Expr], at: Where | None = None) -> Expr:
    """A bound call with its arguments cast as the signature asks.

    Raises:
        ArgumentError: no signature fits.
    """
    from deras.sql.expr.nodes import Call

    for signature in function.signatures:
        fitted = _fit(signature, args)
        if fitted is None:
            continue
        if function.kind == "macro":
            made: Expr = function.build(fitted, at)
            return made
        if function.result is not None:
            type_ = function.result(fitted)
        elif signature.result == "same":
            type_ = next(a.type for a, c in zip(fitted, signature.classes(len(fitted)) or []) if c == "same")
        elif signature.result.startswith("arg"):
            type_ = fitted[int(signature.result[3:])].type
        else:
            type_ = _RESULTS[signature.result]
        nullable = any(a.type.nullable for a in fitted) if function.nullable is None else function.nullable
        return Call(type_.with_nullable(nullable), function, tuple(fitted), at=at)
    shown = ", ".join(str(a.type) for a in args)
    raise ArgumentError(
        f"{function.name} does not take ({shown})",
        f"It takes: {'; '.join(s.partition('->')[0].strip() for s in function.texts)}.",
    )


def _fit(signature: Signature, args: Sequence[Expr]) -> list[Expr] | None:
    classes = signature.classes(len(args))
    if classes is None:
        return None
    common: SqlType | None = None
    if "same" in classes:
        common = common_type([a.type for a, c in zip(args, classes, strict=True) if c == "same"])
        if common is None:
            return None
    fitted: list[Expr] = []
    for a, c in zip(args, classes, strict=True):
        if c == "same":
            assert common is not None  # noqa: S101 (for the type checker)
            fitted.append(cast_to(a, common))
        elif a.type.kind is Kind.NULL and c != "any":
            fitted.append(cast_to(a, _CASTS.get(c) or _NULLS.get(c) or t.STRING))
        elif _CLASSES[c](a.type):
            target = _CASTS.get(c)
            fitted.append(cast_to(a, target) if target is not None and c == "double" else a)
        elif c == "date" and implicit(a.type, t.DATE):
            fitted.append(cast_to(a, t.DATE))
        else:
            return None
    return fitted


def cast_to(e: Expr, target: SqlType) -> Expr:
    """The expression as another type, keeping its nullability; itself if it is of that type already."""
    from deras.sql.expr.nodes import Cast, Literal

    if e.type.same(target):
        return e
    if isinstance(e, Literal) and e.value is None:
        return Literal(target.with_nullable(True), None, at=e.at)
    return Cast(target.with_nullable(e.type.nullable or e.type.kind is Kind.NULL), e, at=e.at)
