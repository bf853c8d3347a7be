"""Hashes and encodings."""

# ruff: noqa: ARG001 -- every implementation takes the same arguments

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

import numpy as np
import polars as pl

from deras.core.types import Kind, SqlType, char
from deras.sql.functions.registry import CallContext, scalar


def _bytes(v: Any) -> bytes:
    return v.encode() if isinstance(v, str) else bytes(v)


def _digest(algorithm: str, v: Any) -> str:
    return hashlib.new(algorithm, _bytes(v), usedforsecurity=False).hexdigest()


def _hash(name: str, algorithm: str, example: str) -> None:
    def build(c: CallContext, x: pl.Series) -> pl.Series:
        return pl.Series("", [None if v is None else _digest(algorithm, v) for v in x], dtype=pl.String)

    build.__doc__ = (
        f"The {name} hash in hexadecimal digits.\n\nExample:\n    >>> LEFT({name}('abc'), 8)\n    {example}\n"
    )
    build.__module__ = __name__
    type_ = char(hashlib.new(algorithm, usedforsecurity=False).digest_size * 2)
    scalar(f"{name}(text) -> STRING", f"{name}(bytes) -> STRING", kind="host", result=lambda _: type_)(build)


_hash("MD5", "md5", "90015098")
_hash("SHA1", "sha1", "a9993e36")
_hash("SHA224", "sha224", "23097d22")
_hash("SHA256", "sha256", "ba7816bf")
_hash("SHA384", "sha384", "cb00753f")
_hash("SHA512", "sha512", "ddaf35a1")


@scalar("SHA2(text, integer) -> STRING", kind="host", result=lambda _: SqlType(Kind.VARCHAR, 128))
def sha2(c: CallContext, x: pl.Series, bits: pl.Series) -> Any:
    """The SHA-2 hash of a length (224, 256, 384, 512) in hexadecimal digits; other lengths fail.

    Example:
        >>> LEFT(SHA2('abc', 256), 8)
        ba7816bf
    """
    wrong = [n is not None and n not in (224, 256, 384, 512) for n in bits]
    out = [
        None if v is None or n is None or bad else hashlib.new(f"sha{n}", v.encode()).hexdigest()
        for v, n, bad in zip(x, bits, wrong, strict=True)
    ]
    return pl.Series("", out, dtype=pl.String), np.array(wrong) if any(wrong) else None


@scalar("TO_BASE64(text) -> STRING", "TO_BASE64(bytes) -> STRING", kind="host")
def to_base64(c: CallContext, x: pl.Series) -> pl.Series:
    """The bytes in base 64.

    Example:
        >>> TO_BASE64('hello')
        aGVsbG8=
    """
    return pl.Series("", [None if v is None else base64.b64encode(_bytes(v)).decode() for v in x], dtype=pl.String)


@scalar("FROM_BASE64(text) -> STRING", kind="host", nullable=True)
def from_base64(c: CallContext, x: pl.Series) -> Any:
    """The text of its base 64.

    Example:
        >>> FROM_BASE64('aGVsbG8=')
        hello
    """
    failed = np.zeros(len(x), np.bool_)
    out: list[str | None] = []
    for i, v in enumerate(x):
        try:
            out.append(None if v is None else base64.b64decode(v, validate=True).decode(errors="replace"))
        except (binascii.Error, ValueError):
            failed[i] = True
            out.append(None)
    return pl.Series("", out, dtype=pl.String), failed if failed.any() else None


@scalar("HEX(integer) -> STRING", "HEX(text) -> STRING", kind="host")
def hex_(c: CallContext, x: pl.Series) -> pl.Series:
    """A whole number or text in hexadecimal digits.

    Example:
        >>> HEX(255)
        FF
    """
    out = [
        None if v is None else format(v & 0xFFFFFFFFFFFFFFFF, "X") if isinstance(v, int) else v.encode().hex().upper()
        for v in x
    ]
    return pl.Series("", out, dtype=pl.String)


@scalar("UNHEX(text) -> BYTES", kind="host", nullable=True)
def unhex(c: CallContext, x: pl.Series) -> pl.Series:
    """The bytes of hexadecimal digits; NULL where they are none.

    Example:
        >>> CAST(UNHEX('616263') AS STRING)
        abc
    """
    out: list[bytes | None] = []
    for v in x:
        try:
            out.append(None if v is None else bytes.fromhex(v if len(v) % 2 == 0 else "0" + v))
        except ValueError:
            out.append(None)
    return pl.Series("", out, dtype=pl.Binary)
