"""From a table's texts to its connector: options checked, format made, context filled."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deras.core import registry
from deras.core.contracts import Connector, TableContext
from deras.core.errors import OptionError
from deras.core.lookups import TABLE_OPTIONS as LOOKUP_OPTIONS
from deras.core.options import Option, Options, read_options

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deras.core.contracts import Format
    from deras.core.schema import Schema
    from deras.core.time import Clock
    from deras.engine.dataflow import NodeSpec
    from deras.engine.operator import Operator

COMMON: tuple[Option, ...] = (
    Option("connector", help="The kind of outside system.", required=True),
    Option("scan.watermark.idle-timeout", "duration", "Silence after which a part is left out of the watermark."),
    Option("scan.watermark.idle-advance", "bool", "While all parts are idle the watermark goes on with the clock."),
    Option("scan.watermark.alignment.group", help="Tables of one group advance together."),
    Option("scan.watermark.alignment.max-drift", "duration", "How far a part may run ahead of its group."),
    Option("scan.watermark.alignment.update-interval", "duration", "Accepted; alignment is checked at every read."),
    Option("scan.watermark.emit.strategy", help="Accepted; watermarks are exact per row."),
    *LOOKUP_OPTIONS,
    Option("scan.parallelism", "int", "Accepted; work is spread by itself."),
    Option("sink.parallelism", "int", "Accepted; work is spread by itself."),
)
"""Options that any table may have, whatever its connector."""


def open_table(
    name: str,
    schema: Schema,
    texts: Mapping[str, str],
    *,
    folder: Path,
    clock: Clock,
    rowtime: int | None = None,
    bounded_batch: bool = False,
    partition_keys: tuple[str, ...] = (),
) -> tuple[Connector, TableContext]:
    """The connector of a table and what it is told about it.

    Args:
        name: the table's name, for messages.
        schema: physical and metadata columns.
        texts: the WITH clause.
        folder: the project's folder.
        clock: the time.
        rowtime: position of the rowtime column in ``schema``.
        bounded_batch: batch mode.
        partition_keys: PARTITIONED BY.

    Raises:
        OptionError: an option is unknown, missing or wrong.
    """
    if "connector" not in texts:
        hint = "For example 'connector' = 'filesystem'."
        raise OptionError(f"table '{name}' has no option 'connector'", hint=hint)
    connector = registry.connector(texts["connector"])()
    declared = [*connector.options, *(o for o in COMMON if o.name not in {c.name for c in connector.options})]
    format_name = texts.get("format", texts.get("value.format"))
    made: Format | None = None
    extra = ["format", "value.format"] if connector.formats == "required" or format_name is None else []
    if format_name is not None and connector.formats == "required":
        kind = registry.format_(format_name)
        prefixes = (f"{format_name}.", f"value.{format_name}.")
        own = {_rest(k, prefixes): t for k, t in texts.items() if k.startswith(prefixes)}
        made = kind(read_options(kind.options, own, what=f"format '{format_name}'"))
        declared += [replace(o, name=p + o.name, required=False) for o in kind.options for p in prefixes]
    elif connector.formats == "required":
        odd = {k: t for k, t in texts.items() if "." not in k and not any(o.matches(k) for o in declared)}
        if odd:  # a misspelt 'format' is told as such
            read_options(declared, odd, what=f"connector '{connector.name}'", extra=["format"])
        raise OptionError(f"connector '{connector.name}' needs option 'format'", hint="For example 'format' = 'json'.")
    options: Options = read_options(declared, texts, what=f"connector '{connector.name}'", extra=extra)
    return connector, TableContext(name, schema, options, made, folder, clock, rowtime, bounded_batch, partition_keys)


def operator_of(node: NodeSpec, folder: Path, clock: Clock) -> Operator:
    """The operator of a node, with the table that it looks up."""
    operator = node.make()
    spec = node.lookup
    if spec is not None:
        connector, context = open_table(spec.table, spec.schema, spec.options, folder=folder, clock=clock)
        operator.attach(connector.lookup(context, spec.keys))  # type: ignore[attr-defined]
    return operator


def _rest(name: str, prefixes: tuple[str, ...]) -> str:
    return next(name.removeprefix(p) for p in prefixes if name.startswith(p))
