"""Every error that Deras raises on purpose, and how it is told to a person.

A message is lower case, without a full stop and without inner names; ``detail`` and ``hint`` are sentences.
``domain`` says whose fault it is, ``retry`` whether trying again can help: the supervisor decides by these two, never
by class.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

Retry = Literal["never", "backoff"]


class Domain(enum.Enum):
    """Whose fault an error is."""

    USER = "user"
    EXTERNAL = "external"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of character offsets in a SQL text."""

    start: int
    end: int

    def to(self, other: Span) -> Span:
        """The smallest span that holds both."""
        return Span(min(self.start, other.start), max(self.end, other.end))


def line_column(text: str, offset: int) -> tuple[int, int]:
    """Line and column (both from 1) of a character offset."""
    offset = max(0, min(offset, len(text)))
    line = text.count("\n", 0, offset) + 1
    return line, offset - (text.rfind("\n", 0, offset) + 1) + 1


def caret(text: str, span: Span) -> str:
    """The line of ``span`` with carets under it, tabs kept so that they line up."""
    line_number, column = line_column(text, span.start)
    begin = text.rfind("\n", 0, min(span.start, len(text))) + 1
    end = text.find("\n", begin)
    line = text[begin:] if end < 0 else text[begin:end]
    width = max(1, min(span.end, begin + len(line)) - span.start)
    pad = "".join("\t" if c == "\t" else " " for c in line[: column - 1]).ljust(column - 1)
    margin = f"{line_number} | "
    return f"{margin}{line}\n{' ' * (len(margin) - 2)}| {pad}{'^' * width}"


class DerasError(Exception):
    """The base of all errors meant for a user.

    Args:
        message: what went wrong, in lower case, no full stop.
        detail: sentences with the facts behind it.
        hint: what to do next.
        retry: whether the same act can succeed later by itself.
    """

    domain: Domain = Domain.USER
    code: str = "error"

    def __init__(self, message: str, *, detail: str = "", hint: str = "", retry: Retry = "never") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint
        self.retry = retry

    def render(self) -> str:
        """The whole text for a terminal: message, detail, hint."""
        parts = [f"error: {self.message}"]
        if self.detail:
            parts.append(f"Detail: {self.detail}")
        if self.hint:
            parts.append(f"Hint: {self.hint}")
        return "\n".join(parts)

    def to_json(self) -> dict[str, object]:
        """The same for REST answers and attached sessions."""
        found: dict[str, object] = {"code": self.code, "domain": self.domain.value, "retry": self.retry}
        found["message"] = self.message
        if self.detail:
            found["detail"] = self.detail
        if self.hint:
            found["hint"] = self.hint
        return found

    def __str__(self) -> str:
        return self.message


class SqlError(DerasError):
    """Wrong SQL: carries the statement's text and the place in it."""

    code = "sql"

    def __init__(
        self, message: str, *, text: str = "", span: Span | None = None, detail: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.text = text
        self.span = span

    def with_text(self, text: str) -> SqlError:
        """Set the source text if it is not known yet; gives itself back."""
        if not self.text:
            self.text = text
        return self

    @property
    def line(self) -> int | None:
        """The line of the error, from 1."""
        return line_column(self.text, self.span.start)[0] if self.span and self.text else None

    @property
    def column(self) -> int | None:
        """The column of the error, from 1."""
        return line_column(self.text, self.span.start)[1] if self.span and self.text else None

    def render(self) -> str:
        """Message with line, column and caret, then detail and hint."""
        if self.span is None or not self.text:
            return super().render()
        parts = [f"error: {self.message} (line {self.line}, column {self.column})", caret(self.text, self.span)]
        if self.detail:
            parts.append(f"Detail: {self.detail}")
        if self.hint:
            parts.append(f"Hint: {self.hint}")
        return "\n".join(parts)

    def to_json(self) -> dict[str, object]:
        """Adds position to the base fields."""
        found = super().to_json()
        if self.span is not None:
            found |= {"start": self.span.start, "end": self.span.end}
            if self.text:
                found |= {"line": self.line, "column": self.column, "caret": caret(self.text, self.span)}
        return found


class SqlSyntaxError(SqlError):
    """The text is not Flink SQL."""

    code = "syntax"


class BindError(SqlError):
    """A name, type or clause does not fit the catalog."""

    code = "bind"


class PlanError(SqlError):
    """The statement is valid, but cannot be run as asked."""

    code = "plan"


class OptionError(SqlError):
    """An option is unknown, missing or has a wrong value."""

    code = "option"


class ConfigError(DerasError):
    """A wrong setting, dashboard file, flag or environment."""

    code = "config"


class ProjectBusyError(DerasError):
    """Another process owns the project folder."""

    code = "busy"


class ExternalError(DerasError):
    """A system outside (disk, network, broker) refused."""

    domain = Domain.EXTERNAL
    code = "external"

    def __init__(self, message: str, *, detail: str = "", hint: str = "", retry: Retry = "backoff") -> None:
        super().__init__(message, detail=detail, hint=hint, retry=retry)


class CorruptError(ExternalError):
    """A stored file does not match its checksum or format."""

    code = "corrupt"

    def __init__(self, message: str, *, detail: str = "", hint: str = "", retry: Retry = "never") -> None:
        super().__init__(message, detail=detail, hint=hint, retry=retry)


class RowError(DerasError):
    """A row could not be processed and the job runs with ``deras.on-error = fail``."""

    code = "row"


class InternalError(DerasError):
    """A fault of Deras itself."""

    domain = Domain.INTERNAL
    code = "internal"


def did_you_mean(word: str, known: object) -> str:
    """A hint sentence naming the nearest known words, or an empty string."""
    import difflib

    names = [str(k) for k in known]  # type: ignore[attr-defined]
    folded = {n.lower(): n for n in names}
    near = [folded[m] for m in difflib.get_close_matches(word.lower(), list(folded), n=3, cutoff=0.6)]
    return f"Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
