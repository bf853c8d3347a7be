"""Anomaly detection."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deras.core.schema import Schema
from deras.sql.plan.rel import Place, Rel, Unary


@dataclass(frozen=True, slots=True)
class Detect(Unary):
    """DETECT_ANOMALIES: the input's columns and five of the detector."""

    keys: tuple[int, ...]
    time: int
    value: int
    options: tuple[tuple[str, str], ...] = ()

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """Keys, time and value are always read."""
        n = len(self.input.schema)
        made, place = self.input.prune({i for i in needed if i < n} | set(self.keys) | {self.time, self.value})
        width = len(made.schema)
        found = replace(
            self,
            schema=Schema((*made.schema.fields, *self.schema.fields[n:])),
            input=made,
            keys=tuple(place[k] for k in self.keys),
            time=place[self.time],
            value=place[self.value],
        )
        return found, place | {n + i: width + i for i in range(len(self.schema) - n)}

    def describe(self) -> str:
        """Keys, time, value, options."""
        below = self.input.schema.names
        keys = ", ".join(below[k] for k in self.keys)
        options = "".join(f", {k}: {v}" for k, v in self.options)
        return f"DetectAnomalies(by: [{keys}], time: {below[self.time]}, value: {below[self.value]}{options})"

    def kept(self) -> str:
        """A model."""
        return "one model a key"
