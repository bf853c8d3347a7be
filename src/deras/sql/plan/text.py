"""Plans and expressions as text: for EXPLAIN, for golden tests, and (without names) for stable state names."""

from __future__ import annotations

import hashlib

from deras.core.types import Kind
from deras.sql.expr import nodes as e
from deras.sql.expr.decimals import text as decimal_text
from deras.sql.plan import nodes as p
from deras.sql.plan.properties import append_only

_INFIX = frozenset({"+", "-", "*", "/", "%", "=", "<>", "<", "<=", ">", ">=", "||", "LIKE", "SIMILAR TO"})
_INFIX_WORDS = frozenset({"IS DISTINCT FROM", "IS NOT DISTINCT FROM"})


def expression(x: e.Expr, names: list[str] | None = None) -> str:
    """An expression over columns of these names, or ``$0`` … without."""
    match x:
        case e.InputRef():
            return f"${x.index}" if names is None else names[x.index]
        case e.Literal():
            return _literal(x)
        case e.Cast():
            return f"{'TRY_CAST' if x.safe else 'CAST'}({expression(x.arg, names)} AS {x.type.with_nullable(True)})"
        case e.Logic():
            return "(" + f" {x.op} ".join(expression(t, names) for t in x.terms) + ")"
        case e.Case():
            whens = " ".join(
                f"WHEN {expression(c, names)} THEN {expression(r, names)}"
                for c, r in zip(x.conditions, x.results, strict=False)
            )
            return f"CASE {whens} ELSE {expression(x.results[-1], names)} END"
        case e.Context():
            return {"proctime": "PROCTIME()", "now": "NOW()"}.get(x.kind, "CURRENT_WATERMARK()")
        case e.UdfCall():
            return f"{x.udf.name}({', '.join(expression(a, names) for a in x.args)})"
        case e.Call():
            args = [expression(a, names) for a in x.args]
            name = x.function.name
            if (name in _INFIX or name in _INFIX_WORDS) and len(args) >= 2:
                return "(" + f" {name} ".join(args) + ")"
            if name.startswith("IS ") and len(args) == 1:
                return f"({args[0]} {name})"
            if name in ("NOT", "-") and len(args) == 1:
                return f"{name} {args[0]}" if name == "NOT" else f"-{args[0]}"
            return f"{name}({', '.join(args)})"
    return type(x).__name__


def _literal(x: e.Literal) -> str:
    if x.value is None:
        return "NULL"
    t = x.type
    if t.is_text:
        return "'" + str(x.value).replace("'", "''") + "'"
    if t.kind is Kind.DECIMAL:
        return decimal_text(x.value, t.scale)
    if t.kind is Kind.BOOLEAN:
        return "TRUE" if x.value else "FALSE"
    if t.kind is Kind.INTERVAL_DAY:
        return f"INTERVAL {x.value} ms"
    if t.kind is Kind.INTERVAL_MONTH:
        return f"INTERVAL {x.value} months"
    if t.is_timestamp or t.kind in (Kind.DATE, Kind.TIME):
        return f"{t.kind.value} {_moment(x)}"
    if t.kind is Kind.DOUBLE:
        return f"{x.value!r}E0" if "e" not in repr(x.value) and "n" not in repr(x.value) else repr(x.value).upper()
    return str(x.value)


def _moment(x: e.Literal) -> str:
    import datetime

    t = x.type
    if t.kind is Kind.DATE:
        return f"'{datetime.date(1970, 1, 1) + datetime.timedelta(days=x.value)}'"
    if t.kind is Kind.TIME:
        at = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=x.value // 1000)
        return f"'{at.time()}'"
    unit = 1000 if t.nanoseconds else 1
    at = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=x.value // unit)
    return f"'{at.replace(tzinfo=None).isoformat(sep=' ')}'"


def _call(c: p.AggCall, names: list[str]) -> str:
    arg = "*" if c.arg is None else names[c.arg]
    text = f"{c.function}({'DISTINCT ' if c.distinct else ''}{arg})"
    return text if c.filter is None else f"{text} FILTER (WHERE {names[c.filter]})"


def _ms(ms: int) -> str:
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if ms and ms % size == 0:
            return f"{ms // size} {unit}"
    return f"{ms} ms"


def _window(rel: p.WindowTvf | p.WindowAggregate) -> str:
    names = rel.input.schema.names
    on = "PROCTIME" if rel.time is None else names[rel.time]
    parts = [on, f"size {_ms(rel.size)}"]
    if rel.kind != "tumble":
        parts.append(f"{'slide' if rel.kind == 'hop' else 'step'} {_ms(rel.slide)}")
    if rel.offset:
        parts.append(f"offset {_ms(rel.offset)}")
    if rel.zone:
        parts.append(f"zone {rel.zone}")
    return f"{rel.kind.upper()}({', '.join(parts)})"


