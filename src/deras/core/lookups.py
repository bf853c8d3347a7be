"""What can be said of lookups: options of tables, and of the LOOKUP hint."""

from __future__ import annotations

from typing import Any

from deras.core.options import Option


def _positive(value: Any) -> str | None:
    return None if value > 0 else "it must be greater than 0"


def _not_negative(value: Any) -> str | None:
    return None if value >= 0 else "it must not be negative"


TABLE_OPTIONS: tuple[Option, ...] = (
    Option(
        "lookup.cache",
        "enum",
        "What a lookup keeps: nothing, the rows of keys that were asked for, or the whole table.",
        choices=("NONE", "PARTIAL", "FULL"),
    ),
    Option("lookup.partial-cache.max-rows", "int", "How many rows are kept; the least asked for go.", check=_positive),
    Option(
        "lookup.partial-cache.expire-after-write", "duration", "A key is asked for again after this.", check=_positive
    ),
    Option("lookup.partial-cache.expire-after-access", "duration", "A key that nobody asks for goes.", check=_positive),
    Option("lookup.partial-cache.cache-missing-key", "bool", "Whether keys without rows are kept (default: true)."),
    Option("lookup.partial-cache.caching-missing-key", "bool", "The same, as some connectors of Flink call it."),
    Option("lookup.max-retries", "int", "How often a failed lookup is tried again (default: 3).", check=_not_negative),
    Option("lookup.async", "bool", "Accepted; the distinct keys of a step are asked for in one question."),
    Option("lookup.full-cache.reload-strategy", "enum", "When a whole table is read again.", choices=("PERIODIC",)),
    Option(
        "lookup.full-cache.periodic-reload.interval",
        "duration",
        "Read a table that is kept whole again after this time.",
        check=_positive,
    ),
)
"""Of tables that are looked up, whatever their connector."""

HINT_OPTIONS: tuple[Option, ...] = (
    Option("table", help="The table or its alias.", required=True),
    Option("async", "bool", "Accepted; the distinct keys of a step are asked for in one question."),
    Option(
        "output-mode",
        "enum",
        "Whether rows behind one that waits wait, too ('ordered', the default).",
        choices=("ordered", "allow_unordered"),
    ),
    Option("capacity", "int", "Accepted; a step is one question.", check=_positive),
    Option("timeout", "duration", "Accepted; a question ends when the connector says so.", check=_positive),
    Option("retry-predicate", "enum", "When a row asks again.", choices=("lookup_miss",)),
    Option("retry-strategy", "enum", "How long it waits.", choices=("fixed_delay",)),
    Option("fixed-delay", "duration", "The time until it asks again.", check=_positive),
    Option("max-attempts", "int", "How often it asks again.", check=_positive),
    Option("shuffle", "bool", "Accepted; work is spread by itself."),
)
"""Of ``LOOKUP(…)``, as in Flink."""

RETRY = ("retry-predicate", "retry-strategy", "fixed-delay", "max-attempts")
"""Options of the hint that go together."""

NO_EFFECT = ("async", "capacity", "timeout", "shuffle")
"""Options of the hint that change nothing here."""
