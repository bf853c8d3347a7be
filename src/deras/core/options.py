"""One declaration per option: validation, docs, secrets, forms."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from deras.core.errors import OptionError, did_you_mean

OptionType = Literal["string", "int", "float", "bool", "duration", "memory", "enum", "list"]

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zµ]*)\s*", re.IGNORECASE)
_MS = {
    "": 1.0, "ms": 1.0, "milli": 1.0, "millis": 1.0, "millisecond": 1.0, "milliseconds": 1.0,
    "s": 1e3, "sec": 1e3, "secs": 1e3, "second": 1e3, "seconds": 1e3,
    "m": 6e4, "min": 6e4, "minute": 6e4, "minutes": 6e4,
    "h": 3.6e6, "hour": 3.6e6, "hours": 3.6e6,
    "d": 8.64e7, "day": 8.64e7, "days": 8.64e7,
    "us": 1e-3, "µs": 1e-3, "micro": 1e-3, "micros": 1e-3, "ns": 1e-6, "nano": 1e-6, "nanos": 1e-6,
}  # fmt: skip
_BYTES = {
    "": 1, "b": 1, "bytes": 1, "k": 1 << 10, "kb": 1 << 10, "kibibytes": 1 << 10,
    "m": 1 << 20, "mb": 1 << 20, "mebibytes": 1 << 20, "g": 1 << 30, "gb": 1 << 30, "gibibytes": 1 << 30,
    "t": 1 << 40, "tb": 1 << 40, "tebibytes": 1 << 40,
}  # fmt: skip


def parse_duration(text: str) -> float:
    """A Flink duration (``'10 s'``, ``'5min'``, ``'200ms'``) in milliseconds; ``ValueError`` if it is none."""
    m = _DURATION.fullmatch(text)
    if not m or m[2].lower() not in _MS:
        raise ValueError(f"{text!r} is no duration; write for example '10 s', '5 min' or '200 ms'")
    return float(m[1]) * _MS[m[2].lower()]


def parse_memory(text: str) -> int:
    """A size (``'16 mb'``) in bytes; ``ValueError`` if it is none."""
    m = _DURATION.fullmatch(text)
    if not m or m[2].lower() not in _BYTES:
        raise ValueError(f"{text!r} is no size; write for example '16 mb'")
    return int(float(m[1]) * _BYTES[m[2].lower()])


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a connector, format or session.

    Args:
        name: as in ``WITH ('name' = '…')``; a part ``*`` matches any word (``fields.*.min``).
        type: how the text is read (durations give ms, memory gives bytes).
        help: one sentence for the reference page.
        default: the value if it is absent (already of the right type).
        required: absent is an error.
        choices: of an enum.
        secret: never shown; only references (``${env:…}``, ``${file:…}``) are kept.
        check: an extra check of the value; gives what is wrong, or None.
    """

    name: str
    type: OptionType = "string"
    help: str = ""
    default: Any = None
    required: bool = False
    choices: tuple[str, ...] = ()
    secret: bool = False
    check: Callable[[Any], str | None] | None = None

    def matches(self, name: str) -> bool:
        """Whether this declaration speaks of an option name."""
        if "*" not in self.name:
            return self.name == name
        return re.fullmatch(re.escape(self.name).replace(r"\*", r".+"), name) is not None

    def read(self, text: str) -> Any:
        """The value of a text; ``ValueError`` with the reason if it is none."""
        match self.type:
            case "string":
                value: Any = text
            case "int":
                try:
                    value = int(text.strip())
                except ValueError:
                    raise ValueError(f"{text!r} is no whole number") from None
            case "float":
                try:
                    value = float(text)
                except ValueError:
                    raise ValueError(f"{text!r} is no number") from None
            case "bool":
                if text.strip().lower() not in ("true", "false"):
                    raise ValueError(f"{text!r} is neither 'true' nor 'false'")
                value = text.strip().lower() == "true"
            case "duration":
                value = parse_duration(text)
            case "memory":
                value = parse_memory(text)
            case "enum":
                folded = {c.lower(): c for c in self.choices}
                if text.lower() not in folded:
                    raise ValueError(f"{text!r} is none of {', '.join(map(repr, self.choices))}")
                value = folded[text.lower()]
            case "list":
                value = [part.strip() for part in text.split(";") if part.strip()]
        if self.check is not None and (wrong := self.check(value)):
            raise ValueError(wrong)
        return value


class Options(Mapping[str, Any]):
    """Options of one table, read and checked: by name, with defaults filled in."""

    def __init__(self, values: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        self._values = dict(values)
        self.texts = dict(texts)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def starting(self, prefix: str) -> dict[str, Any]:
        """The options below a prefix, by the rest of their names."""
        return {k[len(prefix) :]: v for k, v in self._values.items() if k.startswith(prefix) and v is not None}


def read_options(
    declared: Sequence[Option], texts: Mapping[str, str], *, what: str, extra: Iterable[str] = ()
) -> Options:
    """Check the texts of a ``WITH`` clause against the declarations.

    Args:
        declared: what is known (connector's and format's together).
        texts: option name to text.
        what: for messages, e.g. ``connector 'http'``.
        extra: names that are allowed and handled elsewhere (``connector``, ``format``).

    Raises:
        OptionError: an unknown, missing or wrong option, with a hint.
    """
    values: dict[str, Any] = {o.name: o.default for o in declared if "*" not in o.name}
    allowed = set(extra)
    for name, text in texts.items():
        option = next((o for o in declared if o.matches(name)), None)
        if option is None:
            if name in allowed:
                continue
            known = sorted({o.name for o in declared} | allowed)
            hint = did_you_mean(name, known) or f"Known options: {', '.join(known)}."
            raise OptionError(f"{what} has no option '{name}'", hint=hint)
        try:
            values[name] = option.read(resolve_secret(text) if option.secret else text)
        except ValueError as e:
            raise OptionError(f"option '{name}' of {what}: {e}", hint=option.help) from None
    missing = [o.name for o in declared if o.required and values.get(o.name) is None]
    if missing:
        names = ", ".join(f"'{m}'" for m in missing)
        option = next(o for o in declared if o.name == missing[0])
        raise OptionError(f"{what} needs option {names}", hint=option.help)
    return Options(values, texts)


def resolve_secret(text: str) -> str:
    """Replace ``${env:NAME}`` and ``${file:PATH}`` by what they refer to."""
    import os

    def one(m: re.Match[str]) -> str:
        kind, ref = m[1], m[2]
        if kind == "env":
            if ref not in os.environ:
                raise ValueError(f"environment variable {ref!r} is not set")
            return os.environ[ref]
        try:
            return Path(ref).read_text(encoding="utf-8").strip()
        except OSError as e:
            raise ValueError(f"cannot read secret file {ref!r}: {e.strerror}") from None

    return re.sub(r"\$\{(env|file):([^}]+)\}", one, text)