def describe(rel: p.Rel) -> str:
    """One node in one line, without its inputs."""
    below = rel.inputs()[0].schema.names if rel.inputs() else []
    out = rel.schema.names
    match rel:
        case p.Scan():
            shown = rel.used if rel.used is not None else range(len(rel.schema))
            columns = [rel.schema.names[i] for i in shown]
            mark = ""
            if rel.watermark is not None and rel.rowtime is not None:
                mark = f", watermark: {rel.schema.names[rel.rowtime]} AS {expression(rel.watermark, rel.schema.names)}"
            return f"Scan(table: {rel.table.name}, columns: [{', '.join(columns)}]{mark})"
        case p.ViewScan():
            return f"Scan(view: {rel.view.name})"
        case p.Values():
            return f"Values(rows: {len(rel.rows)})"
        case p.Calc():
            parts = []
            if rel.exprs is not None:
                shown_exprs = [
                    n if isinstance(x, e.InputRef) and below[x.index] == n else f"{expression(x, below)} AS {n}"
                    for x, n in zip(rel.exprs, out, strict=True)
                ]
                parts.append(f"select: [{', '.join(shown_exprs)}]")
            if rel.predicate is not None:
                parts.append(f"where: {expression(rel.predicate, below)}")
            return f"Calc({', '.join(parts)})"
        case p.Join():
            left, right = rel.left.schema.names, rel.right.schema.names
            on = [f"{left[a]} = {right[b]}" for a, b in zip(rel.left_keys, rel.right_keys, strict=True)]
            rest = "" if rel.residual is None else f", where: {expression(rel.residual, [*left, *right])}"
            return f"Join(kind: {rel.kind}, on: [{', '.join(on)}]{rest})"
        case p.Aggregate():
            keys = ", ".join(below[k] for k in rel.keys)
            if not rel.calls:
                return f"Distinct(by: [{keys}])"
            return f"GroupAggregate(by: [{keys}], select: [{', '.join(_call(c, below) for c in rel.calls)}])"
        case p.WindowTvf():
            return f"WindowTable({_window(rel)})"
        case p.WindowAggregate():
            keys = ", ".join(below[k] for k in rel.keys)
            calls = ", ".join([*(_call(c, below) for c in rel.calls), *(f"window_{w}" for w in rel.window)])
            return f"WindowAggregate(by: [{keys}], window: {_window(rel)}, select: [{calls}])"
        case p.Union():
            return "Union(all)"
        case p.Limit():
            return f"Limit({rel.count})"
        case p.Detect():
            keys = ", ".join(below[k] for k in rel.keys)
            options = "".join(f", {k}: {v}" for k, v in rel.options)
            return f"DetectAnomalies(by: [{keys}], time: {below[rel.time]}, value: {below[rel.value]}{options})"
    return type(rel).__name__


def state_of(rel: p.Rel) -> str:
    """What an operator keeps, and whether that is bounded."""
    match rel:
        case p.Scan():
            return ""
        case p.Aggregate():
            if not rel.keys:
                return "one group"
            return f"one entry a group of ({', '.join(rel.schema.names[: len(rel.keys)])}), unbounded"
        case p.WindowAggregate():
            return "open windows only, bounded by the watermark"
        case p.Join():
            return "all rows of both sides, unbounded"
        case p.Detect():
            return "one model a key"
    return ""


def tree(rel: p.Rel, *, changelog: bool = False, state: bool = False) -> str:
    """The plan as an indented tree, the output first."""
    lines: list[str] = []

    def add(r: p.Rel, lead: str, stem: str) -> None:
        notes = []
        if changelog:
            notes.append("changes: I" if append_only(r) else "changes: I,UB,UA,D")
        if state and (kept := state_of(r)):
            notes.append(f"state: {kept}")
        lines.append(f"{lead}{describe(r)}{'  -- ' + '; '.join(notes) if notes else ''}")
        inputs = r.inputs()
        for i, below in enumerate(inputs):
            last = i == len(inputs) - 1
            add(below, f"{stem}{'+- ' if last else ':- '}", f"{stem}{'   ' if last else ':  '}")

    add(rel, "", "")
    return "\n".join(lines)


def normal(rel: p.Rel) -> str:
    """The subplan as canonical text: no aliases, no order of discovery, nothing of this process."""
    inputs = ",".join(normal(i) for i in rel.inputs())
    match rel:
        case p.Scan():
            options = ";".join(f"{k}={v}" for k, v in sorted(rel.options))
            columns = ",".join(f"{f.name} {f.type}" for f in rel.schema)
            parts = [rel.table.name, columns, options]
            parts += [expression(x) for x in (rel.computed, rel.watermark) if x is not None]
            return f"scan[{'|'.join(parts)}]"
        case p.ViewScan():
            return f"view[{rel.view.name}|{','.join(str(f.type) for f in rel.schema)}]"
        case p.Values():
            return f"values[{';'.join(','.join(f'{expression(x)}:{x.type}' for x in r) for r in rel.rows)}]"
        case p.Calc():
            exprs = "*" if rel.exprs is None else ",".join(f"{expression(x)}:{x.type}" for x in rel.exprs)
            where = "" if rel.predicate is None else expression(rel.predicate)
            return f"calc[{exprs}|{where}]({inputs})"
        case p.Join():
            rest = "" if rel.residual is None else expression(rel.residual)
            return f"join[{rel.kind}|{rel.left_keys}|{rel.right_keys}|{rest}]({inputs})"
        case p.Aggregate():
            return f"aggregate[{rel.keys}|{_calls(rel.calls)}]({inputs})"
        case p.WindowTvf():
            return f"window[{rel.kind}|{rel.time}|{rel.size}|{rel.slide}|{rel.offset}|{rel.zone}]({inputs})"
        case p.WindowAggregate():
            return (
                f"windowaggregate[{rel.kind}|{rel.time}|{rel.size}|{rel.slide}|{rel.offset}|{rel.zone}|{rel.keys}|"
                f"{_calls(rel.calls)}|{rel.window}]({inputs})"
            )
        case p.Detect():
            return f"detect[{rel.keys}|{rel.time}|{rel.value}|{rel.options}]({inputs})"
        case p.Limit():
            return f"limit[{rel.count}]({inputs})"
    return f"{type(rel).__name__.lower()}({inputs})"


def _calls(calls: tuple[p.AggCall, ...]) -> str:
    return ";".join(f"{c.function},{c.arg},{c.distinct},{c.filter},{c.type}" for c in calls)


def digest(text: str) -> str:
    """16 hex digits of a canonical text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
