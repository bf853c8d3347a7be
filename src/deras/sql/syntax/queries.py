"""Relations, row patterns and queries as nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deras.sql.syntax.expressions import Call, Expr, NamedWindow, OrderItem, RowValue
from deras.sql.syntax.nodes import Hint, Identifier, Node, ObjectName


@dataclass(frozen=True, slots=True)
class Relation(Node):
    """The base of what may stand in FROM."""


@dataclass(frozen=True, slots=True)
class Alias(Node):
    """``AS name [(c1, c2)]``."""

    name: Identifier
    columns: tuple[Identifier, ...] = ()


@dataclass(frozen=True, slots=True)
class TableRef(Relation):
    """A table or view by name, with hints and ``FOR SYSTEM_TIME AS OF``."""

    name: ObjectName
    alias: Alias | None = None
    hints: tuple[Hint, ...] = ()
    as_of: Expr | None = None


@dataclass(frozen=True, slots=True)
class SubqueryRelation(Relation):
    """``[LATERAL] (query) [AS] alias``."""

    query: Query
    alias: Alias | None = None
    lateral: bool = False
    hints: tuple[Hint, ...] = ()


@dataclass(frozen=True, slots=True)
class FunctionRelation(Relation):
    """``TABLE(f(…))``, ``LATERAL TABLE(f(…))`` or ``f(…)``: window TVFs and table functions."""

    call: Call
    alias: Alias | None = None
    lateral: bool = False
    wrapped: bool = True  # TABLE( … ) was written


@dataclass(frozen=True, slots=True)
class Unnest(Relation):
    """``UNNEST(a, …) [WITH ORDINALITY]``."""

    args: tuple[Expr, ...]
    ordinality: bool = False
    alias: Alias | None = None


@dataclass(frozen=True, slots=True)
class Join(Relation):
    """A join; ``COMMA`` is the list form. ``match_condition`` belongs to ``ASOF``/``LEFT ASOF``."""

    left: Relation
    right: Relation
    kind: Literal["INNER", "LEFT", "RIGHT", "FULL", "CROSS", "COMMA", "ASOF", "LEFT ASOF"] = "INNER"
    on: Expr | None = None
    using: tuple[Identifier, ...] = ()
    natural: bool = False
    match_condition: Expr | None = None


@dataclass(frozen=True, slots=True)
class ParenRelation(Relation):
    """``(a JOIN b ON …)`` [AS alias]."""

    inner: Relation
    alias: Alias | None = None


# pattern of MATCH_RECOGNIZE


@dataclass(frozen=True, slots=True)
class Pattern(Node):
    """The base of row patterns."""


@dataclass(frozen=True, slots=True)
class PatternVariable(Pattern):
    """A pattern variable."""

    name: Identifier


@dataclass(frozen=True, slots=True)
class PatternSequence(Pattern):
    """``A B C``."""

    items: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class PatternAlternation(Pattern):
    """``A | B``."""

    items: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class PatternRepeat(Pattern):
    """``A+``, ``A*?``, ``A{2,5}``; ``most`` None is unbounded."""

    item: Pattern
    least: int
    most: int | None
    greedy: bool = True


@dataclass(frozen=True, slots=True)
class PatternPermute(Pattern):
    """``PERMUTE(A, B)``."""

    items: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class PatternExclude(Pattern):
    """``{- A -}``."""

    item: Pattern


@dataclass(frozen=True, slots=True)
class Measure(Node):
    """``expr AS name`` in MEASURES."""

    expr: Expr
    name: Identifier


@dataclass(frozen=True, slots=True)
class Define(Node):
    """``A AS condition`` in DEFINE."""

    name: Identifier
    condition: Expr


@dataclass(frozen=True, slots=True)
class Subset(Node):
    """``S = (A, B)`` in SUBSET."""

    name: Identifier
    members: tuple[Identifier, ...]


@dataclass(frozen=True, slots=True)
class AfterMatch(Node):
    """``AFTER MATCH SKIP …``: NEXT ROW, PAST LAST ROW, FIRST or LAST with a variable."""

    kind: Literal["NEXT ROW", "PAST LAST ROW", "FIRST", "LAST"]
    variable: Identifier | None = None


@dataclass(frozen=True, slots=True)
class MatchRecognize(Relation):
    """``input MATCH_RECOGNIZE (…) [AS alias]``."""

    input: Relation
    pattern: Pattern
    defines: tuple[Define, ...]
    partition_by: tuple[Expr, ...] = ()
    order_by: tuple[OrderItem, ...] = ()
    measures: tuple[Measure, ...] = ()
    rows_per_match: Literal["ONE", "ALL"] | None = None
    after: AfterMatch | None = None
    subsets: tuple[Subset, ...] = ()
    within: Expr | None = None
    anchored_start: bool = False
    anchored_end: bool = False
    alias: Alias | None = None


@dataclass(frozen=True, slots=True)
class QueryBody(Node):
    """The base of Select, SetOperation, Values, TableBody and (in parentheses) Query."""


@dataclass(frozen=True, slots=True)
class Cte(Node):
    """``name [(columns)] AS (query)``."""

    name: Identifier
    columns: tuple[Identifier, ...]
    query: Query


@dataclass(frozen=True, slots=True)
class Query(QueryBody):
    """``[WITH …] body [ORDER BY …] [LIMIT …] [OFFSET …]``; ``FETCH FIRST n ROWS ONLY`` is ``limit``. ``LIMIT
    ALL`` is None.
    """

    body: QueryBody
    ctes: tuple[Cte, ...] = ()
    recursive: bool = False
    order_by: tuple[OrderItem, ...] = ()
    limit: Expr | None = None
    offset: Expr | None = None


@dataclass(frozen=True, slots=True)
class SelectItem(Node):
    """``expr [AS alias]``."""

    expr: Expr
    alias: Identifier | None = None


@dataclass(frozen=True, slots=True)
class GroupingElement(Expr):
    """``GROUPING SETS (…)``, ``CUBE (…)``, ``ROLLUP (…)``; an item is an expression, a bracketed ``GroupingSet``
    or nested element.
    """

    kind: Literal["GROUPING SETS", "CUBE", "ROLLUP"]
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class GroupingSet(Expr):
    """``(a, b)`` or ``()`` in GROUP BY."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class GroupBy(Node):
    """``GROUP BY [DISTINCT] …``."""

    items: tuple[Expr, ...]
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class Select(QueryBody):
    """``SELECT … FROM … WHERE … GROUP BY … HAVING … WINDOW … QUALIFY …``."""

    items: tuple[SelectItem, ...]
    source: Relation | None = None
    where: Expr | None = None
    group_by: GroupBy | None = None
    having: Expr | None = None
    windows: tuple[NamedWindow, ...] = ()
    qualify: Expr | None = None
    distinct: bool = False
    hints: tuple[Hint, ...] = ()


@dataclass(frozen=True, slots=True)
class SetOperation(QueryBody):
    """``a UNION [ALL] b UNION [ALL] c …``: two or more inputs, from the left, one operator."""

    op: Literal["UNION", "INTERSECT", "EXCEPT"]
    all: bool
    inputs: tuple[QueryBody, ...]


@dataclass(frozen=True, slots=True)
class Values(QueryBody):
    """``VALUES (1, 'a'), (2, 'b')``; a row written without brackets has one item."""

    rows: tuple[RowValue, ...]


@dataclass(frozen=True, slots=True)
class TableBody(QueryBody):
    """``TABLE t``."""

    name: ObjectName
