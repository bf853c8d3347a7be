"""A YAML file read with positions: what is wrong is told by file, line and place, with the nearest right word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from deras.core.errors import ConfigError, did_you_mean
from deras.core.options import parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence


class Place:
    """One value of the file and where it stands.

    Args:
        origin: the file's name, for messages.
        node: the YAML node.
        path: how a person would name it: ``panels[2].band``.
    """

    def __init__(self, origin: str, node: yaml.Node, path: str) -> None:
        self.origin = origin
        self.node = node
        self.path = path

    @property
    def line(self) -> int:
        """The line, from 1."""
        return int(self.node.start_mark.line) + 1

    def wrong(self, message: str, *, hint: str = "", detail: str = "") -> ConfigError:
        """The error to raise about this place."""
        return ConfigError(f"{self.origin}, line {self.line}: {message}", hint=hint, detail=detail)

    # ---- mappings

    def keys(self, allowed: Sequence[str], required: Sequence[str] = ()) -> dict[str, Place]:
        """The entries of a mapping; ``ConfigError`` for an unknown, doubled or missing key."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong(
                f"{self.path or 'the file'} must hold keys and values", hint=f"Keys: {', '.join(allowed)}."
            )
        found: dict[str, Place] = {}
        for key_node, value_node in self.node.value:
            key = Place(self.origin, key_node, self.path)
            name = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else ""
            if name not in allowed:
                near = did_you_mean(name, allowed) or f"Known keys: {', '.join(allowed)}."
                raise key.wrong(f"unknown key '{name}'{self._inside()}", hint=near)
            if name in found:
                raise key.wrong(f"key '{name}' stands twice{self._inside()}", hint="Keep one of them.")
            found[name] = Place(self.origin, value_node, f"{self.path}.{name}" if self.path else name)
        for name in required:
            if name not in found:
                raise self.wrong(f"key '{name}' is missing{self._inside()}")
        return found

    def _inside(self) -> str:
        return f" in {self.path}" if self.path else ""

    def entries(self) -> dict[str, Place]:
        """The entries of a mapping with free keys."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong(f"{self.path} must hold keys and values")
        return {str(k.value): Place(self.origin, v, f"{self.path}.{k.value}") for k, v in self.node.value}

    def is_mapping(self) -> bool:
        """Whether it holds keys and values."""
        return isinstance(self.node, yaml.MappingNode)

    # ---- lists

    def items(self) -> list[Place]:
        """The items of a list; a single value counts as a list of one."""
        if isinstance(self.node, yaml.SequenceNode):
            return [Place(self.origin, n, f"{self.path}[{i + 1}]") for i, n in enumerate(self.node.value)]
        return [self]

    def texts(self) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(item.text() for item in self.items())

    # ---- scalars

    def value(self) -> Any:
        """The plain value: text, number, flag or None."""
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.wrong(f"{self.path} must be a single value")
        return yaml.constructor.SafeConstructor().construct_object(self.node)

    def text(self) -> str:
        """A text; numbers and dates are taken as they are written."""
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.wrong(f"{self.path} must be a text")
        return str(self.node.value)

    def flag(self) -> bool:
        """True or false."""
        v = self.value()
        if not isinstance(v, bool):
            raise self.wrong(f"{self.path} must be true or false, not {v!r}")
        return v

    def number(self) -> float:
        """A number."""
        v = self.value()
        if isinstance(v, bool) or not isinstance(v, (int, float)):
            raise self.wrong(f"{self.path} must be a number, not {v!r}")
        return float(v)

    def whole(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``."""
        v = self.value()
        if isinstance(v, bool) or not isinstance(v, int) or not low <= v <= high:
            raise self.wrong(f"{self.path} must be a whole number from {low} to {high}, not {v!r}")
        return v

    def duration(self) -> float:
        """A duration in ms."""
        try:
            return parse_duration(self.text())
        except ValueError as e:
            raise self.wrong(f"{self.path}: {e}") from None

    def choice(self, allowed: Sequence[str]) -> str:
        """One of some words."""
        v = self.text()
        if v not in allowed:
            near = did_you_mean(v, allowed) or f"Choose one of: {', '.join(allowed)}."
            raise self.wrong(f"{self.path} cannot be '{v}'", hint=near)
        return v


def read_yaml(text: str, origin: str) -> Place:
    """The root of a YAML text; ``ConfigError`` with the line where it is no YAML."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(
            f"{origin}{where}: {e.problem or 'this is no YAML'}",
            hint="Check the indentation, and quote texts that hold ': ' or begin with a sign.",
        ) from None
    except yaml.YAMLError as e:
        raise ConfigError(f"{origin}: this is no YAML", detail=str(e)) from None
    if node is None:
        raise ConfigError(f"{origin} is empty", hint="Write at least 'title:' and one panel.")
    return Place(origin, node, "")
