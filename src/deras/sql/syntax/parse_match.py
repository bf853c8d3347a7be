"""MATCH_RECOGNIZE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from deras.sql.syntax.parse_call import CallParser
from deras.sql.syntax.queries import (
    AfterMatch,
    Define,
    MatchRecognize,
    Measure,
    Pattern,
    PatternAlternation,
    PatternExclude,
    PatternPermute,
    PatternRepeat,
    PatternSequence,
    PatternVariable,
    Relation,
    Subset,
)

if TYPE_CHECKING:
    from deras.sql.syntax.expressions import Expr, OrderItem
    from deras.sql.syntax.nodes import Identifier


class MatchParser(CallParser):
    """Reads MATCH_RECOGNIZE and its patterns."""

    def match_recognize(self, source: Relation, start: int) -> MatchRecognize:
        """Everything after the input; the alias is read by the caller."""
        self.expect("MATCH_RECOGNIZE", "(")
        partition_by: tuple[Expr, ...] = ()
        order_by: tuple[OrderItem, ...] = ()
        measures: tuple[Measure, ...] = ()
        rows: Literal["ONE", "ALL"] | None = None
        after: AfterMatch | None = None
        within: Expr | None = None
        subsets: tuple[Subset, ...] = ()
        if self.accept("PARTITION"):
            self.expect("BY")
            partition_by = self.comma_list(self.expression)
        if self.accept("ORDER"):
            self.expect("BY")
            order_by = self.comma_list(self.order_item)
        if self.accept("MEASURES"):
            measures = self.comma_list(self._measure)
        if self.accept("ONE"):
            self.expect("ROW", "PER", "MATCH")
            rows = "ONE"
        elif self.accept("ALL"):
            self.expect("ROWS", "PER", "MATCH")
            rows = "ALL"
        if self.accept("AFTER"):
            after = self._after(self.tokens[self.at - 1].start)
        self.expect("PATTERN", "(")
        anchored_start = self.accept_silently("^")
        pattern = self._alternation()
        anchored_end = self.accept_silently("$")
        self.expect(")")
        if self.accept("WITHIN"):
            within = self.expression()
        if self.accept("SUBSET"):
            subsets = self.comma_list(self._subset)
        self.expect("DEFINE")
        defines = self.comma_list(self._define)
        self.expect(")")
        return MatchRecognize(
            source,
            pattern,
            defines,
            partition_by,
            order_by,
            measures,
            rows,
            after,
            subsets,
            within,
            anchored_start,
            anchored_end,
            span=self.since(start),
        )

    def _measure(self) -> Measure:
        start = self.token.start
        expr = self.expression()
        self.expect("AS")
        return Measure(expr, self.identifier("an alias"), span=self.since(start))

    def _define(self) -> Define:
        start = self.token.start
        name = self.identifier("a name of a pattern variable")
        self.expect("AS")
        return Define(name, self.expression(), span=self.since(start))

    def _subset(self) -> Subset:
        start = self.token.start
        name = self.identifier()
        self.expect("=")
        return Subset(name, self.names(), span=self.since(start))

    def _after(self, start: int) -> AfterMatch:
        self.expect("MATCH", "SKIP")
        if self.accept("PAST"):
            self.expect("LAST", "ROW")
            return AfterMatch("PAST LAST ROW", span=self.since(start))
        self.expect("TO")
        if self.at_words("NEXT", "ROW"):
            self.expect("NEXT", "ROW")
            return AfterMatch("NEXT ROW", span=self.since(start))
        kind: Literal["FIRST", "LAST"] = "LAST"
        if self.token.key in ("FIRST", "LAST") and self.is_name(self.peek()) and self.peek().key != "PATTERN":
            kind = "FIRST" if self.advance().key == "FIRST" else "LAST"
        else:
            self.tried.extend(("NEXT ROW", "FIRST", "LAST"))
        return AfterMatch(kind, self.identifier("a name of a pattern variable"), span=self.since(start))

    # ------------------------------------------------------------ patterns

    def _alternation(self) -> Pattern:
        self.enter()
        start = self.token.start
        items = [self._sequence()]
        while self.accept("|"):
            items.append(self._sequence())
        self.depth -= 1
        return items[0] if len(items) == 1 else PatternAlternation(tuple(items), span=self.since(start))

    def _sequence(self) -> Pattern:
        start = self.token.start
        items = [self._repeat()]
        while self.is_name() or self.token.key in ("(", "{-", "PERMUTE"):
            items.append(self._repeat())
        return items[0] if len(items) == 1 else PatternSequence(tuple(items), span=self.since(start))

    def _repeat(self) -> Pattern:
        start = self.token.start
        item = self._factor(start)
        bounds: tuple[int, int | None] | None = None
        key = self.token.key
        if key in ("*", "+", "?"):
            self.advance()
            bounds = {"*": (0, None), "+": (1, None), "?": (0, 1)}[key]
        elif key == "{":
            bounds = self._bounds()
        if bounds is None:
            self.tried.extend(("*", "+", "?", "{"))
            return item
        greedy = not self.accept_silently("?")
        return PatternRepeat(item, bounds[0], bounds[1], greedy, span=self.since(start))

    def _bounds(self) -> tuple[int, int | None]:
        opening = self.expect("{")
        if self.accept(","):
            least, most = 0, self.integer()
        else:
            least = self.integer()
            most_open: int | None = least
            if self.accept(","):
                most_open = None if self.token.key == "}" else self.integer()
            self.expect("}")
            if most_open is not None and most_open < least:
                raise self.error("the upper bound is below the lower one", self.since(opening.start))
            return least, most_open
        self.expect("}")
        return least, most

    def _factor(self, start: int) -> Pattern:
        if self.accept_silently("("):
            inner = self._alternation()
            self.expect(")")
            return inner
        if self.accept_silently("{-"):
            inner = self._alternation()
            self.expect("-}")
            return PatternExclude(inner, span=self.since(start))
        if self.token.key == "PERMUTE":
            self.advance()
            return PatternPermute(self.bracket_list(self._alternation), span=self.since(start))
        name: Identifier = self.identifier("a name of a pattern variable")
        return PatternVariable(name, span=self.since(start))
