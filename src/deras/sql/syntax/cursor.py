"""A place in the tokens, and the messages when they do not fit."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NoReturn, TypeVar

from deras.core.errors import Span, SqlSyntaxError
from deras.sql.syntax.lexer import Kind, Token, tokenize
from deras.sql.syntax.nodes import Identifier, ObjectName
from deras.sql.syntax.words import RESERVED

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MAX_DEPTH = 100
"""How deep brackets, subqueries and types may nest."""

NAME = "a name"
EXPRESSION = "an expression"
OPERATOR = "an operator"


class Cursor:
    """Walks over the tokens of a text and remembers what was looked for where it stands.

    ``accept`` and ``expect`` note their words in ``tried``, which is emptied at each step forward: so an error can
    list all that would have been right at this place.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.at = 0
        self.token = self.tokens[0]
        self.tried: list[str] = []
        self.depth = 0
        self.long_chain = False

    # ------------------------------------------------------------ moving

    def advance(self) -> Token:
        """Steps over the present token and gives it."""
        token = self.token
        if token.kind is not Kind.END:
            self.at += 1
            self.token = self.tokens[self.at]
        if self.tried:
            self.tried = []
        return token

    def peek(self, ahead: int = 1) -> Token:
        """A later token, not noted as tried."""
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def at_words(self, *words: str) -> bool:
        """Whether these words come next; not noted as tried."""
        return all(self.peek(i).key == w for i, w in enumerate(words))

    def accept(self, *words: str) -> bool:
        """Steps over these words if all come next."""
        if self.token.key == words[0] and (len(words) == 1 or self.at_words(*words)):
            for _ in words:
                self.advance()
            return True
        self.tried.append(words[0] if len(words) == 1 else " ".join(words))
        return False

    def accept_silently(self, word: str) -> bool:
        """The same for one word that would be noise in a list of what was expected."""
        if self.token.key == word:
            self.advance()
            return True
        return False

    def accept_any(self, *words: str) -> str:
        """Steps over one of these words and gives it, or an empty text."""
        key = self.token.key
        if key in words:
            self.advance()
            return key
        self.tried.extend(words)
        return ""

    def expect(self, *words: str) -> Token:
        """Steps over these words one after the other, or fails."""
        token = self.token
        for word in words:
            token = self.token
            if token.key != word:
                self.tried.append(word)
                self.fail()
            self.advance()
        return token

    def expect_any(self, *words: str) -> str:
        """Steps over one of these words, or fails."""
        found = self.accept_any(*words)
        if not found:
            self.fail()
        return found

    def since(self, start: int) -> Span:
        """From an offset to the end of the last token."""
        end = self.tokens[self.at - 1].end if self.at else start
        return Span(start, max(start, end))

    # ------------------------------------------------------------ small parts

    def is_name(self, token: Token | None = None) -> bool:
        """Whether a token can be a name as it stands."""
        token = token or self.token
        return token.kind is Kind.QUOTED or (token.kind is Kind.WORD and token.key not in RESERVED)

    def identifier(self, what: str = NAME) -> Identifier:
        """One name."""
        token = self.token
        if not self.is_name():
            self.tried.append(what)
            self.fail()
        self.advance()
        return Identifier(token.value, token.kind is Kind.QUOTED, span=token.span)

    def object_name(self, what: str = NAME, limit: int = 3) -> ObjectName:
        """A name of up to three parts."""
        start = self.token.start
        parts = [self.identifier(what)]
        while self.accept_silently("."):
            parts.append(self.identifier())
        if len(parts) > limit:
            shape = ("a single name", "[database.]name", "[catalog.][database.]name")[limit - 1]
            raise self.error(
                f"name {'.'.join(p.name for p in parts)!r} has too many parts",
                self.since(start),
                hint=f"Write {shape}; a dot inside a name needs backticks.",
            )
        return ObjectName(tuple(parts), span=self.since(start))

    def string(self, what: str = "text in single quotes") -> str:
        """A text literal; several on lines of their own are one."""
        token = self.token
        if token.kind is not Kind.STRING:
            self.tried.append(what)
            self.fail()
        self.advance()
        value = token.value
        while self.token.kind is Kind.STRING and "\n" in self.text[token.end : self.token.start]:
            token = self.advance()
            value += token.value
        return value

    def integer(self, what: str = "a whole number") -> int:
        """An unsigned whole number."""
        token = self.token
        if token.kind is not Kind.INTEGER:
            self.tried.append(what)
            self.fail()
        if len(token.value) > 18:
            raise self.error("number is too large here", token.span)
        self.advance()
        return int(token.value)

    def comma_list(self, item: Callable[[], T]) -> tuple[T, ...]:
        """One or more of something, with commas."""
        found = [item()]
        while self.accept(","):
            found.append(item())
        return tuple(found)

    def bracket_list(self, item: Callable[[], T]) -> tuple[T, ...]:
        """The same in round brackets."""
        self.expect("(")
        found = self.comma_list(item)
        self.expect(")")
        return found

    def names(self) -> tuple[Identifier, ...]:
        """``(a, b)``."""
        return self.bracket_list(self.identifier)

    def enter(self) -> None:
        """One level deeper; the caller goes back with ``depth -= 1``."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(
                f"nested more than {MAX_DEPTH} levels deep",
                self.token.span,
                hint="Take a part out into a view or a WITH clause.",
            )

    # ------------------------------------------------------------ errors

    def error(self, message: str, span: Span, *, hint: str = "", detail: str = "") -> SqlSyntaxError:
        """An error at a place of this text."""
        return SqlSyntaxError(message, text=self.text, span=span, hint=hint, detail=detail)

    def fail(self, hint: str = "") -> NoReturn:
        """Raises: the present token is none of those tried."""
        raise self.unexpected(hint)

    def unexpected(self, hint: str = "") -> SqlSyntaxError:
        """The error that the present token is none of those tried."""
        token = self.token
        if token.kind is Kind.BAD:
            return self.error(token.value, token.span, hint=token.hint)
        tried = list(dict.fromkeys(self.tried))
        previous = self.tokens[self.at - 1] if self.at else None
        if previous is not None and previous.kind is Kind.WORD and (not hint):
            # a misspelt keyword was taken for an alias: `SELECT a FORM t`
            near = self._near(previous, tried)
            before = self.tokens[self.at - 2] if self.at > 1 else None
            if near and previous.key not in RESERVED and not (before and before.key in ("AS", ".")):
                return self.error(
                    f"expected {near}, found {previous.value!r}", previous.span, hint=f"Did you mean {near}?"
                )
        found = self.describe(token)
        hint = hint or self._hint(token, previous, tried)
        return self.error(f"expected {choice(tried)}, found {found}", token.span, hint=hint)

    def describe(self, token: Token) -> str:
        """A token in words."""
        if token.kind is Kind.END:
            return "the end of the text"
        if token.key == ";":
            return "the end of the statement"
        if token.kind is Kind.WORD and token.key in RESERVED:
            return token.key
        if token.kind is Kind.STRING:
            return f"the text '{_short(token.value)}'"
        if token.kind is Kind.QUOTED:
            return f"`{_short(token.value)}`"
        if token.kind in (Kind.INTEGER, Kind.DECIMAL, Kind.DOUBLE):
            return f"the number {_short(token.value)}"
        return f"'{_short(self.text[token.start : token.end])}'"

    @staticmethod
    def _near(token: Token, tried: list[str]) -> str:
        if token.kind is not Kind.WORD or len(token.key) < 3:
            return ""
        words = {w.split()[0]: w for w in reversed(tried) if w.isupper()}
        if token.key in words:
            return ""
        near = difflib.get_close_matches(token.key, list(words), n=1, cutoff=0.7)
        return words[near[0]] if near else ""

    def _hint(self, token: Token, previous: Token | None, tried: list[str]) -> str:
        near = self._near(token, tried)
        wants_name = any(t in tried for t in (NAME, EXPRESSION)) or any(
            t.startswith(("a name", "an alias")) for t in tried
        )
        if previous is not None and previous.key == "," and token.key in (*_CLAUSES, ")", ";", ""):
            where = "the end" if token.kind is Kind.END or token.key == ";" else self.describe(token)
            return f"Remove the comma before {where}."
        if near and (token.key not in RESERVED or not wants_name):
            return f"Did you mean {near}?"
        if ";" in tried and token.key in _STARTS:
            return "Put a semicolon between the statements."
        clause = token.key in _NEVER_NAMES or (
            token.key in _CLAUSES and any(w in (EXPRESSION, "an alias") for w in tried)
        )
        if token.kind is Kind.WORD and token.key in RESERVED and wants_name and not clause:
            return f"{token.key} is a reserved word: write `{token.value}` in backticks to use it as a name."
        if token.key == "," and wants_name:
            return "Something is missing before the comma, or it is one too many."
        if "," in tried and token.kind in OPERANDS and (token.kind is not Kind.WORD or token.key not in RESERVED):
            return "Put a comma between the items."
        if token.key == ")" and ")" not in tried:
            return "There is one closing bracket too many, or something is missing before it."
        if token.key == "$" and self.peek().key == "{":
            return "Placeholders such as ${NAME} must be filled in before the SQL is read."
        if (")" in tried or "]" in tried) and (token.kind is Kind.END or token.key in (*_CLAUSES, ";")):
            return "A bracket is not closed."
        if token.kind is Kind.STRING and any(t.startswith(NAME) for t in tried):
            return "Single quotes make text; write names bare or in backticks."
        return ""


OPERANDS = (Kind.WORD, Kind.QUOTED, Kind.STRING, Kind.BINARY, Kind.INTEGER, Kind.DECIMAL, Kind.DOUBLE)
_CLAUSES = ("FROM", "WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "UNION", "WINDOW", "ON", "SELECT")


_STARTS = (
    "SELECT",
    "INSERT",
    "CREATE",
    "DROP",
    "ALTER",
    "SHOW",
    "SET",
    "DESCRIBE",
    "EXPLAIN",
    "BEGIN",
    "EXECUTE",
    "USE",
)
_NEVER_NAMES = ("NOT", "AND", "OR", "IS", "IN", "DISTINCT", "AS", "BY", "THEN", "ELSE", "WHEN", "BETWEEN", "LIKE")
_SHOWN = 10


def _short(text: str) -> str:
    text = text.replace("\n", " ")
    return text if len(text) <= 40 else text[:37] + "..."


def choice(words: list[str]) -> str:
    """``a, b or c`` with symbols quoted."""
    shown = [w if w[0].isalpha() else f"'{w}'" for w in words]
    if len(shown) > _SHOWN:
        return ", ".join([*shown[: _SHOWN - 1], "…"])
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " or " + shown[-1]
