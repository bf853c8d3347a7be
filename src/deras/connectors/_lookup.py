"""Tables that are looked up: small ones read whole through their own source."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from deras.core.contracts import Lookup
from deras.core.delta import Delta
from deras.core.errors import ExternalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.core.contracts import Source, TableContext

_PIECE = 4 << 20


class WholeTable(Lookup):
    """All rows of a bounded source, read when asked.

    Args:
        table: what is known of the table.
        source: makes the source anew for each reading.
    """

    whole: ClassVar[bool] = True

    def __init__(self, table: TableContext, source: Callable[[], Source]) -> None:
        self._table = table
        self._source = source

    def rows(self) -> Delta:
        """Everything, from the first part to the last.

        Raises:
            ExternalError: it cannot be read, or a record is bad: then a row that is there might not be found.
        """
        source, schema = self._source(), self._table.schema
        found: list[Delta] = []
        try:
            for part in source.parts():
                reader = source.open(part, None)
                decoder = None
                try:
                    while (records := reader.poll(_PIECE, 0.0)) is not None:
                        if records.delta is not None:
                            found.append(records.delta)
                            continue
                        if not records.blocks:
                            break
                        if decoder is None:
                            assert self._table.format is not None  # noqa: S101 (its source has blocks)
                            decoder = self._table.format.decoder(schema, None, self._table.name)
                        for block in records.blocks:
                            made = decoder.decode(block)
                            for bad in made.rejected:
                                raise ExternalError(
                                    f"table '{self._table.name}' cannot be looked up: {bad.messages[0]}",
                                    detail=f"At {block.origin or part} {bad.positions[0]}.",
                                    hint="Mend the record: a row that is left out would look like one that is missing.",
                                    retry="never",
                                )
                            found.append(made.delta)
                finally:
                    reader.close()
        finally:
            source.close()
        return Delta.concat(found) if found else Delta.empty(schema)
