"""Texts that match a regular expression, many at a time: what ``regexify`` makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from deras.connectors._faker_draw import Draw

MOST_REPEATS = 10
"""What ``*`` and ``+`` repeat at most."""
MOST_TEXTS = 4096
"""Expressions with at most so many texts are drawn from their list."""
_CLASSES = {
    "d": "0123456789",
    "w": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_",
    "s": " ",
}
_ANY = "".join(map(chr, range(33, 127)))


@dataclass(frozen=True, slots=True)
class One:
    """One of some texts, each as likely as the other."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of some expressions."""

    branches: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Both:
    """Expressions one after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """An expression ``least`` to ``most`` times."""

    node: Node
    least: int
    most: int


Node = One | Either | Both | Repeat


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def wrong(self, why: str) -> ValueError:
        return ValueError(f"regular expression '{self.text}': {why} (character {self.at + 1})")

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self) -> str:
        c = self.peek()
        if not c:
            raise self.wrong("it ends too early")
        self.at += 1
        return c

    def whole(self) -> Node:
        node = self.either()
        if self.peek():
            raise self.wrong(f"unexpected '{self.peek()}'")
        return node

    def either(self) -> Node:
        branches = [self.both()]
        while self.peek() == "|":
            self.at += 1
            branches.append(self.both())
        if len(branches) == 1:
            return branches[0]
        if all(isinstance(b, One) and len(b.texts) == 1 for b in branches):
            return One(tuple(b.texts[0] for b in branches if isinstance(b, One)))
        return Either(tuple(branches))

    def both(self) -> Node:
        parts: list[Node] = []
        while self.peek() not in ("", "|", ")"):
            part = self.repeated()
            last = parts[-1] if parts else None
            plain = isinstance(part, One) and len(part.texts) == 1
            if plain and isinstance(last, One) and len(last.texts) == 1 and isinstance(part, One):
                parts[-1] = One((last.texts[0] + part.texts[0],))
            else:
                parts.append(part)
        if len(parts) == 1:
            return parts[0]
        return Both(tuple(parts)) if parts else One(("",))

    def repeated(self) -> Node:
        node = self.single()
        while (c := self.peek()) and c in "?*+{":
            self.at += 1
            if c == "{":
                end = self.text.find("}", self.at)
                inner = self.text[self.at : end] if end >= 0 else ""
                low, comma, high = inner.partition(",")
                if not low.strip().isdigit() or (high.strip() and not high.strip().isdigit()):
                    raise self.wrong("a number of repeats like {3} or {1,3} is expected")
                least = int(low)
                most = least if not comma else (int(high) if high.strip() else least + MOST_REPEATS)
                self.at = end + 1
            else:
                least, most = {"?": (0, 1), "*": (0, MOST_REPEATS), "+": (1, MOST_REPEATS)}[c]
            if most < least:
                raise self.wrong(f"{{{least},{most}}} is empty")
            if (least, most) != (1, 1):
                node = Repeat(node, least, most)
        return node

    def single(self) -> Node:
        c = self.take()
        match c:
            case "(":
                if self.text.startswith("?:", self.at):
                    self.at += 2
                node = self.either()
                if self.take() != ")":
                    raise self.wrong("')' is expected")
                return node
            case "[":
                return One(tuple(self.members()))
            case ".":
                return One(tuple(_ANY))
            case "\\":
                c = self.take()
                return One(tuple(_CLASSES[c])) if c in _CLASSES else One(({"n": "\n", "t": "\t"}.get(c, c),))
            case "*" | "+" | "?":
                raise self.wrong(f"nothing to repeat before '{c}'")
            case "^" | "$":
                return One(("",))
            case _:
                return One((c,))

    def members(self) -> list[str]:
        denied = self.peek() == "^"
        self.at += denied
        found: list[str] = []
        while (c := self.take()) != "]" or not found:
            if c == "\\":
                c = self.take()
                if c in _CLASSES:
                    found += _CLASSES[c]
                    continue
            if self.peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("", "]"):
                self.at += 1
                last = self.take()
                if last == "\\":
                    last = self.take()
                if last < c:
                    raise self.wrong(f"range {c}-{last} is empty")
                found += map(chr, range(ord(c), ord(last) + 1))
            else:
                found.append(c)
        found = list(dict.fromkeys(found))
        return [x for x in _ANY if x not in found] if denied else found


def parse(text: str) -> Node:
    """The expression; ``ValueError`` with the reason and the place if it is none, or of a kind that is not known."""
    return _Parser(text).whole()


def listed(node: Node, most: int = MOST_TEXTS) -> tuple[str, ...] | None:
    """All texts of an expression, where each is as likely as the other and they are few."""
    match node:
        case One(texts):
            return texts if len(texts) <= most else None
        case Both(parts):
            found: tuple[str, ...] = ("",)
            for part in parts:
                more = listed(part, most)
                if more is None or len(found) * len(more) > most:
                    return None
                found = tuple(a + b for a in found for b in more)
            return found
        case Repeat(inner, least, highest) if least == highest:
            return listed(Both((inner,) * least), most) if least else ("",)
        case Repeat() | Either():
            return None


def draw(node: Node, d: Draw, path: str = "") -> pl.Series:
    """A text for each row."""
    texts = listed(node)
    if texts is not None:
        return d.choice(texts, path)
    match node:
        case One(texts):
            return d.choice(texts, path)
        case Both(parts):
            made = [draw(p, d, f"{path}.{i}") for i, p in enumerate(parts)]
            return pl.select(pl.concat_str([s.alias(str(i)) for i, s in enumerate(made)])).to_series()
        case Repeat(inner, least, most):
            counts = pl.Series(d.between(least, most, f"{path}#"))
            empty = pl.lit("")
            made = [draw(inner, d, f"{path}*{i}") for i in range(most)]
            shown = [pl.when(counts > i).then(s).otherwise(empty).alias(str(i)) for i, s in enumerate(made)]
            return pl.select(pl.concat_str(shown)).to_series()
        case Either(branches):
            which = pl.Series(d.between(0, len(branches) - 1, f"{path}|"))
            made = [draw(b, d, f"{path}|{i}") for i, b in enumerate(branches)]
            chosen = pl.lit(made[0])
            for i, s in enumerate(made[1:], 1):
                chosen = pl.when(which == i).then(s).otherwise(chosen)
            return pl.select(chosen).to_series()
