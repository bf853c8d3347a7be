"""The text of relations and row patterns."""

from __future__ import annotations

from deras.sql.syntax import queries as q
from deras.sql.syntax.printer import brackets, commas, hints, to_sql


def _alias(node: q.Alias | None) -> str:
    if node is None:
        return ""
    return f" AS {to_sql(node.name)}" + (f" {brackets(node.columns)}" if node.columns else "")


@to_sql.register
def _(node: q.Alias) -> str:
    return _alias(node).lstrip()


@to_sql.register
def _(node: q.TableRef) -> str:
    as_of = "" if node.as_of is None else f" FOR SYSTEM_TIME AS OF {to_sql(node.as_of)}"
    return f"{to_sql(node.name)}{hints(node.hints)}{as_of}{_alias(node.alias)}"


@to_sql.register
def _(node: q.SubqueryRelation) -> str:
    return f"{'LATERAL ' if node.lateral else ''}({to_sql(node.query)}){hints(node.hints)}{_alias(node.alias)}"


@to_sql.register
def _(node: q.FunctionRelation) -> str:
    call = f"TABLE({to_sql(node.call)})" if node.wrapped else to_sql(node.call)
    return f"{'LATERAL ' if node.lateral else ''}{call}{_alias(node.alias)}"


@to_sql.register
def _(node: q.Unnest) -> str:
    return f"UNNEST{brackets(node.args)}{' WITH ORDINALITY' if node.ordinality else ''}{_alias(node.alias)}"


@to_sql.register
def _(node: q.ParenRelation) -> str:
    return f"({to_sql(node.inner)}){_alias(node.alias)}"


@to_sql.register
def _(node: q.Join) -> str:
    if node.kind == "COMMA":
        return f"{to_sql(node.left)}, {to_sql(node.right)}"
    word = "JOIN" if node.kind == "INNER" else f"{node.kind} JOIN"
    text = f"{to_sql(node.left)} {'NATURAL ' if node.natural else ''}{word} {to_sql(node.right)}"
    if node.match_condition is not None:
        text += f" MATCH_CONDITION ({to_sql(node.match_condition)})"
    if node.on is not None:
        text += f" ON {to_sql(node.on)}"
    if node.using:
        text += f" USING {brackets(node.using)}"
    return text


# ---------------------------------------------------------------- MATCH_RECOGNIZE


@to_sql.register
def _(node: q.PatternVariable) -> str:
    return to_sql(node.name)


def _factor(node: q.Pattern) -> str:
    compound = isinstance(node, (q.PatternSequence, q.PatternAlternation, q.PatternRepeat))
    return f"({to_sql(node)})" if compound else to_sql(node)


def _item(node: q.Pattern) -> str:
    compound = isinstance(node, (q.PatternSequence, q.PatternAlternation))
    return f"({to_sql(node)})" if compound else to_sql(node)


@to_sql.register
def _(node: q.PatternSequence) -> str:
    return " ".join(map(_item, node.items))


@to_sql.register
def _(node: q.PatternAlternation) -> str:
    return " | ".join(f"({to_sql(i)})" if isinstance(i, q.PatternAlternation) else to_sql(i) for i in node.items)


@to_sql.register
def _(node: q.PatternRepeat) -> str:
    short = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((node.least, node.most))
    if short is None:
        bounds = (
            f"{node.least}" if node.least == node.most else f"{node.least},{'' if node.most is None else node.most}"
        )
        short = "{" + bounds + "}"
    return f"{_factor(node.item)}{short}{'' if node.greedy else '?'}"


@to_sql.register
def _(node: q.PatternPermute) -> str:
    return f"PERMUTE{brackets(node.items)}"


@to_sql.register
def _(node: q.PatternExclude) -> str:
    return f"{{- {to_sql(node.item)} -}}"


@to_sql.register
def _(node: q.Measure) -> str:
    return f"{to_sql(node.expr)} AS {to_sql(node.name)}"


@to_sql.register
def _(node: q.Define) -> str:
    return f"{to_sql(node.name)} AS {to_sql(node.condition)}"


@to_sql.register
def _(node: q.Subset) -> str:
    return f"{to_sql(node.name)} = {brackets(node.members)}"


@to_sql.register
def _(node: q.AfterMatch) -> str:
    if node.variable is None:
        return f"AFTER MATCH SKIP {'TO ' if node.kind == 'NEXT ROW' else ''}{node.kind}"
    return f"AFTER MATCH SKIP TO {node.kind} {to_sql(node.variable)}"


@to_sql.register
def _(node: q.MatchRecognize) -> str:
    parts: list[str] = []
    if node.partition_by:
        parts.append(f"PARTITION BY {commas(node.partition_by)}")
    if node.order_by:
        parts.append(f"ORDER BY {commas(node.order_by)}")
    if node.measures:
        parts.append(f"MEASURES {commas(node.measures)}")
    if node.rows_per_match is not None:
        parts.append("ONE ROW PER MATCH" if node.rows_per_match == "ONE" else "ALL ROWS PER MATCH")
    if node.after is not None:
        parts.append(to_sql(node.after))
    start, end = "^ " if node.anchored_start else "", " $" if node.anchored_end else ""
    parts.append(f"PATTERN ({start}{to_sql(node.pattern)}{end})")
    if node.within is not None:
        parts.append(f"WITHIN {to_sql(node.within)}")
    if node.subsets:
        parts.append(f"SUBSET {commas(node.subsets)}")
    parts.append(f"DEFINE {commas(node.defines)}")
    return f"{to_sql(node.input)} MATCH_RECOGNIZE ({' '.join(parts)}){_alias(node.alias)}"
