"""The LOOKUP hint, and whether a table can be looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.core import registry
from deras.core.contracts import Connector
from deras.core.errors import BindError, OptionError, PlanError, did_you_mean
from deras.core.lookups import HINT_OPTIONS, NO_EFFECT, RETRY, TABLE_OPTIONS
from deras.core.options import read_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deras.core.errors import Span
    from deras.sql.bind.context import BindContext
    from deras.sql.syntax import ast

Settings = tuple[tuple[str, str], ...]


class LookupHints:
    """The LOOKUP hints of one SELECT.

    Args:
        hints: all hints of the SELECT.
        context: gets warnings about options that change nothing.

    Raises:
        BindError: an option that is unknown, missing or wrong, or a table that is named twice.
    """

    def __init__(self, hints: Iterable[ast.Hint], context: BindContext) -> None:
        self._of: dict[str, tuple[Settings, Span]] = {}
        self._used: set[str] = set()
        for hint in hints:
            if hint.name.upper() != "LOOKUP":
                continue
            settings = _settings(hint)
            table = dict(settings)["table"]
            if table in self._of:
                raise BindError(f"there are two LOOKUP hints for '{table}'", span=hint.span, hint="Keep one of them.")
            self._of[table] = tuple((k, v) for k, v in settings if k != "table"), hint.span
            idle = [k for k, _ in settings if k in NO_EFFECT]
            if idle:
                names = ", ".join(f"'{k}'" for k in idle)
                context.warnings.append(
                    f"LOOKUP: {names} changes nothing here: the distinct keys of a step are asked for in one question."
                )

    def take(self, names: Iterable[str]) -> Settings:
        """What is said of a table by one of its names."""
        for name in names:
            if name in self._of:
                self._used.add(name)
                return self._of[name][0]
        return ()

    def finish(self) -> None:
        """Refuse hints for tables that are not looked up in this SELECT."""
        for name, (_, span) in self._of.items():
            if name not in self._used:
                raise BindError(
                    f"no table '{name}' is looked up here",
                    span=span,
                    hint="'table' names a table, or its alias, that is joined FOR SYSTEM_TIME AS OF a processing time.",
                )


def _settings(hint: ast.Hint) -> Settings:
    known = {o.name: o for o in HINT_OPTIONS}
    for given in hint.options:
        option = known.get(given.key)
        if option is None:
            raise BindError(
                f"LOOKUP has no option '{given.key}'",
                span=given.key_span,
                hint=did_you_mean(given.key, list(known)) or f"Known options: {', '.join(known)}.",
            )
        try:
            option.read(given.value)
        except ValueError as err:
            raise BindError(f"option '{given.key}' of LOOKUP: {err}", span=given.value_span, hint=option.help) from None
    texts = {o.key: o.value for o in hint.options}
    if "table" not in texts:
        raise BindError("LOOKUP needs option 'table'", span=hint.span, hint="Name the table, or its alias.")
    missing = [k for k in RETRY if k not in texts]
    if 0 < len(missing) < len(RETRY):
        raise BindError(
            f"LOOKUP needs {', '.join(map(repr, missing))} as well",
            span=hint.span,
            detail="The options of asking again stand together or not at all.",
            hint="For example 'retry-predicate'='lookup_miss', 'retry-strategy'='fixed_delay', 'fixed-delay'='10s', "
            "'max-attempts'='3'.",
        )
    return tuple((o.key, o.value) for o in hint.options)


def check_lookup(name: str, texts: Mapping[str, str], span: Span) -> None:
    """Refuse a table that cannot be looked up, and wrong options of lookups.

    Raises:
        PlanError: its connector gives no rows by key.
        OptionError: an option of lookups is wrong.
    """
    kind = registry.connector(texts["connector"])
    if kind.lookup is Connector.lookup:
        raise PlanError(
            f"connector '{kind.name}' cannot be looked up",
            span=span,
            detail=f"Table '{name}' is joined FOR SYSTEM_TIME AS OF a processing time.",
            hint="Join a table of connector 'filesystem' or a materialized view, or join it without FOR SYSTEM_TIME AS "
            "OF.",
        )
    try:
        read_options(TABLE_OPTIONS, {k: v for k, v in texts.items() if k.startswith("lookup.")}, what=f"table '{name}'")
    except OptionError as err:
        raise PlanError(err.message, span=span, hint=err.hint) from None
