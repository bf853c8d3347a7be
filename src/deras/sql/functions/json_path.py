"""Paths into JSON: ``[lax|strict] $.a['b'][0][*]..c[1:3][?(@.x > 1)]``."""

from __future__ import annotations

import functools
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MODE = re.compile(r"\s*(strict|lax)\s+(.+)$", re.IGNORECASE | re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<deep>\.\.)(?:(?P<deepname>[^\s.\[\]*'"()]+)|(?P<deepall>\*))?
    | \.(?P<name>[^\s.\[\]*'"()]+)
    | \.(?P<all>\*)
    | \[\s*(?P<star>\*)\s*\]
    | \[\s*(?P<names>'(?:[^'\\]|\\.)*'(?:\s*,\s*'(?:[^'\\]|\\.)*')*|"(?:[^"\\]|\\.)*"(?:\s*,\s*"(?:[^"\\]|\\.)*")*)\s*\]
    | \[\s*(?P<places>-?\d+(?:\s*,\s*-?\d+)*)\s*\]
    | \[\s*(?P<slice>-?\d*\s*:\s*-?\d*)\s*\]
    | \[\s*\?\s*\((?P<filter>[^()]*)\)\s*\]
    )\s*""",
    re.VERBOSE,
)
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_TERM = re.compile(r"""\s*@((?:\.[\w$-]+|\['[^']*'\]|\[\d+\])*)\s*(?:(==|!=|<=|>=|<|>)\s*(.+?))?\s*$""")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip

Step = tuple[str, Any]


class PathError(ValueError):
    """The text is no path."""


@dataclass(frozen=True, slots=True)
class Path:
    """A path.

    Args:
        lax: what is not there is empty; else (strict) it is an error.
        steps: from the root.
        definite: leads to one value; else to an array of all that it finds.
    """

    lax: bool
    steps: tuple[Step, ...]
    definite: bool

    def read(self, value: Any) -> Any:
        """The value at the path.

        Raises:
            LookupError: there is none.
        """
        if self.definite:
            for kind, what in self.steps:
                if kind == "names":
                    if not isinstance(value, dict):
                        raise LookupError(what)
                    value = {n: value[n] for n in what if n in value}
                elif kind == "name":
                    if not isinstance(value, dict):
                        raise LookupError(what)
                    value = value[what]
                else:
                    if not isinstance(value, list):
                        raise LookupError(what)
                    value = value[what]
            return value
        found = [value]
        for step in self.steps:
            found = [x for v in found for x in _step(v, *step)]
        return found


def _step(value: Any, kind: str, what: Any) -> Iterator[Any]:
    match kind:
        case "name":
            if isinstance(value, dict) and what in value:
                yield value[what]
        case "names":
            if isinstance(value, dict):
                yield {n: value[n] for n in what if n in value}
        case "place" | "places":
            if isinstance(value, list):
                for i in what if kind == "places" else (what,):
                    if -len(value) <= i < len(value):
                        yield value[i]
        case "slice":
            if isinstance(value, list):
                yield from value[what]
        case "all":
            yield from value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        case "deep":
            yield from _everything(value)
        case "filter":
            if isinstance(value, (list, dict)):
                yield from (x for x in (value if isinstance(value, list) else [value]) if what(x))


def _everything(value: Any) -> Iterator[Any]:
    if isinstance(value, (dict, list)):
        yield value
        for x in value.values() if isinstance(value, dict) else value:
            yield from _everything(x)


@functools.lru_cache(maxsize=512)
def parse_path(text: str) -> Path:
    """A path of its text.

    Raises:
        PathError: it is none.
    """
    mode = _MODE.match(text)
    lax = mode is not None and mode[1].lower() == "lax"
    body = (mode[2] if mode else text).strip()
    if not body.startswith("$"):
        raise PathError("it begins with '$'")
    steps: list[Step] = []
    definite = True
    at = 1
    while at < len(body):
        m = _TOKEN.match(body, at)
        if m is None or m.end() == at:
            raise PathError(f"not understood from '{body[at:][:20]}' on")
        at = m.end()
        definite &= _read(m, steps)
    return Path(lax, tuple(steps), definite)


def _read(m: re.Match[str], steps: list[Step]) -> bool:
    """Add a token's steps; gives whether they lead to one value."""
    if m["deep"]:
        steps.append(("deep", None))
        if m["deepname"]:
            steps.append(("name", m["deepname"]))
        elif m["deepall"]:
            steps.append(("all", None))
        return False
    if m["name"]:
        steps.append(("name", m["name"]))
        return True
    if m["all"] or m["star"]:
        steps.append(("all", None))
        return False
    if m["names"]:
        names = [re.sub(r"\\(.)", r"\1", a or b) for a, b in _QUOTED.findall(m["names"])]
        steps.append(("name", names[0]) if len(names) == 1 else ("names", names))
        return True
    if m["places"]:
        places = [int(p) for p in m["places"].split(",")]
        steps.append(("place", places[0]) if len(places) == 1 else ("places", places))
        return len(places) == 1
    if m["slice"]:
        low, _, high = (p.strip() for p in m["slice"].partition(":"))
        steps.append(("slice", slice(int(low) if low else None, int(high) if high else None)))
        return False
    steps.append(("filter", _filter(m["filter"])))
    return False


def _filter(text: str) -> Callable[[Any], bool]:
    terms = [[_term(y) for y in x.split("&&")] for x in text.split("||")]
    return lambda v: any(all(term(v) for term in all_) for all_ in terms)


def _term(text: str) -> Callable[[Any], bool]:
    m = _TERM.match(text)
    if m is None:
        raise PathError(f"the filter '{text.strip()}' is not understood")
    inner = parse_path("$" + m[1])
    sign, constant = m[2], _constant(m[3]) if m[2] else None

    def passes(v: Any) -> bool:
        try:
            found = inner.read(v)
        except LookupError:
            return False
        if not sign:
            return True
        if sign in ("==", "!="):
            return _COMPARE[sign](found, constant)
        if isinstance(found, str) != isinstance(constant, str) or found is None or constant is None:
            return False
        return _COMPARE[sign](found, constant)

    return passes


def _constant(text: str) -> Any:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    known = {"true": True, "false": False, "null": None}
    if text in known:
        return known[text]
    try:
        return float(text) if re.search(r"[.eE]", text) else int(text)
    except ValueError:
        raise PathError(f"'{text}' is no constant") from None
