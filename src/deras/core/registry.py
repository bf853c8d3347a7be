"""Connectors and formats by name: built-in files, then entry points ``deras.connectors`` and ``deras.formats``."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
from typing import TYPE_CHECKING, Any

from deras.core.errors import OptionError, did_you_mean

if TYPE_CHECKING:
    from deras.core.contracts import Connector, Format


@functools.cache
def _built_in(room: str) -> dict[str, str]:
    """Name in SQL to module of a room's own files."""
    spec = importlib.util.find_spec(f"deras.{room}")
    found: dict[str, str] = {}
    if spec is not None and spec.submodule_search_locations:
        for m in pkgutil.iter_modules(spec.submodule_search_locations):
            if not m.name.startswith("_"):
                found[m.name.rstrip("_").replace("_", "-")] = f"deras.{room}.{m.name}"
    return found


@functools.cache
def _names(room: str) -> dict[str, str]:
    """Name in SQL to module (or entry point value) of a room. Reads about every package that is installed."""
    from importlib.metadata import entry_points

    found = dict(_built_in(room))
    for e in entry_points(group=f"deras.{room}"):
        found.setdefault(e.name, e.value.split(":")[0])
    return found


def _load(room: str, what: str, name: str) -> Any:
    attribute = "Connector" if room == "connectors" else "Format"
    names = _built_in(room)
    if name not in names:
        names = _names(room)
    if name in names:
        found = getattr(importlib.import_module(names[name]), attribute, None)
        if found is not None:
            return found
    known = available(room)
    hint = did_you_mean(name, known) or f"Known: {', '.join(known)}."
    raise OptionError(f"there is no {what} '{name}'", hint=hint)


def connector(name: str) -> type[Connector]:
    """The connector class of a name; ``OptionError`` with "did you mean" if there is none."""
    return _load("connectors", "connector", name)  # type: ignore[no-any-return]


def format_(name: str) -> type[Format]:
    """The format class of a name; ``OptionError`` with "did you mean" if there is none."""
    return _load("formats", "format", name)  # type: ignore[no-any-return]


@functools.cache
def available(room: str) -> list[str]:
    """All names of a room (``connectors`` or ``formats``), sorted; helper modules without the class are left out."""
    attribute = "Connector" if room == "connectors" else "Format"
    found = []
    for name, module in _names(room).items():
        try:
            if hasattr(importlib.import_module(module), attribute):
                found.append(name)
        except ImportError:
            found.append(name)
    return sorted(found)
